"""What a cluster's texts, lists and numbers may cost."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.collectors import bounds
from fleet.collectors.bounds import bound_snapshot, shorten_identifier
from fleet.collectors.wire import is_object_name, parse_time
from fleet.domain.snapshot import ClusterSnapshot, Condition, ContainerSnapshot, ObjectProblem, ResourceSlices
from fleet.domain.snapshot.dra import CounterSet, DeviceClass, DeviceTaintRule, DraClaim
from fleet.domain.snapshot.nodes import Taint
from fleet.domain.snapshot.sections import Outcome
from fleet.domain.snapshot.telemetry import DeviceSample, ModelServer, Telemetry
from tests.builders import make_node, make_pod

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def snapshot(**fields: Any) -> ClusterSnapshot:
    return ClusterSnapshot(name="east", taken_at=NOW, **fields)


def strings_of(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, msgspec.Struct):
        return [text for name in value.__struct_fields__ for text in strings_of(getattr(value, name))]
    if isinstance(value, dict):
        return [text for pair in value.items() for each in pair for text in strings_of(each)]
    if isinstance(value, list | tuple):
        return [text for each in value for text in strings_of(each)]
    return []


def test_a_plain_snapshot_is_the_same_object_afterwards() -> None:
    plain = snapshot(nodes=(make_node(),), pods=(make_pod(),))
    bounded = bound_snapshot(plain)
    assert bounded.nodes is plain.nodes
    assert bounded.pods is plain.pods
    assert bounded.problems == ()


@pytest.mark.parametrize(("length", "is_cut"), [(253, False), (254, True)])
def test_an_identifier_is_shortened_above_253_characters_and_named(length: int, is_cut: bool) -> None:
    node = make_node(labels={"nvidia.com/gpu.product": "x" * length})
    bounded = bound_snapshot(snapshot(nodes=(node,)))
    product = bounded.nodes[0].labels["nvidia.com/gpu.product"]
    assert len(product) == 253
    assert (product != "x" * length) == is_cut
    problems = (ObjectProblem("node", node.name, "Longer than Kubernetes allows and shortened: labels.", left_out=False),)
    assert bounded.problems == (problems if is_cut else ())


def test_two_long_identifiers_stay_different() -> None:
    first, second = shorten_identifier("a" * 400 + "1"), shorten_identifier("a" * 400 + "2")
    assert first != second
    assert len(first) == len(second) == 253
    assert len(shorten_identifier("é" * 400).encode()) <= 253 + 17


def test_a_message_is_cut_without_a_word_and_keeps_its_beginning() -> None:
    node = make_node(conditions=(Condition(type="Ready", status="False", message="m" * 50_000),))
    bounded = bound_snapshot(snapshot(nodes=(node,)))
    assert bounded.nodes[0].conditions[0].message == "m" * 1_999 + "…"
    assert bounded.problems == ()


@pytest.mark.parametrize("hostile", ["\x00", "\x1b[31m", "\u202e", "\u2066", "\ufeff", "\x85", "\ud800"])
def test_characters_that_change_what_is_shown_are_replaced(hostile: str) -> None:
    pod = make_pod(message=f"a{hostile}b")
    text = bound_snapshot(snapshot(pods=(pod,))).pods[0].message
    assert "\ufffd" in text
    assert hostile not in text


def test_objects_of_dra_are_bounded_too() -> None:
    bounded = bound_snapshot(
        snapshot(
            slices=ResourceSlices(counter_sets=(CounterSet(driver="d", pool="p", name="a\0", counters={}),)),
            claims=(DraClaim(namespace="ns", name="a\0"),),
            device_classes=(DeviceClass(name="a\0", selectors=("x" * 10_240,)),),
            taint_rules=(DeviceTaintRule(name="a\0", taint=Taint(key="k")),),
        )
    )
    objects = (*bounded.slices.counter_sets, *bounded.claims, *bounded.device_classes, *bounded.taint_rules)
    assert [entry.name for entry in objects] == ["a\N{REPLACEMENT CHARACTER}"] * 4
    assert bounded.device_classes[0].selectors == ("x" * 10_240,), "the longest selector that the API server accepts"


def test_line_feeds_and_tabs_of_a_message_stay() -> None:
    pod = make_pod(message="line one\n\tline two")
    assert bound_snapshot(snapshot(pods=(pod,))).pods[0].message == "line one\n\tline two"


def test_numbers_and_lists_are_bounded() -> None:
    container = ContainerSnapshot(name="c", restarts=10**30, exit_code=-(10**30))
    pod = make_pod(containers=(container,) * 5_000)
    bounded = bound_snapshot(snapshot(pods=(pod,))).pods[0]
    assert len(bounded.containers) == bounds.MOST_ENTRIES
    assert (bounded.containers[0].restarts, bounded.containers[0].exit_code) == (2**31 - 1, -(2**31 - 1))


def test_a_tenants_uuid_of_104_characters_is_kept_whole() -> None:
    sample = DeviceSample(node_name="n1", uuid="GPU-" + "f" * 100, at=NOW)
    bounded = bound_snapshot(snapshot(telemetry=Telemetry(samples=(sample,))))
    assert bounded.telemetry.samples == (sample,)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_value_that_json_cannot_hold_is_dropped(value: float) -> None:
    sample = DeviceSample(node_name="n1", uuid="GPU-1", at=NOW, values={"temperature": value, "power": 1.0})
    server = ModelServer(node_name="n1", namespace="a", pod="b", kind="vllm", outcome=Outcome.COLLECTED, running=value)
    telemetry = bound_snapshot(snapshot(telemetry=Telemetry(samples=(sample,), servers=(server,)))).telemetry
    assert telemetry.samples[0].values == {"power": 1.0}
    assert telemetry.servers[0].running is None


def test_many_problems_are_counted_instead_of_named() -> None:
    nodes = tuple(make_node(f"n{i}", labels={"x": "y" * 300}) for i in range(bounds.MOST_PROBLEMS + 7))
    problems = bound_snapshot(snapshot(nodes=nodes)).problems
    assert len(problems) == bounds.MOST_PROBLEMS + 1
    assert problems[-1].text == "7 more objects were left out or shortened."


def test_quotation_marks_hide_no_length() -> None:
    """JSON escapes them, so that no run between two of them is long."""
    node = make_node(labels={"nvidia.com/gpu.product": 'x"' * 300})
    assert len(bound_snapshot(snapshot(nodes=(node,))).nodes[0].labels["nvidia.com/gpu.product"]) == 253


@given(
    st.text(alphabet='a"\\\n\t\x7f\x00\u202e\u00e9\U0001f4a5', max_size=700) | st.sampled_from(["a" * 199, "é" * 310, '"' * 254]),
    st.integers() | st.sampled_from([2**31 - 1, 2**31, 2**53, 2**53 + 1, -(2**53) - 1]),
)
def test_whatever_walking_would_change_is_searched_for(text: str, number: int) -> None:
    container = ContainerSnapshot(name=text, image=text, restarts=number, exit_code=number)
    pod = make_pod(name=text, message=text, containers=(container,))
    for each in (pod, make_node(labels={text: text}, allocatable={"nvidia.com/gpu": number})):
        walked = bounds._Bounder()._bound(each, "")
        assert bounds._Bounder().bound("object", each) == walked


@given(st.text(max_size=3_000), st.integers())
def test_no_text_gets_past_the_bounds(text: str, number: int) -> None:
    node = make_node(labels={text: text}, provider_id=text, conditions=(Condition(type=text, status=text, message=text),))
    pod = make_pod(message=text, containers=(ContainerSnapshot(name=text, image=text, restarts=number),))
    bounded = bound_snapshot(snapshot(nodes=(node,), pods=(pod,)))
    for each in strings_of(bounded):
        assert len(each) <= bounds.MOST_CHARACTERS_OF_TEXT
        assert not bounds._HOSTILE.search(each)
    for label, value in bounded.nodes[0].labels.items():
        assert len(label) <= bounds.MOST_CHARACTERS_OF_KEY
        assert len(value) <= bounds.MOST_CHARACTERS
        assert len(value.encode()) <= bounds.MOST_BYTES
    assert abs(bounded.pods[0].containers[0].restarts) < 2**31


@pytest.mark.parametrize(
    ("name", "is_one"),
    [
        *(("a", True), ("ip-10-0-0-1.ec2.internal", True), ("a" * 253, True), ("a" * 254, False), ("a/b", False), ("..", False)),
        *(("a..b", False), ("A", False), ("-a", False), ("a b", False), ("", False), ("a\n", False), ("a%2fb", False)),
    ],
)
def test_names_that_kubernetes_accepts(name: str, is_one: bool) -> None:
    assert is_object_name(name) == is_one


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00Z", "1969-12-31T23:59:59Z", "2200-01-01T00:00:00Z", "9999-12-31T23:59:59Z"])
def test_a_year_with_which_nothing_can_be_reckoned_is_no_time(text: str) -> None:
    assert parse_time(text) is None
