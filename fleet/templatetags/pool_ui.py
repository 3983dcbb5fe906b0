"""Tags of the pages about pools and classes: `{% load pool_ui %}`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from django import template

from fleet.domain.classes.compliance import is_full
from fleet.domain.classes.workload import is_isolated
from fleet.domain.devices.sources.gfd import short_form
from fleet.domain.label_selectors import to_text
from fleet.templatetags import bar_ui, formats, words

if TYPE_CHECKING:
    from fleet.domain.classes.workload import ClassSpec
    from fleet.domain.placement.requirement import Toleration
    from fleet.domain.pools.availability import Availability
    from fleet.domain.pools.policy import PoolSpec
    from fleet.models import CompliancePeriod
    from fleet.selectors.classes import Offer

register = template.Library()

MODES = {
    "full": "Full GPU",
    "mig": "MIG",
    "time-sliced": "Time-sliced",
    "mps": "MPS",
    "mig-shared": "MIG, shared",
    "partition": "Partition",
}
_CHART = {"width": 300, "height": 92, "base": 74, "top": 14}


@register.inclusion_tag("components/_badge.html")
def compliance_badge(state: str | None, full: bool = False) -> dict[str, object]:
    """Compliance as a badge. A class that is only at risk because all of its capacity is in use is full, which is not a fault."""
    return {"word": _compliance_word(state, full), "key": state}


@register.inclusion_tag("components/_status.html")
def compliance_word(state: str | None, full: bool = False) -> dict[str, object]:
    """The same without a background."""
    return {"word": _compliance_word(state, full), "key": state}


def _compliance_word(state: str | None, full: bool) -> words.Word:
    return words.word("compliance", "full" if full else state or "not_evaluated")


@register.inclusion_tag("components/_badge.html")
def availability_badge(availability: Availability) -> dict[str, object]:
    """The state of an availability as a badge; a target without an observation is not observed, never met."""
    state = availability.observed_state
    return {"word": words.word("compliance", state), "key": state}


@register.filter
def availability_line(availability: Availability) -> str:
    """`99.4 % ready over 8 min, target 99 %`: the observed availability, its duration, and the target."""
    target = availability.target_percent
    end = "no target" if target is None else f"target {formats.target(target)}"
    if availability.percent is None:
        return f"Not observed yet, {end}"
    window = min(availability.observed_s, availability.window_s)
    return f"{formats.percent(availability.percent)} ready over {formats.duration(window)}, {end}"


@register.filter
def used_up(period: CompliancePeriod) -> bool:
    """Whether a period was at risk only because all capacity of the class was in use."""
    return is_full(period.state, (violation["text"] for violation in period.violations))


@register.filter
def of(mapping: Mapping[object, object], key: object) -> object:
    """Returns the value of a key; None where the mapping has none."""
    return mapping.get(key)


@register.filter
def verdict_segments(by_verdict: Mapping[str, int]) -> list[bar_ui.Segment]:
    """Nodes by verdict as the segments of a stacked bar, in the verdicts' order."""
    return [
        bar_ui.Segment(by_verdict[verdict], known.word, f"v-{known.look}")
        for verdict, known in words.VERDICTS.items()
        if by_verdict.get(verdict)
    ]


@register.filter
def selector_lines(spec: PoolSpec) -> list[dict[str, object]]:
    """Selector of a pool, for components/_kv.html; empty parts are left out."""
    selector = spec.selector
    rows = [
        ("Labels", to_text(selector.labels)),
        ("Clusters", ", ".join(selector.clusters)),
        ("Products", ", ".join(selector.products)),
        ("Partitioning", ", ".join(selector.partitioning)),
        ("Sharing", ", ".join(selector.sharing)),
    ]
    lines = [{"label": label, "value": value, "mono": label == "Labels"} for label, value in rows if value]
    return lines or [{"label": "Selects", "value": "Every GPU node"}]


