"""Tags of nodes, clusters and their rows: `{% load fleet_ui %}`. They turn facts into the context of components."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlencode

from django import template
from django.template import Context
from django.urls import reverse

from fleet.domain.audit import sentences
from fleet.domain.evaluation import registry
from fleet.domain.evaluation.node_capacity import Capacity, resource_capacity
from fleet.domain.evaluation.shares import expected_shares
from fleet.domain.readiness.wording import rung_number
from fleet.templatetags import bar_ui, words

if TYPE_CHECKING:
    from django.http import QueryDict

    from fleet.domain.evaluation.fleet_figures import FleetFigures, MissingGpus, ModeFigures
    from fleet.models import FindingRow
    from fleet.selectors.facets import Facet
    from fleet.selectors.history.rows import Change

register = template.Library()


FACET_LABELS = {
    "cluster": "Cluster",
    "pool": "Pool",
    "verdict": "Verdict",
    "broken_rung": "First broken rung",
    "state": "State",
    "product": "Product",
    "mode": "Sharing mode",
    "workload_class": "Class",
    "zone": "Zone",
    "driver": "Driver",
    "sso": "Single sign-on",
    "service": "Service account",
}
_YES_NO = {"true": "Yes", "false": "No"}
_CHANGE_ICONS = {
    "labels": "tag",
    "taints": "ban",
    "capacity": "cpu",
    "allocatable": "cpu",
    "devices": "cpu",
    "conditions": "activity",
    "stack": "package",
    "node": "server",
}


# --- lists and links ----------------------------------------------------------------------------------------------


@register.simple_tag
def nodes_url(**filters: object) -> str:
    """The list of nodes under these filters; a value that is empty is the facet value `unknown`."""
    query = urlencode({key: value if value not in (None, "") else "unknown" for key, value in filters.items()})
    return f"{reverse('nodes')}?{query}" if query else reverse("nodes")


@register.simple_tag
def finding_url(finding: FindingRow) -> str:
    """Returns the page of what a finding is about: its node, pool or class; empty where there is none."""
    if finding.node is not None:
        return reverse("node", args=(finding.node.cluster.name, finding.node.name))
    page = {"pool": "pool", "workload_class": "class"}.get(finding.subject)
    return reverse(page, args=(finding.key,)) if page and finding.cluster_id is None else ""


@register.filter
def facet_label(name: str) -> str:
    return FACET_LABELS.get(name, name.replace("_", " ").capitalize())


@register.simple_tag
def facet_rows(facet: Facet) -> list[dict[str, object]]:
    """A facet's values with their words: state values by name, other values unchanged."""
    rows = []
    for item in facet.values:
        known = _KNOWN.get(facet.name, {}).get(item.value)
        label = known.word if known else "unknown" if item.value == "unknown" else item.value
        if facet.name == "rule":
            label = registry.title(item.value)
        elif facet.name == "action":
            label = sentences.label(item.value)
        elif facet.name in _NONE_OF:
            label = _NONE_OF[facet.name].get(item.value, item.value)
        elif facet.name in ("status", "role"):
            label = item.value.capitalize()
        elif facet.name in ("active", "sso", "service"):
            label = _YES_NO.get(item.value, item.value)
        rows.append({"value": item.value, "label": label, "count": item.count, "chosen": item.chosen, "word": known})
    return rows


@register.filter
def chosen_count(facet: Facet) -> int:
    return sum(1 for item in facet.values if item.chosen)


@register.simple_tag
def active_filters(params: QueryDict, *not_filters: str) -> list[dict[str, str]]:
    """The active filters, each with the address without it: [{key, label, value, text, url}]. Addresses are relative."""
    rows = []
    for key, values in params.lists():
        if key in _NO_FILTERS or key in not_filters:
            continue
        for value in filter(None, values):
            without = params.copy()
            without.setlist(key, [other for other in values if other != value])
            without.pop("page", None)
            label = _FILTER_LABELS.get(key) or facet_label(key)
            url = f"?{without.urlencode()}"
            rows.append({"key": key, "label": label, "value": value, "text": filter_text(key, value), "url": url})
    return rows


def filter_text(key: str, value: str) -> str:
    """A filter's value in words."""
    known = _KNOWN.get(key, {}).get(value)
    if known:
        return known.word
    match key:
        case "rule":
            return registry.title(value)
        case "action":
            return sentences.label(value)
        case "rung" if ":" in value:
            return _rung_text(value)
        case "pool" | "team":
            return _NONE_OF[key].get(value, value)
    return {"true": "yes", "false": "no"}.get(value, value)


_NONE_OF = {"pool": {"none": "In no pool", "clash": "In two exclusive pools"}, "team": {"none": "Used by no team"}}
_FILTER_LABELS = {
    "q": "Search",
    "missing": "GPUs missing",
    "not_advertised": "GPUs not advertised",
    "counted": "GPUs counted",
    "excluded": "Excluded on purpose",
    "removed": "Removed",
}


def _rung_text(value: str) -> str:
    """`driver_loaded:fail` → driver_loaded: fail."""
    rung, _, partition = value.partition(":")
    return f"{rung}: {words.word('status', partition).word.lower()}"


