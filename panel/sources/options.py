"""The options of a source: settings that only its integration has, as the descriptor of the leaf lists them."""

from __future__ import annotations

from collections.abc import Mapping

from panel.core.errors import InvalidInput
from panel.integrations.descriptor import Descriptor, Field
from panel.sources.field_types import missing


def check_options(options: Mapping[str, str], descriptor: Descriptor) -> None:
    """Raise InvalidInput("options.<name>", …) for the first option that is unknown, missing or has a wrong value."""
    known = {option.name for option in descriptor.options}
    for name in options:
        if name not in known:
            raise InvalidInput(option_path(name), _unknown(name, descriptor))
    for option in descriptor.options:
        _check(option, options.get(option.name, ""))


def option_path(name: str) -> str:
    return f"options.{name}"


def _unknown(name: str, descriptor: Descriptor) -> str:
    has = ", ".join(option.name for option in descriptor.options) or "no options"
    return f"“{option_path(name)}” is not a setting of a source for {descriptor.upstream}; it has {has}."


def _check(option: Field, value: str) -> None:
    path = option_path(option.name)
    if option.required and not value:
        raise missing(path)
    if value and option.values and value not in option.values:
        raise InvalidInput(path, f"“{path}” must be one of {', '.join(option.values)}.")
    if option.max_length is not None and len(value) > option.max_length:
        raise InvalidInput(path, f"“{path}” is longer than {option.max_length} characters.")
