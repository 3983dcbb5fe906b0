"""The demonstration: what people made, and a past that is lived apart and brought over in one piece."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from fleet.management.commands import demo as command
from fleet.models import AccessRequest, Cluster, FindingRow, Notice, Price, User, VerdictPeriod, WorkloadClass
from fleet.selectors import declarations
from fleet.selectors.muster import demo
from fleet.selectors.muster.invariants import breaches
from fleet.selectors.placement.manifest_placements import kept, used_manifests
from fleet.services import compliance, pools
from fleet.services.clusters import register_clusters
from fleet.services.collection import collect_cluster
from fleet.services.demo import content, links, past
from fleet.services.demo.progress import note
from fleet.services.notifications import send
from fleet.services.sign_in import create_owner_link
from fleet.simulator import month, script
from fleet.simulator.fleet import build_fleet
from fleet.simulator.server import serve
from tests.factories import a_node, a_pod


@pytest.mark.django_db
def test_people_asked_for_every_kind_of_class_and_each_request_ended_differently() -> None:
    create_owner_link("http://127.0.0.1/")
    content.make(timezone.now())
    states = set(AccessRequest.objects.values_list("state", flat=True))
    assert states == {"draft", "submitted", "approved", "rejected", "withdrawn", "expired", "expiring"}
    isolations = {declarations.spec_of(version).isolation for version in declarations.newest_versions().values()}
    assert isolations == {"full", "mig", "time-sliced", "mps"}
    assert set(User.objects.exclude(username="admin").values_list("role", flat=True)) == {
        "viewer",
        "developer",
        "operator",
        "admin",
    }
    assert {price.product for price in Price.objects.all()} >= {content.H100, content.L40S}


@pytest.mark.django_db
def test_a_workload_that_runs_under_a_class_has_an_active_request() -> None:
    create_owner_link("http://127.0.0.1/")
    labels = {"muster.dev/class": "h100-online", "app.kubernetes.io/name": "chat-vllm"}
    for number in range(2):
        a_pod(a_node(), f"chat-{number}", namespace="assistants", holds=True, slots=2, snapshot={"labels": labels})
    content.make(timezone.now())
    row = AccessRequest.objects.get(state="active")
    assert (row.namespace, row.name, row.replicas, row.gpus) == ("assistants", "chat-vllm", 2, 2)


@pytest.mark.django_db(transaction=True)
def test_simulated_pods_of_a_class_have_the_annotation_of_its_manifest(tmp_path: Path, settings: Any) -> None:
    create_owner_link("http://127.0.0.1/")
    with serve(build_fleet(clusters=1, nodes=5, pods_per_node=4)) as running:
        settings.MUSTER_KUBECONFIG, settings.IS_SIMULATED = str(running.kubeconfig(tmp_path / "kubeconfig")), False
        (cluster,) = register_clusters()
        assert collect_cluster(cluster, trigger="schedule") is not None
    now = timezone.now()
    content.make(now)
    compliance.evaluate(now)
    used = {manifest.digest for manifest in used_manifests()["h100-online"]}
    current = {placement.digest for placement in kept(WorkloadClass.objects.get(slug="h100-online")).values()}
    assert used, "no simulated pod is of the class"
    assert used <= current
    assert not FindingRow.objects.filter(rule="class_stale_manifests").exists()


@pytest.mark.django_db
def test_five_links_lead_to_pages_that_answer_and_the_inbox_holds_what_would_be_sent(client: Client) -> None:
    create_owner_link("http://127.0.0.1/")
    a_node("n1", verdict="not_ready")
    content.make(timezone.now())
    client.force_login(User.objects.get(username="olga-operator"))
    seen = links.things_to_see()
    assert len(seen) == links.MOST
    for link in seen:
        assert client.get(link["url"]).status_code == 200, link
    assert send.notify() > 0
    page = client.get(seen[-1]["url"]).content.decode()
    assert "Search requests 12 × Full H100, production inference" in page
    assert "Rule Requests and promises" in " ".join(page.split())


def test_the_month_holds_every_story_and_its_last_gpu_is_still_lost() -> None:
    ends = timezone.now()
    fleet = month.build(ends - timedelta(days=month.DAYS))
    faults = month.faults(fleet, ends)
    kinds = {fault.kind for fault in faults}
    assert {"driver-failed", "gpu-lost", "mig-cut", "squatter", "exporter-lost", "unreachable", "kubelet-silent"} <= kinds
    assert all(fleet.clock() <= fault.at < ends for fault in faults)
    assert faults[-1].kind == "gpu-lost"
    assert faults[-1].over_at > ends
    player = script.Player(fleet, faults)
    player.move_to(ends)
    lost = [node.name for node in fleet[month.NAME].nodes.values() if not all(gpu.healthy for gpu in node.gpus)]
    assert lost == [faults[-1].node]


@pytest.mark.django_db(transaction=True)
def test_a_past_is_lived_apart_and_then_there_at_once(tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.DEMO, settings.IS_SIMULATED, settings.MUSTER_HOME, settings.MUSTER_KUBECONFIG = True, False, tmp_path, ""
    create_owner_link("http://127.0.0.1/")
    for spec in content.pool_specs():
        if spec.slug in ("staging-h100", "a100-batch"):
            pools.save(User.objects.get(), spec, timezone.now())
    ends = timezone.now().replace(second=0, microsecond=0)
    begins = ends - timedelta(hours=4)
    fleet = month.build(begins)
    node = next(node.name for node in fleet[month.NAME].nodes.values() if node.pool == "h100-research")
    crash = script.Fault("plugin-crashed", month.NAME, node, begins + timedelta(minutes=90), timedelta(minutes=40), True)
    monkeypatch.setattr(month, "faults", lambda *_: [crash])
    seen: list[int] = []
    with serve(fleet) as running:
        running.kubeconfig(demo.state_file().with_name("month.kubeconfig"), tls=False)
        note(state="living", begins=begins.isoformat(), ends=ends.isoformat())
        inner = past.bring_over
        monkeypatch.setattr(past, "bring_over", lambda: (seen.append(Cluster.objects.count()), inner()))
        command.live_apart(fleet, script.Player(fleet, [crash]), begins, ends)
        past.forget()
        assert seen == [0], "nothing of the past was to be seen while it was lived"
        assert settings.DEMO, "the process reads the configured clusters again"
        running.kubeconfig(demo.kubeconfig())
        fleet.clock.runs = True
        cluster = Cluster.objects.get(name=month.NAME)
        run = collect_cluster(cluster, trigger="schedule")
    assert run is not None
    assert run.outcome == "ok"
    bad = VerdictPeriod.objects.get(node__name=node, verdict="not_ready")
    assert (bad.period.lower, bad.period.upper) == (crash.at, crash.over_at)
    first = VerdictPeriod.objects.earliest("period")
    assert first.period.lower == begins
    assert not Notice.objects.filter(at__lt=ends, matched_at=None).exists(), "the past causes no notification"
    assert FindingRow.objects.filter(node__name=node, period__endswith=crash.over_at).exists()
    assert not FindingRow.objects.filter(key="a100-batch").exists(), "a pool of another cluster had no month without nodes"
    assert list(breaches(timezone.now())) == []
    state = demo.demo()
    assert state is not None
    assert state.percent == 100
    with pytest.raises(psycopg.OperationalError):
        past._connect(past.DATABASE)
    assert connection.settings_dict["NAME"] != past.DATABASE
