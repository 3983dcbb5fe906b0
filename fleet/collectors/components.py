"""Which part of the GPU stack a pod or DaemonSet is: by its labels, else by its DaemonSet's name, else by its image.

Sources: the DaemonSets of NVIDIA's GPU Operator v26.7, its device-plugin, DCGM exporter and DRA charts, GKE's and the
static manifests; NFD; the device plugins of AMD, Intel and Habana, of HAMi, Volcano, gpushare, gpu-manager and nos; NVIDIA's
Network Operator.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache

DRIVER = "driver"
TOOLKIT = "toolkit"
DEVICE_PLUGIN = "device-plugin"
MPS_CONTROL = "mps-control-daemon"
GFD = "gpu-feature-discovery"
DCGM = "dcgm"
DCGM_EXPORTER = "dcgm-exporter"
MIG_MANAGER = "mig-manager"
VALIDATOR = "validator"
CUDA_VALIDATOR = "cuda-validator"
PLUGIN_VALIDATOR = "plugin-validator"
NODE_STATUS_EXPORTER = "node-status-exporter"
GPU_OPERATOR = "gpu-operator"
DRA_DRIVER = "dra-driver"
DRA_CONTROLLER = "dra-controller"
DRA_VALIDATOR = "dra-validator"
NFD_WORKER = "nfd-worker"
NFD_MASTER = "nfd-master"
AMD_DEVICE_PLUGIN = "amd-device-plugin"
AMD_NODE_LABELLER = "amd-node-labeller"
AMD_METRICS_EXPORTER = "amd-metrics-exporter"
INTEL_DEVICE_PLUGIN = "intel-device-plugin"
GAUDI_DEVICE_PLUGIN = "gaudi-device-plugin"
NETWORK_DRIVER = "network-driver"

# Value of an identifying label, under any of the keys below.
_BY_LABEL: Mapping[str, str] = {
    "nvidia-driver": DRIVER,
    "nvidia-driver-daemonset": DRIVER,
    "nvidia-driver-installer": DRIVER,
    "nvidia-container-toolkit-daemonset": TOOLKIT,
    "nvidia-device-plugin-daemonset": DEVICE_PLUGIN,
    "nvidia-device-plugin-ds": DEVICE_PLUGIN,
    "nvidia-device-plugin": DEVICE_PLUGIN,
    "nvidia-gpu-device-plugin": DEVICE_PLUGIN,
    "hami-device-plugin": DEVICE_PLUGIN,
    "volcano-device-plugin": DEVICE_PLUGIN,
    "gpushare-device-plugin": DEVICE_PLUGIN,
    "gpushare-device-plugin-ds": DEVICE_PLUGIN,
    "gpu-manager-ds": DEVICE_PLUGIN,
    "nvidia-device-plugin-mps-control-daemon": MPS_CONTROL,
    "gpu-feature-discovery": GFD,
    "nvidia-dcgm": DCGM,
    "nvidia-dcgm-exporter": DCGM_EXPORTER,
    "nvidia-dcgm-exporter-dra": DCGM_EXPORTER,
    "dcgm-exporter": DCGM_EXPORTER,
    "gke-managed-dcgm-exporter": DCGM_EXPORTER,
    "nvidia-mig-manager": MIG_MANAGER,
    "nvidia-operator-validator": VALIDATOR,
    "nvidia-cuda-validator": CUDA_VALIDATOR,
    "nvidia-device-plugin-validator": PLUGIN_VALIDATOR,
    "nvidia-node-status-exporter": NODE_STATUS_EXPORTER,
    "nvidia-dra-driver-kubelet-plugin": DRA_DRIVER,
    "nvidia-dra-validator": DRA_VALIDATOR,
    "nvidia-vfio-manager": "vfio-manager",
    "nvidia-sandbox-device-plugin-daemonset": "sandbox-device-plugin",
    "nvidia-kata-sandbox-device-plugin-daemonset": "kata-device-plugin",
    "nvidia-sandbox-validator": "sandbox-validator",
    "nvidia-vgpu-manager-daemonset": "vgpu-manager",
    "nvidia-vgpu-device-manager": "vgpu-device-manager",
    "nvidia-cc-manager": "cc-manager",
    "nvidia-kata-manager": "kata-manager",
    "gpu-operator": GPU_OPERATOR,
    "node-feature-discovery-worker": NFD_WORKER,
    "nfd-worker": NFD_WORKER,
    "node-feature-discovery-master": NFD_MASTER,
    "nfd-master": NFD_MASTER,
    "node-feature-discovery-gc": "nfd-gc",
    "nfd-gc": "nfd-gc",
    "amdgpu-dp-ds": AMD_DEVICE_PLUGIN,
    "amd-gpu-dp-ds": AMD_DEVICE_PLUGIN,
    "amdgpu-lr-ds": AMD_NODE_LABELLER,
    "amd-gpu-lr-ds": AMD_NODE_LABELLER,
    "intel-gpu-plugin": INTEL_DEVICE_PLUGIN,
    "habanalabs-device-plugin-ds": GAUDI_DEVICE_PLUGIN,
}
_KEYS = ("app", "app.kubernetes.io/component", "app.kubernetes.io/name", "k8s-app", "name")
_DRA_COMPONENT = "nvidia-dra-driver-gpu-component"
_OFED = "nvidia.com/ofed-driver"
_NFD_NAME, _NFD_ROLE = "node-feature-discovery", "role"

# A DaemonSet's name, where charts put a release name before it and variants put a kernel or size behind it. These come
# before the labels, because one chart labels all its DaemonSets alike, and the DRA validator carries the label of the
# operator's validator.
_BY_NAME: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), component)
    for pattern, component in (
        (r"^nvidia-dra-validator", DRA_VALIDATOR),
        (r"dra-driver.*kubelet-plugin|^nvidia-dra-driver", DRA_DRIVER),
        (r"gpu-feature-discovery", GFD),
        (r"mps-control-daemon$", MPS_CONTROL),
        (r"^nvidia-(gpu-)?driver-(daemonset|installer)|^nvidia-gpu-driver-", DRIVER),
        (r"^nvidia-gpu-device-plugin", DEVICE_PLUGIN),
        (r"(^|-)nvidia-device-plugin(-daemonset)?$", DEVICE_PLUGIN),
        (r"(hami|volcano|volcano-vgpu|gpushare|nebuly-nvidia)-device-plugin|^gpu-manager(-daemonset)?$", DEVICE_PLUGIN),
        (r"dcgm-exporter", DCGM_EXPORTER),
        (r"(node-feature-discovery|nfd)-worker", NFD_WORKER),
        (r"^amdgpu-device-plugin|amd-gpu.*device-plugin", AMD_DEVICE_PLUGIN),
        (r"^amdgpu-labeller|amd-gpu.*(labeller|labeler)", AMD_NODE_LABELLER),
        (r"^intel-gpu-plugin|gpudeviceplugin", INTEL_DEVICE_PLUGIN),
        (r"^habanalabs-device-plugin", GAUDI_DEVICE_PLUGIN),
        (r"^mofed-", NETWORK_DRIVER),
        (r"^rdma-shared-dp", "rdma-device-plugin"),
    )
)
_BY_IMAGE: tuple[tuple[str, str], ...] = (
    ("nvidia/k8s-device-plugin", DEVICE_PLUGIN),
    ("nvidia/k8s/dcgm-exporter", DCGM_EXPORTER),
    ("k8s-device-plugin:labeller", AMD_NODE_LABELLER),
    ("rocm/k8s-node-labeller", AMD_NODE_LABELLER),
    ("rocm/k8s-device-plugin", AMD_DEVICE_PLUGIN),
    ("rocm/device-metrics-exporter", AMD_METRICS_EXPORTER),
    ("intel/intel-gpu-plugin", INTEL_DEVICE_PLUGIN),
    ("habana.ai/docker-k8s-device-plugin", GAUDI_DEVICE_PLUGIN),
)


def component_of(labels: Mapping[str, str], daemonset: str = "", images: Iterable[str] = ()) -> str:
    """The role in the GPU stack; "" for a workload.

    `daemonset` is the owner's name where the owner is a DaemonSet, whose pods alone are recognised by name and image: a team's
    own pod may be called anything.
    """
    if daemonset and (by_name := _by_name(daemonset)):
        return by_name
    if labels and (by_name := _by_labels(labels)):
        return by_name
    if daemonset:
        return next((by_image for image in images if (by_image := _by_image(image))), "")
    return ""


def _by_labels(labels: Mapping[str, str]) -> str:
    for key in _KEYS:
        value = labels.get(key)
        if value is not None and value in _BY_LABEL:
            return _BY_LABEL[value]
    if _DRA_COMPONENT in labels:
        return DRA_CONTROLLER if labels[_DRA_COMPONENT] == "controller" else DRA_DRIVER
    if _OFED in labels:
        return NETWORK_DRIVER
    if labels.get("app.kubernetes.io/name") == _NFD_NAME and labels.get(_NFD_ROLE) in ("worker", "master", "gc"):
        return f"nfd-{labels[_NFD_ROLE]}"
    return ""


@lru_cache(maxsize=1024)
def _by_name(name: str) -> str:
    return next((component for pattern, component in _BY_NAME if pattern.search(name)), "")


@lru_cache(maxsize=1024)
def _by_image(image: str) -> str:
    return next((component for part, component in _BY_IMAGE if part in image), "")
