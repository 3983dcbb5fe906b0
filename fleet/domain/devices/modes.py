"""The mode of a node in words: Full GPU, MIG 7×1g.10gb (per card), Time-sliced ×4, MPS ×8, MIG + time-sliced ×2."""

from __future__ import annotations

import msgspec

from fleet.domain import labels
from fleet.domain.devices.claims import NodeClaims
from fleet.domain.devices.counts import Physical
from fleet.domain.devices.mig import sort_key
from fleet.domain.devices.partitioning import MIXED, SINGLE, PartitionLayout
from fleet.domain.devices.resources import NodeResources
from fleet.domain.devices.sharing import EffectiveSharing, SharingVerdict, means
from fleet.domain.devices.sources.dra import DraView

_LONGEST = 100
_VERBS = {"time-slicing": "Time-sliced", "mps": "MPS"}


class NodeSharing(msgspec.Struct, frozen=True, kw_only=True):
    """Sharing of the node as a whole."""

    sharing: str | None
    """exclusive, time-slicing or mps; None when unknown, or when shares exist by unknown means."""
    replicas: int | None
    """Slots per device; None when unknown or when resources differ."""
    shared: bool | None
    """Whether anything is shared at all."""


def node_sharing(
    claims: NodeClaims, effective_by_name: dict[str, EffectiveSharing], resources_of_node: NodeResources
) -> NodeSharing:
    """Returns sharing over the resources the node advertises; over those it should advertise where it advertises none."""
    if claims.dra is not None:
        # DRA allocates whole devices: what claims hold now, or pods make of their claim, is no property of the node.
        return _by_shares(resources_of_node) if claims.dra.shares else NodeSharing(sharing="exclusive", replicas=1, shared=False)
    by_quantity = claims.fractions.names and not any(
        slots.kind == "shared" and (slots.replicas or 0) > 1 for slots in resources_of_node.resources
    )
    if claims.fractions.unnamed_shares or by_quantity:
        return NodeSharing(sharing=claims.fractions.means or None, replicas=None, shared=True)
    counted = [slots for slots in resources_of_node.resources if slots.name not in resources_of_node.duplicates]
    counted = [slots for slots in counted if slots.capacity] or [slots for slots in counted if slots.replicas]
    sharing_rows: list[tuple[int | None, str | None, bool]] = []
    for slots in counted:
        effective = effective_by_name.get(slots.name)
        verdict = effective.verdict if effective else SharingVerdict.UNTESTED
        if effective is not None and _contradicts_configuration(effective, slots.capacity):
            return NodeSharing(sharing=None, replicas=None, shared=True if claims.fractions.gpus else None)
        shared = (slots.replicas or 1) > 1 or slots.kind in ("shared", "mig-shared")
        sharing_rows.append((slots.replicas, means(claims, slots.name, slots.replicas, verdict), shared))
    if not sharing_rows:
        return _announced(claims)
    replicas = {replicas_of_row for replicas_of_row, _, _ in sharing_rows}
    ways = {way for _, way, _ in sharing_rows}
    shared_ways = ways - {"exclusive"}
    way = shared_ways.pop() if len(shared_ways) == 1 else None if shared_ways else "exclusive"
    unknown = None in replicas and not any(shared for _, _, shared in sharing_rows) and way is None
    return NodeSharing(
        sharing=way,
        replicas=replicas.pop() if len(replicas) == 1 else None,
        shared=None if unknown else way != "exclusive",
    )


def _by_shares(resources_of_node: NodeResources) -> NodeSharing:
    """Returns the sharing of devices that several claims may use: they count as shared, whatever is allocated now."""
    shared = [slots for slots in resources_of_node.resources if slots.kind.startswith("dra-")]
    replicas = {slots.replicas for slots in shared}
    return NodeSharing(sharing=None, replicas=replicas.pop() if len(replicas) == 1 else None, shared=True)


def _contradicts_configuration(effective: EffectiveSharing, capacity: int | None) -> bool:
    """Returns whether the slots make whole replicas of every device, but not the configured ones."""
    even = bool(capacity and effective.devices) and (capacity or 0) % (effective.devices or 1) == 0
    return effective.verdict == SharingVerdict.UNCLEAR and effective.config is not None and even


def _announced(claims: NodeClaims) -> NodeSharing:
    """Returns the sharing that labels, GKE or the configuration declare, where no slot shows the effective one."""
    gfd, wanted, cloud = claims.gfd, claims.wanted, claims.cloud
    if gfd.is_present and gfd.replicas and gfd.strategy:
        alone = gfd.strategy == "none" and gfd.replicas == 1
        return NodeSharing(sharing="exclusive" if alone else _known(gfd.strategy), replicas=gfd.replicas, shared=not alone)
    if cloud.gke and not gfd.is_present:
        replicas = cloud.replicas if cloud.sharing else 1
        return NodeSharing(sharing=cloud.sharing or "exclusive", replicas=replicas, shared=bool(cloud.sharing))
    if wanted.config is not None and not gfd.is_present and not claims.pools_missing:
        replicas = wanted.replicas(labels.NVIDIA_GPU)
        alone = replicas == 1
        return NodeSharing(sharing="exclusive" if alone else _known(wanted.config.sharing), replicas=replicas, shared=not alone)
    return NodeSharing(sharing=None, replicas=None, shared=None)


def _known(way: str) -> str | None:
    return way if way in _VERBS else None


