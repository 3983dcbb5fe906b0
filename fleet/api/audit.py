"""The audit log, read-only."""

from __future__ import annotations

from django.db.models import QuerySet
from rest_framework import serializers

from fleet.api.protocol.lists import ListViewSet
from fleet.domain.audit import sentences
from fleet.filters import AuditFilters
from fleet.models import AuditEntry, Role
from fleet.selectors.audit import audit as select


class AuditSerializer(serializers.ModelSerializer):
    """One audited action. `actor` is the user name at that time; null is Muster itself."""

    actor = serializers.SerializerMethodField()
    detail = serializers.DictField()
    sentence = serializers.SerializerMethodField(help_text="The entry as a sentence.")
    number = serializers.SerializerMethodField(help_text="Place in the chain: 1 for the first entry, without gaps.")
    digest = serializers.SerializerMethodField(help_text="SHA-256 over the digest before, the number and the entry.")

    class Meta:
        model = AuditEntry
        fields = [
            *("id", "at", "actor", "action", "subject", "reason", "detail", "sentence", "via", "address", "request_id"),
            *("number", "digest"),
        ]

    def get_actor(self, entry: AuditEntry) -> str | None:
        return entry.actor_name or None

    def get_sentence(self, entry: AuditEntry) -> str:
        return str(sentences.sentence(entry.actor_name, entry.via, entry.action, entry.subject, entry.detail))

    def get_number(self, entry: AuditEntry) -> int | None:
        return entry.link.number if hasattr(entry, "link") else None

    def get_digest(self, entry: AuditEntry) -> str | None:
        return entry.link.digest if hasattr(entry, "link") else None


class Audit(ListViewSet):
    """Audit log entries, newest first. For operators and administrators."""

    queryset = AuditEntry.objects.none()
    serializer_class = AuditSerializer
    filterset_class = AuditFilters
    orderings = {"at": "at"}
    default_ordering = "-at"
    facet_names = ("actor", "action", "via")
    csv_columns = (
        *("number", "at", "actor", "action", "subject", "reason", "detail", "sentence", "via", "address", "request_id"),
        *("id", "digest"),
    )
    roles = {"list": Role.OPERATOR, "facets": Role.OPERATOR}

    def get_queryset(self) -> QuerySet[AuditEntry]:
        return select.entries()
