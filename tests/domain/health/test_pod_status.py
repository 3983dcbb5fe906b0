"""Status of pods in lists: what is well, what waits, what fails, and what is unknown."""

from __future__ import annotations

import pytest

from fleet.domain.findings import Status
from fleet.domain.health.pod_status import FAILING, PodStatus, pod_status


@pytest.mark.parametrize(
    ("phase", "reason", "ready", "status"),
    [
        ("Running", "", True, PodStatus(Status.PASS, "Running")),
        ("Succeeded", "Completed", False, PodStatus(Status.NOT_APPLICABLE, "Finished")),
        ("Running", "", False, PodStatus(Status.WAITING, "Not ready")),
        ("Pending", "", False, PodStatus(Status.WAITING, "Pending")),
        ("Pending", "ContainerCreating", False, PodStatus(Status.WAITING, "ContainerCreating")),
        ("Failed", "", False, PodStatus(Status.FAIL, "Failed")),
        ("Failed", "Evicted", False, PodStatus(Status.FAIL, "Evicted")),
        ("", "", False, PodStatus(Status.UNKNOWN, "Unknown")),
        ("Lost", "", False, PodStatus(Status.UNKNOWN, "Lost")),
    ],
)
def test_a_workload(phase: str, reason: str, ready: bool, status: PodStatus) -> None:
    assert pod_status(phase, reason, ready=ready, terminating=False, is_workload=True) == status


@pytest.mark.parametrize("reason", sorted(FAILING))
def test_a_failing_container_fails_its_pod(reason: str) -> None:
    assert pod_status("Running", reason, ready=False, terminating=False, is_workload=True) == PodStatus(Status.FAIL, reason)


def test_a_terminating_pod_is_neither_ready_nor_failed() -> None:
    known = pod_status("Running", "Error", ready=True, terminating=True, is_workload=True)
    assert known == PodStatus(Status.WAITING, "Terminating")


def test_a_ready_part_of_the_gpu_stack_is_called_ready() -> None:
    assert pod_status("Running", "", ready=True, terminating=False, is_workload=False).text == "Ready"
