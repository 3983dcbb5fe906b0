"""Rows of availability: seconds by verdict of a group or node, and the cells of the heat map."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from fleet.domain.history import intervals

A_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Sums:
    """Whole seconds by verdict, and counts of events, over some time of some nodes."""

    seconds: dict[str, int]
    incidents: int
    flaps: int
    down_s: int
    repaired: int
    repair_s: float
    first_bad_at: datetime | None
    nodes: int


@dataclass(frozen=True, slots=True)
class Row:
    """Availability of a group of nodes (or one node) over the window. Shares are percent; None is unknown."""

    name: str
    """Of the cluster, pool, product, machine type or node; empty if unknown, or for nodes in no pool."""
    cluster: str
    """Of a node; empty for groups."""
    nodes: int
    """Most nodes on one day: a node that was replaced counts once."""
    seconds: dict[str, int]
    """Node-seconds by verdict."""
    availability: float | None
    """Ready or degraded, of known time; unknown and excluded time count on neither side."""
    unknown: float | None
    """Unknown, of all time."""
    excluded: float | None
    incidents: int
    flaps: int
    down_s: int
    repaired: int
    mttr_s: float | None
    """Mean time from the beginning to the repair of the incidents that were repaired in the window; None without any."""
    first_bad_at: datetime | None
    """When the first incident of the window began."""
    target_percent: float | None = None
    """Availability target of the pool; None for what is not a pool, and for a pool without a target."""

    @property
    def known_s(self) -> int:
        """Node-seconds of known state that was not excluded: what the availability is a share of."""
        return sum(seconds for verdict, seconds in self.seconds.items() if verdict not in ("unknown", "excluded"))

    @property
    def good_s(self) -> int:
        """Node-seconds ready or degraded."""
        return self.seconds.get("ready", 0) + self.seconds.get("degraded", 0)

    @property
    def observed_s(self) -> float | None:
        """Known seconds of a node on average: `91.3 % of 8 min observed`; None where nothing was observed."""
        return self.known_s / self.nodes if self.nodes and self.known_s else None

    @property
    def is_below(self) -> bool | None:
        """Whether the pool was ready for less than its target; None without a target, or where nothing is known."""
        return None if self.target_percent is None or self.availability is None else self.availability < self.target_percent


@dataclass(frozen=True, slots=True)
class Cell:
    """One group in one step: a day, or a part of one."""

    at: datetime
    """Where the step begins."""
    availability: float | None
    unknown: float | None
    is_unknown: bool
    """Whether the state is unknown for most of the time, so that the figure covers the lesser part."""

    @property
    def day(self) -> date:
        return self.at.astimezone(UTC).date()


@dataclass(frozen=True, slots=True)
class HeatRow:
    name: str
    nodes: int
    cells: tuple[Cell | None, ...]
    """One for each step of the map; None where the group had no node."""
    total: Row


@dataclass(frozen=True, slots=True)
class HeatMap:
    by: str
    starts: tuple[datetime, ...]
    """Where each step begins."""
    rows: tuple[HeatRow, ...]
    step: timedelta = A_DAY

    @property
    def is_of_days(self) -> bool:
        return self.step == A_DAY


def cell_of(at: datetime, seconds: dict[str, int]) -> Cell:
    """Returns the cell of node-seconds by verdict."""
    whole = sum(seconds.values())
    return Cell(
        at=at,
        availability=intervals.availability(seconds),
        unknown=100 * seconds["unknown"] / whole if whole else None,
        is_unknown=seconds["unknown"] > intervals.known(seconds),
    )
