"""Hostile texts and addresses of an upstream in a real browser: nothing runs, nothing is fetched, text is text."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode, urlsplit
from urllib.request import Request as HttpRequest
from urllib.request import urlopen

import pytest
from embedders import embedding_app, token_of
from hostile import EVIL, TEXTS, Poison, urls
from playwright.sync_api import Browser, BrowserContext, Frame, Page, expect
from support import Upstreams, api_token, openproject_values, signed_in_client, xwiki_values
from werkzeug.wrappers import Request, Response

from panel import create_app
from panel.accounts.embed_tokens import Secret
from panel.config import load
from panel.core.domain import ObjectRef
from panel.core.text import one_line
from panel.links.service import Links
from panel.sandbox.openproject import OpenProjectStandIn
from panel.sandbox.openproject_state import Principal, Project, Right, Status, Type
from panel.sandbox.standin import RunningServer, mounted
from panel.sandbox.xwiki import XWikiStandIn
from panel.storage.engine import db
from panel.storage.migrations import alembic
from panel.storage.models import Link

pytestmark = pytest.mark.browser

ALL = len(TEXTS)
PER_PAGE = 200
PAGES = -(-ALL // PER_PAGE)
OBJECT = ObjectRef("demo", "case", '"><img src=x onerror=canary()>')
REFERENCES = ObjectRef("demo", "case", "references")
ASIDE = ObjectRef("demo", "case", "aside")
"""Linked to pages that are asked for one by one, since only then xWiki tells an address."""
QUIET = ObjectRef("demo", "case", "quiet")
FRAME = "<!doctype html><title>Cases</title><iframe width=1100 height=29000></iframe>"
"""The page of an application that frames the tab."""
EVERYTHING = "needle"


# --- a panel whose upstreams mean harm -------------------------------------------------------------------------------


@dataclass
class World:
    url: str
    upstream: str
    host: str
    xwiki: Poison
    openproject: Poison
    cookie: str
    token: Callable[[ObjectRef], str]
    admin_pages: list[str]
    admin_token: str

    def close_breakers(self) -> None:
        """Save both sources, so that failures of a while ago do not hold calls back."""
        for slug in ("xwiki", "openproject"):
            change = json.dumps({"description": f"Saved at {time.time()}"}).encode()
            headers = {"Authorization": f"Bearer {self.admin_token}", "Content-Type": "application/json"}
            saved = urlopen(HttpRequest(f"{self.url}/api/sources/{slug}", change, headers, method="PATCH"))
            assert saved.status == 200

    def harm(self, *, texts: bool = False, addresses: bool = False, escapes: bool = False) -> None:
        for poison, path in ((self.xwiki, "/xwiki"), (self.openproject, "/openproject")):
            poison.texts = TEXTS if texts else []
            poison.urls = urls(f"{self.upstream}{path}") if addresses else []
            poison.escapes = escapes
            poison.sent.clear()

    def path(self, face: str, obj: ObjectRef, tail: str = "", **query: Any) -> str:
        """The address of a view of the tab, behind one of its doors."""
        given = {**query, "token": self.token(obj)} if face == "embed" else query
        place = "/".join(quote(part, safe="") for part in (obj.register, obj.schema, obj.object_id))
        return f"{self.url}/{face}/{place}{tail}" + (f"?{urlencode(given)}" if given else "")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    xwiki, openproject = XWikiStandIn(solr_lag=0), OpenProjectStandIn()
    wiki, tracker = Poison(xwiki), Poison(openproject)
    upstream = RunningServer(mounted(xwiki=wiki, openproject=tracker))
    app = create_app(load({
        "PANEL_INSTANCE_DIR": str(tmp_path_factory.mktemp("hostile") / "instance"), "PANEL_CACHE_TTL_S": "0",
        "PANEL_ALLOWED_PRIVATE_HOSTS": upstream.host_port, "PANEL_DEADLINE_S": "60",
    }))  # fmt: skip
    server, host = RunningServer(app), RunningServer(Response(FRAME, content_type="text/html"))
    # In a thread: the browser's driver keeps an event loop running in this one, where Flask then does not work.
    with ThreadPoolExecutor(1) as elsewhere:
        cookie, secret, admin_token = elsewhere.submit(
            fill, app, Upstreams(upstream, xwiki, openproject), f"http://localhost:{host.port}"
        ).result()
    with pytest.MonkeyPatch.context() as patch:
        # As many as there can be at once, so that few pages show all.
        patch.setattr("panel.web.tab.search_views.PICKER_SIZE", 100)
        patch.setitem(Links.whole_list.__kwdefaults__, "limit", PER_PAGE)
        yield World(
            server.url, upstream.url, f"http://localhost:{host.port}", wiki, tracker, cookie, lambda obj: token_of(secret, obj), admin_pages(app), admin_token
        )  # fmt: skip
    for one in (server, host, upstream):
        one.close()


def fill(app: Any, upstreams: Upstreams, host: str) -> tuple[str, Secret, str]:
    """As many things upstream as there are texts, linked to one object; and pointers that are hostile themselves.

    The cookie of an administrator, the secret of an application that shows the tab, and a token of an administrator.
    """
    with app.app_context():
        alembic.upgrade()
    for number in range(ALL):
        upstreams.xwiki.add_page(
            f"Needle.P{number:03}", title=f"Page {number}", content=f"{EVERYTHING} {number}", syntax="plain/1.0"
        )
    upstreams.xwiki.add_page("Sandbox.Empty", title="Nothing in it")
    upstreams.xwiki.xwql_enabled = False
    hidden = [f"Hidden.P{number:03}" for number in range(len(urls("")))]
    for name in hidden:
        upstreams.xwiki.add_page(name, title="Hidden", content="Hidden", hidden=True)
    fill_tracker(upstreams.openproject)
    numbers = upstreams.openproject.add_many(
        ALL, 1, subject=EVERYTHING + " {n}", author_id=5, assignee_id=5, description="x"
    )
    admin_token = api_token(app, "admin")
    token = {"Authorization": f"Bearer {admin_token}"}
    for values in (xwiki_values(upstreams, max_concurrency=64), openproject_values(upstreams, max_concurrency=64)):
        made = app.test_client().post("/api/sources", json=values, headers=token)
        assert made.status_code == 201, made.text
    pages = [f"xwiki:Needle.P{number:03}" for number in range(ALL)]
    with app.app_context():
        link("xwiki", ASIDE, [f"xwiki:{name}" for name in hidden])
        for leaf, own, odd in (("xwiki", pages, "xwiki:{}"), ("openproject", [str(n) for n in numbers], "{}")):
            link(leaf, OBJECT, own)
            link(leaf, REFERENCES, dict.fromkeys(odd.format(text)[:1000] for text in TEXTS if text.isprintable()))
            link(
                leaf,
                QUIET,
                [own[0], own[1], *(["xwiki:Gone.Away", "xwiki:Sandbox.Empty"] if leaf == "xwiki" else ["99999"])],
            )
        db.session.commit()
    admin = signed_in_client(app, "alice", "admin")
    secret, cookie = embedding_app(admin, "Cases", host), admin.get_cookie("leafpanel")
    assert cookie is not None
    return cookie.value, secret, admin_token


def link(leaf: str, obj: ObjectRef, references: Any) -> None:
    place = {"register": obj.register, "schema": obj.schema, "object_id": obj.object_id, "integration": leaf}
    by = "alice" if obj is QUIET else "<b onclick=canary()>Eve</b>"
    db.session.add_all(Link(**place, reference=reference, linked_by=by) for reference in references)


def fill_tracker(tracker: OpenProjectStandIn) -> None:
    """A project with as many types, statuses and people as there are texts, and as many projects."""
    world, kinds = tracker.world, tuple(range(1000, 1000 + ALL))
    world.add(*(Type(number, f"Type {number}", "#1A67A3", number) for number in kinds))
    world.add(*(Status(number, f"Status {number}", "#1098AD", number) for number in kinds))
    world.add(*(Principal(number, f"Person {number}") for number in kinds))
    world.add(*(Project(number, f"p{number}", f"Project {number}", (1,)) for number in kinds))
    world.add(Project(1, "alpha", "Alpha", (1, 2, *kinds), key="ALPHA"))
    world.transitions[1] = frozenset({2, *kinds})
    for number in kinds:
        world.join(number, 1)
        world.join(5, number, {Right.VIEW, Right.ADD})


def admin_pages(app: Any) -> list[str]:
    """Every page of the administrators whose address names nothing; no files."""
    found = [rule.rule for rule in app.url_map.iter_rules() if "GET" in (rule.methods or ()) and not rule.arguments]
    return sorted(rule for rule in found if rule.startswith("/admin") and "." not in rule)


# --- what a browser notices ------------------------------------------------------------------------------------------

TRAP = """
window.canary = () => { window.noticed("the canary was called at " + location.pathname); };
addEventListener("securitypolicyviolation", (event) => {
  window.noticed(`policy: ${event.effectiveDirective} ${event.blockedURI} ${event.sourceFile} ${event.sample}`);
}, true);
"""

LOOK = """([panel, upstream]) => {
  const LEADS = new Set(["href", "src", "action", "formaction", "hx-get", "hx-post", "srcset", "poster", "data", "ping",
                         "background", "xlink:href", "cite", "manifest", "srcdoc"]);
  const words = new Set(), strange = [];
  for (const element of document.querySelectorAll("*")) {
    words.add(element.localName);
    for (const { name, value } of element.attributes) {
      words.add(`${element.localName} ${name.startsWith("aria-") ? "aria-*" : name}`);
      if (!LEADS.has(name)) continue;
      let origin = value;
      try { origin = new URL(value, document.baseURI).origin; } catch { }
      const shows = element.matches("a[href]") && name === "href";
      const icon = element.matches("link[rel=icon]") && value === "data:,";
      if (origin !== panel && !icon && !(shows && origin === upstream)) strange.push(`${element.localName} ${name}=${value}`);
      if (shows && element.target && !element.relList.contains("noopener")) strange.push(`${value} opens with an opener`);
    }
  }
  return { words: [...words], strange, text: document.body.textContent };
}"""


@dataclass
class Watch:
    """A page, and everything in it that should not have been."""

    page: Page
    world: World
    noticed: list[str] = field(default_factory=list)
    words: set[str] = field(default_factory=set)
    text: str = ""
    frame: Frame | None = None

    def go(self, url: str) -> Frame:
        """Open an address in the page, or in the frame inside it, and look at it."""
        frame = self.frame or self.page.main_frame
        frame.goto(url)
        self.look(frame)
        return frame

    def show_all(self) -> None:
        """Put the whole of a long list into view, so that everything that waits to be seen is asked for."""
        self.page.set_viewport_size({"width": 1140, "height": 30_000})
        expect(self.page.locator(".lp-excerpt-waits")).to_have_count(0, timeout=30_000)
        self.look(self.page.main_frame)
        self.page.set_viewport_size({"width": 1140, "height": 1_000})

    def look(self, frame: Frame) -> None:
        found = frame.evaluate(LOOK, [self.world.url, urlsplit(self.world.upstream)._replace(path="").geturl()])
        self.words |= set(found["words"])
        self.noticed += [f"{one[:200]} at {urlsplit(frame.url).path[:100]}" for one in found["strange"]]
        self.text = " ".join(found["text"].split())


def watching(context: BrowserContext, world: World) -> Watch:
    page = context.new_page()
    watch = Watch(page, world)
    context.expose_binding("noticed", lambda source, what: watch.noticed.append(str(what)))
    context.add_init_script(TRAP)
    page.on("dialog", lambda dialog: (watch.noticed.append(f"dialog: {dialog.message}"), dialog.dismiss()))
    page.on("pageerror", lambda error: watch.noticed.append(f"script: {error}"))
    page.on("popup", lambda popup: watch.noticed.append(f"popup: {popup.url}"))
    ours = (f"{world.url}/", f"{world.host}/", "data:,")
    context.on(
        "request", lambda request: request.url.startswith(ours) or watch.noticed.append(f"request: {request.url[:200]}")
    )
    place = {"domain": "127.0.0.1", "path": "/"}
    context.add_cookies([{"name": "leafpanel", "value": world.cookie, "httpOnly": True, "sameSite": "Lax", **place}])  # type: ignore[list-item,misc]
    return watch


@pytest.fixture
def watch(context: BrowserContext, world: World) -> Watch:
    return watching(context, world)


def framed(watch: Watch) -> Watch:
    """From now on addresses are opened in a frame of another application, without anybody's session."""
    watch.page.context.clear_cookies()
    watch.page.goto(f"{watch.world.host}/")
    watch.frame = watch.page.frames[1]
    return watch


