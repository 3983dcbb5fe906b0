"""Names of labels, annotations, taints and DRA drivers, and what they mean; names of resources are in resource_names.

Sources: NVIDIA k8s-device-plugin and GPU feature discovery v0.20, GPU Operator v26.7, mig-parted v0.15, NFD, the vendors' device
plugins and node labellers (ROCm, Intel), and the cloud providers' documentation.
"""

from __future__ import annotations

import re
from functools import lru_cache

from fleet.domain.resource_names import (
    ALIYUN_GPU_COUNT as ALIYUN_GPU_COUNT,
)
from fleet.domain.resource_names import (
    AMD_GPU as AMD_GPU,
)
from fleet.domain.resource_names import (
    DIRECTX as DIRECTX,
)
from fleet.domain.resource_names import (
    GAUDI as GAUDI,
)
from fleet.domain.resource_names import (
    INTEL_I915 as INTEL_I915,
)
from fleet.domain.resource_names import (
    INTEL_XE as INTEL_XE,
)
from fleet.domain.resource_names import (
    NVIDIA as NVIDIA,
)
from fleet.domain.resource_names import (
    NVIDIA_GPU as NVIDIA_GPU,
)
from fleet.domain.resource_names import (
    NVIDIA_GPU_SHARED as NVIDIA_GPU_SHARED,
)
from fleet.domain.resource_names import (
    NVIDIA_MIG_PREFIX as NVIDIA_MIG_PREFIX,
)
from fleet.domain.resource_names import (
    NVIDIA_PASSTHROUGH as NVIDIA_PASSTHROUGH,
)
from fleet.domain.resource_names import (
    SHARED_SUFFIX as SHARED_SUFFIX,
)
from fleet.domain.resource_names import (
    VOLCANO_GPU_NUMBER as VOLCANO_GPU_NUMBER,
)
from fleet.domain.resource_names import (
    VOLCANO_VGPU_NUMBER as VOLCANO_VGPU_NUMBER,
)
from fleet.domain.resource_names import (
    asks_for_gpus as asks_for_gpus,
)
from fleet.domain.resource_names import (
    base_resource as base_resource,
)
from fleet.domain.resource_names import (
    gpu_name_patterns as gpu_name_patterns,
)
from fleet.domain.resource_names import (
    is_count_resource as is_count_resource,
)
from fleet.domain.resource_names import (
    is_gpu_quantity as is_gpu_quantity,
)
from fleet.domain.resource_names import (
    is_gpu_resource as is_gpu_resource,
)
from fleet.domain.resource_names import (
    is_gpu_uuid as is_gpu_uuid,
)
from fleet.domain.resource_names import (
    is_part_of_gpus as is_part_of_gpus,
)
from fleet.domain.resource_names import (
    is_share_resource as is_share_resource,
)
from fleet.domain.resource_names import (
    resource_kind as resource_kind,
)
from fleet.domain.resource_names import (
    vendor_of_resource as vendor_of_resource,
)

# --- GPU feature discovery (GFD): what it found on the node ---------------------------------------------------------

GFD_TIMESTAMP = "nvidia.com/gfd.timestamp"
GPU_PRODUCT = "nvidia.com/gpu.product"
GPU_COUNT = "nvidia.com/gpu.count"
GPU_REPLICAS = "nvidia.com/gpu.replicas"
GPU_SHARING_STRATEGY = "nvidia.com/gpu.sharing-strategy"
GPU_MEMORY = "nvidia.com/gpu.memory"
GPU_FAMILY = "nvidia.com/gpu.family"
GPU_MACHINE = "nvidia.com/gpu.machine"
GPU_MODE = "nvidia.com/gpu.mode"
GPU_COMPUTE_MAJOR = "nvidia.com/gpu.compute.major"
GPU_COMPUTE_MINOR = "nvidia.com/gpu.compute.minor"
GPU_SLICES_GI = "nvidia.com/gpu.slices.gi"
GPU_CLIQUE = "nvidia.com/gpu.clique"
MIG_STRATEGY = "nvidia.com/mig.strategy"
MIG_CAPABLE = "nvidia.com/mig.capable"
MPS_CAPABLE = "nvidia.com/mps.capable"
VGPU_PRESENT = "nvidia.com/vgpu.present"
MIG_LABEL_PREFIX = "nvidia.com/mig-"

