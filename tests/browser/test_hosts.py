"""What host applications do with the tab: late elements, modules, failures, policies and sandboxes."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from hosting import ADDRESS_PATH, ELEMENT, HostApp
from playwright.sync_api import Browser, FrameLocator, Page, expect
from werkzeug.wrappers import Response

from panel.accounts.embed_tokens import Secret
from panel.core.domain import ObjectRef

pytestmark = pytest.mark.browser

Running = Any  # what the fixture `running` gives; conftest modules cannot be imported by name
RECORD = """
    window.events = [];
    for (const name of ["ready", "linked", "unlinked", "changed", "expired", "error"]) {
        document.addEventListener(`leafpanel:${name}`, (event) => events.push([name, event.detail]));
    }
"""


@pytest.fixture(scope="module")
def panel(running: Running) -> Running:
    for line in running.imports():
        assert running.shell(line).returncode == 0
    return running


@pytest.fixture(scope="module")
def application(panel: Running) -> Iterator[HostApp]:
    application = HostApp(panel.url)
    origins = ["--origin", application.url, "--origin", application.near_url]
    made = json.loads(panel.flask("embed-app", "create", "Cases", *origins, "--json").stdout)
    application.secret = Secret(made["name"], made["kid"], made["secret"], ())
    yield application
    application.close()


@pytest.fixture
def host(application: HostApp, page: Page) -> HostApp:
    application.reset()
    page.add_init_script(RECORD)
    return application


def tab(page: Page) -> FrameLocator:
    return page.frame_locator("iframe")


def shown(page: Page) -> FrameLocator:
    expect(tab(page).locator("#lp-tab")).to_be_visible()
    return tab(page)


def events(page: Page, name: str, at_least: int = 1) -> list[dict[str, Any]]:
    """The details of all events of this name, once there are so many."""
    page.wait_for_function(
        "([name, least]) => events.filter((one) => one[0] === name).length >= least", arg=[name, at_least]
    )
    found: list[list[Any]] = page.evaluate("events")
    return [detail for event, detail in found if event == name]


def link(frame: FrameLocator, words: str) -> None:
    frame.get_by_role("combobox").fill(words)
    expect(frame.get_by_role("option").first).to_be_visible()
    frame.get_by_role("combobox").press("ArrowDown")
    frame.get_by_role("combobox").press("Enter")
    expect(frame.locator(".lp-title")).to_have_count(1)


# --- where the element comes from ------------------------------------------------------------------------------------

SCRIPTS = {"classic": "defer", "module": 'type="module"'}


@pytest.mark.parametrize("attributes", SCRIPTS.values(), ids=SCRIPTS)
@pytest.mark.parametrize("element", [ELEMENT, f'<div data-leafpanel="{ADDRESS_PATH}"></div>'], ids=["tag", "data"])
def test_an_element_shows_the_tab_whenever_it_appears(
    host: HostApp, page: Page, complaints: list[str], element: str, attributes: str
) -> None:
    host.body = host.script(attributes)
    page.goto(host.url)
    page.wait_for_function("window.Leafpanel")

    page.evaluate("html => document.body.insertAdjacentHTML('beforeend', html)", element)
    shown(page)
    events(page, "ready")
    page.evaluate("document.body.lastElementChild.remove()")
    expect(page.locator("iframe")).to_have_count(0)
    page.evaluate("html => document.body.insertAdjacentHTML('beforeend', `<p>${html}</p>`)", element)
    shown(page)

    assert [detail["type"] for detail in events(page, "ready", 2)] == ["leafpanel:ready"] * 2
    assert host.asked == 2
    assert complaints == []


def test_another_path_on_the_same_element_shows_another_object(host: HostApp, page: Page) -> None:
    page.goto(host.url)
    shown(page)
    host.object = ObjectRef("demo", "case", "2")

    page.evaluate(f"document.querySelector('leafpanel-tab').setAttribute('src', '{ADDRESS_PATH}?case=2')")

    expect(tab(page).locator("a[href*='/embed/demo/case/2']").first).to_be_visible()
    expect(page.locator("iframe")).to_have_count(1)


def test_an_imported_module_shows_the_tab(host: HostApp, page: Page, complaints: list[str]) -> None:
    host.body = f'{ELEMENT}<script type="module">import "{host.panel_url}/static/embed.v1.js";</script>'
    page.goto(host.url)

    shown(page)
    assert complaints == []


def test_a_numeric_object_id_is_signed_as_it_is(host: HostApp, page: Page) -> None:
    host.object, host.claims = ObjectRef("demo", "case", "20241"), {"objectId": 20241}
    page.goto(host.url)

    shown(page)


# --- events ----------------------------------------------------------------------------------------------------------


def test_events_tell_what_was_linked_and_unlinked(host: HostApp, page: Page, complaints: list[str]) -> None:
    page.goto(host.url)
    page.evaluate(
        """window.own = [];
        for (const name of ["linked", "unlinked"]) {
            document.querySelector("leafpanel-tab").addEventListener(name, (event) => own.push(event.detail));
        }"""
    )
    frame = shown(page)

    link(frame, "welstand")
    title = frame.locator(".lp-title").inner_text()
    linked = events(page, "linked")
    frame.get_by_role("combobox").press("Escape")
    frame.locator("summary[aria-label^='More for']").click()
    frame.get_by_role("button", name="Unlink", exact=True).click()
    unlinked = events(page, "unlinked")

    assert [(one["integration"], one["title"]) for one in linked] == [("xwiki", title)]
    assert linked[0]["reference"].startswith("xwiki:")
    assert re.match(r"http://127\.0\.0\.1:\d+/", linked[0]["url"])
    assert [(one["integration"], one["reference"]) for one in unlinked] == [("xwiki", linked[0]["reference"])]
    assert unlinked[0]["title"] == title
    assert [one["type"] for one in page.evaluate("own")] == ["leafpanel:linked", "leafpanel:unlinked"]
    assert complaints == []


def test_a_created_work_package_is_told_with_its_number(host: HostApp, page: Page) -> None:
    host.object = ObjectRef("demo", "case", "created")
    page.goto(host.url)
    frame = shown(page)
    frame.get_by_role("link", name=re.compile("Projects")).click()
    frame.get_by_text("Create work package").click()
    frame.get_by_label("Project", exact=True).select_option(label="Vergunningen 2026")
    frame.get_by_label("Subject").fill("Made in a frame")
    frame.get_by_role("button", name="Create and link").click()

    [linked] = events(page, "linked")

    assert (linked["integration"], linked["title"]) == ("openproject", "Made in a frame")
    assert linked["reference"].isdigit()
    assert linked["url"].endswith(f"/{linked['reference']}")


# --- failures --------------------------------------------------------------------------------------------------------

BROKEN = {
    "status": (Response("no", 500), "status"),
    "sign-in page": (Response("<!doctype html><title>Sign in</title>", mimetype="text/html"), "no-address"),
    "another panel": (Response("http://127.0.0.1:1/embed/a/b/c?token=x"), "wrong-origin"),
}


@pytest.mark.parametrize(("answer", "reason"), BROKEN.values(), ids=BROKEN)
def test_a_path_that_fails_is_told_in_its_place_and_recovers(
    host: HostApp, page: Page, answer: Response, reason: str
) -> None:
    host.broken = answer
    page.goto(host.url)
    notice = page.get_by_role("alert")
    expect(notice).to_contain_text("The linked items cannot be shown at the moment.")
    first = events(page, "error")[0]
    host.broken = None

    notice.get_by_role("button", name="Try again").click()

    shown(page)
    expect(notice).to_have_count(0)
    assert (first["reason"], first.get("status")) == (reason, 500 if reason == "status" else None)


def test_a_path_that_cannot_be_reached_is_asked_again_by_itself(host: HostApp, page: Page) -> None:
    failing = True
    page.route(f"**{ADDRESS_PATH}", lambda route: route.abort() if failing else route.continue_())
    page.goto(host.url)
    expect(page.get_by_role("alert")).to_be_visible()
    assert events(page, "error")[0]["reason"] == "network"

    failing = False

    shown(page)
    expect(page.get_by_role("alert")).to_have_count(0)


@pytest.mark.parametrize(("lang", "words"), [("nl", "kunnen nu niet worden getoond"), ("de-CH", "können gerade nicht")])
def test_the_notice_speaks_the_language_of_the_page(host: HostApp, page: Page, lang: str, words: str) -> None:
    host.broken = Response("no", 500)
    host.body = f'<section lang="{lang}">{ELEMENT}</section>{host.script()}'
    page.goto(host.url)

    expect(page.get_by_role("alert")).to_contain_text(words)


def test_an_element_shows_the_surface_that_it_names(host: HostApp, page: Page) -> None:
    host.body = ELEMENT.replace("<leafpanel-tab", '<leafpanel-tab surface="app-dashboard"', 1) + host.script()
    page.goto(host.url)

    frame = page.frame_locator("iframe")
    expect(frame.locator(".lp-card").first).to_be_visible()
    expect(frame.locator("#lp-q")).to_have_count(0)


OWN_WORDS = "Ask the service desk, extension 12."


@pytest.mark.parametrize(
    "element",
    [
        f'<leafpanel-tab src="{ADDRESS_PATH}"><p slot="error">{OWN_WORDS}</p></leafpanel-tab>',
        f'<leafpanel-tab src="{ADDRESS_PATH}" error-text="{OWN_WORDS}"></leafpanel-tab>',
        f'<div data-leafpanel="{ADDRESS_PATH}" data-error-text="{OWN_WORDS}"></div>',
    ],
    ids=["slot", "attribute", "data"],
)
def test_a_host_has_its_own_words_for_a_failure(host: HostApp, page: Page, element: str) -> None:
    host.broken = Response("no", 500)
    host.body = element + host.script()
    page.goto(host.url)

    expect(page.get_by_role("alert")).to_be_visible()
    said = page.locator("body").aria_snapshot()

    assert OWN_WORDS in said
    assert "cannot be shown" not in said


def test_a_renewal_that_fails_is_told_above_the_tab_and_keeps_what_was_typed(
    host: HostApp, page: Page, complaints: list[str]
) -> None:
    # Ended by the panel's clock but for the accepted difference of clocks, so that it is renewed at once.
    host.claims = {"exp": int(time.time()) - 20}
    page.goto(host.url)
    frame = shown(page)
    frame.get_by_role("combobox").fill("wel")
    host.broken = Response("Sign in", 403)

    notice = page.get_by_role("alert")
    expect(notice).to_contain_text("What you typed is kept")
    failed = events(page, "error")[0]
    expired = events(page, "expired")
    host.broken, host.claims = None, {}

    expect(notice).to_have_count(0)
    expect(frame.get_by_role("combobox")).to_have_value("wel")
    assert (failed["reason"], failed["status"], len(expired)) == ("status", 403, 1)
    assert not [line for line in complaints if "Uncaught" in line or "unhandled" in line]


def test_an_origin_that_is_not_registered_is_told_in_the_place(host: HostApp, page: Page) -> None:
    other = HostApp(host.panel_url)
    other.secret = host.secret
    page.goto(other.url)

    expect(page.get_by_role("alert")).to_be_visible()
    expect(page.locator("iframe")).to_be_hidden()
    [failed] = events(page, "error")[:1]
    other.close()

    assert failed["reason"] == "silent"
    assert other.url in failed["message"]


# --- policies of the host --------------------------------------------------------------------------------------------

POLICIES = {
    "csp": {"Content-Security-Policy": "default-src 'self'; img-src data:; script-src {panel}; frame-src {panel}"},
    "require-corp": {"Cross-Origin-Embedder-Policy": "require-corp", "Cross-Origin-Opener-Policy": "same-origin"},
    "credentialless": {"Cross-Origin-Embedder-Policy": "credentialless", "Cross-Origin-Opener-Policy": "same-origin"},
}


@pytest.mark.parametrize("headers", POLICIES.values(), ids=POLICIES)
def test_the_tab_works_under_the_policies_of_a_host(
    host: HostApp, page: Page, complaints: list[str], headers: dict[str, str]
) -> None:
    host.object = ObjectRef("demo", "case", f"policy-{len(str(headers))}")
    host.headers = {name: value.replace("{panel}", host.panel_url) for name, value in headers.items()}
    page.goto(host.url)

    frame = shown(page)
    link(frame, "welstand")

    assert events(page, "linked")
    assert page.evaluate("crossOriginIsolated") is ("Cross-Origin-Embedder-Policy" in headers)
    assert complaints == []


def test_the_notice_is_drawn_under_a_policy_without_inline_styles(host: HostApp, page: Page) -> None:
    host.headers = {"Content-Security-Policy": f"default-src 'self'; script-src {host.panel_url}"}
    host.broken = Response("no", 500)
    page.goto(host.url)

    assert page.get_by_role("alert").evaluate("notice => getComputedStyle(notice).borderLeftWidth") == "4px"


SANDBOXES = {
    "without an origin": "allow-scripts allow-forms allow-popups",
    "with its origin": "allow-scripts allow-forms allow-popups allow-same-origin",
}


@pytest.mark.parametrize("flags", SANDBOXES.values(), ids=SANDBOXES)
def test_the_tab_works_in_a_sandbox(host: HostApp, page: Page, complaints: list[str], flags: str) -> None:
    host.object = ObjectRef("demo", "case", f"sandbox-{len(flags)}")
    host.body = f'<leafpanel-tab src="{ADDRESS_PATH}" sandbox="{flags}"></leafpanel-tab>{host.script()}'
    host.claims = {"exp": int(time.time()) - 20}
    page.goto(host.url)
    frame = shown(page)
    asked = host.asked
    host.claims = {}

    frame.get_by_role("link", name=re.compile("Projects")).click()
    expect(frame.get_by_text("No work packages linked yet")).to_be_visible()
    frame.get_by_role("link", name=re.compile("Articles")).click()
    link(frame, "welstand")

    assert events(page, "linked")[0]["integration"] == "xwiki"
    assert host.asked > asked - 1
    assert page.locator("iframe").evaluate("frame => frame.style.height") != "12rem"
    assert frame.locator("body").evaluate("body => getComputedStyle(body).fontFamily").count("Times") == 0
    assert complaints == []


# --- JSON from the page ----------------------------------------------------------------------------------------------


def test_a_page_of_the_application_reads_json_with_the_token(host: HostApp, page: Page) -> None:
    page.goto(host.url)
    shown(page)
    path = f"{host.panel_url}/api/objects/demo/case/1/integrations/xwiki"

    read = page.evaluate(
        """async ([path, token]) => {
            const headers = { Authorization: `Bearer ${token}`, "If-None-Match": '"x"' };
            const answer = await fetch(path, { headers });
            return [answer.status, answer.headers.get("ETag"), answer.headers.get("X-Request-Id"), (await answer.json()).total];
        }""",
        [path, host.token()],
    )
    refused = page.evaluate("async (path) => (await fetch(path)).status", path)

    assert (read[0], bool(read[1]), bool(read[2]), read[3]) == (200, True, True, 0)
    assert refused == 401


def test_a_page_of_another_origin_reads_nothing(host: HostApp, page: Page, panel: Running) -> None:
    other = HostApp(host.panel_url)
    other.body = ""
    page.goto(other.url)
    path = f"{host.panel_url}/api/objects/demo/case/1/integrations/xwiki"
    bearers = [host.token(), panel.token("read")["Authorization"].partition(" ")[2]]

    for token in bearers:
        failed = page.evaluate(
            """([path, token]) => fetch(path, { headers: { Authorization: `Bearer ${token}` } }).then(() => "read", () => "refused")""",
            [path, token],
        )
        assert failed == "refused"
        assert requests.get(path, headers={"Authorization": f"Bearer {token}"}, timeout=30).status_code == 200
    other.close()


# --- without scripts -------------------------------------------------------------------------------------------------


@pytest.fixture
def plain_page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(java_script_enabled=False)
    yield context.new_page()
    context.close()


def test_the_whole_job_is_done_in_a_frame_without_scripts(host: HostApp, plain_page: Page) -> None:
    host.object = ObjectRef("demo", "case", "plain")
    address = host.address().replace("&", "&amp;")
    host.body = (
        f'{ELEMENT}<noscript><iframe src="{address}" title="Linked here" height="700" width="700"></iframe></noscript>'
    )
    plain_page.goto(host.near_url)
    frame = shown(plain_page)

    # Each step waits for its page: without scripts a click leads to another document.
    empty = frame.get_by_text("No work packages linked yet")
    frame.get_by_role("button", name=re.compile("Projects")).click()
    expect(empty).to_be_visible()
    frame.get_by_role("button", name=re.compile("Create")).click()
    expect(empty).to_be_hidden()
    frame.get_by_role("button", name="Cancel").click()
    expect(empty).to_be_visible()
    frame.get_by_role("button", name=re.compile("Create")).click()
    frame.get_by_label("Project", exact=True).select_option(label="Vergunningen 2026")
    frame.get_by_label("Subject").fill("Made without scripts")
    frame.get_by_role("button", name="Create and link").click()
    expect(frame.get_by_role("link", name="Made without scripts")).to_be_visible()
    frame.locator(".lp-pill-button").click()
    expect(frame.get_by_label("Status")).to_be_visible()
    frame.get_by_role("button", name="Cancel").click()
    expect(frame.get_by_label("Status")).to_be_hidden()

    frame.get_by_role("button", name=re.compile("Articles")).click()
    expect(frame.get_by_text("No pages linked yet")).to_be_visible()
    frame.get_by_role("combobox").fill("welstand")
    frame.get_by_role("button", name="Search", exact=True).click()
    frame.get_by_role("checkbox").first.check()
    frame.get_by_role("button", name="Link selected").click()
    expect(frame.locator(".lp-title")).to_have_count(1)
    frame.get_by_role("button", name="Refresh").click()
    expect(frame.locator(".lp-title")).to_have_count(1)

    own = [link for link in frame.get_by_role("link").all() if "/embed/" in str(link.get_attribute("href"))]
    assert own == []
    assert "token" not in plain_page.frames[1].url.partition("/embed/demo/case/plain/")[2]


def test_a_notice_in_a_frame_without_scripts_asks_again(host: HostApp, plain_page: Page, panel: Running) -> None:
    panel.flask("connector", "off")
    try:
        host.body = f'<noscript><iframe src="{host.address()}" height="500" width="600"></iframe></noscript>'
        plain_page.goto(host.near_url)
        again = tab(plain_page).get_by_role("button", name=re.compile("Check again|Retry"))
        expect(again).to_be_visible()
    finally:
        panel.flask("connector", "on")

    again.click()

    expect(tab(plain_page).get_by_text("linked yet").or_(tab(plain_page).locator(".lp-title").first)).to_be_visible()
