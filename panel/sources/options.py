"""The options of a source: settings that only its integration has, as the descriptor of the leaf lists them."""

from __future__ import annotations

from collections.abc import Mapping

from panel.core.errors import InvalidInput
from panel.core.messages import Message, _
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


def _unknown(name: str, descriptor: Descriptor) -> Message:
    names = {"name": option_path(name), "upstream": descriptor.upstream}
    known = ", ".join(option.name for option in descriptor.options)
    if not known:
        return _("“{name}” is not a setting of a source for {upstream}; it has no options.", **names)
    return _("“{name}” is not a setting of a source for {upstream}; it has {known}.", known=known, **names)


def _check(option: Field, value: str) -> None:
    path = option_path(option.name)
    if option.required and not value:
        raise missing(path)
    if value and option.values and value not in option.values:
        raise InvalidInput(path, _("“{name}” must be one of {known}.", name=path, known=", ".join(option.values)))
    if option.max_length is not None and len(value) > option.max_length:
        raise InvalidInput(
            path, _("“{name}” is longer than {longest} characters.", name=path, longest=option.max_length)
        )
