"""What holds for every health rule: folder and tuple agree, missing evidence never passes, nothing gets better by being
seen less."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from fleet.domain.evaluation.rules import run
from fleet.domain.evaluation.subject import NodeSubject
from fleet.domain.findings import Status
from fleet.domain.health import node_measurements
from fleet.domain.health import rules as folder
from fleet.domain.health.rules import CLUSTER_RULES, RULES
from fleet.domain.snapshot import Condition
from fleet.domain.snapshot.sections import Outcome
from fleet.domain.snapshot.telemetry import DeviceSample
from tests.builders import make_node
from tests.domain.health.subjects import (
    HEALTHY,
    NOW,
    SPECIAL,
    before,
    burst,
    nothing_read,
    report,
    sample,
    subject,
    uuid_of,
    without,
)
from tests.domain.subjects import reporting

MEASURED = {
    "exporter_stale": ("energy", "power"),
    "xid": ("xid",),
    "ecc_uncorrectable": ("ecc_dbe_volatile",),
    "row_remap_failure": ("row_remap_failure",),
    "row_remap_pending": ("row_remap_pending",),
    "nvlink": ("nvlink_replay",),
    "pcie_replay": ("pcie_replay",),
    "thermal": ("gpu_temp",),
    "thermal_throttling": ("thermal_violation",),
    "power_throttling": ("power_violation",),
    "clock_events": ("clock_events",),
    "framebuffer_pressure": ("fb_used",),
    "dcgm_watches": ("watches",),
}
TELEMETRY = sorted({*MEASURED, "gpu_lost"})


def status(rule: str, node_subject: NodeSubject) -> Status:
    return next(result.status for result in run(RULES, node_subject) if result.rule == rule)


def test_the_folder_and_the_tuples_agree() -> None:
    parent = Path(folder.__file__ or "").parent
    files = {path.stem for path in parent.glob("*.py")} - {"__init__"}
    assert {rule.id for rule in (*RULES, *CLUSTER_RULES)} == files
    assert len({rule.id for rule in (*RULES, *CLUSTER_RULES)}) == len(RULES) + len(CLUSTER_RULES)


@pytest.mark.parametrize("rule", TELEMETRY)
def test_eight_healthy_cards_pass(rule: str) -> None:
    assert status(rule, subject()) is Status.PASS


@pytest.mark.parametrize("rule", TELEMETRY)
@pytest.mark.parametrize(
    "given_fields",
    [
        {"exporters": [report(outcome=Outcome.FORBIDDEN, reason="It is forbidden.")]},
        {"exporters": [], "section": Outcome.TIMEOUT},
    ],
)
def test_without_a_sample_nothing_is_known(rule: str, given_fields: dict[str, Any]) -> None:
    old = [sample(index, age_s=3600) for index in range(8)]
    assert status(rule, subject(*old, **given_fields)) is Status.UNKNOWN


@pytest.mark.parametrize("rule", TELEMETRY)
def test_a_cluster_without_any_exporter_says_what_to_install(rule: str) -> None:
    none = subject(exporters=[])
    result = next(item for item in run(RULES, reporting(none, samples=())) if item.rule == rule)
    assert result.status is Status.NOT_ENABLED
    assert "dcgm-exporter" in result.reason


@pytest.mark.parametrize(("rule", "names"), MEASURED.items())
def test_what_is_not_exported_is_not_enabled_and_says_which_line_turns_it_on(rule: str, names: tuple[str, ...]) -> None:
    result = next(item for item in run(RULES, without(subject(), *names)) if item.rule == rule)
    assert result.status is Status.NOT_ENABLED
    assert "DCGM_" in result.reason
    assert "\n" in result.reason


@pytest.mark.parametrize(
    ("rule", "names"), [pair for pair in MEASURED.items() if pair[0] not in ("exporter_stale", "clock_events")]
)
def test_one_card_that_does_not_tell_is_unknown(rule: str, names: tuple[str, ...]) -> None:
    silent = structs.replace(sample(0), values={}, watches={})
    assert status(rule, subject(silent, *(sample(index) for index in range(1, 8)))) is Status.UNKNOWN


@pytest.mark.parametrize("rule", [name for name in MEASURED if name != "exporter_stale"])
def test_fewer_cards_than_there_are_is_unknown(rule: str) -> None:
    assert status(rule, subject(*(sample(index) for index in range(7)))) is Status.UNKNOWN


@pytest.mark.parametrize("rule", ["ecc_uncorrectable", "nvlink", "pcie_replay", "thermal_throttling", "power_throttling"])
def test_a_counter_seen_once_is_unknown(rule: str) -> None:
    assert status(rule, subject(earlier=[])) is Status.UNKNOWN


@pytest.mark.parametrize("rule", TELEMETRY)
def test_a_rule_repeats_itself_word_for_word_while_figures_move(rule: str) -> None:
    sick = {
        "gpu_temp": 97.0, "memory_temp": 99.0, "ecc_dbe_volatile": 3.0, "row_remap_failure": 1.0, "row_remap_pending": 1.0,
        "fb_used": 80_000.0, "fb_free": 10.0, "pcie_replay": 900.0, "nvlink_replay": 4.0, "thermal_violation": 9e6,
    }  # fmt: skip
    healthy = [before(sample(index)) for index in range(8)]
    first = subject(*(sample(index, **sick) for index in range(8)), earlier=healthy)
    moved = {name: value + (0.0 if "remap" in name else 0.5) for name, value in sick.items()}
    second = subject(*(sample(index, **moved) for index in range(8)), earlier=healthy)
    item, two = (next(result for result in run(RULES, each) if result.rule == rule) for each in (first, second))
    assert item == two


def _values() -> st.SearchStrategy[dict[str, float]]:
    odd = {
        "gpu_temp": [50.0, 95.0], "memory_temp": [60.0, 99.0], "ecc_dbe_volatile": [0.0, 2.0], "row_remap_failure": [0.0, 1.0],
        "row_remap_pending": [0.0, 1.0], "remapped_uncorrectable": [0.0, 1.0], "nvlink_replay": [0.0, 5.0],
        "nvlink_recovery": [0.0, 1.0], "pcie_replay": [3.0, 500.0], "thermal_violation": [7.0, 99.0], "xid": [0.0, 48.0],
        "power_violation": [7.0, 99.0], "fb_used": [40_000.0, 90_000_000.0], "energy": [9e9, 9e9 - 1e6], "power": [400.0, 401.0],
    }  # fmt: skip
    return st.fixed_dictionaries({name: st.sampled_from(choices) for name, choices in odd.items()})


WATCHED = st.dictionaries(st.sampled_from(["MEM", "THERMAL", "NVLINK", "ALL"]), st.sampled_from([0, 10, 20]))
CONDITIONS = st.lists(
    st.tuples(
        st.sampled_from(
            ["AcceleratedHardwareReady", "GpuMemWatch", "GpuNvlinkWatch", "SysLogsXIDError", "GPUMissing", "KernelDeadlock"]
        ),
        st.sampled_from(["True", "False", "Unknown"]),
    ),
    max_size=4,
    unique_by=lambda pair: pair[0],
)
TAKEN_AWAY = st.one_of(
    st.lists(st.sampled_from([*HEALTHY, *SPECIAL]), min_size=1, max_size=4).map(lambda names: ("metrics", tuple(names))),
    st.sampled_from([("exporter", ()), ("samples", ()), ("conditions", ()), ("failed exporter", ()), ("cards", ())]),
)


@pytest.mark.slow
@given(
    st.lists(st.tuples(_values(), WATCHED), min_size=2, max_size=3),
    CONDITIONS,
    st.booleans(),
    st.booleans(),
    st.sampled_from(["NVIDIA-H100-80GB-HBM3", "Tesla-T4"]),
    st.sampled_from([0.0, 3600.0]),
    TAKEN_AWAY,
)
def test_seeing_less_never_turns_trouble_into_a_pass(
    values_and_watches: list[tuple[dict[str, float], dict[str, int]]],
    conditions: Sequence[tuple[str, str]],
    remembers: bool,
    crashed: bool,
    product: str,
    pending_s: float,
    taken: tuple[str, tuple[str, ...]],
) -> None:
    samples = [
        structs.replace(sample(index, **values), watches={"ALL": 0, **watches})
        for index, (values, watches) in enumerate(values_and_watches)
    ]
    earlier = [before(sample(index)) for index in range(len(values_and_watches))] if remembers else []
    node = make_node(
        gpus=len(values_and_watches),
        product=product,
        conditions=tuple(Condition(type=name, status=word) for name, word in conditions),
    )
    pending = (
        {f"{rule.id}|{key}": NOW - timedelta(seconds=pending_s) for rule in RULES for key in _keys(samples)} if pending_s else {}
    )
    history = {"pending": pending, "bursts": (burst(48),) if crashed else (), "expected": len(values_and_watches)}
    whole = subject(*samples, node=node, earlier=earlier, history=history)
    less = _take(whole, *taken)
    for full, rest in zip(run(RULES, whole), run(RULES, less), strict=True):
        if full.status is not Status.PASS:
            assert rest.status is not Status.PASS, (full, rest)


def _keys(samples: Sequence[DeviceSample]) -> list[str]:
    parts = ("gpu_temp", "memory_temp", "hw_thermal")
    return [
        "",
        "frozen",
        "silent",
        *(key for sample in samples for key in (sample.uuid, *(f"{sample.uuid}/{part}" for part in parts))),
    ]


def _take(node_subject: NodeSubject, what: str, names: tuple[str, ...]) -> NodeSubject:
    telemetry = node_subject.cluster.snapshot.telemetry
    if what == "metrics":
        return without(node_subject, *names)
    if what == "exporter":
        return nothing_read(node_subject)
    if what == "conditions":
        bare = structs.replace(node_subject.node, conditions=())
        alone = reporting(node_subject, structs.replace(node_subject.cluster.snapshot, nodes=(bare,)))
        return structs.replace(alone, node=bare)
    if what == "failed exporter":
        reports = tuple(
            structs.replace(exporter, outcome=Outcome.TIMEOUT, reason="It did not answer.") for exporter in node_subject.exporters
        )
        less = structs.replace(telemetry, exporters=reports, samples=())
        return reporting(
            node_subject, structs.replace(node_subject.cluster.snapshot, telemetry=less), exporters=reports, samples=()
        )
    kept = () if what == "samples" else node_subject.samples[1:]
    less = structs.replace(telemetry, samples=kept)
    return reporting(node_subject, structs.replace(node_subject.cluster.snapshot, telemetry=less), samples=kept)


def test_the_uuids_of_the_tests_are_their_own() -> None:
    assert len({uuid_of(index, node) for index in range(16) for node in ("a", "b")}) == 32


def test_a_nodes_gpus_are_measured_once_for_all_rules() -> None:
    """Rules asked twenty times a node: half of their time went into building the same tuple."""
    first, second = subject(), subject()
    measured = node_measurements.gpus(first)
    run(RULES, first)
    assert node_measurements.gpus(first) is measured
    assert node_measurements.gpus(second) is not measured
