"""Required anti-affinity of running pods against the pods of a class (the scheduler's InterPodAffinity, from the other side)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

import msgspec

from fleet.domain.label_selectors import matches
from fleet.domain.placement.nodes import KeepsOut, PlacementNode
from fleet.domain.snapshot.scheduling import PodTerm


class Bearer(msgspec.Struct, frozen=True):
    """A running pod with required anti-affinity, by the node it runs on."""

    cluster: str
    node: str
    namespace: str
    terms: tuple[PodTerm, ...]


def with_anti_affinity(nodes: Iterable[PlacementNode], bearers: Iterable[Bearer]) -> list[PlacementNode]:
    """Returns the nodes, each with the terms that hold there: those of pods on any node with the same value of the term's label.

    Bearers on nodes that are not among these are left out: their labels are unknown.
    """
    nodes = list(nodes)
    labels = {node.key: node.labels for node in nodes}
    by_place: dict[tuple[str, str, str], set[KeepsOut]] = defaultdict(set)
    for bearer in bearers:
        for term in bearer.terms:
            value = labels.get((bearer.cluster, bearer.node), {}).get(term.topology_key)
            if value is not None and term.selector is not None:
                by_place[bearer.cluster, term.topology_key, value].add(KeepsOut(bearer.namespace, term))
    if not by_place:
        return nodes
    keys = {key for _, key, _ in by_place}
    result = []
    for node in nodes:
        present = {item for key in keys if key in node.labels for item in by_place.get((node.cluster, key, node.labels[key]), ())}
        result.append(msgspec.structs.replace(node, keeps_out=tuple(sorted(present, key=repr))) if present else node)
    return result


def keeps_out(item: KeepsOut, labels: Mapping[str, str], namespace: str) -> bool:
    """Returns whether a term refuses a pod with these labels in this namespace; "" is a namespace that is not known yet.

    A namespace that is not known yet is refused by terms for every namespace only. One selected by labels of namespaces counts as
    refused where the pod's is known: room that depends on an unknown is not promised.
    """
    term = item.term
    if term.selector is None or not matches(term.selector, labels):
        return False
    if term.namespace_selector == ():
        return True
    if not namespace:
        return False
    if namespace in term.namespaces or term.namespace_selector is not None:
        return True
    return not term.namespaces and namespace == item.namespace
