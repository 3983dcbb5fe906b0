"""The five numbers, and which of them differ from what they should be."""

from __future__ import annotations

import pytest

from fleet.domain.devices.slots import ResourceSlots, Slots
from fleet.domain.evaluation.figures import NodeFigures
from fleet.domain.evaluation.node_capacity import Capacity, capacity_of, node_capacity, resource_capacity, slot_noun

WELL = {"physical": 8, "expected": 8, "slots": 8, "predicted": 8, "allocatable": 8, "requested": 8, "free": 0}


@pytest.mark.parametrize(
    ("changes", "off"),
    [
        ({}, ()),
        ({"physical": 7}, ("physical",)),
        ({"physical": 9}, ()),
        ({"slots": 7, "allocatable": 7, "requested": 7}, ("slots", "allocatable")),
        ({"allocatable": 7, "requested": 7}, ("allocatable",)),
        ({"requested": 9, "free": -1}, ("requested", "free")),
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
    assert capacity_of(7, 8, Slots(capacity=8, allocatable=7, requested=8, free=-1)).off == (
        "physical", "allocatable", "requested", "free",
    )  # fmt: skip


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
