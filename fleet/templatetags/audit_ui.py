"""Tags of the audit log: `{% load audit_ui %}`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from django import template
from django.utils.dateparse import parse_datetime

from fleet.domain.audit import differences, sentences
from fleet.templatetags import formats

if TYPE_CHECKING:
    from fleet.domain.audit.sentences import Sentence
    from fleet.models import AuditEntry

register = template.Library()

_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$")
_LONGEST = 160
_VIA = {"page": "Page", "api": "API", "command": "Command line", "worker": "Worker"}


@register.filter
def sentence(entry: AuditEntry) -> Sentence:
    """Returns the parts of an entry's sentence."""
    return sentences.sentence(entry.actor_name, entry.via, entry.action, entry.subject, entry.detail)


@register.filter
def changed(entry: AuditEntry) -> list[dict[str, str]]:
    """Returns what an entry changed as [{field, before, after}]; a side without a value is empty."""
    return [
        {"field": change.field.replace("_", " "), "before": _plain(change.before), "after": _plain(change.after)}
        for change in differences.differences(entry.detail)
    ]


@register.filter
def facts(entry: AuditEntry) -> list[dict[str, object]]:
    """Returns the other details of an entry for components/_kv.html: from where, under which id, at which place of the chain."""
    link = getattr(entry, "link", None)
    rows: list[tuple[str, object, bool]] = [
        *((key.replace("_", " ").capitalize(), _plain(value), True) for key, value in differences.others(entry.detail).items()),
        ("Action", entry.action, True),
        ("Through", _VIA.get(entry.via, entry.via), False),
        ("From", entry.address, True),
        ("Request", entry.request_id, True),
        ("Number", link.number if link else None, False),
        ("Digest", f"{link.digest[:16]}…" if link else None, True),
    ]
    return [{"label": label, "value": value, "mono": mono} for label, value, mono in rows if value not in (None, "")]


def _plain(value: object) -> str:
    if value is None:
        return ""
    at = parse_datetime(value) if isinstance(value, str) and _MOMENT.match(value) else None
    if at is not None:
        return formats.moment(at)
    if isinstance(value, Mapping):
        return _cut(", ".join(f"{key} {_plain(entry)}" for key, entry in value.items()))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return _cut(", ".join(map(_plain, value)) if isinstance(value, list) else str(value))


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
