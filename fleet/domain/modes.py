"""The mode of a node in words: Full GPU, MIG 7×1g.10gb (per card), Time-sliced ×4, MPS ×8, MIG + time-sliced ×2."""

from __future__ import annotations

import msgspec

from fleet.domain import labels
from fleet.domain.layout import MIXED, SINGLE, Layout
from fleet.domain.mig import sort_key
from fleet.domain.offering import Offering
from fleet.domain.physical import Physical
from fleet.domain.reading import Reading
from fleet.domain.sharing import InForce, Verdict, means
from fleet.domain.sources.dra import DraView
from fleet.domain.sources.dra_claims import Sharers

_LONGEST = 100
_VERBS = {"time-slicing": "Time-sliced", "mps": "MPS"}


class NodeSharing(msgspec.Struct, frozen=True, kw_only=True):
    """Sharing of the node as a whole."""

    sharing: str | None
    """exclusive, time-slicing or mps; None when unknown or when shares exist and nobody says by which means."""
    replicas: int | None
    """Slots per device; None when unknown or when resources differ."""
    shared: bool | None
    """Whether anything is shared at all."""


def node_sharing(reading: Reading, forces: dict[str, InForce], offering: Offering) -> NodeSharing:
    """Sharing over the resources the node offers; over those it should offer where it offers none."""
    if reading.dra is not None:
        return _by_claims(reading.dra.sharers)
    counted = [slots for slots in offering.resources if slots.name not in offering.leave_out]
    counted = [slots for slots in counted if slots.capacity] or [slots for slots in counted if slots.replicas]
    found: list[tuple[int | None, str | None, bool]] = []
    for slots in counted:
        force = forces.get(slots.name)
        verdict = force.verdict if force else Verdict.UNTESTED
        shared = (slots.replicas or 1) > 1 or slots.kind in ("shared", "mig-shared")
        found.append((slots.replicas, means(reading, slots.name, slots.replicas, verdict), shared))
    if not found:
        return _announced(reading)
    replicas = {one for one, _, _ in found}
    ways = {way for _, way, _ in found}
    shared_ways = ways - {"exclusive"}
    way = shared_ways.pop() if len(shared_ways) == 1 else None if shared_ways else "exclusive"
    unknown = None in replicas and not any(shared for _, _, shared in found) and way is None
    return NodeSharing(
        sharing=way,
        replicas=replicas.pop() if len(replicas) == 1 else None,
        shared=None if unknown else way != "exclusive",
    )


def _by_claims(sharers: Sharers | None) -> NodeSharing:
    """DRA hands out whole devices, unless it is seen to give one to several claims. Pods that use one claim share what its
    owner was given whole: that is no way of the node's, and must not take it out of a pool of exclusive nodes."""
    if sharers is not None and sharers.by_claims:
        return NodeSharing(sharing=None, replicas=None, shared=True)
    return NodeSharing(sharing="exclusive", replicas=1, shared=False)


def _announced(reading: Reading) -> NodeSharing:
    """Where no slot shows what is in force: what labels, GKE or the configuration announce."""
    gfd, wanted, cloud = reading.gfd, reading.wanted, reading.cloud
    if gfd.found and gfd.replicas and gfd.strategy:
        alone = gfd.strategy == "none" and gfd.replicas == 1
        return NodeSharing(sharing="exclusive" if alone else _known(gfd.strategy), replicas=gfd.replicas, shared=not alone)
    if cloud.gke and not gfd.found:
        replicas = cloud.replicas if cloud.sharing else 1
        return NodeSharing(sharing=cloud.sharing or "exclusive", replicas=replicas, shared=bool(cloud.sharing))
    if wanted.config is not None and not gfd.found and not reading.pools_missing:
        replicas = wanted.replicas(labels.NVIDIA_GPU)
        alone = replicas == 1
        return NodeSharing(sharing="exclusive" if alone else _known(wanted.config.sharing), replicas=replicas, shared=not alone)
    return NodeSharing(sharing=None, replicas=None, shared=None)


