"""Which flavor a pod set gets, and what is short in each that it could have: Kueue's flavor assignment without preemption."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from fleet.domain.label_selectors import Requirement, holds
from fleet.domain.placement.scheduler.node_filters import untolerated
from fleet.domain.queues.cohorts import Key, Quotas
from fleet.domain.snapshot.queues import ClusterQueue, Flavor, FlavorQuota, PodSet
from fleet.domain.snapshot.scheduling import PodScheduling

PODS = "pods"
"""A resource that Kueue counts itself where a queue has quota for it."""


class Shortage(msgspec.Struct, frozen=True, kw_only=True):
    """A resource of which a flavor has too little left, or of which that is unknown."""

    flavor: str
    resource: str
    needed: int
    """By the whole workload so far."""
    available: int | None
    """What the queue can still reserve, borrowing included; None where unknown."""
    nominal: int | None
    reserved: int | None


class Assignment(msgspec.Struct, frozen=True, kw_only=True):
    """The flavors of one workload."""

    fits: bool | None
    """None where it depends on something unknown."""
    flavors: tuple[str, ...] = ()
    """Flavors whose nodes its pods may use: the assigned ones, else all that are not ruled out by labels and taints."""
    short: tuple[Shortage, ...] = ()
    problems: tuple[str, ...] = ()
    """What no free quota mends: a resource without quota, no flavor that matches."""


def assign(pod_sets: Sequence[PodSet], queue: ClusterQueue, flavors: Mapping[str, Flavor], quotas: Quotas) -> Assignment:
    """Returns the flavors that all pod sets would get now, or what keeps them from it."""
    taken: dict[Key, int] = {}
    chosen: list[str] = []
    short: list[Shortage] = []
    problems: list[str] = []
    unknown = False
    for pod_set in pod_sets:
        requests = dict(pod_set.requests)
        if any(quota.resource == PODS for quota in queue.quotas):
            requests[PODS] = pod_set.count
        missing = [name for name, amount in requests.items() if amount != 0 and not _covers(queue, name)]
        problems += [f"ClusterQueue {queue.name} has no quota for {name}." for name in missing]
        for group in sorted({quota.group for quota in queue.quotas}):
            quota_rows = [quota for quota in queue.quotas if quota.group == group]
            wanted = {row.resource: requests[row.resource] for row in quota_rows if requests.get(row.resource) != 0
                      and row.resource in requests}  # fmt: skip
            if not wanted:
                continue
            names = list(dict.fromkeys(row.flavor for row in quota_rows))
            open_to = [name for name in names if _matches(pod_set.pod, name, names, flavors)]
            if not open_to:
                problems.append(f"No flavor of ClusterQueue {queue.name} matches the selector and tolerations of the pods.")
                continue
            fitting, rows, unsure = _first_that_fits(wanted, open_to, queue, quotas, taken)
            unknown = unknown or (fitting is None and unsure)
            chosen += [fitting] if fitting is not None else open_to
            if fitting is None:
                short += rows
    problems = list(dict.fromkeys(problems))
    fits: bool | None = not problems and not short and not unknown
    if unknown and not problems:
        fits = None
    return Assignment(fits=fits, flavors=tuple(dict.fromkeys(chosen)), short=tuple(short), problems=tuple(problems))


def _first_that_fits(
    wanted: Mapping[str, int | None], names: Sequence[str], queue: ClusterQueue, quotas: Quotas, taken: dict[Key, int]
) -> tuple[str | None, list[Shortage], bool]:
    """Returns the first flavor with room for all of it, what is short in those before, and whether one of them is unknown."""
    short: list[Shortage] = []
    unsure = False
    for name in names:
        rows = []
        for resource, amount in wanted.items():
            row = _row(queue, name, resource)
            needed = (amount or 0) + taken.get((name, resource), 0)
            available = quotas.available(queue, (name, resource))
            if amount is None or available is None or needed > available:
                rows.append(
                    Shortage(
                        flavor=name,
                        resource=resource,
                        needed=needed,
                        available=None if amount is None else available,
                        nominal=row.nominal if row else None,
                        reserved=row.reserved if row else None,
                    )
                )
        if not rows:
            for resource, amount in wanted.items():
                taken[name, resource] = taken.get((name, resource), 0) + (amount or 0)
            return name, [], False
        unsure = unsure or all(row.available is None for row in rows)
        short += rows
    return None, short, unsure


def _covers(queue: ClusterQueue, resource: str) -> bool:
    return any(quota.resource == resource for quota in queue.quotas)


def _row(queue: ClusterQueue, flavor: str, resource: str) -> FlavorQuota | None:
    return next((quota for quota in queue.quotas if (quota.flavor, quota.resource) == (flavor, resource)), None)


def _matches(pod: PodScheduling | None, name: str, names: Sequence[str], flavors: Mapping[str, Flavor]) -> bool:
    """Returns whether the pods may get the flavor: its taints are tolerated, and its labels meet selector and affinity.

    Only label keys of the group's flavors count; a term of the affinity that is about others alone is met by every flavor.
    """
    flavor = flavors.get(name)
    if flavor is None or pod is None:
        return flavor is not None
    if untolerated(flavor.taints, (*pod.tolerations, *flavor.tolerations)):
        return False
    keys = {key for other in names if other in flavors for key in flavors[other].labels}
    if not _all_hold((entry for entry in pod.selector if entry.key in keys), flavor):
        return False
    if pod.terms is None:
        return True
    narrowed = [[entry for entry in term if entry.key in keys] for term in pod.terms]
    return any(_all_hold(term, flavor) for term in narrowed)


def _all_hold(requirements: Iterable[Requirement], flavor: Flavor) -> bool:
    return all(holds(entry, flavor.labels.get(entry.key)) for entry in requirements)
