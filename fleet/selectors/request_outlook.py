"""What would come of an ask: room for it now, whether somebody has to decide, how long it would last."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from fleet.domain import asking
from fleet.domain.asking import Ask, Limits
from fleet.domain.classes.asks import PoolAsk
from fleet.domain.classes.workload import WorkloadClass as Promise
from fleet.domain.classes.workload import sized
from fleet.domain.placement.headroom import Headroom
from fleet.models import ClassRequest, ClassVersion, Team
from fleet.selectors import headroom as rooms
from fleet.selectors.declarations import promise_of
from fleet.selectors.requests import granted_replicas, limits_of


@dataclass(frozen=True, slots=True)
class Outlook:
    """A class in one size, and, where the team is known, what the team may have of it."""

    promise: Promise
    """In the size that was asked."""
    sizes: tuple[int, ...]
    """Slots per replica that the class lets one choose."""
    room: Headroom
    asks: tuple[PoolAsk, ...]
    as_of: datetime | None
    replicas: int | None
    """As asked; None while nothing sensible was written."""
    limits: Limits | None = None
    granted: int = 0
    """Replicas of the class that the team has already."""
    problems: tuple[tuple[str, str], ...] = ()
    """Field and sentence of everything that cannot be as it is."""
    why: str = ""
    """Why somebody has to decide; empty where it would be granted at once."""
    ends_at: datetime | None = None
    """When it would end if it were granted now; None for no end."""

    @property
    def fits(self) -> bool | None:
        """Whether all of it could land now."""
        return None if self.replicas is None else self.replicas <= self.room.replicas

    @property
    def slots(self) -> int | None:
        return None if self.replicas is None else self.replicas * self.promise.gpus

    @property
    def pool_problems(self) -> tuple[str, ...]:
        """Why pools of the class cannot take it at all."""
        return tuple(ask.problem for ask in self.asks if ask.problem)


def outlook(version: ClassVersion, now: datetime, team: Team | None = None, ask: Ask | None = None) -> Outlook:
    """What would come of `ask` in the name of `team`. An ask that is wrong in a field is told so and judged as far as it goes."""
    promise = promise_of(version)
    sizes = promise.choices
    if ask is not None and ask.gpus in sizes and ask.gpus is not None:
        promise = sized(promise, ask.gpus)
    here = rooms.stock(now)
    asked = rooms.class_asks(promise, here)
    room = rooms.room(promise, here)
    if team is None or ask is None:
        return Outlook(promise, sizes, room, asked, here.as_of, ask.replicas if ask else None)
    limits = limits_of(version, team)
    found = asking.problems(ask, limits, team.name, team.namespaces, sizes)
    wrong = {field for field, _ in found}
    replicas = None if "replicas" in wrong else ask.replicas
    granted = granted_replicas(team, version)
    return Outlook(
        promise,
        sizes,
        room,
        asked,
        here.as_of,
        replicas,
        limits,
        granted,
        found,
        asking.needs_approval(limits, granted, replicas) if replicas is not None else "",
        None if "hours" in wrong else asking.ends_at(now, ask.hours, limits),
    )


def outlook_of(row: ClassRequest, now: datetime) -> Outlook:
    """The same for a request that was written down."""
    ask = Ask(namespace=row.namespace, name=row.name, replicas=row.replicas, image=row.image, hours=row.hours, gpus=row.gpus)
    return outlook(row.class_version, now, row.team, ask)
