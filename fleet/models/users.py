"""People and what they may do."""

from __future__ import annotations

from django.contrib.auth.models import AbstractUser
from django.db import models


class Role(models.TextChoices):
    """The permissions of a user; each role includes the ones before it."""

    VIEWER = "viewer"
    DEVELOPER = "developer"
    OPERATOR = "operator"
    ADMIN = "admin"

    @property
    def rank(self) -> int:
        return list(Role).index(self)


class User(AbstractUser):
    """A person or a service account. There is no default password: `set_unusable_password` until one is chosen."""

    role = models.CharField(max_length=20, choices=Role.choices, default=Role.VIEWER)
    limits = models.JSONField(null=True, blank=True)
    """The only clusters, pools and namespaces the user sees (domain/people/scopes.py); null: no limit."""
    service = models.BooleanField(default=False)
    """A machine account: it has tokens, and never signs in to the pages."""
    sso = models.BooleanField(default=False)
    """Role, teams and access come from the groups of the identity provider."""
    sso_refused = models.BooleanField(default=False)
    """Disabled because no group gives access, not by an administrator: a sign-in with a group enables it again."""
    sso_checked_at = models.DateTimeField(null=True, blank=True)
    """When the identity provider last confirmed the groups."""

    class Meta:
        ordering = ["username"]

    def may(self, role: Role | str) -> bool:
        """Whether this user has at least `role`."""
        return Role(self.role).rank >= Role(role).rank


class SignInLink(models.Model):
    """A link that signs its user in once. Only the digest of its secret is kept."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="sign_in_links")
    digest = models.CharField(max_length=64, unique=True)
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"link of {self.user}"


class SavedView(models.Model):
    """A saved list: filters, order and columns, as the query of its address."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="saved_views")
    page = models.CharField(max_length=30)
    name = models.CharField(max_length=60)
    query = models.TextField(blank=True)

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["user", "page", "name"], name="saved_view_name_once")]

    def __str__(self) -> str:
        return self.name
