from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from panel.core.errors import InvalidInput
from panel.sources.draft import read_draft
from panel.sources.yaml_file import read_source_file, write_source_file

TEMPLATES = Path(__file__).parent.parent / "docs" / "templates"

OLDER_XWIKI = """
source:
  reference: xwiki
  name: XWiki
  description: Wiki
  type: api
  location: https://wiki.example.com/rest/wikis/xwiki
  auth:
    type: basic
    username: ${XWIKI_USERNAME}
    password: ${XWIKI_PASSWORD}
  headers:
    Accept: application/json
  endpoints:
    list: {method: GET, path: "", response: {rowsPath: "$", map: {reference: id}}}
  healthCheck: {method: GET, path: ""}
"""

OLDER_OPENPROJECT = """
source:
  reference: openproject
  name: OpenProject
  description: Tracker
  type: api
  location: https://projects.example.com/api/v3
  auth:
    type: oauth2
    grantType: authorization_code
    tokenUrl: https://projects.example.com/oauth/token
    authorizationUrl: https://projects.example.com/oauth/authorize
    clientId: ${OP_ID}
    clientSecret: ${OP_SECRET}
    scope: api_v3
  headers:
    Accept: application/hal+json
"""

BEARER_OPENPROJECT = """
source:
  reference: openproject
  name: OpenProject
  type: api
  location: https://projects.example.com/api/v3
  auth: {type: bearer, token: "${OPENPROJECT_API_KEY}"}
"""

LATER_XWIKI = """
apiVersion: openconnector/v1
kind: Source
metadata:
  name: xwiki
  label: XWiki
  description: Wiki
  group: external
  icon: FileDocumentMultiple
spec:
  type: rest
  baseUrl: https://wiki.example.com
  auth:
    type: basic
    username: ${XWIKI_USERNAME}
    password: ${XWIKI_PASSWORD}
  headers:
    Accept: application/json
    X-Requested-With: XMLHttpRequest
  endpoints:
    health: {path: /rest/wikis}
"""

ENVIRON = {
    "XWIKI_USERNAME": "leaf",
    "XWIKI_PASSWORD": "pa55",
    "OPENPROJECT_API_KEY": "opapi-1",
    "OP_ID": "client",
    "OP_SECRET": "hush",
}


def source(**changes: Any) -> str:
    values = {"reference": "xwiki", "name": "W", "location": "https://w.example", "auth": {"type": "none"}, **changes}
    return yaml.safe_dump({"source": {key: value for key, value in values.items() if value is not None}})


@pytest.mark.parametrize("template", sorted(TEMPLATES.glob("*.yaml")), ids=lambda path: path.stem)
def test_reads_our_own_templates(template: Path) -> None:
    draft = read_draft(read_source_file(template.read_bytes(), environ=ENVIRON).values)

    assert template.name == f"{draft.slug}-openconnector-source.yaml"
    assert draft.secret in ENVIRON.values()


@pytest.mark.parametrize(
    ("text", "slug", "kind", "location"),
    [
        (OLDER_XWIKI, "xwiki", "basic", "https://wiki.example.com/rest/wikis/xwiki"),
        (LATER_XWIKI, "xwiki", "basic", "https://wiki.example.com"),
        (OLDER_OPENPROJECT, "openproject", "oauth2", "https://projects.example.com/api/v3"),
        (BEARER_OPENPROJECT, "openproject", "token", "https://projects.example.com/api/v3"),
    ],
)
def test_reads_every_shape_of_openregister(text: str, slug: str, kind: str, location: str) -> None:
    draft = read_draft(read_source_file(text, environ=ENVIRON).values)

    assert (draft.slug, draft.auth_kind, draft.location) == (slug, kind, location)
    assert draft.secret in ENVIRON.values()


def test_says_that_endpoints_and_health_check_are_ignored() -> None:
    notes = read_source_file(OLDER_XWIKI, environ=ENVIRON).notes

    assert ["endpoints" in notes[0], "healthCheck" in notes[1], len(notes)] == [True, True, 2]


def test_a_value_of_the_command_line_lies_over_the_file() -> None:
    sets = {"location": "https://other.example", "auth.password": "typed", "auth.username": "me", "slug": "wiki-2"}

    draft = read_draft(read_source_file(OLDER_XWIKI, sets=sets, environ={}).values)

    assert (draft.slug, draft.location, draft.secret) == ("wiki-2", "https://other.example", "typed")


def test_another_auth_type_starts_a_new_block() -> None:
    sets = {"auth.type": "token", "auth.token": "t"}

    draft = read_draft(read_source_file(OLDER_XWIKI, sets=sets, environ={}).values)

    assert (draft.auth_kind, draft.secret, "username" in draft.auth_fields) == ("token", "t", False)


