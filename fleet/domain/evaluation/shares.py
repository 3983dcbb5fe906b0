"""The expected physical GPUs of many nodes as shares of a bar: usable, usable on degraded nodes, and missing by verdict.

In: the sums over nodes. Out: Shares that add up to the expected number.
"""

from __future__ import annotations

from collections import Counter

import msgspec

from fleet.domain.evaluation.figures import VERDICTS
from fleet.domain.evaluation.fleet_figures import FleetFigures
from fleet.domain.readiness.types import Verdict


class Share(msgspec.Struct, frozen=True, gc=False):
    """Physical GPUs on nodes with one verdict."""

    verdict: str
    is_usable: bool
    count: int


def expected_shares(figures: FleetFigures) -> tuple[Share, ...]:
    """Returns the shares, usable ones first, missing ones in the order of verdicts.

    Ready nodes include degraded ones among the missing: both serve with fewer GPUs than expected.
    """
    missing: Counter[str] = Counter()
    for row in figures.missing:
        missing[Verdict.READY if row.verdict == Verdict.DEGRADED else row.verdict] += row.count
    usable = (
        Share(Verdict.READY, is_usable=True, count=figures.usable - figures.degraded_usable),
        Share(Verdict.DEGRADED, is_usable=True, count=figures.degraded_usable),
    )
    others = (Share(verdict, is_usable=False, count=missing[verdict]) for verdict in VERDICTS)
    return tuple(share for share in (*usable, *others) if share.count)
