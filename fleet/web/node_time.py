"""Time on a node's page: the timeline's window, a moment of the past, a comparison."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import quote

from django.urls import reverse

from fleet.selectors.history import rows as history_rows
from fleet.selectors.nodes import headline, ladder

if TYPE_CHECKING:
    from fleet.selectors.nodes.views import NodeView

WINDOWS = (
    ("1h", "1 h", timedelta(hours=1)),
    ("6h", "6 h", timedelta(hours=6)),
    ("24h", "24 h", timedelta(hours=24)),
    ("7d", "7 d", timedelta(days=7)),
    ("30d", "30 d", timedelta(days=30)),
    ("90d", "90 d", timedelta(days=90)),
)
_DAY, _WEEK = WINDOWS[2], WINDOWS[3]


@dataclass(frozen=True, slots=True)
class Window:
    name: str
    since: datetime
    until: datetime


def window_of(name: str, now: datetime, at: datetime | None = None, born: datetime | None = None) -> Window:
    """The window of that name that ends now; for a moment before it, one around that moment.

    For any other name 7 d, or 24 h for a node that is known (`born`) for less.
    """
    usual = _DAY if born is not None and now - born < _DAY[2] else _WEEK
    chosen, _, length = next((item for item in WINDOWS if item[0] == name), usual)
    if at is None or at >= now - length * 0.98:
        return Window(chosen, now - length, now)
    until = min(now, at + length * 0.3)
    return Window(chosen, until - length, until)


def last_change(timeline: history_rows.NodeTimeline, node: NodeView, now: datetime) -> datetime | None:
    """The newest moment at which the verdict or a fact changed; facts only as far as the window reaches."""
    moments = [verdict.since for verdict in timeline.verdicts if timeline.since <= verdict.since < now]
    moments += [change.at for change in timeline.changes if change.at < now]
    if node.verdict_since is not None and node.verdict_since < now:
        moments.append(node.verdict_since)
    return max(moments, default=None)


def moment_context(then: NodeView, moment: history_rows.NodeMoment) -> dict[str, object]:
    """Returns a node of the past as the page's parts take it: then (NodeView), moment, headline, ladder, facts by section."""
    figures = then.figures
    return {
        "then": then,
        "moment": moment,
        "headline": headline.past_headline(moment),
        "ladder": ladder.ladder_rows(then.rungs, figures.broken_rung, figures.verdict),
        "facts": [(section, sorted(moment.facts.get(section, {}).items())) for section in SECTIONS if moment.facts.get(section)],
    }


SECTIONS = ("taints", "allocatable", "capacity", "stack", "conditions", "node", "devices", "labels")


def comparisons(node: NodeView, now: datetime) -> list[dict[str, str]]:
    """Suggested comparisons."""
    url, since = reverse("node", args=(node.cluster.name, node.name)), node.verdict_since
    choices = [("The last hour", now - timedelta(hours=1)), ("The last 24 hours", now - timedelta(days=1))]
    if since is not None:
        choices.insert(0, ("Just before this verdict, and now", since - timedelta(seconds=1)))
    return [{"label": label, "url": f"{url}?from={quote(_stamp(start))}&to={quote(_stamp(now))}"} for label, start in choices]


def _stamp(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")
