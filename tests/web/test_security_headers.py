"""Headers of every answer, by the rules that MDN's HTTP Observatory grades with, and by those of our own."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urlsplit

import pytest
from embedders import embedding_app, token_of
from flask import Flask
from flask.testing import FlaskClient
from pages import csrf
from routes import FILES, OWN, PAGE, Route, ids, routes
from support import CONSOLE, MakeApp, Upstreams, signed_in_client
from werkzeug.test import TestResponse

from panel.core.domain import ObjectRef

PUBLIC = "https://panel.example.org"
FRAMER = "https://cases.example.org"

# --- the rules -------------------------------------------------------------------------------------------------------
# https://github.com/mdn/mdn-http-observatory/blob/main/src/grader/charts.js

BROAD = frozenset({"*", "http:", "https:", "ftp:", "http://*", "https://*", "http://*.*", "https://*.*"})
UNSAFE = BROAD | {"'unsafe-inline'", "data:"}
ENOUGH_FOR_EXTRA = 90
HALF_A_YEAR_S = 15_552_000


def policy_of(answer: TestResponse) -> dict[str, set[str]]:
    parts = (part.split() for part in answer.headers.get("Content-Security-Policy", "").split(";"))
    return {words[0]: set(words[1:]) for words in parts if words}


def of_policy(answer: TestResponse) -> int:
    policy = policy_of(answer)
    default = policy.get("default-src", {"*"})
    scripts, objects, styles = (policy.get(f"{kind}-src", default) for kind in ("script", "object", "style"))
    passive = {source for name in ("img-src", "media-src") for source in policy.get(name, default)}
    active = {source for name, sources in policy.items() if name not in ("img-src", "media-src") for source in sources}
    if not policy:
        return -25
    if scripts & UNSAFE or objects & BROAD or any(source.startswith(("http:", "ftp:")) for source in active):
        return -20
    if "'unsafe-eval'" in scripts | styles or any(source.startswith(("http:", "ftp:")) for source in passive):
        return -10
    if styles & UNSAFE:
        return 0
    return 10 if default == {"'none'"} and policy.get("form-action", {"*"}) <= {"'none'", "'self'"} else 5


def of_cookies(answer: TestResponse) -> int:
    cookies = answer.headers.getlist("Set-Cookie")
    attributes = [{part.strip().lower() for part in cookie.split(";")[1:]} for cookie in cookies]
    if any("secure" not in found for found in attributes):
        return -40
    if any("httponly" not in found for found in attributes):
        return -30
    if any(not found & {"samesite=lax", "samesite=strict"} for found in attributes):
        return -20
    return 5 if cookies else 0


def of_sharing(answer: TestResponse) -> int:
    """Sharing with everybody is harmless without credentials, and with one origin if that is the reader's."""
    shared, cookies = (f"Access-Control-Allow-{name}" in answer.headers for name in ("Origin", "Credentials"))
    return -50 if shared and cookies else 0


def of_redirection(answer: TestResponse) -> int:
    return -20 if not is_own(answer.headers.get("Location", "/")) else 0


def of_referrer(answer: TestResponse) -> int:
    private = {"no-referrer", "same-origin", "strict-origin", "strict-origin-when-cross-origin"}
    return 5 if answer.headers.get("Referrer-Policy") in private else -5


def of_transport(answer: TestResponse) -> int:
    found = re.fullmatch(r"max-age=(\d+); includeSubDomains", answer.headers.get("Strict-Transport-Security", ""))
    return -20 if found is None else 0 if int(found[1]) >= HALF_A_YEAR_S else -10


def of_scripts(answer: TestResponse) -> int:
    return -50 if not all(is_own(source) for tag, name, source in addresses(answer) if tag == "script") else 0


def of_sniffing(answer: TestResponse) -> int:
    return 0 if answer.headers.get("X-Content-Type-Options") == "nosniff" else -5


def of_framing(answer: TestResponse) -> int:
    if "frame-ancestors" in policy_of(answer):
        return 5
    return 0 if answer.headers.get("X-Frame-Options", "").upper() in ("DENY", "SAMEORIGIN") else -20


def of_resources(answer: TestResponse) -> int:
    given = answer.headers.get("Cross-Origin-Resource-Policy")
    return {"same-origin": 10, "same-site": 10, "cross-origin": 0, None: 0}.get(given, -5)


RULES: tuple[Callable[[TestResponse], int], ...] = (
    of_policy, of_cookies, of_sharing, of_redirection, of_referrer, of_transport, of_scripts, of_sniffing, of_framing,
    of_resources,
)  # fmt: skip


def score(answer: TestResponse) -> int:
    """What is missing is taken off first; extra points count for whoever has most without them."""
    points = [rule(answer) for rule in RULES]
    base = 100 + sum(point for point in points if point < 0)
    return base + sum(point for point in points if point > 0) if base >= ENOUGH_FOR_EXTRA else base


def lacks(answer: TestResponse) -> list[str]:
    """The rules that take points off, and "score" where there are not enough."""
    missing = [rule.__name__ for rule in RULES if rule(answer) < 0]
    return missing if score(answer) >= 100 else [*missing, "score"]


