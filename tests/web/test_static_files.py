"""Static files: their addresses, their lifetimes and their compressed form."""

from __future__ import annotations

import base64
import gzip
import hashlib
import re
from pathlib import Path

import pytest
from flask import Flask, url_for
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

import panel
from panel.web import static_files

FOLDER = Path(panel.__file__).parent / "static"
FILES = sorted(path.relative_to(FOLDER).as_posix() for path in FOLDER.rglob("*") if path.is_file())
IMMUTABLE = "public, max-age=31536000, immutable"
GZIP = {"Accept-Encoding": "gzip, deflate, br, zstd"}


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


def addresses_of(page: TestResponse) -> list[str]:
    return re.findall(r'(?:src|href)="(/[^"]*\.(?:js|css)[^"]*)"', page.text)


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_sent_whole_and_compressed_where_that_is_smaller(client: FlaskClient, name: str) -> None:
    plain, packed = client.get(f"/static/{name}"), client.get(f"/static/{name}", headers=GZIP)

    assert plain.data == (FOLDER / name).read_bytes()
    assert "Content-Encoding" not in plain.headers
    if "Content-Encoding" in packed.headers:
        assert gzip.decompress(packed.data) == plain.data
        assert len(packed.data) < len(plain.data)
        assert plain.vary.as_set() == packed.vary.as_set() == {"accept-encoding"}
        assert plain.headers["ETag"] != packed.headers["ETag"]
    else:
        assert packed.data == plain.data


def test_scripts_and_styles_take_less_than_half_compressed(client: FlaskClient) -> None:
    for name in (
        name
        for name in FILES
        if name.endswith((".js", ".css")) and name not in ("theme.js", "admin.js", "noscript.css")
    ):
        packed = client.get(f"/static/{name}", headers=GZIP)
        assert len(packed.data) < 0.5 * len((FOLDER / name).read_bytes()), name


def test_gzip_with_quality_zero_is_refused(client: FlaskClient) -> None:
    assert "Content-Encoding" not in client.get("/static/tab.js", headers={"Accept-Encoding": "gzip;q=0"}).headers


def test_files_of_a_page_have_the_version_in_their_address_and_are_kept_for_a_year(client: FlaskClient) -> None:
    found = addresses_of(client.get("/admin/sign-in"))

    assert len(found) > 3
    for address in found:
        assert re.search(r"\?v=[0-9a-f]{16}$", address), address
        assert client.get(address).headers["Cache-Control"] == IMMUTABLE


@pytest.mark.parametrize("query", ["", "?v=", "?v=0123456789abcdef"])
def test_an_address_with_no_or_an_old_version_is_answered_and_revalidated(client: FlaskClient, query: str) -> None:
    answer = client.get(f"/static/tab.js{query}", headers=GZIP)
    again = client.get(f"/static/tab.js{query}", headers={**GZIP, "If-None-Match": answer.headers["ETag"]})

    assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "no-cache")
    assert (again.status_code, again.data) == (304, b"")
    assert again.headers["ETag"] == answer.headers["ETag"]


def test_a_file_that_a_cache_may_share_sets_no_cookie(as_admin: FlaskClient) -> None:
    for address in addresses_of(as_admin.get("/admin/")):
        answer = as_admin.get(address)
        assert "Set-Cookie" not in answer.headers
        assert "cookie" not in answer.vary


def test_the_version_follows_the_content(app: Flask, tmp_path: Path) -> None:
    versions = []
    for content in ("a", "a", "b"):
        (tmp_path / "static").mkdir(exist_ok=True)
        (tmp_path / "static" / "x.js").write_text(content)
        other = Flask("other", root_path=str(tmp_path), static_folder=None)
        static_files.install(other)
        with other.test_request_context():
            versions.append(url_for("static", filename="x.js"))

    assert versions[0] == versions[1] != versions[2]


@pytest.mark.parametrize("name", ["embed.js", "embed.v1.js"])
def test_the_script_for_hosts_keeps_its_address_and_is_kept_for_minutes(
    app: Flask, client: FlaskClient, name: str
) -> None:
    with app.test_request_context():
        address = url_for("static", filename=name)
    answer = client.get(address)

    assert address == f"/static/{name}"
    assert answer.data == (FOLDER / "embed.js").read_bytes()
    assert answer.headers["Cache-Control"] == "public, max-age=300, must-revalidate"
    assert client.get(address, headers={"If-None-Match": answer.headers["ETag"]}).status_code == 304


def test_the_script_for_hosts_is_kept_for_a_year_under_an_address_with_its_version(
    app: Flask, client: FlaskClient
) -> None:
    with app.app_context():
        script = static_files.host_script()
    checksum = base64.b64encode(hashlib.sha384(script.body).digest()).decode()

    assert script.integrity == f"sha384-{checksum}"
    assert client.get(f"/static/embed.js?v={script.version}").headers["Cache-Control"] == IMMUTABLE
    assert client.get("/static/embed.js?v=old").headers["Cache-Control"] != IMMUTABLE


def test_only_the_script_for_hosts_may_be_read_by_other_origins(client: FlaskClient) -> None:
    answers = {
        name: client.get(f"/static/{name}", headers={"Origin": "https://a.example"}) for name in (*FILES, "embed.v1.js")
    }

    shared = {name for name, answer in answers.items() if "Access-Control-Allow-Origin" in answer.headers}
    assert shared == {"embed.js", "embed.v1.js"}
    assert {answers[name].headers["Access-Control-Allow-Origin"] for name in shared} == {"*"}


@pytest.mark.parametrize("name", ["nothing.js", "../config.py", "..%2fconfig.py", "%2e%2e/config.py", "vendor", "vendor/", "/etc/passwd", ""])  # fmt: skip
def test_only_files_of_the_folder_are_served(client: FlaskClient, name: str) -> None:
    assert client.get(f"/static/{name}", follow_redirects=True).status_code == 404


def test_every_icon_of_the_templates_is_drawn_somewhere() -> None:
    folder = FOLDER.parent
    icons = re.findall(r'^  "([a-z-]+)": \[', (folder / "templates" / "_icons.html").read_text("utf-8"), re.MULTILINE)
    texts = [
        path.read_text("utf-8")
        for path in folder.rglob("*")
        if path.suffix in (".html", ".py") and path.name != "_icons.html"
    ]

    assert len(icons) > 10
    assert [icon for icon in icons if not any(f'"{icon}"' in text for text in texts)] == []
