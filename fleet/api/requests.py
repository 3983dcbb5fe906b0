"""Requests for a workload class: a team's own, and every one for operators."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.db.models import QuerySet
from django.http import Http404, HttpResponse
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from fleet.api import windows
from fleet.api.authentication import acting
from fleet.api.declarations import YAML
from fleet.api.idempotent import KEY, once
from fleet.api.lists import ListViewSet
from fleet.api.problems import Conflict
from fleet.domain.asking import GRANTED
from fleet.domain.manifests.render import KINDS, ManifestError, to_yaml
from fleet.filters import RequestFilters
from fleet.models import ClassRequest, ClassVersion, Role, Team, User
from fleet.selectors import requests as select
from fleet.selectors.request_numbers import numbers
from fleet.services import requests as service


class StepSerializer(serializers.Serializer):
    """One step or comment in a request's life."""

    at = serializers.DateTimeField()
    kind = serializers.CharField()
    actor = serializers.CharField(source="actor.username", default=None, allow_null=True)
    text = serializers.CharField()
    detail = serializers.DictField()


class RequestSerializer(serializers.ModelSerializer):
    """What a team asks for, how far it is, and what the newest pass said about it."""

    team = serializers.CharField(source="team.slug")
    workload_class = serializers.CharField(source="class_version.workload_class.slug")
    class_version = serializers.IntegerField(source="class_version.number")
    requested_by = serializers.CharField(source="requested_by.username", default=None, allow_null=True)
    decided_by = serializers.CharField(source="decided_by.username", default=None, allow_null=True)
    steps = StepSerializer(many=True)

    class Meta:
        model = ClassRequest
        fields = [
            "id", "team", "workload_class", "class_version", "namespace", "name", "replicas", "gpus", "image", "hours",
            "purpose", "state",
            "automatic", "requested_by", "created_at", "submitted_at", "decided_at", "decided_by", "first_pod_at", "expires_at",
            "ended_at", "extension_until",
            "wanted_replicas", "latest_check", "steps",
        ]  # fmt: skip


class NewRequest(serializers.Serializer):
    """The body of a POST. With `submit` it is asked at once, else it stays a draft."""

    team = serializers.SlugRelatedField(slug_field="slug", queryset=Team.objects.all())
    workload_class = serializers.SlugField()
    namespace = serializers.CharField(max_length=63)
    name = serializers.CharField(max_length=63)
    replicas = serializers.IntegerField()
    gpus = serializers.IntegerField(
        required=False, allow_null=True, help_text="Slots per replica, where the class lets you choose."
    )
    hours = serializers.IntegerField(required=False, allow_null=True)
    image = serializers.CharField(required=False, allow_blank=True, max_length=400)
    purpose = serializers.CharField(required=False, allow_blank=True)
    submit = serializers.BooleanField(default=True)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        slug = attrs.pop("workload_class")
        version = (
            ClassVersion.objects.filter(workload_class__slug=slug, workload_class__removed_at__isnull=True)
            .order_by("-number")
            .first()
        )
        if version is None:
            raise ValidationError({"workload_class": [f"There is no class {slug}."]})
        return {**attrs, "version": version}


class Reason(serializers.Serializer):
    reason = serializers.CharField(required=False, allow_blank=True, default="")


class Extension(Reason):
    hours = serializers.IntegerField()


class Size(Reason):
    replicas = serializers.IntegerField()


class Decision(Reason):
    grant = serializers.BooleanField()


class Comment(serializers.Serializer):
    text = serializers.CharField()


