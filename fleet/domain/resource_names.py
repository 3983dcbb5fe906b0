"""Names of extended resources that are GPUs, their parts, shares and quantities, and what each name means.

Sources: NVIDIA k8s-device-plugin v0.20, NVIDIA Network Operator, the device plugins of AMD, Intel and Habana, nos, Volcano,
Alibaba Cloud, Tencent Cloud, Elastic GPU and Koordinator; AKS (microsoft.com/directx) and TensorWorks' plugins for DirectX.
"""

from __future__ import annotations

import re
from functools import lru_cache

NVIDIA = "nvidia.com/"
VOLCANO_VGPU_NUMBER = "volcano.sh/vgpu-number"
VOLCANO_GPU_NUMBER = "volcano.sh/gpu-number"
ALIYUN_GPU_COUNT = "aliyun.com/gpu-count"
NVIDIA_GPU = "nvidia.com/gpu"
SHARED_SUFFIX = ".shared"
NVIDIA_GPU_SHARED = NVIDIA_GPU + SHARED_SUFFIX
NVIDIA_MIG_PREFIX = "nvidia.com/mig-"
NVIDIA_PASSTHROUGH = "nvidia.com/pgpu"
AMD_GPU = "amd.com/gpu"
INTEL_I915 = "gpu.intel.com/i915"
INTEL_XE = "gpu.intel.com/xe"
GAUDI = "habana.ai/gaudi"
DIRECTX = frozenset({"microsoft.com/directx", "directx.microsoft.com/display", "directx.microsoft.com/compute"})
"""GPUs of Windows nodes, of any vendor. Their plugins may give one GPU to several containers."""

_AMD_PARTITION_RESOURCE = re.compile(r"amd\.com/((?:spx|dpx|tpx|qpx|cpx)(?:_nps\d+)?)", re.ASCII | re.IGNORECASE)
# Resources under nvidia.com/ that are no GPU: network devices published with this prefix by NVIDIA's Network Operator and SR-IOV
# plugins, and the pseudo-resources of fractional-GPU schedulers, whose unit is MiB or per cent and not a device.
_NVIDIA_NO_DEVICE = re.compile(
    r"(?:^|[^a-z])(?:hostdev|sriov|rdma|roce|ib|hca|nic|nics|mlnx\w*|mlx\w*|cx\d\w*|bf\d?|vf|vfs|netdev|switchdev|vdpa)(?:$|[^a-z])"
    r"|gpu-?(?:mem|memory|cores?|util)|vgpu-?(?:mem|memory|cores?)|priority|imex|bandwidth",
    re.ASCII | re.IGNORECASE,
)
_SHARES = frozenset({VOLCANO_VGPU_NUMBER, "nvidia.com/vgpu-number", "k8s.amazonaws.com/vgpu"})
_COUNTS = frozenset({VOLCANO_GPU_NUMBER, ALIYUN_GPU_COUNT})
_NOS_SHARE = re.compile(r"nvidia\.com/gpu-[1-9]\d{0,3}gb", re.ASCII)
# Memory (MiB, GiB, 256 MiB) and compute (per cent) of GPUs, by which schedulers of shares allocate them.
_QUANTITY = re.compile(
    r"volcano\.sh/v?gpu-(?:mem|memory|cores?)(?:-percentage)?"
    r"|nvidia\.com/v?gpu-?(?:mem|memory|cores?|util)(?:-percentage)?"
    r"|aliyun\.com/gpu(?:-mem|-memory|-core\.percentage)?"
    r"|tencent\.com/vcuda-(?:core|memory)|tke\.cloud\.tencent\.com/qgpu-(?:core|memory)|elasticgpu\.io/gpu-(?:core|memory)"
    r"|koordinator\.sh/gpu(?:-core|-memory|-memory-ratio|\.shared)?",
    re.ASCII,
)
_GPU_UUID = re.compile(r"GPU-[0-9A-Za-z-]{1,80}", re.ASCII)
_VGPU_TYPE = re.compile(r"(?<!\d)\d+[QCAB]$", re.ASCII)
_PCI_DEVICE_NAME = re.compile(r"[A-Z]{2}\d{3}[A-Z]*(?:_|$)", re.ASCII)


