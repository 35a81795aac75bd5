"""Source files in YAML: reads our shape and those of OpenRegister strictly, and writes ours without secrets."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from panel.core.errors import InvalidInput
from panel.core.messages import Message, _, any_of
from panel.core.text import has_surrogate, refuse_surrogates
from panel.sources import fields
from panel.sources.auth_fields import AUTH_SHAPES, auth_kind
from panel.sources.placeholders import PLACEHOLDER, texts_of

MAX_BYTES = 64 * 1024
MAX_DEPTH = 20
MAX_NODES = 1_000

_IGNORED = {
    "endpoints": _("“endpoints” is ignored: Leafpanel knows the calls of this upstream itself."),
    "healthCheck": _("“healthCheck” is ignored: Leafpanel knows how to check this upstream."),
}
_MAX_BRACKETS = 200


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file in the JSON shape of a source, and one note for each ignored part."""

    values: dict[str, Any]
    notes: tuple[str, ...]


def read_source_file(
    text: str | bytes,
    *,
    sets: Mapping[str, str] | None = None,
    environ: Mapping[str, str],
    secret: str | None = None,
) -> SourceFile:
    """Parse a file, override it with ``sets`` (by field path), and expand ``${NAME}`` from ``environ``.

    ``secret`` replaces the secret of the auth block as it is.

    Raises InvalidInput naming the key. Reading resolves, fetches and executes nothing.
    """
    document = _load(text)
    if "source" in document:
        values, notes = _own_shape(document)
    elif "spec" in document or "apiVersion" in document:
        values, notes = _spec_shape(document)
    else:
        raise InvalidInput("file", _("The file has neither “source:” nor “apiVersion/kind/spec”; it is not a source."))
    _override(values, sets or {})
    return SourceFile(_with_values(values, environ, secret), tuple(notes))


def _with_values(values: dict[str, Any], environ: Mapping[str, str], secret: str | None) -> dict[str, Any]:
    """The values with their placeholders replaced, and ``secret`` as it is in place of that of the file."""
    name = _secret_name(values) if secret is not None else None
    if name is not None:
        values = {**values, "auth": {key: value for key, value in values["auth"].items() if key != name}}
    expanded: dict[str, Any] = _expand(values, environ)
    refuse_surrogates(expanded, field="file")
    return {**expanded, "auth": {**expanded["auth"], name: secret}} if name is not None else expanded


def _secret_name(values: Mapping[str, Any]) -> str:
    """The key of the secret in the auth block. Raises InvalidInput when there is none."""
    auth = values.get("auth")
    kind = auth_kind(auth.get("type")) if isinstance(auth, dict) else "none"
    name = AUTH_SHAPES[kind].secret
    if name is None:
        raise InvalidInput("auth", _("The source does not sign in, so that it has no secret."))
    return name


def write_source_file(values: Mapping[str, Any]) -> str:
    """A source in our own shape, with ``${NAME}`` in place of each secret."""
    _refuse_placeholders(values)
    values = {**values, "auth": _auth_with_placeholder(values), "headers": _headers_with_placeholders(values)}
    body: dict[str, Any] = {}
    for field in fields.FIELDS:
        if field.name == "location":
            body["type"] = "api"
        if field.always_in_file or values.get(field.name):
            body[field.key_in_file] = values[field.name]
    return yaml.safe_dump({"source": body}, sort_keys=False, allow_unicode=True, width=120)


def _auth_with_placeholder(values: Mapping[str, Any]) -> dict[str, Any]:
    auth = {key: value for key, value in values["auth"].items() if key != "secretSet"}
    secret = AUTH_SHAPES[auth["type"]].secret
    if secret is None:
        return auth
    return {**auth, secret: _placeholder(values, secret)}


def _headers_with_placeholders(values: Mapping[str, Any]) -> dict[str, str]:
    return {name: _placeholder(values, f"header_{name}") for name in values["headers"]}


def _placeholder(values: Mapping[str, Any], name: str) -> str:
    variable = re.sub(r"[^A-Z0-9]+", "_", f"{values['slug']}_{_snake(name)}".upper())
    return f"${{{'_' if variable[0].isdigit() else ''}{variable}}}"


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name)


