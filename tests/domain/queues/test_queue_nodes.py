"""Which workload a pod belongs to, and which nodes would do for it if they were ready."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from msgspec.structs import replace

from fleet.domain.devices.slots import ResourceSlots
from fleet.domain.label_selectors import Requirement
from fleet.domain.placement.explain import ClusterView
from fleet.domain.placement.nodes import PlacementNode
from fleet.domain.placement.scheduler.state import ClusterState
from fleet.domain.queues.places import QueuePlace, text_of
from fleet.domain.queues.pods import clause, nodes_for, place_of, place_of_template
from fleet.domain.snapshot import NodeSnapshot, PodSnapshot, Taint
from fleet.domain.snapshot.queues import (
    KAI,
    KUEUE,
    VOLCANO,
    BatchQueue,
    ClusterQueue,
    Flavor,
    FlavorQuota,
    LocalQueue,
    PodGroup,
    QueueObjects,
    Workload,
)
from tests.domain.placement.scheduler.test_evaluate import OBJECTS, node, pod

GPU = "nvidia.com/gpu"
NOW = datetime(2026, 12, 1, 12, 0, tzinfo=UTC)
PLACE = QueuePlace(system=KUEUE, name="shared", labels={"gpu": ("h100",)})


def asking(gpus: int = 8, **spec: Any) -> PodSnapshot:
    gates = {"schedulingGates": [{"name": "kueue.x-k8s.io/admission"}]}
    return pod({"containers": [{"name": "main", "resources": {"limits": {GPU: str(gpus)}}}], **gates, **spec})


def h100(name: str, gpus: int = 8, **changes: Any) -> NodeSnapshot:
    plain = node(name)
    amounts = {**plain.allocatable, GPU: str(gpus)}
    return replace(plain, labels={**plain.labels, "gpu": "h100"}, allocatable=amounts, **changes)


def seen(name: str, verdict: str, rung: str = "", *, predicted: int = 8, requested: int = 0) -> PlacementNode:
    slots = ResourceSlots(name=GPU, kind="gpu", capacity=predicted, predicted=predicted, requested=requested)
    return PlacementNode(cluster="east", name=name, verdict=verdict, broken_rung=rung, resources=(slots,))


def view(nodes: list[NodeSnapshot], *rows: PlacementNode) -> ClusterView:
    return ClusterView("east", ClusterState(nodes, (), OBJECTS, whole=True), {row.name: row for row in rows})


def test_nodes_that_would_do_stop_at_the_same_rung() -> None:
    nodes = [h100("a", 0), h100("b", 7), h100("good", 4)]
    rows = (seen("a", "not_ready", "resources_advertised"), seen("b", "not_ready", "resources_advertised"), seen("good", "ready"))
    answer = nodes_for(asking(), PLACE, view(nodes, *rows))
    assert clause(answer) == "2 nodes would do, both stop at rung 5"
    text = text_of(replace(PLACE, position=3, waiting=4, order="Kueue"), clause(answer))
    assert (
        text
        == "3rd of 4 in ClusterQueue shared; its request fits what is left of the quota; 2 nodes would do, both stop at rung 5."
    )


def test_a_node_of_another_flavor_or_with_a_lasting_taint_would_not_do() -> None:
    other = replace(h100("other"), labels={"gpu": "t4"})
    kept = h100("kept", taints=(Taint("dedicated", "training", "NoSchedule"),))
    broken = [seen(name, "not_ready", "cuda_works") for name in ("other", "kept")]
    assert nodes_for(asking(), PLACE, view([other, kept], *broken)).would_do == ()


def test_a_cordon_and_a_readiness_taint_leave_with_the_fault() -> None:
    nodes = [h100("cordoned", unschedulable=True), h100("gate", taints=(Taint("readiness.k8s.io/gpu", "", "NoSchedule"),))]
    rows = (seen("cordoned", "excluded"), seen("gate", "not_ready", "driver_loaded"))
    assert clause(nodes_for(asking(), PLACE, view(nodes, *rows))) in (
        "2 nodes would do: 1 is cordoned or in maintenance, 1 stops at rung 2",
        "2 nodes would do: 1 stops at rung 2, 1 is cordoned or in maintenance",
    )


def test_a_node_whose_missing_gpus_are_taken_would_not_do() -> None:
    rows = (seen("full", "not_ready", "resources_advertised", requested=1),)
    assert nodes_for(asking(8), PLACE, view([h100("full", 7)], *rows)).would_do == ()


def test_ready_nodes_with_room_are_counted_whatever_the_gate() -> None:
    answer = nodes_for(asking(), PLACE, view([h100("a"), h100("b", 4)], seen("a", "ready"), seen("b", "ready")))
    assert (answer.ready, clause(answer)) == (1, "1 ready node has room for a pod")
    none = nodes_for(asking(), PLACE, view([h100("b", 4)], seen("b", "ready")))
    assert clause(none) == "no node of its flavors has room for a pod now"


# -- which workload a pod belongs to -------------------------------------------------------------------------------------


def objects(*workloads: Workload) -> QueueObjects:
    quota = FlavorQuota(flavor="h100", resource=GPU, nominal=8)
    return QueueObjects(
        systems={KUEUE: ""},
        cluster_queues=(ClusterQueue(name="shared", quotas=(quota,)),),
        local_queues=(LocalQueue(namespace="team-a", name="main", cluster_queue="shared"),),
        flavors=(Flavor(name="h100"),),
        cohorts=(),
        workloads=workloads,
    )


def workload(name: str, **more: Any) -> Workload:
    return Workload(namespace="team-a", name=name, queue="main", **more)


def test_by_owner_by_itself_or_by_group() -> None:
    rows = (
        workload("of-job", owners=(("Job", "train"),)),
        workload("of-pod", owners=(("Pod", "p"),)),
        workload("group-7"),
    )
    asked = asking()
    assert asked.namespace == "team-a"
    by_owner = replace(asked, name="x", owner_kind="Job", owner_name="train")
    by_itself = replace(asked, name="p")
    by_group = replace(asked, name="x", labels={"kueue.x-k8s.io/pod-group-name": "group-7"})
    elsewhere = replace(by_owner, namespace="other")
    for each in (by_owner, by_itself, by_group):
        answer = place_of(each, objects(*rows), {})
        assert answer is not None
        assert answer.waits
    unknown = place_of(elsewhere, objects(*rows), {})
    assert unknown is not None
    assert unknown.state == "unknown", "a gate of Kueue without a Workload"


def test_a_system_that_was_not_read_is_unknown_never_empty() -> None:
    unread = replace(objects(), systems={KUEUE: "Muster may not list workloads.kueue.x-k8s.io."})
    answer = place_of(asking(), unread, {})
    assert answer is not None
    assert text_of(answer) == "The place in Kueue's queue is unknown: Muster may not list workloads.kueue.x-k8s.io."
    assert place_of(replace(asking(), scheduling=pod({}).scheduling), unread, {}) is None, "a pod without a queue"


def test_a_pod_of_volcano_and_of_kai_has_the_place_of_its_group() -> None:
    for system, scheduler in ((VOLCANO, "volcano"), (KAI, "kai-scheduler")):
        group = PodGroup(system=system, namespace="team-a", name="g", queue="q", phase="Pending")
        queue = BatchQueue(system=system, name="q", state="Open", limits={GPU: 4})
        world = QueueObjects(systems={system: ""}, groups=(group,), queues=(queue,))
        asked = replace(asking(8, schedulerName=scheduler), pod_group="g")
        answer = place_of(asked, world, {})
        assert answer is not None
        assert (answer.position, [row.available for row in answer.short]) == (1, [4])


def test_a_manifest_gets_the_place_behind_those_that_wait() -> None:
    world = objects(workload("first", created_at=NOW, queued_at=NOW, uid="1"))
    later = datetime(2026, 12, 1, 13, 0, tzinfo=UTC)
    answer = place_of_template(asking(4), "main", 3, world, later)
    assert answer is not None
    assert (answer.position, [row.needed for row in answer.short]) == (2, [12])
    assert place_of_template(asking(), "", 1, world, later) is None
    ranked = replace(asking(), labels={"kueue.x-k8s.io/priority-class": "high"})
    unknown = place_of_template(ranked, "main", 1, world, later)
    assert unknown is not None
    assert unknown.position is None, "values of WorkloadPriorityClasses are not read"
    assert Requirement("gpu", "in", ("h100",)) in PLACE.selector()
