"""Nodes on which two vendors' devices are offered: one vendor's slots neither hide nor count the other's cards."""

from __future__ import annotations

import msgspec
import pytest

from fleet.domain.devices.inspection import NodeDevices
from fleet.domain.findings import Status
from fleet.domain.snapshot import ResourceSlices
from tests.builders import make_dra_device, make_node, make_plugin_config, make_pod
from tests.domain.looks import ids, look, slots
from tests.domain.readiness.world import World

I915, AMD = "gpu.intel.com/i915", "amd.com/gpu"
PCI = {"feature.node.kubernetes.io/pci-10de.present": "true"}


def bare(labels: dict[str, str] | None = None, **slots: int) -> World:
    """A node with nothing but these labels and slots: `nvidia`, `amd` and `intel`."""
    names = {"nvidia": "nvidia.com/gpu", "amd": AMD, "intel": I915}
    node = make_node(gpus=0, gfd=False, labels=labels, capacity={names[name]: amount for name, amount in slots.items()})
    return World(node=node)


def test_the_processors_own_graphics_do_not_stand_in_for_a_dead_card() -> None:
    node = make_node(gpus=1, product="Tesla-T4", capacity={"nvidia.com/gpu": 0, I915: 1})
    seen = look(node)
    assert (seen.vendor, seen.product, seen.physical, seen.physical_source) == ("nvidia", "Tesla-T4", 1, "label")
    assert (slots(seen), seen.advertised) == ((0, 0, 0, 0), "none")
    assert {"nothing_advertised", "second_vendor"} <= ids(seen)
    world = World(node=node).expecting(1)
    assert world.says("resources_advertised") == Status.FAIL
    assert world.says("driver_loaded") != Status.PASS  # the other vendor's slot shows no driver of this one's


@pytest.mark.parametrize(("other", "amount"), [(AMD, 1), (AMD, 8), (I915, 10)])
def test_slots_of_another_vendor_are_not_counted_as_its_cards(other: str, amount: int) -> None:
    seen = look(make_node(gpus=8, capacity={other: amount}), [make_pod(gpus=3), make_pod("b", gpus=1, resource=other)])
    assert (seen.vendor, seen.physical, seen.mode, seen.advertised) == ("nvidia", 8, "Full GPU", "full")
    assert slots(seen) == (8, 8, 3, 5)
    assert [resource.name for resource in seen.resources] == ["nvidia.com/gpu"]
    (finding,) = [item for item in seen.findings if item.rule == "second_vendor"]
    assert [(entry.key, entry.value) for entry in finding.evidence] == [(other, str(amount))]
    assert seen.reason == ""


@pytest.mark.parametrize("labels", [PCI, {"nvidia.com/gpu.present": "true"}, {"kubernetes.azure.com/accelerator": "nvidia"}])
def test_a_card_that_bus_operator_or_cloud_tell_of_is_missed_beside_other_slots(labels: dict[str, str]) -> None:
    seen = look(bare(labels, intel=1).node)
    assert (seen.vendor, seen.physical, seen.advertised) == ("nvidia", None, "none")
    assert "nothing_advertised" in ids(seen)


@pytest.mark.parametrize(
    ("offered", "vendor"),
    [
        ({"nvidia": 1, "intel": 10}, "nvidia"),  # Intel's slots may be shares, and the processor's own graphics
        ({"amd": 1, "intel": 10}, "amd"),
        ({"nvidia": 4, "amd": 4}, "nvidia"),
        ({"nvidia": 1, "amd": 8}, "amd"),
        ({"intel": 1}, "intel"),
    ],
)
def test_by_slots_alone_the_vendor_of_most_of_them(offered: dict[str, int], vendor: str) -> None:
    seen = look(bare(**offered).node)
    assert seen.vendor == vendor
    assert seen.slots.capacity == offered[vendor]
    assert (seen.physical is None) == (len(offered) > 1)


