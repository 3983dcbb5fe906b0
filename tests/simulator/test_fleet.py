"""The fleet as a whole: the same for a seed, of the requested size, mostly healthy, and never over-requested but once."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from statistics import mean

import pytest

from fleet.simulator.fleet import Fleet, build_fleet, split
from fleet.simulator.plan import PLANS, shares
from fleet.simulator.resources import BUILT_IN, DYNAMIC, GATES, NODES, OPERATOR, PODS
from fleet.simulator.stories import Cluster


def _bytes(fleet: Fleet) -> dict[str, list[bytes]]:
    return {
        f"{cluster.name} {kind.plural}": [record.raw for record in cluster.store.each(kind)]
        for cluster in fleet.clusters
        for kind in (*BUILT_IN, *OPERATOR, *DYNAMIC, *GATES)
        if kind in cluster.store.shelves
    }


def test_the_same_seed_makes_the_same_bytes() -> None:
    first, second = (_bytes(build_fleet(nodes=30, seed=11)) for _ in range(2))
    assert first == second
    assert sum(len(objects) for objects in first.values()) > 100


def test_another_seed_makes_another_fleet() -> None:
    assert _bytes(build_fleet(nodes=6, seed=1)) != _bytes(build_fleet(nodes=6, seed=2))


def test_a_restart_tomorrow_changes_neither_names_nor_uids_nor_birthdays() -> None:
    def identities(day: int) -> set[tuple[str, str, str]]:
        import json

        fleet = build_fleet(nodes=20, now=datetime(2027, 1, day, 8, tzinfo=UTC))
        identities_of_day = set()
        for cluster in fleet.clusters:
            for record in cluster.store.each(NODES):
                metadata = json.loads(record.raw)["metadata"]
                identities_of_day.add((metadata["name"], metadata["uid"], metadata["creationTimestamp"]))
        return identities_of_day

    assert len(identities(5) - identities(6)) == 0


def test_the_default_fleet(fleet: Fleet) -> None:
    nodes = [node for cluster in fleet.clusters for node in cluster.nodes.values()]
    with_cards = [node for node in nodes if node.gpus and not node.leftover]
    assert [cluster.name for cluster in fleet.clusters] == ["prod-us-east", "prod-eu-west", "research-onprem"]
    assert 135 <= len(with_cards) <= 155
    assert 0.9 <= sum(not node.fault for node in with_cards) / len(with_cards) <= 0.96
    assert sum(not node.gpus for node in nodes) >= 3
    names = [node.name for node in nodes]
    assert len(set(names)) == len(names)
    cards = [gpu.uuid for node in nodes for gpu in node.gpus]
    assert len(set(cards)) == len(cards) > 1000


def test_every_kind_and_every_fault_is_in_the_default_fleet(fleet: Fleet) -> None:
    for cluster in fleet.clusters:
        planned = Counter({kind.name: count for kind, count in shares(cluster.flavour.name, 10_000)})
        assert set(planned) == {kind.name for kind, _ in PLANS[cluster.flavour.name]}, "big fleets have every kind"
    faults = {node.fault for cluster in fleet.clusters for node in cluster.nodes.values()}
    planned_faults = {kind.fault for cluster in fleet.clusters for kind, _ in PLANS[cluster.flavour.name]}
    assert faults - {""} == planned_faults - {""}


@pytest.mark.parametrize(("clusters", "nodes"), [(1, 0), (1, 1), (2, 3), (3, 7), (3, 200), (5, 60)])
def test_the_number_of_nodes_is_as_given(clusters: int, nodes: int) -> None:
    fleet = build_fleet(clusters=clusters, nodes=nodes)
    assert len(fleet.clusters) == clusters == len({cluster.name for cluster in fleet.clusters})
    assert sum(bool(node.gpus) for cluster in fleet.clusters for node in cluster.nodes.values()) == nodes


@pytest.mark.parametrize("pods", [6, 10, 25])
def test_the_number_of_pods_is_as_given(pods: int) -> None:
    fleet = build_fleet(nodes=60, pods_per_node=pods)
    assert sum(len(cluster.pods) for cluster in fleet.clusters) == pytest.approx(60 * pods, rel=0.1)


def test_split_loses_nothing() -> None:
    for total in range(40):
        assert sum(split(total, [60, 44, 38])) == total


def _requested(cluster: Cluster) -> dict[str, Counter[str]]:
    """What the scheduler counts, from the pods' JSON."""
    import json

    requested: dict[str, Counter[str]] = {name: Counter() for name in cluster.nodes}
    for record in cluster.store.each(PODS):
        pod = json.loads(record.raw)
        node = pod["spec"].get("nodeName")
        if not node or pod["status"]["phase"] in ("Succeeded", "Failed"):
            continue
        asked: Counter[str] = Counter()
        first: Counter[str] = Counter()
        for container in pod["spec"].get("initContainers", []):
            own = _extended(container)
            if container.get("restartPolicy") == "Always":
                asked += own
            else:
                first |= own + asked
        for container in pod["spec"]["containers"]:
            asked += _extended(container)
        requested[node] += asked | first
    return requested


def _extended(container: dict[str, dict[str, dict[str, str]]]) -> Counter[str]:
    requests = container["resources"].get("requests", {})
    return Counter({name: int(count) for name, count in requests.items() if "/" in name})


def test_requests_exceed_allocatable_on_the_one_node_that_lost_a_card(fleet: Fleet) -> None:
    over = {}
    for cluster in fleet.clusters:
        for name, requested in _requested(cluster).items():
            allocatable = cluster.nodes[name].allocatable()
            if any(count > allocatable[resource] for resource, count in requested.items()):
                over[name] = cluster.nodes[name].fault
    assert list(over.values()) == ["gpu-lost"]


def test_pods_with_unusual_requests_are_there(fleet: Fleet) -> None:
    pods = [pod for cluster in fleet.clusters for pod in cluster.pods.values()]
    assert any(container.extended and not container.sidecar for pod in pods for container in pod.template.init)
    assert any(container.extended and container.sidecar for pod in pods for container in pod.template.init)
    assert any(pod.claims for pod in pods)
    states = {(pod.phase, pod.reason) for pod in pods}
    assert {("Succeeded", ""), ("Failed", ""), ("Failed", "UnexpectedAdmissionError"), ("Pending", "ImagePullBackOff")} <= states
    assert any(pod.deleting for pod in pods)
    assert any(not pod.node and "Insufficient nvidia.com/gpu" in pod.message for pod in pods)


def test_objects_weigh_what_real_ones_do(fleet: Fleet) -> None:
    cluster = fleet["prod-us-east"]
    nodes = [len(record.raw) for record in cluster.store.each(NODES)]
    pods = [len(record.raw) for record in cluster.store.each(PODS)]
    assert 22_000 < mean(nodes) < 32_000, "a recorded node weighs about 26 kB"
    assert 6_000 < mean(pods) < 12_000, "a recorded pod weighs about 8 kB"
