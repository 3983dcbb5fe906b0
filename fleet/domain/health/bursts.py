"""Bursts of Xid events, and the incidents they belong to. Counting lines would count one crash a thousand times."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

from fleet.domain.catalog import xids
from fleet.domain.subject import XidBurst

FOLLOWS = 45
"""Preemptive cleanup: it comes behind whatever killed the process, so it joins any other code's incident."""

FOLLOWING = "following"

SOURCES = ("condition", "event", "gauge", "counter")
"""Who tells of Xids, each knowing more than the one before: that there was one; each that a monitor heard; the last one; all."""

Key = tuple[str, str, int, datetime]


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One look's news of one code on one card."""

    node_name: str
    uuid: str
    """Empty where a monitor names no card."""
    code: int
    at: datetime
    """The last of them."""
    count: int
    source: str
    """One of SOURCES."""
    since: datetime | None = None
    """The first of them; None where they all came at `at`, as far as one can tell."""
    unbroken: bool = True
    """Whether no more than the quiet time lies between any two of them; else only the first and the last are known."""
    after: datetime | None = None
    """Of a measured one: the sample before, in which it was not. It came at some moment in between."""
    pods: tuple[str, ...] = ()
    job: str = ""


def key(burst: XidBurst) -> Key:
    """What tells a burst from every other of its cluster."""
    return (burst.node_name, burst.uuid, burst.code, burst.started_at)


def add(bursts: Sequence[XidBurst], events: Iterable[Event], quiet: timedelta) -> tuple[XidBurst, ...]:
    """The bursts of one node with these events in them, oldest first.

    An event within `quiet` of a burst of its code and card prolongs it. One that is not newer than such a burst is
    known already: the same look told twice, an older look that ends late, a monitor that tells what the gauge told.
    Who names no card tells of a burst on any; the card is the burst's as soon as somebody names it.
    """
    found = list(bursts)
    for event in sorted(events, key=_in_order):
        near = [
            index
            for index, burst in enumerate(found)
            if burst.code == event.code
            and (burst.uuid == event.uuid or not burst.uuid or not event.uuid)
            and (_reaches(burst, event, quiet) or _confirms(event, burst, quiet))
        ]
        if not near:
            found.append(_begin(event))
            continue
        same = max(near, key=lambda index: (found[index].uuid == event.uuid, found[index].last_at, found[index].uuid))
        if not found[same].uuid and event.uuid:
            found[same] = msgspec.structs.replace(found[same], uuid=event.uuid)
        if _confirms(event, found[same], quiet):
            found[same] = _better(found[same], event, max(found[same].count, event.count))
        elif event.at > found[same].last_at:
            found[same] = _prolong(found[same], event, quiet)
    return tuple(sorted(found, key=lambda burst: (burst.started_at, burst.uuid, burst.code)))


def _in_order(event: Event) -> tuple[bool, datetime, int, str, int]:
    """What was told, then what was measured, each in time: who tells knows the moment, who measures the card."""
    rank = SOURCES.index(event.source)
    return (rank >= SOURCES.index("gauge"), event.at, event.code, event.uuid, -rank)


def _reaches(burst: XidBurst, event: Event, quiet: timedelta) -> bool:
    return burst.started_at - quiet <= event.at and _start(event) <= burst.last_at + quiet


def _confirms(event: Event, burst: XidBurst, quiet: timedelta) -> bool:
    """Whether it is what a monitor tells too: that came after the sample before, and no later than just behind this one."""
    told = SOURCES.index(burst.source) < SOURCES.index("gauge")
    return told and event.after is not None and event.after < burst.last_at <= event.at + quiet


def _start(event: Event) -> datetime:
    """From when on it is known to have gone on without a break."""
    return event.since if event.since is not None and event.unbroken else event.at


def _begin(event: Event) -> XidBurst:
    return XidBurst(
        node_name=event.node_name,
        uuid=event.uuid,
        code=event.code,
        started_at=_start(event),
        last_at=event.at,
        count=event.count if event.unbroken else 1,
        source=event.source,
        pods=event.pods,
        job=event.job,
    )


