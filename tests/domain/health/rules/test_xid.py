from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from msgspec import structs

from fleet.domain.evaluation.rules import could_look
from fleet.domain.evaluation.subject import XidBurst, XidPolicy
from fleet.domain.findings import RuleResult, Severity, Status
from tests.domain.health.subjects import NOW, ask, burst, nothing_read, sample, subject, uuid_of


def with_bursts(*bursts: XidBurst, **history: Any) -> RuleResult:
    return ask("xid", subject(history={"bursts": bursts, **history}))


@pytest.mark.parametrize(
    ("code", "status", "severity"),
    [
        (79, Status.FAIL, "fatal"),
        (48, Status.FAIL, "critical"),
        (94, Status.WARN, "warning"),
        (63, Status.PASS, "info"),
        (777, Status.WARN, "warning"),
    ],
)
def test_a_burst_weighs_what_the_policy_says(code: int, status: Status, severity: str) -> None:
    result = with_bursts(burst(code))
    assert (result.status, [finding.severity for finding in result.findings]) == (status, [severity])
    assert result.findings[0].key == f"{uuid_of()}/{code}"
    assert result.findings[0].remedy


@pytest.mark.parametrize("code", [13, 31, 43, 68, 69, 39, 137])
def test_one_error_of_an_application_is_no_finding(code: int) -> None:
    result = with_bursts(burst(code))
    assert (result.status, result.findings) == (Status.PASS, ())


def test_a_page_fault_that_comes_again_on_the_same_gpu_asks_for_diagnostics() -> None:
    twice = with_bursts(burst(31), burst(31, ago_s=20 * 3600))
    assert twice.status is Status.WARN
    assert "dcgmi diag" in twice.findings[0].remedy
    other_card = with_bursts(burst(31), burst(31, 1, ago_s=20 * 3600))
    assert (other_card.status, other_card.findings) == (Status.PASS, ())


def test_any_other_application_error_takes_five() -> None:
    four = [burst(13, ago_s=600 + 3600 * n) for n in range(4)]
    assert with_bursts(*four).findings == ()
    assert with_bursts(*four, burst(13, ago_s=600 + 3600 * 4)).status is Status.WARN


def test_a_cleanup_counts_only_alone() -> None:
    alone = with_bursts(burst(45))
    assert (alone.status, [finding.severity for finding in alone.findings]) == (Status.PASS, [Severity.INFO])
    assert with_bursts(burst(45), burst(45, 1)).findings == ()  # a job that ended
    assert with_bursts(burst(45), burst(13, ago_s=650)).findings == ()  # it follows the other
    assert len(with_bursts(burst(45), burst(13, ago_s=3600)).findings) == 1


def test_a_test_message_is_never_a_finding() -> None:
    assert with_bursts(burst(106)).findings == ()


def test_it_is_over_three_hours_after_the_last_event() -> None:
    assert with_bursts(burst(48, ago_s=3 * 3600)).status is Status.FAIL
    assert with_bursts(burst(48, ago_s=3 * 3600 + 1)).status is Status.PASS


def test_a_reboot_cures_what_asks_for_one() -> None:
    booted = {"booted_after": NOW - timedelta(seconds=330), "booted_at": NOW - timedelta(seconds=300)}
    assert with_bursts(burst(79, ago_s=400), **booted).status is Status.PASS
    assert with_bursts(burst(79, ago_s=200), **booted).status is Status.FAIL
    assert with_bursts(burst(54, ago_s=400), **booted).status is Status.FAIL  # a cable is not mended by a reboot
    assert with_bursts(burst(79, ago_s=310), **booted).status is Status.FAIL, "before or after the boot is unknown"


def test_an_operators_decision_holds() -> None:
    bursts = {"bursts": (burst(13),)}
    harsh = {"xids": {13: XidPolicy(code=13, name="", severity="critical", action="run_diag", overridden=True)}}
    result = ask("xid", subject(history=bursts, cluster=harsh))
    assert result.status is Status.FAIL
    assert ("policy", "Xid 13") in [(item.source, item.key) for item in result.findings[0].evidence]
    mild = {"xids": {79: XidPolicy(code=79, name="", severity="info", overridden=True)}}
    assert ask("xid", subject(history={"bursts": (burst(79),)}, cluster=mild)).status is Status.PASS


def test_what_is_remembered_stands_while_nothing_is_read() -> None:
    assert ask("xid", nothing_read(subject(history={"bursts": (burst(79),)}))).status is Status.FAIL
    assert ask("xid", nothing_read(subject(history={"bursts": (burst(13),)}))).status is Status.UNKNOWN


def test_a_fatal_code_of_unknown_age_is_reported_and_breaks_nothing() -> None:
    gpus = [sample(0, xid=79.0), sample(1, xid=13.0), *(sample(index) for index in range(2, 8))]
    result = ask("xid", subject(*gpus, earlier=[]))
    assert result.status is Status.PASS
    assert [(finding.severity, finding.key) for finding in result.findings] == [(Severity.INFO, f"{uuid_of()}/last")]
    assert "its age is unknown" in result.findings[0].text
    known = ask("xid", subject(*gpus, history={"bursts": (burst(79, ago_s=4 * 3600),)}))
    assert known.findings == ()


def test_more_events_of_a_burst_change_no_word() -> None:
    first = with_bursts(burst(48, job="Job/a/b", pods=("a/b-0",)))
    later = with_bursts(burst(48, job="Job/a/b", pods=("a/b-0",), lasted_s=300, count=40))
    assert first == later


def test_an_unnamed_gpu_is_not_invented() -> None:
    finding = with_bursts(structs.replace(burst(79), uuid="", source="condition")).findings[0]
    assert finding.text.startswith("Xid 79 (GPU has fallen off the bus) on an unnamed GPU")


def test_two_events_of_no_named_card_are_not_known_to_be_one_cards() -> None:
    rows = [burst(31, ago_s=ago, uuid="", source="event") for ago in (7200, 600)]
    assert with_bursts(*rows).findings == ()
    assert len(with_bursts(*(burst(31, ago_s=ago) for ago in (7200, 600))).findings) == 1


def test_findings_from_events_open_and_close_without_an_exporter() -> None:
    bare = structs.replace(nothing_read(subject(history={"bursts": (burst(109, uuid="", source="event"),)})))
    result = ask("xid", bare)
    assert [finding.key for finding in result.findings] == ["/109"]
    assert could_look(result)
    over = ask("xid", nothing_read(subject(history={"bursts": ()})))
    assert (over.status, over.findings, could_look(over)) == (Status.UNKNOWN, (), True)
    assert f"{uuid_of()}/last" in over.blind, "what stood in a gauge is not known to be gone"


def test_that_an_exporter_fell_silent_ends_nothing_of_the_cards_it_measured() -> None:
    """A card that hangs may take its exporter with it: three hours of silence are not three hours without an Xid."""
    old = burst(79, ago_s=4 * 3600)
    silent = ask("xid", nothing_read(subject(history={"bursts": (old,)})))
    assert (silent.status, silent.findings) == (Status.UNKNOWN, ())
    assert f"{uuid_of()}/79" in silent.blind
    (finding,) = with_bursts(burst(79)).findings
    forgotten = ask("xid", nothing_read(subject(history={"standing": (finding,)})))
    assert f"{uuid_of()}/79" in forgotten.blind
    assert f"{uuid_of()}/79" not in with_bursts(old).blind, "the card is measured, and three hours are over"
