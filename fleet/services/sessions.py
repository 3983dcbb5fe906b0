"""Sessions of people: which there are, and their end."""

from __future__ import annotations

from datetime import datetime

from allauth.usersessions.models import UserSession
from django.contrib.sessions.models import Session
from django.db import transaction

from fleet.domain.refusals import NotNow, NotYours
from fleet.models import Role, User
from fleet.selectors import people
from fleet.services.audit import audit


def touch(session_key: str, now: datetime) -> None:
    """Notes that the session's person did something."""
    UserSession.objects.filter(session_key=session_key).update(last_seen_at=now)


def forget(session_key: str) -> None:
    """Removes the row of a session that is over."""
    UserSession.objects.filter(session_key=session_key).delete()


def expire(user: User, session_key: str, reason: str, now: datetime) -> None:
    """Removes the row of a session that ended by itself, and records why."""
    forget(session_key)
    audit(user, "session.end", user.get_username(), reason, at=now)


def end_all(user: User, keep: str = "") -> int:
    """Ends every session of a user but the one of the key `keep`. Returns how many."""
    ended = list(UserSession.objects.filter(user_id=user.pk).exclude(session_key=keep))
    for row in ended:
        row.end()
    return len(ended)


@transaction.atomic
def end_session(actor: User, pk: int, now: datetime) -> UserSession:
    """Ends one's own session, or as an administrator any session. Raises NotNow where there is none such."""
    row = people.sessions(actor).filter(pk=pk).first()
    if row is None:
        raise NotNow("The session has ended already.")
    row.end()
    audit(actor, "session.end", row.user.get_username(), detail={"address": row.ip, "agent": row.user_agent}, at=now)
    return row


@transaction.atomic
def end_others(actor: User, keep: str, now: datetime) -> int:
    """Ends one's own sessions but the current one. Returns how many."""
    ended = end_all(actor, keep)
    if ended:
        audit(actor, "session.end", actor.get_username(), detail={"sessions": ended}, at=now)
    return ended


@transaction.atomic
def end_for(actor: User, user: User, now: datetime) -> int:
    """Ends every session of an account, as an administrator. Returns how many. Raises NotYours."""
    if not actor.may(Role.ADMIN):
        raise NotYours("Only an administrator can end sessions of others.")
    ended = end_all(user)
    audit(actor, "session.end", user.get_username(), detail={"sessions": ended}, at=now)
    return ended


def drop_ended(now: datetime) -> int:
    """Deletes sessions that are past their lifetime, and rows of sessions that are over. Returns how many of the first."""
    ended, _ = Session.objects.filter(expire_date__lt=now).delete()
    UserSession.objects.exclude(session_key__in=Session.objects.values("session_key")).delete()
    return ended
