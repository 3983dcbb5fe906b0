from __future__ import annotations

import pytest

from fleet.domain.catalog import monitors, thresholds, xids
from fleet.domain.evaluation.subject import XidPolicy
from fleet.domain.findings import Severity

APPLICATION = (13, 31, 43, 45, 68, 69)


def test_every_code_stands_once_with_words_and_an_action() -> None:
    rows = xids.load().xid
    codes = [row.code for row in rows]
    assert len(codes) == len(set(codes)) == 134
    assert codes == sorted(codes)
    assert all(row.name and row.action in xids.ACTIONS for row in rows)
    assert set(xids.SOURCES) | {"muster"} == set(xids.load().source)


def test_ranges_of_engines_are_one_entry_a_code() -> None:
    known = xids.by_code()
    assert {known[code].name for code in (39, 40, 41, 70, 71, 72, 75, 76, 77, 85, *range(126, 136))} == {"Copy engine error"}
    assert {known[code].family for code in (*range(144, 151), 74, 136, 155)} == {"nvlink"}
    assert known[103].name == "JPEG engine (NVJPG) error"
    assert known[139].name == "Optical flow (OFA) error"


@pytest.mark.parametrize("code", APPLICATION)
def test_an_application_error_breaks_no_node(code: int) -> None:
    policy = xids.policy(code)
    assert policy.severity == "info"
    assert policy.audience == "tenant"
    assert xids.meaning(code).raised in ("repeat", "alone")


@pytest.mark.parametrize("code", [46, 48, 62, 64, 74, 79, 95, 119, 120, 140, 143])
def test_a_broken_gpu_is_called_broken(code: int) -> None:
    assert xids.policy(code).severity in ("critical", "fatal")


def test_an_unlisted_code_has_a_policy_of_its_own() -> None:
    policy = xids.policy(9999)
    assert (policy.severity, policy.name, policy.overridden) == ("warning", "Not in the catalogue", False)
    assert xids.disagreeing(9999, "warning") == ()


def test_an_operators_decision_wins_and_keeps_the_name() -> None:
    decided = {63: XidPolicy(code=63, name="", severity="critical", action="reset_gpu", overridden=True)}
    policy = xids.policy(63, decided)
    assert (policy.severity, policy.action, policy.overridden) == ("critical", "reset_gpu", True)
    assert policy.name == "GPU memory row remapping recorded"
    assert xids.policy(64, decided).overridden is False


def test_a_decision_without_an_action_keeps_the_catalogues() -> None:
    decided = {79: XidPolicy(code=79, name="", severity="warning", overridden=True)}
    assert xids.policy(79, decided).action == "reboot"


@pytest.mark.parametrize(
    ("code", "sees_it_otherwise"),
    [
        (63, {"gpud", "eks", "plugin"}),
        (79, set()),
        (94, {"gpud", "plugin"}),
        (92, {"plugin"}),
        (109, {"nvidia", "eks"}),
        (119, {"crusoe"}),
        (13, set()),
        (69, {"gpud", "plugin"}),
        (136, {"nvidia", "eks", "plugin"}),
        (154, {"plugin"}),
    ],
)
def test_who_sees_a_code_otherwise(code: int, sees_it_otherwise: set[str]) -> None:
    assert set(xids.disagreeing(code, xids.policy(code).severity)) == sees_it_otherwise


def test_disagreement_follows_the_severity_in_force() -> None:
    assert set(xids.disagreeing(63, Severity.CRITICAL)) == {"nvidia", "gcm"}


def test_words_of_the_sources_stand_as_they_are() -> None:
    assert xids.by_code()[48].says == {
        "nvidia": "WORKFLOW_XID_48",
        "gpud": "fatal: reboot, then inspect hardware",
        "eks": "fatal",
        "plugin": "unhealthy",
        "crusoe": "unhealthy",
        "health_validation": "critical",
    }


def test_thresholds_say_where_they_come_from() -> None:
    limits = thresholds.load()
    assert all(getattr(limits, name).source for name in limits.__struct_fields__)
    assert (limits.xid.quiet_s, limits.xid.sticky_s) == (180, 10_800)


def test_a_condition_type_belongs_to_one_monitor() -> None:
    types = [name for monitor in monitors.load().monitor for name in monitor.types]
    assert len(types) == len(set(types))
    assert all(monitor.source for monitor in monitors.load().monitor)
    assert monitors.by_type()["AcceleratedHardwareReady"].bad == "False"
    assert monitors.by_type()["XIDErrors"].bad == "True"
