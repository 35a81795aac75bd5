"""The direction of imports, and that no leaf is named outside its own files."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LEAVES = sorted(path.parent.name for path in (ROOT / "panel" / "integrations").glob("*/leaf.yaml"))


def test_the_direction_of_imports_holds() -> None:
    # In a process of its own, since the linter silences the loggers of the one it runs in.
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as run; run()", "--no-cache"]
    checked = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)

    assert checked.returncode == 0, checked.stdout


@pytest.mark.parametrize("leaf", LEAVES)
def test_no_leaf_is_named_outside_its_own_folder(leaf: str) -> None:
    """That includes the other leaves: none of them knows this one. The sandbox stands in for the leaves' upstreams."""
    own = re.compile(rf"(integrations/{leaf}/|sandbox/|static/vendor|__main__\.py)")
    files = [path for path in (ROOT / "panel").rglob("*") if path.suffix in (".py", ".html", ".js", ".css")]
    naming = [
        str(path.relative_to(ROOT))
        for path in files
        if not own.search(str(path.relative_to(ROOT))) and re.search(rf"\b{leaf}\b", code_of(path), re.IGNORECASE)
    ]

    assert naming == []


def code_of(path: Path) -> str:
    """The text of a file, without the docstring of the product, which says what it is for."""
    text = path.read_text("utf-8")
    return text.partition("\n")[2] if path == ROOT / "panel" / "__init__.py" else text


def test_nothing_but_the_connector_opens_sockets() -> None:
    opening = re.compile(
        r"^\s*(import|from) (socket|ssl|http\.client|urllib\.request|requests|urllib3|httpx)\b", re.MULTILINE
    )
    files = [path for path in (ROOT / "panel").rglob("*.py") if "connector" not in path.parts]

    assert [path.name for path in files if opening.search(path.read_text("utf-8"))] == ["__main__.py"]
