"""Xids and warnings out of Kubernetes Events, in the words of the monitors that write them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from fleet.domain.evaluation.subject import ClusterHistory, NodeHistory, XidBurst
from fleet.domain.health import monitor_text
from fleet.domain.health.events import matters, monitor_events, of_node, spells
from fleet.domain.health.xids import watch
from fleet.domain.snapshot import ClusterSnapshot, NodeEvent
from fleet.domain.snapshot.telemetry import DeviceSample, Telemetry
from tests.builders import NODE, make_node, make_pod
from tests.domain.health.subjects import NOW, burst, eks, event, report, sample, uuid_of

QUIET = timedelta(minutes=3)
KERNEL = "NVRM: Xid (PCI:0000:1a:00): 79, pid='<unknown>', name=<unknown>, GPU has fallen off the bus."


def sentinel(message: str, check: str = "SysLogsXIDError", **fields: object) -> NodeEvent:
    return event(message, type=check, reason=f"{check}IsNotHealthy", node_uid=NODE, component="syslog-health-monitor", **fields)


@pytest.mark.parametrize(
    ("node_event", "monitor", "word", "codes"),
    [
        (eks(13), "EKS node monitoring agent", "NvidiaXID13Warning", (13,)),
        (
            structs.replace(eks(31), message=f"(combined from similar events): {eks(31).message}"),
            "EKS node monitoring agent",
            "NvidiaXID31Warning",
            (31,),
        ),
        (
            event("DCGMFieldError150: field 150 out of range", reason="AcceleratedHardwareReady"),
            "EKS node monitoring agent",
            "DCGMFieldError150",
            (),
        ),
        (sentinel("ErrorCode:31 GPU:0 PCI:0000:1a:00 Recommended Action=NONE;"), "NVSentinel", "SysLogsXIDError", (31,)),
        (sentinel("ErrorCode:DCGM_FR_X GPU:0 Recommended Action=NONE;", "GpuMemWatch"), "NVSentinel", "GpuMemWatch", ()),
        (event(KERNEL, reason="XidError", component="kernel-monitor"), "kernel-monitor", "Xid", (79,)),
    ],
)
def test_each_monitor_in_its_own_words(node_event: NodeEvent, monitor: str, word: str, codes: tuple[int, ...]) -> None:
    (result,) = monitor_events([node_event])
    assert (result.monitor, result.word, result.codes) == (monitor, word, codes)
    assert (result.since, result.at, result.count) == (node_event.first_at, node_event.last_at, node_event.count)


@pytest.mark.parametrize(
    "node_event",
    [
        structs.replace(eks(13), type="Normal"),  # "condition cleared, NvidiaXID13Warning was not re-observed"
        event("Node status is now: NodeReady", reason="NodeReady", type="Normal", component="kubelet"),
        event("Draining the node because of Xid 79", reason="Draining", component="some-operator"),
        event("nvidia-nvswitch3: SXid (PCI:0000:06:00.0): 12028, Non-fatal", reason="SXid", component="kernel-monitor"),
        event("IPAMDNotReady: ipamd is not running", reason="NetworkingReady", component="eks-node-monitoring-agent"),
        event("", reason=""),
    ],
)
def test_events_that_are_not_about_a_gpu(node_event: NodeEvent) -> None:
    assert not matters(node_event)


def test_an_nvswitchs_code_is_no_xid() -> None:
    (result,) = monitor_events([sentinel("ErrorCode:12028 NVSWITCH:0 Recommended Action=NONE;", "SysLogsSXIDError")])
    assert (result.area, result.codes) == ("nvlink", ())


@given(st.text(max_size=200), st.text(max_size=40), st.text(max_size=40))
def test_no_text_is_too_odd(message: str, type: str, reason: str) -> None:
    monitor_events([event(message, type=type, reason=reason)])


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("detected XID-79 on the instance; detected XID-48 on the instance", (48, 79)),
        ("NVRM: Xid (PCI:0000:18:00): 79, pid=1", (79,)),
        ("Xid errors: 31", (31,)),
        ("Xid code 13", (13,)),
        ("NvidiaXID94Error", (94,)),
        ("SXid (PCI:0000:06:00.0): 12028", ()),
        ("Xid 0", ()),
        ("ErrorCode:79", ()),
    ],
)
def test_codes_in_a_monitors_text(text: str, codes: tuple[int, ...]) -> None:
    assert monitor_text.xid_codes(text) == codes


def test_an_event_about_an_earlier_node_of_the_name_is_not_this_ones() -> None:
    node = make_node(created_at=NOW - timedelta(hours=1))
    result, by_name = eks(13), sentinel("ErrorCode:31;")
    of_the_old = structs.replace(result, node_uid="uid-of-the-old-one")
    before = structs.replace(by_name, first_at=NOW - timedelta(hours=2), last_at=NOW - timedelta(hours=2))
    assert of_node(node, [result, by_name, of_the_old, before]) == (result, by_name)


def test_spells_end_with_a_longer_break() -> None:
    result = monitor_events([eks(13, ago_s=ago, count=n) for ago, n in ((900, 1), (800, 2), (400, 4))])
    assert [(spell.count, spell.unbroken) for spell in spells(result, QUIET)] == [(3, True), (4, True)]


def test_a_repeated_event_has_both_ends() -> None:
    result = monitor_events([eks(13, ago_s=60, lasted_s=1800, count=7)])
    assert [(NOW - spell.at, spell.count, spell.unbroken) for spell in spells(result, QUIET)] == [
        (timedelta(seconds=1860), 1, True),
        (timedelta(seconds=60), 7, False),
    ]


def looked(
    history: ClusterHistory, *events: NodeEvent, samples: Sequence[DeviceSample] = (), seconds: float = 0, **fields: object
) -> ClusterHistory:
    telemetry = Telemetry(samples=tuple(samples), exporters=(report(),) if samples else ())
    taken_at = NOW + timedelta(seconds=seconds)
    result = watch(
        ClusterSnapshot(name="east", taken_at=taken_at, nodes=(make_node(),), events=events, telemetry=telemetry, **fields),
        history,
    )
    before = result.of(f"uid-{NODE}")
    return ClusterHistory(nodes={f"uid-{NODE}": structs.replace(before, samples=tuple(samples) or before.samples)})


def remembering(*samples: DeviceSample, bursts: Sequence[XidBurst] = ()) -> ClusterHistory:
    return ClusterHistory(nodes={f"uid-{NODE}": NodeHistory(samples=samples, bursts=tuple(bursts))})


def bursts_of(history: ClusterHistory) -> list[tuple[str, int, int, str]]:
    return [(burst.uuid, burst.code, burst.count, burst.source) for burst in history.of(f"uid-{NODE}").bursts]


def gauge(code: float, seconds: float, index: int = 0) -> DeviceSample:
    return structs.replace(sample(index, xid=code), at=NOW + timedelta(seconds=seconds))


def test_an_xid_of_an_event_alone_makes_a_burst() -> None:
    result = looked(ClusterHistory(), eks(13, ago_s=60, lasted_s=40, count=3))
    assert bursts_of(result) == [("", 13, 3, "event")]
    (item,) = result.of(f"uid-{NODE}").bursts
    assert (item.started_at, item.last_at) == (NOW - timedelta(seconds=100), NOW - timedelta(seconds=60))


def test_the_same_events_again_add_nothing() -> None:
    rows = [eks(13, ago_s=60, lasted_s=600, count=3), sentinel("ErrorCode:31;", ago_s=100), eks(45, ago_s=20)]
    once = looked(ClusterHistory(), *rows)
    assert looked(once, *rows, seconds=30) == once == looked(looked(once, *rows, seconds=3000), *rows, seconds=6000)


def test_an_event_that_counts_up_prolongs_its_burst() -> None:
    history = looked(ClusterHistory(), eks(13, ago_s=0))
    history = looked(history, eks(13, ago_s=-100, lasted_s=100, count=4), seconds=120)
    assert bursts_of(history) == [("", 13, 4, "event")]
    history = looked(history, eks(13, ago_s=-270, lasted_s=270, count=9), seconds=300)
    assert bursts_of(history) == [("", 13, 9, "event")], "what came in between, Muster was there to see"
    history = looked(history, eks(13, ago_s=-3000, lasted_s=3000, count=10), seconds=3000)
    assert bursts_of(history) == [("", 13, 9, "event"), ("", 13, 1, "event")]


def test_an_event_too_old_or_of_tomorrow_is_no_news() -> None:
    assert bursts_of(looked(ClusterHistory(), eks(13, ago_s=4 * 3600), eks(31, ago_s=-60))) == []


def test_a_storm_of_single_events_is_one_burst() -> None:
    storm = [sentinel(f"ErrorCode:45 GPU:{n % 8} pid={n};", ago_s=600 - n) for n in range(500)]
    assert bursts_of(looked(ClusterHistory(), *storm)) == [("", 45, 500, "event")]


def test_two_monitors_that_tell_one_xid_tell_one_event() -> None:
    result = (eks(31, ago_s=60), sentinel("ErrorCode:31 GPU:0;", ago_s=55), eks(31, ago_s=50, uid="another"))
    for order in permutations(result):
        assert bursts_of(looked(ClusterHistory(), *order)) == [("", 31, 2, "event")]


@pytest.mark.parametrize("seconds", [-20, 40])
def test_the_gauge_and_a_monitor_tell_of_one_event(seconds: float) -> None:
    """The monitor reports before the exporter or after it."""
    before = remembering(gauge(0, -90))
    warning, measured = eks(31, ago_s=60), [gauge(31, seconds)]
    together = looked(before, warning, samples=measured, seconds=60)
    first = looked(looked(before, warning), warning, samples=measured, seconds=60)
    after = looked(looked(before, samples=measured, seconds=60), warning, seconds=90)
    for item in (together, first, after):
        assert bursts_of(item) == [(uuid_of(), 31, 1, "gauge")]
        assert bursts_of(looked(item, warning, seconds=120)) == bursts_of(item)


def test_the_gpu_comes_from_any_source_that_names_it() -> None:
    by_place = event(KERNEL, component="kernel-monitor", node_uid=NODE)
    gpus = [gauge(0, -5, index) for index in range(8)]
    result = looked(remembering(*gpus), eks(79, ago_s=70), by_place, samples=[structs.replace(item, at=NOW) for item in gpus])
    assert bursts_of(result) == [(uuid_of(2), 79, 1, "event")]


def test_a_monitor_goes_on_where_the_gauge_only_sticks() -> None:
    history = looked(remembering(gauge(0, -90)), samples=[gauge(31, -10)])
    history = looked(history, eks(31, ago_s=-100, lasted_s=115, count=6), samples=[gauge(31, 100)], seconds=110)
    assert bursts_of(history) == [(uuid_of(), 31, 6, "gauge")]


def test_the_counter_knows_all_that_monitors_tell() -> None:
    first, second = gauge(31, -90), structs.replace(gauge(31, 0), xid_counts={"31": 5})
    counted = structs.replace(first, xid_counts={"31": 1})
    history = looked(remembering(counted), eks(31, ago_s=20, lasted_s=30, count=3), samples=[second])
    assert bursts_of(history) == [(uuid_of(), 31, 4, "counter")]
    assert bursts_of(looked(history, eks(31, ago_s=-30, lasted_s=80, count=9), seconds=40)) == bursts_of(history)


def test_a_recent_event_knows_the_pods_that_hold_the_whole_node() -> None:
    pods = (make_pod("worker-0", gpus=8, owner_kind="Job", owner_name="train"),)
    history = looked(ClusterHistory(), eks(45, ago_s=30), eks(31, ago_s=1800), pods=pods)
    fields = {burst.code: burst.job for burst in history.of(f"uid-{NODE}").bursts}
    assert (fields[45], fields[31]) == ("Job/team-a/train", "")


def test_a_condition_and_an_event_of_one_xid_are_one_burst() -> None:
    known = burst(79, ago_s=100, uuid="", source="condition")
    assert bursts_of(looked(remembering(bursts=[known]), eks(79, ago_s=90))) == [("", 79, 1, "event")]


def test_an_xid_in_the_gauge_after_a_gap_is_the_monitors_one() -> None:
    """The exporter was silent for ten minutes: its gauge changed at some moment of them, and a monitor knows at which."""
    history = looked(remembering(gauge(0, -600)), eks(31, ago_s=540), samples=[gauge(31, 0)])
    (result,) = history.of(f"uid-{NODE}").bursts
    assert (result.uuid, result.count, result.source) == (uuid_of(), 1, "gauge")
    assert result.started_at == result.last_at == NOW - timedelta(seconds=540)
    later = looked(history, eks(31, ago_s=540), samples=[gauge(31, 30)], seconds=40)
    assert bursts_of(later) == bursts_of(history)


def test_an_older_xid_is_another_than_the_one_a_gauge_shows_now() -> None:
    history = looked(remembering(gauge(0, -600)), eks(31, ago_s=1200), samples=[gauge(31, 0)])
    assert bursts_of(history) == [("", 31, 1, "event"), (uuid_of(), 31, 1, "gauge")]


@pytest.mark.parametrize(
    ("reason", "codes"),
    [
        ('{"79":true}', (79,)),
        ('{"48":true, "79": true}', (48, 79)),
        ('{"48":true,"79":false}', (48,)),
        ("{}", ()),
        ('{"x":true}', ()),
        ('{"0":true}', ()),
    ],
)
def test_codes_of_gkes_condition_are_the_keys_that_are_true(reason: str, codes: tuple[int, ...]) -> None:
    assert monitor_text.xid_codes(reason, error_codes=True) == codes
