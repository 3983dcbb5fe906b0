"""What is told of a request, to those who asked and to those who decide: notices of the kind `request`."""

from __future__ import annotations

from datetime import datetime

from fleet.models import ClassRequest, User
from fleet.selectors.requests import promised
from fleet.services import notices

KIND = "request"
_APPROVERS, _TEAM = "approvers", "team"

_TITLES = {
    "submit": (_APPROVERS, "{team} asks for {what}"),
    "withdraw": (_APPROVERS, "{team} has withdrawn its request for {what}"),
    "extend": (_APPROVERS, "{team} asks to keep {what} longer"),
    "resize": (_APPROVERS, "{team} asks for {wanted} replicas instead of {what}"),
    "approve": (_TEAM, "Approved: {what} for {team}"),
    "reject": (_TEAM, "Rejected: {what} for {team}"),
    "change": (_TEAM, "Changed: {team} has {what}{until}"),
    "refuse_change": (_TEAM, "The change of {what} for {team} was refused"),
    "warn": (_TEAM, "{what} for {team} expires soon"),
    "expire": (_TEAM, "{what} for {team} has expired"),
    "no_room": (_TEAM, "{what} for {team} would no longer schedule"),
    "room": (_TEAM, "{what} for {team} would schedule again"),
    "comment": (_TEAM, "{who} commented on {what} for {team}"),
}
"""Step → whom it concerns first, and what is said. Steps that are not here are told to nobody."""
_SERIOUS = frozenset({"no_room", "expire"})


def tell(row: ClassRequest, step: str, at: datetime, text: str, actor: User | None) -> None:
    """Adds the notice of a step, inside the step's own transaction. News and recovery of room share their key."""
    if step not in _TITLES:
        return
    audience, title = _TITLES[step]
    promise = promised(row)
    until = f", until {row.expires_at:%d %b %H:%M} UTC" if row.expires_at else ""
    words = {
        "team": row.team.name,
        "what": f"{row.replicas} × {promise.title or promise.slug}",
        "wanted": row.wanted_replicas,
        "until": until,
        "who": actor.get_username() if actor else "Muster",
    }
    notices.add(
        KIND,
        f"request:{row.pk}:{'room' if step in ('no_room', 'room') else step}",
        at,
        title.format(**words),
        text,
        pool=promise.pools[0] if promise.pools else "",
        severity="warning" if step in _SERIOUS else "info",
        recovery=step == "room",
        detail={
            "request": row.pk,
            "step": step,
            "for": audience,
            "team": row.team.slug,
            "workload_class": promise.slug,
            "name": row.name,
            "namespace": row.namespace,
            "requested_by": row.requested_by.get_username() if row.requested_by else None,
        },
    )
