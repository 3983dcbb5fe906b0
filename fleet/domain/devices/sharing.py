"""Effective sharing of a node's GPUs: slots per device, and by which means.

Labels and configuration declare it; the capacity shows what the device plugin did. Where they differ, the capacity decides, and
where it cannot, sharing is unknown.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from fleet.domain import labels
from fleet.domain.devices.claims import NodeClaims
from fleet.domain.devices.sources.dra_claims import Sharers

MOST_CARDS = 16
"""Most GPUs of a machine on the market: a larger result is unknown."""


_NOBODY = Sharers()


class SharingVerdict(StrEnum):
    """How the slots of a resource follow from its devices."""

    AGREED = "agreed"
    """devices × the label's replicas = capacity."""
    CONFIGURED = "configured"
    """devices × the configuration's replicas = capacity; the labels say otherwise."""
    OBSERVED = "observed"
    """The capacity is a whole multiple of the devices, and nothing declares otherwise."""
    CONTRADICTED = "contradicted"
    """The capacity is a whole multiple of the devices, but not the declared one."""
    MISSING = "missing"
    """Fewer slots than the devices should make."""
    EXCESS = "excess"
    """More slots than the labelled devices can make: other products beside them, or undeclared sharing."""
    UNCLEAR = "unclear"
    """Two explanations fit, or none does."""
    UNTESTED = "untested"
    """No slots or no device count to compare with."""


class EffectiveSharing(msgspec.Struct, frozen=True, kw_only=True):
    """Slots per device of one resource, and how they were determined."""

    replicas: int | None
    verdict: SharingVerdict
    label: int | None = None
    config: int | None = None
    devices: int | None = None
    together: tuple[str, ...] = ()
    """Names that advertise these devices between them (renamed resources): the verdict is about the sum of their slots."""