_KNOWN = {"state": {**words.STATES, **words.REQUESTS}, "verdict": words.VERDICTS, "severity": words.SEVERITIES}
_NO_FILTERS = frozenset({"page", "sort", "columns", "removed", "q", "by", "within"})


class Column(Protocol):
    """A column of a list."""

    @property
    def name(self) -> str: ...
    @property
    def number(self) -> bool: ...


class Sort(Protocol):
    """The column that a list is sorted by."""

    @property
    def name(self) -> str: ...
    @property
    def descending(self) -> bool: ...


@register.simple_tag(takes_context=True)
def sort_link(context: Context, column: Column, sort: Sort) -> dict[str, str]:
    """The context of a column's header: {url, sorted, css}. A click sorts upwards, a second one downwards."""
    result = sort.name == column.name
    turned = context["request"].GET.copy()
    turned.pop("page", None)
    turned["sort"] = f"-{column.name}" if result and not sort.descending else column.name
    sorted_how = ("descending" if sort.descending else "ascending") if result else ""
    css = f"col-{column.name}{' num' if column.number else ''}"
    return {"url": f"?{turned.urlencode()}", "sorted": sorted_how, "css": css}


@register.simple_tag(takes_context=True)
def segments(context: Context, choices: Iterable[tuple[str, str]], chosen: str, parameter: str) -> list[dict[str, object]]:
    """A choice between a few values, as links that change one parameter of the page's address, for components/_segmented.html."""
    rows = []
    for value, label in choices:
        turned = context["request"].GET.copy()
        turned[parameter] = value
        rows.append({"label": label, "url": f"?{turned.urlencode()}", "current": value == chosen})
    return rows


@register.simple_tag
def column_url(params: QueryDict, chosen: Sequence[Column], everything: Sequence[Column], name: str) -> str:
    """The list's address with the column `name` added, or dropped where it is shown."""
    names = {column.name for column in chosen} ^ {name}
    turned = params.copy()
    turned.pop("page", None)
    turned["columns"] = ",".join(column.name for column in everything if column.name in names)
    return f"{reverse('nodes')}?{turned.urlencode()}"


# --- figures ------------------------------------------------------------------------------------------------------


@register.filter
def usable_bar(figures: FleetFigures) -> list[bar_ui.Segment]:
    """Returns the expected physical GPUs as segments of a bar: usable, usable on degraded nodes, and missing by verdict."""
    segments = []
    for share in expected_shares(figures):
        known = words.word("verdict", share.verdict)
        if share.is_usable:
            word = "Usable" if share.verdict == "ready" else f"Usable on {known.word.lower()} nodes"
            segments.append(bar_ui.Segment(share.count, word, f"v-{known.look}"))
        elif share.verdict == "ready":
            segments.append(bar_ui.Segment(share.count, "Missing on ready nodes", "v-unknown"))
        else:
            segments.append(bar_ui.Segment(share.count, f"Missing, {known.word.lower()}", f"v-{known.look}"))
    return segments


@register.filter
def missing_query(row: MissingGpus) -> str:
    """The list of exactly the nodes behind one reason of the missing GPUs."""
    query = {"verdict": row.verdict, "missing": "true"}
    if row.blames_a_rung:
        query["broken_rung"] = row.broken_rung or "unknown"
    return f"{reverse('nodes')}?{urlencode(query)}"


register.filter("rung_number", rung_number)
register.filter("resource_capacity", resource_capacity)


# --- changes ----------------------------------------------------------------------------------------------------


@register.filter
def change_icon(changes: Sequence[Change]) -> str:
    """The icon of a set of changes: that of the first."""
    return _CHANGE_ICONS.get(changes[0].get("section") or "", "pencil") if changes else "pencil"


@register.filter
def section_word(section: str) -> str:
    """The noun before a changed key: label, taint, capacity …"""
    return {"labels": "label", "taints": "taint", "conditions": "condition", "devices": "device", "stack": "GPU stack"}.get(
        section, section
    )


@register.inclusion_tag("components/_bar_stack.html")
def mode_bar(row: ModeFigures) -> dict[str, object]:
    """The slots of one sharing mode, stacked."""
    slots = row.slots
    return _slots_bar(slots.requested, slots.free, row.free_unusable, (slots.capacity, slots.allocatable))


@register.inclusion_tag("components/_bar_stack.html")
def slots_bar(capacity: Capacity) -> dict[str, object]:
    """The slots of a pool, stacked."""
    both = (capacity.slots, capacity.allocatable)
    return _slots_bar(capacity.requested, capacity.free, capacity.free_unusable, both)


def _slots_bar(
    requested: int | None, free: int | None, free_unusable: int | None, advertised: tuple[int | None, int | None]
) -> dict[str, object]:
    """Requested, free on usable nodes, free on other nodes, not allocatable. `advertised`: capacity and allocatable."""
    capacity, allocatable = advertised
    lost = max(0, (capacity or 0) - allocatable) if allocatable is not None else 0
    segments = [
        bar_ui.Segment(requested or 0, "Requested", "is-requested"),
        bar_ui.Segment(free or 0, "Free", "is-free"),
        bar_ui.Segment(free_unusable or 0, "Free, node not usable", "is-unusable"),
        bar_ui.Segment(lost, "Not allocatable", "v-not_ready"),
    ]
    return bar_ui.bar_stack(segments, "Slots")
