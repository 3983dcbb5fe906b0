"""Rung 7: every card reports, and none is sick."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from fleet.domain.findings import Evidence, Finding, RuleResult, Severity, Status
from fleet.domain.snapshot import OperatorSnapshot
from fleet.domain.snapshot.sections import Outcome
from fleet.domain.snapshot.telemetry import Telemetry
from tests.builders import make_node
from tests.domain.readiness.world import World, evaluate_with, operand, operator, samples, stack, swapped, telemetry, without

RUNG = "telemetry_healthy"


def result_with_finding(severity: Severity, text: str = "Xid 79 on GPU 5: fallen off the bus.") -> RuleResult:
    finding = Finding(
        rule="xid",
        severity=severity,
        text=text,
        key="GPU-5",
        evidence=(Evidence("telemetry", "xid", "79"),),
        remedy="Reboot.",
        rung=RUNG,
    )
    return RuleResult(rule="xid", status=Status.FAIL, findings=(finding,))


@pytest.mark.parametrize("name", ["operator", "plain", "gke", "dra", "amd"])
def test_every_stack_proves_it(name: str) -> None:
    assert stack(name).says(RUNG) == Status.PASS


def test_a_card_that_does_not_report_fails_and_is_named() -> None:
    world = operator().but(telemetry=telemetry(samples(7)))
    world = world.remembering(known_uuids=tuple(sample.uuid for sample in samples(8)))
    result = world.rung(RUNG)
    assert (result.status, "is lost: it reported before" in result.reason) == (Status.FAIL, True)
    assert samples(8)[7].uuid in [item.key for item in result.evidence]
    readiness = evaluate_with(world)
    assert (readiness.verdict, readiness.reason) == ("not_ready", "1 GPU of 8 does not report.")


def test_a_card_that_was_replaced_is_not_missed() -> None:
    world = operator().remembering(known_uuids=("GPU-old", *(sample.uuid for sample in samples(7))))
    assert world.says(RUNG) == Status.PASS


def test_a_serious_finding_fails_with_its_words_and_remedy() -> None:
    for severity in (Severity.FATAL, Severity.CRITICAL):
        readiness = evaluate_with(operator(), result_with_finding(severity))
        assert (readiness.verdict, readiness.broken_rung, readiness.remedy) == ("not_ready", RUNG, "Reboot.")
        assert readiness.reason.startswith("Xid 79 on GPU 5")


def test_a_warning_about_a_gpu_degrades_its_node() -> None:
    weak = evaluate_with(operator(), result_with_finding(Severity.WARNING))
    assert (weak.verdict, weak.broken_rung, weak.usable) == ("degraded", RUNG, 8)
    assert evaluate_with(operator(), result_with_finding(Severity.INFO)).verdict == "ready"
    (finding,) = result_with_finding(Severity.WARNING).findings
    beside = RuleResult(rule="monitors", status=Status.WARN, findings=(msgspec.structs.replace(finding, rung=""),))
    assert evaluate_with(operator(), beside).verdict == "ready", "what a monitor finds on the node beside its GPUs"


def test_a_finding_that_can_no_longer_be_checked_stays_open() -> None:
    """Its counter was taken out of the exporter's list, say. It is over when a look finds it gone."""
    (finding,) = result_with_finding(Severity.CRITICAL).findings
    world, other = operator().remembering(standing=(finding,)), RuleResult(rule="ecc", status=Status.PASS)
    blind = RuleResult(rule="xid", status=Status.NOT_ENABLED, reason="It is not exported.")
    assert evaluate_with(world, blind, other).verdict == "not_ready"
    one_card = RuleResult(rule="xid", status=Status.UNKNOWN, blind=("GPU-5",))
    assert evaluate_with(world, one_card, other).verdict == "not_ready"
    assert evaluate_with(world, RuleResult(rule="xid", status=Status.PASS), other).verdict == "ready"


def test_health_rules_that_all_say_nothing_prove_nothing() -> None:
    silent = RuleResult(rule="xid", status=Status.NOT_ENABLED, reason="DCGM_FI_DEV_XID_ERRORS is not exported.")
    readiness = evaluate_with(operator(), silent)
    assert (readiness.verdict, readiness.broken_rung) == ("unknown", RUNG)
    assert evaluate_with(operator(), silent, RuleResult(rule="ecc", status=Status.PASS)).verdict == "ready"


