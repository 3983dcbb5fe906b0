"""A day of a cluster at speed through the real pipeline: its history, to the second, and its notifications."""

from __future__ import annotations

import ipaddress
import json
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as running_settings

from fleet.models import Cluster, CollectionRun, FindingRow, Node, NodeDay, RunOutcome, VerdictPeriod, XidBurstRow
from fleet.selectors.history.availability import availability
from fleet.selectors.history.availability_rows import Row
from fleet.services import rollups
from fleet.services.clusters import register_clusters
from fleet.simulator.server import serve
from tests.beside import environment_beside
from tests.day import replay, script
from tests.day.script import at
from tests.factories import a_rule, a_target
from tests.services.notifications.receivers import HttpReceiver, http_receiver

ROOT = Path(__file__).parents[2]
MINUTE = 60
Periods = list[tuple[float, float | None, str, str]]
"""(from, to, verdict, first broken rung) in minutes since midnight; the current one has no end."""
BACK_AFTER = 1
"""Minutes from the reboot with another GPU to the run that finds all GPUs healthy: the Xid is older than the last run before."""


@pytest.fixture
def receiver(settings: Any) -> Iterator[HttpReceiver]:
    settings.NOTIFY_ALLOWED_NETWORKS = (ipaddress.ip_network("127.0.0.0/8"),)
    with http_receiver() as running:
        yield running


def expected() -> dict[str, list[Periods]]:
    """By name, for each machine that bore it in turn."""
    silent = script.LONG_OUTAGE_AT - 1 + 15  # 15 minutes after the last look that read anything
    back = script.LONG_OUTAGE_AT + script.LONG_OUTAGE
    periods = {}
    for number in range(24):
        name = f"gpu-{number:02}"
        breaks: list[tuple[float, float, str, str]] = [(silent, back, "unknown", "")]
        if name in script.UPGRADED:
            begins = script.UPGRADE_STARTS + number * script.UPGRADE_EVERY
            breaks.append((begins, begins + script.UPGRADE_TAKES, "excluded", ""))
        if name == script.LOST:
            breaks.append((script.LOST_AT, script.HEALED_AT, "not_ready", "resources_advertised"))
            breaks.append((script.HEALED_AT, script.HEALED_AT + BACK_AFTER, "starting", "telemetry_healthy"))
        if name == script.EXPORTER_OF:  # the first look at which its last sample is older than five minutes
            breaks.append((script.EXPORTER_DOWN_AT + 10, script.EXPORTER_BACK_AT, "unknown", "telemetry_healthy"))
        periods[name] = [_between(0, sorted(breaks), None)]
    periods[script.REPLACED] = [
        [*periods[script.REPLACED][0][:-1], (back, script.REPLACED_AT, "ready", "")],
        [(script.REPLACED_AT, None, "ready", "")],
    ]
    return periods


def _between(start: float, breaks: list[tuple[float, float, str, str]], end: float | None) -> Periods:
    """The breaks, and `ready` wherever nothing else is."""
    periods: Periods = []
    for begins, ends, verdict, rung in breaks:
        if begins > start:
            periods.append((start, begins, "ready", ""))
        periods.append((begins, ends, verdict, rung))
        start = ends
    return [*periods, (start, end, "ready", "")]


@pytest.mark.django_db(transaction=True)
def test_a_day_is_remembered_as_it_was(tmp_path: Path, settings: Any, receiver: HttpReceiver) -> None:
    fleet = script.build()
    with serve(fleet) as running:
        settings.MUSTER_KUBECONFIG, settings.IS_SIMULATED = str(running.kubeconfig(tmp_path / "kubeconfig")), False
        (cluster,) = register_clusters()
        tell_all_warnings_to(receiver)
        script.play(fleet, lambda moment: replay.look(cluster.name, moment))
    assert_history()
    assert_findings(cluster)
    assert_figures()
    events = told_to(receiver)
    assert Counter(events) == Counter(NEWS), "each piece of news once, its end once, and nothing else"


