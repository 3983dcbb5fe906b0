"""Declared outweighs as ordered outweighs learned, at every step from a node's first look to what other machines teach."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from fleet.domain.devices.inspection import Previous
from fleet.domain.evaluation.evaluate import evaluate
from fleet.domain.evaluation.subject import ClusterHistory, Declaration, NodeHistory
from fleet.domain.snapshot import ClusterSnapshot, NodeSnapshot
from tests.builders import H100, make_node
from tests.domain.evaluation.snapshots import snapshot_of

ORDERED_FOUR = {"nvsentinel.dgxc.nvidia.com/gpu.count.expected": "4"}
SHAPE = ("bm.gpu.8", H100)


def expected(
    node: NodeSnapshot,
    *others: NodeSnapshot,
    elsewhere: int | None = None,
    declarations: tuple[Declaration, ...] = (),
    **history: Any,
) -> tuple[int | None, str]:
    """(count, source) of `node`, evaluated with `others` in one cluster."""
    known = ClusterHistory(
        nodes={node.uid: NodeHistory(**history)} if history else {},
        declarations=declarations,
        most_seen_elsewhere={SHAPE: elsewhere} if elsewhere is not None else {},
    )
    snapshot: ClusterSnapshot = snapshot_of(node, *others)
    figures = evaluate(snapshot, known).nodes[0].figures
    return figures.expected, figures.expected_source


@pytest.mark.parametrize("declared", [0, 3, 4, 8, 9])
def test_a_declaration_holds_whatever_was_ordered_or_seen(declared: int) -> None:
    node = make_node(gpus=8, labels=ORDERED_FOUR)
    declarations = (Declaration(count=declared),)
    assert expected(node, most_seen=8, elsewhere=8, declarations=declarations) == (declared, "declared")


def test_the_most_particular_declaration_counts_and_one_about_others_does_not() -> None:
    """A node's own outweighs its cluster's, a cluster's that of all clusters, and one with a product that of the machine type."""
    kind, product = SHAPE
    everywhere = Declaration(count=1, machine_type=kind)
    of_product = Declaration(count=2, machine_type=kind, product=product)
    of_cluster = Declaration(count=3, machine_type=kind, of_cluster=True)
    of_node = Declaration(count=4, node_name="n1", of_cluster=True)
    others = (Declaration(count=9, node_name="n2"), Declaration(count=9, machine_type="x"), Declaration(count=9, product="x"))
    ranked = (everywhere, of_product, of_cluster, of_node)
    for rank in range(1, 5):
        assert expected(make_node("n1", gpus=8), declarations=(*others, *ranked[:rank])) == (rank, "declared")
    assert expected(make_node("n1", gpus=8), declarations=others) == (8, "learned")


def test_a_node_ordered_with_four_expects_four_though_its_type_has_eight() -> None:
    assert expected(make_node(gpus=4, labels=ORDERED_FOUR), elsewhere=8) == (4, "ordered")
    assert expected(make_node(gpus=3, labels=ORDERED_FOUR), elsewhere=8) == (4, "ordered")


def test_more_gpus_on_the_node_itself_outweigh_what_it_was_ordered_with() -> None:
    assert expected(make_node(gpus=8, labels=ORDERED_FOUR)) == (8, "learned")
    assert expected(make_node(gpus=4, labels=ORDERED_FOUR), previous=Previous(physical=8)) == (8, "learned")
    named = tuple(f"GPU-{number}" for number in range(6))
    assert expected(make_node(gpus=4, labels=ORDERED_FOUR), known_uuids=named) == (6, "learned")


def test_a_node_learns_from_its_own_past_and_from_other_machines_of_its_shape() -> None:
    seven = make_node("n1", gpus=7)
    assert expected(seven) == (7, "learned")
    assert expected(seven, most_seen=8) == (8, "learned")
    assert expected(seven, make_node("n2", gpus=8)) == (8, "learned")
    assert expected(seven, elsewhere=8) == (8, "learned")


def test_nodes_without_machine_type_teach_each_other_nothing() -> None:
    bare: dict[str, str | None] = {"node.kubernetes.io/instance-type": None, "nvidia.com/gpu.machine": None}
    assert expected(make_node("n1", gpus=7, labels=bare), make_node("n2", gpus=8, labels=bare)) == (7, "learned")


def test_nothing_known_is_no_expectation() -> None:
    node = msgspec.structs.replace(make_node(gpus=0, gfd=False), labels={"feature.node.kubernetes.io/pci-10de.present": "true"})
    assert expected(msgspec.structs.replace(node, capacity={}, allocatable={})) == (None, "")


def with_intel_slots(slots: int) -> NodeSnapshot:
    """A node whose labels count no GPU: how often its plugin shares a card is stated nowhere."""
    resources = {"gpu.intel.com/xe": str(slots)}
    labels = {"node.kubernetes.io/instance-type": "bm.gpu.8"}
    return msgspec.structs.replace(make_node(gpus=0, gfd=False), labels=labels, capacity=resources, allocatable=resources)


def test_a_node_whose_gpus_only_its_slots_count_expects_as_many_as_it_has() -> None:
    assert expected(with_intel_slots(4)) == (4, "learned")
    assert expected(with_intel_slots(4), declarations=(Declaration(count=2),)) == (2, "declared")


def test_slots_that_may_be_shared_are_expected_by_no_later_run_and_by_no_other_node() -> None:
    shared = with_intel_slots(40)
    assert evaluate(snapshot_of(shared), ClusterHistory()).nodes[0].most_seen is None
    other = msgspec.structs.replace(with_intel_slots(4), name="n2", uid="n2")
    assert expected(other, shared) == (4, "learned")


def test_a_lower_bound_is_no_expectation() -> None:
    """Three instances of a profile of which a GPU has seven: one GPU at least."""
    labels = {"node.kubernetes.io/instance-type": None, "nvidia.com/gpu.machine": None, "nvidia.com/gpu.count": "3"}
    evaluation = evaluate(snapshot_of(make_node(mig="1g.10gb", labels=labels)), ClusterHistory()).nodes[0]
    assert (evaluation.devices.physical, evaluation.devices.physical_is_lower_bound) == (1, True)
    assert evaluation.figures.expected is None
