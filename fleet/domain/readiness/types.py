"""Rungs, their results, and the readiness of a node."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from enum import StrEnum

import msgspec

from fleet.domain.evaluation.subject import NodeSubject, Waiver
from fleet.domain.findings import Evidence, RuleResult, Status


class Verdict(StrEnum):
    """Readiness of a node: whether workloads can rely on it, by the rungs up to the required one.

    What the node advertises is another question: the states in evaluation/figures.py are rung 5 in numbers, and stay known when
    the verdict is unknown. A ready node of a pool that allows partial nodes can advertise only a part (docs/adr/0009).
    """

    READY = "ready"
    DEGRADED = "degraded"
    NOT_READY = "not_ready"
    STARTING = "starting"
    UNKNOWN = "unknown"
    EXCLUDED = "excluded"


class RungResult(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Result of one rung for one node."""

    id: str
    number: int
    status: Status
    reason: str
    """One sentence: what was observed. Without figures that change from run to run."""
    evidence: tuple[Evidence, ...] = ()
    remedy: str = ""
    """Steps to fix it, one per line. Empty where no action is required."""
    rests_on: tuple[str, ...] = ()
    """Sections of its evidence: their ages are the result's."""
    own_status: Status | None = None
    """Status of the rung alone, where `status` is blocked by an earlier rung."""
    waiver: Waiver | None = None
    """The waiver applied, where evidence is missing."""
    remember: dict[str, datetime] = {}
    """History for the next run: a short name to since when, or as of when."""


_READ_IN = {
    "telemetry": "telemetry",
    "exporter": "telemetry",
    "model_server": "model_servers",
    "pod": "pods",
    "resource_slice": "resource_slices",
}
"""Source of a piece of evidence to the section that read it."""


class Rung(msgspec.Struct, frozen=True, kw_only=True):
    """One rung: data and a pure function."""

    id: str
    number: int
    title: str
    """State when it passes, in a few words."""
    broken: str
    """Problem when it fails, in a few words, for a list of nodes."""
    needs: tuple[str, ...]
    """Sections without which the rung is unknown, with the section's reason."""
    check: Callable[[NodeSubject, Sequence[RuleResult]], RungResult]
    """Takes the node and the results of the health rules."""

    def says(
        self,
        status: Status,
        reason: str,
        evidence: Iterable[Evidence] = (),
        remedy: str = "",
        remember: Mapping[str, datetime] | None = None,
    ) -> RungResult:
        """Returns this rung's result."""
        evidence = tuple(evidence)
        return RungResult(
            id=self.id,
            number=self.number,
            status=status,
            reason=reason,
            evidence=evidence,
            remedy=remedy,
            rests_on=tuple(
                dict.fromkeys((*self.needs, *(_READ_IN[item.source] for item in evidence if item.source in _READ_IN)))
            ),
            remember=dict(remember or {}),
        )


class Readiness(msgspec.Struct, frozen=True, kw_only=True):
    """Rungs and verdict of one node."""

    rungs: tuple[RungResult, ...] = ()
    verdict: Verdict = Verdict.UNKNOWN
    broken_rung: str = ""
    """First broken rung: the first that fails, else the first that is unknown, else the first that warns."""
    reason: str = ""
    """One sentence; for a ready node too."""
    remedy: str = ""
    reached: int = -1
    """Number of the highest rung up to which every one passes, warns, is waived or does not apply; −1 for none."""
    usable: int | None = None
    """Physical GPUs that a workload may count on: of a ready or degraded node; None where unknown."""
    flapping: bool = False
    """Whether the verdict has changed so often recently that the current one may not last."""
    remember: dict[str, datetime] = {}
    """`rung|name` to a moment: history of the rungs for the next run."""
