"""The fleet as it was judged at one moment, from the periods of verdicts and rungs."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Q, QuerySet

from fleet.domain.readiness.types import Verdict
from fleet.domain.readiness.words import missing_words
from fleet.models import FindingRow, Node, RungPeriod, VerdictPeriod
from fleet.selectors.fleet import VERDICTS, Missing
from fleet.selectors.fleet_map import Group, Tile
from fleet.selectors.ladder import Funnel, FunnelRung, required_rung


@dataclass(frozen=True, slots=True)
class Past:
    """`usable` of `expected` physical GPUs at `at`; `missing` adds up to the difference."""

    at: datetime
    nodes: int
    by_verdict: dict[str, int]
    expected: int
    usable: int
    degraded_usable: int
    missing: tuple[Missing, ...]
    unjudged: int
    """Nodes that were there and that nothing had judged: they are in no sum."""
    funnel: Funnel
    groups: tuple[Group, ...]
    findings: int
    """Findings that stood open then."""
    before: datetime | None
    after: datetime | None
    """The nearest moments at which a verdict changed anywhere."""


_FIELD = {"cluster": "node__cluster__name", "product": "node__product", "mode": "node__mode"}


def fleet_at(at: datetime, *, cluster: str = "", by: str = "cluster") -> Past:
    """The fleet at a moment; what nobody judged then is in no sum. Groups are those of today's labels. Six queries."""
    there = Node.objects.filter(Q(removed_at__isnull=True) | Q(removed_at__gt=at), first_seen_at__lte=at)
    periods = VerdictPeriod.objects.filter(period__contains=at)
    moments = VerdictPeriod.objects.all()
    findings = FindingRow.objects.filter(period__contains=at)
    if cluster:
        there = there.filter(cluster__name=cluster)
        periods = periods.filter(node__cluster__name=cluster)
        moments = moments.filter(node__cluster__name=cluster)
        findings = findings.filter(cluster__name=cluster)
    missing: dict[tuple[str, str], list[int]] = defaultdict(list)
    tiles: dict[str, list[tuple[Tile, int]]] = defaultdict(list)
    by_verdict: Counter[str] = Counter()
    expected_total = usable_total = degraded = 0
    rows = periods.order_by("node__name").values_list(
        _FIELD[by], "node__cluster__name", "node__name", "verdict", "broken_rung", "reason", "period", "usable", "expected"
    )
    for group, name, node, verdict, rung, reason, period, usable, expected in rows:
        most = expected or 0
        good = min(usable or 0, most)
        by_verdict[verdict] += 1
        expected_total += most
        usable_total += good
        degraded += good if verdict == Verdict.DEGRADED else 0
        if good < most:
            missing[verdict, "" if verdict in (Verdict.EXCLUDED, Verdict.STARTING) else rung].append(most - good)
        tiles[group or "Unknown"].append((Tile(name, node, verdict, rung, reason, period.lower, good, stale=False), most))
    judged = sum(by_verdict.values())
    return Past(
        at=at,
        nodes=judged,
        by_verdict={verdict: by_verdict[verdict] for verdict in VERDICTS},
        expected=expected_total,
        usable=usable_total,
        degraded_usable=degraded,
        missing=tuple(
            Missing(verdict, rung, missing_words(verdict, rung), sum(cards), len(cards))
            for (verdict, rung), cards in sorted(missing.items(), key=lambda pair: (-sum(pair[1]), pair[0]))
        ),
        unjudged=max(0, there.count() - judged),
        funnel=_funnel(at, periods, by_verdict),
        groups=tuple(
            Group(
                name, "", False, sum(tile.usable for tile, _ in found), sum(most for _, most in found), tuple(t for t, _ in found)
            )
            for name, found in sorted(tiles.items())
        ),
        findings=findings.count(),
        before=moments.filter(period__startswith__lt=at)
        .order_by("-period__startswith")
        .values_list("period__startswith", flat=True)
        .first(),
        after=moments.filter(period__startswith__gt=at)
        .order_by("period__startswith")
        .values_list("period__startswith", flat=True)
        .first(),
    )


def _funnel(at: datetime, verdicts: QuerySet[VerdictPeriod], by_verdict: Counter[str]) -> Funnel:
    """What each rung said then. A period does not keep who waived it."""
    numbers = {
        one["id"]: one["number"]
        for rungs in Node.objects.order_by("-changed_at").values_list("rungs", flat=True)[:1]
        for one in rungs
    }
    excluded = by_verdict[Verdict.EXCLUDED]
    counted = verdicts.exclude(verdict=Verdict.EXCLUDED).order_by().values("node")
    said: dict[str, Counter[str]] = defaultdict(Counter)
    for rung, status in RungPeriod.objects.filter(period__contains=at, node__in=counted).order_by().values_list("rung", "status"):
        said[rung][status] += 1
    required = required_rung()
    return Funnel(
        rungs=tuple(
            FunnelRung(numbers.get(rung, 99), rung, found["pass"] + found["warn"], dict(found), numbers.get(rung, 99) <= required)
            for rung, found in sorted(said.items(), key=lambda pair: numbers.get(pair[0], 99))
        ),
        counted=sum(by_verdict.values()) - excluded if said else 0,
        excluded=excluded,
        unjudged=0,
    )
