"""Placements that manifests of a class were written for, and the pods that run such manifests."""

from __future__ import annotations

from collections import defaultdict

import msgspec
from django.db.models import Q

from fleet.domain.access_requests.workflow import GRANTED
from fleet.domain.classes.stale import KeptPlacement, Manifests, UsedManifest
from fleet.domain.manifests.parameters import CLASS_LABEL
from fleet.models import AccessRequest, ClassVersion, Pod, WorkloadClass


def kept(row: WorkloadClass) -> dict[str, KeptPlacement]:
    """Returns digest to placement of a class, the newest last."""
    rows = msgspec.convert(row.placements, list[KeptPlacement], strict=False)
    return {placement.digest: placement for placement in rows}


def granted_versions() -> dict[str, list[ClassVersion]]:
    """Returns slug of a class to its versions that requests are granted under, oldest first. One query."""
    granted = AccessRequest.objects.filter(state__in=sorted(GRANTED)).values("class_version")
    result: dict[str, list[ClassVersion]] = defaultdict(list)
    for version in ClassVersion.objects.filter(pk__in=granted).select_related("workload_class").order_by("number"):
        result[version.workload_class.slug].append(version)
    return result


def as_json(manifests: Manifests) -> list[dict[str, object]]:
    """Returns the kept placements as they are stored."""
    made: list[dict[str, object]] = msgspec.to_builtins(list(manifests.kept.values()))
    return made


_IN_USE = Q(holds=True) | Q(node__isnull=True, phase="Pending")


def used_manifests() -> dict[str, list[UsedManifest]]:
    """Returns slug of a class to the pods with its label that hold devices or wait to be scheduled. One query."""
    rows = Pod.objects.filter(_IN_USE, removed_at__isnull=True, snapshot__labels__has_key=CLASS_LABEL)
    result: dict[str, list[UsedManifest]] = defaultdict(list)
    fields = (
        "cluster__name",
        "namespace",
        "name",
        "snapshot__labels",
        "snapshot__placement",
        "snapshot__owner_kind",
        "snapshot__owner_name",
    )
    for cluster, namespace, name, labels, digest, owner_kind, owner_name in rows.values_list(*fields):
        owner = f"{namespace}/{owner_kind}/{owner_name}" if owner_name else f"{namespace}/Pod/{name}"
        result[labels[CLASS_LABEL]].append(UsedManifest(digest or "", owner, cluster))
    return result