@pytest.mark.django_db(transaction=True)
def test_a_worker_that_is_killed_ten_times_leaves_the_same_history(tmp_path: Path, settings: Any, receiver: HttpReceiver) -> None:
    fleet = script.build()
    looks = script.looks()
    chance = random.Random(20261123)
    doomed = set(chance.sample(looks[1:], 6)) | {script.LOST_AT, script.BURST_AT, script.LONG_OUTAGE_AT, script.REPLACED_AT}
    kills = 0
    with serve(fleet) as running:
        settings.MUSTER_KUBECONFIG, settings.IS_SIMULATED = str(running.kubeconfig(tmp_path / "kubeconfig")), False
        (cluster,) = register_clusters()
        tell_all_warnings_to(receiver)
        worker = Worker(cluster.name)
        try:

            def look(moment: datetime) -> None:
                nonlocal worker, kills
                if moment in {at(minute) for minute in doomed}:
                    worker.begin(moment)
                    time.sleep(chance.uniform(0, 0.4))
                    worker.kill()
                    kills += 1
                    worker = Worker(cluster.name)
                worker.begin(moment)
                worker.wait()

            script.play(fleet, look)
        finally:
            worker.kill()
    assert kills == 10
    assert_history()
    assert_findings(cluster)
    assert_figures()
    assert set(told_to(receiver)) == set(NEWS), "nothing is lost; what was sent and not yet marked may come twice"
    assert not CollectionRun.objects.filter(outcome=RunOutcome.RUNNING).exists()


class Worker:
    """A worker in a process of its own, which looks at the moments it is given."""

    def __init__(self, cluster_name: str) -> None:
        environment = environment_beside(MUSTER_NOTIFY_ALLOW_PRIVATE="127.0.0.0/8", SECRET_KEY=running_settings.SECRET_KEY)
        command = [sys.executable, "-m", "tests.day.replay", cluster_name]
        self._process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def begin(self, moment: datetime) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{moment.isoformat()}\n")
        self._process.stdin.flush()

    def wait(self) -> None:
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "done\n"

    def kill(self) -> None:
        self._process.send_signal(signal.SIGKILL)
        self._process.wait(10)
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()


# --- what is asserted ---------------------------------------------------------------------------------------------


def assert_history() -> None:
    remembered: dict[str, list[Periods]] = {}
    for node in Node.objects.order_by("name", "first_seen_at"):
        periods = VerdictPeriod.objects.filter(node=node).order_by("period")
        rows = [
            (_minute(period.period.lower), _minute(period.period.upper), period.verdict, period.broken_rung) for period in periods
        ]
        remembered.setdefault(node.name, []).append(_merged(rows))
    assert remembered == expected()
    for name, machines in remembered.items():
        for periods_of in machines:
            for (_, ends, *_), (begins, *_) in pairwise(periods_of):
                assert ends == begins, f"{name} has a gap or an overlap at minute {begins}"


def _merged(rows: Periods) -> Periods:
    """Neighbouring periods with one verdict and rung as one: a period ends where a figure changes, too."""
    merged: Periods = []
    for begins, ends, verdict, rung in rows:
        if merged and merged[-1][1:] == (begins, verdict, rung):
            merged[-1] = (merged[-1][0], ends, verdict, rung)
        else:
            merged.append((begins, ends, verdict, rung))
    return merged


def _minute(moment: datetime | None) -> float | None:
    return None if moment is None else (moment - script.MIDNIGHT).total_seconds() / MINUTE


