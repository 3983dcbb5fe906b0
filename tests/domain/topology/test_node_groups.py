"""NodeGroups of free GPUs in a shape: against brute force on small fleets, what each loses, and labels of every provider."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.domain.snapshot import Taint
from fleet.domain.stranded.nodes import FreeNode
from fleet.domain.topology.levels import by_id, domain_of, levels
from fleet.domain.topology.node_groups import MOST_GROUPS, SHAPES, NodeGroups, find_groups, request_of
from fleet.domain.topology.tiles import racks
from tests.domain.placement.fleets import GPU, bare, slots

CLIQUE, RACK, BLOCK = "nvidia.com/gpu.clique", "cloud.google.com/gce-topology-subblock", "cloud.google.com/gce-topology-block"


def free(name: str, gpus: int | None = 8, *, of: int = 8, **fields: Any) -> FreeNode:
    node = bare(name, slots(GPU, of, None if gpus is None else of - gpus), **fields)
    return FreeNode(node=node, resource=GPU, gpus=gpus)


def at(clique: str = "", rack: str = "", block: str = "") -> dict[str, str]:
    return {key: value for key, value in ((CLIQUE, clique), (RACK, rack), (BLOCK, block)) if value}


def names(answer: NodeGroups) -> list[list[str]]:
    return [[node.node.name for node in group.nodes] for group in answer.groups]


@st.composite
def fleets(draw: st.DrawFn) -> list[FreeNode]:
    return [
        free(
            f"n{number}",
            draw(st.one_of(st.none(), st.integers(0, 8))),
            labels=at(draw(st.sampled_from(["", "c1", "c2"])), draw(st.sampled_from(["", "r1", "r2"]))),
            cluster=draw(st.sampled_from(["east", "west"])),
            verdict=draw(st.sampled_from(["ready", "degraded", "not_ready"])),
            schedulable=draw(st.sampled_from([True, True, False])),
            stale=draw(st.sampled_from([False, False, True])),
        )
        for number in range(draw(st.integers(0, 5)))
    ]


def fewest(nodes: list[FreeNode], gpus: int, shape: str) -> dict[Any, int]:
    """Domain to the fewest nodes with equal parts, by trying every set of nodes."""
    best: dict[Any, int] = {}
    usable = [
        node
        for node in nodes
        if node.node.verdict in ("ready", "degraded") and node.node.schedulable and not node.node.stale and node.gpus is not None
    ]
    for number in range(1, len(usable) + 1):
        for chosen in combinations(usable, number):
            domains = {
                (
                    node.node.cluster,
                    "" if shape == "any" else node.node.labels.get({"nvlink_domain": CLIQUE, "rack": RACK}[shape]),
                )
                for node in chosen
            }
            domain = next(iter(domains))
            fits = gpus % number == 0 and all((node.gpus or 0) >= gpus // number for node in chosen)
            if len(domains) == 1 and domain[1] is not None and fits:
                best.setdefault(domain, number)
    return best


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(fleets(), st.integers(1, 20), st.sampled_from(["nvlink_domain", "rack"]))
def test_each_domain_gives_its_fewest_nodes(nodes: list[FreeNode], gpus: int, shape: str) -> None:
    answer = find_groups(nodes, gpus, shape)
    result = {(group.cluster, group.domain.value): len(group.nodes) for group in answer.groups if group.domain}
    assert result == fewest(nodes, gpus, shape)
    for group in answer.groups:
        assert group.gpus == gpus
        assert all((node.gpus or 0) >= group.gpus_per_node for node in group.nodes)


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(fleets(), st.integers(1, 20))
def test_any_finds_a_group_wherever_a_cluster_has_room(nodes: list[FreeNode], gpus: int) -> None:
    answer = find_groups(nodes, gpus, "any")
    assert {group.cluster for group in answer.groups} == {cluster for cluster, _ in fewest(nodes, gpus, "any")}
    assert len(answer.groups) <= MOST_GROUPS


def test_the_closest_shape_comes_first_and_each_says_what_it_loses() -> None:
    nodes = [
        free("a", labels=at("c1", "r1", "b1")),
        free("b", labels=at("c1", "r1", "b1")),
        free("c", labels=at("c2", "r2", "b1")),
        free("d", 7, labels=at("c3", "r3", "b2")),
        free("e", 7, labels=at("c3", "r3", "b2")),
    ]
    answer = find_groups(nodes, 14, "any")
    assert [(group.shape, [node.node.name for node in group.nodes]) for group in answer.groups] == [
        ("nvlink_domain", ["d", "e"]),
        ("nvlink_domain", ["a", "b"]),
    ]
    assert answer.groups[0].loses == ()
    assert [loss.id for loss in answer.groups[1].loses] == ["whole_node", "whole_node"]
    wide = find_groups(nodes, 24, "block").groups[0]
    assert [loss.text for loss in wide.loses] == [
        "Spans 2 NVLink domains: NVLink does not connect its nodes: traffic between them uses the network.",
        "Spans 2 racks: traffic between racks crosses a spine switch.",
    ]


def test_one_node_prefers_to_leave_whole_nodes_whole() -> None:
    answer = find_groups([free("whole"), free("half", 4), free("rest", 5)], 4, "node")
    assert names(answer) == [["half"], ["rest"], ["whole"]]
    assert answer.groups[0].loses == ()
    assert answer.groups[1].loses[0].text == "1 of 5 free GPUs stay on rest."
    assert answer.groups[2].loses[0].text == "whole has 8 free GPUs and would no longer be whole."


def test_exactly_enough_is_enough_and_one_less_is_not() -> None:
    assert names(find_groups([free("a", 8)], 8, "node")) == [["a"]]
    assert names(find_groups([free("a", 7)], 8, "node")) == []


def test_what_cannot_be_looked_at_is_counted() -> None:
    nodes = [free("ill", verdict="not_ready"), free("unknown", None), free("plain"), free("cordoned", schedulable=False)]
    answer = find_groups(nodes, 8, "rack")
    assert (answer.groups, answer.looked_at, answer.not_ready, answer.unknown, answer.unlabelled) == ((), 1, 2, 1, 1)


def test_missing_labels_are_unknown_and_never_near() -> None:
    (group,) = find_groups([free("a"), free("b")], 16, "any").groups
    assert group.domain is None
    assert [loss.id for loss in group.loses] == ["nvlink_domain", "rack", "block", "zone"]
    assert all("unknown" in loss.text for loss in group.loses)


def test_products_do_not_mix_and_taints_are_named() -> None:
    taint = Taint("dedicated", "train", "NoSchedule")
    other = free("b", product="NVIDIA-H200")
    assert names(find_groups([free("a"), other], 16, "any")) == []
    (group,) = find_groups([free("a", taints=(taint,)), other], 8, "node", "NVIDIA-H100-80GB-HBM3").groups
    assert group.taints == (taint,)


def test_the_request_names_the_label_that_the_group_shares() -> None:
    (group,) = find_groups([free("a", labels=at(rack="r")), free("b", labels=at(rack="r"))], 16, "rack").groups
    keys = yaml.safe_load(request_of(group))
    assert keys["kueue.x-k8s.io/podset-required-topology"] == RACK
    (loose,) = find_groups([free("a"), free("b")], 16, "any").groups
    assert request_of(loose) == ""


@pytest.mark.parametrize("level", [level.id for level in levels()])
def test_every_key_is_read_and_has_a_source(level: str) -> None:
    for key in by_id()[level].key:
        assert key.source
        domain = domain_of(level, "east", {key.key: "x"})
        assert domain is not None
        assert (domain.key, domain.value) == (key.key, "x")
    assert domain_of(level, "east", {}) is None


def test_no_label_states_two_levels_and_every_shape_has_a_level() -> None:
    keys = [key.key for level in levels() for key in level.key]
    assert len(keys) == len(set(keys))
    assert {shape for shape in SHAPES if shape not in ("node", "any")} <= set(by_id())


def test_the_bottom_layer_wins_where_a_provider_writes_four() -> None:
    labels = {"topology.k8s.aws/network-node-layer-3": "c", "topology.k8s.aws/network-node-layer-4": "d"}
    domain = domain_of("rack", "east", labels)
    assert domain is not None
    assert domain.value == "d"


def test_the_picture_has_every_node_once_in_its_rack() -> None:
    known = [free("b", 3, labels=at("c2", "r1", "b1")), free("a", labels=at("c1", "r1", "b1"))]
    shared = bare("s", slots(GPU, 32, 0, replicas=4), sharing="time-slicing")
    answer = racks([*(entry.node for entry in known), shared], known)
    assert [(rack.block, rack.rack, [tile.node.name for tile in rack.tiles]) for rack in answer] == [
        ("", "", ["s"]),
        ("b1", "r1", ["a", "b"]),
    ]
    assert (answer[1].free, answer[1].nvlink_domains) == (11, ("c1", "c2"))
    assert answer[0].tiles[0].free is None
