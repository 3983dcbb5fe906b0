"""What each role may do: reading needs a viewer, everything else says what it needs."""

from __future__ import annotations

from typing import Any

from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request

from fleet.api.authentication import role_of
from fleet.models import Role


class ByRole(BasePermission):
    """A view names the role for its actions in `roles` ({"collect": Role.OPERATOR}); unsafe actions it does not name
    need an administrator, so that a forgotten line is closed rather than open."""

    message = "Your role does not allow this."

    def has_permission(self, request: Request, view: Any) -> bool:
        role = role_of(request)
        if role is None:
            return False
        action = getattr(view, "action", None)
        default = Role.VIEWER if request.method in SAFE_METHODS else Role.ADMIN
        needed: Role = getattr(view, "roles", {}).get(action, default)
        return role.rank >= needed.rank
