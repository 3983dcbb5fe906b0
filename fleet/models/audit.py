"""The audit log: entries that the database keeps from being changed, and the chain of digests that shows a gap.

Triggers and grants of migration `audit_chain` guard these tables; docs/adr/0031-audit-chain.md says why.
"""

from __future__ import annotations

from django.conf import settings
from django.db import models


class AuditEntry(models.Model):
    """One action in Muster. Written in the transaction of the action; never changed."""

    at = models.DateTimeField()
    # No constraint: deleting a user must not change what is on record.
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.DO_NOTHING, db_constraint=False, null=True, blank=True)
    actor_name = models.CharField(max_length=150, blank=True)
    """The user name at that time. Of a failed sign-in: the name that was tried."""
    action = models.CharField(max_length=60)
    """What was done, as noun.verb: waiver.grant, finding.silence, request.approve …"""
    subject = models.TextField(blank=True)
    reason = models.TextField(blank=True)
    detail = models.JSONField(default=dict)
    """Before and after, where something was changed."""
    via = models.CharField(max_length=20, blank=True)
    """How it reached Muster: page, api, command or worker."""
    address = models.CharField(max_length=200, blank=True)
    """The client's address; of a command USER@HOST."""
    request_id = models.CharField(max_length=64, blank=True)
    """The id that the log lines of the same request carry."""

    class Meta:
        ordering = ["-at", "-id"]
        indexes = [models.Index(fields=["-at", "-id"], name="audit_newest_first")]

    def __str__(self) -> str:
        return f"{self.actor_name} {self.action} {self.subject}"


class AuditLink(models.Model):
    """The place of an entry in the chain. Written by the database when the entry's transaction commits."""

    number = models.BigIntegerField(primary_key=True)
    """1 for the first entry ever, without gaps."""
    entry = models.OneToOneField(AuditEntry, on_delete=models.DO_NOTHING, db_constraint=False, related_name="link")
    day = models.DateField(db_index=True)
    """The UTC day whose retention drops the entry. Never earlier than that of the link before."""
    previous = models.CharField(max_length=64)
    """Digest of the link before; empty for the first."""
    digest = models.CharField(max_length=64)

    class Meta:
        ordering = ["number"]

    def __str__(self) -> str:
        return f"{self.number} {self.digest[:12]}"


class AuditDay(models.Model):
    """A day whose entries were dropped at the end of their retention: what remains of them, so that the chain goes on."""

    day = models.DateField(primary_key=True)
    first_number = models.BigIntegerField()
    last_number = models.BigIntegerField()
    previous = models.CharField(max_length=64)
    digest = models.CharField(max_length=64)
    dropped_at = models.DateTimeField()

    class Meta:
        ordering = ["day"]

    def __str__(self) -> str:
        return f"{self.day}: {self.first_number} to {self.last_number}"


class AuditStream(models.Model):
    """How far the audit log was sent to one receiver outside: syslog or a webhook."""

    sink = models.CharField(max_length=20, unique=True)
    number = models.BigIntegerField(default=0)
    """Number of the last link that the receiver has."""
    sent_at = models.DateTimeField(null=True, blank=True)
    failed_at = models.DateTimeField(null=True, blank=True)
    error = models.TextField(blank=True)

    def __str__(self) -> str:
        return f"{self.sink}: {self.number}"
