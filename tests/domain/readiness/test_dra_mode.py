"""The GPU Operator in DRA mode (GPUCluster): which evidence each rung has without validator, GFD and device plugin."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from fleet.domain.findings import Status
from fleet.domain.snapshot import ClusterPolicySnapshot, GpuClusterSnapshot, OperatorSnapshot
from tests.builders import make_node
from tests.domain.readiness.world import OPERATOR_LABELS, World, operand, stack

GPU_CLUSTER = GpuClusterSnapshot(name="gpus", state="ready", namespace="gpu-operator")
LEFT = {key: value for key, value in OPERATOR_LABELS.items() if key.rpartition(".")[2] not in ("driver", "container-toolkit")}
"""What the operator wrote in its earlier mode: it asks for parts that do not run in DRA mode."""


def dra_mode(*, busy: bool = True, policies: tuple[ClusterPolicySnapshot, ...] = (), gfd: bool = False, **fields: Any) -> World:
    world = stack("dra")
    daemonsets = world.operator.daemonsets
    node = make_node(gfd=gfd, capacity={"nvidia.com/gpu": None}, labels=LEFT)
    pods = world.pods if busy else tuple(pod for pod in world.pods if pod.component)
    quiet = world.telemetry
    if not busy:
        rows = tuple(msgspec.structs.replace(sample, values={"gpu_util": 0.0}, pods=()) for sample in quiet.samples)
        quiet = msgspec.structs.replace(quiet, samples=rows)
    operator = OperatorSnapshot(daemonsets=daemonsets, gpu_clusters=(GPU_CLUSTER,), policies=policies)
    return world.but(node=node, pods=pods, telemetry=quiet, operator=operator, **fields)


@pytest.mark.parametrize(
    ("rung", "source"),
    [
        ("gpu_present", "resource_slice"),
        ("driver_loaded", "telemetry"),
        ("container_runtime", "telemetry"),
        ("cuda_works", "telemetry"),
        ("resources_advertised", "resource_slice"),
        ("labels_accurate", "resource_slice"),
    ],
)
def test_each_rung_has_its_evidence(rung: str, source: str) -> None:
    result = dra_mode().rung(rung)
    assert result.status is Status.PASS
    assert source in {item.source for item in result.evidence}


def test_what_the_operator_does_not_run_in_this_mode_is_not_missed() -> None:
    statuses = {result.status for result in dra_mode(busy=False).evaluate_ladder().rungs}
    assert Status.PASS in statuses
    assert Status.FAIL not in statuses


@pytest.mark.parametrize(("rung", "words"), [("container_runtime", "with its claim"), ("cuda_works", "runs no validator")])
def test_an_idle_node_says_how_it_can_be_proved(rung: str, words: str) -> None:
    result = dra_mode(busy=False).rung(rung)
    assert result.status is Status.UNKNOWN
    assert words in result.remedy


def test_a_cluster_policy_beside_it_still_expects_its_parts() -> None:
    policy = ClusterPolicySnapshot(name="cluster-policy", state="ready")
    assert dra_mode(busy=False, policies=(policy,)).rung("cuda_works").reason.startswith("The operator should run its validator")


def test_labels_of_a_gfd_that_is_gone_are_a_finding_and_no_truth() -> None:
    result = dra_mode(gfd=True).rung("labels_accurate")
    assert result.status is Status.WARN
    assert "stale" in result.reason
    running = dra_mode(gfd=True)
    running = running.but(pods=(*running.pods, operand("gpu-feature-discovery")))
    assert "stale" not in running.rung("labels_accurate").reason
