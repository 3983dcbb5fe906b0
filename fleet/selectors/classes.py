"""Workload classes: the catalogue as developers see it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from fleet.domain.classes.asks import PoolAsk
from fleet.domain.classes.keeping import IN_USE
from fleet.domain.classes.starters import Starter, starters
from fleet.domain.classes.workload import ISOLATIONS, TOPOLOGIES, sized
from fleet.domain.classes.workload import WorkloadClass as Promise
from fleet.domain.declared.documents import Declared, changes
from fleet.domain.manifests.parameters import Parameters
from fleet.domain.manifests.render import Document, Kind, kinds_of, manifest
from fleet.domain.placement.headroom import Headroom
from fleet.models import ClassVersion
from fleet.selectors import declarations
from fleet.selectors import headroom as rooms
from fleet.selectors.pools import NOT_JUDGED, Standing, standings_of


@dataclass(frozen=True, slots=True)
class ClassRow:
    """One class: what it promises in its newest version, how it stands, and the room it had in the newest judgement."""

    version: ClassVersion
    promise: Promise
    standing: Standing
    room: dict[str, Any]
    """selectors.headroom.as_json, empty before the first judgement."""
    room_at: datetime | None

    @property
    def isolation(self) -> str:
        """In plain words."""
        return ISOLATIONS[self.promise.isolation]

    @property
    def topology(self) -> str:
        return TOPOLOGIES[self.promise.topology]

    @property
    def is_full(self) -> bool:
        """Whether all that speaks against it is that others use what is promised: no fault of anybody's."""
        return self.standing.state == "at_risk" and set(self.standing.reasons) == {IN_USE}


def class_rows() -> list[ClassRow]:
    """Every class, in order. Two queries."""
    standings = standings_of("class")
    return [_row(version, standings) for version in declarations.newest_versions().values()]


def live_rows(now: datetime) -> list[ClassRow]:
    """Every class, in order, with the room there is at this moment."""
    here = rooms.stock(now)
    return [
        replace(row, room=rooms.as_json(rooms.room(row.promise, here), rooms.class_asks(row.promise, here)), room_at=here.as_of)
        for row in class_rows()
    ]


def get_row(slug: str) -> ClassRow | None:
    """One class as it is now."""
    version = declarations.newest_versions().get(slug)
    return _row(version, standings_of("class")) if version else None


def _row(version: ClassVersion, standings: dict[str, Standing]) -> ClassRow:
    row = version.workload_class
    return ClassRow(version, declarations.promise_of(version), standings.get(row.slug, NOT_JUDGED), row.headroom, row.headroom_at)


@dataclass(frozen=True, slots=True)
class LiveRoom:
    """Room for one size of a class, counted at this moment."""

    found: Headroom
    asks: tuple[PoolAsk, ...]
    as_of: datetime | None

    def as_json(self) -> dict[str, Any]:
        return rooms.as_json(self.found, self.asks)


def sized_promise(promise: Promise, gpus: str | None) -> Promise:
    """The class with so many slots per replica, as a caller wrote them; as it is for None. Raises ValueError with a sentence."""
    if not gpus:
        return promise
    if not (gpus.isascii() and gpus.isdecimal() and len(gpus) < 10):
        raise ValueError("Write a whole number.")
    if int(gpus) not in promise.choices:
        raise ValueError(f"This class has {', '.join(map(str, promise.choices))} slots per replica.")
    return sized(promise, int(gpus))


def live_room(promise: Promise, now: datetime, here: rooms.Stock | None = None) -> LiveRoom:
    """How many replicas of the class could land now."""
    here = here or rooms.stock(now)
    return LiveRoom(rooms.room(promise, here), rooms.class_asks(promise, here), here.as_of)


def manifest_of(
    promise: Promise, kind: str, parameters: Parameters, now: datetime, pool: str = "", here: rooms.Stock | None = None
) -> list[Document]:
    """The documents of one kind, for its preferred pool or the one of that slug. Raises manifests.ManifestError."""
    return manifest(kind, _asks(promise, here or rooms.stock(now), pool), parameters)


def kinds(promise: Promise, now: datetime, pool: str = "", here: rooms.Stock | None = None) -> tuple[Kind, ...]:
    """The kinds of manifest this class can have."""
    asked = _asks(promise, here or rooms.stock(now), pool)
    return kinds_of(asked[0]) if asked else ()


def _asks(promise: Promise, here: rooms.Stock, pool: str) -> tuple[PoolAsk, ...]:
    """What it asks of its pools; one that offers no such slots now stands behind those that do."""
    asked = rooms.class_asks(promise, here)
    if pool:
        return tuple(ask for ask in asked if ask.pool.slug == pool)
    return tuple(sorted(asked, key=lambda ask: bool(ask.problem)))


def offered_starters(now: datetime) -> tuple[Starter, ...]:
    """Classes that the fleet could promise at once; those whose slug is taken are left out."""
    here = rooms.stock(now)
    taken = declarations.newest_versions()
    return tuple(one for one in starters(here.pools, here.fleet) if one.promise.slug not in taken)


@dataclass(frozen=True, slots=True)
class Offer:
    """What one pool of a class really has for it."""

    ask: PoolAsk
    products: tuple[str, ...]
    modes: tuple[str, ...]
    """In words for people."""
    drivers: tuple[str, ...]
    memory_mib: tuple[int, ...]
    """Of one physical card; several where they differ."""


def offers_of(promise: Promise, here: rooms.Stock) -> list[Offer]:
    """What each pool of the class has, in order of preference."""
    found = []
    for ask in rooms.class_asks(promise, here):
        nodes = [shape.node for shape in here.fleet.of_pool(ask.pool.slug)]
        found.append(
            Offer(
                ask=ask,
                products=tuple(sorted({node.product for node in nodes if node.product})),
                modes=tuple(sorted({node.mode for node in nodes if node.mode})),
                drivers=tuple(sorted({node.driver_version for node in nodes if node.driver_version})),
                memory_mib=tuple(sorted({node.gpu_memory_mib for node in nodes if node.gpu_memory_mib})),
            )
        )
    return found


@dataclass(frozen=True, slots=True)
class VersionRow:
    """One version of a class, and what it changed."""

    version: ClassVersion
    fields: tuple[tuple[str, Any, Any], ...]
    """Path, before, after; empty for the first version."""


def versions(slug: str) -> list[VersionRow]:
    """Every version, newest first. One query."""
    rows = list(ClassVersion.objects.filter(workload_class__slug=slug).select_related("by").order_by("number"))
    found: list[VersionRow] = []
    before: dict[str, Promise] = {}
    for row in rows:
        promise = declarations.promise_of(row)
        (change,) = changes(Declared(classes=(promise,)), {}, before)
        found.append(VersionRow(row, change.fields if before else ()))
        before = {promise.slug: promise}
    return found[::-1]
