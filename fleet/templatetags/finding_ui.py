"""Tags of findings and of the audit log: `{% load finding_ui %}`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from django import template
from django.utils.dateparse import parse_datetime

from fleet.domain import rulebook
from fleet.templatetags import formats, words
from fleet.templatetags.fleet_ui import facet_label

register = template.Library()

register.filter("rule_title", rulebook.title)


@register.filter
def split_words(text: str) -> list[str]:
    """`"node since"|split_words` → node, since: a short list written in a template."""
    return text.split()


@register.filter
def values_of(params: Any, name: str) -> list[str]:
    """What the address says under a name, told once or more often."""
    return [value for value in params.getlist(name) if value]


@register.simple_tag
def remedy_lines(text: str) -> list[dict[str, Any]]:
    """A remedy as steps: [{parts: [{text, command (bool)}], code}]. Commands stand in backticks; lines of a counters CSV that
    follow each other are one block to copy (`code`)."""
    steps: list[dict[str, Any]] = []
    for line in filter(None, (line.strip() for line in (text or "").splitlines())):
        if line.startswith("DCGM_"):
            if not steps:
                steps.append({"parts": [], "code": ""})
            steps[-1]["code"] = f"{steps[-1]['code']}\n{line}".strip()
            continue
        parts = [{"text": part, "command": bool(place % 2)} for place, part in enumerate(line.split("`")) if part.strip()]
        steps.append({"parts": parts, "code": ""})
    return steps


@register.filter
def finding_size(finding: Any) -> str:
    """How much it is about: the physical GPUs of its node, one card, or nothing where that cannot be said."""
    if finding.subject in ("gpu", "mig_instance"):
        return "1 GPU" if finding.subject == "gpu" else "1 MIG instance"
    node = finding.node
    cards = node and (node.expected or node.physical)
    return formats.plural(cards, "GPU") if cards else ""


@register.filter
def lasted(finding: Any) -> str:
    """How long a finding that is over stood."""
    return formats.duration((finding.period.upper - finding.period.lower).total_seconds())


@register.simple_tag
def chosen_filters(params: Any, *not_filters: str) -> list[dict[str, str]]:
    """The filters that are on, each with the address without it: [{key, label, value, text, url}]. Addresses are relative."""
    found = []
    for key, values in params.lists():
        if key in ("page", "sort", "by", "within", "q", *not_filters):
            continue
        for value in filter(None, values):
            without = params.copy()
            without.setlist(key, [other for other in values if other != value])
            without.pop("page", None)
            url = f"?{without.urlencode()}"
            found.append({"key": key, "label": facet_label(key), "value": value, "text": filter_text(key, value), "url": url})
    return found


def filter_text(key: str, value: str) -> str:
    """A filter's value in words."""
    if key == "rule":
        return rulebook.title(value)
    if key == "severity" and value in words.SEVERITIES:
        return words.SEVERITIES[value].word
    return {"unknown": "not told"}.get(value, value)


@register.simple_tag
def audit_detail(detail: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """What an audit entry says beyond its sentence, for components/_kv.html; what is not there is left out."""
    return [
        {"label": key.replace("_", " ").capitalize(), "value": _plain(value), "mono": True}
        for key, value in (detail or {}).items()
        if value not in (None, "", [], {})
    ]


def _plain(value: Any) -> str:
    at = parse_datetime(value) if isinstance(value, str) and _MOMENT.match(value) else None
    if at is not None:
        return formats.moment(at)
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_plain(one)}" for key, one in value.items())
    return ", ".join(map(_plain, value)) if isinstance(value, list) else str(value)


_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$")
