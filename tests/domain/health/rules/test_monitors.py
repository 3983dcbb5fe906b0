"""monitors and monitors_disagree."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from msgspec import structs

from fleet.domain.evaluation.rules import could_look
from fleet.domain.findings import RuleResult, Severity, Status
from fleet.domain.snapshot import Condition, NodeEvent
from fleet.domain.snapshot.sections import Outcome, SectionReport
from tests.builders import make_node
from tests.domain.health.subjects import NOW, WATCHES, ask, eks, event, sample, subject, without
from tests.domain.subjects import reporting


def condition(type: str, status: str, **fields: Any) -> Condition:
    return Condition(type=type, status=status, **fields)


def evaluate_rule(rule: str, *conditions: Condition, without_metrics: tuple[str, ...] = (), **watches: int) -> RuleResult:
    first = structs.replace(sample(0), watches={**WATCHES, **watches})
    result = subject(first, *(sample(index) for index in range(1, 8)), node=make_node(conditions=conditions))
    return ask(rule, without(result, *without_metrics))


@pytest.mark.parametrize(
    ("type", "bad", "good"),
    [
        ("AcceleratedHardwareReady", "False", "True"),
        ("GpuMemWatch", "True", "False"),
        ("GPUMissing", "True", "False"),
        ("NebiusGPUError", "True", "False"),
        ("GcmSmiEccProblem", "True", "False"),
    ],
)
def test_each_monitor_is_read_with_its_own_polarity(type: str, bad: str, good: str) -> None:
    broken = evaluate_rule("monitors", condition(type, bad))
    assert (broken.status, broken.findings[0].key, broken.findings[0].severity) == (Status.FAIL, type, Severity.CRITICAL)
    assert evaluate_rule("monitors", condition(type, good)).status is Status.PASS
    assert evaluate_rule("monitors", condition(type, "Unknown")).status is Status.UNKNOWN


@pytest.mark.parametrize("type", ["KernelDeadlock", "KubeletProblem", "VMEventScheduled", "GPUClockThrottling"])
def test_what_is_not_the_gpu_itself_breaks_no_gpu(type: str) -> None:
    assert evaluate_rule("monitors", condition(type, "True")).status is Status.WARN


def test_a_monitor_of_the_node_proves_nothing_of_its_gpus() -> None:
    assert evaluate_rule("monitors", condition("KernelDeadlock", "False")).status is Status.NOT_ENABLED


def test_the_kubelets_own_conditions_are_no_monitor() -> None:
    assert (
        evaluate_rule("monitors", condition("Ready", "True"), condition("MemoryPressure", "False")).status is Status.NOT_ENABLED
    )


@pytest.mark.parametrize(
    ("message", "severity"),
    [
        ("ErrorCode:79 gpu:0 XID error occured Recommended Action=RESTART_BM;", "fatal"),
        ("ErrorCode:13 gpu:0 XID error occured Recommended Action=NONE;", "info"),
        ("something happened", "warning"),
    ],
)
def test_the_codes_it_names_weigh_as_in_musters_own_policy(message: str, severity: str) -> None:
    finding = evaluate_rule("monitors", condition("SysLogsXIDError", "True", message=message)).findings[0]
    assert finding.severity == severity


def test_its_recommendation_is_passed_on_as_its_own() -> None:
    message = "ErrorCode:79 gpu:0 XID error occured Recommended Action=RESTART_BM;"
    finding = evaluate_rule("monitors", condition("SysLogsXIDError", "True", message=message)).findings[0]
    assert "NVSentinel recommends RESTART_BM." in finding.remedy


def test_a_message_that_counts_up_changes_no_word() -> None:
    result, two = (evaluate_rule("monitors", condition("XIDErrors", "True", message=f"Xid 79, {n} times")) for n in (1, 2))
    assert result == two


def warned(*events: NodeEvent, conditions: tuple[Condition, ...] = (), outcome: Outcome = Outcome.COLLECTED) -> RuleResult:
    result = subject(node=make_node(conditions=conditions), events=events)
    snapshot = result.cluster.snapshot
    read = snapshot.sections | {"events": SectionReport(name="events", outcome=outcome)}
    return ask("monitors", reporting(result, structs.replace(snapshot, sections=read)))


HEALTHY = condition("AcceleratedHardwareReady", "True")
HEAT = event("ErrorCode:DCGM_FR_CLOCK_THROTTLE_THERMAL GPU:3 Recommended Action=CONTACT_SUPPORT;", type="GpuThermalWatch")


def test_a_monitors_warning_in_an_event_is_reported_and_breaks_nothing() -> None:
    result = warned(HEAT, conditions=(HEALTHY,))
    assert result.status is Status.PASS
    (finding,) = result.findings
    assert (finding.severity, finding.key) == (Severity.INFO, "event/GpuThermalWatch")
    assert (finding.text, finding.remedy) == (
        "NVSentinel warned in an Event: GpuThermalWatch.",
        "NVSentinel recommends CONTACT_SUPPORT.",
    )


def test_a_repeated_warning_keeps_its_text() -> None:
    assert warned(HEAT) == warned(structs.replace(HEAT, count=9, last_at=HEAT.last_at + timedelta(seconds=30)))


def test_a_warning_is_no_proof_of_health_and_yet_is_known() -> None:
    result = warned(HEAT, conditions=(condition("Ready", "True"),))
    assert (result.status, len(result.findings)) == (Status.NOT_ENABLED, 1)
    assert could_look(result), "its finding opens now, and closes when the Event is gone"
    assert not could_look(warned(HEAT, conditions=(condition("Ready", "True"),), outcome=Outcome.TIMEOUT))


def test_an_old_warning_and_an_xid_are_no_matter_of_this_rule() -> None:
    old = structs.replace(HEAT, first_at=NOW - timedelta(hours=4), last_at=NOW - timedelta(hours=4))
    assert warned(old, eks(13), conditions=(HEALTHY,)).findings == ()


@pytest.mark.parametrize("outcome", [Outcome.FORBIDDEN, Outcome.TIMEOUT, Outcome.SKIPPED])
def test_a_monitor_whose_events_were_not_read_proves_nothing(outcome: Outcome) -> None:
    result = warned(conditions=(HEALTHY,), outcome=outcome)
    assert (result.status, result.reason) == (
        Status.UNKNOWN,
        "Events were not read, so warnings of EKS node monitoring agent are unknown.",
    )


def test_a_fault_that_dcgm_does_not_see_is_shown() -> None:
    result = evaluate_rule("monitors_disagree", condition("GpuMemWatch", "True"))
    assert (result.status, result.findings[0].key, result.findings[0].severity) == (Status.WARN, "memory", Severity.INFO)
    assert [item.value for item in result.findings[0].evidence] == ["True", "pass"]


def test_a_fault_that_only_dcgm_sees_is_shown() -> None:
    result = evaluate_rule("monitors_disagree", condition("GpuMemWatch", "False"), MEM=20)
    assert "DCGM reports a fault (memory) that NVSentinel does not" in result.findings[0].text


def test_two_monitors_with_opposite_words_and_the_same_meaning_agree() -> None:
    both_bad = evaluate_rule(
        "monitors_disagree", condition("AcceleratedHardwareReady", "False"), condition("GpuAllWatch", "True"), ALL=20
    )
    assert both_bad.findings == ()
    split = evaluate_rule(
        "monitors_disagree", condition("AcceleratedHardwareReady", "True"), condition("GpuMemWatch", "True"), MEM=20
    )
    assert "NVSentinel reports a fault (memory) that EKS node monitoring agent does not" in split.findings[0].text


def test_a_monitor_does_not_contradict_itself() -> None:
    both = evaluate_rule(
        "monitors_disagree", condition("NVSwitchDown", "True"), condition("GpuNvlinkWatch", "False"), without_metrics=("watches",)
    )
    assert both.findings == ()


def test_they_agree_only_where_dcgm_was_read() -> None:
    assert evaluate_rule("monitors_disagree", condition("GpuMemWatch", "False")).status is Status.PASS
    silent = evaluate_rule("monitors_disagree", condition("GpuMemWatch", "False"), without_metrics=("watches",))
    assert silent.status is Status.NOT_ENABLED
    assert "DCGM_EXP_GPU_HEALTH_STATUS" in silent.reason
    assert evaluate_rule("monitors_disagree").status is Status.NOT_APPLICABLE


def test_an_xid_that_the_gauge_never_showed() -> None:
    result = evaluate_rule("monitors_disagree", condition("SysLogsXIDError", "True", message="ErrorCode:62"))
    assert result.findings[0].key == "xid"


def test_missing_cards_are_counted_by_both() -> None:
    assert evaluate_rule("monitors_disagree", condition("GPUMissing", "True")).findings[0].key == "count"
    assert evaluate_rule("monitors_disagree", condition("GPUMissing", "False")).status is Status.PASS
