"""The place of a workload in its queue: what goes before it, and what is short. Only of what the queueing systems report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import msgspec

from fleet.domain.label_selectors import Requirement
from fleet.domain.quantities import GIB
from fleet.domain.queues.cohorts import Quotas
from fleet.domain.queues.flavors import Assignment, Shortage, assign
from fleet.domain.snapshot.queues import KAI, KUEUE, SYSTEMS, ClusterQueue, LocalQueue, QueueObjects, Workload
from fleet.domain.snapshot.scheduling import Toleration

NAMES = {KUEUE: "Kueue", "volcano": "Volcano", KAI: "KAI"}
MOST_AHEAD = 20
"""Workloads before it that are named; how many there are is in its position."""
_LAST = datetime.max.replace(tzinfo=UTC)
_GIGABYTES = ("memory", "ephemeral-storage")


class Ahead(msgspec.Struct, frozen=True, kw_only=True):
    """A workload that goes first."""

    namespace: str
    name: str
    priority: int | None = None
    requests: dict[str, int | None] = {}


class QueuePlace(msgspec.Struct, frozen=True, kw_only=True):
    """Where the workload of a pod is in front of the scheduler."""

    system: str
    name: str
    """Of the queue that decides the order: the ClusterQueue, the Queue."""
    local_queue: str = ""
    state: str = "waiting"
    """waiting, reserved (checks are open), admitted, stopped, unknown."""
    position: int | None = None
    """From 1; None where it does not wait or the order is not known."""
    waiting: int | None = None
    """Workloads that wait in the queue, this one included."""
    ahead: tuple[Ahead, ...] = ()
    short: tuple[Shortage, ...] = ()
    problems: tuple[str, ...] = ()
    message: str = ""
    """The queueing system's own, word for word."""
    order: str = ""
    """By what the position is known."""
    flavors: tuple[str, ...] = ()
    labels: dict[str, tuple[str, ...]] = {}
    """Node labels of those flavors, each with the values that do."""
    tolerations: tuple[Toleration, ...] = ()
    """That the flavors add to pods."""

    @property
    def waits(self) -> bool:
        """Returns whether the queue, not the scheduler, keeps its pods from starting."""
        return self.state in ("waiting", "reserved", "stopped")

    def selector(self) -> tuple[Requirement, ...]:
        """Returns the labels as requirements of a node."""
        return tuple(Requirement(key, "in", values) for key, values in self.labels.items())


def kueue_place(workload: Workload, objects: QueueObjects) -> QueuePlace:
    """Returns the place of a Workload, stored or only described by a manifest (then without a UID)."""
    local = next((q for q in objects.local_queues if (q.namespace, q.name) == (workload.namespace, workload.queue)), None)
    queues = {queue.name: queue for queue in objects.cluster_queues}
    flavors = {flavor.name: flavor for flavor in objects.flavors}
    name = workload.cluster_queue or (local.cluster_queue if local else "")
    place = QueuePlace(system=KUEUE, name=name or workload.queue, local_queue=workload.queue, message=workload.message)
    if workload.cluster_queue:
        used = tuple(dict.fromkeys(flavor for pods in workload.pod_sets for flavor in pods.flavors.values()))
        state = "admitted" if workload.admitted else "reserved"
        open_checks = [check for check in workload.checks if check.state != "Ready"]
        problems = tuple(f"Admission check {c.name} is {c.state.lower()}{f': {c.message}' if c.message else ''}."
                         for c in open_checks)  # fmt: skip
        place = msgspec.structs.replace(place, state=state, problems=problems if state == "reserved" else (), flavors=used)
        return _with_nodes(place, objects)
    queue = queues.get(name)
    problems = _standstill(workload, local, queue, name)
    if queue is None:
        return msgspec.structs.replace(place, state="stopped", problems=problems)
    assignment = assign(workload.pod_sets, queue, flavors, Quotas(objects))
    position, waiting, before, order = _order(workload, queue, objects)
    place = msgspec.structs.replace(
        place,
        state="stopped" if problems else "waiting",
        position=position,
        waiting=waiting,
        ahead=before,
        order=order,
        short=assignment.short,
        problems=(*problems, *assignment.problems, *_strict(queue, assignment, position)),
        flavors=assignment.flavors,
    )
    return _with_nodes(place, objects)


