"""Rung 2: the driver, however it was installed."""

from __future__ import annotations

from datetime import timedelta

import pytest

from fleet.domain import labels
from fleet.domain.findings import Status
from fleet.domain.snapshot import ClusterPolicySnapshot, OperatorSnapshot
from fleet.domain.snapshot.telemetry import Telemetry
from tests.builders import make_node
from tests.domain.readiness.world import NOW, World, operand, operator, samples, stack, swapped, telemetry, validator, without

RUNG = "driver_loaded"


@pytest.mark.parametrize("name", ["operator", "plain", "gke", "dra", "amd"])
def test_every_stack_proves_it(name: str) -> None:
    assert stack(name).says(RUNG) == Status.PASS


def test_the_drivers_own_pod_decides() -> None:
    crashing = swapped(operator(), operand("driver", state="crashing"))
    silent = crashing.but(telemetry=Telemetry())
    assert silent.says(RUNG) == Status.FAIL
    assert "CrashLoopBackOff" in silent.rung(RUNG).reason
    assert "kubectl logs" in silent.rung(RUNG).remedy
    assert crashing.says(RUNG) == Status.WARN, "the exporter still reaches the cards through it"


def test_a_starting_driver_is_waited_for_but_not_forever() -> None:
    assert swapped(operator(), operand("driver", state="starting")).says(RUNG) == Status.WAITING
    old = operand("driver", state="starting", created_at=NOW - timedelta(hours=1), started_at=NOW - timedelta(hours=1))
    assert swapped(operator(), old).but(telemetry=Telemetry()).says(RUNG) == Status.FAIL


def test_a_driver_pod_that_should_be_here_and_is_not_fails() -> None:
    world = operator().but(telemetry=Telemetry())
    world = world.but(pods=without(world.pods, "driver"))
    assert world.says(RUNG) == Status.FAIL
    off = OperatorSnapshot(policies=(ClusterPolicySnapshot(name="cluster-policy", driver_enabled=False),))
    assert world.but(operator=off).says(RUNG) == Status.PASS, "the operator owns no driver: the validator's step proves it"


def test_a_driver_of_the_image_is_proved_by_the_validator() -> None:
    world = operator(**{labels.GPU_DEPLOY_DRIVER: "pre-installed"}).but(telemetry=Telemetry())
    world = world.but(pods=without(world.pods, "driver"))
    assert world.says(RUNG) == Status.PASS
    broken = swapped(
        world.but(node=make_node(labels=world.node.labels, allocatable={"nvidia.com/gpu": 0})), validator(driver="failed")
    )
    assert broken.says(RUNG) == Status.FAIL


def test_an_upgrade_is_waited_for_until_it_is_stuck() -> None:
    world = operator(**{labels.DRIVER_UPGRADE_STATE: "drain-required"})
    assert world.says(RUNG) == Status.WAITING
    assert world.evaluate_ladder().verdict == "excluded"
    remembered = world.evaluate_ladder().remember
    assert remembered["driver_loaded|upgrading"] == NOW
    stuck = world.remembering(pending={"driver_loaded|upgrading": NOW - timedelta(minutes=61)})
    assert (stuck.evaluate_ladder().verdict, stuck.evaluate_ladder().broken_rung) == ("not_ready", RUNG)
    assert "stuck" in stuck.evaluate_ladder().reason


def test_a_failed_upgrade_fails_even_on_a_cordoned_node() -> None:
    world = operator(**{labels.DRIVER_UPGRADE_STATE: "upgrade-failed"})
    world = world.but(node=make_node(labels=world.node.labels, unschedulable=True))
    assert (world.evaluate_ladder().verdict, world.evaluate_ladder().broken_rung) == ("not_ready", RUNG)


def test_nothing_that_shows_a_driver_is_unknown_and_on_a_bare_cluster_not_enabled() -> None:
    bare = World(node=make_node(gfd=False, capacity={"nvidia.com/gpu": 0}, labels={"nvidia.com/gpu.present": "true"}))
    result = bare.rung(RUNG)
    assert result.own_status or result.status == Status.NOT_ENABLED
    assert "GPU Operator" in result.remedy
    elsewhere = bare.but(pods=(operand("driver", node="other"),))
    assert elsewhere.says(RUNG) == Status.UNKNOWN


def test_unread_pods_leave_it_unknown() -> None:
    result = operator().but(broken=("pods",)).rung(RUNG)
    assert (result.status, result.reason) == (Status.UNKNOWN, "Muster may not read pods.")


def test_old_samples_prove_nothing() -> None:
    world = operator().but(telemetry=telemetry(samples(age=timedelta(hours=1))))
    assert swapped(world, operand("driver", state="crashing")).says(RUNG) == Status.FAIL
