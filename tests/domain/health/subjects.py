"""Nodes for the health tests: eight healthy H100s with every metric, changed by one fact."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec import structs

from fleet.domain.catalog import metrics
from fleet.domain.devices.inspection import NodeInputs, inspect
from fleet.domain.evaluation.rules import run, run_cluster
from fleet.domain.evaluation.subject import ClusterHistory, NodeHistory, NodeReports, NodeSubject, XidBurst
from fleet.domain.findings import RuleResult
from fleet.domain.health.rules import CLUSTER_RULES, RULES
from fleet.domain.snapshot import ClusterSnapshot, DevicePluginConfigs, NodeEvent, NodeSnapshot
from fleet.domain.snapshot.sections import Outcome, SectionReport
from fleet.domain.snapshot.telemetry import DeviceSample, ExporterReport, Telemetry
from tests.builders import NODE, make_node
from tests.domain.subjects import make_subject, reporting

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
SPECIAL = ("xid_counts", "watches", "clock_events")
HEALTHY = {
    "gpu_temp": 50.0,
    "memory_temp": 60.0,
    "power": 400.0,
    "energy": 9e9,
    "xid": 0.0,
    "pcie_replay": 3.0,
    "row_remap_failure": 0.0,
    "row_remap_pending": 0.0,
    "remapped_uncorrectable": 0.0,
    "ecc_dbe_volatile": 0.0,
    "power_violation": 7.0,
    "thermal_violation": 7.0,
    "nvlink_crc_flit": 0.0,
    "nvlink_crc_data": 0.0,
    "nvlink_replay": 0.0,
    "nvlink_recovery": 0.0,
    "fb_used": 40_000.0,
    "fb_free": 40_000.0,
    "fb_reserved": 600.0,
}
WATCHES = dict.fromkeys(("PCIE", "NVLINK", "PMU", "MCU", "MEM", "SM", "INFOROM", "THERMAL", "POWER", "DRIVER", "ALL"), 0)


def uuid_of(index: int = 0, node: str = NODE) -> str:
    return f"GPU-{index:08x}-{abs(hash_of(node)):04x}-0000-0000-000000000000"


def hash_of(text: str) -> int:
    return sum(ord(letter) * place for place, letter in enumerate(text, 1)) % 0xFFFF


def sample(index: int = 0, *, node: str = NODE, age_s: float = 5, gi_id: str = "", **values: float | None) -> DeviceSample:
    """A healthy card's sample; `values` override metrics, None takes one away."""
    fields = {**HEALTHY, **{name: value for name, value in values.items() if name not in SPECIAL}}
    return DeviceSample(
        node_name=node,
        uuid=uuid_of(index, node),
        gi_id=gi_id,
        index=index,
        pci_bus_id=f"00000000:{index + 0x18:02X}:00.0",
        at=NOW - timedelta(seconds=age_s),
        values={name: value for name, value in fields.items() if value is not None},
        watches=dict(WATCHES),
        clock_events={"gpu_idle": 1.0, "hw_thermal": 0.0},
    )


def before(device_sample: DeviceSample, *, seconds: float = 60, **values: float) -> DeviceSample:
    """Returns the same GPU's sample one run earlier: a little less energy, everything else the same."""
    fields = {
        **device_sample.values,
        **({"energy": device_sample.values["energy"] - 1e6} if "energy" in device_sample.values else {}),
        **values,
    }
    return structs.replace(device_sample, at=device_sample.at - timedelta(seconds=seconds), values=fields)


def report(
    node: str = NODE, *, outcome: Outcome = Outcome.COLLECTED, names: Sequence[str] | None = None, **fields: Any
) -> ExporterReport:
    result = names if names is not None else (*metrics.by_id(), *SPECIAL)
    fields = {"namespace": "gpu-operator", "pod": f"nvidia-dcgm-exporter-{node}", "at": NOW, **fields}
    return ExporterReport(node_name=node, outcome=outcome, metrics=tuple(result), **fields)