def _standstill(workload: Workload, local: LocalQueue | None, queue: ClusterQueue | None, name: str) -> tuple[str, ...]:
    """Returns what keeps the queue from admitting it whatever its quota."""
    if not workload.active:
        return ("The workload is deactivated (spec.active: false).",)
    if local is None:
        return (f"LocalQueue {workload.queue or 'without a name'} does not exist in namespace {workload.namespace}.",)
    if queue is None:
        return (f"ClusterQueue {name or 'without a name'} does not exist.",)
    if local.stopped:
        return (f"LocalQueue {local.name} is stopped.",)
    if queue.active is False:
        return (f"ClusterQueue {queue.name} is not active: {queue.why_inactive.rstrip('.') or 'no reason is given'}.",)
    if local.active is False:
        return (f"LocalQueue {local.name} is not active: {local.why_inactive.rstrip('.') or 'no reason is given'}.",)
    return ()


def _strict(queue: ClusterQueue, assignment: Assignment, position: int | None) -> tuple[str, ...]:
    if queue.strict and assignment.fits and position is not None and position > 1:
        return (f"ClusterQueue {queue.name} is StrictFIFO: what stands before it goes first, although the quota would do.",)
    return ()


def _order(workload: Workload, queue: ClusterQueue, objects: QueueObjects) -> tuple[int | None, int, tuple[Ahead, ...], str]:
    """Returns position, number of those that wait, those before it, and by what the order is known.

    Kueue's order is priority, then the time of creation (or of the eviction that sent it back), then UID.
    """
    locals_ = {(q.namespace, q.name) for q in objects.local_queues if q.cluster_queue == queue.name and not q.stopped}
    waiting = [
        other
        for other in objects.workloads
        if not other.cluster_queue and other.active and (other.namespace, other.queue) in locals_
    ]
    total = len(waiting) + (workload not in waiting)
    if workload.position is not None:
        known = sorted((o for o in waiting if o.position is not None), key=lambda o: o.position or 0)
        before = [other for other in known if (other.position or 0) < workload.position]
        return workload.position + 1, total, _ahead(before), "Kueue"
    if queue.fair:
        return None, total, (), ""
    before = sorted((other for other in waiting if _key(other) < _key(workload)), key=_key)
    return len(before) + 1, total, _ahead(before), "priority and age"


def _key(workload: Workload) -> tuple[int, datetime, str]:
    return -workload.priority, workload.queued_at or _LAST, workload.uid or "\uffff"


def _ahead(workloads: Sequence[Workload]) -> tuple[Ahead, ...]:
    return tuple(
        Ahead(namespace=other.namespace, name=other.name, priority=other.priority, requests=_total(other))
        for other in workloads[:MOST_AHEAD]
    )


def _total(workload: Workload) -> dict[str, int | None]:
    total: dict[str, int | None] = {}
    for pod_set in workload.pod_sets:
        for name, amount in pod_set.requests.items():
            before = total.get(name, 0)
            total[name] = None if before is None or amount is None else before + amount
    return total


def _with_nodes(place: QueuePlace, objects: QueueObjects) -> QueuePlace:
    """Returns the place with the node labels of its flavors. Flavors with different keys leave only what they share."""
    known = [flavor for flavor in objects.flavors if flavor.name in place.flavors]
    keys = set.intersection(*(set(flavor.labels) for flavor in known)) if known else set()
    labels = {key: tuple(dict.fromkeys(flavor.labels[key] for flavor in known)) for key in sorted(keys)}
    tolerations = tuple(dict.fromkeys(entry for flavor in known for entry in flavor.tolerations))
    return msgspec.structs.replace(place, labels=labels, tolerations=tolerations)


