"""what-if/kept/: a forecast is kept, and compared with what the cluster became."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils import timezone
from msgspec.structs import replace

from fleet.domain.snapshot import Taint
from fleet.models import Cluster, KeptForecast
from tests.api.test_explain import SIZES, record
from tests.services.snapshots import a_node

pytestmark = pytest.mark.django_db
URL = "/api/v1/what-if/kept/"
CORDON = {"cluster": "east", "title": "Rack 7 out", "changes": [{"kind": "cordon", "nodes": ["n1"]}]}


@pytest.fixture
def east() -> Cluster:
    cluster = Cluster.objects.create(name="east")
    record(cluster, a_node("n1", allocatable=SIZES), a_node("n2", allocatable=SIZES))
    Cluster.objects.update(read_at=timezone.now())
    return cluster


def keep(client: Any, status: int = 201, **changes: Any) -> dict[str, Any]:
    answer = client.post(URL, {**CORDON, **changes}, content_type="application/json")
    assert answer.status_code == status, answer.content
    result: dict[str, Any] = answer.json()
    return result


def test_a_kept_forecast_is_compared_with_what_the_cluster_became(reader: Any, east: Cluster) -> None:
    kept = keep(reader)
    assert (kept["title"], kept["counts"], kept["text"]) == ("Rack 7 out", {"not_applied": 1}, "The node is not changed (yet).")
    taint = Taint("node.kubernetes.io/unschedulable", "", "NoSchedule")
    cordoned = replace(a_node("n1", allocatable=SIZES), unschedulable=True, taints=(taint,))
    record(east, cordoned, a_node("n2", allocatable=SIZES), after_s=60)
    (row,) = reader.get(URL).json()["results"]
    assert (row["id"], row["counts"]) == (kept["id"], {"as_forecast": 1})
    assert reader.get(f"{URL}{kept['id']}/").json() == row
    record(east, a_node("n2", allocatable=SIZES), after_s=120)
    assert reader.get(f"{URL}{kept['id']}/").json()["counts"] == {"removed": 1}
    assert reader.delete(f"{URL}{kept['id']}/").status_code == 204
    assert not KeptForecast.objects.exists()


def test_what_cannot_be_kept_is_refused_with_its_field(reader: Any, east: Cluster) -> None:
    assert "title" in keep(reader, 400, title=" ")["errors"]
    assert "cluster" in keep(reader, 400, cluster="west")["errors"]
    assert keep(reader, 400, changes=[{"kind": "explode"}])["errors"]
    assert not KeptForecast.objects.exists()


def test_the_page_lists_what_was_kept(reader: Any, east: Cluster) -> None:
    keep(reader)
    page = reader.get("/what-if/").content.decode()
    assert "Rack 7 out" in page
    assert "The node is not changed (yet)." in page
