"""Tags of the pages about pools and classes: `{% load promise_ui %}`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django import template

from fleet.domain.classes.keeping import IN_USE
from fleet.domain.classes.workload import ISOLATIONS
from fleet.domain.label_selectors import to_text
from fleet.domain.pools import keeping
from fleet.templatetags import formats, words

register = template.Library()

MODES = {"full": "Full GPU", "mig": "MIG", "time-sliced": "Time-sliced", "mps": "MPS", "mig-shared": "MIG, shared"}
_ISOLATED = frozenset({"full", "mig"})
_CHART = {"width": 300, "height": 92, "base": 74, "top": 14}


@register.inclusion_tag("components/_badge.html")
def promise_state(key: str | None, full: bool = False) -> dict[str, Any]:
    """Kept, at risk or broken as a badge; a class whose promise is only used up is full, which is no fault."""
    return {"word": words.word("promise", "full" if full else key), "key": key}


@register.inclusion_tag("components/_status.html")
def promise_word(key: str | None, full: bool = False) -> dict[str, Any]:
    """The same without a ground."""
    return {"word": words.word("promise", "full" if full else key), "key": key}


@register.filter
def pool_standing(row: Any) -> str:
    """How a pool (a PoolRow) stands, for the two tags above: never kept where it promises nothing or nothing is usable."""
    return keeping.shown(row.standing.state, row.spec.policy, row.nodes, row.figures["usable"])


@register.filter
def pool_stood(period: Any, row: Any) -> str:
    """The same of one of its periods. Nobody kept what was promised then: where nothing is now, its policy held."""
    if period.period.upper is None:
        return pool_standing(row)
    told = keeping.shown(period.state, row.spec.policy, 0, None)
    return "policy_held" if told == "no_promise" else told


@register.filter
def used_up(period: Any) -> bool:
    """Whether a period at risk was only so because all that is promised was in use."""
    return period.state == "at_risk" and period.reasons == [IN_USE]


@register.filter
def of(mapping: Mapping[Any, Any], key: Any) -> Any:
    """What a mapping has under a key; None where it has nothing."""
    return mapping.get(key)


@register.filter
def five_of_pool(row: Any) -> dict[str, Any]:
    """The five numbers of a pool (a PoolRow), for components/_five.html."""
    figures = row.figures
    physical, expected = figures["physical"], figures["expected"]
    capacity, allocatable, requested = (figures[f"slots_{name}"] for name in ("capacity", "allocatable", "requested"))
    off = [
        name
        for name, wrong in (
            ("physical", physical is not None and expected is not None and physical < expected),
            ("allocatable", allocatable is not None and capacity is not None and allocatable < capacity),
            ("requested", requested is not None and allocatable is not None and requested > allocatable),
        )
        if wrong
    ]
    return {
        "physical": physical,
        "slots": capacity,
        "allocatable": allocatable,
        "requested": requested,
        "free": figures["slots_free"],
        "off": off,
    }


@register.filter
def verdict_segments(by_verdict: Mapping[str, int]) -> list[dict[str, Any]]:
    """Nodes by verdict as the segments of a stacked bar, in the verdicts' order."""
    known = [(verdict, by_verdict.get(verdict, 0)) for verdict in words.VERDICTS]
    return [
        {"count": number, "word": words.VERDICTS[verdict].word, "look": f"v-{words.VERDICTS[verdict].look}"}
        for verdict, number in known
        if number
    ]


@register.filter
def selector_lines(spec: Any) -> list[dict[str, Any]]:
    """What a pool selects, for components/_kv.html; what is not asked is left out."""
    selector = spec.selector
    told = [
        ("Labels", to_text(selector.labels)),
        ("Clusters", ", ".join(selector.clusters)),
        ("Products", ", ".join(selector.products)),
        ("Partitioning", ", ".join(selector.partitioning)),
        ("Sharing", ", ".join(selector.sharing)),
    ]
    lines = [{"label": label, "value": value, "mono": label == "Labels"} for label, value in told if value]
    return lines or [{"label": "Selects", "value": "Every GPU node"}]


@register.filter
def policy_lines(spec: Any) -> list[dict[str, Any]]:
    """A pool's policy in words, for components/_kv.html."""
    policy = spec.policy
    bounds = (("at least", policy.min_driver), ("at most", policy.max_driver))
    drivers = [f"{word} {bound}" for word, bound in bounds if bound]
    percent = policy.promise_percent
    promised = "" if percent is None else f"{percent:g}{formats.NBSP}% of node-time ready over 30 days"
    told: list[tuple[str, str]] = [
        ("One slot is", " or ".join(MODES.get(mode, mode) for mode in policy.modes) or "anything"),
        ("Products", "one" if policy.one_product else "several are allowed"),
        ("Drivers", ", ".join(["one version" if policy.one_driver else "several are allowed", *drivers])),
        ("Taints", ", ".join(_taint(one) for one in policy.taints) or "none required"),
        ("Pods tolerate", ", ".join(_toleration(one) for one in policy.tolerations)),
        ("Nodes reach", f"rung {policy.required_rung}"),
        ("Pods without a GPU", "may run there" if policy.other_pods else "stay away"),
        ("Nodes with lost cards", "serve with the others" if policy.partial_nodes else "do not serve"),
        ("Other pools", "a node may be in no other exclusive pool" if policy.exclusive else "a node may be in others as well"),
        ("Promise", promised or "none"),
        ("Ready at any time", formats.plural(policy.min_ready, "node") if policy.min_ready is not None else ""),
        ("NVLink", "joins the cards of every node, as its owner says" if policy.nvlink else ""),
        ("Priority class", policy.priority_class),
        ("Owner", policy.owner or "nobody is named"),
        ("Next review", policy.review_on.isoformat() if policy.review_on else ""),
    ]
    return [{"label": label, "value": value} for label, value in told if value]


