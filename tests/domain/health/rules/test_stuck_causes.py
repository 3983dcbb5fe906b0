"""Causes set and cleared: each hold is found an hour after its cause is gone, none before, and none in planned maintenance."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from msgspec import structs

from fleet.domain.evaluation.subject import NodeSubject, Policy
from fleet.domain.findings import Status
from fleet.domain.snapshot import Condition, Taint
from fleet.domain.snapshot.dra import DeviceTaintRule
from fleet.domain.snapshot.nodes import FieldManager, NodeInfo
from fleet.domain.snapshot.readiness_rules import NodeReadinessRule, RequiredCondition
from fleet.domain.snapshot.sections import Outcome, SectionReport
from tests.builders import make_dra_device, make_node, make_pod
from tests.domain.health.subjects import NOW, ask, burst, lasting, sample, subject, uuid_of
from tests.domain.subjects import reporting

READY = Condition(type="Ready", status="True")
CORDONED_AT = NOW - timedelta(days=2)
AFTER, BEFORE = NOW - timedelta(hours=5), NOW - timedelta(days=9)
GATE = Taint("readiness.k8s.io/network", "", "NoSchedule")
RULE = NodeReadinessRule(name="network", conditions=(RequiredCondition("NetworkReady", "True"),), taint=GATE)
XID = Taint("gpu.nvidia.com/xid", "79", "NoSchedule")
BROKEN = DeviceTaintRule(name="broken-card", taint=Taint("example.com/broken", "", "NoExecute"), device="gpu-0")
SAGEMAKER, STATE = "sagemaker.amazonaws.com/", "dgxc.nvidia.com/nvsentinel-state"
AUTOPILOT = "autopilot.ibm.com/gpuhealth"


def held(
    *conditions: Condition,
    pods: tuple[Any, ...] = (),
    cordoned_by: str = "",
    history: dict[str, Any] | None = None,
    annotations: dict[str, str] | None = None,
    **fields: Any,
) -> NodeSubject:
    node = make_node(conditions=(READY, *conditions), **fields)
    managers = (FieldManager(field="unschedulable", manager=cordoned_by, at=CORDONED_AT),) if cordoned_by else ()
    node = structs.replace(node, managers=managers, unschedulable=bool(cordoned_by), annotations=annotations or {})
    made = subject(node=node, pods=pods, history=history)
    names = ("device_taint_rules", "device_classes", "readiness_rules")
    read = {name: SectionReport(name=name, outcome=Outcome.COLLECTED) for name in names}
    return reporting(made, structs.replace(made.cluster.snapshot, sections=made.cluster.snapshot.sections | read))


def gated(met: bool) -> NodeSubject:
    made = held(Condition(type="NetworkReady", status="True" if met else "False"), taints=(GATE,))
    return reporting(made, structs.replace(made.cluster.snapshot, readiness_rules=(RULE,)))


def device(taint: Taint, *, ill: bool, rules: tuple[DeviceTaintRule, ...] = ()) -> NodeSubject:
    bursts = (burst(79, ago_s=60),) if ill else ()
    made = held(history={"bursts": bursts})
    card = structs.replace(make_dra_device(0), name="gpu-0", uuid=uuid_of(0), taints=(taint,))
    return reporting(made, structs.replace(made.cluster.snapshot, taint_rules=rules), dra_devices=(card,))


def watched(ill: bool, **fields: Any) -> NodeSubject:
    return held(Condition(type="GpuMemWatch", status="True" if ill else "False"), **fields)


def cordoned(type: str, ill: bool, by: str, *others: Condition) -> NodeSubject:
    at = BEFORE if ill else AFTER
    return held(Condition(type=type, status="True" if ill else "False", last_transition_at=at), *others, cordoned_by=by)


STOOD = Condition(type="ReadonlyFilesystem", status="False", last_transition_at=BEFORE)
CAUSES: dict[str, Callable[[bool], NodeSubject]] = {
    "NVSentinel's quarantine label": lambda ill: watched(ill, labels={STATE: "quarantined"}),
    "NVSentinel's annotation left behind": lambda ill: watched(ill, annotations={"quarantineHealthEvent": "[]"}),
    "NVSentinel's cordon without a label": lambda ill: watched(ill, cordoned_by="nvsentinel-fault-quarantine"),
    "Slurm's drain of a Slinky pod": lambda ill: watched(
        ill, pods=(make_pod("slurmd", gpus=0, signals=("SlurmNodeStateDrain",)),)
    ),
    "SUNK's drain annotation": lambda ill: watched(ill, annotations={"sunk.coreweave.com/drain": "bad NVLink"}),
    "HyperPod's unschedulable label": lambda ill: held(
        labels={
            f"{SAGEMAKER}node-health-status": "Unschedulable",
            f"{SAGEMAKER}deep-health-check-status": "Failed" if ill else "Passed",
        }
    ),
    "HyperPod's repair that is not needed any more": lambda ill: held(
        labels={f"{SAGEMAKER}node-health-status": "UnschedulablePendingReboot"}
        | ({f"{SAGEMAKER}fault-type": "NvidiaErrorReboot"} if ill else {f"{SAGEMAKER}deep-health-check-status": "Passed"})
    ),
    "Autopilot's cordon": lambda ill: held(labels={AUTOPILOT: "EVICT" if ill else "PASS"}, cordoned_by="autopilot"),
    "a NodeReadinessRule's taint": lambda ill: gated(not ill),
    "the DRA driver's device taint": lambda ill: device(XID, ill=ill),
    "a DeviceTaintRule": lambda ill: device(BROKEN.taint, ill=ill, rules=(BROKEN,)),
    "a manual cordon for GKE's Xid condition": lambda ill: cordoned("XidCriticalError", ill, "kubectl-cordon"),
    "a manual cordon for a kernel deadlock": lambda ill: cordoned("KernelDeadlock", ill, "kubectl", STOOD),
}  # fmt: skip


def test_there_are_twelve_and_more() -> None:
    assert len(CAUSES) >= 12


@pytest.mark.parametrize("name", CAUSES)
def test_with_its_cause_it_is_not_stuck(name: str) -> None:
    result = ask("stuck_out_of_service", CAUSES[name](True))
    assert result.findings == ()


@pytest.mark.parametrize("name", CAUSES)
def test_an_hour_after_its_cause_is_gone_it_is(name: str) -> None:
    made = CAUSES[name](False)
    (finding,) = ask("stuck_out_of_service", made).findings
    assert finding.sustain_s == 3600
    assert finding.remedy
    assert ask("stuck_out_of_service", lasting(made, "stuck_out_of_service", finding.key)).status is Status.WARN


PLANNED: dict[str, Callable[[NodeSubject], NodeSubject]] = {
    "Muster": lambda made: structs.replace(made, policy=Policy(maintenance="New power supplies.")),
    "GKE": lambda made: labelled(made, **{"cloud.google.com/active-node-maintenance": "ONGOING"}),
    "Gardener": lambda made: tainted(made, Taint("node.machine.sapcloud.io/in-place-update", "", "NoSchedule")),
    "Karpenter": lambda made: tainted(made, Taint("karpenter.sh/disrupted", "", "NoSchedule")),
    "the autoscaler": lambda made: tainted(made, Taint("ToBeDeletedByClusterAutoscaler", "1796000000", "NoSchedule")),
    "a driver upgrade": lambda made: labelled(made, **{"nvidia.com/gpu-driver-upgrade-state": "drain-required"}),
    "a MIG change": lambda made: labelled(made, **{"nvidia.com/mig.config.state": "pending"}),
    "Azure's scheduled event": lambda made: conditioned(made, "VMEventScheduled"),
    "NVSentinel's maintenance of the cloud": lambda made: conditioned(made, "CSPMaintenance"),
}


def labelled(made: NodeSubject, **labels: str) -> NodeSubject:
    return structs.replace(made, node=structs.replace(made.node, labels=made.node.labels | labels))


def conditioned(made: NodeSubject, type: str, status: str = "True") -> NodeSubject:
    announced = Condition(type=type, status=status)
    return structs.replace(made, node=structs.replace(made.node, conditions=(*made.node.conditions, announced)))


def tainted(made: NodeSubject, taint: Taint) -> NodeSubject:
    return structs.replace(made, node=structs.replace(made.node, taints=(*made.node.taints, taint)))


@pytest.mark.parametrize("by", PLANNED)
@pytest.mark.parametrize("name", CAUSES)
def test_planned_maintenance_is_never_stuck(name: str, by: str) -> None:
    result = ask("stuck_out_of_service", PLANNED[by](CAUSES[name](False)))
    assert (result.status, result.findings) == (Status.NOT_APPLICABLE, ())


@pytest.mark.parametrize("type", ["VMEventScheduled", "CSPMaintenance"])
def test_a_condition_that_announces_no_maintenance_excuses_nothing(type: str) -> None:
    assert ask("stuck_out_of_service", conditioned(watched(False, labels={STATE: "quarantined"}), type, "False")).findings


@pytest.mark.parametrize(
    "host", [{"node_info": NodeInfo(operating_system="windows")}, {"labels": {"nvidia.com/gpu.deploy.driver": "pre-installed"}}]
)
def test_an_upgrade_state_without_a_managed_driver_is_no_planned_work(host: dict[str, Any]) -> None:
    """The operator leaves pod-restart-required forever where it runs no driver (NVIDIA/gpu-operator#626)."""
    made = watched(False, labels={STATE: "quarantined", "nvidia.com/gpu-driver-upgrade-state": "pod-restart-required"})
    assert ask("stuck_out_of_service", made).findings == ()
    made = structs.replace(made, node=structs.replace(made.node, **host | {"labels": made.node.labels | host.get("labels", {})}))
    (finding,) = ask("stuck_out_of_service", made).findings
    assert finding.key == STATE


# --- what states no cause ---


def test_a_cordon_manually_without_a_fault_is_planned_work() -> None:
    well = Condition(type="GpuMemWatch", status="False", last_transition_at=BEFORE)
    assert ask("stuck_out_of_service", held(well, cordoned_by="kubectl-cordon")).findings == ()


def test_a_monitor_that_restarted_after_the_cordon_ends_no_fault() -> None:
    again = [Condition(type=name, status="False", last_transition_at=AFTER) for name in ("KernelDeadlock", "ReadonlyFilesystem")]
    assert ask("stuck_out_of_service", held(*again, cordoned_by="kubectl")).findings == ()


def test_a_reboot_since_the_cordon_is_work_on_the_node() -> None:
    made = cordoned("XidCriticalError", ill=False, by="kubectl")
    made = structs.replace(made, history=structs.replace(made.history, booted_at=NOW - timedelta(hours=6)))
    assert ask("stuck_out_of_service", made).findings == ()


def test_a_cordon_that_the_driver_upgrade_left() -> None:
    done = held(cordoned_by="gpu-operator", labels={"nvidia.com/gpu-driver-upgrade-state": "upgrade-done"})
    (finding,) = ask("stuck_out_of_service", done).findings
    assert "driver upgrade is done" in finding.text
    assert finding.remedy.startswith("kubectl uncordon")


@pytest.mark.parametrize("key", ["example.com/inspection", "example.com/reserved", "example.com/drain"])
def test_a_device_taint_that_states_no_fault_is_planned_work(key: str) -> None:
    rule = structs.replace(BROKEN, taint=Taint(key, "", "NoSchedule"))
    assert ask("stuck_out_of_service", device(rule.taint, ill=False, rules=(rule,))).findings == ()


def test_a_device_that_is_not_measured_may_still_be_ill() -> None:
    made = device(XID, ill=False)
    others = tuple(sample(index) for index in range(1, 8))
    quiet = subject(*others, node=made.node)
    made = reporting(structs.replace(made, history=quiet.history), samples=others, exporters=quiet.exporters)
    result = ask("stuck_out_of_service", made)
    assert (result.status, result.findings) == (Status.UNKNOWN, ())


def test_a_gate_whose_rule_is_gone_or_not_permitted() -> None:
    made = gated(met=False)
    gone = reporting(made, structs.replace(made.cluster.snapshot, readiness_rules=()))
    (finding,) = ask("stuck_out_of_service", gone).findings
    assert "no NodeReadinessRule has this taint" in finding.text
    report = SectionReport(name="readiness_rules", outcome=Outcome.FORBIDDEN)
    sections = made.cluster.snapshot.sections | {"readiness_rules": report}
    refused = reporting(made, structs.replace(gone.cluster.snapshot, sections=sections))
    assert ask("stuck_out_of_service", refused).status is Status.UNKNOWN


def test_who_set_it_and_the_way_out() -> None:
    (finding,) = ask("stuck_out_of_service", CAUSES["a DeviceTaintRule"](False)).findings
    assert finding.text.startswith("DeviceTaintRule broken-card keeps device gpu-0 from the scheduler (example.com/broken)")
    assert finding.remedy == "kubectl delete devicetaintrule broken-card"
    (finding,) = ask("stuck_out_of_service", CAUSES["a manual cordon for GKE's Xid condition"](False)).findings
    assert "XidCriticalError has been normal since 2026-11-23 07:00 UTC. Set by kubectl-cordon." in finding.text


def test_who_set_a_device_taint() -> None:
    by = FieldManager(field="taint", manager="ops-bot", at=CORDONED_AT)
    rule = structs.replace(BROKEN, setter=by)
    (finding,) = ask("stuck_out_of_service", device(rule.taint, ill=False, rules=(rule,))).findings
    assert finding.text.endswith("Set by ops-bot.")
    assert ("managed_fields", "taint") in {(item.source, item.key) for item in finding.evidence}
    made = device(XID, ill=False)
    card = structs.replace(made.dra_devices[0], tainted_by="gpu-kubelet-plugin")
    (finding,) = ask("stuck_out_of_service", reporting(made, dra_devices=(card,))).findings
    assert finding.text.endswith("Set by gpu-kubelet-plugin.")
