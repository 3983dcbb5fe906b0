"""Access requests of teams for classes, every step of them, and the keys that make a repeated POST harmless."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q

from fleet.models.pools import ClassVersion
from fleet.models.teams import Team


class AccessRequestState(models.TextChoices):
    DRAFT = "draft"
    SUBMITTED = "submitted"
    APPROVED = "approved"
    """Decided; becomes active with the first pod that uses it."""
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"
    ACTIVE = "active"
    EXPIRING = "expiring"
    EXPIRED = "expired"


class AccessRequest(models.Model):
    team = models.ForeignKey(Team, on_delete=models.PROTECT, related_name="requests")
    class_version = models.ForeignKey(ClassVersion, on_delete=models.PROTECT, related_name="requests")
    """The version it was asked (later: approved) under: its manifest stays with it."""
    namespace = models.CharField(max_length=63)
    name = models.CharField(max_length=63)
    """Of the workload: names its manifest."""
    replicas = models.IntegerField()
    gpus = models.IntegerField(null=True, blank=True)
    """Slots per replica, where the class allows a choice; null for the class's own number."""
    purpose = models.TextField(blank=True)
    image = models.CharField(max_length=400, blank=True)
    hours = models.IntegerField(null=True, blank=True)
    """Requested duration in hours; null for the class's longest."""
    state = models.CharField(max_length=12, choices=AccessRequestState.choices, default=AccessRequestState.DRAFT)
    requested_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="requests")
    created_at = models.DateTimeField()
    submitted_at = models.DateTimeField(null=True, blank=True)
    decided_at = models.DateTimeField(null=True, blank=True)
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="decisions"
    )
    automatic = models.BooleanField(default=False)
    """Approved because it lies within the team's limits."""
    first_pod_at = models.DateTimeField(null=True, blank=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    extension_until = models.DateTimeField(null=True, blank=True)
    """Requested, and not decided yet."""
    wanted_replicas = models.IntegerField(null=True, blank=True)
    """A change of size that was requested and not decided yet."""
    latest_check = models.JSONField(default=dict)
    """Result of the newest check (services.access_request_checks.check_all); empty before the first."""

    class Meta:
        ordering = ["-created_at", "-id"]
        constraints = [models.CheckConstraint(condition=Q(replicas__gte=1), name="request_asks_for_something")]
        indexes = [models.Index(fields=["state", "-created_at"], name="request_by_state")]

    def __str__(self) -> str:
        return f"{self.team} asks for {self.replicas} × {self.class_version}"


class AccessRequestStep(models.Model):
    """One step or comment in a request's life. Never changed."""

    request = models.ForeignKey(AccessRequest, on_delete=models.CASCADE, related_name="steps")
    at = models.DateTimeField()
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True)
    kind = models.CharField(max_length=20)
    """submit, approve, reject, withdraw, extend, resize, comment, activate, expire …"""
    text = models.TextField(blank=True)
    detail = models.JSONField(default=dict)

    class Meta:
        ordering = ["at", "id"]

    def __str__(self) -> str:
        return f"{self.request_id} {self.kind}"


class IdempotencyKey(models.Model):
    """A POST that was answered: the same key with the same body gets the same answer again."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE)
    key = models.CharField(max_length=200)
    path = models.CharField(max_length=300)
    digest = models.CharField(max_length=64)
    status = models.IntegerField(null=True, blank=True)
    """Null while the first one is still being answered."""
    answer = models.JSONField(null=True, blank=True)
    at = models.DateTimeField()

    class Meta:
        ordering = ["-at"]
        constraints = [models.UniqueConstraint(fields=["user", "key"], name="idempotency_key_once")]

    def __str__(self) -> str:
        return self.key
