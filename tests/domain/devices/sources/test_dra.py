from __future__ import annotations

from collections.abc import Sequence

from fleet.domain.devices.sources.dra import ClaimedDevices, DraView
from fleet.domain.devices.sources.dra import view as view_claimed
from fleet.domain.dra.allocated import Allocated
from fleet.domain.dra.resource_pools import DraNode, Inventory
from fleet.domain.snapshot import DraAllocation, DraDevice, ResourceSlices
from tests.builders import NODE, make_allocation, make_dra_device

WHOLE = [make_dra_device(index) for index in range(4)]


def view(node: str, devices: Sequence[DraDevice], allocations: Sequence[DraAllocation] | None) -> DraView | None:
    pools = Inventory(ResourceSlices(devices=tuple(devices))).pools(DraNode(name=node))
    allocated = None if allocations is None else Allocated(allocations)
    return view_claimed(node, devices, ClaimedDevices(allocations=allocations, pools=pools, allocated=allocated))


def test_nothing_published() -> None:
    assert view(NODE, [], ()) is None
    assert view(NODE, [make_dra_device(0, node="another")], ()) is None
    assert view(NODE, [make_dra_device(0, driver="compute-domain.nvidia.com", type="daemon", name="daemon-0")], ()) is None


def test_a_pool_named_after_the_node_belongs_to_it() -> None:
    seen = view(NODE, [make_dra_device(0, node_name="")], ())
    assert seen is not None
    assert len(seen.cards) == 1


def test_gpu_and_vfio_of_one_card_are_one_card_and_one_slot() -> None:
    both = [make_dra_device(0, type="vfio"), make_dra_device(0), make_dra_device(1, type="vfio")]
    seen = view(NODE, both, [make_allocation(both[0])])
    assert seen is not None
    assert len(seen.cards) == 2
    assert {slots.name: (slots.capacity, slots.requested) for slots in seen.resources} == {
        "gpu.nvidia.com": (1, 1),  # held as vfio, and so no longer free as gpu
        "vfio.gpu.nvidia.com": (1, 0),
    }


def test_a_device_held_twice_is_one_device() -> None:
    shared = [make_allocation(WHOLE[0], claim="a"), make_allocation(WHOLE[0], claim="b")]
    seen = view(NODE, WHOLE, shared)
    assert seen is not None
    assert (seen.resources[0].requested, seen.resources[0].free) == (1, 3)


def test_claims_of_other_pools_and_watchers_hold_nothing() -> None:
    others = [make_allocation(make_dra_device(0, node="another")), make_allocation(WHOLE[1], admin_access=True)]
    seen = view(NODE, WHOLE, others)
    assert seen is not None
    assert seen.resources[0].requested == 0


def test_a_claim_on_a_card_that_fell_out_still_counts() -> None:
    seen = view(NODE, WHOLE[:3], [make_allocation(device) for device in WHOLE])
    assert seen is not None
    assert (seen.resources[0].capacity, seen.resources[0].requested, seen.resources[0].free) == (3, 4, 0)


def test_parents_without_uuid_are_identified_by_the_device_name() -> None:
    parts = [
        make_dra_device(card, type="mig", profile="1g.10gb", placement=place, parent_uuid="")
        for card in (2, 3)
        for place in range(2)
    ]
    seen = view(NODE, parts, ())
    assert seen is not None
    assert len(seen.cards) == 2


def test_profiles_that_differ_share_one_class() -> None:
    parts = [make_dra_device(0, type="mig", profile="1g.10gb"), make_dra_device(0, type="mig", profile="2g.20gb", placement=1)]
    seen = view(NODE, parts, ())
    assert seen is not None
    assert [(slots.name, slots.profile, slots.capacity) for slots in seen.resources] == [("mig.nvidia.com", "", 2)]
    assert {device.profile for device in seen.mig_devices} == {"1g.10gb", "2g.20gb"}
    assert seen.memory_mib == 81559  # of the whole card, by the catalogue


def test_other_vendors_by_their_drivers_name() -> None:
    seen = view(NODE, [make_dra_device(0, driver="gpu.intel.com", type="", uuid="", product="Flex 170", name="0000-03-00-0")], ())
    assert seen is not None
    assert (seen.vendor, len(seen.cards), seen.resources[0].name, seen.resources[0].kind) == (
        "intel",
        1,
        "gpu.intel.com",
        "dra-gpu",
    )


def test_dynamic_instances_stay_unknown_without_claims() -> None:
    devices = [make_dra_device(0), make_dra_device(0, type="mig", profile="1g.10gb", uuid="")]
    seen = view(NODE, devices, None)
    assert seen is not None
    assert (seen.instances_known, seen.mig_devices) == (False, ())