@lru_cache(maxsize=4096)
def resource_kind(name: str) -> str:
    """Returns the kind of an extended resource, by its name alone; "" for one that is not a GPU.

    `gpu` one device (or a MIG device under the single strategy, or an unrenamed share: the name does not show it), `shared` a
    renamed share or one of another scheduler (Volcano, nos), `mig`, `mig-shared`, `partition` (AMD), `passthrough` and `vgpu`
    (virtual machines), `custom` (another name under nvidia.com/ that a plugin uses). TPU, Neuron and monitoring resources are not
    GPUs.
    """
    if name.startswith(NVIDIA):
        return _nvidia_kind(name)
    if name in _SHARES:
        return "shared"
    if name == AMD_GPU or name in _COUNTS:
        return "gpu"
    if _AMD_PARTITION_RESOURCE.fullmatch(name):
        return "partition"
    return "gpu" if name in (INTEL_I915, INTEL_XE, GAUDI) or name in DIRECTX else ""


def _nvidia_kind(name: str) -> str:
    if name == NVIDIA_GPU:
        return "gpu"
    if name == NVIDIA_GPU_SHARED:
        return "shared"
    if name in _SHARES or _NOS_SHARE.fullmatch(name):
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
    """Returns whether units of this extended resource are GPUs, or parts or shares of GPUs."""
    return bool(resource_kind(name))


@lru_cache(maxsize=4096)
def is_gpu_quantity(name: str) -> bool:
    """Returns whether units of this extended resource are memory or compute of GPUs: they prove GPUs and are no slots."""
    return bool(_QUANTITY.fullmatch(name))


def is_share_resource(name: str) -> bool:
    """Returns whether units of this extended resource are shares made by another scheduler, not the device plugin's replicas."""
    return name in _SHARES or bool(_NOS_SHARE.fullmatch(name))


def is_count_resource(name: str) -> bool:
    """Returns whether another scheduler counts whole GPUs by this extended resource.

    Beside nvidia.com/gpu, the same ones again.
    """
    return name in _COUNTS


def is_part_of_gpus(name: str) -> bool:
    """Returns whether such shares may be of some of the node's GPUs only: nos cuts each GPU into sizes of its own."""
    return bool(_NOS_SHARE.fullmatch(name))


def is_gpu_uuid(text: str) -> bool:
    """Returns whether a text is an NVIDIA GPU's UUID."""
    return bool(_GPU_UUID.fullmatch(text))


def base_resource(name: str) -> str:
    """Returns the name without the `.shared` that renamed shares carry: the name the device-plugin configuration uses."""
    return name.removesuffix(SHARED_SUFFIX)


@lru_cache(maxsize=4096)
def vendor_of_resource(name: str) -> str:
    """Returns nvidia, amd, intel, habana, or other for DirectX, which does not name a vendor; "" for no GPU.

    Other schedulers' shares are of NVIDIA GPUs.
    """
    if name in DIRECTX:
        return "other"
    if is_share_resource(name) or name in _COUNTS:
        return "nvidia"
    if not resource_kind(name):
        return ""
    domain = name.split("/", 1)[0]
    return {"nvidia.com": "nvidia", "amd.com": "amd", "gpu.intel.com": "intel", "habana.ai": "habana"}.get(domain, "")


def asks_for_gpus(name: str) -> bool:
    """Returns whether a pod that requests this extended resource uses a GPU: slots of it, or its memory or compute alone."""
    return is_gpu_resource(name) or is_gpu_quantity(name)


def gpu_name_patterns() -> tuple[str, str, str]:
    """Returns RE2 patterns that agree with asks_for_gpus, for policies that are evaluated outside this process.

    Names that ask for GPUs; names under nvidia.com/ that always do; parts of names under nvidia.com/ that do not, except for
    those.
    """
    exact = sorted({AMD_GPU, INTEL_I915, INTEL_XE, GAUDI, *DIRECTX, *_SHARES, *_COUNTS})
    amd = f"(?i:{_AMD_PARTITION_RESOURCE.pattern})"
    names = "|".join([*(re.escape(name) for name in exact), amd, _QUANTITY.pattern, re.escape(NVIDIA) + ".+"])
    shares = [re.escape(name) for name in sorted(_SHARES) if name.startswith(NVIDIA)]
    known = "|".join([f"{re.escape(NVIDIA)}(?:gpu|gpu\\.shared|mig-.*)", _NOS_SHARE.pattern, _QUANTITY.pattern, *shares])
    return f"^(?:{names})$", f"^(?:{known})$", f"(?i){_NVIDIA_NO_DEVICE.pattern}"
