"""Signals that others write: every entry finds, passes, and says nothing without evidence."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from msgspec import structs

from fleet.collectors.nodes import parse as parse_node
from fleet.domain.catalog import monitors
from fleet.domain.evaluation.subject import NodeSubject, Policy
from fleet.domain.findings import Severity, Status
from fleet.domain.health.signals import signals_of
from fleet.domain.snapshot import Condition, Taint
from tests.builders import make_node, make_pod
from tests.domain.health.subjects import NOW, ask, lasting, subject

READY = Condition(type="Ready", status="True")
WELL = (READY, Condition(type="GpuMemWatch", status="False"))
ILL = (READY, Condition(type="GpuMemWatch", status="True"))
STATE = "dgxc.nvidia.com/nvsentinel-state"


def node(conditions: tuple[Condition, ...] = (READY,), pods: tuple[Any, ...] = (), **fields: Any) -> NodeSubject:
    return subject(node=make_node(conditions=conditions, **fields), pods=pods)


def with_annotations(conditions: tuple[Condition, ...], **annotations: str) -> NodeSubject:
    return subject(node=structs.replace(make_node(conditions=conditions), annotations=annotations))


def pod(*signals: str) -> Any:
    return make_pod("slurmd", gpus=0, signals=signals)


@pytest.mark.parametrize(
    ("key", "value", "severity"),
    [
        ("sagemaker.amazonaws.com/deep-health-check-status", "Failed", Severity.CRITICAL),
        ("sagemaker.amazonaws.com/fault-type", "NvidiaErrorTerminate", Severity.CRITICAL),
        ("sagemaker.amazonaws.com/fault-reason", "XID79", Severity.CRITICAL),
        ("autopilot.ibm.com/gpuhealth", "ERR", Severity.CRITICAL),
        ("autopilot.ibm.com/gpuhealth", "EVICT", Severity.CRITICAL),
        ("autopilot.ibm.com/gpuhealth", "WARN", Severity.WARNING),
        ("autopilot.ibm.com/dcgm.level.3", "ERR_2026-11-30_diag", Severity.CRITICAL),
        (STATE, "drain-failed", Severity.CRITICAL),
        (STATE, "remediation-failed", Severity.CRITICAL),
    ],
)
def test_a_label_that_names_a_fault_is_a_finding(key: str, value: str, severity: Severity) -> None:
    result = ask("monitors", node(labels={key: value}))
    assert [(finding.key, finding.severity) for finding in result.findings] == [(key, severity)]
    assert value in result.findings[0].text


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("sagemaker.amazonaws.com/deep-health-check-status", "Passed"),
        ("autopilot.ibm.com/gpuhealth", "PASS"),
        ("autopilot.ibm.com/dcgm.level.3", "PASS_2026-11-30"),
        (STATE, "remediation-succeeded"),
    ],
)
def test_a_label_that_says_well_passes(key: str, value: str) -> None:
    assert ask("monitors", node(labels={key: value})).status is Status.PASS


@pytest.mark.parametrize(
    ("type", "codes"),
    [("XidCriticalError", ("79",)), ("UnhealthyNvidiaDCGMServices", ()), ("GPUReset", ())],
)
def test_conditions_of_gke_aks_and_nvsentinel(type: str, codes: tuple[str, ...]) -> None:
    bad = Condition(type=type, status="True", reason='{"79":true,"48":false}' if codes else "")
    result = ask("monitors", node((READY, bad)))
    assert [finding.key for finding in result.findings] == [type]
    assert tuple(item.value.partition(" ")[0] for item in result.findings[0].evidence if item.key == "Xid") == codes
    assert ask("monitors", node((READY, Condition(type=type, status="False")))).findings == ()
    assert ask("monitors", node((READY, Condition(type=type, status="Unknown")))).status is Status.UNKNOWN


def test_without_any_statement_nothing_is_known() -> None:
    assert ask("monitors", node()).status is Status.NOT_ENABLED
    assert ask("out_of_service", node()).status is Status.NOT_ENABLED
    assert ask("predicted_to_fail", node()).status is Status.NOT_ENABLED
    assert ask("upgrade_pending", node()).status is Status.NOT_APPLICABLE


@pytest.mark.parametrize(
    ("fields", "meaning"),
    [
        ({"labels": {"sagemaker.amazonaws.com/node-health-status": "Unschedulable"}}, "quarantined"),
        ({"labels": {"sagemaker.amazonaws.com/node-health-status": "UnschedulablePendingReplacement"}}, "repair"),
        ({"labels": {"sagemaker.amazonaws.com/node-health-status": "UnschedulablePendingReboot"}}, "repair"),
        ({"labels": {"sagemaker.amazonaws.com/deep-health-check-status": "InProgress"}}, "validating"),
        ({"labels": {STATE: "quarantined"}}, "quarantined"),
        ({"labels": {"nvsentinel-state": "draining"}}, "quarantined"),
        ({"labels": {STATE: "remediating"}}, "repair"),
        ({"labels": {"cloud.google.com/active-node-maintenance": "ONGOING"}}, "maintenance"),
        ({"labels": {"node.machine.sapcloud.io/selected-for-update": "selected-for-update"}}, "maintenance"),
        ({"taints": (Taint("readiness.k8s.io/network", "", "NoSchedule"),)}, "validating"),
        ({"taints": (Taint("cloud.google.com/impending-node-termination", "", "NoSchedule"),)}, "maintenance"),
        ({"taints": (Taint("node.machine.sapcloud.io/in-place-update", "", "NoSchedule"),)}, "maintenance"),
        ({"pods": (pod("SlurmNodeStateDrain"),)}, "drained"),
        ({"pods": (pod("SlurmNodeStateMaintenance"),)}, "maintenance"),
    ],
)
def test_out_of_service_is_shown_as_the_tool_states_it(fields: dict[str, Any], meaning: str) -> None:
    result = ask("out_of_service", node(**fields))
    assert [finding.key.partition("/")[0] for finding in result.findings] == [meaning]
    assert result.findings[0].severity is Severity.INFO


def test_annotations_of_sunk_and_nvsentinel() -> None:
    annotations = {"sunk.coreweave.com/drain": "bad NVLink", "quarantineHealthEvent": "[]"}
    result = ask("out_of_service", with_annotations((READY,), **annotations))
    assert [finding.key for finding in result.findings] == [
        "drained/sunk.coreweave.com/drain", "quarantined/quarantineHealthEvent",
    ]  # fmt: skip


def test_slurms_lock_alone_is_not_out_of_service() -> None:
    locked = node(taints=(Taint("sunk.coreweave.com/lock", "true", "NoExecute"),))
    assert ask("out_of_service", locked).findings == ()
    assert ask("stuck_out_of_service", locked).findings == ()


def test_a_node_that_a_tool_states_in_service_passes() -> None:
    assert ask("out_of_service", node(labels={"sagemaker.amazonaws.com/node-health-status": "Schedulable"})).status is Status.PASS
    assert ask("out_of_service", node(pods=(pod("SlurmNodeStateIdle"),))).status is Status.PASS


def test_a_prediction_is_a_warning_that_breaks_no_rung() -> None:
    key = "gke.google.com/recommended-to-run-large-training-workload"
    result = ask("predicted_to_fail", node(labels={key: "false"}))
    assert [(finding.severity, finding.rung) for finding in result.findings] == [(Severity.WARNING, "")]
    assert ask("predicted_to_fail", node(labels={key: "true"})).status is Status.PASS


# --- stuck out of service ---


@pytest.mark.parametrize(
    "held",
    [
        node(WELL, labels={STATE: "quarantined"}),
        node(WELL, labels={STATE: "drain-succeeded"}),
        with_annotations(WELL, quarantineHealthEvent="[]"),
        node(WELL, pods=(pod("SlurmNodeStateDrain"),)),
        with_annotations(WELL, **{"sunk.coreweave.com/drain": "bad NVLink"}),
        node(
            labels={
                "sagemaker.amazonaws.com/node-health-status": "Unschedulable",
                "sagemaker.amazonaws.com/deep-health-check-status": "Passed",
            }
        ),
    ],
)
def test_a_hold_whose_cause_is_gone_is_stuck_after_an_hour(held: NodeSubject) -> None:
    (finding,) = ask("stuck_out_of_service", held).findings
    assert finding.sustain_s == 3600
    assert ask("stuck_out_of_service", held).status is not Status.WARN
    assert ask("stuck_out_of_service", lasting(held, "stuck_out_of_service", finding.key)).status is Status.WARN


@pytest.mark.parametrize(
    "held",
    [
        node(ILL, labels={STATE: "quarantined"}),
        node(ILL, pods=(pod("SlurmNodeStateDrain"),)),
        node(
            labels={
                "sagemaker.amazonaws.com/node-health-status": "Unschedulable", "sagemaker.amazonaws.com/fault-type": "Xid",
            }
        ),
        structs.replace(node(WELL, labels={STATE: "quarantined"}), policy=Policy(maintenance="New power supplies.")),
        node(WELL, labels={STATE: "quarantined", "cloud.google.com/active-node-maintenance": "ONGOING"}),
        node(WELL, labels={STATE: "quarantined", "nvidia.com/gpu-driver-upgrade-state": "drain-required"}),
        node(WELL),
    ],
)  # fmt: skip
def test_a_hold_with_its_cause_or_in_planned_maintenance_is_not_stuck(held: NodeSubject) -> None:
    assert ask("stuck_out_of_service", held).findings == ()


@pytest.mark.parametrize(
    "held",
    [
        node((READY,), labels={STATE: "quarantined"}),
        node((READY, Condition(type="GpuMemWatch", status="Unknown")), labels={STATE: "quarantined"}),
        node((READY,), pods=(pod("SlurmNodeStateDrain"),)),
        node((), labels={STATE: "quarantined"}),
    ],
)
def test_without_a_word_on_the_cause_it_is_unknown_whether_it_is_gone(held: NodeSubject) -> None:
    result = ask("stuck_out_of_service", held)
    assert (result.status, result.findings) == (Status.UNKNOWN, ())


# --- upgrades and refused pods ---


def test_an_upgrade_is_pending_only_after_a_week() -> None:
    pending = node(labels={"nvidia.com/gpu-driver-upgrade-state": "upgrade-required"})
    (finding,) = ask("upgrade_pending", pending).findings
    assert (finding.sustain_s, finding.text) == (7 * 86400, "A driver upgrade has been pending for more than 7 days.")
    assert ask("upgrade_pending", pending).status is Status.PASS
    done = node(labels={"nvidia.com/gpu-driver-upgrade-state": "upgrade-done"})
    assert (ask("upgrade_pending", done).status, ask("upgrade_pending", done).findings) == (Status.PASS, ())


def test_an_upgrade_of_a_driver_that_the_operator_does_not_manage_is_never_pending() -> None:
    own = {"nvidia.com/gpu-driver-upgrade-state": "upgrade-required", "nvidia.com/gpu.deploy.driver": "pre-installed"}
    result = ask("upgrade_pending", node(labels=own))
    assert (result.status, result.findings) == (Status.NOT_APPLICABLE, ())


def refused(count: int, seconds: int = 600, reason: str = "UnexpectedAdmissionError") -> NodeSubject:
    at = NOW - timedelta(seconds=seconds)
    pods = tuple(make_pod(f"p{n}", phase="Failed", reason=reason, started_at=at) for n in range(count))
    return node(pods=pods)


@pytest.mark.parametrize(
    ("held", "expected"),
    [
        (refused(5), 1),
        (refused(4), 0),
        (refused(5, 601), 0),
        (refused(5, reason="OutOfnvidia.com/gpu"), 1),
        (refused(5, reason="Error"), 0),
    ],
)
def test_five_refused_pods_within_ten_minutes_are_a_finding(held: NodeSubject, expected: int) -> None:
    assert len(ask("pods_refused", held).findings) == expected


# --- the catalogue ---


def test_every_entry_has_a_value_that_means_something_and_a_source() -> None:
    for entry in monitors.load().signal:
        assert entry.values, entry.key
        assert entry.source, entry.key


def test_a_text_without_meaning_says_nothing() -> None:
    assert signals_of(make_node(labels={"autopilot.ibm.com/gpuhealth": "", STATE: "something-new"})) == ()


def test_annotations_that_are_signals_are_collected() -> None:
    import msgspec

    from fleet.collectors.nodes import NodeWire

    wire = msgspec.json.decode(
        b'{"metadata":{"name":"a","annotations":{"sunk.coreweave.com/drain":"x","quarantineHealthEvent":"[]","other":"y"}}}',
        type=NodeWire,
    )
    node = parse_node(wire)
    assert node is not None
    assert sorted(node.annotations) == ["quarantineHealthEvent", "sunk.coreweave.com/drain"]
