from __future__ import annotations

from fleet.domain.history.facts import diff, node_facts, stack_states
from fleet.domain.snapshot import Condition, NodeSnapshot, PodSnapshot, Taint


def a_node(**fields: object) -> NodeSnapshot:
    return NodeSnapshot(name="n", uid="u", **fields)


def test_a_changed_label_has_both_values() -> None:
    before = node_facts(a_node(labels={"a": "1", "gone": "x"}), (), {})
    after = node_facts(a_node(labels={"a": "2", "new": "y"}), (), {})
    assert diff(before, after) == [
        {"section": "labels", "key": "a", "before": "1", "after": "2"},
        {"section": "labels", "key": "gone", "before": "x", "after": None},
        {"section": "labels", "key": "new", "before": None, "after": "y"},
    ]


def test_memory_that_the_kubelet_measures_again_is_not_a_change() -> None:
    before = node_facts(a_node(capacity={"memory": "1000Ki", "nvidia.com/gpu": "8"}), (), {})
    after = node_facts(a_node(capacity={"memory": "1001Ki", "nvidia.com/gpu": "8"}), (), {})
    assert diff(before, after) == []


def test_a_condition_counts_by_its_status_not_its_message() -> None:
    result = node_facts(a_node(conditions=(Condition(type="Ready", status="True", message="ok 1"),)), (), {})
    same = node_facts(a_node(conditions=(Condition(type="Ready", status="True", message="ok 2"),)), (), {})
    other = node_facts(a_node(conditions=(Condition(type="Ready", status="Unknown"),)), (), {})
    assert diff(result, same) == []
    assert diff(result, other) == [{"section": "conditions", "key": "Ready", "before": "True", "after": "Unknown"}]


def test_taints_of_one_key_and_two_effects_are_two() -> None:
    facts = node_facts(a_node(taints=(Taint("k", "v", "NoSchedule"), Taint("k", "v", "NoExecute"))), (), {})
    assert facts["taints"] == {"k:NoSchedule": "v", "k:NoExecute": "v"}


def a_pod(component: str, *, ready: bool, reason: str = "", phase: str = "Running") -> PodSnapshot:
    return PodSnapshot(
        uid=component,
        namespace="gpu-operator",
        name=component,
        component=component,
        ready=ready,
        reason=reason,
        phase=phase,
    )


def test_of_two_pods_of_one_part_the_worst_is_shown() -> None:
    good, bad = a_pod("dcgm-exporter", ready=True), a_pod("dcgm-exporter", ready=False, reason="CrashLoopBackOff")
    assert stack_states([good, bad]) == stack_states([bad, good]) == {"dcgm-exporter": "CrashLoopBackOff"}


def test_a_finished_pod_says_nothing_about_the_stack() -> None:
    assert stack_states([a_pod("validator", ready=False, phase="Succeeded")]) == {}


def test_workloads_are_no_part_of_the_stack() -> None:
    assert stack_states([a_pod("", ready=False, reason="Error")]) == {}
