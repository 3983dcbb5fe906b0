"""Notification rules: which events are sent to which target."""

from __future__ import annotations

from django.db.models import QuerySet
from django.http import Http404
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from fleet.api.protocol.authentication import caller
from fleet.api.protocol.fields import Body
from fleet.api.protocol.lists import ListViewSet
from fleet.domain.findings import Severity
from fleet.filters import NotificationRuleFilters
from fleet.models import NotificationRule, NotificationTarget, Role
from fleet.selectors.notifications import notifications as select
from fleet.services.notifications import rules


class Names(serializers.ListField):
    child = serializers.CharField(max_length=253)


class RuleSerializer(Body, serializers.ModelSerializer):
    """A rule.

    Empty lists match everything; `verdicts` applies to verdict events, `min_severity` to findings. Quiet times are in UTC.
    """

    target = serializers.SlugRelatedField(slug_field="name", queryset=NotificationTarget.objects.all())
    clusters, pools, products = Names(required=False), Names(required=False), Names(required=False)
    kinds, verdicts = Names(required=False), Names(required=False)
    min_severity = serializers.ChoiceField(choices=[str(severity) for severity in Severity], required=False)

    class Meta:
        model = NotificationRule
        fields = ["id", *rules.FIELDS, "created_at"]
        read_only_fields = ["created_at"]
        extra_kwargs: dict[str, object] = {"name": {"validators": []}}


class NotificationRules(ListViewSet):
    """Notification rules: which events are sent to which target."""

    queryset = NotificationRule.objects.none()
    serializer_class = RuleSerializer
    filterset_class = NotificationRuleFilters
    orderings = {"name": "name", "target": "target__name", "created": "created_at"}
    default_ordering = "name"
    facet_names = ("target", "enabled")
    csv_columns = ("id", *rules.FIELDS, "created_at")
    lookup_value_regex = "[0-9]+"
    roles = dict.fromkeys(("list", "facets", "retrieve"), Role.OPERATOR)

    def get_queryset(self) -> QuerySet[NotificationRule]:
        return select.rules()

    def _rule(self, pk: str) -> NotificationRule:
        rule = select.get_rule(int(pk))
        if rule is None:
            raise Http404(f"Rule {pk} not found.")
        return rule

    @extend_schema(operation_id="notification_rule")
    def retrieve(self, request: Request, pk: str) -> Response:
        """Returns one rule."""
        return Response(RuleSerializer(self._rule(pk)).data)

    @extend_schema(operation_id="notification_rule_create")
    def create(self, request: Request) -> Response:
        """Adds a rule."""
        given = RuleSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        rule = rules.save(caller(request), None, given.validated_data)
        return Response(RuleSerializer(rule).data, status=status.HTTP_201_CREATED)

    @extend_schema(operation_id="notification_rule_change")
    def partial_update(self, request: Request, pk: str) -> Response:
        """Changes the given fields."""
        rule = self._rule(pk)
        given = RuleSerializer(rule, data=request.data, partial=True)
        given.is_valid(raise_exception=True)
        return Response(RuleSerializer(rules.save(caller(request), rule, given.validated_data)).data)

    @extend_schema(operation_id="notification_rule_delete", responses={204: None})
    def destroy(self, request: Request, pk: str) -> Response:
        """Deletes the rule; its deliveries are kept."""
        rules.delete(caller(request), self._rule(pk))
        return Response(status=status.HTTP_204_NO_CONTENT)
