"""Notices: what is worth telling somebody, to whom by which rule, and every try to deliver it."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from fleet.models.clusters import Cluster
from fleet.models.nodes import Node


class Notice(models.Model):
    """Something that happened, written in the transaction in which it happened: the outbox of notifications."""

    at = models.DateTimeField()
    kind = models.CharField(max_length=40)
    """verdict, finding, cluster, request …"""
    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, null=True, blank=True)
    node = models.ForeignKey(Node, on_delete=models.CASCADE, null=True, blank=True)
    pool = models.CharField(max_length=63, blank=True)
    product = models.CharField(max_length=200, blank=True)
    severity = models.CharField(max_length=20, blank=True)
    recovery = models.BooleanField(default=False)
    """It says that something is good again."""
    key = models.CharField(max_length=400)
    """The same for the bad news and its recovery."""
    title = models.CharField(max_length=300)
    text = models.TextField(blank=True)
    detail = models.JSONField(default=dict)
    matched_at = models.DateTimeField(null=True, blank=True)
    """When the rules were asked about it; null while it waits for that."""

    class Meta:
        ordering = ["at", "id"]
        constraints = [models.UniqueConstraint(fields=["kind", "key", "at", "recovery"], name="notice_once")]
        indexes = [models.Index(fields=["id"], condition=Q(matched_at__isnull=True), name="notice_waiting")]

    def __str__(self) -> str:
        return self.title


class NotificationTarget(models.Model):
    """Where notices go: an Apprise address (Slack, Teams, e-mail, PagerDuty …) or a signed webhook."""

    name = models.CharField(max_length=100, unique=True)
    kind = models.CharField(max_length=20)
    """apprise or webhook."""
    address = models.BinaryField()
    """Encrypted: it may hold a password."""
    secret = models.BinaryField(default=bytes, blank=True)
    """Encrypted: signs webhooks."""
    shown = models.CharField(max_length=300, blank=True)
    """The address without its secrets, for people."""
    created_at = models.DateTimeField()

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class NotificationRule(models.Model):
    """Which notices go to a target."""

    name = models.CharField(max_length=100, unique=True)
    target = models.ForeignKey(NotificationTarget, on_delete=models.CASCADE, related_name="rules")
    enabled = models.BooleanField(default=True)
    clusters = models.JSONField(default=list)
    """Names; empty for every one."""
    pools = models.JSONField(default=list)
    products = models.JSONField(default=list)
    kinds = models.JSONField(default=list)
    """Kinds of notices; empty for every one."""
    verdicts = models.JSONField(default=list)
    """For verdict notices: the verdicts a node turned to; empty for every one."""
    min_severity = models.CharField(max_length=20, default="critical")
    group_s = models.IntegerField(default=60)
    """Notices within so many seconds go out as one message."""
    quiet_from = models.TimeField(null=True, blank=True)
    """From then until `quiet_until` (UTC) only fatal notices go out; the others wait."""
    quiet_until = models.TimeField(null=True, blank=True)
    repeat_s = models.IntegerField(default=0)
    """A notice with the same key is not sent again within so many seconds; 0 sends every one."""
    recoveries = models.BooleanField(default=True)
    created_at = models.DateTimeField()

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Delivery(models.Model):
    """One message of one rule, and how its sending goes. A notice is in one delivery of a rule, never in two."""

    class State(models.TextChoices):
        WAITING = "waiting"
        SENT = "sent"
        FAILED = "failed"
        """Given up after the last try."""
        SUPPRESSED = "suppressed"

    rule = models.ForeignKey(NotificationRule, on_delete=models.CASCADE, related_name="deliveries")
    created_at = models.DateTimeField()
    due_at = models.DateTimeField()
    state = models.CharField(max_length=20, choices=State.choices, default=State.WAITING)
    tries = models.IntegerField(default=0)
    error = models.TextField(blank=True)
    sent_at = models.DateTimeField(null=True, blank=True)
    is_test = models.BooleanField(default=False)

    class Meta:
        verbose_name_plural = "deliveries"
        ordering = ["-created_at", "-id"]
        indexes = [models.Index(fields=["due_at"], condition=Q(state="waiting"), name="delivery_due")]

    def __str__(self) -> str:
        return f"{self.rule} {self.created_at}"


class DeliveryItem(models.Model):
    """A notice within a delivery. (rule, notice) is unique: that is what makes a notice go out once."""

    delivery = models.ForeignKey(Delivery, on_delete=models.CASCADE, related_name="items")
    rule = models.ForeignKey(NotificationRule, on_delete=models.CASCADE)
    notice = models.ForeignKey(Notice, on_delete=models.CASCADE)

    class Meta:
        ordering = ["notice"]
        constraints = [models.UniqueConstraint(fields=["rule", "notice"], name="notice_once_per_rule")]

    def __str__(self) -> str:
        return f"{self.delivery}: {self.notice}"
