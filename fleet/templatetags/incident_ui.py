"""Tags of incidents: `{% load incident_ui %}`. Words, links and the Markdown of a row."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from django import template
from django.conf import settings
from django.template import Context
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from fleet.domain.incidents.causes import GATHERED
from fleet.domain.incidents.commands import steps_in_context
from fleet.domain.incidents.summary import Summary, markdown
from fleet.domain.readiness.remedies import Step, parse_steps
from fleet.templatetags import formats, words

if TYPE_CHECKING:
    from fleet.models import FindingRow
    from fleet.selectors.incidents.affected import Affected
    from fleet.selectors.incidents.rows import IncidentRow, NodePlace
    from fleet.selectors.nodes.around import Around
    from fleet.selectors.nodes.headline import Headline
    from fleet.selectors.nodes.views import NodeView

register = template.Library()

_SHAPES_SHOWN = 3
_AROUND = timedelta(hours=1)


@register.simple_tag
def incident_steps(row: IncidentRow) -> tuple[Step, ...]:
    """Returns the steps of the cause's remedy, their commands for the incident's cluster."""
    return steps_in_context(parse_steps(row.remedy), row.cluster)


@register.filter
def finding_steps(finding: FindingRow) -> tuple[Step, ...]:
    """Returns the steps of a finding's remedy, their commands for its cluster."""
    return steps_in_context(parse_steps(finding.remedy), finding.cluster.name if finding.cluster else "")


@register.filter
def first_nodes(row: IncidentRow) -> tuple[NodePlace, ...]:
    """Returns the nodes with shapes before their number."""
    return row.nodes[:_SHAPES_SHOWN]


@register.filter
def incident_place(row: IncidentRow) -> str:
    """Returns its place besides the cluster: node, number of nodes, pool or class."""
    pools = f" · {', '.join(row.pools[:2])}" if row.pools else ""
    if row.node_count > 1:
        return f"{row.node_count:,} nodes{pools}"
    if not row.node_count:
        return row.key if row.subject in ("pool", "workload_class") else "whole cluster"
    return pools


@register.filter
def gpus_out_of_use(row: IncidentRow) -> str:
    """Returns how many physical GPUs it keeps out of use now."""
    if row.status == "resolved":
        return "resolved"
    if not row.gpus:
        return "none out of use"
    unknown = all(node.verdict == "unknown" for node in row.nodes)
    return f"{formats.plural(row.gpus, 'GPU')} {'unknown' if unknown else 'out of use'}"


@register.filter
def affected(row: IncidentRow) -> dict[str, str]:
    """Returns who is affected as {look, shape, text, detail}: pods that are down first."""
    affected = row.affected
    teams = _listed(affected.teams) or _listed(sorted({pod.namespace for pod in affected.pods}))
    detail = _listed(affected.classes)
    if row.rule in GATHERED:
        return {"look": "", "shape": "", "text": "None yet: set-up issue", "detail": ""}
    if affected.pods_down:
        return {
            "look": "not_ready", "shape": "cross", "detail": detail,
            "text": f"{formats.plural(affected.pods_down, 'pod')} down: {teams}",
        }  # fmt: skip
    if affected.pod_count:
        verb = "runs" if affected.pod_count == 1 else "run"
        text = f"{formats.plural(affected.pod_count, 'pod')} {verb} there: {teams}"
        return {"look": "", "shape": "", "text": text, "detail": detail}
    return {
        "look": "",
        "shape": "",
        "text": "No GPU pods there" if row.node_count else _USERS.get(row.subject, "Not known"),
        "detail": detail,
    }


@register.filter
def no_node(row: IncidentRow) -> str:
    """Returns what an incident without a node is about."""
    return {"pool": "Pool", "workload_class": "Class"}.get(row.subject, "No node")


_USERS = {"pool": "Users of this pool", "workload_class": "Teams that use this class"}


def _listed(names: Iterable[str], most: int = 2) -> str:
    rows = list(names)
    more = f" and {len(rows) - most} more" if len(rows) > most else ""
    return ", ".join(rows[:most]) + more


