"""Rung 5: what the scheduler is offered."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from fleet.domain import labels
from fleet.domain.evaluation.subject import Policy
from fleet.domain.findings import Status
from fleet.domain.readiness.rungs.resources_advertised import REFUSED_RECENTLY
from fleet.domain.snapshot import IncompletePool, ResourceSlices
from tests.builders import make_node
from tests.domain.readiness.world import NOW, World, operand, operator, stack, swapped, worker

RUNG = "resources_advertised"


def offering(**fields: object) -> World:
    world = operator()
    return world.but(node=make_node(**{"labels": {k: v for k, v in world.node.labels.items() if "deploy" in k}, **fields}))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["operator", "plain", "gke", "dra", "amd"])
def test_every_stack_proves_it(name: str) -> None:
    assert stack(name).says(RUNG) == Status.PASS


@pytest.mark.parametrize(
    "fields",
    [
        {"sharing": "time-slicing", "replicas": 4},
        {"sharing": "mps", "replicas": 8},
        {"sharing": "time-slicing", "replicas": 4, "renamed": True},
        {"mig": "1g.10gb"},
        {"mig": {"1g.10gb": 16, "2g.20gb": 8, "3g.40gb": 8}},
    ],
)
def test_every_way_of_sharing_passes(fields: dict) -> None:
    assert offering(**fields).says(RUNG) == Status.PASS


def test_a_lost_card_fails_unless_the_policy_allows_partial_nodes() -> None:
    lost = offering(unhealthy=1)
    assert (lost.evaluate_ladder().verdict, lost.evaluate_ladder().broken_rung, lost.evaluate_ladder().usable) == (
        "not_ready",
        RUNG,
        0,
    )
    assert lost.rung(RUNG).evidence[0].value == "7 of 8, 8 predicted"
    partial = lost.but(cluster=msgspec.structs.replace(lost.cluster, default_policy=Policy(partial_nodes=True)))
    assert (partial.evaluate_ladder().verdict, partial.evaluate_ladder().broken_rung, partial.evaluate_ladder().usable) == (
        "degraded",
        RUNG,
        7,
    )


def test_nothing_on_offer_fails_and_is_waited_for_while_the_plugin_starts() -> None:
    nothing = offering(allocatable={"nvidia.com/gpu": 0})
    assert nothing.says(RUNG) == Status.FAIL
    assert swapped(nothing, operand("device-plugin", state="starting")).says(RUNG) == Status.WAITING
    crashing = swapped(nothing, operand("device-plugin", state="crashing"))
    assert "CrashLoopBackOff" in crashing.rung(RUNG).reason
    partial = nothing.but(cluster=msgspec.structs.replace(nothing.cluster, default_policy=Policy(partial_nodes=True)))
    assert partial.says(RUNG) == Status.FAIL, "a node without any slot is no partial node"


def test_slots_that_count_themselves_are_held_against_the_expected_cards() -> None:
    world = World(node=make_node(gpus=7, gfd=False))
    assert world.says(RUNG) == Status.FAIL
    assert world.expecting(None).says(RUNG) == Status.PASS


def test_a_mig_change_is_waited_for_until_it_is_stuck_and_a_failed_one_fails() -> None:
    world = offering(mig="1g.10gb")
    changing = {**world.node.labels, labels.MIG_CONFIG_STATE: "pending"}
    pending = world.but(node=msgspec.structs.replace(world.node, labels=changing))
    assert pending.says(RUNG) == Status.WAITING
    assert pending.evaluate_ladder().verdict == "excluded"
    stuck = pending.remembering(pending={"resources_advertised|mig_change": NOW - timedelta(hours=2)})
    assert (stuck.evaluate_ladder().verdict, stuck.evaluate_ladder().broken_rung) == ("not_ready", RUNG)
    failed = {**world.node.labels, labels.MIG_CONFIG_STATE: "failed"}
    assert world.but(node=msgspec.structs.replace(world.node, labels=failed)).says(RUNG) == Status.FAIL
    left_paused = {**failed, "nvidia.com/gpu.deploy.device-plugin": labels.PAUSED_FOR_MIG_CHANGE}
    given_up = world.but(node=msgspec.structs.replace(world.node, labels=left_paused)).evaluate_ladder()
    assert (given_up.verdict, given_up.broken_rung) == ("not_ready", RUNG), "the layout is no longer being changed"


def test_a_zombie_node_that_refuses_the_pods_it_was_given_fails() -> None:
    world = operator()
    pod = worker(phase="Failed", ready=False, reason="UnexpectedAdmissionError", started_at=NOW - timedelta(minutes=2))
    assert world.but(pods=(*world.pods, pod)).says(RUNG) == Status.FAIL
    long_ago = msgspec.structs.replace(pod, started_at=NOW - timedelta(hours=2))
    assert world.but(pods=(*world.pods, long_ago)).says(RUNG) == Status.PASS
    shared = offering(sharing="time-slicing", replicas=4)
    greedy = worker(gpus=2, phase="Failed", ready=False, reason="UnexpectedAdmissionError", started_at=NOW)
    assert shared.but(pods=(*shared.pods, greedy)).says(RUNG) == Status.PASS, "two shares of a card are refused by rule"


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"started_at": NOW - REFUSED_RECENTLY}, Status.FAIL),
        ({"started_at": NOW - REFUSED_RECENTLY - timedelta(seconds=1)}, Status.PASS),
        ({"created_at": NOW - REFUSED_RECENTLY}, Status.FAIL),
        ({"created_at": NOW - 2 * REFUSED_RECENTLY, "started_at": NOW}, Status.FAIL),
        ({}, Status.PASS),
        ({"started_at": NOW, "gpus": 0}, Status.PASS),
        ({"started_at": NOW, "component": "dcgm-exporter"}, Status.PASS),
        ({"started_at": NOW, "reason": "Evicted"}, Status.PASS),
    ],
)
def test_a_refused_pod_counts_for_a_quarter_of_an_hour(fields: dict[str, Any], status: Status) -> None:
    world = operator()
    refused: dict[str, Any] = {"phase": "Failed", "ready": False, "reason": "UnexpectedAdmissionError", "created_at": None}
    pod = worker(**{**refused, "started_at": None, **fields})
    assert world.but(pods=(*world.pods, pod)).says(RUNG) == status


def test_one_share_that_is_refused_counts_also_on_a_shared_node() -> None:
    shared = offering(sharing="time-slicing", replicas=4)
    pod = worker(gpus=1, phase="Failed", ready=False, reason="UnexpectedAdmissionError", started_at=NOW)
    assert shared.but(pods=(*shared.pods, pod)).says(RUNG) == Status.FAIL


def test_half_a_generation_of_slices_is_unknown() -> None:
    dra = stack("dra")
    pool = IncompletePool(driver="gpu.nvidia.com", pool=dra.node.name, node_name=dra.node.name, seen=1, expected=2)
    assert dra.but(slices=ResourceSlices(incomplete_pools=(pool,))).says(RUNG) == Status.UNKNOWN


def test_unread_slices_or_pods_leave_it_unknown() -> None:
    for section in ("pods", "resource_slices"):
        assert operator().but(broken=(section,)).says(RUNG) == Status.UNKNOWN
