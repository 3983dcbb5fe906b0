"""Holds the provider's tokens of a session, and asks the provider again when its last answer is too old."""

from __future__ import annotations

import enum
from dataclasses import asdict
from datetime import datetime, timedelta

import msgspec
from allauth.usersessions.models import UserSession
from django.db import transaction

from fleet.models import User
from fleet.services import sso
from fleet.services.notifications.secrets import UnreadableError, seal, unseal
from fleet.services.sso_provider import (
    RefusedByProviderError,
    Tokens,
    UnreachableProviderError,
    ask_again,
    provider,
)

_TRY_EVERY = timedelta(seconds=30)


class Confirmation(enum.Enum):
    """What a session may do after the provider was asked, or could not be."""

    CONFIRMED = "confirmed"
    LATER = "later"
    """It continues; another request asks, or the provider does not respond yet."""
    OVER = "over"


def remember(session_key: str, tokens: Tokens, now: datetime) -> None:
    """Stores the tokens of a new session, encrypted."""
    UserSession.objects.filter(session_key=session_key).update(data=_data(tokens, now))


def tokens_of(session_key: str) -> Tokens | None:
    """Returns the tokens of a session; None where it has none, or none that can be read any more."""
    row = UserSession.objects.filter(session_key=session_key).first()
    return _tokens(row) if row is not None else None


@transaction.atomic
def confirm(session_key: str, user: User, now: datetime) -> Confirmation:
    """Asks the provider again where its last answer is too old, and applies the new one.

    One request of a session asks; concurrent ones go on as before. While the provider does not respond, the session
    lives on for the provider's `keep_for`.
    """
    rows = UserSession.objects.filter(session_key=session_key)
    row = rows.select_for_update(skip_locked=True).first()
    if row is None:
        return Confirmation.LATER if rows.exists() else Confirmation.OVER
    tokens = _tokens(row)
    if tokens is None:
        return Confirmation.OVER
    checked, tried = (datetime.fromisoformat(row.data[name]) for name in ("checked_at", "tried_at"))
    if now - checked < provider().check_every:
        return Confirmation.CONFIRMED
    in_time = now - checked < provider().check_every + provider().keep_for
    if now - tried < _TRY_EVERY:
        return Confirmation.LATER if in_time else Confirmation.OVER
    try:
        claims, tokens = ask_again(tokens)
    except RefusedByProviderError:
        return Confirmation.OVER
    except UnreachableProviderError:
        row.data["tried_at"] = now.isoformat()
        row.save(update_fields=["data"])
        return Confirmation.LATER if in_time else Confirmation.OVER
    if not sso.states_groups(claims) and not provider().default_role:
        return Confirmation.OVER  # the answer has no groups: the user signs in again, and keeps the account
    row.data = _data(tokens, now)
    row.save(update_fields=["data"])
    return Confirmation.CONFIRMED if sso.apply_claims(user, claims, now) else Confirmation.OVER


def _data(tokens: Tokens, now: datetime) -> dict[str, str]:
    sealed = seal(msgspec.json.encode(asdict(tokens)).decode()).decode()
    return {"sso": sealed, "checked_at": now.isoformat(), "tried_at": now.isoformat()}


def _tokens(row: UserSession) -> Tokens | None:
    sealed = row.data.get("sso", "")
    try:
        return msgspec.json.decode(unseal(sealed.encode()), type=Tokens) if sealed else None
    except UnreadableError:
        return None
