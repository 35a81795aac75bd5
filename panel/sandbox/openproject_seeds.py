"""Initial content of the OpenProject stand-in: a small fictional municipality, or the fixture that the tests use."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

from panel.sandbox.openproject_state import (
    MEMBER,
    CustomField,
    Principal,
    Priority,
    Project,
    Right,
    Status,
    Type,
    World,
)

Seed = Callable[[World], None]

DEMO_API_KEY = "opapi-leafpanel-demo"
DEMO_ACCOUNTS = {name: f"opapi-leafpanel-{name}" for name in ("viewer", "nobody", "admin", "locked")}
"""API keys of further demo accounts: reads one project, is in no project, administrator, locked."""

TASK, MILESTONE, REQUEST, DEFECT = 1, 2, 3, 4
LOW, NORMAL, HIGH = 7, 8, 9


def _add_types_and_priorities(world: World) -> None:
    world.add(
        Type(TASK, "Task", "#1A67A3", 1, is_default=True),
        Type(MILESTONE, "Milestone", "#35C53F", 2, is_milestone=True),
        Type(REQUEST, "Request", "#5A2DAB", 3),
        Type(DEFECT, "Defect", "#C92A2A", 4),
        Priority(LOW, "Low", "#74C0FC", 1),
        Priority(NORMAL, "Normal", "#B2BEC5", 2, is_default=True),
        Priority(HIGH, "High", "#F03E3E", 3),
    )


# --- fixture ---------------------------------------------------------------------------------------------------


def fixture(world: World) -> None:
    """User 5 (token T) is a member of project 1 and cannot see project 2; statuses New, In progress, Closed.

    Other users: 6 may only read (token V), 7 is in no project (N), 8 may only change the status (S), 9 is an
    administrator (A), 10 is locked (L).
    """
    _add_types_and_priorities(world)
    world.add(
        Status(1, "New", "#1098AD", 1, is_default=True),
        Status(2, "In progress", "#E67700", 2),
        Status(7, "Closed", "#868E96", 3, is_closed=True),
        Principal(5, "Uma User", login="uma", tokens=("T", "opapi-T")),
        Principal(6, "Vera Viewer", login="vera", tokens=("V",)),
        Principal(7, "Nico Nobody", login="nico", tokens=("N",)),
        Principal(8, "Stan Status", login="stan", tokens=("S",)),
        Principal(9, "Ada Admin", login="ada", tokens=("A",), admin=True),
        Principal(10, "Lars Locked", login="lars", tokens=("L", "opapi-L"), locked=True),
        Principal(20, "Team Blue", "groups"),
        Project(1, "alpha", "Alpha", (TASK, MILESTONE), key="ALPHA"),
        Project(2, "beta", "Beta", (TASK,), key="BETA"),
    )
    world.transitions = {1: frozenset({2}), 2: frozenset({1, 7}), 7: frozenset({2})}
    world.join(5, 1)
    world.join(6, 1, {Right.VIEW})
    world.join(8, 1, {Right.VIEW, Right.CHANGE_STATUS})
    world.join(20, 1, {Right.ASSIGNABLE})
    world.add_work_package("Replace the north bridge", 1, id=101, author_id=5)
    world.add_work_package("Paint the old bridge", 1, id=102, status_id=7, author_id=5)
    world.add_work_package("Inspect the south gate", 1, id=103, author_id=5)
    world.add_work_package("Secret tunnel", 2, id=201, author_id=9)


# --- demo ------------------------------------------------------------------------------------------------------

PERMITS, PUBLIC_SPACE, COUNCIL, SECRET, OBJECTIONS = 11, 12, 13, 14, 15
PROGRAMME = 1550
NEW, IN_PROGRESS, ON_HOLD, TESTED, REJECTED, CLOSED = 1, 7, 13, 9, 14, 12
LEAFPANEL, NOOR, SAM, ILSE, BUILDING_TEAM, ADMIN = 21, 4, 5, 6, 30, 3
VIEWER, NOBODY, LOCKED, VACANCY = 22, 23, 24, 31


def demo(world: World) -> None:
    """A fictional Dutch municipality. The account ``leafpanel`` has the API key ``opapi-leafpanel-demo``.

    Open to everybody, it shows the work packages of the project Bestuur.
    """
    _add_types_and_priorities(world)
    _add_demo_statuses(world)
    _add_demo_users(world)
    _add_demo_projects(world)
    _add_demo_work_packages(world)
    _add_unusual_work_packages(world)


def _add_demo_statuses(world: World) -> None:
    world.add(
        Status(NEW, "New", "#1098AD", 1, is_default=True),
        Status(IN_PROGRESS, "In progress", "#E67700", 2),
        Status(ON_HOLD, "On hold", "#845EC2", 3),
        Status(TESTED, "Tested", "#2F9E44", 4),
        Status(REJECTED, "Rejected", "#C92A2A", 5, is_closed=True),
        Status(CLOSED, "Closed", "#868E96", 6, is_closed=True),
    )
    world.transitions = {
        NEW: frozenset({IN_PROGRESS, ON_HOLD, REJECTED}),
        IN_PROGRESS: frozenset({NEW, ON_HOLD, TESTED, CLOSED}),
        ON_HOLD: frozenset({IN_PROGRESS, REJECTED}),
        TESTED: frozenset({IN_PROGRESS, CLOSED}),
        CLOSED: frozenset({IN_PROGRESS}),
    }


def _add_demo_users(world: World) -> None:
    world.add(
        Principal(LEAFPANEL, "leafpanel", login="leafpanel", tokens=(DEMO_API_KEY,), language="en"),
        Principal(ADMIN, "Beheer", login="beheer", tokens=(DEMO_ACCOUNTS["admin"],), admin=True, language="nl"),
        Principal(VIEWER, "Kim L.", login="kim", tokens=(DEMO_ACCOUNTS["viewer"],)),
        Principal(NOBODY, "Robin N.", login="robin", tokens=(DEMO_ACCOUNTS["nobody"],)),
        Principal(LOCKED, "Alex O.", login="alex", tokens=(DEMO_ACCOUNTS["locked"],), locked=True),
        Principal(NOOR, "Noor V.", login="noor", language="nl"),
        Principal(SAM, "Sam B.", login="sam", language="nl"),
        Principal(ILSE, "Ilse K.", login="ilse", language="nl"),
        Principal(BUILDING_TEAM, "Team Bouwtoezicht", "groups"),
        Principal(VACANCY, "Nog aan te stellen", "placeholder_users"),
    )


def _add_demo_projects(world: World) -> None:
    options = {1: "Omgevingsplanactiviteit bouwwerk", 2: "Parkeerontheffing", 3: "Evenement", 4: "Kapvergunning"}
    requests = CustomField(1, "Zaaktype", frozenset({PUBLIC_SPACE}), frozenset({REQUEST}), options=options)
    case_number = CustomField(2, "Zaaknummer", frozenset({OBJECTIONS}), frozenset({TASK}))
    channels = {11: "Balie", 12: "Post", 13: "Website"}
    channel = CustomField(3, "Kanaal", frozenset({OBJECTIONS}), frozenset({TASK}), options=channels)
    world.add(
        Project(PERMITS, "vergunningen-2026", "Vergunningen 2026", (TASK, MILESTONE, REQUEST), key="VERG"),
        Project(PUBLIC_SPACE, "openbare-ruimte", "Openbare ruimte", (TASK, REQUEST, DEFECT), key="OR"),
        Project(COUNCIL, "bestuur", "Bestuur", (TASK, MILESTONE), public=True, key="BEST"),
        Project(SECRET, "integriteit", "Integriteit", (TASK,), key="INT"),
        Project(OBJECTIONS, "bezwaar-en-beroep", "Bezwaar en beroep", (TASK,), key="BEZW"),
        Project(PROGRAMME, "binnenstad", "Programma Binnenstad", (TASK, MILESTONE), kind="programs", key="BIN"),
        requests,
        case_number,
        channel,
    )
    world.non_member_rights = frozenset()
    for project in (PERMITS, PUBLIC_SPACE, COUNCIL, OBJECTIONS, PROGRAMME):
        world.join(LEAFPANEL, project, MEMBER - {Right.ASSIGNABLE})
        for person in (NOOR, SAM, ILSE):
            world.join(person, project)
    world.join(BUILDING_TEAM, PERMITS, {Right.VIEW, Right.ASSIGNABLE})
    world.join(VACANCY, PERMITS, {Right.VIEW, Right.ASSIGNABLE})
    world.join(VIEWER, PERMITS, {Right.VIEW})
    world.join(ILSE, SECRET)


def _add_demo_work_packages(world: World) -> None:
    today = date.today()

    def add(
        number: int, project: int, subject: str, status: int, *, age: int, due: int | None = None, **more: Any
    ) -> None:
        day = None if due is None else today + timedelta(days=due)
        updated = datetime.now(UTC).replace(microsecond=0) - timedelta(days=age, minutes=number % 60)
        world.add_work_package(
            subject, project, id=number, status_id=status, due_date=day, created_at=updated - timedelta(days=9),
            updated_at=updated, lock_version=number % 4, **{"author_id": NOOR, "type_id": TASK, **more},
        )  # fmt: skip

    add(1534, PERMITS, "Advies welstandscommissie verwerken", IN_PROGRESS, age=1, due=-3, assignee_id=NOOR,
        description="De commissie adviseert **positief onder voorwaarden**.")  # fmt: skip
    add(1528, PERMITS, "Constructieve toets dakkapel Kerkstraat 12", IN_PROGRESS, age=2, due=11, priority_id=HIGH,
        assignee_id=BUILDING_TEAM, description="Berekening van de gordingen ontbreekt nog.")  # fmt: skip
    add(1541, PERMITS, "Aanvullende gegevens opvragen bij aanvrager", NEW, age=3, due=4)
    add(1512, PUBLIC_SPACE, "Parkeerontheffing bouwplaats", ON_HOLD, age=7, type_id=REQUEST, assignee_id=SAM,
        custom={1: "2"})  # fmt: skip
    add(1497, PERMITS, "Ontvankelijkheidstoets aanvraag", CLOSED, age=11, due=-12, type_id=MILESTONE, assignee_id=ILSE)
    add(1490, PERMITS, "Publicatie in het gemeenteblad", CLOSED, age=16, due=-15, assignee_id=ILSE, priority_id=LOW)
    add(1493, PERMITS, "Besluit omgevingsvergunning", NEW, age=5, due=28, type_id=MILESTONE, assignee_id=NOOR)
    add(1501, PERMITS, "Zienswijze van de buren beoordelen", ON_HOLD, age=4, due=-1, priority_id=HIGH)
    add(1505, PUBLIC_SPACE, "Losliggende tegel Marktplein", TESTED, age=2, due=1, type_id=DEFECT, assignee_id=SAM)
    add(1508, PUBLIC_SPACE, "Kapotte lantaarnpaal Havenweg 3", REJECTED, age=20, type_id=DEFECT)
    add(1516, PUBLIC_SPACE, '<img src=x onerror=alert(1)> & "co"', NEW, age=6, type_id=DEFECT, assignee_id=ILSE,
        description="<script>alert(2)</script> Een onderwerp dat als tekst moet verschijnen.")  # fmt: skip
    add(1519, PUBLIC_SPACE, "Boomstructuurplan: inspraak verwerken", IN_PROGRESS, age=0, due=2, assignee_id=SAM)
    add(1522, COUNCIL, "Raadsvoorstel parkeerbeleid", IN_PROGRESS, age=1, due=9, assignee_id=ILSE, priority_id=HIGH)
    add(1525, COUNCIL, "Beantwoording schriftelijke vragen", NEW, age=8, due=-6)
    add(1530, COUNCIL, "Begroting 2027 vastgesteld", NEW, age=12, due=60, type_id=MILESTONE)
    add(1538, PERMITS, "Advies brandweer opvragen: dakkapel Kerkstraat 12", NEW, age=0, due=0, assignee_id=NOOR,
        description="Graag advies over de vluchtroute via de dakkapel aan de voorzijde.")  # fmt: skip
    add(1500, SECRET, "Vertrouwelijk onderzoek", IN_PROGRESS, age=3, author_id=ILSE, assignee_id=ILSE)


def _add_unusual_work_packages(world: World) -> None:
    """Shared from a hidden project, assigned to a placeholder, without required values, and in a programme."""
    shared = world.add_work_package("Meldcode opgesteld", SECRET, id=1544, author_id=ILSE)
    world.share(LEAFPANEL, shared.id)
    world.add_work_package("Toezicht inplannen", PERMITS, id=1545, author_id=NOOR, assignee_id=VACANCY)
    world.add_work_package("Hoorzitting voorbereiden", OBJECTIONS, id=1547, author_id=NOOR, assignee_id=NOOR)
    world.add_work_package("Plan van aanpak", PROGRAMME, id=PROGRAMME, author_id=NOOR)


SEEDS: dict[str, Seed] = {"fixture": fixture, "demo": demo}
