"""Pools and workload classes over REST: read, applied from YAML, exported, with room and manifests."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from django.utils import timezone
from rest_framework.test import APIClient

from fleet.models import AuditEntry, Cluster, Node, Pool, Role, User, WorkloadClass
from fleet.services import compliance
from tests.factories import a_user
from tests.services.snapshots import a_node
from tests.services.test_pools import at, look

pytestmark = pytest.mark.django_db
STREAM = """\
apiVersion: muster/v1
kind: Pool
metadata: {name: h100}
spec:
  title: H100, production
  selector: {products: [NVIDIA-H100-80GB-HBM3]}
  policy: {purpose: online inference, availabilityTarget: 99, modes: [full]}
---
apiVersion: muster/v1
kind: WorkloadClass
metadata: {name: full-h100}
spec: {title: Full H100, gpus: 4, sizes: [1, 8], pools: [h100], maxReplicas: 2}
"""
YAML = "application/yaml"


def client_of(user: User) -> APIClient:
    client = APIClient()
    client.force_authenticate(user)
    return client


@pytest.fixture
def otto() -> APIClient:
    return client_of(a_user("otto", Role.OPERATOR))


@pytest.fixture
def east() -> Cluster:
    cluster = Cluster.objects.create(name="east")
    look(cluster, a_node("n1"), a_node("n2"))
    Node.objects.update(verdict="ready")
    Cluster.objects.update(read_at=timezone.now())
    return cluster


def apply(client: APIClient, text: str = STREAM, query: str = "") -> Any:
    return client.post(f"/api/v1/pools/apply/{query}", text, content_type=YAML)


def test_a_stream_is_applied_once_and_exported_as_it_was(otto: APIClient, east: Cluster) -> None:
    made = apply(otto, query="?source=gitops")
    assert made.status_code == 200, made.content
    assert [(item["kind"], item["action"]) for item in made.json()["changes"]] == [
        ("Pool", "create"),
        ("WorkloadClass", "create"),
    ]
    exported = otto.get("/api/v1/pools/export/").content.decode()
    assert AuditEntry.objects.filter(action="export.yaml").count() == 1
    again = apply(otto, exported, "?source=gitops&prune=true").json()
    assert {entry["action"] for entry in again["changes"]} == {"unchanged"}
    assert AuditEntry.objects.filter(action__in=("pool.save", "class.save")).count() == 2


def test_a_dry_run_changes_nothing(otto: APIClient) -> None:
    result = apply(otto, query="?dry_run=true").json()
    assert (result["dry_run"], len(result["changes"])) == (True, 2)
    assert not Pool.objects.exists()
    assert not WorkloadClass.objects.exists()


def test_a_mistake_has_its_line_and_nothing_is_applied(otto: APIClient) -> None:
    answer = apply(otto, STREAM.replace("gpus: 4", "gpus: many"))
    assert answer.status_code == 400
    (mistake,) = answer.json()["problems"]
    assert (mistake["line"], mistake["field"].rpartition(".")[2]) == (12, "gpus")
    assert not Pool.objects.exists()


def test_what_the_source_leaves_out_is_removed_and_nothing_else(otto: APIClient) -> None:
    apply(otto, query="?source=gitops")
    apply(otto, STREAM.split("---")[0].replace("name: h100", "name: other"), "?source=elsewhere")
    result = apply(otto, STREAM.split("---")[0], "?source=gitops&prune=true").json()
    assert [(item["name"], item["action"]) for item in result["changes"]] == [("h100", "unchanged"), ("full-h100", "remove")]
    assert sorted(Pool.objects.filter(removed_at=None).values_list("slug", flat=True)) == ["h100", "other"]


@pytest.mark.parametrize("empty", ["", "null", "---\n", "# nothing\n"])
@pytest.mark.parametrize("query", ["?source=gitops&prune=true", "?source=gitops", ""])
def test_an_empty_stream_removes_nothing(otto: APIClient, empty: str, query: str) -> None:
    apply(otto, query="?source=gitops")
    assert apply(otto, empty, query).status_code == 400
    assert set(Pool.objects.filter(removed_at=None).values_list("slug", flat=True)) == {"h100"}


def test_pruning_needs_a_named_source(otto: APIClient) -> None:
    apply(otto)
    answer = apply(otto, STREAM.split("---")[0].replace("name: h100", "name: other"), "?prune=true")
    assert (answer.status_code, list(answer.json()["errors"])) == (400, ["source"])
    assert set(Pool.objects.filter(removed_at=None).values_list("slug", flat=True)) == {"h100"}


def test_what_a_file_declares_is_not_removed_manually(otto: APIClient) -> None:
    apply(otto, query="?source=gitops")
    for url in ("/api/v1/pools/h100/", "/api/v1/workload-classes/full-h100/"):
        answer = otto.delete(url)
        assert (answer.status_code, "gitops" in answer.json()["detail"]) == (409, True)


@pytest.mark.parametrize(
    ("role", "expected"), [(Role.VIEWER, 403), (Role.DEVELOPER, 403), (Role.OPERATOR, 200), (Role.ADMIN, 200)]
)
def test_operators_apply_and_every_role_reads(role: Role, expected: int, otto: APIClient) -> None:
    client = client_of(a_user("ada", role))
    assert apply(client).status_code == expected
    apply(otto)
    for url in ("pools/", "pools/h100/", "workload-classes/", "workload-classes/full-h100/", "pools/export/"):
        assert client.get(f"/api/v1/{url}").status_code == 200, url
    assert client.delete("/api/v1/pools/h100/").status_code in ((403,) if expected == 403 else (204, 409))


def test_a_pool_shows_its_members_compliance_and_availability(otto: APIClient, east: Cluster) -> None:
    apply(otto)
    compliance.evaluate(at(5))
    row = otto.get("/api/v1/pools/h100/").json()
    assert row["nodes"] == {"total": 2, "by_verdict": {"ready": 2}}
    assert row["gpus"]["physical"] == 16
    assert row["slots"]["free"] == 16
    assert row["compliance"] == {"state": "met", "since": row["compliance"]["since"], "violations": []}
    assert [item["state"] for item in otto.get("/api/v1/pools/h100/history/").json()["results"]] == ["met"]


def test_room_is_counted_now_for_each_size(otto: APIClient, east: Cluster) -> None:
    apply(otto)
    room = {gpus: otto.get(f"/api/v1/workload-classes/full-h100/headroom/?gpus={gpus}").json()["replicas"] for gpus in (1, 4, 8)}
    assert room == {1: 16, 4: 4, 8: 2}
    Node.objects.filter(name="n2").update(verdict="not_ready", verdict_reason="GPU 5 fell off the bus.")
    Cluster.objects.update(changes=99)
    result = otto.get("/api/v1/workload-classes/full-h100/headroom/").json()
    assert (result["replicas"], result["replicas_once_repaired"]) == (2, 4)
    (excluded,) = result["pools"][0]["excluded"]
    assert excluded["nodes"] == [{"cluster": "east", "name": "n2"}]
    assert otto.get("/api/v1/workload-classes/full-h100/headroom/?gpus=3").status_code == 400


def test_a_manifest_is_yaml_that_asks_for_what_the_pool_offers(otto: APIClient, east: Cluster) -> None:
    apply(otto)
    answer = otto.get("/api/v1/workload-classes/full-h100/manifest/?kind=deployment&name=llama&namespace=ml&replicas=2")
    assert answer["Content-Type"].startswith(YAML)
    (made,) = yaml.safe_load_all(answer.content)
    container = made["spec"]["template"]["spec"]["containers"][0]
    assert container["resources"]["limits"] == {"nvidia.com/gpu": "4"}
    result = otto.get("/api/v1/workload-classes/full-h100/manifest/?kind=pod&format=json").json()
    assert result[0]["kind"] == "Pod"
    for wrong, field in (("kind=none", "kind"), ("name=No", "name"), ("replicas=x", "replicas"), ("kind=dra", "kind")):
        answer = otto.get(f"/api/v1/workload-classes/full-h100/manifest/?{wrong}")
        assert (answer.status_code, list(answer.json()["errors"])) == (400, [field]), wrong
