"""A node at a past moment, over a window, and compared between two moments: what node_history returns."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from fleet.domain.findings import Evidence
from fleet.domain.history.facts import Facts
from fleet.models import Node, NodeRevision, VerdictPeriod, XidBurstRow

Lasting = TypeVar("Lasting", NodeRevision, VerdictPeriod)
Change = dict[str, str | None]
"""As domain.history.facts.diff returns it: section, key, before, after."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """A verdict and its period; `until` is None while it is current."""

    since: datetime
    until: datetime | None
    verdict: str
    broken_rung: str
    reason: str
    remedy: str
    usable: int | None
    expected: int | None


@dataclass(frozen=True, slots=True)
class Rung:
    """One rung's status and its period."""

    rung: str
    since: datetime
    until: datetime | None
    status: str
    reason: str
    evidence: tuple[Evidence, ...]


@dataclass(frozen=True, slots=True)
class Finding:
    """A finding from opening to resolution; `until` is None while it is open."""

    rule: str
    key: str
    subject: str
    severity: str
    text: str
    remedy: str
    rung: str
    evidence: tuple[Evidence, ...]
    since: datetime
    until: datetime | None


@dataclass(frozen=True, slots=True)
class FactChange:
    """A change of node data; `changes` as NodeRevision keeps them, empty at the node's first appearance."""

    at: datetime
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class NodeMoment:
    """A node as Muster knew it at one moment."""

    node: Node
    """The row as it is today: only its identity may be read from it."""
    at: datetime
    facts: Facts
    facts_since: datetime
    facts_until: datetime | None
    verdict: Verdict | None
    """None if nothing was evaluated at that time: unknown, not ready."""
    rungs: tuple[Rung, ...]
    """In the ladder's order."""
    findings: tuple[Finding, ...]
    before: datetime | None
    """The last moment before this one's own at which a verdict or a fact changed, to step back to."""
    after: datetime | None
    """The next moment at which a verdict or a fact changed."""


@dataclass(frozen=True, slots=True)
class NodeObject:
    """One node object that had the name; `removed_at` is None while it exists."""

    uid: str
    first_seen_at: datetime
    removed_at: datetime | None


@dataclass(frozen=True, slots=True)
class NodeTimeline:
    """Everything of the node objects with one name that touches a window, each list oldest first.

    Moments are their own, not cut to the window.
    """

    since: datetime
    until: datetime
    verdicts: tuple[Verdict, ...]
    rungs: tuple[Rung, ...]
    findings: tuple[Finding, ...]
    changes: tuple[FactChange, ...]
    bursts: tuple[XidBurstRow, ...]
    objects: tuple[NodeObject, ...] = ()
    """The node objects that had the name in the window: several where it was deleted and created again."""

    @property
    def broken_since(self) -> datetime | None:
        """Returns since when the current verdict is neither ready nor excluded; None where it is, or where none is current."""
        last = self.verdicts[-1] if self.verdicts else None
        return last.since if last is not None and last.until is None and last.verdict not in ("ready", "excluded") else None


@dataclass(frozen=True, slots=True)
class RungDifference:
    """A rung whose status differs; None if it was not evaluated at that time."""

    rung: str
    before: Rung | None
    after: Rung | None


@dataclass(frozen=True, slots=True)
class NodeDifference:
    """Differences between two times of the node with a name; either is None if the node did not exist."""

    before: NodeMoment | None
    after: NodeMoment | None
    facts: tuple[Change, ...]
    verdict_changed: bool
    rungs: tuple[RungDifference, ...]
    opened: tuple[Finding, ...]
    """Findings open at the second time only."""
    resolved: tuple[Finding, ...]
    """Findings open at the first time only."""
    other_node: bool
    """Whether two node objects had the name: the node was recreated in between."""
