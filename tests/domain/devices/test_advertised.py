"""How many physical GPUs the scheduler can hand out: between all and none, with sharing, MIG, telemetry and cordons."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from fleet.domain.devices.inspection import NodeDevices
from fleet.domain.devices.measured_gpus import MeasuredGpu
from tests.builders import make_node
from tests.domain.looks import A100, look

GPU = "nvidia.com/gpu"


def number(seen: NodeDevices) -> tuple[int | None, int | None, str]:
    return seen.physical, seen.advertised_gpus, seen.advertised


def eight(capacity: int, allocatable: int | None = None, **more: Any) -> NodeDevices:
    """A node whose labels count eight GPUs."""
    units = capacity if allocatable is None else allocatable
    return look(make_node(gpus=8, capacity={GPU: capacity}, allocatable={GPU: units}, **more))


@pytest.mark.parametrize("units", [8, 7, 5, 4, 3, 2, 1])
def test_a_plugin_that_registers_fewer_gpus_than_the_labels_count_advertises_only_those(units: int) -> None:
    assert number(eight(units)) == (8, units, "full" if units == 8 else "partial")


@pytest.mark.parametrize("units", [8, 7, 4, 1])
def test_unhealthy_gpus_are_not_advertised(units: int) -> None:
    assert number(eight(8, units)) == (8, units, "full" if units == 8 else "partial")


def test_a_plugin_that_registers_nothing_advertises_nothing() -> None:
    assert number(eight(8, 0)) == (8, 0, "none")
    assert number(eight(0)) == (8, 0, "none")


@pytest.mark.parametrize(("allocatable", "gpus"), [(32, 8), (31, 7), (28, 7), (27, 6), (16, 4), (5, 1), (4, 1), (3, 0), (0, 0)])
def test_a_gpu_of_which_only_some_shares_are_allocatable_does_not_count(allocatable: int, gpus: int) -> None:
    shares = {"nvidia.com/gpu.replicas": "4", "nvidia.com/gpu.sharing-strategy": "time-slicing"}
    assert eight(32, allocatable, labels=shares).advertised_gpus == gpus


def test_whole_gpus_and_mig_instances_count_apart() -> None:
    profile, labels = "nvidia.com/mig-1g.5gb", {
        "nvidia.com/mig.strategy": "mixed",
        "nvidia.com/mig-1g.5gb.count": "7",
        "nvidia.com/mig-1g.5gb.replicas": "1",
    }  # fmt: skip
    slots = {GPU: 1, profile: 7}
    node = make_node(gpus=2, product=A100, labels=labels, capacity=slots)
    assert number(look(node)) == (2, 2, "full")
    for allocatable, gpus in (({GPU: 1, profile: 0}, 1), ({GPU: 0, profile: 7}, 1), ({GPU: 1, profile: 6}, 1)):
        assert (
            look(msgspec.structs.replace(node, allocatable={k: str(v) for k, v in allocatable.items()})).advertised_gpus == gpus
        )


def test_a_mig_gpu_with_some_instances_missing_does_not_count() -> None:
    labels = {"nvidia.com/mig.strategy": "mixed", "nvidia.com/mig-1g.5gb.count": "14", "nvidia.com/gpu.replicas": "0"}
    node = make_node(gpus=2, product=A100, labels=labels, capacity={"nvidia.com/mig-1g.5gb": 14})
    assert number(look(node)) == (2, 2, "full")
    assert look(msgspec.structs.replace(node, allocatable={"nvidia.com/mig-1g.5gb": "13"})).advertised_gpus == 1
    assert look(msgspec.structs.replace(node, allocatable={"nvidia.com/mig-1g.5gb": "6"})).advertised_gpus == 0


def test_telemetry_that_names_more_gpus_than_an_unlabelled_node_registers_shows_the_gap() -> None:
    measured = tuple(MeasuredGpu(uuid=f"GPU-{number}") for number in range(8))
    node = make_node(gpus=0, gfd=False, capacity={GPU: 7})
    assert number(look(node, measured_gpus=measured)) == (8, 7, "partial")


def test_slots_that_follow_from_nothing_leave_the_number_unknown() -> None:
    shares = {"nvidia.com/gpu.replicas": "4", "nvidia.com/gpu.sharing-strategy": "time-slicing"}
    assert number(eight(13, labels=shares)) == (8, None, "unknown")
