"""Tags of a node's own page: `{% load node_ui %}`. They turn what is remembered of one node into what components take."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from django import template
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from fleet.templatetags import drawing, formats, ladder_ui, remedies, words

register = template.Library()


@register.simple_tag
def drawings(info: Mapping[str, Any] | None) -> list[drawing.Drawing]:
    """The node's slots as drawings for components/_cards.html."""
    return drawing.drawings(info or {})


# --- sentences ----------------------------------------------------------------------------------------------------

LONGEST_TITLE = 110
_STOPS = {
    "not_ready": "Stops at",
    "degraded": "Serves, with a warning at",
    "unknown": "Nobody can tell at",
    "starting": "Starting, waits at",
}


@register.simple_tag
def verdict_headline(
    verdict: str, broken_rung: str, reason: str, since: Any, number: int | None = None, remedy: str = "", finding: str = "",
    note: str = "",
) -> dict[str, Any]:  # fmt: skip
    """What stands first on a node's page, for components/_headline.html: where it stops, what is seen, since when, what to do.

    `finding` is the sentence of the worst finding behind it; `number` the rung's.
    """
    known = words.word("verdict", verdict)
    said = reason.strip().rstrip(".")
    if verdict == "ready":
        return {"look": "ready", "shape": "check", "title": said or "Ready", "since": since, "note": note}
    if verdict == "excluded":
        title = "Taken out on purpose"
    elif broken_rung:
        rung = f"rung {number}, {broken_rung}" if number is not None else broken_rung
        title = f"{_STOPS.get(verdict, 'Stops at')} {rung}"
    else:
        title = {"unknown": "Nobody can tell what this node is good for"}.get(verdict, known.word)
    below = [finding] if finding and finding.rstrip(".") != said else []
    if said and len(title) + len(said) <= LONGEST_TITLE:
        title = f"{title}: {formats.lowered(said)}"
    elif said:
        below.insert(0, reason)
    return {
        "look": known.look,
        "shape": known.shape,
        "title": title,
        "reason": " ".join(below),
        "since": since,
        "note": note,
        "todo": ladder_ui.remedy_steps(remedy),
    }


@register.simple_tag
def headline(node: Any, ladder: Sequence[Any] = (), findings: Sequence[Any] = (), stack_pods: Sequence[Any] = (),
             stale: bool = False) -> dict[str, Any]:  # fmt: skip
    """The headline of a node as it is now."""
    if node.removed_at is not None:
        return {
            "look": "excluded",
            "shape": "dash",
            "title": "This node is gone",
            "reason": "Its cluster no longer lists it. What stands here is what it last said.",
            "since": node.removed_at,
        }
    number = next((row.number for row in ladder if row.id == node.broken_rung), None)
    behind = [one.text for one in findings if one.rung and one.rung == node.broken_rung and not one.muted]
    blocked = [row.number for row in ladder if row.status == "blocked"]
    notes = []
    if blocked:
        notes.append(
            f"Rungs {blocked[0]} to {blocked[-1]} are blocked." if len(blocked) > 1 else f"Rung {blocked[0]} is blocked."
        )
    if node.flapping:
        notes.append("It flaps: its verdict changed often lately.")
    if stale:
        notes.append("Last known: its cluster cannot be read.")
    said = verdict_headline(
        node.verdict, node.broken_rung, node.verdict_reason, node.verdict_since, number, node.verdict_remedy,
        behind[0] if behind else "", " ".join(notes),
    )  # fmt: skip
    if not said.get("todo") and said["look"] != "ready":
        remarks = [one["id"] for one in (node.info or {}).get("remarks") or () if one.get("text")]
        said["todo"] = remedies.steps(node, remarks, stack_pods)
    return said


@register.simple_tag
def other_remarks(node: Any, findings: Sequence[Any] = ()) -> list[Mapping[str, Any]]:
    """The remarks of a node that neither its headline nor a finding says already."""
    remarks = (node.info or {}).get("remarks") or ()
    said = {text.rstrip(".") for text in (node.verdict_reason or "", *(one.text for one in findings))}
    return [one for one in remarks if one["text"].rstrip(".") not in said]


_SOURCES = {
    "resource_slice": "the node's ResourceSlices",
    "previous": "an earlier reading",
    "label": "its labels",
    "cloud": "the cloud's labels",
    "config": "the device plugin's configuration",
    "capacity": "its capacity",
}


@register.filter
def source_words(source: str) -> str:
    """Who counted the cards, in words."""
    return _SOURCES.get(source, source.replace("_", " ") or "nobody's word")


_TAINTS = {
    "NoSchedule": "only pods that tolerate it land here",
    "PreferNoSchedule": "pods that do not tolerate it land here last",
    "NoExecute": "pods that do not tolerate it are driven away",
}


