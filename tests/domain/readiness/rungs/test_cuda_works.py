"""Rung 4: something computes."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from fleet.domain.findings import Status
from fleet.domain.snapshot import OperatorSnapshot
from fleet.domain.snapshot.telemetry import Telemetry
from tests.builders import make_node
from tests.domain.readiness.world import NOW, World, busy, operator, stack, swapped, validator, without, worker

RUNG = "cuda_works"


@pytest.mark.parametrize("name", ["operator", "plain", "gke", "dra", "amd"])
def test_every_stack_proves_it(name: str) -> None:
    assert stack(name).says(RUNG) == Status.PASS


def test_the_validators_failing_test_fails() -> None:
    world = swapped(operator(), validator(cuda="failed", plugin="waiting"))
    assert world.says(RUNG) == Status.FAIL
    assert "kubectl logs" in world.rung(RUNG).remedy


def full(world: World) -> World:
    """Workloads hold every slot, and no metric shows their use."""
    return world.but(pods=(*world.pods, worker(gpus=8)), telemetry=Telemetry())


def test_a_validator_that_finds_every_gpu_in_use_is_not_broken() -> None:
    failing = full(swapped(operator(), validator(cuda="failed")))
    assert failing.says(RUNG) == Status.UNKNOWN
    assert "hold every slot" in failing.rung(RUNG).reason
    known = failing.remembering(rungs={RUNG: "pass"})
    assert known.says(RUNG) == Status.PASS
    assert (
        known.remembering(boot_id="before")
        .but(node=msgspec.structs.replace(known.node, node_info=msgspec.structs.replace(known.node.node_info, boot_id="after")))
        .says(RUNG)
        != Status.PASS
    )


def test_a_workload_that_computes_outweighs_a_failing_validator() -> None:
    assert busy(swapped(operator(), validator(cuda="failed"))).says(RUNG) == Status.PASS


def test_a_validator_at_work_is_waited_for_within_bounds() -> None:
    assert swapped(operator(), validator(cuda="running")).says(RUNG) == Status.WAITING
    assert operator().but(pods=swapped(operator(), validator(cuda="running")).pods).evaluate_ladder().verdict == "starting"
    assert swapped(operator(), validator(cuda="running", age=timedelta(hours=1))).says(RUNG) == Status.UNKNOWN


def test_a_validator_that_is_missing_proves_nothing() -> None:
    assert operator().but(pods=without(operator().pods, "validator")).says(RUNG) == Status.UNKNOWN


def test_use_that_no_pod_is_named_for_proves_nothing() -> None:
    world = stack("plain")
    nameless = [msgspec.structs.replace(sample, pods=()) for sample in world.telemetry.samples]
    world = world.but(telemetry=msgspec.structs.replace(world.telemetry, samples=tuple(nameless)))
    assert world.says(RUNG) == Status.UNKNOWN


def test_a_proof_is_noted_no_more_than_once_an_hour() -> None:
    world = stack("plain")
    at = NOW - timedelta(minutes=59)
    assert world.remembering(pending={"cuda_works|proved": at}).evaluate_ladder().remember["cuda_works|proved"] == at
    at = NOW - timedelta(minutes=61)
    assert world.remembering(pending={"cuda_works|proved": at}).evaluate_ladder().remember["cuda_works|proved"] == NOW


def test_a_bare_cluster_says_what_to_turn_on() -> None:
    world = stack("plain")
    bare = world.but(pods=without(world.pods, "", "dcgm-exporter"), telemetry=Telemetry(), operator=OperatorSnapshot())
    result = bare.rung(RUNG)
    assert result.status == Status.NOT_ENABLED
    assert "validator" in result.remedy
    once = bare.but(cluster=msgspec.structs.replace(bare.cluster, rungs_proved=frozenset({RUNG})))
    assert once.says(RUNG) == Status.UNKNOWN, "it could be proved here before"


def test_unread_pods_leave_it_unknown() -> None:
    assert operator().but(broken=("pods",)).says(RUNG) == Status.UNKNOWN


def test_what_was_seen_before_a_boot_proves_nothing_after_it() -> None:
    """The last samples of a node that reboots within minutes are still fresh, and were taken by the driver before."""
    world = busy(operator()).but(pods=without(busy(operator()).pods, "validator", "cuda-validator"))
    assert world.evaluate_ladder().remember["cuda_works|proved"] == NOW
    rebooted = world.remembering(booted_at=NOW + timedelta(seconds=1))
    assert "cuda_works|proved" not in rebooted.evaluate_ladder().remember
    noted = world.remembering(booted_at=NOW, pending={"cuda_works|proved": NOW}).but(telemetry=Telemetry())
    assert "cuda_works|proved" not in noted.evaluate_ladder().remember


def test_one_resource_all_held_is_reason_enough_for_a_validator_to_wait() -> None:
    """Whole cards all held, MIG slots free: which of the two the validator asks for depends on its version."""
    node = make_node(capacity={"nvidia.com/gpu": 4, "nvidia.com/mig-1g.10gb": 28})
    world = swapped(operator(), validator(cuda="failed")).but(node=node, telemetry=Telemetry())
    assert world.says(RUNG) == Status.FAIL
    assert world.but(pods=(*world.pods, worker(gpus=4))).says(RUNG) == Status.UNKNOWN


# --- tests of other tools ---

LEVEL_3, DEEP = "autopilot.ibm.com/dcgm.level.3", "sagemaker.amazonaws.com/deep-health-check-status"


def examined(base: World | None = None, **labels: str) -> World:
    """A node without evidence of Muster's own, on which another tool wrote these labels."""
    world = base or stack("plain").but(pods=without(stack("plain").pods, ""), telemetry=Telemetry())
    return world.but(node=msgspec.structs.replace(world.node, labels=world.node.labels | labels))


