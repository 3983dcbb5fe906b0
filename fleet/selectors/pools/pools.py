"""Pools: figures, compliance, and membership over time."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

from django.db.models import Case, DateTimeField, F, Func, Max, OuterRef, Prefetch, Q, QuerySet, Subquery, Value, When
from django.db.models.functions import Coalesce

from fleet.domain.evaluation.figures import NodeFigures
from fleet.domain.evaluation.fleet_figures import sum_nodes
from fleet.domain.evaluation.node_capacity import Capacity, fleet_capacity
from fleet.domain.placement.requirement import GOOD
from fleet.domain.pools.availability import Availability, Observed, availability
from fleet.domain.pools.membership import Preview, assign, preview
from fleet.domain.pools.policy import PoolSpec
from fleet.domain.pools.suggest import Suggestion, suggest
from fleet.models import CompliancePeriod, Node, Pool, PoolMembership, WorkloadClass
from fleet.models.joined import joined
from fleet.selectors import declarations
from fleet.selectors.figures import figures_now
from fleet.selectors.placement.placement import placement_nodes, present
from fleet.selectors.pools.compliance import observed_availability

_OPEN = Q(memberships__period__endswith__isnull=True)


@dataclass(frozen=True, slots=True)
class RecordedViolation:
    """One violation of the current period."""

    id: str
    text: str
    since: datetime
    pool: str = ""


@dataclass(frozen=True, slots=True)
class Compliance:
    """Compliance of a pool or class as recorded at the newest evaluation."""

    state: str | None
    """met, at_risk or violated; None before the first evaluation."""
    since: datetime | None
    violations: tuple[RecordedViolation, ...]

    @property
    def texts(self) -> list[str]:
        return [violation.text for violation in self.violations]


NOT_EVALUATED = Compliance(None, None, ())


@dataclass(frozen=True, slots=True)
class PoolRow:
    """One pool with the sums of its members. Sums are None where the figure is unknown for every member."""

    row: Pool
    spec: PoolSpec
    compliance: Compliance
    availability: Availability
    nodes: int
    by_verdict: dict[str, int]
    capacity: Capacity
    usable: int | None
    products: tuple[str, ...] = ()
    modes: tuple[str, ...] = ()


def pool_rows(now: datetime, slug: str = "") -> list[PoolRow]:
    """Returns every pool (or the one of that slug) in order. Five queries."""
    pools = Pool.objects.filter(removed_at__isnull=True, **({"slug": slug} if slug else {}))
    compliance_of = compliance_by_slug("pool")
    observed = observed_availability(now)
    memberships = PoolMembership.objects.filter(period__endswith__isnull=True, node__removed_at__isnull=True, pool__in=pools)
    members: dict[int, list[int]] = defaultdict(list)
    for pool_id, node_id in memberships.order_by().values_list("pool_id", "node_id"):
        members[pool_id].append(node_id)
    figures = figures_now(Node.objects.filter(pk__in=memberships.values("node")), with_resources=False)
    return [
        _pool_row(
            row,
            compliance_of.get(row.slug, NOT_EVALUATED),
            observed.get(row.slug),
            [figures[pk] for pk in members[row.pk] if pk in figures],
        )
        for row in pools
    ]


def _pool_row(row: Pool, compliance: Compliance, observed: Observed | None, nodes: list[NodeFigures]) -> PoolRow:
    sums = sum_nodes(nodes)
    spec = declarations.pool_of(row)
    return PoolRow(
        row=row,
        spec=spec,
        compliance=compliance,
        availability=availability(spec.policy, observed, sum(sums.by_verdict[good] for good in GOOD), sums.nodes),
        nodes=sums.nodes,
        by_verdict={verdict: count for verdict, count in sums.by_verdict.items() if count},
        capacity=fleet_capacity(sums),
        usable=sums.usable if nodes and sums.is_counted else None,
        products=tuple(sorted({node.product for node in nodes if node.product})),
        modes=tuple(sorted({node.mode for node in nodes if node.mode})),
    )


def compliance_by_slug(kind: str) -> dict[str, Compliance]:
    """Returns slug to current compliance of every pool or class."""
    rows = CompliancePeriod.objects.filter(kind=kind, period__endswith__isnull=True)
    return {row.slug: Compliance(row.state, row.period.lower, recorded_violations(row)) for row in rows}


def recorded_violations(row: CompliancePeriod) -> tuple[RecordedViolation, ...]:
    """Returns the violations of one period."""
    return tuple(
        RecordedViolation(item["id"], item["text"], datetime.fromisoformat(item["since"]), item.get("pool", ""))
        for item in row.violations
    )


def compliance_history(kind: str, slug: str) -> QuerySet[CompliancePeriod]:
    """Its periods, newest first."""
    return CompliancePeriod.objects.filter(kind=kind, slug=slug).order_by("-period")


def members(pool: Pool) -> QuerySet[Node]:
    """Nodes that are in the pool now."""
    return joined(present().filter(memberships__pool=pool, memberships__period__endswith__isnull=True), "cluster")


def worst_members(pool: Pool) -> QuerySet[Node]:
    """The same, those that are not usable first."""
    ranks = ("not_ready", "unknown", "starting", "degraded", "excluded", "ready")
    badness = Case(*(When(verdict=verdict, then=rank) for rank, verdict in enumerate(ranks)), default=len(ranks))
    return members(pool).order_by(badness, "cluster__name", "name")


def pools_of(node: Node) -> list[Pool]:
    """The pools that the node is in now, in order."""
    return list(Pool.objects.filter(_OPEN, memberships__node=node, removed_at__isnull=True).order_by("slug"))


def primary_slug(node: str) -> Coalesce:
    """The pool for which a figure of a node counts (empty for none).

    The one with the policy that applies to it, which is the first exclusive one. `node` is the path to the node's id in the outer
    query.
    """
    rows = PoolMembership.objects.filter(node=OuterRef(node), period__endswith__isnull=True, pool__removed_at__isnull=True)
    shared = Case(When(pool__spec__policy__exclusive=False, then=1), default=0)
    return Coalesce(Subquery(rows.order_by(shared, "pool__slug").values("pool__slug")[:1]), Value(""))


def of_nodes() -> Prefetch:
    """The present membership of each node, with its pool, as `open_memberships`: two more queries for any number of nodes."""
    rows = PoolMembership.objects.filter(period__endswith__isnull=True, pool__removed_at__isnull=True).order_by("pool__slug")
    return Prefetch("memberships", rows.select_related("pool"), to_attr="open_memberships")


@dataclass(frozen=True, slots=True)
class MembershipChange:
    """Nodes that joined or left a pool at one moment, as (cluster, name)."""

    at: datetime
    what: str
    """joined or left."""
    nodes: tuple[tuple[str, str], ...]


def membership_changes(pool: Pool, limit: int = 50) -> list[MembershipChange]:
    """Returns who joined and who left, newest first; `limit` counts nodes."""
    rows = PoolMembership.objects.filter(pool=pool).annotate(
        begins=Func(F("period"), function="lower", output_field=DateTimeField()),
        ends=Func(F("period"), function="upper", output_field=DateTimeField()),
    )
    columns = ("node__cluster__name", "node__name")
    joined = [(at, "joined", node) for at, *node in rows.order_by("-begins").values_list("begins", *columns)[:limit]]
    ended = rows.filter(period__endswith__isnull=False).order_by("-ends")
    left = [(at, "left", node) for at, *node in ended.values_list("ends", *columns)[:limit]]
    changes = sorted(joined + left, key=lambda change: (-change[0].timestamp(), change[1], change[2][1]))[:limit]
    return [
        MembershipChange(at, what, tuple((cluster, name) for _, _, (cluster, name) in together))
        for (at, what), together in groupby(changes, key=lambda change: change[:2])
    ]


def suggestions(now: datetime) -> tuple[Suggestion, ...]:
    """Pools that the fleet itself suggests for nodes that are in none."""
    return suggest(placement_nodes(now), declarations.pools())


def preview_of(spec: PoolSpec, now: datetime) -> Preview:
    """Changes by saving this pool, among the current nodes."""
    known = {pool_spec.slug: pool_spec for pool_spec in declarations.pool_specs()}
    before = known.pop(spec.slug, None)
    return preview(spec, list(known.values()), placement_nodes(now), before)


def outsiders(now: datetime) -> tuple[int, int]:
    """How many nodes are in no pool, and how many in two that exclude each other."""
    result = assign(declarations.pool_specs(), placement_nodes(now))
    return len(result.alone), len(result.clashes)


def any_pool() -> bool:
    """Whether a pool is declared."""
    return Pool.objects.filter(removed_at__isnull=True).exists()


def declared_version() -> str:
    """A short text that changes whenever a pool is saved or removed. One query."""
    return "|".join(map(str, Pool.objects.aggregate(saved=Max("updated_at"), removed=Max("removed_at")).values()))


def version() -> str:
    """A short text that changes whenever a pool, a class, or its compliance does. Three queries."""
    classes = WorkloadClass.objects.aggregate(saved=Max("updated_at"), removed=Max("removed_at"), judged=Max("headroom_at"))
    newest = CompliancePeriod.objects.aggregate(pk=Max("pk"))["pk"]
    return "|".join(map(str, [declared_version(), *classes.values(), newest]))
