"""Headroom against a brute-force search on small fleets: it promises no replica that cannot land, and misses none.

The search knows nothing of the engine: it reads the rules off the node in its own words and tries every way of placing.
"""

from __future__ import annotations

from collections import Counter
from functools import cache
from itertools import combinations_with_replacement

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from fleet.domain.label_selectors import Requirement
from fleet.domain.placement.fleet import Fleet
from fleet.domain.placement.headroom import headroom, place
from fleet.domain.placement.matching import When, pods_that_fit, reasons
from fleet.domain.placement.nodes import PlacementNode
from fleet.domain.placement.requirement import GOOD, PodRequirement, Toleration
from fleet.domain.snapshot import Taint
from tests.domain.placement.fleets import GPU, bare, slots

MIG = "nvidia.com/mig-1g.10gb"
CLIQUE = "nvidia.com/gpu.clique"
TAINT = Taint("nvidia.com/gpu", "present", "NoSchedule")


@st.composite
def nodes(draw: st.DrawFn, name: str) -> PlacementNode:
    offered = [slots(GPU, size := draw(st.integers(0, 4)), draw(st.one_of(st.none(), st.integers(0, size + 1))))]
    if draw(st.booleans()):
        offered.append(slots(MIG, 3, draw(st.integers(0, 3))))
    labels = {"tier": draw(st.sampled_from(["gold", "tin"]))}
    if draw(st.booleans()):
        labels[CLIQUE] = draw(st.sampled_from(["x.1", "y.1"]))
    return bare(
        name,
        *offered,
        labels=labels,
        cluster=draw(st.sampled_from(["east", "west"])),
        verdict=draw(st.sampled_from(["ready", "ready", "degraded", "not_ready", "excluded"])),
        schedulable=draw(st.sampled_from([True, True, True, False])),
        taints=draw(st.sampled_from([(), (TAINT,)])),
        stale=draw(st.sampled_from([False, False, True])),
        pools=draw(st.sampled_from([("a",), ("b",), ("a", "b"), ()])),
        pods_free=draw(st.sampled_from([None, None, 0, 1, 2, 50])),
    )


FLEETS = st.integers(0, 4).flatmap(lambda count: st.tuples(*[nodes(f"n{at}") for at in range(count)]))


@st.composite
def requirements(draw: st.DrawFn, pool: str | None = None) -> PodRequirement:
    resources = [(GPU, draw(st.integers(1, 3)))]
    if draw(st.sampled_from([False, False, True])):
        resources.append((MIG, 1))
    return PodRequirement(
        resources=tuple(resources),
        selector=draw(st.sampled_from([(), (Requirement("tier", "in", ("gold",)),)])),
        tolerations=draw(st.sampled_from([(), (Toleration("nvidia.com/gpu", "Exists"),)])),
        pods=draw(st.integers(1, 3)),
        domain=draw(st.sampled_from(["", CLIQUE])),
        verdicts=GOOD,
        pool=draw(st.sampled_from(["", "a"])) if pool is None else pool,
    )


def may_land(asked: PodRequirement, node: PlacementNode) -> bool:
    gold = not asked.selector or node.labels["tier"] == "gold"
    tolerated = not node.taints or bool(asked.tolerations)
    known = all(resource.free is not None for resource in node.resources)
    offers = {item.name for item in node.resources} >= {name for name, _ in asked.resources}
    placed = (not asked.pool or asked.pool in node.pools) and (not asked.domain or asked.domain in node.labels)
    good = node.verdict in ("ready", "degraded") and not node.stale and node.schedulable
    return gold and tolerated and known and offers and placed and good


def most(asked: PodRequirement, fleet: tuple[PlacementNode, ...]) -> int:
    """The most replicas by trying everything: every set of nodes for the next replica, until none is left."""
    usable = [node for node in fleet if may_land(asked, node)]
    names = [name for name, _ in asked.resources]
    free = tuple(
        (
            *(next(resource.free or 0 for resource in node.resources if resource.name == name) for name in names),
            1000 if node.pods_free is None else node.pods_free,
        )
        for node in usable
    )
    needs = [*(count for _, count in asked.resources), 1]
    groups = []
    for chosen in combinations_with_replacement(range(len(usable)), asked.pods):
        homes = {(usable[at].cluster, usable[at].labels.get(CLIQUE) if asked.domain else "") for at in chosen}
        if len(homes) == 1:
            groups.append(Counter(chosen))

    @cache
    def best(left: tuple[tuple[int, ...], ...]) -> int:
        result = 0
        for group in groups:
            if all(left[at][k] >= pods * need for at, pods in group.items() for k, need in enumerate(needs)):
                after = tuple(
                    tuple(have - group[at] * need for have, need in zip(have_all, needs, strict=True))
                    for at, have_all in enumerate(left)
                )
                result = max(result, 1 + best(after))
        return result

    return best(free)


