"""Saving, importing, exporting and testing sources; above all: to whom a credential belongs."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from oauth_flow import oauth_values
from sqlalchemy import text
from support import ALICE, Upstreams, actor, openproject_values, xwiki_values

from panel.connector import Caller
from panel.core.errors import Conflict, InvalidInput, NotFound, ProviderUnavailable, Rejected
from panel.core.reasons import Reason
from panel.links.visitor import Visitor
from panel.sandbox.standin import RunningServer, Wsgi
from panel.sandbox.xwiki import XWikiStandIn
from panel.services import Panel
from panel.sources.service import Sources
from panel.storage.engine import db
from panel.storage.migrations import alembic
from panel.storage.models import Source

TESTER = Caller("test", "alice")


def listening(asked: list[str]) -> Wsgi:
    """A server that notes what it is asked."""

    def answer(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        asked.append(f"{environ['PATH_INFO']} {environ.get('HTTP_AUTHORIZATION', '')} {environ.get('HTTP_X_KEY', '')}")
        start_response("200 OK", [("Content-Type", "application/json")])
        return [b"{}"]

    return answer


@pytest.fixture
def sources(services: Panel) -> Sources:
    return services.sources


@pytest.fixture
def xwiki(sources: Sources, upstreams: Upstreams) -> Sources:
    """The sources with the wiki configured."""
    sources.create(xwiki_values(upstreams), by=ALICE)
    return sources


def test_a_saved_secret_is_never_given_out(xwiki: Sources) -> None:
    values = xwiki.values(xwiki.get("xwiki"))

    assert values["auth"] == {"type": "basic", "username": "alice", "secretSet": True}
    assert "secret" not in xwiki.export("xwiki").replace("XWIKI_PASSWORD", "")


def test_an_empty_secret_keeps_the_stored_one(xwiki: Sources, services: Panel) -> None:
    xwiki.change(
        "xwiki", {"name": "Renamed", "auth": {"type": "basic", "username": "alice", "password": ""}}, by=actor("bob")
    )

    config = services.resolver.resolve(services.registry.get("xwiki")).ready()
    assert config.auth.secret is not None
    assert (config.auth.secret.reveal(), config.name) == ("secret", "Renamed")


@pytest.mark.parametrize(
    "location",
    [
        "http://localhost:{port}/xwiki",
        "https://127.0.0.1:{port}/xwiki",
        "http://127.0.0.1:{other}/xwiki",
        "https://attacker.example/xwiki",
        "https://xn--e1afmkfd.example/xwiki",
        "https://127.0.0.1.attacker.example/xwiki",
    ],
)
def test_another_origin_asks_for_the_secret_again(
    xwiki: Sources, services: Panel, upstreams: Upstreams, location: str
) -> None:
    other = location.format(port=upstreams.server.port, other=upstreams.server.port + 1)

    with pytest.raises((Rejected, InvalidInput)) as caught:
        xwiki.change("xwiki", {"location": other}, by=ALICE)

    field = "auth" if isinstance(caught.value, Rejected) and "auth" in caught.value.fields else caught.value.field
    assert field in ("auth", "location")
    assert xwiki.get("xwiki").location == upstreams.xwiki_url


def test_another_path_of_the_same_origin_keeps_the_secret(
    services: Panel, xwiki: Sources, upstreams: Upstreams
) -> None:
    xwiki.change("xwiki", {"location": f"{upstreams.xwiki_url.upper().replace('/XWIKI', '/xwiki')}/rest"}, by=ALICE)

    assert services.connection_tests.run("xwiki", caller=TESTER).ok


def test_another_kind_of_sign_in_asks_for_its_own_secret(xwiki: Sources) -> None:
    with pytest.raises(Rejected) as caught:
        xwiki.change("xwiki", {"auth": {"type": "token"}}, by=ALICE)

    assert "auth" in caught.value.fields


def test_switching_to_no_sign_in_forgets_the_secret(xwiki: Sources) -> None:
    xwiki.change("xwiki", {"auth": {"type": "none"}}, by=ALICE)

    assert xwiki.get("xwiki").secret is None


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"location": "ftp://wiki.example"}, "location"),
        ({"location": "https://user:pw@wiki.example"}, "location"),
        ({"location": "wiki"}, "location"),
        ({"location": ""}, "location"),
        ({"slug": "Not A Slug"}, "slug"),
        ({"auth": None}, "auth"),
        ({"auth": {"type": "basic", "username": "u"}}, "auth.password"),
        ({"auth": {"type": "basic", "username": "u", "password": "p", "token": "t"}}, "auth"),
        ({"location": "http://wiki.example"}, "location"),
        ({"rate_limit": "60 per minute"}, "rate_limit"),
        ({"timeout_s": 0}, "timeout_s"),
        ({"ca_file": "/nowhere/ca.pem"}, "ca_file"),
        ({"headers": {"Authorization": "x"}}, "headers"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_bad_values_name_their_setting_and_store_nothing(
    sources: Sources, upstreams: Upstreams, changes: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        sources.create(xwiki_values(upstreams, **changes), by=ALICE)

    assert caught.value.field == field
    assert sources.all() == []


def test_plain_http_with_a_credential_needs_an_opened_address_and_is_said(
    sources: Sources, upstreams: Upstreams
) -> None:
    saved = sources.create(xwiki_values(upstreams), by=ALICE)

    assert "unencrypted" in saved.warnings[0]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"name": "${WIKI"}, "name"),
        ({"description": "costs ${5}"}, "description"),
        ({"headers": {"X-Key": "${A-B}"}}, "headers.X-Key"),
        ({"auth": {"type": "basic", "username": "alice", "password": "a${b"}}, "auth.password"),
    ],
)
def test_a_broken_placeholder_is_refused_by_the_name_of_its_field(
    sources: Sources, upstreams: Upstreams, changes: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        sources.create(xwiki_values(upstreams, **changes), by=ALICE)

    assert caught.value.field == field


@pytest.mark.parametrize("typed", ["Bearer T0k", "bearer\tT0k", " T0k\r\n", "BEARER  T0k"])
def test_a_token_is_stored_without_the_word_bearer_and_line_ends(
    sources: Sources, services: Panel, upstreams: Upstreams, typed: str
) -> None:
    saved = sources.create(xwiki_values(upstreams, auth={"type": "token", "token": typed}), by=ALICE)

    secret = services.resolver.config(saved.source, "xwiki").auth.secret
    assert secret is not None
    assert secret.reveal() == "T0k"


def test_line_ends_around_a_password_are_cut_and_spaces_stay(
    sources: Sources, services: Panel, upstreams: Upstreams
) -> None:
    auth = {"type": "basic", "username": "alice", "password": "\n two words \r\n"}
    saved = sources.create(xwiki_values(upstreams, auth=auth), by=ALICE)

    secret = services.resolver.config(saved.source, "xwiki").auth.secret
    assert secret is not None
    assert secret.reveal() == " two words "


@pytest.mark.parametrize("sign", ["\N{NO-BREAK SPACE}", "\N{ZERO WIDTH SPACE}", "\ufeff", "\t", "\n", "\u2028"])
@pytest.mark.parametrize(
    "auth", [{"type": "basic", "username": "alice", "password": "a{}b"}, {"type": "token", "token": "a{}b"}]
)
def test_an_invisible_character_in_a_secret_is_refused_in_words(
    sources: Sources, upstreams: Upstreams, auth: dict[str, str], sign: str
) -> None:
    filled = {name: value.format(sign) for name, value in auth.items()}

    with pytest.raises(InvalidInput, match="invisible character") as caught:
        sources.create(xwiki_values(upstreams, auth=filled), by=ALICE)

    assert caught.value.field in ("auth.password", "auth.token")
    assert sources.all() == []


def test_a_token_that_no_header_can_carry_is_refused(sources: Sources, upstreams: Upstreams) -> None:
    with pytest.raises(InvalidInput, match="cannot be sent"):
        sources.create(xwiki_values(upstreams, auth={"type": "token", "token": "é"}), by=ALICE)


def test_a_ca_file_must_be_a_regular_file_of_a_configured_folder(
    sources: Sources, services: Panel, upstreams: Upstreams, tmp_path: Path
) -> None:
    folder = services.config.ca_folders[0]
    folder.mkdir()
    (folder / "ours.pem").write_text("")
    (tmp_path / "elsewhere.pem").write_text("")
    os.mkfifo(folder / "fifo.pem")
    refused = [
        "/etc/passwd", "/etc/shadow", "/no/such", str(tmp_path / "elsewhere.pem"), str(folder), str(folder / "fifo.pem"),
        str(folder / "missing.pem"), f"{folder}/../secret_key", str(services.config.instance_dir / "secret_key"),
    ]  # fmt: skip

    said = set()
    for path in refused:
        with pytest.raises(InvalidInput) as caught:
            sources.create(xwiki_values(upstreams, ca_file=path), by=ALICE)
        said.add((caught.value.field, str(caught.value)))

    assert len(said) == 1
    assert said.pop()[0] == "ca_file"
    assert sources.create(xwiki_values(upstreams, ca_file=str(folder / "ours.pem")), by=ALICE).created


def test_a_taken_slug_is_refused(xwiki: Sources, upstreams: Upstreams) -> None:
    with pytest.raises(Conflict):
        xwiki.create(xwiki_values(upstreams), by=ALICE)


def test_importing_over_a_source_takes_the_secret_from_the_file(xwiki: Sources, services: Panel) -> None:
    text = xwiki.export("xwiki")

    xwiki.import_file(text, by=ALICE, environ={"XWIKI_PASSWORD": "new"})
    secret = services.resolver.resolve(services.registry.get("xwiki")).ready().auth.secret
    assert secret is not None
    assert secret.reveal() == "new"


def test_an_import_never_joins_the_old_secret_with_a_new_address(xwiki: Sources) -> None:
    text = xwiki.export("xwiki").replace("    password: ${XWIKI_PASSWORD}\n", "")

    with pytest.raises(InvalidInput, match=r"auth\.password"):
        xwiki.import_file(text, by=ALICE, sets={"location": "https://attacker.example"}, environ={})


def test_deleting_keeps_the_pointers_and_a_new_source_serves_them(xwiki: Sources) -> None:
    xwiki.delete("xwiki", by=ALICE)

    with pytest.raises(NotFound):
        xwiki.get("xwiki")


def test_the_ladder_is_green_against_a_real_wiki(services: Panel, xwiki: Sources) -> None:
    ladder = services.connection_tests.run("xwiki", caller=TESTER)

    assert ladder.ok, ladder
    assert [rung.name for rung in ladder.steps] == ["address", "tls", "http", "product", "identity", "reading"]
    check = services.checks.last(xwiki.get("xwiki"))
    assert check is not None
    assert (check.status, check.upstream_user) == ("ok", "alice")


def test_the_ladder_is_green_against_a_real_tracker(services: Panel, sources: Sources, upstreams: Upstreams) -> None:
    sources.create(openproject_values(upstreams), by=ALICE)

    assert services.connection_tests.run("openproject", caller=TESTER).ok


def test_a_wrong_password_at_a_modern_wiki_fails_at_who_am_i(services: Panel, xwiki: Sources) -> None:
    xwiki.change("xwiki", {"auth": {"type": "basic", "username": "alice", "password": "WRONG"}}, by=ALICE)

    ladder = services.connection_tests.run("xwiki", caller=TESTER)

    assert ladder.problem is not None
    assert ladder.problem.reason is Reason.CREDENTIALS_REJECTED
    assert [rung.ok for rung in ladder.steps] == [True, True, True, True, False, None]
    assert ladder.steps[4].field == "auth"


def test_testing_unsaved_values_stores_nothing(services: Panel, xwiki: Sources) -> None:
    ladder = services.connection_tests.run(
        "xwiki", {"auth": {"type": "basic", "username": "alice", "password": "WRONG"}}, caller=TESTER
    )

    assert not ladder.ok
    assert services.connection_tests.run("xwiki", caller=TESTER).ok


def test_a_stored_secret_is_not_tested_at_another_origin(xwiki: Sources, services: Panel, upstreams: Upstreams) -> None:
    attacker = RunningServer(XWikiStandIn())
    try:
        with pytest.raises((Rejected, InvalidInput)):
            services.connection_tests.run("xwiki", {"location": attacker.url}, caller=TESTER)
    finally:
        attacker.close()


def test_a_row_with_another_address_gives_its_secret_to_nobody(
    xwiki: Sources, services: Panel, upstreams: Upstreams, visitor: Visitor
) -> None:
    source = xwiki.get("xwiki")
    asked: list[str] = []
    attacker = RunningServer(listening(asked))
    try:
        db.session.execute(text("UPDATE source SET location = :url"), {"url": f"{attacker.url}/xwiki"})
        db.session.commit()
        db.session.refresh(source)

        tested = services.connection_tests.run("xwiki", caller=TESTER)
        health = services.links.health(visitor, "xwiki")
        with pytest.raises(ProviderUnavailable) as caught:
            services.resolver.config(source, "xwiki")
    finally:
        attacker.close()

    assert tested.problem is not None
    assert tested.problem.reason is health.reason is caught.value.reason is Reason.SOURCE_UNREADABLE
    assert asked == []
    assert xwiki.change("xwiki", {"location": upstreams.xwiki_url}, by=ALICE)
    assert services.connection_tests.run("xwiki", caller=TESTER).ok


# --- extra headers ---------------------------------------------------------------------------------------------------

KEY = {"X-Key": "canary-header"}
MARK = {"X-Key": {"secretSet": True}}


@pytest.fixture
def gateway(sources: Sources, upstreams: Upstreams) -> Source:
    """The wiki without sign-in, behind a gateway that asks for a key."""
    return sources.create(xwiki_values(upstreams, auth={"type": "none"}, headers=KEY), by=ALICE).source


def headers_of(services: Panel) -> dict[str, str]:
    return dict(services.resolver.config(services.sources.get("xwiki"), "xwiki").headers)


def test_the_value_of_a_header_is_sent_and_never_given_out(
    services: Panel, gateway: Source, upstreams: Upstreams
) -> None:
    stored = db.session.execute(text("SELECT * FROM source")).one()

    assert headers_of(services) == KEY
    assert services.sources.values(gateway)["headers"] == MARK
    assert "X-Key: ${XWIKI_HEADER_X_KEY}" in services.sources.export("xwiki")
    assert "canary-header" not in repr(stored) + repr(services.resolver.config(gateway, "xwiki"))


@pytest.mark.parametrize("given", [MARK, {"X-Key": ""}, {"X-Key": {"secretSet": False}}])
def test_a_header_without_a_value_keeps_the_stored_one(services: Panel, gateway: Source, given: dict[str, Any]) -> None:
    services.sources.change("xwiki", {"headers": {**given, "X-Other": "b"}}, by=ALICE)
    assert headers_of(services) == {**KEY, "X-Other": "b"}

    services.sources.change("xwiki", {"headers": {"X-Other": {"secretSet": True}}}, by=ALICE)
    assert headers_of(services) == {"X-Other": "b"}

    services.sources.change("xwiki", {"headers": {}}, by=ALICE)
    assert headers_of(services) == {}
    assert gateway.headers_sealed is None


def test_the_header_that_each_call_sets_itself_is_left_out(sources: Sources, upstreams: Upstreams) -> None:
    saved = sources.create(xwiki_values(upstreams, headers={"Accept": "application/json"}), by=ALICE)

    assert (saved.source.headers, saved.source.headers_sealed) == ([], None)


@pytest.mark.parametrize("given", [{"X-New": ""}, {"X-New": {"secretSet": True}}])
def test_a_new_header_needs_a_value(services: Panel, gateway: Source, given: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match="X-New” has no value") as caught:
        services.sources.change("xwiki", {"headers": given}, by=ALICE)

    assert caught.value.field == "headers"


def test_another_origin_asks_for_the_values_of_headers_again(
    services: Panel, gateway: Source, upstreams: Upstreams
) -> None:
    for act in (
        lambda: services.sources.change("xwiki", {"location": "https://attacker.example"}, by=ALICE),
        lambda: services.connection_tests.run("xwiki", {"location": "https://attacker.example"}, caller=TESTER),
    ):
        with pytest.raises(Rejected) as caught:
            act()
        assert list(caught.value.fields) == ["headers"]
    services.sources.change("xwiki", {"location": "https://wiki.example", "headers": {"X-Key": "new"}}, by=ALICE)

    assert headers_of(services) == {"X-Key": "new"}


def test_all_secrets_that_must_be_typed_again_are_named(xwiki: Sources) -> None:
    xwiki.change("xwiki", {"headers": KEY}, by=ALICE)

    with pytest.raises(Rejected) as caught:
        xwiki.change("xwiki", {"location": "https://attacker.example"}, by=ALICE)

    assert list(caught.value.fields) == ["auth", "headers"]


def test_a_row_with_another_address_sends_its_headers_to_nobody(services: Panel, gateway: Source) -> None:
    asked: list[str] = []
    attacker = RunningServer(listening(asked))
    db.session.execute(text("UPDATE source SET location = :url"), {"url": f"{attacker.url}/xwiki"})
    db.session.commit()
    db.session.refresh(gateway)

    tested = services.connection_tests.run("xwiki", caller=TESTER)
    attacker.close()

    assert tested.problem is not None
    assert tested.problem.reason is Reason.SOURCE_UNREADABLE
    assert asked == []


def test_a_header_over_plain_http_needs_an_opened_address(sources: Sources, upstreams: Upstreams) -> None:
    values = xwiki_values(upstreams, auth={"type": "none"}, headers=KEY, location="http://wiki.example")

    with pytest.raises(InvalidInput, match="unencrypted") as caught:
        sources.create(values, by=ALICE)

    assert caught.value.field == "location"


def test_a_file_must_hold_the_values_of_its_headers(services: Panel, gateway: Source) -> None:
    exported = services.sources.export("xwiki")

    with pytest.raises(InvalidInput, match="has no value"):
        services.sources.import_file(exported.replace("${XWIKI_HEADER_X_KEY}", "''"), by=ALICE, environ={})
    services.sources.import_file(exported, by=ALICE, environ={"XWIKI_HEADER_X_KEY": "new"})

    assert headers_of(services) == {"X-Key": "new"}


def test_the_migration_seals_the_headers_of_before(app: Flask, upstreams: Upstreams) -> None:
    services: Panel = app.extensions["leafpanel"]
    with app.app_context():
        source = services.sources.create(xwiki_values(upstreams, auth={"type": "none"}, headers=KEY), by=ALICE).source
        source_id = source.id
        services.sources.create(openproject_values(upstreams), by=ALICE)
        db.session.rollback()
        alembic.downgrade("0006")
        clear = db.session.scalar(text("SELECT headers FROM source WHERE id = :id"), {"id": source_id})
        db.session.rollback()
        alembic.upgrade()
        stored = db.session.execute(text("SELECT * FROM source WHERE id = :id"), {"id": source_id}).one()

        assert json.loads(clear) == KEY
        assert "canary-header" not in repr(stored)
        assert headers_of(services) == KEY
        assert services.sources.get("openproject").headers == []


def test_a_source_without_a_leaf_can_be_kept(services: Panel, sources: Sources, upstreams: Upstreams) -> None:
    sources.create(xwiki_values(upstreams, slug="other-wiki"), by=ALICE)

    assert services.connection_tests.run("other-wiki", caller=TESTER).ok


def test_a_switched_off_connector_asks_nobody_even_in_a_test(
    xwiki: Sources, services: Panel, upstreams: Upstreams
) -> None:
    services.switches.set_connector(on=False, by=ALICE)

    ladder = services.connection_tests.run("xwiki", caller=TESTER)

    assert ladder.problem is not None
    assert ladder.problem.reason is Reason.CONNECTOR_DISABLED
    assert upstreams.xwiki.requests == []


def test_a_missing_source_is_told_word_for_word(services: Panel) -> None:
    with pytest.raises(ProviderUnavailable) as caught:
        services.resolver.resolve(services.registry.get("xwiki")).ready()

    assert str(caught.value) == 'OpenConnector source "xwiki" for integration "xwiki" is missing or unreadable.'


@pytest.mark.parametrize(
    "changes",
    [{"headers": {name: "x"}} for name in ("Cookie2", "Keep-Alive", "Range", "Proxy-Foo", "User-Agent", "a b", "")]
    + [{"headers": {"X-A": value}} for value in ("ä", "a\x7f", "a" * 2001)]
    + [{"auth": {"type": "token", "token": "t", "header": name}} for name in ("Cookie", "Host", "Accept", "a b")],
)
def test_what_no_call_could_send_is_refused_when_it_is_saved(
    sources: Sources, upstreams: Upstreams, changes: dict[str, Any]
) -> None:
    with pytest.raises(InvalidInput) as caught:
        sources.create(xwiki_values(upstreams, **changes), by=ALICE)

    assert caught.value.field in ("headers", "auth.header")


@pytest.mark.parametrize("field", ["tokenUrl", "authorizationUrl"])
@pytest.mark.parametrize("url", ["http://elsewhere.example/oauth", "https://user@elsewhere.example/oauth", "nowhere"])
def test_an_address_of_a_sign_in_provider_is_refused_by_its_own_name(
    services: Panel, upstreams: Upstreams, field: str, url: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        services.sources.create(oauth_values(upstreams, "authorization_code", **{field: url}), by=ALICE)

    assert refused.value.field == f"auth.{field}"
