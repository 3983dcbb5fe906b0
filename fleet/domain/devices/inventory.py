"""Lists of GPUs and MIG instances: identified by DRA, exporters or the kubelet where possible, else only counted."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence

from fleet.domain import labels
from fleet.domain.catalog.gpus import find, is_same_product
from fleet.domain.devices.claims import NodeClaims
from fleet.domain.devices.counts import Physical
from fleet.domain.devices.gpus import MOST_LISTED, Gpu, MigDevice
from fleet.domain.devices.measured_gpus import MeasuredGpu, SeenInstance
from fleet.domain.devices.mig import find_same, sort_key
from fleet.domain.devices.partitioning import NONE, SINGLE, PartitionLayout
from fleet.domain.devices.product_facts import ProductFacts
from fleet.domain.pod_resources import holds
from fleet.domain.snapshot import PodSnapshot

_UUID = re.compile(r"((?:GPU|MIG)-[0-9A-Za-z-]{1,80})(?:::\d+)?", re.ASCII)


def list_gpus(
    claims: NodeClaims, layout: PartitionLayout, physical: Physical, identity: ProductFacts, pods: Sequence[PodSnapshot] | None
) -> tuple[Gpu, ...]:
    """Returns one entry per physical GPU. Exporters identify GPUs, and the kubelet those assigned to containers (KEP-4680).

    The rest are only counted.
    """
    if physical.source == "resource_slice" and claims.dra is not None:
        return claims.dra.cards
    if physical.count is None or physical.count > MOST_LISTED:
        return ()
    mig_enabled = _mig_enabled(claims, layout)
    product = identity.product if len(identity.products) <= 1 else ""
    held = _named(pods, "GPU-")
    cards = [
        Gpu(
            uuid=measured.uuid,
            product=measured.product or product,
            memory_mib=_memory_of(measured, identity),
            pci_bus_id=measured.pci_bus_id,
            source="dcgm" if claims.vendor == "nvidia" else "exporter",
            mig_enabled=_is_cut(measured, claims, mig_enabled=mig_enabled),
            held=True if measured.uuid in held else None,
        )
        for measured in claims.seen
    ]
    seen_uuids = {card.uuid for card in cards}
    cards += [
        Gpu(
            uuid=gpu.uuid,
            product=gpu.product or product,
            memory_mib=gpu.memory_mib,
            source="annotation",
            mig_enabled=mig_enabled,
            held=True if gpu.uuid in held else None,
        )
        for gpu in claims.fractions.gpus
        if gpu.uuid not in seen_uuids
    ]
    seen_uuids = {card.uuid for card in cards}
    cards += [
        Gpu(uuid=uuid, product=product, memory_mib=identity.memory_mib, source="pod", mig_enabled=mig_enabled, held=True)
        for uuid in held
        if uuid not in seen_uuids
    ]
    counted = Gpu(product=product, memory_mib=identity.memory_mib, source=physical.source, mig_enabled=mig_enabled)
    return (*cards, *[counted] * (physical.count - len(cards)))[: physical.count]


def _memory_of(measured: MeasuredGpu, identity: ProductFacts) -> int | None:
    """Returns MiB of a GPU by its own model; the node's figure only where that is the same model."""
    if measured.memory_mib is not None:
        return measured.memory_mib
    return identity.memory_mib if measured.product in ("", *identity.products) else None


def _is_cut(measured: MeasuredGpu, claims: NodeClaims, *, mig_enabled: bool | None) -> bool | None:
    """Returns whether a GPU is in MIG mode: by its own instances and model, else by the node's layout."""
    if measured.instances:
        return True
    model = find(measured.product)
    if model is not None and not model.geometry:
        return False
    known = measured.product and claims.gfd.product
    return mig_enabled if not known or is_same_product(measured.product, claims.gfd.product) else None


def list_mig_devices(claims: NodeClaims, layout: PartitionLayout, pods: Sequence[PodSnapshot] | None) -> tuple[MigDevice, ...]:
    """Returns one entry per existing MIG instance, small profiles first."""
    if claims.dra is not None:
        return claims.dra.mig_devices
    instances = layout.mig_instances or {}
    if sum(instances.values()) > MOST_LISTED:
        return ()
    by_exporter = _seen_instances(claims, instances)
    named = _named(pods, "MIG-") if len(instances) == 1 and not by_exporter else []
    of_pod = _mig_by_pod(pods)
    listed = []
    for profile in sorted(instances, key=sort_key):
        labelled = claims.gfd.mig.get(profile)
        memory = labelled.memory_mib if labelled else claims.gfd.memory_mib if layout.partitioning == SINGLE else None
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
                    source="pod" if known else "label" if claims.gfd.is_present else "capacity",
                    held=True if known else None,
                )
            )
    return tuple(listed)


def _seen_instances(claims: NodeClaims, instances: dict[str, int]) -> dict[str, list[tuple[str, SeenInstance]]]:
    """Returns profile to (GPU, instance) as exporters name them; empty unless they name just the instances advertised."""
    instances_by_profile: dict[str, list[tuple[str, SeenInstance]]] = defaultdict(list)
    for card in claims.seen:
        for instance in card.instances:
            instances_by_profile[find_same(instance.profile, instances) or instance.profile].append((card.uuid, instance))
    return instances_by_profile if {profile: len(those) for profile, those in instances_by_profile.items()} == instances else {}


def _mig_by_pod(pods: Sequence[PodSnapshot] | None) -> dict[tuple[str, str], str]:
    """Returns (namespace, name) to the one MIG instance that the kubelet assigns to the pod."""
    held = {(pod.namespace, pod.name): _named([pod], "MIG-") for pod in pods or () if pod.devices}
    return {key: uuids[0] for key, uuids in held.items() if len(uuids) == 1}


def _mig_enabled(claims: NodeClaims, layout: PartitionLayout) -> bool | None:
    """Returns whether every GPU is in MIG mode; None where some may be."""
    if layout.partitioning == SINGLE or claims.gfd.replicas == 0:
        return True
    return False if layout.partitioning == NONE or claims.gfd.mig_capable is False else None


def _named(pods: Sequence[PodSnapshot] | None, prefix: str) -> list[str]:
    """Returns the distinct device uuids that the kubelet assigns to running containers, without the replica number of shares."""
    instances_by_profile = set()
    for pod in pods or ():
        if pod.devices and holds(pod):
            for device in pod.devices:
                match = _UUID.fullmatch(device.device_id)
                if match and match[1].startswith(prefix) and labels.is_gpu_resource(device.resource):
                    instances_by_profile.add(match[1])
    return sorted(instances_by_profile)
