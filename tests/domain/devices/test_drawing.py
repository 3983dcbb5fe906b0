"""Slots drawn: every slot once, broken ones shown, nothing invented."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.domain.devices import drawing
from fleet.domain.devices.gpus import MigDevice
from fleet.domain.devices.slots import ResourceSlots


def resource(kind: str = "gpu", **given: Any) -> ResourceSlots:
    facts = {"name": "nvidia.com/gpu", "kind": kind, "profile": "", "replicas": 1, "predicted": None}
    return ResourceSlots(**{**facts, "capacity": 8, "allocatable": 8, "requested": 0, **given})


def drawn(*resources: ResourceSlots, **facts: Any) -> list[drawing.Drawing]:
    return drawing.drawings(drawing.Drawn(product="NVIDIA-H100-80GB-HBM3", resources=resources, **facts))


unknown_or_count = st.none() | st.integers(0, 64)


@given(st.integers(0, 64), unknown_or_count, unknown_or_count)
def test_every_slot_is_one_cell(total: int, allocatable: int | None, requested: int | None) -> None:
    cells = drawing.states(total, allocatable, requested)
    assert len(cells) == total
    if allocatable is None:
        assert set(cells) <= {"unknown"}
    else:
        assert cells.count("broken") == max(0, total - allocatable)
        assert "requested" not in cells or requested


def test_a_lost_card_is_crossed() -> None:
    (result,) = drawn(resource(allocatable=7, requested=6))
    assert [cell.state for cell in result.cells] == ["requested"] * 6 + ["free", "broken"]
    assert (result.noun, result.counts) == ("GPUs", {"requested": 6, "free": 1, "broken": 1})


def test_a_node_that_offers_nothing_shows_what_it_should() -> None:
    (result,) = drawn(resource(capacity=0, allocatable=0, predicted=4))
    assert [cell.state for cell in result.cells] == ["broken"] * 4


def test_shares_stand_card_by_card() -> None:
    (result,) = drawn(resource("shared", replicas=4, requested=3))
    assert [len(card.shares) for card in result.cards] == [4, 4]
    assert result.shares == 4


@pytest.mark.parametrize(("profile", "count", "per_card"), [("1g.10gb", 56, 7), ("1g.20gb", 8, 4), ("3g.40gb", 16, 2)])
def test_slices_lie_on_cards_as_they_fit(profile: str, count: int, per_card: int) -> None:
    (result,) = drawn(resource("mig", profile=profile, capacity=count, allocatable=count))
    cards = [[piece for piece in card.slices if piece.state != "unused"] for card in result.cards]
    assert {len(card) for card in cards} == {per_card}
    assert all(sum(piece.span for piece in card.slices) == 7 for card in result.cards)


def test_mixed_slices_share_cards() -> None:
    def of(profile: str) -> ResourceSlots:
        return resource("mig", name=f"nvidia.com/mig-{profile}", profile=profile, capacity=1, allocatable=1, requested=1)

    (result,) = drawn(of("3g.40gb"), of("2g.20gb"), resource("mig", profile="1g.10gb", capacity=2, allocatable=2))
    assert len(result.cards) == 1
    assert [piece.short for piece in result.cards[0].slices] == ["3g", "2g", "1g", "1g"]


def _mixed(**counts: int) -> list[ResourceSlots]:
    return [
        resource("mig", name=f"nvidia.com/mig-{profile}", profile=profile, capacity=count, allocatable=count)
        for profile, count in counts.items()
    ]


def test_a_layout_that_divides_is_drawn_alike_on_every_card() -> None:
    (result,) = drawn(*_mixed(**{"1g.10gb": 16, "2g.20gb": 8, "3g.40gb": 8}), physical=8)
    assert [[piece.short for piece in card.slices] for card in result.cards] == [["3g", "2g", "1g", "1g"]] * 8


def test_no_more_cards_are_drawn_than_there_are() -> None:
    (result,) = drawn(*_mixed(**{"3g.40gb": 3, "2g.20gb": 3, "1g.10gb": 5}), physical=3)
    assert len(result.cards) == 3
    (result,) = drawn(resource(capacity=1, allocatable=1), *_mixed(**{"1g.10gb": 14}), physical=3)[1:]
    assert len(result.cards) == 2


def test_memory_fills_a_card_before_its_compute_does() -> None:
    large = resource("mig", name="nvidia.com/mig-3g.40gb", profile="3g.40gb", capacity=1, allocatable=1)
    (result,) = drawn(large, resource("mig", profile="1g.20gb", capacity=3, allocatable=3))
    assert [len([piece for piece in card.slices if piece.profile == "1g.20gb"]) for card in result.cards] == [2, 1]


def test_a_card_of_four_slices_is_drawn_in_four() -> None:
    slots = resource("mig", profile="1g.6gb", capacity=4, allocatable=4)
    (drawings,) = drawing.drawings(drawing.Drawn(product="NVIDIA-A30", resources=(slots,)))
    assert drawings.width == 4
    assert [piece.state for piece in drawings.cards[0].slices] == ["free"] * 4


def test_named_instances_lie_on_their_own_cards() -> None:
    devices = (
        MigDevice(profile="1g.10gb", parent_uuid="GPU-a", held=True),
        MigDevice(profile="1g.10gb", parent_uuid="GPU-b", held=None),
    )
    (result,) = drawn(resource("dra-mig", profile="1g.10gb", capacity=2, allocatable=2), instances=devices)
    assert [card.slices[0].state for card in result.cards] == ["requested", "unknown"]


def test_too_many_slots_are_left_to_the_figures() -> None:
    assert drawn(resource("custom", capacity=5000, allocatable=5000)) == []


def test_no_data_draws_nothing() -> None:
    assert drawing.drawings(drawing.Drawn()) == []
    assert drawn(resource(capacity=None, allocatable=None, requested=None)) == []


def test_an_unknown_profile_is_still_drawn() -> None:
    (result,) = drawn(resource("mig", profile="whatever", capacity=2, allocatable=2))
    assert sum(1 for card in result.cards for piece in card.slices if piece.state == "free") == 2


@pytest.mark.parametrize(
    ("numbers", "cells"),
    [
        ((16, 8, 1, 8), {"requested": 1, "free": 8, "broken": 7}),  # held on a GPU that is kept back
        ((16, 16, 2, 0), {"requested": 2, "broken": 14}),  # counters leave nothing
        ((16, 16, 2, 14), {"requested": 2, "free": 14}),
        ((16, 16, 20, 0), {"requested": 16}),
        ((16, 16, None, None), {"unknown": 16}),
    ],
)
def test_shares_of_dra_are_drawn_as_free_as_the_allocator_gives_them_out(
    numbers: tuple[int, int, int | None, int | None], cells: dict[str, int]
) -> None:
    capacity, allocatable, requested, free = numbers
    row = resource("dra-share", replicas=8, capacity=capacity, allocatable=allocatable, requested=requested, free=free)
    (shown,) = drawn(row)
    assert Counter(share.state for card in shown.cards for share in card.shares) == cells


def test_a_gpu_that_is_kept_back_is_not_drawn_as_free() -> None:
    row = resource("dra-gpu", capacity=2, allocatable=1, requested=1, free=0)
    (shown,) = drawn(row, gpus_held=(True, False))
    assert [cell.state for cell in shown.cells] == ["requested", "broken"]
    (known,) = drawn(resource("dra-gpu", capacity=2, allocatable=2, requested=1, free=1), gpus_held=(False, True))
    assert [cell.state for cell in known.cells] == ["free", "requested"]
