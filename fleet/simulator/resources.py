"""The kinds the simulated API serves, as discovery lists them."""

from __future__ import annotations

from dataclasses import dataclass

ALL_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of object. `custom`: defined by a CRD, so the items of its lists carry kind and apiVersion."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = False
    custom: bool = False
    short: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    subresources: tuple[tuple[str, str, tuple[str, ...]], ...] = ()
    """(name, kind, verbs)."""
    verbs: tuple[str, ...] = ALL_VERBS
    stored: bool = True
    """False: only posted (reviews), never stored."""

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def singular(self) -> str:
        return self.kind.lower()

    @property
    def qualified(self) -> str:
        """The resource as error messages name it: `nodes`, `nodes.metrics.k8s.io`."""
        return f"{self.plural}.{self.group}" if self.group else self.plural


_STATUS = ("get", "patch", "update")
_PROXY = ("create", "delete", "get", "patch", "update")

NODES = Kind(
    "", "v1", "nodes", "Node", short=("no",),
    subresources=(("proxy", "NodeProxyOptions", _PROXY), ("status", "Node", _STATUS)),
)  # fmt: skip
PODS = Kind(
    "", "v1", "pods", "Pod", True, short=("po",), categories=("all",),
    subresources=(("log", "Pod", ("get",)), ("proxy", "PodProxyOptions", _PROXY), ("status", "Pod", _STATUS)),
)  # fmt: skip
NAMESPACES = Kind(
    "", "v1", "namespaces", "Namespace", short=("ns",),
    verbs=("create", "delete", "get", "list", "patch", "update", "watch"),
    subresources=(("finalize", "Namespace", ("update",)), ("status", "Namespace", _STATUS)),
)  # fmt: skip
EVENTS = Kind("", "v1", "events", "Event", True, short=("ev",))
CONFIG_MAPS = Kind("", "v1", "configmaps", "ConfigMap", True, short=("cm",))
DAEMON_SETS = Kind(
    "apps", "v1", "daemonsets", "DaemonSet", True, short=("ds",), categories=("all",),
    subresources=(("status", "DaemonSet", _STATUS),),
)  # fmt: skip
CLUSTER_POLICIES = Kind(
    "nvidia.com", "v1", "clusterpolicies", "ClusterPolicy", custom=True,
    subresources=(("status", "ClusterPolicy", _STATUS),),
)  # fmt: skip
NVIDIA_DRIVERS = Kind(
    "nvidia.com", "v1alpha1", "nvidiadrivers", "NVIDIADriver", custom=True, short=("nvd", "nvdriver", "nvdrivers"),
    subresources=(("status", "NVIDIADriver", _STATUS),),
)  # fmt: skip
GPU_CLUSTERS = Kind(
    "nvidia.com", "v1alpha1", "gpuclusters", "GPUCluster", custom=True, subresources=(("status", "GPUCluster", _STATUS),)
)
NODE_READINESS_RULES = Kind(
    "readiness.node.x-k8s.io", "v1alpha1", "nodereadinessrules", "NodeReadinessRule", custom=True,
    subresources=(("status", "NodeReadinessRule", _STATUS),),
)  # fmt: skip


def _of_kueue(plural: str, kind: str, namespaced: bool = False, short: tuple[str, ...] = ()) -> Kind:
    return Kind("kueue.x-k8s.io", "v1beta2", plural, kind, namespaced, custom=True, short=short)


WORKLOADS = _of_kueue("workloads", "Workload", True, ("wl",))
CLUSTER_QUEUES = _of_kueue("clusterqueues", "ClusterQueue", short=("cq",))
LOCAL_QUEUES = _of_kueue("localqueues", "LocalQueue", True, ("queue", "queues", "lq"))
RESOURCE_FLAVORS = _of_kueue("resourceflavors", "ResourceFlavor", short=("flavor", "flavors", "rf"))
COHORTS = _of_kueue("cohorts", "Cohort")
TOPOLOGIES = _of_kueue("topologies", "Topology")
DEVICE_CLASSES = Kind("resource.k8s.io", "v1", "deviceclasses", "DeviceClass")
DEVICE_TAINT_RULES = Kind("resource.k8s.io", "v1", "devicetaintrules", "DeviceTaintRule")
RESOURCE_CLAIMS = Kind(
    "resource.k8s.io", "v1", "resourceclaims", "ResourceClaim", True,
    subresources=(("status", "ResourceClaim", _STATUS),),
)  # fmt: skip
RESOURCE_SLICES = Kind("resource.k8s.io", "v1", "resourceslices", "ResourceSlice")
VOLUME_CLAIMS = Kind("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim", True, short=("pvc",))
VOLUMES = Kind("", "v1", "persistentvolumes", "PersistentVolume", short=("pv",))
STORAGE_CLASSES = Kind("storage.k8s.io", "v1", "storageclasses", "StorageClass", short=("sc",))
CSI_NODES = Kind("storage.k8s.io", "v1", "csinodes", "CSINode")
CSI_DRIVERS = Kind("storage.k8s.io", "v1", "csidrivers", "CSIDriver")
RUNTIME_CLASSES = Kind("node.k8s.io", "v1", "runtimeclasses", "RuntimeClass")
PRIORITY_CLASSES = Kind("scheduling.k8s.io", "v1", "priorityclasses", "PriorityClass", short=("pc",))
ACCESS_REVIEWS = Kind(
    "authorization.k8s.io", "v1", "selfsubjectaccessreviews", "SelfSubjectAccessReview", verbs=("create",), stored=False
)
RULES_REVIEWS = Kind(
    "authorization.k8s.io", "v1", "selfsubjectrulesreviews", "SelfSubjectRulesReview", verbs=("create",), stored=False
)
SUBJECT_REVIEWS = Kind("authentication.k8s.io", "v1", "selfsubjectreviews", "SelfSubjectReview", verbs=("create",), stored=False)

CORE = (CONFIG_MAPS, EVENTS, NAMESPACES, NODES, VOLUME_CLAIMS, VOLUMES, PODS)
SCHEDULING = (STORAGE_CLASSES, CSI_NODES, CSI_DRIVERS, RUNTIME_CLASSES, PRIORITY_CLASSES)
BUILT_IN = (*CORE, DAEMON_SETS, *SCHEDULING, ACCESS_REVIEWS, RULES_REVIEWS, SUBJECT_REVIEWS)
OPERATOR = (CLUSTER_POLICIES, NVIDIA_DRIVERS, GPU_CLUSTERS)
DYNAMIC = (DEVICE_CLASSES, DEVICE_TAINT_RULES, RESOURCE_CLAIMS, RESOURCE_SLICES)
GATES = (NODE_READINESS_RULES,)
QUEUEING = (WORKLOADS, CLUSTER_QUEUES, LOCAL_QUEUES, RESOURCE_FLAVORS, COHORTS, TOPOLOGIES)
