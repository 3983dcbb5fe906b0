"""Bursts of Xid events and their incidents: one crash is one incident, not a thousand lines."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

from fleet.domain.catalog import xids
from fleet.domain.evaluation.subject import XidBurst

FOLLOWS = 45
"""Preemptive cleanup: follows whatever ended the process, so it joins any other code's incident."""

FOLLOWING = "following"

SOURCES = ("condition", "event", "gauge", "counter")
"""Sources of Xids, each more complete than the one before: that there was one; each that a monitor saw; the last one; all."""

Key = tuple[str, str, int, datetime]


class XidOccurrence(msgspec.Struct, frozen=True, kw_only=True):
    """New events of one code on one GPU in one run."""

    node_name: str
    uuid: str
    """Empty where a monitor names no GPU."""
    code: int
    at: datetime
    """Moment of the last event."""
    count: int
    source: str
    """One of SOURCES."""
    since: datetime | None = None
    """Moment of the first event; None where all are at `at`, as far as known."""
    unbroken: bool = True
    """Whether no more than the quiet time lies between any two of them; else only the first and the last are known."""
    after: datetime | None = None
    """Of a measured event: the previous sample, without it. The event lies in between."""
    pods: tuple[str, ...] = ()
    job: str = ""
    reported_by: str = ""
    """The monitor whose condition or Event it is; empty for a measured one."""


def key(burst: XidBurst) -> Key:
    """Returns the key of a burst, unique in its cluster."""
    return (burst.node_name, burst.uuid, burst.code, burst.started_at)


def add(bursts: Sequence[XidBurst], events: Iterable[XidOccurrence], quiet: timedelta) -> tuple[XidBurst, ...]:
    """Returns the bursts of one node with these events added, oldest first.

    An event within `quiet` of a burst of its code and GPU prolongs it. One that is not newer than such a burst is already known:
    the same run twice, an older run that ends late, a monitor that repeats the gauge. An event that names no GPU counts for a
    burst on any; the burst gets its GPU as soon as a source names it.
    """
    rows = list(bursts)
    for event in sorted(events, key=_in_order):
        near = [
            index
            for index, burst in enumerate(rows)
            if burst.code == event.code
            and (burst.uuid == event.uuid or not burst.uuid or not event.uuid)
            and (_reaches(burst, event, quiet) or _confirms(event, burst, quiet))
        ]
        if not near:
            rows.append(_begin(event))
            continue
        same = max(near, key=lambda index: (rows[index].uuid == event.uuid, rows[index].last_at, rows[index].uuid))
        if not rows[same].uuid and event.uuid:
            rows[same] = msgspec.structs.replace(rows[same], uuid=event.uuid)
        if _confirms(event, rows[same], quiet):
            rows[same] = _better(rows[same], event, max(rows[same].count, event.count))
        elif event.at > rows[same].last_at:
            rows[same] = _prolong(rows[same], event, quiet)
    return tuple(sorted(rows, key=lambda burst: (burst.started_at, burst.uuid, burst.code)))


def _in_order(event: XidOccurrence) -> tuple[bool, datetime, int, str, int]:
    """Returns the sort key: stated events first, then measured ones, each by time.

    A monitor knows the moment, a measurement the GPU.
    """
    rank = SOURCES.index(event.source)
    return (rank >= SOURCES.index("gauge"), event.at, event.code, event.uuid, -rank)


def _reaches(burst: XidBurst, event: XidOccurrence, quiet: timedelta) -> bool:
    return burst.started_at - quiet <= event.at and _start(event) <= burst.last_at + quiet


def _confirms(event: XidOccurrence, burst: XidBurst, quiet: timedelta) -> bool:
    """Returns whether a monitor's burst is the same event: after the previous sample, and no later than just after this one."""
    result = SOURCES.index(burst.source) < SOURCES.index("gauge")
    return result and event.after is not None and event.after < burst.last_at <= event.at + quiet


def _start(event: XidOccurrence) -> datetime:
    """Returns since when it is known to have continued without a break."""
    return event.since if event.since is not None and event.unbroken else event.at


def _begin(event: XidOccurrence) -> XidBurst:
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
        reported_by=event.reported_by,
    )


def _prolong(burst: XidBurst, event: XidOccurrence, quiet: timedelta) -> XidBurst:
    """Returns the burst prolonged.

    Several sources report the same events: the highest count is the lower bound, counts are not added.
    """
    if event.source == "condition" or (event.source == "event" and burst.source == "counter"):
        return burst
    if SOURCES.index(event.source) > SOURCES.index(burst.source) or _lies_in(event, burst, quiet):
        count = max(burst.count, event.count)
    else:
        count = burst.count + (1 if event.source == "event" else event.count)
    return msgspec.structs.replace(_better(burst, event, count), last_at=event.at)


def _better(burst: XidBurst, event: XidOccurrence, count: int) -> XidBurst:
    """Returns the burst with the data of the better source."""
    return msgspec.structs.replace(
        burst,
        count=count,
        source=max(burst.source, event.source, key=SOURCES.index),
        pods=burst.pods or event.pods,
        job=burst.job or event.job,
        reported_by=burst.reported_by or event.reported_by,
    )


def _lies_in(event: XidOccurrence, burst: XidBurst, quiet: timedelta) -> bool:
    """Returns whether all events that a monitor's Event counts lie in this burst."""
    return event.since is not None and event.since >= burst.started_at - quiet


def incidents(
    bursts: Iterable[XidBurst], quiet: timedelta, *, known: Mapping[Key, str] | None = None, realm: str = ""
) -> dict[Key, str]:
    """Returns the incident of each burst: one crash of one job is one incident, however many GPUs and nodes it runs on.

    Bursts belong together where their job (or, if unknown, their node) and their family of codes are the same and no more than
    `quiet` lies between them; 45 joins any family. The id follows from the earliest burst of `realm` (the cluster); an id that a
    member already has (`known`) stays, so that a later or removed burst never renames one.
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
        going_on = [item for item in open_in[place] if item not in near and item.goes_on_until + quiet >= burst.started_at]
        open_in[place] = [*going_on, group]
    result: dict[Key, str] = {}
    for group in groups.values():
        members = sorted(group.members, key=key_in_time)
        borne = [known[key(burst)] for burst in members if known and known.get(key(burst))]
        name = borne[0] if borne else _id(members[0], realm)
        result |= {key(burst): name for burst in members}
    return result


class _Group:
    """Bursts of one incident, and the last moment of each family of codes in it."""

    def __init__(self) -> None:
        self.members: list[XidBurst] = []
        self._until: dict[str, datetime] = {}

    @property
    def goes_on_until(self) -> datetime:
        return max(self._until.values())

    def reaches(self, burst: XidBurst, quiet: timedelta) -> bool:
        """Returns whether a burst that began no earlier than all members belongs to them."""
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
    """Returns the sort key of a burst: by its beginning, with a stable order."""
    return (burst.started_at, burst.node_name, burst.uuid, burst.code)


def _id(first: XidBurst, realm: str) -> str:
    text = "\0".join([realm, first.node_name, first.uuid, str(first.code), first.started_at.isoformat()])
    return f"xid-{hashlib.blake2b(text.encode(), digest_size=8).hexdigest()}"
