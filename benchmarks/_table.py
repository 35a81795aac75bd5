"""Rows of the benchmark: what we measure, beside its floor in the same run, as one Markdown table."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

COLUMNS = ("Measured", "Panel", "Floor", "Cost", "Spread", "A/A", "Goal")


@dataclass(frozen=True)
class Row:
    """One row. An empty text stands for a value that this measurement does not have."""

    what: str
    ours: str = ""
    floor: str = ""
    ratio: str = ""
    """The cost of the panel as a multiple of the floor: more is worse, for times and for rates."""
    spread: str = ""
    """The lowest and the highest ratio of all rounds."""
    control: str = ""
    """The floor over the floor, measured again in each round: how far this run can be trusted."""
    goal: str = ""

    def cells(self) -> tuple[str, ...]:
        return (self.what, self.ours, self.floor, self.ratio, self.spread, self.control, self.goal)


@dataclass(frozen=True)
class Rounds:
    """Values of the panel, of the floor and of the floor again, one of each in each round."""

    ours: Sequence[float]
    floor: Sequence[float]
    again: Sequence[float]
    is_rate: bool = False
    """Whether the values are answers per second, of which more are better."""

    @classmethod
    def of_each(cls, rounds: Iterable[Sequence[float]], *, is_rate: bool = False) -> Rounds:
        """From rounds, each with a value of the panel, of the floor and of the floor again."""
        ours, floor, again = zip(*rounds, strict=True)
        return cls(ours, floor, again, is_rate)

    def costs(self) -> list[float]:
        pairs = zip(self.ours, self.floor, strict=True)
        return [floor / ours if self.is_rate else ours / floor for ours, floor in pairs]

    def row(self, what: str, unit: str, goal: str = "") -> Row:
        """A row with medians. ``unit`` is a format with a place for the value, such as ``{:.1f} ms``."""
        costs, control = self.costs(), [b / a for a, b in zip(self.floor, self.again, strict=True)]
        return Row(
            what,
            unit.format(statistics.median(self.ours)),
            unit.format(statistics.median(self.floor)),
            f"× {statistics.median(costs):.2f}",
            f"{min(costs):.2f}–{max(costs):.2f}",
            f"{statistics.median(control):.2f}",
            goal,
        )

    def cost(self) -> float:
        return statistics.median(self.costs())


def at_most(limit: float, value: float, unit: str = "{:g}") -> str:
    """A goal, and whether ``value`` misses it."""
    return f"≤ {unit.format(limit)}" + ("" if value <= limit else ", missed")


def chunks(values: Sequence[float], rounds: int = 5) -> list[float]:
    """The medians of ``rounds`` consecutive parts, so that single requests become rounds."""
    size = len(values) // rounds
    return [statistics.median(values[number * size : (number + 1) * size]) for number in range(rounds)]


def table(rows: Sequence[Row]) -> str:
    lines = [COLUMNS, ("---",) * len(COLUMNS), *(row.cells() for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
