"""How each cluster is read, on the list of clusters: runs of a day, sections, permissions."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.test import Client

from fleet.selectors import cluster_runs
from fleet.templatetags.cluster_ui import run_strip
from tests.factories import a_cluster, a_run, a_user

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 12, 1, 12, 10, tzinfo=UTC)


def test_half_hours_hold_the_worst_of_their_runs() -> None:
    cluster = a_cluster("east")
    for minutes, outcome in ((5, "ok"), (6, "partial"), (40, "ok"), (45, "failed"), (46, "partial"), (24 * 60, "failed")):
        at = NOW - timedelta(minutes=minutes)
        a_run(cluster, started_at=at, finished_at=at, outcome=outcome, trigger="schedule")
    a_run(cluster, started_at=NOW, finished_at=NOW, outcome="failed", trigger="telemetry")
    a_run(cluster, started_at=NOW, finished_at=None, outcome="running", trigger="schedule")
    steps = cluster_runs.run_steps(NOW)[cluster.pk]
    assert len(steps) == cluster_runs.STEPS
    assert (steps[-1].at, steps[-1].state, steps[-1].runs) == (NOW - timedelta(minutes=10), "partial", 2)
    assert [step.state for step in steps[-3:]] == ["failed", "ok", "partial"]
    drawn = run_strip(steps)
    assert str(drawn["label"]).replace("\N{NO-BREAK SPACE}", " ") == "5 runs, 1 failed, 2 incomplete"


def test_the_list_says_what_is_not_read_and_not_allowed() -> None:
    section = {"name": "pods", "outcome": "forbidden", "count": 0, "took_ms": 1, "reason": "No.", "hides": ""}
    missing = {"verb": "list", "group": "", "resource": "pods", "namespace": "", "hides": ""}
    a_cluster("east", sections=[section], permissions={"missing": [missing], "writes": ["patch nodes"], "reviewed": []})
    a_cluster("west", sections=[{**section, "outcome": "collected"}], permissions={"missing": [], "writes": [], "reviewed": []})
    a_cluster("new", read_at=None, outcome="")
    client = Client()
    client.force_login(a_user("dora"))
    page = " ".join(client.get("/clusters/").content.decode().split()).replace("\N{NO-BREAK SPACE}", " ")
    for words in ("1 section of 1 not collected:", "1 permission missing", "may write", "all 1 collected", "all granted"):
        assert words in page, words
    assert "not collected yet" in page
    assert "No run ended in the last 24 h" in page
