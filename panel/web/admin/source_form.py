"""The source form: turns the stored or typed source into the texts of its inputs and back. It never shows a secret."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from panel.core.errors import InvalidInput, PanelError, Rejected
from panel.core.messages import _, labelled
from panel.integrations.contract import Integration
from panel.integrations.descriptor import Field, Preset
from panel.sources import fields
from panel.sources.auth_fields import AUTH_SHAPES, AuthField
from panel.sources.fields import Input, SourceField

_OPTION = "options."
_SECRET_WORDS: Mapping[str, str] = {
    "Password": _("password"),
    "Token": _("token"),
    "Client secret": _("client secret"),
    "API key": _("API key"),
}
"""The labels of our secrets inside a sentence. Those of other leaves are made from their labels."""
GENERIC = (
    Preset("none", "none", _("None"), hint=_("public content only")),
    Preset("basic", "basic", _("User name and password"), secret_label=_("Password")),
    Preset("token", "token", _("Token"), hint=_("bearer, or another header"), secret_label=_("Token")),
    Preset("oauth2", "oauth2", "OAuth 2.0", secret_label=_("Client secret")),
)


@dataclass(frozen=True, slots=True)
class SourceForm:
    """The form as it is shown. ``text`` holds the content of each input; a secret is never part of it."""

    slug: str
    leaf: Integration | None
    stored: Mapping[str, Any] | None
    """The JSON shape of the stored source, None for a new one."""
    presets: tuple[Preset, ...]
    chosen: str
    text: Mapping[str, str]
    revision: int | None = None
    typed_secret: bool = False
    """Whether the request held a secret, which is not sent back and must be typed again."""
    typed_headers: bool = False
    """Whether the request held values of extra headers, which are not sent back either."""
    errors: Mapping[str, str] = field(default_factory=dict)

    @property
    def preset(self) -> Preset:
        return next((preset for preset in self.presets if preset.id == self.chosen), self.presets[0])

    @property
    def upstream(self) -> str:
        return self.leaf.descriptor.upstream if self.leaf else _("the upstream")

    def secret_word(self, preset: Preset | None = None) -> str:
        """The secret's label inside a sentence: ``password``, but ``API key``."""
        label = (preset or self.preset).secret_label
        return _SECRET_WORDS.get(label) or (label if label[:2].isupper() else label[:1].lower() + label[1:])

    def keeps_secret(self, preset: Preset) -> bool:
        """Whether an empty secret field of this preset means "keep"."""
        auth = self.stored["auth"] if self.stored is not None else {}
        return auth.get("type") == preset.auth and bool(auth.get("secretSet"))

    # --- plain fields ------------------------------------------------------------------------------------------------

    def find(self, name: str) -> SourceField:
        return next(known for known in fields.FIELDS if known.name == name)

    def fields_of(self, section: str) -> list[SourceField]:
        """The fields of a section of the form: single lines, then several lines, then checkboxes."""
        return [known for kind in Input for known, own in _controls(section) if own is kind]

    @property
    def options(self) -> tuple[Field, ...]:
        """The options of the integration, and unknown ones that are stored or typed, so that they can be removed."""
        if self.leaf is None:
            return ()
        offered = self.leaf.descriptor.options
        given = [*(self.stored["options"] if self.stored else ()), *_typed_options(self.text)]
        unknown = dict.fromkeys(name for name in given if name not in {option.name for option in offered})
        help = _("{upstream} has no such option. Leave it empty to remove it.", upstream=self.upstream)
        return (*offered, *(Field(name, _("“{name}”", name=name), help=help) for name in unknown))

    # --- sign-in -----------------------------------------------------------------------------------------------------

    def auth_fields(self, preset: Preset) -> list[AuthField]:
        """The fields of a preset that the administrator fills in."""
        return [known for known in AUTH_SHAPES[preset.auth].fields if known.name not in _fixed(preset)]

    def auth_name(self, preset: Preset, known: AuthField) -> str:
        return f"auth.{preset.id}.{'secret' if known.secret else known.name}"

    def auth_placeholder(self, preset: Preset, known: AuthField) -> str:
        return self.default_address(_PATHS[known.name](preset)) if known.name in _PATHS else known.placeholder

    def choices(self, preset: Preset, known: AuthField) -> list[tuple[str, str, str, bool]]:
        """The choices of a grant: value, label, hint, and whether it is the chosen one."""
        typed = self.text.get(self.auth_name(preset, known), "")
        chosen = typed if typed in preset.grants else preset.grants[0]
        return [(grant, *known.choices[grant], grant == chosen) for grant in preset.grants]

    def default_address(self, path: str) -> str:
        """``path`` at the instance that the location leads to; empty when there is none yet."""
        location = self.text.get("location", "").strip() or (self.leaf.descriptor.location_hint if self.leaf else "")
        try:
            return self.leaf.instance_root(location) + path if self.leaf and path else ""
        except InvalidInput:
            return ""

    # --- errors ------------------------------------------------------------------------------------------------------

    def with_error(self, exc: PanelError) -> SourceForm:
        """The same form with the sentence beside its field."""
        return replace(self, errors=self._errors_of(exc))

    def _errors_of(self, exc: PanelError) -> dict[str, str]:
        if isinstance(exc, Rejected):
            return {self._input_of(name): sentence for name, sentence in exc.fields.items()}
        if not isinstance(exc, InvalidInput):
            return {"": exc.message}
        name = self._input_of(exc.field)
        return {name: labelled(exc.message, exc.field, self.label_of(name)) if name else exc.message}

    def _input_of(self, setting: str) -> str:
        """The name of the input for a setting; the sign-in settings are in the block of the chosen preset."""
        head, _, key = setting.partition(".")
        if head == "auth":
            return self._auth_input_of(key)
        if setting in {_OPTION + option.name for option in self.options}:
            return setting
        return head if any(known.name == head and known.control for known in fields.FIELDS) else ""

    def _auth_input_of(self, key: str) -> str:
        shape, asked = AUTH_SHAPES[self.preset.auth], {known.name: known for known in self.auth_fields(self.preset)}
        if shape.secret is None:
            return "auth"
        return self.auth_name(self.preset, asked.get(key) or asked[shape.secret])

    def label_of(self, name: str) -> str:
        head, _, rest = name.partition(".")
        if head == "auth" and rest:
            labels = {self.auth_name(self.preset, known): known.label for known in self.auth_fields(self.preset)}
            return self.preset.secret_label if name.endswith(".secret") else labels[name]
        options = {_OPTION + option.name: option.label for option in self.options}
        return options.get(name) or self.find(head).label


