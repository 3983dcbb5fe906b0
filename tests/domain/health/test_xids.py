from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from fleet.domain.evaluation.subject import ClusterHistory, NodeHistory, XidBurst
from fleet.domain.health.xids import last_code, watch
from fleet.domain.snapshot import ClusterSnapshot, Condition, DeviceAllocation, PodSnapshot
from fleet.domain.snapshot.sections import Outcome
from fleet.domain.snapshot.telemetry import DeviceSample, ExporterReport, PodRef, Telemetry
from tests.builders import NODE, make_node, make_pod
from tests.domain.health.subjects import NOW, burst, report, sample, uuid_of


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def look(
    *samples: DeviceSample,
    seconds: float = 0,
    conditions: Sequence[Condition] = (),
    pods: Sequence[PodSnapshot] = (),
    exporters: Sequence[ExporterReport] | None = None,
    names: Sequence[str] = (NODE,),
) -> ClusterSnapshot:
    nodes = tuple(make_node(name, conditions=tuple(conditions)) for name in names)
    result = tuple(report(name) for name in names) if exporters is None else tuple(exporters)
    return ClusterSnapshot(
        name="east",
        taken_at=at(seconds),
        nodes=nodes,
        pods=tuple(pods),
        telemetry=Telemetry(samples=samples, exporters=result),
    )


def reports(code: float | None, seconds: float = 0, *, index: int = 0, node: str = NODE, **fields: Any) -> DeviceSample:
    result = sample(index, node=node, xid=code)
    return structs.replace(result, at=at(seconds), **fields)


def remembering(*samples: DeviceSample, bursts: Sequence[XidBurst] = (), node: str = NODE) -> ClusterHistory:
    return ClusterHistory(nodes={f"uid-{node}": NodeHistory(samples=samples, bursts=tuple(bursts))})


def seen(history: ClusterHistory, node: str = NODE) -> list[tuple[int, int, str]]:
    return [(burst.code, burst.count, burst.source) for burst in history.of(f"uid-{node}").bursts]


def test_a_change_of_the_gauge_is_an_event() -> None:
    result = watch(look(reports(79)), remembering(reports(0, -60)))
    assert seen(result) == [(79, 1, "gauge")]
    burst = result.of(f"uid-{NODE}").bursts[0]
    assert (burst.uuid, burst.started_at, burst.last_at) == (uuid_of(), NOW, NOW)


def test_another_code_is_an_event() -> None:
    assert seen(watch(look(reports(48)), remembering(reports(63, -60)))) == [(48, 1, "gauge")]


@pytest.mark.parametrize(
    ("now", "before"),
    [
        (reports(79), ()),  # the first sight of this card: it may be weeks old
        (reports(79), (reports(None, -60),)),  # the metric was not exported before
        (reports(79), (reports(79, -60),)),  # it sticks
        (reports(0), (reports(79, -60),)),  # the exporter restarted
        (reports(None), (reports(79, -60),)),  # the metric went away
        (reports(79), (reports(0, 0),)),  # the same scrape
        (reports(79), (reports(0, 60),)),  # an older look that ends late
        (reports(79, -3600), (reports(0, -60),)),  # a sample older than what is remembered
        (reports(79), (reports(0, -60, index=1),)),  # another GPU reported 0
        (reports(9.2e18), (reports(0, -60),)),  # a blank value of an old exporter
        (reports(float("nan")), (reports(0, -60),)),
    ],
)
def test_no_event(now: DeviceSample, before: tuple[DeviceSample, ...]) -> None:
    assert seen(watch(look(now), remembering(*before))) == []


def test_a_card_that_vanished_and_came_back_with_its_old_code_has_no_news() -> None:
    assert seen(watch(look(reports(43)), remembering(reports(43, -7200)))) == []


def test_a_card_that_moved_to_another_node_has_no_news_there() -> None:
    moved = structs.replace(reports(79), node_name="other")
    history = remembering(reports(0, -60))
    result = watch(look(moved, names=(NODE, "other")), history)
    assert seen(result, "other") == seen(result) == []


def test_a_failed_exporter_adds_no_xid_even_where_its_last_known_sample_looks_new() -> None:
    failed = report(outcome=Outcome.TIMEOUT, reason="It did not answer.")
    assert seen(watch(look(reports(79), exporters=[failed]), remembering(reports(0, -60)))) == []
    # another exporter of the same node answered
    both = [failed, report(pod="second")]
    assert seen(watch(look(reports(79), exporters=both), remembering(reports(0, -60)))) == [(79, 1, "gauge")]


def test_the_same_code_twice_shows_in_the_counter_only() -> None:
    first, second = reports(43, -60, xid_counts={"43": 1}), reports(43, 0, xid_counts={"43": 3})
    assert seen(watch(look(second), remembering(first))) == [(43, 2, "counter")]