def test_an_exporter_that_does_not_answer_is_unknown_with_its_reason() -> None:
    world = operator().but(telemetry=telemetry([], outcome=Outcome.TIMEOUT, reason="No answer after 5 s."))
    result = world.rung(RUNG)
    assert result.status == Status.UNKNOWN
    assert "No answer after 5 s." in result.reason


def test_stale_samples_are_unknown() -> None:
    assert operator().but(telemetry=telemetry(samples(age=timedelta(minutes=6)))).says(RUNG) == Status.UNKNOWN
    assert operator().but(telemetry=Telemetry()).says(RUNG) == Status.UNKNOWN


def test_a_starting_exporter_is_waited_for() -> None:
    world = operator().but(telemetry=Telemetry())
    assert swapped(world, operand("dcgm-exporter", state="starting")).says(RUNG) == Status.WAITING
    assert swapped(world, operand("dcgm-exporter", state="crashing")).says(RUNG) == Status.UNKNOWN


def test_a_cluster_without_any_exporter_is_not_enabled() -> None:
    world = stack("plain")
    bare = world.but(pods=without(world.pods, "dcgm-exporter"), telemetry=Telemetry(), operator=OperatorSnapshot())
    assert bare.says(RUNG) == Status.NOT_ENABLED
    assert "DCGM exporter" in bare.rung(RUNG).remedy
    once = bare.but(cluster=msgspec.structs.replace(bare.cluster, rungs_proved=frozenset({RUNG})))
    assert once.says(RUNG) == Status.UNKNOWN


def test_gpus_without_one_valid_value_are_unknown_and_not_missing() -> None:
    world = operator().but(telemetry=telemetry(samples(values={}, refused={"gpu_temp": "NaN"})))
    result = world.rung("telemetry_healthy")
    assert (result.status, result.reason) == (Status.UNKNOWN, "8 GPUs of 8 have no valid value.")
    assert result.evidence[-1].value == "gpu_temp: NaN"


def test_gpus_whose_samples_are_old_while_others_report_are_unknown_and_not_missing() -> None:
    rows = [*samples(7), *samples(8, age=timedelta(hours=1))[7:]]
    result = operator().but(telemetry=telemetry(rows)).rung("telemetry_healthy")
    assert (result.status, result.reason) == (Status.UNKNOWN, "1 GPU of 8 has no recent sample.")


def test_a_sample_from_the_future_is_not_recent() -> None:
    tomorrow = operator().but(telemetry=telemetry(samples(age=-timedelta(days=1))))
    assert tomorrow.rung("telemetry_healthy").status is Status.UNKNOWN


def test_last_known_samples_do_not_make_a_rung_pass_that_did_not() -> None:
    answered_without_gpus = operator().remembering(rungs={"telemetry_healthy": "unknown"}, samples=tuple(samples()))
    silent = answered_without_gpus.but(telemetry=telemetry(samples(), outcome=Outcome.TIMEOUT, reason="No answer in 5 s."))
    assert silent.rung("telemetry_healthy").status is Status.UNKNOWN


def test_unread_telemetry_leaves_it_unknown() -> None:
    result = operator().but(broken=("telemetry",)).rung(RUNG)
    assert (result.status, result.reason) == (Status.UNKNOWN, "Muster may not read telemetry.")


def test_how_many_should_report_must_be_known() -> None:
    world = World(node=make_node(gpus=0, labels={"amd.com/gpu.family": "AI"}), telemetry=telemetry(samples()))
    assert world.expecting(None).says(RUNG) == Status.UNKNOWN
    assert world.expecting(8).says(RUNG) == Status.PASS


@pytest.mark.parametrize(("measured", "words"), [(7, "no claim holds it"), (6, "no claim holds them")])
def test_gpus_that_no_claim_holds_are_unmeasured_and_not_lost(measured: int, words: str) -> None:
    """As many GPUs without a claim as GPUs without a sample: dcgm-exporter 4.4.1 to 4.5.2 leave these out."""
    result = stack("dra").but(telemetry=telemetry(samples(measured))).rung(RUNG)
    assert (result.status, words in result.reason) == (Status.UNKNOWN, True), result.reason
