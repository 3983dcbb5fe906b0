from __future__ import annotations

from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.db.backends.postgresql.psycopg_any import DateTimeTZRange
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import structs

from fleet.domain import labels
from fleet.domain.evaluation.evaluate import evaluate
from fleet.domain.evaluation.subject import ClusterHistory
from fleet.domain.snapshot import ClusterSnapshot, Condition, ContainerSnapshot, NodeSnapshot, Taint
from fleet.domain.snapshot.sections import Outcome
from fleet.models import Cluster, CollectionRun, Gpu, Node, NodeResource, NodeRevision, Pod
from fleet.services import missing_labels
from tests.absorbing import absorb
from tests.builders import previous_of
from tests.services.snapshots import T0, a_node, a_pod, a_snapshot

pytestmark = pytest.mark.django_db


@pytest.fixture
def east() -> Cluster:
    return Cluster.objects.create(name="east")


def remember(cluster: Cluster, seen: ClusterSnapshot) -> int | None:
    """One pass from the snapshot on, as services.collection does it."""
    cluster.refresh_from_db()
    run = CollectionRun(cluster=cluster, started_at=seen.taken_at)
    absorb(cluster, seen, run)
    return run.changes


def node(name: str) -> Node:
    return Node.objects.get(name=name, removed_at__isnull=True)


def periods(name: str) -> list[tuple[datetime, datetime | None]]:
    rows = NodeRevision.objects.filter(node__name=name).order_by("id")
    return [(row.period.lower, row.period.upper) for row in rows]


def test_a_first_pass_remembers_nodes_slots_cards_and_pods(east: Cluster) -> None:
    remember(east, a_snapshot(a_node("n1"), pods=(a_pod("p1", "n1", gpus=3),)))
    n1 = node("n1")
    assert (n1.physical, n1.expected, n1.advertised_gpus, n1.state, n1.mode) == (8, 8, 8, "full", "Full GPU")
    assert (n1.slots_capacity, n1.slots_allocatable, n1.slots_requested, n1.slots_free) == (8, 8, 3, 5)
    assert Gpu.objects.filter(node=n1).count() == 8
    assert NodeResource.objects.get(node=n1).free == 5
    pod = Pod.objects.get()
    assert (pod.node, pod.slots, pod.holds) == (n1, 3, True)
    assert periods("n1") == [(T0, None)]


def test_the_row_keeps_what_the_next_inspection_needs_while_labels_are_away(east: Cluster) -> None:
    seen = a_snapshot(a_node("n1"), a_node("n2", labels={labels.GPU_PRODUCT: "NVIDIA-L4", labels.GPU_COUNT: "2"}))
    evaluated = evaluate(seen, ClusterHistory())
    remember(east, seen)
    bare = structs.replace(seen, nodes=tuple(structs.replace(item, labels={}) for item in seen.nodes))
    kept = missing_labels.while_labels_are_away(east, bare)
    assert kept == {item.node.uid: previous_of(item.devices) for item in evaluated.nodes}
    assert kept[evaluated.nodes[0].node.uid].capacity == {"nvidia.com/gpu": 8}


def test_the_same_fleet_again_writes_nothing_but_the_clusters_row(east: Cluster) -> None:
    nodes = [a_node(f"n{i}") for i in range(20)]
    pods = (*(a_pod(f"p{i}", f"n{i}") for i in range(20)), a_pod("pending", ""))
    remember(east, a_snapshot(*nodes, pods=pods))
    with CaptureQueriesContext(
        connection,
    ) as few:
        assert remember(east, a_snapshot(*nodes, pods=pods, after_s=60)) == 0
    writes = [q["sql"].split()[0:2] for q in few if q["sql"].startswith(("INSERT", "UPDATE", "DELETE"))]
    assert len(writes) <= 2, writes  # the cluster's row, and the statement that learns what is expected
    assert NodeRevision.objects.count() == 20


def test_a_pass_twice_over_changes_nothing(east: Cluster) -> None:
    snapshot = a_snapshot(a_node("n1"), pods=(a_pod("p1", "n1"),))
    remember(east, snapshot)
    before = list(Node.objects.values()), list(Pod.objects.values()), list(NodeRevision.objects.values())
    assert remember(east, snapshot) is None
    assert (list(Node.objects.values()), list(Pod.objects.values()), list(NodeRevision.objects.values())) == before


