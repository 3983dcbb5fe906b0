from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from fleet.domain.snapshot.telemetry import DeviceSample
from fleet.models import DeviceTelemetry, Node
from fleet.selectors.nodes.telemetry import curves_of
from fleet.services.recording import frames
from fleet.services.recording.nodes import plain
from tests.collectors.fake_api import Reply, Seen, serving
from tests.factories import NOON, a_cluster, a_node

pytestmark = pytest.mark.django_db
MINUTE = timedelta(minutes=1)


def a_sample(node: Node, uuid: str = "GPU-0", at: datetime = NOON, **values: float) -> DeviceSample:
    return DeviceSample(node_name=node.name, uuid=uuid, at=at, pci_bus_id=f"0000:0{uuid[-1]}:00.0", values=values)


def remember(node: Node, *samples: DeviceSample) -> None:
    for sample in samples:
        DeviceTelemetry.objects.create(node=node, uuid=sample.uuid, gi_id=sample.gi_id, at=sample.at, sample=plain(sample))


def test_curves_from_frames_with_gaps_and_no_more_than_asked() -> None:
    node, other = a_node("n1"), a_node("n2")
    for minute in range(600):
        if 100 <= minute < 200:
            continue
        at = NOON + minute * MINUTE
        values = {"gpu_util": float(minute % 100)} | ({"gpu_temp": 40.0} if minute >= 300 else {})
        frames.write({node.pk: [a_sample(node, at=at, **values)], other.pk: [a_sample(other, at=at, gpu_util=7.0)]}, at)
    curves = curves_of(node, NOON, NOON + 600 * MINUTE, ["gpu_temp", "gpu_util"], points=60)
    assert curves.source == "muster"
    temperature, load = curves.curves
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
        curves = curves_of(node, NOON, NOON + MINUTE, ["gpu_util", "fb_used"])
    assert curves.source == "prometheus"
    assert [(curve.metric.id, curve.points[0]) for curve in curves.curves] == [
        ("gpu_util", (NOON, 55.0)),
        ("fb_used", (NOON, 1024.0)),
    ]


def test_frames_stand_in_for_a_prometheus_that_does_not_answer() -> None:
    node = a_node("n1", a_cluster(prometheus_url="http://127.0.0.1:9"), known_uuids=["GPU-0"])
    frames.write({node.pk: [a_sample(node, gpu_util=5.0)]}, NOON)
    curves = curves_of(node, NOON - MINUTE, NOON.astimezone(UTC) + MINUTE, ["gpu_util"])
    assert (curves.source, curves.curves[0].points) == ("muster", [(NOON, 5.0)])
    assert "Connection refused" in curves.reason
