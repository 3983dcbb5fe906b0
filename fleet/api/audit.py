"""The audit log. There is nothing here that could change an entry."""

from __future__ import annotations

from django.db.models import QuerySet
from rest_framework import serializers

from fleet.api.lists import ListViewSet
from fleet.filters import AuditFilters
from fleet.models import AuditEntry, Role
from fleet.selectors import audit as select


class AuditSerializer(serializers.ModelSerializer):
    """One thing that somebody did in Muster. `actor` is as they were called then; null is Muster itself."""

    actor = serializers.SerializerMethodField()
    detail = serializers.DictField()

    class Meta:
        model = AuditEntry
        fields = ["id", "at", "actor", "action", "subject", "reason", "detail"]

    def get_actor(self, entry: AuditEntry) -> str | None:
        return entry.actor_name or None


class Audit(ListViewSet):
    """Who did what, when and why, newest first. For operators and administrators."""

    queryset = AuditEntry.objects.none()
    serializer_class = AuditSerializer
    filterset_class = AuditFilters
    orderings = {"at": "at"}
    default_ordering = "-at"
    facet_names = ("actor", "action")
    csv_columns = ("id", "at", "actor", "action", "subject", "reason", "detail")
    roles = {"list": Role.OPERATOR, "facets": Role.OPERATOR}

    def get_queryset(self) -> QuerySet[AuditEntry]:
        return select.entries()
