"""Headroom and explain count alike: as many replicas as the scheduler's filters let land, one after the other."""

from __future__ import annotations

import random
from typing import Any

import msgspec
import pytest

from fleet.domain.dra.wire import read_claim_spec
from fleet.domain.label_selectors import Requirement
from fleet.domain.placement.anti_affinity import Bearer, keeps_out, with_anti_affinity
from fleet.domain.placement.device_room import holding, with_device_room
from fleet.domain.placement.fleet import Fleet
from fleet.domain.placement.headroom import headroom, place
from fleet.domain.placement.nodes import OTHER_RESOURCES, KeepsOut, OtherResource, PlacementNode
from fleet.domain.placement.requirement import GOOD, PodRequirement, with_runtime_classes
from fleet.domain.placement.scheduler.devices import ClusterClaims
from fleet.domain.placement.scheduler.pod_evaluation import evaluate
from fleet.domain.placement.scheduler.state import ClusterState
from fleet.domain.snapshot import NodeSnapshot, PodSnapshot
from fleet.domain.snapshot.scheduling import PodTerm, RuntimeClass
from tests.domain.dra.recorded import Cluster, Raw, scenarios
from tests.domain.placement.fleets import GPU, bare, slots
from tests.domain.placement.scheduler.test_evaluate import HOST, OBJECTS, ZONE, node, pod

GIB = 2**30
REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
OWN = {"muster.dev/class": "serve", "app.kubernetes.io/name": "chat"}


def an_anti_affinity(chance: random.Random) -> dict[str, Any]:
    """A term of a running pod: on its node or its zone, against this pod's labels or others, here or elsewhere."""
    term: dict[str, Any] = {"topologyKey": chance.choice([HOST, ZONE, "rack"])}
    selector = chance.choice(["", {}, {"app": "other"}, {"muster.dev/class": "serve"}, {"muster.dev/class": "train"}])
    if selector != "":
        term["labelSelector"] = {"matchLabels": selector} if selector else {}
    where = chance.choice(["own", "named", "elsewhere", "all"])
    if where in ("named", "elsewhere"):
        term["namespaces"] = ["team-a"] if where == "named" else ["other"]
    elif where == "all":
        term["namespaceSelector"] = {}
    return term


def seen(snapshot: NodeSnapshot, state: ClusterState) -> PlacementNode:
    """The node as the database gives it to headroom."""
    known = state.nodes[snapshot.name]
    whole, taken = known.allocatable[GPU] or 0, known.requested.get(GPU, 0)
    others = tuple(OtherResource(name, known.allocatable.get(name, 0), known.free(name)) for name in OTHER_RESOURCES)
    places = (known.allocatable["pods"] or 0) - len(known.pods)
    return bare(snapshot.name, slots(allocatable=whole, used=taken), others=others, pods_free=places, labels=snapshot.labels)


def a_cluster(chance: random.Random) -> tuple[list[NodeSnapshot], list[PodSnapshot]]:
    nodes, pods = [], []
    for number in range(chance.randint(1, 5)):
        sizes = {
            "cpu": chance.choice(["8", "16", "7800m"]),
            "memory": chance.choice(["32Gi", "64Gi", "100G"]),
            "ephemeral-storage": chance.choice(["50Gi", "100Gi"]),
            "pods": str(chance.choice([2, 4, 110])),
            "hugepages-2Mi": chance.choice(["0", "8Gi", "12Gi"]),
            GPU: str(chance.choice([2, 4, 8])),
        }
        nodes.append(node(f"n{number}", chance.choice(["", "a", "b"]), **sizes))
        for other in range(chance.randint(0, 3)):
            amounts = {
                "cpu": chance.choice(["500m", "3", "6"]),
                "memory": chance.choice(["1Gi", "20Gi"]),
                "ephemeral-storage": chance.choice(["10Gi", "40Gi"]),
                "hugepages-2Mi": chance.choice(["0", "2Gi"]),
            }
            limits = {GPU: "1"} if chance.random() < 0.5 else {}
            spec: dict[str, Any] = {
                "containers": [{"name": "m", "resources": {"requests": {**amounts, **limits}, "limits": limits}}]
            }
            if chance.random() < 0.2:
                spec["affinity"] = {"podAntiAffinity": {REQUIRED: [an_anti_affinity(chance)]}}
            pods.append(pod(spec, on=f"n{number}", name=f"p{number}-{other}", namespace=chance.choice(["team-a", "team-b"])))
    return nodes, pods


