"""API tokens: stored as a digest, with an expiry and a role of their own."""

from __future__ import annotations

from django.db import models
from knox.models import AbstractAuthToken

from fleet.models.users import Role


class ApiToken(AbstractAuthToken):
    """A token may do what both its own role and its user's role allow: lowering either lowers the token."""

    role = models.CharField(max_length=20, choices=Role.choices, default=Role.VIEWER)
    name = models.CharField(max_length=100, blank=True)

    class Meta(AbstractAuthToken.Meta):
        abstract = False

    @property
    def effective_role(self) -> Role:
        return min(Role(self.role), Role(self.user.role), key=lambda role: role.rank)