_PATHS: Mapping[str, Callable[[Preset], str]] = {
    "tokenUrl": lambda preset: preset.token_path,
    "authorizationUrl": lambda preset: preset.authorization_path,
}
"""Addresses that an integration may know: where below the instance root they are."""


def _fixed(preset: Preset) -> dict[str, str]:
    """The auth fields whose value the preset fixes."""
    fixed = {"username": preset.username} if preset.username is not None else {}
    return {**fixed, "header": preset.header} if preset.header else fixed


def _controls(section: str = "") -> list[tuple[SourceField, Input]]:
    """The fields that have an input, in one section or in all."""
    shown = [(known, known.control) for known in fields.FIELDS if known.control is not None]
    return [(known, control.input) for known, control in shown if section in ("", control.section)]


def _typed_options(text: Mapping[str, str]) -> dict[str, str]:
    return {name.removeprefix(_OPTION): value for name, value in text.items() if name.startswith(_OPTION)}


# --- making a form ---------------------------------------------------------------------------------------------------


def empty_form(slug: str, leaf: Integration | None, *, location: str = "") -> SourceForm:
    """The form of a source that is not stored yet, with the address that a link to it carried."""
    presets = _presets(leaf, None)
    text = {known.name: "on" for known, kind in _controls() if kind is Input.CHECKBOX and known.type.default}
    text |= {"slug": slug, "name": leaf.descriptor.upstream if leaf else "", "location": location}
    text |= {f"auth.{preset.id}.scope": preset.scope for preset in presets if preset.scope}
    return SourceForm(slug, leaf, None, presets, presets[0].id, text)


def stored_form(stored: Mapping[str, Any], leaf: Integration | None, revision: int) -> SourceForm:
    presets = _presets(leaf, stored["auth"])
    stored = {**stored, "auth": {"secretSet": False, **stored["auth"]}}
    chosen = next((preset for preset in presets if _fits(preset, stored["auth"])), presets[0])
    text = {known.name: _shown(stored[known.name], kind) for known, kind in _controls()}
    text |= {_OPTION + name: value for name, value in stored["options"].items()}
    text |= {f"auth.{preset.id}.scope": preset.scope for preset in presets if preset.scope and preset != chosen}
    for key in AUTH_SHAPES[chosen.auth].public:
        text[f"auth.{chosen.id}.{key}"] = stored["auth"].get(key, "")
    return SourceForm(stored["slug"], leaf, stored, presets, chosen.id, text, revision)


def _shown(value: Any, kind: Input) -> str:
    """The content of an input for a stored value."""
    if kind is Input.CHECKBOX:
        return "on" if value else ""
    if kind is Input.HEADERS:
        return "\n".join(f"{name}:" for name in value)
    if value is None:
        return ""
    return f"{value:g}" if isinstance(value, float) else str(value)


