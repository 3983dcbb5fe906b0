from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.domain.history.changes import ALIKE_WITHIN, JOINED, KINDS, Event, group, kind_of, steps

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
        ([change("labels", "nvidia.com/gfd.timestamp", "1", "2")], ["Label nvidia.com/gfd.timestamp written anew"]),
        ([change("labels", "a"), change("labels", "b"), change("node", "boot_id")], ["Rebooted", "Label a a → b, and 1 more"]),
        ([change("labels", "nvidia.com/mig.config", "all-1g", "all-2g"), change("allocatable", "nvidia.com/mig-1g.10gb")],
         ["MIG geometry all-1g → all-2g"]),
        ([change("allocatable", "nvidia.com/gpu", "8", "7")], ["Allocatable nvidia.com/gpu 8 → 7"]),
    ],
)  # fmt: skip
def test_a_change_is_told_in_one_line(changes: list[dict[str, str | None]], titles: list[str]) -> None:
    assert [step.title for step in steps(changes)] == titles


def events(*told: tuple[float, str], before: str = "570", after: str = "580", cluster: str = "east") -> list[Event]:
    (step,) = steps([change("labels", "nvidia.com/cuda.driver-version.full", before, after)])
    return [Event(NOON + timedelta(minutes=minutes), cluster, node, step) for minutes, node in told]


def test_a_roll_out_node_by_node_is_one_change() -> None:
    (one,) = group(events(*((23 * number, f"n{number}") for number in range(22))))
    assert (len(one.nodes), one.title) == (22, "Driver 570 → 580")
    assert one.until - one.at == timedelta(minutes=23 * 21)


def test_later_other_and_elsewhere_are_changes_of_their_own() -> None:
    found = group(
        [
            *events((0, "n1"), (31, "n2")),
            *events((1, "n1"), before="580", after="570"),
            *events((1, "n9"), cluster="west"),
        ]
    )
    assert [(one.cluster, one.title, one.nodes) for one in found] == [
        ("east", "Driver 570 → 580", ("n2",)),
        ("west", "Driver 570 → 580", ("n9",)),
        ("east", "Driver 580 → 570", ("n1",)),
        ("east", "Driver 570 → 580", ("n1",)),
    ]


def test_boots_are_alike_although_their_ids_differ() -> None:
    told = [Event(NOON, "east", name, steps([change("node", "boot_id", name, name * 2)])[0]) for name in ("n1", "n2")]
    assert [one.nodes for one in group(told)] == [("n1", "n2")]


a_change: Any = st.builds(
    change,
    st.sampled_from(["labels", "taints", "node", "stack", "capacity", "x"]),
    st.text(max_size=9),
    st.none() | st.text(),
    st.none() | st.text(),
)


@given(st.lists(a_change, max_size=8))
def test_no_change_is_lost_and_every_title_is_a_line(changes: list[dict[str, str | None]]) -> None:
    found = steps(changes)
    assert sum(len(step.told) for step in found) == len(changes)
    assert all(step.title for step in found)


@given(
    st.lists(st.tuples(st.integers(0, 500), st.sampled_from(["n1", "n2", "n3"]), st.sampled_from(["east", "west"])), max_size=20)
)
def test_groups_hold_every_event_once_and_stand_apart(told: list[tuple[int, str, str]]) -> None:
    happened = [Event(NOON + timedelta(minutes=minutes), cluster, node, JOINED) for minutes, node, cluster in told]
    found = group(happened)
    assert {(e.cluster, e.node) for e in happened} == {(one.cluster, node) for one in found for node in one.nodes}
    for cluster in ("east", "west"):
        mine = sorted((one.at, one.until) for one in found if one.cluster == cluster)
        assert all(later - end > ALIKE_WITHIN for (_, end), (later, _) in pairwise(mine))
