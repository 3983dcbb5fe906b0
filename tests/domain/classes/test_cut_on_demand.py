"""A class of MIG instances on nodes that publish none, only the ways to cut them: room is what the allocator still cuts."""

from __future__ import annotations

import pytest

from fleet.domain.classes.requirements import class_in_pool, label_keys
from fleet.domain.classes.workload import ClassSpec
from fleet.domain.devices.inspection import NodeInputs, inspect
from fleet.domain.dra.pods import ClusterDevices
from fleet.domain.dra.resource_pools import Inventory
from fleet.domain.label_selectors import parse
from fleet.domain.manifests.dra import class_claim
from fleet.domain.placement.device_room import with_device_room
from fleet.domain.placement.fleet import Fleet
from fleet.domain.placement.headroom import headroom
from fleet.domain.placement.nodes import placement_node
from fleet.domain.placement.scheduler.devices import ClusterClaims
from fleet.domain.pools.policy import PoolSpec
from fleet.domain.pools.selection import PoolSelector
from fleet.domain.snapshot import DraDevice, ResourceSlices
from fleet.domain.snapshot.dra import DeviceClass, DraAttribute
from tests.builders import NODE, make_allocation, make_node, with_pools
from tests.domain.devices.test_dra_counters import counters, placements, whole

POOL = PoolSpec(slug="dra", selector=PoolSelector(labels=parse("pool=dra")))
CLASSES = [
    DeviceClass(name=name, selectors=(f"device.attributes['gpu.nvidia.com'].type == '{kind}'",))
    for name, kind in (("gpu.nvidia.com", "gpu"), ("mig.nvidia.com", "mig"))
]


def published(*devices: DraDevice) -> list[DraDevice]:
    """Devices with the attributes that selectors read."""

    def attributes(device: DraDevice) -> dict[str, DraAttribute]:
        facts = {"type": device.type, "productName": device.product, "profile": device.profile}
        return {name: DraAttribute("string", value) for name, value in facts.items() if value}

    return [DraDevice(**{**_fields(device), "attributes": attributes(device)}) for device in devices]


def _fields(device: DraDevice) -> dict[str, object]:
    return {name: getattr(device, name) for name in device.__struct_fields__}


def room(profile: str, devices: list[DraDevice], held: list[DraDevice]) -> tuple[int, int]:
    """Replicas now, and devices that one claim asks for."""
    sets = (counters(0), counters(1))
    slices = ResourceSlices(devices=tuple(devices), counter_sets=sets)
    allocations = [make_allocation(device, claim=device.name) for device in held]
    node = make_node(NODE, gpus=0, gfd=False, labels={"pool": "dra"})
    seen = inspect(NodeInputs(node=node, pods=[], plugin=None, devices=devices, allocations=allocations, counter_sets=sets))
    fleet = Fleet(with_pools([POOL], [placement_node("east", node, seen, verdict="ready")]), label_keys([POOL]))
    claims = {"east": ClusterClaims(ClusterDevices(Inventory(slices), CLASSES, allocations), classes=CLASSES)}
    spec = ClassSpec(slug="c", pools=("dra",), isolation="mig", profile=profile)
    asked = class_in_pool(spec, POOL, fleet, lambda: claims)
    assert not asked.problem
    assert (asked.resource, asked.device_class) == ("mig.nvidia.com", "mig.nvidia.com")
    claim = class_claim(asked)
    return headroom([asked.requirement], with_device_room(fleet, asked.requirement, claim, claims)).replicas, claim.requests[
        0
    ].count


@pytest.mark.parametrize("with_whole", [True, False])
@pytest.mark.parametrize(("profile", "idle", "beside_3g"), [("1g.10gb", 14, 10), ("3g.40gb", 4, 3), ("7g.80gb", 2, 1)])
def test_room_is_what_can_still_be_cut(profile: str, idle: int, beside_3g: int, with_whole: bool) -> None:
    devices = published(*[part for card in (0, 1) for part in (*([whole(card)] if with_whole else []), *placements(card))])
    assert room(profile, devices, []) == (idle, 1)
    held = [next(device for device in devices if device.profile == "3g.40gb")]
    assert room(profile, devices, held) == (beside_3g, 1)


def test_a_profile_that_no_gpu_can_be_cut_into_is_a_problem() -> None:
    devices = published(whole(0), *placements(0))
    node = make_node(NODE, gpus=0, gfd=False, labels={"pool": "dra"})
    seen = inspect(NodeInputs(node=node, pods=[], plugin=None, devices=devices, allocations=[], counter_sets=[counters()]))
    fleet = Fleet(with_pools([POOL], [placement_node("east", node, seen, verdict="ready")]), label_keys([POOL]))
    spec = ClassSpec(slug="c", pools=("dra",), isolation="mig", profile="2g.20gb")
    assert class_in_pool(spec, POOL, fleet).problem
