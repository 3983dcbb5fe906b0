"""What the first look at a cluster, a node or a count means for every later one, and what a lost right holds."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from msgspec import structs

from fleet.domain.snapshot import NodeInfo
from fleet.domain.snapshot.sections import Outcome
from fleet.models import Cluster, CollectionRun, Node
from fleet.services import evaluation_history
from tests.absorbing import absorb
from tests.services.snapshots import T0, a_node, a_snapshot

pytestmark = pytest.mark.django_db


@pytest.fixture
def east() -> Cluster:
    return Cluster.objects.create(name="east")


def look(cluster: Cluster, *nodes: Any, after_s: float) -> None:
    cluster.refresh_from_db()
    seen = a_snapshot(*nodes, after_s=after_s)
    absorb(cluster, seen, CollectionRun(cluster=cluster, started_at=seen.taken_at))


def node(name: str = "n1") -> Node:
    return Node.objects.get(name=name)


def test_the_first_gpu_node_of_a_cluster_that_was_read_before_has_just_joined(east: Cluster) -> None:
    look(east, after_s=0)
    look(east, a_node("n1", allocatable={"nvidia.com/gpu": "0"}), after_s=60)
    assert node().verdict == "starting"
    look(east, a_node("n1", allocatable={"nvidia.com/gpu": "0"}), after_s=600)
    assert node().verdict == "not_ready"


def test_what_was_there_at_the_very_first_look_has_no_grace(east: Cluster) -> None:
    look(east, a_node("n1", allocatable={"nvidia.com/gpu": "0"}), after_s=0)
    assert node().verdict == "not_ready"


def test_a_boot_lies_between_the_last_look_before_it_and_the_first_behind(east: Cluster) -> None:
    for after_s, boot in ((0, "one"), (60, "one"), (600, "two"), (660, "two")):
        look(east, a_node("n1", node_info=NodeInfo(boot_id=boot)), after_s=after_s)
    assert (node().booted_after, node().booted_at) == (T0 + timedelta(seconds=60), T0 + timedelta(seconds=600))


def test_slots_taken_for_gpus_give_way_to_a_count_of_gpus(east: Cluster) -> None:
    """Sixteen slots without a label may be four cards cut in four: as soon as labels count them, sixteen was never true."""
    bare = structs.replace(a_node("n1", gpus=16), labels={"node.kubernetes.io/instance-type": "p5.48xlarge"})
    look(east, bare, after_s=0)
    assert (node().physical, node().physical_source, node().expected) == (16, "capacity", 16)
    shared = {"nvidia.com/gpu.count": "4", "nvidia.com/gpu.replicas": "4", "nvidia.com/gpu.sharing-strategy": "time-slicing"}
    look(east, a_node("n1", gpus=16, labels=shared), after_s=60)
    assert (node().physical, node().physical_source, node().expected) == (4, "label", 4)


@pytest.mark.parametrize(
    ("outcome", "minutes", "held"),
    [
        (Outcome.FORBIDDEN, 10, True),
        (Outcome.FORBIDDEN, 16, False),
        (Outcome.UNREACHABLE, 10, False),  # exporters that do not answer, all of them, may well be broken
        (Outcome.COLLECTED, 10, False),
    ],
)
def test_a_right_taken_away_makes_no_card_sick_sooner_than_a_lost_cluster(
    east: Cluster, outcome: Outcome, minutes: int, held: bool
) -> None:
    east.section_read_at = {"telemetry": T0.isoformat()}
    snapshot = a_snapshot(a_node("n1"), after_s=60 * minutes, broken={"telemetry": outcome})
    assert evaluation_history.load_history(east, snapshot).last_reached_at == (T0 if held else None)
