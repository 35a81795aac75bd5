from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
import time_machine
from sqlalchemy import text
from support import CONSOLE, MakeApp, signs_in
from werkzeug.security import generate_password_hash

from panel.accounts.passwords import COMMON, METHOD
from panel.accounts.people import ABSOLUTE, IDLE, ONE_TIME, Budget, People, SignInAttempt, Throttled, principal_of
from panel.accounts.principal import Action
from panel.core.clock import now
from panel.core.errors import Conflict, InvalidInput
from panel.core.text import fold
from panel.services import Panel
from panel.storage.engine import db
from panel.storage.migrations import alembic
from panel.storage.models import User, UserSession

PASSWORD = "correct horse"
STRANGER = "203.0.113.9"


@pytest.fixture
def people(services: Panel) -> People:
    return services.people


@pytest.fixture
def alice(people: People) -> User:
    return people.create("alice", PASSWORD, role="admin", by=CONSOLE)


@pytest.fixture
def clock() -> Iterator[time_machine.Coordinates]:
    with time_machine.travel(now(), tick=False) as coordinates:
        yield coordinates


# --- the first one ---------------------------------------------------------------------------------------------------


def test_the_first_start_makes_one_admin_with_a_one_time_password(services: Panel) -> None:
    password = services.people.first_admin_password(by=CONSOLE)

    assert password is not None
    assert signs_in(services, "admin", password)
    assert services.people.named("admin").must_choose


def test_the_one_time_password_ends_when_its_owner_chooses_one(services: Panel) -> None:
    password = services.people.first_admin_password(by=CONSOLE) or ""
    services.people.choose_password(services.people.named("admin"), "a better one", by=CONSOLE)

    assert not signs_in(services, "admin", password)
    assert signs_in(services, "ADMIN", "a better one")
    assert services.people.first_admin_password(by=CONSOLE) is None


def test_a_one_time_password_lasts_a_day(services: Panel, clock: time_machine.Coordinates) -> None:
    _, password = services.people.invite("alice", role="admin", by=CONSOLE)
    _, too_late = services.people.invite("bob", role="admin", by=CONSOLE)

    clock.shift(ONE_TIME - timedelta(minutes=1))
    assert signs_in(services, "alice", password)
    clock.shift(timedelta(minutes=2))
    assert not signs_in(services, "bob", too_late)


def test_a_one_time_password_works_once(services: Panel) -> None:
    password = services.people.first_admin_password(by=CONSOLE) or ""

    assert signs_in(services, "admin", password)
    assert not signs_in(services, "admin", password)
    assert services.people.named("admin").must_choose


def test_each_start_prints_another_one_time_password_until_one_is_chosen(services: Panel) -> None:
    first, second = (services.people.first_admin_password(by=CONSOLE) or "" for _ in range(2))

    assert first != second
    assert not signs_in(services, "admin", first)
    assert signs_in(services, "admin", second)


def test_no_password_is_printed_while_an_administrator_has_chosen_one(services: Panel, alice: User) -> None:
    first, _ = services.people.invite("first", role="admin", by=CONSOLE)
    handed_over = services.people.reset(first, by=CONSOLE)

    assert services.people.first_admin_password(by=CONSOLE) is None
    assert signs_in(services, "first", handed_over)


def test_an_editor_with_a_password_is_no_administrator(services: Panel) -> None:
    services.people.invite("admin", role="admin", by=CONSOLE)
    services.people.create("bob", PASSWORD, role="editor", by=CONSOLE)

    assert services.people.first_admin_password(by=CONSOLE) is not None


def test_a_password_is_printed_though_an_administrator_who_chose_one_is_disabled(services: Panel, alice: User) -> None:
    services.people.invite("bob", role="admin", by=CONSOLE)
    services.people.switch(alice, on=False, by=CONSOLE)

    password = services.people.first_admin_password(by=CONSOLE) or ""

    assert services.people.first_admin_name() == "bob"
    assert signs_in(services, "bob", password)


# --- keeping them ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "password"), [("", PASSWORD), ("a\nb", PASSWORD), ("alice", "short")])
def test_bad_names_and_passwords_are_refused(people: People, name: str, password: str) -> None:
    with pytest.raises(InvalidInput):
        people.create(name, password, role="admin", by=CONSOLE)


def test_a_name_is_taken_whatever_its_case(people: People, alice: User) -> None:
    with pytest.raises(Conflict):
        people.invite("Alice", role="viewer", by=CONSOLE)


