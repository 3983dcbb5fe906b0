"""Accounts and tokens."""

from __future__ import annotations

import django_filters as filters
from allauth.usersessions.models import UserSession
from django.db.models import Q, QuerySet
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field

from fleet.filters.fields import AnyOf, Words, YesNo, words_of
from fleet.models import ApiToken, User


class UserFilters(filters.FilterSet):
    role = AnyOf(field_name="role")
    service = YesNo(field_name="service")
    sso = YesNo(field_name="sso")
    active = YesNo(field_name="is_active")
    q = Words(method="search", label="Words in name or mail address")

    class Meta:
        model = User
        fields: list[str] = []

    def search(self, queryset: QuerySet, name: str, value: str) -> QuerySet:
        for word in words_of(value):
            queryset = queryset.filter(
                Q(username__icontains=word)
                | Q(first_name__icontains=word)
                | Q(last_name__icontains=word)
                | Q(email__icontains=word)
            )
        return queryset


class TokenFilters(filters.FilterSet):
    user = AnyOf(field_name="user__username")
    role = AnyOf(field_name="role")
    status = extend_schema_field(OpenApiTypes.STR)(AnyOf(field_name="current_state"))
    q = Words(method="search", label="Words in name, user or prefix")

    class Meta:
        model = ApiToken
        fields: list[str] = []

    def search(self, queryset: QuerySet, name: str, value: str) -> QuerySet:
        for word in words_of(value):
            queryset = queryset.filter(
                Q(name__icontains=word) | Q(user__username__icontains=word) | Q(token_key__istartswith=word)
            )
        return queryset


class SessionFilters(filters.FilterSet):
    user = AnyOf(field_name="user__username")

    class Meta:
        model = UserSession
        fields: list[str] = []
