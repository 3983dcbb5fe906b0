"""Why pods are scheduled or not: POST a manifest, a pending pod's name, or a workload class."""

from __future__ import annotations

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.parsers import JSONParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from fleet.api.protocol.fields import Body
from fleet.domain.placement.manifest_files import LARGEST
from fleet.domain.refusals import FieldError
from fleet.models import Role
from fleet.selectors.placement import explain as select


class QuestionSerializer(Body):
    """Exactly one of manifest, pod and workload_class."""

    manifest = serializers.CharField(required=False, trim_whitespace=False, max_length=LARGEST)
    pod = serializers.CharField(required=False, max_length=700, help_text="cluster/namespace/name of a pod that waits.")
    workload_class = serializers.CharField(required=False, max_length=100)
    replicas = serializers.IntegerField(required=False, min_value=1, max_value=select.MOST_REPLICAS, default=1)
    cluster = serializers.CharField(required=False, max_length=253)

    def validate(self, attrs: dict[str, object]) -> dict[str, object]:
        if len({"manifest", "pod", "workload_class"} & attrs.keys()) != 1:
            raise ValidationError("Give exactly one of manifest, pod and workload_class.")
        return attrs


class _NodesSerializer(serializers.Serializer):
    total = serializers.IntegerField()
    feasible = serializers.IntegerField()


class _NodeSerializer(serializers.Serializer):
    cluster = serializers.CharField()
    name = serializers.CharField()


class _ReasonSerializer(serializers.Serializer):
    id = serializers.CharField()
    text = serializers.CharField()
    nodes = serializers.IntegerField()
    opens = serializers.IntegerField(allow_null=True)


class _SuggestionSerializer(serializers.Serializer):
    text = serializers.CharField()
    patch = serializers.CharField(allow_null=True)
    nodes = serializers.IntegerField()


class _WarningSerializer(serializers.Serializer):
    id = serializers.CharField()
    text = serializers.CharField()


class _SchedulerSerializer(serializers.Serializer):
    message = serializers.CharField()
    agrees = serializers.BooleanField(allow_null=True)


class _AheadSerializer(serializers.Serializer):
    namespace = serializers.CharField()
    name = serializers.CharField()
    priority = serializers.IntegerField(allow_null=True)
    requests = serializers.DictField(child=serializers.IntegerField(allow_null=True))


class _ShortSerializer(serializers.Serializer):
    """A resource of which the queue has too little left: cpu in millicores, memory in bytes, all else in units."""

    flavor = serializers.CharField(allow_null=True)
    resource = serializers.CharField()
    needed = serializers.IntegerField()
    available = serializers.IntegerField(allow_null=True, help_text="Borrowing included; null where unknown.")
    quota = serializers.IntegerField(allow_null=True)
    used = serializers.IntegerField(allow_null=True)


class _WouldDoSerializer(serializers.Serializer):
    name = serializers.CharField()
    verdict = serializers.CharField()
    broken_rung = serializers.CharField(allow_null=True)
    rung = serializers.IntegerField(allow_null=True)


class _QueueNodesSerializer(serializers.Serializer):
    ready = serializers.IntegerField(help_text="Ready nodes of the queue's flavors with room for one pod now.")
    would_do = _WouldDoSerializer(many=True, help_text="Nodes that would take a pod if they were ready; the first 20.")


class QueueSerializer(serializers.Serializer):
    """The place of the workload in Kueue, Volcano or KAI; null where no queue is in front of the scheduler."""

    name = serializers.CharField(help_text="The queue that decides the order: ClusterQueue, or Queue.")
    position = serializers.IntegerField(allow_null=True, help_text="From 1; null where it does not wait or is unknown.")
    text = serializers.CharField()
    system = serializers.CharField(help_text="kueue, volcano or kai.")
    local_queue = serializers.CharField(allow_null=True)
    state = serializers.CharField(help_text="waiting, reserved, admitted, stopped or unknown.")
    waiting = serializers.IntegerField(allow_null=True)
    ahead = _AheadSerializer(many=True, help_text="Workloads that go first; at most 20.")
    short = _ShortSerializer(many=True)
    flavors = serializers.ListField(child=serializers.CharField())
    message = serializers.CharField(allow_null=True, help_text="The queueing system's own, word for word.")
    nodes = _QueueNodesSerializer()


class _PodsSerializer(serializers.Serializer):
    title = serializers.CharField()
    path = serializers.CharField()
    fits = serializers.BooleanField(allow_null=True)
    headline = serializers.CharField()
    replicas = serializers.IntegerField()


class ExplanationSerializer(serializers.Serializer):
    """About the pods that decide whether the workload fits; `pods` names every pod template of the manifest."""

    fits = serializers.BooleanField(allow_null=True)
    headline = serializers.CharField()
    replicas = serializers.IntegerField(help_text="Number of the requested replicas that can be scheduled now, in one cluster.")
    nodes = _NodesSerializer()
    feasible = _NodeSerializer(many=True)
    reasons = _ReasonSerializer(many=True)
    suggestions = _SuggestionSerializer(many=True)
    warnings = _WarningSerializer(many=True)
    scheduler = _SchedulerSerializer(allow_null=True)
    queue = QueueSerializer(allow_null=True)
    not_modelled = serializers.ListField(child=serializers.CharField())
    as_of = serializers.DateTimeField(allow_null=True)
    pods = _PodsSerializer(many=True)


class Explain(APIView):
    """Evaluates pods as kube-scheduler does, over the nodes as they were collected. Nothing is stored or sent to a cluster."""

    roles = {None: Role.VIEWER}
    parser_classes = [JSONParser]

    @extend_schema(operation_id="explain", request=QuestionSerializer, responses=ExplanationSerializer)
    def post(self, request: Request) -> Response:
        """Returns where the pods can be scheduled now, why other nodes are excluded, and the change that admits most of them."""
        question = QuestionSerializer(data=request.data)
        question.is_valid(raise_exception=True)
        given, now = question.validated_data, timezone.now()
        try:
            if "manifest" in given:
                answer = select.explain_manifest(given["manifest"], now, given.get("cluster", ""))
            elif "pod" in given:
                answer = select.explain_pod(given["pod"], now)
            else:
                answer = select.explain_class(given["workload_class"], given["replicas"], now, given.get("cluster", ""))
        except FieldError as error:
            raise ValidationError({error.field: [str(error)]}) from error
        return Response(select.as_json(answer))
