"""Who is asking, for pages: everybody here is signed in, which the middleware sees to."""

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
    """Refuses with 403 whoever has less than this role."""
    if not person(request).may(role):
        raise PermissionDenied
