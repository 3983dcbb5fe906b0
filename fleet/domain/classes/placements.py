"""Where the pods of a manifest may land: node affinity terms and tolerations, and which placements are narrower than others."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from fleet.domain.catalog.node_taints import is_lasting
from fleet.domain.label_selectors import Requirement, holds, whole_number
from fleet.domain.placement.nodes import PlacementNode
from fleet.domain.placement.requirement import Toleration

Terms = tuple[tuple[Requirement, ...], ...]


class AllowedPlacement(msgspec.Struct, frozen=True, kw_only=True):
    """Terms of a required node affinity, ORed, and tolerations."""

    terms: Terms
    tolerations: tuple[Toleration, ...] = ()


def narrower(placement: AllowedPlacement, than: AllowedPlacement) -> bool:
    """Returns whether every node that the first placement allows is known to be allowed by the second. False where unclear."""
    if placement.terms:
        in_place = all(any(implies(term, wide) for wide in than.terms) for term in placement.terms)
    else:
        in_place = not than.terms
    return in_place and all(any(_within(item, wide) for wide in than.tolerations) for item in placement.tolerations)


def implies(term: Sequence[Requirement], wide: Sequence[Requirement]) -> bool:
    """Returns whether every node that meets the first requirements is known to meet the second."""
    return all(any(_asks_for(own, item) for own in term) for item in wide)


def _asks_for(own: Requirement, wanted: Requirement) -> bool:
    """Returns whether every label that meets the first requirement meets the second."""
    if own.key != wanted.key:
        return False
    if own.operator == "in":
        return all(holds(wanted, value) for value in own.values)
    if own.operator == "absent":
        return holds(wanted, None)
    if own.operator == wanted.operator == "notin":
        return set(wanted.values) <= set(own.values)
    if wanted.operator == "exists":
        return own.operator in ("exists", "gt", "lt")
    if own.operator == wanted.operator and own.operator in ("gt", "lt"):
        numbers = whole_number(own.values[0]), whole_number(wanted.values[0])
        if numbers[0] is None or numbers[1] is None:
            return False
        return numbers[0] >= numbers[1] if own.operator == "gt" else numbers[0] <= numbers[1]
    return False


def _within(own: Toleration, wide: Toleration) -> bool:
    """Returns whether every taint that the first toleration covers is covered by the second."""
    if wide.effect and own.effect != wide.effect:
        return False
    if not wide.key:
        return True
    if own.key != wide.key:
        return False
    return wide.operator == "Exists" or (own.operator == "Equal" and own.value == wide.value)


def admits(node: PlacementNode, tolerations: Sequence[Toleration], resource: str) -> bool:
    """Returns whether the lasting taints of a node let pods with these tolerations on it.

    A taint whose key is the resource keeps no pod off that requests it: where admission adds the toleration for it
    (ExtendedResourceToleration, on in GKE) every such pod has it.
    """
    return not any(
        taint.effect in ("NoSchedule", "NoExecute")
        and is_lasting(taint)
        and taint.key != resource
        and not any(toleration.tolerates(taint) for toleration in tolerations)
        for taint in node.taints
    )
