"""People and what they may do."""

from __future__ import annotations

from django.contrib.auth.models import AbstractUser
from django.db import models


class Role(models.TextChoices):
    """What somebody may do; each role may do all that the ones before it may."""

    VIEWER = "viewer"
    DEVELOPER = "developer"
    OPERATOR = "operator"
    ADMIN = "admin"

    @property
    def rank(self) -> int:
        return list(Role).index(self)


class User(AbstractUser):
    """A person or a machine account. Nobody has a default password: `set_unusable_password` until one is chosen."""

    role = models.CharField(max_length=20, choices=Role.choices, default=Role.VIEWER)

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
    """A list as somebody likes to see it: filters, order and columns, as the query of its address."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="saved_views")
    page = models.CharField(max_length=30)
    name = models.CharField(max_length=60)
    query = models.TextField(blank=True)

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["user", "page", "name"], name="saved_view_name_once")]

    def __str__(self) -> str:
        return self.name
