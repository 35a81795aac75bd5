"""A panel that knows one reason more, in a process of its own: asks an upstream that fails for that reason through every
way in, and prints as JSON what each of them shows. Arguments: an instance folder with a migrated database.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from support import ALICE, CASE_PATH, api_token, signed_in_client
from werkzeug import Response

from panel import create_app
from panel.config import load
from panel.sandbox.standin import RunningServer

SOURCE = {
    "slug": "xwiki", "name": "Wiki", "auth": {"type": "basic", "username": "alice", "password": "secret"},
}  # fmt: skip
LIST = {"action": "list", "integrationId": "xwiki", "register": "demo", "schema": "case", "objectId": "1"}
CALL = {
    "jsonrpc": "2.0", "id": 1, "method": "tools/call",
    "params": {"name": "openregister.integrations", "arguments": LIST},
}  # fmt: skip


def main(instance: str) -> None:
    server = RunningServer(Response("Pay first", 402))
    settings = {"PANEL_INSTANCE_DIR": instance, "PANEL_ALLOWED_PRIVATE_HOSTS": server.host_port}
    app = create_app(load(settings))
    with app.app_context():
        app.extensions["leafpanel"].sources.create({**SOURCE, "location": f"{server.url}/xwiki"}, by=ALICE)
    admin, token = signed_in_client(app, "alice", "admin"), {"Authorization": f"Bearer {api_token(app, 'read')}"}
    url = app.extensions["leafpanel"].config.public_url
    accept = {"Accept": "application/json, text/event-stream", **token}
    shown: dict[str, Any] = {
        "json": app.test_client().get(f"{CASE_PATH}/xwiki", headers=token).json,
        "mcp": app.test_client().post("/api/mcp", json=CALL, headers=accept, base_url=url).text,
        "health": app.test_client().get("/api/integrations/xwiki/health", headers=token).json,
        "tab": admin.get("/objects/demo/case/1?integration=xwiki").text,
        "overview": admin.get("/admin/").text,
        "calls": admin.get("/admin/calls").text,
        "doctor": app.test_cli_runner().invoke(args=["doctor"]).output,
    }
    server.close()
    print(json.dumps(shown))


if __name__ == "__main__":
    main(sys.argv[1])
