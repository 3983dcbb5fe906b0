"""The queue in front of the scheduler, as a card of Explain: place, quota to scale, what goes first."""

from __future__ import annotations

from dataclasses import dataclass

from fleet.domain.queues.flavors import Shortage
from fleet.domain.queues.places import NAMES, Ahead, QueuePlace, ordinal, quantity
from fleet.selectors.placement.queues import QueueAnswer

WIDTH = 1000
"""Of the bar, in the units of its drawing."""
SHOWN_AHEAD = 5


@dataclass(frozen=True, slots=True)
class Part:
    """One part of the quota bar."""

    kind: str
    """used, ahead, left or short."""
    text: str
    start: int
    width: int


@dataclass(frozen=True, slots=True)
class AheadRow:
    """A workload that goes first, and what it requests in words."""

    workload: Ahead
    requests: str


@dataclass(frozen=True, slots=True)
class QueueView:
    answer: QueueAnswer
    title: str
    note: str
    parts: tuple[Part, ...]
    ahead: tuple[AheadRow, ...]
    more: int
    """Further workloads before it that are not listed."""


def queue_view(answer: QueueAnswer | None) -> QueueView | None:
    """Returns the card; None where no queue is in front of the pod."""
    if answer is None:
        return None
    place = answer.place
    rows = tuple(AheadRow(other, _requests(other)) for other in place.ahead[:SHOWN_AHEAD])
    return QueueView(
        answer=answer,
        title=_title(place),
        note=_note(place),
        parts=_parts(place),
        ahead=rows,
        more=max((place.position or 1) - 1 - len(rows), 0),
    )


def _title(place: QueuePlace) -> str:
    if place.position is not None and place.waiting:
        return f"Queue: {ordinal(place.position)} of {place.waiting:,}"
    states = {"admitted": "admitted", "reserved": "quota reserved", "stopped": "admits nothing now", "unknown": "unknown"}
    return f"Queue: {states.get(place.state, 'waiting')}"


def _note(place: QueuePlace) -> str:
    if place.state == "unknown":
        return NAMES[place.system]
    path = f"{place.local_queue} → {place.name}" if place.local_queue and place.local_queue != place.name else place.name
    names = ", ".join(place.flavors[:3])
    flavors = f", {'flavor' if len(place.flavors) == 1 else 'flavors'} {names}" if names else ""
    return f"{NAMES[place.system]}, {path}{flavors}"


def _requests(other: Ahead) -> str:
    words = [quantity(name, amount) for name, amount in other.requests.items() if "/" in name]
    return ", ".join(words[:3])


def _parts(place: QueuePlace) -> tuple[Part, ...]:
    """Returns the quota of the first resource that is short, to scale: in use, ahead, left, short."""
    row = next((row for row in place.short if row.available is not None and row.nominal), None)
    if row is None:
        return ()
    amounts = _amounts(row, place)
    total = sum(amounts.values())
    parts, start = [], 0
    words = {"used": "in use", "ahead": "ahead", "left": "left", "short": "short"}
    for kind, amount in amounts.items():
        width = WIDTH * amount // max(total, 1)
        if amount > 0:
            parts.append(Part(kind, f"{quantity(row.resource, amount, unit=False)} {words[kind]}", start, max(width, 6)))
        start += width
    return tuple(parts)


def _amounts(row: Shortage, place: QueuePlace) -> dict[str, int]:
    available = max(row.available or 0, 0)
    before = sum(other.requests.get(row.resource) or 0 for other in place.ahead)
    ahead = min(before, available)
    left = available - ahead
    return {"used": row.reserved or 0, "ahead": ahead, "left": min(left, row.needed), "short": max(row.needed - left, 0)}