def test_an_older_pass_that_ends_late_does_not_overwrite_the_newer(east: Cluster) -> None:
    remember(east, a_snapshot(a_node("n1", labels={"driver": "new"}), after_s=60))
    assert remember(east, a_snapshot(a_node("n1", labels={"driver": "old"}), after_s=30)) is None
    assert node("n1").labels["driver"] == "new"
    assert Cluster.objects.get().taken_at == T0 + timedelta(seconds=60)


def test_a_run_of_the_same_moment_does_not_touch_the_clusters_row(east: Cluster) -> None:
    remember(east, a_snapshot(a_node("n1")))
    before = Cluster.objects.values().get()
    assert remember(east, a_snapshot(broken={"nodes": Outcome.UNREACHABLE, "version": Outcome.UNREACHABLE})) is None
    assert Cluster.objects.values().get() == before


def test_a_cluster_fails_since_the_first_of_its_failing_runs(east: Cluster) -> None:
    remember(east, a_snapshot(a_node("n1")))
    for after_s in (60, 120):
        remember(east, a_snapshot(after_s=after_s, broken=dict.fromkeys(("version", "nodes", "pods"), Outcome.UNREACHABLE)))
        assert Cluster.objects.get().failing_since == T0 + timedelta(seconds=60)
    remember(east, a_snapshot(a_node("n1"), after_s=180))
    assert Cluster.objects.get().failing_since is None


def test_a_cluster_counts_the_changes_of_all_its_runs(east: Cluster) -> None:
    counts = [
        remember(east, a_snapshot(a_node("n1", labels={"driver": driver}), after_s=60 * number)) or 0
        for number, driver in enumerate(("old", "new", "new"))
    ]
    assert min(counts[:2]) > 0
    assert Cluster.objects.get().changes == sum(counts)


def test_a_changed_label_opens_a_revision_where_the_last_one_ends(east: Cluster) -> None:
    remember(east, a_snapshot(a_node("n1", labels={"team": "a"})))
    remember(east, a_snapshot(a_node("n1", labels={"team": "b"}), after_s=60))
    at = T0 + timedelta(seconds=60)
    assert periods("n1") == [(T0, at), (at, None)]
    newest = NodeRevision.objects.order_by("id").last()
    assert newest is not None
    assert newest.changes == [{"section": "labels", "key": "team", "before": "a", "after": "b"}]


def test_a_pod_that_takes_a_slot_changes_the_node_but_not_its_history(east: Cluster) -> None:
    remember(east, a_snapshot(a_node("n1")))
    remember(east, a_snapshot(a_node("n1"), pods=(a_pod("p1", "n1", gpus=8),), after_s=60))
    assert node("n1").slots_free == 0
    assert len(periods("n1")) == 1


def test_the_database_forbids_two_periods_of_one_node_to_overlap(east: Cluster) -> None:
    remember(east, a_snapshot(a_node("n1"), a_node("n2")))
    n1, n2 = node("n1"), node("n2")
    with pytest.raises(IntegrityError), transaction.atomic():
        NodeRevision.objects.create(node=n1, period=DateTimeTZRange(T0 + timedelta(hours=1), None), facts={})
    NodeRevision.objects.filter(node=n2).delete()
    NodeRevision.objects.create(node=n2, period=DateTimeTZRange(T0, None), facts={})


def test_a_node_that_vanished_is_marked_and_keeps_its_history(east: Cluster) -> None:
    remember(east, a_snapshot(a_node("n1"), a_node("n2"), pods=(a_pod("p2", "n2"),)))
    remember(east, a_snapshot(a_node("n1"), after_s=60))
    gone = Node.objects.get(name="n2")
    at = T0 + timedelta(seconds=60)
    assert gone.removed_at == at
    assert periods("n2") == [(T0, at)]
    assert Pod.objects.get(name="p2").removed_at == at


