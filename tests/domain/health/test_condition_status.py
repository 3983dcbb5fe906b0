"""Node conditions judged: Kubernetes' own types and those in monitors.toml, each with its own polarity; others not at all."""

from __future__ import annotations

import pytest

from fleet.domain.catalog import monitors
from fleet.domain.findings import Status
from fleet.domain.health.condition_status import condition_status


@pytest.mark.parametrize(
    ("kind", "value", "status"),
    [
        ("Ready", "True", Status.PASS),
        ("Ready", "False", Status.FAIL),
        ("Ready", "Unknown", Status.UNKNOWN),
        ("MemoryPressure", "False", Status.PASS),
        ("NetworkUnavailable", "True", Status.FAIL),
        ("AcceleratedHardwareReady", "False", Status.FAIL),
        ("GpuThermalWatch", "True", Status.FAIL),
        ("SomebodysOwn", "True", Status.NOT_APPLICABLE),
        ("SomebodysOwnReady", "False", Status.NOT_APPLICABLE),
        ("SomebodysOwnPressure", "True", Status.NOT_APPLICABLE),
        ("SomebodysOwn", "", Status.UNKNOWN),
    ],
)
def test_a_condition_is_judged_only_where_its_good_value_is_documented(kind: str, value: str, status: Status) -> None:
    assert condition_status(kind, value) is status


def test_every_monitor_type_fails_at_its_bad_value_and_passes_at_the_other() -> None:
    for kind, monitor in monitors.by_type().items():
        other = "False" if monitor.bad == "True" else "True"
        assert condition_status(kind, monitor.bad) is Status.FAIL, kind
        assert condition_status(kind, other) is Status.PASS, kind
