"""Whatever JSON an API server, a proxy or a webhook may send: parsing never raises anything but a Failure."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fleet.collectors import (
    apis,
    events,
    nodes,
    operator,
    permissions,
    pods,
    pods_wire,
    resource_claims,
    resource_slices,
    version,
)
from fleet.collectors.daemonsets import DaemonSetWire, plugin_sources
from fleet.collectors.daemonsets import parse as parse_daemonset
from fleet.collectors.errors import Asked, Failure, from_answer
from fleet.collectors.paging import PageDecoder
from fleet.collectors.resource_slice_wires import SliceWire
from fleet.domain.health import events as health_events
from tests.collectors.recorded import recording

ASKED = Asked(verb="list", resource="things")
TEXT = st.text(st.characters(codec="utf-8"), max_size=12)
NUMBERS = st.integers(-5, 10**12) | st.floats(allow_nan=False, allow_infinity=False)
SCALARS = st.none() | st.booleans() | NUMBERS | TEXT
WORDS = st.sampled_from(["", "x", "True", "Running", "nvidia.com/gpu", "8", "2026-11-23T21:16:01Z", "9999-12-31T23:59:59-14:00"])
ANY = st.recursive(
    SCALARS | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)

KINDS: dict[str, tuple[type[Any], Any, Any]] = {
    "node": (nodes.NodeWire, nodes.parse, recording("node_h100__notready")["body"]),
    "pod": (pods_wire.PodWire, pods.parse, recording("pods_on_node")["body"]["items"][-1]),
    "policy": (operator.PolicyWire, operator.parse_policy, recording("clusterpolicy")["body"]),
    "daemonset": (
        DaemonSetWire,
        lambda wire: (parse_daemonset(wire), plugin_sources(wire)),
        recording("daemonsets_page")["body"]["items"][0],
    ),
    "slice": (
        SliceWire,
        lambda wire: resource_slices.parse([wire], "v1"),
        recording("resourceslices_list")["body"]["items"][1],
    ),
    "event": (
        events.EventWire,
        lambda wire: (event := events.parse(wire)) and health_events.monitor_events([event]),
        {
            "metadata": {"name": "n.18", "namespace": "default", "uid": "1", "creationTimestamp": "2026-11-23T11:00:00Z"},
            "involvedObject": {"kind": "Node", "name": "n", "uid": "2", "apiVersion": "v1"},
            "reason": "AcceleratedHardwareReady",
            "message": "NvidiaXID13Warning: detected unknown XID-13 on the instance",
            "source": {"component": "eks-node-monitoring-agent"},
            "firstTimestamp": "2026-11-23T11:00:00Z",
            "lastTimestamp": "2026-11-23T11:04:00Z",
            "count": 3,
            "type": "Warning",
            "eventTime": None,
            "series": {"count": 2, "lastObservedTime": "2026-11-23T11:06:00.000000Z"},
            "reportingComponent": "eks-node-monitoring-agent",
        },
    ),
    "claim": (resource_claims.ClaimWire, resource_claims.parse, recording("resourceclaims_list")["body"]["items"][0]),
}
DECODERS = {kind: PageDecoder(wire) for kind, (wire, _, _) in KINDS.items()}


def paths_of(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in an object where something could be missing or odd."""
    result = [path] if path else []
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in inner:
        if key not in ("managedFields", "images"):
            result += paths_of(part, (*path, key))
    return result


PATHS = {kind: paths_of(example) for kind, (_, _, example) in KINDS.items()}


@st.composite
def mutated(draw: st.DrawFn, kind: str) -> Any:
    """A real object of which a few parts are missing, null, empty or of another type."""
    made = json.loads(json.dumps(KINDS[kind][2]))
    for path in draw(st.lists(st.sampled_from(PATHS[kind]), min_size=1, max_size=4)):
        place = made
        for key in path[:-1]:
            place = place[key] if isinstance(place, dict) and key in place else None
            if place is None:
                break
        if not isinstance(place, dict) or path[-1] not in place:
            continue
        if draw(st.booleans()):
            del place[path[-1]]
        else:
            place[path[-1]] = draw(st.none() | st.just([]) | st.just({}) | ANY)
    return made


@pytest.mark.parametrize("kind", sorted(KINDS))
@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_odd_objects_are_parsed_or_counted(kind: str, data: st.DataObject) -> None:
    parse = KINDS[kind][1]
    objects = data.draw(st.lists(mutated(kind), min_size=1, max_size=3))
    whole = {"kind": "ThingList", "metadata": {}, "items": [*objects, KINDS[kind][2]]}
    page = DECODERS[kind].decode(json.dumps(whole).encode(), ASKED)
    for wire in page.items:
        parse(wire)
    assert len(page.items) + page.not_understood == len(objects) + 1
    assert page.items, "the object that was left alone must still be read"


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_nulls_everywhere(kind: str) -> None:
    """Each single part set to null, as the Go API sends empty lists and maps: understood, every one."""
    wire, parse, example = KINDS[kind]
    for path in PATHS[kind]:
        made = json.loads(json.dumps(example))
        place = made
        for key in path[:-1]:
            place = place[key]
        if isinstance(place, dict) and isinstance(place[path[-1]], list | dict):
            place[path[-1]] = None
            parse(msgspec.json.decode(json.dumps(made), type=wire))


@settings(max_examples=100)
@given(ANY)
def test_answers_of_any_shape(content: Any) -> None:
    body = json.dumps(content).encode()
    apis.parse(body)
    for status in (200, 403, 410, 429, 503):
        from_answer(status, {}, body, ASKED)
    for strict in (version.parse, lambda body: permissions.parse_rules("n", body)):
        with contextlib.suppress(Failure):
            strict(body)
    with contextlib.suppress(Failure):
        DECODERS["node"].decode(body, ASKED)


@pytest.mark.parametrize("depth", [900, 1_100, 4_900])
def test_a_claim_with_brackets_without_end_hides_no_other(depth: int) -> None:
    """opaque.parameters are the tenant's own: 10 KiB of any JSON."""
    config = [{"opaque": {"driver": 'a\\"]', "parameters": {"x": "NESTED"}}}]
    items = [
        {"metadata": {"name": "deep"}, "spec": {"devices": {"config": config}}},
        {"metadata": {"name": "plain"}},
    ]
    page = json.dumps({"kind": "ResourceClaimList", "metadata": {"continue": "next"}, "items": items})
    body = page.replace('"NESTED"', "[" * depth + "]" * depth)
    decoded = PageDecoder(resource_claims.ClaimWire).decode(body.encode(), ASKED)
    assert [item.metadata.name for item in decoded.items if item.metadata] == ["deep", "plain"]
    assert (decoded.continue_, decoded.not_understood) == ("next", 0)


@pytest.mark.parametrize("text", ["[" * 200_000, "[" * 200_000 + "]" * 200_000, '{"a":' * 50_000, '[1,"' + "[" * 9_000])
def test_brackets_without_end_are_no_list(text: str) -> None:
    with pytest.raises(Failure):
        PageDecoder(nodes.NodeWire).decode(text.encode(), ASKED)
