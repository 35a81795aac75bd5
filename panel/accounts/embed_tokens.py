"""Embedding applications, which show the tab in a frame: their secrets, their origins and the tokens they sign."""

from __future__ import annotations

import binascii
import hashlib
import json
import logging
import re
import secrets
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from joserfc.util import urlsafe_b64decode
from sqlalchemy import delete, or_, select

from panel.accounts.embed_prefill import prefill_of, title_of
from panel.accounts.limits import as_limit, clean_integrations, clean_registers
from panel.accounts.principal import Action, Limits, Principal
from panel.core.domain import ObjectRef
from panel.core.errors import Conflict, InvalidInput, NotFound, PanelError
from panel.core.messages import _
from panel.core.text import checked_line, fold
from panel.credentials.vault import AssociatedData, Unreadable, Vault
from panel.logs import audit
from panel.logs.audit import Actor, AuditAction
from panel.storage.engine import db
from panel.storage.models import EmbedApp, EmbedKey
from panel.storage.revision import ASK, Kept, Revision

log = logging.getLogger(__name__)

ALGORITHM = "HS256"
AUDIENCE = "leafpanel"
LONGEST_S = 15 * 60
SKEW_S = 30
"""The accepted clock skew between the panel and an application."""

THEMES = ("light", "dark", "auto")
GRANTABLE = {action.value: action for action in Action if action is not Action.ADMIN}

_ORIGIN = re.compile(r"(https?)://([a-z0-9](?:[a-z0-9.-]*[a-z0-9])?)(?::([0-9]{1,5}))?")
_SEGMENT = re.compile(r"[A-Za-z0-9_-]+")
_LONGEST_TOKEN = 6000
MOST_KNOWN = 1000
"""How many verified tokens one process keeps in memory."""
_MAX_TIMESTAMP = 10**12
"""Far beyond any clock, and small enough for arithmetic with floats."""
_HEADER = frozenset({"alg", "kid", "typ"})
"""The accepted header parameters. Others are refused: ``jwk`` or ``jku``, for example, would bring their own key."""


class BadToken(PanelError):
    """A token that is not accepted. The message names the violated rule; it is shown to administrators only."""


@dataclass(frozen=True, slots=True)
class EmbedGrant:
    """What a valid token grants: principal, object, framing origins and expiry (seconds since the epoch)."""

    principal: Principal
    object: ObjectRef
    app: str
    origins: tuple[str, ...]
    expires: float
    theme: str = ""
    lang: str = ""
    title: str = ""
    """The name that the application gives to the object. It is shown and not stored."""
    prefill: Mapping[str, str] = field(default_factory=dict)
    """Values with which the create form starts, by the names of its fields."""
    token: str = field(default="", repr=False)

    @property
    def outside(self) -> str:
        """Why the object is outside the registers of the application; "" when it is not.

        The access rules answer such a token as one for another object.
        """
        limits = self.principal.limits
        if limits is None or limits.allows(self.object):
            return ""
        return _(
            "{app} is limited to the registers {registers}.",
            app=self.app,
            registers=", ".join(sorted(limits.registers or ())),
        )


@dataclass(frozen=True, slots=True)
class Secret:
    """A new secret, which is shown once. Its characters, encoded as UTF-8, are the HMAC key."""

    name: str
    kid: str
    value: str
    origins: tuple[str, ...]

    def __repr__(self) -> str:
        return f"Secret({self.name!r}, {self.kid!r})"


@dataclass(frozen=True, slots=True)
class _Verified:
    """A token whose signature is that of a secret of its application. Its times are checked at each use."""

    grant: EmbedGrant
    claims: Mapping[str, Any] = field(repr=False)


