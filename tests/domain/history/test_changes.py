from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.domain.history.changes import ALIKE_WITHIN, JOINED, KINDS, NodeChange, group, kind_of, steps

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def change(section: str, key: str, before: str | None = "a", after: str | None = "b") -> dict[str, str | None]:
    return {"section": section, "key": key, "before": before, "after": after}


@pytest.mark.parametrize(
    ("section", "key", "kind"),
    [
        ("labels", "nvidia.com/cuda.driver-version.full", "driver"),
        ("labels", "nvidia.com/cuda.driver.major", "driver"),
        ("labels", "nvidia.com/mig.config", "mig"),
        ("labels", "nvidia.com/mig.config.state", "mig"),
        ("labels", "nvidia.com/mig-1g.10gb.count", "mig"),
        ("allocatable", "nvidia.com/mig-1g.10gb", "mig"),
        ("allocatable", "nvidia.com/gpu", "capacity"),
        ("labels", "nvidia.com/gpu.replicas", "sharing"),
        ("labels", "team", "labels"),
        ("taints", "nvidia.com/gpu:NoSchedule", "taints"),
        ("stack", "device-plugin", "stack"),
        ("node", "kernel", "kernel"),
        ("node", "boot_id", "reboot"),
        ("node", "unschedulable", "cordon"),
        ("conditions", "Ready", "conditions"),
        ("devices", "gpu.nvidia.com/gpu-0", "devices"),
        ("something new", "key", "labels"),
    ],
)
def test_every_fact_has_a_kind(section: str, key: str, kind: str) -> None:
    assert kind_of(change(section, key)) == kind
    assert kind in KINDS


@pytest.mark.parametrize(
    ("changes", "titles"),
    [
        ([change("labels", "nvidia.com/cuda.driver-version.full", "570.172.08", "580.95.05")], ["Driver 570.172.08 → 580.95.05"]),
        (
            [
                change("labels", "nvidia.com/cuda.driver.major", "570", "580"),
                change("labels", "nvidia.com/cuda.driver.minor", "172", "95"),
                change("labels", "nvidia.com/cuda.driver.rev", "08", "05"),
            ],
            ["Driver 570.172.08 → 580.95.05"],
        ),
        ([change("taints", "dedicated:NoSchedule", None, "x")], ["Taint dedicated:NoSchedule added: x"]),
        ([change("taints", "dedicated:NoSchedule", "x", None)], ["Taint dedicated:NoSchedule gone"]),
        ([change("node", "unschedulable", "false", "true")], ["Cordoned"]),
        ([change("node", "unschedulable", "true", "false")], ["Made schedulable again"]),
        ([change("node", "kernel", "5.15", "6.8")], ["Kernel 5.15 → 6.8"]),
        ([change("labels", "nvidia.com/gfd.timestamp", "1", "2")], ["Label nvidia.com/gfd.timestamp rewritten"]),
        ([change("labels", "a"), change("labels", "b"), change("node", "boot_id")], ["Rebooted", "Label a a → b, and 1 more"]),
        ([change("labels", "nvidia.com/mig.config", "all-1g", "all-2g"), change("allocatable", "nvidia.com/mig-1g.10gb")],
         ["MIG geometry all-1g → all-2g"]),
        ([change("allocatable", "nvidia.com/gpu", "8", "7")], ["Allocatable nvidia.com/gpu 8 → 7"]),
    ],
)  # fmt: skip
def test_a_change_is_one_line(changes: list[dict[str, str | None]], titles: list[str]) -> None:
    assert [step.title for step in steps(changes)] == titles


def events(*values: tuple[float, str], before: str = "570", after: str = "580", cluster: str = "east") -> list[NodeChange]:
    (step,) = steps([change("labels", "nvidia.com/cuda.driver-version.full", before, after)])
    return [NodeChange(NOON + timedelta(minutes=minutes), cluster, node, step) for minutes, node in values]


def test_a_roll_out_node_by_node_is_one_change() -> None:
    (result,) = group(events(*((23 * number, f"n{number}") for number in range(22))))
    assert (len(result.nodes), result.title) == (22, "Driver 570 → 580")
    assert result.until - result.at == timedelta(minutes=23 * 21)


def test_later_other_and_elsewhere_are_changes_of_their_own() -> None:
    result = group(
        [
            *events((0, "n1"), (31, "n2")),
            *events((1, "n1"), before="580", after="570"),
            *events((1, "n9"), cluster="west"),
        ]
    )
    assert [(item.cluster, item.title, item.nodes) for item in result] == [
        ("east", "Driver 570 → 580", ("n2",)),
        ("west", "Driver 570 → 580", ("n9",)),
        ("east", "Driver 580 → 570", ("n1",)),
        ("east", "Driver 570 → 580", ("n1",)),
    ]


def test_boots_are_alike_although_their_ids_differ() -> None:
    rows = [NodeChange(NOON, "east", name, steps([change("node", "boot_id", name, name * 2)])[0]) for name in ("n1", "n2")]
    assert [item.nodes for item in group(rows)] == [("n1", "n2")]


a_change: Any = st.builds(
    change,
    st.sampled_from(["labels", "taints", "node", "stack", "capacity", "x"]),
    st.text(max_size=9),
    st.none() | st.text(),
    st.none() | st.text(),
)


@pytest.mark.slow
@given(st.lists(a_change, max_size=8))
def test_no_change_is_lost_and_every_title_is_a_line(changes: list[dict[str, str | None]]) -> None:
    result = steps(changes)
    assert sum(len(step.differences) for step in result) == len(changes)
    assert all(step.title for step in result)


@pytest.mark.slow
@given(
    st.lists(st.tuples(st.integers(0, 500), st.sampled_from(["n1", "n2", "n3"]), st.sampled_from(["east", "west"])), max_size=20)
)
def test_groups_hold_every_event_once_and_stand_apart(moments: list[tuple[int, str, str]]) -> None:
    happened = [NodeChange(NOON + timedelta(minutes=minutes), cluster, node, JOINED) for minutes, node, cluster in moments]
    result = group(happened)
    assert {(e.cluster, e.node) for e in happened} == {(item.cluster, node) for item in result for node in item.nodes}
    for cluster in ("east", "west"):
        rows = sorted((entry.at, entry.until) for entry in result if entry.cluster == cluster)
        assert all(later - end > ALIKE_WITHIN for (_, end), (later, _) in pairwise(rows))
