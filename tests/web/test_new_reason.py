"""A reason is one row of facts and one row of words: without either the start stops, with both every way in shows it."""

from __future__ import annotations

import ast
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from applications import Applications

from panel.core.domain import Problem
from panel.core.reasons import FACTS, Facts, Reason
from panel.web.reason_words import WORDS, remedy_of

ROOT = Path(__file__).parents[2]
REASONS, WORDS_FILE, CLASSIFY = "core/reasons.py", "web/reason_words.py", "connector/classify.py"
NAME = ('    TOO_LARGE = "too-large"\n', '    UNPAID = "unpaid"\n')
FACTS_ROW = (
    "    Reason.TOO_LARGE: Facts(",
    '    Reason.UNPAID: Facts(cause=Cause.UPSTREAM_DOWN, health=HealthStatus.DEGRADED, field="auth"),\n',
)
WORDS_ROW = (
    "    Reason.TOO_LARGE: Words(",
    '    Reason.UNPAID: Words(title=_("{upstream} wants money"), text=_("The bill of {upstream} is open."),\n'
    '                         short=_("bill open"), remedy=_("Pay the bill of {upstream}.")),\n',
)
DECISION = (
    "    if status == 401:\n",
    "    if status == 402:\n        return Problem(Reason.UNPAID, plain)\n",
)

Edit = tuple[str, tuple[str, str]]
NewTree = Callable[..., Path]


@pytest.fixture
def tree(tmp_path: Path) -> NewTree:
    """A copy of the project with lines put in before others."""

    def make(*edits: Edit) -> Path:
        root = tmp_path / "project"
        shutil.copytree(ROOT / "panel", root / "panel", ignore=shutil.ignore_patterns("__pycache__", "vendor"))
        (root / "migrations").symlink_to(ROOT / "migrations")
        for name, (before, line) in edits:
            path = root / "panel" / name
            text = path.read_text("utf-8")
            assert text.count(before) == 1
            path.write_text(text.replace(before, line + before), "utf-8")
        return root

    return make


def run(root: Path, *command: str) -> subprocess.CompletedProcess[str]:
    environment = {"PYTHONPATH": f"{root}:{ROOT / 'tests'}", "PYTHONDONTWRITEBYTECODE": "1", "LANG": "C.UTF-8"}
    return subprocess.run(
        [sys.executable, *command], cwd=root, env=environment, capture_output=True, text=True, timeout=120
    )


def words(page: str) -> str:
    """What a reader sees, as one line."""
    return " ".join(re.sub(r"<[^>]+>", " ", page).split())


# --- a reason without a row ------------------------------------------------------------------------------------------

START = "import panel; panel.create_app(panel.load({'PANEL_INSTANCE_DIR': 'instance'}))"


def test_without_facts_the_start_stops_and_names_the_reason(tree: NewTree) -> None:
    ended = run(tree((REASONS, NAME)), "-c", START)

    assert ended.returncode == 1
    assert "The reason unpaid has no row in FACTS of panel/core/reasons.py." in ended.stderr


def test_without_words_the_start_stops_and_names_the_reason(tree: NewTree) -> None:
    ended = run(tree((REASONS, NAME), (REASONS, FACTS_ROW)), "-c", START)

    assert ended.returncode == 1
    assert "The reason unpaid has no row in WORDS of panel/web/reason_words.py." in ended.stderr


# --- a reason with both rows -----------------------------------------------------------------------------------------


@pytest.fixture
def shown(tree: NewTree, applications: Applications, tmp_path: Path) -> dict[str, Any]:
    """What each way in shows of an upstream that fails for the new reason."""
    root = tree((REASONS, NAME), (REASONS, FACTS_ROW), (WORDS_FILE, WORDS_ROW), (CLASSIFY, DECISION))
    instance = tmp_path / "instance"
    instance.mkdir(mode=0o700)
    shutil.copy(applications.database, instance / "panel.sqlite3")
    ended = run(root, str(ROOT / "tests" / "new_reason_child.py"), str(instance))
    assert ended.returncode == 0, ended.stderr
    found: dict[str, Any] = json.loads(ended.stdout)
    return found


def test_with_both_rows_every_way_in_shows_it(shown: dict[str, Any]) -> None:
    details = shown["json"]["details"]
    assert (shown["json"]["code"], details["cause"], details["reason"]) == (503, "upstream-service-down", "unpaid")
    assert '"reason":"unpaid"' in re.sub(r"\\|\s", "", shown["mcp"])
    assert (shown["health"]["status"], shown["health"]["reason"]) == ("degraded", "unpaid")
    assert "xWiki wants money The bill of xWiki is open." in words(shown["tab"])
    assert "upstream-service-down / unpaid" in shown["tab"]
    assert "Degraded bill open" in words(shown["overview"])
    assert "xWiki wants money. The bill of xWiki is open." in words(shown["overview"])
    assert "What helps Pay the bill of the upstream." in words(shown["calls"])
    assert re.search(r"FAIL  xwiki .* Pay the bill of xWiki\.", shown["doctor"])


# --- the tables ------------------------------------------------------------------------------------------------------


def collections_of_reasons(tree: ast.AST) -> Iterator[ast.AST]:
    """Lists, sets and tables in a module that name two reasons or more."""
    for node in ast.walk(tree):
        members = node.keys if isinstance(node, ast.Dict) else getattr(node, "elts", ())
        named = [member for member in members if ast.unparse(member or node).startswith("Reason.")]
        if len(named) > 1:
            yield node


def test_no_other_module_has_a_list_of_reasons() -> None:
    files = [path for path in (ROOT / "panel").rglob("*.py") if "sandbox" not in path.parts]
    listing = {
        str(path.relative_to(ROOT / "panel"))
        for path in files
        if any(collections_of_reasons(ast.parse(path.read_text("utf-8"))))
    }

    assert listing == {REASONS, WORDS_FILE}


def test_api_document_and_table_have_the_same_reasons_under_the_same_causes() -> None:
    section = (ROOT / "docs" / "api.md").read_text("utf-8").partition("| Cause | Reason |")[2].partition("\n\n")[0]
    documented, cause = [], ""
    for row in re.findall(r"^\| (?:`([\w-]+)`)? ?\| `([\w-]+)` \| \S", section, re.MULTILINE):
        cause = row[0] or cause
        documented.append((cause, row[1]))

    assert documented == [(reason.cause.value, reason.value) for reason in Reason]


@pytest.mark.parametrize("reason", Reason)
def test_every_sentence_can_be_filled_in(reason: Reason) -> None:
    row = WORDS[reason]
    known = {"upstream": "xWiki", "nouns": "pages", "message": "A message.", "setting": "the location"}

    for sentence in (row.title, row.text, row.others, row.remedy):
        assert "{" not in sentence.format(**known)
    assert "{" not in row.button.format(secret="password")
    assert remedy_of(Problem(reason, "A message."), "xWiki").endswith(".")


def test_only_a_reason_that_can_end_by_itself_is_retried() -> None:
    retried: list[Facts] = [facts for facts in FACTS.values() if facts.worth_retry]

    assert retried
    assert all(facts.temporary and facts.sent and not facts.held_back for facts in retried)
