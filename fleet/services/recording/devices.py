"""Rows that belong to a node: its resources, GPUs and MIG instances."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import models

from fleet.models import Gpu, MigInstance, NodeResource
from fleet.services.recording.nodes import Changed

_BATCH = 2_000


def replace(changed: Sequence[Changed]) -> None:
    """Writes these rows for every changed node; rows that stay keep their ids."""
    resources, cards, instances = [], [], []
    for pk, judged, _ in changed:
        devices = judged.devices
        resources += [
            NodeResource(
                node_id=pk,
                name=resource.name,
                kind=resource.kind,
                profile=resource.profile,
                replicas=resource.replicas,
                capacity=resource.capacity,
                allocatable=resource.allocatable,
                requested=resource.requested,
                free=resource.free,
                predicted=resource.predicted,
            )
            for resource in devices.resources
        ]
        cards += [
            Gpu(
                node_id=pk,
                position=position,
                uuid=card.uuid,
                product=card.product,
                memory_mib=card.memory_mib,
                pci_bus_id=card.pci_bus_id,
                mig_enabled=card.mig_enabled,
                source=card.source,
                held=card.held,
            )
            for position, card in enumerate(devices.cards)
        ]
        instances += [
            MigInstance(
                node_id=pk,
                position=position,
                profile=mig_device.profile,
                uuid=mig_device.uuid,
                gpu_uuid=mig_device.parent_uuid,
                gi_id=mig_device.gi_id,
                memory_mib=mig_device.memory_mib,
                held=mig_device.held,
            )
            for position, mig_device in enumerate(devices.mig_devices)
        ]
    node_ids = [item.pk for item in changed if not item.is_new]
    _write(NodeResource, resources, "name", node_ids)
    _write(Gpu, cards, "position", node_ids)
    _write(MigInstance, instances, "position", node_ids)


def _write(model: type[models.Model], rows: list, key: str, node_ids: list[int]) -> None:
    """Upserts by (node, key) and deletes what a node no longer has."""
    if node_ids:
        wanted = {(row.node_id, getattr(row, key)) for row in rows}
        present = model._default_manager.filter(node_id__in=node_ids).values_list("pk", "node_id", key)
        gone = [pk for pk, node_id, value in present if (node_id, value) not in wanted]
        if gone:
            model._default_manager.filter(pk__in=gone).delete()
    updated = [field.name for field in model._meta.concrete_fields if field.name not in {"id", "node", key}]
    model._default_manager.bulk_create(
        rows, batch_size=_BATCH, update_conflicts=True, unique_fields=["node", key], update_fields=updated
    )
