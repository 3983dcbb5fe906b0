"""Reads the manifests of objects besides nodes and pods that the scheduler looks at."""

from __future__ import annotations

from math import ceil

from fleet.domain.placement.scheduler import terms
from fleet.domain.placement.scheduler.terms import Spec, items, labels_of, mapping, text, texts
from fleet.domain.pod_resources import amount_of
from fleet.domain.snapshot.scheduling import PriorityClass, RuntimeClass, StorageClass, Volume, VolumeClaim

_BOUND = "pv.kubernetes.io/bind-completed"
_SELECTED = "volume.kubernetes.io/selected-node"
_DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"


def volume_claim(manifest: Spec) -> VolumeClaim:
    meta, spec, status = (mapping(manifest.get(part)) for part in ("metadata", "spec", "status"))
    annotations = labels_of(meta.get("annotations"))
    return VolumeClaim(
        namespace=text(meta.get("namespace")),
        name=text(meta.get("name")),
        volume=text(spec.get("volumeName")),
        bound=_BOUND in annotations,
        storage_class=text(spec.get("storageClassName")),
        access_modes=texts(spec.get("accessModes")),
        volume_mode=text(spec.get("volumeMode")) or "Filesystem",
        requested_bytes=_bytes(mapping(mapping(spec.get("resources")).get("requests")).get("storage")),
        selector=None if spec.get("selector") is None else terms.label_selector(spec.get("selector")),
        selected_node=annotations.get(_SELECTED, ""),
        lost=status.get("phase") == "Lost",
        deleting=bool(meta.get("deletionTimestamp")),
    )


def volume(manifest: Spec) -> Volume:
    meta, spec, status = (mapping(manifest.get(part)) for part in ("metadata", "spec", "status"))
    claim, csi = mapping(spec.get("claimRef")), mapping(spec.get("csi"))
    return Volume(
        name=text(meta.get("name")),
        labels={key: value for key, value in labels_of(meta.get("labels")).items() if len(value) < 256},
        terms=terms.node_terms(mapping(spec.get("nodeAffinity")).get("required")),
        storage_class=text(spec.get("storageClassName")),
        access_modes=texts(spec.get("accessModes")),
        volume_mode=text(spec.get("volumeMode")) or "Filesystem",
        capacity_bytes=_bytes(mapping(spec.get("capacity")).get("storage")),
        claim=f"{text(claim.get('namespace'))}/{text(claim.get('name'))}" if claim else "",
        driver=text(csi.get("driver")),
        handle=text(csi.get("volumeHandle")),
        available=text(status.get("phase")) in ("", "Available"),
        deleting=bool(meta.get("deletionTimestamp")),
    )


def storage_class(manifest: Spec) -> StorageClass:
    meta = mapping(manifest.get("metadata"))
    return StorageClass(
        name=text(meta.get("name")),
        provisioner=text(manifest.get("provisioner")),
        waits=manifest.get("volumeBindingMode") == "WaitForFirstConsumer",
        terms=terms.topology_terms(manifest.get("allowedTopologies")),
        default=labels_of(meta.get("annotations")).get(_DEFAULT_CLASS) == "true",
    )


def runtime_class(manifest: Spec) -> RuntimeClass:
    scheduling = mapping(manifest.get("scheduling"))
    return RuntimeClass(
        name=text(mapping(manifest.get("metadata")).get("name")),
        overhead=labels_of(mapping(manifest.get("overhead")).get("podFixed")),
        selector=labels_of(scheduling.get("nodeSelector")),
        tolerations=terms.tolerations(scheduling.get("tolerations")),
    )


def priority_class(manifest: Spec) -> PriorityClass:
    value = manifest.get("value")
    return PriorityClass(
        name=text(mapping(manifest.get("metadata")).get("name")),
        value=value if isinstance(value, int) else 0,
        never_preempts=manifest.get("preemptionPolicy") == "Never",
        default=manifest.get("globalDefault") is True,
    )


def volume_limits(manifest: Spec) -> dict[str, int]:
    """CSI driver to the most volumes it attaches to the node of this CSINode; drivers without a limit are left out."""
    result = {}
    for driver in items(mapping(manifest.get("spec")).get("drivers")):
        count = mapping(driver.get("allocatable")).get("count")
        if isinstance(count, int):
            result[text(driver.get("name"))] = count
    return result


def _bytes(quantity: object) -> int | None:
    amount = amount_of("storage", text(quantity)) if quantity is not None else None
    return None if amount is None else ceil(amount)