@register.filter
def policy_lines(spec: PoolSpec) -> list[dict[str, object]]:
    """A pool's policy in words, for components/_kv.html."""
    policy = spec.policy
    bounds = (("at least", policy.min_driver), ("at most", policy.max_driver))
    drivers = [f"{word} {bound}" for word, bound in bounds if bound]
    percent = policy.availability_target
    target = "" if percent is None else f"{formats.target(percent)} of node-time ready over 30 days"
    rows: list[tuple[str, str]] = [
        ("Slot", " or ".join(MODES.get(mode, mode) for mode in policy.modes) or "any mode"),
        ("Products", "one" if policy.one_product else "several allowed"),
        ("Drivers", ", ".join(["one version" if policy.one_driver else "several allowed", *drivers])),
        ("Taints", ", ".join(str(taint) for taint in policy.taints) or "none required"),
        ("Pods tolerate", ", ".join(_toleration(toleration) for toleration in policy.tolerations)),
        ("Required rung", str(policy.required_rung)),
        ("Pods without a GPU", "allowed" if policy.other_pods else "not allowed"),
        ("Nodes with missing GPUs", "count with the remaining GPUs" if policy.partial_nodes else "do not count"),
        ("Other pools", "members are in no other exclusive pool" if policy.exclusive else "members may be in other pools"),
        ("Availability target", target or "none"),
        ("Ready at any time", formats.plural(policy.min_ready, "node") if policy.min_ready is not None else ""),
        ("NVLink", "between the GPUs of each node, as declared" if policy.nvlink else ""),
        ("Priority class", policy.priority_class),
        ("Owner", policy.owner or "none"),
        ("Next review", policy.review_on.isoformat() if policy.review_on else ""),
    ]
    return [{"label": label, "value": value} for label, value in rows if value]


def _toleration(row: Toleration) -> str:
    value = f"={row.value}" if row.operator == "Equal" else ""
    return f"{row.key or 'any taint'}{value}{':' + row.effect if row.effect else ''}"


register.filter("is_isolated", is_isolated)


@register.filter
def mode_word(mode: str) -> str:
    return MODES.get(mode, mode)


register.filter("short_product", short_form)


@register.filter
def slot_noun(class_spec: ClassSpec) -> str:
    """Unit of a replica: GPU, MIG slice, shared slot."""
    return {"full": "GPU", "mig": "MIG slice"}.get(class_spec.isolation, "shared slot")


@register.filter
def size_words(class_spec: ClassSpec) -> str:
    """`4 GPUs`: slots of one replica."""
    return formats.plural(class_spec.gpus, slot_noun(class_spec))


@register.filter
def hardware_line(class_spec: ClassSpec) -> str:
    """The product and its share per replica, in one line."""
    products = " or ".join(short_form(product) for product in class_spec.products) or "All products"
    noun = slot_noun(class_spec)
    choices = class_spec.choices
    sizes = formats.plural(choices[0], noun) if len(choices) == 1 else f"{choices[0]} to {formats.plural(choices[-1], noun)}"
    parts = [products, f"MIG {class_spec.profile}" if class_spec.profile else "", f"{sizes} per replica"]
    if class_spec.nodes > 1:
        parts.append(formats.plural(class_spec.nodes, "node"))
    if class_spec.min_memory_mib:
        parts.append(f"{formats.gib(class_spec.min_memory_mib)} or more each")
    return ", ".join(part for part in parts if part)


