"""The source form: between what stands in its fields and the JSON shape of a source. A secret goes in, never out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from panel.core.errors import InvalidInput, PanelError, Rejected
from panel.integrations.contract import Integration
from panel.integrations.descriptor import Preset
from panel.sources.draft import AUTH_SHAPES

PLAIN = ("name", "slug", "location", "rate_limit", "max_concurrency", "timeout_s", "ca_file")
LABELS = {
    "name": "Name",
    "slug": "Slug",
    "location": "Location",
    "auth": "Sign-in",
    "rate_limit": "Rate limit",
    "max_concurrency": "Requests at once",
    "timeout_s": "Timeout",
    "ca_file": "CA file",
    "headers": "Extra headers",
}
GENERIC = (
    Preset("none", "none", "None", hint="public content only"),
    Preset("basic", "basic", "User name and password"),
    Preset("token", "token", "Token", hint="bearer, or another header", secret_label="Token"),  # noqa: S106 (a label)
    Preset("oauth2", "oauth2", "OAuth 2.0", secret_label="Client secret"),  # noqa: S106
)
GRANTS = {
    "authorization_code": ("Somebody gives access", "once, at the provider; the panel renews it"),
    "client_credentials": ("The client itself", "with client id and secret alone"),
}
OAUTH_WORDS = {
    "grantType": "Access",
    "tokenUrl": "Token address",
    "authorizationUrl": "Authorisation address",
    "clientId": "Client id",
    "scope": "Scope",
}


@dataclass(frozen=True, slots=True)
class SourceForm:
    """The form as it is shown. ``text`` holds what stands in each field; a secret is never part of it."""

    slug: str
    leaf: Integration | None
    stored: Mapping[str, Any] | None
    """The JSON shape of the stored source, None for a new one."""
    presets: tuple[Preset, ...]
    chosen: str
    text: Mapping[str, str]
    enabled: bool = True
    revision: int | None = None
    typed_secret: bool = False
    """Whether a secret came with the form; it is gone now and must be typed again."""
    errors: Mapping[str, str] = field(default_factory=dict)

    @property
    def preset(self) -> Preset:
        return next((preset for preset in self.presets if preset.id == self.chosen), self.presets[0])

    @property
    def upstream(self) -> str:
        return self.leaf.descriptor.upstream if self.leaf else "the upstream"

    def secret_word(self, preset: Preset | None = None) -> str:
        """The secret's name inside a sentence: ``password``, but ``API key``."""
        label = (preset or self.preset).secret_label
        return label if label[:2].isupper() else label[:1].lower() + label[1:]

    def keeps_secret(self, preset: Preset) -> bool:
        """Whether an empty secret field of this way of signing in means "keep"."""
        auth = self.stored["auth"] if self.stored is not None else {}
        return auth.get("type") == preset.auth and bool(auth.get("secretSet"))

    def grants(self, preset: Preset) -> list[tuple[str, str, str, bool]]:
        """The choices of a grant: value, label, hint, and whether it is the chosen one."""
        known = self.text.get(f"auth.{preset.id}.grantType", "")
        chosen = known if known in preset.grants else preset.grants[0]
        return [(grant, *GRANTS[grant], grant == chosen) for grant in preset.grants]

    def default_address(self, path: str) -> str:
        """An address at the provider that the location leads to, empty when that cannot be told."""
        location = self.text.get("location", "").strip() or (self.leaf.descriptor.location_hint if self.leaf else "")
        try:
            return self.leaf.instance_root(location) + path if self.leaf and path else ""
        except InvalidInput:
            return ""

    def with_error(self, exc: PanelError) -> SourceForm:
        """The same form with the sentence beside its field."""
        return replace(self, errors=self._errors_of(exc))

    def _errors_of(self, exc: PanelError) -> dict[str, str]:
        if isinstance(exc, Rejected):
            return {self._field_of(name): sentence for name, sentence in exc.fields.items()}
        if not isinstance(exc, InvalidInput):
            return {"": str(exc)}
        label = self.label_of(self._field_of(exc.field))
        return {self._field_of(exc.field): str(exc).replace(f"“{exc.field}”", label)}

    def _field_of(self, setting: str) -> str:
        """The form field of a setting's name; the sign-in settings live in the block of the chosen preset."""
        head, _, key = setting.partition(".")
        if head == "auth":
            secret = AUTH_SHAPES[self.preset.auth].secret
            asked = key if key in AUTH_SHAPES[self.preset.auth].public and self.preset.username is None else "secret"
            return f"auth.{self.chosen}.{asked}" if secret else "auth"
        if setting in LABELS or setting in {f"options.{option.name}" for option in self.options}:
            return setting
        return head if head in LABELS else ""

    @property
    def options(self) -> tuple[Any, ...]:
        return self.leaf.descriptor.options if self.leaf else ()

    def label_of(self, name: str) -> str:
        if name.startswith("auth."):
            words = {"username": "User name", "header": "Header", "secret": self.preset.secret_label, **OAUTH_WORDS}
            return words[name.rpartition(".")[2]]
        options = {f"options.{option.name}": option.label for option in self.options}
        return options.get(name) or LABELS.get(name, name)


