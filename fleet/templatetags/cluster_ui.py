"""Tags of the clusters' pages: `{% load cluster_ui %}`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from django import template

from fleet.domain.manifests.rbac import rbac_rules
from fleet.selectors.cluster_runs import Step
from fleet.templatetags import formats

if TYPE_CHECKING:
    from fleet.models import CollectionRun

register = template.Library()


register.simple_tag(rbac_rules)


@register.filter
def image_version(image: str) -> str:
    """The version in an image's name: its tag, else the start of its digest; neither means `latest`."""
    name, at, digest = image.rpartition("/")[2].partition("@")
    tag = name.partition(":")[2]
    return tag or (digest[:19] if at else "latest" if image else "unknown")


@register.filter
def trigger_words(trigger: str) -> str:
    """Returns what started a collection run."""
    return {"first": "Start", "schedule": "Schedule", "page": "Page", "api": "API", "cli": "CLI"}.get(trigger, trigger)


@register.simple_tag
def run_took(run: CollectionRun) -> str:
    """Returns how long a run took; `still running` while it runs."""
    if run.finished_at is None:
        return "still running"
    return formats.took((run.finished_at - run.started_at).total_seconds() * 1000)


_RUN_LOOKS = {"ok": "v-ready", "partial": "v-degraded", "failed": "v-not_ready", "none": "is-none"}


@register.inclusion_tag("components/_run_strip.html")
def run_strip(steps: Sequence[Step] | None) -> dict[str, object]:
    """Returns the half hours of a day as cells; trouble is taller than what went well, so that it shows without colour."""
    cells = [
        {
            "x": 10 * place,
            "y": 0 if step.state in ("failed", "partial") else 5,
            "height": 16 if step.state in ("failed", "partial") else 6,
            "look": _RUN_LOOKS[step.state],
            "words": f"{step.at:%H:%M} UTC: {_run_words(step)}",
        }
        for place, step in enumerate(steps or ())
    ]
    runs = sum(step.runs for step in steps or ())
    failed, partial = (sum(getattr(step, name) for step in steps or ()) for name in ("failed", "partial"))
    label = f"{formats.plural(runs, 'run')}, {formats.number(failed)} failed, {formats.number(partial)} incomplete"
    return {"cells": cells, "label": label if runs else "No run ended in the last 24 h"}


def _run_words(step: Step) -> str:
    if not step.runs:
        return "no run"
    parts = [(step.runs - step.failed - step.partial, "complete"), (step.partial, "incomplete"), (step.failed, "failed")]
    return ", ".join(f"{formats.number(count)} {word}" for count, word in parts if count)
