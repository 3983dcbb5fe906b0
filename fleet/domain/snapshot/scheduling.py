"""What a pod requires of the scheduler, and the objects besides nodes and pods that the scheduler reads."""

from __future__ import annotations

import msgspec

from fleet.domain.label_selectors import Requirement
from fleet.domain.snapshot.dra import DraClaim
from fleet.domain.snapshot.nodes import Taint


class Toleration(msgspec.Struct, frozen=True):
    """As in a pod spec: an empty key with Exists tolerates everything, an empty effect every effect."""

    key: str = ""
    operator: str = "Equal"
    value: str = ""
    effect: str = ""

    def tolerates(self, taint: Taint) -> bool:
        if self.effect and self.effect != taint.effect:
            return False
        if self.operator == "Exists":
            return not self.key or self.key == taint.key
        return self.key == taint.key and self.value == taint.value


class PodTerm(msgspec.Struct, frozen=True, omit_defaults=True):
    """One required term of a pod affinity or anti-affinity."""

    topology_key: str
    selector: tuple[Requirement, ...] | None = None
    """Of pod labels. None selects no pod, an empty one every pod."""
    namespaces: tuple[str, ...] = ()
    namespace_selector: tuple[Requirement, ...] | None = None
    """None adds no namespace, an empty one every namespace."""


class SpreadConstraint(msgspec.Struct, frozen=True, omit_defaults=True):
    """One topology spread constraint with whenUnsatisfiable: DoNotSchedule."""

    topology_key: str
    max_skew: int = 1
    selector: tuple[Requirement, ...] | None = None
    min_domains: int = 1
    honor_affinity: bool = True
    """nodeAffinityPolicy: Honor, the default."""
    honor_taints: bool = False
    """nodeTaintsPolicy: Honor; the default is Ignore."""


class HostPort(msgspec.Struct, frozen=True):
    """A port of the node that a container occupies. An empty address is every address."""

    port: int
    protocol: str = "TCP"
    address: str = ""


class VolumeClaim(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A PersistentVolumeClaim."""

    namespace: str
    name: str
    volume: str = ""
    """The PersistentVolume it is bound to."""
    bound: bool = False
    """Whether the binding is completed (annotation pv.kubernetes.io/bind-completed)."""
    storage_class: str = ""
    access_modes: tuple[str, ...] = ()
    volume_mode: str = "Filesystem"
    requested_bytes: int | None = None
    selector: tuple[Requirement, ...] | None = None
    selected_node: str = ""
    """Node that the scheduler chose for it (annotation volume.kubernetes.io/selected-node)."""
    lost: bool = False
    deleting: bool = False


class PodScheduling(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the scheduler reads of a pod's specification. Of a bound pod only what it takes from others is kept."""

    requests: dict[str, int | None] = {}
    """What the scheduler reserves: cpu in millicores, memory and storage in bytes, all else in units, overhead included.
    None where a quantity cannot be read."""
    tolerations: tuple[Toleration, ...] = ()
    selector: tuple[Requirement, ...] = ()
    """Labels the node must have (nodeSelector)."""
    terms: tuple[tuple[Requirement, ...], ...] | None = None
    """Terms of the required node affinity, one of which must hold; None where the pod has none."""
    affinity: tuple[PodTerm, ...] = ()
    anti_affinity: tuple[PodTerm, ...] = ()
    spread: tuple[SpreadConstraint, ...] = ()
    ports: tuple[HostPort, ...] = ()
    volume_claims: tuple[str, ...] = ()
    """Names of the PersistentVolumeClaims (same namespace) it mounts."""
    new_claims: tuple[VolumeClaim, ...] = ()
    """PersistentVolumeClaims that a manifest brings along; those that the cluster has already count before them."""
    gates: tuple[str, ...] = ()
    scheduler: str = ""
    """Empty for the default scheduler."""
    priority: int = 0
    never_preempts: bool = False
    nominated: str = ""
    """Node that preemption promised to the pod."""
    claims: bool = False
    """Whether it asks for devices through DRA."""
    claim_requests: tuple[DraClaim, ...] | None = None
    """Its claims as a manifest describes them; None where they are looked up by the names the pod has."""
    preferences: bool = False
    """Whether it prefers some nodes or pods (never keeps it out of any)."""
    not_modelled: tuple[str, ...] = ()
    """Parts of the specification that Muster does not evaluate."""
    problem: str = ""
    """Why the API server would refuse it, as far as Muster checks."""


class Volume(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A PersistentVolume."""

    name: str
    labels: dict[str, str] = {}
    terms: tuple[tuple[Requirement, ...], ...] | None = None
    """Required node affinity; None where it is reachable from everywhere."""
    storage_class: str = ""
    access_modes: tuple[str, ...] = ()
    volume_mode: str = "Filesystem"
    capacity_bytes: int | None = None
    claim: str = ""
    """namespace/name of the claim it is bound to or kept for."""
    driver: str = ""
    """CSI driver; empty for other kinds of volume."""
    handle: str = ""
    available: bool = False
    deleting: bool = False


class StorageClass(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    name: str
    provisioner: str = ""
    waits: bool = False
    """volumeBindingMode: WaitForFirstConsumer."""
    terms: tuple[tuple[Requirement, ...], ...] | None = None
    """allowedTopologies; None for anywhere."""
    default: bool = False


class Storage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Everything the scheduler reads about volumes."""

    claims: tuple[VolumeClaim, ...] = ()
    volumes: tuple[Volume, ...] = ()
    classes: tuple[StorageClass, ...] = ()
    limits: dict[str, dict[str, int]] = {}
    """Node to CSI driver to the number of volumes it attaches at most (CSINode)."""
    tracks_capacity: tuple[str, ...] = ()
    """CSI drivers with storageCapacity: whether they have room left is not read."""


class RuntimeClass(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    name: str
    overhead: dict[str, str] = {}
    selector: dict[str, str] = {}
    tolerations: tuple[Toleration, ...] = ()


class PriorityClass(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    name: str
    value: int = 0
    never_preempts: bool = False
    default: bool = False


class SchedulingObjects(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Cluster-wide objects the scheduler reads. None: not permitted, or not read completely."""

    namespaces: dict[str, dict[str, str]] | None = None
    """Namespace to its labels."""
    storage: Storage | None = None
    runtime_classes: tuple[RuntimeClass, ...] | None = None
    priority_classes: tuple[PriorityClass, ...] | None = None
