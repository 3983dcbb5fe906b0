"""Evaluating with what the run before kept has the result of a first evaluation: over worlds, changes, and time that passes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.domain import labels
from fleet.domain.evaluation.evaluate import ClusterEvaluation, evaluate
from fleet.domain.evaluation.kept import KeptEvaluations
from fleet.domain.evaluation.subject import (
    ClusterHistory,
    NodeHistory,
    Policy,
    Waiver,
    XidBurst,
)
from fleet.domain.snapshot import ClusterSnapshot, Condition, NodeEvent, ResourceSlices
from fleet.domain.snapshot.nodes import NodeInfo
from fleet.domain.snapshot.telemetry import Telemetry
from tests.domain.readiness.test_monotone import FAULTS, REMOVALS, Change
from tests.domain.readiness.test_monotone_in_time import remember
from tests.domain.readiness.world import NOW, World, operator, stack, telemetry

STACKS = ("operator", "plain", "gke", "dra", "amd")
AGES = (-1, 0, 1, 29, 59, 60, 179, 180, 299, 300, 301, 599, 600, 899, 3599, 3600, 7200, 86399, 86400, 90000, 31 * 86400)
"""Seconds around the limits of rules and rungs."""


def _aged(world: World, seconds: int, what: str) -> World:
    """The world with one thing of this age."""
    at, node = NOW - timedelta(seconds=seconds), world.node
    match what:
        case "boot":
            return world.remembering(booted_at=at, booted_after=at - timedelta(minutes=1))
        case "joined":
            return world.remembering(first_seen_at=at, found_at_start=False)
        case "samples":
            samples = tuple(msgspec.structs.replace(sample, at=at) for sample in world.telemetry.samples)
            return world.but(telemetry=msgspec.structs.replace(world.telemetry, samples=samples))
        case "pods":
            return world.but(pods=tuple(msgspec.structs.replace(pod, created_at=at, started_at=at) for pod in world.pods))
        case "Xid":
            codes = ((f"GPU-{node.name}-0000", 79), (f"GPU-{node.name}-0001", 48), (f"GPU-{node.name}-0002", 31))
            bursts = tuple(
                XidBurst(node_name=node.name, uuid=uuid, code=code, started_at=at, last_at=at, count=3) for uuid, code in codes
            )
            return world.remembering(bursts=bursts)
        case "proof":
            names = ("cuda_works|proved", "container_runtime|proved", "model_serves|answered", "model_server_starts|ready")
            return world.remembering(pending={**world.history.pending, **dict.fromkeys(names, at)})
        case "change":
            names = ("driver_loaded|upgrading", "resources_advertised|mig_change")
            return world.remembering(pending={**world.history.pending, **dict.fromkeys(names, at)})
        case "validation":
            stamp = f"PASS_{at:%Y-%m-%d_%H.%M.%S}UTC"
            return world.but(node=msgspec.structs.replace(node, labels={**node.labels, "autopilot.ibm.com/dcgm.level.3": stamp}))
        case "timestamp":
            stamp = str(int(at.timestamp()))
            return world.but(node=msgspec.structs.replace(node, labels={**node.labels, labels.GFD_TIMESTAMP: stamp}))
        case _:
            condition = Condition(type="GpuXidError", status="True", reason="GpuHasError", last_transition_at=at)
            return world.but(node=msgspec.structs.replace(node, conditions=(*node.conditions, condition)))


AGED = ("boot", "joined", "samples", "pods", "Xid", "proof", "change", "validation", "timestamp", "condition")
OTHERS: Mapping[str, Change] = {
    "reboots": lambda world: world.but(node=msgspec.structs.replace(world.node, node_info=NodeInfo(boot_id="b"))).remembering(
        boot_id="a"
    ),
    "in a pool": lambda world: world.but(
        cluster=msgspec.structs.replace(world.cluster, default_policy=Policy(required_rung=9, pool="p", partial_nodes=True))
    ),
    "waived": lambda world: world.but(
        cluster=msgspec.structs.replace(
            world.cluster,
            default_policy=Policy(waivers=(Waiver(rung="cuda_works", reason="r", by="b", at=NOW),)),
        )
    ),
    "silent": lambda world: world.but(cluster=msgspec.structs.replace(world.cluster, silent_since=NOW)),
    "unreached": lambda world: world.but(
        cluster=msgspec.structs.replace(world.cluster, last_reached_at=NOW - timedelta(minutes=2))
    ),
}
CHANGES: Mapping[str, Change] = {**FAULTS, **REMOVALS, **OTHERS}


class Step(msgspec.Struct, frozen=True):
    """What a run sees: on each node the changes by name and something of an age, so long after the run before."""

    changes: tuple[tuple[str, ...], ...]
    aged: tuple[tuple[str, int], ...]
    seconds: int


def worlds(name: str, step: Step) -> list[World]:
    result = []
    for changes, (what, seconds) in zip(step.changes, step.aged, strict=True):
        world = stack(name)
        for change in changes:
            world = CHANGES[change](world)
        result.append(_aged(world, seconds, what) if what else world)
    return result


def together(rows: Sequence[World], at: datetime) -> ClusterSnapshot:
    """One snapshot of all these worlds, each with a node of its own; the cluster is as the first world has it."""
    parts = [(f"node-{number}", world.snapshot()) for number, world in enumerate(rows)]
    first = parts[0][1]

    def joined(field: str) -> tuple[msgspec.Struct, ...]:
        return tuple(
            msgspec.structs.replace(item, node_name=name)
            for name, part in parts
            for item in getattr(part.telemetry if field in Telemetry.__struct_fields__ else part, field)
        )

    return msgspec.structs.replace(
        first,
        taken_at=at,
        nodes=tuple(msgspec.structs.replace(part.nodes[0], name=name, uid=f"uid-{name}") for name, part in parts),
        pods=joined("pods"),
        slices=ResourceSlices(
            devices=tuple(
                msgspec.structs.replace(device, node_name=name, pool=name)
                for name, part in parts
                for device in part.slices.devices
            )
        ),
        telemetry=Telemetry(
            source=first.telemetry.source,
            samples=joined("samples"),
            exporters=joined("exporters"),
        ),
    )


def both(snapshot: ClusterSnapshot, history: ClusterHistory, kept: KeptEvaluations) -> ClusterEvaluation:
    """The evaluation with what is kept, which must be the one without."""
    anew, again = evaluate(snapshot, history), evaluate(snapshot, history, kept)
    assert again == anew
    return anew


def history_of(rows: Sequence[World], histories: Mapping[str, NodeHistory]) -> ClusterHistory:
    nodes = {f"uid-node-{n}": histories.get(f"uid-node-{n}", world.history) for n, world in enumerate(rows)}
    return msgspec.structs.replace(rows[0].cluster, nodes=nodes, was_read=True)


NODES = 2
NODE_CHANGES = st.lists(st.sampled_from(sorted(CHANGES)), max_size=2).map(tuple)
STEPS = st.builds(
    Step,
    changes=st.tuples(*[NODE_CHANGES] * NODES),
    aged=st.tuples(*[st.tuples(st.sampled_from(("", *AGED)), st.sampled_from(AGES))] * NODES),
    seconds=st.sampled_from([1, 30, 60, 300]),
)


@settings(max_examples=40)
@given(name=st.sampled_from(STACKS), steps=st.lists(STEPS, min_size=1, max_size=3), picks=st.lists(st.integers(0, 2), max_size=8))
def test_runs_over_changes_that_come_and_go(name: str, steps: list[Step], picks: list[int]) -> None:
    """What the database keeps of each run is the history of the next, and worlds come back as they were."""
    kept, at, histories = KeptEvaluations(), NOW, dict[str, NodeHistory]()
    for pick in (0, 0, *picks):
        step = steps[pick % len(steps)]
        rows, at = worlds(name, step), at + timedelta(seconds=step.seconds)
        snapshot, history = together(rows, at), history_of(rows, histories)
        for row, world in zip(both(snapshot, history, kept).nodes, rows, strict=False):
            histories[row.node.uid] = remember(history.of(row.node.uid), row, world)


@settings(max_examples=60)
@given(
    name=st.sampled_from(STACKS), step=STEPS, waits=st.lists(st.sampled_from([n for n in AGES if n > 0]), min_size=1, max_size=6)
)
def test_time_that_passes_over_a_world_without_a_change(name: str, step: Step, waits: list[int]) -> None:
    rows, at, kept = worlds(name, step), NOW, KeptEvaluations()
    both(together(rows, at), history_of(rows, {}), kept)
    for wait in waits:
        at += timedelta(seconds=wait)
        both(together(rows, at), history_of(rows, {}), kept)


@pytest.mark.parametrize("name", STACKS)
def test_a_run_after_everything_that_time_changes(name: str) -> None:
    """Each thing of each age, one run just before each limit and one just after it."""
    for what in AGED:
        rows, kept = [_aged(stack(name), 30, what)], KeptEvaluations()
        for seconds in sorted({0, *(age - 30 + more for age in AGES for more in (0, 1) if age > 30)}):
            both(together(rows, NOW + timedelta(seconds=seconds)), history_of(rows, {}), kept)


def test_only_nodes_with_a_change_are_evaluated() -> None:
    rows = [operator() for _ in range(5)]
    kept, history = KeptEvaluations(), history_of(rows, {})
    evaluate(together(rows, NOW), history, kept)
    assert (kept.evaluated, len(kept)) == (5, 5)
    evaluate(together(rows, NOW + timedelta(seconds=30)), history, kept)
    assert (kept.evaluated, len(kept)) == (0, 5)
    rows[3] = FAULTS["cordoned"](rows[3])
    evaluate(together(rows, NOW + timedelta(seconds=60)), history, kept)
    assert (kept.evaluated, len(kept)) == (1, 5)
    evaluate(together(rows[:2], NOW + timedelta(seconds=90)), history, kept)
    assert (kept.evaluated, len(kept)) == (0, 2), "nodes that left are forgotten"


def test_two_nodes_of_one_uid_are_two_nodes() -> None:
    snapshot = together([operator(), FAULTS["card lost"](operator())], NOW)
    nodes = tuple(msgspec.structs.replace(node, uid="same") for node in snapshot.nodes)
    snapshot, kept = msgspec.structs.replace(snapshot, nodes=nodes), KeptEvaluations()
    for _ in range(2):
        both(snapshot, ClusterHistory(), kept)


def test_a_run_before_the_one_that_was_kept_is_evaluated() -> None:
    rows, kept = [operator()], KeptEvaluations()
    evaluate(together(rows, NOW), history_of(rows, {}), kept)
    evaluate(together(rows, NOW - timedelta(seconds=1)), history_of(rows, {}), kept)
    assert kept.evaluated == 1


def test_events_grow_old() -> None:
    rows, kept = [operator()], KeptEvaluations()
    event = NodeEvent(
        uid="e", node_name="node-0", type="Warning", reason="NvidiaError", message="", component="x", first_at=NOW, last_at=NOW
    )
    for hours in range(30):
        snapshot = together(rows, NOW + timedelta(hours=hours))
        both(msgspec.structs.replace(snapshot, events=(event,)), history_of(rows, {}), kept)


def test_evidence_that_got_old_is_not_hidden() -> None:
    """The exporter's clock stands still: what was healthy is unknown once its samples are too old, kept or not."""
    rows, kept = [operator()], KeptEvaluations()
    fresh = telemetry([msgspec.structs.replace(sample, at=NOW) for sample in rows[0].telemetry.samples])
    rows = [rows[0].but(telemetry=fresh)]
    verdicts = [
        str(both(together(rows, NOW + timedelta(seconds=seconds)), history_of(rows, {}), kept).nodes[0].readiness.rungs[7].status)
        for seconds in (0, 60, 300, 301)
    ]
    assert verdicts == ["pass", "pass", "pass", "unknown"]