def mode(
    claims: NodeClaims, layout: PartitionLayout, shared: NodeSharing, resources_of_node: NodeResources, physical: Physical
) -> str:
    """Returns the mode in words. "Unknown" where neither partitioning nor sharing is known."""
    cards = None if physical.lower_bound else physical.count
    if claims.labels_vanished and claims.previous is not None and claims.previous.mode:
        return claims.previous.mode
    if claims.gfd.mig_invalid:
        return "MIG invalid"
    if physical.count == 0 and not claims.capacity:
        return "No GPU"
    kinds = {slots.kind for slots in resources_of_node.resources if slots.capacity}
    if kinds and kinds <= {"passthrough"}:
        return "Passthrough to VMs"
    if kinds and kinds <= {"vgpu"}:
        return "vGPUs for VMs"
    if claims.dra is not None and claims.dra.shares:
        return claims.dra.shares
    if claims.dra is not None and claims.dra.cut_on_demand:
        return claims.dra.cut_on_demand
    if claims.dra is not None and claims.dra.partitions:
        return _partitioned(claims.dra)
    if claims.facts.partition not in ("", "SPX"):
        per_card = claims.facts.devices_per_card
        mixed = claims.facts.partition == "mixed"
        return "Partitioned" if mixed else f"Partitioned {claims.facts.partition}" + (f" ×{per_card}" if per_card else "")
    if layout.partitioning in (SINGLE, MIXED):
        return _mig(layout, shared, whole_cards(claims, resources_of_node), cards)
    if shared.shared:
        verb = _VERBS.get(shared.sharing or "", "Shared")
        return f"{verb} ×{shared.replicas}" if shared.replicas else verb
    if shared.sharing == "exclusive" and layout.partitioning is not None:
        return "Full GPU"
    if claims.dra is not None and layout.partitioning is None:
        return "DRA"
    return "Unknown"


def _partitioned(seen: DraView) -> str:
    """Returns the mode of the parts, and their number per GPU where all GPUs are partitioned alike."""
    modes = set(seen.partitions)
    words = " ".join(["Partitioned", *(modes if len(modes) == 1 else ())]).strip()
    cut_all = all(slots.kind == "dra-partition" for slots in seen.resources) and seen.cards_known
    per_card, left = divmod(len(seen.partitions), len(seen.cards))
    whole = sum(slots.capacity or 0 for slots in seen.resources) != len(seen.partitions)
    return words if not cut_all or left or whole or len(modes) > 1 else f"{words} ×{per_card}"


def parts(claims: NodeClaims, resources_of_node: NodeResources, effective_by_name: dict[str, EffectiveSharing]) -> str:
    """Returns what slots are parts of, other than MIG instances.

    `vgpu`, `guest` (this machine's own GPUs are vGPUs), `partition`, or possibly of GPUs (`excess`: more slots than the
    counted GPUs make); empty for none.
    """
    kinds = {
        slots.kind for slots in resources_of_node.resources if slots.capacity and slots.name not in resources_of_node.duplicates
    }
    if claims.dra is not None and claims.dra.shares:
        return "memory" if "memory" in claims.dra.shares else "share"
    if "vgpu" in kinds:
        return "vgpu"
    if claims.dra is not None and claims.dra.cut_on_demand:
        return "cut"
    if kinds & {"partition", "dra-partition"} or (claims.dra is not None and claims.dra.partitions):
        return "partition"
    excess = any(
        effective.verdict == SharingVerdict.EXCESS
        for name, effective in effective_by_name.items()
        if name not in resources_of_node.duplicates
    )
    return "guest" if claims.gfd.vgpu else "excess" if excess and not claims.gfd.mig else ""


def whole_cards(claims: NodeClaims, resources_of_node: NodeResources) -> int:
    """Returns whole GPUs advertised beside MIG instances."""
    if claims.dra is not None:
        return sum(1 for card in claims.dra.cards if not card.mig_enabled)
    plain = [slots for slots in resources_of_node.resources if slots.kind in ("gpu", "shared") and slots.capacity]
    return sum(
        (slots.capacity or 0) // (slots.replicas or 1) for slots in plain if slots.name not in resources_of_node.duplicates
    )


def _mig(layout: PartitionLayout, shared: NodeSharing, whole: int, cards: int | None) -> str:
    """Returns the instances per GPU where all partitioned GPUs can have the same; else all of the node's, marked as such."""
    if shared.shared:
        verb = {"time-slicing": "time-sliced", "mps": "MPS"}.get(shared.sharing or "", "shared")
        return f"MIG + {verb} ×{shared.replicas}" if shared.replicas else f"MIG + {verb}"
    instances = layout.mig_instances
    if not instances:
        return "MIG without instances" if instances is not None else "MIG"
    whole = whole if layout.partitioning == MIXED else 0
    cut = cards - whole if cards is not None else 0
    alike = cut > 0 and all(count % cut == 0 for count in instances.values())
    per_card = {profile: count // cut for profile, count in instances.items()} if alike else instances
    text = "MIG " + " + ".join(f"{per_card[profile]}×{profile}" for profile in sorted(per_card, key=sort_key))
    if not alike:
        text += " in all" + (f" + {whole} full GPU" + ("s" if whole > 1 else "") if whole else "")
    elif whole:
        text += f" on {cut} of {cards} GPUs"
    return text if len(text) <= _LONGEST else f"MIG {sum(instances.values())} instances of {len(instances)} profiles"
