"""Kubernetes Events about nodes: where external monitors report what is not a lasting condition, such as an Xid of a crash."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterable
from sys import intern

import msgspec

from fleet.collectors.errors import Asked
from fleet.collectors.paging import Listing, PageDecoder, read_list
from fleet.collectors.session import Session
from fleet.collectors.wire import ObjectMeta, parse_time
from fleet.domain.health import events
from fleet.domain.snapshot import NodeEvent

NAMESPACE = "default"
"""Events about objects without a namespace are kept here: client-go's recorder, node-problem-detector and NVSentinel all do.

Asking for one namespace is also what makes it cheap: the API server keeps Events out of its watch cache, so a list over all
namespaces would read every pod's Events out of etcd to throw them away.
"""
MOST_PAGES = 20
KEPT_OF_A_KIND = 100
"""Of one node, the newest with the same type and reason: a storm of one Xid wrote 168,924 Events in three hours
(NVIDIA/NVSentinel#1710), and a hundred of them are as informative."""
_MESSAGE = 1000
"""Characters kept of a message; Kubernetes allows 1,024 in new Events, and more in old ones."""
_HIGHEST = 1_000_000

# Normal ones are the kubelet's and the node controller's, and a monitor's "it is over".
_QUERY = (("fieldSelector", "involvedObject.kind=Node,type!=Normal"),)


class _Object(msgspec.Struct, gc=False):
    kind: str | None = None
    name: str | None = None
    uid: str | None = None


class _Source(msgspec.Struct, gc=False):
    component: str | None = None


class _Series(msgspec.Struct, rename="camel", gc=False):
    count: int | None = None
    last_observed_time: str | None = None


class EventWire(msgspec.Struct, rename="camel", gc=False):
    metadata: ObjectMeta | None = None
    involved_object: _Object | None = None
    type: str | None = None
    reason: str | None = None
    message: str | None = None
    source: _Source | None = None
    reporting_component: str | None = None
    count: int | None = None
    series: _Series | None = None
    first_timestamp: str | None = None
    last_timestamp: str | None = None
    event_time: str | None = None


_pages = PageDecoder(EventWire)


def fetch(session: Session, is_wanted: Callable[[str], bool]) -> Listing[NodeEvent]:
    """Events that matter, of nodes whose name is wanted; each once, the newest of a kind. Raises Failure."""
    newest: dict[tuple[str, str, str], deque[NodeEvent]] = defaultdict(lambda: deque(maxlen=KEPT_OF_A_KIND))

    def keep(wires: list[EventWire]) -> Iterable[NodeEvent]:
        for event in filter(None, map(parse, wires)):
            if is_wanted(event.node_name) and events.matters(event):
                newest[event.node_name, event.type, event.reason].append(event)
        return ()

    asked = Asked(verb="list", resource="events", namespace=NAMESPACE)
    path = f"/api/v1/namespaces/{NAMESPACE}/events"
    listing = read_list(session, path, asked, _pages, keep, _QUERY, most_pages=MOST_PAGES)
    listing.items = [event for kind in sorted(newest) for event in newest[kind]]
    return listing


def parse(wire: EventWire) -> NodeEvent | None:
    """Returns an Event about a node; None for one about another kind, or without a time.

    Events of the old form carry first and last timestamp and a count, those of events.k8s.io an eventTime and a series.
    """
    about, meta, series = wire.involved_object or _Object(), wire.metadata or ObjectMeta(), wire.series or _Series()
    if about.kind != "Node" or not about.name:
        return None
    result = (wire.first_timestamp, wire.event_time, meta.creation_timestamp)
    first = next(filter(None, map(parse_time, result)), None)
    last = parse_time(series.last_observed_time) or parse_time(wire.last_timestamp) or first
    if last is None:
        return None
    source = wire.source or _Source()
    return NodeEvent(
        uid=meta.uid or f"{meta.namespace}/{meta.name}",
        node_name=intern(about.name),
        node_uid=intern(about.uid or ""),
        type=intern(wire.type or ""),
        reason=intern(wire.reason or ""),
        message=(wire.message or "")[:_MESSAGE],
        component=intern(wire.reporting_component or source.component or ""),
        count=min(max(series.count or wire.count or 1, 1), _HIGHEST),
        first_at=min(first or last, last),
        last_at=last,
    )
