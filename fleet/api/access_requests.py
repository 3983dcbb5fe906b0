"""Access requests: the user's teams' own; all of them for operators."""

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

from fleet.api.access_request_serializers import Comment, Decision, Extension, NewRequest, Reason, RequestSerializer, Size
from fleet.api.declarations import DOCUMENTS, YAML
from fleet.api.protocol import windows
from fleet.api.protocol.authentication import acting
from fleet.api.protocol.idempotent import KEY, once
from fleet.api.protocol.lists import ListViewSet
from fleet.api.protocol.problems import Conflict
from fleet.domain.access_requests.workflow import GRANTED
from fleet.domain.manifests.render import KINDS, to_yaml
from fleet.domain.refusals import FieldError
from fleet.filters import RequestFilters
from fleet.models import AccessRequest, Role, User
from fleet.selectors.access_requests import access_requests as select
from fleet.selectors.access_requests.numbers import numbers
from fleet.services import access_requests as service


class Requests(ListViewSet):
    """Access requests of your teams; all access requests for operators."""

    queryset = AccessRequest.objects.none()
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

    def get_queryset(self) -> QuerySet[AccessRequest]:
        if getattr(self, "swagger_fake_view", False):
            return self.queryset
        return select.visible_to(acting(self.request))

    def _visible(self, pk: str) -> AccessRequest:
        row = self.get_queryset().filter(pk=int(pk)).first()
        if row is None:
            raise Http404("Request not found, or not visible to you.")
        return row

    @extend_schema(operation_id="request", responses=RequestSerializer)
    def retrieve(self, request: Request, pk: str) -> Response:
        """Returns one request with all its steps."""
        return Response(self.get_serializer(self._visible(pk)).data)

    @extend_schema(
        operation_id="request_manifest",
        responses={
            (200, YAML): OpenApiTypes.ANY,
            (200, "application/json"): DOCUMENTS,
            (409, "application/problem+json"): {"$ref": "#/components/schemas/Problem"},
        },
        filters=False,
        parameters=[
            OpenApiParameter("kind", str, enum=[kind.id for kind in KINDS], default="pod"),
            OpenApiParameter("format", str, enum=["json"], description="json gives the documents as a list."),
        ],
    )
    @action(detail=True, methods=["get"])
    def manifest(self, request: Request, pk: str) -> Response | HttpResponse:
        """Returns the manifest to apply, from the class version under which the request was granted. 409 unless it is granted."""
        windows.only(request, ("kind",))
        row = self._visible(pk)
        if row.state not in GRANTED:
            raise Conflict(f"Only a granted request has a manifest; this one is {row.state}.")
        try:
            documents = select.manifest_of(row, request.query_params.get("kind", "pod"), timezone.now())
        except FieldError as error:
            raise ValidationError({error.field or "pool": [str(error)]}) from error
        if request.query_params.get("format") == "json":
            return Response(documents)
        return HttpResponse(to_yaml(documents), content_type=f"{YAML}; charset=utf-8")

    @extend_schema(
        operation_id="request_numbers",
        responses=OpenApiTypes.OBJECT,
        filters=False,
        parameters=[OpenApiParameter("days", int, default=30, description="Days to look back, 1 to 730.")],
    )
    @action(detail=False, methods=["get"])
    def numbers(self, request: Request) -> Response:
        """Access request statistics: requests by class and team, decision times, rejections, and GPU pods that use a class.

        Durations are medians in seconds, null where nothing was measured; `to_decision_s` leaves out what was granted at once.
        """
        windows.only(request, ("days",))
        since = timezone.now() - timedelta(days=windows.number(request, "days", 30, 1, 730))
        result = numbers(since)
        spans = {
            "to_approval_s": result.to_approval,
            "to_decision_s": result.to_decision,
            "to_first_pod_s": result.to_first_pod,
        }
        return Response(
            {
                "since": since,
                "requests": result.requests,
                "by_class": dict(result.by_class),
                "by_team": dict(result.by_team),
                "by_state": result.by_state,
                "automatic": result.automatic,
                **{name: span.total_seconds() if span is not None else None for name, span in spans.items()},
                "rejected": [{"team": team, "workload_class": slug, "why": why} for team, slug, why in result.rejected],
                "gpu_pods": result.gpu_pods,
                "gpu_pods_of_a_class": result.gpu_pods_of_a_class,
            }
        )

    @extend_schema(operation_id="request_create", request=NewRequest, responses={201: RequestSerializer}, parameters=[KEY])
    def create(self, request: Request) -> Response:
        """Creates an access request for a class on behalf of a team."""
        checked = _checked(NewRequest, request)
        submit, user, now = checked.pop("submit"), acting(request), timezone.now()
        slug, version = checked.pop("team"), checked.pop("version")

        def act() -> int:
            team = select.get_team(user, slug)
            if team is None:  # the same sentence, whether the team exists or not
                raise ValidationError({"team": [f"Team {slug} not found, or you are not a member of it."]})
            row = service.draft(user, team, version, now=now, **checked)
            return service.submit(user, row.pk, now).pk if submit else row.pk

        return self._once(request, act, status.HTTP_201_CREATED)

    def _take(self, request: Request, pk: str, act: Callable[[User], object]) -> Response:
        self._visible(pk)

        def step() -> int:
            act(acting(request))
            return int(pk)

        return self._once(request, step, status.HTTP_200_OK)

    def _once(self, request: Request, act: Callable[[], int], done: int) -> Response:
        """Runs `act`, which returns the id of the request to answer with; with an Idempotency-Key once for that key."""

        def answer() -> object:
            return self.get_serializer(self._visible(str(act()))).data

        return once(request, acting(request), done, answer, lambda body: self._visible(str(body["id"])))

    @extend_schema(operation_id="request_submit", request=None, responses=RequestSerializer, parameters=[KEY])
    @action(detail=True, methods=["post"])
    def submit(self, request: Request, pk: str) -> Response:
        """Submits the request for a decision; within the team's limits it is granted at once."""
        return self._take(request, pk, lambda user: service.submit(user, int(pk), timezone.now()))

    @extend_schema(operation_id="request_approve", request=Reason, responses=RequestSerializer, parameters=[KEY])
    @action(detail=True, methods=["post"])
    def approve(self, request: Request, pk: str) -> Response:
        """Grants a submitted request. 409 where it was already decided."""
        checked = _checked(Reason, request)
        return self._take(request, pk, lambda user: service.approve(user, int(pk), timezone.now(), checked["reason"]))

    @extend_schema(operation_id="request_reject", request=Reason, responses=RequestSerializer, parameters=[KEY])
    @action(detail=True, methods=["post"])
    def reject(self, request: Request, pk: str) -> Response:
        """Rejects a submitted request, with a reason for the team."""
        checked = _checked(Reason, request)
        return self._take(request, pk, lambda user: service.reject(user, int(pk), timezone.now(), checked["reason"]))

    @extend_schema(operation_id="request_withdraw", request=Reason, responses=RequestSerializer, parameters=[KEY])
    @action(detail=True, methods=["post"])
    def withdraw(self, request: Request, pk: str) -> Response:
        """Withdraws a request that the team no longer wants."""
        checked = _checked(Reason, request)
        return self._take(request, pk, lambda user: service.withdraw(user, int(pk), timezone.now(), checked["reason"]))

    @extend_schema(operation_id="request_extend", request=Extension, responses=RequestSerializer, parameters=[KEY])
    @action(detail=True, methods=["post"])
    def extend(self, request: Request, pk: str) -> Response:
        """Requests additional hours."""
        checked = _checked(Extension, request)
        return self._take(
            request, pk, lambda user: service.extend(user, int(pk), timezone.now(), checked["hours"], checked["reason"])
        )

    @extend_schema(operation_id="request_resize", request=Size, responses=RequestSerializer, parameters=[KEY])
    @action(detail=True, methods=["post"])
    def resize(self, request: Request, pk: str) -> Response:
        """Requests another number of replicas."""
        checked = _checked(Size, request)
        return self._take(
            request, pk, lambda user: service.resize(user, int(pk), timezone.now(), checked["replicas"], checked["reason"])
        )

    @extend_schema(operation_id="request_decide_change", request=Decision, responses=RequestSerializer, parameters=[KEY])
    @action(detail=True, methods=["post"], url_path="decide-change")
    def decide_change(self, request: Request, pk: str) -> Response:
        """Grants or refuses a pending extension or change of size."""
        checked = _checked(Decision, request)
        return self._take(
            request,
            pk,
            lambda user: service.decide_change(user, int(pk), timezone.now(), grant=checked["grant"], reason=checked["reason"]),
        )

    @extend_schema(operation_id="request_comment", request=Comment, responses=RequestSerializer, parameters=[KEY])
    @action(detail=True, methods=["post"])
    def comment(self, request: Request, pk: str) -> Response:
        """Adds a comment, visible to the team and to operators."""
        checked = _checked(Comment, request)
        return self._take(request, pk, lambda user: service.comment(user, int(pk), timezone.now(), checked["text"]))


def _checked(serializer_class: type[serializers.Serializer], request: Request) -> dict[str, Any]:
    serializer = serializer_class(data=request.data)
    serializer.is_valid(raise_exception=True)
    return dict(serializer.validated_data)
