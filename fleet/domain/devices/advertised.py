"""Advertised GPUs of a node as a whole: full, partial, none or unknown, and their number."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from fleet.domain.devices.claims import NodeClaims
from fleet.domain.devices.resources import NodeResources
from fleet.domain.devices.sharing import EffectiveSharing, SharingVerdict
from fleet.domain.devices.slots import ResourceSlots, add, is_unbounded
from fleet.domain.quantities import parse_units

_WHOLE = ("gpu", "shared", "passthrough", "custom", "dra-gpu", "dra-vfio", "dra-share", "dra-cut")
"""Kinds of resources whose slots are GPUs or shares of a whole GPU; slots of the others are parts of partitioned GPUs."""


def advertised(
    claims: NodeClaims, resources_of_node: NodeResources, effective_by_name: Mapping[str, EffectiveSharing], physical: int | None
) -> str:
    """Returns full, partial, none or unknown: advertised slots against those that the devices predict.

    Without an independent prediction the plugin's own capacity is used, as long as it makes a whole number of GPUs.
    """
    counted = [slots for slots in resources_of_node.resources if slots.name not in resources_of_node.duplicates]
    if claims.fractions.names and not any(slots.capacity for slots in counted):
        return _by_quantities(claims, physical)
    unbounded = [slots for slots in counted if is_unbounded(slots)]
    counted = [slots for slots in counted if not is_unbounded(slots)]
    if unbounded and not counted:
        return "full"
    offered = add(slots.allocatable for slots in counted)
    if offered is None or (not counted and not claims.node.capacity):
        return "unknown"
    if offered == 0 and not unbounded:
        return "none"
    verdicts = {effective_by_name[slots.name].verdict for slots in counted if slots.name in effective_by_name}
    if any((slots.allocatable or 0) < max(slots.capacity or 0, slots.predicted or 0) for slots in counted):
        return "partial"
    if physical is None or verdicts & {SharingVerdict.EXCESS, SharingVerdict.UNCLEAR, SharingVerdict.MISSING}:
        return "unknown"
    if any(slots.predicted is not None and (slots.allocatable or 0) > slots.predicted for slots in counted):
        return "unknown"
    return "full"


def _by_quantities(claims: NodeClaims, physical: int | None) -> str:
    """Returns the state where GPUs are allocated by memory and compute alone."""
    node = claims.node
    amounts = [(parse_units(node.allocatable.get(name)), parse_units(node.capacity[name])) for name in claims.fractions.names]
    if any(allocatable is None or capacity is None for allocatable, capacity in amounts) or physical is None:
        return "unknown"
    if any(allocatable == 0 for allocatable, _ in amounts):
        return "none"
    return "partial" if any((allocatable or 0) < (capacity or 0) for allocatable, capacity in amounts) else "full"


def advertised_gpus(resources_of_node: NodeResources, state: str, physical: int | None) -> int | None:
    """Returns the physical GPUs behind the allocatable slots; None where their number is unknown.

    `state` is what `advertised` returned. A GPU of which only some shares are allocatable does not count. Cordons and the
    kubelet's condition are not looked at: they are the node's state, not its devices'.
    """
    if state == "none":
        return 0
    if physical is None or state == "unknown":
        return None
    counted = [slots for slots in resources_of_node.resources if slots.name not in resources_of_node.duplicates and _full(slots)]
    if not counted:
        return physical if state == "full" else None  # handed out by memory and compute, which count no GPUs
    if any(is_unbounded(slots) for slots in counted):
        return physical if state == "full" else None
    whole = [slots for slots in counted if slots.kind in _WHOLE]
    parts = [slots for slots in counted if slots.kind not in _WHOLE]
    whole_gpus = _share_of(sum(_gpus_of(slots) for slots in whole), whole) if parts else _share_of(physical, whole)
    parted = _share_of(max(0, physical - sum(map(_gpus_of, whole))), parts) if parts else 0
    # A GPU without an allocatable slot cannot be handed out, with or without known shares.
    return min(physical, whole_gpus + parted, sum(slots.allocatable or 0 for slots in counted))


def _gpus_of(slots: ResourceSlots) -> int:
    """Returns the GPUs behind all slots of a resource of whole GPUs."""
    return _full(slots) // (slots.replicas or 1)


def _share_of(gpus: int, resources: Iterable[ResourceSlots]) -> int:
    """Returns `gpus` in proportion to the allocatable slots, rounded down."""
    rows = list(resources)
    full = sum(_full(slots) for slots in rows)
    return gpus * sum(slots.allocatable or 0 for slots in rows) // full if full else 0


def _full(slots: ResourceSlots) -> int:
    """Returns the expected slots: what the devices predict, or what the kubelet registered, whichever is more."""
    return max(slots.capacity or 0, slots.predicted or 0)
