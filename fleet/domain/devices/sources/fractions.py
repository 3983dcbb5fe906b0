"""What schedulers of GPU shares declare about a node: HAMi, Volcano, aliyun, Tencent, Koordinator, nos, KAI, Run:ai; and Jetson.

Their resources count shares, memory or per cent, and never GPUs, unless the scheduler defines so many units for each GPU.
Sources: HAMi docs/develop/protocol.md and pkg/device (node annotation, by text and as JSON); volcano-vgpu-device-plugin
(volcano.sh/node-vgpu-register); gpushare-device-plugin; tkestack/gpu-manager (100 vcuda-core a GPU); koordinator docs on device
scheduling (100 a GPU); nos docs on MPS partitioning; KAI-Scheduler pkg/common/constants; JetPack kernels end in -tegra.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from fleet.domain import labels
from fleet.domain.devices.sources.gfd import label_form, plausible
from fleet.domain.findings import Evidence
from fleet.domain.pod_resources import gpu_requests, holds
from fleet.domain.quantities import parse_count, parse_units
from fleet.domain.snapshot import NodeSnapshot, PodSnapshot

_MOST_GPUS = 64
"""Most GPUs of one machine; a longer list is not read."""
_SHARES = {labels.HAMI_REGISTER: labels.NVIDIA_GPU, labels.HAMI_REGISTER_OLD: labels.NVIDIA_GPU,
           labels.VOLCANO_REGISTER: labels.VOLCANO_VGPU_NUMBER}  # fmt: skip
_UNITS_PER_GPU = {
    labels.ALIYUN_GPU_COUNT: 1,
    labels.VOLCANO_GPU_NUMBER: 1,
    labels.TENCENT_CORE: 100,
    labels.TENCENT_QGPU_CORE: 100,
    labels.ELASTIC_GPU_CORE: 100,
    labels.KOORDINATOR + "gpu-core": 100,
    labels.KOORDINATOR + "gpu-memory-ratio": 100,
    labels.KOORDINATOR + "gpu.shared": 100,
    labels.KOORDINATOR + "gpu": 100,
}
# Names of the DaemonSets, and parts of the images, of plugins that share GPUs by means of their own.
_SHARING_PLUGINS = (
    "hami", "vgpu", "volcano-device-plugin", "4pd", "gpushare", "gpu-manager", "elastic-gpu", "qgpu", "nos-gpu", "nebuly",
)  # fmt: skip


class RegisteredGpu(msgspec.Struct, frozen=True, kw_only=True):
    """One physical GPU as a scheduler's node annotation lists it."""

    uuid: str
    shares: int
    memory_mib: int | None = None
    product: str = ""
    healthy: bool = True


class Fractions(msgspec.Struct, frozen=True, kw_only=True):
    """GPU shares of one node, as schedulers other than Kubernetes' own declare them."""

    gpus: tuple[RegisteredGpu, ...] = ()
    resource: str = ""
    """The resource whose units are the shares of `gpus`."""
    annotation: str = ""
    count: int | None = None
    """Physical GPUs by a resource that has so many units for each."""
    count_resource: str = ""
    integrated: bool = False
    """Whether the machine is a Jetson: one GPU in the processor."""
    is_one_device: bool = False
    """Whether all GPUs of the machine are one device to its plugin: WSL2. More slots than one are shares of it."""
    names: tuple[str, ...] = ()
    """Resources with a capacity that measure memory or compute of GPUs, not GPUs."""
    unnamed_shares: bool = False
    """Pods share GPUs without a request of their own (KAI, Run:ai)."""
    held_unnamed: bool = False
    """Whether pods use GPUs, or memory or compute of them, without a slot: the number of slots in use is unknown."""
    means: str = ""
    """mps where the scheduler declares it."""
    hints: tuple[Evidence, ...] = ()
    """Evidence that slots of this node may be shares."""

    @property
    def shares(self) -> int | None:
        """Returns the shares of each GPU, where all have the same number."""
        numbers = {gpu.shares for gpu in self.gpus}
        return numbers.pop() if len(numbers) == 1 else None


def read(node: NodeSnapshot, pods: Sequence[PodSnapshot] | None) -> Fractions:
    """Returns what the node's annotations, resources, labels and pods declare about shares. Never raises."""
    annotation, gpus = _registered(node.annotations)
    names = tuple(
        name for name, text in sorted(node.capacity.items()) if counts_gpus(name, node.capacity) and (parse_units(text) or 0) > 0
    )
    count, count_resource = _counted(node.capacity)
    sharing = [pod for pod in pods or () if pod.gpu_share]
    partitioned = node.labels.get(labels.NOS_PARTITIONING, "")
    hints = [Evidence("annotation", annotation, str(len(gpus)))] if gpus else []
    hints += [Evidence("capacity", name, node.capacity[name]) for name in names]
    hints += [Evidence("pod", f"{pod.namespace}/{pod.name}", pod.gpu_share) for pod in sharing[:1]]
    hints += [Evidence("pod", f"{pod.namespace}/{pod.name}", "shares GPUs") for pod in pods or () if _shares_gpus(pod)][:1]
    hints += [
        Evidence("label", key, node.labels[key])
        for key in (labels.NOS_PARTITIONING, labels.HAMI_NODE)
        if node.labels.get(key) in ("mps", "on")
    ]
    return Fractions(
        gpus=gpus,
        resource=_SHARES.get(annotation, ""),
        annotation=annotation,
        count=count,
        count_resource=count_resource,
        integrated=is_integrated(node),
        is_one_device=node.node_info.is_wsl2,
        names=names,
        unnamed_shares=bool(sharing),
        held_unnamed=any(_holds_quantity(pod) for pod in pods or ()) or _lacks_reservation(pods or ()),
        means="mps" if partitioned == "mps" else "",
        hints=tuple(hints),
    )


