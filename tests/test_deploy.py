"""A real nginx with `docs/deploy/nginx.conf`, in front of the panel that `make serve` starts."""

from __future__ import annotations

import http.client
import os
import re
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

import pytest
import trustme
from served import ROOT, free_port, request, served
from servers import needed

pytestmark = pytest.mark.servers

HOST = "panel.example.org"
LOGGED_S = 30
MAIN = """\
daemon off; pid {folder}/nginx.pid; error_log {folder}/main.log;
{user}
events {{}}
http {{
    # As in the file that Debian installs.
    gzip on;
    gzip_min_length 20;
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    include {folder}/leafpanel.conf;
}}
"""


@dataclass(frozen=True)
class Front:
    port: int
    panel_port: int
    tls: ssl.SSLContext
    folder: Path

    def request(
        self, method: str, path: str, body: str | None = None, headers: dict[str, str] | None = None,
        client: str = "127.0.0.1",
    ) -> tuple[int, http.client.HTTPMessage, str]:  # fmt: skip
        connection = http.client.HTTPSConnection(
            "127.0.0.1", self.port, timeout=30, context=self.tls, source_address=(client, 0)
        )
        connection.request(method, path, body, {"Host": HOST, **(headers or {})})
        answer = connection.getresponse()
        body = answer.read()
        text = "" if answer.headers["Content-Encoding"] else body.decode()
        connection.close()
        return answer.status, answer.headers, text

    def signed_in(self, name: str, client: str, **headers: str) -> int:
        """The status of a sign-in with a wrong password."""
        _, answered, page = self.request("GET", "/admin/sign-in", client=client)
        token = re.search(r'name="csrf_token" value="([^"]+)"', page)
        assert token
        form = urlencode({"csrf_token": token[1], "name": name, "password": "wrong"})
        own = {
            "Cookie": answered["Set-Cookie"].partition(";")[0], "Content-Type": "application/x-www-form-urlencoded",
            "Origin": "null", "Sec-Fetch-Site": "same-origin",
        }  # fmt: skip
        return self.request("POST", "/admin/sign-in", form, {**own, **headers}, client)[0]


def adapted(text: str, replaced: dict[str, str]) -> str:
    for old, new in replaced.items():
        assert old in text, old
        text = text.replace(old, new)
    return text


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    folder, program, port = tmp_path_factory.mktemp("front"), needed("nginx", Path("/usr/sbin/nginx")), free_port()
    authority = trustme.CA()
    certificate = authority.issue_cert(HOST, "127.0.0.1")
    certificate.cert_chain_pems[0].write_to_path(folder / "certificate.pem")
    certificate.private_key_pem.write_to_path(folder / "key.pem")
    tls = ssl.create_default_context()
    authority.configure_trust(tls)
    with served(folder, PANEL_PUBLIC_URL=f"https://{HOST}", PANEL_TRUSTED_PROXIES="1", WEB_CONCURRENCY="1") as panel:
        site = adapted(
            (ROOT / "docs" / "deploy" / "nginx.conf").read_text("utf-8"),
            {
                "listen 80;": f"listen 127.0.0.1:{free_port()};",
                "listen 443 ssl;": f"listen 127.0.0.1:{port} ssl;",
                "/etc/ssl/private/panel.example.org.key": f"{folder}/key.pem",
                "/etc/ssl/panel.example.org.pem": f"{folder}/certificate.pem",
                "/var/log/nginx/": f"{folder}/",
                "http://127.0.0.1:8000": f"http://127.0.0.1:{panel.port}",
            },
        )
        (folder / "leafpanel.conf").write_text(site)
        # A folder of root is closed to the account that Debian's nginx uses.
        (folder / "nginx.conf").write_text(MAIN.format(folder=folder, user="user root;" if os.getuid() == 0 else ""))
        nginx = subprocess.Popen([program, "-p", str(folder), "-c", str(folder / "nginx.conf")])
        front = Front(port, panel.port, tls, folder)
        try:
            wait_until_answered(front, nginx)
            yield front
        finally:
            nginx.terminate()
            nginx.wait(30)


def wait_until_answered(front: Front, nginx: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 30
    while True:
        with suppress(OSError):
            front.request("GET", "/admin/sign-in")
            return
        assert nginx.poll() is None, "nginx ended by itself"
        assert time.monotonic() < end, "nginx did not start"
        time.sleep(0.05)


def test_the_sign_in_page_is_answered_through_nginx(front: Front) -> None:
    status, headers, text = front.request("GET", "/admin/sign-in")

    assert (status, 'name="password"' in text) == (200, True)
    assert headers["Set-Cookie"].startswith("__Host-leafpanel=")
    assert "Secure" in headers["Set-Cookie"]
    assert "max-age" in headers["Strict-Transport-Security"]


@pytest.mark.parametrize("part", ["1", "a%2Fb", "a%252Fb", "a%20b%3Fc"])
def test_a_path_arrives_unchanged(front: Front, part: str) -> None:
    """The redirect to the sign-in page contains the path that was asked for."""
    path = f"/objects/demo/case/{part}"

    through_nginx = front.request("GET", path)[1]
    direct = request(front.panel_port, "GET", path, headers={"Host": HOST}).headers

    assert through_nginx["Location"] == direct["Location"]


@pytest.mark.parametrize("part", ["2024%2F0012", "2024%EE%80%800012"])
def test_a_slash_in_an_object_id_arrives(front: Front, part: str) -> None:
    """Decoded before it is routed, it would be a separator: 404."""
    status, headers, _ = front.request("GET", f"/objects/demo/case/{part}")

    assert (status, headers["Location"]) == (303, "/admin/sign-in?next=/objects/demo/case/2024%25EE%2580%25800012")


def test_the_panel_sees_the_address_of_the_client_and_not_the_one_that_it_claims(front: Front) -> None:
    assert front.signed_in("somebody", "127.0.0.2", **{"X-Forwarded-For": "203.0.113.9"}) == 401

    log = (front.folder / "serve.log").read_text("utf-8")
    assert "401 POST /admin/sign-in from 127.0.0.2," in log
    assert "203.0.113.9" not in log


def test_a_body_above_the_limit_is_refused(front: Front) -> None:
    status, headers, _ = front.request("POST", "/api/mcp", "a" * (1024 * 1024 + 1))

    assert (status, headers["Server"]) == (413, "nginx")


def test_no_log_contains_the_query(front: Front) -> None:
    front.request("GET", "/embed/demo/case/1?token=canary-of-the-query", headers={"Referer": f"https://{HOST}/?canary"})

    # nginx writes the line after it has sent the response.
    log, end = front.folder / "leafpanel.log", time.monotonic() + LOGGED_S
    while '"GET /embed/demo/case/1 HTTP/1.1" ' not in log.read_text("utf-8"):
        assert time.monotonic() < end, "nginx logged no request"
        time.sleep(0.02)
    assert not [path.name for path in front.folder.glob("*.log") if "canary" in path.read_text("utf-8")]


@pytest.mark.parametrize(
    ("path", "site", "coding"),
    [
        ("/static/tab.js", "cross-site", "gzip"),
        ("/admin/sign-in", "same-origin", "gzip"),
        ("/admin/sign-in", "cross-site", None),
    ],
)
def test_nginx_leaves_compression_to_the_panel(front: Front, path: str, site: str, coding: str | None) -> None:
    _, headers, _ = front.request("GET", path, headers={"Accept-Encoding": "gzip", "Sec-Fetch-Site": site})

    assert headers["Content-Encoding"] == coding
