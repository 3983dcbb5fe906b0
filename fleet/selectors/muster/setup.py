"""What is left to do on a new installation: permissions, pools, notifications."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.urls import reverse

from fleet.models import NotificationRule
from fleet.selectors.clusters import ClusterRow


@dataclass(frozen=True, slots=True)
class Step:
    """One step: what it is for, where it is done, and whether it is."""

    id: str
    title: str
    text: str
    url: str
    action: str
    done: bool


def any_rule() -> bool:
    """Whether a notification rule is enabled; one query."""
    return NotificationRule.objects.filter(enabled=True).exists()


def steps(rows: Sequence[ClusterRow], *, has_pools: bool, notified: bool) -> tuple[Step, ...]:
    """Returns the three steps; none where all of them are done, and none before a cluster was read."""
    read = [row.cluster for row in rows if row.cluster.read_at is not None]
    if not read:
        return ()
    lacking = [cluster for cluster in read if cluster.permissions and cluster.permissions.get("missing")]
    unknown = [cluster for cluster in read if not cluster.permissions]
    result = (
        Step(
            "permissions",
            "Permissions",
            _permissions([cluster.name for cluster in lacking], len(read), len(unknown)),
            reverse("cluster", args=[(lacking or read)[0].name]),
            "Show missing permissions" if lacking else "Show permissions",
            not lacking and not unknown,
        ),
        Step(
            "pools",
            "Pools",
            "Pools name nodes that serve one purpose, and set what they must reach. Muster suggests them from what it read.",
            reverse("pools"),
            "Show suggested pools",
            has_pools,
        ),
        Step(
            "notifications",
            "Notifications",
            "A chat, mailbox, pager or webhook, and rules for its events. An inbox shows what would be sent.",
            reverse("notifications"),
            "Add a target and a rule",
            notified,
        ),
    )
    return () if all(step.done for step in result) else result


def _permissions(lacking: Sequence[str], read: int, unknown: int) -> str:
    if lacking:
        more = f" and {len(lacking) - 2} more" if len(lacking) > 2 else ""
        return f"Muster may not read everything in {', '.join(lacking[:2])}{more}. What it cannot read is shown as unknown."
    if unknown:
        return f"The permissions of {unknown} of {read} clusters are not known yet." if read > 1 else "Not known yet."
    return "Muster may read everything it needs."
