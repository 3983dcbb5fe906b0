"""Tags that know nodes, clusters and their rows: `{% load fleet_ui %}`. They turn facts into what components take."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlencode

from django import template
from django.template import Context
from django.urls import reverse
from django.utils.dateparse import parse_datetime
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe

from fleet.domain import rulebook
from fleet.templatetags import formats, words

register = template.Library()

MOST_LARGE_TILES = 1500

FACET_LABELS = {
    "cluster": "Cluster",
    "pool": "Pool",
    "verdict": "Verdict",
    "broken_rung": "First broken rung",
    "state": "State",
    "product": "Product",
    "mode": "Sharing mode",
    "zone": "Zone",
    "driver": "Driver",
}
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
def nodes_url(**filters: Any) -> str:
    """The list of nodes under these filters; a value that is empty is the facet value `unknown`."""
    query = urlencode({key: value if value not in (None, "") else "unknown" for key, value in filters.items()})
    return f"{reverse('nodes')}?{query}" if query else reverse("nodes")


@register.simple_tag
def total_of(rows: Iterable[Any], field: str) -> int:
    """The sum of a figure over rows."""
    return sum(getattr(row, field) for row in rows)


@register.filter
def facet_label(name: str) -> str:
    return FACET_LABELS.get(name, name.replace("_", " ").capitalize())


@register.simple_tag
def facet_rows(facet: Any) -> list[dict[str, Any]]:
    """A facet's values with their words: state values by name, everything else as it stands."""
    rows = []
    for one in facet.values:
        known = _KNOWN.get(facet.name, {}).get(one.value)
        label = known.word if known else "not told" if one.value == "unknown" else one.value
        if facet.name == "rule":
            label = rulebook.title(one.value)
        elif facet.name == "pool":
            label = _POOLS.get(one.value, one.value)
        elif facet.name == "status":
            label = one.value.capitalize()
        rows.append({"value": one.value, "label": label, "count": one.count, "chosen": one.chosen, "word": known})
    return rows


@register.filter
def chosen_count(facet: Any) -> int:
    return sum(1 for one in facet.values if one.chosen)


@register.simple_tag
def active_filters(params: Any) -> list[dict[str, str]]:
    """The filters that are on, each with the address without it: [{key, label, value, text, url}]."""
    found = []
    for key, values in params.lists():
        if key in _NO_FILTERS:
            continue
        for value in filter(None, values):
            without = params.copy()
            without.setlist(key, [other for other in values if other != value])
            without.pop("page", None)
            known = _KNOWN.get(key, {}).get(value)
            text = (
                known.word
                if known
                else _rung_text(value)
                if key == "rung"
                else _POOLS.get(value, value)
                if key == "pool"
                else {"true": "yes", "false": "no", "unknown": "not told"}.get(value, value)
            )
            label = _FILTER_LABELS.get(key) or facet_label(key)
            url = f"{reverse('nodes')}?{without.urlencode()}"
            found.append({"key": key, "label": label, "value": value, "text": text, "url": url})
    return found


_POOLS = {"none": "In no pool", "clash": "In two exclusive pools"}
_FILTER_LABELS = {
    "q": "Search",
    "missing": "Cards missing",
    "not_offered": "Cards not offered",
    "counted": "Cards counted",
    "excluded": "Taken out on purpose",
    "removed": "Gone",
}


def _rung_text(value: str) -> str:
    """`driver_loaded:fail` → driver_loaded: fail."""
    rung, _, said = value.partition(":")
    return f"{rung}: {words.word('status', said).word.lower()}"


_KNOWN = {"state": {**words.STATES, **words.REQUESTS}, "verdict": words.VERDICTS, "severity": words.SEVERITIES}
_NO_FILTERS = frozenset({"page", "sort", "columns", "removed", "q"})


