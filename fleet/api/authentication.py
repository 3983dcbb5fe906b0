"""Who is asking: a bearer token, or the session of somebody signed in to the pages."""

from __future__ import annotations

import copy
from typing import Any, cast

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from knox.auth import TokenAuthentication as KnoxTokenAuthentication
from rest_framework.authentication import SessionAuthentication
from rest_framework.request import Request

from fleet.models import ApiToken, Role, User


class TokenAuthentication(KnoxTokenAuthentication):
    """`Authorization: Bearer muster_…`; the token is looked up by its digest."""


class PageSessionAuthentication(SessionAuthentication):
    """Lets the pages' own links (CSV, JSON, API docs) work; unsafe methods need the CSRF token as usual."""


def role_of(request: Request) -> Role | None:
    """What the caller may do; None for nobody."""
    if not request.user or not request.user.is_authenticated:
        return None
    return request.auth.effective_role if isinstance(request.auth, ApiToken) else Role(request.user.role)


def caller(request: Request) -> User:
    """Who asks, where a role was demanded and so somebody does."""
    return cast("User", request.user)


def acting(request: Request) -> User:
    """The caller with the role that counts here: a token may hold less than its user."""
    user: User = copy.copy(request.user)  # type: ignore[assignment]  # nobody else gets past the permission class
    user.role = role_of(request) or Role.VIEWER
    return user


class _BearerScheme(OpenApiAuthenticationExtension):
    target_class = TokenAuthentication
    name = "token"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer", "description": "An API token, made with `manage.py create_token`."}


class _SessionScheme(OpenApiAuthenticationExtension):
    target_class = PageSessionAuthentication
    name = "session"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "apiKey", "in": "cookie", "name": "muster_session"}
