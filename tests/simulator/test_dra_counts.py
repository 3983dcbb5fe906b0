"""The simulated DRA nodes as Muster counts them: shares drawn, what can still be cut, a GPU behind a DeviceTaintRule."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from fleet.collectors import device_taint_rules, resource_claims, resource_slices
from fleet.collectors.resource_slice_wires import SliceWire
from fleet.domain.devices.inspection import NodeDevices
from fleet.domain.dra.taints import join
from fleet.simulator import resources
from fleet.simulator.fleet import Fleet, build_fleet
from tests.builders import make_node
from tests.domain.looks import look


def objects(fleet: Fleet, kind: resources.Kind, wire: Any = Any) -> list[Any]:
    return [msgspec.json.decode(record.raw, type=wire) for record in fleet["prod-us-east"].store.each(kind)]


@pytest.fixture(scope="module")
def counted() -> dict[str, NodeDevices]:
    full = build_fleet()
    slices = resource_slices.parse(objects(full, resources.RESOURCE_SLICES, SliceWire), "v1")
    claims = objects(full, resources.RESOURCE_CLAIMS, resource_claims.ClaimWire)
    rules = [device_taint_rules.parse(wire) for wire in objects(full, resources.DEVICE_TAINT_RULES, device_taint_rules.RuleWire)]
    devices = join(slices.devices, [rule for rule in rules if rule])
    return {
        node.pool: look(
            make_node(name=node.name, gpus=0),
            devices=devices,
            counter_sets=slices.counter_sets,
            allocations=[allocation for claim in claims for allocation in resource_claims.parse(claim)],
        )
        for node in full["prod-us-east"].nodes.values()
        if node.pool in ("h100-dra-shares", "h100-dra-on-demand")
    }


def test_shares_are_drawn_and_one_gpu_is_kept_back(counted: dict[str, NodeDevices]) -> None:
    seen = counted["h100-dra-shares"]
    assert (seen.physical, seen.slots.capacity, seen.slots.allocatable) == (8, 64, 56)
    assert seen.slots.requested == 9
    assert seen.slots.free == 47
    assert "Shared" in seen.mode


def test_parts_are_cut_and_the_counters_leave_room_for_more(counted: dict[str, NodeDevices]) -> None:
    seen = counted["h100-dra-on-demand"]
    assert seen.physical == 8
    assert seen.mig_instances
    (pool,) = seen.dra_pools
    assert pool.invalid == ""
    assert all(cut.more for cut in pool.cuts)
    assert "more 1g.10gb, or" in pool.can_be_cut