DRIVER_VERSION_FULL = "nvidia.com/cuda.driver-version.full"
DRIVER_VERSION_PARTS = (
    "nvidia.com/cuda.driver-version.major",
    "nvidia.com/cuda.driver-version.minor",
    "nvidia.com/cuda.driver-version.revision",
)
DRIVER_VERSION_PARTS_OLD = ("nvidia.com/cuda.driver.major", "nvidia.com/cuda.driver.minor", "nvidia.com/cuda.driver.rev")
CUDA_VERSION_FULL = "nvidia.com/cuda.runtime-version.full"
CUDA_VERSION_PARTS = ("nvidia.com/cuda.runtime-version.major", "nvidia.com/cuda.runtime-version.minor")
CUDA_VERSION_PARTS_OLD = ("nvidia.com/cuda.runtime.major", "nvidia.com/cuda.runtime.minor")

# --- GPU Operator and MIG manager: requested state and progress --------------------------------------------------

GPU_PRESENT = "nvidia.com/gpu.present"
"""`true`, or `false` (not removed) after the GPUs were removed."""
GPU_DEPLOY_PREFIX = "nvidia.com/gpu.deploy."
GPU_DEPLOY_OPERANDS = "nvidia.com/gpu.deploy.operands"
GPU_DEPLOY_DRIVER = "nvidia.com/gpu.deploy.driver"
GPU_DEPLOY_DEVICE_PLUGIN = "nvidia.com/gpu.deploy.device-plugin"
PAUSED_FOR_DRIVER_UPGRADE = "paused-for-driver-upgrade"
PAUSED_FOR_MIG_CHANGE = "paused-for-mig-change"
DRIVER_UPGRADE_STATE = "nvidia.com/gpu-driver-upgrade-state"
WORKLOAD_CONFIG = "nvidia.com/gpu.workload.config"
MIG_CONFIG = "nvidia.com/mig.config"
MIG_CONFIG_STATE = "nvidia.com/mig.config.state"
DEVICE_PLUGIN_CONFIG = "nvidia.com/device-plugin.config"

UPGRADE_PENDING = "upgrade-required"
UPGRADE_FAILED = "upgrade-failed"
UPGRADE_DONE = "upgrade-done"
UPGRADE_IN_PROGRESS = frozenset(
    {
        "cordon-required",
        "wait-for-jobs-required",
        "pod-deletion-required",
        "drain-required",
        "pod-restart-required",
        "validation-required",
        "uncordon-required",
        "node-maintenance-required",
        "post-maintenance-required",
    }
)
MIG_STATE_CHANGING = frozenset({"pending", "rebooting"})
MIG_STATE_FAILED = "failed"

# --- Node feature discovery (NFD) -----------------------------------------------------------------------------------

NFD = "feature.node.kubernetes.io/"
NFD_AMD_GPU = ("feature.node.kubernetes.io/amd-gpu", "feature.node.kubernetes.io/amd-vgpu")
NFD_INTEL_GPU = "intel.feature.node.kubernetes.io/gpu"
NFD_VENDOR_GPU = {
    "nvidia.feature.node.kubernetes.io/gpu": "nvidia",
    "amd.feature.node.kubernetes.io/gpu": "amd",
    NFD_INTEL_GPU: "intel",
}
"""Rules of Kata and of the vendors: a GPU, nothing more."""

# --- Clouds ---------------------------------------------------------------------------------------------------------

