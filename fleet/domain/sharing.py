"""How a node shares its GPUs: how many slots per device are in force, and by which means.

Labels and configuration say what somebody meant; the capacity says what the device plugin did. Where they differ, the capacity
decides, and where it cannot, nobody knows.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from fleet.domain.reading import Reading
from fleet.domain.sources.dra_claims import Sharers

MOST_CARDS = 16
"""No machine on the market holds more GPUs. Used only to say "unknown" instead of something absurd."""


_NOBODY = Sharers()


class Verdict(StrEnum):
    """How the slots of a resource follow from its devices."""

    AGREED = "agreed"
    """devices × the label's replicas = capacity."""
    CONFIGURED = "configured"
    """devices × the configuration's replicas = capacity; the labels say otherwise."""
    OBSERVED = "observed"
    """The capacity is a whole multiple of the devices, and nobody says otherwise."""
    CONTRADICTED = "contradicted"
    """The capacity is a whole multiple of the devices, but not the one that was announced."""
    MISSING = "missing"
    """Fewer slots than the devices should make."""
    EXCESS = "excess"
    """More slots than the labelled devices can make: other products beside them, or sharing that nobody told of."""
    UNCLEAR = "unclear"
    """Two explanations fit, or none."""
    UNTESTED = "untested"
    """No slots or no device count to hold it against."""


class InForce(msgspec.Struct, frozen=True, kw_only=True):
    """Slots per device of one resource, and how that was found."""

    replicas: int | None
    verdict: Verdict
    label: int | None = None
    config: int | None = None
    devices: int | None = None
    together: tuple[str, ...] = ()
    """Names that offer these devices between them (renamed resources): the verdict is about the sum of their slots."""


