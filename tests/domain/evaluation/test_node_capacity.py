"""The five numbers, and which of them differ from what they should be."""

from __future__ import annotations

import pytest

from fleet.domain.devices.slots import UNBOUNDED, ResourceSlots, Slots, total
from fleet.domain.evaluation.figures import NodeFigures
from fleet.domain.evaluation.fleet_figures import sum_nodes
from fleet.domain.evaluation.node_capacity import Capacity, fleet_capacity, node_capacity, resource_capacity, slot_noun

WELL = {"physical": 8, "expected": 8, "slots": 8, "predicted": 8, "allocatable": 8, "requested": 8, "free": 0}


@pytest.mark.parametrize(
    ("changes", "off"),
    [
        ({}, ()),
        ({"physical": 7}, ("physical",)),
        ({"physical": 9}, ()),
        ({"slots": 7, "allocatable": 7, "requested": 7}, ("slots", "allocatable")),
        ({"allocatable": 7, "requested": 7}, ("allocatable",)),
        ({"requested": 9, "free": -1}, ("requested",)),
        ({"predicted": None, "allocatable": 7, "requested": 0}, ("allocatable",)),
        ({"expected": None, "physical": 1}, ()),
        ({"physical": None, "slots": None, "allocatable": None, "requested": None, "free": None}, ()),
    ],
)
def test_numbers_that_are_off(changes: dict[str, int | None], off: tuple[str, ...]) -> None:
    assert Capacity(**(WELL | changes)).off == off


def test_a_node_predicts_the_slots_of_the_resources_that_it_has_or_should_have() -> None:
    resources = (
        ResourceSlots(name="nvidia.com/gpu", kind="gpu", capacity=0, predicted=8),
        ResourceSlots(name="nvidia.com/stale", kind="gpu", capacity=0),
    )
    figures = NodeFigures(physical=8, slots=Slots(capacity=0, allocatable=0), resources=resources)
    assert (node_capacity(figures).predicted, node_capacity(figures).off) == (8, ("slots", "allocatable"))
    unpredicted = ResourceSlots(name="nvidia.com/other", kind="custom", capacity=4)
    assert node_capacity(NodeFigures(resources=(*resources, unpredicted))).predicted is None
    assert node_capacity(NodeFigures()).predicted is None


def test_a_sum_is_off_as_a_node_is() -> None:
    node = NodeFigures(physical=7, expected=8, slots=Slots(capacity=8, allocatable=7, requested=8, free=-1))
    assert fleet_capacity(sum_nodes([node])).off == ("physical", "allocatable", "requested")


def test_free_is_never_negative_and_only_of_usable_nodes() -> None:
    over = NodeFigures(verdict="ready", slots=Slots(capacity=8, allocatable=7, requested=8, free=-1))
    broken = NodeFigures(verdict="not_ready", slots=Slots(capacity=8, allocatable=8, requested=5, free=3))
    well = NodeFigures(verdict="degraded", slots=Slots(capacity=8, allocatable=8, requested=6, free=2))
    free = [(node_capacity(node).free, node_capacity(node).free_unusable) for node in (over, broken, well, NodeFigures())]
    assert free == [(0, 0), (0, 3), (2, 0), (None, None)]
    together = fleet_capacity(sum_nodes([over, broken, well]))
    assert (together.free, together.free_unusable) == (2, 3)
    assert resource_capacity(ResourceSlots(name="x", kind="gpu", allocatable=7, requested=8, free=-1)).free == 0


def test_a_resource_takes_no_slot_of_another_resource_of_its_node() -> None:
    over = ResourceSlots(name="nvidia.com/gpu", kind="gpu", capacity=6, allocatable=5, requested=6, free=-1)
    slices = ResourceSlots(name="nvidia.com/mig-1g.10gb", kind="mig", capacity=14, allocatable=14, requested=11, free=3)
    assert total((over, slices)).free == 3


def test_a_resource_is_short_of_its_prediction() -> None:
    assert "allocatable" in resource_capacity(ResourceSlots(name="x", kind="gpu", capacity=7, allocatable=7, predicted=8)).off


@pytest.mark.parametrize(
    ("kinds", "noun"),
    [
        (("dra-gpu",), "slots"),
        (("dra-cut",), "slots"),
        (("dra-share",), "shared slots"),
        (("dra-mig",), "MIG slots"),
        (("dra-gpu", "dra-mig"), "MIG slots"),
    ],
)
def test_slots_of_dra_by_what_is_published(kinds: tuple[str, ...], noun: str) -> None:
    resources = tuple(ResourceSlots(name=kind, kind=kind, capacity=8, allocatable=8) for kind in kinds)
    assert node_capacity(NodeFigures(resources=resources, partitioning="mig-mixed")).slot_noun == noun


@pytest.mark.parametrize(
    ("partitioning", "sharing", "noun"),
    [
        ("none", "exclusive", "slots"),
        ("mig-single", "", "MIG slots"),
        ("mig-mixed", "time-slicing", "shared slots"),
        ("", "mps", "shared slots"),
    ],
)
def test_slots_by_partitioning_and_sharing(partitioning: str, sharing: str, noun: str) -> None:
    assert slot_noun(partitioning, sharing) == noun


def test_shares_without_an_end_are_unbounded_and_not_unknown() -> None:
    endless = ResourceSlots(name="gpu.nvidia.com", kind="dra-share", profile=UNBOUNDED, requested=3)
    capacity = node_capacity(NodeFigures(slots=Slots(requested=3), resources=(endless,)))
    assert (capacity.none_word, capacity.slot_noun, capacity.requested) == ("unbounded", "shared slots", 3)
    assert resource_capacity(endless).none_word == "unbounded"
    kept_back = ResourceSlots(name="gpu.nvidia.com", kind="dra-share", profile=UNBOUNDED, allocatable=0)
    assert resource_capacity(kept_back).none_word == "unknown"
    assert node_capacity(NodeFigures()).none_word == "unknown"
