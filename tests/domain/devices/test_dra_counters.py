"""GPUs that are cut on demand: counters tell what is a GPU, what a part, and what can still be cut (partitionable devices)."""

from __future__ import annotations

from typing import Any

import pytest

from fleet.domain.devices.inspection import NodeDevices
from fleet.domain.snapshot import DraDevice, Taint
from fleet.domain.snapshot.dra import CounterSet, CounterUse
from tests.builders import NODE, make_allocation, make_dra_device, make_node
from tests.domain.looks import look, slots

SLICES = {f"memory-slice-{number}": "1" for number in range(8)}
TOTAL = {"compute": "7", **SLICES}
PROFILES = {"1g.10gb": (1, 1), "3g.40gb": (3, 4), "7g.80gb": (7, 8)}
STARTS = {"1g.10gb": range(7), "3g.40gb": (0, 4), "7g.80gb": (0,)}


def counters(card: int = 0, driver: str = "gpu.nvidia.com", total: dict[str, str] | None = None) -> CounterSet:
    return CounterSet(driver=driver, pool=NODE, name=f"gpu-{card}", counters=total or TOTAL)


def placements(card: int = 0, **overrides: Any) -> list[DraDevice]:
    """Every way to cut one GPU."""
    return [
        make_dra_device(
            card,
            type="mig",
            profile=profile,
            placement=start,
            uuid="",
            consumes=(CounterUse(f"gpu-{card}", _taken(profile, start)),),
            **overrides,
        )
        for profile in PROFILES
        for start in STARTS[profile]
    ]


def _taken(profile: str, start: int) -> dict[str, str]:
    compute, slices = PROFILES[profile]
    return {"compute": str(compute), **{f"memory-slice-{number}": "1" for number in range(start, start + slices)}}


def whole(card: int = 0, **overrides: Any) -> DraDevice:
    return make_dra_device(card, consumes=(CounterUse(f"gpu-{card}", TOTAL),), **overrides)


def see(devices: list[DraDevice], *sets: CounterSet, **given: Any) -> NodeDevices:
    return look(make_node(gpus=0), devices=devices, counter_sets=sets, **given)


def cuts(seen: NodeDevices) -> dict[str, int]:
    return {cut.profile: cut.more for pool in seen.dra_pools for cut in pool.cuts}


def test_what_can_still_be_cut_of_a_free_gpu() -> None:
    seen = see([whole(), *placements()], counters())
    assert (seen.physical, slots(seen), seen.mig_instances) == (1, (1, 1, 0, 1), {})
    assert cuts(seen) == {"1g.10gb": 7, "3g.40gb": 2, "7g.80gb": 1}
    assert seen.dra_pools[0].can_be_cut == "7 more 1g.10gb, or 2 more 3g.40gb, or 1 more 7g.80gb"


def test_what_can_still_be_cut_beside_a_held_part() -> None:
    devices = [whole(), *placements()]
    held = next(device for device in devices if device.profile == "3g.40gb")
    seen = see(devices, counters(), allocations=[make_allocation(held)])
    assert (slots(seen), seen.mig_instances) == ((1, 1, 1, 0), {"3g.40gb": 1})
    # compute for four 1g, and memory slices 4 to 6 for three: the eighth slice takes no 1g
    assert cuts(seen) == {"1g.10gb": 3, "3g.40gb": 1, "7g.80gb": 0}
    assert seen.dra_pools[0].can_be_cut == "3 more 1g.10gb, or 1 more 3g.40gb"


def test_nothing_can_be_cut_of_a_gpu_that_is_held_whole() -> None:
    devices = [whole(), *placements()]
    seen = see(devices, counters(), allocations=[make_allocation(devices[0])])
    assert seen.dra_pools[0].can_be_cut == "nothing more"
    (pool,) = seen.dra_pools
    assert (pool.total, pool.allocated, pool.available, pool.unavailable) == (11, 1, 0, 10)


