"""Pods of the GPU stack are trusted by owner and namespace, never by a label alone."""

from __future__ import annotations

from typing import Any

import pytest

from fleet.collectors.trust import believe, believe_daemonsets, trust_of
from fleet.domain.snapshot import ClusterPolicySnapshot, DaemonSetSnapshot, OperatorSnapshot, PodSnapshot
from tests.builders import make_pod

POLICY = ClusterPolicySnapshot(name="cluster-policy", namespace="gpu-operator", state="ready")
OPERATOR = OperatorSnapshot(
    policies=(POLICY,),
    daemonsets=tuple(
        DaemonSetSnapshot(namespace="gpu-operator", name=f"nvidia-{part}", component=part, desired=4)
        for part in ("driver", "validator", "dcgm-exporter", "device-plugin")
    ),
)


def pod(component: str, namespace: str = "gpu-operator", owner: str = "DaemonSet", **fields: Any) -> PodSnapshot:
    values = {"gpus": 0, "owner_kind": owner, "owner_name": f"nvidia-{component}" if owner else "", **fields}
    return make_pod(f"{component}-{namespace}", namespace=namespace, component=component, **values)


def result(*pods: PodSnapshot, operator: OperatorSnapshot = OPERATOR, configured: tuple[str, ...] = (), complete: bool = True):
    where = trust_of(operator, pods, configured, complete=complete)
    return [(item.component, item.poses_as) for item in believe(pods, where)]


@pytest.mark.parametrize("owner", ["", "ReplicaSet", "Job", "StatefulSet"])
@pytest.mark.parametrize("component", ["validator", "dcgm-exporter", "driver", "device-plugin"])
def test_a_tenants_pod_with_the_label_of_a_part_is_not_that_part(component: str, owner: str) -> None:
    assert result(pod(component), pod(component, "team-a", owner)) == [(component, ""), ("", component)]


@pytest.mark.parametrize("component", ["dcgm-exporter", "device-plugin"])
def test_a_tenants_daemonset_beside_the_stacks_own_is_not_believed(component: str) -> None:
    assert result(pod(component), pod(component, "team-a")) == [(component, ""), ("", component)]


def test_a_pod_without_owner_is_not_believed_in_the_stacks_own_namespace_either() -> None:
    assert result(pod("dcgm-exporter", owner="")) == [("", "dcgm-exporter")]


@pytest.mark.parametrize("namespace", ["monitoring", "default", "nvidia", "prometheus"])
@pytest.mark.parametrize(
    "component", ["dcgm-exporter", "device-plugin", "gpu-feature-discovery", "dra-driver", "amd-device-plugin"]
)
def test_a_standalone_daemonset_is_believed_in_any_namespace(component: str, namespace: str) -> None:
    answer = pod(component, namespace)
    daemonset = DaemonSetSnapshot(namespace=namespace, name=answer.owner_name, component=component, desired=1)
    assert result(answer, operator=OperatorSnapshot(daemonsets=(daemonset,))) == [(component, "")]
    assert result(answer, operator=OperatorSnapshot(), complete=False) == [(component, "")]


def test_a_standalone_exporter_is_believed_on_nodes_that_the_managed_one_leaves_out() -> None:
    managed = pod("dcgm-exporter", "gke-managed-system", node="a")
    own = pod("dcgm-exporter", "monitoring", node="b")
    assert result(managed, own, operator=OperatorSnapshot(), complete=False) == [("dcgm-exporter", ""), ("dcgm-exporter", "")]


def test_a_daemonset_that_only_an_owner_reference_names_is_not_believed() -> None:
    assert result(pod("dcgm-exporter", "team-a", owner_name="no-such-daemonset")) == [("", "dcgm-exporter")]


@pytest.mark.parametrize(
    "namespace", ["kube-system", "gke-managed-system", "gpu-resources", "nvidia-gpu-operator", "gpu-operator"]
)
def test_known_namespaces_need_no_cluster_policy(namespace: str) -> None:
    assert result(pod("validator", namespace), operator=OperatorSnapshot()) == [("validator", "")]


def test_the_operator_may_live_in_any_namespace_that_its_policy_names() -> None:
    operator = OperatorSnapshot(policies=(ClusterPolicySnapshot(name="p", namespace="accelerators"),))
    assert result(pod("validator", "accelerators"), operator=operator) == [("validator", "")]
    assert result(pod("validator", "team-a"), operator=operator) == [("", "validator")]


def test_where_no_policy_was_read_the_namespace_of_many_parts_is_the_operators() -> None:
    parts = [pod(part, "accelerators") for part in ("driver", "device-plugin", "validator")]
    assert result(*parts, pod("validator", "team-a"), operator=OperatorSnapshot(), complete=False) == [
        ("driver", ""), ("device-plugin", ""), ("validator", ""), ("", "validator"),
    ]  # fmt: skip


def test_three_daemonsets_of_a_tenant_make_no_operator_where_there_is_none() -> None:
    parts = ("device-plugin", "dcgm-exporter", "validator")
    daemonsets = tuple(DaemonSetSnapshot(namespace="team-a", name=f"nvidia-{part}", component=part, desired=1) for part in parts)
    pods = [pod(part, "team-a") for part in parts]
    believed = [("device-plugin", ""), ("dcgm-exporter", "")]
    assert result(*pods, operator=OperatorSnapshot(daemonsets=daemonsets)) == [*believed, ("", "validator")]
    old = ClusterPolicySnapshot(name="of a version that names no namespace")
    assert result(*pods, operator=OperatorSnapshot(daemonsets=daemonsets, policies=(old,))) == [*believed, ("validator", "")]


def test_the_validators_workload_pods_belong_to_the_policy_or_are_not_trusted() -> None:
    assert result(pod("cuda-validator", owner="ClusterPolicy"), pod("plugin-validator", owner="")) == [
        ("cuda-validator", ""), ("plugin-validator", ""),
    ]  # fmt: skip
    assert result(pod("cuda-validator", "team-a", "ClusterPolicy")) == [("", "cuda-validator")]


def test_namespaces_that_are_set_exclude_all_others() -> None:
    alone = pod("dcgm-exporter", "monitoring")
    assert result(alone, operator=OperatorSnapshot(), configured=("gpu",), complete=False) == [("", "dcgm-exporter")]
    assert result(alone, operator=OperatorSnapshot(), configured=("monitoring",), complete=False) == [("dcgm-exporter", "")]
    assert result(pod("driver"), configured=("monitoring",)) == [("driver", "")], "the policy's own namespace stays"


def test_a_workload_is_neither_believed_nor_an_impostor() -> None:
    assert result(make_pod("train-0", namespace="team-a")) == [("", "")]


def test_a_device_plugins_configuration_counts_in_the_stacks_namespaces_first() -> None:
    own = DaemonSetSnapshot(namespace="gpu-operator", name="plugin", component="device-plugin", desired=3)
    other = DaemonSetSnapshot(namespace="team-a", name="plugin", component="device-plugin", desired=3)
    assert believe_daemonsets([own, other], [POLICY]) == {("gpu-operator", "plugin")}
    assert believe_daemonsets([other], []) == {("team-a", "plugin")}
