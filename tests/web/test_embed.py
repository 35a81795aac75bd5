"""The tab inside other applications: only by a sound token, only for its object, framed only by its application."""

from __future__ import annotations

import itertools
import re
from typing import Any

import pytest
from embedders import ALL, token_of
from flask import Flask
from flask.testing import FlaskClient
from support import ALICE, CASE, CASE_PATH, Upstreams, signed_in_client
from werkzeug.test import TestResponse

from panel.accounts.embed_tokens import Secret
from panel.core.domain import ObjectRef
from panel.services import Panel

EMBED = "/embed/demo/case/1"
WIKI = f"{EMBED}/integrations/xwiki"
PAGE = "xwiki:Sandbox.WebHome"


@pytest.fixture
def made(connected: Flask) -> Secret:
    with connected.app_context():
        return apps_of(connected).create("Cases", ["https://cases.example.org", "http://localhost:5000"], by=ALICE)


def apps_of(app: Flask) -> Any:
    services: Panel = app.extensions["leafpanel"]
    return services.embed_apps


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def ancestors(answer: TestResponse) -> str:
    return answer.headers["Content-Security-Policy"].partition("frame-ancestors ")[2]


def test_the_first_page_holds_the_list_and_may_be_framed_by_its_application_alone(
    connected: Flask, made: Secret
) -> None:
    client = connected.test_client()
    client.post(f"{CASE_PATH}/xwiki", json={"reference": PAGE}, headers=bearer(token_of(made, CASE)))

    answer = client.get(f"{EMBED}?token={token_of(made, CASE)}")

    assert answer.status_code == 200
    assert 'class="lp-title" id="title-' in answer.text
    assert ancestors(answer) == "https://cases.example.org http://localhost:5000"
    assert "X-Frame-Options" not in answer.headers
    assert (answer.headers["Referrer-Policy"], answer.headers["Cache-Control"]) == ("no-referrer", "no-store, private")


def test_no_answer_sets_a_cookie_or_heeds_one(connected: Flask, made: Secret) -> None:
    admin = signed_in_client(connected, "alice", "admin")
    token = token_of(made, CASE)

    answers = [
        admin.get(EMBED),
        admin.get(f"{EMBED}?token={token}"),
        admin.get(f"{EMBED}?token=wrong"),
        admin.get(f"/embed/demo/case/2?token={token}"),
        admin.get("/embed/nowhere"),
        admin.post(f"{WIKI}/links", data={"token": token, "reference": PAGE}),
    ]

    assert [answer.status_code for answer in answers] == [401, 200, 401, 404, 404, 200]
    assert not [answer for answer in answers if "Set-Cookie" in answer.headers]
    assert not [answer for answer in answers if "Sign out" in answer.text or "/admin/" in answer.text]


def test_addresses_in_the_page_carry_no_token_and_stay_inside(connected: Flask, made: Secret) -> None:
    token = token_of(made, CASE, theme="dark")

    page = connected.test_client().get(f"{EMBED}?token={token}&bg=transparent").text

    own = [url for url in re.findall(r'(?:href|action|hx-get|hx-post|src)="(/[^"]*)"', page) if "static" not in url]
    assert own
    assert all(url.startswith("/embed/demo/case/1/") for url in own)
    assert not [url for url in own if "token" in url]
    assert all("theme=dark" in url and "bg=transparent" in url for url in own)
    assert f'"Authorization": "Bearer {token}"' in page
    assert 'data-theme="dark"' in page


def test_links_and_unlinks_with_the_token_as_bearer_or_in_the_form(connected: Flask, made: Secret) -> None:
    client, token = connected.test_client(), token_of(made, CASE)

    linked = client.post(f"{WIKI}/links", data={"reference": PAGE}, headers={**bearer(token), "HX-Request": "true"})
    unlinked = client.post(f"{WIKI}/unlink", data={"reference": PAGE, "token": token})

    assert linked.status_code == unlinked.status_code == 200
    assert linked.text.startswith('<div id="lp-tab">')
    assert "No pages linked yet" in unlinked.text
    assert f'name="token" value="{token}"' in unlinked.text


def test_words_are_searched_and_found_things_linked_by_plain_forms(connected: Flask, made: Secret) -> None:
    client, token = connected.test_client(), token_of(made, CASE)

    found = client.post(f"{WIKI}/search", data={"q": "sandbox", "token": token})
    linked = client.post(f"{WIKI}/links", data={"reference": PAGE, "q": "sandbox", "token": token})

    assert (found.status_code, linked.status_code) == (200, 200)
    assert f'name="reference" value="{PAGE}"' in found.text
    assert "Linked just now" in linked.text