def test_gpus_offered_by_placements_only() -> None:
    devices = [*placements(0), *placements(1)]
    seen = see(devices, counters(0), counters(1), allocations=[make_allocation(devices[0])])
    assert (seen.physical, slots(seen), seen.advertised) == (2, (2, 2, 1, 1), "full")
    assert [(resource.name, resource.kind) for resource in seen.resources] == [("mig.nvidia.com", "dra-cut")]
    assert cuts(seen)["1g.10gb"] == 13
    assert seen.isolation.startswith("Each slot is a GPU that is partitioned on demand")


def test_a_tainted_part_cannot_be_cut() -> None:
    devices = placements(taints=(Taint("drain", "", "NoSchedule"),))
    assert set(cuts(see(devices, counters())).values()) == {0}


def test_a_pool_whose_counters_are_not_published_gives_out_nothing() -> None:
    (pool,) = see([whole(), *placements()]).dra_pools
    assert (pool.invalid, pool.available, pool.unavailable) == ("counter set gpu-0 not found", 0, 11)


# --- a vendor that is not known: no types, no uuids, no addresses, only counters ---


def nameless(name: str, card: int, amount: str, **overrides: Any) -> DraDevice:
    facts = {"uuid": "", "pci_bus_id": "", "type": "", "product": "", "driver": "gpu.example.com", "name": name}
    return make_dra_device(0, consumes=(CounterUse(f"gpu-{card}", {"tiles": amount}),), **(facts | overrides))


def tiles(card: int) -> CounterSet:
    return counters(card, "gpu.example.com", {"tiles": "4"})


def test_by_counters_alone_a_device_that_takes_all_is_the_gpu_and_the_others_are_ways_to_cut_it() -> None:
    devices = [
        nameless(f"a{card}-{amount}-{n}", card, amount) for card in range(2) for amount, n in (("4", 0), ("2", 0), ("2", 1))
    ]
    seen = see(devices, tiles(0), tiles(1))
    assert (seen.physical, slots(seen)) == (2, (2, 2, 0, 2))
    cut = see(devices, tiles(0), tiles(1), allocations=[make_allocation(devices[1])])
    assert slots(cut) == (2, 2, 1, 1)


def test_by_counters_alone_parts_that_fit_together_are_slots() -> None:
    devices = [nameless(f"part-{card}-{number}", card, "1") for card in range(2) for number in range(4)]
    seen = see(devices, tiles(0), tiles(1))
    assert (seen.physical, slots(seen), seen.mode) == (2, (8, 8, 0, 8), "Partitioned ×4")


def test_by_counters_alone_parts_that_do_not_fit_together_are_ways_to_cut_one_gpu() -> None:
    devices = [nameless(f"way-{number}", 0, amount) for number, amount in enumerate(("3", "2", "1"))]
    seen = see(devices, tiles(0))
    assert (seen.physical, slots(seen)) == (1, (1, 1, 0, 1))


def test_a_counter_that_several_gpus_share_is_not_a_gpu() -> None:
    bus = CounterSet(driver="gpu.nvidia.com", pool=NODE, name="bus", counters={"lanes": "64"})
    devices = [make_dra_device(index, consumes=(CounterUse("bus", {"lanes": "16"}),)) for index in range(4)]
    seen = see(devices, bus)
    assert (seen.physical, slots(seen), seen.mode) == (4, (4, 4, 0, 4), "Full GPU")


@pytest.mark.parametrize("address", ["parent_pci", "pci_bus_id"])
def test_amd_partitions_name_the_address_of_their_gpu(address: str) -> None:
    parts = [
        make_dra_device(
            card,
            driver="gpu.amd.com",
            type="amdgpu-partition",
            name=f"part-{card}-{number}",
            uuid="",
            **({"pci_bus_id": ""} | {address: f"0000:{card:02x}:00.0"}),
        )
        for card in range(2)
        for number in range(4)
    ]
    seen = see(parts)
    assert (seen.physical, slots(seen)) == (2, (8, 8, 0, 8))
