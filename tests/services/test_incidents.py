"""Grouping as it is stored, and silencing an incident as a whole."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from fleet.models import AuditEntry, FindingRow, Role, Silence
from fleet.selectors.incidents import incidents as select
from fleet.selectors.incidents import rows as incident_rows
from fleet.selectors.incidents import totals as incident_totals
from fleet.services import incidents
from tests.factories import NOON, a_burst, a_cluster, a_finding, a_node, a_pod, a_pool, a_team, a_user

pytestmark = pytest.mark.django_db
NOW = datetime.now(UTC)


def incident_ids() -> dict[int, int | None]:
    return dict(FindingRow.objects.values_list("pk", "incident"))


def test_findings_of_a_node_become_one_incident_and_nothing_is_written_twice() -> None:
    node = a_node("n1")
    fault = a_finding(node, "xid", severity="fatal", key="GPU-1/79", incident=None)
    symptom = a_finding(node, "slots_mismatch", severity="critical")
    own = a_finding(node, "untainted", severity="info")
    assert incidents.regroup(node.cluster, NOON) == 3
    assert incident_ids() == {fault.pk: fault.pk, symptom.pk: fault.pk, own.pk: own.pk}
    assert incidents.regroup(node.cluster, NOON) == 0


def test_the_first_evidence_is_that_of_the_condition_and_of_the_first_event() -> None:
    early = NOON - timedelta(hours=2)
    node = a_node(conditions=[{"type": "Bad", "status": "True", "last_transition_at": early.isoformat()}])
    monitor = a_finding(node, "monitors", severity="fatal", evidence=[{"source": "condition", "key": "Bad", "value": "True"}])
    xid = a_finding(node, "xid", severity="fatal", key="GPU-1/79")
    a_burst(node, 79, uuid="GPU-1", started_at=NOON - timedelta(minutes=5), last_at=NOON)
    incidents.regroup(node.cluster, NOON)
    monitor.refresh_from_db()
    xid.refresh_from_db()
    assert (monitor.evidence_at, xid.evidence_at) == (early, NOON - timedelta(minutes=5))
    named = select.incidents().get(open=True)
    assert (named.pk, named.first_evidence_at, named.seen_at) == (xid.pk, early, NOON)


def test_a_symptom_that_was_there_long_before_is_no_evidence_of_the_incident() -> None:
    node = a_node()
    a_finding(node, "thermal", opened=NOON - timedelta(days=9))
    xid = a_finding(node, "xid", severity="fatal", key="GPU-1/79")
    a_finding(node, "slots_mismatch", severity="critical", opened=NOON - timedelta(minutes=10))
    a_finding(node, "pcie_replay", opened=NOON - timedelta(minutes=10, seconds=1))
    a_finding(node, "models_disagree", opened=NOON + timedelta(minutes=3))
    incidents.regroup(node.cluster, NOON)
    named = select.incidents().get(open=True)
    assert (named.pk, named.first_evidence_at) == (xid.pk, NOON - timedelta(minutes=10))


def test_a_driver_of_one_version_is_one_incident_over_its_nodes() -> None:
    nodes = [a_node(driver_version="580.95.05") for _ in range(2)]
    first, second = (a_finding(node, "driver_upgrade_failed", severity="critical") for node in nodes)
    other = a_finding(a_node(driver_version="570.1"), "driver_upgrade_failed", severity="critical")
    incidents.regroup(nodes[0].cluster, NOON)
    assert incident_ids() == {first.pk: first.pk, second.pk: first.pk, other.pk: other.pk}


def test_exporters_of_one_image_are_one_incident_over_their_nodes() -> None:
    listed = []
    for image in ("dcgm:4.5", "dcgm:4.5", "dcgm:4.2"):
        node = a_node()
        a_pod(node, component="dcgm-exporter", snapshot={"containers": [{"name": "e", "image": image}]})
        listed.append(a_finding(node, "exporter_stale").pk)
    incidents.regroup(a_cluster(), NOON)
    assert incident_ids() == {listed[0]: listed[0], listed[1]: listed[0], listed[2]: listed[2]}


def test_a_crash_over_many_nodes_holds_the_xids_that_it_caused() -> None:
    nodes = [a_node() for _ in range(2)]
    xids = [a_finding(node, "xid", severity="critical", key="GPU-1/94") for node in nodes]
    lone = a_finding(a_node(), "xid", severity="critical", key="GPU-1/94")
    for node in nodes:
        a_burst(node, 94, uuid="GPU-1", incident="crash-1")
    crash = a_finding(cluster=a_cluster(), rule="xid_incident", key="crash-1", severity="critical", text="One crash of job a.")
    incidents.regroup(a_cluster(), NOON)
    ids = incident_ids()
    assert {ids[row.pk] for row in (*xids, crash)} == {xids[0].pk}
    assert ids[lone.pk] == lone.pk
    (row,) = incident_rows.rows(select.incidents().filter(pk=xids[0].pk), NOW)
    assert (row.text, row.node_count, row.rule) == ("One crash of job a", 2, "xid_incident")


def test_a_row_says_cause_symptoms_nodes_and_who_is_affected() -> None:
    node = a_node("n1", expected=8, usable=0, verdict="not_ready")
    a_pool("h100", node)
    a_team("search-ml", namespaces=["search"])
    a_pod(node, "down", namespace="search", ready=False, reason="CrashLoopBackOff")
    a_pod(node, "up", namespace="search")
    a_pod(node, "done", phase="Succeeded")
    fault = a_finding(node, "xid", severity="fatal", key="GPU-1/79", text="It fell.", remedy="Reboot.")
    for key in ("a", "b"):
        a_finding(node, "slots_mismatch", key=key, severity="critical")
    incidents.regroup(node.cluster, NOON)
    (row,) = incident_rows.rows(select.ordered(select.incidents()), NOW)
    assert (row.id, row.text, row.remedy, row.severity, row.status) == (fault.pk, "It fell", "Reboot.", "fatal", "open")
    assert row.symptoms == (("Slots do not match the devices", 2),)
    assert (row.gpus, row.node_count, row.affected.pod_count, row.affected.pods_down) == (8, 1, 2, 1)
    assert (row.affected.teams, row.affected.pools, row.affected.pods[0].name) == (("search-ml",), ("h100",), "down")


def test_worst_first_is_by_severity_then_gpus_out_of_use_then_newest() -> None:
    for name, severity, usable, age in (
        ("a", "critical", 8, 1),
        ("b", "critical", 0, 2),
        ("c", "fatal", 8, 3),
        ("d", "critical", 8, 0),
    ):
        node = a_node(name, usable=usable, expected=8)
        a_finding(node, "thermal", severity=severity, opened=NOON - timedelta(hours=age))
    assert [row.node.name for row in select.ordered(select.incidents())] == ["c", "b", "d", "a"]


def test_an_incident_is_silenced_as_a_whole_and_counted_no_more() -> None:
    node, operator = a_node(), a_user("op", Role.OPERATOR)
    fault = a_finding(node, "xid", severity="fatal", key="GPU-1/79")
    a_finding(node, "slots_mismatch", severity="critical")
    incidents.regroup(node.cluster, NOON)
    assert incident_totals.open_count(NOW) == 1
    until = NOW + timedelta(hours=4)
    assert incidents.silence_incident(operator, fault.pk, reason="RMA-1", until=until, now=NOW) == 2
    assert (Silence.objects.count(), AuditEntry.objects.count()) == (2, 2)
    (row,) = incident_rows.rows(select.incidents(), NOW)
    assert (row.status, incident_totals.open_count(NOW), incident_totals.totals(NOW).total) == ("silenced", 0, 0)


def test_an_id_that_was_handed_out_leads_to_the_incident_that_holds_it_now() -> None:
    node = a_node()
    old = a_finding(node, "thermal")
    incidents.regroup(node.cluster, NOON)
    fault = a_finding(node, "xid", severity="fatal", key="GPU-1/79")
    incidents.regroup(node.cluster, NOON)
    for pk in (old.pk, fault.pk):
        named = select.incident_of(pk)
        assert named is not None
        assert named.pk == fault.pk
    assert select.incident_of(10**9) is None


def test_the_number_of_queries_does_not_grow_with_the_incidents(django_assert_max_num_queries: object) -> None:
    for _ in range(5):
        a_finding(a_node(), "thermal")
    with django_assert_max_num_queries(10):  # type: ignore[operator]
        assert len(incident_rows.rows(select.ordered(select.incidents()), NOW)) == 5
