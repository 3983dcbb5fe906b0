"""Authentication: a bearer token, or the session of a signed-in user."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, cast

from django.conf import settings
from django.utils import timezone
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from knox.auth import TokenAuthentication as KnoxTokenAuthentication
from rest_framework.authentication import SessionAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from fleet.models import ApiToken, Role, User
from fleet.services import limits, origin, tokens

if TYPE_CHECKING:
    from drf_spectacular.openapi import AutoSchema


class TokenAuthentication(KnoxTokenAuthentication):
    """`Authorization: Bearer muster_…`; the token is looked up by its digest."""

    def authenticate(self, request: Request) -> tuple[User, ApiToken] | None:
        if "\0" in request.META.get("HTTP_AUTHORIZATION", ""):
            raise AuthenticationFailed("The token contains characters that no token has.")
        try:
            with limits.unscoped():  # of the user of the session
                result: tuple[User, ApiToken] | None = super().authenticate(request)
        except UnicodeError:
            raise AuthenticationFailed("The token contains characters that no token has.") from None
        if result is not None:
            limits.enter(limits.of_user(*result))
            tokens.note_use(result[1], origin.current().address, timezone.now())
        return result

    def _cleanup_token(self, auth_token: ApiToken) -> bool:
        """Whether the token no longer works. Nothing is deleted: the audit log refers to it."""
        return auth_token.state(timezone.now()) != "active"

    def validate_user(self, auth_token: ApiToken) -> tuple[User, ApiToken]:
        user = auth_token.user
        if not user.is_active:
            raise AuthenticationFailed("The user is disabled.")
        if settings.OIDC is not None and user.sso:
            checked = user.sso_checked_at
            if checked is None or timezone.now() - checked >= settings.OIDC.tokens_for:
                raise AuthenticationFailed(
                    "The identity provider has not confirmed the user recently. Sign in to the pages once."
                )
        return user, auth_token


class PageSessionAuthentication(SessionAuthentication):
    """Lets the pages' own links (CSV, JSON, API docs) work; unsafe methods need the CSRF token as usual."""


def role_of(request: Request) -> Role | None:
    """Returns the caller's role; None for an anonymous caller."""
    if not request.user or not request.user.is_authenticated:
        return None
    return request.auth.effective_role if isinstance(request.auth, ApiToken) else Role(request.user.role)


def caller(request: Request) -> User:
    """Returns the authenticated user of a request whose permission demands a role."""
    return cast("User", request.user)


def acting(request: Request) -> User:
    """The caller with the effective role: a token may have a lower one than its user."""
    user: User = copy.copy(request.user)  # type: ignore[assignment]  # the permission class requires a user
    user.role = role_of(request) or Role.VIEWER
    return user


class _BearerScheme(OpenApiAuthenticationExtension):
    target_class = TokenAuthentication
    name = "token"

    def get_security_definition(self, auto_schema: AutoSchema) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer", "description": "An API token, created with `manage.py create_token`."}


class _SessionScheme(OpenApiAuthenticationExtension):
    target_class = PageSessionAuthentication
    name = "session"

    def get_security_definition(self, auto_schema: AutoSchema) -> dict[str, str]:
        return {"type": "apiKey", "in": "cookie", "name": "muster_session"}
