"""The cards and MIG instances that telemetry names on a node: exporters know each by its UUID, labels only count them.

What is remembered counts with what is seen: a card that fell off the bus is gone from the exporter's page, not from the machine.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from fleet.domain.catalog.gpus import find
from fleet.domain.mig import canonical
from fleet.domain.telemetry import DeviceSample, PodRef


class SeenInstance(msgspec.Struct, frozen=True, kw_only=True):
    """One MIG instance as an exporter names it. `holder` is the one pod said to hold it, if just one is."""

    gi_id: str
    profile: str
    holder: PodRef | None = None


class SeenCard(msgspec.Struct, frozen=True, kw_only=True):
    """One physical card as an exporter names it, or did until lately."""

    uuid: str
    product: str = ""
    """In the catalogue's spelling, where it knows the model."""
    memory_mib: int | None = None
    pci_bus_id: str = ""
    instances: tuple[SeenInstance, ...] = ()
    lost: bool = False
    """It was named here before, and nothing of it is measured any more."""


def learn_uuids(known: Sequence[str], present: Iterable[str], expected: int | None = None) -> tuple[str, ...]:
    """The UUIDs of a node's cards after one more look at them, in order.

    As many as before or more, and those are the cards: what is not among them was replaced. Fewer, and missing ones are still
    expected, unless somebody declared that so few are all (`expected`); as many of them as there is room for: where a new card
    is there too, it stands in place of one of the old.
    """
    now = set(present)
    if not now:
        return tuple(known)
    enough = expected is not None and len(now) >= expected
    gone = sorted(set(known) - now)
    return tuple(sorted(now.union([] if enough else gone[: max(len(known) - len(now), 0)])))


def present_uuids(samples: Iterable[DeviceSample]) -> set[str]:
    """UUIDs of the cards of which something is measured."""
    return {sample.uuid for sample in samples if sample.is_measured}


def see(
    samples: Sequence[DeviceSample],
    remembered: Sequence[DeviceSample] = (),
    known: Sequence[str] = (),
    expected: int | None = None,
) -> tuple[SeenCard, ...]:
    """The node's cards by bus address. `samples` are of this look, `remembered` the newest before it; `known` the UUIDs named
    before; `expected` the number somebody declared."""
    newest = samples or remembered
    present = present_uuids(newest)
    wanted = learn_uuids(known, present, expected)
    by_uuid: dict[str, list[DeviceSample]] = {uuid: [] for uuid in wanted}
    for sample in newest:
        if sample.uuid in by_uuid:
            by_uuid[sample.uuid].append(sample)
    told = {uuid for uuid, found in by_uuid.items() if found}
    for sample in remembered:
        if sample.uuid in by_uuid and sample.uuid not in told:
            by_uuid[sample.uuid].append(sample)
    cards = [_card(uuid, found, lost=uuid not in present) for uuid, found in by_uuid.items()]
    return tuple(sorted(cards, key=lambda card: (card.pci_bus_id, card.uuid)))


def _card(uuid: str, found: Sequence[DeviceSample], *, lost: bool) -> SeenCard:
    model = next((sample.model for sample in found if sample.model), "")
    known = find(model)
    instances = [
        SeenInstance(
            gi_id=sample.gi_id,
            profile=canonical(sample.profile),
            holder=sample.pods[0] if len(sample.pods) == 1 else None,
        )
        for sample in found
        if sample.gi_id
    ]
    return SeenCard(
        uuid=uuid,
        product=known.product if known else "-".join(model.split()),
        memory_mib=known.memory_mib if known else None,
        pci_bus_id=next((sample.pci_bus_id for sample in found if sample.pci_bus_id), ""),
        instances=() if lost else tuple(sorted(instances, key=lambda one: (one.profile, len(one.gi_id), one.gi_id))),
        lost=lost,
    )
