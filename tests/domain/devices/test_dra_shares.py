"""Nodes whose GPUs DRA gives out in shares (consumable capacity)."""

from __future__ import annotations

from typing import Any

import pytest

from fleet.domain.devices.inspection import NodeDevices
from fleet.domain.snapshot import DraAllocation, DraDevice, Taint
from fleet.domain.snapshot.dra import CapacityPolicy, DraCapacity
from tests.builders import make_allocation, make_dra_device, make_node, make_pod
from tests.domain.looks import ids, look, slots

EIGHT = {"shares": DraCapacity("8", CapacityPolicy(default="1", minimum="1", step="1", has_range=True))}
BY_MEMORY = {"memory": DraCapacity("40Gi", CapacityPolicy(default="5Gi", values=("5Gi", "10Gi", "20Gi", "40Gi")))}
NO_LIMIT = {"memory": DraCapacity("40Gi", CapacityPolicy(default="0"))}


def shared(index: int, capacity: dict[str, DraCapacity] | None = None, **overrides: Any) -> DraDevice:
    return make_dra_device(index, shareable=True, capacity=EIGHT if capacity is None else capacity, **overrides)


def share(device: DraDevice, number: int, **consumed: str) -> DraAllocation:
    return make_allocation(
        device,
        claim=f"claim-{device.name}-{number}",
        share_id=str(number),
        consumed=consumed,
        pod_uids=(f"{device.name}-{number}",),
    )


def see(devices: list[DraDevice], **given: Any) -> NodeDevices:
    return look(make_node(gpus=0), devices=devices, **given)


FOUR = [shared(index) for index in range(4)]


def test_four_gpus_of_eight_shares_are_32_slots_before_anything_runs() -> None:
    seen = see(FOUR)
    assert (seen.physical, slots(seen), seen.mode, seen.replicas) == (4, (32, 32, 0, 32), "Shared ×8", 8)
    assert (seen.sharing, seen.advertised, seen.advertised_gpus) == (None, "full", 4)
    assert seen.isolation.startswith("Slots are shares of a GPU")
    assert [(resource.name, resource.kind) for resource in seen.resources] == [("gpu.nvidia.com", "dra-share")]


@pytest.mark.parametrize("held", [1, 8, 31, 32])
def test_claims_take_shares_and_change_neither_mode_nor_isolation(held: int) -> None:
    claims = [share(FOUR[number // 8], number, shares="1") for number in range(held)]
    seen, idle = see(FOUR, allocations=claims), see(FOUR)
    assert slots(seen) == (32, 32, held, 32 - held)
    assert (seen.mode, seen.isolation, seen.sharing) == (idle.mode, idle.isolation, idle.sharing)
    (pool,) = seen.dra_pools
    assert (pool.shares, pool.shares_held, pool.shares_free) == (32, held, 32 - held)
    assert pool.unavailable == 0
    assert pool.available == 4 - held // 8


def test_shares_of_memory_are_counted_in_mib_and_by_the_default_share() -> None:
    devices = [shared(0, BY_MEMORY), shared(1, BY_MEMORY)]
    seen = see(devices, allocations=[share(devices[0], 1, memory="20Gi")])
    assert (seen.mode, slots(seen)) == ("Shared by memory", (16, 16, 4, 12))
    assert (seen.dra_pools[0].memory_mib, seen.dra_pools[0].memory_free_mib) == (80 * 1024, 60 * 1024)
    assert "counts the MiB" in seen.isolation


def test_shares_that_nothing_limits_are_unbounded() -> None:
    device = shared(0, NO_LIMIT)
    seen = see([device], allocations=[share(device, number, memory="0") for number in range(50)])
    assert (seen.mode, seen.resources[0].profile, slots(seen)) == ("Shared, unbounded", "unbounded", (None, None, 50, None))
    assert (seen.advertised, seen.advertised_gpus) == ("full", 1)
    (pool,) = seen.dra_pools
    assert (pool.unbounded, pool.shares, pool.shares_held, pool.available) == (True, None, 50, 1)


def test_a_device_that_may_be_shared_and_has_no_policy_is_taken_whole() -> None:
    device = shared(0, {"memory": DraCapacity("40Gi")})
    assert slots(see([device])) == (1, 1, 0, 1)
    assert slots(see([device], allocations=[share(device, 1, memory="40Gi")])) == (1, 1, 1, 0)


def test_shared_and_exclusive_gpus_in_one_node() -> None:
    devices = [shared(0), make_dra_device(1)]
    seen = see(devices, allocations=[make_allocation(devices[1])])
    assert (slots(seen), seen.mode) == ((9, 9, 1, 8), "Shared ×8 on 1 of 2 devices")


def test_a_tainted_gpu_gives_out_no_share_and_its_holders_take_none_of_the_others() -> None:
    tainted = shared(0, taints=(Taint("gpu.nvidia.com/xid", "79", "NoSchedule"),))
    seen = see([tainted, shared(1)], allocations=[share(tainted, 1, shares="1")])
    assert slots(seen) == (16, 8, 1, 8)
    assert seen.advertised == "partial"


def test_without_claims_or_taint_rules_nothing_is_known_to_be_free() -> None:
    assert slots(see(FOUR, allocations=None)) == (32, 32, None, None)
    unread = see(FOUR, taint_rules_known=False)
    assert slots(unread) == (32, 32, 0, None)
    assert (unread.dra_pools[0].available, unread.dra_pools[0].unavailable) == (None, None)


STALE = {"nvidia.com/gpu.replicas": "8", "nvidia.com/gpu.sharing-strategy": "time-slicing"}


def test_labels_of_time_slicing_that_stayed_behind_are_a_finding_and_not_believed() -> None:
    node = make_node(gpus=0, replicas=8, sharing="time-slicing", labels={**STALE, "nvidia.com/gpu.count": "4"})
    seen = look(node, devices=FOUR)
    assert "gfd_labels_left_behind" in ids(seen)
    assert (seen.mode, slots(seen), seen.advertised) == ("Shared ×8", (32, 32, 0, 32), "full")
    whole = look(node, devices=[make_dra_device(index) for index in range(4)])
    assert (whole.mode, whole.sharing, whole.resources[0].predicted) == ("Full GPU", "exclusive", None)


def test_labels_of_a_gfd_that_runs_are_not_left_behind() -> None:
    node = make_node(gpus=0, replicas=8, sharing="time-slicing", labels=STALE)
    running = make_pod(name="gfd", component="gpu-feature-discovery", gpus=0)
    assert "gfd_labels_left_behind" not in ids(look(node, [running], devices=FOUR))
    assert "gfd_labels_left_behind" not in ids(look(node, None, devices=FOUR))


def test_more_shares_than_can_be_counted_are_as_good_as_without_an_end() -> None:
    seen = see([shared(0, {"shares": DraCapacity("5000000", CapacityPolicy(default="1"))})])
    (pool,) = seen.dra_pools
    assert (pool.shares, pool.shares_free, pool.unbounded) == (None, None, True)


def test_without_taint_rules_nothing_is_known_to_be_free() -> None:
    for devices in ([shared(0)], [make_dra_device(0)]):
        read, unread = see(devices), see(devices, taint_rules_known=False)
        assert slots(read)[3] == slots(read)[1]
        assert slots(unread)[:3] == slots(read)[:3]
        assert slots(unread)[3] is None


def test_instances_that_exist_are_not_still_to_be_cut() -> None:
    (pool,) = see([make_dra_device(0, type="mig", profile="1g.10gb", uuid="MIG-1")]).dra_pools
    assert (pool.available, pool.cuts, pool.can_be_cut) == (1, (), "")