@register.simple_tag(takes_context=True)
def incident_markdown(context: Context, row: IncidentRow) -> str:
    """Returns the incident as Markdown for a ticket, with a link to it."""
    base = settings.PUBLIC_URL or context["request"].build_absolute_uri("/").rstrip("/")
    return markdown(
        Summary(
            cause=row.text,
            severity=words.word("severity", row.severity).word,
            cluster=row.cluster,
            nodes=[node.name for node in row.nodes],
            verdict=words.word("verdict", row.nodes[0].verdict).word if row.node_count == 1 else "",
            since=row.first_evidence_at,
            seen_at=row.seen_at if row.seen_later else None,
            effect=formats.plural(row.gpus, "GPU") if row.gpus else "",
            affected=" · ".join(part for part in (affected(row)["text"], affected(row)["detail"]) if part),
            steps=incident_steps(row),
            url=f"{base}{reverse('incident', args=(row.id,))}",
        )
    )


@register.filter
def history_around(row: IncidentRow) -> str:
    """Returns the address of History, from an hour before the first evidence to an hour after it."""
    since, until = (_stamp(row.first_evidence_at + hour) for hour in (-_AROUND, _AROUND))
    query = {"since": since, "until": until, **({"cluster": row.cluster} if row.cluster else {})}
    return f"{reverse('history')}?{urlencode(query)}"


@register.filter
def time_of_day(at: datetime) -> SafeString:
    """Returns `04:29`, UTC, where the day is stated beside it; the whole moment is in its title."""
    return format_html('<time datetime="{}" title="{}">{}</time>', _stamp(at), formats.moment(at), formats.clock(at, at))


def _stamp(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


@register.filter
def every(step: timedelta) -> str:
    """An interval in words: `hour`, `5 min`, `6 h`, `day`, `5 days`."""
    minutes = int(step.total_seconds() // 60)
    if minutes < 60:
        return f"{minutes} min"
    if minutes < 1_440:
        return "hour" if minutes == 60 else f"{minutes // 60} h"
    return "day" if minutes == 1_440 else f"{minutes // 1_440} days"


@register.filter
def lasted_words(row: IncidentRow) -> str:
    """Returns how long an incident that is over lasted."""
    return formats.duration((row.ended_at - row.first_evidence_at).total_seconds()) if row.ended_at else ""


@register.filter
def affected_words(affected: Affected) -> str:
    """Returns how many pods, teams and classes are affected."""
    if not affected.pod_count:
        return formats.plural(len(affected.classes), "class", "classes") if affected.classes else ""
    pods = (
        f"{affected.pods_down} of {formats.plural(affected.pod_count, 'GPU pod')} down"
        if affected.pods_down
        else (f"{formats.plural(affected.pod_count, 'GPU pod')}, none down")
    )
    parts = [pods]
    if affected.teams:
        parts.append(formats.plural(len(affected.teams), "team"))
    if affected.classes:
        parts.append(formats.plural(len(affected.classes), "class", "classes"))
    return ", ".join(parts)


@register.simple_tag(takes_context=True)
def node_markdown(context: Context, node: NodeView, headline: Headline, incident: IncidentRow | None, affected: Affected) -> str:
    """Returns the node as Markdown for a ticket: verdict, since, cause, affected, steps and a link to it."""
    base = settings.PUBLIC_URL or context["request"].build_absolute_uri("/").rstrip("/")
    missing = node.figures.missing
    verdict = words.word("verdict", node.figures.verdict).word
    return markdown(
        Summary(
            cause=headline.title,
            severity=words.word("severity", incident.severity).word if incident else verdict,
            cluster=node.cluster.name,
            nodes=[node.name],
            verdict=verdict,
            since=headline.since,
            seen_at=headline.seen_at,
            effect=formats.plural(missing, "GPU") if missing else "",
            affected=affected_words(affected),
            steps=headline.steps,
            url=f"{base}{reverse('node', args=(node.cluster.name, node.name))}",
        )
    )


@register.filter
def history_of(around: Around, node: NodeView) -> str:
    """Returns the address of History at the time around the moment a node broke."""
    query = {"since": _stamp(around.since), "until": _stamp(around.until), "cluster": node.cluster.name}
    return f"{reverse('history')}?{urlencode(query)}"


@register.simple_tag
def since_bar(headline: Headline, now: datetime) -> dict[str, float] | None:
    """Returns the widths of a headline's bar in percent: hatched until Muster saw it, then solid; None where both are one."""
    if headline.since is None or headline.seen_at is None or headline.is_past:
        return None
    whole = (now - headline.since).total_seconds()
    unseen = (headline.seen_at - headline.since).total_seconds()
    if whole <= 0 or unseen < 2 * settings.COLLECT_INTERVAL.total_seconds():
        return None
    width = round(95 * min(unseen / whole, 1.0), 1)
    return {"unseen": width, "seen_at": 5 + width, "seen": round(95 - width, 1)}
