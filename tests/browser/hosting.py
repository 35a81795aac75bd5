"""A host application whose page, headers and answers are chosen by a test."""

from __future__ import annotations

import threading
from typing import Any
from urllib.parse import quote

from embedders import token_of
from werkzeug.serving import make_server
from werkzeug.wrappers import Request, Response

from panel.accounts.embed_tokens import Secret
from panel.core.domain import ObjectRef

ADDRESS_PATH = "/leafpanel-url"
ELEMENT = f'<leafpanel-tab src="{ADDRESS_PATH}"></leafpanel-tab>'

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Case</title><link rel="icon" href="data:,">{style}</head><body><h1>Case</h1>{body}</body></html>"""


class HostApp:
    """Serves one page, and an address of the tab at ``ADDRESS_PATH``. Pages come from localhost: another site."""

    def __init__(self, panel_url: str) -> None:
        self.panel_url = panel_url
        self.secret = Secret("", "", "", ())
        self._server = make_server("127.0.0.1", 0, self._answer, threaded=True)
        self.url = f"http://localhost:{self._server.port}"
        self.near_url = f"http://127.0.0.1:{self._server.port}"
        """The same at the site of the panel. Playwright may switch off scripts too late in a frame of another site."""
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.reset()

    def reset(self) -> None:
        self.body = ELEMENT + self.script()
        self.style = ""
        self.headers: dict[str, str] = {}
        self.broken: Response | None = None
        """The answer in place of an address."""
        self.claims: dict[str, Any] = {}
        self.object = ObjectRef("demo", "case", "1")
        self.asked = 0

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def script(self, attributes: str = "defer", name: str = "embed.v1.js") -> str:
        return f'<script src="{self.panel_url}/static/{name}" {attributes}></script>'

    def token(self) -> str:
        return token_of(self.secret, self.object, **self.claims)

    def address(self) -> str:
        path = "/".join(
            quote(part, safe="") for part in (self.object.register, self.object.schema, self.object.object_id)
        )
        return f"{self.panel_url}/embed/{path}?token={self.token()}"

    def _answer(self, environ: dict[str, Any], start_response: Any) -> Any:
        return self._response(Request(environ))(environ, start_response)

    def _response(self, request: Request) -> Response:
        if request.path != ADDRESS_PATH:
            page = PAGE.replace("{style}", f"<style>{self.style}</style>" if self.style else "").replace(
                "{body}", self.body
            )
            return Response(page, mimetype="text/html", headers=self.headers)
        self.asked += 1
        return self.broken or Response(self.address(), mimetype="text/plain")
