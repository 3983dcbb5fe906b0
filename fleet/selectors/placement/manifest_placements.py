"""Placements that manifests of a class were written for, and the pods that run such manifests."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

import msgspec

from fleet.domain.classes.requirements import ClassInPool
from fleet.domain.classes.stale import MOST_KEPT, KeptPlacement, UsedManifest, kept_placement
from fleet.domain.manifests.parameters import CLASS_LABEL
from fleet.models import Pod, WorkloadClass


def kept(row: WorkloadClass) -> dict[str, KeptPlacement]:
    """Returns digest to placement of a class, the newest last."""
    rows = msgspec.convert(row.placements, list[KeptPlacement], strict=False)
    return {placement.digest: placement for placement in rows}


def with_current(before: Mapping[str, KeptPlacement], current: Mapping[str, ClassInPool]) -> list[dict[str, object]]:
    """Returns what to keep as JSON: earlier placements and, last, those of today."""
    rows = [placement for digest, placement in before.items() if digest not in current]
    rows += [kept_placement(in_pool, digest) for digest, in_pool in current.items() if not in_pool.problem]
    made: list[dict[str, object]] = msgspec.to_builtins(rows[-MOST_KEPT:])
    return made


def used_manifests() -> dict[str, list[UsedManifest]]:
    """Returns slug of a class to the pods that hold devices and carry its label. One query."""
    rows = Pod.objects.filter(removed_at__isnull=True, holds=True, snapshot__labels__has_key=CLASS_LABEL)
    result: dict[str, list[UsedManifest]] = defaultdict(list)
    fields = ("namespace", "name", "snapshot__labels", "snapshot__placement", "snapshot__owner_kind", "snapshot__owner_name")
    for namespace, name, labels, digest, owner_kind, owner_name in rows.values_list(*fields):
        owner = f"{namespace}/{owner_kind}/{owner_name}" if owner_name else f"{namespace}/Pod/{name}"
        result[labels[CLASS_LABEL]].append(UsedManifest(digest or "", owner))
    return result