class EmbedApps:
    """The embedding applications. ``integrations`` returns the ids of all integrations."""

    def __init__(self, vault: Vault, integrations: Callable[[], Collection[str]], revision: Revision) -> None:
        self._vault = vault
        self._integrations = integrations
        self._kept: Kept[_Verified] = Kept(revision, most=MOST_KNOWN)

    # --- administration ------------------------------------------------------------------------------------------

    def create(
        self,
        name: str,
        origins: Iterable[str],
        *,
        registers: Iterable[str] = (),
        integrations: Iterable[str] = (),
        by: Actor,
    ) -> Secret:
        """Create an application with its first secret. Without registers or integrations, it is not limited to any.

        Raises InvalidInput naming the field, and Conflict when the name is taken.
        """
        name = checked_line("name", name, 200)
        if self._find(name) is not None:
            raise Conflict(_("There is an embedding application named {name} already.", name=name))
        app = EmbedApp(
            name=name,
            origins=clean_origins(origins),
            registers=clean_registers(registers),
            integrations=clean_integrations(integrations, self._integrations()),
            created_by=by.name[:200],
        )
        db.session.add(app)
        db.session.flush()
        return self._new_secret(app, AuditAction.EMBED_APP_CREATED, by)

    def all(self) -> list[EmbedApp]:
        return list(db.session.scalars(select(EmbedApp).order_by(EmbedApp.name)))

    def known_to(self, name: str) -> list[EmbedApp]:
        """The enabled applications that a person created, or of which the person saw a secret that still works."""
        secrets_of = select(EmbedKey.app_id).where(EmbedKey.created_by == name)
        known = or_(EmbedApp.created_by == name, EmbedApp.id.in_(secrets_of))
        return list(
            db.session.scalars(select(EmbedApp).where(known, EmbedApp.disabled.is_(False)).order_by(EmbedApp.name))
        )

    def keys(self, app: EmbedApp) -> list[EmbedKey]:
        """Newest first."""
        query = select(EmbedKey).where(EmbedKey.app_id == app.id)
        return list(db.session.scalars(query.order_by(EmbedKey.created_at.desc(), EmbedKey.kid)))

    def named(self, name: str) -> EmbedApp:
        """Raises NotFound."""
        app = self._find(name)
        if app is None:
            raise NotFound(_("There is no embedding application named {name}.", name=name))
        return app

    def serves(self, origin: str) -> bool:
        """Whether pages of this origin belong to an enabled application."""
        enabled = db.session.scalars(select(EmbedApp.origins).where(EmbedApp.disabled.is_(False)))
        return any(origin in origins for origins in enabled)

    def _find(self, name: str) -> EmbedApp | None:
        """The application of this name, whatever its case. One with the same spelling comes first."""
        exact = name.strip()
        same = select(EmbedApp).where(or_(EmbedApp.folded_name == fold(name), EmbedApp.name == exact))
        return db.session.scalar(same.order_by((EmbedApp.name == exact).desc()).limit(1))

    def get(self, app_id: str) -> EmbedApp:
        """Raises NotFound."""
        app = db.session.get(EmbedApp, app_id)
        if app is None:
            raise NotFound(_("There is no such embedding application."))
        return app

    def rotate(self, app: EmbedApp, *, by: Actor) -> Secret:
        """Add a second secret, so that the application can change over without downtime. Raises Conflict."""
        if len(self.keys(app)) > 1:
            raise Conflict(_("{name} has two secrets already. Retire the old one first.", name=app.name))
        return self._new_secret(app, AuditAction.EMBED_APP_ROTATED, by)

    def retire(self, app: EmbedApp, *, by: Actor) -> None:
        """Delete the older of two secrets. Raises Conflict when there is only one."""
        keys = self.keys(app)
        if len(keys) < 2:
            raise Conflict(_("{name} has only one secret. Make a new one first.", name=app.name))
        older = [key.kid for key in keys[1:]]
        db.session.execute(delete(EmbedKey).where(EmbedKey.kid.in_(older)))
        audit.record(AuditAction.EMBED_APP_RETIRED, by, subject=app.name, detail=", ".join(older))
        db.session.commit()

    def set_origins(self, app: EmbedApp, origins: Iterable[str], *, by: Actor) -> None:
        """Raises InvalidInput."""
        cleaned = clean_origins(origins)
        if cleaned != app.origins:
            audit.record(AuditAction.EMBED_APP_CHANGED, by, subject=app.name, detail=_origins_in_words(cleaned))
        app.origins = cleaned
        db.session.commit()

    def set_limits(self, app: EmbedApp, registers: Iterable[str], integrations: Iterable[str], *, by: Actor) -> None:
        """Limit the tokens of an application from now on; empty lists mean no limit. Raises InvalidInput."""
        limits = clean_registers(registers), clean_integrations(integrations, self._integrations())
        if limits != (app.registers, app.integrations):
            app.registers, app.integrations = limits
            audit.record(AuditAction.EMBED_APP_CHANGED, by, subject=app.name, detail=_limits_in_words(app))
        db.session.commit()

    def switch(self, app: EmbedApp, *, on: bool, by: Actor) -> None:
        """Enable or disable an application. Tokens of a disabled one are refused at once."""
        if app.disabled is on:
            audit.record(AuditAction.EMBED_APP_ENABLED if on else AuditAction.EMBED_APP_DISABLED, by, subject=app.name)
        app.disabled = not on
        db.session.commit()

    def remove(self, app: EmbedApp, *, by: Actor) -> None:
        db.session.delete(app)
        audit.record(AuditAction.EMBED_APP_DELETED, by, subject=app.name)
        db.session.commit()

    def _new_secret(self, app: EmbedApp, action: AuditAction, by: Actor) -> Secret:
        kid, value = f"lpk_{secrets.token_hex(8)}", secrets.token_urlsafe(32)
        sealed = self._vault.seal(value, _associated_data(app.id, kid))
        db.session.add(EmbedKey(kid=kid, app_id=app.id, sealed=sealed, created_by=by.name[:200]))
        words = [kid, _origins_in_words(app.origins)]
        if app.registers or app.integrations:
            words.append(_limits_in_words(app))
        detail = kid if action is AuditAction.EMBED_APP_ROTATED else ", ".join(words)
        audit.record(action, by, subject=app.name, detail=detail)
        db.session.commit()
        return Secret(app.name, kid, value, tuple(app.origins))

    # --- tokens --------------------------------------------------------------------------------------------------

    def sign(
        self, app: EmbedApp, obj: ObjectRef, *, subject: str, can: Sequence[str], seconds: int, **more: Any
    ) -> str:
        """Sign a token with the application's newest secret. Raises InvalidInput when it would not be accepted."""
        key = self.keys(app)[0]
        claims = {
            "aud": AUDIENCE, "exp": int(time.time()) + seconds, "sub": subject, "register": obj.register,
            "schema": obj.schema, "objectId": obj.object_id, "can": list(can), **more,
        }  # fmt: skip
        header = {"alg": ALGORITHM, "kid": key.kid, "typ": "JWT"}
        from panel.accounts.embed_signatures import signed  # slow to import

        token = signed(header, claims, self._secret(key), ALGORITHM)
        try:
            grant = self.verify(token)
        except BadToken as exc:
            raise InvalidInput("can", exc.message) from None
        if grant.outside:
            raise InvalidInput("register", grant.outside)
        return token

    def verify(self, token: str, *, revision: int | None = ASK) -> EmbedGrant:
        """Verify a token. Raises BadToken naming the violated rule.

        ``revision`` is that of the database, if it was read during this request: while it stays, so do the secrets and
        the applications. Whether the token has expired is checked anew.
        """
        digest = hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
        verified = self._kept.get(digest, lambda: self._verified(token), at=revision)
        assert verified is not None  # noqa: S101  (a token that is not accepted raises)
        _expires(verified.claims, time.time())
        return verified.grant

    def _verified(self, token: str) -> _Verified:
        from panel.accounts.embed_signatures import verified  # slow to import

        header = _json_part(_segments(token)[0], "header")
        key, app = self._signer(header)
        try:
            # The algorithm is fixed, so that the header of a token cannot choose a weaker one.
            claims = verified(token, self._secret(key), ALGORITHM)
        except ValueError as exc:
            raise BadToken(_("The signature is not that of the secret with this key id.")) from exc
        # Checked after the signature, so that only a holder of the secret learns of it.
        if app.disabled:
            raise BadToken(_("The application {name} is switched off.", name=app.name))
        return _Verified(replace(_grant_of(app, claims), token=token), claims)

    def _signer(self, header: Mapping[str, Any]) -> tuple[EmbedKey, EmbedApp]:
        unknown = set(header) - _HEADER
        if unknown:
            raise BadToken(
                _("The header holds {names}, which is not accepted.", names=", ".join(sorted(map(str, unknown))))
            )
        if header.get("alg") != ALGORITHM:
            raise BadToken(_("The header's alg must be {algorithm}.", algorithm=ALGORITHM))
        if str(header.get("typ", "JWT")).upper() != "JWT":
            raise BadToken(_("The header's typ must be JWT, or left out."))
        kid = header.get("kid")
        if not isinstance(kid, str) or not kid:
            raise BadToken(_("The header names no key (kid)."))
        # PostgreSQL fails for a NUL in a text, so the id is checked before the query.
        key = db.session.get(EmbedKey, kid) if len(kid) <= 32 and kid.isprintable() else None
        if key is None:
            raise BadToken(_("No application has a secret with this key id; it may have been retired."))
        return key, self.get(key.app_id)

    def _secret(self, key: EmbedKey) -> str:
        try:
            return self._vault.open(key.sealed, _associated_data(key.app_id, key.kid))
        except Unreadable as exc:
            log.error("the embedding secret %s does not open: no encryption key fits", key.kid)
            raise BadToken(_("The stored secret cannot be read: its encryption key is missing.")) from exc


