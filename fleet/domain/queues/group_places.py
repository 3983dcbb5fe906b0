"""The place of a PodGroup in a queue of Volcano or KAI."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import msgspec

from fleet.domain.queues.flavors import Shortage
from fleet.domain.queues.places import MOST_AHEAD, NAMES, Ahead, QueuePlace
from fleet.domain.snapshot.queues import KAI, BatchQueue, PodGroup, QueueObjects

_LAST = datetime.max.replace(tzinfo=UTC)
_DEEPEST = 32
Requests = Mapping[str, int | None]


def group_place(group: PodGroup, objects: QueueObjects, priorities: Mapping[str, int], requests: Requests) -> QueuePlace:
    """Returns the place of a group in its queue.

    `priorities` are those of PriorityClasses by name; `requests` what its waiting pods ask for, used where the group does not
    state it. Which group goes first is decided by plugins of Volcano and by KAI's fair share: the order by priority and age is
    what both begin with, and the answer names it.
    """
    queues = {queue.name: queue for queue in objects.queues if queue.system == group.system}
    place = QueuePlace(system=group.system, name=group.queue or "default", message=group.message)
    queue = queues.get(place.name)
    if queue is None:
        problem = f"{NAMES[group.system]} queue {place.name} does not exist."
        return msgspec.structs.replace(place, state="stopped", problems=(problem,))
    if not waits(group):
        return msgspec.structs.replace(place, state="admitted")

    def key(other: PodGroup) -> tuple[int, datetime, str]:
        return -priorities.get(other.priority_class, 0), other.created_at or _LAST, f"{other.namespace}/{other.name}"

    others = [o for o in objects.groups if (o.system, o.queue or "default") == (group.system, place.name) and waits(o)]
    before = sorted((other for other in others if key(other) < key(group)), key=key)
    problems = []
    if queue.state in ("Closed", "Closing"):
        problems.append(f"Queue {queue.name} is {queue.state.lower()}: it accepts no new groups.")
    wanted = dict(group.requests) or dict(requests)
    short, over = _shortages(wanted, _chain(queue, queues))
    return msgspec.structs.replace(
        place,
        state="stopped" if problems else "waiting",
        position=len(before) + 1,
        waiting=len(others) + (group not in others),
        ahead=tuple(
            Ahead(
                namespace=other.namespace,
                name=other.name,
                priority=priorities.get(other.priority_class),
                requests=other.requests,
            )
            for other in before[:MOST_AHEAD]
        ),
        order="priority and age",
        short=short,
        problems=(*problems, *over),
    )


def waits(group: PodGroup) -> bool:
    """Returns whether the group is not scheduled yet: fewer of its pods run than it needs at least."""
    if group.system == KAI:
        return group.running < group.min_member
    return group.phase in ("", "Pending", "Inqueue") or (group.phase == "Unknown" and group.running < group.min_member)


def _chain(queue: BatchQueue, queues: Mapping[str, BatchQueue]) -> list[BatchQueue]:
    """Returns the queue and those above it."""
    chain = [queue]
    while len(chain) < _DEEPEST and chain[-1].parent in queues and queues[chain[-1].parent] not in chain:
        chain.append(queues[chain[-1].parent])
    return chain


def _shortages(wanted: Requests, chain: Sequence[BatchQueue]) -> tuple[tuple[Shortage, ...], tuple[str, ...]]:
    """Returns the limits that the request does not fit, of the queue and those above, and quotas that it exceeds."""
    short: list[Shortage] = []
    over: list[str] = []
    for queue in chain:
        for resource, amount in wanted.items():
            used = queue.allocated.get(resource, 0)
            limit = queue.limits.get(resource)
            if resource in queue.limits and (amount is None or used is None or limit is None or amount + used > limit):
                left = None if amount is None or used is None or limit is None else limit - used
                short.append(
                    Shortage(flavor="", resource=resource, needed=amount or 0, available=left, nominal=limit, reserved=used)
                )
            quota = queue.quota.get(resource)
            if quota is not None and amount is not None and used is not None and amount + used > quota:
                beyond = "beyond it there is only what others leave"
                over.append(f"Queue {queue.name} would be over its quota of {quota:,} {resource}: {beyond}.")
    return tuple(short), tuple(over)
