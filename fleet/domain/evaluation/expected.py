"""Expected number of physical GPUs of a node: declared, else ordered, else learned."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

import msgspec

from fleet.domain.devices.detection import machine_type
from fleet.domain.devices.inspection import NodeDevices
from fleet.domain.devices.sources import cloud
from fleet.domain.evaluation.subject import Declaration, NodeHistory
from fleet.domain.snapshot import NodeSnapshot

DECLARED, ORDERED, LEARNED = "declared", "ordered", "learned"


def declared_gpus(declarations: Iterable[Declaration], name: str, kind: str, product: str) -> int | None:
    """Returns the count that an operator declared for a node, the most specific declaration first; None without one.

    `kind` is its machine type. A node whose product is not known yet matches only declarations without a product.
    """
    fitting = [
        declaration
        for declaration in declarations
        if declaration.node_name in ("", name) and declaration.machine_type in ("", kind) and declaration.product in ("", product)
    ]
    best = max(fitting, key=lambda row: (bool(row.node_name), row.of_cluster, bool(row.product)), default=None)
    return best.count if best else None


MachineShape = tuple[str, str]
"""Machine type and product. Nodes of one shape are expected to have the same number of GPUs."""


class ExpectedGpus(msgspec.Struct, frozen=True, kw_only=True):
    """Number of physical GPUs and its source."""

    count: int | None = None
    source: str = ""
    """declared, ordered or learned; empty where the count is None."""


def expected_gpus(
    node: NodeSnapshot,
    devices: NodeDevices,
    history: NodeHistory,
    *,
    most: int | None,
    by_shape: Mapping[MachineShape, int],
    sharing_is_known: bool,
) -> ExpectedGpus:
    """Returns the physical GPUs that the node should have.

    `most` is the most ever seen on this node (most_seen), `by_shape` the most on each shape of machine. An operator's
    declaration outweighs everything. What the machine was ordered with outweighs other machines of its type, but
    not cards that were seen on this node itself: a cloud's label may be wrong, and a card that was there may be lost.

    Where nothing reliable was ever counted, the current count is expected, so that the node is in the fleet's sums: Intel's
    plugin states nowhere how often it shares a card. Not so where that is stated and could not be read (`sharing_is_known`).
    """
    if history.declared is not None:
        return ExpectedGpus(count=history.declared, source=DECLARED)
    ordered = cloud.read(node.labels).count
    if ordered is not None:
        known = (history.previous.physical if history.previous else None) or 0
        seen_here = max(len(history.known_uuids), known, devices.physical or 0)
        return ExpectedGpus(count=max(ordered, seen_here), source=ORDERED if ordered >= seen_here else LEARNED)
    of_shape = by_shape.get(_shape(machine_type(node.labels), devices.product))
    counts = [n for n in (of_shape, most) if n is not None]
    if not counts and devices.physical is not None and not devices.physical_is_lower_bound:
        unread = devices.physical_source == "capacity" and devices.vendor != "intel" and not sharing_is_known
        counts = [] if unread else [devices.physical]  # in this run only: it is not stored (most_seen)
    return ExpectedGpus(count=max(counts), source=LEARNED) if counts else ExpectedGpus()


def most_seen(node: NodeSnapshot, devices: NodeDevices, history: NodeHistory, *, sharing_is_known: bool) -> int | None:
    """Returns the most physical GPUs ever counted on this node, this run included; None where nothing reliable counted any.

    A lower bound teaches nothing, nor do slots that stand in for cards while it is unknown how the device plugin shares them
    (Intel's states it nowhere); such an earlier count is dropped as soon as a better source counts the cards.
    """
    better = devices.physical is not None and devices.physical_source != "capacity"
    before = None if better and history.counted_by == "capacity" else history.most_seen
    now = _counted(node, devices, sharing_is_known=sharing_is_known)
    return max((n for n in (before, now) if n is not None), default=None)


def _counted(node: NodeSnapshot, devices: NodeDevices, *, sharing_is_known: bool) -> int | None:
    if devices.physical is None or devices.physical_is_lower_bound:
        return None
    if devices.physical_source == "capacity" and (not sharing_is_known or devices.vendor == "intel"):
        return None
    fewer = any(finding.rule == "fewer_than_ordered" for finding in devices.findings)
    ordered = (cloud.read(node.labels).count if fewer else None) or 0
    return max(devices.physical, ordered)


def most_seen_by_shape(
    elsewhere: Mapping[MachineShape, int], seen: Iterable[tuple[str, str, int | None]]
) -> dict[MachineShape, int]:
    """Returns the most physical GPUs ever seen on each shape.

    `elsewhere`: on nodes of other clusters and removed ones; `seen`: (machine type, product, most seen) of each node of this
    cluster. Nodes without a type or product teach nothing to others.
    """
    result: dict[MachineShape, int] = defaultdict(int, elsewhere)
    for kind, product, count in seen:
        if count is not None:
            result[_shape(kind, product)] = max(result[_shape(kind, product)], count)
    return {shape: count for shape, count in result.items() if all(shape)}


def _shape(kind: str, product: str) -> MachineShape:
    return kind, product