def test_the_trap_springs(watch: Watch) -> None:
    """Without our escaping and our policy the same browser notices everything."""
    harm = f"<a href=javascript:canary()>x</a><img src=x onerror=canary()><script src=//{EVIL}/a.js></script><div hx-get=/>"
    watch.page.route(f"{watch.world.url}/trap*", lambda route: route.fulfill(
        content_type="text/html", body=f"<!doctype html><body>{harm}",
        headers={"Content-Security-Policy": "img-src 'self'"} if "policy" in route.request.url else {},
    ))  # fmt: skip

    watch.go(f"{watch.world.url}/trap")
    bare = " ".join(watch.noticed)
    watch.page.goto(f"{watch.world.url}/trap?policy")
    watch.page.evaluate(f"() => {{ new Image().src = 'http://{EVIL}/b.png'; }}")
    until = time.monotonic() + 20
    while "policy: img-src" not in " ".join(watch.noticed) and time.monotonic() < until:
        watch.page.wait_for_timeout(50)

    assert "the canary was called" in bare
    assert f"request: http://{EVIL}/a.js" in bare
    assert "a href=javascript:canary()" in bare
    assert f"policy: img-src http://{EVIL}/b.png" in " ".join(watch.noticed)
    assert {"div hx-get", "img onerror"} <= watch.words


