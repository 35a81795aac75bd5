"""Every message for people keeps its template: it stands in ``_(…)`` or ``_n(…)``, from which texts are extracted."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path
from string import Formatter

import pytest

ROOT = Path(__file__).resolve().parent.parent
COMMAND_LINE = "panel/web/cli/"
"""Speaks English only."""
TRANSLATABLE = ("_", "_n")
MESSAGE_AT = {"InvalidInput": 1, "WrongHost": 2, "Problem": 1, "because": 1, "unexpected": 0}
"""Where the message stands among the arguments. Exceptions that are not here have it first."""


def _sources() -> dict[str, ast.Module]:
    paths = sorted((ROOT / "panel").rglob("*.py"))
    return {str(path.relative_to(ROOT)): ast.parse(path.read_text("utf-8")) for path in paths}


SOURCES = _sources()


def _exceptions() -> set[str]:
    """The names of PanelError and of all exceptions below it."""
    bases = {
        node.name: {_name(base) for base in node.bases}
        for tree in SOURCES.values()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
    }
    found = {"PanelError"}
    while more := {name for name, above in bases.items() if above & found} - found:
        found |= more
    return found


def _name(node: ast.AST) -> str:
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def _text(node: ast.AST) -> str | None:
    """The words of a literal, "" for an f-string without words; None for anything else."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else None
    if isinstance(node, ast.JoinedStr):
        return "".join(part.value for part in node.values if isinstance(part, ast.Constant))
    return None


def _loose(node: ast.AST | None, names: Mapping[str, list[ast.expr]]) -> Iterator[ast.AST]:
    """The parts of a message that no catalogue can know: literals outside ``_``, and texts put together as a str."""
    match node:
        case ast.Constant() | ast.JoinedStr():
            text = _text(node)
            if isinstance(node, ast.JoinedStr) or (text is not None and " " in text.strip()):
                yield node
        case ast.BinOp():
            yield node
        case ast.Call(func=ast.Attribute(attr="format" | "join" | "strip" | "replace" | "removesuffix")):
            yield node
        case ast.Call(func=ast.Name(id="str")):
            yield node
        case ast.IfExp():
            yield from _loose(node.body, names)
            yield from _loose(node.orelse, names)
        case ast.BoolOp():
            for value in node.values:
                yield from _loose(value, names)
        case ast.Dict():
            for value in node.values:
                yield from _loose(value, names)
        case ast.Name():
            for value in names.get(node.id, []):
                yield from _loose(value, {})


def _assigned(scope: ast.AST) -> dict[str, list[ast.expr]]:
    """What is assigned to each name in a function, or at the top of a module."""
    found: dict[str, list[ast.expr]] = {}
    body = ast.walk(scope) if not isinstance(scope, ast.Module) else iter(scope.body)
    for node in body:
        if isinstance(node, ast.Assign) and node.value is not None:
            for target in node.targets:
                pairs = [(target, node.value)]
                if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
                    pairs = list(zip(target.elts, node.value.elts, strict=False))
                for name, value in pairs:
                    found.setdefault(_name(name), []).append(value)
    return found


def _messages(node: ast.Call, exceptions: set[str]) -> Iterator[ast.expr]:
    name = _name(node.func)
    if name not in exceptions and name not in MESSAGE_AT:
        return
    at = MESSAGE_AT.get(name, 0)
    yield from node.args[at : at + 1]
    yield from (keyword.value for keyword in node.keywords if keyword.arg == "message")
    if name == "Rejected":
        yield from node.args[1:2]


def _calls(
    scope: ast.AST, names: Mapping[str, list[ast.expr]]
) -> Iterator[tuple[ast.Call, Mapping[str, list[ast.expr]]]]:
    """Each call with the assignments of the function around it."""
    for child in ast.iter_child_nodes(scope):
        known = {**names, **_assigned(child)} if isinstance(child, ast.FunctionDef) else names
        if isinstance(child, ast.Call):
            yield child, known
        yield from _calls(child, known)


@pytest.mark.parametrize("path", [path for path in SOURCES if not path.startswith(COMMAND_LINE)])
def test_every_message_of_an_expected_failure_can_be_translated(path):
    exceptions, tree = _exceptions(), SOURCES[path]
    loose = [
        f"{path}:{part.lineno}: {ast.unparse(part)}"
        for node, names in _calls(tree, _assigned(tree))
        for message in _messages(node, exceptions)
        for part in _loose(message, names)
    ]
    assert not loose, "\n".join(loose)


def _templates(node: ast.Call) -> list[ast.expr]:
    return node.args[:2] if _name(node.func) == "_n" else node.args[:1]


def _wrong(node: ast.Call) -> str:
    """Why this call makes no text that can be extracted and filled; "" if it does."""
    templates, given = _templates(node), {keyword.arg for keyword in node.keywords}
    if not given and all(isinstance(part, ast.Name | ast.Attribute) for part in templates):
        return ""  # a text of a leaf's descriptor, which is extracted from its YAML
    texts = [part.value for part in templates if isinstance(part, ast.Constant) and isinstance(part.value, str)]
    if len(texts) != len(templates):
        return "a literal must stand in the call"
    asked = {name for text in texts for _, name, _, _ in Formatter().parse(text) if name is not None}
    if any(spec or conversion for text in texts for _, _, spec, conversion in Formatter().parse(text)):
        return "a placeholder has no format"
    if None in given or not given:
        return ""
    asked -= {"n"} if _name(node.func) == "_n" else set()
    return "" if asked == given else f"placeholders {sorted(asked)} but values {sorted(given)}"


@pytest.mark.parametrize("path", SOURCES)
def test_every_text_is_a_literal_with_its_values(path):
    wrong = [
        f"{path}:{node.lineno}: {problem}: {ast.unparse(node)}"
        for node in ast.walk(SOURCES[path])
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in TRANSLATABLE
        if (problem := _wrong(node))
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("code", "is_loose"),
    [
        ('raise NotFound("There is nothing here.")', True),
        ('raise NotFound(f"{name} is gone.")', True),
        ('raise NotFound(_("Gone.") + hint)', True),
        ('raise NotFound("{} is gone.".format(name))', True),
        ('raise InvalidInput("name", str(exc))', True),
        ('raise ProviderUnavailable.because(Reason.TLS, "No TLS today.")', True),
        ('raise Rejected(_("Nothing was saved."), {"name": "This is taken."})', True),
        ('def f():\n    message = "This is gone."\n    raise NotFound(message)', True),
        ('raise InvalidInput(f"auth.{key}", _("“{name}” is missing.", name=key))', False),
        ('raise Problem(Reason.TLS, _("Gone.") if gone else exc.message)', False),
    ],
)  # fmt: skip
def test_the_check_finds_texts_outside_of_the_catalogue(code, is_loose):
    tree = ast.parse(code)
    found = [
        part
        for node, names in _calls(tree, _assigned(tree))
        for message in _messages(node, _exceptions())
        for part in _loose(message, names)
    ]
    assert bool(found) is is_loose