class Requests(ListViewSet):
    """Requests that you may see: your teams', or every one for operators."""

    queryset = ClassRequest.objects.none()
    serializer_class = RequestSerializer
    filterset_class = RequestFilters
    orderings = {
        "created": "created_at",
        "state": "state",
        "team": "team__slug",
        "workload_class": "class_version__workload_class__slug",
    }
    default_ordering = "-created"
    facet_names = ("state", "team", "workload_class")
    csv_columns = (
        "id", "team", "workload_class", "class_version", "namespace", "name", "replicas", "gpus", "state", "automatic",
        "requested_by", "created_at", "submitted_at", "decided_at", "decided_by", "first_pod_at", "expires_at", "ended_at",
    )  # fmt: skip
    roles = dict.fromkeys(("create", "submit", "withdraw", "extend", "resize", "comment"), Role.DEVELOPER) | dict.fromkeys(
        ("approve", "reject", "decide_change", "numbers"), Role.OPERATOR
    )
    lookup_value_regex = "[0-9]+"

    def get_queryset(self) -> QuerySet[ClassRequest]:
        if getattr(self, "swagger_fake_view", False):
            return self.queryset
        return select.visible_to(acting(self.request))

    def _visible(self, pk: str) -> ClassRequest:
        row = self.get_queryset().filter(pk=int(pk)).first()
        if row is None:
            raise Http404("There is no such request among those you may see.")
        return row

    @extend_schema(operation_id="request", responses=RequestSerializer)
    def retrieve(self, request: Request, pk: str) -> Response:
        """One request with every step of its life."""
        return Response(self.get_serializer(self._visible(pk)).data)

    @extend_schema(
        operation_id="request_manifest",
        responses={(200, YAML): OpenApiTypes.STR, (200, "application/json"): OpenApiTypes.OBJECT},
        filters=False,
        parameters=[
            OpenApiParameter("kind", str, enum=[kind.id for kind in KINDS], default="pod"),
            OpenApiParameter("format", str, enum=["json"], description="json gives the documents as a list."),
        ],
    )
    @action(detail=True, methods=["get"])
    def manifest(self, request: Request, pk: str) -> Response | HttpResponse:
        """What to apply, as the version of the class says that it was granted under. 409 unless it is granted."""
        windows.only(request, ("kind",))
        row = self._visible(pk)
        if row.state not in GRANTED:
            raise Conflict(f"Only a granted request has a manifest; this one is {row.state}.")
        try:
            documents = select.manifest_of(row, request.query_params.get("kind", "pod"), timezone.now())
        except ManifestError as error:
            raise ValidationError({error.field or "pool": [str(error)]}) from error
        if request.query_params.get("format") == "json":
            return Response(documents)
        return HttpResponse(to_yaml(documents), content_type=f"{YAML}; charset=utf-8")

    @extend_schema(
        operation_id="request_numbers",
        responses=OpenApiTypes.OBJECT,
        filters=False,
        parameters=[OpenApiParameter("days", int, default=30, description="How far to look back: 1 to 730.")],
    )
    @action(detail=False, methods=["get"])
    def numbers(self, request: Request) -> Response:
        """The platform's own numbers: who asks for what, how long it takes, what was rejected, how many GPU pods use a class.
        Durations are medians in seconds, null where nothing was measured; `to_decision_s` leaves out what was granted at once."""
        windows.only(request, ("days",))
        since = timezone.now() - timedelta(days=windows.number(request, "days", 30, 1, 730))
        found = numbers(since)
        spans = {
            "to_approval_s": found.to_approval,
            "to_decision_s": found.to_decision,
            "to_first_pod_s": found.to_first_pod,
        }
        return Response(
            {
                "since": since,
                "requests": found.requests,
                "by_class": dict(found.by_class),
                "by_team": dict(found.by_team),
                "by_state": found.by_state,
                "automatic": found.automatic,
                **{name: span.total_seconds() if span is not None else None for name, span in spans.items()},
                "rejected": [{"team": team, "workload_class": slug, "why": why} for team, slug, why in found.rejected],
                "gpu_pods": found.gpu_pods,
                "gpu_pods_of_a_class": found.gpu_pods_of_a_class,
            }
        )

    @extend_schema(operation_id="request_create", request=NewRequest, responses={201: RequestSerializer}, parameters=[KEY])
    def create(self, request: Request) -> Response:
        """Asks for a class in a team's name."""
        told = _checked(NewRequest, request)
        submit, user, now = told.pop("submit"), acting(request), timezone.now()

        def act() -> int:
            row = service.draft(user, told.pop("team"), told.pop("version"), now=now, **told)
            return service.submit(user, row.pk, now).pk if submit else row.pk

        return self._once(request, act, status.HTTP_201_CREATED)

    def _take(self, request: Request, pk: str, act: Callable[[User], Any]) -> Response:
        self._visible(pk)

        def step() -> int:
            act(acting(request))
            return int(pk)

        return self._once(request, step, status.HTTP_200_OK)

    def _once(self, request: Request, act: Callable[[], int], done: int) -> Response:
        """Runs `act`, which gives the id of the request to answer with; with an Idempotency-Key once for that key."""
        return once(request, acting(request), done, lambda: self.get_serializer(self._visible(str(act()))).data)

    @extend_schema(operation_id="request_submit", request=None, responses=RequestSerializer, parameters=[KEY])
    @action(detail=True, methods=["post"])
    def submit(self, request: Request, pk: str) -> Response:
        """Asks for a decision; within the team's limits it is granted at once."""
        return self._take(request, pk, lambda user: service.submit(user, int(pk), timezone.now()))

    @extend_schema(operation_id="request_approve", request=Reason, responses=RequestSerializer, parameters=[KEY])
    @action(detail=True, methods=["post"])
    def approve(self, request: Request, pk: str) -> Response:
        """Grants it. 409 where somebody was quicker."""
        told = _checked(Reason, request)
        return self._take(request, pk, lambda user: service.approve(user, int(pk), timezone.now(), told["reason"]))

    @extend_schema(operation_id="request_reject", request=Reason, responses=RequestSerializer, parameters=[KEY])
    @action(detail=True, methods=["post"])
    def reject(self, request: Request, pk: str) -> Response:
        """Refuses it, with a reason for the team."""
        told = _checked(Reason, request)
        return self._take(request, pk, lambda user: service.reject(user, int(pk), timezone.now(), told["reason"]))

    @extend_schema(operation_id="request_withdraw", request=Reason, responses=RequestSerializer, parameters=[KEY])
    @action(detail=True, methods=["post"])
    def withdraw(self, request: Request, pk: str) -> Response:
        """The team no longer wants it."""
        told = _checked(Reason, request)
        return self._take(request, pk, lambda user: service.withdraw(user, int(pk), timezone.now(), told["reason"]))

    @extend_schema(operation_id="request_extend", request=Extension, responses=RequestSerializer, parameters=[KEY])
    @action(detail=True, methods=["post"])
    def extend(self, request: Request, pk: str) -> Response:
        """Asks for so many hours more."""
        told = _checked(Extension, request)
        return self._take(request, pk, lambda user: service.extend(user, int(pk), timezone.now(), told["hours"], told["reason"]))

    @extend_schema(operation_id="request_resize", request=Size, responses=RequestSerializer, parameters=[KEY])
    @action(detail=True, methods=["post"])
    def resize(self, request: Request, pk: str) -> Response:
        """Asks for another number of replicas."""
        told = _checked(Size, request)
        return self._take(
            request, pk, lambda user: service.resize(user, int(pk), timezone.now(), told["replicas"], told["reason"])
        )

    @extend_schema(operation_id="request_decide_change", request=Decision, responses=RequestSerializer, parameters=[KEY])
    @action(detail=True, methods=["post"], url_path="decide-change")
    def decide_change(self, request: Request, pk: str) -> Response:
        """Grants or refuses an extension or change of size that waits."""
        told = _checked(Decision, request)
        return self._take(
            request,
            pk,
            lambda user: service.decide_change(user, int(pk), timezone.now(), grant=told["grant"], reason=told["reason"]),
        )

    @extend_schema(operation_id="request_comment", request=Comment, responses=RequestSerializer, parameters=[KEY])
    @action(detail=True, methods=["post"])
    def comment(self, request: Request, pk: str) -> Response:
        """Says something to team and operators."""
        told = _checked(Comment, request)
        return self._take(request, pk, lambda user: service.comment(user, int(pk), timezone.now(), told["text"]))


def _checked(serializer_class: type[serializers.Serializer], request: Request) -> dict[str, Any]:
    serializer = serializer_class(data=request.data)
    serializer.is_valid(raise_exception=True)
    return dict(serializer.validated_data)
