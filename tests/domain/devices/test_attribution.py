from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from msgspec import structs

from fleet.domain.devices.attribution import holders, is_computing, unclaimed
from fleet.domain.snapshot import DeviceAllocation
from fleet.domain.snapshot.telemetry import DeviceSample, PodRef
from tests.builders import make_pod

AT = datetime(2026, 11, 23, 12, tzinfo=UTC)


def sample(uuid: str = "GPU-0", **fields: Any) -> DeviceSample:
    return structs.replace(DeviceSample(node_name="n", uuid=uuid, at=AT, values={"gpu_util": 90.0}), **fields)


def held(name: str, device_id: str, **fields: Any) -> Any:
    return make_pod(name, devices=(DeviceAllocation(resource="nvidia.com/gpu", device_id=device_id),), **fields)


def ref(pod: Any) -> PodRef:
    return PodRef(pod.namespace, pod.name, "main")


def test_the_kubelet_goes_before_the_exporter() -> None:
    pod = held("a", "GPU-0")
    (holder,) = holders(sample(pods=(ref(pod),)), [pod])
    assert (holder.pod, holder.source) == ("a", "kubelet")


def test_shares_are_held_by_all_who_have_one() -> None:
    pods = [held("a", "GPU-0::0"), held("b", "GPU-0::3"), held("c", "GPU-1::0")]
    assert [holder.pod for holder in holders(sample(), pods)] == ["a", "b"]


def test_a_pod_that_is_over_holds_nothing_whatever_the_exporter_says() -> None:
    over = make_pod("old", phase="Succeeded")
    assert holders(sample(pods=(ref(over),)), [over]) == ()
    assert holders(sample(pods=(PodRef("ns", "gone"),)), []) == ()


def test_without_the_pods_the_exporters_word_is_all_there_is() -> None:
    assert [holder.source for holder in holders(sample(pods=(PodRef("ns", "a"),)), None)] == ["exporter"]


def test_no_load_measured_is_not_idle() -> None:
    assert is_computing(sample(values={})) is None
    assert is_computing(sample(values={"gpu_util": 0.0})) is False
    assert is_computing(sample(values={"gr_engine_active": 0.5})) is True


def test_in_use_without_a_request() -> None:
    assert unclaimed([sample()], []) == [sample()]
    idle = sample(values={"gpu_util": 0.0})
    assert unclaimed([idle], []) == []
    claimed = make_pod("a", gpus=1)
    assert unclaimed([sample()], [claimed]) == [], "one is held, and no source names which"
    named = sample("GPU-1", pods=(ref(claimed),))
    assert unclaimed([sample(), named], [claimed]) == [sample()]
