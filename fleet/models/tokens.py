"""API tokens: stored as a digest, with an expiry, a role and scopes."""

from __future__ import annotations

from datetime import datetime

from django.db import models
from knox.models import AbstractAuthToken

from fleet.models.users import Role

SCOPES: dict[str, Role] = {"read": Role.VIEWER, "request": Role.DEVELOPER, "operate": Role.OPERATOR, "admin": Role.ADMIN}
"""Scope to the role whose actions it covers."""


PUBLIC_ID_LENGTH = 16


def scopes_up_to(role: Role | str) -> list[str]:
    """Returns the scopes that a token of this role has unless it is given fewer."""
    return [scope for scope, needed in SCOPES.items() if needed.rank <= Role(role).rank]


def all_scopes() -> list[str]:
    return list(SCOPES)


class ApiToken(AbstractAuthToken):
    """A token may do what its scopes, its own role and its user's role all allow: lowering any of them lowers the token."""

    role = models.CharField(max_length=20, choices=Role.choices, default=Role.VIEWER)
    name = models.CharField(max_length=100, blank=True)
    scopes = models.JSONField(default=all_scopes)
    clusters = models.JSONField(null=True, blank=True)
    """Names of the only clusters the token is valid for; null: those of its user."""
    last_used_at = models.DateTimeField(null=True, blank=True)
    """To the minute."""
    last_used_from = models.CharField(max_length=45, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    """Revoked and expired tokens keep their row: the audit log refers to them."""

    class Meta(AbstractAuthToken.Meta):
        abstract = False

    @property
    def public_id(self) -> str:
        """Names the token in addresses: the beginning of its digest, which does not reveal its secret."""
        return str(self.digest)[:PUBLIC_ID_LENGTH]

    @property
    def effective_role(self) -> Role:
        widest = max((SCOPES[scope] for scope in self.scopes if scope in SCOPES), key=lambda role: role.rank, default=Role.VIEWER)
        return min(Role(self.role), Role(self.user.role), widest, key=lambda role: role.rank)

    def covers(self, needed: Role) -> bool:
        """Whether one of its scopes is for actions of this role."""
        return any(SCOPES.get(scope) == needed for scope in self.scopes)

    def state(self, now: datetime) -> str:
        """active, expired or revoked."""
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expiry is not None and self.expiry <= now else "active"
