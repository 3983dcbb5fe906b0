"""Words of accounts and tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

if TYPE_CHECKING:
    from fleet.models import User

register = template.Library()

_STATES = {"active": ("ready", "Active"), "expired": ("excluded", "Expired"), "revoked": ("excluded", "Revoked")}


@register.simple_tag
def token_state(state: str) -> SafeString:
    """Returns a badge with the state of a token."""
    look, word = _STATES.get(state, ("unknown", state))
    return format_html('<span class="badge badge--plain v-{}">{}</span>', look, word)


@register.filter
def signs_in_by(account: User) -> str:
    """Returns how an account signs in, in words."""
    if account.service:
        return "Service account"
    if account.sso:
        return "Single sign-on"
    return "Password" if account.has_usable_password() else "One-time link"


@register.filter
def lines(texts: list[str]) -> str:
    """Returns one text per line."""
    return "\n".join(texts)
