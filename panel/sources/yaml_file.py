"""Sources as YAML files: reading ours and OpenRegister's shapes strictly, and writing ours without secrets."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from panel.core.errors import InvalidInput
from panel.core.text import has_surrogate, refuse_surrogates
from panel.sources.draft import AUTH_SHAPES, KEYS

MAX_BYTES = 256 * 1024
MAX_DEPTH = 20
MAX_NODES = 5_000

_IGNORED = {
    "endpoints": "“endpoints” is ignored: Leafpanel knows the calls of this upstream itself.",
    "healthCheck": "“healthCheck” is ignored: Leafpanel knows how to check this upstream.",
}
_PLACEHOLDER = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file in the JSON shape of a source, and one line for each thing that was left aside."""

    values: dict[str, Any]
    notes: tuple[str, ...]


def read_source_file(
    text: str | bytes, *, sets: Mapping[str, str] | None = None, environ: Mapping[str, str]
) -> SourceFile:
    """Parse a file, put ``sets`` (field paths) over it, and expand ``${NAME}`` from ``environ``.

    Raises InvalidInput naming the key. Nothing is resolved, fetched or executed while reading.
    """
    document = _load(text)
    if "source" in document:
        values, notes = _own_shape(document)
    elif "spec" in document or "apiVersion" in document:
        values, notes = _spec_shape(document)
    else:
        raise InvalidInput("file", "The file has neither “source:” nor “apiVersion/kind/spec”; it is not a source.")
    _put(values, sets or {})
    values = _expand(values, environ)
    refuse_surrogates(values, field="file")
    return SourceFile(values, tuple(notes))


def write_source_file(values: Mapping[str, Any]) -> str:
    """A source in our own shape, with ``${NAME}`` in place of its secret."""
    auth = dict(values["auth"])
    secret = AUTH_SHAPES[auth["type"]].secret
    auth.pop("secretSet", None)
    if secret:
        auth[secret] = "${" + re.sub(r"[^A-Z0-9]+", "_", f"{values['slug']}_{_snake(secret)}".upper()) + "}"
    body: dict[str, Any] = {"reference": values["slug"], "name": values["name"]}
    if values.get("description"):
        body["description"] = values["description"]
    body |= {"type": "api", "location": values["location"], "enabled": values["enabled"], "auth": auth}
    for key in ("headers", "options", "rate_limit", "max_concurrency", "timeout_s", "ca_file"):
        if values.get(key):
            body[key] = values[key]
    return yaml.safe_dump({"source": _literal_dollars(body, keep=auth)}, sort_keys=False, allow_unicode=True, width=120)


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name)


def _literal_dollars(body: dict[str, Any], *, keep: Any) -> dict[str, Any]:
    """A ``${`` that somebody typed must not be expanded when the file comes back."""
    for key, value in body.items():
        if value is not keep and isinstance(value, str) and _PLACEHOLDER.search(value):
            raise InvalidInput(key, f"“{key}” holds a ${{…}} and cannot be exported.")
    return body


# --- the shapes ------------------------------------------------------------------------------------------------


