"""The smallest move against a brute-force search on small fleets: applied, it makes room for a replica; no smaller set does."""

from __future__ import annotations

from itertools import permutations, product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.domain.placement.fleet import Fleet
from fleet.domain.placement.headroom import headroom
from fleet.domain.placement.nodes import OtherResource, PlacementNode
from fleet.domain.placement.requirement import GOOD, PodRequirement
from fleet.domain.stranded.moves import MOST_MOVES, after_moves, smallest_move
from fleet.domain.stranded.nodes import FreeNode, RunningPod, amounts
from fleet.domain.stranded.shapes import CLASS, WantedShape
from tests.domain.placement.fleets import GPU, bare, slots

SIZE = 4
"""GPUs of a node."""


def shape(gpus: int = 2, pods: int = 1, cpu: int = 0, domain: str = "") -> WantedShape:
    requirement = PodRequirement(resources=((GPU, gpus),), pods=pods, verdicts=GOOD, domain=domain)
    return WantedShape(
        title="Training",
        source=CLASS,
        workload_class="training",
        resource=GPU,
        gpus=gpus,
        requirement=requirement,
        needs=amounts({GPU: gpus, "cpu": cpu, "pods": 1}),
    )


def pod(name: str, gpus: int, cpu: int = 1) -> RunningPod:
    return RunningPod(namespace="team", name=name, gpus=gpus, needs=amounts({GPU: gpus, "cpu": cpu, "pods": 1}))


def node(name: str, *pods: RunningPod, stuck: int = 0, cpu: int = 8, open_: bool = True) -> FreeNode:
    """A node of four GPUs, of which pods that stay hold `stuck`."""
    used = stuck + sum(running.gpus for running in pods)
    made = bare(name, slots(GPU, SIZE, used), verdict="ready" if open_ else "not_ready")
    left = cpu - sum(dict(running.needs).get("cpu", 0) for running in pods)
    free = {GPU: SIZE - used, "cpu": left, "pods": 10}
    return FreeNode(node=made, resource=GPU, gpus=max(SIZE - used, 0), free=free, movable=pods, receives=open_)


def is_open(candidate: FreeNode) -> bool:
    return candidate.receives


def replicas(wanted: WantedShape, nodes: list[FreeNode]) -> int:
    """By the engine that headroom, classes and pages ask."""
    placed: list[PlacementNode] = []
    for entry in nodes:
        cpu = OtherResource("cpu", None, entry.free["cpu"])
        gpus = slots(GPU, max(entry.free[GPU], 0), 0)
        made = bare(entry.node.name, gpus, verdict=entry.node.verdict, others=(cpu,), pods_free=entry.free["pods"])
        placed.append(made)
    resources = tuple((name, amount) for name, amount in wanted.needs if name != "pods")
    asked = PodRequirement(resources=resources, pods=wanted.pods, verdicts=GOOD)
    return headroom([asked], Fleet(placed, asked.label_keys())).replicas


@st.composite
def fleets(draw: st.DrawFn) -> list[FreeNode]:
    """Full nodes with one or two GPUs left over here and there: the fleets on which moves are looked for."""
    nodes = []
    for at in range(draw(st.integers(2, 4))):
        left, pods = SIZE, []
        for number in range(draw(st.integers(0, 3))):
            gpus = draw(st.sampled_from([1, 1, 2, 3]))
            if gpus <= left:
                left -= gpus
                pods.append(pod(f"p{at}{number}", gpus, draw(st.integers(0, 2))))
        stuck = max(left - draw(st.integers(0, 2)), 0)
        nodes.append(node(f"n{at}", *pods, stuck=stuck, open_=draw(st.sampled_from([True, True, True, True, False]))))
    return nodes


