"""The signed-in user of a page's request; the middleware refuses anonymous requests."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest

if TYPE_CHECKING:
    from fleet.models import User


def person(request: HttpRequest) -> User:
    """The signed-in user."""
    return cast("User", request.user)


class RoleRequired(PermissionDenied):
    """The signed-in user's role is too low."""

    def __init__(self, needed: str, given: str) -> None:
        super().__init__(
            f"This needs the {needed} role; yours is {given}. An administrator changes roles under Users. "
            "If your session has ended, sign in and try again."
        )


def demand(request: HttpRequest, role: str) -> None:
    """Raises RoleRequired (403) for users below this role."""
    if not person(request).may(role):
        raise RoleRequired(role, str(person(request).role))