def passed(age: timedelta) -> dict[str, str]:
    return {LEVEL_3: f"PASS_{NOW - age:%Y-%m-%d_%H.%M.%SUTC}"}


def test_a_recent_deep_test_of_another_tool_proves_it_with_its_age() -> None:
    assert examined().says(RUNG) == Status.UNKNOWN
    result = examined(**passed(timedelta(days=3))).rung(RUNG)
    assert (result.own_status or result.status) == Status.PASS
    assert "IBM Autopilot" in result.reason
    assert result.evidence[0].value.endswith("UTC (3 days ago)")
    assert examined(**{LEVEL_3: f"PASS_{NOW - timedelta(days=1):%Y-%m-%d_%H.%M.UTC}"}).says(RUNG) == Status.PASS


@pytest.mark.parametrize(
    ("labels", "why"),
    [
        (passed(timedelta(days=31)), "more than 30 days ago"),
        (passed(-timedelta(days=1)), "at an unknown time"),
        ({LEVEL_3: "PASS"}, "at an unknown time"),
        ({LEVEL_3: "PASS_2026-13-45_99.99.UTC"}, "at an unknown time"),
        ({DEEP: "Passed"}, "its label states no time, and Muster did not see the test run"),
        (passed(timedelta(days=3)) | {"autopilot.ibm.com/gpuhealth": "EVICT"}, "reports a fault"),
    ],
)
def test_an_old_test_or_one_without_an_age_proves_nothing(labels: dict[str, str], why: str) -> None:
    world = examined(**labels)
    assert world.says(RUNG) == Status.UNKNOWN
    result = examined(**labels).rung(RUNG)
    assert why in result.reason
    assert result.evidence[0].key in labels


def test_a_deep_test_before_the_last_boot_proves_nothing() -> None:
    world = examined(**passed(timedelta(days=3)))
    assert world.remembering(booted_at=NOW - timedelta(days=4)).says(RUNG) == Status.PASS
    rebooted = world.remembering(booted_at=NOW - timedelta(days=2))
    assert rebooted.says(RUNG) == Status.UNKNOWN
    assert "before the node's last boot" in rebooted.rung(RUNG).reason


def test_a_tool_that_states_no_time_is_no_way_to_prove_it() -> None:
    bare = World(node=make_node())
    assert examined(bare, **{DEEP: "Passed"}).says(RUNG) == Status.NOT_ENABLED
    assert examined(bare, **passed(timedelta(days=31))).says(RUNG) == Status.UNKNOWN


def test_hyperpods_test_counts_from_when_muster_saw_it_run() -> None:
    running = examined(**{DEEP: "InProgress"}).rung(RUNG)
    assert running.remember["deep_test_running"] == NOW
    begun = NOW - timedelta(days=2)
    later = examined(**{DEEP: "InProgress"}).remembering(pending={"cuda_works|deep_test_running": begun})
    assert later.rung(RUNG).remember["deep_test_running"] == begun, "since when it runs"
    for name in ("deep_test_running", "deep_test_passed"):
        ended = examined(**{DEEP: "Passed"}).remembering(pending={f"cuda_works|{name}": begun})
        result = ended.rung(RUNG)
        assert (result.own_status or result.status) == Status.PASS
        assert result.evidence[0].value == "Passed (2 days ago)"
        assert result.remember["deep_test_passed"] == begun
        assert ended.remembering(pending={f"cuda_works|{name}": begun}, booted_at=NOW).says(RUNG) != Status.PASS
    assert "deep_test_passed" not in examined(**{DEEP: "Failed"}).rung(RUNG).remember


def test_a_dated_test_counts_beside_one_without_a_date() -> None:
    assert examined(**passed(timedelta(days=3)), **{DEEP: "Passed"}).says(RUNG) == Status.PASS


def test_a_test_of_another_tool_never_outweighs_the_validator() -> None:
    failing = swapped(operator(), validator(cuda="failed"))
    assert examined(failing, **passed(timedelta(days=1))).says(RUNG) == Status.FAIL
    missing = operator().but(pods=without(operator().pods, "validator"))
    assert examined(missing, **passed(timedelta(days=1))).says(RUNG) == Status.UNKNOWN
