"""Sessions of people on the pages."""

from __future__ import annotations

from allauth.usersessions.models import UserSession
from django.db.models import QuerySet

from fleet.models import Role, User


def visible_to(actor: User) -> QuerySet[UserSession]:
    """Returns the user's sessions, the latest used first; for administrators those of all users."""
    rows = UserSession.objects.select_related("user").order_by("-last_seen_at", "-pk")
    return rows if actor.may(Role.ADMIN) else rows.filter(user_id=actor.pk)


def own(actor: User) -> list[UserSession]:
    """Returns the sessions of a person that still live; rows of ended ones go."""
    return sorted(UserSession.objects.purge_and_list(actor), key=lambda row: row.last_seen_at, reverse=True)
