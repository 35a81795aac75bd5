"""A request's own word about where it went and where it came from changes no address that we give out."""

from __future__ import annotations

import http.client
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from agents import free_port
from embedders import embedding_app, token_of
from flask import Flask
from flask.testing import FlaskClient
from pages import csrf, post
from routes import OWN, ids, routes
from support import CONSOLE, MakeApp, Upstreams, openproject_values
from werkzeug.test import TestResponse

from panel.config import ConfigError, load
from panel.web.auth.same_origin import own_host_names

ROOT = Path(__file__).parent.parent.parent
PUBLIC = "https://panel.example.org"
WHY = "This panel does not answer under this host name."


@pytest.fixture
def app(make_app: MakeApp, upstreams: Upstreams) -> Flask:
    return make_app(PANEL_PUBLIC_URL=PUBLIC, PANEL_ALLOWED_PRIVATE_HOSTS=upstreams.server.host_port)


# --- whom it was sent to ---------------------------------------------------------------------------------------------

OWN_HOSTS = ["panel.example.org", "panel.example.org:443", "PANEL.Example.org", "panel.example.org.", "127.0.0.1:8000",
             "localhost", "[::1]:8000"]  # fmt: skip
STRANGE_HOSTS = [
    "evil.example", "evil.example:443", "panel.example.org.evil.example", "evil.panel.example.org", "example.org",
    "panel.example.org@evil.example", "panel.example.org:443@evil.example", "evil.example#panel.example.org",
    "evil.example/panel.example.org", "panel.example.org:99999", "panel.example.org:x", "panel.example.org\tevil.example",
    "panel.example.org evil.example", "panel.example.org,evil.example", "127.0.0.2", "0.0.0.0", "[::2]", "[::1", "[", "",
    "10.0.0.1", "127.1", "2130706433", "localhost.evil.example", "panel。example。org", "..", "%65vil.example",
    "ＰＡＮＥＬ.example.org", "http://panel.example.org", "//panel.example.org", "panel.example.org\\evil.example",
]  # fmt: skip


