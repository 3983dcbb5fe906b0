"""Outcome of an access request before it is submitted: headroom, need for approval, duration."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from fleet.domain.access_requests import workflow
from fleet.domain.access_requests.workflow import Limits, RequestedAccess
from fleet.domain.classes.requirements import ClassInPool
from fleet.domain.classes.workload import ClassSpec, sized
from fleet.domain.placement.headroom import Headroom
from fleet.models import AccessRequest, ClassVersion, Team
from fleet.selectors.access_requests.access_requests import granted_replicas, limits_of
from fleet.selectors.declarations import spec_of
from fleet.selectors.placement import headroom as rooms


@dataclass(frozen=True, slots=True)
class Outlook:
    """A class in one size, and, where the team is known, what the team may have of it."""

    class_spec: ClassSpec
    """In the requested size."""
    sizes: tuple[int, ...]
    """Slots per replica that the class allows."""
    room: Headroom
    asks: tuple[ClassInPool, ...]
    as_of: datetime | None
    replicas: int | None
    """As requested; None while no valid value was entered."""
    limits: Limits | None = None
    granted: int = 0
    """Replicas of the class that the team has already."""
    problems: tuple[tuple[str, str], ...] = ()
    """Invalid fields, each with a sentence."""
    why: str = ""
    """Why approval is needed; empty if it would be granted at once."""
    ends_at: datetime | None = None
    """When it would end if it were granted now; None for no end."""

    @property
    def fits(self) -> bool | None:
        """Whether all replicas fit now."""
        return None if self.replicas is None else self.replicas <= self.room.replicas

    @property
    def slots(self) -> int | None:
        return None if self.replicas is None else self.replicas * self.class_spec.gpus

    @property
    def pool_problems(self) -> tuple[str, ...]:
        """Why pools of the class cannot hold it at all."""
        return tuple(requested.problem for requested in self.asks if requested.problem)


def outlook(version: ClassVersion, now: datetime, team: Team | None = None, requested: RequestedAccess | None = None) -> Outlook:
    """Returns the outcome for `team`. A request with invalid fields gets their errors and is evaluated as far as possible."""
    class_spec = spec_of(version)
    sizes = class_spec.choices
    if requested is not None and requested.gpus in sizes and requested.gpus is not None:
        class_spec = sized(class_spec, requested.gpus)
    stock = rooms.stock(now)
    asked = rooms.class_in_pools(class_spec, stock)
    room = rooms.room(class_spec, stock)
    if team is None or requested is None:
        return Outlook(class_spec, sizes, room, asked, stock.as_of, requested.replicas if requested else None)
    limits = limits_of(version, team)
    problems = workflow.problems(requested, limits, team.name, team.namespaces, sizes)
    wrong = {field for field, _ in problems}
    replicas = None if "replicas" in wrong else requested.replicas
    granted = granted_replicas(team, version)
    return Outlook(
        class_spec,
        sizes,
        room,
        asked,
        stock.as_of,
        replicas,
        limits,
        granted,
        problems,
        workflow.needs_approval(limits, granted, replicas) if replicas is not None else "",
        None if "hours" in wrong else workflow.ends_at(now, requested.hours, limits),
    )


def outlook_of(row: AccessRequest, now: datetime) -> Outlook:
    """The same for a request that was written down."""
    requested = RequestedAccess(
        namespace=row.namespace, name=row.name, replicas=row.replicas, image=row.image, hours=row.hours, gpus=row.gpus
    )
    return outlook(row.class_version, now, row.team, requested)
