"""The state of one cluster at one moment, as frozen structs: what collectors return and the rest of the domain reads.

Values are as the API gave them (labels and quantities are strings). A field that was not reported is None or empty, never a
guess. Fields follow the Kubernetes API; where a field is Muster's own, its docstring says so.
"""

from fleet.domain.snapshot.cluster import ClusterSnapshot, MissingPermission, Permissions
from fleet.domain.snapshot.dra import DraAllocation, DraDevice, IncompletePool, ResourceSlices
from fleet.domain.snapshot.nodes import Condition, NodeEvent, NodeInfo, NodeSnapshot, Taint
from fleet.domain.snapshot.operator import (
    ClusterPolicySnapshot,
    DaemonSetSnapshot,
    DevicePluginConfig,
    DevicePluginConfigs,
    GpuClusterSnapshot,
    NvidiaDriverSnapshot,
    OperatorSnapshot,
)
from fleet.domain.snapshot.pods import ContainerPort, ContainerSnapshot, DeviceAllocation, PodSnapshot
from fleet.domain.snapshot.scheduling import PodScheduling, SchedulingObjects, Toleration
from fleet.domain.snapshot.sections import ObjectProblem

__all__ = [
    "ClusterPolicySnapshot",
    "ClusterSnapshot",
    "Condition",
    "ContainerPort",
    "ContainerSnapshot",
    "DaemonSetSnapshot",
    "DeviceAllocation",
    "DevicePluginConfig",
    "DevicePluginConfigs",
    "DraAllocation",
    "DraDevice",
    "GpuClusterSnapshot",
    "IncompletePool",
    "MissingPermission",
    "NodeEvent",
    "NodeInfo",
    "NodeSnapshot",
    "NvidiaDriverSnapshot",
    "ObjectProblem",
    "OperatorSnapshot",
    "Permissions",
    "PodScheduling",
    "PodSnapshot",
    "ResourceSlices",
    "SchedulingObjects",
    "Taint",
    "Toleration",
]
