"""Events of access requests, for the team and for the approvers."""

from __future__ import annotations

from datetime import datetime

from fleet.models import AccessRequest, User
from fleet.selectors.access_requests.access_requests import requested_spec
from fleet.services import outbox

KIND = "request"
_APPROVERS, _TEAM = "approvers", "team"

_TITLES = {
    "submit": (_APPROVERS, "{team} requests {what}"),
    "withdraw": (_APPROVERS, "{team} has withdrawn its request for {what}"),
    "extend": (_APPROVERS, "{team} requests an extension of {what}"),
    "resize": (_APPROVERS, "{team} requests {wanted} replicas instead of {what}"),
    "approve": (_TEAM, "Approved: {what} for {team}"),
    "reject": (_TEAM, "Rejected: {what} for {team}"),
    "change": (_TEAM, "Changed: {team} has {what}{until}"),
    "refuse_change": (_TEAM, "The change of {what} for {team} was rejected"),
    "activate": (_TEAM, "{what} for {team} is in use: its first pod runs"),
    "warn": (_TEAM, "{what} for {team} expires soon"),
    "expire": (_TEAM, "{what} for {team} has expired"),
    "no_room": (_TEAM, "{what} for {team} would no longer schedule"),
    "room": (_TEAM, "{what} for {team} would schedule again"),
    "stale_manifest": (_TEAM, "Copy the manifest of {what} for {team} again"),
    "comment": (_TEAM, "{who} commented on {what} for {team}"),
}
"""Step → its audience and title. Other steps have no event."""
_SERIOUS = frozenset({"no_room", "expire", "stale_manifest"})


def notify(row: AccessRequest, step: str, at: datetime, text: str, actor: User | None) -> None:
    """Adds the event of a step, in the step's transaction. Loss and return of room share their key."""
    if step not in _TITLES:
        return
    audience, title = _TITLES[step]
    class_spec = requested_spec(row)
    until = f", until {row.expires_at:%d %b %H:%M} UTC" if row.expires_at else ""
    words = {
        "team": row.team.name,
        "what": f"{row.replicas} × {class_spec.title or class_spec.slug}",
        "wanted": row.wanted_replicas,
        "until": until,
        "who": actor.get_username() if actor else "Muster",
    }
    outbox.add(
        KIND,
        f"request:{row.pk}:{'room' if step in ('no_room', 'room') else step}",
        at,
        title.format(**words),
        text,
        pool=class_spec.pools[0] if class_spec.pools else "",
        severity="warning" if step in _SERIOUS else "info",
        recovery=step == "room",
        detail={
            "request": row.pk,
            "step": step,
            "for": audience,
            "team": row.team.slug,
            "workload_class": class_spec.slug,
            "name": row.name,
            "namespace": row.namespace,
            "requested_by": row.requested_by.get_username() if row.requested_by else None,
        },
    )
