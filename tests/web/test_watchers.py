"""Page and API of the watchers: a scripted month in the database, whose truth is known."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from fleet.models import FindingRow, Node, VerdictPeriod
from tests.factories import a_cluster, a_node

pytestmark = pytest.mark.django_db
NOW = timezone.now()


def add_finding(
    node: Node, rule: str, key: str, days: float, *, after_min: float = 0, lasts_h: float = 1, evidence: bool = False
) -> None:
    start = NOW - timedelta(days=days) + timedelta(minutes=after_min)
    FindingRow.objects.create(
        cluster=node.cluster,
        node=node,
        rule=rule,
        key=key,
        severity="critical",
        text="x",
        period=(start, start + timedelta(hours=lasts_h)),
        evidence_at=start - timedelta(minutes=5) if evidence else None,
    )


@pytest.fixture
def month() -> None:
    east = a_cluster("east")
    watched = [{"type": "GpuMemWatch", "status": "False"}]
    first, second = a_node("n1", east, conditions=watched), a_node("n2", east, labels={"autopilot.ibm.com/gpuhealth": "PASS"})
    add_finding(first, "gpu_lost", "", 20, after_min=3)
    add_finding(first, "monitors", "GpuMemWatch", 20)  # NVSentinel first, Muster later
    add_finding(first, "monitors", "GpuMemWatch", 15)  # NVSentinel alone, Muster silent
    add_finding(first, "xid", "79", 10, after_min=3, evidence=True)  # its evidence is older than the finding
    add_finding(first, "dcgm_watches", "MEM", 10)
    add_finding(second, "monitors", "autopilot.ibm.com/gpuhealth", 5)  # Autopilot alone
    add_finding(second, "stuck_out_of_service", "x", 5)  # no fault
    add_finding(second, "xid", "48", 45)  # before the window
    for days, verdict in ((40, "ready"), (8, "not_ready"), (7, "ready")):
        end = {40: 8, 8: 7}.get(days)
        VerdictPeriod.objects.create(
            node=second, verdict=verdict, period=(NOW - timedelta(days=days), NOW - timedelta(days=end) if end else None)
        )
    key = "gke.google.com/recommended-to-run-large-training-workload"
    add_finding(second, "predicted_to_fail", key, 8, after_min=-240)
    add_finding(second, "predicted_to_fail", key, 6)
    add_finding(second, "monitors", "KernelDeadlock", 4)  # a fault of the node, not of its GPUs
    gone, anew = a_node("n3", east, removed_at=NOW - timedelta(days=2)), a_node("n4", east)
    Node.objects.filter(pk=anew.pk).update(name="n3")  # made again under the same name, and not ready at first
    for node, verdict, begin, end in ((gone, "ready", 3, 2.9), (anew, "not_ready", 2.85, None)):
        VerdictPeriod.objects.create(
            node=node, verdict=verdict, period=(NOW - timedelta(days=begin), NOW - timedelta(days=end) if end else None)
        )
    add_finding(gone, "predicted_to_fail", key, 2.95)


def test_the_api_counts_the_month_exactly(reader: Any, month: None) -> None:
    answer = reader.get("/api/v1/watchers/").json()
    assert (answer["faults"], answer["complete"]) == (4, True)
    rows = {row.pop("watcher"): row for row in answer["watchers"]}
    assert rows == {
        "Muster": {"nodes": 3, "seen": 2, "first": 1, "later": 1, "alone": 0, "silent": 2},
        "NVSentinel": {"nodes": 1, "seen": 2, "first": 1, "later": 0, "alone": 1, "silent": 1},
        "DCGM": {"nodes": 1, "seen": 1, "first": 0, "later": 1, "alone": 0, "silent": 2},
        "Autopilot": {"nodes": 1, "seen": 1, "first": 0, "later": 0, "alone": 1, "silent": 0},
    }
    pairs = {tuple(row["watchers"]): row["faults"] for row in answer["both"]}
    assert pairs == {
        ("Autopilot", "Muster"): 0,
        ("DCGM", "Muster"): 1,
        ("DCGM", "NVSentinel"): 0,
        ("Muster", "NVSentinel"): 1,
    }
    assert answer["predictions"] == {"came_true": 1, "did_not": 1, "pending": 0, "unknown": 0, "removed": 1}


def test_the_page_shows_them_and_an_empty_fleet_says_so(reader: Any, month: None) -> None:
    page = reader.get("/watchers/?window=30d").content.decode()
    assert "Watchers compared" in page
    assert "NVSentinel" in page
    assert "1 of 3 predictions came true, 1 did not." in " ".join(page.split())
    assert reader.get("/watchers/?window=7d&cluster=nowhere").status_code == 200
    Node.objects.all().delete()
    assert "No GPU nodes are known." in reader.get("/watchers/").content.decode()


def test_unknown_parameters_are_refused(reader: Any) -> None:
    assert reader.get("/api/v1/watchers/?days=3").status_code == 400
    assert reader.get("/api/v1/watchers/?cluster=nowhere").json()["faults"] == 0
