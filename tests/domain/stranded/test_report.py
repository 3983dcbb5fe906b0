"""Rows per pool, class and product: their numbers add up, and the move that a row names lowers what is stranded there."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from fleet.domain.placement.fleet import Fleet
from fleet.domain.stranded.moves import after_moves
from fleet.domain.stranded.nodes import FreeNode
from fleet.domain.stranded.report import Named, Report, Row, sentence
from fleet.domain.stranded.shapes import WantedShape
from tests.domain.placement.fleets import GPU, slots
from tests.domain.stranded.test_moves import fleets, node, pod, shape


def report(nodes: list[FreeNode], *sizes: int) -> Report:
    placed = [replace(entry, node=replace(entry.node, pools=("a",))) for entry in nodes]
    return Report(Fleet([entry.node for entry in placed], ()), (), placed, (), wanted(*sizes))


def wanted(*sizes: int) -> tuple[WantedShape, ...]:
    rows = [shape(size) for size in sizes]
    return tuple(replace(row, requirement=replace(row.requirement, pool="a")) for row in rows)


def pool_row(nodes: list[FreeNode], *sizes: int) -> Row:
    (row,) = report(nodes, *sizes).pools([Named("a", "A")])
    return row


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(fleets(), st.sets(st.integers(1, 4), max_size=3))
def test_reasons_add_up_and_every_row_agrees(nodes: list[FreeNode], sizes: set[int]) -> None:
    row = pool_row(nodes, *sizes)
    assert sum(reason.gpus for reason in row.reasons) == row.stranded_gpus <= row.free_gpus
    assert row.free_gpus == sum(entry.gpus or 0 for entry in nodes)
    (product,) = report(nodes, *sizes).products()
    assert (product.free_gpus, product.stranded_gpus, product.reasons) == (row.free_gpus, row.stranded_gpus, row.reasons)
    assert bool(row.note) != bool(row.proposal and row.proposal.moves)


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(fleets(), st.sets(st.integers(2, 4), min_size=1, max_size=2))
def test_the_move_of_a_pool_strands_less(nodes: list[FreeNode], sizes: set[int]) -> None:
    row = pool_row(nodes, *sizes)
    if row.proposal is None or not row.proposal.moves:
        return
    by_key = {entry.key: replace(entry, node=replace(entry.node, pools=("a",))) for entry in nodes}
    moved = list(after_moves(by_key, row.proposal.moves).values())
    then = [replace(entry, node=replace(entry.node, resources=(slots(GPU, 4, 4 - (entry.gpus or 0)),))) for entry in moved]
    assert pool_row(then, *sizes).stranded_gpus < row.stranded_gpus


def test_the_text_names_pods_nodes_and_what_is_freed() -> None:
    nodes = [node("a", pod("x", 1), pod("y", 2)), node("b", stuck=3), node("c", stuck=2)]
    row = pool_row(nodes, 4)
    assert row.proposal is not None
    assert sentence(row.proposal) == (
        "Move team/y (2 GPUs) from a to c and team/x (1 GPU) from a to b: frees 1 replica of 4 GPUs (Training)."
    )
    assert row.reasons[0].text == "At most 2 free on one node; 4 per pod is wanted."


def test_no_move_is_looked_for_where_pods_are_not_the_reason() -> None:
    row = pool_row([node("a", open_=False)], 4)
    assert (row.stranded_gpus, row.proposal) == (4, None)
    assert row.note == "No move helps: other pods do not block them."
    assert pool_row([node("a")], 4).note == "Nothing is stranded."
