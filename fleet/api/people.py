"""Accounts, tokens and sessions: one's own, and all of them for administrators."""

from __future__ import annotations

from datetime import timedelta

from allauth.usersessions.models import UserSession
from django.db import transaction
from django.db.models import QuerySet
from django.http import Http404
from django.utils import timezone
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from fleet.api.protocol.authentication import acting
from fleet.api.protocol.fields import Body
from fleet.api.protocol.idempotent import refusals
from fleet.api.protocol.lists import ListViewSet
from fleet.domain.people.scopes import LONGEST_LIMIT, MOST_LIMITS
from fleet.filters import SessionFilters, TokenFilters, UserFilters
from fleet.models import SCOPES, ApiToken, Role, User
from fleet.models.tokens import PUBLIC_ID_LENGTH
from fleet.selectors import people as select
from fleet.services import accounts, sessions
from fleet.services import tokens as service


class UserSerializer(serializers.ModelSerializer):
    """An account. `role` and `active` of people with `sso` follow the groups of the identity provider.

    `limits` are the only places it sees, as `cluster:NAME` and `pool:SLUG`, and the only workloads, as `namespace:NAME` or
    `namespace:CLUSTER/NAME`; null is no limit.
    """

    active = serializers.BooleanField(source="is_active")
    name = serializers.CharField(source="get_full_name")
    active_tokens = serializers.IntegerField()
    limits = serializers.ListField(child=serializers.CharField(), allow_null=True)
    last_sign_in_at = serializers.DateTimeField(source="last_login", allow_null=True)
    groups_confirmed_at = serializers.DateTimeField(source="sso_checked_at", allow_null=True)

    class Meta:
        model = User
        fields = [
            *("id", "username", "name", "email", "role", "limits", "active", "service", "sso", "active_tokens"),
            *("last_sign_in_at", "groups_confirmed_at"),
        ]


class NewUser(Body):
    """A new account, without a password. Create its sign-in link on its page, or a token for a service account."""

    username = serializers.CharField(max_length=150)
    role = serializers.ChoiceField(choices=Role.choices, default=Role.VIEWER)
    service = serializers.BooleanField(default=False)


class UserChange(Body):
    """Changes of an account; omitted fields stay as they are."""

    role = serializers.ChoiceField(choices=Role.choices, required=False)
    active = serializers.BooleanField(required=False)
    limits = serializers.ListField(
        child=serializers.CharField(max_length=LONGEST_LIMIT), max_length=MOST_LIMITS, required=False, allow_null=True
    )
    reason = serializers.CharField(max_length=500, required=False, allow_blank=True)


class Users(ListViewSet):
    """Accounts: your own; every one for administrators."""

    queryset = User.objects.none()
    serializer_class = UserSerializer
    filterset_class = UserFilters
    orderings = {"username": "username", "role": "role"}
    default_ordering = "username"
    facet_names = ("role", "active", "sso", "service")
    csv_columns = ("id", "username", "name", "email", "role", "active", "service", "sso", "active_tokens", "last_sign_in_at")
    lookup_value_regex = "[0-9]{1,18}"
    roles = {"create": Role.ADMIN, "partial_update": Role.ADMIN}

    def get_queryset(self) -> QuerySet[User]:
        return self.queryset if getattr(self, "swagger_fake_view", False) else select.users(acting(self.request))

    def _user(self, pk: str) -> User:
        user = self.get_queryset().filter(pk=pk).first()
        if user is None:
            raise Http404("User not found, or not visible to you.")
        return user

    @extend_schema(operation_id="user", responses=UserSerializer)
    def retrieve(self, request: Request, pk: str) -> Response:
        """Returns one account."""
        return Response(self.get_serializer(self._user(pk)).data)

    @extend_schema(operation_id="user_create", request=NewUser, responses={201: UserSerializer})
    def create(self, request: Request) -> Response:
        """Creates an account."""
        body = NewUser(data=request.data)
        body.is_valid(raise_exception=True)
        with refusals():
            user = accounts.create(acting(request), now=timezone.now(), **body.validated_data)
        return Response(self.get_serializer(self._user(str(user.pk))).data, status=status.HTTP_201_CREATED)

    @extend_schema(operation_id="user_change", request=UserChange, responses=UserSerializer)
    def partial_update(self, request: Request, pk: str) -> Response:
        """Changes role, limits or access. Disabling an account ends its sessions and stops its tokens."""
        body = UserChange(data=request.data)
        body.is_valid(raise_exception=True)
        fields, actor, name = dict(body.validated_data), acting(request), self._user(pk).username
        with refusals(), transaction.atomic():
            if "limits" in fields:
                accounts.limit(actor, name, fields.pop("limits"), timezone.now(), fields.get("reason", ""))
            accounts.change(actor, name, timezone.now(), **fields)
        return Response(self.get_serializer(self._user(pk)).data)