def test_a_page_without_a_token_is_not_called_expired(connected: Flask, made: Secret) -> None:
    client = connected.test_client()

    titles = [
        re.findall("<h1>(.*)</h1>", client.get(path).text)[0]
        for path in (EMBED, f"{WIKI}/new", f"{EMBED}?token={token_of(made, CASE, exp=1)}")
    ]

    assert titles == ["This view belongs to an application"] * 2 + ["This view has expired"]


def test_plain_forms_open_the_other_parts_of_the_tab(connected: Flask, made: Secret) -> None:
    client, sent = connected.test_client(), {"token": token_of(made, CASE), "show": "all"}
    tracker = f"{EMBED}/integrations/openproject"

    pages = [client.post(path, data=sent) for path in (EMBED, WIKI, f"{WIKI}?page=1", tracker, f"{tracker}/new")]

    assert [page.status_code for page in pages] == [200] * 5
    assert "New work package" in pages[-1].text
    assert all('<form id="lp-go" method="post" hidden>' in page.text for page in pages)
    assert not [page for page in pages if re.search(r'formaction="[^"]*token', page.text)]


def test_a_token_in_the_address_writes_nothing(connected: Flask, made: Secret) -> None:
    answer = connected.test_client().post(f"{WIKI}/links?token={token_of(made, CASE)}", data={"reference": PAGE})

    assert answer.status_code == 401


def test_rights_of_the_token_bound_what_it_does_and_shows(connected: Flask, made: Secret) -> None:
    client, token = connected.test_client(), token_of(made, CASE, can=["view"])

    page = client.get(f"{WIKI}", headers=bearer(token))
    answers = [
        client.post(f"{WIKI}/links", data={"reference": PAGE}, headers=bearer(token)),
        client.get(f"{WIKI}/new", headers=bearer(token)),
        client.post(f"{CASE_PATH}/xwiki", json={"reference": PAGE}, headers=bearer(token)),
        client.post(f"{CASE_PATH}/xwiki/new", json={"space": "A", "title": "B"}, headers=bearer(token)),
        client.get(f"{WIKI}/search?q=sandbox", headers=bearer(token)),
        client.get("/api/integrations/xwiki/available", headers=bearer(token)),
        client.get("/api/integrations/xwiki/available?register=demo&schema=case&objectId=1", headers=bearer(token)),
    ]

    assert (page.status_code, 'id="lp-q"' in page.text) == (200, False)
    assert [answer.status_code for answer in answers] == [403] * 7


def test_whoever_may_only_create_searches_and_is_offered_no_link(connected: Flask, made: Secret) -> None:
    client, token = connected.test_client(), token_of(made, CASE, can=["view", "create"])

    found = client.get(f"{WIKI}/search?q=sandbox", headers=bearer(token))

    assert (found.status_code, PAGE in found.text) == (200, True)
    assert "Link selected" not in found.text


def test_a_token_for_some_integrations_knows_no_other(connected: Flask, made: Secret) -> None:
    client, headers = connected.test_client(), bearer(token_of(made, CASE, integrations=["xwiki"]))

    page = client.get(EMBED, headers=headers).text
    known = client.get("/api/integrations", headers=headers).json

    assert known is not None
    assert [row["id"] for row in known["items"]] == ["xwiki"]
    assert "integrations/openproject" not in page
    for path in ("/embed/demo/case/1/integrations/openproject", f"{CASE_PATH}/openproject",
                 "/api/integrations/openproject", "/api/integrations/openproject/available"):  # fmt: skip
        assert client.get(path, headers=headers).status_code == 404, path


def test_discovery_and_picker_answer_and_administration_never_does(connected: Flask, made: Secret) -> None:
    client, headers = connected.test_client(), bearer(token_of(made, CASE))

    def status(path: str) -> int:
        return client.get(f"/api{path}", headers=headers).status_code

    assert [status(path) for path in ("/integrations", "/integrations/xwiki", "/integrations/xwiki/available")] == [
        200
    ] * 3
    assert [status(path) for path in ("/sources", "/sources/xwiki", "/integrations/xwiki/health")] == [403] * 3
    named = "?register=demo&schema=case&objectId="
    assert [status(f"/integrations/xwiki/available{named}{one}") for one in "12"] == [200, 404]
    assert client.get("/admin/", headers=headers).status_code == 303
    assert client.get("/objects/demo/case/1", headers=headers).status_code == 303


# --- three applications, every route, everybody else's objects -------------------------------------------------------