def is_integrated(node: NodeSnapshot) -> bool:
    """Returns whether the node is a Jetson, whose kernel release ends in -tegra."""
    return node.node_info.kernel.endswith("-tegra")


def counts_gpus(name: str, resources: Mapping[str, str]) -> bool:
    """Returns whether units of a resource that is no slot are still evidence of NVIDIA GPUs.

    Koordinator counts NPUs under the same names.
    """
    return labels.is_gpu_quantity(name) and not _counts_npus(name, resources)


def _counts_npus(name: str, resources: Mapping[str, str]) -> bool:
    return name.startswith(labels.KOORDINATOR) and any(other.startswith(labels.NPU_PREFIXES) for other in resources)


def _holds_quantity(pod: PodSnapshot) -> bool:
    requested = {name for container in pod.containers for name in container.requests}
    return (
        any(labels.is_gpu_quantity(name) for name in requested)
        and not any(labels.is_gpu_resource(name) for name in requested)
        and holds(pod)
    )


def _lacks_reservation(pods: Sequence[PodSnapshot]) -> bool:
    """Returns whether a pod uses a fraction of a GPU that no reservation pod holds: the GPU is in use and looks free.

    KAI and Run:ai label the pods that share a GPU, and the reservation pod that requests it, with the GPU's group.
    """
    sharing = [pod for pod in pods if pod.gpu_share and holds(pod)]
    requesting = [pod for pod in pods if not pod.gpu_share and holds(pod) and gpu_requests(pod)] if sharing else []
    reserved = {group for pod in requesting for group in _groups(pod)}
    # Without a label of its own, any pod that requests a GPU may be its reservation.
    return any(not groups <= reserved if (groups := _groups(pod)) else not requesting for pod in sharing)


def _groups(pod: PodSnapshot) -> set[str]:
    return {value for key, value in pod.labels.items() if key == labels.KAI_GROUP or key.startswith(labels.KAI_GROUP + "/")}


def _shares_gpus(pod: PodSnapshot) -> bool:
    if pod.owner_kind != "DaemonSet":
        return False
    texts = (pod.owner_name, *(container.image for container in pod.containers))
    return any(word in text for text in texts for word in _SHARING_PLUGINS)


def _counted(capacity: Mapping[str, str]) -> tuple[int | None, str]:
    for name, units_per_gpu in _UNITS_PER_GPU.items():
        units = parse_units(capacity.get(name))
        if units and units % units_per_gpu == 0 and units // units_per_gpu <= _MOST_GPUS and not _counts_npus(name, capacity):
            return units // units_per_gpu, name
    return None, ""


def _registered(annotations: Mapping[str, str]) -> tuple[str, tuple[RegisteredGpu, ...]]:
    for key in _SHARES:
        text = annotations.get(key, "").strip()
        if text and not annotations.get(labels.HANDSHAKE_OF.get(key, ""), "").startswith(labels.HANDSHAKE_DELETED):
            gpus = tuple({gpu.uuid: gpu for gpu in _gpus(text)}.values())
            if gpus and len(gpus) <= _MOST_GPUS:
                return key, gpus
    return "", ()


def _gpus(text: str) -> list[RegisteredGpu]:
    """Returns the GPUs of a register annotation; empty where any part of it cannot be read."""
    if text.startswith("["):
        try:
            rows = msgspec.json.decode(text)
        except (msgspec.MsgspecError, RecursionError):
            return []
        parsed = [_from_json(row) for row in rows] if isinstance(rows, list) else [None]
    else:
        parsed = [_from_text(row.split(",")) for row in text.split(":") if row.strip()]
    return [] if None in parsed else [gpu for gpu in parsed if gpu is not None]


def _from_json(row: Any) -> RegisteredGpu | None:
    if not isinstance(row, dict):
        return None
    fields = [row.get(name) for name in ("id", "count", "devmem", "type")]
    return _gpu(*(str(field) if field is not None else "" for field in fields), healthy=row.get("health") is not False)


def _from_text(fields: Sequence[str]) -> RegisteredGpu | None:
    """HAMi: uuid,shares,MiB,cores,product,numa,health[,mode]. Volcano: the same, in older versions without cores and numa."""
    if len(fields) < 5:
        return None
    healths = [field for field in fields[4:] if field in ("true", "false")]
    product = fields[3] if not fields[3].strip().isdecimal() else fields[4]
    return _gpu(fields[0], fields[1], fields[2], product, healthy="false" not in healths[:1])


def _gpu(uuid: str, shares: str, memory: str, product: str, *, healthy: bool) -> RegisteredGpu | None:
    number, mib = plausible(parse_count(shares.strip())), plausible(parse_count(memory.strip()))
    if not labels.is_gpu_uuid(uuid.strip()) or not number:
        return None
    # "NVIDIA-NVIDIA H100 80GB HBM3": the vendor, then the name as the driver has it.
    name = product.strip().removeprefix("NVIDIA-")
    return RegisteredGpu(
        uuid=uuid.strip(),
        shares=number,
        memory_mib=mib or None,
        product=label_form(name)[:60],
        healthy=healthy,
    )
