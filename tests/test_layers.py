"""The direction of imports, and that no leaf is named outside its own files."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LEAVES = sorted(path.parent.name for path in (ROOT / "panel" / "integrations").glob("*/leaf.yaml"))


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    """Check the imports of the project in ``folder``, in another process: the linter silences loggers of its own."""
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as run; run()", "--no-cache"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)


def test_the_direction_of_imports_holds() -> None:
    checked = lint_imports(ROOT)

    assert checked.returncode == 0, checked.stdout


def test_a_module_that_no_layer_names_fails(tmp_path: Path) -> None:
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    shutil.copytree(ROOT / "panel", tmp_path / "panel", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "panel" / "extra.py").write_text("import flask\nimport requests\n\nfrom panel.web.api import views\n")

    checked = lint_imports(tmp_path)

    assert checked.returncode == 1, checked.stdout
    assert "\n- panel.extra\n" in checked.stdout


@pytest.mark.parametrize("leaf", LEAVES)
def test_no_leaf_is_named_outside_its_own_files(leaf: str) -> None:
    own = re.compile(rf"(integrations/{leaf}|sandbox/|static/vendor|__main__\.py|openapi\.yaml)")
    files = [path for path in (ROOT / "panel").rglob("*") if path.suffix in (".py", ".html", ".js", ".css")]
    naming = [
        str(path.relative_to(ROOT))
        for path in files
        if not own.search(str(path.relative_to(ROOT)))
        and re.search(rf"\b{leaf}\b", path.read_text("utf-8"), re.IGNORECASE)
    ]

    assert naming == ["panel/__init__.py"]  # its first line says what the product is


def test_nothing_but_the_connector_opens_sockets() -> None:
    opening = re.compile(
        r"^\s*(import|from) (socket|ssl|http\.client|urllib\.request|requests|urllib3|httpx)\b", re.MULTILINE
    )
    files = [path for path in (ROOT / "panel").rglob("*.py") if "connector" not in path.parts]

    assert [path.name for path in files if opening.search(path.read_text("utf-8"))] == ["__main__.py"]
