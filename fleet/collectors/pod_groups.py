"""Reads PodGroups and Queues of Volcano (scheduling.volcano.sh v1beta1) and KAI (scheduling.run.ai v2alpha2 and v2)."""

from __future__ import annotations

from math import ceil
from typing import Any

from fleet.collectors.kueue import amount, amounts, parts
from fleet.collectors.wire import parse_time
from fleet.domain.placement.scheduler.terms import Spec, items, labels_of, mapping, text
from fleet.domain.snapshot.queues import KAI, VOLCANO, BatchQueue, PodGroup

GPU = "nvidia.com/gpu"
_LONGEST_MESSAGE = 1_000
_UNLIMITED = -1
"""KAI writes it for a limit or quota without bound."""
_KAI_RESOURCES = {"gpu": (GPU, 1), "cpu": ("cpu", 1), "memory": ("memory", 10**6)}
"""Field of a KAI queue to the resource and the scheduler's units of one of its units: GPUs, millicores, megabytes."""


def volcano_group(manifest: Spec) -> PodGroup | None:
    """Returns the group; None for a completed one."""
    meta, spec, status = parts(manifest)
    phase = text(status.get("phase"))
    if phase == "Completed":
        return None
    condition = _last(status.get("conditions"), "Unschedulable")
    requests = amounts(spec.get("minResources"))
    return PodGroup(
        system=VOLCANO,
        namespace=text(meta.get("namespace")),
        name=text(meta.get("name")),
        queue=text(spec.get("queue")) or "default",
        created_at=parse_time(text(meta.get("creationTimestamp"))),
        priority_class=text(spec.get("priorityClassName")),
        phase=phase,
        min_member=_count(spec.get("minMember"), 1),
        running=_count(status.get("running"), 0),
        # Volcano also accepts names with the prefix `requests.` or `limits.` of a ResourceQuota; only plain names are read.
        requests={name: value for name, value in requests.items() if not name.startswith(("requests.", "limits."))},
        message=text(condition.get("message"))[:_LONGEST_MESSAGE],
        blocked=condition.get("status") == "True" and phase in ("", "Pending", "Inqueue", "Unknown"),
    )


def kai_group(manifest: Spec) -> PodGroup:
    meta, spec, status = parts(manifest)
    condition = _last(status.get("schedulingConditions"), "UnschedulableOnNodePool")
    reasons = [text(reason.get("message")) for reason in items(condition.get("reasons"))]
    message = " ".join(reason for reason in reasons if reason) or text(condition.get("message"))
    return PodGroup(
        system=KAI,
        namespace=text(meta.get("namespace")),
        name=text(meta.get("name")),
        queue=text(spec.get("queue")),
        created_at=parse_time(text(meta.get("creationTimestamp"))),
        priority_class=text(spec.get("priorityClassName")),
        phase=text(status.get("phase")),
        min_member=_count(spec.get("minMember"), 1),
        running=_count(status.get("running"), 0),
        message=message[:_LONGEST_MESSAGE],
        blocked=condition.get("status") == "True",
    )


def volcano_queue(manifest: Spec) -> BatchQueue:
    meta, spec, status = parts(manifest)
    return BatchQueue(
        system=VOLCANO,
        name=text(meta.get("name")),
        parent=text(spec.get("parent")),
        state=text(status.get("state")),
        limits=amounts(spec.get("capability")),
        allocated=amounts(status.get("allocated")),
    )


def kai_queue(manifest: Spec) -> BatchQueue:
    meta, spec, status = parts(manifest)
    resources = mapping(spec.get("resources"))
    return BatchQueue(
        system=KAI,
        name=text(meta.get("name")),
        parent=text(spec.get("parentQueue")),
        limits=_of_field(resources, "limit"),
        quota=_of_field(resources, "quota"),
        allocated={name: amount(name, value) for name, value in labels_of(status.get("allocated")).items() if name == GPU},
    )


def _of_field(resources: Spec, field: str) -> dict[str, int | None]:
    """Returns resource to the value of a field in whole units, rounded up; an unlimited one is left out.

    KAI hands out fractions of GPUs: 0.5 is written where half a GPU is the limit.
    """
    values: dict[str, int | None] = {}
    for name, (resource, unit) in _KAI_RESOURCES.items():
        value: Any = mapping(resources.get(name)).get(field)
        if isinstance(value, int | float) and not isinstance(value, bool) and value != _UNLIMITED and 0 <= value < 2**53:
            values[resource] = ceil(value * unit)
    return values


def _last(value: object, kind: str) -> Spec:
    """Returns the condition of a type that was written last."""
    conditions = [entry for entry in items(value) if entry.get("type") == kind]
    return max(conditions, key=lambda entry: text(entry.get("lastTransitionTime")), default={})


def _count(value: object, default: int) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31 else default
