"""Teams: your own, or every one for operators, who create and change them; leads manage their members."""

from __future__ import annotations

from django.db.models import QuerySet
from django.http import Http404
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response

from fleet.api.protocol.authentication import acting
from fleet.api.protocol.fields import Body
from fleet.api.protocol.idempotent import KEY, once, refusals
from fleet.api.protocol.lists import ListViewSet
from fleet.filters import TeamFilters
from fleet.models import Role, Team, User
from fleet.selectors.access_requests import access_requests as select
from fleet.services import teams as service


class MemberSerializer(serializers.Serializer):
    user = serializers.CharField(source="user.username")
    lead = serializers.BooleanField()


class TeamSerializer(serializers.ModelSerializer):
    """A team: its members, namespaces, and limits for automatic approval."""

    members = MemberSerializer(many=True)
    namespaces = serializers.ListField(child=serializers.CharField())

    class Meta:
        model = Team
        fields = ["slug", "name", "namespaces", "max_replicas", "sso_group", "members", "created_at"]


class TeamChange(Body):
    """Changes of a team; omitted fields stay as they are."""

    name = serializers.CharField(max_length=120)
    namespaces = serializers.ListField(child=serializers.CharField())
    max_replicas = serializers.IntegerField(allow_null=True, required=False)
    sso_group = serializers.CharField(allow_blank=True, required=False, max_length=200)


class NewTeam(TeamChange):
    """A new team. `max_replicas` null: the class decides."""

    slug = serializers.CharField(max_length=63)
    namespaces = serializers.ListField(child=serializers.CharField(), required=False)


class Lead(Body):
    lead = serializers.BooleanField(default=False)


class Teams(ListViewSet):
    """Teams you may request access for."""

    queryset = Team.objects.none()
    serializer_class = TeamSerializer
    filterset_class = TeamFilters
    orderings = {"slug": "slug", "name": "name"}
    default_ordering = "slug"
    csv_columns = ("slug", "name", "namespaces", "max_replicas")
    lookup_field = "slug"
    lookup_value_regex = "[a-z0-9-]+"
    # Any role that may request can be a lead; the service checks that the user leads this team.
    roles = {"create": Role.OPERATOR, "partial_update": Role.OPERATOR, "member": Role.DEVELOPER, "remove_member": Role.DEVELOPER}

    def get_queryset(self) -> QuerySet[Team]:
        if getattr(self, "swagger_fake_view", False):
            return self.queryset
        return select.teams_of(acting(self.request))

    def _team(self, slug: str) -> Team:
        queryset = self.get_queryset().filter(slug=slug).first()
        if queryset is None:
            raise Http404("Team not found, or not visible to you.")
        return queryset

    def _user(self, team: Team, username: str) -> User:
        """The account of a name, for those who manage the team: others cannot test whether it exists.

        A slash in a name is written as in that of a cluster, `~1`.
        """
        if not service.manages(acting(self.request), team):
            raise PermissionDenied("Only an operator or a lead of the team can change its members.")
        user = select.get_user(username.replace("~1", "/").replace("~0", "~"))
        if user is None:
            raise Http404(f"User {username} not found.")
        return user

    @extend_schema(operation_id="team", responses=TeamSerializer)
    def retrieve(self, request: Request, slug: str) -> Response:
        """One team with its members."""
        return Response(self.get_serializer(self._team(slug)).data)

    @extend_schema(operation_id="team_create", request=NewTeam, responses={201: TeamSerializer}, parameters=[KEY])
    def create(self, request: Request) -> Response:
        """Makes a team."""
        body = NewTeam(data=request.data)
        body.is_valid(raise_exception=True)
        fields = {"namespaces": [], "max_replicas": None, "sso_group": "", **body.validated_data}

        def act() -> object:
            team = service.save_team(acting(request), now=timezone.now(), new=True, **fields)
            return self.get_serializer(self._team(team.slug)).data

        return once(request, acting(request), status.HTTP_201_CREATED, act, lambda answer: self._team(answer["slug"]))

    @extend_schema(operation_id="team_change", request=TeamChange, responses=TeamSerializer)
    def partial_update(self, request: Request, slug: str) -> Response:
        """Changes a team; its slug stays."""
        team = self._team(slug)
        body = TeamChange(data=request.data, partial=True)
        body.is_valid(raise_exception=True)
        result = {name: getattr(team, name) for name in ("name", "namespaces", "max_replicas", "sso_group")} | body.validated_data
        with refusals():
            service.save_team(acting(request), slug, now=timezone.now(), **result)
        return Response(self.get_serializer(self._team(slug)).data)

    @extend_schema(operation_id="team_member", request=Lead, responses=TeamSerializer)
    @action(detail=True, methods=["put"], url_path="members/(?P<username>[^/]+)")
    def member(self, request: Request, slug: str, username: str) -> Response:
        """Adds a member, or changes whether they lead. Operators, and leads of the team."""
        team = self._team(slug)
        body = Lead(data=request.data)
        body.is_valid(raise_exception=True)
        with refusals():
            service.set_member(
                acting(request), team, self._user(team, username), lead=body.validated_data["lead"], now=timezone.now()
            )
        return Response(self.get_serializer(self._team(slug)).data)

    @extend_schema(operation_id="team_member_remove", responses={204: None})
    @member.mapping.delete
    def remove_member(self, request: Request, slug: str, username: str) -> Response:
        """Removes a member; 409 where the user is not one. Operators, and leads of the team."""
        team = self._team(slug)
        with refusals():
            service.remove_member(acting(request), team, self._user(team, username), timezone.now())
        return Response(status=status.HTTP_204_NO_CONTENT)