READING = (
    ("GET", "/embed/{o}"),
    ("GET", "/embed/{o}/integrations/{i}"),
    ("GET", "/embed/{o}/integrations/{i}/search?q=a"),
    ("GET", "/embed/{o}/integrations/{i}/new"),
    ("GET", "/embed/{o}/integrations/{i}/new/choices?field=space"),
    ("GET", "/embed/{o}/integrations/{i}/new/existing"),
    ("GET", "/embed/{o}/integrations/{i}/items/{r}/excerpt"),
    ("GET", "/embed/{o}/integrations/{i}/items/{r}/edit"),
    ("GET", "/api/objects/{o}/integrations"),
    ("GET", "/api/objects/{o}/integrations/{i}"),
    ("GET", "/api/objects/{o}/integrations/{i}/{r}"),
    ("GET", "/api/objects/{o}/{i}"),
    ("GET", "/api/objects/{o}/{i}/{r}"),
)
WRITING = (
    ("POST", "/embed/{o}"),
    ("POST", "/embed/{o}/integrations/{i}"),
    ("POST", "/embed/{o}/integrations/{i}/items/{r}/edit"),
    ("POST", "/embed/{o}/integrations/{i}/search"),
    ("POST", "/embed/{o}/integrations/{i}/links"),
    ("POST", "/embed/{o}/integrations/{i}/unlink"),
    ("POST", "/embed/{o}/integrations/{i}/new"),
    ("POST", "/embed/{o}/integrations/{i}/new/fields"),
    ("POST", "/embed/{o}/integrations/{i}/items/{r}/update"),
    ("POST", "/embed/{o}/integrations/{i}/items/{r}/follow"),
    ("POST", "/embed/{o}/integrations/{i}/items/{r}/repoint"),
    ("POST", "/embed/{o}/integrations/{i}/items/{r}/note"),
    ("GET", "/embed/{o}/integrations/{i}/items/{r}/about"),
    ("POST", "/embed/{o}/integrations/{i}/undo"),
    ("POST", "/api/objects/{o}/integrations/{i}"),
    ("POST", "/api/objects/{o}/integrations/{i}/new"),
    ("PATCH", "/api/objects/{o}/integrations/{i}/{r}"),
    ("DELETE", "/api/objects/{o}/integrations/{i}/{r}"),
    ("POST", "/api/objects/{o}/{i}"),
    ("POST", "/api/objects/{o}/{i}/new"),
    ("PATCH", "/api/objects/{o}/{i}/{r}"),
    ("DELETE", "/api/objects/{o}/{i}/{r}"),
)
ROUTES = READING + WRITING
REFERENCES = {"xwiki": PAGE, "openproject": "101"}


def test_every_route_is_in_the_table(connected: Flask) -> None:
    rules = [rule for rule in connected.url_map.iter_rules() if rule.rule.startswith(("/embed/", "/api/objects/"))]

    methods = sum(len((rule.methods or set()) - {"HEAD", "OPTIONS"}) for rule in rules)

    assert methods == len(ROUTES)


def ask(
    client: FlaskClient, method: str, route: str, obj: ObjectRef, leaf: str, headers: dict[str, str]
) -> TestResponse:
    path = route.format(o=f"{obj.register}/{obj.schema}/{obj.object_id}", i=leaf, r=REFERENCES[leaf])
    sends = (
        {"data": {"reference": REFERENCES[leaf]}}
        if path.startswith("/embed")
        else {"json": {"reference": REFERENCES[leaf]}}
    )
    return client.open(path, method=method, headers=headers, **({} if method == "GET" else sends))  # type: ignore[arg-type]


def test_no_application_reaches_an_object_that_its_token_does_not_name(connected: Flask, made: Secret) -> None:
    with connected.app_context():
        secrets = [
            made,
            *(apps_of(connected).create(name, ["https://x.example"], by=ALICE) for name in ("Shop", "Zoo")),
        ]
    objects = [ObjectRef("demo", "case", str(n)) for n in range(1, 4)]
    client = connected.test_client()
    for secret, obj in zip(secrets[:2], objects[:2], strict=True):
        for leaf in REFERENCES:
            assert (
                ask(
                    client, *("POST", "/api/objects/{o}/integrations/{i}"), obj, leaf, bearer(token_of(secret, obj))
                ).status_code
                == 201
            )

    bodies: dict[str, set[str]] = {}
    asked = 0
    for (secret, own), other, (method, route), leaf in itertools.product(
        zip(secrets, objects, strict=True), objects, ROUTES, REFERENCES
    ):
        if own == other:
            continue
        answer = ask(client, method, route, other, leaf, bearer(token_of(secret, own)))
        asked += 1
        assert answer.status_code == 404, (method, route, answer.status_code)
        assert ancestors(answer) == "'none'"
        bodies.setdefault(route.split("/")[1], set()).add(answer.text)

    assert asked == 3 * 2 * len(ROUTES) * 2
    assert [len(found) for found in bodies.values()] == [1, 1]
    with connected.app_context():
        links = connected.extensions["leafpanel"].links
        assert [sum(links.counts(obj).values()) for obj in objects] == [2, 2, 0]