def is_own(url: str) -> bool:
    """Whether a browser that shows one of our pages would stay with us."""
    parts = urlsplit(url.strip())
    return f"{parts.scheme}://{parts.netloc}" == PUBLIC if parts.netloc else parts.scheme in ("", "data")


class _Addresses(HTMLParser):
    NAMES = frozenset({"href", "src", "action", "formaction", "hx-get", "hx-post", "poster", "data", "srcset"})

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [(tag, name, value or "") for name, value in attrs if name in self.NAMES]


def addresses(answer: TestResponse) -> list[tuple[str, str, str]]:
    """Tag, attribute and value of everything on a page that leads somewhere."""
    reader = _Addresses()
    if answer.mimetype == "text/html":
        reader.feed(answer.text)
    return reader.found


# --- every answer ----------------------------------------------------------------------------------------------------


@pytest.fixture
def app(make_app: MakeApp, upstreams: Upstreams) -> Flask:
    return make_app(PANEL_PUBLIC_URL=PUBLIC, PANEL_ALLOWED_PRIVATE_HOSTS=upstreams.server.host_port)


def link(app: Flask, bearer: dict[str, str], path: str = "/api/objects/demo/case/1/integrations/xwiki") -> None:
    answer = app.test_client().post(path, json={"reference": PAGE}, headers=bearer)
    assert answer.status_code == 201, answer.text


def failures(app: Flask, admin: FlaskClient, bearer: dict[str, str]) -> Iterator[tuple[int, TestResponse]]:
    """One answer at least of each failing status, with the status that it is meant to have."""
    nobody, token = app.test_client(), csrf(admin.get("/admin/password"))
    viewer = signed_in_client(app, "victor", "viewer")
    form: dict[str, Any] = {"data": {"csrf_token": token}}
    yield 400, nobody.get("/admin/sign-in", headers={"Host": "evil.example"})
    yield 400, admin.post("/admin/check")
    yield 400, admin.get("/objects/demo/case/1/integrations/xwiki?page=0")
    yield 401, nobody.get("/api/integrations")
    yield 401, nobody.get("/embed/demo/case/1")
    yield 401, nobody.get("/embed/demo/case/1?token=a.b.c")
    yield 403, viewer.get("/admin/")
    yield 403, admin.post("/admin/check", **form, headers={"Sec-Fetch-Site": "cross-site"})
    yield 404, nobody.get("/nothing")
    yield 404, nobody.get("/static/nothing.js")
    yield 404, nobody.get("/api/nothing")
    yield 404, admin.get("/admin/sources/nothing")
    yield 405, nobody.put("/admin/sign-in")
    yield 405, nobody.delete("/api/mcp")
    yield 413, nobody.post("/api/mcp", data=b"x" * 1_100_000, headers=bearer)
    yield 413, nobody.post("/admin/sign-in", data=b"x" * 1_100_000, content_type=FORM)
    yield 422, admin.post("/admin/tokens", **form)
    yield 503, nobody.get("/api/objects/demo/case/1/integrations/openproject", headers=bearer)
    yield 308, nobody.get("/admin")


FORM = "application/x-www-form-urlencoded"


def test_every_readable_address_scores_a_hundred_for_everybody(
    app: Flask, connected: Flask, as_admin: FlaskClient, bearer: Callable[[str], dict[str, str]]
) -> None:
    embedding_app(as_admin)
    link(app, bearer("write"))
    visitors = {
        "nobody": (app.test_client(), {}),
        "admin": (as_admin, {}),
        "token": (app.test_client(), bearer("admin")),
    }

    low = []
    asked = 0
    for route in routes(app, **ids(app)):
        for who, (client, headers) in visitors.items():
            if route.method == "GET" and route.face != "embed":
                answer = client.get(route.path, headers=headers, buffered=True)
                asked += 1
                if lacks(answer):
                    low.append((who, str(route), lacks(answer)))

    assert low == []
    assert asked > 100


