"""The DCGM exporter of a node: Prometheus text in the exporter's format, with values that change with the clock.

Utilisation and the like are functions of the card, what runs on it, and the time in steps of fifteen seconds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fleet.simulator.seeds import Seed
from fleet.simulator.world import Gpu, Instance, Node, Pod

if TYPE_CHECKING:
    from fleet.simulator.cluster import ClusterCore

_STEP = 15
_XID_TEXT = {0: "No Error", 48: "Double Bit ECC Error", 79: "GPU has fallen off the bus", 94: "Contained ECC error"}


@dataclass(frozen=True, slots=True)
class _Sample:
    """One series' subject at one moment."""

    gpu: Gpu
    instance: Instance | None
    pod: Pod | None
    container: str
    busy: float
    filled: float
    clock: int


@dataclass(frozen=True, slots=True)
class _Family:
    name: str
    type: str
    help: str
    value: Callable[[_Sample], float | int | None]


def _memory(sample: _Sample) -> int:
    return sample.instance.profile.memory_mib if sample.instance else sample.gpu.model.memory_mib


def _reserved(sample: _Sample) -> int:
    return 17 if sample.instance else max(300, _memory(sample) // 150)


def _used(sample: _Sample) -> int:
    return 1 + int((_memory(sample) - _reserved(sample) - 1) * sample.filled)


def _whole(value: Callable[[_Sample], float | int | None]) -> Callable[[_Sample], float | int | None]:
    """A value that MIG instances do not have."""
    return lambda sample: None if sample.instance else value(sample)


def _memory_temperature(sample: _Sample) -> int:
    return _temperature(sample) + 5 if sample.gpu.model.high_bandwidth_memory else 0


def _temperature(sample: _Sample) -> int:
    return 31 + int(sample.busy * 36) + sample.gpu.index % 4


def _power(sample: _Sample) -> float:
    return sample.gpu.model.tdp_w * (0.1 + 0.8 * sample.busy)


def _if_ampere(value: int) -> Callable[[_Sample], int | None]:
    return lambda sample: value if sample.gpu.model.high_bandwidth_memory else None


_FAMILIES = (
    _Family("DCGM_FI_DEV_SM_CLOCK", "gauge", "SM clock frequency (in MHz).",
            lambda s: s.gpu.model.clock_mhz if s.busy > 0.01 else s.gpu.model.clock_mhz // 5),
    _Family("DCGM_FI_DEV_MEM_CLOCK", "gauge", "Memory clock frequency (in MHz).", lambda s: s.gpu.model.memory_clock_mhz),
    _Family("DCGM_FI_DEV_MEMORY_TEMP", "gauge", "Memory temperature (in C).", _memory_temperature),
    _Family("DCGM_FI_DEV_GPU_TEMP", "gauge", "GPU temperature (in C).", _temperature),
    _Family("DCGM_FI_DEV_POWER_USAGE", "gauge", "Power draw (in W).", _power),
    _Family("DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", "counter", "Total energy consumption since boot (in mJ).",
            lambda s: s.clock * s.gpu.model.tdp_w * 450),
    _Family("DCGM_FI_DEV_PCIE_REPLAY_COUNTER", "counter", "Total number of PCIe retries.", lambda s: 0),
    _Family("DCGM_FI_DEV_GPU_UTIL", "gauge", "GPU utilization (in %).", _whole(lambda s: round(s.busy * 100))),
    _Family("DCGM_FI_DEV_MEM_COPY_UTIL", "gauge", "Memory utilization (in %).", _whole(lambda s: round(s.busy * 52))),
    _Family("DCGM_FI_DEV_ENC_UTIL", "gauge", "Encoder utilization (in %).", _whole(lambda s: 0)),
    _Family("DCGM_FI_DEV_DEC_UTIL", "gauge", "Decoder utilization (in %).", _whole(lambda s: 0)),
    _Family("DCGM_FI_DEV_XID_ERRORS", "gauge", "Value of the last XID error encountered.", lambda s: s.gpu.xid),
    _Family("DCGM_FI_DEV_FB_FREE", "gauge", "Framebuffer memory free (in MiB).",
            lambda s: _memory(s) - _reserved(s) - _used(s)),
    _Family("DCGM_FI_DEV_FB_USED", "gauge", "Framebuffer memory used (in MiB).", _used),
    _Family("DCGM_FI_DEV_FB_RESERVED", "gauge", "Framebuffer memory reserved (in MiB).", _reserved),
    _Family("DCGM_FI_DEV_UNCORRECTABLE_REMAPPED_ROWS", "counter", "Number of remapped rows for uncorrectable errors",
            _if_ampere(0)),
    _Family("DCGM_FI_DEV_CORRECTABLE_REMAPPED_ROWS", "counter", "Number of remapped rows for correctable errors",
            _if_ampere(0)),
    _Family("DCGM_FI_DEV_ROW_REMAP_FAILURE", "gauge", "Whether remapping of rows has failed", _if_ampere(0)),
    _Family("DCGM_FI_DEV_NVLINK_BANDWIDTH_TOTAL", "counter", "Total number of NVLink bandwidth counters for all lanes.",
            _if_ampere(0)),
    _Family("DCGM_FI_DEV_VGPU_LICENSE_STATUS", "gauge", "vGPU License status", lambda s: 0),
    _Family("DCGM_FI_PROF_GR_ENGINE_ACTIVE", "gauge", "Ratio of time the graphics engine is active.",
            lambda s: float(s.busy)),
    _Family("DCGM_FI_PROF_PIPE_TENSOR_ACTIVE", "gauge", "Ratio of cycles the tensor (HMMA) pipe is active.",
            lambda s: s.busy * 0.43),
    _Family("DCGM_FI_PROF_DRAM_ACTIVE", "gauge", "Ratio of cycles the device memory interface is active.",
            lambda s: s.busy * 0.55),
    _Family("DCGM_FI_PROF_PCIE_TX_BYTES", "gauge", "Bytes per second transmitted over the PCIe bus, headers included.",
            lambda s: int(s.busy * 43_000_000)),
    _Family("DCGM_FI_PROF_PCIE_RX_BYTES", "gauge", "Bytes per second received over the PCIe bus, headers included.",
            lambda s: int(s.busy * 39_000_000)),
)  # fmt: skip


# Off by default: the exporter's counters file has these lines commented out.
_HEALTH_FAMILIES = (
    _Family("DCGM_FI_DEV_ROW_REMAP_PENDING", "gauge", "Whether remapping of rows is pending", _if_ampere(0)),
    _Family("DCGM_FI_DEV_ECC_SBE_VOL_TOTAL", "counter", "Total number of single-bit volatile ECC errors.", lambda s: 0),
    _Family("DCGM_FI_DEV_ECC_DBE_VOL_TOTAL", "counter", "Total number of double-bit volatile ECC errors.",
            lambda s: 1 if s.gpu.xid == 48 else 0),
    _Family("DCGM_FI_DEV_ECC_SBE_AGG_TOTAL", "counter", "Total number of single-bit persistent ECC errors.", lambda s: 0),
    _Family("DCGM_FI_DEV_ECC_DBE_AGG_TOTAL", "counter", "Total number of double-bit persistent ECC errors.",
            lambda s: 1 if s.gpu.xid == 48 else 0),
    _Family("DCGM_FI_DEV_POWER_VIOLATION", "counter", "Throttling duration due to power constraints (in ns).", lambda s: 0),
    _Family("DCGM_FI_DEV_THERMAL_VIOLATION", "counter", "Throttling duration due to thermal constraints (in ns).", lambda s: 0),
    _Family("DCGM_FI_DEV_NVLINK_CRC_FLIT_ERROR_COUNT_TOTAL", "counter", "Total number of NVLink flow-control CRC errors.",
            _if_ampere(0)),
    _Family("DCGM_FI_DEV_NVLINK_CRC_DATA_ERROR_COUNT_TOTAL", "counter", "Total number of NVLink data CRC errors.", _if_ampere(0)),
    _Family("DCGM_FI_DEV_NVLINK_REPLAY_ERROR_COUNT_TOTAL", "counter", "Total number of NVLink retries.", _if_ampere(0)),
    _Family("DCGM_FI_DEV_NVLINK_RECOVERY_ERROR_COUNT_TOTAL", "counter", "Total number of NVLink recovery errors.", _if_ampere(0)),
)  # fmt: skip
_WATCHES = ("PCIE", "NVLINK", "PMU", "MCU", "MEM", "SM", "INFOROM", "THERMAL", "POWER", "DRIVER", "ALL")
_BLANK = {
    "DCGM_FI_DEV_GPU_TEMP": "9223372036854775794", "DCGM_FI_DEV_POWER_USAGE": "140737488355330.000000",
    "DCGM_FI_DEV_FB_USED": "9223372036854775792",
}  # fmt: skip


def render(cluster: ClusterCore, node: Node) -> str:
    """The text of GET /metrics on the node's exporter."""
    samples = _samples(cluster, node)
    host = "hostname" if cluster.flavour.exporter >= "4.6" else "Hostname"
    faults = cluster.faults
    health = faults.strikes(faults.exporter_health, node.name)
    blank = _BLANK if faults.strikes(faults.exporter_blank, node.name) else {}
    if faults.strikes(faults.exporter_forgets, node.name):
        samples = [sample for sample in samples if sample.gpu.healthy]
    lines: list[str] = []
    for family in (*_FAMILIES, *(_HEALTH_FAMILIES if health else ())):
        shown = []
        for sample in samples:
            if not sample.gpu.healthy and family.name != "DCGM_FI_DEV_XID_ERRORS":
                continue  # a card that fell off the bus has no samples; only the last error is remembered
            value = family.value(sample)
            if value is not None and family.name in blank:
                shown.append(f"{family.name}{{{_labels(cluster, node, sample, host, family.name)}}} {blank[family.name]}")
            elif value is not None:
                shown.append(f"{family.name}{{{_labels(cluster, node, sample, host, family.name)}}} {_number(value)}")
        if shown:
            lines += [f"# HELP {family.name} {family.help}", f"# TYPE {family.name} {family.type}", *shown]
    if health:
        lines += _watches(cluster, node, samples, host)
    return "\n".join(lines) + "\n"


def _watches(cluster: ClusterCore, node: Node, samples: list[_Sample], host: str) -> list[str]:
    """The exporter's own series: DCGM's verdict of each card, by subsystem. Xid 79 and 95 come up under ALL."""
    name = "DCGM_EXP_GPU_HEALTH_STATUS"
    lines = [f"# HELP {name} Current DCGM-reported GPU health status.", f"# TYPE {name} gauge"]
    for sample in samples:
        if sample.instance is not None:
            continue
        for watch in _WATCHES:
            bad = (not sample.gpu.healthy and watch == "ALL") or (sample.gpu.xid == 48 and watch == "MEM")
            error = "DCGM_FR_VOLATILE_DBE_DETECTED" if watch == "MEM" else "DCGM_FR_XID_ERROR"
            more = f'health_error_code="{error if bad else ""}",health_watch="{watch}"'
            lines.append(f"{name}{{{_labels(cluster, node, sample, host, name)},{more}}} {20 if bad else 0}")
    return lines


def _number(value: float | int) -> str:
    return f"{value:f}" if isinstance(value, float) else str(value)


def _samples(cluster: ClusterCore, node: Node) -> list[_Sample]:
    holders: dict[str, tuple[Pod, str]] = {}
    for pod in cluster.on_node.get(node.name, {}).values():
        for container, slots in pod.slots.items():
            for slot in slots:
                if pod.holds:
                    holders.setdefault(slot.instance or f"gpu {slot.gpu}", (pod, container))
    now = int(cluster.now().timestamp())
    samples = []
    for gpu in node.gpus:
        parts: list[Instance | None] = [*gpu.instances] if gpu.mig else [None]
        for instance in parts:
            name = instance.uuid if instance else f"gpu {gpu.index}"
            holder = holders.get(name)
            holding = holder[0] if holder else None
            busy, filled = load_of(cluster.seed, gpu.uuid, name, holding, now)
            samples.append(_Sample(gpu, instance, holding, holder[1] if holder else "", busy, filled, now))
    return samples


def load_of(seed: Seed, subject: str, part: str, pod: Pod | None, now: int) -> tuple[float, float]:
    """Load of a GPU, an instance or a server, 0 to 1, and its memory use, 0 to 1."""
    if pod is None or not pod.ready:
        return 0.0, 0.0
    step = now // _STEP
    wobble = seed.share("busy", subject, part, step)
    slow = seed.share("level", subject, part, step // 40)
    if pod.template.workload == "train":
        return 0.9 + 0.09 * wobble, 0.82 + 0.1 * slow
    if pod.template.workload == "notebook":
        return (0.35 * wobble if slow > 0.6 else 0.0), 0.05 + 0.4 * slow
    return min(0.99, 0.25 + 0.5 * slow + 0.2 * wobble), 0.88 + 0.02 * wobble


def _labels(cluster: ClusterCore, node: Node, sample: _Sample, host: str, family: str) -> str:
    gpu = sample.gpu
    domain, _, rest = gpu.pci.partition(":")
    pairs = [
        ("gpu", str(gpu.index)),
        ("UUID", gpu.uuid),
        ("pci_bus_id", f"0000{domain}:{rest.upper()}"),
        ("device", f"nvidia{gpu.index}"),
        ("modelName", gpu.model.name),
    ]
    if sample.instance:
        pairs += [("GPU_I_PROFILE", sample.instance.profile.name), ("GPU_I_ID", str(sample.instance.gi_id))]
    pairs += [(host, node.name), ("DCGM_FI_DRIVER_VERSION", cluster.flavour.driver)]
    attributes: dict[str, str] = {}
    # The exporter knows nvidia.com/gpu and nvidia.com/mig-*; under a renamed resource it finds no pod.
    if sample.pod is not None and not node.renamed:
        attributes = {"container": sample.container, "namespace": sample.pod.namespace, "pod": sample.pod.name}
        if host == "hostname":
            attributes["pod_uid"] = sample.pod.uid
    if family == "DCGM_FI_DEV_XID_ERRORS":
        attributes |= {"err_code": str(gpu.xid), "err_msg": _XID_TEXT.get(gpu.xid, "Unknown Error")}
    pairs += sorted(attributes.items())
    return ",".join(f'{name}="{value}"' for name, value in pairs)
