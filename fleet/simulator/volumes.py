"""Storage of workloads: one class for shared file systems, and for each workload a claim with its volume.

Training and serving pods mount what all replicas share, so claims are ReadWriteMany on a network file system, which any node
mounts.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from fleet.simulator import resources
from fleet.simulator.flavours import Flavour
from fleet.simulator.pods import stamp
from fleet.simulator.seeds import Seed
from fleet.simulator.store import Store
from fleet.simulator.world import Pod

_CLASSES = {
    "eks": ("efs", "efs.csi.aws.com"),
    "gke": ("filestore-rwx", "filestore.csi.storage.gke.io"),
}
_OWN_CLASS = ("nfs", "nfs.csi.k8s.io")
_SIZE = "1Ti"


def claim_name(template_name: str) -> str:
    return f"data-{template_name}"


def show(store: Store, pod: Pod, flavour: Flavour, seed: Seed, created: datetime) -> None:
    """Puts the claim of a pod's workload, its volume and their class into the API, where they are not there yet."""
    name = claim_name(pod.template.name)
    if not pod.template.shared_memory or store.get(resources.VOLUME_CLAIMS, f"{pod.namespace}/{name}") is not None:
        return
    class_name, driver = _CLASSES.get(flavour.name, _OWN_CLASS)
    if store.get(resources.STORAGE_CLASSES, class_name) is None:
        store.put(resources.STORAGE_CLASSES, _storage_class(class_name, driver, seed, created), {})
        store.put(resources.CSI_DRIVERS, _driver(driver, seed, created), {})
    uid = seed.uuid("claim", pod.namespace, name)
    store.put(resources.VOLUMES, _volume(pod.namespace, name, uid, (class_name, driver), seed, created), {})
    store.put(resources.VOLUME_CLAIMS, _claim(pod.namespace, name, uid, class_name, created), {})


def _meta(name: str, uid: str, created: datetime, namespace: str = "") -> dict[str, Any]:
    placed = {"namespace": namespace} if namespace else {}
    return {"name": name, **placed, "uid": uid, "resourceVersion": "", "creationTimestamp": stamp(created)}


def _storage_class(name: str, driver: str, seed: Seed, created: datetime) -> dict[str, Any]:
    return {
        "metadata": _meta(name, seed.uuid("storage-class", name), created),
        "provisioner": driver,
        "reclaimPolicy": "Delete",
        "allowVolumeExpansion": True,
        "volumeBindingMode": "Immediate",
    }


def _driver(name: str, seed: Seed, created: datetime) -> dict[str, Any]:
    return {
        "metadata": _meta(name, seed.uuid("csi-driver", name), created),
        "spec": {
            "attachRequired": False,
            "podInfoOnMount": False,
            "volumeLifecycleModes": ["Persistent"],
            "storageCapacity": False,
            "fsGroupPolicy": "ReadWriteOnceWithFSType",
            "requiresRepublish": False,
            "seLinuxMount": False,
        },
    }


def _volume(
    namespace: str, claim: str, claim_uid: str, storage: tuple[str, str], seed: Seed, created: datetime
) -> dict[str, Any]:
    class_name, driver = storage
    name = f"pvc-{claim_uid}"
    return {
        "metadata": _meta(name, seed.uuid("volume", name), created),
        "spec": {
            "capacity": {"storage": _SIZE},
            "csi": {"driver": driver, "volumeHandle": f"fs-{seed.hex(17, 'volume', name)}"},
            "accessModes": ["ReadWriteMany"],
            "claimRef": {
                "kind": "PersistentVolumeClaim",
                "namespace": namespace,
                "name": claim,
                "uid": claim_uid,
                "apiVersion": "v1",
            },
            "persistentVolumeReclaimPolicy": "Delete",
            "storageClassName": class_name,
            "volumeMode": "Filesystem",
        },
        "status": {"phase": "Bound"},
    }


def _claim(namespace: str, name: str, uid: str, class_name: str, created: datetime) -> dict[str, Any]:
    return {
        "metadata": _meta(name, uid, created, namespace) | {"annotations": {"pv.kubernetes.io/bind-completed": "yes"}},
        "spec": {
            "accessModes": ["ReadWriteMany"],
            "resources": {"requests": {"storage": _SIZE}},
            "volumeName": f"pvc-{uid}",
            "storageClassName": class_name,
            "volumeMode": "Filesystem",
        },
        "status": {"phase": "Bound", "accessModes": ["ReadWriteMany"], "capacity": {"storage": _SIZE}},
    }
