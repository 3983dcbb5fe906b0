"""Filters about volumes: claims in use, limits, binding, node affinity and zone of volumes."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from fleet.domain.label_selectors import matches
from fleet.domain.placement.scheduler import reasons
from fleet.domain.placement.scheduler.node_filters import matches_terms
from fleet.domain.placement.scheduler.reasons import Refusal
from fleet.domain.placement.scheduler.state import ClusterState, NodeState, scheduling_of
from fleet.domain.snapshot import PodSnapshot
from fleet.domain.snapshot.scheduling import PodScheduling, Storage, StorageClass, Volume, VolumeClaim

_NO_PROVISIONER = "kubernetes.io/no-provisioner"
_TOPOLOGY_LABELS = {
    "topology.kubernetes.io/zone": ("topology.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/zone"),
    "topology.kubernetes.io/region": ("topology.kubernetes.io/region", "failure-domain.beta.kubernetes.io/region"),
    "failure-domain.beta.kubernetes.io/zone": ("failure-domain.beta.kubernetes.io/zone", "topology.kubernetes.io/zone"),
    "failure-domain.beta.kubernetes.io/region": ("failure-domain.beta.kubernetes.io/region", "topology.kubernetes.io/region"),
}
_NODE_ZONES = frozenset(_TOPOLOGY_LABELS)


class PodVolumes(msgspec.Struct, frozen=True, kw_only=True):
    """The claims of one pod, sorted by what the scheduler has to do with each."""

    refusal: Refusal | None = None
    """Keeps the pod out of every node."""
    in_use: bool = False
    """A claim may be used by one pod only, and is."""
    bound: tuple[Volume, ...] = ()
    gone: bool = False
    """A claim is bound to a volume that does not exist."""
    waiting: tuple[VolumeClaim, ...] = ()
    """Claims whose volume is chosen together with the node."""
    not_modelled: tuple[str, ...] = ()


def pod_volumes(pod: PodSnapshot, scheduling: PodScheduling, state: ClusterState) -> PodVolumes:
    """Looks up every claim of the pod."""
    names = scheduling.volume_claims
    if not names:
        return PodVolumes()
    storage = state.objects.storage
    if storage is None:
        return PodVolumes(not_modelled=("volumes (PersistentVolumeClaims and PersistentVolumes were not read)",))
    new = {(claim.namespace, claim.name): claim for claim in scheduling.new_claims}
    claims = new | {(claim.namespace, claim.name): claim for claim in storage.claims}
    volumes = {volume.name: volume for volume in storage.volumes}
    classes = {entry.name: entry for entry in storage.classes}
    bound: list[Volume] = []
    waiting: list[VolumeClaim] = []
    gaps: list[str] = []
    in_use = gone = unbound = False
    for name in names:
        claim = claims.get((pod.namespace, name))
        if claim is None:
            return PodVolumes(refusal=Refusal("volume", f'persistentvolumeclaim "{name}" not found'))
        if claim.deleting:
            return PodVolumes(refusal=Refusal("volume", f'persistentvolumeclaim "{name}" is being deleted'))
        if claim.lost:
            return PodVolumes(
                refusal=Refusal(
                    "volume", f'persistentvolumeclaim "{name}" bound to non-existent persistentvolume "{claim.volume}"'
                )
            )
        if "ReadWriteOncePod" in claim.access_modes and state.claim_users[pod.namespace, name]:
            in_use = True
        if claim.volume and claim.bound:
            volume = volumes.get(claim.volume)
            if volume is None:
                gone = True
            else:
                bound.append(volume)
            continue
        storage_class = classes.get(claim.storage_class)
        if claim.volume or storage_class is None or not storage_class.waits:
            if claim is new.get((pod.namespace, name)):
                gaps.append(f"where the volume of claim {name} will be (it is bound before its pod is scheduled)")
            else:
                unbound = True
            continue
        waiting.append(claim)
        if storage_class.provisioner in storage.tracks_capacity:
            gaps.append(f"free capacity of CSI driver {storage_class.provisioner}")
    return PodVolumes(
        refusal=reasons.UNBOUND_CLAIM if unbound else None,
        in_use=in_use,
        bound=tuple(bound),
        gone=gone,
        waiting=tuple(waiting),
        not_modelled=tuple(gaps),
    )


def restrictions(pod_volumes: PodVolumes) -> tuple[Refusal, ...]:
    return (reasons.CLAIM_IN_USE,) if pod_volumes.in_use else ()


def limits(pod_volumes: PodVolumes, node: NodeState, state: ClusterState) -> tuple[Refusal, ...]:
    """Volumes that CSI drivers attach to a node at most."""
    storage = state.objects.storage
    most = storage.limits.get(node.name) if storage is not None else None
    if not most or storage is None:
        return ()
    attached = _attached(node, storage)
    wanted = {(volume.driver, volume.handle) for volume in pod_volumes.bound if volume.driver}
    provisioners = {entry.name: entry.provisioner for entry in storage.classes}
    for driver, limit in most.items():
        new = {key for key in wanted if key[0] == driver} - attached
        waiting = sum(provisioners.get(claim.storage_class) == driver for claim in pod_volumes.waiting)
        if new or waiting:
            held = sum(key[0] == driver for key in attached)
            if held + len(new) + waiting > limit:
                return (reasons.VOLUME_LIMIT,)
    return ()


def _attached(node: NodeState, storage: Storage) -> set[tuple[str, str]]:
    claims = {(claim.namespace, claim.name): claim.volume for claim in storage.claims}
    volumes = {volume.name: volume for volume in storage.volumes}
    attached = set()
    for pod in node.pods:
        for name in scheduling_of(pod).volume_claims:
            volume = volumes.get(claims.get((pod.namespace, name), ""))
            if volume is not None and volume.driver:
                attached.add((volume.driver, volume.handle))
    return attached


def binding(pod_volumes: PodVolumes, node: NodeState, storage: Storage | None) -> tuple[Refusal, ...]:
    """Node affinity of bound volumes, and whether claims that wait for a node find a volume or a provisioner there."""
    refusals = []
    if any(not matches_terms(volume.terms, node.name, node.labels) for volume in pod_volumes.bound):
        refusals.append(reasons.VOLUME_AFFINITY)
    if pod_volumes.waiting and storage is not None and not _all_bindable(pod_volumes.waiting, node, storage):
        refusals.append(reasons.NO_VOLUME)
    if pod_volumes.gone:
        refusals.append(reasons.VOLUME_GONE)
    return tuple(refusals)


def _all_bindable(waiting: Sequence[VolumeClaim], node: NodeState, storage: Storage) -> bool:
    classes = {entry.name: entry for entry in storage.classes}
    taken: set[str] = set()
    # The scheduler serves the smallest claim first, and gives each the smallest volume that holds it.
    for claim in sorted(waiting, key=lambda entry: entry.requested_bytes or 0):
        if claim.selected_node and claim.selected_node != node.name:
            return False
        fitting = [volume for volume in storage.volumes if volume.name not in taken and _serves(volume, claim, node)]
        if fitting and not claim.selected_node:
            taken.add(min(fitting, key=lambda volume: volume.capacity_bytes or 0).name)
        elif not _provisions(classes[claim.storage_class], node):
            return False
    return True


def _serves(volume: Volume, claim: VolumeClaim, node: NodeState) -> bool:
    """Returns whether an unbound volume may be bound to the claim for a pod on this node."""
    own = f"{claim.namespace}/{claim.name}"
    return (
        not volume.deleting
        and (volume.claim == own or (not volume.claim and volume.available))
        and volume.storage_class == claim.storage_class
        and volume.volume_mode == claim.volume_mode
        and (volume.capacity_bytes or 0) >= (claim.requested_bytes or 0)
        and set(claim.access_modes) <= set(volume.access_modes)
        and (claim.selector is None or matches(claim.selector, volume.labels))
        and matches_terms(volume.terms, node.name, node.labels)
    )


def _provisions(storage_class: StorageClass, node: NodeState) -> bool:
    if storage_class.provisioner in ("", _NO_PROVISIONER):
        return False
    return matches_terms(storage_class.terms, node.name, node.labels)


def zone(pod_volumes: PodVolumes, node: NodeState) -> tuple[Refusal, ...]:
    """Zone and region labels of bound volumes, against those of the node; a node without any is not restricted."""
    if not any(key in node.labels for key in _NODE_ZONES):
        return ()
    for volume in pod_volumes.bound:
        for key, value in volume.labels.items():
            keys = _TOPOLOGY_LABELS.get(key)
            if keys is None:
                continue
            own = next((node.labels[name] for name in keys if name in node.labels), None)
            if own is None or own not in value.split("__"):
                return (reasons.VOLUME_ZONE,)
    return ()
