"""What goes out: a short list of headers, the credential in one of them, and nothing from anywhere else."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from connectors import BASIC, CALLER, KEY, TOKEN, connector, conversation, problem_of, source
from faults import FaultServer

from panel.connector import Auth, AuthKind, Caller, Deadline, Secret, SourceConfig
from panel.connector.headers import check_headers
from panel.core.errors import InvalidInput
from panel.core.reasons import Reason

ALWAYS = {"host", "user-agent", "accept", "accept-encoding", "connection"}
ENVIRONMENT = {
    "HTTP_PROXY": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9", "HTTPS_PROXY": "http://127.0.0.1:9",
    "ALL_PROXY": "http://127.0.0.1:9", "REQUESTS_CA_BUNDLE": "/nowhere", "CURL_CA_BUNDLE": "/nowhere",
    "SSL_CERT_FILE": "/nowhere",
}  # fmt: skip


def sent(faults: FaultServer, method: str = "GET", *, auth: Auth | None = None, **changes: Any) -> dict[str, str]:
    """The headers that arrive; a repeated name would be seen as a shorter list."""
    arguments = {key: changes.pop(key) for key in ("body", "content_type", "accept", "headers") if key in changes}
    answer = conversation(faults, auth=auth, **changes).send(method, "echo", **arguments)
    headers = answer.object()["headers"]
    assert len({name.lower() for name, _ in headers}) == len(headers)
    return {name.lower(): value for name, value in headers}


@pytest.mark.parametrize(
    ("auth", "more"),
    [(None, set()), (BASIC, {"authorization"}), (TOKEN, {"authorization"}), (KEY, {"x-api-key"})],
)
def test_reads_send_only_listed_headers(
    faults: FaultServer, monkeypatch: pytest.MonkeyPatch, auth: Auth | None, more: set[str]
) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)

    assert set(sent(faults, auth=auth)) == ALWAYS | more


def test_writes_add_type_and_length(faults: FaultServer) -> None:
    headers = sent(faults, "POST", body=b"{}", content_type="application/json", headers={"XWiki-Form-Token": "t0ken"})

    assert set(headers) == ALWAYS | {"content-type", "content-length", "xwiki-form-token"}
    assert (headers["content-length"], headers["xwiki-form-token"]) == ("2", "t0ken")


def test_values_are_ours(faults: FaultServer) -> None:
    headers = sent(faults, accept="application/hal+json")

    assert headers["accept"] == "application/hal+json"
    assert headers["accept-encoding"] == "gzip"
    assert headers["connection"] == "keep-alive"
    assert headers["host"] == faults.host_port
    assert headers["user-agent"].startswith("Leafpanel/")


def test_a_write_asks_for_the_end_of_its_connection(faults: FaultServer) -> None:
    assert sent(faults, "POST", body=b"{}", content_type="application/json")["connection"] == "close"


def test_basic_is_utf_8(faults: FaultServer) -> None:
    auth = Auth(AuthKind.BASIC, username="zoë", secret=Secret("pä:ss€"))

    value = sent(faults, auth=auth)["authorization"]

    assert base64.b64decode(value.removeprefix("Basic ")).decode() == "zoë:pä:ss€"


def test_a_token_is_a_bearer_unless_it_has_a_header_of_its_own(faults: FaultServer) -> None:
    assert sent(faults, auth=TOKEN)["authorization"] == "Bearer canary-token"
    assert sent(faults, auth=KEY)["x-api-key"] == "canary-key"


def test_oauth2_is_signed_by_the_hook(faults: FaultServer) -> None:
    class Signer:
        def header(self, source: SourceConfig, deadline: Deadline, caller: Caller) -> str:
            return f"Bearer for {source.slug}"

    config = source(faults.url, auth=Auth(AuthKind.OAUTH2))
    outgoing = connector(faults.host_port, signer=Signer())

    headers = dict(outgoing.open(config, CALLER).get("echo").object()["headers"])

    assert headers["Authorization"] == "Bearer for wiki"


@pytest.mark.parametrize(
    "auth",
    [
        Auth(AuthKind.OAUTH2), Auth(AuthKind.BASIC, username="a"), Auth(AuthKind.TOKEN),
        Auth(AuthKind.BASIC, username="a:b", secret=Secret("c")),
        Auth(AuthKind.BASIC, username="a", secret=Secret("canary\r\nX: 1")),
        Auth(AuthKind.TOKEN, secret=Secret("canary\r\nX: 1")), Auth(AuthKind.TOKEN, secret=Secret("canäry")),
        Auth(AuthKind.TOKEN, secret=Secret("")),
        Auth(AuthKind.TOKEN, header="Host", secret=Secret("canary")),
        Auth(AuthKind.TOKEN, header="X Y", secret=Secret("canary")),
        Auth(AuthKind.TOKEN, header="Cookie", secret=Secret("canary")),
        Auth(AuthKind.TOKEN, header="Accept", secret=Secret("canary")),
        Auth(AuthKind.TOKEN, header="Proxy-Authorization", secret=Secret("canary")),
    ],
)  # fmt: skip
def test_a_credential_that_cannot_be_sent_makes_the_source_invalid(faults: FaultServer, auth: Auth) -> None:
    before = faults.connects

    problem = problem_of(lambda: conversation(faults, auth=auth).get("echo"))

    assert problem.reason is Reason.SOURCE_INVALID
    assert "canary" not in problem.message
    assert faults.connects == before


def test_extra_headers_ride_along_and_never_replace_ours(faults: FaultServer) -> None:
    extra = {"X-Tenant": "a", "ACCEPT": "text/plain", "x-api-key": "other"}

    headers = sent_with_extra(faults, extra)

    assert headers["x-tenant"] == "a"
    assert (headers["accept"], headers["accept-encoding"]) == ("application/json", "gzip")
    assert headers["x-api-key"] == "canary-key"
    assert headers["user-agent"].startswith("Leafpanel/")


def test_headers_of_a_leaf_replace_neither_ours_nor_the_credential(faults: FaultServer) -> None:
    headers = sent(faults, auth=KEY, headers={"ACCEPT": "text/plain", "x-api-key": "other", "X-More": "a"})

    assert (headers["accept"], headers["x-api-key"], headers["x-more"]) == ("application/json", "canary-key", "a")


def sent_with_extra(faults: FaultServer, extra: dict[str, str]) -> dict[str, str]:
    answer = conversation(faults, auth=KEY, headers=extra).get("echo")
    return {name.lower(): value for name, value in answer.object()["headers"]}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *((name, "x") for name in (
            "Host", "Content-Length", "Transfer-Encoding", "Connection", "Cookie", "authorization",
            "Proxy-Authorization", "Proxy-Foo", "accept-encoding", "Content-Type", "User-agent", "x" * 101,
            "TE", "Upgrade", "Range", "Expect", "Trailer", "Keep-Alive", "", "a b", "a:b", "ä", "a\r\n", "a\x00",
        )),
        *(("X-A", value) for value in ("a" * 2001, "a\r\nb", "a\nb", "a\x00", "ä", " a", "a ", "\x7f")),
    ],
)  # fmt: skip
def test_a_dangerous_extra_header_is_refused_at_save_and_at_call(faults: FaultServer, name: str, value: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        check_headers({name: value})
    problem = problem_of(lambda: conversation(faults, headers={name: value}).get("echo"))

    assert caught.value.field == "headers"
    assert problem.reason is Reason.SOURCE_INVALID


def test_a_form_token_that_is_no_header_value_is_the_upstreams_fault(faults: FaultServer) -> None:
    problem = problem_of(lambda: sent(faults, headers={"XWiki-Form-Token": "a\r\nCookie: x"}))

    assert problem.reason is Reason.UNEXPECTED_RESPONSE


def test_no_cookie_is_ever_sent_back(faults: FaultServer) -> None:
    upstream = conversation(faults)
    upstream.get("cookie")

    assert "cookie" not in {name.lower() for name, _ in upstream.get("echo").object()["headers"]}


def test_neither_a_secret_nor_a_form_token_can_be_printed(faults: FaultServer) -> None:
    upstream = conversation(faults, auth=BASIC, headers={"X-A": "b"})
    answer = upstream.get("echo")

    shown = f"{upstream.source!r} {upstream!r} {answer!r} {upstream._services!r}"

    assert "canary" not in shown
    assert base64.b64encode(b"alice:canary-pass").decode() not in shown
