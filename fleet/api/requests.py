"""Requests for a workload class: a team's own, and every one for operators."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import msgspec
from django.db.models import QuerySet
from django.http import Http404
from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.exceptions import PermissionDenied, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from fleet.api.authentication import role_of
from fleet.api.lists import ListViewSet
from fleet.api.problems import Conflict
from fleet.api.renderers import JSONRenderer
from fleet.domain.asking import FieldError, NotNow, NotYours
from fleet.filters import RequestFilters
from fleet.models import ClassRequest, ClassVersion, Role, Team, User
from fleet.selectors import requests as select
from fleet.services import idempotency
from fleet.services import requests as service

KEY = OpenApiParameter(
    "Idempotency-Key", str, OpenApiParameter.HEADER, description="The same key and body again give the same answer again."
)


def acting(request: Request) -> User:
    """The caller with the role that counts here: a token may hold less than its user."""
    user: User = copy.copy(request.user)  # type: ignore[assignment]  # nobody else gets past the permission class
    user.role = role_of(request) or Role.VIEWER
    return user


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
            "id", "team", "workload_class", "class_version", "namespace", "name", "replicas", "image", "hours", "purpose",
            "state",
            "automatic", "requested_by", "created_at", "submitted_at", "decided_at", "decided_by", "first_pod_at", "expires_at",
            "ended_at", "extension_until",
            "wanted_replicas", "latest_check", "steps",
        ]  # fmt: skip


class NewRequest(serializers.Serializer):
    """The body of a POST. With `submit` it is asked at once, else it stays a draft."""

    team = serializers.SlugRelatedField(slug_field="slug", queryset=Team.objects.all())
    workload_class = serializers.SlugField()
    namespace = serializers.CharField(max_length=63)
    name = serializers.RegexField(r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$", max_length=63)
    replicas = serializers.IntegerField()
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
        "id", "team", "workload_class", "class_version", "namespace", "name", "replicas", "state", "automatic", "requested_by",
        "created_at", "submitted_at", "decided_at", "decided_by", "first_pod_at", "expires_at", "ended_at",
    )  # fmt: skip
    roles = dict.fromkeys(("create", "submit", "withdraw", "extend", "resize", "comment"), Role.DEVELOPER) | dict.fromkeys(
        ("approve", "reject", "decide_change"), Role.OPERATOR
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

        def answer() -> tuple[int, Any]:
            rendered = self.get_serializer(self._visible(str(act()))).data
            return done, msgspec.json.decode(JSONRenderer().render(rendered))

        key = request.headers.get("Idempotency-Key", "")
        if len(key) > idempotency.LONGEST:
            raise ValidationError({"Idempotency-Key": [f"Use at most {idempotency.LONGEST} characters."]})
        try:
            if not key:
                code, body = answer()
                return Response(body, status=code)
            sent = msgspec.json.encode(request.data, order="deterministic")
            code, body, again = idempotency.once(acting(request), key, request.path, sent, timezone.now(), answer)
        except FieldError as error:
            raise ValidationError({error.field: [str(error)]}) from error
        except idempotency.KeyReusedError as error:
            raise ValidationError({"Idempotency-Key": [str(error)]}) from error
        except NotNow as error:
            raise Conflict(str(error)) from error
        except NotYours as error:
            raise PermissionDenied(str(error)) from error
        return Response(body, status=code, headers={"Idempotent-Replayed": "true"} if again else None)

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
