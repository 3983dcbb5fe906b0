"""Pools: what they hold, how they stand, who belonged to them when."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db.models import Case, Count, DateTimeField, F, Func, Max, OuterRef, Prefetch, Q, QuerySet, Subquery, Sum, Value, When
from django.db.models.functions import Coalesce

from fleet.domain.pools.membership import Preview, assign, preview
from fleet.domain.pools.policy import Pool as PoolSpec
from fleet.domain.pools.suggest import Suggestion, suggest
from fleet.models import Node, Pool, PoolMembership, PromisePeriod, WorkloadClass
from fleet.selectors import declarations
from fleet.selectors.placement import placement_nodes, present

_OPEN = Q(memberships__period__endswith__isnull=True)
_FIGURES = ("physical", "expected", "usable", "slots_capacity", "slots_allocatable", "slots_requested", "slots_free")


@dataclass(frozen=True, slots=True)
class Standing:
    """Whether a promise is kept, since when, and what speaks against it."""

    state: str
    """kept, at_risk, broken, or unknown where it was not judged yet."""
    since: datetime | None
    reasons: tuple[str, ...]


NOT_JUDGED = Standing("unknown", None, ())


@dataclass(frozen=True, slots=True)
class PoolRow:
    """One pool with what its members add up to. Sums are None where no member told the figure."""

    row: Pool
    spec: PoolSpec
    standing: Standing
    nodes: int
    by_verdict: dict[str, int]
    figures: dict[str, int | None] = field(default_factory=dict)
    products: tuple[str, ...] = ()
    modes: tuple[str, ...] = ()


def pool_rows(slug: str = "") -> list[PoolRow]:
    """Every pool (or the one of that slug) in order. Four queries."""
    pools = Pool.objects.filter(removed_at__isnull=True, **({"slug": slug} if slug else {}))
    standings = standings_of("pool")
    members = Node.objects.filter(_OPEN, removed_at__isnull=True, memberships__pool__in=pools)
    sums = {
        told["memberships__pool"]: told
        for told in members.order_by().values("memberships__pool").annotate(n=Count("pk"), **{f: Sum(f) for f in _FIGURES})
    }
    kinds = list(members.order_by().values_list("memberships__pool", "verdict", "product", "mode").annotate(n=Count("pk")))
    return [_pool_row(row, standings, sums.get(row.pk), [kind[1:] for kind in kinds if kind[0] == row.pk]) for row in pools]


def _pool_row(row: Pool, standings: dict[str, Standing], sums: Any, kinds: list[tuple]) -> PoolRow:
    verdicts: Counter[str] = Counter()
    for verdict, _, _, count in kinds:
        verdicts[verdict] += count
    return PoolRow(
        row=row,
        spec=declarations.pool_of(row),
        standing=standings.get(row.slug, NOT_JUDGED),
        nodes=sums["n"] if sums else 0,
        by_verdict=dict(verdicts),
        figures={name: sums[name] if sums else None for name in _FIGURES},
        products=tuple(sorted({product for _, product, _, _ in kinds if product})),
        modes=tuple(sorted({mode for _, _, mode, _ in kinds if mode})),
    )


def standings_of(kind: str) -> dict[str, Standing]:
    """Slug to how it stands now, for every pool or class."""
    rows = PromisePeriod.objects.filter(kind=kind, period__endswith__isnull=True)
    return {row.slug: Standing(row.state, row.period.lower, tuple(row.reasons)) for row in rows}


def promise_history(kind: str, slug: str) -> QuerySet[PromisePeriod]:
    """Its periods, newest first."""
    return PromisePeriod.objects.filter(kind=kind, slug=slug).order_by("-period")


def members(pool: Pool) -> QuerySet[Node]:
    """Nodes that are in the pool now."""
    return present().filter(memberships__pool=pool, memberships__period__endswith__isnull=True).select_related("cluster")


def worst_members(pool: Pool) -> QuerySet[Node]:
    """The same, those that do not serve first."""
    ranks = ("not_ready", "unknown", "starting", "degraded", "excluded", "ready")
    badness = Case(*(When(verdict=verdict, then=rank) for rank, verdict in enumerate(ranks)), default=len(ranks))
    return members(pool).order_by(badness, "cluster__name", "name")


def pools_of(node: Node) -> list[Pool]:
    """The pools that the node is in now, in order."""
    return list(Pool.objects.filter(_OPEN, memberships__node=node, removed_at__isnull=True).order_by("slug"))


def primary_slug(node: str) -> Coalesce:
    """The pool that a figure of a node counts for (empty for none): the one whose policy holds for it, which is the first
    exclusive one. `node` is the path to the node's id in the outer query."""
    rows = PoolMembership.objects.filter(node=OuterRef(node), period__endswith__isnull=True, pool__removed_at__isnull=True)
    shared = Case(When(pool__spec__policy__exclusive=False, then=1), default=0)
    return Coalesce(Subquery(rows.order_by(shared, "pool__slug").values("pool__slug")[:1]), Value(""))


