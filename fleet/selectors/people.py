"""Accounts, their tokens, sessions and saved views: who may see which."""

from __future__ import annotations

from datetime import datetime

from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser
from django.db.models import Case, CharField, Count, Max, Q, QuerySet, Value, When

from fleet.models import ApiToken, Role, SavedView, Team, User
from fleet.models.tokens import PUBLIC_ID_LENGTH


def users(actor: User) -> QuerySet[User]:
    """Returns every account for administrators, else one's own; `active_tokens` and `last_token_use` beside each."""
    rows = User.objects.annotate(
        active_tokens=Count("auth_token_set", filter=Q(auth_token_set__revoked_at__isnull=True)),
        last_token_use=Max("auth_token_set__last_used_at"),
    )
    return rows if actor.may(Role.ADMIN) else rows.filter(pk=actor.pk)


def get_user(actor: User, pk: int) -> User | None:
    """Returns one of the accounts that the actor may see."""
    return users(actor).filter(pk=pk).first()


def tokens(actor: User, now: datetime) -> QuerySet[ApiToken]:
    """Returns every token for administrators, else one's own; `current_state` is active, expired or revoked."""
    state = Case(
        When(revoked_at__isnull=False, then=Value("revoked")),
        When(expiry__lte=now, then=Value("expired")),
        default=Value("active"),
        output_field=CharField(),
    )
    rows = ApiToken.objects.select_related("user").annotate(current_state=state).order_by("-created", "-digest")
    return rows if actor.may(Role.ADMIN) else rows.filter(user=actor)


def get_token(actor: User, public_id: str, now: datetime) -> ApiToken | None:
    """Returns one of the tokens that the actor may see."""
    if len(public_id) != PUBLIC_ID_LENGTH:
        return None
    return tokens(actor, now).filter(digest__startswith=public_id).first()


def teams_of(user: User) -> list[Team]:
    """Returns the teams a person is a member of."""
    return list(Team.objects.filter(members__user=user))


def has_second_factor(user: User) -> bool:
    """Whether the sign-in requires a code of the person's device."""
    return bool(Authenticator.objects.filter(user_id=user.pk, type=Authenticator.Type.TOTP).exists())


def sessions(actor: User) -> QuerySet[UserSession]:
    """Returns the user's sessions, the latest used first; for administrators those of all users."""
    rows = UserSession.objects.select_related("user").order_by("-last_seen_at", "-pk")
    return rows if actor.may(Role.ADMIN) else rows.filter(user_id=actor.pk)


def own_sessions(actor: User) -> list[UserSession]:
    """Returns the active sessions of a person, and deletes rows of ended ones."""
    return sorted(UserSession.objects.purge_and_list(actor), key=lambda row: row.last_seen_at, reverse=True)


def saved_views(user: AbstractBaseUser | AnonymousUser, page: str) -> list[SavedView]:
    """Returns the person's own views of a page, by name."""
    return list(SavedView.objects.filter(user_id=user.pk or 0, page=page))


def saved_views_version(user: AbstractBaseUser | AnonymousUser, page: str) -> str:
    """Changes when a view is saved, renamed or deleted."""
    return ",".join(f"{pk}" for pk in SavedView.objects.filter(user_id=user.pk or 0, page=page).values_list("pk", flat=True))