def test_every_failure_scores_a_hundred(
    app: Flask, as_admin: FlaskClient, bearer: Callable[[str], dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(app.view_functions, "admin.overview", lambda: 1 / 0)

    found = [*failures(app, as_admin, bearer("admin")), (500, as_admin.get("/admin/"))]

    assert [answer.status_code for _, answer in found] == [status for status, _ in found]
    assert [(answer.request.path, lacks(answer)) for _, answer in found if lacks(answer)] == []


def test_the_rules_themselves_tell_good_from_bad(app: Flask) -> None:
    good = app.test_client().get("/admin/sign-in")

    scores = {}
    for name in ("Content-Security-Policy", "Strict-Transport-Security", "Referrer-Policy"):
        worse = app.test_client().get("/admin/sign-in")
        del worse.headers[name]
        scores[name] = score(worse)

    assert score(good) == 135
    assert scores == {"Content-Security-Policy": 75, "Strict-Transport-Security": 80, "Referrer-Policy": 125}


# --- rules of our own ------------------------------------------------------------------------------------------------


def test_only_a_valid_token_lets_its_application_frame_its_object(
    app: Flask, connected: Flask, as_admin: FlaskClient, bearer: Callable[[str], dict[str, str]]
) -> None:
    secret = embedding_app(as_admin)
    link(app, bearer("write"))
    own, other = token_of(secret, OWN), token_of(secret, ObjectRef("demo", "case", "2"))
    tokens = {"none": "", "own": own, "other": other, "expired": token_of(secret, OWN, exp=1), "api": api(bearer)}

    framed = set()
    for route in routes(app, **ids(app)):
        for name, token in tokens.items():
            for client in (app.test_client(), as_admin):
                headers = {"Authorization": f"Bearer {token}"} if token else {}
                answer = client.open(route.path, method=route.method, headers=headers, buffered=True)
                ancestors = policy_of(answer)["frame-ancestors"]
                if ancestors != {"'none'"}:
                    framed.add((route.face, name, *ancestors))
                assert ("X-Frame-Options" in answer.headers) == (ancestors == {"'none'"})

    assert framed == {("embed", "own", FRAMER)}


def api(bearer: Callable[[str], dict[str, str]]) -> str:
    return bearer("read")["Authorization"].partition(" ")[2]


def test_no_answer_but_a_file_may_be_kept_by_anybody(
    app: Flask, connected: Flask, as_admin: FlaskClient, bearer: Callable[[str], dict[str, str]]
) -> None:
    every = [answer_of(as_admin, route) for route in routes(app, **ids(app)) if route.endpoint not in FILES]
    every += [answer for _, answer in failures(app, signed_in_client(app, "bob", "admin"), bearer("admin"))]

    kept = [answer for answer in every if not answer.request.path.startswith("/static/")
            and answer.headers["Cache-Control"] != "no-store, private"]  # fmt: skip

    assert [answer.request.path for answer in kept] == []


def answer_of(client: FlaskClient, route: Route) -> TestResponse:
    return client.open(route.path, method=route.method, buffered=True)


def test_every_answer_has_a_reference_and_asks_for_no_feature(
    app: Flask, as_admin: FlaskClient, bearer: Callable[[str], dict[str, str]]
) -> None:
    every = [answer for _, answer in failures(app, as_admin, bearer("admin"))]

    assert [a.request.path for a in every if not re.fullmatch(r"LP-\w{4}-\d\d", a.headers["X-Request-Id"])] == []
    assert all("camera=(), " in answer.headers["Permissions-Policy"] for answer in every)
    assert not [
        feature for feature in every[0].headers["Permissions-Policy"].split(", ") if not feature.endswith("=()")
    ]


def test_no_page_leads_or_reaches_to_another_host_but_to_the_source(
    app: Flask, connected: Flask, as_admin: FlaskClient, upstreams: Upstreams, bearer: Callable[[str], dict[str, str]]
) -> None:
    secret = embedding_app(as_admin)
    link(app, bearer("write"))
    frame = {"Authorization": f"Bearer {token_of(secret, OWN)}"}
    pages = [answer_of(as_admin, route) for route in routes(app, **ids(app)) if route.method == "GET"]
    pages += [app.test_client().get(route.path, headers=frame) for route in routes(app) if route.face == "embed"]

    found = [one for page in pages for one in addresses(page)]
    strange = {(tag, name, url) for tag, name, url in found if not is_own(url)}

    assert len(found) > 500
    assert {(tag, name) for tag, name, _ in strange} == {("a", "href")}
    assert [url for _, _, url in strange if not url.startswith(f"{upstreams.server.url}/")] == []


def test_over_tls_every_cookie_belongs_to_this_host_alone(app: Flask) -> None:
    with app.app_context():
        password = app.extensions["leafpanel"].people.first_admin_password(by=CONSOLE)
    client = app.test_client()
    asked = client.get("/admin/sign-in")
    let_in = client.post("/admin/sign-in", data={"csrf_token": csrf(asked), "name": "admin", "password": password})

    cookies = [cookie for answer in (asked, let_in) for cookie in answer.headers.getlist("Set-Cookie")]

    assert {cookie.partition("=")[0] for cookie in cookies} == {"__Host-leafpanel", "__Host-leafpanel-device"}
    assert all({"Secure", "HttpOnly", "Path=/", "SameSite=Lax"} <= set(cookie.split("; ")) for cookie in cookies)
    assert "Domain" not in "".join(cookies)


def test_without_tls_nothing_pretends_that_there_is_some(make_app: MakeApp) -> None:
    answer = make_app().test_client().get("/admin/sign-in")

    assert "Strict-Transport-Security" not in answer.headers
    assert answer.headers["Set-Cookie"].startswith("leafpanel=")


def test_files_may_be_loaded_by_a_frame_that_its_sandbox_makes_another_origin(app: Flask) -> None:
    files = ("embed.js", "framed.js", "tab.js", "leafpanel.css", "vendor/htmx/htmx.min.js")

    given = [app.test_client().get(f"/static/{name}", buffered=True) for name in files]

    policies = [answer.headers["Cross-Origin-Resource-Policy"] for answer in given]
    assert policies == ["cross-origin"] * 5
    assert all("no-store" not in answer.headers.get("Cache-Control", "") for answer in given)
