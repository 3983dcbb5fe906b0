"""Rung 3: containers get GPUs."""

from __future__ import annotations

from datetime import timedelta

import pytest

from fleet.domain.findings import Status
from fleet.domain.snapshot import PodSnapshot
from fleet.domain.snapshot.telemetry import Telemetry
from tests.builders import make_container
from tests.domain.readiness.world import NOW, operand, operator, stack, swapped, validator, without, worker

RUNG = "container_runtime"


@pytest.mark.parametrize("name", ["operator", "plain", "gke", "dra", "amd"])
def test_every_stack_proves_it(name: str) -> None:
    assert stack(name).says(RUNG) == Status.PASS


def refused(message: str, reason: str = "RunContainerError") -> PodSnapshot:
    waiting = make_container(gpus=1, state="waiting", reason=reason, ready=False)
    return worker(phase="Pending", ready=False, reason=reason, message=message, containers=(waiting,))


def test_a_container_that_the_runtime_refuses_for_its_gpu_fails() -> None:
    for message in ("nvidia-container-cli: initialization error", ""):
        world = operator()
        assert world.but(pods=(*world.pods, refused(message))).says(RUNG) == Status.FAIL
    cdi = refused("unresolvable CDI devices nvidia.com/gpu=0", "CreateContainerError")
    assert operator().but(pods=(*operator().pods, cdi)).says(RUNG) == Status.FAIL


def test_a_program_that_the_image_lacks_is_the_pods_own_fault() -> None:
    own = refused('exec: "trian": executable file not found in $PATH')
    assert operator().but(pods=(*operator().pods, own)).says(RUNG) == Status.PASS


def test_a_broken_toolkit_fails_and_warns_while_pods_go_on() -> None:
    assert swapped(operator(), operand("toolkit", state="crashing")).says(RUNG) == Status.FAIL
    assert swapped(stack("operator"), operand("toolkit", state="crashing")).says(RUNG) == Status.WARN
    gone = operator().but(pods=without(operator().pods, "toolkit"))
    assert gone.says(RUNG) == Status.FAIL
    assert swapped(operator(), validator(toolkit="failed")).says(RUNG) == Status.FAIL


def test_a_starting_toolkit_is_waited_for() -> None:
    world = swapped(operator(), operand("toolkit", state="starting"), validator(toolkit="waiting"))
    assert world.says(RUNG) == Status.WAITING


def test_what_a_workload_proved_outlives_it_for_a_day_but_not_a_boot() -> None:
    busy = stack("plain")
    noted = busy.evaluate_ladder().remember
    idle = busy.but(pods=without(busy.pods, ""), telemetry=Telemetry())
    assert idle.remembering(pending=noted).says(RUNG) == Status.PASS
    assert idle.says(RUNG) == Status.UNKNOWN, "nothing noted, nothing seen"
    old = {name: NOW - timedelta(hours=25) for name in noted}
    assert idle.remembering(pending=old).says(RUNG) == Status.UNKNOWN
    assert idle.remembering(pending=noted, booted_at=NOW + timedelta(seconds=1)).says(RUNG) == Status.UNKNOWN


def test_a_running_pod_alone_shows_no_gpu_on_nvidia() -> None:
    busy = stack("plain")
    assert busy.but(telemetry=Telemetry()).says(RUNG) == Status.UNKNOWN


def test_where_nothing_could_show_it_it_is_not_enabled() -> None:
    busy = stack("plain")
    bare = busy.but(pods=without(busy.pods, "", "dcgm-exporter"), telemetry=Telemetry(), operator=operator().operator.__class__())
    assert bare.says(RUNG) == Status.NOT_ENABLED
    assert "waive" in bare.rung(RUNG).remedy


def test_unread_pods_leave_it_unknown() -> None:
    assert operator().but(broken=("pods",)).says(RUNG) == Status.UNKNOWN