def test_passwords_are_kept_as_costly_scrypt(people: People, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("panel.accounts.passwords.METHOD", METHOD)

    chosen = people.create("alice", PASSWORD, role="admin", by=CONSOLE)
    invited, _ = people.invite("bob", role="viewer", by=CONSOLE)

    assert chosen.password_hash.startswith("scrypt:32768:8:3$")
    assert invited.password_hash.startswith("scrypt:32768:8:3$")


def test_a_sign_in_stores_a_password_of_a_lower_cost_anew(services: Panel, alice: User) -> None:
    alice.password_hash = generate_password_hash(PASSWORD, "scrypt:128:1:1")
    db.session.commit()

    assert not signs_in(services, "alice", "wrong")
    assert alice.password_hash.startswith("scrypt:128:1:1$")
    assert signs_in(services, "alice", PASSWORD)
    assert alice.password_hash.startswith("scrypt:256:1:1$")
    assert signs_in(services, "alice", PASSWORD)


EASY = [
    "password", "Passw0rd", "P@ssw0rd2026!", "12345678", "1984-05-12", "        ", "abababab", "qwertyuiop", "Welcome01",
    "iloveyou", "leafpanel", "Leafpanel-2026!", "AnnaBoss", "annaboss1", "Boss99999", "127.0.0.1", "dragon1234", "1q2w3e4r",
]  # fmt: skip


@pytest.mark.parametrize("password", EASY)
def test_an_easy_password_is_refused_in_one_sentence(people: People, password: str) -> None:
    user, _ = people.invite("Anna Boss", role="viewer", by=CONSOLE)

    with pytest.raises(InvalidInput, match=r"^This password is easy to guess: [^.]+\.$") as refused:
        people.choose_password(user, password, by=CONSOLE)
    assert refused.value.field == "password"


@pytest.mark.parametrize(
    "password", ["correct horse", "Boss likes green tea", "gT7#kq2Zx", "wandelende tak 12", "пароль-из-слов"]
)
def test_a_password_that_is_not_easy_is_accepted(services: Panel, password: str) -> None:
    services.people.create("Anna Boss", password, role="viewer", by=CONSOLE)

    assert signs_in(services, "anna boss", password)


def test_the_words_of_the_panels_address_make_no_password(make_app: MakeApp) -> None:
    app = make_app(PANEL_PUBLIC_URL="https://bridges.example.org", PANEL_TRUSTED_PROXIES="1")

    with app.app_context(), pytest.raises(InvalidInput, match="easy to guess"):
        app.extensions["leafpanel"].people.create("anna", "Bridges.Example2", role="viewer", by=CONSOLE)


def test_the_list_of_common_passwords_has_some_thousand_in_the_compared_form() -> None:
    words = COMMON.read_text("utf-8").splitlines()

    assert len(words) > 3000
    assert words == sorted({fold(word) for word in words})


@pytest.mark.parametrize("length", [7, 1001])
def test_both_limits_of_a_password_are_named(people: People, length: int) -> None:
    with pytest.raises(InvalidInput, match="at least 8 characters and at most 1,000"):
        people.create("anna", ("green tea " * 101)[:length], role="viewer", by=CONSOLE)


@pytest.mark.parametrize(
    ("role", "can", "cannot"),
    [("viewer", Action.VIEW, Action.LINK), ("editor", Action.UNLINK, Action.ADMIN), ("admin", Action.ADMIN, None)],
)
def test_a_person_may_do_what_their_role_says(people: People, role: str, can: Action, cannot: Action | None) -> None:
    principal = principal_of(people.create("bob", PASSWORD, role=role, by=CONSOLE))

    assert principal.may(can)
    assert cannot is None or not principal.may(cannot)


def test_somebody_added_signs_in_with_the_one_time_password(services: Panel) -> None:
    user, password = services.people.invite("bob", role="editor", by=CONSOLE)

    assert user.must_choose
    assert signs_in(services, "bob", password)


def test_a_reset_replaces_the_password_and_ends_every_session(services: Panel, alice: User) -> None:
    proof = services.people.begin_session(alice, by=CONSOLE)

    password = services.people.reset(alice, by=CONSOLE)

    assert services.people.person(proof) is None
    assert not signs_in(services, "alice", PASSWORD)
    assert signs_in(services, "alice", password)


def test_somebody_kept_out_is_out_at_once(services: Panel, alice: User) -> None:
    bob = services.people.create("bob", PASSWORD, role="viewer", by=CONSOLE)
    proof = services.people.begin_session(bob, by=CONSOLE)

    services.people.switch(bob, on=False, by=CONSOLE)

    assert services.people.person(proof) is None
    assert not signs_in(services, "bob", PASSWORD)
    services.people.switch(bob, on=True, by=CONSOLE)
    assert signs_in(services, "bob", PASSWORD)


def test_the_last_administrator_stays_one(people: People, alice: User) -> None:
    people.create("bob", PASSWORD, role="editor", by=CONSOLE)

    with pytest.raises(Conflict, match="only administrator"):
        people.set_role(alice, "viewer", by=CONSOLE)
    with pytest.raises(Conflict, match="only administrator"):
        people.switch(alice, on=False, by=CONSOLE)
    assert (alice.role, alice.disabled) == ("admin", False)


# --- sessions --------------------------------------------------------------------------------------------------------


def test_a_session_is_kept_as_a_hash_only(people: People, alice: User) -> None:
    proof = people.begin_session(alice, by=CONSOLE)

    assert people.person(proof) is alice
    assert db.session.query(UserSession).one().id_hash != proof


def test_an_ended_session_proves_nobody_any_more(people: People, alice: User) -> None:
    proof = people.begin_session(alice, by=CONSOLE)

    people.end_session(proof, by=CONSOLE)

    assert people.person(proof) is None


def test_a_session_that_nobody_uses_ends(people: People, alice: User, clock: time_machine.Coordinates) -> None:
    proof = people.begin_session(alice, by=CONSOLE)

    clock.shift(IDLE - timedelta(minutes=1))
    assert people.person(proof) is alice
    clock.shift(IDLE - timedelta(minutes=1))
    assert people.person(proof) is alice
    clock.shift(IDLE + timedelta(minutes=1))
    assert people.person(proof) is None


def test_what_a_page_asks_by_itself_keeps_no_session_alive(
    people: People, alice: User, clock: time_machine.Coordinates
) -> None:
    proof = people.begin_session(alice, by=CONSOLE)

    clock.shift(IDLE - timedelta(minutes=1))
    assert people.person(proof, active=False) is alice
    clock.shift(timedelta(minutes=2))
    assert people.person(proof) is None


def test_a_session_ends_at_last_whatever_happens(people: People, alice: User, clock: time_machine.Coordinates) -> None:
    proof = people.begin_session(alice, by=CONSOLE)
    used = 0

    while people.person(proof) is not None:
        clock.shift(timedelta(hours=1))
        used += 1

    assert timedelta(hours=used) == ABSOLUTE


# --- guessing --------------------------------------------------------------------------------------------------------


def looked_at(people: People, names: list[str], addresses: list[str], tries: int) -> int:
    """How many of so many wrong passwords were compared with anything."""
    count = 0
    for turn in range(tries):
        try:
            knock = SignInAttempt(addresses[turn % len(addresses)])
            people.sign_in(names[turn % len(names)], f"wrong {turn}", knock, by=CONSOLE)
            count += 1
        except Throttled:
            pass
    return count


@pytest.fixture
def cheap_hash(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten thousand looks at a password would take minutes if the throttle did not work."""
    monkeypatch.setattr("panel.accounts.passwords.check_password_hash", lambda stored, given: given == PASSWORD)


@pytest.mark.parametrize(
    ("names", "addresses", "a_minute"),
    [
        (["alice"], [STRANGER], 167),
        (["alice"], [f"203.0.113.{n}" for n in range(250)], 20),
        (["alice"], [f"2001:db8:1:2::{n:x}" for n in range(1, 250)], 20),
        ([f"person {n}" for n in range(500)], [STRANGER], 20),
    ],
    ids=["one address", "many addresses", "one network", "many accounts"],
)
@pytest.mark.usefixtures("cheap_hash", "alice")
def test_of_ten_thousand_wrong_passwords_in_an_hour_forty_are_looked_at(
    people: People, clock: time_machine.Coordinates, names: list[str], addresses: list[str], a_minute: int
) -> None:
    count = 0
    for _ in range(60):
        count += looked_at(people, names, addresses, a_minute)
        clock.shift(timedelta(minutes=1))

    assert 20 <= count <= 40


@pytest.mark.usefixtures("cheap_hash", "alice")
def test_the_owner_gets_in_from_elsewhere_while_a_stranger_guesses(services: Panel) -> None:
    looked_at(services.people, ["alice"], [STRANGER], 200)

    assert signs_in(services, "alice", PASSWORD, "192.0.2.1")


@pytest.mark.usefixtures("cheap_hash")
def test_the_owner_gets_in_with_a_known_browser_while_many_addresses_guess(services: Panel, alice: User) -> None:
    strangers = [f"203.0.113.{n}" for n in range(250)]
    looked_at(services.people, ["alice"], strangers, 500)
    known = SignInAttempt(strangers[0], device="a browser of alice", known=alice.id)

    assert services.people.sign_in("alice", PASSWORD, known, by=CONSOLE) is alice


@pytest.mark.usefixtures("cheap_hash", "alice")
def test_a_browser_known_for_one_person_helps_nobody_to_guess_another(people: People) -> None:
    bob = people.create("bob", PASSWORD, role="viewer", by=CONSOLE)
    count = 0
    for turn in range(100):
        try:
            people.sign_in("alice", f"wrong {turn}", SignInAttempt(STRANGER, device="bob's", known=bob.id), by=CONSOLE)
            count += 1
        except Throttled:
            pass

    assert count == 10


@pytest.mark.usefixtures("cheap_hash", "alice")
def test_right_passwords_use_nothing_up(services: Panel) -> None:
    assert all(signs_in(services, "alice", PASSWORD) for _ in range(100))


@pytest.mark.usefixtures("cheap_hash")
def test_the_wait_is_told_and_ends(people: People, alice: User, clock: time_machine.Coordinates) -> None:
    looked_at(people, ["alice"], [STRANGER], 20)
    with pytest.raises(Throttled) as refused:
        people.sign_in("alice", "wrong", SignInAttempt(STRANGER), by=CONSOLE)

    clock.shift(timedelta(seconds=refused.value.retry_after + 1))

    assert people.sign_in("alice", PASSWORD, SignInAttempt(STRANGER), by=CONSOLE) is alice


def test_those_who_guess_at_the_same_moment_share_one_budget(services: Panel) -> None:
    budget = [("a key", Budget(10, 60)), ("another", Budget(1000, 60))]

    with ThreadPoolExecutor(32) as pool:
        waits = list(pool.map(lambda _: services.people._budget_store.spend(budget), range(100)))

    assert sum(wait <= 0 for wait in waits) == 10


def test_an_unknown_name_costs_a_look_at_a_hash_too(people: People, monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[str] = []
    monkeypatch.setattr(
        "panel.accounts.passwords.check_password_hash", lambda stored, given: bool(compared.append(stored))
    )

    people.sign_in("nobody", PASSWORD, SignInAttempt(STRANGER), by=CONSOLE)

    assert [stored.partition(":")[0] for stored in compared] == ["scrypt"]


# --- names -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "typed"),
    [("Özgür", "Özgür"), ("Özgür", "özgür"), ("Élise", "E\u0301LISE"), ("Straße", "STRASSE"), ("Ωmega", "ωMEGA")],
)
def test_a_name_beyond_ascii_signs_in_whatever_its_case(services: Panel, name: str, typed: str) -> None:
    # Greek and Latin in one name may come from an older version.
    db.session.add(User(name=name, role="viewer", password_hash=generate_password_hash(PASSWORD, "scrypt:256:1:1")))
    db.session.commit()

    assert signs_in(services, typed, PASSWORD)
    assert services.people.named(typed).name == name


def test_a_name_beyond_ascii_is_taken_whatever_its_case(people: People) -> None:
    people.create("Özgür", PASSWORD, role="viewer", by=CONSOLE)

    with pytest.raises(Conflict, match="a person named özgür already"):
        people.create("özgür", PASSWORD, role="viewer", by=CONSOLE)


@pytest.mark.parametrize("name", ["B\u043ess", "\u0410lice", "P\u03b1ul"])
def test_a_name_of_two_scripts_is_refused(people: People, name: str) -> None:
    with pytest.raises(InvalidInput, match="letters of one script only"):
        people.invite(name, role="viewer", by=CONSOLE)


@pytest.mark.parametrize("name", ["Иван 2", "Ελένη", "山田", "محمد", "Zoë O'Neil-3"])
def test_a_name_of_one_script_is_accepted(people: People, name: str) -> None:
    assert people.invite(name, role="viewer", by=CONSOLE)[0].name == name


def test_older_names_that_differ_in_case_only_are_both_kept(services: Panel) -> None:
    alembic.downgrade("0006")
    columns = "id, name, password_hash, role, must_choose, disabled, created_at"
    stored = generate_password_hash(PASSWORD, "scrypt:256:1:1")
    for number, name in enumerate(("özgür", "Özgür", "ÖZGÜR"), 1):
        values = {"id": number, "name": name, "hash": stored, "at": f"2026-01-0{number} 00:00:00"}
        row = f"INSERT INTO user ({columns}) VALUES (:id, :name, :hash, 'viewer', false, false, :at)"
        db.session.execute(text(row), values)
    db.session.commit()

    alembic.upgrade()

    for name in ("özgür", "Özgür", "ÖZGÜR"):
        assert services.people.named(name).name == name
        assert signs_in(services, name, PASSWORD)
    assert services.people.named("öZGÜR").name == "özgür"
    with pytest.raises(Conflict):
        services.people.invite("öZGÜR", role="viewer", by=CONSOLE)
