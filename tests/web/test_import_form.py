"""A refused file comes back without its secrets, however they were written."""

from __future__ import annotations

import pytest

from panel.web.admin.import_form import without_secrets

SECRET = "CANARY"


@pytest.mark.parametrize(
    "text",
    [
        "auth:\n  type: basic\n  password: CANARY\n  username: leaf\n",
        'auth: {type: basic, password: "CANARY", username: leaf}\n',
        "auth:\n  password: |\n    CANARY\n    CANARY\n  username: leaf\n",
        'auth:\n  password: "first\n\n    CANARY"\n  username: leaf\n',
        "? password\n: CANARY\nusername: leaf\n",
        '"pass\\x77ord": CANARY\nusername: leaf\n',
        "auth:\n  passwort: CANARY\n  username: leaf\n",
        'headers:\n  Authorization: "Bearer CANARY"\n  X-Api-Key: CANARY\nusername: leaf\n',
        "broken: [\npassword: CANARY\nusername: leaf\n",
        "broken: x: y\npassword:\n  CANARY\n  CANARY\nusername: leaf\n",
        "broken: x: y\n  password:\n  CANARY\nusername: leaf\n",
        "broken: x: y\nauth: {username: leaf, password: CANARY}\n",
        "broken: x: y\npassword: ${NAME} CANARY\nusername: leaf\n",
        "headers:\n  X-Gateway: CANARY\nusername: leaf\n",
        "broken: x: y\nheaders:\n  X-Gateway: CANARY\nusername: leaf\n",
        "auth:\n  password: [CANARY, {a: CANARY}]\nusername: leaf\n",
    ],
)
def test_a_secret_is_cut_and_the_rest_stays(text: str) -> None:
    shown = without_secrets(text)

    assert SECRET not in shown
    assert "username: leaf" in shown


@pytest.mark.parametrize(
    "text",
    [
        "source:\n  reference: wiki\n  location: https://wiki.example.org\n",
        "auth:\n  password: ${WIKI_PASSWORD}\n  username: leaf\n",
        "broken: x: y\npassword: ${WIKI_PASSWORD}\n",
        "auth:\n  tokenUrl: https://id.example.org/token\n",
    ],
)
def test_text_without_a_secret_stays_as_it_was(text: str) -> None:
    assert without_secrets(text).rstrip() == text.rstrip()
