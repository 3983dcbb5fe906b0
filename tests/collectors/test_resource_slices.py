"""ResourceSlices and claims: newest generation, whole pools, every version's shape."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from fleet.collectors import device_classes, device_taint_rules, resource_claims, resource_slices
from fleet.collectors.apis import Apis, parse
from fleet.collectors.errors import Failure
from fleet.collectors.resource_slice_wires import SliceWire
from fleet.domain.label_selectors import Requirement
from fleet.domain.snapshot import DraAllocation, DraDevice, IncompletePool, ResourceSlices, Taint
from fleet.domain.snapshot.dra import (
    CapacityPolicy,
    CounterSet,
    CounterUse,
    DeviceConstraint,
    DeviceTaintRule,
    DraAttribute,
    DraCapacity,
    NodeTarget,
)
from fleet.domain.snapshot.sections import Outcome
from tests.collectors.recorded import body
from tests.collectors.scripted import Server, session

APIS = parse(body("apis"))
SLICES = "/apis/resource.k8s.io/v1/resourceslices"


def bare(device: DraDevice) -> DraDevice:
    """The device without what only the allocator reads."""
    return msgspec.structs.replace(device, attributes={}, capacity={})


def slices_of(name: str) -> ResourceSlices:
    listing, version = resource_slices.fetch(session(Server({SLICES: body(name)})), APIS)
    return resource_slices.parse(listing.items, version)


def test_the_recorded_slices() -> None:
    slices = slices_of("resourceslices_list")
    gpus = [device for device in slices.devices if device.driver == "gpu.nvidia.com"]
    assert slices.api_version == "v1"
    assert slices.incomplete_pools == ()
    assert [device.name for device in gpus] == ["gpu-0", "gpu-1", "gpu-2", "gpu-3"]
    assert bare(gpus[3]) == DraDevice(
        driver="gpu.nvidia.com",
        pool="ip-10-64-0-7.us-east-1.compute.internal",
        name="gpu-3",
        node_name="ip-10-64-0-7.us-east-1.compute.internal",
        type="gpu",
        uuid="GPU-e0408363-6afa-0690-c07b-82c36d2768f0",
        product="NVIDIA GB200",
        architecture="Blackwell",
        memory_bytes=189471 * 2**20,
        driver_version="570.172.8",
        cuda_version="12.8.0",
        pci_bus_id="0003:01:00.0",
        taints=(Taint("gpu.nvidia.com/xid", "79", "NoSchedule"),),
        tainted_by="gpu-kubelet-plugin",
    )
    assert {device.type for device in slices.devices if device.driver != "gpu.nvidia.com"} == {"channel", "daemon"}


def piece(generation: int = 1, count: int = 1, pool: str = "n", device: str = "d", **spec: Any) -> Any:
    raw = {
        "driver": "gpu.nvidia.com",
        "nodeName": "n",
        "pool": {"name": pool, "generation": generation, "resourceSliceCount": count},
        "devices": [{"name": device}],
        **spec,
    }
    return msgspec.convert({"metadata": {"name": device}, "spec": raw}, SliceWire)


def test_only_the_newest_generation_counts() -> None:
    made = resource_slices.parse([piece(2, device="new"), piece(1, device="old"), piece(1, device="older")], "v1")
    assert [device.name for device in made.devices] == ["new"]


def test_a_pool_that_was_not_seen_whole_is_named_and_left_out() -> None:
    made = resource_slices.parse([piece(2, 3, device="a"), piece(2, 3, device="b"), piece(1, pool="whole")], "v1")
    assert [device.pool for device in made.devices] == ["whole"]
    targets = (NodeTarget(node_name="n"),)
    assert made.incomplete_pools == (
        IncompletePool(driver="gpu.nvidia.com", pool="n", node_name="n", seen=2, expected=3, targets=targets),
    )


def test_a_pool_is_one_driver_s() -> None:
    made = resource_slices.parse([piece(1, device="a"), piece(5, device="b", driver="other")], "v1")
    assert {device.name for device in made.devices} == {"a", "b"}


def device_of(raw: dict[str, Any]) -> DraDevice:
    return resource_slices.parse([piece(devices=[{"name": "d", **raw}])], "v1").devices[0]


ATTRIBUTES = {"type": {"string": "mig"}, "parentUUID": {"string": "GPU-1"}, "profile": {"string": "1g.10gb"}}


@pytest.mark.parametrize(
    "raw",
    [
        {"attributes": ATTRIBUTES, "capacity": {"memory": {"value": "9984Mi"}}},
        {"basic": {"attributes": ATTRIBUTES, "capacity": {"memory": {"value": "9984Mi"}}}},
        {"basic": {"attributes": ATTRIBUTES, "capacity": {"memory": "9984Mi"}}},
        {
            "attributes": {f"gpu.nvidia.com/{key}": value for key, value in ATTRIBUTES.items()},
            "capacity": {"gpu.nvidia.com/memory": {"value": "9984Mi"}},
        },
    ],
)
def test_every_versions_shape_and_qualified_names(raw: dict[str, Any]) -> None:
    device = device_of(raw)
    assert (device.type, device.parent_uuid, device.profile) == ("mig", "GPU-1", "1g.10gb")
    assert device.memory_bytes == 9984 * 2**20


@pytest.mark.parametrize("name", ["partitionProfile", "gpu.example.com/partitionProfile", "computePartition"])
def test_the_mode_of_a_partition_is_its_profile(name: str) -> None:
    wire = piece(devices=[{"name": "d", "attributes": {name: {"string": "cpx_nps4"}}}], driver="gpu.example.com")
    assert resource_slices.parse([wire], "v1").devices[0].profile == "cpx_nps4"


@pytest.mark.parametrize("quantity", ["", "lots", "-5", None])
def test_a_memory_that_is_none_is_unknown(quantity: Any) -> None:
    assert device_of({"capacity": {"memory": {"value": quantity}}}).memory_bytes is None


def test_a_device_may_name_its_own_node() -> None:
    assert device_of({"nodeName": "other"}).node_name == "other"


@pytest.mark.parametrize(
    ("served", "used"),
    [(("v1beta1", "v1"), "v1"), (("v1beta1", "v1beta2"), "v1beta2"), (("v1alpha3",), "v1alpha3")],
)
def test_the_best_version_that_is_served(served: tuple[str, ...], used: str) -> None:
    server = Server({f"/apis/resource.k8s.io/{used}/resourceslices": body("resourceslices_list")})
    _, version = resource_slices.fetch(session(server), Apis({"resource.k8s.io": served}, known=True))
    assert version == used
    assert len(server.asked) == 1


def test_without_discovery_older_versions_are_tried() -> None:
    server = Server({"/apis/resource.k8s.io/v1beta1/resourceslices": body("resourceslices_list")})
    assert resource_slices.fetch(session(server), Apis())[1] == "v1beta1"


@pytest.mark.parametrize("apis", [Apis({"apps": ("v1",)}, known=True), Apis()])
def test_no_dra_is_absent(apis: Apis) -> None:
    for fetch in (resource_slices.fetch, resource_claims.fetch):
        with pytest.raises(Failure) as caught:
            fetch(session(Server({})), apis)
        assert caught.value.outcome is Outcome.ABSENT


def test_a_refusal_is_a_refusal_where_the_api_is_there() -> None:
    server = Server({SLICES: 403, "/apis/resource.k8s.io/v1": body("apis_resource_k8s_io_v1")})
    with pytest.raises(Failure) as caught:
        resource_slices.fetch(session(server), APIS)
    assert caught.value.outcome is Outcome.FORBIDDEN


def test_the_recorded_claims() -> None:
    server = Server({"/apis/resource.k8s.io/v1/resourceclaims": body("resourceclaims_list")})
    listing = resource_claims.fetch(session(server), APIS)
    assert [(a.namespace, a.claim, a.device, a.admin_access) for parts in listing.items for a in parts.allocations] == [
        ("team-platform", "gpu-claim-7-0", "gpu-0", False),
        ("team-research", "gpu-claim-7-1", "gpu-1", False),
    ]
    assert listing.count == 2
    claim = listing.items[0].claim
    assert claim.allocated
    assert claim.node_terms == ((Requirement("metadata.name", "in", ("ip-10-64-0-7.us-east-1.compute.internal",)),),)
    assert [(request.name, request.device_class, request.count) for request in claim.requests] == [("gpu", "gpu.nvidia.com", 1)]


def test_a_claim_that_watches_and_one_that_waits() -> None:
    raw = {
        "metadata": {"name": "c", "namespace": "n"},
        "status": {
            "allocation": {"devices": {"results": [{"driver": "d", "pool": "p", "device": "x", "adminAccess": True}]}},
            "reservedFor": [{"resource": "pods", "name": "p", "uid": "u1"}, {"resource": "jobs", "uid": "u2"}],
        },
    }
    assert resource_claims.parse(msgspec.convert(raw, resource_claims.ClaimWire)) == (
        DraAllocation(namespace="n", claim="c", driver="d", pool="p", device="x", admin_access=True, pod_uids=("u1",)),
    )
    waiting = {"metadata": {"name": "c"}, "status": {}}
    assert resource_claims.parse(msgspec.convert(waiting, resource_claims.ClaimWire)) == ()


def test_what_the_scheduler_reads_of_a_device() -> None:
    device = device_of(
        {
            "attributes": {
                "index": {"int": 3},
                "ecc": {"bool": False},
                "driverVersion": {"version": "1.2.3"},
                "numa": {"ints": [0, 1]},
                "roots": {"strings": ["pci0000:00", "pci0000:40"]},
                "apis": {"versions": ["1.2.0"]},
                "flags": {"bools": [True]},
                "later": {"quantities": ["1Gi"]},
            },
            "capacity": {
                "memory": {
                    "value": "48Gi",
                    "requestPolicy": {"default": "2Gi", "validRange": {"min": "1Gi", "max": "24Gi", "step": "1Gi"}},
                },
                "shares": {"value": 4, "requestPolicy": {"default": "1", "validValues": ["1", "2"]}},
            },
            "allowMultipleAllocations": True,
            "bindsToNode": True,
            "bindingConditions": ["example.com/attached"],
            "consumesCounters": [{"counterSet": "gpu-0", "counters": {"memory": {"value": "10Gi"}}}],
        }
    )
    assert device.attributes == {
        "index": DraAttribute("int", 3),
        "ecc": DraAttribute("bool", False),
        "driverVersion": DraAttribute("version", "1.2.3"),
        "numa": DraAttribute("list", of="int", values=(0, 1)),
        "roots": DraAttribute("list", of="string", values=("pci0000:00", "pci0000:40")),
        "apis": DraAttribute("list", of="version", values=("1.2.0",)),
        "flags": DraAttribute("list", of="bool", values=(True,)),
        "later": DraAttribute("list"),
    }
    memory = CapacityPolicy(default="2Gi", minimum="1Gi", maximum="24Gi", step="1Gi", has_range=True)
    assert device.capacity == {
        "memory": DraCapacity("48Gi", memory),
        "shares": DraCapacity("4", CapacityPolicy(default="1", values=("1", "2"))),
    }
    assert (device.shareable, device.binds_to_node, device.binding_conditions) == (True, True, ("example.com/attached",))
    assert device.consumes == (CounterUse("gpu-0", {"memory": "10Gi"}),)


def test_counters_of_a_pool_may_stand_in_a_slice_of_their_own() -> None:
    counters = piece(1, 2, device="c", devices=None, sharedCounters=[{"name": "gpu-0", "counters": {"slices": {"value": "7"}}}])
    made = resource_slices.parse([piece(1, 2, device="a"), counters], "v1")
    assert made.counter_sets == (CounterSet(driver="gpu.nvidia.com", pool="n", name="gpu-0", counters={"slices": "7"}),)


def test_devices_stand_in_the_order_of_the_names_of_their_slices() -> None:
    made = resource_slices.parse([piece(1, 3, device="c"), piece(1, 3, device="a"), piece(1, 3, device="b")], "v1")
    assert [device.name for device in made.devices] == ["a", "b", "c"]


def test_slices_with_binding_conditions_come_last() -> None:
    waits = [{"name": "a", "bindingConditions": ["example.com/attached"]}]
    made = resource_slices.parse([piece(1, 2, device="a", devices=waits), piece(1, 2, device="b")], "v1")
    assert [device.name for device in made.devices] == ["b", "a"]


def test_a_pool_for_several_nodes() -> None:
    zone = {"nodeSelectorTerms": [{"matchExpressions": [{"key": "zone", "operator": "In", "values": ["a"]}]}]}
    by_selector = resource_slices.parse([piece(nodeName=None, nodeSelector=zone)], "v1").devices[0]
    assert by_selector.node_terms == ((Requirement("zone", "in", ("a",)),),)
    everywhere = resource_slices.parse([piece(nodeName=None, allNodes=True)], "v1").devices[0]
    assert everywhere.all_nodes
    own = [{"name": "x", "nodeName": "n1"}, {"name": "y", "allNodes": True}]
    each = resource_slices.parse([piece(nodeName=None, perDeviceNodeSelection=True, devices=own)], "v1").devices
    assert [(device.node_name, device.all_nodes) for device in each] == [("n1", False), ("", True)]


def test_a_share_of_a_device_in_a_claim() -> None:
    result = {"driver": "d", "pool": "p", "device": "x", "shareID": "s", "consumedCapacity": {"memory": "20Gi"}}
    raw = {"metadata": {"name": "c", "namespace": "n"}, "status": {"allocation": {"devices": {"results": [result]}}}}
    (allocation,) = resource_claims.parse(msgspec.convert(raw, resource_claims.ClaimWire))
    assert (allocation.share_id, allocation.consumed) == ("s", {"memory": "20Gi"})


def test_a_claim_that_waits_keeps_what_it_asks() -> None:
    alternatives = [{"name": "big", "deviceClassName": "gpu", "count": 2}, {"name": "small", "deviceClassName": "mig"}]
    raw = {
        "metadata": {"name": "c", "namespace": "n"},
        "spec": {
            "devices": {
                "requests": [{"name": "r", "firstAvailable": alternatives}],
                "constraints": [{"requests": ["r"], "matchAttribute": "d/numa"}],
            }
        },
    }
    claim = resource_claims.parse_claim(msgspec.convert(raw, resource_claims.ClaimWire))
    assert not claim.allocated
    assert [(item.name, item.device_class, item.count) for item in claim.requests[0].first_available] == [
        ("big", "gpu", 2),
        ("small", "mig", 1),
    ]
    assert claim.constraints == (DeviceConstraint(requests=("r",), match_attribute="d/numa"),)


def test_device_classes_and_their_extended_resource() -> None:
    cel = [{"cel": {"expression": "true"}}, {"other": {}}]
    raw = {"metadata": {"name": "gpu"}, "spec": {"selectors": cel, "extendedResourceName": "nvidia.com/gpu"}}
    made = device_classes.parse(msgspec.convert(raw, device_classes.ClassWire))
    assert (made.selectors, made.extended_resource) == (("true", ""), "nvidia.com/gpu")


def test_a_taint_rule_and_one_without_a_taint() -> None:
    selector = {"driver": "d", "pool": "p", "device": "x"}
    raw = {"metadata": {"name": "r"}, "spec": {"deviceSelector": selector, "taint": {"key": "k", "effect": "NoExecute"}}}
    made = device_taint_rules.parse(msgspec.convert(raw, device_taint_rules.RuleWire))
    assert made == DeviceTaintRule(name="r", taint=Taint("k", "", "NoExecute"), driver="d", pool="p", device="x")
    assert device_taint_rules.parse(msgspec.convert({"metadata": {"name": "r"}}, device_taint_rules.RuleWire)) is None


def test_a_rule_of_v1alpha3_keeps_its_class_and_selectors() -> None:
    selector = {"deviceClassName": "big", "selectors": [{"cel": {"expression": "device.driver == 'd'"}}]}
    raw = {"metadata": {"name": "r"}, "spec": {"deviceSelector": selector, "taint": {"key": "k", "effect": "NoSchedule"}}}
    made = device_taint_rules.parse(msgspec.convert(raw, device_taint_rules.RuleWire))
    assert made is not None
    assert (made.device_class, made.selectors) == ("big", ("device.driver == 'd'",))
