"""What if: what a change of labels, taints, sharing, MIG, drivers or quotas would do, before it is applied."""

from __future__ import annotations

import msgspec
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.parsers import JSONParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from fleet.api.protocol.fields import Body
from fleet.domain.devices.slots import Slots
from fleet.domain.refusals import FieldError
from fleet.domain.whatif.forecast import NodeOutlook
from fleet.domain.whatif.planned_changes import MOST_CHANGES
from fleet.models import Role
from fleet.services import what_if as service


class WhatIfQuestion(Body):
    """Changes of one cluster, in order.

    Kinds: ConfigMap, labels, taints, cordon, add_nodes, mig, driver, quota, NodeReadinessRule. Nodes are chosen by `nodes`
    (names) or `selector` (labels).
    """

    cluster = serializers.CharField(max_length=253)
    changes = serializers.ListField(child=serializers.DictField(), min_length=1, max_length=MOST_CHANGES)


class _Slots(serializers.Serializer):
    capacity = serializers.IntegerField(allow_null=True)
    allocatable = serializers.IntegerField(allow_null=True)
    requested = serializers.IntegerField(allow_null=True)
    free = serializers.IntegerField(allow_null=True)


class _Resource(_Slots):
    name = serializers.CharField()
    replicas = serializers.IntegerField(allow_null=True)


class NodeOutlookSerializer(serializers.Serializer):
    verdict = serializers.CharField()
    verdict_reason = serializers.CharField()
    schedulable = serializers.BooleanField()
    product = serializers.CharField(allow_null=True)
    mode = serializers.CharField()
    driver_version = serializers.CharField(allow_null=True)
    slots = _Slots()
    resources = _Resource(many=True)
    taints = serializers.ListField(child=serializers.DictField(child=serializers.CharField(allow_blank=True)))
    pools = serializers.ListField(child=serializers.CharField())


class _NodeDifference(serializers.Serializer):
    name = serializers.CharField()
    before = NodeOutlookSerializer(allow_null=True, help_text="null for a node that joins.")
    after = NodeOutlookSerializer()


class _SlotsDifference(serializers.Serializer):
    before = _Slots()
    after = _Slots()


class _Numbers(serializers.Serializer):
    before = serializers.IntegerField()
    after = serializers.IntegerField()


class _ClassDifference(serializers.Serializer):
    slug = serializers.CharField()
    title = serializers.CharField()
    replicas = _Numbers()


class _PoolDifference(serializers.Serializer):
    slug = serializers.CharField()
    nodes = _Numbers()
    ready = _Numbers()
    target_percent = serializers.FloatField(allow_null=True)
    min_ready = serializers.IntegerField(allow_null=True)
    breaks_min_ready = serializers.BooleanField()


class _PodAtRisk(serializers.Serializer):
    node = serializers.CharField()
    namespace = serializers.CharField()
    name = serializers.CharField()
    id = serializers.CharField(help_text="stopped, restarted, may_be_evicted or not_back.")
    text = serializers.CharField()


class _QuotaUse(serializers.Serializer):
    namespace = serializers.CharField()
    resource = serializers.CharField()
    hard = serializers.IntegerField(allow_null=True, help_text="cpu in millicores, memory in bytes, all else in units.")
    used = serializers.IntegerField(allow_null=True)


class _NotForecast(serializers.Serializer):
    node = serializers.CharField()
    reason = serializers.CharField()


class WhatIfAnswer(serializers.Serializer):
    """Only what would differ is listed. Nothing is stored (see what-if/kept/), and nothing is sent to the cluster."""

    nodes = _NodeDifference(many=True)
    slots = _SlotsDifference()
    classes = _ClassDifference(many=True)
    pools = _PoolDifference(many=True)
    pods_at_risk = _PodAtRisk(many=True)
    quotas = _QuotaUse(many=True)
    not_forecast = _NotForecast(many=True, help_text="Nodes with an unknown outcome: left as they are.")
    as_of = serializers.DateTimeField(allow_null=True)


class WhatIfView(APIView):
    """The same evaluation over a changed snapshot."""

    roles = {None: Role.VIEWER}
    parser_classes = [JSONParser]

    @extend_schema(operation_id="what_if", request=WhatIfQuestion, responses=WhatIfAnswer)
    def post(self, request: Request) -> Response:
        """Returns nodes, slots, classes and pools before and after, and the running pods at risk. Unknown kinds are refused."""
        asked = WhatIfQuestion(data=request.data)
        asked.is_valid(raise_exception=True)
        fields = asked.validated_data
        try:
            answer = service.what_if(fields["cluster"], fields["changes"], timezone.now())
        except FieldError as error:
            raise ValidationError({error.field: [str(error)]}) from error
        return Response(as_json(answer))


def as_json(answer: service.WhatIf) -> dict[str, object]:
    """Returns the answer in the shape of WhatIfAnswer."""
    forecast = answer.forecast
    return {
        "nodes": [
            {"name": row.name, "before": _outlook(row.before) if row.before else None, "after": _outlook(row.after)}
            for row in forecast.nodes
        ],
        "slots": _both(*(_slots(slots) for slots in forecast.slots)),
        "classes": [{"slug": row.slug, "title": row.title, "replicas": _both(row.before, row.after)} for row in answer.classes],
        "pools": [
            {
                "slug": row.slug,
                "nodes": _both(*row.nodes),
                "ready": _both(*row.ready),
                "target_percent": row.target,
                "min_ready": row.min_ready,
                "breaks_min_ready": row.breaks,
            }
            for row in forecast.pools
        ],
        "pods_at_risk": [
            {"node": row.node, "namespace": row.namespace, "name": row.name, "id": row.id, "text": row.text}
            for row in forecast.pods_at_risk
        ],
        "quotas": [msgspec.to_builtins(row) for row in forecast.quotas],
        "not_forecast": [{"node": node, "reason": reason} for node, reason in sorted(forecast.not_forecast.items())],
        "as_of": answer.as_of,
    }


def _both(before: object, after: object) -> dict[str, object]:
    return {"before": before, "after": after}


def _slots(slots: Slots) -> dict[str, int | None]:
    return {name: getattr(slots, name) for name in ("capacity", "allocatable", "requested", "free")}


def _outlook(node: NodeOutlook) -> dict[str, object]:
    return {
        "verdict": str(node.verdict),
        "verdict_reason": node.reason,
        "schedulable": node.schedulable,
        "product": node.product or None,
        "mode": node.mode,
        "driver_version": node.driver_version or None,
        "slots": _slots(node.slots),
        "resources": [
            {
                "name": row.name,
                "replicas": row.replicas,
                "capacity": row.capacity,
                "allocatable": row.allocatable,
                "requested": row.requested,
                "free": row.free,
            }
            for row in node.resources
        ],
        "taints": [{"key": taint.key, "value": taint.value, "effect": taint.effect} for taint in node.taints],
        "pools": list(node.pools),
    }
