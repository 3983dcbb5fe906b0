"""Every well-known label, annotation, taint and resource name, once, and the small questions asked of them.

Sources: NVIDIA k8s-device-plugin and GPU feature discovery v0.20, GPU Operator v26.7, mig-parted v0.15, NFD, the vendors' device
plugins and node labellers (ROCm, Intel), and the cloud providers' documentation.
"""

from __future__ import annotations

import re
from functools import lru_cache

# --- GPU feature discovery (GFD): what it found on the node ---------------------------------------------------------

NVIDIA = "nvidia.com/"
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
VGPU_HOST_DRIVER_VERSION = "nvidia.com/vgpu.host-driver-version"
VGPU_HOST_DRIVER_BRANCH = "nvidia.com/vgpu.host-driver-branch"
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

# --- GPU Operator and MIG manager: what is wanted and what goes on --------------------------------------------------

GPU_PRESENT = "nvidia.com/gpu.present"
"""`true`, or `false` (not removed) after the GPUs have gone."""
GPU_DEPLOY_PREFIX = "nvidia.com/gpu.deploy."
GPU_DEPLOY_OPERANDS = "nvidia.com/gpu.deploy.operands"
GPU_DEPLOY_DRIVER = "nvidia.com/gpu.deploy.driver"
GPU_DEPLOY_DEVICE_PLUGIN = "nvidia.com/gpu.deploy.device-plugin"
PAUSED_FOR_DRIVER_UPGRADE = "paused-for-driver-upgrade"
PAUSED_FOR_MIG_CHANGE = "paused-for-mig-change"
DRIVER_UPGRADE_STATE = "nvidia.com/gpu-driver-upgrade-state"
DRIVER_UPGRADE_ENABLED = "nvidia.com/gpu-driver-upgrade-enabled"
WORKLOAD_CONFIG = "nvidia.com/gpu.workload.config"
MIG_CONFIG = "nvidia.com/mig.config"
MIG_CONFIG_STATE = "nvidia.com/mig.config.state"
DEVICE_PLUGIN_CONFIG = "nvidia.com/device-plugin.config"

UPGRADE_DONE = "upgrade-done"
UPGRADE_PENDING = "upgrade-required"
UPGRADE_FAILED = "upgrade-failed"
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
PCI_NVIDIA, PCI_AMD, PCI_INTEL, PCI_HABANA = "10de", "1002", "8086", "1da3"
PCI_DISPLAY_CLASSES = frozenset({"0300", "0302", "0380"})
"""VGA controller, 3D controller, other display controller."""
PCI_ACCELERATOR_CLASS = "1200"

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
AWS_GPU_PREFIXES = ("karpenter.k8s.aws/instance-gpu-", "eks.amazonaws.com/instance-gpu-")
AWS_ACCELERATOR = "k8s.amazonaws.com/accelerator"
AKS_ACCELERATOR = "kubernetes.azure.com/accelerator"
ACCELERATOR_OLD = "accelerator"
AZURE_GPU_PREFIX = "karpenter.azure.com/sku-gpu-"
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
INTEL_LABEL = "gpu.intel.com/"
INTEL_DEVICE_COUNT = "gpu.intel.com/device.count"
INTEL_DEVICE_ID = "gpu.intel.com/device-id."
INTEL_PRODUCT = "gpu.intel.com/product"
INTEL_FAMILY = "gpu.intel.com/family"
GAUDI_PRODUCT = "habana.ai/gaudi.product"

# --- Taints and DRA drivers -----------------------------------------------------------------------------------------