def test_graphics_published_by_another_vendors_driver_do_not_hide_the_cards() -> None:
    graphics = make_dra_device(0, driver="gpu.intel.com", type="", uuid="", product="UHD Graphics 770", name="0000-00-02-0")
    seen = look(make_node(gpus=2), devices=[graphics])
    assert (seen.vendor, seen.physical, seen.slots.capacity, seen.products) == ("nvidia", 2, 2, ("NVIDIA-H100-80GB-HBM3",))
    dead = World(node=bare(PCI).node, slices=ResourceSlices(devices=(graphics,)))
    assert dead.says("driver_loaded") != Status.PASS
    both = look(make_node(gpus=0), devices=[graphics, make_dra_device(0), make_dra_device(1)])
    assert (both.vendor, both.physical, both.slots.capacity) == ("nvidia", 2, 2)


def test_an_unknown_driver_may_publish_gpus_of_any_vendor() -> None:
    seen = look(make_node(gpus=2, capacity={"nvidia.com/gpu": None}), devices=[make_dra_device(0, driver="gpu.example.com")])
    assert (seen.vendor, seen.physical, seen.physical_source) == ("nvidia", 1, "resource_slice")


def test_shares_beside_another_vendor_keep_their_replicas() -> None:
    plugin = make_plugin_config(sharing="time-slicing", replicas=4)
    seen = look(make_node(gpus=2, sharing="time-slicing", replicas=4, capacity={I915: 2}), plugin=plugin)
    assert (seen.physical, seen.replicas, seen.mode) == (2, 4, "Time-sliced ×4")


def test_without_pods_what_is_requested_stays_unknown_beside_another_vendor() -> None:
    seen = look(bare(PCI, intel=1).node, None)
    assert (seen.slots.requested, seen.slots.free) == (None, None)


XE = "gpu.intel.com/xe"


def two_drivers(i915: tuple[int, int], xe: tuple[int, int], gpus: int | None) -> NodeDevices:
    """A node with (capacity, allocatable) of both of Intel's drivers, and labels that count its GPUs."""
    node = make_node(gpus=0, gfd=False, labels={"gpu.intel.com/device.count": str(gpus)} if gpus else {})
    return look(
        msgspec.structs.replace(
            node, capacity={I915: str(i915[0]), XE: str(xe[0])}, allocatable={I915: str(i915[1]), XE: str(xe[1])}
        )
    )


@pytest.mark.parametrize(
    ("i915", "xe", "slots", "stale"),
    [
        ((2, 2), (2, 2), 2, I915),  # the newer driver's name is believed
        ((2, 0), (2, 2), 2, I915),
        ((2, 2), (2, 0), 2, XE),
        ((20, 20), (20, 20), 20, I915),
    ],
)
def test_intels_two_drivers_advertise_no_gpu_twice(i915: tuple[int, int], xe: tuple[int, int], slots: int, stale: str) -> None:
    """A GPU is bound to one of the drivers: as many slots as there are GPUs under both names are a name that stayed behind."""
    seen = two_drivers(i915, xe, 2)
    assert (seen.physical, seen.slots.capacity, seen.slots.free) == (2, slots, slots)
    assert (seen.advertised, seen.advertised_gpus) == ("full", 2)
    (finding,) = [item for item in seen.findings if item.rule == "renamed_twice"]
    assert stale in finding.text


@pytest.mark.parametrize(("i915", "xe", "gpus"), [(1, 2, 3), (10, 20, 3), (1, 1, 2)])
def test_gpus_divided_between_intels_drivers_are_counted_together(i915: int, xe: int, gpus: int) -> None:
    seen = two_drivers((i915, i915), (xe, xe), gpus)
    assert (seen.physical, seen.slots.capacity, seen.advertised, seen.advertised_gpus) == (gpus, i915 + xe, "full", gpus)
    assert not [item for item in seen.findings if item.rule in ("fewer_slots_than_devices", "renamed_twice")]


def test_without_labels_the_gpus_of_two_drivers_are_not_counted() -> None:
    seen = two_drivers((2, 2), (2, 2), None)
    assert (seen.physical, seen.slots.capacity, seen.advertised) == (None, 4, "unknown")
