"""What has become of granted requests: are they used, would what is missing still land, does their pool still keep its word."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from fleet.domain.asking import APPROVED, GRANTED
from fleet.domain.classes.workload import WorkloadClass as Promise
from fleet.domain.manifests.pods import CLASS_LABEL, NAME_LABEL
from fleet.domain.placement.headroom import headroom
from fleet.models import ClassRequest, Pod
from fleet.selectors import headroom as rooms
from fleet.selectors.requests import promised
from fleet.services import requests

GRACE = timedelta(minutes=3)
"""How long a request must be without room before anybody is told."""
Use = tuple[str, str, str]
"""Namespace, class and name of a workload, as the labels of its manifest tell them."""


@dataclass(frozen=True, slots=True)
class Used:
    """The pods of one workload that hold slots now."""

    pods: int
    slots: int
    since: datetime | None
    """When the first of them was made."""


def keep_up(now: datetime) -> None:
    """What time does to requests, then what has become of those that are granted."""
    requests.pass_time(now)
    check_all(now)


def check_all(now: datetime) -> int:
    """Looks at every granted request and returns how many were told something new. A request whose first pod is seen
    becomes active with that pod's own moment."""
    rows = list(
        ClassRequest.objects.filter(state__in=GRANTED).select_related("team", "requested_by", "class_version__workload_class")
    )
    if not rows:
        return 0
    used, here = uses(), rooms.stock(now)
    told = 0
    for row in rows:
        promise = promised(row)
        use = used.get((row.namespace, promise.slug, row.name), Used(0, 0, None))
        if row.state == APPROVED and use.since is not None:
            requests.mark_active(row.pk, max(use.since, row.decided_at or use.since))
        found = _check(row, promise, use, here)
        found |= _shortage(row, found, now)
        if found != {name: value for name, value in row.latest_check.items() if name != "at"}:
            _keep(row, found, now)
            told += 1
    return told


def _shortage(row: ClassRequest, found: dict[str, Any], now: datetime) -> dict[str, Any]:
    """Since when it would no longer land, and whether that was told: only after the grace, for pods come and go."""
    before = row.latest_check
    if found["fits"] and not found["reasons"]:
        return {"short_since": None, "short_told": False}
    since = before.get("short_since") or now.isoformat()
    lasts = now - datetime.fromisoformat(since) >= GRACE
    return {"short_since": since, "short_told": bool(before.get("short_told")) or lasts}


@transaction.atomic
def _keep(row: ClassRequest, found: dict[str, Any], now: datetime) -> None:
    """The check on its row; where it is news, a step of the request and a notice with it."""
    ClassRequest.objects.filter(pk=row.pk).update(latest_check={**found, "at": now.isoformat()})
    before = bool(row.latest_check.get("short_told"))
    if found["short_told"] and not before:
        requests.note_room(row, now, " ".join(found["reasons"]))
    elif before and not found["short_told"]:
        requests.note_room(row, now, "")


def uses() -> dict[Use, Used]:
    """What the pods that hold slots now say which class they use. One query."""
    found: dict[Use, list[tuple[int, datetime | None]]] = defaultdict(list)
    rows = Pod.objects.filter(removed_at__isnull=True, holds=True, snapshot__labels__has_key=CLASS_LABEL)
    for namespace, labels, slots, created_at in rows.values_list("namespace", "snapshot__labels", "slots", "created_at"):
        found[namespace, labels[CLASS_LABEL], labels.get(NAME_LABEL, "")].append((slots or 0, created_at))
    return {
        use: Used(
            pods=len(pods),
            slots=sum(slots for slots, _ in pods),
            since=min((made for _, made in pods if made is not None), default=None),
        )
        for use, pods in found.items()
    }


def _check(row: ClassRequest, promise: Promise, use: Used, here: rooms.Stock) -> dict[str, Any]:
    """Judged under the version of the class that was approved."""
    asked = rooms.class_asks(promise, here)
    room = headroom([ask.requirement for ask in asked], here.fleet)
    running = use.pods // promise.nodes
    missing = max(0, row.replicas - running)
    reasons = _reasons(promise, asked, missing, room.replicas, room.back)
    return {
        "fits": room.replicas >= missing,
        "running_replicas": running,
        "missing_replicas": missing,
        "could_land": room.replicas,
        "requested_slots": row.replicas * promise.gpus,
        "used_slots": use.slots,
        "unused_slots": max(0, row.replicas * promise.gpus - use.slots),
        "reasons": reasons,
    }


def _reasons(promise: Promise, asked: Sequence[Any], missing: int, now: int, back: int) -> list[str]:
    """Why it would no longer schedule, or no longer fits its pools, in sentences."""
    found = [ask.problem for ask in asked if ask.problem]
    if not asked:
        found.append("None of the pools it was approved for exists any more.")
    elif missing > now:
        plural = "s" if missing > 1 else ""
        found.append(f"{missing} replica{plural} of {promise.gpus} slots would have to land, and {now} could.")
        if back >= missing:
            found.append("Once broken nodes are back there is room for all of them.")
    return found
