"""GPUs that are cut on demand: counters tell what is a GPU, what a part, and what can still be cut (partitionable devices)."""

from __future__ import annotations

from typing import Any

import pytest

from fleet.domain.devices.inspection import NodeDevices
from fleet.domain.dra.allocated import Allocated
from fleet.domain.dra.resource_pools import Inventory
from fleet.domain.label_selectors import Requirement
from fleet.domain.snapshot import DraDevice, ResourceSlices, Taint
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


@pytest.mark.parametrize("with_whole", [True, False])
def test_the_mode_is_the_same_whatever_is_cut(with_whole: bool) -> None:
    devices = [*([whole()] if with_whole else []), *placements()]
    idle = see(devices, counters())
    assert (idle.mode, idle.partitioning, idle.sharing) == ("MIG on demand", "none", "exclusive")
    for held in (devices[:1], devices[1:4], devices[-1:]):
        busy = see(devices, counters(), allocations=[make_allocation(device, claim=device.name) for device in held])
        assert (busy.mode, busy.partitioning, busy.sharing, busy.isolation) == (
            idle.mode, idle.partitioning, idle.sharing, idle.isolation,
        )  # fmt: skip
    unread = see(devices, counters(), allocations=None)
    assert (unread.mode, unread.partitioning) == (idle.mode, idle.partitioning)


# --- a vendor that is not known: no types, no uuids, no addresses, only counters ---


def nameless(name: str, card: int, amount: str, **overrides: Any) -> DraDevice:
    facts = {"uuid": "", "pci_bus_id": "", "type": "", "product": "", "driver": "gpu.example.com", "name": name}
    return make_dra_device(0, **(facts | {"consumes": (CounterUse(f"gpu-{card}", {"tiles": amount}),)} | overrides))


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


# --- what makes a pool worthless to the scheduler, and what other nodes take of it ---


def test_nothing_is_free_of_a_pool_that_names_a_device_twice() -> None:
    seen = see([whole(0), whole(1), whole(1)], counters(0), counters(1))
    assert (seen.slots.free, seen.dra_pools[0].invalid) == (0, "duplicate device name gpu-1")


def test_nothing_is_free_of_a_pool_whose_counter_set_is_unknown() -> None:
    seen = see([whole(0), whole(1)], counters(0))
    assert slots(seen) == (2, 2, 0, 0)


def fabric(index: int, node: str, **fields: Any) -> DraDevice:
    uses = (CounterUse("switch", {"ports": "1"}),)
    return make_dra_device(index, pool="fabric", node_name=node, name=f"fabric-{index}", consumes=uses, **fields)


def test_what_another_node_takes_of_a_shared_counter_is_not_free_here() -> None:
    switch = CounterSet(driver="gpu.nvidia.com", pool="fabric", name="switch", counters={"ports": "2"})
    devices = (fabric(0, NODE), fabric(1, NODE), fabric(2, "other"), fabric(3, "other"))
    inventory = Inventory(ResourceSlices(devices=devices, counter_sets=(switch,)))

    def free(*held: DraDevice) -> tuple[int | None, int | None]:
        claims = [make_allocation(device, claim=device.name) for device in held]
        own = [claim for claim in claims if claim.device in ("fabric-0", "fabric-1")]
        seen = see(list(devices[:2]), switch, inventory=inventory, allocated=Allocated(claims), allocations=own)
        return seen.slots.free, seen.dra_pools[0].available

    assert free() == (2, 2)
    assert free(devices[2]) == (1, 2)
    assert free(devices[2], devices[3]) == (0, 0)


@pytest.mark.parametrize(
    "place", [{"all_nodes": True}, {"node_terms": ((Requirement("zone", "in", ("east",)),),)}], ids=["all", "selector"]
)
def test_a_pool_of_several_nodes_has_a_row_on_each_and_is_no_gpu_of_the_node(place: dict[str, Any]) -> None:
    devices = [make_dra_device(7, pool="fabric", node_name="", name=f"fabric-{number}", **place) for number in range(2)]
    inventory = Inventory(ResourceSlices(devices=(whole(), *devices), counter_sets=(counters(),)))
    for zone, rows in (("east", 2), ("west", 2 if "all_nodes" in place else 1)):
        seen = look(
            make_node(gpus=0, labels={"zone": zone}),
            devices=[whole()],
            counter_sets=[counters()],
            inventory=inventory,
            allocated=Allocated([make_allocation(devices[0])]),
        )
        assert seen.physical == 1
        assert len(seen.dra_pools) == rows
        pools = {pool.pool: pool for pool in seen.dra_pools}
        if rows == 2:
            fabric = pools["fabric"]
            assert (fabric.total, fabric.allocated, fabric.available, fabric.unavailable, fabric.local) == (2, 1, 1, 0, False)


# --- a vendor that is not known, whatever it writes into `type` and whether or not it names profiles ---


def test_halves_that_an_unknown_vendor_calls_gpus_are_halves() -> None:
    devices = [nameless(f"half-{card}-{n}", card, "2", type="gpu", uuid=f"u{card}{n}") for card in range(2) for n in range(2)]
    seen = see(devices, tiles(0), tiles(1))
    assert (seen.physical, slots(seen), seen.mode) == (2, (4, 4, 0, 4), "Partitioned ×2")


def test_what_can_still_be_cut_without_a_profile_follows_from_the_counters() -> None:
    devices = [nameless("whole", 0, "4"), *[nameless(f"half-{n}", 0, "2") for n in range(2)]]
    devices += [nameless(f"quarter-{n}", 0, "1") for n in range(4)]
    assert cuts(see(devices, tiles(0))) == {"1 tiles": 4, "2 tiles": 2}
    held = see(devices, tiles(0), allocations=[make_allocation(devices[1])])
    assert held.dra_pools[0].can_be_cut == "2 more 1 tiles, or 1 more 2 tiles"


def test_numbered_counters_are_one_kind_of_part_wherever_it_begins() -> None:
    def slot(start: int, width: int) -> DraDevice:
        amounts = {f"slice-{number}": "1" for number in range(start, start + width)} | {"memory": f"{width * 10}Gi"}
        return nameless(f"at-{start}-{width}", 0, "0", consumes=(CounterUse("gpu-0", amounts),))

    total = counters(0, "gpu.example.com", {f"slice-{number}": "1" for number in range(4)} | {"memory": "40Gi"})
    devices = [slot(0, 2), slot(2, 2), *[slot(start, 1) for start in range(4)]]
    assert cuts(see(devices, total)) == {"10Gi memory, 1 slice": 4, "20Gi memory, 2 slice": 2}


def test_a_counter_that_joins_several_counter_sets_is_no_gpu() -> None:
    bus = CounterSet(driver="gpu.example.com", pool=NODE, name="bus", counters={"lanes": "64"})
    devices = [
        nameless(
            f"gpu{card}", card, "4", consumes=(CounterUse(f"gpu-{card}", {"tiles": "4"}), CounterUse("bus", {"lanes": "16"}))
        )
        for card in range(4)
    ]
    seen = see(devices, bus, *map(tiles, range(4)))
    assert (seen.physical, slots(seen), seen.mode) == (4, (4, 4, 0, 4), "Full GPU")