def assert_findings(cluster: Cluster) -> None:
    """Those of a rule that anyone would be woken for, and the one crash over eight nodes."""
    rows = FindingRow.objects.filter(severity__in=("warning", "critical", "fatal")).order_by("rule")
    stood = [(row.node.name if row.node else "", row.rule, _minute(row.period.lower), _minute(row.period.upper)) for row in rows]
    lost = (script.LOST_AT, script.HEALED_AT)
    silent = script.EXPORTER_DOWN_AT + 10  # the first run after it has not answered for five minutes
    assert stood == [
        (script.EXPORTER_OF, "exporter_stale", silent, script.EXPORTER_BACK_AT),
        (script.LOST, "gpu_lost", *lost),
        (script.LOST, "monitors", *lost),
        (script.LOST, "slots_mismatch", *lost),
        (script.LOST, "xid", script.LOST_AT, script.HEALED_AT + 1),
    ]
    crash = XidBurstRow.objects.filter(code=45)
    assert sorted(crash.values_list("node__name", flat=True)) == list(script.JOB)
    assert len(set(crash.values_list("incident", "started_at", "job"))) == 1
    assert FindingRow.objects.filter(rule="xid_incident", cluster=cluster).count() == 1


def assert_figures() -> None:
    day = 24 * 60 * MINUTE
    silent = 26 * MINUTE
    rollups.refresh(at(script.DAY))
    midnight, next_one = script.MIDNIGHT, script.MIDNIGHT + timedelta(days=1)
    rows = {row.name: row for row in availability("node", midnight, next_one, now=next_one)}
    lost, upgraded = rows[script.LOST], rows["gpu-00"]
    down, starting = (script.HEALED_AT - script.LOST_AT) * MINUTE, BACK_AFTER * MINUTE
    good = day - silent - down - starting
    assert _seconds(lost) == {"ready": good, "not_ready": down, "starting": starting, "unknown": silent}
    assert lost.availability == pytest.approx(100 * good / (day - silent))
    assert (lost.incidents, lost.repaired, lost.down_s, lost.mttr_s) == (1, 1, down, down + starting)
    assert lost.first_bad_at == at(script.LOST_AT)
    excluded = script.UPGRADE_TAKES * MINUTE
    assert _seconds(upgraded) == {"ready": day - silent - excluded, "excluded": excluded, "unknown": silent}
    assert (upgraded.availability, upgraded.incidents, upgraded.flaps) == (100.0, 0, 0)
    unseen = (script.EXPORTER_BACK_AT - script.EXPORTER_DOWN_AT - 10) * MINUTE
    assert _seconds(rows[script.EXPORTER_OF])["unknown"] == silent + unseen
    (whole,) = availability("cluster", midnight, next_one, now=next_one)
    assert (whole.nodes, sum(whole.seconds.values())) == (25, 24 * day), "two machines bore one name, in turn"
    assert (whole.incidents, whole.flaps) == (1, 0)
    known = 24 * (day - silent) - 20 * excluded - unseen
    assert whole.availability == pytest.approx(100 * (known - down - starting) / known)
    assert NodeDay.objects.filter(day=midnight.date()).count() == 25


def _seconds(row: Row) -> dict[str, int]:
    return {verdict: seconds for verdict, seconds in row.seconds.items() if seconds}


# --- notifications ------------------------------------------------------------------------------------------------

NEWS = [
    (title, ended)
    for title in (
        "verdict gpu-21",
        "gpu_lost gpu-21",
        "monitors gpu-21",
        "slots_mismatch gpu-21",
        "xid gpu-21",
        "verdict gpu-12",
        "exporter_stale gpu-12",
        "cluster",
    )
    for ended in (False, True)
]


def tell_all_warnings_to(receiver: HttpReceiver) -> None:
    target = a_target(address=f"{receiver.url}/hook")
    a_rule(target=target, min_severity="warning", created_at=script.MIDNIGHT)


def told_to(receiver: HttpReceiver) -> list[tuple[str, bool]]:
    """Returns the notifications of the receiver, with whether each is a recovery; repeated ones are left out."""
    seen, events = set(), []
    for request in receiver.requests:
        body = json.loads(request.body)
        if body["id"] in seen:
            continue
        seen.add(body["id"])
        for notice in body["notices"]:
            what = notice["key"].split(":")[3] if notice["kind"] == "finding" else notice["kind"]
            events.append((f"{what} {notice['node'] or ''}".strip(), notice["recovery"]))
    return events