def of_nodes() -> Prefetch:
    """The present membership of each node, with its pool, as `open_memberships`: two more queries for any number of nodes."""
    rows = PoolMembership.objects.filter(period__endswith__isnull=True, pool__removed_at__isnull=True).order_by("pool__slug")
    return Prefetch("memberships", rows.select_related("pool"), to_attr="open_memberships")


def memberships_at(node: Node, at: datetime) -> list[PoolMembership]:
    """Those of one node at a moment; of pools that are gone by now, too."""
    rows = PoolMembership.objects.filter(node_id=node.pk, period__contains=at).order_by("pool__slug")
    return list(rows.select_related("pool"))


def membership_changes(pool: Pool, limit: int = 50) -> list[tuple[datetime, str, Node]]:
    """Who joined and who left, newest first."""
    rows = (
        PoolMembership.objects.filter(pool=pool)
        .select_related("node__cluster")
        .annotate(
            begins=Func(F("period"), function="lower", output_field=DateTimeField()),
            ends=Func(F("period"), function="upper", output_field=DateTimeField()),
        )
    )
    joined = [(row.begins, "joined", row.node) for row in rows.order_by("-begins")[:limit]]
    left = [(row.ends, "left", row.node) for row in rows.filter(period__endswith__isnull=False).order_by("-ends")[:limit]]
    return sorted(joined + left, key=lambda change: (-change[0].timestamp(), change[1], change[2].name))[:limit]


def suggestions(now: datetime) -> tuple[Suggestion, ...]:
    """Pools that the fleet itself suggests for nodes that are in none."""
    return suggest(placement_nodes(now), declarations.pools())


def preview_of(spec: PoolSpec, now: datetime) -> Preview:
    """What saving this pool would change, among the nodes that are there now."""
    known = {one.slug: one for one in declarations.pool_specs()}
    before = known.pop(spec.slug, None)
    return preview(spec, list(known.values()), placement_nodes(now), before)


def outsiders(now: datetime) -> tuple[int, int]:
    """How many nodes are in no pool, and how many in two that exclude each other."""
    found = assign(declarations.pool_specs(), placement_nodes(now))
    return len(found.alone), len(found.clashes)


def any_pool() -> bool:
    """Whether a pool is declared."""
    return Pool.objects.filter(removed_at__isnull=True).exists()


def declared_version() -> str:
    """A short text that changes whenever a pool is saved or removed. One query."""
    return "|".join(map(str, Pool.objects.aggregate(saved=Max("updated_at"), removed=Max("removed_at")).values()))


def version() -> str:
    """A short text that changes whenever a pool, a class, or the standing of one does. Three queries."""
    classes = WorkloadClass.objects.aggregate(saved=Max("updated_at"), removed=Max("removed_at"), judged=Max("headroom_at"))
    newest = PromisePeriod.objects.aggregate(pk=Max("pk"))["pk"]
    return "|".join(map(str, [declared_version(), *classes.values(), newest]))
