"""A living fleet: heartbeats stay fresh, pods come and go, nodes fail and recover, and the books stay in order."""

from __future__ import annotations

import random
from collections import Counter
from datetime import timedelta

import pytest

from fleet.simulator.fleet import Fleet, build_fleet
from fleet.simulator.live import Life


@pytest.fixture(scope="module")
def aged() -> tuple[Fleet, Counter[str], set[str]]:
    """Forty minutes in the life of a fleet, on a clock of its own; the changes by kind, and the faults seen on the way."""
    fleet = build_fleet(nodes=40, seed=3)
    life = Life(fleet, every=3.0, chance=random.Random(4))
    seen: set[str] = set()
    for _ in range(800):
        fleet.clock.move(timedelta(seconds=3))
        life.tick()
        seen |= {node.name for cluster in fleet.clusters for node in cluster.nodes.values() if node.fault == "passing"}
    changes: Counter[str] = Counter()
    for cluster in fleet.clusters:
        for kind, shelf in cluster.store.shelves.items():
            changes.update(f"{kind.plural} {change.type}" for change in shelf.events)
    return fleet, changes, seen


def test_pods_come_and_go(aged: tuple[Fleet, Counter[str], set[str]]) -> None:
    _, changes, _ = aged
    assert changes["pods ADDED"] > 20
    assert changes["pods DELETED"] > 20


def test_the_fleet_neither_empties_nor_overflows(aged: tuple[Fleet, Counter[str], set[str]]) -> None:
    fleet, _, _ = aged
    young = build_fleet(nodes=40, seed=3)
    now, then = (sum(len(cluster.pods) for cluster in it.clusters) for it in (fleet, young))
    assert 0.7 < now / then < 1.3


def test_heartbeats_stay_fresh(aged: tuple[Fleet, Counter[str], set[str]]) -> None:
    fleet, _, _ = aged
    for cluster in fleet.clusters:
        for node in cluster.nodes.values():
            if node.ready == "True":
                assert node.heartbeat is not None
                assert fleet.clock() - node.heartbeat < timedelta(minutes=5)


def test_nodes_fail_and_recover(aged: tuple[Fleet, Counter[str], set[str]]) -> None:
    fleet, _, seen = aged
    assert seen, "something went wrong in forty minutes"
    still = {node.name for cluster in fleet.clusters for node in cluster.nodes.values() if node.fault == "passing"}
    assert len(still) < len(seen), "and most of it is over"


def test_no_slot_is_held_twice(aged: tuple[Fleet, Counter[str], set[str]]) -> None:
    fleet, _, _ = aged
    for cluster in fleet.clusters:
        for name, pods in cluster.on_node.items():
            held = [slot.id for pod in pods.values() if pod.holds for slots in pod.slots.values() for slot in slots]
            assert len(held) == len(set(held)), name


def test_terminating_pods_are_gone_in_time(aged: tuple[Fleet, Counter[str], set[str]]) -> None:
    fleet, _, _ = aged
    late = fleet.clock() - timedelta(minutes=1)
    for cluster in fleet.clusters:
        for pod in cluster.pods.values():
            if pod.deleting and pod.node and cluster.nodes[pod.node].ready == "True":
                assert pod.deleting > late, pod.key


def test_indexes_agree_with_the_store(aged: tuple[Fleet, Counter[str], set[str]]) -> None:
    from fleet.simulator.resources import NODES, PODS

    fleet, _, _ = aged
    for cluster in fleet.clusters:
        assert {record.key for record in cluster.store.each(PODS)} == set(cluster.pods)
        assert {record.key for record in cluster.store.each(NODES)} == set(cluster.nodes)
        bound = {key for pods in cluster.on_node.values() for key in pods}
        assert bound == {key for key, pod in cluster.pods.items() if pod.node}


def test_life_stops_on_request() -> None:
    with Life(build_fleet(clusters=1, nodes=2), every=0.01) as life:
        assert life.running
    assert not life.running
