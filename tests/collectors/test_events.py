"""Kubernetes Events about nodes: what is asked for, what is kept, and how each form of them is read."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from fleet.collectors import events
from fleet.collectors.errors import Failure
from fleet.domain.snapshot import NodeEvent
from fleet.domain.snapshot.sections import Outcome
from tests.collectors.scripted import Server, session

PATH = "/api/v1/namespaces/default/events"
NODE = "ip-10-40-0-4.ec2.internal"
XID = "NvidiaXID13Warning: detected unknown XID-13 on the instance"


def made(name: str = "e1", node: str = NODE, **fields: Any) -> dict[str, Any]:
    """An Event as client-go's recorder writes it."""
    return {
        "metadata": {"name": name, "namespace": "default", "uid": f"uid-{name}", "creationTimestamp": "2026-11-23T11:00:00Z"},
        "involvedObject": {"kind": "Node", "name": node, "uid": "9a1f", "apiVersion": "v1"},
        "reason": "AcceleratedHardwareReady",
        "message": XID,
        "source": {"component": "eks-node-monitoring-agent"},
        "firstTimestamp": "2026-11-23T11:00:00Z",
        "lastTimestamp": "2026-11-23T11:04:00Z",
        "count": 3,
        "type": "Warning",
        "eventTime": None,
        "reportingComponent": "eks-node-monitoring-agent",
        "reportingInstance": node,
        **fields,
    }


def listed(*items: dict[str, Any], continue_: str = "") -> dict[str, Any]:
    return {"kind": "EventList", "metadata": {"continue": continue_}, "items": list(items)}


def at(minute: int, second: int = 0, micro: int = 0) -> datetime:
    return datetime(2026, 11, 23, 11, minute, second, micro, tzinfo=UTC)


def parsed(**fields: Any) -> NodeEvent | None:
    return events.parse(msgspec.convert(made(**fields), events.EventWire))


def test_one_namespace_is_asked_and_only_for_warnings_about_nodes() -> None:
    server = Server({PATH: listed(made())})
    listing = events.fetch(session(server), {NODE}.__contains__)
    assert server.asked == [(PATH, {"fieldSelector": "involvedObject.kind=Node,type!=Normal", "limit": "500"})]
    assert listing.items == [
        NodeEvent(
            uid="uid-e1",
            node_name=NODE,
            node_uid="9a1f",
            type="Warning",
            reason="AcceleratedHardwareReady",
            message=XID,
            component="eks-node-monitoring-agent",
            count=3,
            first_at=at(0),
            last_at=at(4),
        )
    ]


def test_only_what_matters_of_wanted_nodes_is_kept() -> None:
    other_object = made("e4", involvedObject={"kind": "Pod", "name": NODE})
    plain = made("e3", reason="Rebooted", message="Node was rebooted")
    server = Server({PATH: listed(made(), made("e2", node="another"), plain, other_object)})
    listing = events.fetch(session(server), {NODE}.__contains__)
    assert ([event.uid for event in listing.items], listing.count) == (["uid-e1"], 4)


def test_of_a_storm_the_newest_of_a_kind_are_kept() -> None:
    storm = [made(f"e{number:04}", message=f"{XID} pid={number}") for number in range(300)]
    other = made("other", type="GpuMemWatch", reason="GpuMemWatchIsNotHealthy", message="ErrorCode:DCGM_FR_X;")
    listing = events.fetch(session(Server({PATH: listed(*storm, other)})), {NODE}.__contains__)
    assert len(listing.items) == events.KEPT_OF_A_KIND + 1
    assert {"uid-e0299", "uid-other"} <= {event.uid for event in listing.items}
    assert "uid-e0199" not in {event.uid for event in listing.items}


def test_too_many_pages_are_cut_and_reported() -> None:
    def page(query: dict[str, str], _: Any) -> dict[str, Any]:
        number = int(query.get("continue", "0"))
        return listed(made(f"e{number}"), continue_=str(number + 1))

    server = Server({PATH: page})
    listing = events.fetch(session(server), {NODE}.__contains__)
    assert listing.outcome is Outcome.INCOMPLETE
    assert listing.reason == "The list ended early after 20 pages (20 read). Muster reads no more of them in one run."
    assert len(server.asked) == events.MOST_PAGES == len(listing.items)


def test_a_refusal_says_which_right_is_missing() -> None:
    with pytest.raises(Failure) as caught:
        events.fetch(session(Server({PATH: 403})), {NODE}.__contains__)
    assert caught.value.outcome is Outcome.FORBIDDEN
    assert "list events in namespace default" in caught.value.reason


@pytest.mark.parametrize(
    ("fields", "first", "last", "count"),
    [
        ({}, at(0), at(4), 3),
        ({"count": None}, at(0), at(4), 1),
        ({"count": 0}, at(0), at(4), 1),
        ({"firstTimestamp": None}, at(0), at(4), 3),  # when the object was made
        ({"lastTimestamp": None}, at(0), at(0), 3),
        ({"firstTimestamp": "2026-11-23T11:09:00Z"}, at(4), at(4), 3),
        # the form of events.k8s.io: the first moment in microseconds, what follows as a series
        (
            {"firstTimestamp": None, "lastTimestamp": None, "count": None, "eventTime": "2026-11-23T11:01:02.000003Z"},
            at(1, 2, 3),
            at(1, 2, 3),
            1,
        ),
        (
            {
                "firstTimestamp": None,
                "lastTimestamp": None,
                "count": None,
                "eventTime": "2026-11-23T11:01:02.000003Z",
                "series": {"count": 12, "lastObservedTime": "2026-11-23T11:06:00.000000Z"},
            },
            at(1, 2, 3),
            at(6),
            12,
        ),
    ],
)
def test_both_forms_of_time(fields: dict[str, Any], first: datetime, last: datetime, count: int) -> None:
    event = parsed(**fields)
    assert event is not None
    assert (event.first_at, event.last_at, event.count) == (first, last, count)


def test_an_event_without_any_time_or_node_is_none() -> None:
    assert parsed(metadata={}, firstTimestamp=None, lastTimestamp="nonsense") is None
    assert parsed(involvedObject=None) is None
    assert parsed(involvedObject={"kind": "Node"}) is None
