"""Nodes whose cards are offered by Dynamic Resource Allocation."""

from __future__ import annotations

import pytest

from fleet.domain.snapshot import IncompletePool, Taint
from tests.builders import H100, NODE, make_allocation, make_dra_device, make_node, make_plugin_config, make_pod
from tests.domain.looks import ids, look, slots


def test_dra_only() -> None:
    devices = [make_dra_device(index) for index in range(8)]
    held = [make_allocation(devices[0]), make_allocation(devices[1], claim="watch", admin_access=True)]
    seen = look(make_node(gpus=0), devices=devices, allocations=held)
    assert (seen.physical, seen.physical_source, seen.mode, seen.sharing) == (8, "resource_slice", "Full GPU", "exclusive")
    assert (seen.product, seen.gpu_memory_mib, seen.family, seen.cuda_version) == (H100, 81559, "hopper", "12.8")
    assert slots(seen) == (8, 8, 1, 7)
    assert (seen.resources[0].name, seen.resources[0].kind, seen.advertised) == ("gpu.nvidia.com", "dra-gpu", "full")
    assert [card.held for card in seen.cards] == [True] + [False] * 7
    assert not seen.findings


def test_dra_static_mig() -> None:
    parts = [make_dra_device(card, type="mig", profile="1g.10gb", placement=place) for card in (6, 7) for place in range(7)]
    seen = look(
        make_node(gpus=0),
        devices=[make_dra_device(index) for index in range(6)] + parts,
        allocations=[make_allocation(parts[0])],
    )
    assert (seen.physical, seen.partitioning, seen.mig_instances) == (8, "mig-mixed", {"1g.10gb": 14})
    assert {resource.name: (resource.capacity, resource.requested) for resource in seen.resources} == {
        "gpu.nvidia.com": (6, 0),
        "mig.nvidia.com": (14, 1),
    }
    assert (seen.slots.capacity, seen.mode) == (20, "MIG 7×1g.10gb on 2 of 8 GPUs")
    assert sum(card.mig_enabled is True for card in seen.cards) == 2


def test_dra_placements_of_dynamic_mig_are_no_instances() -> None:
    devices = [make_dra_device(0)] + [
        make_dra_device(0, type="mig", profile="1g.10gb", placement=place, uuid="") for place in range(7)
    ]
    free = look(make_node(gpus=0), devices=devices)
    assert (free.physical, free.mig_instances, slots(free)) == (1, {}, (1, 1, 0, 1))
    held = look(make_node(gpus=0), devices=devices, allocations=[make_allocation(devices[1])])
    # without counters nothing keeps the scheduler from giving out the whole GPU beside its part
    assert (held.physical, held.mig_instances, slots(held)) == (1, {"1g.10gb": 1}, (1, 1, 1, 1))


def test_dra_and_device_plugin_on_the_same_cards_are_counted_once() -> None:
    seen = look(make_node(), devices=[make_dra_device(index) for index in range(8)])
    assert (seen.physical, seen.slots.capacity) == (8, 8)
    assert {resource.name for resource in seen.resources} == {"gpu.nvidia.com", "nvidia.com/gpu"}
    assert "device_plugin_and_dra" in ids(seen)


def test_compute_domain_devices_are_no_gpus() -> None:
    channel = make_dra_device(0, driver="compute-domain.nvidia.com", type="channel", name="channel-0", uuid="")
    seen = look(make_node(), devices=[channel])
    assert (seen.physical, seen.physical_source) == (8, "label")
    assert not seen.findings


def test_dra_without_claims_read() -> None:
    seen = look(make_node(gpus=0), devices=[make_dra_device(0)], allocations=None)
    assert slots(seen) == (1, 1, None, None)
    assert "claims_unread" in ids(seen)


def test_pool_not_seen_whole_has_no_numbers() -> None:
    pool = IncompletePool(driver="gpu.nvidia.com", pool=NODE, node_name=NODE, seen=1, expected=2)
    seen = look(make_node(gpus=4, capacity={"nvidia.com/gpu": None}), incomplete_pools=[pool])
    assert (seen.physical, seen.physical_source) == (4, "label")
    assert slots(seen) == (None, None, None, None)
    assert seen.advertised == "unknown"
    assert "slices_incomplete" in ids(seen)


def test_pool_not_seen_whole_and_no_labels() -> None:
    pool = IncompletePool(driver="gpu.nvidia.com", pool=NODE, node_name=NODE, seen=1, expected=2)
    seen = look(make_node(gpus=0), incomplete_pools=[pool], plugin=make_plugin_config())
    assert (seen.physical, seen.sharing, seen.partitioning, seen.mode) == (None, None, None, "Unknown")
    assert slots(seen) == (None, None, None, None)
    assert ids(seen) == {"slices_incomplete", "physical_unknown"}


