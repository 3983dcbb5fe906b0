from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from fleet.domain.outcomes import Outcome
from fleet.domain.snapshot import DeviceAllocation
from fleet.domain.telemetry import DeviceSample, ExporterReport
from fleet.models import DeviceTelemetry, Exporter, Node
from fleet.selectors.telemetry import curves_of, devices_of
from fleet.services.recording import frames
from fleet.services.recording.nodes import plain
from tests.builders import make_pod
from tests.collectors.fake_api import Reply, Seen, serving
from tests.factories import NOON, a_cluster, a_node, a_pod

pytestmark = pytest.mark.django_db
MINUTE = timedelta(minutes=1)


def a_sample(node: Node, uuid: str = "GPU-0", at: datetime = NOON, **values: float) -> DeviceSample:
    return DeviceSample(node_name=node.name, uuid=uuid, at=at, pci_bus_id=f"0000:0{uuid[-1]}:00.0", values=values)


def remember(node: Node, *samples: DeviceSample) -> None:
    for one in samples:
        DeviceTelemetry.objects.create(node=node, uuid=one.uuid, gi_id=one.gi_id, at=one.at, sample=plain(one))


def test_devices_with_values_reasons_and_holders() -> None:
    node = a_node("n1")
    remember(node, a_sample(node, "GPU-1", gpu_util=10.0), a_sample(node, "GPU-0", gpu_util=90.0))
    report = ExporterReport(node_name="n1", outcome=Outcome.COLLECTED, at=NOON, metrics=("gpu_util",))
    Exporter.objects.create(cluster=node.cluster, node_name="n1", at=NOON, report=plain(report))
    holding = make_pod("train-0", devices=(DeviceAllocation(resource="nvidia.com/gpu", device_id="GPU-0"),))
    a_pod(node, "train-0", snapshot=plain(holding))
    first, second = devices_of(node, NOON + MINUTE, ["gpu_util", "ecc_dbe_volatile"])
    assert (first.uuid, first.value("gpu_util"), first.value("ecc_dbe_volatile")) == ("GPU-0", 90.0, None)
    assert [one.why for one in first.measurements] == ["", "not_enabled"]
    assert [(one.pod, one.source) for one in first.holders] == [("train-0", "kubelet")]
    assert second.holders == ()


def test_devices_cost_three_queries_however_many(django_assert_num_queries: Any) -> None:
    node = a_node("n1")
    remember(node, *(a_sample(node, f"GPU-{number}", gpu_util=1.0) for number in range(8)))
    with django_assert_num_queries(3):
        assert len(devices_of(node, NOON)) == 8


def test_curves_from_frames_with_gaps_and_no_more_than_asked() -> None:
    node, other = a_node("n1"), a_node("n2")
    for minute in range(600):
        if 100 <= minute < 200:
            continue
        at = NOON + minute * MINUTE
        values = {"gpu_util": float(minute % 100)} | ({"gpu_temp": 40.0} if minute >= 300 else {})
        frames.write({node.pk: [a_sample(node, at=at, **values)], other.pk: [a_sample(other, at=at, gpu_util=7.0)]}, at)
    found = curves_of(node, NOON, NOON + 600 * MINUTE, ["gpu_temp", "gpu_util"], points=60)
    assert found.source == "muster"
    temperature, load = found.curves
    assert (temperature.metric.id, load.metric.id, load.key) == ("gpu_temp", "gpu_util", "GPU-0")
    assert 45 <= len(load.points) <= 60
    moments = [at for at, _ in load.points]
    assert moments == sorted(moments)
    assert not [at for at in moments if NOON + 100 * MINUTE <= at < NOON + 200 * MINUTE], "a gap is a gap"
    assert min(at for at, _ in temperature.points) >= NOON + 300 * MINUTE
    short = curves_of(node, NOON, NOON + 10 * MINUTE, ["gpu_util"])
    assert [value for _, value in short.curves[0].points] == [float(minute) for minute in range(11)]


def test_curves_from_prometheus_where_one_is_configured() -> None:
    def answer(seen: Seen) -> Reply:
        name = "DCGM_FI_DEV_FB_USED_BYTES" if b"FB_USED" in seen.body else "DCGM_FI_DEV_GPU_UTIL"
        value = str(2**30) if "BYTES" in name else "55"
        metric = {"__name__": name, "UUID": "GPU-0"}
        moments = [[NOON.timestamp() + second, value] for second in (0, 30)]
        return Reply({"status": "success", "data": {"resultType": "matrix", "result": [{"metric": metric, "values": moments}]}})

    with serving({"/api/v1/query_range": answer}) as api:
        node = a_node("n1", a_cluster(prometheus_url=api.url), known_uuids=["GPU-0"])
        found = curves_of(node, NOON, NOON + MINUTE, ["gpu_util", "fb_used"])
    assert found.source == "prometheus"
    assert [(one.metric.id, one.points[0]) for one in found.curves] == [("gpu_util", (NOON, 55.0)), ("fb_used", (NOON, 1024.0))]


def test_frames_stand_in_for_a_prometheus_that_does_not_answer() -> None:
    node = a_node("n1", a_cluster(prometheus_url="http://127.0.0.1:9"), known_uuids=["GPU-0"])
    frames.write({node.pk: [a_sample(node, gpu_util=5.0)]}, NOON)
    found = curves_of(node, NOON - MINUTE, NOON.astimezone(UTC) + MINUTE, ["gpu_util"])
    assert (found.source, found.curves[0].points) == ("muster", [(NOON, 5.0)])
    assert "refuses connections" in found.reason
