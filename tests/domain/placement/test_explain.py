"""Headline, reasons and the one change, as sentences over a small fleet."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from fleet.domain.placement.explain import MOST_SIMULATED, ClusterView, compare_with_scheduler, explain
from fleet.domain.placement.explain_warnings import warnings_for
from fleet.domain.placement.scheduler.pod_evaluation import evaluate
from fleet.domain.placement.scheduler.state import ClusterState
from fleet.domain.snapshot import NodeSnapshot, PodSnapshot, Taint
from tests.domain.placement.fleets import bare, slots
from tests.domain.placement.scheduler import recordings
from tests.domain.placement.scheduler.test_evaluate import OBJECTS, node, pod

GPU = "nvidia.com/gpu"
TAINT = Taint("dedicated", "inference", "NoSchedule")


def asking(gpus: int = 1, **spec: Any) -> PodSnapshot:
    return pod({"containers": [{"name": "main", "resources": {"limits": {GPU: str(gpus)}}}], **spec})


def view(nodes: list[NodeSnapshot], *pods: PodSnapshot, name: str = "east", whole: bool = True) -> ClusterView:
    return ClusterView(name, ClusterState(nodes, pods, OBJECTS, whole=whole), {})


def test_the_one_change_that_opens_most_nodes_is_the_headline() -> None:
    nodes = [replace(node(f"t{number}"), taints=(TAINT,)) for number in range(3)]
    nodes += [replace(node("full"), allocatable={**node("full").allocatable, GPU: "2"})]
    result = explain(asking(4), 1, [view(nodes)])
    assert result.fits is False
    assert result.headline == "Fits nowhere now. Tolerating dedicated=inference:NoSchedule would open 3 nodes."
    assert [(group.id, len(group.nodes), group.opens) for group in result.reasons] == [("taint", 3, 3), ("resources", 1, 1)]
    change = result.suggestions()[0].change
    assert change is not None
    assert "key: dedicated\n" in change.patch
    assert result.reasons[1].change is not None
    assert result.reasons[1].change.title == "Requesting 2 nvidia.com/gpu instead of 4"


def test_a_change_that_does_not_help_opens_nothing() -> None:
    tainted_and_full = replace(node("n"), taints=(TAINT,), allocatable={GPU: "0", "pods": "110"})
    result = explain(asking(), 1, [view([tainted_and_full])])
    assert [(group.id, group.opens) for group in result.reasons] == [("taint", 0)]
    assert result.suggestions() == []
    assert result.headline == "Fits nowhere now, and no single change to the pod opens a node."


@pytest.mark.parametrize(
    ("spec", "id_", "says"),
    [
        ({"nodeSelector": {"a": "b"}}, "selector", "Labels do not match nodeSelector a=b."),
        (
            {
                "affinity": {
                    "nodeAffinity": {
                        "requiredDuringSchedulingIgnoredDuringExecution": {
                            "nodeSelectorTerms": [{"matchExpressions": [{"key": "a", "operator": "Exists"}]}]
                        }
                    }
                }
            },
            "affinity",
            "Does not match the required node affinity a.",
        ),
        ({"schedulingGates": [{"name": "quota"}]}, "gate", "Scheduling gates: quota."),
        ({"schedulerName": "volcano"}, "gate", "Scheduler volcano is responsible"),
        ({"runtimeClassName": "kata"}, "admission", "RuntimeClass kata does not exist."),
    ],
)
def test_each_reason_is_a_sentence_and_sums_to_all_nodes(spec: dict[str, Any], id_: str, says: str) -> None:
    result = explain(asking(**spec), 1, [view([node("a"), node("b")])])
    (group,) = result.reasons
    assert group.id == id_
    assert says in group.text
    assert len(group.nodes) == result.total == 2
    assert result.fits is False


@pytest.mark.parametrize(("replicas", "fits", "landed"), [(2, True, 2), (4, True, 4), (5, False, 4)])
def test_replicas_land_together_in_one_cluster(replicas: int, fits: bool, landed: int) -> None:
    clusters = [view([node("a")], name="small"), view([node("b"), node("c")], name="big")]
    result = explain(asking(4), replicas, clusters)
    assert (result.fits, result.replicas) == (fits, landed)
    assert len({cluster for cluster, _ in result.landing}) == 1


def test_replicas_that_avoid_each_other_are_placed_one_by_one() -> None:
    apart = {
        "requiredDuringSchedulingIgnoredDuringExecution": [
            {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": "x"}}}
        ]
    }
    waiting = pod({"affinity": {"podAntiAffinity": apart}}, app="x")
    result = explain(waiting, 3, [view([node("a"), node("b")])])
    assert (result.fits, result.replicas) == (False, 2)
    assert sorted(result.landing) == [("east", "a"), ("east", "b")]


def test_more_dependent_replicas_than_are_placed_one_by_one_are_unknown() -> None:
    together = {
        "requiredDuringSchedulingIgnoredDuringExecution": [
            {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": "x"}}}
        ]
    }
    waiting = pod({"affinity": {"podAffinity": together}}, app="x")
    nodes = [node("a", pods="200", **{GPU: "200"})]
    exactly = explain(waiting, MOST_SIMULATED, [view(nodes)])
    assert (exactly.fits, exactly.replicas) == (True, MOST_SIMULATED)
    more = explain(waiting, MOST_SIMULATED + 1, [view(nodes)])
    assert more.fits is None
    assert any(str(MOST_SIMULATED) in gap for gap in more.not_modelled)


def test_no_nodes_is_unknown_and_never_a_yes() -> None:
    result = explain(asking(), 1, [])
    assert result.fits is None
    assert "No GPU nodes are known" in result.headline


def test_muster_agrees_with_the_recorded_message_and_notices_another() -> None:
    compared = 0
    for scenario in list(recordings.scenarios())[:120]:
        for question in recordings.questions(scenario):
            message = question.answer["message"]
            if message and question.answer["feasible"] == []:
                assert compare_with_scheduler(message, question.evaluation, whole=True) is True
                other = message.replace("0/", "0/9", 1)
                assert compare_with_scheduler(other, question.evaluation, whole=True) in (True, False)
                compared += 1
    assert compared > 100
    assert (
        compare_with_scheduler(
            "0/1 nodes are available: 1 Insufficient cpu.", evaluate(asking(), view([node("a")]).state), whole=True
        )
        is False
    )
    assert compare_with_scheduler("", evaluate(asking(), view([node("a")]).state), whole=True) is None


@pytest.mark.parametrize(
    ("gpus", "container", "offered", "ids"),
    [
        (1, {}, bare("n"), set()),
        (2, {}, bare("n", slots(replicas=4), sharing="time-slicing"), {"shared_slots", "no_memory_isolation"}),
        (1, {}, bare("n", slots(replicas=4), sharing="mps"), set()),
        (1, {}, bare("n", verdict="not_ready"), {"verdict"}),
        (1, {}, bare("n", stale=True), {"stale"}),
        (4, {"args": ["--tensor-parallel-size=4"]}, bare("n"), set()),
        (4, {"args": ["--tensor-parallel-size", "8"]}, bare("n"), {"parallelism"}),
        (4, {"args": ["-tp=2", "-pp=2"]}, bare("n"), set()),
        (1, {"env": [{"name": "NIM_TENSOR_PARALLEL_SIZE", "value": "2"}]}, bare("n"), {"parallelism"}),
        (1, {"image": "nvidia/cuda:13.0.1-base"}, bare("n"), {"cuda"}),
        (1, {"image": "nvidia/cuda:12.9.1-base"}, bare("n"), set()),
        (0, {}, bare("n"), {"no_gpu"}),
    ],
)
def test_what_the_scheduler_does_not_check_is_warned_of(
    gpus: int, container: dict[str, Any], offered: Any, ids: set[str]
) -> None:
    spec = {"containers": [{"name": "main", "resources": {"limits": {GPU: str(gpus)}}, **container}]}
    assert {warning.id for warning in warnings_for(pod(spec), spec, [offered])} == ids