def in_force(*, capacity: int | None, devices: int | None, label: int | None, config: int | None) -> InForce:
    """Slots per device from what was announced (by label, by configuration) and what is there.

    `label` 0 means that GFD found sharing not applicable, and counts as not told.
    """
    label = label or None
    config = config or None

    def found(replicas: int | None, verdict: Verdict) -> InForce:
        return InForce(replicas=replicas, verdict=verdict, label=label, config=config, devices=devices)

    announced = label or config
    if not capacity or not devices:
        return found(announced, Verdict.UNTESTED)
    if label and devices * label == capacity:
        return found(label, Verdict.AGREED)
    if config and devices * config == capacity:
        return found(config, Verdict.CONFIGURED if label else Verdict.AGREED)
    multiple = capacity // devices if capacity % devices == 0 else None
    if announced is None:
        return found(multiple, Verdict.OBSERVED if multiple else Verdict.MISSING)
    if capacity > devices * max(label or 1, config or 1):
        return found(*_excess(capacity, announced, multiple))
    whole_devices = capacity % announced == 0
    if multiple and whole_devices:
        return found(*_lag_or_loss(devices - capacity // announced, announced, multiple, settled=label == config))
    if multiple:
        return found(multiple, Verdict.CONTRADICTED)
    return found(announced if whole_devices else None, Verdict.MISSING if whole_devices else Verdict.UNCLEAR)


def _lag_or_loss(lost: int, announced: int, multiple: int, *, settled: bool) -> tuple[int | None, Verdict]:
    """Fewer slots than announced, and two readings: other replicas on every device, or `lost` devices without slots.

    A label and a configuration that agree speak for the loss, except where the plugin plainly ignores both (one slot per
    device). Without a configuration, one lost device is as likely as a changed setting; several at once are not, for GFD,
    which looks at the same devices every minute, still counts them.
    """
    if settled and multiple != 1:
        return announced, Verdict.MISSING
    return (None, Verdict.UNCLEAR) if lost == 1 else (multiple, Verdict.CONTRADICTED)


def _excess(capacity: int, announced: int, multiple: int | None) -> tuple[int | None, Verdict]:
    if capacity % announced == 0 and capacity // announced <= MOST_CARDS:
        return announced, Verdict.EXCESS
    return (multiple, Verdict.CONTRADICTED) if multiple else (None, Verdict.UNCLEAR)


def means(reading: Reading, resource: str, replicas: int | None, verdict: Verdict) -> str | None:
    """How a resource is shared: exclusive, time-slicing or mps; None where that cannot be known."""
    strategy = _label_strategy(reading, resource)
    if replicas == 1 and not resource.endswith(".shared"):
        return "exclusive"
    wanted = reading.wanted.config.sharing if reading.wanted.config else reading.cloud.sharing
    if verdict == Verdict.CONFIGURED and wanted:
        return wanted
    if strategy in ("time-slicing", "mps"):
        return strategy
    if wanted in ("time-slicing", "mps"):
        return wanted
    shares = (replicas or 0) > 1 or resource.endswith(".shared") or reading.gfd.shared_suffix
    if shares and reading.gfd.found and strategy is None:
        # GFD writes mps.capable=true only where MPS is configured, and a GFD that writes neither label is older than MPS.
        return {None: "time-slicing", "true": "mps"}.get(reading.gfd.mps_capable)
    return None


def _label_strategy(reading: Reading, resource: str) -> str | None:
    offer = reading.offers.get(resource)
    if offer is not None and offer.profile in reading.gfd.mig:
        return reading.gfd.mig[offer.profile].strategy
    return reading.gfd.strategy


def isolation(
    partitioning: str | None,
    sharing: str | None,
    *,
    shared: bool | None,
    whole_cards_too: bool,
    parts: str = "",
    sharers: Sharers | None = _NOBODY,
) -> str:
    """One plain sentence: what workloads on this node are kept apart by.

    `shared` is whether slots share devices, where that is known although the means is not. `parts` tells that slots are parts
    of cards other than MIG instances (modes.parts); `sharers` which devices several workloads hold, None where nobody knows.
    """
    mig = partitioning in ("mig-single", "mig-mixed")
    if sharers is not None and sharers.by_claims + sharers.by_pods:
        return _held_together(sharers.by_claims + sharers.by_pods, mig=mig)
    if mig and sharing == "time-slicing":
        return (
            "MIG keeps memory and faults of different instances apart; workloads that share one instance by time-slicing "
            "are not isolated from each other."
        )
    if sharing == "time-slicing":
        return "Time-slicing isolates nothing: workloads on a card share its memory, and one that fails can take the others down."
    if sharing == "mps":
        return (
            "MPS limits memory and compute per client but isolates no faults: one client's fault can end all others on the card."
        )
    if sharing is None and shared:
        return "Slots share cards by means that nobody names: count on no isolation of memory or faults."
    if parts and sharing == "exclusive":
        return _PARTS[parts]
    if mig and sharing == "exclusive":
        extra = " Whole cards beside them belong to one workload each." if whole_cards_too else ""
        return f"Each MIG instance has its own memory and faults; other instances of the card are not touched.{extra}"
    if sharing == "exclusive" and partitioning == "none":
        if sharers is None:
            return "Each slot is a whole card; whether several pods use one through a claim is unknown: claims could not be read."
        return "Each slot is a whole card: nothing is shared between workloads."
    return "Unknown: nothing tells whether slots of this node share cards."


def _held_together(devices: int, *, mig: bool) -> str:
    noun = "card or MIG instance" if mig else "device"
    shared = f"1 {noun} is" if devices == 1 else f"{devices} {noun.replace('card', 'cards')}s are"
    return (
        f"{shared} shared: several pods or claims hold the same one, and nothing known keeps their memory and faults apart. "
        "Every other belongs to one workload."
    )


_PARTS = {
    "vgpu": "A vGPU is a part of a card with memory of its own; unless a MIG instance stands behind it, it shares the card's "
    "compute and faults with other machines.",
    "guest": "This machine's GPUs are vGPUs, parts of cards on its host: what else runs on those cards cannot be seen from here. "
    "In this machine each belongs to one workload.",
    "excess": "Each slot should be a whole card, but there are more of them than counted cards: another product beside them, or "
    "shares that nobody tells of.",
    "partition": "Each slot is a partition of a card: its compute units are its own, but whether its memory is depends on the "
    "card's memory mode, and the card's faults are shared.",
}
