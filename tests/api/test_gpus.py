from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from fleet.domain.snapshot.sections import Outcome
from fleet.domain.snapshot.telemetry import DeviceSample, ExporterReport, PodRef
from fleet.models import DeviceTelemetry, Exporter, Node
from fleet.services.recording.nodes import plain
from tests.factories import a_gpu, a_mig_instance, a_node

pytestmark = pytest.mark.django_db


def measured(
    node: Node, uuid: str, gi_id: str = "", *, age_s: float = 1, exported: tuple[str, ...] = (), **values: float
) -> None:
    """A sample of a device and, for the first one, its exporter's report."""
    at = datetime.now(UTC) - timedelta(seconds=age_s)
    sample = DeviceSample(
        node_name=node.name, uuid=uuid, gi_id=gi_id, at=at, values=values, pods=(PodRef("ml", "train-0", "main"),)
    )
    DeviceTelemetry.objects.create(node=node, uuid=uuid, gi_id=gi_id, at=at, sample=plain(sample))
    report = ExporterReport(node_name=node.name, outcome=Outcome.COLLECTED, at=at, metrics=(*values, *exported))
    Exporter.objects.get_or_create(cluster=node.cluster, node_name=node.name, defaults={"at": at, "report": plain(report)})


def telemetry(answer: Any) -> list[dict[str, Any]]:
    assert answer.status_code == 200, answer.content
    return [
        row["telemetry"] | {"by_id": {item["id"]: item for item in row["telemetry"]["metrics"]}}
        for row in answer.json()["results"]
    ]


def test_a_card_with_values_units_and_why_one_is_missing(reader: Any) -> None:
    node = a_node("n1")
    a_gpu(node, 0, uuid="GPU-0")
    measured(node, "GPU-0", gpu_util=97.0, fb_used=73211.0, exported=("memory_temp",))
    (result,) = telemetry(reader.get("/api/v1/gpus/"))
    assert result["pods"] == [{"namespace": "ml", "pod": "train-0", "container": "main"}]
    assert result["at"] is not None
    assert result["by_id"]["gpu_util"] == {
        "id": "gpu_util", "unit": "%", "kind": "gauge", "value": 97.0, "why": None, "reason": None, "turn_on": None,
    }  # fmt: skip
    assert (result["by_id"]["memory_temp"]["value"], result["by_id"]["memory_temp"]["why"]) == (None, "not_reported")
    missing = result["by_id"]["ecc_dbe_volatile"]
    assert (missing["value"], missing["why"]) == (None, "not_enabled")
    assert missing["turn_on"] == "DCGM_FI_DEV_ECC_DBE_VOL_TOTAL, counter, Total number of double-bit volatile ECC errors."


def test_gpus_without_measurements(reader: Any) -> None:
    a_gpu(a_node("n1"), 0)
    (result,) = telemetry(reader.get("/api/v1/gpus/"))
    assert result["at"] is None
    assert {item["why"] for item in result["metrics"]} == {"not_collected"}
    assert {entry["value"] for entry in result["metrics"]} == {None}


def test_an_old_value_is_no_value(reader: Any) -> None:
    node = a_node("n1")
    a_gpu(node, 0, uuid="GPU-0")
    measured(node, "GPU-0", age_s=3600, gpu_util=97.0)
    (result,) = telemetry(reader.get("/api/v1/gpus/"))
    assert (result["by_id"]["gpu_util"]["value"], result["by_id"]["gpu_util"]["why"]) == (None, "stale")


def test_a_failed_exporter_is_reported(reader: Any) -> None:
    node = a_node("n1")
    a_gpu(node, 0, uuid="GPU-0")
    report = ExporterReport(node_name="n1", outcome=Outcome.TIMEOUT, reason="Too slow.")
    Exporter.objects.create(cluster=node.cluster, node_name="n1", report=plain(report))
    (result,) = telemetry(reader.get("/api/v1/gpus/"))
    assert {(item["why"], item["reason"]) for item in result["metrics"]} == {("exporter_failed", "Too slow.")}


def test_a_card_in_mig_mode_shows_what_holds_of_the_whole_card(reader: Any) -> None:
    node = a_node("n1")
    a_gpu(node, 0, uuid="GPU-0")
    a_mig_instance(node, 0, gpu_uuid="GPU-0", gi_id="7")
    a_mig_instance(node, 1, gpu_uuid="GPU-0", gi_id="8")
    measured(node, "GPU-0", "7", gpu_temp=38.0, fb_used=3120.0)
    measured(node, "GPU-0", "8", gpu_temp=38.0, fb_used=25.0)
    (card,) = telemetry(reader.get("/api/v1/gpus/"))
    assert card["by_id"]["gpu_temp"]["value"] == 38.0
    assert "fb_used" not in card["by_id"], "an instance's memory is not the card's"
    instances = telemetry(reader.get("/api/v1/mig-instances/"))
    assert [instance["by_id"]["fb_used"]["value"] for instance in instances] == [3120.0, 25.0]


def test_a_page_costs_the_same_however_many_rows(reader: Any, django_assert_max_num_queries: Any) -> None:
    for number in range(30):
        node = a_node(f"n{number}")
        a_gpu(node, 0, uuid=f"GPU-{number}")
        measured(node, f"GPU-{number}", gpu_util=1.0)
    with django_assert_max_num_queries(4):
        assert len(telemetry(reader.get("/api/v1/gpus/"))) == 30
    assert reader.get("/api/v1/gpus/?format=csv").status_code == 200
