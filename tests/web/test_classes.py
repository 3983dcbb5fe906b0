"""The catalogue and a class in every state: none, offered, kept, full, broken; sizes; manifests; versions; the form."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml
from django.test import Client
from django.utils import timezone

from fleet.models import ClassVersion, Cluster, FindingRow, Node, NodeResource, Notice, Role, User, WorkloadClass
from fleet.services import classes as service
from fleet.services import compliance, pools
from tests.factories import a_user, scraper
from tests.services.snapshots import a_node
from tests.services.test_compliance import a_class
from tests.services.test_pools import a_spec, at, look
from tests.web.test_pools import text_of, words

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _no_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fleet.tasks.wake_compliance", lambda: None)


@pytest.fixture
def east() -> Cluster:
    cluster = Cluster.objects.create(name="east")
    look(cluster, a_node("n1"), a_node("n2"))
    Node.objects.update(verdict="ready", usable=8)
    Cluster.objects.update(read_at=timezone.now())
    return cluster


@pytest.fixture
def full(operator: User, east: Cluster) -> WorkloadClass:
    pools.save(operator, a_spec(modes=("full",)), at(1))
    service.save(operator, a_class(gpus=4, sizes=(1, 8), purpose="Whole cards for models that answer users."), at(2))
    compliance.evaluate(timezone.now())
    return WorkloadClass.objects.get()


@pytest.fixture
def dev(client: Client) -> Client:
    client.force_login(a_user("dora", Role.DEVELOPER))
    return client


def test_an_empty_catalogue_says_what_is_missing(dev: Client, east: Cluster) -> None:
    assert "A workload class needs a pool, and no pool is declared." in text_of(dev, "/classes/")


def test_a_starter_is_offered_to_operators_and_adopted(reader: Client, operator: User, east: Cluster) -> None:
    pools.save(operator, a_spec(), at(1))
    assert "Suggested classes" in text_of(reader, "/classes/")
    answer = reader.post("/classes/adopt/", {"slug": "full-gpu-inference"}, follow=True)
    assert "was added to the catalogue" in answer.content.decode()
    assert ClassVersion.objects.get().spec["pools"] == ["h100"]
    assert "is no longer offered" in reader.post("/classes/adopt/", {"slug": "full-gpu-inference"}, follow=True).content.decode()


def test_a_developer_sees_the_room_in_plain_words_and_no_node_name(dev: Client, full: WorkloadClass) -> None:
    page = text_of(dev, "/classes/full/")
    assert "Met" in page
    assert "4 replicas of 4 GPUs could land now" in page
    assert "Whole GPUs for one pod. Memory and faults are isolated." in page
    assert "Not a reservation." in page
    html = dev.get("/classes/full/").content.decode()
    assert "/nodes/east/" not in html
    assert not re.search(r">\s*n[12]\b", html)
    assert "Edit" not in page


def test_the_size_changes_room_manifest_and_chart(dev: Client, full: WorkloadClass) -> None:
    page = text_of(dev, "/classes/full/?gpus=8")
    assert "2 replicas of 8 GPUs could land now" in page
    assert "nvidia.com/gpu: '8'" in page.replace("&#x27;", "'")
    assert "8 or more free: a pod fits" in page
    assert "4 replicas of 4 GPUs" in text_of(dev, "/classes/full/?gpus=3"), "a size it does not have is the usual one"


def test_room_is_shown_by_cluster_and_more_replicas_than_fit_there_are_refused(
    dev: Client, operator: User, full: WorkloadClass
) -> None:
    west = Cluster.objects.create(name="west")
    look(west, a_node("w1"))
    Node.objects.update(verdict="ready", usable=8)
    Cluster.objects.update(read_at=timezone.now(), changes=9)
    page = text_of(dev, "/classes/full/")
    assert "6 replicas of 4 GPUs could land now" in page
    assert re.search(r"east 4 replicas west 2 replicas", page), page
    assert "kubectl --context east apply -f" in page, "most room unless a cluster is named"
    wanted = "/classes/full/?kind=deployment&name=rerank&namespace=search&image=a&cluster={}&replicas={}"
    assert "kubectl --context west apply -f" in text_of(dev, wanted.format("west", 2))
    refused = text_of(dev, wanted.format("west", 3))
    assert "west has room for 2 replicas now. Choose fewer, or another cluster." in refused
    assert "Fix the errors above to generate the manifest." in refused
    assert "Fix the errors" not in text_of(dev, wanted.format("east", 4))
    assert "Fix the errors" not in text_of(dev, "/classes/full/?kind=quota&namespace=search&cluster=west&replicas=50")


def test_parameters_fill_the_manifest_and_mistakes_stand_beside_them(dev: Client, full: WorkloadClass) -> None:
    html = dev.get(
        "/classes/full/?kind=deployment&name=rerank&namespace=search&replicas=3&image=reg.example/a:1"
    ).content.decode()
    (code,) = re.findall(r'aria-label="Manifest">(.*?)</pre>', html, re.DOTALL)
    (safe_load_all,) = yaml.safe_load_all(code.replace("&#x27;", "'"))
    assert (safe_load_all["kind"], safe_load_all["metadata"]["name"], safe_load_all["metadata"]["namespace"]) == (
        "Deployment",
        "rerank",
        "search",
    )
    assert safe_load_all["spec"]["replicas"] == 3
    assert "kind=deployment" in html
    wrong = dev.get("/classes/full/?name=Not+Good&replicas=x").content.decode()
    assert 'id="manifest-replicas-error">Enter a whole number.' in wrong
    assert 'id="manifest-name-error">' in dev.get("/classes/full/?name=Not+Good").content.decode()


def test_what_the_page_shows_is_what_its_download_and_curl_give(dev: Client, full: WorkloadClass) -> None:
    answer = dev.get("/classes/full/?gpus=8&kind=pod&name=big")
    assert dev.get(answer.context["api_path"]).content.decode() == answer.context["yaml"]


def test_excluded_nodes_have_a_reason_and_operators_their_names(reader: Client, full: WorkloadClass) -> None:
    Node.objects.filter(name="n2").update(verdict="not_ready", verdict_reason="The driver is gone.")
    Cluster.objects.update(changes=99)
    page = text_of(reader, "/classes/full/")
    assert "2 replicas of 4 GPUs could land now" in page
    assert "4 replicas once broken nodes are repaired" in page
    assert "n2" in page


def test_a_class_that_is_used_up_is_full_and_no_fault(dev: Client, full: WorkloadClass) -> None:
    NodeResource.objects.update(requested=8, free=0)
    Cluster.objects.update(changes=98)
    compliance.evaluate(timezone.now())
    page = text_of(dev, "/classes/")
    assert "Full" in page
    assert "All capacity is in use." in page
    assert "At risk" not in page, "neither now nor in its history"
    assert FindingRow.objects.get().severity == "info"
    assert "No class has room now" in text_of(dev, "/classes/?show=room")


def test_a_broken_class_says_why_and_has_a_finding_a_notice_and_history(reader: Client, full: WorkloadClass) -> None:
    Node.objects.update(verdict="not_ready")
    Cluster.objects.update(changes=97)
    compliance.evaluate(timezone.now())
    page = text_of(reader, "/classes/full/")
    assert "Violated" in page
    assert "None of the 2 nodes of its pools is ready." in page
    result = FindingRow.objects.get(rule="class_none_ready")
    assert (result.subject, result.key, result.severity, result.cluster, result.node) == (
        "workload_class",
        "full",
        "critical",
        None,
        None,
    )
    notice = Notice.objects.get(kind="compliance", key="class:full")
    assert (notice.title, notice.severity, notice.recovery) == ("Class full is violated", "critical", False)
    Node.objects.update(verdict="ready")
    Cluster.objects.update(changes=96)
    compliance.evaluate(timezone.now())
    result.refresh_from_db()
    assert result.period.upper is not None
    assert Notice.objects.filter(kind="compliance", key="class:full", recovery=True).exists()


def test_the_text_of_a_finding_stays_while_the_figures_of_the_reason_move(full: WorkloadClass, operator: User) -> None:
    pools.save(operator, a_spec(availability_target=99.0), at(3))
    rows = []
    for down in (1, 2):
        Node.objects.filter(name__in=[f"n{number}" for number in range(1, down + 1)]).update(verdict="not_ready")
        Cluster.objects.update(changes=90 + down)
        compliance.evaluate(timezone.now())
        row = FindingRow.objects.get(rule="pool_availability_at_risk", period__endswith__isnull=True)
        rows.append((row.pk, row.text))
    assert rows[0] == rows[1]


def test_a_class_is_changed_by_the_form_as_a_new_version(reader: Client, full: WorkloadClass) -> None:
    page = reader.get("/classes/full/edit/")
    form = page.context["form"]
    given = {name: form[name].value() for name in form.fields}
    assert reader.post("/classes/full/edit/", given).status_code == 302
    assert ClassVersion.objects.count() == 1, "the same definition is not a new version"
    assert reader.post("/classes/full/edit/", given | {"max_replicas": "2"}).status_code == 302
    shown = text_of(reader, "/classes/full/")
    assert "2 versions" in shown
    assert "maxReplicas not set → 2" in shown
    assert "automatic up to 2 replicas per team, then by an operator" in shown


@pytest.mark.parametrize(
    ("fields", "name", "sentence"),
    [
        ({"isolation": "time-sliced"}, "gpus", "A shared class has exactly one slot"),
        ({"pools": "nowhere"}, "pools", "Pool nowhere does not exist."),
        ({"isolation": "mig"}, "profile", "names its profile"),
        ({"nodes": "3"}, "nodes", "nodes must divide"),
    ],
)
def test_a_mistake_of_the_form_stands_beside_its_field(
    reader: Client, full: WorkloadClass, fields: dict[str, str], name: str, sentence: str
) -> None:
    result = {"slug": "other", "gpus": "4", "nodes": "1", "isolation": "full", "topology": "one-node", "pools": "h100"} | fields
    answer = reader.post("/classes/new/", result)
    assert answer.status_code == 400
    value = re.search(rf'id="id_{name}_error">([^<]*)<', answer.content.decode())
    assert value is not None
    assert sentence in value[1]


def test_a_class_leaves_the_catalogue(reader: Client, full: WorkloadClass) -> None:
    assert "was removed from the catalogue" in words(reader.post("/classes/full/remove/", follow=True).content.decode())
    text_of(reader, "/classes/full/", 404)


def test_a_class_costs_the_same_whatever_the_size_of_its_pools(reader: Client, full: WorkloadClass, east: Cluster) -> None:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    def cost() -> int:
        reader.get("/classes/full/")
        with CaptureQueriesContext(connection) as captured:
            reader.get("/classes/full/")
        return len(captured)

    few = cost()
    look(east, *(a_node(f"n{number}") for number in range(1, 12)), after_s=60)
    assert cost() == few


def test_a_node_says_its_pools_over_rest_and_is_filtered_by_them(reader: Client, full: WorkloadClass, east: Cluster) -> None:
    look(east, a_node("n1"), a_node("t", labels={"nvidia.com/gpu.product": "Tesla-T4"}), after_s=60)
    rows: Any = reader.get("/api/v1/nodes/").json()["results"]
    assert {row["name"]: row["pools"] for row in rows} == {"n1": ["h100"], "t": []}
    assert [row["name"] for row in reader.get("/api/v1/nodes/?pool=none").json()["results"]] == ["t"]
    facets = reader.get("/api/v1/nodes/facets/").json()["facets"]["pool"]
    assert facets == [{"value": "h100", "count": 1}, {"value": "none", "count": 1}]
    metrics = reader.get("/metrics", headers=scraper()).content.decode()
    assert re.search(r'muster_nodes\{cluster="east",pool="h100"', metrics)
