"""Tags of the clusters' pages: `{% load cluster_ui %}`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django import template

from fleet.templatetags import formats

register = template.Library()


@register.filter
def five_of_cluster(row: Any) -> dict[str, Any]:
    """The five numbers of a ClusterRow."""
    return {
        "physical": row.physical,
        "slots": row.slots_capacity,
        "allocatable": row.slots_allocatable,
        "requested": row.slots_requested,
        "free": row.slots_free,
        "off": ["allocatable"] if _short(row) else [],
    }


@register.simple_tag
def rbac_rules(missing: Iterable[Mapping[str, str]]) -> str:
    """Rules for a ClusterRole that allow what is missing, verbs and resources of one API group together; below them, under a
    comment, those that need hold in one namespace only."""
    places: dict[str, list[Mapping[str, str]]] = {}
    for one in sorted(missing, key=lambda one: one["namespace"]):
        places.setdefault(one["namespace"], []).append(one)
    lines = []
    for namespace, wanted in places.items():
        lines += [f"# in a Role of the namespace {namespace}"] if namespace else []
        lines += _rules(wanted)
    return "\n".join(lines)


def _rules(missing: Iterable[Mapping[str, str]]) -> list[str]:
    verbs: dict[tuple[str, str], set[str]] = {}
    for one in missing:
        verbs.setdefault((one["group"], one["resource"]), set()).add(one["verb"])
    rules: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for (group, resource), wanted in verbs.items():
        rules.setdefault((group, tuple(sorted(wanted))), []).append(resource)
    lines = []
    for (group, wanted_verbs), resources in rules.items():
        lines.append(f'- apiGroups: ["{group}"]')
        lines.append(f"  resources: [{', '.join(_quoted(resources))}]")
        lines.append(f"  verbs: [{', '.join(_quoted(wanted_verbs))}]")
    return lines


def _quoted(texts: Iterable[str]) -> list[str]:
    return [f'"{text}"' for text in texts]


@register.filter
def image_version(image: str) -> str:
    """The version in an image's name: its tag, else the start of its digest; neither means `latest`."""
    name, at, digest = image.rpartition("/")[2].partition("@")
    tag = name.partition(":")[2]
    return tag or (digest[:19] if at else "latest" if image else "unknown")


@register.filter
def trigger_words(trigger: str) -> str:
    """Who asked for a pass."""
    return {"first": "the start", "schedule": "the schedule", "page": "a page", "api": "the API", "cli": "the command"}.get(
        trigger, trigger
    )


@register.simple_tag
def run_took(run: Any) -> str:
    """How long a pass took, in words while it runs."""
    if run.finished_at is None:
        return "still running"
    return formats.took((run.finished_at - run.started_at).total_seconds() * 1000)


def _short(row: Any) -> bool:
    return row.slots_allocatable is not None and row.slots_capacity is not None and row.slots_allocatable < row.slots_capacity
