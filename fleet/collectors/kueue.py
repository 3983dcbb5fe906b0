"""Reads the objects of Kueue (kueue.x-k8s.io v1beta1, v1beta2, v1). Fields that were renamed are read by either name."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from math import ceil

from fleet.collectors.wire import parse_time
from fleet.domain.placement.scheduler import terms
from fleet.domain.placement.scheduler.specs import pod_scheduling
from fleet.domain.placement.scheduler.terms import Spec, items, labels_of, mapping, text
from fleet.domain.pod_resources import amount_of
from fleet.domain.snapshot.nodes import Taint
from fleet.domain.snapshot.queues import (
    AdmissionCheck,
    ClusterQueue,
    Cohort,
    Flavor,
    FlavorQuota,
    LocalQueue,
    PodSet,
    Topology,
    Workload,
)
from fleet.domain.snapshot.scheduling import SchedulingObjects

_MOST_POD_SETS = 8
"""maxItems of podSets in the CRD."""
_MOST = 64
_MOST_POSITION = 10_000_000
_LONGEST_MESSAGE = 1_000
_SENT_BACK = frozenset({"PodsReadyTimeout", "AdmissionCheck"})
"""Reasons of condition Evicted after which a workload is ordered by its eviction (workload.Ordering.GetQueueOrderTimestamp)."""


def cluster_queue(manifest: Spec) -> ClusterQueue:
    meta, spec, status = parts(manifest)
    active, why = _active(status)
    reserved = _usage(status.get("flavorsReservation"))
    pending = status.get("pendingWorkloads")
    return ClusterQueue(
        name=text(meta.get("name")),
        cohort=text(spec.get("cohortName")) or text(spec.get("cohort")),
        strict=spec.get("queueingStrategy") == "StrictFIFO",
        fair=bool(mapping(spec.get("admissionScope"))),
        quotas=_quotas(spec, reserved),
        pending=pending if isinstance(pending, int) else None,
        active=active,
        why_inactive=why,
    )


def cohort(manifest: Spec) -> Cohort:
    meta, spec, _ = parts(manifest)
    parent = text(spec.get("parentName")) or text(spec.get("parent"))
    return Cohort(name=text(meta.get("name")), parent=parent, quotas=_quotas(spec, {}))


def local_queue(manifest: Spec) -> LocalQueue:
    meta, spec, status = parts(manifest)
    active, why = _active(status)
    return LocalQueue(
        namespace=text(meta.get("namespace")),
        name=text(meta.get("name")),
        cluster_queue=text(spec.get("clusterQueue")),
        stopped=text(spec.get("stopPolicy")) not in ("", "None"),
        active=active,
        why_inactive=why,
    )


def flavor(manifest: Spec) -> Flavor:
    meta, spec, _ = parts(manifest)
    return Flavor(
        name=text(meta.get("name")),
        labels=dict(list(labels_of(spec.get("nodeLabels")).items())[:_MOST]),
        taints=tuple(
            Taint(text(entry.get("key")), text(entry.get("value")), text(entry.get("effect")))
            for entry in items(spec.get("nodeTaints"))[:_MOST]
        ),
        tolerations=terms.tolerations(spec.get("tolerations"))[:_MOST],
        topology=text(spec.get("topologyName")),
    )


def topology(manifest: Spec) -> Topology:
    meta, spec, _ = parts(manifest)
    levels = (text(level.get("nodeLabel")) for level in items(spec.get("levels"))[:16])
    return Topology(name=text(meta.get("name")), levels=tuple(level for level in levels if level))


def workload(manifest: Spec) -> Workload | None:
    """Returns the workload; None for one that is finished."""
    meta, spec, status = parts(manifest)
    conditions = {text(entry.get("type")): entry for entry in items(status.get("conditions"))}
    if _is(conditions, "Finished"):
        return None
    admission = mapping(status.get("admission"))
    reserved = _is(conditions, "QuotaReserved")
    waits = mapping(conditions.get("QuotaReserved"))
    created = _time(meta.get("creationTimestamp"))
    priority = spec.get("priority")
    return Workload(
        namespace=text(meta.get("namespace")),
        name=text(meta.get("name")),
        uid=text(meta.get("uid")),
        queue=text(spec.get("queueName")),
        owners=tuple((text(o.get("kind")), text(o.get("name"))) for o in items(meta.get("ownerReferences"))[:_MOST]),
        created_at=created,
        queued_at=_queued_at(conditions) or created,
        priority=priority if isinstance(priority, int) else 0,
        active=spec.get("active") is not False,
        cluster_queue=text(admission.get("clusterQueue")) if reserved else "",
        admitted=reserved and _is(conditions, "Admitted"),
        reason="" if reserved else text(waits.get("reason")),
        message="" if reserved else text(waits.get("message"))[:_LONGEST_MESSAGE],
        checks=tuple(
            AdmissionCheck(text(c.get("name")), text(c.get("state")), text(c.get("message"))[:_LONGEST_MESSAGE])
            for c in items(status.get("admissionChecks"))[:_MOST_POD_SETS]
        ),
        requeue_at=_time(mapping(status.get("requeueState")).get("requeueAt")),
        pod_sets=_pod_sets(spec, status, admission if reserved else {}),
    )


def positions(summary: Spec) -> dict[tuple[str, str], int]:
    """Returns namespace and name of a pending workload to the number of those before it (visibility.kueue.x-k8s.io)."""
    rows = summary.get("items")
    places: dict[tuple[str, str], int] = {}
    for entry in rows if isinstance(rows, list) else ():
        meta, place = mapping(mapping(entry).get("metadata")), mapping(entry).get("positionInClusterQueue", 0)
        if isinstance(place, int) and 0 <= place <= _MOST_POSITION:
            places[text(meta.get("namespace")), text(meta.get("name"))] = place
    return places


def parts(manifest: Spec) -> tuple[Spec, Spec, Spec]:
    """Returns metadata, spec and status of an object."""
    return mapping(manifest.get("metadata")), mapping(manifest.get("spec")), mapping(manifest.get("status"))


def amounts(value: object) -> dict[str, int | None]:
    """Returns a ResourceList in the scheduler's units."""
    return {name: amount(name, quantity) for name, quantity in list(labels_of(value).items())[:_MOST]}


