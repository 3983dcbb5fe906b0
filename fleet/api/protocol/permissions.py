"""Permissions by role, and the rate limit: reading requires viewer, every other action names its role."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request
from rest_framework.throttling import UserRateThrottle

from fleet.api.protocol.authentication import role_of
from fleet.models import ApiToken, Role
from fleet.services import limits

if TYPE_CHECKING:
    from rest_framework.views import APIView


class ByRole(BasePermission):
    """A view names the role for its actions in `roles` ({"collect": Role.OPERATOR}).

    Unsafe actions it does not name need an administrator, so that a forgotten line denies access. A token must also
    have the scope of that role.
    """

    message = "Your role does not allow this."

    def has_permission(self, request: Request, view: APIView) -> bool:
        role = role_of(request)
        if role is None:
            return False
        match = request._request.resolver_match
        if limits.current() is not None and not limits.is_open((match and match.url_name) or "", request.method or ""):
            self.message = "You are limited to some clusters or pools; this resource is about all of them."
            return False
        action = getattr(view, "action", None)
        default = Role.VIEWER if request.method in SAFE_METHODS else Role.ADMIN
        needed: Role = getattr(view, "roles", {}).get(action, default)
        if isinstance(request.auth, ApiToken) and not request.auth.covers(needed):
            return False
        return role.rank >= needed.rank


class PerUser(UserRateThrottle):
    """Counts requests per user over all web processes, with a broker that is not Redis or Valkey per process.

    The rate is a setting (MUSTER_API_RATE); CACHES in the settings says where the counts are.
    """