def _known(way: str) -> str | None:
    return way if way in _VERBS else None


def mode(reading: Reading, layout: Layout, shared: NodeSharing, offering: Offering, physical: Physical) -> str:
    """The words people read. "Unknown" where neither partitioning nor sharing can be told."""
    cards = None if physical.lower_bound else physical.count
    if reading.labels_vanished and reading.previous is not None and reading.previous.mode:
        return reading.previous.mode
    if reading.gfd.mig_invalid:
        return "MIG invalid"
    if physical.count == 0 and not reading.capacity:
        return "No GPU"
    kinds = {slots.kind for slots in offering.resources if slots.capacity}
    if kinds and kinds <= {"passthrough"}:
        return "Passthrough to VMs"
    if kinds and kinds <= {"vgpu"}:
        return "vGPUs for VMs"
    if reading.dra is not None and reading.dra.partitions:
        return _partitioned(reading.dra)
    if reading.facts.partition not in ("", "SPX"):
        per_card = reading.facts.devices_per_card
        mixed = reading.facts.partition == "mixed"
        return "Partitioned" if mixed else f"Partitioned {reading.facts.partition}" + (f" ×{per_card}" if per_card else "")
    if layout.partitioning in (SINGLE, MIXED):
        return _mig(layout, shared, whole_cards(reading, offering), cards)
    if shared.shared:
        verb = _VERBS.get(shared.sharing or "", "Shared")
        return f"{verb} ×{shared.replicas}" if shared.replicas else verb
    if shared.sharing == "exclusive" and layout.partitioning is not None:
        return "Full GPU"
    if reading.dra is not None and layout.partitioning is None:
        return "DRA"
    return "Unknown"


def _partitioned(seen: DraView) -> str:
    """The mode of the parts, and how many there are per card where every card is cut alike."""
    modes = set(seen.partitions)
    words = " ".join(["Partitioned", *(modes if len(modes) == 1 else ())]).strip()
    cut_all = all(slots.kind == "dra-partition" for slots in seen.resources) and seen.cards_known
    per_card, left = divmod(len(seen.partitions), len(seen.cards))
    whole = sum(slots.capacity or 0 for slots in seen.resources) != len(seen.partitions)
    return words if not cut_all or left or whole or len(modes) > 1 else f"{words} ×{per_card}"


def parts(reading: Reading, offering: Offering, forces: dict[str, InForce]) -> str:
    """What slots are parts of, other than MIG instances: `vgpu`, `guest` (this machine's own GPUs are vGPUs), `partition`, or
    perhaps of cards (`excess`: there are more of them than counted cards make); empty where they are none."""
    kinds = {slots.kind for slots in offering.resources if slots.capacity and slots.name not in offering.leave_out}
    if "vgpu" in kinds:
        return "vgpu"
    if kinds & {"partition", "dra-partition"} or (reading.dra is not None and reading.dra.partitions):
        return "partition"
    excess = any(force.verdict == Verdict.EXCESS for name, force in forces.items() if name not in offering.leave_out)
    return "guest" if reading.gfd.vgpu else "excess" if excess and not reading.gfd.mig else ""


def whole_cards(reading: Reading, offering: Offering) -> int:
    """Whole cards offered beside MIG instances."""
    if reading.dra is not None:
        return sum(1 for card in reading.dra.cards if not card.mig_enabled)
    plain = [slots for slots in offering.resources if slots.kind in ("gpu", "shared") and slots.capacity]
    return sum((slots.capacity or 0) // (slots.replicas or 1) for slots in plain if slots.name not in offering.leave_out)


def _mig(layout: Layout, shared: NodeSharing, whole: int, cards: int | None) -> str:
    """Instances per card where every cut card can carry the same; else all of the node's, and said to be so."""
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
        text += f" on {cut} of {cards} cards"
    return text if len(text) <= _LONGEST else f"MIG {sum(instances.values())} instances of {len(instances)} profiles"
