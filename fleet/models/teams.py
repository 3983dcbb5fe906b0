"""Teams: who belongs together, in which namespaces they work, and what they may have without approval."""

from __future__ import annotations

from django.conf import settings
from django.db import models


class Team(models.Model):
    slug = models.SlugField(max_length=63, unique=True)
    name = models.CharField(max_length=120)
    namespaces = models.JSONField(default=list)
    """Kubernetes namespaces its workloads run in, in every cluster."""
    max_replicas = models.IntegerField(null=True, blank=True)
    """Replicas of one class the team gets without approval, where the class sets no number; null: the class decides."""
    sso_group = models.CharField(max_length=200, blank=True)
    """Group of the identity provider whose members belong to it."""
    created_at = models.DateTimeField()

    class Meta:
        ordering = ["slug"]

    def __str__(self) -> str:
        return self.slug


class TeamMember(models.Model):
    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="members")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="teams")
    lead = models.BooleanField(default=False)
    """May add and remove members."""
    from_group = models.BooleanField(default=False)
    """Follows the team's group of the identity provider: it ends when the group does."""

    class Meta:
        ordering = ["team", "user"]
        constraints = [models.UniqueConstraint(fields=["team", "user"], name="team_member_once")]

    def __str__(self) -> str:
        return f"{self.user} in {self.team}"


class MembershipRequest(models.Model):
    """A person who wants to belong to a team; the row goes when a lead or an operator decides."""

    team = models.ForeignKey(Team, on_delete=models.CASCADE, related_name="membership_requests")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="membership_requests")
    reason = models.CharField(max_length=500, blank=True)
    asked_at = models.DateTimeField()

    class Meta:
        ordering = ["asked_at", "id"]
        constraints = [models.UniqueConstraint(fields=["team", "user"], name="membership_asked_once")]

    def __str__(self) -> str:
        return f"{self.user} to {self.team}"
