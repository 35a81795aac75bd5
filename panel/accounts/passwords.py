"""Passwords: which ones are accepted, and how they are hashed (scrypt)."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from werkzeug.security import check_password_hash, generate_password_hash

from panel.core.errors import InvalidInput
from panel.core.messages import _, _n
from panel.core.text import fold

SHORTEST, LONGEST = 8, 1000
"""Characters of a password. The upper limit bounds the work of hashing."""
METHOD = "scrypt:32768:8:3"
"""The cost that OWASP's password storage cheat sheet asks for, with the setting that needs the least memory: 32 MiB."""
COMMON = Path(__file__).with_name("common_passwords.txt")
"""Words, names and keyboard patterns that guessing programs try first, in lower case."""

TOO_EASY = _(
    "This password is easy to guess: do not use a common word, a pattern, your own name, or the name or address of"
    " this panel."
)

_LETTERS_FOR = str.maketrans("@48301!$57", "aabeoiisst")
"""Digits and signs that people write for letters."""
_NO_LETTERS = re.compile(r"^[\W\d_]+|[\W\d_]+$")
_MIN_REST = 4
_MIN_WORD = 3
_FEW_DIGITS = 12


def check(password: str, *, words: Iterable[str]) -> None:
    """Raise InvalidInput for a password of a wrong length, and for one that is easy to guess.

    ``words`` are those that an attacker knows: the person's name, the product's name and the panel's address.
    """
    if not SHORTEST <= len(password) <= LONGEST:
        raise InvalidInput(
            "password",
            _n(
                "A password has at least {shortest} characters and at most {n}.",
                "A password has at least {shortest} characters and at most {n}.",
                LONGEST,
                shortest=SHORTEST,
            ),
        )
    if _is_pattern(password) or _is_common(password) or _is_made_of(password, words):
        raise InvalidInput("password", TOO_EASY)


def _is_pattern(password: str) -> bool:
    """Whether it repeats one or two characters, or has few digits and nothing else."""
    letters = re.sub(r"[\W\d_]", "", password)
    return len(set(password)) <= 2 or (not letters and len(password) <= _FEW_DIGITS)


def _is_common(password: str) -> bool:
    """Whether it is a common word, also with other case, with digits for letters, and with digits or signs around."""
    folded = fold(password)
    bare = _NO_LETTERS.sub("", folded)
    forms = {folded, bare, folded.translate(_LETTERS_FOR), bare.translate(_LETTERS_FOR)}
    return not forms.isdisjoint(_common())


def _is_made_of(password: str, words: Iterable[str]) -> bool:
    rest = fold(password)
    known = sorted({fold(word) for word in words if len(word.strip()) >= _MIN_WORD}, key=len, reverse=True)
    for word in known:
        rest = rest.replace(word, "")
    return rest != fold(password) and len(re.sub(r"[\W\d_]", "", rest)) < _MIN_REST


@cache
def _common() -> frozenset[str]:
    return frozenset(COMMON.read_text("utf-8").split())


def hashed(password: str) -> str:
    return generate_password_hash(password, METHOD)


def is_outdated(stored: str) -> bool:
    """Whether a hash was made at another cost than today's."""
    return not stored.startswith(f"{METHOD}$")


def matches(stored: str | None, password: str) -> bool:
    """Whether the password is that of the hash. Without a hash a dummy is checked, which takes the same time."""
    return check_password_hash(stored or _dummy_hash(), password) and stored is not None


@cache
def _dummy_hash() -> str:
    return hashed(secrets.token_hex(16))


def one_time() -> str:
    return "-".join(secrets.token_hex(2) for _ in range(4))