@pytest.mark.slow
@settings(max_examples=300)
@given(FLEETS, requirements())
def test_headroom_is_exactly_what_a_search_finds(fleet: tuple[PlacementNode, ...], asked: PodRequirement) -> None:
    assert headroom([asked], Fleet(fleet, asked.label_keys())).replicas == most(asked, fleet)


@pytest.mark.slow
@settings(max_examples=200)
@given(FLEETS, requirements("a"), requirements("b"))
def test_every_placement_can_be_carried_out(
    fleet: tuple[PlacementNode, ...], first: PodRequirement, second: PodRequirement
) -> None:
    grouped = Fleet(fleet, first.label_keys() | second.label_keys())
    result = headroom([first, second], grouped)
    placed = place([first, second], grouped, 10_000)
    assert len(placed) == result.replicas
    assert result.replicas <= result.with_last_known <= result.back
    assert [entry.pool for entry in placed] == ["a"] * result.pools[0].replicas + ["b"] * result.pools[1].replicas
    touched = set()
    left = {(node.name, resource.name): resource.free for node in fleet for resource in node.resources}
    left |= {(node.name, "pods"): 1000 if node.pods_free is None else node.pods_free for node in fleet}
    for item in placed:
        asked = first if item.pool == "a" else second
        assert len(item.nodes) == asked.pods
        assert len({(node.cluster, node.clique if asked.domain else "") for node in item.nodes}) == 1
        for node in item.nodes:
            assert may_land(asked, node)
            for name, count in (*asked.resources, ("pods", 1)):
                touched.add((node.name, name))
                left[node.name, name] = (left[node.name, name] or 0) - count
    assert all((left[at] or 0) >= 0 for at in touched), "no slot is handed out twice"


@pytest.mark.slow
@settings(max_examples=200)
@given(FLEETS, requirements())
def test_each_count_believes_more_and_every_node_has_a_reason(fleet: tuple[PlacementNode, ...], asked: PodRequirement) -> None:
    result = headroom([asked], Fleet(fleet, asked.label_keys()))
    assert result.replicas <= result.with_last_known <= result.back
    (pool,) = result.pools
    excluded = [node for group in pool.excluded for node in group.nodes]
    assert pool.open_nodes + len(excluded) == pool.nodes
    for node in fleet:
        answer = reasons(asked, node)
        assert bool(answer) == (pods_that_fit(asked, node) == 0)
        if asked.pool in ("", *node.pools):
            assert (node in excluded) == bool(answer)
        for when in When:
            assert bool(reasons(asked, node, when)) == (pods_that_fit(asked, node, when) == 0)


@pytest.mark.slow
@settings(max_examples=200)
@given(FLEETS, st.lists(requirements(), max_size=3))
def test_grouping_changes_no_answer(fleet: tuple[PlacementNode, ...], asked: list[PodRequirement]) -> None:
    keys = frozenset().union(*(item.label_keys() for item in asked))
    together, apart = headroom(asked, Fleet(fleet, keys)), headroom(asked, Fleet(fleet, None))
    assert [(pool.replicas, pool.with_last_known, pool.back, pool.by_free) for pool in together.pools] == [
        (entry.replicas, entry.with_last_known, entry.back, entry.by_free) for entry in apart.pools
    ]


@pytest.mark.slow
@settings(max_examples=200)
@given(FLEETS, requirements("a"))
def test_overlapping_pools_of_one_pod_replicas_miss_nothing(fleet: tuple[PlacementNode, ...], asked: PodRequirement) -> None:
    single = replace(asked, pods=1, domain="")
    both = [single, replace(single, pool="b")]
    members = tuple(node for node in fleet if node.pools)
    result = headroom(both, Fleet(fleet, single.label_keys()))
    assert result.replicas == most(replace(single, pool=""), members)