def _own_shape(document: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    _only(document, {"source", *_IGNORED}, "")
    source = _block(document["source"], "source")
    notes = [*_ignored(document), *_ignored(source)]
    if "slug" in source and "reference" in source:
        raise InvalidInput("source.slug", "“source.slug” and “source.reference” are the same setting; keep one.")
    _only(source, {*KEYS, "reference", "type"} | set(_IGNORED), "source.")
    _type_is(source.get("type", "api"), "source.type", ("api",))
    values = {key: value for key, value in source.items() if key in KEYS}
    if "reference" in source:
        values["slug"] = source["reference"]
    return values, notes


def _spec_shape(document: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """``apiVersion: openconnector/v1, kind: Source`` as OpenRegister's later templates have it."""
    _only(document, {"apiVersion", "kind", "metadata", "spec"}, "")
    _type_is(document.get("apiVersion"), "apiVersion", ("openconnector/v1",))
    _type_is(document.get("kind"), "kind", ("Source",))
    metadata, spec = _block(document.get("metadata"), "metadata"), _block(document.get("spec"), "spec")
    _only(metadata, {"name", "label", "description", "group", "icon"}, "metadata.")
    aside = ("type", "baseUrl", "auth", "headers", *_IGNORED)
    _only(spec, {*aside, *KEYS} - {"slug", "name", "description", "location"}, "spec.")
    _type_is(spec.get("type", "rest"), "spec.type", ("rest", "api"))
    values = {key: value for key, value in spec.items() if key in KEYS}
    values |= {"slug": metadata.get("name"), "name": metadata.get("label") or metadata.get("name")}
    values |= {"location": spec.get("baseUrl"), "description": metadata.get("description") or ""}
    return values, _ignored(spec)


def _type_is(value: Any, path: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise InvalidInput(path, f"“{path}” must be {' or '.join(known)}.")


def _ignored(block: Mapping[str, Any]) -> list[str]:
    return [note for key, note in _IGNORED.items() if key in block]


def _block(value: Any, path: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InvalidInput(path, f"“{path}” must be a block of settings.")
    return value


def _only(block: Mapping[str, Any], known: set[str], prefix: str) -> None:
    for key in block:
        if key not in known:
            raise InvalidInput(f"{prefix}{key}", f"“{prefix}{key}” is not a setting of a source.")


# --- ``--set`` and ``${NAME}`` -----------------------------------------------------------------------------------


def _put(values: dict[str, Any], sets: Mapping[str, str]) -> None:
    """Lay field paths over the file. Changing ``auth.type`` starts a new auth block."""
    if "auth.type" in sets:
        before = values.get("auth")
        if not isinstance(before, dict) or before.get("type") != sets["auth.type"]:
            values["auth"] = {"type": sets["auth.type"]}
    for path, value in sets.items():
        head, _, rest = path.partition(".")
        if head not in KEYS or bool(rest) != (head in ("auth", "headers", "options")):
            raise InvalidInput(path, f"“{path}” is not a setting of a source.")
        if not rest:
            values[head] = value
            continue
        block = values.setdefault(head, {})
        if not isinstance(block, dict):
            raise InvalidInput(head, f"“{head}” must be a block of settings.")
        block[rest] = value


def _expand(value: Any, environ: Mapping[str, str], path: str = "") -> Any:
    if isinstance(value, dict):
        return {key: _expand(part, environ, f"{path}.{key}" if path else str(key)) for key, part in value.items()}
    if not isinstance(value, str):
        return value

    def replace(match: re.Match[str]) -> str:
        if match[1] not in environ:
            raise InvalidInput(path, f"“{path}” needs {match[1]} in the environment (or --set {path}=…).")
        return environ[match[1]]

    return _PLACEHOLDER.sub(replace, value)


# --- strict YAML -------------------------------------------------------------------------------------------------


class _Loader(yaml.SafeLoader):
    """SafeLoader that refuses repeated keys; two auth blocks are named by their types."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: dict[Any, yaml.Node] = {}
        for key_node, value_node in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise InvalidInput("file", f"Line {key_node.start_mark.line + 1}: a key must be text.")
            if key in seen:
                self._repeated(key, seen[key], value_node)
            seen[key] = value_node
        return super().construct_mapping(node, deep)

    def _repeated(self, key: str, first: yaml.Node, second: yaml.Node) -> None:
        if key == "auth":
            kinds = " and ".join(_type_of(self, node) for node in (first, second))
            raise InvalidInput("auth", f"The source has two auth blocks, {kinds}; keep exactly one.")
        raise InvalidInput(key, f"Line {second.start_mark.line + 1}: “{key}” stands there twice.")


def _type_of(loader: _Loader, node: yaml.Node) -> str:
    value = loader.construct_object(node, deep=True)
    return str(value.get("type", "no type")) if isinstance(value, dict) else "no type"


def _load(text: str | bytes) -> dict[str, Any]:
    raw = text.encode() if isinstance(text, str) else text
    if len(raw) > MAX_BYTES:
        raise InvalidInput("file", f"The file is larger than {MAX_BYTES // 1024} KiB; it is not a source.")
    try:
        decoded = raw.decode("utf-8-sig")
        _refuse_tricks(yaml.parse(decoded, Loader=yaml.SafeLoader))
        document = yaml.load(decoded, Loader=_Loader)  # noqa: S506 (a SafeLoader that is stricter still)
    except UnicodeDecodeError:
        raise InvalidInput("file", "The file is not UTF-8 text.") from None
    except yaml.YAMLError as exc:
        raise InvalidInput("file", f"The file is not readable YAML{_where(exc)}.") from None
    except (ValueError, RecursionError):
        raise InvalidInput("file", "The file is not readable YAML.") from None
    if not isinstance(document, dict):
        raise InvalidInput("file", "The file is not a source: it must be a block of settings.")
    return document


def _refuse_tricks(events: Iterator[Any]) -> None:
    """No tags, no anchors or aliases, bounded depth and size: before anything is built."""
    depth = 0
    for count, event in enumerate(events):
        at = f"Line {event.start_mark.line + 1}"
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise InvalidInput("file", f"{at}: anchors and aliases are not allowed.")
        if getattr(event, "tag", None):
            raise InvalidInput("file", f"{at}: tags are not allowed.")
        if has_surrogate(getattr(event, "value", "")):
            raise InvalidInput("file", f"{at}: there is half of a character.")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH or count > MAX_NODES:
            raise InvalidInput("file", f"{at}: the file is nested too deep or too long for a source.")


def _where(exc: yaml.YAMLError) -> str:
    mark = getattr(exc, "problem_mark", None)
    return f" (line {mark.line + 1})" if mark is not None else ""