def fewest(wanted: WantedShape, nodes: list[FreeNode], most: int) -> int | None:
    """The fewest pods by trying every sequence of moves; knows nothing of the search."""
    before = replicas(wanted, nodes)
    everything = [(entry.key[1], running) for entry in nodes for running in entry.movable]
    for number in range(1, most + 1):
        for chosen in permutations(everything, number):
            for targets in product(range(len(nodes)), repeat=number):
                free = {entry.key[1]: dict(entry.free) for entry in nodes}
                for (source, running), at in zip(chosen, targets, strict=True):
                    target = nodes[at]
                    if target.key[1] == source or not target.receives:
                        break
                    if any(free[target.key[1]].get(name, 0) < amount for name, amount in running.needs):
                        break
                    for name, amount in running.needs:
                        free[source][name] += amount
                        free[target.key[1]][name] -= amount
                else:
                    moved = [
                        FreeNode(node=entry.node, resource=GPU, gpus=0, free=free[entry.key[1]], receives=entry.receives)
                        for entry in nodes
                    ]
                    if replicas(wanted, moved) > before:
                        return number
    return None


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(fleets(), st.integers(2, SIZE), st.sampled_from([1, 1, 2]), st.integers(0, 2))
def test_no_smaller_set_of_moves_makes_room(nodes: list[FreeNode], gpus: int, pods: int, cpu: int) -> None:
    wanted = shape(gpus, pods, cpu)
    proposal = smallest_move(wanted, nodes, is_open)
    assert proposal.complete
    assert (len(proposal.moves) or None) == fewest(wanted, nodes, 2) or len(proposal.moves) == MOST_MOVES
    if proposal.moves:
        moved = after_moves({entry.key: entry for entry in nodes}, proposal.moves)
        assert replicas(wanted, list(moved.values())) > replicas(wanted, nodes)


def test_one_pod_that_closes_a_gap_is_moved_and_no_larger_one() -> None:
    nodes = [node("a", pod("big", 2), pod("small", 1)), node("b", stuck=2), node("c", stuck=4)]
    proposal = smallest_move(shape(SIZE - 2), [*nodes, node("d", stuck=3)], is_open)
    (move,) = proposal.moves
    assert (move.pod.name, move.source[1], move.target[1]) == ("small", "a", "d"), "b stays whole for a replica of two"


def test_a_whole_node_takes_two_moves_in_an_order_that_works() -> None:
    nodes = [node("a", pod("x", 1), pod("y", 2)), node("b", stuck=3), node("c", stuck=2)]
    proposal = smallest_move(shape(SIZE), nodes, is_open)
    assert {(move.pod.name, move.target[1]) for move in proposal.moves} == {("x", "b"), ("y", "c")}
    assert after_moves({entry.key: entry for entry in nodes}, proposal.moves)["east", "a"].gpus == SIZE


def test_pods_of_another_node_make_way_first() -> None:
    # x fits nowhere until z has left b
    nodes = [node("a", pod("x", 2), stuck=1), node("b", pod("z", 1), stuck=2), node("c", stuck=3)]
    proposal = smallest_move(shape(3), nodes, is_open)
    assert [(move.pod.name, move.source[1], move.target[1]) for move in proposal.moves] == [("z", "b", "c"), ("x", "a", "b")]


def test_cpu_that_is_gone_is_freed_as_well() -> None:
    nodes = [node("a", pod("cpu-only", 0, cpu=7), cpu=8), node("b", stuck=4)]
    proposal = smallest_move(shape(SIZE, cpu=4), nodes, is_open)
    assert [move.pod.name for move in proposal.moves] == ["cpu-only"]


def test_no_move_helps_where_nothing_is_free_elsewhere() -> None:
    nodes = [node("a", pod("x", 1)), node("b", stuck=4)]
    proposal = smallest_move(shape(SIZE), nodes, is_open)
    assert proposal.moves == ()
    assert proposal.complete


def test_nothing_is_moved_onto_a_node_that_is_not_ready() -> None:
    nodes = [node("a", pod("x", 1)), node("b", open_=False)]
    assert smallest_move(shape(SIZE), nodes, is_open).moves == ()


def test_a_move_that_does_not_fit_is_refused() -> None:
    nodes = [node("a", pod("x", 1), pod("y", 2)), node("b", stuck=3), node("c", stuck=2)]
    proposal = smallest_move(shape(SIZE), nodes, is_open)
    full = {entry.key: entry for entry in [nodes[0], node("b", stuck=4), node("c", stuck=4)]}
    with pytest.raises(ValueError, match="cannot move"):
        after_moves(full, proposal.moves)
