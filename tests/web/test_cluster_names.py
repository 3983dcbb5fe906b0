"""A cluster is named by its context, and contexts hold slashes: every address that has the name in its path still works."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from html import unescape
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from django.urls import resolve, reverse

from fleet.models import Cluster, Node, Notice
from fleet.services.notifications.messages import link
from tests.factories import a_cluster, a_finding_saying, a_node, a_pod, a_run, a_verdict_period

pytestmark = pytest.mark.django_db
ARN = "arn:aws:eks:us-east-1:123456789012:cluster/prod"
IN_PATH = "arn:aws:eks:us-east-1:123456789012:cluster~1prod"
NAMES = [ARN, "default/api-crc-testing:6443/kube:admin", "a~b", "~1/~0", "ä b%2F?#"]


@pytest.fixture
def prod(db: None) -> Cluster:
    cluster = a_cluster(ARN, node_count=1)
    node = a_node("n1", cluster, verdict="not_ready", broken_rung="driver_loaded", usable=0)
    a_pod(node)
    a_run(cluster)
    now = datetime.now(UTC)
    a_verdict_period(node, now, None, "not_ready", broken_rung="driver_loaded")
    a_finding_saying(node, "The driver pod is not ready.", now)
    return cluster


@pytest.mark.parametrize("name", NAMES)
def test_an_address_leads_back_to_the_name(name: str) -> None:
    path = reverse("node", args=[name, "n1"])
    assert path.count("/") == 4
    assert resolve(unquote(path)).kwargs == {"cluster": name, "name": "n1"}
    assert resolve(unquote(reverse("api-clusters-detail", args=[name]))).kwargs == {"name": name}


@pytest.mark.parametrize("path", ["/", "/?by=product", "/clusters/", "/nodes/", "/findings/", "/history/", "/audit/"])
def test_pages_that_name_the_cluster_link_to_it(reader: Any, prod: Cluster, path: str) -> None:
    answer = reader.get(path)
    assert answer.status_code == 200
    page = unescape(answer.content.decode())
    for address in re.findall(r'href="(/(?:nodes|clusters)/[^"?]+)', page):
        assert reader.get(address).status_code == 200, address
    if path not in ("/history/", "/audit/"):
        assert f"/{IN_PATH}/" in page


@pytest.mark.parametrize("path", [f"/clusters/{IN_PATH}/", f"/nodes/{IN_PATH}/n1/"])
def test_its_own_pages_stand(reader: Any, prod: Cluster, path: str) -> None:
    answer = reader.get(path)
    assert answer.status_code == 200
    page = unescape(answer.content.decode())
    assert ARN in page
    assert f"/{ARN}" not in page, "an address with the name as it is"


def test_it_is_decided_about_on_pages(reader: Any, prod: Cluster) -> None:
    granted = reader.post(f"/clusters/{IN_PATH}/waivers/", {"rung": "telemetry_healthy", "reason": "No exporter."})
    assert (granted.status_code, granted["Location"]) == (302, f"/clusters/{IN_PATH}/")
    assert prod.waivers.count() == 1
    begun = reader.post(f"/nodes/{IN_PATH}/n1/maintenance/", {"reason": "A new card."})
    assert (begun.status_code, begun["Location"]) == (302, f"/nodes/{IN_PATH}/n1/")
    assert reader.post(f"/nodes/{IN_PATH}/n1/expected-gpus/", {"count": "8", "reason": "A DGX."}).status_code == 302


@pytest.mark.parametrize(
    "path",
    [
        f"clusters/{IN_PATH}/",
        f"clusters/{IN_PATH}/waivers/",
        *(f"nodes/{IN_PATH}/n1/{part}" for part in ("", "history/", "revisions/", "pods/", "diff/?from=2026-11-23T12:00:00Z")),
    ],
)
def test_the_api_has_it(reader: Any, prod: Cluster, path: str) -> None:
    answer = reader.get(f"/api/v1/{path}")
    assert answer.status_code == 200, answer.content
    assert ARN in json.dumps(answer.json()) or "results" in answer.json()


def test_the_api_decides_about_it(reader: Any, prod: Cluster) -> None:
    fields = {"rung": "telemetry_healthy", "reason": "No exporter."}
    assert reader.post(f"/api/v1/clusters/{IN_PATH}/waivers/", fields, "application/json").status_code == 201
    assert reader.delete(f"/api/v1/clusters/{IN_PATH}/waivers/telemetry_healthy/").status_code == 204
    fields = {"count": 8, "reason": "A DGX."}
    assert reader.post(f"/api/v1/nodes/{IN_PATH}/n1/expected-gpus/", fields, "application/json").status_code == 201
    assert reader.post(f"/api/v1/nodes/{IN_PATH}/n1/maintenance/", {"reason": "x"}, "application/json").status_code == 201


def test_a_query_holds_the_name_as_it_is(reader: Any, prod: Cluster) -> None:
    a_node("n2", a_cluster("east"))
    rows = reader.get("/api/v1/nodes/", {"cluster": ARN}).json()["results"]
    assert [row["cluster"] for row in rows] == [ARN]


def test_a_message_links_to_it(prod: Cluster, settings: Any) -> None:
    settings.PUBLIC_URL = "https://muster.example.com"
    node = Node.objects.get(name="n1")
    assert urlsplit(link(Notice(cluster=prod, node=node, detail={}))).path == f"/nodes/{IN_PATH}/n1/"
    assert link(Notice(cluster=prod, detail={})) == f"https://muster.example.com/clusters/{IN_PATH}/"