def subject(
    *samples: DeviceSample,
    node: NodeSnapshot | None = None,
    earlier: Sequence[DeviceSample] | None = None,
    exporters: Sequence[ExporterReport] | None = None,
    section: Outcome = Outcome.COLLECTED,
    history: Mapping[str, Any] | None = None,
    cluster: Mapping[str, Any] | None = None,
    **fields: Any,
) -> NodeSubject:
    """A node with these samples (eight healthy ones by default) and, unless given, the same a minute before."""
    node = node or make_node()
    result = samples or tuple(sample(index, node=node.name) for index in range(8))
    was = [before(item) for item in result] if earlier is None else list(earlier)
    reports = (report(node.name),) if exporters is None else tuple(exporters)
    remembered = NodeHistory(
        **{
            "samples": tuple(was),
            "known_uuids": tuple(dict.fromkeys(entry.uuid for entry in was)),
            "expected": 8,
            **(history or {}),
        }
    )
    outcomes = {
        name: SectionReport(name=name, outcome=Outcome.COLLECTED) for name in ("nodes", "pods", "resource_slices", "events")
    }
    outcomes["telemetry"] = SectionReport(
        name="telemetry", outcome=section, reason="" if section is Outcome.COLLECTED else "It was not read."
    )
    reported = {name: fields.pop(name) for name in NodeReports.__struct_fields__ if name in fields}
    return make_subject(
        ClusterSnapshot(
            name="east",
            taken_at=NOW,
            nodes=(node,),
            sections=outcomes,
            telemetry=Telemetry(source="pod-proxy", samples=result, exporters=reports),
        ),
        NodeReports(samples=result, exporters=reports, **reported),
        node=node,
        devices=inspect(NodeInputs(node=node, pods=(), plugin=DevicePluginConfigs(), devices=(), allocations=())),
        history=remembered,
        cluster=ClusterHistory(**(cluster or {})),
        **fields,
    )


def event(
    message: str,
    *,
    type: str = "Warning",
    reason: str = "",
    node: str = NODE,
    ago_s: float = 60,
    lasted_s: float = 0,
    **fields: Any,
) -> NodeEvent:
    """Returns a Kubernetes Event about a node whose last occurrence is this long before NOW."""
    last = NOW - timedelta(seconds=ago_s)
    values = {
        "uid": f"event-{type}-{reason}-{message}-{ago_s}",
        "node_uid": f"uid-{node}",
        "first_at": last - timedelta(seconds=lasted_s),
    }
    return NodeEvent(
        **{**values, "node_name": node, "type": type, "reason": reason, "message": message, "last_at": last, **fields}
    )


def eks(code: int, **fields: Any) -> NodeEvent:
    """As EKS' agent warns of an Xid: its word in the message, no card."""
    text = f"NvidiaXID{code}Warning: detected unknown XID-{code} on the instance, review kernel logs"
    return event(text, reason="AcceleratedHardwareReady", component="eks-node-monitoring-agent", **fields)


def nothing_read(node_subject: NodeSubject) -> NodeSubject:
    """The same node of which no exporter could be read."""
    silent = structs.replace(node_subject.cluster.snapshot, telemetry=Telemetry())
    silent.sections["telemetry"] = SectionReport(name="telemetry", outcome=Outcome.TIMEOUT, reason="It did not answer.")
    return reporting(node_subject, silent, samples=(), exporters=())


def without(node_subject: NodeSubject, *names: str) -> NodeSubject:
    """The same node whose exporter does not export these metrics (or series of its own)."""

    def bare(full: DeviceSample) -> DeviceSample:
        kept = {name: value for name, value in full.values.items() if name not in names}
        return structs.replace(full, values=kept, **{name: {} for name in names if name in SPECIAL})

    samples = tuple(bare(sample) for sample in node_subject.samples)
    reports = tuple(
        structs.replace(exporter, metrics=tuple(name for name in exporter.metrics if name not in names))
        for exporter in node_subject.exporters
    )
    telemetry = structs.replace(node_subject.cluster.snapshot.telemetry, samples=samples, exporters=reports)
    return reporting(
        node_subject, structs.replace(node_subject.cluster.snapshot, telemetry=telemetry), samples=samples, exporters=reports
    )


def burst(code: int, index: int = 0, *, node: str = NODE, ago_s: float = 600, lasted_s: float = 0, **fields: Any) -> XidBurst:
    at = NOW - timedelta(seconds=ago_s)
    values = {"uuid": uuid_of(index, node), "started_at": at, "last_at": at + timedelta(seconds=lasted_s), "source": "gauge"}
    return XidBurst(node_name=node, code=code, **{**values, **fields})


def ask(rule: str, node_subject: NodeSubject) -> RuleResult:
    """What one rule says of a node."""
    return run([each for each in RULES if each.id == rule], node_subject)[0]


def ask_cluster(rule: str, *subjects: NodeSubject) -> RuleResult:
    return run_cluster([each for each in CLUSTER_RULES if each.id == rule], subjects)[0]


def lasting(node_subject: NodeSubject, rule: str, key: str = "", seconds: float = 3600) -> NodeSubject:
    """The same node with a finding of this key pending since then."""
    pending = {f"{rule}|{key}": NOW - timedelta(seconds=seconds)}
    return structs.replace(node_subject, history=structs.replace(node_subject.history, pending=pending))
