from __future__ import annotations

import pytest

from fleet.domain.label_selectors import Requirement, matches
from fleet.domain.placement.nodes import PlacementNode
from fleet.domain.pools.compliance import PoolSnapshot, find_violations
from fleet.domain.pools.membership import assign
from fleet.domain.pools.suggest import suggest
from fleet.domain.snapshot import Taint
from tests.builders import H100, with_pools
from tests.domain.placement.fleets import bare, real

TAINT = Taint("nvidia.com/gpu", "present", "NoSchedule")


@pytest.mark.parametrize(
    "key",
    [
        "cloud.google.com/gke-nodepool",
        "eks.amazonaws.com/nodegroup",
        "karpenter.sh/nodepool",
        "kubernetes.azure.com/agentpool",
        "agentpool",
        "acme.example/purpose",
        "node-pool",
    ],
)
def test_a_node_pool_is_suggested_as_it_is(key: str) -> None:
    nodes = [bare(f"n{at}", labels={key: "h100-training"}, taints=(TAINT,)) for at in range(3)]
    (result,) = suggest(nodes)
    assert result.pool.slug == "h100-training"
    assert result.pool.selector.labels == (Requirement(key, "in", ("h100-training",)),)
    assert (result.pool.policy.purpose, result.pool.policy.taints) == ("training and fine-tuning", (TAINT,))
    assert (result.pool.policy.modes, result.nodes) == (("full",), 3)
    assert result.because == f"3 nodes have the label {key}=h100-training."


def test_the_teams_own_word_goes_before_the_clouds() -> None:
    (result,) = suggest([bare(labels={"karpenter.sh/nodepool": "default", "acme.example/purpose": "notebooks"})])
    assert result.pool.slug == "notebooks"
    assert result.pool.policy.purpose == "experiments and notebooks"


def test_a_node_pool_of_two_products_is_suggested_as_two() -> None:
    label = {"karpenter.sh/nodepool": "gpu"}
    result = suggest([bare("n1", labels=label), bare("n2", labels=label), bare("n3", labels=label, product="NVIDIA-L4")])
    assert [(item.pool.slug, item.pool.selector.products, item.nodes) for item in result] == [
        ("gpu-h100-80gb-hbm3", (H100,), 2),
        ("gpu-l4", ("NVIDIA-L4",), 1),
    ]


def test_without_such_labels_product_and_mode_tell() -> None:
    nodes = [real("n1"), real("n2", sharing="time-slicing", replicas=4), real("n3", product="NVIDIA-L40S")]
    result = suggest(nodes)
    assert {item.pool.slug: item.pool.selector.sharing for item in result} == {
        "h100-80gb-hbm3": ("exclusive",),
        "h100-80gb-hbm3-time-sliced": ("time-slicing",),
        "l40s": (),
    }


def test_members_of_pools_and_taken_names_are_left_alone() -> None:
    nodes = [bare("n1", labels={"pool": "a"}, pools=("mine",)), bare("n2", labels={"pool": "b"})]
    assert [item.pool.slug for item in suggest(nodes, taken=["b"])] == ["b-2"]
    assert suggest([bare(product="")]) == ()


def test_adopting_every_suggestion_covers_every_node_and_breaks_no_policy() -> None:
    nodes: list[PlacementNode] = [
        *(real(f"a{at}", labels={"pool": "train"}) for at in range(3)),
        *(real(f"b{at}", sharing="time-slicing", replicas=4, product="Tesla-T4", gpus=1) for at in range(2)),
        *(real(f"d{at}", cluster="west") for at in range(2)),
        real("e", product="Tesla-T4", gpus=1, sharing="time-slicing", replicas=4, labels={"pool": "other"}),
        *(real(f"c{at}", mig={"1g.10gb": 16}, labels={"agentpool": "slices"}) for at in range(2)),
    ]
    pools = [item.pool for item in suggest(nodes)]
    membership = assign(pools, nodes)
    assert membership.alone == ()
    assert membership.clashes == ()
    placed = with_pools(pools, nodes)
    for pool in pools:
        members = tuple(node for node in placed if pool.slug in node.pools)
        assert find_violations(PoolSnapshot(pool=pool, members=members)) == ()
        assert all(matches(pool.selector.labels, node.labels) for node in members)
