"""ResourceSlices and claims: newest generation, whole pools, every version's shape."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from fleet.collectors import resource_claims, resource_slices
from fleet.collectors.apis import Apis, parse
from fleet.collectors.errors import Failure
from fleet.domain.outcomes import Outcome
from fleet.domain.snapshot import DraAllocation, DraDevice, IncompletePool, ResourceSlices, Taint
from tests.collectors.recorded import body
from tests.collectors.scripted import Server, session

APIS = parse(body("apis"))
SLICES = "/apis/resource.k8s.io/v1/resourceslices"


def slices_of(name: str) -> ResourceSlices:
    listing, version = resource_slices.fetch(session(Server({SLICES: body(name)})), APIS)
    return resource_slices.parse(listing.items, version)


def test_the_recorded_slices() -> None:
    slices = slices_of("resourceslices_list")
    gpus = [device for device in slices.devices if device.driver == "gpu.nvidia.com"]
    assert slices.api_version == "v1"
    assert slices.incomplete_pools == ()
    assert [device.name for device in gpus] == ["gpu-0", "gpu-1", "gpu-2", "gpu-3"]
    assert gpus[3] == DraDevice(
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
    return msgspec.convert(raw, resource_slices._Spec)


def test_only_the_newest_generation_counts() -> None:
    made = resource_slices.parse([piece(2, device="new"), piece(1, device="old"), piece(1, device="older")], "v1")
    assert [device.name for device in made.devices] == ["new"]


def test_a_pool_that_was_not_seen_whole_is_named_and_left_out() -> None:
    made = resource_slices.parse([piece(2, 3, device="a"), piece(2, 3, device="b"), piece(1, pool="whole")], "v1")
    assert [device.pool for device in made.devices] == ["whole"]
    assert made.incomplete_pools == (IncompletePool(driver="gpu.nvidia.com", pool="n", node_name="n", seen=2, expected=3),)


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
    spec = piece(devices=[{"name": "d", "attributes": {name: {"string": "cpx_nps4"}}}])
    spec.driver = "gpu.example.com"
    assert resource_slices.parse([spec], "v1").devices[0].profile == "cpx_nps4"


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
    assert [(a.namespace, a.claim, a.device, a.admin_access) for a in listing.items] == [
        ("team-platform", "gpu-claim-7-0", "gpu-0", False),
        ("team-research", "gpu-claim-7-1", "gpu-1", False),
    ]
    assert listing.count == 2


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
