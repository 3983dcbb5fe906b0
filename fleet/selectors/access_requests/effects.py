"""What an approval would do: room before and after, and which other granted requests would no longer fit beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from fleet.domain.access_requests.workflow import GRANTED
from fleet.domain.classes.requirements import ClassInPool, label_keys
from fleet.domain.classes.workload import ClassSpec
from fleet.domain.manifests.dra import class_claim
from fleet.domain.placement.device_room import holding
from fleet.domain.placement.effect import after
from fleet.domain.placement.fleet import Fleet
from fleet.domain.placement.headroom import Placement, headroom, place
from fleet.domain.placement.scheduler.devices import ClusterClaims
from fleet.models import AccessRequest
from fleet.selectors.access_requests.access_requests import requested_spec
from fleet.selectors.placement import headroom as rooms


@dataclass(frozen=True, slots=True)
class Harmed:
    """Another granted request with missing replicas that fit now, but would not after the approval."""

    row: AccessRequest
    missing: int
    before: int
    after: int


@dataclass(frozen=True, slots=True)
class Effect:
    """Room in replicas of the request's own size."""

    asked: int
    """Replicas that would be added."""
    lands: int
    """Of them, as many as fit now."""
    before: int
    back: int
    """Room once broken nodes are back."""
    after: int
    owed: int
    """Replicas of the same class that are granted to others and do not run yet: they compete for the same room."""
    harmed: tuple[Harmed, ...]
    as_of: datetime | None

    @property
    def fits(self) -> bool:
        return self.lands >= self.asked


def effects(rows: Sequence[AccessRequest], now: datetime) -> dict[int, Effect]:
    """Request id → effect of granting it (or its pending change), for each alone. One query besides the fleet's own.

    Every one of them costs a placement over its pools, so the caller pages.
    """
    if not rows:
        return {}
    stock = rooms.stock(now)
    granted = [
        row
        for row in AccessRequest.objects.filter(state__in=GRANTED).select_related("team", "class_version__workload_class")
        if missing_of(row)
    ]
    counted: dict[ClassSpec, int] = {}
    return {row.pk: _effect(row, stock, granted, counted) for row in rows}


def missing_of(row: AccessRequest) -> int:
    """Granted replicas that do not run, by the newest check; all of them before the first check."""
    latest_check: int = row.latest_check.get("missing_replicas", row.replicas)
    return latest_check


def added_by(row: AccessRequest) -> int:
    """Replicas that granting would add: all of a submitted request, what a change of size adds, nothing for more time."""
    if row.state in GRANTED:
        return max(0, (row.wanted_replicas or row.replicas) - row.replicas)
    return row.replicas


def _effect(row: AccessRequest, stock: rooms.Stock, granted: Sequence[AccessRequest], counted: dict[ClassSpec, int]) -> Effect:
    class_spec, asked = requested_spec(row), added_by(row)
    in_pools = rooms.class_in_pools(class_spec, stock)
    base = rooms.fleet_for([class_spec, *map(requested_spec, granted)], stock)
    requirements, fleet = rooms.asked_of(in_pools, stock, base)
    room = rooms.room(class_spec, stock)
    placed = place(requirements, fleet, asked)
    then = _Then(after(fleet, placed, requirements, label_keys(stock.pools)), _held(in_pools, placed, stock)) if placed else None
    others = [other for other in granted if other.pk != row.pk]
    same = row.class_version.workload_class_id
    return Effect(
        asked=asked,
        lands=len(placed),
        before=room.replicas,
        back=room.back,
        after=headroom(*rooms.asked_of(in_pools, stock, then.fleet, then.claims)).replicas if then else room.replicas,
        owed=sum(missing_of(other) for other in others if other.class_version.workload_class_id == same),
        harmed=tuple(_harmed(others, stock, then, counted)) if then else (),
        as_of=stock.as_of,
    )


@dataclass(frozen=True, slots=True)
class _Then:
    """The fleet with the request's replicas placed, and its devices held; without claims where it requests none through DRA."""

    fleet: Fleet
    claims: Mapping[str, ClusterClaims] | None


def _held(in_pools: Sequence[ClassInPool], placed: Sequence[Placement], stock: rooms.Stock) -> Mapping[str, ClusterClaims] | None:
    claims: Mapping[str, ClusterClaims] | None = None
    for in_pool in in_pools:
        if in_pool.dra:
            own = [placement for placement in placed if placement.pool == in_pool.pool.slug]
            claims = holding(own, class_claim(in_pool), claims or rooms.claims_by_cluster(stock))
    return claims


def _harmed(others: Sequence[AccessRequest], stock: rooms.Stock, then: _Then, counted: dict[ClassSpec, int]) -> list[Harmed]:
    result, later = [], {}
    for other in others:
        class_spec, missing = requested_spec(other), missing_of(other)
        if class_spec not in counted:
            counted[class_spec] = rooms.room(class_spec, stock).replicas
        if class_spec not in later:
            in_pools = rooms.class_in_pools(class_spec, stock)
            later[class_spec] = headroom(*rooms.asked_of(in_pools, stock, then.fleet, then.claims)).replicas
        if later[class_spec] < missing <= counted[class_spec]:
            result.append(Harmed(other, missing, counted[class_spec], later[class_spec]))
    return result
