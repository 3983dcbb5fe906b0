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


def demand(request: HttpRequest, role: str) -> None:
    """Raises PermissionDenied (403) for users below this role."""
    if not person(request).may(role):
        raise PermissionDenied