@pytest.mark.parametrize("outcome", [Outcome.INCOMPLETE, Outcome.FORBIDDEN, Outcome.TIMEOUT, Outcome.MALFORMED, Outcome.SKIPPED])
def test_a_list_that_was_not_read_whole_removes_nothing(east: Cluster, outcome: Outcome) -> None:
    remember(east, a_snapshot(a_node("n1"), a_node("n2"), pods=(a_pod("p1", "n1"), a_pod("p2", "n2"))))
    seen = (a_node("n1", labels={"team": "new"}),) if outcome is Outcome.INCOMPLETE else ()
    broken = {"nodes": outcome, "pods": outcome}
    remember(east, a_snapshot(*seen, after_s=60, broken=broken))
    assert {n.name for n in Node.objects.filter(removed_at=None)} == {"n1", "n2"}
    assert Pod.objects.filter(removed_at=None).count() == 2
    assert node("n2").slots_requested == 1
    if outcome is Outcome.INCOMPLETE:
        assert node("n1").labels["team"] == "new"


def test_pods_that_cannot_be_read_keep_their_last_known_data_and_its_age(east: Cluster) -> None:
    remember(east, a_snapshot(a_node("n1"), pods=(a_pod("p1", "n1", gpus=4),)))
    remember(east, a_snapshot(a_node("n1", labels={"team": "b"}), after_s=60, broken={"pods": Outcome.FORBIDDEN}))
    assert (node("n1").slots_requested, node("n1").slots_free) == (4, 4)
    read_at = Cluster.objects.get().section_read_at
    assert read_at["pods"] < read_at["nodes"]


def test_pods_that_never_could_be_read_are_unknown_and_not_zero(east: Cluster) -> None:
    remember(east, a_snapshot(a_node("n1"), broken={"pods": Outcome.FORBIDDEN}))
    assert node("n1").slots_allocatable == 8
    assert node("n1").slots_requested is None
    assert node("n1").slots_free is None


def test_a_node_recreated_under_its_name_is_a_new_node(east: Cluster) -> None:
    remember(east, a_snapshot(a_node("n1", "uid-old")))
    remember(east, a_snapshot(a_node("n1", "uid-new"), after_s=60))
    old, new = Node.objects.get(uid="uid-old"), Node.objects.get(uid="uid-new")
    assert old.removed_at is not None
    assert new.removed_at is None
    assert new.first_seen_at == T0 + timedelta(seconds=60)


def test_a_recreated_node_replaces_its_namesake_even_in_an_incomplete_list(east: Cluster) -> None:
    remember(east, a_snapshot(a_node("n1", "uid-old"), a_node("n2")))
    remember(east, a_snapshot(a_node("n1", "uid-new"), after_s=60, broken={"nodes": Outcome.INCOMPLETE}))
    assert {n.uid for n in Node.objects.filter(removed_at=None)} == {"uid-new", "uid-n2"}


def test_a_node_that_comes_back_goes_on(east: Cluster) -> None:
    remember(east, a_snapshot(a_node("n1"), a_node("n2")))
    remember(east, a_snapshot(a_node("n1"), after_s=60))
    remember(east, a_snapshot(a_node("n1"), a_node("n2"), after_s=120))
    assert node("n2").first_seen_at == T0
    assert len(periods("n2")) == 2


def test_a_node_that_was_missing_from_one_list_comes_back_with_its_pods(east: Cluster) -> None:
    """The pod never changed: what is recorded only on a change must not be taken for recorded."""
    pod = a_pod("p1", "n2", gpus=4)
    for after_s, names in ((0, ("n1", "n2")), (60, ("n1",)), (120, ("n1", "n2"))):
        remember(east, a_snapshot(*map(a_node, names), pods=(pod,), after_s=after_s))
    assert (node("n2").slots_requested, node("n2").slots_free) == (4, 4)
    assert [(row.name, row.removed_at) for row in node("n2").pods.all()] == [("p1", None)]


def test_expected_is_the_most_ever_seen_on_the_machine_type(east: Cluster) -> None:
    remember(east, a_snapshot(a_node("n1"), a_node("n2", gpus=7)))
    assert node("n2").expected == 8
    assert node("n2").physical == 7


