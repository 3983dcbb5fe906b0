"""Time on a node's page: the timeline's window, a moment of the past, a comparison."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import quote

from django.urls import reverse

from fleet.selectors.history import rows as history_rows
from fleet.selectors.nodes import headline, ladder
from fleet.web.shell import time_range

if TYPE_CHECKING:
    from django.http import HttpRequest

    from fleet.selectors.nodes.views import NodeView
    from fleet.web.shell.time_range import TimeRange

_DAY = timedelta(days=1)


def window_of(request: HttpRequest, now: datetime, at: datetime | None = None, born: datetime | None = None) -> TimeRange:
    """The range of the timeline: that of the address, or 7 d, or 24 h for a node that is known (`born`) for less.

    It ends now; for a moment of the past before it, it lies around that moment. A custom range stays where it is.
    """
    default = "24h" if born is not None and now - born < _DAY else "7d"
    range_ = time_range.read(request, now, default=default)
    if at is None or range_.is_custom or at >= now - range_.length * 0.98:
        return range_
    until = min(now, at + range_.length * 0.3)
    return replace(range_, since=until - range_.length, until=until)


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
