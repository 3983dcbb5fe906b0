"""GPUs and MIG instances of a node in telemetry: exporters identify each by its UUID, labels only count them.

Last known GPUs are included: one that fell off the bus is missing from the exporter's page, not from the machine.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from fleet.domain.catalog.gpus import find
from fleet.domain.devices.mig import canonical
from fleet.domain.snapshot.telemetry import DeviceSample, PodRef


class SeenInstance(msgspec.Struct, frozen=True, kw_only=True):
    """One MIG instance as an exporter reports it. `holder` is its pod, if exactly one is reported."""

    gi_id: str
    profile: str
    holder: PodRef | None = None


class MeasuredGpu(msgspec.Struct, frozen=True, kw_only=True):
    """One physical GPU as an exporter reports or last reported it."""

    uuid: str
    product: str = ""
    """In the catalogue's spelling, where it knows the model."""
    memory_mib: int | None = None
    pci_bus_id: str = ""
    instances: tuple[SeenInstance, ...] = ()
    lost: bool = False
    """Whether it was reported before, and nothing of it is measured any more."""


def learn_uuids(known: Sequence[str], present: Iterable[str], expected: int | None = None) -> tuple[str, ...]:
    """Returns the UUIDs of a node's GPUs after one more run, in order.

    With as many as before or more, those are the GPUs: missing ones were replaced. With fewer, missing ones stay expected, up to
    the declared number (`expected`); a new GPU replaces a missing one.
    """
    now = set(present)
    if not now:
        return tuple(known)
    enough = expected is not None and len(now) >= expected
    gone = sorted(set(known) - now)
    return tuple(sorted(now.union([] if enough else gone[: max(len(known) - len(now), 0)])))


def present_uuids(samples: Iterable[DeviceSample]) -> set[str]:
    """Returns UUIDs of the GPUs of which something is measured."""
    return {sample.uuid for sample in samples if sample.is_measured}


def see(
    samples: Sequence[DeviceSample],
    remembered: Sequence[DeviceSample] = (),
    known: Sequence[str] = (),
    expected: int | None = None,
) -> tuple[MeasuredGpu, ...]:
    """Returns the node's GPUs by bus address.

    `samples` are of this run, `remembered` the newest before it; `known` the UUIDs of previous runs; `expected` the declared
    number.
    """
    newest = samples or remembered
    present = present_uuids(newest)
    wanted = learn_uuids(known, present, expected)
    by_uuid: dict[str, list[DeviceSample]] = {uuid: [] for uuid in wanted}
    for sample in newest:
        if sample.uuid in by_uuid:
            by_uuid[sample.uuid].append(sample)
    sampled = {uuid for uuid, device_samples in by_uuid.items() if device_samples}
    for sample in remembered:
        if sample.uuid in by_uuid and sample.uuid not in sampled:
            by_uuid[sample.uuid].append(sample)
    cards = [_card(uuid, device_samples, lost=uuid not in present) for uuid, device_samples in by_uuid.items()]
    return tuple(sorted(cards, key=lambda card: (card.pci_bus_id, card.uuid)))


def _card(uuid: str, device_samples: Sequence[DeviceSample], *, lost: bool) -> MeasuredGpu:
    model = next((sample.model for sample in device_samples if sample.model), "")
    known = find(model)
    instances = [
        SeenInstance(
            gi_id=sample.gi_id,
            profile=canonical(sample.profile),
            holder=sample.pods[0] if len(sample.pods) == 1 else None,
        )
        for sample in device_samples
        if sample.gi_id
    ]
    return MeasuredGpu(
        uuid=uuid,
        product=known.product if known else "-".join(model.split()),
        memory_mib=known.memory_mib if known else None,
        pci_bus_id=next((sample.pci_bus_id for sample in device_samples if sample.pci_bus_id), ""),
        instances=()
        if lost
        else tuple(sorted(instances, key=lambda instance: (instance.profile, len(instance.gi_id), instance.gi_id))),
        lost=lost,
    )
