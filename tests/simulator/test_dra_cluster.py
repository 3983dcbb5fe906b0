"""The simulated cluster that gives out every GPU through DRA, as Muster counts it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from fleet.collectors import device_classes, device_taint_rules, operator, resource_claims, resource_slices
from fleet.collectors.resource_slice_wires import SliceWire
from fleet.domain.devices.inspection import NodeDevices
from fleet.domain.dra.allocated import Allocated
from fleet.domain.dra.extended import classes_by_resource
from fleet.domain.dra.resource_pools import Inventory
from fleet.domain.snapshot import OperatorSnapshot, ResourceSlices
from fleet.simulator import resources
from fleet.simulator.fleet import Fleet, build_fleet
from tests.builders import make_node
from tests.domain.looks import ids, look


def objects(fleet: Fleet, kind: resources.Kind, wire: Any = Any) -> list[Any]:
    return [msgspec.json.decode(record.raw, type=wire) for record in fleet["dra-phx"].store.each(kind)]


@pytest.fixture(scope="module")
def fleet() -> Fleet:
    return build_fleet(clusters=5)


@pytest.fixture(scope="module")
def counted(fleet: Fleet) -> dict[str, NodeDevices]:
    """By pool: what the page of its first node shows."""
    wires = objects(fleet, resources.RESOURCE_SLICES, SliceWire)
    claims = objects(fleet, resources.RESOURCE_CLAIMS, resource_claims.ClaimWire)
    rules = [device_taint_rules.parse(wire) for wire in objects(fleet, resources.DEVICE_TAINT_RULES, device_taint_rules.RuleWire)]
    allocations = [allocation for claim in claims for allocation in resource_claims.parse(claim)]
    slices: ResourceSlices = resource_slices.parse(wires, "v1")
    inventory = Inventory(slices, [rule for rule in rules if rule])
    (cluster,) = objects(fleet, resources.GPU_CLUSTERS, operator.GpuClusterWire)
    in_dra_mode = OperatorSnapshot(gpu_clusters=(operator.parse_gpu_cluster(cluster),))
    assert in_dra_mode.dra_mode
    shown: dict[str, NodeDevices] = {}
    for node in fleet["dra-phx"].nodes.values():
        if node.pool not in shown and node.gpus:
            own = [device for pool in inventory.whole_pools() for device in pool.devices if device.node_name == node.name]
            shown[node.pool] = look(
                make_node(name=node.name, gpus=0, gfd=False, labels=dict(node.label_overrides)),  # type: ignore[arg-type]
                devices=own,
                counter_sets=slices.counter_sets,
                inventory=inventory,
                allocated=Allocated(allocations),
                allocations=[held for held in allocations if held.pool == node.name],
                operator=in_dra_mode,
            )
    return shown


def test_there_is_no_other_way_to_a_gpu(fleet: Fleet) -> None:
    assert objects(fleet, resources.CLUSTER_POLICIES) == []
    names = {record["metadata"]["name"] for record in objects(fleet, resources.DAEMON_SETS)}
    assert "nvidia-dra-driver-gpu-kubelet-plugin" in names
    assert not names & {"nvidia-device-plugin-daemonset", "gpu-feature-discovery", "nvidia-operator-validator"}


def test_pods_may_ask_for_gpus_by_an_extended_resource(fleet: Fleet) -> None:
    classes = [device_classes.parse(wire) for wire in objects(fleet, resources.DEVICE_CLASSES, device_classes.ClassWire)]
    assert classes_by_resource(classes)["nvidia.com/gpu"] == "extended.gpu.nvidia.com"


def test_a_monitor_with_admin_access_holds_nothing(fleet: Fleet, counted: dict[str, NodeDevices]) -> None:
    claims = objects(fleet, resources.RESOURCE_CLAIMS)
    watching = [claim for claim in claims if claim["metadata"]["name"].startswith("gpu-monitor-")]
    assert watching
    assert all(row["adminAccess"] for claim in watching for row in claim["status"]["allocation"]["devices"]["results"])
    seen = counted["h100"]
    assert (seen.slots.capacity, seen.slots.requested) != (seen.slots.requested, seen.slots.capacity)
    assert seen.slots.free is not None
    assert seen.slots.free + (seen.slots.requested or 0) == seen.slots.allocatable


def test_shares_are_counted_and_some_have_no_end(counted: dict[str, NodeDevices]) -> None:
    assert (counted["h100-shares"].mode, counted["h100-shares"].slots.capacity) == ("Shared by memory", 64)
    (pool,) = counted["h100-unbounded"].dra_pools
    assert (counted["h100-unbounded"].mode, pool.unbounded, pool.shares) == ("Shared, unbounded", True, None)
    assert pool.shares_held


@pytest.mark.parametrize("name", ["h100-on-demand", "h100-placements"])
def test_parts_are_cut_on_demand(counted: dict[str, NodeDevices], name: str) -> None:
    seen = counted[name]
    assert (seen.physical, seen.mode) == (8, "MIG on demand")
    assert seen.mig_instances
    (pool,) = seen.dra_pools
    assert "more 1g.10gb, or" in pool.can_be_cut
    kinds = {row.kind for row in seen.resources}
    assert kinds == ({"dra-gpu"} if name == "h100-on-demand" else {"dra-cut"})


def test_a_claim_takes_the_first_alternative_that_can_be_had(fleet: Fleet) -> None:
    claims = objects(fleet, resources.RESOURCE_CLAIMS)
    listed = [claim for claim in claims if "firstAvailable" in claim["spec"]["devices"]["requests"][0]]
    taken = {row["request"] for claim in listed for row in claim["status"]["allocation"]["devices"]["results"]}
    assert taken == {"gpu/part", "gpu/whole"}


def test_amds_partitions_name_their_gpu(counted: dict[str, NodeDevices]) -> None:
    seen = counted["mi300x-cpx"]
    assert (seen.vendor, seen.physical, seen.slots.capacity, seen.mode) == ("amd", 8, 64, "Partitioned CPX ×8")
    assert seen.slots.requested


def test_labels_that_gfd_left_behind_are_a_finding(counted: dict[str, NodeDevices]) -> None:
    seen = counted["h100-moved"]
    assert "gfd_labels_left_behind" in ids(seen)
    assert (seen.mode, seen.sharing, seen.slots.capacity) == ("Full GPU", "exclusive", 8)