@register.filter
def taint_words(effect: str) -> str:
    """What a taint's effect does."""
    return _TAINTS.get(effect, "")


@register.simple_tag
def key_labels(labels: Sequence[Sequence[str]]) -> list[Sequence[str]]:
    """The labels that tell most about the GPUs: those with a meaning, without the many that only switch parts of the stack."""
    told = [row for row in labels if row[2] and not row[0].startswith(_SWITCHES) and not _OF_ONE_PROFILE.search(row[0])]
    rank = {key: place for place, key in enumerate(_FIRST)}
    return sorted(told, key=lambda row: (rank.get(row[0], len(rank)), "nvidia.com" not in row[0], row[0]))[:MOST_LABELS]


MOST_LABELS = 9
_FIRST = tuple(
    f"nvidia.com/{name}"
    for name in (
        "gpu.product", "gpu.count", "gpu.replicas", "gpu.sharing-strategy", "mig.strategy", "mig.config", "mig.config.state",
        "gpu.memory", "cuda.driver-version.full",
    )
)  # fmt: skip
_SWITCHES = ("nvidia.com/gpu.deploy.",)
_OF_ONE_PROFILE = re.compile(r"nvidia\.com/mig-.+\.(?!count)")


@register.simple_tag
def pod_status(pod: Any) -> dict[str, str]:
    """A pod's state as a status with words: ready and finished pods are well, pending ones wait, the rest says its reason."""
    terminating = bool((pod.snapshot or {}).get("deleting_since"))
    if terminating:
        return {"status": "waiting", "text": "Terminating"}
    if pod.phase == "Succeeded":
        return {"status": "not_applicable", "text": "Finished"}
    if pod.ready:
        return {"status": "pass", "text": "Ready" if pod.component else "Running"}
    if pod.phase == "Failed" or pod.reason in _BAD_REASONS:
        return {"status": "fail", "text": pod.reason or "Failed"}
    if pod.phase in ("Pending", "Running"):
        return {"status": "waiting", "text": pod.reason or ("Not ready yet" if pod.phase == "Running" else "Pending")}
    return {"status": "unknown", "text": pod.reason or pod.phase or "Unknown"}


_BAD_REASONS = frozenset(
    {
        "CrashLoopBackOff",
        "ImagePullBackOff",
        "ErrImagePull",
        "CreateContainerError",
        "CreateContainerConfigError",
        "RunContainerError",
        "OOMKilled",
        "Error",
        "UnexpectedAdmissionError",
    }
)


# Kubernetes' own pressures, and the problems that node-problem-detector reports.
_BAD_WHEN_TRUE = ("Pressure", "Unavailable", "Deadlock", "Unhealthy", "Problem", "Filesystem")


@register.simple_tag
def condition_status(condition: Mapping[str, Any]) -> dict[str, str]:
    """A node condition as a status. A condition whose good value nobody wrote down is shown without a judgement."""
    kind, value = condition.get("type", ""), condition.get("status", "")
    if value not in ("True", "False"):
        return {"status": "unknown", "text": value or "Unknown"}
    if kind.endswith(("Ready", "Healthy")):
        well = value == "True"
    elif kind.startswith("Frequent") or kind.endswith(_BAD_WHEN_TRUE):
        well = value == "False"
    else:
        return {"status": "not_applicable", "text": value}
    return {"status": "pass" if well else "fail", "text": value}


@register.simple_tag
def node_facts(node: Any) -> list[dict[str, Any]]:
    """What the node says about itself, for components/_kv.html."""
    snapshot = node.snapshot or {}
    info = snapshot.get("node_info") or {}
    created = formats.moment(node.created_at) if node.created_at else None
    return [
        {"label": "Joined", "value": created, "none": "not told"},
        {"label": "Operating system", "value": info.get("os_image")},
        {"label": "Kernel", "value": info.get("kernel"), "mono": True},
        {"label": "Container runtime", "value": info.get("container_runtime"), "mono": True},
        {"label": "Provider id", "value": snapshot.get("provider_id"), "mono": True, "none": "none"},
        {"label": "UID", "value": node.uid, "mono": True},
    ]


@register.simple_tag
def stood(period: Any) -> str:
    """How long a closed period lasted."""
    return formats.duration((period.upper - period.lower).total_seconds())


# --- cards --------------------------------------------------------------------------------------------------------


