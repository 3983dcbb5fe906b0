"""Tags of the clusters' pages: `{% load cluster_ui %}`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django import template

from fleet.domain.manifests.rbac import rbac_rules
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
