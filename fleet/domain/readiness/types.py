"""What a rung is, what it answers, and what follows for the node."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from enum import StrEnum

import msgspec

from fleet.domain.findings import Evidence, RuleResult, Status
from fleet.domain.subject import NodeSubject, Waiver


class Verdict(StrEnum):
    """What a node is good for now."""

    READY = "ready"
    DEGRADED = "degraded"
    NOT_READY = "not_ready"
    STARTING = "starting"
    UNKNOWN = "unknown"
    EXCLUDED = "excluded"


class RungResult(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What one rung answers for one node."""

    id: str
    number: int
    status: Status
    reason: str
    """One plain sentence: what was seen. No figure that wobbles from look to look."""
    evidence: tuple[Evidence, ...] = ()
    remedy: str = ""
    """What to do, in plain words; steps are lines. Empty where nothing is to be done."""
    rests_on: tuple[str, ...] = ()
    """Sections that its evidence came from: their ages are its own."""
    own_status: Status | None = None
    """What it said by itself, where `status` is blocked by an earlier rung."""
    waiver: Waiver | None = None
    """Set where it is not proved and somebody signed that it need not be."""
    remember: dict[str, datetime] = {}
    """What the next look must know: a short name to since when, or as of when."""


_READ_IN = {
    "telemetry": "telemetry",
    "exporter": "telemetry",
    "model_server": "model_servers",
    "pod": "pods",
    "resource_slice": "resource_slices",
}
"""Source of a piece of evidence to the section that read it."""


class Rung(msgspec.Struct, frozen=True, kw_only=True):
    """One rung: data beside a small pure function."""

    id: str
    number: int
    title: str
    """What is so when it passes, in a few words."""
    broken: str
    """What is wrong when it fails, in a few words, for a list of nodes."""
    needs: tuple[str, ...]
    """Sections without which it can say nothing: run.py answers unknown with the section's reason."""
    check: Callable[[NodeSubject, Sequence[RuleResult]], RungResult]
    """Takes the node, and what the health rules said of it."""

    def says(
        self,
        status: Status,
        reason: str,
        evidence: Iterable[Evidence] = (),
        remedy: str = "",
        remember: Mapping[str, datetime] | None = None,
    ) -> RungResult:
        """This rung's answer."""
        evidence = tuple(evidence)
        return RungResult(
            id=self.id,
            number=self.number,
            status=status,
            reason=reason,
            evidence=evidence,
            remedy=remedy,
            rests_on=tuple(dict.fromkeys((*self.needs, *(_READ_IN[one.source] for one in evidence if one.source in _READ_IN)))),
            remember=dict(remember or {}),
        )


class Readiness(msgspec.Struct, frozen=True, kw_only=True):
    """The whole ladder of one node and its verdict."""

    rungs: tuple[RungResult, ...] = ()
    verdict: Verdict = Verdict.UNKNOWN
    broken_rung: str = ""
    """The first broken rung: the first that fails, else the first that nothing proves, else the first that warns."""
    reason: str = ""
    """One plain sentence; for a ready node too."""
    remedy: str = ""
    reached: int = -1
    """Number of the highest rung up to which every one passes, warns, is waived or does not apply; −1 for none."""
    usable: int | None = None
    """Physical GPUs a workload may count on: of a ready or degraded node; None where their number is unknown."""
    flapping: bool = False
    """So many changes of verdict lately that the present one may not last."""
    remember: dict[str, datetime] = {}
    """`rung|name` to a moment: what the rungs want to know at the next look."""
