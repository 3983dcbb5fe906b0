"""Nodes under judgement for the health tests: eight healthy H100s whose exporter tells everything, changed by one fact."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec import structs

from fleet.domain.catalog import metrics
from fleet.domain.devices import describe
from fleet.domain.findings import RuleResult
from fleet.domain.health.rules import CLUSTER_RULES, RULES
from fleet.domain.outcomes import Outcome, SectionReport
from fleet.domain.rules import run, run_cluster
from fleet.domain.snapshot import ClusterSnapshot, DevicePluginConfigs, NodeEvent, NodeSnapshot
from fleet.domain.subject import ClusterMemory, NodeMemory, NodeSubject, XidBurst
from fleet.domain.telemetry import DeviceSample, ExporterReport, Telemetry
from tests.builders import NODE, make_node

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
    told = {**HEALTHY, **{name: value for name, value in values.items() if name not in SPECIAL}}
    return DeviceSample(
        node_name=node,
        uuid=uuid_of(index, node),
        gi_id=gi_id,
        index=index,
        pci_bus_id=f"00000000:{index + 0x18:02X}:00.0",
        at=NOW - timedelta(seconds=age_s),
        values={name: value for name, value in told.items() if value is not None},
        watches=dict(WATCHES),
        clock_events={"gpu_idle": 1.0, "hw_thermal": 0.0},
    )


def before(one: DeviceSample, *, seconds: float = 60, **values: float) -> DeviceSample:
    """What the same card told a look earlier: a little less energy, everything else the same."""
    told = {**one.values, **({"energy": one.values["energy"] - 1e6} if "energy" in one.values else {}), **values}
    return structs.replace(one, at=one.at - timedelta(seconds=seconds), values=told)


def report(
    node: str = NODE, *, outcome: Outcome = Outcome.COLLECTED, names: Sequence[str] | None = None, **fields: Any
) -> ExporterReport:
    told = names if names is not None else (*metrics.by_id(), *SPECIAL)
    fields = {"namespace": "gpu-operator", "pod": f"nvidia-dcgm-exporter-{node}", "at": NOW, **fields}
    return ExporterReport(node_name=node, outcome=outcome, metrics=tuple(told), **fields)


def subject(
    *samples: DeviceSample,
    node: NodeSnapshot | None = None,
    earlier: Sequence[DeviceSample] | None = None,
    exporters: Sequence[ExporterReport] | None = None,
    section: Outcome = Outcome.COLLECTED,
    memory: Mapping[str, Any] | None = None,
    cluster: Mapping[str, Any] | None = None,
    **fields: Any,
) -> NodeSubject:
    """A node with these samples (eight healthy ones by default) and, unless told otherwise, the same a minute before."""
    node = node or make_node()
    told = samples or tuple(sample(index, node=node.name) for index in range(8))
    was = [before(one) for one in told] if earlier is None else list(earlier)
    reports = (report(node.name),) if exporters is None else tuple(exporters)
    remembered = NodeMemory(
        **{"samples": tuple(was), "known_uuids": tuple(dict.fromkeys(one.uuid for one in was)), "expected": 8, **(memory or {})}
    )
    outcomes = {
        name: SectionReport(name=name, outcome=Outcome.COLLECTED) for name in ("nodes", "pods", "resource_slices", "events")
    }
    outcomes["telemetry"] = SectionReport(
        name="telemetry", outcome=section, reason="" if section is Outcome.COLLECTED else "It was not read."
    )
    return NodeSubject(
        now=NOW,
        snapshot=ClusterSnapshot(
            name="east",
            taken_at=NOW,
            nodes=(node,),
            sections=outcomes,
            telemetry=Telemetry(source="pod-proxy", samples=told, exporters=reports),
        ),
        node=node,
        devices=describe(node, pods=(), plugin=DevicePluginConfigs(), devices=(), allocations=()),
        samples=told,
        exporters=reports,
        memory=remembered,
        cluster=ClusterMemory(**(cluster or {})),
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
    """A Kubernetes Event about a node, told for the last time so long before NOW."""
    last = NOW - timedelta(seconds=ago_s)
    told = {
        "uid": f"event-{type}-{reason}-{message}-{ago_s}",
        "node_uid": f"uid-{node}",
        "first_at": last - timedelta(seconds=lasted_s),
    }
    return NodeEvent(**{**told, "node_name": node, "type": type, "reason": reason, "message": message, "last_at": last, **fields})


def eks(code: int, **fields: Any) -> NodeEvent:
    """As EKS' agent warns of an Xid: its word in the message, no card."""
    text = f"NvidiaXID{code}Warning: detected unknown XID-{code} on the instance, review kernel logs"
    return event(text, reason="AcceleratedHardwareReady", component="eks-node-monitoring-agent", **fields)


def nothing_read(one: NodeSubject) -> NodeSubject:
    """The same node of which no exporter could be read."""
    silent = structs.replace(one.snapshot, telemetry=Telemetry())
    silent.sections["telemetry"] = SectionReport(name="telemetry", outcome=Outcome.TIMEOUT, reason="It did not answer.")
    return structs.replace(one, snapshot=silent, samples=(), exporters=())


def without(one: NodeSubject, *names: str) -> NodeSubject:
    """The same node whose exporter does not export these metrics (or series of its own)."""

    def bare(told: DeviceSample) -> DeviceSample:
        kept = {name: value for name, value in told.values.items() if name not in names}
        return structs.replace(told, values=kept, **{name: {} for name in names if name in SPECIAL})

    samples = tuple(bare(told) for told in one.samples)
    reports = tuple(
        structs.replace(told, metrics=tuple(name for name in told.metrics if name not in names)) for told in one.exporters
    )
    telemetry = structs.replace(one.snapshot.telemetry, samples=samples, exporters=reports)
    return structs.replace(one, samples=samples, exporters=reports, snapshot=structs.replace(one.snapshot, telemetry=telemetry))


def burst(code: int, index: int = 0, *, node: str = NODE, ago_s: float = 600, lasted_s: float = 0, **fields: Any) -> XidBurst:
    at = NOW - timedelta(seconds=ago_s)
    told = {"uuid": uuid_of(index, node), "started_at": at, "last_at": at + timedelta(seconds=lasted_s), "source": "gauge"}
    return XidBurst(node_name=node, code=code, **{**told, **fields})


def ask(rule: str, one: NodeSubject) -> RuleResult:
    """What one rule says of a node."""
    return run([each for each in RULES if each.id == rule], one)[0]


def ask_cluster(rule: str, *subjects: NodeSubject) -> RuleResult:
    return run_cluster([each for each in CLUSTER_RULES if each.id == rule], subjects)[0]


def lasting(one: NodeSubject, rule: str, key: str = "", seconds: float = 3600) -> NodeSubject:
    """The same node with a finding of this key pending since then."""
    pending = {f"{rule}|{key}": NOW - timedelta(seconds=seconds)}
    return structs.replace(one, memory=structs.replace(one.memory, pending=pending))
