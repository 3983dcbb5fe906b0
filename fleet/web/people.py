"""Who is asking, for pages: everybody here is signed in, which the middleware sees to."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from django.http import HttpRequest

if TYPE_CHECKING:
    from fleet.models import User


def person(request: HttpRequest) -> User:
    """The signed-in user."""
    return cast("User", request.user)