def _refuse_placeholders(values: Mapping[str, Any]) -> None:
    """A ``${NAME}`` that is part of a value would be expanded when the file is imported."""
    for path, value in texts_of(values):
        if PLACEHOLDER.search(value):
            raise InvalidInput(
                path, _("“{name}” holds a {placeholder} and cannot be exported.", name=path, placeholder="${…}")
            )


# --- the shapes ------------------------------------------------------------------------------------------------


def _own_shape(document: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    _refuse_unknown(document, {"source", *_IGNORED}, "")
    source = _block(document["source"], "source")
    notes = [*_ignored(document), *_ignored(source)]
    if "slug" in source and "reference" in source:
        raise InvalidInput("source.slug", _("“source.slug” and “source.reference” are the same setting; keep one."))
    known = {key: field.name for field in fields.FIELDS for key in (field.name, field.key_in_file)}
    _refuse_unknown(source, {*known, "type", *_IGNORED}, "source.")
    _type_is(source.get("type", "api"), "source.type", ("api",))
    return {known[key]: value for key, value in source.items() if key in known}, notes


def _spec_shape(document: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """``apiVersion: openconnector/v1, kind: Source`` as OpenRegister's later templates have it."""
    _refuse_unknown(document, {"apiVersion", "kind", "metadata", "spec"}, "")
    _type_is(document.get("apiVersion"), "apiVersion", ("openconnector/v1",))
    _type_is(document.get("kind"), "kind", ("Source",))
    metadata, spec = _block(document.get("metadata"), "metadata"), _block(document.get("spec"), "spec")
    _refuse_unknown(metadata, {"name", "label", "description", "group", "icon"}, "metadata.")
    in_spec = set(fields.names()) - {"slug", "name", "description", "location"}
    _refuse_unknown(spec, {*in_spec, "type", "baseUrl", *_IGNORED}, "spec.")
    _type_is(spec.get("type", "rest"), "spec.type", ("rest", "api"))
    values = {key: value for key, value in spec.items() if key in in_spec}
    values |= {"slug": metadata.get("name"), "name": metadata.get("label") or metadata.get("name")}
    values |= {"location": spec.get("baseUrl"), "description": metadata.get("description") or ""}
    return values, _ignored(spec)


def _type_is(value: Any, path: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise InvalidInput(path, _("“{name}” must be {known}.", name=path, known=any_of(known)))


def _ignored(block: Mapping[str, Any]) -> list[str]:
    return [note for key, note in _IGNORED.items() if key in block]


def _block(value: Any, path: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InvalidInput(path, _("“{name}” must be a block of settings.", name=path))
    return value


def _refuse_unknown(block: Mapping[str, Any], known: set[str], prefix: str) -> None:
    for key in block:
        if key not in known:
            raise InvalidInput(f"{prefix}{key}", _("“{name}” is not a setting of a source.", name=f"{prefix}{key}"))


# --- ``--set`` and ``${NAME}`` -----------------------------------------------------------------------------------


def _override(values: dict[str, Any], sets: Mapping[str, str]) -> None:
    """Override values by field path. Another ``auth.type`` starts a new auth block."""
    if "auth.type" in sets:
        before = values.get("auth")
        if not isinstance(before, dict) or before.get("type") != sets["auth.type"]:
            values["auth"] = {"type": sets["auth.type"]}
    for path, value in sets.items():
        head, _dot, rest = path.partition(".")
        if head not in fields.names() or bool(rest) != (head in fields.blocks()):
            raise InvalidInput(path, _("“{name}” is not a setting of a source.", name=path))
        if not rest:
            values[head] = value
            continue
        block = values.setdefault(head, {})
        if not isinstance(block, dict):
            raise InvalidInput(head, _("“{name}” must be a block of settings.", name=head))
        block[rest] = value


def _expand(value: Any, environ: Mapping[str, str], path: str = "") -> Any:
    if isinstance(value, dict):
        return {key: _expand(part, environ, f"{path}.{key}" if path else str(key)) for key, part in value.items()}
    if not isinstance(value, str):
        return value

    def replace(match: re.Match[str]) -> str:
        if match[1] not in environ:
            # One sentence for a variable that is not set and one that may not be used, so that none is revealed.
            raise InvalidInput(
                path,
                _(
                    "“{name}” needs {variable} in the environment (or --set {name}=…); "
                    "a web import also needs its name in PANEL_IMPORT_VARIABLES.",
                    name=path,
                    variable=match[1],
                ),
            )
        return environ[match[1]]

    return PLACEHOLDER.sub(replace, value)


# --- strict YAML -------------------------------------------------------------------------------------------------


class _Loader(yaml.SafeLoader):
    """SafeLoader that refuses repeated keys, and names the types of two auth blocks."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: dict[Any, yaml.Node] = {}
        for key_node, value_node in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise InvalidInput("file", _("Line {line}: a key must be text.", line=key_node.start_mark.line + 1))
            if key in seen:
                self._repeated(key, seen[key], value_node)
            seen[key] = value_node
        return super().construct_mapping(node, deep)

    def _repeated(self, key: str, first: yaml.Node, second: yaml.Node) -> None:
        if key == "auth":
            types = {"first": _type_of(self, first), "second": _type_of(self, second)}
            raise InvalidInput(
                "auth", _("The source has two auth blocks, {first} and {second}; keep exactly one.", **types)
            )
        raise InvalidInput(key, _("Line {line}: “{key}” stands there twice.", line=second.start_mark.line + 1, key=key))


def _type_of(loader: _Loader, node: yaml.Node) -> str:
    value = loader.construct_object(node, deep=True)
    return str(value["type"]) if isinstance(value, dict) and "type" in value else _("no type")


def _load(text: str | bytes) -> dict[str, Any]:
    raw = text.encode() if isinstance(text, str) else text
    if len(raw) > MAX_BYTES:
        raise InvalidInput("file", _("The file is larger than {size} KiB; it is not a source.", size=MAX_BYTES // 1024))
    try:
        decoded = raw.decode("utf-8-sig")
        for _event in safe_events(decoded):
            pass
        document = yaml.load(decoded, Loader=_Loader)  # noqa: S506 (a SafeLoader that is stricter still)
    except UnicodeDecodeError:
        raise InvalidInput("file", _("The file is not UTF-8 text.")) from None
    except yaml.YAMLError as exc:
        raise InvalidInput("file", _not_yaml(exc)) from None
    except (ValueError, RecursionError):
        raise InvalidInput("file", _("The file is not readable YAML.")) from None
    if not isinstance(document, dict):
        raise InvalidInput("file", _("The file is not a source: it must be a block of settings."))
    return document


def safe_events(text: str) -> Iterator[Any]:
    """The YAML events of a text. Raises InvalidInput at a tag, an anchor or an alias, and for too much depth or size.

    No object is built before all events are read. Also raises yaml.YAMLError.
    """
    # The scanner reads ahead for a key behind each bracket, which takes quadratic time where many of them are open.
    if len(text) > MAX_BYTES or text.count("[") + text.count("{") > _MAX_BRACKETS:
        raise InvalidInput("file", _("The file is nested too deep or too long for a source."))
    depth = 0
    events: Iterator[Any] = yaml.parse(text, Loader=yaml.SafeLoader)
    for count, event in enumerate(events):
        line = event.start_mark.line + 1
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise InvalidInput("file", _("Line {line}: anchors and aliases are not allowed.", line=line))
        if getattr(event, "tag", None):
            raise InvalidInput("file", _("Line {line}: tags are not allowed.", line=line))
        if has_surrogate(getattr(event, "value", "")):
            raise InvalidInput("file", _("Line {line}: there is half of a character.", line=line))
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH or count > MAX_NODES:
            raise InvalidInput(
                "file", _("Line {line}: the file is nested too deep or too long for a source.", line=line)
            )
        yield event


def _not_yaml(exc: yaml.YAMLError) -> Message:
    mark = getattr(exc, "problem_mark", None)
    if mark is None:
        return _("The file is not readable YAML.")
    return _("The file is not readable YAML (line {line}).", line=mark.line + 1)