def effective_sharing(*, capacity: int | None, devices: int | None, label: int | None, config: int | None) -> EffectiveSharing:
    """Returns the slots per device from the declarations (label, configuration) and the capacity.

    `label` 0 means that GFD found sharing not applicable, and counts as not declared.
    """
    label = label or None
    config = config or None

    def result(replicas: int | None, verdict: SharingVerdict) -> EffectiveSharing:
        if verdict == SharingVerdict.CONTRADICTED and config is not None and config != replicas:
            # The slots do not follow from the configuration, and no label supports either: undecided.
            replicas, verdict = None, SharingVerdict.UNCLEAR
        return EffectiveSharing(replicas=replicas, verdict=verdict, label=label, config=config, devices=devices)

    announced = label or config
    if not capacity or not devices:
        return result(announced, SharingVerdict.UNTESTED)
    if label and devices * label == capacity:
        return result(label, SharingVerdict.AGREED)
    if config and devices * config == capacity:
        return result(config, SharingVerdict.CONFIGURED if label else SharingVerdict.AGREED)
    multiple = capacity // devices if capacity % devices == 0 else None
    if announced is None and capacity < devices:
        return result(1, SharingVerdict.MISSING)  # not even one slot for each: as few as there would be without sharing
    if announced is None:
        return result(multiple, SharingVerdict.OBSERVED if multiple else SharingVerdict.UNCLEAR)
    if capacity > devices * max(label or 1, config or 1):
        return result(*_excess(capacity, announced, multiple, settled=label is None or config in (None, label)))
    whole_devices = capacity % announced == 0
    if multiple and whole_devices:
        return result(*_lag_or_loss(devices - capacity // announced, announced, multiple, settled=label == config))
    if multiple:
        return result(multiple, SharingVerdict.CONTRADICTED)
    return result(announced if whole_devices else None, SharingVerdict.MISSING if whole_devices else SharingVerdict.UNCLEAR)


def _lag_or_loss(lost: int, announced: int, multiple: int, *, settled: bool) -> tuple[int | None, SharingVerdict]:
    """Fewer slots than announced, and two readings: other replicas on every device, or `lost` devices without slots.

    A label and a configuration that agree speak for the loss, except where the plugin plainly ignores both (one slot per
    device). Without a configuration, one lost device is as likely as a changed setting; several at once are not, for GFD,
    which looks at the same devices every minute, still counts them.
    """
    if settled and multiple != 1:
        return announced, SharingVerdict.MISSING
    return (None, SharingVerdict.UNCLEAR) if lost == 1 else (multiple, SharingVerdict.CONTRADICTED)


def _excess(capacity: int, announced: int, multiple: int | None, *, settled: bool) -> tuple[int | None, SharingVerdict]:
    if not settled:
        return None, SharingVerdict.EXCESS  # label and configuration differ, and neither explains the slots
    if capacity % announced == 0 and capacity // announced <= MOST_CARDS:
        return announced, SharingVerdict.EXCESS
    return (multiple, SharingVerdict.CONTRADICTED) if multiple else (None, SharingVerdict.UNCLEAR)


def means(claims: NodeClaims, resource: str, replicas: int | None, verdict: SharingVerdict) -> str | None:
    """Returns how a resource is shared: exclusive, time-slicing or mps; None where unknown."""
    if claims.fractions.means and labels.is_share_resource(resource):
        return claims.fractions.means
    strategy = label_strategy(claims, resource)
    if replicas == 1 and not resource.endswith(".shared"):
        return "exclusive"
    wanted = claims.wanted.config.sharing if claims.wanted.config else claims.cloud.sharing
    if verdict == SharingVerdict.CONFIGURED and wanted:
        return wanted
    if claims.wanted.config is not None and {strategy, wanted} == {"time-slicing", "mps"}:
        return None  # two means are declared, and slots show neither
    if strategy in ("time-slicing", "mps"):
        return strategy
    if wanted in ("time-slicing", "mps"):
        return wanted
    shares = (replicas or 0) > 1 or resource.endswith(".shared") or claims.gfd.shared_suffix
    if shares and claims.gfd.is_present and strategy is None:
        # GFD writes mps.capable=true only where MPS is configured, and a GFD that writes neither label is older than MPS.
        return {None: "time-slicing", "true": "mps"}.get(claims.gfd.mps_capable)
    return None


def label_strategy(claims: NodeClaims, resource: str) -> str | None:
    status = claims.resources.get(resource)
    if status is not None and status.profile in claims.gfd.mig:
        return claims.gfd.mig[status.profile].strategy
    return claims.gfd.strategy


def isolation(
    partitioning: str | None,
    sharing: str | None,
    *,
    shared: bool | None,
    whole_cards_too: bool,
    parts: str = "",
    sharers: Sharers | None = _NOBODY,
) -> str:
    """Returns one sentence on the isolation of workloads on this node.

    `shared` is whether slots share devices, where that is known although the means is not. `parts` states that slots are parts of
    GPUs other than MIG instances (modes.parts); `sharers` which devices several workloads use, None where unknown.
    """
    mig = partitioning in ("mig-single", "mig-mixed")
    if parts in ("share", "memory"):
        return _PARTS[parts]
    if sharers is not None and sharers.by_claims + sharers.by_pods:
        return _held_together(sharers.by_claims + sharers.by_pods, mig=mig)
    if mig and sharing == "time-slicing":
        return (
            "MIG keeps memory and faults of different instances apart; workloads that share one instance by time-slicing "
            "are not isolated from each other."
        )
    if sharing == "time-slicing":
        return "Time-slicing isolates nothing: workloads on a GPU share its memory, and one that fails can take the others down."
    if sharing == "mps":
        return "MPS limits memory and compute per client but no faults: one client's fault can end all others on the GPU."
    if sharing is None and shared:
        return "Slots share GPUs in a way that no source describes: expect no isolation of memory or faults."
    if parts and sharing == "exclusive":
        return _PARTS[parts]
    if mig and sharing == "exclusive":
        extra = " The whole GPUs belong to one workload each." if whole_cards_too else ""
        return f"Each MIG instance has its own memory and faults: other instances of the GPU are not affected.{extra}"
    if sharing == "exclusive" and partitioning == "none":
        if sharers is None:
            return "Each slot is a whole GPU. Whether several pods use one through a claim is unknown: claims could not be read."
        return "Each slot is a whole GPU: nothing is shared between workloads."
    return "It is unknown whether slots of this node share GPUs."


def _held_together(devices: int, *, mig: bool) -> str:
    noun = "GPU or MIG instance" if mig else "device"
    shared = f"1 {noun} is" if devices == 1 else f"{devices} {noun.replace('GPU', 'GPUs')}s are"
    return (
        f"{shared} shared: several pods or claims use the same one, without known isolation of memory or faults. "
        "Each of the others belongs to one workload."
    )


_PARTS = {
    "share": "Slots are shares of a GPU: the number of claims is limited, not what each of them uses. Expect no isolation of "
    "memory or faults.",
    "memory": "Slots are shares of a GPU's memory: the scheduler counts the MiB that claims take, but does not enforce them. "
    "Expect no isolation of memory or faults.",
    "cut": "Each slot is a GPU that is partitioned on demand: each partition has its own memory and belongs to one claim.",
    "vgpu": "A vGPU is a part of a GPU with its own memory. Unless a MIG instance backs it, it shares the GPU's "
    "compute and faults with other machines.",
    "guest": "This machine's GPUs are vGPUs, parts of GPUs on its host: other workloads on those are not visible to Kubernetes. "
    "In this machine each belongs to one workload.",
    "excess": "Each slot should be a whole GPU, but there are more slots than counted GPUs: a second product, or "
    "shares that no source reports.",
    "partition": "Each slot is a partition of a GPU with its own compute units. Whether its memory is isolated depends on the "
    "GPU's memory mode; faults of the GPU are shared.",
}
