"""Tags of a node's own page: `{% load node_ui %}`. They show facts of one node as words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec
from django import template
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from fleet.domain.health.condition_status import condition_status
from fleet.selectors.nodes.headline import REMOVED, Headline
from fleet.templatetags import formats, ui, words

if TYPE_CHECKING:
    from django.db.backends.postgresql.psycopg_any import DateTimeTZRange

    from fleet.domain.devices import drawing
    from fleet.domain.evaluation.figures import NodeFigures
    from fleet.domain.findings import Status
    from fleet.domain.snapshot import Condition
    from fleet.selectors.history.rows import NodeDifference, NodeMoment
    from fleet.selectors.nodes.gpu_rows import MigRow, Reading, SlotDrawing
    from fleet.selectors.nodes.pods import OnGpu
    from fleet.selectors.nodes.views import NodeView

register = template.Library()


# --- headline ------------------------------------------------------------------------------------------------------


@register.simple_tag
def headline_word(headline: Headline) -> words.Word:
    """Returns the shape and look of a headline's verdict."""
    return words.word("state" if headline.verdict == REMOVED else "verdict", headline.verdict)


@register.simple_tag(takes_context=True)
def headline_since(context: template.Context, headline: Headline) -> SafeString:
    """Shows since when: by the earliest evidence, with its source; from and until for a moment of the past."""
    if headline.since is None:
        return SafeString("")
    if headline.is_past:
        until = f"until {formats.moment(headline.until)}" if headline.until else "until now"
        lasted = f"{formats.duration((headline.until - headline.since).total_seconds())}, " if headline.until else ""
        return format_html("{}from {} {}.", lasted, formats.moment(headline.since), until)
    since = ui.since(context, headline.since)
    if headline.seen_at is None:
        return format_html("{}.", since)
    source = f", by condition {headline.evidence}" if headline.evidence else ", by its first evidence"
    return format_html("{}{}. Seen by Muster {}.", since, source, formats.moment(headline.seen_at))


_SOURCES = {
    "resource_slice": "the node's ResourceSlices",
    "annotation": "the annotation of its GPU scheduler",
    "kernel": "its kernel, which is a Jetson's",
    "previous": "an earlier run",
    "label": "its labels",
    "cloud": "the cloud's labels",
    "config": "the device plugin's configuration",
    "capacity": "its capacity",
}


@register.filter
def source_words(source: str) -> str:
    """Source of the number of GPUs, in words."""
    return _SOURCES.get(source, source.replace("_", " ") or "an unknown source")


_TAINTS = {
    "NoSchedule": "only pods that tolerate it are scheduled here",
    "PreferNoSchedule": "pods that do not tolerate it are scheduled here last",
    "NoExecute": "pods that do not tolerate it are evicted",
}


@register.filter
def taint_words(effect: str) -> str:
    """Effect of a taint in words."""
    return _TAINTS.get(effect, "")


@register.filter
def condition_state(condition: Condition) -> Status:
    """Returns the status of a node condition, for {% status %}."""
    return condition_status(condition.type, condition.status)


@register.simple_tag
def node_facts(node: NodeView) -> list[dict[str, object]]:
    """Returns the node's system facts for components/_kv.html."""
    created = formats.moment(node.created_at) if node.created_at else None
    return [
        {"label": "Joined", "value": created, "none": "unknown"},
        {"label": "Operating system", "value": node.info.os_image},
        {"label": "Kernel", "value": node.info.kernel, "mono": True},
        {"label": "Container runtime", "value": node.info.container_runtime, "mono": True},
        {"label": "Provider ID", "value": node.provider_id, "mono": True, "none": "none"},
        {"label": "UID", "value": node.uid, "mono": True},
    ]


@register.simple_tag
def stood(period: DateTimeTZRange) -> str:
    """How long a closed period lasted."""
    return formats.duration((period.upper - period.lower).total_seconds())


# --- cards --------------------------------------------------------------------------------------------------------