# --- what pages consist of -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def harmless(world: World, browser: Browser) -> set[str]:
    """Elements and attributes of all the pages below while nobody means harm: there may be no other ones."""
    context = browser.new_context()
    watch = watching(context, world)
    world.harm()
    lists(watch, "objects", QUIET, 1)
    # Long enough for the filters of a list.
    lists(watch, "objects", OBJECT, 1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(Links.whole_list.__kwdefaults__, "limit", 2)
        lists(watch, "objects", QUIET, 2)
    forms(watch, QUIET)
    picker(
        watch,
        "objects",
        QUIET,
        [EVERYTHING, "P001", "no such thing", f"https://{EVIL}/x", f"{world.upstream}/xwiki/bin/view/Needle/P001"],
    )
    degraded(watch, QUIET, 1)
    administration(watch, 1, [])
    framed(watch)
    lists(watch, "embed", QUIET, 1)
    picker(watch, "embed", QUIET, [EVERYTHING])
    degraded(watch, QUIET, 1)
    assert watch.noticed == []
    context.close()
    return watch.words


def safe(watch: Watch, harmless: set[str]) -> bool:
    assert watch.noticed == []
    assert watch.words - harmless == set()
    return True


def lists(watch: Watch, face: str, obj: ObjectRef, pages: int) -> None:
    for leaf in ("xwiki", "openproject"):
        poison = {"xwiki": watch.world.xwiki, "openproject": watch.world.openproject}[leaf]
        poison.sent.clear()
        texts = []
        for page in range(1, pages + 1):
            watch.go(watch.world.path(face, obj, f"/integrations/{leaf}", page=page))
            if leaf == "xwiki" and obj is not REFERENCES and not watch.frame:
                watch.show_all()
            texts.append(watch.text)
        if poison.texts and obj is OBJECT:
            # The items of all pages are read for each page.
            are_text(" ".join(texts), poison, LISTED[leaf])


LISTED = {
    "xwiki": ("searchResults.title",),
    "openproject": (
        "elements.subject",
        "status.title",
        "type.title",
        "priority.title",
        "assignee.title",
        "project.title",
    ),
}
"""What a row shows of what its upstream sent."""


def are_text(shown: str, poison: Poison, keys: tuple[str, ...]) -> None:
    """Every text that was just sent stands on the pages, letter by letter, unless too long to be shown whole."""
    for key in keys:
        texts = {text for text in poison.sent[key] if key != "searchResults.title" or poison.escapes}
        missing = [text for text in texts if len(text) < 900 and "\x00" not in text and one_line(text) not in shown]
        assert missing == [], key
        COVERED.setdefault(key, set()).update(texts)


COVERED: dict[str, set[str]] = {}


def test_every_text_is_text_in_the_tab_of_somebody_signed_in(
    watch: Watch, harmless: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    COVERED.clear()
    monkeypatch.setattr("panel.web.tab.list_view.EXCERPTS", PER_PAGE)
    watch.world.harm(texts=True, escapes=True)

    lists(watch, "objects", OBJECT, PAGES)
    lists(watch, "objects", REFERENCES, PAGES)

    assert safe(watch, harmless)
    assert {key: len(texts) for key, texts in COVERED.items()} == {
        key: ALL for keys in LISTED.values() for key in keys
    }  # fmt: skip


def test_every_text_is_text_in_a_frame_of_another_application(watch: Watch, harmless: set[str]) -> None:
    watch.world.harm(texts=True)
    framed(watch)

    lists(watch, "embed", OBJECT, PAGES)
    picker(watch, "embed", OBJECT, [EVERYTHING, *TEXTS[::60]])

    assert safe(watch, harmless)


# --- picker ----------------------------------------------------------------------------------------------------------

ASK = """async ([base, texts]) => {
  const target = document.getElementById("lp-results");
  for (const text of texts) {
    await htmx.ajax("GET", `${base}q=${encodeURIComponent(text)}`, { target: "#lp-results", swap: "innerHTML" });
    target.after(target.cloneNode(true));
  }
}"""
"""Ask as the box does, and leave a copy of each answer on the page, to be looked at with all others."""


def picker(watch: Watch, face: str, obj: ObjectRef, words: list[str]) -> None:
    world = watch.world
    for leaf in ("xwiki", "openproject"):
        frame = watch.go(world.path(face, obj, f"/integrations/{leaf}"))
        base = (
            world.path(face if face == "objects" else "embed", obj, f"/integrations/{leaf}/search", theme="auto") + "&"
        )
        frame.evaluate(ASK, [base, [text.encode("utf-8", "ignore").decode() for text in words]])
        watch.look(frame)
        frame.locator("#lp-q").fill(EVERYTHING)
        frame.get_by_role("option").first.wait_for()
        watch.look(frame)
        watch.go(world.path(face, obj, f"/integrations/{leaf}/search", q=words[0]))


def test_every_text_is_text_in_the_picker(watch: Watch, harmless: set[str]) -> None:
    watch.world.harm(texts=True, escapes=True)

    picker(watch, "objects", OBJECT, [EVERYTHING] * (ALL // 100 + 1))
    seen = {key: set(poison.sent[key]) for poison in (watch.world.xwiki, watch.world.openproject) for key in
            ("searchResults.title", "items.label", "elements.subject", "project.title")}  # fmt: skip

    assert safe(watch, harmless)
    assert {len(texts) for texts in seen.values() if texts} == {ALL}


def test_every_text_that_is_typed_is_text(watch: Watch, harmless: set[str]) -> None:
    watch.world.harm()

    picker(watch, "objects", QUIET, TEXTS[::8])
    for text in TEXTS[::60]:
        typed = text.encode("utf-8", "ignore").decode()
        watch.go(watch.world.path("objects", QUIET, "/integrations/openproject/new", text=typed))
        watch.go(
            watch.world.path("objects", QUIET, "/integrations/xwiki", sort=typed, theme=typed, bg=typed, linked=typed)
        )

    assert safe(watch, harmless)


# --- forms -----------------------------------------------------------------------------------------------------------


def hal_error(
    status: int, identifier: str, message: str = "", attribute: str = "", errors: list[Any] | None = None
) -> dict[str, Any]:
    prefix = "urn:openproject-org:api:v3:errors:"
    embedded = {"errors": errors} if errors is not None else {"details": {"attribute": attribute}} if attribute else {}
    return {
        "_type": "Error",
        "errorIdentifier": f"{prefix}{identifier}",
        "message": message,
        "_embedded": embedded,
        "code": status,
    }


def refusing(status: int) -> Callable[[Request], Response | None]:
    """Refuse every write with one message for each field that there is, and for many that there are not."""
    names = [
        "subject",
        "type",
        "project",
        "status",
        "assignee",
        "description",
        *(f"customField{n}" for n in range(1, ALL)),
    ]
    several = [hal_error(422, "PropertyConstraintViolation", "It is wrong.", name) for name in names]
    odd = [hal_error(422, "PropertyConstraintViolation", "It is wrong.", "<img src=x onerror=canary()>")]
    body = hal_error(409, "UpdateConflict") if status == 409 else hal_error(422, "MultipleErrors", errors=several + odd)

    def refuse(request: Request) -> Response | None:
        writes = request.method in ("POST", "PATCH") and not request.path.endswith("/form")
        return Response(json.dumps(body), status, content_type="application/hal+json") if writes else None

    return refuse


def forms(watch: Watch, obj: ObjectRef) -> None:
    """Creating and changing, with everything that an upstream offers, refuses or changed in the meantime."""
    world, tracker = watch.world, watch.world.openproject
    watch.go(world.path("objects", obj, "/integrations/xwiki/new"))
    frame = watch.go(world.path("objects", obj, "/integrations/openproject/new"))
    watch.look(frame)
    with watch.page.expect_response(re.compile("/new/choices")):
        frame.get_by_label("Search projects").fill("alpha")
    with watch.page.expect_response(re.compile("/new/fields")):
        frame.get_by_label("Project", exact=True).select_option(value="1")
    watch.look(frame)
    frame.get_by_label("Subject").fill("<img src=x onerror=canary()>")
    tracker.refusal = refusing(422)
    with watch.page.expect_response(lambda answer: answer.request.method == "POST"):
        frame.get_by_role("button", name="Create and link").click()
    frame.get_by_role("heading", name="Nothing was created").or_(frame.locator(".lp-refused")).first.wait_for()
    watch.look(frame)
    for status in (422, 409):
        tracker.refusal = lambda request: None
        frame = watch.go(world.path("objects", obj, "/integrations/openproject"))
        frame.locator("details.lp-drawer > summary").first.click()
        frame.locator("[name=status]").first.wait_for()
        watch.look(frame)
        frame.locator("[name=status]").first.select_option(index=1)
        frame.locator("form.lp-form [name=subject]").first.fill("<img src=x onerror=canary()>")
        tracker.refusal = refusing(status)
        with watch.page.expect_response(lambda answer: answer.request.method == "POST"):
            frame.get_by_role("button", name="Save").first.click()
        frame.locator(".lp-refused").first.wait_for()
        watch.look(frame)
    tracker.refusal = lambda request: None


def test_every_text_is_text_in_forms_and_in_what_they_are_refused_with(watch: Watch, harmless: set[str]) -> None:
    watch.world.harm(texts=True)

    forms(watch, OBJECT)
    sent = watch.world.openproject.sent
    seen = {key: len(set(sent[key])) for key in ("elements.name", "errors.message", "allowedValues.name", "self.title")}

    assert safe(watch, harmless)
    assert seen == dict.fromkeys(seen, ALL)
    assert len(set(watch.world.xwiki.sent["spaces.id"])) > 0


# --- when the upstream is away ---------------------------------------------------------------------------------------


def degraded(watch: Watch, obj: ObjectRef, pages: int) -> None:
    """The pointers alone, while nothing can be asked; whatever the upstream answers with instead."""
    face = "embed" if watch.frame else "objects"
    for poison in (watch.world.xwiki, watch.world.openproject):
        poison.refusal = lambda request: Response("<script>canary()</script>", 502, content_type="text/html")
    try:
        for leaf in ("xwiki", "openproject"):
            for page in range(1, pages + 1):
                watch.go(watch.world.path(face, obj, f"/integrations/{leaf}", page=page))
    finally:
        for poison in (watch.world.xwiki, watch.world.openproject):
            poison.refusal = lambda request: None
        watch.world.close_breakers()


def test_hostile_pointers_are_text_while_nothing_can_be_asked(watch: Watch, harmless: set[str]) -> None:
    watch.world.harm()

    degraded(watch, REFERENCES, 2)

    assert safe(watch, harmless)
    assert "<b onclick=canary()>Eve</b>" in watch.text


# --- administration --------------------------------------------------------------------------------------------------


def administration(watch: Watch, tests: int, words: list[str]) -> None:
    """Test connection, some times over, then every page of the administrators, and some that are given words."""
    url = watch.world.url
    for slug in ("xwiki", "openproject"):
        for _ in range(tests):
            frame = watch.go(f"{url}/admin/sources/{slug}/test")
            frame.get_by_role("button", name=re.compile("Run")).click()
            frame.get_by_text(re.compile("steps passed")).wait_for()
            watch.look(frame)
        watch.go(f"{url}/admin/sources/{slug}")
    for path in watch.world.admin_pages:
        watch.go(f"{url}{path}")
    for word in ["x", *words]:
        given = quote(word.encode("utf-8", "ignore"), safe="")
        watch.go(f"{url}/admin/calls?text={given}&source={given}&outcome={given}&face={given}&period={given}")
        watch.go(f"{url}/admin/oauth/callback?state={given}&error={given}&error_description={given}&error_uri={given}")
        watch.go(f"{url}/admin/objects?register={given}&schema=")
        watch.go(f"{url}/admin/sign-in?next={given}")


def test_every_text_is_text_for_administrators(watch: Watch, harmless: set[str]) -> None:
    watch.world.harm(texts=True)

    administration(watch, 2, TEXTS[::60])

    assert safe(watch, harmless)


# --- addresses -------------------------------------------------------------------------------------------------------


def leaving(frame: Frame) -> set[str]:
    """Origins of the addresses that rows lead to."""
    return set(
        frame.evaluate("() => [...document.querySelectorAll('a.lp-title')].map((link) => new URL(link.href).origin)")
    )


def test_no_address_of_an_upstream_leads_anywhere_but_to_it(watch: Watch, harmless: set[str]) -> None:
    watch.world.harm(addresses=True)
    origins = set()

    for obj, leaf in ((ASIDE, "xwiki"), (OBJECT, "xwiki"), (OBJECT, "openproject")):
        origins |= leaving(watch.go(watch.world.path("objects", obj, f"/integrations/{leaf}")))
    told = set(watch.world.xwiki.sent["xwikiAbsoluteUrl"])
    lists(framed(watch), "embed", ASIDE, 1)

    assert safe(watch, harmless)
    assert origins == {watch.world.upstream}
    assert len(told) >= 60


def test_no_address_that_is_pasted_leads_anywhere(watch: Watch, harmless: set[str]) -> None:
    watch.world.harm()

    picker(watch, "objects", QUIET, urls(watch.world.upstream))

    assert safe(watch, harmless)


@pytest.mark.parametrize(
    "where", [f"//{EVIL}/", "javascript:canary()", f"https://<img src=x onerror=canary()>.{EVIL}/", "x" * 3000]
)
def test_a_redirect_of_an_upstream_is_told_as_text(watch: Watch, harmless: set[str], where: str) -> None:
    watch.world.harm()
    answer = Response("", 302, {"Location": where})
    answer.autocorrect_location_header = False
    watch.world.openproject.refusal = lambda request: answer
    watch.world.xwiki.refusal = lambda request: answer

    for leaf in ("xwiki", "openproject"):
        watch.go(watch.world.path("objects", QUIET, f"/integrations/{leaf}"))
        frame = watch.go(f"{watch.world.url}/admin/sources/{leaf}/test")
        frame.get_by_role("button", name=re.compile("Run")).click()
        frame.get_by_text(re.compile("steps passed")).wait_for()
        watch.look(frame)
    watch.go(f"{watch.world.url}/admin/")
    watch.world.xwiki.refusal = watch.world.openproject.refusal = lambda request: None

    assert safe(watch, harmless)