def unread(system: str, why: str) -> QueuePlace:
    """Returns the place of a pod whose queueing system was not read."""
    return QueuePlace(system=system, name=NAMES[system], state="unknown", message=why)


# -- in words ----------------------------------------------------------------------------------------------------------


def text_of(place: QueuePlace, nodes: str = "") -> str:
    """Returns the place as one or two sentences, the position first. `nodes`: a clause about nodes that would do."""
    queue = f"{_kind(place)} {place.name}"
    own = f" (LocalQueue {place.local_queue})" if place.local_queue and place.local_queue != place.name else ""
    if place.state == "unknown":
        return f"The place in {NAMES[place.system]}'s queue is unknown: {place.message or 'it was not read.'}"
    clauses = [_state(place, f"{queue}{own}"), *_short(place), nodes]
    rest = " ".join(place.problems)
    return f"{'; '.join(clause for clause in clauses if clause)}.{f' {rest}' if rest else ''}"


def _state(place: QueuePlace, queue: str) -> str:
    flavors = f" in flavor {', '.join(place.flavors)}" if place.flavors else ""
    if place.state == "admitted":
        return f"Admitted by {queue}{flavors}: it waits for the scheduler"
    if place.state == "reserved":
        return f"{queue} has reserved quota{flavors}, but has not admitted it"
    if place.state == "stopped":
        return f"{queue} admits nothing now"
    if place.position is None:
        number = f" of {place.waiting:,}" if place.waiting else ""
        return f"Waits in {queue}, its place{number} is not known"
    by = f", by {place.order}" if place.order not in ("", "Kueue") else ""
    return f"{ordinal(place.position)} of {place.waiting:,} in {queue}{by}"


def _kind(place: QueuePlace) -> str:
    return "ClusterQueue" if place.system == KUEUE else f"{NAMES[place.system]} queue"


def _short(place: QueuePlace) -> list[str]:
    clauses = []
    for row in place.short[:3]:
        of = f" of flavor {row.flavor}" if row.flavor else ""
        left = "what is left of its quota is unknown" if row.available is None else _left(row)
        clauses.append(f"needs {quantity(row.resource, row.needed)}{of}, {left}")
    if place.state == "waiting" and not clauses and not place.problems:
        clauses.append("its request fits what is left of the quota")
    return clauses


def _left(row: Shortage) -> str:
    left = max(row.available or 0, 0)
    of = f" of {quantity(row.resource, row.nominal, unit=False)}" if row.nominal is not None else ""
    return f"{quantity(row.resource, left, unit=False)}{of} left" if left else f"none{of} left"


def quantity(resource: str, amount: int | None, *, unit: bool = True) -> str:
    """Returns an amount in the scheduler's units for people."""
    if amount is None:
        return f"an unknown amount of {resource}" if unit else "unknown"
    if resource == "cpu":
        number = f"{amount / 1000:,g}"
    elif resource in _GIGABYTES or resource.startswith("hugepages-"):
        number = f"{amount / GIB:,.1f} GiB"
    else:
        number = f"{amount:,}"
    return f"{number} {'of ' if 'GiB' in number else ''}{resource}" if unit else number


def ordinal(number: int) -> str:
    """Returns 1st, 2nd, 3rd, 4th …"""
    if number % 100 in (11, 12, 13):
        return f"{number:,}th"
    return f"{number:,}{({1: 'st', 2: 'nd', 3: 'rd'}).get(number % 10, 'th')}"


def unread_systems(systems: Mapping[str, str]) -> dict[str, str]:
    """Returns the installed systems that were not read, each with why."""
    return {system: systems[system] for system in SYSTEMS if systems.get(system)}
