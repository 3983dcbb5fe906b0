"""What follows from the rungs: verdict, first broken rung, waivers, graces, how high the node stands, what is usable."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from fleet.domain.evaluation.evaluate import evaluate
from fleet.domain.evaluation.subject import ClusterHistory, NodeHistory, Policy, Waiver
from fleet.domain.findings import Status
from fleet.domain.readiness import ladder
from fleet.domain.readiness.types import Rung
from fleet.domain.snapshot import OperatorSnapshot
from fleet.domain.snapshot.telemetry import Telemetry
from tests.builders import make_node
from tests.domain.readiness.world import LONG_AGO, NOW, World, operand, operator, stack, swapped, validator, without


def under(world: World, **policy: Any) -> World:
    return world.but(cluster=msgspec.structs.replace(world.cluster, default_policy=Policy(**policy)))


def waived(*rungs: str) -> tuple[Waiver, ...]:
    return tuple(Waiver(rung=rung, reason="Bought so.", by="otto", at=LONG_AGO, where="cluster east") for rung in rungs)


def broken_driver() -> World:
    return swapped(operator(), operand("driver", state="crashing")).but(telemetry=Telemetry())


def test_a_good_node_is_ready_and_says_so() -> None:
    readiness = stack("operator").evaluate_ladder()
    assert (readiness.verdict, readiness.broken_rung, readiness.usable, readiness.reached) == ("ready", "", 8, 9)
    assert readiness.reason == "Every required rung passes."


def test_the_first_failing_rung_breaks_the_node_with_reason_and_remedy() -> None:
    readiness = broken_driver().evaluate_ladder()
    assert (readiness.verdict, readiness.broken_rung, readiness.usable, readiness.reached) == ("not_ready", "driver_loaded", 0, 1)
    assert readiness.reason == "The driver pod is not ready (CrashLoopBackOff)."
    assert readiness.remedy


def test_rungs_after_the_failing_one_are_blocked_unless_they_stand_by_themselves() -> None:
    rungs = {result.id: result for result in broken_driver().evaluate_ladder().rungs}
    assert rungs["resources_advertised"].status == Status.PASS
    assert (rungs["telemetry_healthy"].status, rungs["telemetry_healthy"].own_status) == (Status.BLOCKED, Status.UNKNOWN)
    assert rungs["model_serves"].status == Status.NOT_APPLICABLE


def test_unknown_and_not_enabled_make_the_verdict_unknown() -> None:
    readiness = operator().but(telemetry=Telemetry()).evaluate_ladder()
    assert (readiness.verdict, readiness.broken_rung, readiness.usable) == ("unknown", "telemetry_healthy", 0)


def test_a_rung_beyond_the_required_one_breaks_nothing() -> None:
    world = under(operator().but(telemetry=Telemetry()), required_rung=6)
    assert (world.evaluate_ladder().verdict, world.evaluate_ladder().reached) == ("ready", 6)


def no_exporter() -> World:
    world = stack("plain")
    proof = world.evaluate_ladder().remember
    return world.but(pods=without(world.pods, "dcgm-exporter"), telemetry=Telemetry(), operator=OperatorSnapshot()).remembering(
        pending=proof
    )


def test_a_waiver_stands_in_for_a_proof_that_is_not_there() -> None:
    assert no_exporter().evaluate_ladder().verdict == "unknown"
    readiness = under(no_exporter(), waivers=waived("telemetry_healthy")).evaluate_ladder()
    assert (readiness.verdict, readiness.reached, readiness.usable) == ("ready", 9, 8)
    assert readiness.reason == "Every required rung passes, except telemetry_healthy (waived)."
    rung = readiness.rungs[7]
    assert (rung.status, rung.waiver and rung.waiver.by) == (Status.NOT_ENABLED, "otto")


def test_a_waiver_outweighs_no_disproof_and_marks_no_proof() -> None:
    assert under(broken_driver(), waivers=waived("driver_loaded")).evaluate_ladder().verdict == "not_ready"
    assert under(operator(), waivers=waived("driver_loaded")).evaluate_ladder().rungs[2].waiver is None


def test_warnings_degrade() -> None:
    world = operator(**{"nvidia.com/gfd.timestamp": "1000"}).remembering(booted_at=NOW - timedelta(hours=1))
    readiness = world.evaluate_ladder()
    assert (readiness.verdict, readiness.broken_rung, readiness.usable) == ("degraded", "labels_accurate", 8)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"unschedulable": True}, "The node is cordoned."),
        ({"labels": {"nvidia.com/gpu-driver-upgrade-state": "pod-restart-required"}}, "The driver is being upgraded."),
        ({"labels": {"nvidia.com/gpu.deploy.device-plugin": "paused-for-driver-upgrade"}}, "The driver is being upgraded."),
        ({"labels": {"nvidia.com/mig.config": "all-1g.10gb", "nvidia.com/mig.config.state": "rebooting"}},
         "The MIG layout is being changed to all-1g.10gb."),
    ],
)  # fmt: skip
def test_what_is_out_on_purpose_is_excluded(change: dict[str, Any], sentence: str) -> None:
    world = operator()
    labels = {**world.node.labels, **change.get("labels", {})}
    node = make_node(labels=labels, unschedulable=change.get("unschedulable", False))
    readiness = world.but(node=node).evaluate_ladder()
    assert (readiness.verdict, readiness.broken_rung, readiness.reason, readiness.usable) == ("excluded", "", sentence, 0)


def test_maintenance_in_muster_excludes_too() -> None:
    readiness = under(broken_driver(), maintenance="New fans.").evaluate_ladder()
    assert (readiness.verdict, readiness.reason) == ("excluded", "In maintenance: New fans.")


def test_a_node_that_just_booted_is_starting_unless_it_is_good() -> None:
    young = {"found_at_start": False, "first_seen_at": NOW - timedelta(minutes=4)}
    readiness = broken_driver().remembering(**young).evaluate_ladder()
    assert (readiness.verdict, readiness.broken_rung) == ("starting", "driver_loaded")
    assert readiness.reason.startswith("The node has just joined or booted.")
    assert stack("operator").remembering(**young).evaluate_ladder().verdict == "ready"
    older = {"found_at_start": False, "first_seen_at": NOW - timedelta(minutes=6)}
    assert broken_driver().remembering(**older).evaluate_ladder().verdict == "not_ready"
    rebooted = {"boot_id": "a", "booted_at": NOW - timedelta(minutes=1)}
    assert broken_driver().remembering(**rebooted).evaluate_ladder().verdict == "starting"


def test_a_node_never_seen_before_on_a_known_cluster_has_just_joined() -> None:
    world = broken_driver().but(history=NodeHistory())
    assert evaluate(world.snapshot(), ClusterHistory(was_read=True)).nodes[0].readiness.verdict == "starting"
    assert evaluate(world.snapshot(), ClusterHistory()).nodes[0].readiness.verdict == "not_ready"


def test_a_node_that_was_there_when_muster_came_did_not_just_join() -> None:
    readiness = broken_driver().remembering(first_seen_at=NOW, found_at_start=True).evaluate_ladder()
    assert readiness.verdict == "not_ready"


def test_what_is_waited_for_makes_the_node_starting() -> None:
    readiness = swapped(operator(), validator(cuda="running")).evaluate_ladder()
    assert (readiness.verdict, readiness.broken_rung) == ("starting", "cuda_works")


def test_nothing_is_believed_of_a_cluster_that_is_silent_for_too_long() -> None:
    world = stack("operator")
    readiness = world.but(
        cluster=msgspec.structs.replace(world.cluster, silent_since=NOW - timedelta(minutes=1))
    ).evaluate_ladder()
    assert (readiness.verdict, readiness.reached, readiness.usable) == ("unknown", -1, 0)
    assert {result.status for result in readiness.rungs} == {Status.UNKNOWN}
    assert "has not been read for too long" in readiness.reason


def test_a_rung_that_throws_costs_only_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    def throws(*_: Any) -> Any:
        raise RuntimeError("no")

    broken = tuple(msgspec.structs.replace(rung, check=throws) if rung.number == 3 else rung for rung in ladder.RUNGS)
    assert all(isinstance(rung, Rung) for rung in broken)
    monkeypatch.setattr(ladder, "RUNGS", broken)
    readiness = operator().evaluate_ladder()
    assert readiness.rungs[3].status == Status.UNKNOWN
    assert readiness.rungs[4].status == Status.PASS
    assert (readiness.verdict, readiness.broken_rung) == ("unknown", "container_runtime")


def test_flapping_is_a_mark_and_no_verdict() -> None:
    world = stack("operator")
    assert not world.remembering(recent_changes=3, verdict="ready").evaluate_ladder().flapping
    assert world.remembering(recent_changes=3, verdict="not_ready").evaluate_ladder().flapping, "this change is the fourth"
    steady = world.remembering(recent_changes=4, verdict="ready").evaluate_ladder()
    assert (steady.flapping, steady.verdict) == (True, "ready")


def test_usable_gpus_without_a_count_are_unknown() -> None:
    world = World(node=make_node(gfd=False, sharing="time-slicing", replicas=4, renamed=True))
    waivers = waived(*(f"{name}" for name in ("driver_loaded", "container_runtime", "cuda_works", "labels_accurate",
                                               "resources_advertised", "telemetry_healthy")))  # fmt: skip
    readiness = under(world.expecting(None), waivers=waivers).evaluate_ladder()
    assert (readiness.verdict, readiness.usable) == ("ready", None)


def test_two_looks_at_the_same_world_say_the_same() -> None:
    for name in ("operator", "plain", "gke", "dra", "amd"):
        world = stack(name)
        first = world.evaluate_ladder()
        later = world.remembering(pending=first.remember, rungs={rung.id: rung.status for rung in first.rungs})
        assert later.evaluate_ladder() == first, name