def test_a_counter_that_falls_is_a_window_that_moves_on() -> None:
    assert seen(watch(look(reports(43, 0, xid_counts={"43": 1})), remembering(reports(43, -60, xid_counts={"43": 5})))) == []


def test_gauge_and_counter_of_one_look_are_one_event() -> None:
    result = watch(look(reports(43, 0, xid_counts={"43": 1})), remembering(reports(0, -60)))
    assert seen(result) == [(43, 1, "counter")]


def test_a_counter_that_lags_behind_the_gauge_does_not_count_twice() -> None:
    first = watch(look(reports(43)), remembering(reports(0, -60)))
    then = look(reports(43, 60, xid_counts={"43": 3}), seconds=60)
    result = watch(then, remembering(reports(43, 0), bursts=first.of(f"uid-{NODE}").bursts))
    assert seen(result) == [(43, 3, "counter")]


def test_the_counter_has_codes_that_the_gauge_lost() -> None:
    now = reports(45, 0, xid_counts={"13": 1, "45": 1})
    assert seen(watch(look(now), remembering(reports(0, -60)))) == [(13, 1, "counter"), (45, 1, "counter")]


def test_three_minutes_of_quiet_end_a_burst() -> None:
    earlier = burst(13, ago_s=170)
    within = watch(look(reports(13)), remembering(reports(0, -60), bursts=[earlier]))
    assert seen(within) == [(13, 2, "gauge")]
    later = watch(look(reports(13)), remembering(reports(0, -60), bursts=[burst(13, ago_s=181)]))
    assert seen(later) == [(13, 1, "gauge"), (13, 1, "gauge")]


def test_mig_instances_of_one_card_tell_one_event() -> None:
    before = [reports(0, -60, gi_id=gi) for gi in ("1", "2")]
    now = [reports(43, gi_id=gi) for gi in ("1", "2")]
    assert seen(watch(look(*now), remembering(*before))) == [(43, 1, "gauge")]


def test_a_repartitioned_gpu_is_compared_with_itself() -> None:
    assert seen(watch(look(reports(43, gi_id="7")), remembering(reports(43, -60)))) == []
    assert seen(watch(look(reports(48, gi_id="7")), remembering(reports(43, -60)))) == [(48, 1, "gauge")]


def test_the_pods_and_their_job_are_the_exporters_word() -> None:
    pod = make_pod("train-3", owner_kind="Job", owner_name="train")
    now = reports(13, pods=(PodRef(namespace="team-a", pod="train-3"),))
    burst = watch(look(now, pods=[pod]), remembering(reports(0, -60))).of(f"uid-{NODE}").bursts[0]
    assert (burst.pods, burst.job) == (("team-a/train-3",), "Job/team-a/train")


def test_a_pod_that_is_gone_from_the_device_was_there_a_look_ago() -> None:
    pod = make_pod("train-3", owner_kind="Job", owner_name="train", phase="Failed")
    before = reports(0, -60, pods=(PodRef(namespace="team-a", pod="train-3"),))
    burst = watch(look(reports(13), pods=[pod]), remembering(before)).of(f"uid-{NODE}").bursts[0]
    assert burst.job == "Job/team-a/train"


def test_the_kubelets_allocation_names_the_pod() -> None:
    held = (DeviceAllocation(resource="nvidia.com/gpu", device_id=uuid_of()),)
    pod = make_pod(
        "a", owner_kind="StatefulSet", owner_name="llm", devices=held, labels={"leaderworkerset.sigs.k8s.io/name": "big"}
    )
    burst = watch(look(reports(13), pods=[pod]), remembering(reports(0, -60))).of(f"uid-{NODE}").bursts[0]
    assert burst.job == "LeaderWorkerSet/team-a/big"


def test_who_holds_every_slot_is_on_every_card() -> None:
    pods = [make_pod(f"train-{n}", gpus=4, owner_kind="Job", owner_name="train") for n in range(2)]
    burst = watch(look(reports(13), pods=pods), remembering(reports(0, -60))).of(f"uid-{NODE}").bursts[0]
    assert burst.job == "Job/team-a/train"
    half = watch(look(reports(13), pods=pods[:1]), remembering(reports(0, -60))).of(f"uid-{NODE}").bursts[0]
    assert (half.job, half.pods) == ("", ())


def test_several_jobs_on_one_card_are_no_job() -> None:
    refs = tuple(PodRef(namespace="team-a", pod=name) for name in ("a", "b"))
    pods = [make_pod("a"), make_pod("b")]
    burst = watch(look(reports(13, pods=refs), pods=pods), remembering(reports(0, -60))).of(f"uid-{NODE}").bursts[0]
    assert (burst.pods, burst.job) == (("team-a/a", "team-a/b"), "")


EKS = "AcceleratedHardwareReady"


def turned(type: str, status: str, ago_s: float = 30, **fields: str) -> Condition:
    return Condition(type=type, status=status, last_transition_at=at(-ago_s), **fields)