def _taint(one: Any) -> str:
    return f"{one.key}={one.value}:{one.effect}" if one.value else f"{one.key}:{one.effect}"


def _toleration(one: Any) -> str:
    value = f"={one.value}" if one.operator == "Equal" else ""
    return f"{one.key or 'any taint'}{value}{':' + one.effect if one.effect else ''}"


@register.filter
def is_isolated(isolation: str) -> bool:
    """Whether memory and faults of neighbours cannot reach a workload."""
    return isolation in _ISOLATED


@register.filter
def isolation_words(isolation: str) -> str:
    return ISOLATIONS.get(isolation, isolation)


@register.filter
def mode_word(mode: str) -> str:
    return MODES.get(mode, mode)


@register.filter
def short_product(product: str) -> str:
    """H100-80GB-HBM3 of NVIDIA-H100-80GB-HBM3."""
    return product.removeprefix("NVIDIA-")


@register.filter
def slot_noun(promise: Any) -> str:
    """What one unit of a replica is: GPU, MIG slice, shared slot."""
    return {"full": "GPU", "mig": "MIG slice"}.get(promise.isolation, "shared slot")


@register.filter
def size_words(promise: Any) -> str:
    """`4 GPUs`: what one replica takes."""
    return formats.plural(promise.gpus, slot_noun(promise))


@register.filter
def hardware_line(promise: Any) -> str:
    """The product and what a replica gets of it, in one line."""
    products = " or ".join(short_product(one) for one in promise.products) or "Any product"
    noun = slot_noun(promise)
    choices = promise.choices
    sizes = formats.plural(choices[0], noun) if len(choices) == 1 else f"{choices[0]} to {formats.plural(choices[-1], noun)}"
    parts = [products, f"MIG {promise.profile}" if promise.profile else "", f"{sizes} per replica"]
    if promise.nodes > 1:
        parts.append(formats.plural(promise.nodes, "node"))
    if promise.min_memory_mib:
        parts.append(f"{formats.gib(promise.min_memory_mib)} or more each")
    return ", ".join(part for part in parts if part)


@register.filter
def what_you_get(opened: Sequence[Any], promise: Any) -> list[dict[str, Any]]:
    """The facts of a class and of what its pools offer for it (list of Offer), for components/_kv.html."""
    products = sorted({one for offer in opened for one in offer.products})
    memory = sorted({one for offer in opened for one in offer.memory_mib})
    drivers = sorted({one for offer in opened for one in offer.drivers})
    # a pool may hold nodes of other modes as well: of shares the nodes' own words tell how many there are
    shared = sorted({one for offer in opened for one in offer.modes}) if not is_isolated(promise.isolation) else []
    mode = ", ".join(shared) or f"{MODES.get(promise.isolation, promise.isolation)} {promise.profile}".strip()
    least = [f"{what} {which} or newer" for what, which in (("driver", promise.min_driver), ("CUDA", promise.min_cuda)) if which]
    told: list[tuple[str, str, bool]] = [
        ("Card", ", ".join(products), True),
        ("Memory per card", _span([f"{formats.gib(one)} ({formats.number(one)} MiB)" for one in memory]), False),
        ("Mode", mode, False),
        ("Driver", ", ".join(drivers), False),
        ("At least", ", ".join(least), False),
        ("Priority class", promise.priority_class, True),
        ("Runtime class", promise.runtime_class, True),
        ("Approval", _approval(promise), False),
        ("Longest time", formats.duration(promise.max_hours * formats.HOUR) if promise.max_hours else "", False),
    ]
    return [{"label": label, "value": value, "mono": mono} for label, value, mono in told if value]


def _approval(promise: Any) -> str:
    if promise.max_replicas is None or promise.max_replicas == 0:
        return "every request is looked at by an operator"
    return f"automatic up to {formats.plural(promise.max_replicas, 'replica')} per team, else by an operator"


def _span(values: Sequence[str]) -> str:
    return values[0] if len(values) == 1 else f"{values[0]} to {values[-1]}" if values else ""


@register.filter
def proved(offers: Iterable[Any]) -> str:
    """Up to which rung nodes of the pools are proved before anybody lands there."""
    rungs = sorted({offer.ask.pool.policy.required_rung for offer in offers})
    return ", ".join(f"rung {rung}" for rung in rungs)


@register.simple_tag
def free_chart(columns: Sequence[tuple[int, int, bool]], asked: int) -> dict[str, Any] | None:
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
    told = ", ".join(f"{formats.plural(nodes, 'node')} with {free} free" for free, nodes, _ in columns if nodes)
    return {
        **_CHART,
        "bars": bars,
        "line": line,
        "label": f"Ready nodes by free slots: {told or 'none'}. A pod needs {asked}.",
    }


@register.filter
def change_words(fields: Iterable[tuple[str, Any, Any]]) -> list[dict[str, str]]:
    """Fields of a declaration that change: [{path, before, after}], a value that is not set in words."""
    return [{"path": path, "before": _value(before), "after": _value(after)} for path, before, after in fields]


def _value(value: Any) -> str:
    if value is None:
        return "not set"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return ", ".join(_value(one) for one in value)
    if isinstance(value, dict):
        return " ".join(f"{name}={_value(one)}" for name, one in value.items())
    return str(value)