def test_an_application_neither_sees_nor_unlinks_what_stands_outside_its_registers(connected: Flask) -> None:
    with connected.app_context():
        owner = apps_of(connected).create("Owner", ["https://o.example"], registers=["demo"], by=ALICE)
        other = apps_of(connected).create("Other", ["https://x.example"], registers=["permits"], by=ALICE)
    client = connected.test_client()
    for leaf in REFERENCES:
        ask(client, "POST", "/api/objects/{o}/integrations/{i}", CASE, leaf, bearer(token_of(owner, CASE)))

    own_object, foreign_token = ObjectRef("permits", "case", "1"), bearer(token_of(other, CASE))
    bodies: dict[str, set[str]] = {}
    for (method, route), leaf in itertools.product(ROUTES, REFERENCES):
        outside = ask(client, method, route, CASE, leaf, foreign_token)
        another = ask(client, method, route, CASE, leaf, bearer(token_of(other, own_object)))
        assert (outside.status_code, ancestors(outside)) == (404, "'none'"), (method, route)
        bodies.setdefault(route.split("/")[1], set()).update((outside.text, another.text))

    assert [len(found) for found in bodies.values()] == [1, 1]
    for path in ("/api/integrations", "/api/integrations/xwiki", "/api/integrations/xwiki/available"):
        assert client.get(path, headers=foreign_token).status_code == 404, path
    with connected.app_context():
        assert sum(connected.extensions["leafpanel"].links.counts(CASE).values()) == len(REFERENCES)


def test_a_name_in_a_token_is_not_taken_for_the_user_of_that_name(
    connected: Flask, made: Secret, upstreams: Upstreams
) -> None:
    boss, headers = signed_in_client(connected, "Boss", "admin"), bearer(token_of(made, CASE, sub="Boss"))
    client = connected.test_client()

    linked = client.post(f"{CASE_PATH}/xwiki", json={"reference": PAGE}, headers=headers).json
    row = boss.get(f"{CASE_PATH}/xwiki").json["items"][0]
    upstreams.xwiki.fault = "server-error"
    page = boss.get("/objects/demo/case/1/integrations/xwiki").text
    line = next(line for line in boss.get("/admin/audit.json?deed=link").json)

    assert (linked["linkedBy"], row["linkedBy"], line["who"]) == ("Boss (Cases)",) * 3
    assert "by Boss (Cases)" in page


@pytest.mark.parametrize(("method", "route"), ROUTES)
@pytest.mark.parametrize("token", ["", "wrong", "stale"])
def test_without_a_sound_token_every_route_is_401_and_frameless(
    connected: Flask, made: Secret, method: str, route: str, token: str
) -> None:
    presented = token_of(made, CASE, exp=1) if token == "stale" else token

    answer = ask(connected.test_client(), method, route, CASE, "xwiki", bearer(presented) if token else {})

    assert (answer.status_code, ancestors(answer)) == (401, "'none'")


SPELLINGS = ["/embed//demo/case/1", "/embed/demo/case/1/", "/embed/demo/case/%31%2F", "/embed/demo/case/1;x", "/embed/DEMO/case/1",
             "/embed/demo/case/1%20", "/embed/demo/case/%2e%2e/1", "/embed/demo/case/../case/1x", "/embed/demo/case/01"]  # fmt: skip


@pytest.mark.parametrize("path", SPELLINGS)
def test_another_spelling_is_another_object(connected: Flask, made: Secret, path: str) -> None:
    answer = connected.test_client().get(path, headers=bearer(token_of(made, CASE)))

    assert answer.status_code in (308, 404)
    assert ancestors(answer) == "'none'"


def test_only_a_page_that_may_be_framed_has_the_policies_for_isolated_hosts(connected: Flask, made: Secret) -> None:
    client, names = connected.test_client(), ("Cross-Origin-Resource-Policy", "Cross-Origin-Embedder-Policy")

    framed = client.get(f"{EMBED}?token={token_of(made, CASE)}")
    others = [client.get(EMBED), client.get(CASE_PATH), client.get("/admin/sign-in")]

    assert [framed.headers[name] for name in names] == ["cross-origin", "require-corp"]
    assert {tuple(answer.headers.get(name) for name in names) for answer in others} == {("same-origin", None)}


def test_all_rights_are_known() -> None:
    assert ALL == ["view", "link", "create", "update", "unlink"]