def test_a_tainted_device_is_not_allocatable() -> None:
    devices = [
        make_dra_device(0, taints=(Taint("gpu.nvidia.com/xid", "79", "NoSchedule"),)),
        make_dra_device(1, taints=(Taint("gpu.nvidia.com/unmonitored", "", "None"),)),
    ]
    seen = look(make_node(gpus=0), devices=devices)
    assert (seen.physical, seen.slots.capacity, seen.slots.allocatable, seen.advertised) == (2, 2, 1, "partial")
    assert "1 GPU kept from the scheduler by a device taint" in seen.reason


def test_pods_of_extended_resources_backed_by_dra_are_counted_by_their_claims() -> None:
    devices = [make_dra_device(0), make_dra_device(1)]
    seen = look(make_node(gpus=0), [make_pod(gpus=1)], devices=devices, allocations=[make_allocation(devices[0])])
    assert [resource.name for resource in seen.resources] == ["gpu.nvidia.com"]
    assert slots(seen) == (2, 2, 1, 1)


def test_slices_outvote_labels_and_say_so() -> None:
    seen = look(make_node(capacity={"nvidia.com/gpu": None}), devices=[make_dra_device(index) for index in range(7)])
    assert (seen.physical, seen.resources[0].predicted, seen.advertised) == (7, 8, "partial")
    assert "slices_disagree_with_labels" in ids(seen)


def test_a_claim_that_several_pods_use_shares_its_card_and_not_the_node() -> None:
    devices = [make_dra_device(index) for index in range(8)]
    held = [make_allocation(devices[0], pod_uids=("a", "b", "c")), make_allocation(devices[1], claim="b", pod_uids=("d",))]
    seen = look(make_node(gpus=0), devices=devices, allocations=held)
    assert seen.isolation.startswith("1 device is shared: several pods or claims use the same one")
    assert (seen.sharing, seen.mode, seen.slots.requested) == ("exclusive", "Full GPU", 2)


@pytest.mark.parametrize(
    ("pods", "several"),
    [(((), ()), True), ((("a",), ("b",)), True), ((("a",), ()), True), ((("a",), ("a",)), False), ((("a",),), False)],
)
def test_a_device_that_two_claims_hold_is_shared_and_its_node_is_not(pods: tuple[tuple[str, ...], ...], several: bool) -> None:
    devices = [make_dra_device(index) for index in range(2)]
    held = [make_allocation(devices[0], claim=f"claim-{number}", pod_uids=users) for number, users in enumerate(pods)]
    seen = look(make_node(gpus=0), devices=devices, allocations=held)
    assert ("use the same one" in seen.isolation) is several
    assert (seen.sharing, seen.mode) == ("exclusive", "Full GPU")
    assert seen.slots.requested == 1


def test_watchers_share_nothing() -> None:
    card = make_dra_device(0)
    held = [make_allocation(card, pod_uids=("a",)), make_allocation(card, claim="b", admin_access=True, pod_uids=("b", "c"))]
    assert look(make_node(gpus=0), devices=[card], allocations=held).isolation.endswith("nothing is shared between workloads.")


def test_without_claims_sharing_is_unknown() -> None:
    seen = look(make_node(gpus=0), devices=[make_dra_device(0)], allocations=None)
    assert "is unknown: claims could not be read" in seen.isolation


def test_instances_that_several_pods_use() -> None:
    parts = [make_dra_device(0, type="mig", profile="1g.10gb", placement=place) for place in range(3)]
    held = [make_allocation(part, claim=part.name, pod_uids=("a", "b")) for part in parts[:2]]
    seen = look(make_node(gpus=0), devices=parts, allocations=held)
    assert seen.isolation.startswith("2 GPUs or MIG instances are shared")


@pytest.mark.parametrize(
    ("declared", "stale"),
    [
        ({"nvidia.com/gpu.replicas": "4"}, True),
        ({"nvidia.com/gpu.replicas": "1"}, False),
        ({"nvidia.com/gpu.replicas": "1", "nvidia.com/gpu.sharing-strategy": "mps"}, True),
        ({"nvidia.com/gpu.replicas": "1", "nvidia.com/gpu.sharing-strategy": "none"}, False),
    ],
)
def test_gfds_labels_of_before_dra_are_stale_only_where_they_declare_sharing(
    declared: dict[str, str | None], stale: bool
) -> None:
    node = make_node(labels=declared, capacity={"nvidia.com/gpu": None}, allocatable={"nvidia.com/gpu": None})
    seen = look(node, devices=[make_dra_device(index) for index in range(8)])
    assert ("gfd_labels_left_behind" in ids(seen)) is stale
    with_gfd = look(node, [make_pod("gfd", component="gpu-feature-discovery")], devices=[make_dra_device(0)])
    assert "gfd_labels_left_behind" not in ids(with_gfd)
