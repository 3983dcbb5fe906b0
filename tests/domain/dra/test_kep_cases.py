"""Cases thought up from the enhancement proposals, each with the answer that they give; objects go through Muster's parsers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import pytest

from fleet.collectors import device_classes, device_taint_rules, resource_claims, resource_slices
from fleet.domain.dra.choices import AllocationError, UnknownAllocationError
from fleet.domain.dra.extended import ContainerNeed
from fleet.domain.dra.pods import ClusterDevices, PodDevices
from fleet.domain.dra.resource_pools import DraNode, Inventory
from fleet.domain.dra.wire import read_claim_spec

Raw = dict[str, Any]
DRIVER = "gpu.example.com"
NODES = [DraNode(name=name, labels={"zone": zone}) for name, zone in (("a", "east"), ("b", "east"), ("c", "west"))]
ANY = {"any": "true", "big": f"device.attributes['{DRIVER}'].kind == 'big'"}


def device(name: str, *, capacity: Raw | None = None, uses: Mapping[str, Raw] | None = None, **more: Any) -> Raw:
    """A device; keywords of text, numbers and lists are attributes, the others fields of the device."""
    attributes, fields = {}, {}
    for key, value in more.items():
        match value:
            case bool() | dict():
                fields[key] = value
            case int():
                attributes[key] = {"int": value}
            case str():
                attributes[key.replace("__", "/")] = {"string": value}
            case [int(), *_]:
                attributes[key] = {"ints": value}
            case [str(), *_]:
                attributes[key] = {"strings": value}
            case _:
                fields[key] = value
    if uses:
        fields["consumesCounters"] = [
            {"counterSet": name, "counters": {key: {"value": str(amount)} for key, amount in counters.items()}}
            for name, counters in uses.items()
        ]
    return {"name": name, "attributes": attributes, "capacity": capacity or {}, **fields}


def shared(name: str, value: str, policy: Raw | None = None, **more: Any) -> Raw:
    memory: Raw = {"value": value} | ({"requestPolicy": policy} if policy else {})
    return device(name, capacity={"memory": memory}, allowMultipleAllocations=True, **more)


def piece(
    devices: Sequence[Raw],
    *,
    on: Raw | str = "a",
    driver: str = DRIVER,
    pool: str = "p",
    generation: int = 1,
    of: int = 1,
    name: str = "",
    counters: Mapping[str, Raw] | None = None,
) -> Raw:
    place = {"nodeName": on} if isinstance(on, str) else on
    spec: Raw = {"driver": driver, "pool": {"name": pool, "generation": generation, "resourceSliceCount": of}, **place}
    spec["devices"] = list(devices)
    if counters:
        spec["sharedCounters"] = [
            {"name": key, "counters": {part: {"value": str(amount)} for part, amount in values.items()}}
            for key, values in counters.items()
        ]
    return {"metadata": {"name": name or f"{driver}-{pool}-{generation}"}, "spec": spec}


def world(*slices: Raw, rules: Sequence[Raw] = (), held: Sequence[Raw] = (), classes: Mapping[str, Any] = ANY) -> ClusterDevices:
    parsed = []
    for name, expression in classes.items():
        spec: Raw = {"selectors": [{"cel": {"expression": expression}}]}
        if name.startswith("ext-"):
            spec["extendedResourceName"] = "example.com/gpu"
        parsed.append(device_classes.parse(msgspec.convert({"metadata": {"name": name}, "spec": spec}, device_classes.ClassWire)))
    taint_rules = [
        device_taint_rules.parse(msgspec.convert({"metadata": {"name": f"r{number}"}, "spec": spec}, device_taint_rules.RuleWire))
        for number, spec in enumerate(rules)
    ]
    wires = [msgspec.convert(raw, resource_slices.SliceWire) for raw in slices]
    inventory = Inventory(resource_slices.parse(wires, "v1"), [rule for rule in taint_rules if rule], parsed)
    allocations = []
    for number, results in enumerate(held):
        raw = {
            "metadata": {"name": f"h{number}", "namespace": "x"},
            "status": {"allocation": {"devices": {"results": [results]}}},
        }
        allocations += resource_claims.parse(msgspec.convert(raw, resource_claims.ClaimWire))
    return ClusterDevices(inventory, parsed, allocations)


def hold(name: str, *, pool: str = "p", driver: str = DRIVER, **more: Any) -> Raw:
    return {"request": "r", "driver": driver, "pool": pool, "device": name, **more}


def request(name: str = "r", device_class: str = "any", **more: Any) -> Raw:
    cel = more.pop("cel", None)
    if cel:
        more["selectors"] = [{"cel": {"expression": cel}}]
    return {"name": name, "exactly": {"deviceClassName": device_class, "allocationMode": "ExactCount", **more}}


def either(*alternatives: Raw, name: str = "r") -> Raw:
    return {"name": name, "firstAvailable": [{"name": item["name"], **item["exactly"]} for item in alternatives]}


def claim(*requests: Raw, **constraint: Any) -> PodDevices:
    spec: Raw = {"devices": {"requests": list(requests)}}
    if constraint:
        spec["devices"]["constraints"] = [constraint]
    return PodDevices(claims=(read_claim_spec("x", "c", spec),), namespace="x")


def containers(*amounts: int, resource: str = "example.com/gpu", init: Sequence[bool] = ()) -> PodDevices:
    needs = [
        ContainerNeed(amounts={resource: amount}, init=bool(init) and init[number], sidecar=False)
        for number, amount in enumerate(amounts)
    ]
    return PodDevices(containers=tuple(needs), namespace="x")


def answer(devices: ClusterDevices, pod: PodDevices) -> dict[str, list[str]] | str:
    """Devices by node that takes the pod; the error where the scheduler fails."""
    answers = {}
    try:
        for node in NODES:
            chosen = devices.check(pod, node).chosen
            if chosen is not None:
                answers[node.name] = [f"{item.request}:{item.device.name}" for item in chosen]
    except AllocationError:
        return "error"
    except UnknownAllocationError:
        return "unknown"
    return answers


SEVEN = {"gpu-0": {"compute": 7, "memory": 8}}
THREE, ONE = {"gpu-0": {"compute": 3, "memory": 4}}, {"gpu-0": {"compute": 1, "memory": 1}}
STEPS = {"default": "2Gi", "validRange": {"min": "2Gi", "max": "6Gi", "step": "2Gi"}}
VALUES = {"default": "1Gi", "validValues": ["1Gi", "4Gi", "8Gi"]}
PLAIN = [device("d0", kind="big"), device("d1", kind="small")]
TAINT = [{"key": "ill", "value": "x", "effect": "NoExecute"}]
ZONE = {"nodeSelector": {"nodeSelectorTerms": [{"matchExpressions": [{"key": "zone", "operator": "In", "values": ["east"]}]}]}}


def amount(text: str) -> Raw:
    return {"capacity": {"requests": {"memory": text}}}


CASES: dict[str, tuple[ClusterDevices, PodDevices, dict[str, list[str]] | str]] = {
    # partitionable devices (KEP-4815)
    "parts of one GPU in one claim": (
        world(
            piece(
                [device("w", uses=SEVEN), device("t0", uses=THREE), device("t1", uses=THREE), device("o", uses=ONE)],
                counters=SEVEN,
            )
        ),
        claim(request("x", cel="true", count=2)),
        {"a": ["x:t0", "x:t1"]},
    ),
    "a part leaves no whole": (
        world(piece([device("w", kind="big", uses=SEVEN), device("t0", uses=THREE)], counters=SEVEN), held=[hold("t0")]),
        claim(request(cel=f"has(device.attributes['{DRIVER}'].kind)")),
        {},
    ),
    "a device of two counter sets": (
        world(
            piece(
                [device("pair", uses={"g0": {"x": 1}, "g1": {"x": 1}}), device("one", uses={"g1": {"x": 1}})],
                counters={"g0": {"x": 1}, "g1": {"x": 1}},
            ),
            held=[hold("one")],
        ),
        claim(request()),
        {},
    ),
    "counters are shared by the nodes of a pool": (
        world(
            piece(
                [
                    {**device("on-a", uses={"g": {"x": 1}}), "nodeName": "a"},
                    {**device("on-b", uses={"g": {"x": 1}}), "nodeName": "b"},
                ],
                on={"perDeviceNodeSelection": True},
                counters={"g": {"x": 1}},
            ),
            held=[hold("on-a")],
        ),
        claim(request()),
        {},
    ),
    "counters that no set has make the pool invalid": (
        world(piece([device("d", uses={"g": {"y": 1}}), device("free")], counters={"g": {"x": 1}})),
        claim(request()),
        {},
    ),
    "more than the whole counter is never had": (
        world(piece([device("d", uses={"g": {"x": 2}}), device("e", uses={"g": {"x": 1}})], counters={"g": {"x": 1}})),
        claim(request(count=2)),
        {},
    ),
    # consumable capacity (KEP-5075)
    "a request rounds up to the next step": (
        world(piece([shared("s", "8Gi", STEPS)]), held=[hold("s", shareID="1", consumedCapacity={"memory": "6Gi"})]),
        claim(request(**amount("3Gi"))),
        {},
    ),
    "the default takes what is left": (
        world(piece([shared("s", "8Gi", STEPS)]), held=[hold("s", shareID="1", consumedCapacity={"memory": "6Gi"})]),
        claim(request()),
        {"a": ["r:s"]},
    ),
    "above the largest allowed amount": (world(piece([shared("s", "80Gi", STEPS)])), claim(request(**amount("7Gi"))), {}),
    "the next valid value": (
        world(piece([shared("s", "8Gi", VALUES)]), held=[hold("s", shareID="1", consumedCapacity={"memory": "4Gi"})]),
        claim(request("r", **amount("2Gi")), request("q", **amount("2Gi"))),
        {},
    ),
    "two shares of one device in a claim": (
        world(piece([shared("s", "8Gi", VALUES)])),
        claim(request("r", **amount("2Gi")), request("q", **amount("2Gi"))),
        {"a": ["r:s", "q:s"]},
    ),
    "without a policy all of it is taken": (
        world(piece([shared("s", "8Gi")]), held=[hold("s", shareID="1", consumedCapacity={"memory": "1Gi"})]),
        claim(request()),
        {},
    ),
    "a second share takes no counters again": (
        world(
            piece([shared("s", "8Gi", STEPS, uses={"g": {"x": 1}})], counters={"g": {"x": 1}}),
            held=[hold("s", shareID="1", consumedCapacity={"memory": "2Gi"})],
        ),
        claim(request()),
        {"a": ["r:s"]},
    ),
    "capacity asked of a device without it": (world(piece([device("d")])), claim(request(**amount("1Gi"))), {}),
    # constraints: KEP-4381, KEP-5075, KEP-5491
    "distinct shares are of different devices": (
        world(piece([shared("s", "8Gi", STEPS, id="s"), shared("t", "8Gi", STEPS, id="t")])),
        claim(request(count=2), distinctAttribute=f"{DRIVER}/id"),
        {"a": ["r:s", "r:t"]},
    ),
    "three distinct of two values": (
        world(piece([device("d0", n=0), device("d1", n=1), device("d2", n=1)])),
        claim(request(count=3), distinctAttribute=f"{DRIVER}/n"),
        {},
    ),
    "a device without the attribute is passed over": (
        world(piece([device("d0", n=1), device("d1"), device("d2", n=1)])),
        claim(request(count=2), matchAttribute=f"{DRIVER}/n"),
        {"a": ["r:d0", "r:d2"]},
    ),
    "a constraint of one request leaves the others alone": (
        world(piece([device("d0", n=1), device("d1", n=2), device("d2", n=1)])),
        claim(request("r", count=2), request("q"), requests=["r"], matchAttribute=f"{DRIVER}/n"),
        {"a": ["r:d0", "r:d2", "q:d1"]},
    ),
    "a match across drivers": (
        world(
            piece([device("g0", resource__root="r0"), device("g1", resource__root="r1")]),
            piece([device("n", resource__root="r1")], driver="nic.example.com"),
        ),
        claim(
            request("g", cel=f"device.driver == '{DRIVER}'"),
            request("n", cel="device.driver == 'nic.example.com'"),
            matchAttribute="resource/root",
        ),
        {"a": ["g:g1", "n:n"]},
    ),
    "a match of several values needs one in common": (
        world(piece([device("d0", numa=[0, 1]), device("d1", numa=[2]), device("d2", numa=1)])),
        claim(request(count=2), matchAttribute=f"{DRIVER}/numa"),
        {"a": ["r:d0", "r:d2"]},
    ),
    "one in common to all, not to each two": (
        world(piece([device("d0", numa=[0, 1]), device("d1", numa=[1, 2]), device("d2", numa=[2, 0])])),
        claim(request(count=3), matchAttribute=f"{DRIVER}/numa"),
        {},
    ),
    "distinct lists have nothing in common": (
        world(piece([device("d0", numa=[0, 1]), device("d1", numa=[1, 2]), device("d2", numa=[2, 3])])),
        claim(request(count=2), distinctAttribute=f"{DRIVER}/numa"),
        {"a": ["r:d0", "r:d2"]},
    ),
    "an attribute of a kind that is not known": (
        world(piece([device("d0", later={"quantities": ["1"]}), {"name": "d1", "attributes": {"n": {"quantities": ["1"]}}}])),
        claim(request(count=2), matchAttribute=f"{DRIVER}/n"),
        "unknown",
    ),
    # prioritised list (KEP-4816)
    "the second alternative where the first is not there": (
        world(piece(PLAIN), held=[hold("d0")]),
        claim(either(request("big", "big"), request("other", "any"))),
        {"a": ["r/other:d1"]},
    ),
    "back to the second alternative for a later request": (
        world(piece([device("d0", kind="big"), device("d1", kind="small")])),
        claim(either(request("big", "big"), request("other")), request("q", "big")),
        {"a": ["r/other:d1", "q:d0"]},
    ),
    "a constraint may name one alternative": (
        world(piece([device("d0", kind="big", n=1), device("d1", kind="small", n=2), device("d2", kind="small", n=1)])),
        claim(
            either(request("big", "big"), request("other")),
            request("q", cel=f"device.attributes['{DRIVER}'].kind == 'small'"),
            requests=["r/big", "q"],
            matchAttribute=f"{DRIVER}/n",
        ),
        {"a": ["r/big:d0", "q:d2"]},
    ),
    # mode All
    "All with a tainted device": (
        world(piece([device("d0"), device("d1", taints=TAINT)])),
        claim(request(allocationMode="All")),
        {},
    ),
    "All that a selector admits, another request beside": (
        world(piece([device("d0", kind="big"), device("d1", kind="small")])),
        claim(request("all", "big", allocationMode="All"), request("q")),
        {"a": ["all:d0", "q:d1"]},
    ),
    "All where another pool of the node is incomplete": (
        world(piece([device("d0")]), piece([device("e")], pool="q", of=2)),
        claim(request(allocationMode="All")),
        "error",
    ),
    "one device where another pool of the node is incomplete": (
        world(piece([device("d0")]), piece([device("e")], pool="q", of=2)),
        claim(request()),
        {"a": ["r:d0"]},
    ),
    # admin access (KEP-5018)
    "admin access sees what is held": (
        world(piece([device("d0")]), held=[hold("d0")]),
        claim(request(adminAccess=True)),
        {"a": ["r:d0"]},
    ),
    "who only watches holds nothing": (
        world(piece([device("d0")]), held=[hold("d0", adminAccess=True)]),
        claim(request()),
        {"a": ["r:d0"]},
    ),
    "two admin requests of a claim see two devices": (
        world(piece([device("d0")])),
        claim(request("r", adminAccess=True), request("q", adminAccess=True)),
        {},
    ),
    # device taints (KEP-5055)
    "a toleration of another effect": (
        world(piece([device("d0", taints=TAINT)])),
        claim(request(tolerations=[{"key": "ill", "operator": "Exists", "effect": "NoSchedule"}])),
        {},
    ),
    "a toleration of everything": (
        world(piece([device("d0", taints=TAINT)])),
        claim(request(tolerations=[{"operator": "Exists"}])),
        {"a": ["r:d0"]},
    ),
    "an alternative that tolerates": (
        world(piece([device("d0", taints=TAINT)])),
        claim(either(request("x"), request("y", tolerations=[{"key": "ill", "value": "x", "operator": "Equal"}]))),
        {"a": ["r/y:d0"]},
    ),
    "a rule for a pool of another driver": (
        world(
            piece([device("d0")]),
            rules=[{"deviceSelector": {"driver": "other", "pool": "p"}, "taint": {"key": "k", "effect": "NoSchedule"}}],
        ),
        claim(request()),
        {"a": ["r:d0"]},
    ),
    "a rule that selects by nothing": (
        world(
            piece([device("d0")]),
            piece([device("e0")], on="b", pool="q"),
            rules=[{"taint": {"key": "k", "effect": "NoSchedule"}}],
        ),
        claim(request()),
        {},
    ),
    # extended resources (KEP-5004)
    "two containers, a device each": (
        world(piece(PLAIN), classes=ANY | {"ext-a": "true"}),
        containers(1, 1),
        {"a": ["container-0-request-0:d0", "container-1-request-0:d1"]},
    ),
    "by the name of the class": (
        world(piece(PLAIN)),
        containers(2, resource="deviceclass.resource.kubernetes.io/any"),
        {"a": ["container-0-request-0:d0", "container-0-request-0:d1"]},
    ),
    "no class offers the resource": (world(piece(PLAIN)), containers(1), {}),
    # pools of several slices, and their nodes: KEP-4381
    "two slices of one pool": (
        world(piece([device("d0")], of=2, name="s1"), piece([device("d1")], of=2, name="s2")),
        claim(request(count=2)),
        {"a": ["r:d0", "r:d1"]},
    ),
    "an older generation counts no more": (
        world(piece([device("old")], generation=1), piece([device("new")], generation=2)),
        claim(request()),
        {"a": ["r:new"]},
    ),
    "two pools give a device each": (
        world(piece([device("d0")]), piece([device("e0")], pool="q")),
        claim(request(count=2)),
        {"a": ["r:d0", "r:e0"]},
    ),
    "one name twice makes the pool invalid": (
        world(piece([device("d0")], of=2, name="s1"), piece([device("d0")], of=2, name="s2")),
        claim(request()),
        {},
    ),
    "the nodes of a zone": (world(piece([device("d0")], on=ZONE)), claim(request()), {"a": ["r:d0"], "b": ["r:d0"]}),
    "nodes of each device": (
        world(
            piece(
                [{**device("d0"), "allNodes": True}, {**device("d1"), **ZONE}, {**device("d2"), "nodeName": "c"}],
                on={"perDeviceNodeSelection": True},
            )
        ),
        claim(request(count=2)),
        {"a": ["r:d0", "r:d1"], "b": ["r:d0", "r:d1"], "c": ["r:d0", "r:d2"]},
    ),
    # binding conditions (KEP-5007)
    "devices that are bound later come last": (
        world(
            piece([device("d0") | {"bindingConditions": ["ready"], "bindingFailureConditions": ["failed"]}], pool="a"),
            piece([device("e0")], pool="z"),
        ),
        claim(request()),
        {"a": ["r:e0"]},
    ),
    # selectors
    "an attribute that a device lacks": (
        world(piece([device("d0", kind="big"), device("d1")])),
        claim(request(cel=f"device.attributes['{DRIVER}'].kind == 'small'")),
        "error",
    ),
    "a class that leaves it out before": (
        world(piece([device("d0", kind="big"), device("d1", n=1)]), classes={"n": f"has(device.attributes['{DRIVER}'].n)"}),
        claim(request("r", "n", cel=f"device.attributes['{DRIVER}'].n == 1")),
        {"a": ["r:d1"]},
    ),
    "a class that is not there": (world(piece(PLAIN)), claim(request("r", "gone")), "error"),
}


@pytest.mark.parametrize("name", CASES)
def test_the_answer_of_the_proposals(name: str) -> None:
    devices, pod, expected = CASES[name]
    assert answer(devices, pod) == expected


@pytest.mark.parametrize(
    ("devices", "pod", "more"),
    [
        (world(piece([shared("s", "8Gi", STEPS)])), claim(request(**amount("3Gi"))), 2),
        (world(piece([shared("s", "8Gi", STEPS)])), claim(request()), 4),
        (world(piece([shared("s", "8Gi"), device("d")])), claim(request()), 2),
        (
            world(piece([device(f"t{n}", uses=THREE) for n in range(3)] + [device("o", uses=ONE)], counters=SEVEN)),
            claim(request()),
            2,
        ),
        (world(piece([device("d0")]), piece([device("d1")], on=ZONE, pool="z")), claim(request()), 2),
    ],
)
def test_how_many_more(devices: ClusterDevices, pod: PodDevices, more: int) -> None:
    count = 0
    while count < 10 and (outcome := next((o for node in NODES if (o := devices.check(pod, node)).chosen is not None), None)):
        devices.hold(outcome.chosen or ())
        count += 1
    assert count == more
