"""What a node's page shows of its time: the timeline's window, a moment of the past, a comparison."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

from django.urls import reverse

from fleet.selectors import history, ladder

WINDOWS = (("24h", "24 h", timedelta(hours=24)), ("7d", "7 d", timedelta(days=7)), ("30d", "30 d", timedelta(days=30)))


@dataclass(frozen=True, slots=True)
class Window:
    name: str
    since: datetime
    until: datetime


def window_of(name: str, now: datetime, at: datetime | None = None, born: datetime | None = None) -> Window:
    """The window of that name that ends now; for a moment before it, one around that moment. For any other name 7 d, or 24 h
    for a node that is known (`born`) for less."""
    usual = WINDOWS[0] if born is not None and now - born < WINDOWS[0][2] else WINDOWS[1]
    chosen, _, length = next((one for one in WINDOWS if one[0] == name), usual)
    if at is None or at >= now - length * 0.98:
        return Window(chosen, now - length, now)
    until = min(now, at + length * 0.3)
    return Window(chosen, until - length, until)


def last_change(timeline: history.NodeTimeline, node: Any, now: datetime) -> datetime | None:
    """The newest moment at which the verdict or a fact changed; facts only as far as the window reaches."""
    moments = [one.since for one in timeline.verdicts if timeline.since <= one.since < now]
    moments += [one.at for one in timeline.changes if one.at < now]
    if node.verdict_since is not None and node.verdict_since < now:
        moments.append(node.verdict_since)
    return max(moments, default=None)


def moment_context(moment: history.NodeMoment) -> dict[str, Any]:
    """A node of the past as the page's parts take it."""
    numbers = {one["id"]: one["number"] for one in moment.node.rungs}
    verdict = moment.verdict
    rungs = [
        {
            "id": one.rung,
            "number": numbers.get(one.rung, place),
            "status": one.status,
            "reason": one.reason,
            "evidence": list(one.evidence),
        }
        for place, one in enumerate(moment.rungs)
    ]
    return {
        "moment": moment,
        "ladder": ladder.ladder_rows(rungs, verdict.broken_rung if verdict else "", verdict.verdict if verdict else "unknown"),
        "facts": [(section, sorted(moment.facts.get(section, {}).items())) for section in SECTIONS if moment.facts.get(section)],
    }


SECTIONS = ("taints", "allocatable", "capacity", "stack", "conditions", "node", "devices", "labels")


def comparisons(cluster: str, name: str, now: datetime, since: datetime | None) -> list[dict[str, str]]:
    """Comparisons worth one click."""
    url = reverse("node", args=(cluster, name))
    choices = [("The last hour", now - timedelta(hours=1)), ("The last 24 hours", now - timedelta(days=1))]
    if since is not None:
        choices.insert(0, ("Just before this verdict, and now", since - timedelta(seconds=1)))
    return [{"label": label, "url": f"{url}?from={quote(_stamp(start))}&to={quote(_stamp(now))}"} for label, start in choices]


def _stamp(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")
