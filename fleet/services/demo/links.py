"""Links to the most interesting pages of the demonstration, from recorded data."""

from __future__ import annotations

from django.urls import reverse
from django.utils.http import urlencode

from fleet.models import AccessRequest, Cluster, FindingRow, Node, NotificationTarget, Pod, VerdictPeriod, WorkloadClass

STORY = "staging-iad"
MOST = 5


def things_to_see() -> list[dict[str, str]]:
    """Returns text and address of five things, the most telling first; before the month was lived, five others that are there."""
    rows = [_lost_gpu(), _flapping(), _pending(), _class(), _month(), _broken(), _waiting(), _inbox()]
    return [{"text": text, "url": url} for text, url in rows if url][:MOST]


def _lost_gpu() -> tuple[str, str]:
    lost = FindingRow.objects.filter(rule="gpu_lost", period__endswith__isnull=True, node__isnull=False).select_related(
        "node__cluster"
    )
    row = lost.order_by("cluster__name", "-period").filter(cluster__name=STORY).first() or lost.order_by("pk").first()
    if row is None or row.node is None:
        return "", ""
    at = row.evidence_at or row.period.lower
    return f"The GPU that fell off at {at:%H:%M}", reverse("node", args=[row.node.cluster.name, row.node.name])


def _flapping() -> tuple[str, str]:
    """Returns the node of the demonstration's cluster that left ready most often."""
    names = list(
        VerdictPeriod.objects.filter(node__cluster__name=STORY, verdict="not_ready").values_list("node__name", flat=True)
    )
    if not names:
        return "", ""
    name = max(sorted(set(names)), key=names.count)
    return f"The node that failed {names.count(name)} times in a month", reverse("node", args=[STORY, name]) + "?window=30d"


def _pending() -> tuple[str, str]:
    pod = (
        Pod.objects.filter(node=None, phase="Pending", removed_at=None)
        .select_related("cluster")
        .order_by("cluster__name", "name")
    )
    row = pod.first()
    if row is None:
        return "", ""
    return "Why this pod does not land", reverse("explain") + "?" + urlencode(
        {"pod": f"{row.cluster.name}/{row.namespace}/{row.name}"}
    )


def _class() -> tuple[str, str]:
    row = WorkloadClass.objects.filter(removed_at=None, slug="h100-online").first()
    return ("What a developer gets: a class and its manifest", reverse("class", args=[row.slug])) if row else ("", "")


def _month() -> tuple[str, str]:
    if not Cluster.objects.filter(name=STORY).exists():
        return "What is broken now, by cause", reverse("incidents")
    return "The month with a driver roll-out that failed", reverse("history") + f"?cluster={STORY}&window=30d"


def _broken() -> tuple[str, str]:
    """The node that takes most GPUs out of use."""
    bad = Node.objects.filter(verdict="not_ready", removed_at=None, cluster__removed_at=None).select_related("cluster")
    row = bad.order_by("-expected", "cluster__name", "name").first()
    return ("A broken node: cause, since, remedy", reverse("node", args=[row.cluster.name, row.name])) if row else ("", "")


def _waiting() -> tuple[str, str]:
    row = AccessRequest.objects.filter(state="submitted").order_by("pk").first()
    return ("A request that waits for your approval", reverse("request", args=[row.pk])) if row else ("", "")


def _inbox() -> tuple[str, str]:
    row = NotificationTarget.objects.filter(kind="inbox").order_by("pk").first()
    return ("What Muster would have sent to a messenger", reverse("notification-inbox", args=[row.pk])) if row else ("", "")
