"""Embedding applications and their tokens: what is let in, and everything that is not."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from embedders import claims_for, encoded, signed, token_of
from flask import Flask
from support import ALICE, CASE

from panel.accounts.embed_tokens import BadToken, EmbedApps, Secret
from panel.accounts.principal import Action, Principal
from panel.core.domain import ObjectRef
from panel.core.errors import Conflict, InvalidInput, NotFound
from panel.credentials.rotation import rotate
from panel.services import Panel
from panel.storage.engine import db
from panel.storage.models import EmbedKey

ORIGIN = "https://cases.example.org"


@pytest.fixture
def apps(services: Panel) -> EmbedApps:
    return services.embed_apps


@pytest.fixture
def made(apps: EmbedApps) -> Secret:
    return apps.create("Cases", [ORIGIN], by=ALICE)


def test_an_application_is_found_by_its_name_beyond_ascii_whatever_its_case(apps: EmbedApps) -> None:
    apps.create("Çevre Müdürlüğü", [ORIGIN], by=ALICE)

    assert apps.named("çevre müdürlüğü").name == "Çevre Müdürlüğü"
    with pytest.raises(Conflict):
        apps.create("ÇEVRE MÜDÜRLÜĞÜ", [ORIGIN], by=ALICE)


def test_a_sound_token_lets_in_who_it_names_to_its_object(apps: EmbedApps, made: Secret) -> None:
    held = apps.verify(token_of(made, CASE, can=["view", "link"], theme="dark"))

    assert (held.principal.name, held.object, held.origins, held.theme) == ("alice", CASE, (ORIGIN,), "dark")
    assert held.principal.can == {Action.VIEW, Action.LINK}
    assert not held.principal.is_admin


def test_a_numeric_object_id_is_that_of_its_digits(apps: EmbedApps, made: Secret) -> None:
    assert apps.verify(token_of(made, CASE, objectId=42)).object == ObjectRef("demo", "case", "42")


@pytest.mark.parametrize("ahead", [-29, 60, 899, 925])
def test_clocks_may_differ_a_little(apps: EmbedApps, made: Secret, ahead: int) -> None:
    assert apps.verify(token_of(made, CASE, exp=time.time() + ahead)).object == CASE


@pytest.mark.parametrize(
    "more", [{"aud": ["leafpanel"]}, {"iat": 1}, {"nbf": 1}, {"jti": "x"}, {"integrations": ["a"]}]
)
def test_what_libraries_add_does_no_harm(apps: EmbedApps, made: Secret, more: dict[str, Any]) -> None:
    assert apps.verify(token_of(made, CASE, **more)).object == CASE


NOW = time.time
Forge = Callable[[Secret], str]


def _claims(**changes: Any) -> Forge:
    return lambda made: token_of(made, CASE, **{k: v() if callable(v) else v for k, v in changes.items()})


def _header(**changes: Any) -> Forge:
    def forge(made: Secret) -> str:
        header = {"alg": "HS256", "kid": made.kid, "typ": "JWT", **changes}
        return signed(made.value, {k: v for k, v in header.items() if v is not None}, claims_for(CASE))

    return forge


def _secret(change: Callable[[str], str]) -> Forge:
    return lambda made: signed(change(made.value), {"alg": "HS256", "kid": made.kid}, claims_for(CASE))


def _unsigned(alg: str) -> Forge:
    return lambda made: f"{encoded({'alg': alg, 'kid': made.kid})}.{encoded(claims_for(CASE))}."


def _tampered(made: Secret) -> str:
    header, _, signature = token_of(made, CASE).split(".")
    return f"{header}.{encoded(claims_for(CASE, objectId='2'))}.{signature}"


def _last_character(made: Secret) -> str:
    """Other spare bits at the end: the same signature in another spelling."""
    token = token_of(made, CASE)
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return token[:-1] + letters[letters.index(token[-1]) ^ 1]


FORGED: dict[str, Forge] = {
    "nothing": lambda made: "",
    "words": lambda made: "not a token",
    "two parts": lambda made: token_of(made, CASE).rpartition(".")[0],
    "four parts": lambda made: f"{token_of(made, CASE)}.e30",
    "no signature": lambda made: token_of(made, CASE).rpartition(".")[0] + ".",
    "padding": lambda made: f"{token_of(made, CASE)}=",
    "other spelling": _last_character,
    "white space": lambda made: f" {token_of(made, CASE)}",
    "too long": lambda made: token_of(made, CASE, jti="x" * 9000),
    "claims are a list": lambda made: signed(made.value, {"alg": "HS256", "kid": made.kid}, [1]),
    "claims are deep": lambda made: signed(made.value, {"alg": "HS256", "kid": made.kid}, b"[" * 4000),
    "header is a list": lambda made: f"{encoded([1])}.{encoded(claims_for(CASE))}.{'A' * 43}",
    "alg none": _unsigned("none"),
    "alg None": _unsigned("None"),
    "alg none, signed": _header(alg="none"),
    "alg HS384": lambda m: signed(m.value, {"alg": "HS384", "kid": m.kid}, claims_for(CASE), hashlib.sha384),
    "alg HS512": lambda m: signed(m.value, {"alg": "HS512", "kid": m.kid}, claims_for(CASE), hashlib.sha512),
    "alg RS256": _header(alg="RS256"),
    "alg lower case": _header(alg="hs256"),
    "alg missing": _header(alg=None),
    "kid missing": _header(kid=None),
    "kid unknown": _header(kid="lpk_0000000000000000"),
    "kid of another": lambda made: signed(made.value, {"alg": "HS256", "kid": other(made).kid}, claims_for(CASE)),
    "kid is SQL": _header(kid="' OR 1=1 --"),
    "kid is a number": _header(kid=7),
    "crit": _header(crit=["exp"]),
    "crit unknown": _header(crit=["x-own"], **{"x-own": 1}),
    "jku": _header(jku="https://evil.example/keys"),
    "x5u": _header(x5u="https://evil.example/cert"),
    "jwk": _header(jwk={"kty": "oct", "k": "AAAA"}),
    "b64": _header(b64=False),
    "typ": _header(typ="at+jwt"),
    "empty key": _secret(lambda secret: ""),
    "key in other case": _secret(str.swapcase),
    "key id as key": lambda made: signed(made.kid, {"alg": "HS256", "kid": made.kid}, claims_for(CASE)),
    "tampered": _tampered,
    "aud missing": _claims(aud=None),
    "aud another": _claims(aud="other"),
    "aud several": _claims(aud=["leafpanel", "other"]),
    "exp missing": _claims(exp=None),
    "exp past": _claims(exp=lambda: NOW() - 31),
    "exp too far": _claims(exp=lambda: NOW() + 960),
    "exp text": _claims(exp=lambda: str(NOW() + 60)),
    "exp true": _claims(exp=True),
    "exp infinite": _claims(exp=float("inf")),
    "exp no number": _claims(exp=float("nan")),
    "exp huge": _claims(exp=10**400),
    "nbf ahead": _claims(nbf=lambda: NOW() + 120),
    "iat ahead": _claims(iat=lambda: NOW() + 120),
    "sub missing": _claims(sub=None),
    "sub empty": _claims(sub=" "),
    "register missing": _claims(register=None),
    "schema a number": _claims(schema=1),
    "objectId missing": _claims(objectId=None),
    "objectId true": _claims(objectId=True),
    "objectId a fraction": _claims(objectId=1.5),
    "objectId a long number": _claims(objectId=10**255),
    "objectId with a line": _claims(objectId="1\n2"),
    "can missing": _claims(can=None),
    "can empty": _claims(can=[]),
    "can a text": _claims(can="view"),
    "can admin": _claims(can=["view", "admin"]),
    "can a map": _claims(can={"view": True}),
    "can nested": _claims(can=[["view"]]),
    "integrations empty": _claims(integrations=[]),
    "integrations text": _claims(integrations="a"),
    "theme": _claims(theme="pink"),
    "lang": _claims(lang='"><script>'),
}

_others: dict[str, Secret] = {}


def other(made: Secret) -> Secret:
    return _others[made.kid]


@pytest.mark.parametrize("forge", FORGED.values(), ids=FORGED.keys())
def test_no_forged_or_stale_token_is_accepted(apps: EmbedApps, made: Secret, forge: Forge) -> None:
    _others[made.kid] = apps.create("Another", [ORIGIN], by=ALICE)

    with pytest.raises(BadToken):
        apps.verify(forge(made))


def test_two_secrets_hold_until_the_old_one_is_retired(apps: EmbedApps, made: Secret) -> None:
    app = apps.named("cases")
    new = apps.rotate(app, by=ALICE)
    with pytest.raises(Conflict):
        apps.rotate(app, by=ALICE)

    assert [apps.verify(token_of(one, CASE)).app for one in (made, new)] == ["Cases", "Cases"]
    apps.retire(app, by=ALICE)
    assert apps.verify(token_of(new, CASE)).app == "Cases"
    with pytest.raises(BadToken, match="retired"):
        apps.verify(token_of(made, CASE))


def test_a_switched_off_or_removed_application_lets_nobody_in(apps: EmbedApps, made: Secret) -> None:
    app = apps.named("Cases")
    apps.switch(app, on=False, by=ALICE)
    with pytest.raises(BadToken, match="switched off"):
        apps.verify(token_of(made, CASE))

    apps.remove(app, by=ALICE)

    assert db.session.get(EmbedKey, made.kid) is None
    with pytest.raises(BadToken):
        apps.verify(token_of(made, CASE))


def test_the_secret_is_kept_sealed_and_outlives_a_change_of_keys(app: Flask, apps: EmbedApps, made: Secret) -> None:
    config = app.extensions["leafpanel"].config
    before = db.session.get_one(EmbedKey, made.kid).sealed
    db.session.commit()

    done = rotate(db.engine, config, by=ALICE)
    db.session.expire_all()

    assert made.value not in before
    assert (done.resealed, done.unreadable) == (1, ())
    assert db.session.get_one(EmbedKey, made.kid).sealed != before
    assert apps.verify(token_of(made, CASE)).object == CASE


def test_a_secret_does_not_open_in_the_row_of_another(apps: EmbedApps, made: Secret) -> None:
    another = apps.create("Another", [ORIGIN], by=ALICE)
    row = db.session.get_one(EmbedKey, another.kid)
    row.sealed = db.session.get_one(EmbedKey, made.kid).sealed
    db.session.commit()

    with pytest.raises(BadToken, match="cannot be read"):
        apps.verify(signed(made.value, {"alg": "HS256", "kid": another.kid}, claims_for(CASE)))


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("https://A.example.org/", "https://a.example.org"),
        ("https://a.example.org:443", "https://a.example.org"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://localhost:05000", "http://localhost:5000"),
    ],
)
def test_origins_are_kept_as_browsers_write_them(apps: EmbedApps, typed: str, kept: str) -> None:
    assert apps.create("A", [typed], by=ALICE).origins == (kept,)


@pytest.mark.parametrize(
    "typed",
    ["", "*", "https://*.example.org", "example.org", "https://a/path", "https://a;script-src *", "https://a b",
     "https://a,https://b", "ftp://a", "https://u:p@a", "https://a?x", "https://a:99999", "'self'", "https://a..b",
     "https://a\r\nX: 1", "javascript:alert(1)", "null"],
)  # fmt: skip
def test_what_is_no_origin_is_refused(apps: EmbedApps, typed: str) -> None:
    with pytest.raises(InvalidInput):
        apps.create("A", [typed], by=ALICE)


def test_names_are_unique_whatever_their_case(apps: EmbedApps, made: Secret) -> None:
    with pytest.raises(Conflict):
        apps.create("CASES", [ORIGIN], by=ALICE)


# --- limits ----------------------------------------------------------------------------------------------------------

PERMIT = ObjectRef("permits", "case", "1")


def test_an_application_without_limits_signs_for_every_register(apps: EmbedApps, made: Secret) -> None:
    apps.verify(token_of(made, PERMIT)).principal.require(Action.LINK, PERMIT, "xwiki")


def test_a_token_for_a_register_of_another_application_reaches_nothing(apps: EmbedApps) -> None:
    made = apps.create("Cases", [ORIGIN], registers=["demo"], by=ALICE)

    own, outside = apps.verify(token_of(made, CASE)), apps.verify(token_of(made, PERMIT))

    own.principal.require(Action.LINK, CASE, "xwiki")
    assert (own.outside, outside.outside) == ("", "Cases is limited to the registers demo.")
    for obj in (PERMIT, CASE, None):
        with pytest.raises(NotFound):
            outside.principal.require(Action.VIEW, obj)


@pytest.mark.parametrize(
    ("claimed", "sees"),
    [(None, ["xwiki"]), (["xwiki", "openproject"], ["xwiki"]), (["openproject"], [])],
)
def test_a_token_sees_the_integrations_that_it_and_its_application_allow(
    apps: EmbedApps, claimed: list[str] | None, sees: list[str]
) -> None:
    made = apps.create("Cases", [ORIGIN], integrations=["xwiki"], by=ALICE)

    principal = apps.verify(token_of(made, CASE, integrations=claimed)).principal

    assert [leaf for leaf in ("xwiki", "openproject") if principal.sees(leaf)] == sees


def test_changed_limits_hold_for_tokens_that_are_out(apps: EmbedApps, made: Secret) -> None:
    token = token_of(made, CASE)
    apps.set_limits(apps.named("Cases"), [" permits ", "permits"], ["xwiki"], by=ALICE)

    assert apps.verify(token).outside == "Cases is limited to the registers permits."
    apps.set_limits(apps.named("Cases"), [], [], by=ALICE)
    assert apps.verify(token).outside == ""
    assert apps.verify(token).principal.sees("openproject")


def test_no_token_is_signed_for_another_register(apps: EmbedApps) -> None:
    apps.create("Cases", [ORIGIN], registers=["demo"], by=ALICE)

    with pytest.raises(InvalidInput) as refused:
        apps.sign(apps.named("Cases"), PERMIT, subject="alice", can=["view"], seconds=60)

    assert (refused.value.field, str(refused.value)) == ("register", "Cases is limited to the registers demo.")


@pytest.mark.parametrize(
    ("limits", "field"), [({"registers": ["a\nb"]}, "registers"), ({"integrations": ["jira"]}, "integrations")]
)
def test_wrong_limits_are_refused_by_their_field(apps: EmbedApps, limits: dict[str, list[str]], field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        apps.create("Cases", [ORIGIN], **limits, by=ALICE)

    assert (refused.value.field, apps.all()) == (field, [])


def test_a_name_in_a_token_is_shown_with_the_application_that_chose_it(apps: EmbedApps, made: Secret) -> None:
    assert apps.verify(token_of(made, CASE, sub="Boss")).principal.shown_name == "Boss (Cases)"
    assert Principal("Boss", "session", frozenset()).shown_name == "Boss"


def test_a_shown_name_fits_into_its_column_and_keeps_the_user(apps: EmbedApps) -> None:
    made = apps.create("A" * 200, [ORIGIN], by=ALICE)

    shown = apps.verify(token_of(made, CASE, sub="u" * 150)).principal.shown_name

    assert len(shown) == 200
    assert shown.startswith(f"{'u' * 150} (AAA")
    assert shown.endswith("A…)")


def test_the_command_limits_an_application_and_warns_without_a_register(app: Flask) -> None:
    runner = app.test_cli_runner()
    create = ["embed-app", "create", "--origin", "http://localhost:5000"]

    limited = runner.invoke(args=[*create, "Shop", "--register", "a", "--register", "b", "--integration", "xwiki"])
    unlimited = runner.invoke(args=[*create, "Zoo", "--json"])
    refused = runner.invoke(args=["embed-url", "c", "case", "1", "--app", "Shop"])
    rows = json.loads(runner.invoke(args=["embed-app", "list", "--json"]).stdout)

    assert (limited.exit_code, limited.stderr) == (0, "")
    assert "Zoo can sign tokens for every register." in unlimited.stderr
    assert list(json.loads(unlimited.stdout)) == ["name", "kid", "secret", "origin"]
    assert (refused.exit_code, "Shop is limited to the registers a, b." in refused.stderr) == (1, True)
    assert [(row["registers"], row["integrations"]) for row in rows] == [(["a", "b"], ["xwiki"]), ([], [])]
    assert "(every register)" in runner.invoke(args=["embed-app", "list"]).stdout


def test_the_commands_make_an_application_and_an_address(app: Flask) -> None:
    runner = app.test_cli_runner()

    made = runner.invoke(args=["embed-app", "create", "Shop", "--origin", "http://localhost:5000", "--json"])
    url = runner.invoke(args=["embed-url", "demo", "case", "a b", "--app", "Shop", "--can", "view", "--json"])

    created = json.loads(made.stdout)
    assert list(created) == ["name", "kid", "secret", "origin"]
    assert (created["name"], created["origin"]) == ("Shop", "http://localhost:5000")
    address = json.loads(url.stdout)["url"]
    assert address.startswith("http://127.0.0.1:8000/embed/demo/case/a%20b?token=")
    with app.app_context():
        held = app.extensions["leafpanel"].embed_apps.verify(address.partition("token=")[2])
    assert (held.object.object_id, held.principal.can) == ("a b", {Action.VIEW})


def test_the_commands_change_and_end_secrets(app: Flask) -> None:
    runner = app.test_cli_runner()
    runner.invoke(args=["embed-app", "create", "Shop", "--origin", "http://localhost:5000"])

    rotated = runner.invoke(args=["embed-app", "rotate", "Shop", "--json"])
    retired = runner.invoke(args=["embed-app", "retire", "Shop"])
    listed = runner.invoke(args=["embed-app", "list", "--json"])

    assert (rotated.exit_code, retired.exit_code) == (0, 0)
    rows = json.loads(listed.stdout)
    assert rows[0]["kids"] == [json.loads(rotated.stdout)["kid"]]
    assert "secret" not in rows[0]