class TokenSerializer(serializers.ModelSerializer):
    """An API token without its secret. Revoked and expired ones stay listed.

    `clusters` are the only ones it is good for; null: those its user sees.
    """

    id = serializers.CharField(source="public_id")
    user = serializers.CharField(source="user.username")
    prefix = serializers.CharField(source="token_key")
    scopes = serializers.ListField(child=serializers.ChoiceField(choices=list(SCOPES)))
    clusters = serializers.ListField(child=serializers.CharField(), allow_null=True)
    status = serializers.SerializerMethodField()
    created_at = serializers.DateTimeField(source="created")
    expires_at = serializers.DateTimeField(source="expiry", allow_null=True)
    last_used_from = serializers.SerializerMethodField()

    class Meta:
        model = ApiToken
        fields = [
            *("id", "user", "name", "prefix", "role", "scopes", "clusters", "status", "created_at", "expires_at", "revoked_at"),
            *("last_used_at", "last_used_from"),
        ]

    @extend_schema_field({"type": "string", "enum": ["active", "expired", "revoked"]})
    def get_status(self, token: ApiToken) -> str:
        return token.state(timezone.now())

    def get_last_used_from(self, token: ApiToken) -> str | None:
        return token.last_used_from or None


class NewToken(Body):
    """A new token of your own; `days` 0 means no expiry, `user` names a service account (administrators)."""

    name = serializers.CharField(max_length=100, required=False, allow_blank=True, default="")
    scopes = serializers.ListField(child=serializers.ChoiceField(choices=list(SCOPES)), allow_empty=False)
    clusters = serializers.ListField(
        child=serializers.CharField(max_length=253), max_length=MOST_LIMITS, allow_empty=False, required=False, allow_null=True
    )
    days = serializers.IntegerField(min_value=0, max_value=service.MOST_DAYS, default=90)
    user = serializers.CharField(max_length=150, required=False)


class IssuedToken(TokenSerializer):
    """A new token with its secret, which is never shown again."""

    secret = serializers.SerializerMethodField()

    class Meta(TokenSerializer.Meta):
        fields = [*TokenSerializer.Meta.fields, "secret"]

    def get_secret(self, token: ApiToken) -> str:
        return str(self.context["secret"])