@register.simple_tag(takes_context=True)
def sort_link(context: Context, column: Any, sort: Any) -> dict[str, str]:
    """What a column's header needs: {url, sorted, css}. A click sorts upwards, a second one downwards."""
    mine = sort.name == column.name
    turned = context["request"].GET.copy()
    turned.pop("page", None)
    turned["sort"] = f"-{column.name}" if mine and not sort.descending else column.name
    sorted_how = ("descending" if sort.descending else "ascending") if mine else ""
    css = f"col-{column.name}{' num' if column.number else ''}"
    return {"url": f"?{turned.urlencode()}", "sorted": sorted_how, "css": css}


@register.simple_tag(takes_context=True)
def segments(context: Context, choices: Iterable[tuple[str, str]], chosen: str, parameter: str) -> list[dict[str, Any]]:
    """One choice of a few as links that change one parameter of the page's address, for components/_segmented.html."""
    found = []
    for value, label in choices:
        turned = context["request"].GET.copy()
        turned[parameter] = value
        found.append({"label": label, "url": f"?{turned.urlencode()}", "current": value == chosen})
    return found


@register.simple_tag
def column_url(params: Any, chosen: Sequence[Any], everything: Sequence[Any], name: str) -> str:
    """The list's address with the column `name` added, or dropped where it is shown."""
    names = {column.name for column in chosen} ^ {name}
    turned = params.copy()
    turned.pop("page", None)
    turned["columns"] = ",".join(column.name for column in everything if column.name in names)
    return f"{reverse('nodes')}?{turned.urlencode()}"


@register.filter
def instant(text: str | datetime | None) -> datetime | None:
    """A moment out of a JSON column."""
    return parse_datetime(text) if isinstance(text, str) else text


# --- the map ------------------------------------------------------------------------------------------------------


@register.simple_tag
def tiles(rows: Sequence[Any], first: bool = False, at: datetime | None = None) -> SafeString:
    """The tiles of one group (fleet_map.Tile). Written by hand: there may be 5,000."""
    # the address once for each cluster, then only its name for each tile
    patterns: dict[str, tuple[str, str]] = {}
    query = f"?{urlencode({'at': at.astimezone(UTC).isoformat().replace('+00:00', 'Z')})}" if at else ""
    written = []
    for place, row in enumerate(rows):
        known = words.word("verdict", row.verdict)
        if row.cluster not in patterns:
            before, _, after = reverse("node", kwargs={"cluster": row.cluster, "name": "NODE"}).rpartition("NODE")
            patterns[row.cluster] = before, after
        before, after = patterns[row.cluster]
        url = f"{before}{quote(row.name, safe='')}{after}{query}"
        label = f"{row.name}, {known.word}{', stale' if row.stale else ''}"
        told = _tile_tip(row)
        tip = f' data-tip="{escape(told)}"' if told else ""
        glyph = "" if known.look == "ready" else _glyph(known.shape)
        css = f"tile v-{known.look}{' tile--stale' if row.stale else ''}"
        order = 0 if first and not place else -1
        written.append(f'<a class="{css}" href="{escape(url)}" tabindex="{order}" aria-label="{escape(label)}"{tip}>{glyph}</a>')
    return mark_safe("".join(written))  # noqa: S308  (every value above is escaped or ours)


def _tile_tip(row: Any) -> str:
    """Where it stops, why, and since when: what the tile's own label does not say."""
    if row.verdict == "ready" or not (row.reason or row.broken_rung):
        return ""
    told = [f"{row.broken_rung}: {row.reason}" if row.broken_rung and row.reason else row.reason or row.broken_rung]
    if row.since is not None:
        told.append(f"since {formats.moment(row.since)}")
    return "\n".join(told)


def _glyph(shape: str) -> str:
    name = {"dash": "pause"}.get(shape, shape)
    return f'<svg viewBox="0 0 16 16" aria-hidden="true"><use href="#gl-{name}"></use></svg>'


@register.simple_tag
def is_large(groups: Iterable[Any]) -> bool:
    """Whether a map has so many tiles that they shrink."""
    return sum(len(group.tiles) for group in groups) > MOST_LARGE_TILES


@register.simple_tag
def legend(by_verdict: Mapping[str, int]) -> list[dict[str, Any]]:
    """What the tiles mean, only as far as they are there."""
    return [{"verdict": key, "count": count, "word": words.word("verdict", key)} for key, count in by_verdict.items() if count]