def test_machines_that_take_any_number_of_gpus_teach_each_other_only_their_own_number(east: Cluster) -> None:
    def n1(name: str, gpus: int, seen: int) -> NodeSnapshot:
        fields = {"node.kubernetes.io/instance-type": "n1-standard-16", "cloud.google.com/gke-accelerator": "nvidia-tesla-t4"}
        return a_node(name, gpus=seen, labels={**fields, "cloud.google.com/gke-accelerator-count": str(gpus)})

    remember(east, a_snapshot(n1("n1", 4, 4), n1("n2", 1, 1), n1("n3", 4, 3)))
    assert [node(name).expected for name in ("n1", "n2", "n3")] == [4, 1, 4]
    assert node("n2").machine_type == "n1-standard-16 ×1 GPU"


def test_nodes_of_one_distribution_teach_each_other_nothing(east: Cluster) -> None:
    fields = {"node.kubernetes.io/instance-type": "k3s"}
    remember(east, a_snapshot(a_node("n1", labels=fields), a_node("n2", gpus=2, labels=fields)))
    assert (node("n1").expected, node("n2").expected) == (8, 2)


def test_intels_slots_teach_no_number_of_cards_and_its_labels_do(east: Cluster) -> None:
    def flex(name: str, slots_of: int = 8, **fields: str) -> NodeSnapshot:
        slots = {"gpu.intel.com/i915": str(slots_of), "cpu": "1"}
        return NodeSnapshot(name=name, uid=f"uid-{name}", labels=fields, capacity=slots, allocatable=slots)

    remember(east, a_snapshot(flex("n1"), flex("n2", **{"gpu.intel.com/device-id.0380-56c0.count": "4"})))
    assert (node("n1").physical, node("n1").expected, node("n1").most_seen) == (8, 8, None)
    assert (node("n2").physical, node("n2").expected, node("n2").most_seen) == (4, 4, 4)
    remember(east, a_snapshot(flex("n1", 2), flex("n2", **{"gpu.intel.com/device-id.0380-56c0.count": "3"}), after_s=60))
    assert (node("n1").physical, node("n1").expected) == (2, 2), "no longer shared by four, say"
    assert (node("n2").physical, node("n2").expected) == (3, 4)


def test_expected_of_a_machine_that_says_no_type_is_its_own_most(east: Cluster) -> None:
    unlabelled = {"node.kubernetes.io/instance-type": ""}
    remember(east, a_snapshot(a_node("n1"), a_node("n2", gpus=4, labels=unlabelled)))
    remember(east, a_snapshot(a_node("n1"), a_node("n2", gpus=3, labels=unlabelled), after_s=60))
    assert node("n2").expected == 4


def test_labels_that_are_away_for_a_minute_break_nothing_and_for_long_are_gone(east: Cluster) -> None:
    time_sliced = {"nvidia.com/gpu.replicas": "4", "nvidia.com/gpu.sharing-strategy": "time-slicing"}
    slots = {"nvidia.com/gpu": "32", "cpu": "1"}
    whole = a_node("n1", labels=time_sliced, capacity=slots, allocatable=slots)
    bare = structs.replace(whole, labels={"node.kubernetes.io/instance-type": "p5.48xlarge"})
    remember(east, a_snapshot(whole))
    for after_s in (60, 120, 180):
        remember(east, a_snapshot(bare, after_s=after_s))
        assert (node("n1").physical, node("n1").replicas, node("n1").state) == (8, 4, "full")
    remember(east, a_snapshot(bare, after_s=600))
    assert node("n1").physical_source != "previous"
    remember(east, a_snapshot(whole, after_s=660))
    assert (node("n1").physical, node("n1").labels_missing_since) == (8, None)


def test_the_state_has_its_start(east: Cluster) -> None:
    down = a_node("n1", conditions=(Condition(type="Ready", status="Unknown"),))
    remember(east, a_snapshot(a_node("n1")))
    remember(east, a_snapshot(a_node("n1", labels={"team": "x"}), after_s=60))
    assert node("n1").state_since == T0
    remember(east, a_snapshot(down, after_s=120))
    assert (node("n1").state, node("n1").advertised_gpus) == ("not_ready", 0)
    assert node("n1").state_since == T0 + timedelta(seconds=120)


def test_a_cordoned_node_offers_nothing_on_purpose(east: Cluster) -> None:
    remember(east, a_snapshot(a_node("n1", unschedulable=True)))
    assert (node("n1").state, node("n1").advertised_gpus, node("n1").schedulable) == ("cordoned", 0, False)