def test_enabled_can_be_set_from_the_command_line() -> None:
    assert not read_draft(read_source_file(source(), sets={"enabled": "false"}, environ={}).values).values["enabled"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("source: [1]", "source"),
        ("just words", "not a source"),
        ("a: 1", "neither"),
        (": :", "not readable YAML"),
        (source(locaton="https://x"), "source.locaton"),
        (source(auth=None), "no auth block"),
        (source(auth={"type": "basic", "username": "u", "token": "t"}), "basic and token"),
        (source(auth={"type": "magic"}), "auth.type"),
        (source(auth={"type": "basic", "username": "u", "pasword": "p"}), "auth.pasword"),
        (source(auth={"type": "basic", "password": "p"}), "auth.username"),
        (source(location=None), "location"),
        (source(name=True), "name"),
        (source(timeout_s="soon"), "timeout_s"),
        (source(max_concurrency=0), "max_concurrency"),
        (source(rate_limit="lots"), "rate_limit"),
        (source(reference="X Wiki"), "slug"),
        (source(type="soap"), "source.type"),
        (source(headers={"Host": "evil"}), "headers.Host"),
        (source(headers={"X-A": "a\nb"}), "headers.X-A"),
        (source(slug="other"), "source.slug"),
        ("source:\n  name: a\n  name: b\n", "name"),
        ("source:\n  auth: {type: basic}\n  auth: {type: oauth2}\n", "basic and oauth2"),
        ("source: !!python/object/apply:os.system [true]\n", "tags"),
        ("source: &a {name: *a}\n", "anchors"),
        ("source: {name: ${NOWHERE}}\n", "neither|not readable|NOWHERE"),
        (source(auth={"type": "basic", "username": "u", "password": "${NOWHERE}"}), "auth.password.*NOWHERE"),
        (source(auth={"type": "basic", "username": "u", "password": "${PW:-x}"}), "“auth.password” holds a "),
        (source(auth={"type": "basic", "username": "u", "password": "${ PW }"}), "“auth.password” holds a "),
        (source(auth={"type": "basic", "username": "u", "password": "a${PW"}), "“auth.password” holds a "),
        (source(auth={"type": "token", "token": "${OP.TOKEN}"}), "“auth.token” holds a "),
        (source(auth={"type": "token", "token": "${op-token}"}), "“auth.token” holds a "),
        ("source: " + "[" * 40 + "]" * 40, "nested"),
        (b"\xff\xfe\x00", "UTF-8"),
    ],
)
def test_bad_files_are_refused_in_one_sentence_that_names_the_key(text: str | bytes, said: str) -> None:
    with pytest.raises(InvalidInput, match=said) as caught:
        read_draft(read_source_file(text, environ={}).values)

    assert "\n" not in str(caught.value)


def test_an_alias_bomb_costs_nothing() -> None:
    """M11: 306 bytes that would unfold to hundreds of millions of nodes."""
    lines = ["a: &a [x, x, x, x, x, x, x, x, x]"]
    lines += [f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]" for a, b in zip("abcdefgh", "bcdefghi", strict=True)]
    started = time.monotonic()

    with pytest.raises(InvalidInput, match="anchors"):
        read_source_file("\n".join(lines), environ={})

    assert time.monotonic() - started < 1


def test_a_huge_file_is_refused_before_it_is_parsed() -> None:
    with pytest.raises(InvalidInput, match="larger"):
        read_source_file(b"a: 1\n" * 100_000, environ={})


def test_what_is_written_can_be_read_and_holds_a_placeholder() -> None:
    values = {
        "slug": "xwiki", "name": "Wiki", "description": "", "location": "https://w.example/xwiki", "enabled": True,
        "auth": {"type": "basic", "username": "leaf", "secretSet": True}, "headers": {"X-A": {"secretSet": True}}, "rate_limit": "5/second",
        "max_concurrency": 3, "timeout_s": 2.5, "ca_file": "", "options": {"wiki": "sub"},
    }  # fmt: skip

    text = write_source_file(values)
    environ = {"XWIKI_PASSWORD": "again", "XWIKI_HEADER_X_A": "b"}
    draft = read_draft(read_source_file(text, environ=environ).values)

    assert "${XWIKI_PASSWORD}" in text
    assert (draft.secret, draft.values["timeout_s"], draft.options) == ("again", 2.5, {"wiki": "sub"})
    assert draft.headers == {"X-A": "b"}


def test_the_placeholder_of_a_slug_that_begins_with_a_digit_can_be_read() -> None:
    auth = {"type": "token", "secretSet": True}
    values = {
        "slug": "9wiki",
        "name": "",
        "location": "https://w.example",
        "enabled": True,
        "auth": auth,
        "headers": {},
    }

    read = read_source_file(write_source_file(values), environ={"_9WIKI_TOKEN": "T"})

    assert read.values["auth"]["token"] == "T"
