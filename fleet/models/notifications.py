"""Events worth a notification, the rules that match them, and every attempt to deliver one."""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models import Q

from fleet.models.clusters import Cluster
from fleet.models.nodes import Node


class Notice(models.Model):
    """Something that happened, written in the transaction in which it happened: the outbox of notifications."""

    at = models.DateTimeField()
    kind = models.CharField(max_length=40)
    """verdict, finding, cluster, test, request …: an open set."""
    cluster = models.ForeignKey(Cluster, on_delete=models.CASCADE, null=True, blank=True)
    node = models.ForeignKey(Node, on_delete=models.CASCADE, null=True, blank=True)
    pool = models.CharField(max_length=63, blank=True)
    product = models.TextField(blank=True)
    severity = models.CharField(max_length=20, blank=True)
    recovery = models.BooleanField(default=False)
    """Whether it is a recovery."""
    key = models.TextField()
    """The same for a problem and its recovery."""
    title = models.TextField()
    text = models.TextField(blank=True)
    detail = models.JSONField(default=dict)
    matched_at = models.DateTimeField(null=True, blank=True)
    """When it was matched with the rules; null while it waits for that."""

    class Meta:
        ordering = ["at", "id"]
        constraints = [models.UniqueConstraint(fields=["kind", "key", "at", "recovery"], name="notice_once")]
        indexes = [
            models.Index(fields=["id"], condition=Q(matched_at__isnull=True), name="notice_waiting"),
            models.Index(fields=["key", "at"], name="notice_by_key"),
        ]

    def __str__(self) -> str:
        return self.title


class NotificationTarget(models.Model):
    """Where notices go: an Apprise address (Slack, Teams, e-mail, PagerDuty …), a signed webhook, or a page of Muster."""

    name = models.CharField(max_length=100, unique=True)
    kind = models.CharField(max_length=20)
    """apprise, webhook or inbox."""
    address = models.BinaryField()
    """Encrypted: it may hold a password. Empty of an inbox."""
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
    """Which events are sent to a target. An event must match every part; an empty part matches all."""

    name = models.CharField(max_length=100, unique=True)
    target = models.ForeignKey(NotificationTarget, on_delete=models.CASCADE, related_name="rules")
    enabled = models.BooleanField(default=True)
    clusters = models.JSONField(default=list)
    """Names; empty for every one."""
    pools = models.JSONField(default=list)
    products = models.JSONField(default=list)
    kinds = models.JSONField(default=list)
    """Kinds of events; empty for every one."""
    verdicts = models.JSONField(default=list)
    """For verdict events: the verdicts a node changed to; empty for every one."""
    min_severity = models.CharField(max_length=20, default="critical")
    """For findings: the lowest severity that is notified."""
    group_s = models.IntegerField(default=60)
    """Events within so many seconds are sent as one message."""
    quiet_from = models.TimeField(null=True, blank=True)
    """From then until `quiet_until` (UTC) only fatal events are sent; the others wait."""
    quiet_until = models.TimeField(null=True, blank=True)
    repeat_s = models.IntegerField(default=0)
    """An event with the same key waits until so many seconds have passed since the last, and is sent only if it is still current;
    0 sends every one."""
    recoveries = models.BooleanField(default=True)
    created_at = models.DateTimeField()

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Delivery(models.Model):
    """One message of one rule, and its state. An event is in one delivery of a rule, never in two.

    The log outlives its rule and its target, so it has their names.
    """

    class State(models.TextChoices):
        WAITING = "waiting"
        SENT = "sent"
        FAILED = "failed"
        """Given up after the last try."""
        SUPPRESSED = "suppressed"

    uid = models.UUIDField(default=uuid.uuid4, editable=False)
    """Lets a receiver recognise a repeated message; the same in every attempt."""
    rule = models.ForeignKey(NotificationRule, on_delete=models.SET_NULL, related_name="deliveries", null=True, blank=True)
    rule_name = models.CharField(max_length=100, blank=True)
    target = models.ForeignKey(NotificationTarget, on_delete=models.SET_NULL, related_name="deliveries", null=True, blank=True)
    target_name = models.CharField(max_length=100, blank=True)
    created_at = models.DateTimeField()
    due_at = models.DateTimeField()
    """When it is sent, or tried again. A worker that claims it moves this past its own time limit."""
    state = models.CharField(max_length=20, choices=State.choices, default=State.WAITING)
    tries = models.IntegerField(default=0)
    error = models.TextField(blank=True)
    """Why the last try failed, or why it was not sent."""
    sent_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    """When it was sent, given up or suppressed; null while it waits."""
    held = models.BooleanField(default=False)
    """It repeats a recent notification, and is held until it lasts."""
    is_test = models.BooleanField(default=False)

    class Meta:
        verbose_name_plural = "deliveries"
        ordering = ["-created_at", "-id"]
        indexes = [
            models.Index(fields=["due_at"], condition=Q(state="waiting"), name="delivery_due"),
            models.Index(fields=["-created_at", "-id"], name="delivery_newest_first"),
            models.Index(fields=["-ended_at"], condition=Q(ended_at__isnull=False), name="delivery_ended"),
        ]

    def __str__(self) -> str:
        return f"{self.rule_name or self.target_name} {self.created_at}"


class DeliveryItem(models.Model):
    """An event within a delivery. (rule, notice) is unique, so that an event is sent once."""

    delivery = models.ForeignKey(Delivery, on_delete=models.CASCADE, related_name="items")
    rule = models.ForeignKey(NotificationRule, on_delete=models.SET_NULL, null=True, blank=True)
    notice = models.ForeignKey(Notice, on_delete=models.CASCADE, related_name="items")

    class Meta:
        ordering = ["notice"]
        constraints = [models.UniqueConstraint(fields=["rule", "notice"], name="notice_once_per_rule")]

    def __str__(self) -> str:
        return f"{self.delivery}: {self.notice}"