def _prolong(burst: XidBurst, event: Event, quiet: timedelta) -> XidBurst:
    """Several voices tell of the same events: their counts are not added, the highest is the lower bound of all."""
    if event.source == "condition" or (event.source == "event" and burst.source == "counter"):
        return burst
    if SOURCES.index(event.source) > SOURCES.index(burst.source) or _lies_in(event, burst, quiet):
        count = max(burst.count, event.count)
    else:
        count = burst.count + (1 if event.source == "event" else event.count)
    return msgspec.structs.replace(_better(burst, event, count), last_at=event.at)


def _better(burst: XidBurst, event: Event, count: int) -> XidBurst:
    """The burst as the better of both sources knows it."""
    return msgspec.structs.replace(
        burst,
        count=count,
        source=max(burst.source, event.source, key=SOURCES.index),
        pods=burst.pods or event.pods,
        job=burst.job or event.job,
    )


def _lies_in(event: Event, burst: XidBurst, quiet: timedelta) -> bool:
    """Whether all that a monitor's Event counts came in this burst, and none before it."""
    return event.since is not None and event.since >= burst.started_at - quiet


def incidents(
    bursts: Iterable[XidBurst], quiet: timedelta, *, known: Mapping[Key, str] | None = None, realm: str = ""
) -> dict[Key, str]:
    """The incident of each burst: one crash of one job is one incident, over however many cards and nodes it runs.

    Bursts belong together where their job (or, where nobody knows it, their node) and their family of codes are the same
    and no more than `quiet` lies between them; 45 joins any family. The id follows from the earliest burst of `realm` (the
    cluster); an id that a member already bears (`known`) stays, so that a later or forgotten burst never renames one.
    """
    open_in: dict[str, list[_Group]] = defaultdict(list)
    groups: dict[int, _Group] = {}
    for burst in sorted(set(bursts), key=key_in_time):
        place = f"job {burst.job}" if burst.job else f"node {burst.node_name}"
        near = [group for group in open_in[place] if group.reaches(burst, quiet)]
        group = near[0] if near else _Group()
        for other in near[1:]:
            group.take(other)
            del groups[id(other)]
        group.add(burst)
        groups[id(group)] = group
        # bursts come in the order of their beginnings: what is too long ago for this one is so for all that follow
        going_on = [one for one in open_in[place] if one not in near and one.goes_on_until + quiet >= burst.started_at]
        open_in[place] = [*going_on, group]
    found: dict[Key, str] = {}
    for group in groups.values():
        members = sorted(group.members, key=key_in_time)
        borne = [known[key(burst)] for burst in members if known and known.get(key(burst))]
        name = borne[0] if borne else _id(members[0], realm)
        found |= {key(burst): name for burst in members}
    return found


class _Group:
    """Bursts that belong together, and until when each family of codes went on in them."""

    def __init__(self) -> None:
        self.members: list[XidBurst] = []
        self._until: dict[str, datetime] = {}

    @property
    def goes_on_until(self) -> datetime:
        return max(self._until.values())

    def reaches(self, burst: XidBurst, quiet: timedelta) -> bool:
        """Whether a burst that began no earlier than all members belongs to them."""
        family = _family(burst)
        return any(
            until + quiet >= burst.started_at and (other == family or FOLLOWING in (other, family))
            for other, until in self._until.items()
        )

    def add(self, burst: XidBurst) -> None:
        self.members.append(burst)
        family = _family(burst)
        self._until[family] = max(burst.last_at, self._until.get(family, burst.last_at))

    def take(self, other: _Group) -> None:
        for burst in other.members:
            self.add(burst)


def _family(burst: XidBurst) -> str:
    return FOLLOWING if burst.code == FOLLOWS else xids.meaning(burst.code).family


def key_in_time(burst: XidBurst) -> tuple[datetime, str, str, int]:
    """Sorts bursts by when they began, and always the same way."""
    return (burst.started_at, burst.node_name, burst.uuid, burst.code)


def _id(first: XidBurst, realm: str) -> str:
    text = "\0".join([realm, first.node_name, first.uuid, str(first.code), first.started_at.isoformat()])
    return f"xid-{hashlib.blake2b(text.encode(), digest_size=8).hexdigest()}"