class Tokens(ListViewSet):
    """API tokens: your own; every one for administrators."""

    queryset = ApiToken.objects.none()
    serializer_class = TokenSerializer
    filterset_class = TokenFilters
    orderings = {"created": "created"}
    default_ordering = "-created"
    facet_names = ("status", "role", "user")
    csv_columns = (
        *("id", "user", "name", "prefix", "role", "scopes", "status", "created_at", "expires_at", "revoked_at"),
        *("last_used_at", "last_used_from"),
    )
    lookup_value_regex = f"[0-9a-f]{{{PUBLIC_ID_LENGTH}}}"
    # A token that only reads cannot make another that does more: the service bounds it by the acting role.
    roles = dict.fromkeys(("create", "revoke", "rotate"), Role.VIEWER)

    def get_queryset(self) -> QuerySet[ApiToken]:
        return self.queryset if getattr(self, "swagger_fake_view", False) else select.tokens(acting(self.request), timezone.now())

    def _token(self, pk: str) -> ApiToken:
        token = select.get_token(acting(self.request), pk, timezone.now())
        if token is None:
            raise Http404("Token not found, or not visible to you.")
        return token

    @extend_schema(operation_id="token", responses=TokenSerializer)
    def retrieve(self, request: Request, pk: str) -> Response:
        """Returns one token."""
        return Response(self.get_serializer(self._token(pk)).data)

    @extend_schema(operation_id="token_create", request=NewToken, responses={201: IssuedToken})
    def create(self, request: Request) -> Response:
        """Creates a token and returns its secret, once."""
        body = NewToken(data=request.data)
        body.is_valid(raise_exception=True)
        actor, fields = acting(request), body.validated_data
        name = fields.get("user", actor.username)
        user = select.users(actor).filter(username=name).first()
        if user is None:
            raise serializers.ValidationError({"user": [f"User {name} not found, or not visible to you."]})
        lifetime = timedelta(days=fields["days"]) if fields["days"] else None
        with refusals():
            token, secret = service.create(
                actor,
                user,
                timezone.now(),
                scopes=fields["scopes"],
                lifetime=lifetime,
                name=fields["name"],
                clusters=fields.get("clusters"),
            )
        return self._issued(token, secret)

    @extend_schema(operation_id="token_revoke", request=None, responses=TokenSerializer)
    @action(detail=True, methods=["post"])
    def revoke(self, request: Request, pk: str) -> Response:
        """Revokes a token; it stays listed."""
        self._token(pk)
        with refusals():
            token = service.revoke(acting(request), pk, timezone.now())
        return Response(self.get_serializer(token).data)

    @extend_schema(operation_id="token_rotate", request=None, responses={201: IssuedToken})
    @action(detail=True, methods=["post"])
    def rotate(self, request: Request, pk: str) -> Response:
        """Replaces a token; the earlier secret works for another day."""
        self._token(pk)
        with refusals():
            token, secret = service.rotate(acting(request), pk, timezone.now())
        return self._issued(token, secret)

    def _issued(self, token: ApiToken, secret: str) -> Response:
        context = {**self.get_serializer_context(), "secret": secret}
        return Response(IssuedToken(token, context=context).data, status=status.HTTP_201_CREATED)


class SessionSerializer(serializers.ModelSerializer):
    """A session on the pages."""

    user = serializers.CharField(source="user.username")
    address = serializers.IPAddressField(source="ip")
    browser = serializers.CharField(source="user_agent")
    current = serializers.SerializerMethodField()

    class Meta:
        model = UserSession
        fields = ["id", "user", "address", "browser", "created_at", "last_seen_at", "current"]

    def get_current(self, row: UserSession) -> bool:
        session = getattr(self.context["request"]._request, "session", None)
        return bool(session is not None and session.session_key == row.session_key)


class Sessions(ListViewSet):
    """Sessions on the pages: your own; every one for administrators."""

    queryset = UserSession.objects.none()
    serializer_class = SessionSerializer
    filterset_class = SessionFilters
    orderings = {"last_seen": "last_seen_at", "created": "created_at"}
    default_ordering = "-last_seen"
    facet_names = ("user",)
    csv_columns = ("id", "user", "address", "browser", "created_at", "last_seen_at", "current")
    lookup_value_regex = "[0-9]{1,18}"
    roles = {"end": Role.VIEWER}

    def get_queryset(self) -> QuerySet[UserSession]:
        return self.queryset if getattr(self, "swagger_fake_view", False) else select.sessions(acting(self.request))

    @extend_schema(operation_id="session_end", request=None, responses={204: None})
    @action(detail=True, methods=["post"])
    def end(self, request: Request, pk: str) -> Response:
        """Ends a session; 404 where it does not exist."""
        if not self.get_queryset().filter(pk=pk).exists():
            raise Http404("Session not found, or not visible to you.")
        with refusals():
            sessions.end_session(acting(request), int(pk), timezone.now())
        return Response(status=status.HTTP_204_NO_CONTENT)
