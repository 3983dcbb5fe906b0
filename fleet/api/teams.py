"""Teams: your own, or every one for operators."""

from __future__ import annotations

from django.db.models import QuerySet
from rest_framework import serializers

from fleet.api.lists import ListViewSet
from fleet.api.requests import acting
from fleet.filters import TeamFilters
from fleet.models import Team
from fleet.selectors import requests as select


class MemberSerializer(serializers.Serializer):
    user = serializers.CharField(source="user.username")
    lead = serializers.BooleanField()


class TeamSerializer(serializers.ModelSerializer):
    """Who belongs together, in which namespaces, and what they may have without asking."""

    members = MemberSerializer(many=True)
    namespaces = serializers.ListField(child=serializers.CharField())

    class Meta:
        model = Team
        fields = ["slug", "name", "namespaces", "max_replicas", "sso_group", "members", "created_at"]


class Teams(ListViewSet):
    """Teams you may ask for."""

    queryset = Team.objects.none()
    serializer_class = TeamSerializer
    filterset_class = TeamFilters
    orderings = {"slug": "slug", "name": "name"}
    default_ordering = "slug"
    csv_columns = ("slug", "name", "namespaces", "max_replicas")

    def get_queryset(self) -> QuerySet[Team]:
        if getattr(self, "swagger_fake_view", False):
            return self.queryset
        return select.teams_of(acting(self.request))
