"""Pending GPU pods: all that wait, by reason, age and team, with the one change that would let most of them land."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone

from fleet.domain.placement.pending import AGES
from fleet.selectors import clusters
from fleet.selectors.placement import pending as select
from fleet.selectors.pools import pools
from fleet.web.shell.render import render_page

SHOWN_PODS, SHOWN_CHANGES, SHOWN_VALUES, SHOWN_QUEUED = 200, 5, 12, 50
_TITLES = {"reason": "By reason", "age": "By age", "team": "By team", "cluster": "By cluster"}
_REASONS = {
    "admission": "Refused by the API server",
    "gate": "Held by a scheduling gate or another scheduler",
    "unschedulable": "Cordoned nodes",
    "taint": "Taint not tolerated",
    "selector": "Labels do not match nodeSelector",
    "affinity": "Node affinity does not match",
    "host_port": "Host port in use",
    "resources": "Not enough free",
    "volume": "Volumes",
    "topology_spread": "Topology spread",
    "pod_affinity": "Pod affinity or anti-affinity",
    "dra": "No such devices (DRA)",
    "quota": "Quota",
    "fits": "Fits now, not placed yet",
    "unknown": "Unknown",
    "not_evaluated": "Not evaluated",
    "no_nodes": "No GPU nodes known",
}


@dataclass(frozen=True, slots=True)
class Choice:
    """One value of a filter with the number of pods, and the address that selects or clears it."""

    label: str
    pods: int
    url: str
    chosen: bool


@dataclass(frozen=True, slots=True)
class Filter:
    title: str
    choices: tuple[Choice, ...]


def pending_page(request: HttpRequest) -> HttpResponse:
    """Shows pods that wait for GPUs.

    Context: answer (select.Pending), pods (the chosen [PendingPod], SHOWN_PODS at most), chosen (their number), slots (that
    the chosen request, None where none is known), changes ([FreeingChange]), filters ([Filter]), filtered (bool), queued
    (selectors.queues.QueuedWorkloads) and queued_rows (its first SHOWN_QUEUED), now.
    """
    now = timezone.now()
    given = {name: request.GET[name] for name in select.FILTERS if request.GET.get(name)}

    def context() -> dict[str, object]:
        answer = select.pending(now)
        pods = answer.chosen(given)
        slots = [pod.slots for pod in pods if pod.slots is not None]
        return {
            "answer": answer,
            "pods": pods[:SHOWN_PODS],
            "chosen": len(pods),
            "slots": sum(slots) if slots else None,
            "changes": answer.changes(pods)[:SHOWN_CHANGES],
            "filters": _filters(answer, given),
            "filtered": bool(given),
            "queued": answer.queued,
            "queued_rows": answer.queued.rows[:SHOWN_QUEUED],
            "now": now,
        }

    etag = f"{clusters.data_version()}:{pools.version()}:{now:%Y%m%d%H%M}"
    return render_page(request, "pending/list.html", "pending/_list.html", context, etag=etag)


def _filters(answer: select.Pending, given: Mapping[str, str]) -> list[Filter]:
    counts = answer.counts(given)
    return [
        Filter(title, tuple(_choice(name, value, number, given) for value, number in _ordered(name, counts[name])))
        for name, title in _TITLES.items()
    ]


def _ordered(name: str, counts: Mapping[str, int]) -> list[tuple[str, int]]:
    """Returns the values, ages from old to young, all else by number of pods."""
    if name == "age":
        ranges = [*(title for title, _ in reversed(AGES)), "unknown"]
        return [(title, counts[title]) for title in ranges if counts.get(title)]
    return sorted(counts.items(), key=lambda row: (-row[1], row[0]))[:SHOWN_VALUES]


def _choice(name: str, value: str, pods: int, given: Mapping[str, str]) -> Choice:
    written = value or "none"
    chosen = given.get(name) == written
    query = {key: text for key, text in given.items() if key != name} | ({} if chosen else {name: written})
    label = _REASONS.get(value, value) if name == "reason" else value or "No team"
    url = f"{reverse('pending')}?{urlencode(query)}" if query else reverse("pending")
    return Choice(label=label, pods=pods, url=url, chosen=chosen)
