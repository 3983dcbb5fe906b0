"""Pods that wait for GPUs, for page and API."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec

from fleet.domain.placement.pending import FreeingChange, Waiting, age_range, explain_waiting, freeing_changes, is_waiting
from fleet.domain.pod_resources import gpu_requests
from fleet.domain.snapshot import PodSnapshot
from fleet.models import Pod
from fleet.selectors.placement import headroom as rooms
from fleet.selectors.placement import queues
from fleet.selectors.placement.explain import cluster_views
from fleet.selectors.placement.process_cache import ProcessCache
from fleet.selectors.teams import by_namespace

MOST_PODS = 2_000
"""Pods of one answer, the oldest first; how many wait is always given."""
FILTERS = ("reason", "team", "age", "cluster")


@dataclass(frozen=True, slots=True)
class PendingPod:
    """One pod that waits."""

    waiting: Waiting
    team: str
    """Slug of the team whose namespace it is in; empty for none."""
    slots: int | None
    """GPU slots it requests; None where they are in a claim."""
    requests: Mapping[str, int]
    waited: timedelta | None
    queue: queues.QueueAnswer | None = None
    """Its place in a queue in front of the scheduler; None where there is none."""

    @property
    def values(self) -> dict[str, str]:
        """Returns the values that it is filtered by."""
        return {
            "reason": self.waiting.reason.id,
            "team": self.team,
            "age": age_range(self.waited),
            "cluster": self.waiting.cluster,
        }


@dataclass(frozen=True, slots=True)
class Pending:
    """Every pod that waits for GPUs now."""

    pods: tuple[PendingPod, ...]
    total: int
    """Pods that wait, shown or not."""
    queued: queues.QueuedWorkloads
    """Workloads that wait in queues; their pods may not exist yet."""
    as_of: datetime | None

    def chosen(self, filters: Mapping[str, str]) -> list[PendingPod]:
        """Returns the pods that match every filter that is given; "none" is no team."""
        wanted = {name: "" if name == "team" and value == "none" else value for name, value in filters.items()}
        return [pod for pod in self.pods if all(pod.values[name] == value for name, value in wanted.items())]

    def counts(self, filters: Mapping[str, str]) -> dict[str, Counter[str]]:
        """Returns pods by each value of a filter, under the other filters."""
        rows: dict[str, Counter[str]] = {}
        for name in FILTERS:
            others = {key: value for key, value in filters.items() if key != name}
            rows[name] = Counter(pod.values[name] for pod in self.chosen(others))
        return rows

    @staticmethod
    def changes(pods: Iterable[PendingPod]) -> list[FreeingChange]:
        """Returns the changes after which pods would fit, the one for most pods first."""
        return freeing_changes(pod.waiting for pod in pods)


@dataclass(frozen=True, slots=True)
class _Read:
    rows: tuple[tuple[Waiting, queues.QueueAnswer | None], ...]
    total: int
    queued: queues.QueuedWorkloads


_answers: ProcessCache[_Read] = ProcessCache()


def pending(now: datetime) -> Pending:
    """Returns the pods that wait for GPUs, the oldest first. The answers are cached in the process until data change."""
    stock = rooms.stock(now)
    read = _answers.get(stock.version, lambda: _read(now))
    teams = by_namespace()
    pods = tuple(_row(waiting, queue, teams, now) for waiting, queue in read.rows)
    return Pending(pods, read.total, read.queued, stock.as_of)


def _read(now: datetime) -> _Read:
    rows = Pod.objects.filter(node__isnull=True, removed_at__isnull=True, phase="Pending", cluster__removed_at__isnull=True)
    pods = []
    for cluster, snapshot in rows.order_by("created_at", "pk").values_list("cluster__name", "snapshot"):
        pod = msgspec.convert(snapshot, PodSnapshot, strict=False)
        if is_waiting(pod):
            pods.append((cluster, pod))
    views = cluster_views(now)
    waiting = explain_waiting(pods[:MOST_PODS], views)
    places = queues.of_pods([(row.cluster, row.pod) for row in waiting], views)
    return _Read(tuple(zip(waiting, places, strict=True)), len(pods), queues.queued(views))


def _row(waiting: Waiting, queue: queues.QueueAnswer | None, teams: Mapping[str, str], now: datetime) -> PendingPod:
    pod = waiting.pod
    requests = gpu_requests(pod)
    return PendingPod(
        waiting=waiting,
        team=teams.get(pod.namespace, ""),
        slots=sum(requests.values()) if requests else None,
        requests=requests,
        waited=None if pod.created_at is None else max(now - pod.created_at, timedelta()),
        queue=queue,
    )


def row_json(row: PendingPod) -> dict[str, object]:
    """Returns one pod as the API gives it."""
    pod, change = row.waiting.pod, row.waiting.change
    return {
        "cluster": row.waiting.cluster,
        "namespace": pod.namespace,
        "name": pod.name,
        "team": row.team or None,
        "slots": row.slots,
        "requests": dict(row.requests),
        "created_at": pod.created_at,
        "waiting_s": None if row.waited is None else int(row.waited.total_seconds()),
        "reason": {"id": row.waiting.reason.id, "text": row.waiting.reason.text},
        "headline": row.waiting.explanation.headline if row.waiting.explanation else None,
        "change": None
        if change is None or change.change is None
        else {"text": f"{change.change.title}.", "patch": change.change.patch or None, "nodes": change.opens or 0},
        "scheduler_message": pod.message or None,
        "queue": queues.as_json(row.queue) if row.queue else None,
    }


def change_json(change: FreeingChange) -> dict[str, object]:
    return {"text": f"{change.title}.", "patch": change.patch or None, "pods": change.pods, "nodes": change.nodes}
