"""docs/architecture.md names every package and module, and each question of its table leads to the code that answers it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
DOCUMENT = (ROOT / "docs" / "architecture.md").read_text("utf-8")
QUESTIONS = DOCUMENT.partition("## Where a question is answered")[2].partition("\n## ")[0]
MODULES = DOCUMENT.partition("## Packages and modules")[2]

SEARCHES = {
    "SSRF": "panel/connector/address_guard.py",
    "half-open": "panel/connector/limiter.py",
    "debounce": "panel/static/picker.js",
    "single flight": "panel/connector/local_cache.py",
    "GCRA": "panel/traffic/limits_sql.py",
    "DNS rebinding": "panel/web/auth/same_origin.py",
}
"""Words that people search for, and a module where each of them has to stand."""


def test_every_module_has_a_row_and_every_row_a_module() -> None:
    named = set(re.findall(r"^\| `(panel/[^`]+\.py)` \|", MODULES, re.MULTILINE))
    empty = {path for path in (ROOT / "panel").rglob("__init__.py") if not path.read_text("utf-8").strip()}
    modules = {path for path in (ROOT / "panel").rglob("*.py") if path not in empty}
    # A package's __init__.py that only re-exports stands for its package.
    exported = {str(path.relative_to(ROOT)) for path in modules if _only_exports(path)}

    assert named | exported == {str(path.relative_to(ROOT)) for path in modules}


def _only_exports(path: Path) -> bool:
    return path.name == "__init__.py" and "__all__" in path.read_text("utf-8")


def test_every_package_has_a_heading() -> None:
    headings = set(re.findall(r"^### `(panel/[^`]*)`$", MODULES, re.MULTILINE))
    packages = {f"{path.parent.relative_to(ROOT)}/" for path in (ROOT / "panel").rglob("__init__.py")}

    assert headings == packages


def test_every_file_that_answers_a_question_exists() -> None:
    named = re.findall(r"`((?:panel|docs)/[^`]+?)`", QUESTIONS)

    assert len(named) > 20
    assert [path for path in named if not (ROOT / path).exists()] == []


@pytest.mark.parametrize(("word", "path"), SEARCHES.items())
def test_a_search_for_the_usual_word_finds_the_code(word: str, path: str) -> None:
    assert re.search(re.escape(word), (ROOT / path).read_text("utf-8"), re.IGNORECASE)