TAINT_UNSCHEDULABLE = "node.kubernetes.io/unschedulable"
# What the control plane and health monitors put on a node that is in trouble, and take away when it is well again.
_TRANSIENT_TAINT_PREFIX = "node.kubernetes.io/"
_TRANSIENT_TAINTS = frozenset(
    {
        "node.cloudprovider.kubernetes.io/uninitialized",
        "karpenter.sh/unregistered",
        "nvidia.com/gpu-xid-error",
        "nvidia.com/gpu-nvlink-error",
        "nvidia.com/syslog-xid-error",
        "nvidia.com/gpu-error",
    }
)
DRA_NVIDIA_GPU = "gpu.nvidia.com"
DRA_NVIDIA_MIG_CLASS = "mig.nvidia.com"
DRA_NVIDIA_VFIO_CLASS = "vfio.gpu.nvidia.com"
DRA_NVIDIA_COMPUTE_DOMAIN = "compute-domain.nvidia.com"
DRA_LAYOUT_TAINTS = frozenset({"gpu.amd.com/memory-partition-conflict"})
"""AMD's driver taints the ways of cutting a card that do not go with the node's present memory mode: no device is ill."""
DEVICE_CLASS_RESOURCE_PREFIX = "deviceclass.resource.kubernetes.io/"

# --- Extended resources ---------------------------------------------------------------------------------------------

NVIDIA_GPU = "nvidia.com/gpu"
SHARED_SUFFIX = ".shared"
NVIDIA_GPU_SHARED = NVIDIA_GPU + SHARED_SUFFIX
NVIDIA_MIG_PREFIX = "nvidia.com/mig-"
NVIDIA_PASSTHROUGH = "nvidia.com/pgpu"
AMD_GPU = "amd.com/gpu"
INTEL_I915 = "gpu.intel.com/i915"
INTEL_XE = "gpu.intel.com/xe"
GAUDI = "habana.ai/gaudi"

_AMD_PARTITION_RESOURCE = re.compile(r"amd\.com/((?:spx|dpx|tpx|qpx|cpx)(?:_nps\d+)?)", re.ASCII | re.IGNORECASE)
# Resources under nvidia.com/ that are no GPU: network devices published with this prefix by NVIDIA's Network Operator and SR-IOV
# plugins, and the pseudo-resources of fractional-GPU schedulers, whose unit is MiB or per cent and not a device.
_NVIDIA_NO_DEVICE = re.compile(
    r"(?:^|[^a-z])(?:hostdev|sriov|rdma|roce|ib|hca|nic|nics|mlnx\w*|mlx\w*|cx\d\w*|bf\d?|vf|vfs|netdev|switchdev|vdpa)(?:$|[^a-z])"
    r"|gpu-?(?:mem|memory|cores?|util)|vgpu-?(?:mem|memory|cores?)|priority|imex|bandwidth",
    re.ASCII | re.IGNORECASE,
)
_NO_GPUS = ("tpu", "neuron", "inferentia", "trainium")
_VGPU_TYPE = re.compile(r"\d+[QCAB]$", re.ASCII)
_PCI_DEVICE_NAME = re.compile(r"[A-Z]{2}\d{3}[A-Z]*(?:_|$)", re.ASCII)


@lru_cache(maxsize=4096)
def resource_kind(name: str) -> str:
    """What an extended resource stands for, by its name alone; "" for what is no GPU.

    `gpu` one device (or a MIG device under the single strategy, or an unrenamed share: the name cannot tell), `shared` a renamed
    share, `mig`, `mig-shared`, `partition` (AMD), `passthrough` and `vgpu` (virtual machines), `custom` (another name under
    nvidia.com/ that somebody's plugin uses). TPU, Neuron and monitoring resources are no GPUs.
    """
    if name.startswith(NVIDIA):
        return _nvidia_kind(name)
    if name == AMD_GPU:
        return "gpu"
    if _AMD_PARTITION_RESOURCE.fullmatch(name):
        return "partition"
    return "gpu" if name in (INTEL_I915, INTEL_XE, GAUDI) else ""


