"""States of pods and of steps that a pod has to complete: every boundary, one fact at a time."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from fleet.domain.evaluation.run_clock import RunClock
from fleet.domain.readiness.node_evidence import START_GRACE, State, pod_state, step
from tests.builders import make_container, make_pod
from tests.domain.readiness.world import NOW

SECOND = timedelta(seconds=1)


@pytest.mark.parametrize(
    ("fields", "state"),
    [
        ({"ready": True, "phase": "Failed"}, "ready"),
        ({"ready": False, "phase": "Failed"}, "broken"),
        ({"ready": False, "reason": "CrashLoopBackOff"}, "broken"),
        ({"ready": False, "reason": "ContainerCreating"}, "starting"),
        ({"ready": False}, "starting"),
    ],
)
def test_a_pod_is_ready_broken_or_starting(fields: dict[str, Any], state: str) -> None:
    assert pod_state(make_pod(**fields), RunClock(NOW)) == state


@pytest.mark.parametrize("only", ["started_at", "created_at"])
@pytest.mark.parametrize(("age", "state"), [(START_GRACE, "starting"), (START_GRACE + SECOND, "broken")])
def test_the_grace_counts_from_the_only_time_that_is_known(only: str, age: timedelta, state: str) -> None:
    times: dict[str, Any] = {only: NOW - age}
    assert pod_state(make_pod(ready=False, **times), RunClock(NOW)) == state


def test_a_pod_that_started_again_has_its_grace_again() -> None:
    pod = make_pod(ready=False, created_at=NOW - 2 * START_GRACE, started_at=NOW - SECOND)
    assert pod_state(pod, RunClock(NOW)) == "starting"


@pytest.mark.parametrize(
    ("fields", "state"),
    [
        ({"state": "terminated", "exit_code": 0, "reason": "Completed"}, State.READY),
        ({"state": "terminated", "exit_code": 0}, State.READY),
        ({"state": "terminated", "exit_code": 1, "reason": "Completed"}, State.VIOLATED),
        ({"state": "terminated", "exit_code": None, "reason": "Completed"}, State.STARTING),
        ({"state": "terminated", "exit_code": None, "reason": ""}, State.STARTING),
        ({"state": "terminated", "exit_code": None, "reason": "OOMKilled"}, State.VIOLATED),
        ({"state": "waiting", "reason": "PodInitializing"}, State.STARTING),
        ({"state": "waiting", "reason": "CrashLoopBackOff"}, State.VIOLATED),
        ({"state": "running", "reason": "CrashLoopBackOff"}, State.STARTING),
        ({"state": "running", "exit_code": 0}, State.STARTING),
    ],
)
def test_a_step_is_done_only_when_it_ended_well(fields: dict[str, Any], state: State) -> None:
    pod = make_pod(ready=False, containers=(make_container("other"), make_container("cuda-validation", **fields)))
    assert step(pod, "cuda-validation") == state


def test_every_step_of_a_ready_pod_is_done_and_a_pod_without_the_step_has_none() -> None:
    pod = make_pod(ready=True, containers=(make_container("cuda-validation", state="waiting", reason="CrashLoopBackOff"),))
    assert step(pod, "cuda-validation") == State.READY
    assert step(pod, "driver-validation") is None
