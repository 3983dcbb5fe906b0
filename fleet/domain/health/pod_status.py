"""Status of a pod in a list of pods: ready and finished pods pass, pending ones wait, failing ones name their reason.

In: phase, readiness and reason of a pod. Out: a Status and the word beside it. Whether the pod uses GPUs rightly is not judged.
"""

from __future__ import annotations

import msgspec

from fleet.domain.findings import Status

FAILING = frozenset(
    {
        "CrashLoopBackOff",
        "ImagePullBackOff",
        "ErrImagePull",
        "CreateContainerError",
        "CreateContainerConfigError",
        "RunContainerError",
        "OOMKilled",
        "Error",
        "UnexpectedAdmissionError",
    }
)
"""Reasons of the kubelet after which a container does not come up by itself."""


class PodStatus(msgspec.Struct, frozen=True, gc=False):
    """A status and the word shown for it."""

    status: Status
    text: str


def pod_status(phase: str, reason: str, *, ready: bool, terminating: bool, is_workload: bool) -> PodStatus:
    """Returns the status of a pod. A ready workload is `Running`, a ready part of the GPU stack `Ready`."""
    if terminating:
        return PodStatus(Status.WAITING, "Terminating")
    if phase == "Succeeded":
        return PodStatus(Status.NOT_APPLICABLE, "Finished")
    if ready:
        return PodStatus(Status.PASS, "Running" if is_workload else "Ready")
    if phase == "Failed" or reason in FAILING:
        return PodStatus(Status.FAIL, reason or "Failed")
    if phase in ("Pending", "Running"):
        return PodStatus(Status.WAITING, reason or ("Not ready" if phase == "Running" else "Pending"))
    return PodStatus(Status.UNKNOWN, reason or phase or "Unknown")