@register.filter
def what_you_get(opened: Sequence[Offer], class_spec: ClassSpec) -> list[dict[str, object]]:
    """The facts of a class and of its pools (list of Offer), for components/_kv.html."""
    products = sorted({product for offer in opened for product in offer.products})
    memory = sorted({item for offer in opened for item in offer.memory_mib})
    drivers = sorted({driver for offer in opened for driver in offer.drivers})
    # a pool may contain nodes of other modes as well: the modes of the nodes show the number of shares
    shared = sorted({entry for offer in opened for entry in offer.modes}) if not is_isolated(class_spec.isolation) else []
    mode = ", ".join(shared) or f"{MODES.get(class_spec.isolation, class_spec.isolation)} {class_spec.profile}".strip()
    least = [
        f"{what} {which} or newer" for what, which in (("driver", class_spec.min_driver), ("CUDA", class_spec.min_cuda)) if which
    ]
    named = (
        ("CPU", class_spec.cpu_per_slot),
        ("memory", class_spec.memory_per_slot),
        ("storage", class_spec.storage_per_slot),
        ("huge pages of 2 MiB", class_spec.hugepages_2mi_per_slot),
        ("huge pages of 1 GiB", class_spec.hugepages_1gi_per_slot),
    )
    beside = [f"{amount} {what}" for what, amount in named if amount]
    rows: list[tuple[str, str, bool]] = [
        ("GPU", ", ".join(products), True),
        ("Memory per GPU", _span([f"{formats.gib(row)} ({formats.number(row)} MiB)" for row in memory]), False),
        ("Mode", mode, False),
        ("Driver", ", ".join(drivers), False),
        ("At least", ", ".join(least), False),
        ("Beside each GPU", ", ".join(beside), False),
        ("Priority class", class_spec.priority_class, True),
        ("Runtime class", class_spec.runtime_class, True),
        ("Approval", _approval(class_spec), False),
        ("Longest time", formats.duration(class_spec.max_hours * formats.HOUR) if class_spec.max_hours else "", False),
    ]
    return [{"label": label, "value": value, "mono": mono} for label, value, mono in rows if value]


def _approval(class_spec: ClassSpec) -> str:
    if class_spec.max_replicas is None or class_spec.max_replicas == 0:
        return "by an operator"
    return f"automatic up to {formats.plural(class_spec.max_replicas, 'replica')} per team, then by an operator"


def _span(values: Sequence[str]) -> str:
    return values[0] if len(values) == 1 else f"{values[0]} to {values[-1]}" if values else ""


@register.filter
def proved(offers: Iterable[Offer]) -> str:
    """The rung that nodes of the pools must reach before pods are scheduled there."""
    rungs = sorted({offer.in_pool.pool.policy.required_rung for offer in offers})
    return ", ".join(f"rung {rung}" for rung in rungs)


@register.simple_tag
def free_chart(columns: Sequence[tuple[int, int, bool]], asked: int) -> dict[str, object] | None:
    """Nodes by free slots as columns of an SVG: {bars, line, label, width, height, base}; None without a node."""
    if not columns:
        return None
    most = max(nodes for _, nodes, _ in columns) or 1
    step = _CHART["width"] / len(columns)
    wide = min(26.0, step * 0.7)
    bars = []
    line: float | None = None
    for place, (free, nodes, fits) in enumerate(columns):
        tall = 0 if not nodes else max(2.0, (_CHART["base"] - _CHART["top"]) * nodes / most)
        middle = step * (place + 0.5)
        if fits and line is None:
            line = round(middle - step / 2, 1)
        bars.append(
            {
                "free": f"{free}+" if free == 16 else free,
                "nodes": nodes,
                "fits": fits,
                "x": round(middle - wide / 2, 1),
                "y": round(_CHART["base"] - tall, 1),
                "width": round(wide, 1),
                "height": round(tall, 1),
                "middle": round(middle, 1),
            }
        )
    join = ", ".join(f"{formats.plural(nodes, 'node')} with {free} free" for free, nodes, _ in columns if nodes)
    return {
        **_CHART,
        "bars": bars,
        "line": line,
        "label": f"Ready nodes by free slots: {join or 'none'}. A pod needs {asked}.",
    }


@register.filter
def change_words(fields: Iterable[tuple[str, object, object]]) -> list[dict[str, str]]:
    """Changed fields of a declaration: [{path, before, after}]; a value that is not set is shown in words."""
    return [{"path": path, "before": _value(before), "after": _value(after)} for path, before, after in fields]


def _value(value: object) -> str:
    if value is None:
        return "not set"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return ", ".join(_value(item) for item in value)
    if isinstance(value, dict):
        return " ".join(f"{name}={_value(entry)}" for name, entry in value.items())
    return str(value)
