"""Text of a message: one event as it is, several as a list under a sentence that counts them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.urls import reverse

from fleet.models import Delivery, Notice
from fleet.models.joined import joined

_MOST = 20


@dataclass(frozen=True, slots=True)
class Message:
    """One message, for every kind of target. `tone` is Apprise's: failure, warning, success or info."""

    title: str
    text: str
    tone: str
    key: str
    """The notice's key where there is one notice; empty for several."""
    body: dict[str, Any]
    """For webhooks: the same at every try."""


def compose(delivery: Delivery) -> Message:
    """The message of a delivery, from its events."""
    if delivery.is_test:
        title = "Test from Muster"
        text = f"This is a test of the target {delivery.target_name}. Nothing has happened."
        return Message(title, text, "info", "", _body(delivery, title, text, []))
    return message_of(
        delivery,
        [item.notice for item in joined(delivery.items.order_by("notice__at", "id"), "notice__cluster", "notice__node")],
    )


def message_of(delivery: Delivery, notices: Sequence[Notice]) -> Message:
    """The message of a delivery that is no test, of these notices."""
    if len(notices) == 1:
        only = notices[0]
        title, text = only.title, _one(only)
    else:
        title, text = _headline(notices), _many(notices)
    return Message(
        title, text, _tone(notices), notices[0].key if len(notices) == 1 else "", _body(delivery, title, text, notices)
    )


def _one(notice: Notice) -> str:
    where = f"{notice.cluster.name}{f' · {notice.product}' if notice.product else ''}" if notice.cluster else ""
    parts = (notice.text, f"{where}, {notice.at:%d %b %H:%M:%S} UTC".lstrip(", "), link(notice))
    return "\n".join(part for part in parts if part)


def _headline(notices: Sequence[Notice]) -> str:
    """`3 nodes are unhealthy, 1 finding, 2 recoveries (prod-us-east)`."""
    counts = Counter("recovery" if notice.recovery else notice.kind for notice in notices)
    words = [
        _counted(kind, counts[kind]) for kind in (*sorted(set(counts) - {"recovery"}, reverse=True), "recovery") if counts[kind]
    ]
    clusters = sorted({notice.cluster.name for notice in notices if notice.cluster})
    where = f" ({', '.join(clusters[:3])}{' …' if len(clusters) > 3 else ''})" if clusters else ""
    return ", ".join(words) + where


def _counted(kind: str, count: int) -> str:
    result, many = {
        "verdict": ("node is unhealthy", "nodes are unhealthy"),
        "finding": ("finding", "findings"),
        "cluster": ("cluster unreachable", "clusters unreachable"),
        "request": ("request update", "request updates"),
        "recovery": ("recovery", "recoveries"),
    }.get(kind, (f"notice of {kind}", f"notices of {kind}"))
    return f"{count} {result if count == 1 else many}"


def _many(notices: Sequence[Notice]) -> str:
    lines = [f"• {notice.at:%H:%M} {notice.title}" for notice in notices[:_MOST]]
    if len(notices) > _MOST:
        lines.append(f"and {len(notices) - _MOST} more")
    if settings.PUBLIC_URL:
        lines.append(settings.PUBLIC_URL)
    return "\n".join(lines)


def _tone(notices: Sequence[Notice]) -> str:
    bad = [notice for notice in notices if not notice.recovery]
    if not bad:
        return "success"
    if any(notice.severity in ("critical", "fatal") for notice in bad):
        return "failure"
    return "info" if all(notice.kind == "request" and notice.severity == "info" for notice in bad) else "warning"


def link(notice: Notice) -> str:
    """Returns where to read on, if MUSTER_URL is set: of a finding, the incident that holds it when the link is opened."""
    if settings.PUBLIC_URL and notice.detail.get("request"):
        return f"{settings.PUBLIC_URL}/requests/{notice.detail['request']}/"
    if not settings.PUBLIC_URL or notice.cluster is None:
        return ""
    if notice.detail.get("finding"):
        return settings.PUBLIC_URL + reverse("incident", args=[notice.detail["finding"]])
    cluster = notice.cluster.name
    path = reverse("node", args=[cluster, notice.node.name]) if notice.node else reverse("cluster", args=[cluster])
    return settings.PUBLIC_URL + path


def _body(delivery: Delivery, title: str, text: str, notices: Sequence[Notice]) -> dict[str, Any]:
    return {
        "id": str(delivery.uid),
        "rule": delivery.rule_name or None,
        "test": delivery.is_test,
        "title": title,
        "text": text,
        "notices": [
            {
                "kind": notice.kind,
                "key": notice.key,
                "at": notice.at.isoformat(),
                "recovery": notice.recovery,
                "severity": notice.severity or None,
                "cluster": notice.cluster.name if notice.cluster else None,
                "node": notice.node.name if notice.node else None,
                "pool": notice.pool or None,
                "product": notice.product or None,
                "title": notice.title,
                "text": notice.text,
                "detail": notice.detail,
                "url": link(notice) or None,
            }
            for notice in notices
        ],
    }