def test_a_resource_that_is_gone_loses_its_row(east: Cluster) -> None:
    remember(east, a_snapshot(a_node("n1")))
    shared = {"nvidia.com/gpu.shared": "32", "cpu": "1"}
    labels = {"nvidia.com/gpu.replicas": "4", "nvidia.com/gpu.sharing-strategy": "time-slicing"}
    remember(east, a_snapshot(a_node("n1", labels=labels, capacity=shared, allocatable=shared), after_s=60))
    assert [r.name for r in NodeResource.objects.filter(capacity__gt=0)] == ["nvidia.com/gpu.shared"]
    assert node("n1").physical == 8


def test_a_pod_that_moves_from_pending_to_a_node_is_one_row(east: Cluster) -> None:
    remember(east, a_snapshot(a_node("n1"), pods=(a_pod("p1", "", phase="Pending"),)))
    assert Pod.objects.get().node is None
    remember(east, a_snapshot(a_node("n1"), pods=(a_pod("p1", "n1"),), after_s=60))
    pod = Pod.objects.get()
    assert pod.node == node("n1")
    assert pod.removed_at is None


def test_a_pod_that_finished_holds_nothing(east: Cluster) -> None:
    remember(east, a_snapshot(a_node("n1"), pods=(a_pod("p1", "n1", gpus=8, phase="Succeeded"),)))
    assert node("n1").slots_requested == 0
    assert Pod.objects.get().holds is False


a_present_node = st.tuples(st.sampled_from(["n1", "n2"]), st.sampled_from(["a", "b", "c"]), st.booleans())
stories = st.lists(st.lists(a_present_node, max_size=2, unique_by=lambda item: item[0]), min_size=1, max_size=6)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(story=stories)
def test_whatever_happens_periods_touch_and_never_overlap(east: Cluster, story: list[Any]) -> None:
    """Nodes come, change, lose a taint and go in any order: each node's periods form a chain without overlap, only the
    newest may be open, and it is open exactly while the node is there."""
    Node.objects.all().delete()
    Cluster.objects.update(taken_at=None, read_at=None, first_read_at=None, section_read_at={})
    for step, present in enumerate(story):
        taints = (Taint("dedicated", "x", "NoSchedule"),)
        nodes = [a_node(name, labels={"team": word}, taints=taints if tainted else ()) for name, word, tainted in present]
        remember(east, a_snapshot(*nodes, after_s=60 * step))
        again = a_snapshot(*nodes, after_s=60 * step + 1)
        assert remember(east, again) == 0
    for row in Node.objects.all():
        spans = [(r.period.lower, r.period.upper) for r in NodeRevision.objects.filter(node=row).order_by("period")]
        assert all(end is not None and end <= start for (_, end), (start, _) in pairwise(spans))
        assert (spans[-1][1] is None) == (row.removed_at is None)


def test_no_sum_of_requests_is_too_large_to_be_remembered(east: Cluster) -> None:
    """A pod that asks for three times 1,000,000,000, pending or bound past the scheduler, must not stop the full run."""
    containers = tuple(ContainerSnapshot(name=f"c{i}", requests={"nvidia.com/gpu": "1000000000"}) for i in range(3))
    pods = (a_pod("bound", "n1", containers=containers), a_pod("waits", "", containers=containers))
    remember(east, a_snapshot(a_node("n1"), pods=pods))
    assert set(Pod.objects.values_list("slots", flat=True)) == {3 * 10**9}
    assert (node("n1").slots_requested, NodeResource.objects.get().requested) == (3 * 10**9, 3 * 10**9)


def test_pods_come_back_with_a_node_that_one_list_left_out(east: Cluster) -> None:
    pods = (a_pod("train", "n1", gpus=4), a_pod("serve", "n2", gpus=2))
    remember(east, a_snapshot(a_node("n1"), a_node("n2"), pods=pods))
    remember(east, a_snapshot(a_node("n2"), pods=pods, after_s=60))
    remember(east, a_snapshot(a_node("n1"), a_node("n2"), pods=pods, after_s=120))
    held = Pod.objects.filter(removed_at__isnull=True, holds=True).values_list("node__name", "name").order_by("name")
    assert list(held) == [("n2", "serve"), ("n1", "train")]
    assert (node("n1").slots_requested, node("n1").slots_free) == (4, 4)