def _nvidia_kind(name: str) -> str:
    if name == NVIDIA_GPU:
        return "gpu"
    if name == NVIDIA_GPU_SHARED:
        return "shared"
    if name.startswith(NVIDIA_MIG_PREFIX):
        return "mig-shared" if name.endswith(SHARED_SUFFIX) else "mig"
    rest = name[len(NVIDIA) :]
    if not rest or _NVIDIA_NO_DEVICE.search(rest):
        return ""
    if _VGPU_TYPE.search(rest):
        return "vgpu"
    if name == NVIDIA_PASSTHROUGH or _PCI_DEVICE_NAME.match(rest):
        return "passthrough"
    return "shared" if name.endswith(SHARED_SUFFIX) else "custom"


def is_gpu_resource(name: str) -> bool:
    """Whether units of this extended resource are GPUs, or parts or shares of GPUs."""
    return bool(resource_kind(name))


def base_resource(name: str) -> str:
    """The name without the `.shared` that renamed shares carry: the name the device-plugin configuration uses."""
    return name.removesuffix(SHARED_SUFFIX)


@lru_cache(maxsize=4096)
def vendor_of_resource(name: str) -> str:
    """nvidia, amd, intel or habana; "" for what is no GPU resource."""
    if not resource_kind(name):
        return ""
    domain = name.split("/", 1)[0]
    return {"nvidia.com": "nvidia", "amd.com": "amd", "gpu.intel.com": "intel", "habana.ai": "habana"}.get(domain, "")


def is_gpu_driver(driver: str) -> bool:
    """Whether devices of this DRA driver can be GPUs. ComputeDomain channels and daemons are plumbing, never GPUs."""
    return driver.startswith(("gpu.", "gaudi."))


def vendor_of_driver(driver: str) -> str:
    """Vendor of a DRA driver; "other" for a GPU driver of nobody known."""
    known = {DRA_NVIDIA_GPU: "nvidia", "gpu.amd.com": "amd", "gpu.intel.com": "intel", "gaudi.intel.com": "habana"}
    return known.get(driver, "other")


def is_transient_taint(key: str) -> bool:
    """Whether this taint tells of trouble that passes, and not of what the node is for. A cordon is somebody's wish."""
    return key in _TRANSIENT_TAINTS or (key.startswith(_TRANSIENT_TAINT_PREFIX) and key != TAINT_UNSCHEDULABLE)


def names_a_gpu(accelerator: str) -> bool:
    """Whether a cloud's word for an accelerator stands for GPUs: `nvidia-l4`, and not `tpu-v5-lite-podslice` or `inferentia2`."""
    return bool(accelerator) and not any(word in accelerator.lower() for word in _NO_GPUS)


@lru_cache(maxsize=4096)
def pci_gpu_vendor(label: str) -> str:
    """Vendor of the GPU that an NFD PCI label proves; "" when it proves none.

    NFD writes `pci-<vendor>`, `pci-<class>_<vendor>` or longer forms, ending `.present`. NVIDIA and Habana vendor ids stand for
    accelerators even without a class (NVIDIA's network cards carry Mellanox's 15b3); AMD and Intel ids do not (bridges, network
    cards), and Intel's VGA class is the CPU's own graphics more often than a card.
    """
    if not label.startswith(NFD + "pci-") or not label.endswith(".present"):
        return ""
    fields = label[len(NFD + "pci-") : -len(".present")].split("_")
    if len(fields) == 1:
        return {PCI_NVIDIA: "nvidia", PCI_HABANA: "habana"}.get(fields[0], "")
    pci_class, vendor = fields[0], fields[1]
    if vendor == PCI_NVIDIA and pci_class in PCI_DISPLAY_CLASSES:
        return "nvidia"
    if vendor == PCI_AMD and (pci_class in PCI_DISPLAY_CLASSES or pci_class == PCI_ACCELERATOR_CLASS):
        return "amd"
    if vendor == PCI_INTEL and pci_class in ("0302", "0380"):
        return "intel"
    return "habana" if vendor == PCI_HABANA and pci_class.startswith("12") else ""
