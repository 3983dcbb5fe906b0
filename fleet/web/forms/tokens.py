"""The form of a new token, and the page that shows its secret once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from fleet.domain.refusals import FieldError
from fleet.services import tokens
from fleet.web.forms.typed import Refusal, Typed, typed

if TYPE_CHECKING:
    from fleet.models import ApiToken, User

DAYS = (("30", "30 days"), ("90", "90 days"), ("365", "1 year"), ("0", "Never"))
SCOPE_TEXTS = {
    "read": "Read everything the pages show",
    "request": "Request access for teams",
    "operate": "Decide, silence, declare, collect",
    "admin": "Manage accounts and targets",
}


@dataclass(frozen=True)
class ScopeChoice:
    name: str
    text: str
    chosen: bool


@dataclass(frozen=True)
class TokenForm:
    """The form as the template draws it."""

    fields: Mapping[str, Typed]
    scopes: tuple[ScopeChoice, ...]
    days: str
    days_choices: tuple[tuple[str, str], ...]
    errors: Refusal


def empty_token_form(user: User) -> TokenForm:
    """Returns the initial form: read-only, for 90 days."""
    return token_form(user, "", ["read"], "90", {})


def token_form(user: User, name: str, scopes: list[str], days: str, errors: Mapping[str, str], clusters: str = "") -> TokenForm:
    """Returns the form as it was typed, with the scopes that the user's role allows."""
    choices = tuple(ScopeChoice(scope, SCOPE_TEXTS[scope], scope in scopes) for scope in tokens.scopes_of(user))
    return TokenForm(
        typed({"name": name, "scopes": "", "days": days, "clusters": clusters}, errors), choices, days, DAYS, Refusal(errors)
    )


def lifetime_of(days: str) -> timedelta | None:
    """Returns the lifetime of a token; None for no expiry. Raises FieldError."""
    if not (days.isascii() and days.isdecimal() and len(days) <= 6 and int(days) <= tokens.MOST_DAYS):
        raise FieldError("days", f"Enter 1 to {tokens.MOST_DAYS:,} days, or 0 for no expiry.")
    return timedelta(days=int(days)) if int(days) else None


def show_secret(request: HttpRequest, token: ApiToken, secret: str, back: str) -> HttpResponse:
    """Shows the secret of a new token, once. Context: token, secret, back (address of the page before)."""
    return render(request, "tokens/secret.html", {"token": token, "secret": secret, "back": back}, status=201)
