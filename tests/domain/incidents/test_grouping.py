"""Findings become incidents: one per node or shared cause, with a name that symptoms do not change."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.domain.evaluation import registry
from fleet.domain.findings import Severity
from fleet.domain.incidents import causes
from fleet.domain.incidents.causes import TOGETHER, IncidentFinding, order_of
from fleet.domain.incidents.first_evidence import DatedBurst, DatedCondition, first_evidence
from fleet.domain.incidents.grouping import group

NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)


def a_finding(number: int, node: int | None = 1, **fields: object) -> IncidentFinding:
    defaults: dict[str, object] = {"cluster": 1, "rule": "thermal", "key": str(number), "opened": NOON}
    return IncidentFinding(id=number, node=node, **{**defaults, **fields})  # type: ignore[arg-type]


def again(findings: list[IncidentFinding], incidents: dict[int, int]) -> list[IncidentFinding]:
    """The findings as they are stored after they were grouped."""
    return [msgspec.structs.replace(row, incident=incidents[row.id]) for row in findings]


@st.composite
def fleets(draw: st.DrawFn) -> list[IncidentFinding]:
    """Findings of three nodes and their cluster, grouped before or not."""
    rules = ("xid", "thermal", "kubelet_not_ready", "exporter_stale", "untainted", "slots_mismatch", "driver_upgrade_failed")
    rows = []
    for number in range(1, draw(st.integers(1, 10)) + 1):
        rule = draw(st.sampled_from(rules))
        rows.append(
            a_finding(
                number,
                draw(st.sampled_from((1, 2, 3, None))),
                rule=rule,
                severity=draw(st.sampled_from(list(Severity))).value,
                rung=draw(st.sampled_from(("", "kubelet_ready", "telemetry_healthy"))),
                opened=NOON + timedelta(minutes=draw(st.integers(0, 40))),
                is_open=draw(st.booleans()),
                shared=draw(st.sampled_from(("", "a", "b"))) if rule not in ("thermal", "untainted") else "",
            )
        )
    if draw(st.booleans()):
        standing = [msgspec.structs.replace(row, is_open=True) for row in rows]
        rows = [msgspec.structs.replace(row, incident=group(standing)[row.id]) for row in rows]
    return rows


@pytest.mark.slow
@given(fleets())
def test_every_finding_is_in_exactly_one_incident_which_is_in_itself(findings: list[IncidentFinding]) -> None:
    incidents = group(findings)
    assert set(incidents) == {row.id for row in findings}
    named = {row.id for row in findings}
    assert all(incidents[name] == name for name in incidents.values() if name in named)
    assert set(incidents.values()) <= named


@pytest.mark.slow
@given(fleets(), st.randoms())
def test_the_order_of_the_input_does_not_matter(findings: list[IncidentFinding], chance: object) -> None:
    shuffled = list(findings)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    assert group(shuffled) == group(findings)


@pytest.mark.slow
@given(fleets())
def test_grouping_again_changes_nothing(findings: list[IncidentFinding]) -> None:
    incidents = group(findings)
    assert group(again(findings, incidents)) == incidents


@pytest.mark.slow
@given(fleets())
def test_a_node_has_one_incident_beside_those_of_the_set_up(findings: list[IncidentFinding]) -> None:
    incidents = group(findings)
    for node in (1, 2, 3):
        rows = [row for row in findings if row.node == node and row.is_open and row.rule not in causes.GATHERED]
        assert len({incidents[row.id] for row in rows}) <= 1


@pytest.mark.slow
@given(fleets(), st.integers(1, 3), st.integers(0, 60))
def test_a_symptom_changes_no_name_and_hides_no_cause(findings: list[IncidentFinding], node: int, minutes: int) -> None:
    before = group(findings)
    stored = again(findings, before)
    faults = [row for row in stored if row.node == node and row.is_open and row.rule not in causes.GATHERED]
    if not faults:
        return
    symptom = a_finding(
        99, node, rule="slots_mismatch", severity="info", opened=max(row.opened for row in stored) + timedelta(minutes=minutes)
    )
    cause = min(faults, key=order_of)
    if order_of(symptom) < order_of(cause):
        return
    after = group([*stored, symptom])
    assert {row: after[row] for row in before} == before
    assert after[99] == before[cause.id]


def test_five_findings_of_a_node_are_one_incident_named_by_the_most_severe() -> None:
    findings = [a_finding(number) for number in range(1, 5)] + [a_finding(5, severity="fatal", opened=NOON + TOGETHER)]
    assert group(findings) == dict.fromkeys(range(1, 6), 5)


def test_a_fault_comes_before_what_follows_from_it() -> None:
    monitor = a_finding(1, rule="monitors", severity="fatal", rung="telemetry_healthy", opened=NOON - TOGETHER)
    xid = a_finding(2, rule="xid", severity="fatal", rung="telemetry_healthy")
    assert group([monitor, xid]) == {1: 2, 2: 2}


def test_a_shared_cause_is_one_incident_and_stays_it_while_it_is_open_anywhere() -> None:
    first = a_finding(1, 1, rule="driver_upgrade_failed", shared="580.95.05")
    second = a_finding(2, 2, rule="driver_upgrade_failed", shared="580.95.05", opened=NOON + timedelta(hours=2))
    other = a_finding(3, 3, rule="driver_upgrade_failed", shared="570.1", opened=NOON)
    symptom = a_finding(4, 2, rule="slots_mismatch", severity="info")
    incidents = group([first, second, other, symptom])
    assert incidents == {1: 1, 2: 1, 3: 3, 4: 1}
    repaired = again([first, second, other, symptom], incidents)
    repaired[0] = msgspec.structs.replace(repaired[0], is_open=False)
    assert group(repaired) == incidents


def test_what_outlives_its_incident_is_one_of_its_own() -> None:
    fault, old = a_finding(1, severity="fatal"), a_finding(2, severity="warning", opened=NOON - timedelta(days=9))
    stored = again([fault, old], group([fault, old]))
    assert group([msgspec.structs.replace(stored[0], is_open=False), stored[1]]) == {1: 1, 2: 2}


def test_kubelets_are_together_exactly_within_ten_minutes() -> None:
    rows = [
        a_finding(1, 1, rule="kubelet_not_ready", shared="zone a"),
        a_finding(2, 2, rule="kubelet_not_ready", shared="zone a", opened=NOON + TOGETHER),
        a_finding(3, 3, rule="kubelet_not_ready", shared="zone a", opened=NOON + 2 * TOGETHER + timedelta(seconds=1)),
    ]
    assert group(rows) == {1: 1, 2: 1, 3: 3}


def test_a_cause_that_returns_reopens_its_incident() -> None:
    before = a_finding(1, key="GPU-1", is_open=False, incident=1)
    assert group([before, a_finding(2, key="GPU-1", opened=NOON + TOGETHER)]) == {1: 1, 2: 1}
    assert group([before, a_finding(2, key="GPU-2", opened=NOON + TOGETHER)]) == {1: 1, 2: 2}


def test_set_up_is_one_incident_per_cluster_and_rule() -> None:
    rows = [
        a_finding(1, 1, rule="untainted", severity="info"),
        a_finding(2, 2, rule="untainted", severity="info"),
        a_finding(3, 2, rule="in_no_pool", severity="info"),
        a_finding(4, 9, rule="untainted", severity="info", cluster=2),
        a_finding(5, 2, severity="fatal"),
    ]
    assert group(rows) == {1: 1, 2: 1, 3: 3, 4: 4, 5: 5}


def test_the_rules_named_here_exist() -> None:
    named = causes.GATHERED | causes.EFFECTS | causes.DRIVER_RULES | causes.EXPORTER_RULES | causes.KUBELET_RULES
    known = {*registry.NODE_RULES, *registry.CLUSTER_RULES}
    assert named | causes.CRASH_RULES <= known
    assert not causes.GATHERED & causes.EFFECTS


def test_the_first_evidence_is_the_earliest_that_the_finding_rests_on() -> None:
    at, early = NOON - timedelta(hours=1), NOON - timedelta(hours=2)
    condition = {"source": "condition", "key": "AcceleratedHardwareReady", "value": "False"}
    conditions = [DatedCondition("AcceleratedHardwareReady", "False", at), DatedCondition("Ready", "True", early)]
    assert first_evidence("", [condition], NOON, conditions) == at
    assert first_evidence("", [{**condition, "value": "True"}], NOON, conditions) == NOON
    assert first_evidence("GPU-1/79", [], NOON, (), [DatedBurst("GPU-1", 79, at), DatedBurst("GPU-1", 48, early)]) == at
    assert first_evidence("GPU-1/79", [], NOON, (), [DatedBurst("GPU-2", 79, early)]) == NOON