@pytest.mark.parametrize("seed", range(60))
def test_headroom_is_the_number_of_pods_that_the_filters_let_land(seed: int) -> None:
    chance = random.Random(seed)
    nodes, pods = a_cluster(chance)
    cpu, memory, storage = chance.choice([0, 1500, 4000]), chance.choice([0, 8 * GIB]), chance.choice([0, 25 * GIB])
    pages = chance.choice([0, 3 * GIB])
    requests = {GPU: "1", "cpu": f"{cpu}m", "memory": str(memory), "ephemeral-storage": str(storage), "hugepages-2Mi": str(pages)}
    limits = {GPU: "1", "hugepages-2Mi": str(pages)}
    waiting = pod({"containers": [{"name": "m", "resources": {"requests": requests, "limits": limits}}]})
    waiting = msgspec.structs.replace(waiting, labels=OWN)
    state = ClusterState(nodes, pods, OBJECTS, whole=True)
    asked = PodRequirement(
        resources=(
            (GPU, 1),
            ("cpu", cpu),
            ("memory", memory),
            ("ephemeral-storage", storage),
            ("hugepages-2Mi", pages),
        ),
        labels=tuple(OWN.items()),
        namespace=waiting.namespace,
    )
    bearers = [
        Bearer("east", other.node_name, other.namespace, other.scheduling.anti_affinity)
        for other in pods
        if other.scheduling and other.scheduling.anti_affinity
    ]
    fleet = Fleet(with_anti_affinity([seen(entry, state) for entry in nodes], bearers))
    counted = headroom([asked], fleet).replicas
    landed = 0
    while (fitting := evaluate(waiting, state).fitting) and landed <= 50:
        state = state.with_pod(fitting[0], msgspec.structs.replace(waiting, uid=f"{landed}", node_name=fitting[0]))
        landed += 1
    assert counted == landed


def test_a_namespace_that_is_not_known_is_kept_out_by_terms_for_all() -> None:
    everything = KeepsOut("team-a", PodTerm("kubernetes.io/hostname", selector=(), namespace_selector=()))
    own = KeepsOut("team-a", PodTerm("kubernetes.io/hostname", selector=()))
    labelled = KeepsOut("team-a", PodTerm("kubernetes.io/hostname", (), (), (Requirement("tier", "in", ("gold",)),)))
    for namespace, expected in (("", [True, False, False]), ("team-a", [True, True, True]), ("team-b", [True, False, True])):
        assert [keeps_out(item, OWN, namespace) for item in (everything, own, labelled)] == expected, namespace
    nodes = [bare("n1", keeps_out=(everything,)), bare("n2")]
    asked = PodRequirement(resources=((GPU, 1),), labels=tuple(OWN.items()))
    (result,) = headroom([asked], Fleet(nodes)).pools
    assert (result.replicas, [group.reason.code for group in result.excluded]) == (8, ["anti_affinity"])


def test_a_node_without_free_cpu_is_excluded_with_the_amounts() -> None:
    others = (OtherResource("cpu", 96_000, 3_500), OtherResource("memory", 64 * GIB, None))
    asked = PodRequirement(resources=((GPU, 1), ("cpu", 4_000)))
    (result,) = headroom([asked], Fleet([bare(others=others)])).pools
    assert (result.replicas, result.by_free) == (0, {8: 1})
    assert [group.reason.text for group in result.excluded] == ["Insufficient cpu: 4 cores cpu needed, 3.5 free."]
    unknown = PodRequirement(resources=((GPU, 1), ("memory", GIB)))
    (result,) = headroom([unknown], Fleet([bare(others=others)])).pools
    assert [(group.reason.code, result.replicas) for group in result.excluded] == [("unknown_free", 0)]