@register.filter
def drawn_slots(row: SlotDrawing) -> dict[str, object]:
    """Returns a drawing as components/_cards.html takes it: `8 GPUs: 5 requested, 2 free, 1 not allocatable`, and a note."""
    drawn, state_words = row.drawn, _MEASURED_WORDS if row.is_measured else _SLOT_WORDS
    counts = [f"{formats.number(drawn.counts[state])} {word}" for state, word in state_words.items() if drawn.counts[state]]
    note = ""
    if drawn.kind == "shared":
        note = f"{formats.plural(len(drawn.cards), 'GPU')}, {drawn.shares} shares each, not isolated"
    elif drawn.shares > 1:
        note = f"each slice is shared by {drawn.shares}, not isolated"
    label = f"{formats.number(drawn.counts.total())} {drawn.noun}: {', '.join(counts)}"
    return {**msgspec.structs.asdict(drawn), "label": label, "note": note}


_SLOT_WORDS: dict[drawing.State, str] = {
    "requested": "requested",
    "free": "free",
    "broken": "not allocatable",
    "unknown": "use unknown",
}
_MEASURED_WORDS: dict[drawing.State, str] = {
    "requested": "held by a pod",
    "free": "without a pod",
    "broken": "without a sample",
    "squatter": "used without a slot",
}


@register.filter
def mig_words(instances: Sequence[MigRow]) -> str:
    """Returns `7 × 1g.10gb, 5 with a pod`; the part about pods only where one is named."""
    counts = Counter(instance.profile for instance in instances)
    text = ", ".join(f"{formats.number(count)} \N{MULTIPLICATION SIGN} {profile}" for profile, count in sorted(counts.items()))
    held = sum(1 for instance in instances if instance.pods)
    return f"{text}; {formats.number(held)} with a pod" if held else text


@register.simple_tag
def reading(row: Reading, unit: str = "") -> SafeString:
    """A measured value with its unit, or in words why there is none."""
    if row.value is not None:
        text = formats.number(float(row.value), 0)
        return format_html('{}\N{NO-BREAK SPACE}<span class="unit">{}</span>', text, unit) if unit else format_html("{}", text)
    tip = row.reason + (f" Add to the exporter’s counters CSV: {row.enable}" if row.enable else "")
    return format_html(
        '<span class="unknown small"{}>{}</span>', format_html(' data-tip="{}"', tip) if tip else "", row.why or "unknown"
    )


@register.filter
def short_uuid(uuid: str) -> str:
    """The first group of a UUID: enough to distinguish a node's GPUs; a click copies all of it."""
    return uuid.removeprefix("GPU-")[:8]


@register.filter
def gib_number(mib: float | None) -> str:
    """Memory in GiB without its unit, which is in the column's header."""
    return formats.UNKNOWN if mib is None else formats.number(mib / 1024, 1)


@register.filter
def points_of(curves: Mapping[str, Mapping[str, object]], uuid: str) -> object:
    return (curves.get(uuid) or {}).get("gpu_util") or ()


@register.simple_tag
def csv_lines(off: Sequence[tuple[str, str]]) -> str:
    return "\n".join(line for _, line in off)


@register.filter
def count_words(figures: NodeFigures) -> str:
    """Returns the number of physical GPUs, its source, and the memory of each."""
    if figures.physical is None:
        return "GPU count unknown."
    each = f", {formats.gib(figures.gpu_memory_mib)} each" if figures.gpu_memory_mib else ""
    return f"{formats.plural(figures.physical, 'physical GPU')}, counted from {source_words(figures.physical_source)}{each}."


# --- the past -----------------------------------------------------------------------------------------------------


@register.simple_tag
def compared_sides(difference: NodeDifference) -> list[NodeMoment | None]:
    return [difference.before, difference.after]


@register.filter
def gpu_indices(gpus: Sequence[OnGpu]) -> SafeString:
    """The GPUs of one pod, lost ones marked; runs of neighbours as `0 to 3`."""
    if not gpus:
        return format_html('<span class="t3">{}</span>', "none named")
    numbers = [int(gpu.index) for gpu in gpus if gpu.index.isdigit() and not gpu.is_lost]
    if len(numbers) == len(gpus) > 2 and numbers == list(range(numbers[0], numbers[0] + len(numbers))):
        return format_html("{} to {}", numbers[0], numbers[-1])
    parts = ((format_html('<b class="bad">{}</b>', gpu.index) if gpu.is_lost else gpu.index,) for gpu in gpus)
    return format_html_join(", ", "{}", parts)