def typed_form(shown: SourceForm, typed: Mapping[str, str]) -> SourceForm:
    """The shown form with what was typed into it, except for secrets."""
    headers, header_values = _without_values(typed.get("headers", ""))
    secret = any(value for name, value in typed.items() if name.endswith(".secret"))
    text = {name: value for name, value in typed.items() if not name.endswith(".secret")} | {"headers": headers}
    known = {preset.id for preset in shown.presets}
    chosen = typed.get("auth", "") if typed.get("auth") in known else shown.chosen
    revision = int(typed["revision"]) if re.fullmatch("[0-9]{1,18}", typed.get("revision", "")) else shown.revision
    text["slug"] = shown.slug or text.get("slug", "").strip()
    return replace(shown, chosen=chosen, text=text, revision=revision, typed_secret=secret, typed_headers=header_values)


def _without_values(headers: str) -> tuple[str, bool]:
    """Typed lines of extra headers without their values, and whether there was any."""
    lines = [line.partition(":") for line in headers.splitlines() if line.strip()]
    return "\n".join(name + colon for name, colon, _ in lines), any(value.strip() for _, _, value in lines)


def _presets(leaf: Integration | None, auth: Mapping[str, Any] | None) -> tuple[Preset, ...]:
    """The presets of the integration, or the generic ones; and the stored kind of sign-in, when it is none of them."""
    offered = (leaf.descriptor.presets if leaf else ()) or GENERIC
    if auth is None or any(_fits(preset, auth) for preset in offered):
        return offered
    taken = {preset.id for preset in offered}
    extra = next((preset for preset in GENERIC if preset.auth == auth["type"]), None)
    if extra is None:
        return offered  # a kind that this version does not know
    return (*offered, replace(extra, id=f"own-{extra.id}" if extra.id in taken else extra.id))


def _fits(preset: Preset, auth: Mapping[str, Any]) -> bool:
    return preset.auth == auth["type"] and all(auth.get(name) == value for name, value in _fixed(preset).items())


# --- reading a form --------------------------------------------------------------------------------------------------


def values_of(form: SourceForm, typed: Mapping[str, str]) -> dict[str, Any]:
    """The typed form in the JSON shape of a source. Raises InvalidInput for headers that cannot be read."""
    text = {**form.text, "headers": typed.get("headers", "")}
    values = {known.name: _value(text.get(known.name, ""), kind) for known, kind in _controls()}
    return {**values, "options": _options(form), "auth": _auth(form, typed.get(f"auth.{form.chosen}.secret", ""))}


def _value(text: str, kind: Input) -> Any:
    if kind is Input.CHECKBOX:
        return bool(text)
    return read_headers(text) if kind is Input.HEADERS else text.strip()


def _options(form: SourceForm) -> dict[str, str]:
    """The typed options over the stored ones, without those that are empty."""
    given = {**(form.stored["options"] if form.stored is not None else {}), **_typed_options(form.text)}
    return {name: value for name, value in given.items() if value.strip()}


def _auth(form: SourceForm, secret: str) -> dict[str, str]:
    """The auth block of the chosen preset. An empty secret is left out, which means "keep"."""
    preset = form.preset
    auth = {"type": preset.auth, **_fixed(preset)}
    for known in form.auth_fields(preset):
        if known.secret:
            auth |= {known.name: secret} if secret else {}
        elif known.choices:
            auth[known.name] = next(value for value, _, _, is_chosen in form.choices(preset, known) if is_chosen)
        else:
            typed = form.text.get(form.auth_name(preset, known), "").strip()
            auth[known.name] = typed or _auth_default(form, known, auth.get("grantType", ""))
    return auth


def _auth_default(form: SourceForm, known: AuthField, grant: str) -> str:
    """What an empty field means: the address that the integration knows, or the default of the field."""
    if known.name == "authorizationUrl" and grant != "authorization_code":
        return ""
    path = _PATHS[known.name](form.preset) if known.name in _PATHS else ""
    return form.default_address(path) or str(known.type.default)


def read_headers(text: str) -> dict[str, str]:
    """Lines of ``Name: value``. Raises InvalidInput("headers", …) naming the line."""
    headers: dict[str, str] = {}
    known: set[str] = set()
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        name, colon, value = line.partition(":")
        if not colon:
            raise InvalidInput(
                "headers", _("Line {number} of the extra headers has no colon; write Name: value.", number=number)
            )
        if name.strip().lower() in known:
            raise InvalidInput(
                "headers", _("Line {number} of the extra headers repeats {name}.", number=number, name=name.strip())
            )
        known.add(name.strip().lower())
        headers[name.strip()] = value.strip()
    return headers