def empty_form(slug: str, leaf: Integration | None) -> SourceForm:
    presets = _presets(leaf, None)
    text = {"slug": slug, "name": leaf.descriptor.upstream if leaf else ""}
    text |= {f"auth.{preset.id}.scope": preset.scope for preset in presets if preset.scope}
    return SourceForm(slug, leaf, None, presets, presets[0].id, text)


def stored_form(stored: Mapping[str, Any], leaf: Integration | None, revision: int) -> SourceForm:
    presets = _presets(leaf, stored["auth"])
    stored = {**stored, "auth": {"secretSet": False, **stored["auth"]}}
    chosen = next(preset for preset in presets if _fits(preset, stored["auth"]))
    text = {name: _shown(stored[name]) for name in PLAIN}
    text |= {f"options.{name}": value for name, value in stored["options"].items()}
    text["headers"] = "\n".join(f"{name}: {value}" for name, value in stored["headers"].items())
    text |= {f"auth.{preset.id}.scope": preset.scope for preset in presets if preset.scope and preset != chosen}
    for key in AUTH_SHAPES[chosen.auth].public:
        text[f"auth.{chosen.id}.{key}"] = stored["auth"].get(key, "")
    return SourceForm(stored["slug"], leaf, stored, presets, chosen.id, text, stored["enabled"], revision)


def typed_form(shown: SourceForm, typed: Mapping[str, str]) -> SourceForm:
    """The shown form with what somebody typed into it, but for secrets."""
    secret = any(value for name, value in typed.items() if name.endswith(".secret"))
    text = {name: value for name, value in typed.items() if not name.endswith(".secret")}
    known = {preset.id for preset in shown.presets}
    chosen = typed.get("auth", "") if typed.get("auth") in known else shown.chosen
    revision = int(typed["revision"]) if typed.get("revision", "").isdecimal() else shown.revision
    return replace(
        shown, chosen=chosen, text={**text, "slug": shown.slug or text.get("slug", "").strip()},
        enabled="enabled" in typed, revision=revision, typed_secret=secret,
    )  # fmt: skip


def values_of(form: SourceForm, typed: Mapping[str, str]) -> dict[str, Any]:
    """The typed form in the JSON shape of a source. Raises InvalidInput for headers that cannot be read."""
    values: dict[str, Any] = {name: form.text.get(name, "").strip() for name in PLAIN}
    options = dict(form.stored["options"]) if form.stored is not None else {}
    options |= {option.name: form.text.get(f"options.{option.name}", "") for option in form.options}
    return {
        **values,
        "enabled": form.enabled,
        "options": options,
        "headers": read_headers(form.text.get("headers", "")),
        "auth": _auth(form, typed.get(f"auth.{form.chosen}.secret", "")),
    }


def _auth(form: SourceForm, secret: str) -> dict[str, str]:
    """The auth block of the chosen preset. An empty secret is left out, which means "keep"."""
    preset, auth = form.preset, {"type": form.preset.auth}
    shape = AUTH_SHAPES[preset.auth]
    if "username" in shape.public:
        auth["username"] = preset.username or form.text.get(f"auth.{preset.id}.username", "").strip()
    if "header" in shape.public:
        typed = form.text.get(f"auth.{preset.id}.header", "").strip()
        auth["header"] = preset.header or typed or "Authorization"
    if preset.auth == "oauth2":
        auth |= _oauth(form, preset)
    if shape.secret and secret:
        auth[shape.secret] = secret
    return auth


def _oauth(form: SourceForm, preset: Preset) -> dict[str, str]:
    """The typed OAuth settings. Where the integration knows an address, an empty field means that one."""
    typed = {name: form.text.get(f"auth.{preset.id}.{name}", "").strip() for name in OAUTH_WORDS}
    typed["grantType"] = next(grant for grant, _, _, is_chosen in form.grants(preset) if is_chosen)
    typed["tokenUrl"] = typed["tokenUrl"] or form.default_address(preset.token_path)
    if typed["grantType"] == "authorization_code":
        typed["authorizationUrl"] = typed["authorizationUrl"] or form.default_address(preset.authorization_path)
    return typed


def read_headers(text: str) -> dict[str, str]:
    """Lines of ``Name: value``. Raises InvalidInput("headers", …) naming the line."""
    headers: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        name, colon, value = line.partition(":")
        if not colon:
            raise InvalidInput("headers", f"Line {number} of the extra headers has no colon; write Name: value.")
        if name.strip().lower() in {known.lower() for known in headers}:
            raise InvalidInput("headers", f"Line {number} of the extra headers repeats {name.strip()}.")
        headers[name.strip()] = value.strip()
    return headers


def _presets(leaf: Integration | None, auth: Mapping[str, Any] | None) -> tuple[Preset, ...]:
    """The leaf's ways of signing in, or the plain ones; and the stored one, when it is none of them."""
    offered = (leaf.descriptor.presets if leaf else ()) or GENERIC
    if auth is None or any(_fits(preset, auth) for preset in offered):
        return offered
    taken = {preset.id for preset in offered}
    extra = next(preset for preset in GENERIC if preset.auth == auth["type"])
    return (*offered, replace(extra, id=f"own-{extra.id}" if extra.id in taken else extra.id))


def _fits(preset: Preset, auth: Mapping[str, Any]) -> bool:
    fixed = preset.username in (None, auth.get("username")) and preset.header in ("", auth.get("header"))
    return preset.auth == auth["type"] and fixed


def _shown(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:g}" if isinstance(value, float) else str(value)