INSTANCE_TYPE = "node.kubernetes.io/instance-type"
INSTANCE_TYPE_OLD = "beta.kubernetes.io/instance-type"
ZONE = "topology.kubernetes.io/zone"
ZONE_OLD = "failure-domain.beta.kubernetes.io/zone"
REGION = "topology.kubernetes.io/region"
HOSTNAME = "kubernetes.io/hostname"

GKE_ACCELERATOR = "cloud.google.com/gke-accelerator"
GKE_ACCELERATOR_COUNT = "cloud.google.com/gke-accelerator-count"
GKE_SHARING_STRATEGY = "cloud.google.com/gke-gpu-sharing-strategy"
GKE_MAX_SHARED_CLIENTS = "cloud.google.com/gke-max-shared-clients-per-gpu"
GKE_PARTITION_SIZE = "cloud.google.com/gke-gpu-partition-size"
GKE_NODE_POOL = "cloud.google.com/gke-nodepool"
EKS_NODE_GROUP = "eks.amazonaws.com/nodegroup"
KARPENTER_NODE_POOL = "karpenter.sh/nodepool"
AKS_AGENT_POOL = "kubernetes.azure.com/agentpool"
AKS_AGENT_POOL_OLD = "agentpool"
NODE_POOL_LABELS = (GKE_NODE_POOL, KARPENTER_NODE_POOL, EKS_NODE_GROUP, AKS_AGENT_POOL, AKS_AGENT_POOL_OLD)
"""Labels by which clouds and Karpenter name the group of machines a node was made with."""
KARPENTER_GPU_PREFIXES = ("karpenter.k8s.aws/instance-gpu-", "eks.amazonaws.com/instance-gpu-", "karpenter.k8s.gcp/instance-gpu-")
AWS_ACCELERATOR = "k8s.amazonaws.com/accelerator"
AKS_ACCELERATOR = "kubernetes.azure.com/accelerator"
ACCELERATOR_OLD = "accelerator"
AZURE_GPU_PREFIX = "karpenter.azure.com/sku-gpu-"
_KARPENTER_GPU = re.compile(
    r"(?:karpenter\.k8s\.[a-z]+|eks\.amazonaws\.com)/instance-gpu-|karpenter\.azure\.com/sku-gpu-", re.ASCII
)
"""Karpenter's providers use one format: AWS, Google Cloud, Alibaba Cloud; EKS Auto Mode and Azure use their own names."""
COREWEAVE_GPU_PREFIX = "gpu.nvidia.com/"
NVSENTINEL_GPU_COUNT_CURRENT = "nvsentinel.dgxc.nvidia.com/gpu.count.current"
NVSENTINEL_GPU_COUNT_EXPECTED = "nvsentinel.dgxc.nvidia.com/gpu.count.expected"

# --- Other vendors' labels ------------------------------------------------------------------------------------------

AMD_LABEL = "amd.com/gpu."
AMD_LABEL_OLD = "beta.amd.com/gpu."
AMD_PRODUCT = "amd.com/gpu.product-name"
AMD_VRAM = "amd.com/gpu.vram"
AMD_FAMILY = "amd.com/gpu.family"
AMD_DRIVER_VERSION = "amd.com/gpu.driver-version"
AMD_PARTITION = "amd.com/gpu.compute-memory-partition"
AMD_CONFIG_PROFILE = "dcm.amd.com/gpu-config-profile"
AMD_CONFIG_STATE = "dcm.amd.com/gpu-config-profile-state"
"""Device Config Manager: how GPUs are partitioned (`cpx-nps4`), and whether that was applied."""
INTEL_LABEL = "gpu.intel.com/"
INTEL_DEVICE_COUNT = "gpu.intel.com/device.count"
INTEL_DEVICE_ID = "gpu.intel.com/device-id."
INTEL_PRODUCT = "gpu.intel.com/product"
INTEL_FAMILY = "gpu.intel.com/family"
GAUDI_PRODUCT = "habana.ai/gaudi.product"

# --- Schedulers of GPU shares ----------------------------------------------------------------------------------------

