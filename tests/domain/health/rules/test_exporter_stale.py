from __future__ import annotations

from datetime import timedelta

import pytest
from msgspec import structs

from fleet.domain.findings import Status
from fleet.domain.snapshot.sections import Outcome
from tests.builders import make_pod
from tests.domain.health.subjects import NOW, ask, lasting, nothing_read, report, sample, subject
from tests.domain.subjects import reporting

FROZEN = [sample(index, age_s=65) for index in range(8)]
OLD = [sample(index, age_s=3600) for index in range(8)]


def test_an_exporter_that_does_not_answer_for_a_while_is_a_finding() -> None:
    silent = subject(*OLD, exporters=[report(outcome=Outcome.TIMEOUT, reason="It did not answer.")])
    assert ask("exporter_stale", silent).status is Status.UNKNOWN
    assert ask("exporter_stale", lasting(silent, "exporter_stale", "silent")).status is Status.WARN


@pytest.mark.parametrize("outcome", [Outcome.FORBIDDEN, Outcome.SKIPPED, Outcome.UNAUTHORISED])
def test_what_keeps_muster_from_asking_is_not_the_exporters_fault(outcome: Outcome) -> None:
    silent = subject(*OLD, exporters=[report(outcome=outcome, reason="pods/proxy is forbidden.")])
    result = ask("exporter_stale", lasting(silent, "exporter_stale", "silent"))
    assert (result.status, result.findings, result.reason) == (Status.UNKNOWN, (), "pods/proxy is forbidden.")


def test_an_exporter_that_answers_old_samples_is_stale() -> None:
    assert ask("exporter_stale", lasting(subject(*OLD), "exporter_stale", "stale")).status is Status.WARN


def test_an_exporter_that_runs_and_of_which_nothing_is_read() -> None:
    pod = make_pod("nvidia-dcgm-exporter-x", gpus=0, component="dcgm-exporter")
    result = reporting(subject(exporters=[], pods=(pod,)), samples=())
    assert ask("exporter_stale", lasting(result, "exporter_stale", "silent")).status is Status.WARN
    assert ask("exporter_stale", nothing_read(lasting(result, "exporter_stale", "silent"))).status is Status.UNKNOWN


def test_dcgm_that_stands_still_is_seen_after_a_while() -> None:
    frozen = subject(earlier=FROZEN)
    assert ask("exporter_stale", frozen).status is Status.PASS
    result = ask("exporter_stale", lasting(frozen, "exporter_stale", "frozen"))
    assert (result.status, result.findings[0].key) == (Status.WARN, "frozen")
    one_lives = [*FROZEN[:7], structs.replace(FROZEN[7], values={**FROZEN[7].values, "power": 401.0})]
    assert ask("exporter_stale", lasting(subject(earlier=one_lives), "exporter_stale", "frozen")).status is Status.PASS


def test_a_node_that_has_just_booted_is_waited_for() -> None:
    silent = subject(*OLD, exporters=[report(outcome=Outcome.TIMEOUT)], history={"booted_at": NOW - timedelta(seconds=60)})
    assert ask("exporter_stale", silent).status is Status.WAITING