@register.simple_tag
def card_drawings(node: Any, info: Mapping[str, Any] | None, table: Any) -> list[drawing.Drawing]:
    """The node's slots drawn; whole cards that telemetry tells apart are drawn one by one, each with what it does."""
    drawn = drawing.drawings(info or {})
    rows = table.rows if table.measured else ()
    if len(drawn) != 1 or drawn[0]["kind"] != "full" or len(rows) != len(drawn[0]["cells"]) or not any(row.pods for row in rows):
        return drawn
    states = ["broken" if row.gone else "squatter" if row.squatted else "requested" if row.pods else "free" for row in rows]
    told = {
        "requested": "held by a pod",
        "free": "without a pod",
        "broken": "without a sample",
        "squatter": "used without a slot",
    }
    label = ", ".join(f"{formats.number(states.count(state))} {word}" for state, word in told.items() if state in states)
    cells = [{"state": state, "number": row.index} for state, row in zip(states, rows, strict=True)]
    return [{**drawn[0], "cells": cells, "numbered": True, "label": f"{formats.number(len(rows))} cards: {label}"}]


@register.simple_tag
def reading(one: Any, unit: str = "") -> SafeString:
    """A measured value with its unit, or in words why there is none."""
    if one.value is not None:
        text = formats.number(float(one.value), 0)
        return format_html('{}\N{NO-BREAK SPACE}<span class="unit">{}</span>', text, unit) if unit else format_html("{}", text)
    tip = one.reason + (f" Add to the exporter’s counters CSV: {one.enable}" if one.enable else "")
    return format_html(
        '<span class="unknown small"{}>{}</span>', format_html(' data-tip="{}"', tip) if tip else "", one.why or "unknown"
    )


@register.filter
def short_uuid(uuid: str) -> str:
    """The first group of a UUID: enough to tell a node's cards apart; a click copies the whole."""
    return uuid.removeprefix("GPU-")[:8]


@register.filter
def gib_number(mib: float | None) -> str:
    """Memory in GiB without its unit, which stands in the column's header."""
    return formats.UNKNOWN if mib is None else formats.number(mib / 1024, 1)


@register.filter
def points_of(curves: Mapping[str, Mapping[str, Any]], uuid: str) -> Any:
    return (curves.get(uuid) or {}).get("gpu_util") or ()


@register.simple_tag
def csv_lines(off: Sequence[tuple[str, str]]) -> str:
    return "\n".join(line for _, line in off)


@register.simple_tag
def count_words(node: Any) -> str:
    """Who counted the cards."""
    if node.physical is None:
        return "Nobody could count the physical GPUs of this node."
    each = f", {formats.gib(node.gpu_memory_mib)} each" if node.gpu_memory_mib else ""
    return f"{formats.plural(node.physical, 'physical GPU')}, counted from {source_words(node.physical_source)}{each}."


# --- the past -----------------------------------------------------------------------------------------------------


@register.simple_tag
def past_headline(moment: Any, ladder: Sequence[Any]) -> dict[str, Any]:
    """The headline of a node at a moment of the past: nothing is to be done about it any more."""
    verdict = moment.verdict
    number = next((row.number for row in ladder if row.id == verdict.broken_rung), None)
    behind = [one.text for one in moment.findings if one.rung and one.rung == verdict.broken_rung]
    said = verdict_headline(verdict.verdict, verdict.broken_rung, verdict.reason, None, number, "", behind[0] if behind else "")
    until = f"until {formats.moment(verdict.until)}" if verdict.until else "and it still stands"
    lasted = formats.duration((verdict.until - verdict.since).total_seconds()) + ", " if verdict.until else ""
    return {**said, "note": f"{lasted}from {formats.moment(verdict.since)} {until}."}


@register.simple_tag
def compared_sides(difference: Any) -> list[Any]:
    return [difference.before, difference.after]


@register.simple_tag
def pod_cards(table: Any) -> dict[str, list[tuple[str, bool]]]:
    """`namespace/name` of a pod to the cards on which the exporter names it, each with whether it is lost."""
    found: dict[str, list[tuple[str, bool]]] = {}
    for row in table.rows:
        for pod in [*row.pods, *(pod for mig in row.migs for pod in mig.pods)]:
            place = found.setdefault(f"{pod.namespace}/{pod.name}", [])
            if (row.index, row.gone) not in place:
                place.append((row.index, row.gone))
    return found


@register.simple_tag
def cards_of(cards: Mapping[str, Sequence[tuple[str, bool]]], pod: Any) -> SafeString:
    """The cards of one pod, lost ones marked; runs of neighbours as `0 to 3`."""
    mine = cards.get(f"{pod.namespace}/{pod.name}") or ()
    if not mine:
        return format_html('<span class="t3">{}</span>', "none named")
    numbers = [int(index) for index, gone in mine if index.isdigit() and not gone]
    if len(numbers) == len(mine) > 2 and numbers == list(range(numbers[0], numbers[0] + len(numbers))):
        return format_html("{} to {}", numbers[0], numbers[-1])
    parts = ((format_html('<b class="bad">{}</b>', index) if gone else index,) for index, gone in mine)
    return format_html_join(", ", "{}", parts)
