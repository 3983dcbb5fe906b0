"""The lists of cards and MIG instances: named by DRA or by the kubelet where possible, else as many as were counted."""

from __future__ import annotations

import re
from collections.abc import Sequence

from fleet.domain import labels
from fleet.domain.cards import MOST_LISTED, Card, MigDevice
from fleet.domain.layout import NONE, SINGLE, Layout
from fleet.domain.mig import sort_key
from fleet.domain.naming import Identity
from fleet.domain.physical import Physical
from fleet.domain.reading import Reading
from fleet.domain.requests import holds
from fleet.domain.snapshot import PodSnapshot

_UUID = re.compile(r"((?:GPU|MIG)-[0-9A-Za-z-]{1,80})(?:::\d+)?", re.ASCII)


def list_cards(
    reading: Reading, layout: Layout, physical: Physical, identity: Identity, pods: Sequence[PodSnapshot] | None
) -> tuple[Card, ...]:
    """One entry per physical GPU. The kubelet names cards that containers hold (KEP-4680); the rest are only counted."""
    if physical.source == "resource_slice" and reading.dra is not None:
        return reading.dra.cards
    if physical.count is None or physical.count > MOST_LISTED:
        return ()
    mig_enabled = _mig_enabled(reading, layout)
    named = _named(pods, "GPU-")[: physical.count]
    return tuple(
        Card(
            uuid=named[position] if position < len(named) else "",
            product=identity.product if len(identity.products) <= 1 else "",
            memory_mib=identity.memory_mib,
            source="pod" if position < len(named) else physical.source,
            mig_enabled=mig_enabled,
            held=True if position < len(named) else None,
        )
        for position in range(physical.count)
    )


def list_mig_devices(reading: Reading, layout: Layout, pods: Sequence[PodSnapshot] | None) -> tuple[MigDevice, ...]:
    """One entry per MIG instance that exists, small profiles first."""
    if reading.dra is not None:
        return reading.dra.mig_devices
    instances = layout.mig_instances or {}
    if sum(instances.values()) > MOST_LISTED:
        return ()
    named = _named(pods, "MIG-") if len(instances) == 1 else []
    listed = []
    for profile in sorted(instances, key=sort_key):
        told = reading.gfd.mig.get(profile)
        memory = told.memory_mib if told else reading.gfd.memory_mib if layout.partitioning == SINGLE else None
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
