from __future__ import annotations

from typing import Any

import pytest

from fleet.domain.label_selectors import parse
from fleet.domain.placement.matching import When, pods_that_fit, reasons
from fleet.domain.placement.requirement import GOOD, NODE_NAME, PodRequirement, Toleration, version
from fleet.domain.snapshot import Taint
from tests.domain.placement.fleets import GPU, bare, slots

TAINT = Taint("nvidia.com/gpu", "present", "NoSchedule")


def ask(count: int = 1, resource: str = GPU, **fields: Any) -> PodRequirement:
    return PodRequirement(resources=((resource, count),), verdicts=GOOD, **fields)


@pytest.mark.parametrize(
    ("asked", "node", "code", "says"),
    [
        (ask(4), bare("n", slots(used=6)), "insufficient", "Insufficient nvidia.com/gpu: 4 needed, 2 of 8 free."),
        (ask(4), bare("n", slots(used=10)), "insufficient", "0 of 8 free"),
        (ask(), bare(pods_free=0), "pods", "its maximum number of pods"),
        (ask(1, "nvidia.com/gpu.shared"), bare(), "not_offered", "does not offer nvidia.com/gpu.shared"),
        (ask(), bare("n", slots(used=None)), "unknown_free", "The number of free"),
        (ask(), bare(taints=(TAINT,)), "taint", "taint nvidia.com/gpu=present:NoSchedule is not tolerated"),
        (ask(), bare(schedulable=False), "unschedulable", "cordoned"),
        (ask(selector=parse("pool=a")), bare(labels={"pool": "b"}), "selector", "does not match pool=a"),
        (ask(terms=(parse("pool=a"), parse("x"))), bare(labels={"pool": "b"}), "selector", "none of the 2 terms"),
        (ask(terms=(parse(f"{NODE_NAME}=other"),)), bare(), "selector", "metadata.name=other"),
        (ask(), bare(verdict="not_ready"), "verdict", "Its verdict is not ready."),
        (ask(products=("NVIDIA-L4",)), bare(), "product", "NVIDIA-H100-80GB-HBM3"),
        (ask(products=("NVIDIA-L4",)), bare(product=""), "product", "unknown"),
        (ask(modes=("full",)), bare("n", slots(replicas=4), sharing="time-slicing"), "mode", "a time-sliced share"),
        (ask(modes=("full",)), bare("n", slots(), partitioning=None), "mode", "is unknown"),
        (ask(min_memory_mib=90_000), bare(), "memory", "has 81,559 MiB; 90,000 MiB are needed"),
        (ask(min_memory_mib=1), bare(gpu_memory_mib=None), "memory", "The memory of one"),
        (ask(min_driver="580.65"), bare(), "driver", "at least 580.65"),
        (ask(min_driver="580.65"), bare(driver_version=""), "driver", "unknown"),
        (ask(min_cuda="13.0"), bare(), "cuda", "Its driver's CUDA is 12.8"),
        (ask(nvlink=True), bare(), "nvlink", "Unknown whether NVLink"),
        (ask(domain="nvidia.com/gpu.clique", pods=2), bare(), "domain", "no label nvidia.com/gpu.clique"),
        (ask(clusters=("west",)), bare(), "cluster", "cluster east"),
        (ask(pool="a"), bare(pools=("b",)), "pool", "not in pool a"),
        (ask(), bare(stale=True), "stale", "last known data"),
        (ask(1, "nvidia.com/mig-1g.10gb", profile="2g.20gb"), bare("n", slots("nvidia.com/mig-1g.10gb")), "profile", "1g.10gb"),
    ],
)
def test_the_single_reason_is_reported_and_nothing_fits(asked: PodRequirement, node: Any, code: str, says: str) -> None:
    (reason,) = reasons(asked, node)
    assert reason.code == code
    assert says in reason.text
    assert pods_that_fit(asked, node) == 0


@pytest.mark.parametrize(
    ("toleration", "tolerated"),
    [
        (Toleration("nvidia.com/gpu", "Exists"), True),
        (Toleration("nvidia.com/gpu", "Equal", "present", "NoSchedule"), True),
        (Toleration("nvidia.com/gpu", "Equal", "true"), False),
        (Toleration("nvidia.com/gpu", "Exists", effect="NoExecute"), False),
        (Toleration("", "Exists"), True),
        (Toleration("sku", "Exists"), False),
    ],
)
def test_tolerations(toleration: Toleration, tolerated: bool) -> None:
    assert (pods_that_fit(ask(tolerations=(toleration,)), bare(taints=(TAINT,))) == 8) is tolerated


def test_a_preference_keeps_no_node_out() -> None:
    assert pods_that_fit(ask(), bare(taints=(Taint("spot", "", "PreferNoSchedule"),))) == 8


def test_a_cordon_is_tolerated_as_the_scheduler_tolerates_it() -> None:
    everything = Toleration("", "Exists")
    cordon = Taint("node.kubernetes.io/unschedulable", "", "NoSchedule")
    assert pods_that_fit(ask(tolerations=(everything,)), bare(schedulable=False, taints=(cordon,))) == 8


def test_the_scheduler_alone_asks_for_no_verdict() -> None:
    assert pods_that_fit(PodRequirement(resources=((GPU, 4),)), bare(verdict="not_ready", stale=True)) == 2


def test_every_asked_resource_counts() -> None:
    node = bare("n", slots(used=2), slots("nvidia.com/mig-1g.10gb", 7, 0))
    assert pods_that_fit(PodRequirement(resources=((GPU, 2), ("nvidia.com/mig-1g.10gb", 3))), node) == 2


def test_a_lost_device_and_a_broken_node_come_back_but_a_cordon_does_not() -> None:
    lost = bare("n", slots(allocatable=6, capacity=8, used=2))
    assert pods_that_fit(ask(), lost) == 4
    assert pods_that_fit(ask(), lost, When.BACK) == 6
    broken = bare(
        "n",
        slots(allocatable=0, capacity=8),
        verdict="not_ready",
        taints=(Taint("node.kubernetes.io/not-ready", "", "NoExecute"),),
    )
    assert [pods_that_fit(ask(), broken, when) for when in When] == [0, 0, 8]
    assert pods_that_fit(ask(), bare(verdict="excluded", schedulable=False), When.BACK) == 0


def test_a_rebooted_node_is_believed_to_bring_what_its_devices_predict() -> None:
    rebooted = bare("n", slots(allocatable=0, capacity=0, predicted=8), verdict="starting")
    assert pods_that_fit(ask(), rebooted, When.BACK) == 8


def test_versions_are_numbers() -> None:
    assert version("570.172.08") == version("570.172.8")
    assert version("12.10") > version("12.9")  # type: ignore[operator]
    assert version("13") == version("13.0")
    assert version("R570") is None
    assert version("") is None


def test_a_cordon_taint_without_the_cordon_keeps_out_like_any_taint() -> None:
    left = bare(taints=(Taint("node.kubernetes.io/unschedulable", "", "NoSchedule"),))
    assert [reason.code for reason in reasons(ask(), left)] == ["taint"]


@pytest.mark.parametrize("key", ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"])
def test_admission_lets_every_pod_tolerate_the_eviction_of_unready_nodes(key: str) -> None:
    assert reasons(ask(), bare(taints=(Taint(key, "", "NoExecute"),))) == ()
    assert [reason.code for reason in reasons(ask(), bare(taints=(Taint(key, "", "NoSchedule"),)))] == ["taint"]