def test_a_class_that_requests_no_cpu_does_not_need_any() -> None:
    full = (OtherResource("cpu", 8_000, -100),)
    assert headroom([PodRequirement(resources=((GPU, 1),))], Fleet([bare(others=full)])).replicas == 8


def test_two_pools_that_overlap_share_cpu_as_well() -> None:
    shared = bare(pools=("a", "b"), others=(OtherResource("cpu", 8_000, 8_000),))
    asked = [PodRequirement(resources=((GPU, 1), ("cpu", 3_000)), pool=pool) for pool in ("a", "b")]
    assert [entry.replicas for entry in headroom(asked, Fleet([shared])).pools] == [2, 0]


def test_a_runtime_class_adds_its_overhead_selector_and_tolerations() -> None:
    kata = RuntimeClass(name="kata", overhead={"cpu": "250m", "memory": "120Mi"}, selector={"kata": "yes"})
    larger = RuntimeClass(name="kata", overhead={"cpu": "500m", GPU: "1"}, selector={"kata": "yes"})
    asked = with_runtime_classes(PodRequirement(resources=((GPU, 1), ("cpu", 1_000))), [kata, larger])
    assert dict(asked.resources) == {GPU: 2, "cpu": 1_500, "memory": 120 * 2**20}
    assert [item.key for item in asked.selector] == ["kata"]
    assert with_runtime_classes(asked, []) == asked


MORE = [scenario for scenario in scenarios() if scenario.get("more")]


def devices_of(scenario: Raw) -> tuple[Fleet, Any, dict[str, ClusterClaims]]:
    cluster = Cluster(scenario)
    for waiting, answer in zip(scenario["pending"], scenario["answers"], strict=True):
        cluster.apply(waiting, answer)
    of = scenario["more"]["of"]
    claim = msgspec.structs.replace(read_claim_spec("team-a", "c", of["claim"]), made=True)
    probe = {"metadata": {"name": "more", "namespace": "team-a"}, "spec": {"tolerations": of.get("tolerations") or []}}
    open_ = {entry["metadata"]["name"] for entry in cluster.open_nodes({**probe, "spec": {**probe["spec"], "containers": []}})}
    nodes = [
        bare(
            name,
            slots("class", kind="dra-gpu"),
            labels=entry["metadata"].get("labels") or {},
            schedulable=name in open_,
            verdict="ready",
            pods_free=64,
        )
        for entry in cluster.nodes
        for name in [entry["metadata"]["name"]]
    ]
    return Fleet(nodes, None), claim, {"east": ClusterClaims(cluster.devices(), classes=cluster.classes)}


@pytest.mark.parametrize("scenario", MORE, ids=lambda scenario: scenario["name"])
def test_headroom_through_dra_equals_what_the_real_scheduler_still_placed(scenario: Raw) -> None:
    fleet, claim, clusters = devices_of(scenario)
    needed = 3
    asked = PodRequirement(resources=(("class", needed),), verdicts=GOOD)
    counted = headroom([asked], with_device_room(fleet, asked, claim, clusters)).replicas
    assert min(counted, 64) == scenario["more"]["count"]
    placed = place([asked], with_device_room(fleet, asked, claim, clusters), 1)
    then = headroom([asked], with_device_room(fleet, asked, claim, holding(placed, claim, clusters))).replicas
    assert min(then, 63) == max(min(counted, 64) - 1, 0), "what is placed is no longer free"


def test_devices_that_were_not_read_are_unknown_room() -> None:
    fleet, claim, _ = devices_of(MORE[0])
    asked = PodRequirement(resources=(("class", 1),))
    for clusters in ({}, {"east": ClusterClaims(None)}):
        (result,) = headroom([asked], with_device_room(fleet, asked, claim, clusters)).pools
        assert {group.reason.code for group in result.excluded} <= {"unknown_free", "unschedulable"}
        assert result.replicas == 0
