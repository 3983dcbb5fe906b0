"""Checks granted requests: whether they are used, still fit, and their pool still meets its definition."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db import transaction

from fleet.domain.access_requests.workflow import APPROVED, GRANTED
from fleet.domain.classes.workload import ClassSpec
from fleet.domain.manifests.parameters import CLASS_LABEL, NAME_LABEL
from fleet.models import AccessRequest, Pod
from fleet.selectors.access_requests.access_requests import requested_spec
from fleet.selectors.dra import ClaimKey, Held, gpus_held_by_claims
from fleet.selectors.placement import headroom as rooms
from fleet.services import access_requests

GRACE = timedelta(minutes=3)
"""How long a request must be without room before a notification."""
Use = tuple[str, str, str]
"""Namespace, class and name of a workload, from the labels of its manifest."""


@dataclass(frozen=True, slots=True)
class Used:
    """The pods of one workload that hold slots now."""

    pods: int
    slots: int
    devices: int
    """GPU devices, or shares of them, that resource claims of pods without slots of a resource name hold."""
    unknown: int
    """Pods of which neither slots nor devices are known."""
    since: datetime | None
    """When the first of them was created."""


def keep_up(now: datetime) -> None:
    """Moves requests that are due to their next state, then checks those that are granted."""
    access_requests.pass_time(now)
    check_all(now)


def check_all(now: datetime) -> int:
    """Checks every granted request and returns how many checks changed.

    A request becomes active at the creation of its first pod.
    """
    rows = list(
        AccessRequest.objects.filter(state__in=GRANTED).select_related("team", "requested_by", "class_version__workload_class")
    )
    if not rows:
        return 0
    used, result = uses(), rooms.stock(now)
    answer = 0
    for row in rows:
        class_spec = requested_spec(row)
        use = used.get((row.namespace, class_spec.slug, row.name), Used(0, 0, 0, 0, None))
        if row.state == APPROVED and use.since is not None:
            access_requests.mark_active(row.pk, max(use.since, row.decided_at or use.since))
        check = _check(row, class_spec, use, result)
        check |= _shortage(row, check, now)
        if check != {name: value for name, value in row.latest_check.items() if name != "at"}:
            _keep(row, check, now)
            answer += 1
    return answer


def _shortage(row: AccessRequest, item: dict[str, Any], now: datetime) -> dict[str, Any]:
    """Returns since when the request no longer fits, and whether that was notified: only after the grace, as pods come and go."""
    before = row.latest_check
    if item["fits"] and not item["reasons"]:
        return {"short_since": None, "short_told": False}
    since = before.get("short_since") or now.isoformat()
    lasts = now - datetime.fromisoformat(since) >= GRACE
    return {"short_since": since, "short_told": bool(before.get("short_told")) or lasts}


@transaction.atomic
def _keep(row: AccessRequest, item: dict[str, Any], now: datetime) -> None:
    """Stores the check; where room changed, adds a step of the request and its event."""
    AccessRequest.objects.filter(pk=row.pk).update(latest_check={**item, "at": now.isoformat()})
    before = bool(row.latest_check.get("short_told"))
    if item["short_told"] and not before:
        access_requests.note_room(row, now, " ".join(item["reasons"]))
    elif before and not item["short_told"]:
        access_requests.note_room(row, now, "")


def uses() -> dict[Use, Used]:
    """Returns what pods that hold devices use, by the class and workload that their labels name. Two queries."""
    rows = Pod.objects.filter(removed_at__isnull=True, holds=True, snapshot__labels__has_key=CLASS_LABEL)
    pods = [_HoldingPod(*row) for row in rows.values_list(*_FIELDS)]
    held = gpus_held_by_claims({pod.node_id for pod in pods if pod.by_claims and pod.node_id is not None})
    result: dict[Use, list[_HoldingPod]] = defaultdict(list)
    for pod in pods:
        result[pod.namespace, pod.labels[CLASS_LABEL], pod.labels.get(NAME_LABEL, "")].append(pod)
    return {use: _used(of_use, held) for use, of_use in result.items()}


class _HoldingPod(NamedTuple):
    cluster_id: int
    node_id: int | None
    namespace: str
    labels: dict[str, str]
    slots: int | None
    requests: dict[str, int]
    claims: list[str] | None
    created_at: datetime | None

    @property
    def by_claims(self) -> bool:
        """Whether it holds no slots of a resource name: what its claims hold is counted instead."""
        return not self.requests and bool(self.claims)


_FIELDS = ("cluster_id", "node_id", "namespace", "snapshot__labels", "slots", "requests", "snapshot__claims", "created_at")


def _used(pods: Sequence[_HoldingPod], held: Mapping[ClaimKey, set[Held]]) -> Used:
    """Adds up the pods of one workload. A claim that several of them share counts once."""
    devices: set[tuple[int, Held]] = set()
    unknown = 0
    for pod in pods:
        if not pod.by_claims:
            unknown += pod.slots is None
            continue
        # Claims of network cards hold no GPU. Where none of its claims is known to hold one, what the pod uses is unknown.
        own = {
            (pod.cluster_id, device)
            for name in pod.claims or ()
            for device in held.get((pod.cluster_id, pod.namespace, name), ())
        }
        devices |= own
        unknown += not own
    return Used(
        pods=len(pods),
        slots=sum(pod.slots or 0 for pod in pods if not pod.by_claims),
        devices=len(devices),
        unknown=unknown,
        since=min((pod.created_at for pod in pods if pod.created_at is not None), default=None),
    )


def _check(row: AccessRequest, class_spec: ClassSpec, use: Used, stock: rooms.Stock) -> dict[str, Any]:
    """Evaluated with the version of the class that was approved."""
    asked = rooms.class_in_pools(class_spec, stock)
    room = rooms.room_of_workload(class_spec, row.namespace, row.name, stock)
    running = use.pods // class_spec.nodes
    used = None if use.unknown else use.slots + use.devices
    missing = max(0, row.replicas - running)
    reasons = _reasons(class_spec, asked, missing, room.replicas, room.back)
    return {
        "fits": room.replicas >= missing,
        "running_replicas": running,
        "missing_replicas": missing,
        "could_land": room.replicas,
        "requested_slots": row.replicas * class_spec.gpus,
        "used_slots": used,
        "unused_slots": None if used is None else max(0, row.replicas * class_spec.gpus - used),
        "reasons": reasons,
    }


def _reasons(class_spec: ClassSpec, asked: Sequence[Any], missing: int, now: int, back: int) -> list[str]:
    """Why it would no longer schedule, or no longer fits its pools, in sentences."""
    reasons = [in_pool.problem for in_pool in asked if in_pool.problem]
    if not asked:
        reasons.append("None of the pools it was approved for exists any more.")
    elif missing > now:
        plural = "s" if missing > 1 else ""
        reasons.append(f"{missing} replica{plural} of {class_spec.gpus} slots would have to land, and {now} could.")
        if back >= missing:
            reasons.append("Once broken nodes are back there is room for all of them.")
    return reasons
