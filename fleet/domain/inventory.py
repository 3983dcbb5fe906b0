"""The lists of cards and MIG instances: named by DRA, exporters or the kubelet where possible, else as many as were counted."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence

from fleet.domain import labels
from fleet.domain.cards import MOST_LISTED, Card, MigDevice
from fleet.domain.layout import NONE, SINGLE, Layout
from fleet.domain.mig import sort_key
from fleet.domain.naming import Identity
from fleet.domain.physical import Physical
from fleet.domain.reading import Reading
from fleet.domain.requests import holds
from fleet.domain.seen import SeenInstance
from fleet.domain.snapshot import PodSnapshot

_UUID = re.compile(r"((?:GPU|MIG)-[0-9A-Za-z-]{1,80})(?:::\d+)?", re.ASCII)


def list_cards(
    reading: Reading, layout: Layout, physical: Physical, identity: Identity, pods: Sequence[PodSnapshot] | None
) -> tuple[Card, ...]:
    """One entry per physical GPU. Exporters name cards, and the kubelet those that containers hold (KEP-4680); the rest are
    only counted."""
    if physical.source == "resource_slice" and reading.dra is not None:
        return reading.dra.cards
    if physical.count is None or physical.count > MOST_LISTED:
        return ()
    mig_enabled = _mig_enabled(reading, layout)
    product = identity.product if len(identity.products) <= 1 else ""
    held = _named(pods, "GPU-")
    cards = [
        Card(
            uuid=seen.uuid,
            product=seen.product or product,
            memory_mib=seen.memory_mib or identity.memory_mib,
            pci_bus_id=seen.pci_bus_id,
            source="dcgm" if reading.vendor == "nvidia" else "exporter",
            mig_enabled=True if seen.instances else mig_enabled,
            held=True if seen.uuid in held else None,
        )
        for seen in reading.seen
    ]
    seen_uuids = {card.uuid for card in cards}
    cards += [
        Card(uuid=uuid, product=product, memory_mib=identity.memory_mib, source="pod", mig_enabled=mig_enabled, held=True)
        for uuid in held
        if uuid not in seen_uuids
    ]
    counted = Card(product=product, memory_mib=identity.memory_mib, source=physical.source, mig_enabled=mig_enabled)
    return (*cards, *[counted] * (physical.count - len(cards)))[: physical.count]


def list_mig_devices(reading: Reading, layout: Layout, pods: Sequence[PodSnapshot] | None) -> tuple[MigDevice, ...]:
    """One entry per MIG instance that exists, small profiles first."""
    if reading.dra is not None:
        return reading.dra.mig_devices
    instances = layout.mig_instances or {}
    if sum(instances.values()) > MOST_LISTED:
        return ()
    by_exporter = _seen_instances(reading, instances)
    named = _named(pods, "MIG-") if len(instances) == 1 and not by_exporter else []
    of_pod = _mig_by_pod(pods)
    listed = []
    for profile in sorted(instances, key=sort_key):
        told = reading.gfd.mig.get(profile)
        memory = told.memory_mib if told else reading.gfd.memory_mib if layout.partitioning == SINGLE else None
        if by_exporter:
            for card, seen in by_exporter[profile]:
                uuid = of_pod.get((seen.holder.namespace, seen.holder.pod), "") if seen.holder else ""
                listed.append(
                    MigDevice(
                        profile=profile,
                        uuid=uuid,
                        parent_uuid=card,
                        gi_id=seen.gi_id,
                        memory_mib=memory,
                        source="dcgm",
                        held=True if uuid else None,
                    )
                )
            continue
        for position in range(instances[profile]):
            known = position < len(named)
            listed.append(
                MigDevice(
                    profile=profile,
                    uuid=named[position] if known else "",
                    memory_mib=memory,
                    source="pod" if known else "label" if reading.gfd.found else "capacity",
                    held=True if known else None,
                )
            )
    return tuple(listed)


def _seen_instances(reading: Reading, instances: dict[str, int]) -> dict[str, list[tuple[str, SeenInstance]]]:
    """Profile to (card, instance) as exporters name them; empty unless they tell of just the instances that are offered."""
    found: dict[str, list[tuple[str, SeenInstance]]] = defaultdict(list)
    for card in reading.seen:
        for one in card.instances:
            found[one.profile].append((card.uuid, one))
    return found if {profile: len(those) for profile, those in found.items()} == instances else {}


def _mig_by_pod(pods: Sequence[PodSnapshot] | None) -> dict[tuple[str, str], str]:
    """(namespace, name) to the one MIG instance that the kubelet says the pod holds."""
    held = {(pod.namespace, pod.name): _named([pod], "MIG-") for pod in pods or () if pod.devices}
    return {key: uuids[0] for key, uuids in held.items() if len(uuids) == 1}


def _mig_enabled(reading: Reading, layout: Layout) -> bool | None:
    """Whether every card is in MIG mode; None where some may be."""
    if layout.partitioning == SINGLE or reading.gfd.replicas == 0:
        return True
    return False if layout.partitioning == NONE or reading.gfd.mig_capable is False else None


def _named(pods: Sequence[PodSnapshot] | None, prefix: str) -> list[str]:
    """Distinct device uuids that the kubelet says running containers hold, without the replica number of shares."""
    found = set()
    for pod in pods or ():
        if pod.devices and holds(pod):
            for device in pod.devices:
                match = _UUID.fullmatch(device.device_id)
                if match and match[1].startswith(prefix) and labels.is_gpu_resource(device.resource):
                    found.add(match[1])
    return sorted(found)