@pytest.mark.parametrize("host", OWN_HOSTS)
def test_the_panel_answers_under_its_own_names(app: Flask, host: str) -> None:
    assert app.test_client().get("/admin/sign-in", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("host", STRANGE_HOSTS)
def test_a_strange_host_name_is_400_and_told_why(app: Flask, host: str) -> None:
    client, forged = app.test_client(), {"HTTP_HOST": host.encode().decode("latin-1")}
    paths = ("/admin/sign-in", "/api/openapi.json", "/admin", "/static/tab.js", "/nothing", "/embed/demo/case/1")

    answers = [client.get(path, environ_overrides=forged) for path in paths]

    assert [(answer.status_code, WHY in answer.text) for answer in answers] == [(400, True)] * len(paths)
    assert "evil" not in "".join(answer.text + str(answer.headers) for answer in answers)


@pytest.mark.parametrize(
    ("settings", "answers", "refuses"),
    [
        ({}, ["127.0.0.1", "localhost", "::1"], ["evil.example"]),
        ({"PANEL_HOST": "10.0.0.5"}, ["10.0.0.5"], ["127.0.0.1", "localhost"]),
        ({"PANEL_HOST": "panel.intranet"}, ["panel.intranet"], ["localhost"]),
        ({"PANEL_HOST": "::1"}, ["::1", "localhost"], ["::2"]),
        ({"PANEL_HOST": "0.0.0.0", "PANEL_PUBLIC_URL": PUBLIC}, ["panel.example.org", "localhost"], ["10.0.0.5"]),
        ({"PANEL_PUBLIC_URL": "https://pänel.example"}, ["xn--pnel-loa.example"], ["pänel.example"]),
        ({"PANEL_PUBLIC_URL": "https://[fd00::5]:8443"}, ["fd00::5", "127.0.0.1"], ["fd00::6"]),
    ],
)
def test_names_come_from_settings(
    settings: dict[str, str], answers: list[str], refuses: list[str], tmp_path: Path
) -> None:
    names = own_host_names(load({"PANEL_INSTANCE_DIR": str(tmp_path), **settings}))

    assert [name for name in answers if name not in names] == []
    assert [name for name in refuses if name in names] == []


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_a_panel_on_every_address_needs_to_be_told_its_name(tmp_path: Path, host: str) -> None:
    with pytest.raises(ConfigError, match="set PANEL_PUBLIC_URL"):
        load({"PANEL_INSTANCE_DIR": str(tmp_path), "PANEL_HOST": host})

    assert not list(tmp_path.iterdir())


FORGED = {
    "X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "http", "X-Forwarded-For": "198.51.100.7",
    "X-Forwarded-Port": "81", "X-Forwarded-Prefix": "/evil", "X-Forwarded-Server": "evil.example",
    "X-Forwarded-Scheme": "ftp", "X-Host": "evil.example", "X-Original-URL": "//evil.example/",
    "X-Rewrite-URL": "//evil.example/", "X-Original-Host": "evil.example", "X-Script-Name": "//evil.example",
    "X-HTTP-Host-Override": "evil.example", "Forwarded": "for=198.51.100.7;host=evil.example;proto=http",
    "True-Client-IP": "198.51.100.7", "Referer": "https://evil.example/", "Base-Url": "http://evil.example",
    "HX-Current-URL": "https://evil.example//evil.example/x", "X-HTTP-Method-Override": "DELETE",
}  # fmt: skip


def given_out(answer: TestResponse) -> list[str]:
    """Every address in an answer, in headers too, without what is new each time."""
    headers = [answer.headers.get(name, "") for name in ("Location", "HX-Redirect", "HX-Push-Url", "Link", "Refresh")]
    text = re.sub(r"state=[\w-]+|code_challenge=[\w-]+", "", " ".join([*headers, answer.text]))
    return re.findall(r'https?://[^\s"\'<>]+|(?:href|src|action|hx-get|hx-post)="[^"]*"', text)


def test_no_forged_header_changes_an_address(
    app: Flask, connected: Flask, as_admin: FlaskClient, upstreams: Upstreams, bearer: Callable[[str], dict[str, str]]
) -> None:
    secret, token = embedding_app(as_admin), bearer("admin")
    frame = {"Authorization": f"Bearer {token_of(secret, OWN)}"}
    asked = [(as_admin, route.path, {}) for route in routes(app, **ids(app)) if route.method == "GET"]
    asked += [(app.test_client(), route.path, token) for route in routes(app) if route.method == "GET"]
    asked += [(app.test_client(), route.path, frame) for route in routes(app) if route.face == "embed"]

    changed = []
    for client, path, headers in asked:
        plain = client.get(path, headers=headers, buffered=True)
        forged = client.get(path, headers={**headers, **FORGED}, buffered=True)
        if (plain.status_code, given_out(plain)) != (forged.status_code, given_out(forged)):
            changed.append(path)
        assert "evil" not in forged.text + str(forged.headers), path

    assert changed == []
    assert len(asked) > 100


def test_addresses_that_others_keep_come_from_the_setting(
    app: Flask, connected: Flask, as_admin: FlaskClient, upstreams: Upstreams, bearer: Callable[[str], dict[str, str]]
) -> None:
    made = embedding_app(as_admin)
    link = app.test_client().post(
        "/api/objects/demo/case/1/integrations/xwiki",
        json={"reference": "xwiki:Sandbox.WebHome"},
        headers=bearer("write"),
    )
    post(as_admin, "/admin/sources/xwiki/enabled", {"value": "off"})

    degraded = app.test_client().get(
        "/api/objects/demo/case/1/integrations/xwiki", headers={**bearer("read"), **FORGED}
    )
    described = app.test_client().get("/api/openapi.json", headers=FORGED)
    (app_id,) = re.findall(r'href="/admin/embedding/(\w{32})"', as_admin.get("/admin/embedding").text)[:1]
    snippets = as_admin.get(f"/admin/embedding/{app_id}", headers=FORGED)

    assert (made.kid[:4], link.status_code) == ("lpk_", 201)
    assert degraded.json["details"]["configureUrl"] == f"{PUBLIC}/admin/sources/xwiki"  # type: ignore[index]
    assert described.json["servers"] == [{"url": PUBLIC}]  # type: ignore[index]
    assert f"{PUBLIC}/" in snippets.text


def test_a_provider_is_told_our_own_callback_whatever_the_request_says(
    app: Flask, as_admin: FlaskClient, upstreams: Upstreams, bearer: Callable[[str], dict[str, str]]
) -> None:
    root = upstreams.openproject_url
    auth = {"type": "oauth2", "grantType": "authorization_code", "tokenUrl": f"{root}/oauth/token",
            "authorizationUrl": f"{root}/oauth/authorize", "clientId": "x", "clientSecret": "y", "scope": "api_v3"}  # fmt: skip
    made = app.test_client().post(
        "/api/sources", json=openproject_values(upstreams, auth=auth), headers=bearer("admin")
    )

    answer = post(as_admin, "/admin/sources/openproject/connect", headers=FORGED)

    sent = urlsplit(answer.headers["Location"])
    assert (made.status_code, answer.status_code) == (201, 303)
    assert f"{sent.scheme}://{sent.netloc}" == upstreams.server.url
    assert parse_qs(sent.query)["redirect_uri"] == [f"{PUBLIC}/admin/oauth/callback"]


# --- where it leads next ---------------------------------------------------------------------------------------------

TARGETS = [
    "//evil.example", "///evil.example", "////evil.example", "/\\evil.example", "\\\\evil.example", "\\/evil.example",
    "/\\/evil.example", "//evil.example/admin/", "https://evil.example", "http:evil.example", "https:evil.example",
    "https:/evil.example", "https:///evil.example", "HTTPS://EVIL.example", "javascript:alert(1)", "data:text/html,x",
    "vbscript:x", "ftp://evil.example", "mailto:a@evil.example", "//user@evil.example", "//panel.example.org@evil.example",
    "https://panel.example.org@evil.example", "https://panel.example.org.evil.example", "evil.example", "evil.example/a",
    ".evil.example", "@evil.example", "/\t/evil.example", "/\n/evil.example", "/\r\n/evil.example", "\t//evil.example",
    "\n//evil.example", " //evil.example", "\x00//evil.example", "/\x00/evil.example", "\u2028//evil.example",
    "\u00a0//evil.example", "\ufeff//evil.example", "/\u200b/evil.example", "／／evil.example", "//evil。example",
    "//evil%2eexample", "//[::1]", "//127.0.0.1:1", "//", "///", "/\\", "//\\evil.example", "/\\\\evil.example",
    "https://panel.example.org/admin/", "?//evil.example", "#//evil.example", "", ".", "..//evil.example",
    "/admin/\r\nSet-Cookie: a=b", "/admin/\nLocation: //evil.example",
]  # fmt: skip
PATHS = ["/admin/sources", "/objects/demo/case/1?page=1", "/objects/a%2Fb/c/d", "/admin/", "/objects/é/c/d"]


def leads_to(base: str, location: str) -> str:
    """The host that a browser would go to: it takes a backslash for a slash, and drops tabs and line ends."""
    plain = re.sub(r"[\t\r\n]", "", location).strip("".join(map(chr, range(33)))).replace("\\", "/")
    if re.match(r"https?:", plain, re.IGNORECASE):
        return re.sub(r"^https?:/*", "", plain, flags=re.IGNORECASE).partition("/")[0].rpartition("@")[2]
    return plain.lstrip("/").partition("/")[0] if plain.startswith("//") else base


def test_a_wrong_reading_of_addresses_would_show_here() -> None:
    assert [leads_to("own", one) for one in ("/a//b", "//e/x", "/\\e", "https:e", "https:///e/x", "/\t/e")] == [
        "own", *["e"] * 5
    ]  # fmt: skip


def test_nobody_is_led_to_another_host_after_signing_in(app: Flask, as_admin: FlaskClient) -> None:
    astray = []
    for target in TARGETS:
        led = as_admin.get("/admin/sign-in", query_string={"next": target})
        form = app.test_client().get("/admin/sign-in", query_string={"next": target})
        later = as_admin.get("/admin/password", query_string={"next": target})
        kept = re.findall(r'name="next" value="([^"]*)"', form.text + later.text)
        ways = re.findall(r'class="ad-quiet" href="([^"]*)"', later.text)
        assert (led.status_code, len(kept), len(ways)) == (303, 2, 1)
        astray += [target for one in (led.headers["Location"], *kept, *ways) if leads_to("own", one) != "own"]

    assert astray == []
    assert len(TARGETS) >= 50


def test_after_a_password_nobody_is_led_to_another_host(app: Flask) -> None:
    with app.app_context():
        first_password(app)
        password = "correct horse battery"
        services = app.extensions["leafpanel"]
        services.people.choose_password(services.people.named("admin"), password, by=CONSOLE)
    client = app.test_client()
    signed_in = [
        sign_in(client, password, target) for target in ("//evil.example", "/\\evil.example", "/admin/sources")
    ]

    assert [answer.status_code for answer in signed_in] == [303] * 3
    assert [leads_to("own", answer.headers["Location"]) for answer in signed_in] == ["own"] * 3
    assert "evil" not in "".join(answer.headers["Location"] for answer in signed_in)
    assert quote("/admin/sources", safe="") in quote(signed_in[-1].headers["Location"], safe="")


def first_password(app: Flask) -> str:
    return str(app.extensions["leafpanel"].people.first_admin_password(by=CONSOLE))


def sign_in(client: FlaskClient, password: str, target: str) -> TestResponse:
    client.delete_cookie("__Host-leafpanel")
    token = re.search(r'name="csrf_token" value="([^"]+)"', client.get("/admin/sign-in").text)
    assert token is not None
    given = {"csrf_token": token[1], "name": "admin", "password": password, "next": target}
    return client.post("/admin/sign-in", data=given)


@pytest.mark.parametrize("target", PATHS)
def test_a_path_of_ours_is_kept(as_admin: FlaskClient, target: str) -> None:
    led = as_admin.get("/admin/sign-in", query_string={"next": target})

    assert led.headers["Location"] == quote(target, safe="/?=&%")


@pytest.mark.parametrize("query", [
    "", "code=a", "state=x", "code=a&state=b&next=//evil.example", "error=access_denied&state=x&error_uri=//evil.example",
    "redirect_uri=https://evil.example&state=x&code=y", "code=%0d%0aLocation:%20//evil.example&state=x",
])  # fmt: skip
def test_a_providers_answer_leads_nowhere_else(app: Flask, as_admin: FlaskClient, query: str) -> None:
    answers = [client.get(f"/admin/oauth/callback?{query}") for client in (as_admin, app.test_client())]

    assert [leads_to("own", answer.headers.get("Location", "/")) for answer in answers] == ["own", "own"]
    assert "evil" not in "".join(answer.headers.get("Location", "") for answer in answers)


def test_what_the_page_says_it_was_leads_back_to_us_alone(app: Flask) -> None:
    said = {"HX-Request": "true", "HX-Current-URL": "https://evil.example//evil.example/x?next=//evil.example"}

    answer = app.test_client().get("/objects/demo/case/1", headers=said)

    back = answer.headers["HX-Redirect"]
    page = app.test_client().get(back)
    assert leads_to("own", back) == "own"
    assert re.findall(r'name="next" value="([^"]*)"', page.text)[0] in ("", "/admin/")


# --- line ends -------------------------------------------------------------------------------------------------------

LINES = [
    "\r\nX-Injected: 1",
    "\nX-Injected: 1",
    "\rX-Injected: 1",
    "\r\n\r\n<b>x",
    "\u560a\u560dX-Injected: 1",
    "\x0b\x85\u2028X",
]
QUERIES = ("next", "sort", "theme", "bg", "linked", "done", "q", "text", "page", "search", "source", "period", "group",
           "register", "schema", "objectId", "object_id", "projectId", "token", "slug", "location", "code", "state")  # fmt: skip
FIELDS = ("reference", "title", "name", "origins", "value", "scope", "space", "subject", "key", "show", "labels", "do")


@pytest.mark.parametrize("line", LINES)
def test_no_line_end_reaches_a_header(app: Flask, connected: Flask, as_admin: FlaskClient, line: str) -> None:
    parts = ("register", "schema", "object_id", "integration", "slug", "reference", "name", "entity_id", "app_id")
    sent = {**dict.fromkeys(QUERIES, f"/x{line}"), **dict.fromkeys(FIELDS, f"x{line}")}
    token = {"X-CSRFToken": csrf(as_admin.get("/admin/password"))}
    asked = [*routes(app, **dict.fromkeys(parts, f"x{line}")), *routes(app, **ids(app))]

    answers = [
        as_admin.open(
            route.path, method=route.method, query_string=sent, data=None if route.method == "GET" else sent,
            headers=token, buffered=True,
        )
        for route in asked if route.endpoint != "admin.sign_out"
    ]  # fmt: skip

    assert [answer.request.path for answer in answers if answer.status_code == 500] == []
    assert [answer.request.path for answer in answers if "X-Injected" in answer.headers] == []
    assert not [value for answer in answers for _, value in answer.headers if re.search(r"[\r\n]", value)]


# --- the server that `make serve` starts -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def listening(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    port = free_port()
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PANEL_")}
    instance = str(tmp_path_factory.mktemp("listening") / "instance")
    own = {"PANEL_INSTANCE_DIR": instance, "PANEL_PORT": str(port), "PANEL_PUBLIC_URL": PUBLIC, "WEB_CONCURRENCY": "1"}
    process = subprocess.Popen(
        [sys.executable, "-m", "panel"], cwd=ROOT, env={**kept, **own}, stdout=subprocess.DEVNULL
    )
    try:
        _wait_for(port)
        yield port
    finally:
        process.terminate()
        process.wait(timeout=30)


def _wait_for(port: int) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        with suppress(OSError, http.client.HTTPException):
            if raw(port, "/admin/sign-in", Host="localhost")[0] == 200:
                return
        time.sleep(0.1)
    raise AssertionError("the panel did not start")


def raw(port: int, target: str, method: str = "GET", **headers: str) -> tuple[int, str]:
    """A request line and headers exactly as they stand here; status, and headers and body as one text."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.endheaders()
    answer = connection.getresponse()
    text = "\n".join(f"{name}: {value}" for name, value in answer.getheaders())
    text += answer.read().decode("utf-8", "replace")
    connection.close()
    return answer.status, text


@pytest.mark.parametrize(
    ("target", "headers"),
    [
        ("http://evil.example/admin/sign-in", {"Host": "localhost"}),
        ("http://evil.example/admin", {"Host": "localhost"}),
        ("http://evil.example/admin/sign-in", {"Host": "evil.example"}),
        ("//evil.example/admin/sign-in", {"Host": "localhost"}),
        ("//evil.example/admin/sign-in", {"Host": "localhost", "SCRIPT_NAME": "//evil.example"}),
        ("/admin/sign-in", {"Host": "localhost", "SCRIPT_NAME": "//evil.example"}),
        ("/admin/sign-in", {"Host": "localhost", "PATH_INFO": "//evil.example"}),
        ("/admin", {"Host": "localhost", "X-Forwarded-Host": "evil.example"}),
        ("/admin/", {"Host": "localhost", "Forwarded": "host=evil.example"}),
        ("/admin/", {"Host": "evil.example"}),
        ("/%0d%0aLocation:%20//evil.example", {"Host": "localhost"}),
    ],
)
def test_the_real_server_gives_out_no_address_of_anybody_else(
    listening: int, target: str, headers: dict[str, str]
) -> None:
    status, text = raw(listening, target, **headers)

    led = re.findall(r'(?:Location: |href="|src="|action=")([^"\n]*)', text)
    assert status < 500
    assert {leads_to("own", one) for one in led} <= {"own"}


def test_forms_work_behind_a_server_that_speaks_tls_for_us(listening: int) -> None:
    """Our pages ask browsers for no referrer, so that none can be asked of them."""
    proxied = {"Host": "panel.example.org", "X-Forwarded-Proto": "https"}
    connection = http.client.HTTPConnection("127.0.0.1", listening, timeout=30)
    connection.request("GET", "/admin/sign-in", headers=proxied)
    page = connection.getresponse()
    cookie, text = page.headers["Set-Cookie"].partition(";")[0], page.read().decode()
    token = re.search(r'name="csrf_token" value="([^"]+)"', text)
    assert token is not None

    as_browsers_do = {
        "Origin": "null",
        "Sec-Fetch-Site": "same-origin",
        "Content-Type": "application/x-www-form-urlencoded",
    }
    body = f"csrf_token={token[1]}&name=nobody&password=wrong"
    connection.request("POST", "/admin/sign-in", body, {**proxied, **as_browsers_do, "Cookie": cookie})
    answer = connection.getresponse()
    said = answer.read().decode()
    connection.close()

    assert (answer.status, "do not belong together" in said) == (401, True)


def test_a_request_that_names_no_host_is_answered(listening: int) -> None:
    assert json.loads(raw(listening, "/api/openapi.json")[1].partition("{")[2].join(["{", ""]))["servers"] == [
        {"url": PUBLIC}
    ]
