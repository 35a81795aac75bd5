"""Pages are compressed where no other site can cause the request (BREACH)."""

from __future__ import annotations

import gzip

import pytest
from embedders import embedding_app, token_of
from flask import Flask
from flask.testing import FlaskClient
from routes import OWN
from werkzeug.test import TestResponse

TAB = "/objects/demo/case/1/integrations/xwiki"
SEARCH = f"{TAB}/search?q=csrf_token"
GZIP = {"Accept-Encoding": "gzip, deflate, br, zstd"}


def is_compressed(answer: TestResponse) -> bool:
    return answer.headers.get("Content-Encoding") == "gzip"


def get(client: FlaskClient, path: str, site: str | None, **headers: str) -> TestResponse:
    sent = {**GZIP, **headers, **({"Sec-Fetch-Site": site} if site is not None else {})}
    return client.get(path, headers=sent)


@pytest.mark.parametrize("path", [TAB, SEARCH, "/admin/", "/admin/tokens/", "/admin/nowhere"])
@pytest.mark.parametrize("site", ["same-origin", "none"])
def test_a_page_that_a_person_or_our_own_page_asks_for_is_compressed(
    connected: Flask, as_admin: FlaskClient, path: str, site: str
) -> None:
    answer, plain = get(as_admin, path, site), as_admin.get(path)

    assert is_compressed(answer)
    assert not is_compressed(plain)
    text = gzip.decompress(answer.data).decode()
    assert text.startswith("<!doctype html>")
    assert text.endswith("</html>")
    assert int(answer.headers["Content-Length"]) == len(answer.data) < len(plain.data)
    assert {"accept-encoding", "sec-fetch-site"} <= answer.vary.as_set() & plain.vary.as_set()
    assert answer.headers["Cache-Control"] == "no-store, private"


@pytest.mark.parametrize("path", [TAB, SEARCH, "/admin/", "/admin/tokens/", "/admin/nowhere", "/nowhere"])
@pytest.mark.parametrize("site", ["cross-site", "same-site", "", "SAME-ORIGIN", "same-origin, none", None])
def test_a_page_that_another_site_may_have_asked_for_is_not(
    connected: Flask, as_admin: FlaskClient, path: str, site: str | None
) -> None:
    assert not is_compressed(get(as_admin, path, site))


def test_a_failure_that_another_site_causes_is_not(connected: Flask, as_admin: FlaskClient) -> None:
    refused = as_admin.post("/admin/sources/xwiki/test", headers={**GZIP, "Sec-Fetch-Site": "cross-site"})

    assert refused.status_code == 403
    assert not is_compressed(refused)


@pytest.mark.parametrize("site", ["cross-site", "same-site", "same-origin", None])
def test_the_tab_in_a_frame_is_compressed_for_the_bearer_of_its_token(
    connected: Flask, as_admin: FlaskClient, site: str | None
) -> None:
    token = token_of(embedding_app(as_admin), OWN)

    answer = get(connected.test_client(), f"/embed/demo/case/1?token={token}", site)

    assert (answer.status_code, is_compressed(answer)) == (200, True)
    assert token in gzip.decompress(answer.data).decode()


def test_a_frame_shows_nothing_of_a_signed_in_person(connected: Flask, as_admin: FlaskClient) -> None:
    """Compressed without a check, so that a session must not make a difference."""
    refused = get(as_admin, "/embed/demo/case/1", "cross-site")
    page = gzip.decompress(refused.data).decode() if is_compressed(refused) else refused.text

    assert refused.status_code == 401
    assert "csrf" not in page.lower()
    assert "Set-Cookie" not in refused.headers


@pytest.mark.parametrize("accepted", ["", "identity", "br", "gzip;q=0"])
def test_only_who_accepts_gzip_gets_it(connected: Flask, as_admin: FlaskClient, accepted: str) -> None:
    assert not is_compressed(get(as_admin, TAB, "same-origin", **{"Accept-Encoding": accepted}))


@pytest.mark.parametrize(
    "path",
    ["/api/objects/demo/case/1/integrations/xwiki", "/api/integrations", "/api/openapi.json", "/admin/audit.csv"],
)
def test_json_and_exports_are_not_compressed(connected: Flask, as_admin: FlaskClient, path: str) -> None:
    assert not is_compressed(get(as_admin, path, "same-origin"))


def test_head_states_the_length_of_the_compressed_page(connected: Flask, as_admin: FlaskClient) -> None:
    head = as_admin.head(TAB, headers={**GZIP, "Sec-Fetch-Site": "none"})

    assert (head.status_code, head.data, is_compressed(head)) == (200, b"", True)
    assert 1_000 < int(head.headers["Content-Length"]) < 10_000
