"""What the scheduler's neighbours read and count exactly at a limit, and what they take where a manifest says nothing."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from msgspec.structs import replace

from fleet.domain.placement.explain import compare_with_scheduler
from fleet.domain.placement.explain_warnings import warnings_for
from fleet.domain.placement.manifest_files import MOST_PODS, pod_templates
from fleet.domain.placement.matching import reasons
from fleet.domain.placement.nodes import slot_profiles
from fleet.domain.placement.requirement import GOOD, PodRequirement
from fleet.domain.placement.scheduler import objects
from fleet.domain.placement.scheduler.pod_evaluation import PodEvaluation
from fleet.domain.placement.scheduler.pod_filters import only_gpu_nodes
from fleet.domain.placement.scheduler.reasons import Refusal
from fleet.domain.placement.scheduler.specs import pod_scheduling
from fleet.domain.refusals import FieldError
from fleet.domain.snapshot import PodSnapshot
from fleet.domain.snapshot.scheduling import SchedulingObjects
from tests.domain.placement.fleets import GPU, bare, slots
from tests.domain.placement.scheduler.test_evaluate import OBJECTS, ask, node, pod

CPU = Refusal("resources", "Insufficient cpu")
"""As one node refuses a pod."""


@pytest.mark.parametrize(
    ("message", "whole", "agree"),
    [
        ("0/2 nodes are available: 2 Insufficient cpu.", True, True),
        ("0/2 nodes are available: 2 Insufficient cpu, 1 Insufficient memory.", True, False),
        ("0/2 nodes are available: 2 Insufficient cpu, 1 Insufficient memory.", False, True),
        ("0/3 nodes are available: 3 Insufficient cpu.", True, True),
        ("0/3 nodes are available: 1 Insufficient cpu, 2 Insufficient memory.", True, False),
        ("0/1 nodes are available: 1 Insufficient cpu.", False, False),
    ],
)
def test_of_all_nodes_the_message_is_the_same_of_some_it_is_contained(message: str, *, whole: bool, agree: bool) -> None:
    evaluation = PodEvaluation(nodes={"a": (CPU,), "b": (CPU,)})
    assert compare_with_scheduler(message, evaluation, whole=whole) is agree


@pytest.mark.parametrize(
    ("args", "size"),
    [
        (["-tp", "8"], "8"),
        (["8", "-tp"], ""),
        (["-tp", "2", "8"], "2"),
        (["-tp"], ""),
        (["-tp=10000"], ""),
        (["-tp=9999"], "9999"),
        (["-tp="], ""),
        (["-tp", "x"], ""),
    ],
)
def test_the_size_follows_its_flag(args: list[str], size: str) -> None:
    spec: dict[str, Any] = {"containers": [{"name": "main", "args": args, "resources": {"limits": {GPU: "1"}}}]}
    texts = [warning.text for warning in warnings_for(pod(spec), spec, [bare()]) if warning.id == "parallelism"]
    assert [f"over {size} GPUs" in text for text in texts] == [True] * bool(size)


def scheduling(spec: str = "") -> Any:
    return pod_scheduling({"name": "p"}, yaml.safe_load(spec) or {}, OBJECTS)


AFFINITY = "affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [%s]}}}"
OF_GPUS, OF_ALL = (f"matchExpressions: [{{key: {key}, operator: Exists}}]" for key in ("nvidia.com/gpu.product", "zone"))


@pytest.mark.parametrize(
    ("spec", "only"),
    [
        ("", False),
        ("nodeSelector: {zone: a}", False),
        ("nodeSelector: {nvidia.com/gpu.product: x}", True),
        (AFFINITY % f"{{{OF_GPUS}}}", True),
        (AFFINITY % f"{{{OF_GPUS}}}, {{{OF_ALL}}}", False),
        (AFFINITY % f"{{{OF_ALL}}}", False),
    ],
)
def test_only_a_label_of_a_gpu_stack_leaves_only_gpu_nodes(spec: str, *, only: bool) -> None:
    assert only_gpu_nodes(scheduling(spec)) is only


def test_a_priority_class_as_its_manifest_has_it() -> None:
    read = objects.priority_class({"metadata": {"name": "low"}, "value": -5, "preemptionPolicy": "Never", "globalDefault": True})
    assert (read.name, read.value, read.never_preempts, read.default) == ("low", -5, True, True)
    empty = objects.priority_class({"value": "5"})
    assert (empty.name, empty.value, empty.never_preempts, empty.default) == ("", 0, False, False)


@pytest.mark.parametrize("classes", [None, ()])
def test_a_pod_without_a_priority_has_the_priority_zero(classes: tuple[()] | None) -> None:
    for spec in ({}, {"priorityClassName": "unknown"}):
        read = pod_scheduling({"name": "p"}, spec, SchedulingObjects(priority_classes=classes))
        assert (read.priority, read.never_preempts) == (0, False)


def test_a_priority_class_that_does_not_exist_refuses_the_pod() -> None:
    read = pod_scheduling(
        {"name": "p"}, {"containers": [{"name": "main"}], "priorityClassName": "high"}, SchedulingObjects(priority_classes=())
    )
    assert (read.problem, read.not_modelled) == ("PriorityClass high does not exist.", ())


def test_a_label_of_a_volume_is_kept_up_to_its_longest() -> None:
    read = objects.volume({"metadata": {"labels": {"a": "x" * 255, "b": "x" * 256}}})
    assert set(read.labels) == {"a"}


def test_as_many_different_pods_as_allowed_are_read() -> None:
    documents: list[dict[str, Any]] = [{"kind": "Pod", "spec": {}}] * MOST_PODS
    assert len(pod_templates(documents)) == MOST_PODS
    with pytest.raises(FieldError, match=f"more than {MOST_PODS}"):
        pod_templates([*documents, documents[0]])


@pytest.mark.parametrize(
    ("spec", "pods"),
    [
        ({}, [("worker", 1)]),
        ({"replicas": 3, "leaderWorkerTemplate": {"size": 4}}, [("worker", 12)]),
        ({"leaderWorkerTemplate": {"leaderTemplate": {}}}, [("leader", 1)]),
        ({"replicas": 3, "leaderWorkerTemplate": {"size": 2, "leaderTemplate": {}}}, [("leader", 3), ("worker", 3)]),
    ],
)
def test_a_group_of_leader_and_workers_without_numbers_is_one_pod(spec: dict[str, Any], pods: list[tuple[str, int]]) -> None:
    templates = pod_templates([{"kind": "LeaderWorkerSet", "spec": spec}])
    assert [(template.role, template.replicas) for template in templates] == pods


def test_only_what_dra_offers_has_instances_of_every_profile() -> None:
    cut = {"device_memory": (("1g.10gb", 9856), ("3g.40gb", 40448))}
    assert slot_profiles(bare(**cut), slots()) == frozenset()
    assert slot_profiles(bare(**cut), slots(kind="dra-mig")) == {"1g.10gb", "3g.40gb"}
    assert slot_profiles(bare(**cut), slots(kind="dra-cut", profile="1g.10gb")) == {"1g.10gb"}


def test_nothing_needed_of_a_resource_is_no_reason_against_a_node() -> None:
    asks = PodRequirement(resources=((GPU, 8), ("nvidia.com/mig-1g.10gb", 0)), verdicts=GOOD)
    assert list(reasons(asks, bare())) == []


APART = """
affinity: {podAntiAffinity: {requiredDuringSchedulingIgnoredDuringExecution: [
  {topologyKey: kubernetes.io/hostname, labelSelector: {matchLabels: {app: x}}}]}}
"""


def _nominated(spec: str, **labels: str) -> PodSnapshot:
    promised = pod(spec, name="promised", **labels)
    assert promised.scheduling is not None
    return replace(promised, scheduling=replace(promised.scheduling, nominated="a"))


@pytest.mark.parametrize(
    ("promised", "pending", "fits"),
    [
        (_nominated("", app="x"), pod(APART), False),
        (_nominated(APART), pod(app="x"), False),
        (_nominated(APART), pod(app="y"), True),
        (_nominated("", app="y"), pod(APART), True),
    ],
)
def test_a_pod_that_was_promised_the_node_keeps_others_apart(promised: PodSnapshot, pending: PodSnapshot, *, fits: bool) -> None:
    assert (ask(pending, [node("a")], promised).fitting == ("a",)) is fits


def test_a_node_that_refuses_a_pod_refuses_it_whomever_it_was_promised_to() -> None:
    full = node("a", **{"nvidia.com/gpu": "1"})
    assert ask(pod(), [full], _nominated("")).fitting == ()