# --- figures ------------------------------------------------------------------------------------------------------


@register.simple_tag
def usable_bar(summary: Any, degraded: int = 0) -> list[dict[str, Any]]:
    """Physical GPUs that are usable (`degraded` of them on degraded nodes), and the missing ones by verdict, as segments."""
    missing: dict[str, int] = {}
    for one in summary.missing:
        missing[one.verdict] = missing.get(one.verdict, 0) + one.count
    sound = missing.pop("ready", 0) + missing.pop("degraded", 0)
    segments = [
        {"count": summary.usable - degraded, "look": "v-ready", "word": "Usable"},
        {"count": degraded, "look": "v-degraded", "word": "Usable on degraded nodes"},
        {"count": sound, "look": "v-unknown", "word": "Gone from nodes that serve"},
    ]
    for verdict in words.VERDICTS:
        if verdict in missing:
            known = words.word("verdict", verdict)
            segments.append({"count": missing[verdict], "look": f"v-{known.look}", "word": f"Missing, {known.word.lower()}"})
    return segments


@register.filter
def missing_query(one: Any) -> str:
    """The list of exactly the nodes behind one reason of the missing cards."""
    query = {"verdict": one.verdict, "missing": "true"}
    if one.verdict not in ("excluded", "starting"):
        query["broken_rung"] = one.broken_rung or "unknown"
    return f"{reverse('nodes')}?{urlencode(query)}"


@register.simple_tag
def slot_word(partitioning: str, sharing: str) -> str:
    """What one slot is: `slots` (whole cards), `MIG slots`, `shared slots`."""
    if sharing in ("time-slicing", "mps"):
        return "shared slots"
    return "MIG slots" if partitioning.startswith("mig") else "slots"


@register.simple_tag
def five(node: Any) -> dict[str, Any]:
    """The five numbers of a node, with the names of those that differ from what they should be."""
    resources = (node.info or {}).get("resources") or ()
    should = [one.get("predicted") for one in resources if one.get("capacity") or one.get("predicted")]
    predicted = None if not should or None in should else sum(should)
    capacity, allocatable = node.slots_capacity, node.slots_allocatable
    off = [
        name
        for name, wrong in (
            ("physical", _less(node.physical, node.expected)),
            ("slots", _less(capacity, predicted)),
            ("allocatable", _less(allocatable, predicted if predicted is not None else capacity) or _less(allocatable, capacity)),
            ("requested", _less(allocatable, node.slots_requested)),
            ("free", node.slots_free is not None and node.slots_free < 0),
        )
        if wrong
    ]
    return {
        "physical": node.physical,
        "slots": capacity,
        "allocatable": allocatable,
        "requested": node.slots_requested,
        "free": node.slots_free,
        "slot_word": slot_word(node.partitioning, node.sharing),
        "off": off,
    }


@register.filter
def five_of_mode(row: Any) -> dict[str, Any]:
    """The five numbers of one sharing mode (a ModeRow), for components/_five.html."""
    slots = row.slots
    short = slots.requested is not None and slots.allocatable is not None and slots.requested > slots.allocatable
    return {
        "physical": row.physical,
        "slots": slots.capacity,
        "allocatable": slots.allocatable,
        "requested": slots.requested,
        "free": slots.free,
        "off": (["allocatable"] if _less(slots.allocatable, slots.capacity) else []) + (["requested"] if short else []),
    }


def _less(have: int | None, should: int | None) -> bool:
    return have is not None and should is not None and have < should


# --- changes ----------------------------------------------------------------------------------------------------


@register.filter
def change_icon(changes: Sequence[Mapping[str, Any]]) -> str:
    """The icon of a set of changes: that of the first."""
    return _CHANGE_ICONS.get(changes[0].get("section", ""), "pencil") if changes else "pencil"


@register.filter
def section_word(section: str) -> str:
    """The noun before a changed key: label, taint, capacity …"""
    return {"labels": "label", "taints": "taint", "conditions": "condition", "devices": "device", "stack": "GPU stack"}.get(
        section, section
    )
