"""thermal, thermal_throttling, power_throttling and clock_events."""

from __future__ import annotations

import pytest
from msgspec import structs

from fleet.domain.findings import Severity, Status
from fleet.domain.snapshot.telemetry import DeviceSample
from tests.builders import make_node
from tests.domain.health.subjects import ask, before, lasting, sample, subject, uuid_of


def gpus(first: DeviceSample) -> list[DeviceSample]:
    return [first, *(sample(index) for index in range(1, 8))]


@pytest.mark.parametrize("metric", ["gpu_temp", "memory_temp"])
def test_a_card_at_its_limit_for_a_while_is_too_hot(metric: str) -> None:
    hot = subject(*gpus(sample(0, **{metric: 95.0})))
    first = ask("thermal", hot)
    assert (first.status, first.findings[0].sustain_s) == (Status.PASS, 60)  # seen, and not yet for long enough
    result = ask("thermal", lasting(hot, "thermal", f"{uuid_of()}/{metric}"))
    assert (result.status, result.findings[0].severity) == (Status.WARN, Severity.WARNING)
    assert "95" not in result.findings[0].text.replace("95 °C", "") or metric == "memory_temp"


def test_a_card_below_its_limits_passes() -> None:
    assert ask("thermal", subject(*gpus(sample(0, gpu_temp=89.0, memory_temp=94.0)))).status is Status.PASS


def test_cards_without_a_sensor_in_their_memory_need_none() -> None:
    bare = [sample(index, memory_temp=None) for index in range(8)]
    assert ask("thermal", subject(*bare, node=make_node(product="Tesla-T4"))).status is Status.PASS
    assert ask("thermal", subject(*bare)).status is Status.UNKNOWN


@pytest.mark.parametrize(
    ("rule", "metric", "status", "severity"),
    [
        ("thermal_throttling", "thermal_violation", Status.WARN, Severity.WARNING),
        ("power_throttling", "power_violation", Status.PASS, Severity.INFO),
    ],
)
def test_a_violation_that_goes_on_growing(rule: str, metric: str, status: Status, severity: Severity) -> None:
    now = gpus(sample(0, **{metric: 900.0}))
    answer = subject(*now, earlier=[before(item, **{metric: 7.0}) for item in now])
    assert ask(rule, answer).status is Status.PASS
    result = ask(rule, lasting(answer, rule, uuid_of()))
    assert (result.status, result.findings[0].severity) == (status, severity)


@pytest.mark.parametrize("rule", ["thermal_throttling", "power_throttling"])
def test_a_violation_of_long_ago_stands_still(rule: str) -> None:
    result = ask(rule, subject())
    assert (result.status, result.findings) == (Status.PASS, ())


def test_a_reset_counter_did_not_run_backwards() -> None:
    reset = [before(sample(index), thermal_violation=9e9) for index in range(8)]
    still = subject(*(sample(index, thermal_violation=0.0) for index in range(8)), earlier=reset)
    assert ask("thermal_throttling", still).findings == ()


@pytest.mark.parametrize(("reason", "expected"), [("hw_thermal", 1), ("hw_power_brake", 1), ("power_cap", 0), ("gpu_idle", 0)])
def test_reasons_of_clock_events(reason: str, expected: int) -> None:
    answer = structs.replace(sample(0), clock_events={reason: 3.0})
    value = lasting(subject(*gpus(answer)), "clock_events", f"{uuid_of()}/{reason}")
    result = ask("clock_events", value)
    assert len(result.findings) == expected
    assert result.status is (Status.WARN if expected else Status.PASS)


def test_no_clock_event_at_all_is_good_where_they_are_counted() -> None:
    assert ask("clock_events", subject(*gpus(structs.replace(sample(0), clock_events={})))).status is Status.PASS
