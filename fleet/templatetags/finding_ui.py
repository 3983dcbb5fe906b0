"""Tags of findings: `{% load finding_ui %}`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django import template

from fleet.domain.evaluation import registry
from fleet.templatetags import formats

if TYPE_CHECKING:
    from django.http import QueryDict

    from fleet.models import FindingRow

register = template.Library()

register.filter("rule_title", registry.title)


@register.filter
def split_words(text: str) -> list[str]:
    """`"node since"|split_words` → node, since: a short list written in a template."""
    return text.split()


@register.filter
def values_of(params: QueryDict, name: str) -> list[str]:
    """Returns the values of a parameter of the address."""
    return [value for value in params.getlist(name) if value]


@register.filter
def finding_size(finding: FindingRow) -> str:
    """Number of GPUs concerned: the physical GPUs of its node, one GPU, or nothing if unknown."""
    if finding.subject in ("gpu", "mig_instance"):
        return "1 GPU" if finding.subject == "gpu" else "1 MIG instance"
    return formats.plural(gpus, "GPU") if (gpus := finding.node and finding.node.expected) else ""


@register.filter
def lasted(finding: FindingRow) -> str:
    """Returns how long a resolved finding was open."""
    return formats.duration((finding.period.upper - finding.period.lower).total_seconds())
