"""Between the fields of the source form and the JSON shape of a source."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest

from panel.core.errors import InvalidInput, Rejected
from panel.integrations.contract import Integration
from panel.integrations.registry import load_registry
from panel.web.admin.source_form import SourceForm, empty_form, read_headers, stored_form, typed_form, values_of

REGISTRY = load_registry()
STORED: dict[str, Any] = {
    "slug": "wiki", "name": "Wiki", "description": "Ours", "location": "https://wiki.example.org", "enabled": True,
    "auth": {"type": "basic", "username": "leaf", "secretSet": True}, "headers": {"X-Team": {"secretSet": True}},
    "rate_limit": "60/minute", "max_concurrency": 4, "timeout_s": 2.5, "ca_file": "", "connect_to": "",
    "options": {"rare": "kept"},
}  # fmt: skip


def opened(leaf: Integration | None = None, **changes: Any) -> SourceForm:
    return stored_form({**STORED, **changes}, leaf, 3)


@pytest.mark.parametrize("leaf", REGISTRY.all(), ids=lambda leaf: leaf.id)
def test_every_integration_offers_its_own_ways_of_signing_in(leaf: Integration) -> None:
    form = empty_form(leaf.id, leaf)

    assert form.presets == leaf.descriptor.presets
    assert form.text["slug"] == leaf.id


@pytest.mark.parametrize(
    ("auth", "chosen"),
    [
        ({"type": "none"}, "none"),
        ({"type": "basic", "username": "leaf", "secretSet": True}, "basic"),
        ({"type": "token", "header": "X-Key", "secretSet": True}, "token"),
        ({"type": "oauth2", "grantType": "client_credentials", "clientId": "leaf", "secretSet": True}, "oauth2"),
    ],
)
def test_the_stored_way_of_signing_in_is_chosen(auth: dict[str, Any], chosen: str) -> None:
    form = opened(auth=auth)

    assert form.chosen == chosen
    assert form.keeps_secret(form.preset) == bool(auth.get("secretSet"))


def test_a_fixed_user_name_tells_presets_of_one_kind_apart() -> None:
    leaf = next(leaf for leaf in REGISTRY.all() if any(preset.username for preset in leaf.descriptor.presets))
    fixed = next(preset for preset in leaf.descriptor.presets if preset.username)

    own = opened(leaf, auth={"type": fixed.auth, "username": fixed.username, "secretSet": True})
    other = opened(leaf, auth={"type": fixed.auth, "username": "somebody", "secretSet": True})

    assert own.preset == fixed
    assert own.presets == leaf.descriptor.presets
    assert other.preset not in leaf.descriptor.presets
    assert other.text[f"auth.{other.chosen}.username"] == "somebody"


def test_what_was_typed_comes_back_but_for_the_secret() -> None:
    typed = {"name": "Typed", "auth": "token", "auth.token.secret": "CANARY", "auth.basic.secret": "CANARY"}

    form = typed_form(opened(), typed)

    assert (form.text["name"], form.chosen, form.typed_secret) == ("Typed", "token", True)
    assert not any("CANARY" in str(getattr(form, part.name)) for part in fields(form))
    assert "CANARY" not in repr(form)


def test_only_the_chosen_block_is_read() -> None:
    typed = {
        "auth": "token", "auth.token.secret": "new", "auth.token.header": "X-Key", "auth.basic.username": "leaf",
        "auth.basic.secret": "old",
    }  # fmt: skip

    values = values_of(typed_form(opened(), typed), typed)

    assert values["auth"] == {"type": "token", "header": "X-Key", "token": "new"}


def test_an_empty_secret_is_left_out_so_that_it_is_kept() -> None:
    typed = {"auth": "basic", "auth.basic.username": "leaf", "auth.basic.secret": ""}

    assert values_of(typed_form(opened(), typed), typed)["auth"] == {"type": "basic", "username": "leaf"}


def test_a_secret_is_taken_as_typed() -> None:
    typed = {"auth": "basic", "auth.basic.username": " leaf ", "auth.basic.secret": " pass word "}

    auth = values_of(typed_form(opened(), typed), typed)["auth"]

    assert (auth["username"], auth["password"]) == ("leaf", " pass word ")


def test_a_box_that_is_not_ticked_switches_off() -> None:
    assert values_of(typed_form(opened(), {}), {})["enabled"] is False
    assert values_of(typed_form(opened(), {"enabled": "on"}), {"enabled": "on"})["enabled"] is True


def test_options_that_the_form_does_not_know_are_kept() -> None:
    assert values_of(typed_form(opened(), {}), {})["options"] == {"rare": "kept"}


def test_an_unknown_choice_stays_with_the_stored_one() -> None:
    assert typed_form(opened(), {"auth": "made-up"}).chosen == "basic"


def test_headers_are_lines_of_name_and_value() -> None:
    assert read_headers("Accept: text/html\n\n X-Time : 10:30 \n") == {"Accept": "text/html", "X-Time": "10:30"}


def test_values_of_headers_are_not_sent_back() -> None:
    typed = {"headers": "X-Team:\nX-Key: CANARY\nno colon"}
    form = typed_form(opened(), typed)

    assert opened().text["headers"] == "X-Team:"
    assert (form.text["headers"], form.typed_headers) == ("X-Team:\nX-Key:\nno colon", True)
    with pytest.raises(InvalidInput, match="Line 3"):
        values_of(form, typed)


def test_typed_values_of_headers_are_read_and_empty_ones_are_left_empty() -> None:
    typed = {"headers": "X-Team:\nX-Key: CANARY"}

    assert values_of(typed_form(opened(), typed), typed)["headers"] == {"X-Team": "", "X-Key": "CANARY"}


@pytest.mark.parametrize(("text", "line"), [("Accept: a\nno colon", "Line 2"), ("A: 1\na: 2", "Line 2")])
def test_a_header_line_that_cannot_be_read_is_named(text: str, line: str) -> None:
    with pytest.raises(InvalidInput, match=line) as caught:
        read_headers(text)

    assert caught.value.field == "headers"


@pytest.mark.parametrize(
    ("exc", "field", "sentence"),
    [
        (
            InvalidInput("rate_limit", "“rate_limit” must be like 60/minute."),
            "rate_limit",
            "Rate limit must be like 60/minute.",
        ),
        (InvalidInput("auth.password", "“auth.password” is missing."), "auth.basic.secret", "Password is missing."),
        (InvalidInput("auth.username", "A colon."), "auth.basic.username", "A colon."),
        (Rejected("Again.", {"auth": "Again."}), "auth.basic.secret", "Again."),
        (InvalidInput("options", "Something."), "", "Something."),
    ],
)
def test_a_refusal_finds_its_field(exc: Any, field: str, sentence: str) -> None:
    assert opened().with_error(exc).errors == {field: sentence}


def test_the_secrets_name_reads_well_in_a_sentence() -> None:
    form = opened()

    assert form.secret_word() == "password"
    assert form.secret_word(replace(form.preset, secret_label="API key")) == "API key"