HAMI_REGISTER = "hami.io/node-nvidia-register"
HAMI_REGISTER_OLD = "4pd.io/node-nvidia-register"
VOLCANO_REGISTER = "volcano.sh/node-vgpu-register"
HANDSHAKE_OF = {
    HAMI_REGISTER: "hami.io/node-handshake",
    HAMI_REGISTER_OLD: "4pd.io/node-handshake",
    VOLCANO_REGISTER: "volcano.sh/node-vgpu-handshake",
}
HANDSHAKE_DELETED = "Deleted"
"""Value of the handshake after the plugin was removed: its register annotation remains."""
HAMI_NODE = "gpu"
"""`gpu=on` selects the nodes of HAMi's device plugin."""
NOS_PARTITIONING = "nos.nebuly.com/gpu-partitioning"
KAI_GROUP = "runai-gpu-group"
POD_GROUPS = ("scheduling.k8s.io/group-name", "scheduling.volcano.sh/group-name", "pod-group-name")
"""Pod annotations that name the PodGroup: Volcano's two, and KAI's."""
KAI_FRACTIONS = ("gpu-fraction", "gpu-memory")
"""Pod annotations of KAI and Run:ai: a part of one, MiB. Such a pod requests nothing; a reservation pod holds the GPU."""
TENCENT_CORE = "tencent.com/vcuda-core"
TENCENT_QGPU_CORE = "tke.cloud.tencent.com/qgpu-core"
ELASTIC_GPU_CORE = "elasticgpu.io/gpu-core"
KOORDINATOR = "koordinator.sh/"
NPU_PREFIXES = ("huawei.com/", "cambricon.com/", "enflame.com/", "metax-tech.com/", "hygon.com/", "kunlunxin.com/")
"""Accelerators that are not NVIDIA's and that Koordinator counts under the names it uses for GPUs."""

# --- Taints and DRA drivers -----------------------------------------------------------------------------------------

TAINT_UNSCHEDULABLE = "node.kubernetes.io/unschedulable"
MUSTER_PLACEMENT = "muster.dev/placement"
DRA_NVIDIA_GPU = "gpu.nvidia.com"
DRA_NVIDIA_MIG_CLASS = "mig.nvidia.com"
DRA_NVIDIA_VFIO_CLASS = "vfio.gpu.nvidia.com"
DRA_NVIDIA_COMPUTE_DOMAIN = "compute-domain.nvidia.com"
DRA_LAYOUT_TAINTS = frozenset({"gpu.amd.com/memory-partition-conflict"})
"""AMD's driver taints partitions that do not fit the node's current memory mode: the devices are healthy."""
DEVICE_CLASS_RESOURCE_PREFIX = "deviceclass.resource.kubernetes.io/"

_NO_GPUS = ("tpu", "neuron", "inferentia", "trainium")


def is_gpu_driver(driver: str) -> bool:
    """Returns whether devices of this DRA driver can be GPUs. ComputeDomain channels and daemons are never GPUs."""
    return driver.startswith(("gpu.", "gaudi."))


def vendor_of_driver(driver: str) -> str:
    """Returns the vendor of a DRA driver; "other" for an unknown GPU driver."""
    known = {DRA_NVIDIA_GPU: "nvidia", "gpu.amd.com": "amd", "gpu.intel.com": "intel", "gaudi.intel.com": "habana"}
    return known.get(driver, "other")


def names_a_gpu(accelerator: str) -> bool:
    """Returns whether a cloud's name of an accelerator means GPUs.

    `nvidia-l4`, and not `tpu-v5-lite-podslice` or `inferentia2`.
    """
    return bool(accelerator) and not any(word in accelerator.lower() for word in _NO_GPUS)


@lru_cache(maxsize=16384)
def karpenter_gpu_attribute(key: str) -> str:
    """Returns what a label of Karpenter's providers states of GPUs: count, name, memory, manufacturer; "" for other labels."""
    match = _KARPENTER_GPU.match(key)
    return key[match.end() :] if match else ""