def amount(name: str, quantity: object) -> int | None:
    exact = amount_of(name, text(quantity))
    return None if exact is None else ceil(exact)


def _pod_sets(spec: Spec, status: Spec, admission: Spec) -> tuple[PodSet, ...]:
    """Returns the pod sets. Their requests are Kueue's own where it wrote them, else the template's times the count."""
    requested = {text(e.get("name")): mapping(e.get("resources")) for e in items(status.get("resourceRequests"))}
    assigned = {text(e.get("name")): e for e in items(admission.get("podSetAssignments"))}
    sets = []
    for entry in items(spec.get("podSets"))[:_MOST_POD_SETS]:
        name = text(entry.get("name")) or "main"
        count = entry.get("count", 1)
        count = count if isinstance(count, int) and 0 <= count <= _MOST_POSITION else 1
        if name in assigned:
            flavors = dict(list(labels_of(assigned[name].get("flavors")).items())[:_MOST])
            sets.append(PodSet(name=name, count=count, requests=amounts(assigned[name].get("resourceUsage")), flavors=flavors))
            continue
        template = mapping(entry.get("template"))
        pod = pod_scheduling(mapping(template.get("metadata")), mapping(template.get("spec")), SchedulingObjects())
        written = amounts(requested[name]) if name in requested else _times(pod.requests, count)
        sets.append(PodSet(name=name, count=count, requests=written, pod=pod))
    return tuple(sets)


def _times(requests: Mapping[str, int | None], count: int) -> dict[str, int | None]:
    return {name: None if each is None else each * count for name, each in requests.items()}


def _quotas(spec: Spec, reserved: Mapping[tuple[str, str], int | None]) -> tuple[FlavorQuota, ...]:
    rows = []
    for number, group in enumerate(items(spec.get("resourceGroups"))[:16]):
        for entry in items(group.get("flavors"))[:_MOST]:
            name = text(entry.get("name"))
            for quota in items(entry.get("resources"))[:_MOST]:
                resource = text(quota.get("name"))
                rows.append(
                    FlavorQuota(
                        group=number,
                        flavor=name,
                        resource=resource,
                        nominal=amount(resource, quota.get("nominalQuota")),
                        borrowing_limit=_limit(resource, quota.get("borrowingLimit")),
                        lending_limit=_limit(resource, quota.get("lendingLimit")),
                        reserved=reserved.get((name, resource), 0),
                    )
                )
    return tuple(rows[:256])


def _limit(resource: str, quantity: object) -> int | None:
    return None if quantity is None else amount(resource, quantity)


def _usage(value: object) -> dict[tuple[str, str], int | None]:
    """Returns (flavor, resource) to the amount in use."""
    return {
        (text(entry.get("name")), text(usage.get("name"))): amount(text(usage.get("name")), usage.get("total", 0))
        for entry in items(value)[:_MOST]
        for usage in items(entry.get("resources"))[:_MOST]
    }


def _active(status: Spec) -> tuple[bool | None, str]:
    """Returns whether the condition Active holds, and why not; None where it is not reported."""
    condition = next((entry for entry in items(status.get("conditions")) if entry.get("type") == "Active"), None)
    if condition is None or condition.get("status") not in ("True", "False"):
        return None, ""
    why = text(condition.get("message")) or text(condition.get("reason"))
    return condition.get("status") == "True", "" if condition.get("status") == "True" else why[:_LONGEST_MESSAGE]


def _is(conditions: Mapping[str, Spec], kind: str) -> bool:
    return mapping(conditions.get(kind)).get("status") == "True"


def _queued_at(conditions: Mapping[str, Spec]) -> datetime | None:
    evicted = mapping(conditions.get("Evicted"))
    if evicted.get("status") == "True" and evicted.get("reason") in _SENT_BACK:
        return _time(evicted.get("lastTransitionTime"))
    return None


def _time(value: object) -> datetime | None:
    return parse_time(text(value))