@pytest.mark.parametrize(
    "condition",
    [
        turned(EKS, "False", reason="NvidiaXID79Error"),
        turned("SysLogsXIDError", "True", message="ErrorCode:79 gpu:0 XID error occured Recommended Action=RESTART_BM;"),
        turned("XIDErrors", "True", message="NVRM: Xid (PCI:0000:18:00): 79, pid='<unknown>', GPU has fallen off the bus."),
    ],
)
def test_a_condition_that_turned_bad_is_an_event(condition: Condition) -> None:
    result = watch(look(conditions=[condition]), ClusterHistory())
    assert seen(result) == [(79, 1, "condition")]
    assert result.of(f"uid-{NODE}").bursts[0].started_at == at(-30)


@pytest.mark.parametrize(
    "condition",
    [
        turned(EKS, "True", reason="NvidiaXID79Error"),  # good, whatever the reason still says
        turned(EKS, "False", ago_s=4 * 3600, reason="NvidiaXID79Error"),  # old
        turned(EKS, "False", ago_s=-60, reason="NvidiaXID79Error"),  # from the future
        turned("SysLogsSXIDError", "True", message="ErrorCode:12028"),  # another number space
        turned(EKS, "Unknown", reason="NvidiaXID79Error"),
        Condition(type=EKS, status="False", reason="NvidiaXID79Error"),
        turned("MyOwn", "True", message="Xid 79"),
    ],
)
def test_a_condition_that_is_no_event(condition: Condition) -> None:
    assert seen(watch(look(conditions=[condition]), ClusterHistory())) == []


def test_a_condition_names_the_card_by_its_place_on_the_bus() -> None:
    condition = turned("SysLogsXIDError", "True", message="ErrorCode:79 PCI:0000:18:00 GPU has fallen off the bus")
    result = watch(look(reports(0), conditions=[condition]), ClusterHistory())
    assert result.of(f"uid-{NODE}").bursts[0].uuid == uuid_of()


def test_an_xid_of_the_gauge_is_not_counted_again_from_a_condition() -> None:
    condition = turned(EKS, "False", reason="NvidiaXID79Error")
    result = watch(look(reports(79, -40), conditions=[condition]), remembering(reports(0, -100)))
    assert seen(result) == [(79, 1, "gauge")]


def test_a_gauge_without_a_value_is_not_a_code() -> None:
    assert last_code(reports(79)) == 79
    assert last_code(reports(None)) is None


CODES = st.sampled_from([0, 13, 43, 79])


@pytest.mark.slow
@given(st.lists(st.tuples(CODES, CODES), min_size=1, max_size=4), st.booleans())
def test_the_same_look_again_adds_nothing_in_whatever_order(pairs: list[tuple[int, int]], bad: bool) -> None:
    before = [reports(was, -60, index=index) for index, (was, _) in enumerate(pairs)]
    now = [reports(code, index=index, xid_counts={"13": index}) for index, (_, code) in enumerate(pairs)]
    conditions = [turned(EKS, "False", reason="NvidiaXID48Error")] if bad else []
    once = watch(look(*now, conditions=conditions), remembering(*before))
    assert watch(look(*now, conditions=conditions), once) == once
    for order in permutations(now):
        assert (
            watch(look(*order, conditions=conditions), remembering(*reversed(before))).of(f"uid-{NODE}").bursts
            == once.of(f"uid-{NODE}").bursts
        )


def test_a_code_that_stands_in_the_gauge_after_a_boot_came_since() -> None:
    """DCGM restarts with the node: the same code as before the boot is another event."""
    before = reports(119, -60)

    def booted(boot_id: str, *, at_s: float, now: DeviceSample, history: ClusterHistory) -> ClusterHistory:
        seen_now = look(now, seconds=at_s)
        node = structs.replace(seen_now.nodes[0], node_info=structs.replace(seen_now.nodes[0].node_info, boot_id=boot_id))
        return watch(structs.replace(seen_now, nodes=(node,)), history)

    history = ClusterHistory(nodes={f"uid-{NODE}": NodeHistory(samples=(before,), boot_id="one")})
    assert seen(booted("one", at_s=0, now=reports(119, 1), history=history)) == []
    assert seen(booted("two", at_s=0, now=reports(0, 1), history=history)) == []
    assert seen(booted("two", at_s=0, now=reports(119, 1), history=history)) == [(119, 1, "gauge")]
    assert seen(booted("two", at_s=0, now=reports(119, -1), history=history)) == [], "read before the boot was seen"
    noticed = NodeHistory(samples=(before,), boot_id="two", booted_at=at(-30))
    later = ClusterHistory(nodes={f"uid-{NODE}": noticed})
    assert seen(booted("two", at_s=0, now=reports(119, 1), history=later)) == [(119, 1, "gauge")]
