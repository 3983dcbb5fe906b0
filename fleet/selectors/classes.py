"""Workload classes: the catalogue as developers see it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from fleet.domain.classes.compliance import is_full
from fleet.domain.classes.requirements import ClassInPool
from fleet.domain.classes.starters import Starter, starters
from fleet.domain.classes.workload import ISOLATIONS, TOPOLOGIES, ClassSpec, sized
from fleet.domain.documents.documents import Declared, changes
from fleet.domain.manifests.parameters import Parameters
from fleet.domain.manifests.render import Document, Kind, kinds_of, manifest
from fleet.domain.placement.headroom import Headroom
from fleet.domain.pools.availability import Availability, worst_availability
from fleet.models import ClassVersion
from fleet.selectors import declarations
from fleet.selectors.namespace_manifests import OF_NAMESPACE, asked_of, namespace_documents
from fleet.selectors.placement import headroom as rooms
from fleet.selectors.pools.pools import NOT_EVALUATED, Compliance, compliance_by_slug, pool_rows


@dataclass(frozen=True, slots=True)
class ClassRow:
    """One class in its newest version, with compliance, availability, and the room of the newest evaluation."""

    version: ClassVersion
    class_spec: ClassSpec
    compliance: Compliance
    availability: Availability
    """The worst of its pools."""
    room: dict[str, object]
    """selectors.headroom.as_json, empty before the first evaluation."""

    @property
    def isolation(self) -> str:
        """As a sentence."""
        return ISOLATIONS[self.class_spec.isolation]

    @property
    def topology(self) -> str:
        return TOPOLOGIES[self.class_spec.topology]

    @property
    def is_full(self) -> bool:
        """Whether the only violation is that all of its capacity is in use, which is not a fault."""
        return is_full(self.compliance.state, self.compliance.texts)


def class_rows(now: datetime) -> list[ClassRow]:
    """Returns every class, in order."""
    compliance_of = compliance_by_slug("class")
    availability_of = {row.row.slug: row.availability for row in pool_rows(now)}
    return [_row(version, compliance_of, availability_of) for version in declarations.newest_versions().values()]


def live_rows(now: datetime) -> list[ClassRow]:
    """Returns every class, in order, with its current room."""
    stock = rooms.stock(now)
    return [
        replace(
            row,
            room=rooms.as_json(rooms.room(row.class_spec, stock), rooms.class_in_pools(row.class_spec, stock)),
        )
        for row in class_rows(now)
    ]


def get_row(slug: str, now: datetime) -> ClassRow | None:
    """Returns one class as it is now; None where the catalogue has none of that slug."""
    return next((row for row in class_rows(now) if row.class_spec.slug == slug), None)


def _row(version: ClassVersion, compliance_of: Mapping[str, Compliance], availability_of: Mapping[str, Availability]) -> ClassRow:
    row, spec = version.workload_class, declarations.spec_of(version)
    return ClassRow(
        version=version,
        class_spec=spec,
        compliance=compliance_of.get(row.slug, NOT_EVALUATED),
        availability=worst_availability([availability_of[slug] for slug in spec.pools if slug in availability_of]),
        room=row.headroom,
    )


@dataclass(frozen=True, slots=True)
class LiveRoom:
    """Room for one size of a class, counted at this moment."""

    headroom: Headroom
    in_pools: tuple[ClassInPool, ...]
    as_of: datetime | None

    def as_json(self) -> dict[str, object]:
        return rooms.as_json(self.headroom, self.in_pools)


def sized_spec(class_spec: ClassSpec, gpus: str | None) -> ClassSpec:
    """Returns the class with this number of slots per replica; unchanged for None. Raises ValueError with a sentence."""
    if not gpus:
        return class_spec
    if not (gpus.isascii() and gpus.isdecimal() and len(gpus) < 10):
        raise ValueError("Enter a whole number.")
    if int(gpus) not in class_spec.choices:
        raise ValueError(f"This class has {', '.join(map(str, class_spec.choices))} slots per replica.")
    return sized(class_spec, int(gpus))


def live_room(class_spec: ClassSpec, now: datetime, stock: rooms.Stock | None = None) -> LiveRoom:
    """Number of replicas of the class that fit now."""
    stock = stock or rooms.stock(now)
    return LiveRoom(rooms.room(class_spec, stock), rooms.class_in_pools(class_spec, stock), stock.as_of)


def manifest_of(  # noqa: PLR0913 the parts of a manifest question
    class_spec: ClassSpec,
    kind: str,
    parameters: Parameters,
    now: datetime,
    pool: str = "",
    *,
    stock: rooms.Stock | None = None,
    request: int | None = None,
) -> list[Document]:
    """Returns the documents of one kind, for the preferred pool or the one of that slug. Raises FieldError.

    A policy, quota or queue is of the namespace: it follows from every request that is granted there. `request` is the number of
    the request that it is for.
    """
    stock = stock or rooms.stock(now)
    if kind in OF_NAMESPACE:
        return namespace_documents(class_spec, kind, parameters, stock, pool, request=request)
    return manifest(kind, asked_of(class_spec, stock, pool), parameters)


def kinds(class_spec: ClassSpec, now: datetime, pool: str = "", stock: rooms.Stock | None = None) -> tuple[Kind, ...]:
    """The kinds of manifest this class can have."""
    asked = asked_of(class_spec, stock or rooms.stock(now), pool)
    return kinds_of(asked[0]) if asked else ()


def offered_starters(now: datetime) -> tuple[Starter, ...]:
    """Returns classes that the fleet could provide now, without existing slugs."""
    stock = rooms.stock(now)
    taken = declarations.newest_versions()
    return tuple(starter for starter in starters(stock.pools, stock.fleet) if starter.class_spec.slug not in taken)


@dataclass(frozen=True, slots=True)
class Offer:
    """What one pool of a class has for it."""

    in_pool: ClassInPool
    products: tuple[str, ...]
    modes: tuple[str, ...]
    """As words."""
    drivers: tuple[str, ...]
    memory_mib: tuple[int, ...]
    """Of one physical GPU; several where they differ."""


def offers_of(class_spec: ClassSpec, stock: rooms.Stock) -> list[Offer]:
    """What each pool of the class has, in order of preference."""
    offers = []
    for in_pool in rooms.class_in_pools(class_spec, stock):
        nodes = [shape.node for shape in stock.fleet.of_pool(in_pool.pool.slug)]
        offers.append(
            Offer(
                in_pool=in_pool,
                products=tuple(sorted({node.product for node in nodes if node.product})),
                modes=tuple(sorted({node.mode for node in nodes if node.mode})),
                drivers=tuple(sorted({node.driver_version for node in nodes if node.driver_version})),
                memory_mib=tuple(sorted({node.gpu_memory_mib for node in nodes if node.gpu_memory_mib})),
            )
        )
    return offers


@dataclass(frozen=True, slots=True)
class VersionRow:
    """One version of a class, and what it changed."""

    version: ClassVersion
    fields: tuple[tuple[str, object, object], ...]
    """Path, before, after; empty for the first version."""


def versions(slug: str) -> list[VersionRow]:
    """Every version, newest first. One query."""
    rows = list(ClassVersion.objects.filter(workload_class__slug=slug).select_related("by").order_by("number"))
    results: list[VersionRow] = []
    before: dict[str, ClassSpec] = {}
    for row in rows:
        class_spec = declarations.spec_of(row)
        (change,) = changes(Declared(classes=(class_spec,)), {}, before)
        results.append(VersionRow(row, change.fields if before else ()))
        before = {class_spec.slug: class_spec}
    return results[::-1]