def unverified(token: str) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Header and claims without verification, for display only. Raises BadToken when they cannot be decoded."""
    header, claims, _ = _segments(token)
    return _json_part(header, "header"), _json_part(claims, "claims")


def clean_origins(origins: Iterable[str]) -> list[str]:
    """The origins in the form that browsers use. Raises InvalidInput."""
    known: dict[str, None] = {}
    for text in origins:
        if text.strip():
            known[_origin(text)] = None
    if not known:
        raise InvalidInput("origins", _("Name at least one origin, such as https://app.example.org."))
    return list(known)


def _origins_in_words(origins: Iterable[str]) -> str:
    return f"origins {' '.join(origins)}"


def _limits_in_words(app: EmbedApp) -> str:
    return f"registers {', '.join(app.registers or ['all'])}; integrations {', '.join(app.integrations or ['all'])}"


def _origin(text: str) -> str:
    """Normalise one origin. It is sent in a CSP header, so it may hold scheme, host and port only."""
    found = _ORIGIN.fullmatch(text.strip().lower().rstrip("/"))
    if found is None or int(found[3] or 1) not in range(1, 65536) or ".." in found[2]:
        raise InvalidInput(
            "origins", _("“{text}” is no origin: write https://host or https://host:port.", text=text.strip()[:100])
        )
    scheme, host, port = found.groups()
    usual = {"http": "80", "https": "443"}[scheme]
    return f"{scheme}://{host}" if port in (None, usual) else f"{scheme}://{host}:{int(port)}"


def _associated_data(app_id: str, kid: str) -> AssociatedData:
    return AssociatedData(app_id, "embed-app", kid)


# --- reading a token -------------------------------------------------------------------------------------------------


def _segments(token: str) -> list[str]:
    """The three parts, in strict base64url, so that a token has only one valid spelling. Raises BadToken."""
    parts = token.split(".") if len(token) <= _LONGEST_TOKEN else []
    if len(parts) != 3 or not all(_SEGMENT.fullmatch(part) for part in parts):
        raise BadToken(_("This is no token: it has three parts of letters, digits, - and _, joined by dots."))
    for part in parts:
        _bytes_of(part)
    return parts


def _bytes_of(part: str) -> bytes:
    try:
        return urlsafe_b64decode(part.encode())
    except (binascii.Error, ValueError):
        raise BadToken(_("A part of the token is no base64url.")) from None


def _json_part(part: str, name: str) -> dict[str, Any]:
    try:
        value = json.loads(_bytes_of(part))
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise BadToken(_("The token's {name} is no JSON object.", name=name))
    return value


def _grant_of(app: EmbedApp, claims: Mapping[str, Any]) -> EmbedGrant:
    """Raises BadToken."""
    if claims.get("aud") not in (AUDIENCE, [AUDIENCE]):
        raise BadToken(_("The claim aud must be “{audience}”.", audience=AUDIENCE))
    expires = _expires(claims, time.time())
    obj = ObjectRef(_text(claims, "register", 255), _text(claims, "schema", 255), _object_id(claims))
    limits = Limits(obj, as_limit(app.registers), _both(_integrations(claims), as_limit(app.integrations)))
    principal = Principal(_text(claims, "sub", 150), f"embed:{app.id}", _can(claims), limits, app.name)
    try:
        title, prefill = title_of(claims), prefill_of(claims)
    except InvalidInput as exc:
        raise BadToken(exc.message) from None
    shown = (_theme(claims), _lang(claims), title, prefill)
    return EmbedGrant(principal, obj, app.name, tuple(app.origins), expires, *shown)


def _expires(claims: Mapping[str, Any], now: float) -> float:
    expires = _moment(claims, "exp")
    if expires is None:
        raise BadToken(_("The claim exp is missing."))
    if expires < now - SKEW_S:
        raise BadToken(_("The token has expired."))
    if expires > now + LONGEST_S + SKEW_S:
        raise BadToken(_("The claim exp is more than 15 minutes ahead."))
    for name in ("nbf", "iat"):
        moment = _moment(claims, name)
        if moment is not None and moment > now + SKEW_S:
            raise BadToken(_("The claim {name} lies in the future.", name=name))
    return expires


def _moment(claims: Mapping[str, Any], name: str) -> float | None:
    value = claims.get(name)
    if name not in claims:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not -_MAX_TIMESTAMP < value < _MAX_TIMESTAMP:
        raise BadToken(_("The claim {name} must be a number of seconds.", name=name))
    return float(value)


def _text(claims: Mapping[str, Any], name: str, longest: int) -> str:
    value = claims.get(name)
    if not isinstance(value, str) or not value.strip() or len(value) > longest or not value.isprintable():
        raise BadToken(
            _("The claim {name} must be a text of 1 to {longest} printable characters.", name=name, longest=longest)
        )
    return value


def _object_id(claims: Mapping[str, Any]) -> str:
    """The id of the object, which an application with numeric ids may sign as a number."""
    value = claims.get("objectId")
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return _text({"objectId": str(value)} if is_number else claims, "objectId", 255)


def _can(claims: Mapping[str, Any]) -> frozenset[Action]:
    value = claims.get("can")
    known = isinstance(value, list) and all(isinstance(word, str) and word in GRANTABLE for word in value)
    if not value or not known:
        raise BadToken(_("The claim can must be a list of {known}, and not empty.", known=", ".join(GRANTABLE)))
    return frozenset(GRANTABLE[word] for word in value)


def _integrations(claims: Mapping[str, Any]) -> frozenset[str] | None:
    value = claims.get("integrations")
    if "integrations" not in claims:
        return None
    if not isinstance(value, list) or not value or not all(isinstance(word, str) and word for word in value):
        raise BadToken(_("The claim integrations must be a list of their ids, or left out."))
    return frozenset(value)


def _both(claimed: frozenset[str] | None, allowed: frozenset[str] | None) -> frozenset[str] | None:
    """The integrations that the token and its application both allow."""
    if claimed is None or allowed is None:
        return claimed if allowed is None else allowed
    return claimed & allowed


def _theme(claims: Mapping[str, Any]) -> str:
    value = claims.get("theme", "")
    if value not in ("", *THEMES):
        raise BadToken(_("The claim theme must be one of {known}.", known=", ".join(THEMES)))
    return str(value)


def _lang(claims: Mapping[str, Any]) -> str:
    value = claims.get("lang", "")
    if not isinstance(value, str) or not re.fullmatch(r"([A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*)?", value):
        raise BadToken(_("The claim lang must be a language, such as nl."))
    return value
