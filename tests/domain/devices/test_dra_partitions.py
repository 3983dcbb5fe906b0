"""Parts of GPUs that a DRA driver publishes and that are not MIG instances: AMD's partitions, and unknown kinds."""

from __future__ import annotations

from typing import Any

import pytest

from fleet.domain.devices.inspection import NodeDevices
from fleet.domain.snapshot import DraDevice, Taint
from tests.builders import make_allocation, make_dra_device, make_node
from tests.domain.looks import look, slots


def amd(card: int, number: int = 0, **overrides: Any) -> DraDevice:
    """Returns a device of AMD's driver on this GPU: the whole GPU, unless given. It has no uuid."""
    fields: dict[str, Any] = {
        "driver": "gpu.amd.com",
        "type": "amdgpu",
        "name": f"gpu-{card * 8 + number}-{128 + card * 8 + number}",
        "uuid": "",
        "product": "AMD Instinct MI300X OAM",
        "pci_bus_id": f"0000:{card:02x}:00.0",
        "memory_bytes": 24 * 1024**3,
    }
    return make_dra_device(card, **{**fields, **overrides})


def cpx(cards: int = 8, **overrides: Any) -> list[DraDevice]:
    """Cards in CPX mode: eight parts each."""
    fields: dict[str, Any] = {"type": "amdgpu-partition", "profile": "cpx_nps4", **overrides}
    return [amd(card, number, **fields) for card in range(cards) for number in range(8)]


def see(devices: list[DraDevice], **given: Any) -> NodeDevices:
    return look(make_node(gpus=0), devices=devices, **given)


def test_partitions_of_one_card_are_no_cards() -> None:
    devices = cpx()
    seen = see(devices, allocations=[make_allocation(devices[0]), make_allocation(devices[9], claim="b")])
    assert (seen.vendor, seen.physical, seen.physical_source, len(seen.cards)) == ("amd", 8, "resource_slice", 8)
    assert (slots(seen), seen.advertised, seen.partitioning) == ((64, 64, 2, 62), "full", None)
    assert (seen.mode, seen.sharing) == ("Partitioned CPX ×8", "exclusive")
    assert [(resource.name, resource.kind, resource.profile) for resource in seen.resources] == [
        ("gpu.amd.com", "dra-partition", "CPX")
    ]
    assert seen.isolation.startswith("Each slot is a partition of a GPU")
    assert [card.held for card in seen.cards] == [True, True] + [False] * 6
    assert {(card.memory_mib, card.uuid) for card in seen.cards} == {(196592, "")}  # of the card, not of its part


@pytest.mark.parametrize("type", ["", "slice", "new"])
def test_devices_of_an_unknown_type_with_one_address_are_parts_of_one_gpu(type: str) -> None:
    seen = see(cpx(2, type=type, driver="gpu.example.com", profile=""))
    assert (seen.physical, seen.slots.capacity, seen.mode) == (2, 16, "Partitioned ×8")
    alone = see([amd(card, type=type, driver="gpu.example.com") for card in range(2)])
    assert (alone.physical, alone.slots.capacity, alone.mode) == (2, 2, "Full GPU")


def test_a_uuid_of_its_own_makes_no_part_a_card() -> None:
    seen = see([amd(0, number, type="amdgpu-partition", uuid=f"part-{number}") for number in range(8)])
    assert (seen.physical, seen.cards[0].uuid) == (1, "")


def test_whole_and_partitioned_gpus_under_one_class_promise_no_whole_gpu() -> None:
    seen = see([amd(0), *cpx(2)[8:]])
    assert (seen.physical, seen.mode) == (2, "Partitioned CPX")
    assert [(resource.name, resource.kind, resource.profile, resource.capacity) for resource in seen.resources] == [
        ("gpu.amd.com", "dra-partition", "", 9)
    ]


def test_partitions_that_do_not_tell_their_card_count_none() -> None:
    seen = see(cpx(pci_bus_id=""))
    assert (seen.physical, seen.physical_source, seen.cards, seen.slots.capacity) == (None, "", (), 64)
    assert "parts of GPUs are published without the GPUs they belong to" in seen.reason


def auto(card: int) -> list[DraDevice]:
    """What auto-partition publishes of a card: itself, and every way of cutting it. Another memory mode is in force."""
    conflict = (Taint("gpu.amd.com/memory-partition-conflict", "", "NoExecute"),)
    return [
        amd(card, name=f"gpu-{card}-spx-nps1", profile="spx", taints=conflict),
        amd(card, name=f"gpu-{card}-cpx-nps1", type="amdgpu-partition", profile="cpx", taints=conflict),
        amd(card, name=f"gpu-{card}-cpx-nps4", type="amdgpu-partition", profile="cpx"),
    ]


def test_ways_of_cutting_a_card_are_no_parts_of_it() -> None:
    devices = [*auto(0), *auto(1)]
    free = see(devices)
    assert (free.physical, slots(free), free.mode, free.advertised) == (2, (2, 2, 0, 2), "Partitioned on demand", "full")
    assert free.reason == ""
    held = [make_allocation(devices[2], claim=f"claim-{number}", pod_uids=(str(number),)) for number in range(3)]
    seen = see(devices, allocations=held)
    assert (seen.physical, slots(seen), seen.mode) == (2, (2, 2, 1, 1), "Partitioned on demand")
    assert "use the same one" not in seen.isolation  # each claim has a part of it


def test_nvidias_cards_have_one_address_as_gpu_and_for_machines() -> None:
    both = [make_dra_device(0, uuid="GPU-a"), make_dra_device(0, type="vfio", uuid="")]
    seen = see([*both, make_dra_device(0, type="mig", profile="1g.10gb", parent_uuid="GPU-a")])
    assert (seen.physical, seen.mig_instances) == (1, {"1g.10gb": 1})


def test_a_memory_that_the_driver_could_not_read_is_unknown() -> None:
    seen = see([amd(0, memory_bytes=0, product="")])
    assert (seen.cards[0].memory_mib, seen.gpu_memory_mib) == (None, None)
