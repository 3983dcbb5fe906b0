"""Search over everything that has a page."""

from __future__ import annotations

from typing import cast

from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from fleet.api.protocol import windows
from fleet.models import User
from fleet.selectors.search import questions as search_questions
from fleet.selectors.search import search as select

MOST = 50


class SearchHit(serializers.Serializer):
    """One hit. `url` is the path of its page."""

    kind = serializers.ChoiceField(search_questions.KINDS)
    title = serializers.CharField()
    subtitle = serializers.CharField()
    url = serializers.CharField()


class SearchResults(serializers.Serializer):
    """Hits by kind, the most urgent of each kind first."""

    results = SearchHit(many=True)
    totals = serializers.DictField(child=serializers.IntegerField(), help_text="All hits of each kind that has any.")


class Search(APIView):
    """Search."""

    @extend_schema(
        operation_id="search",
        parameters=[
            OpenApiParameter(
                "q", str, required=True, description=f"Words that must all occur; at most {search_questions.LONGEST} characters."
            ),
            OpenApiParameter("kind", str, enum=list(search_questions.KINDS), description="Only this kind."),
            OpenApiParameter("limit", int, description=f"Hits of each kind, 1 to {MOST}; 10 where it is not given."),
        ],
        responses=SearchResults,
    )
    def get(self, request: Request) -> Response:
        """Returns incidents, nodes, pools, classes, requests, teams, clusters, GPUs, pods, Xids, rules with every word."""
        windows.only(request, ("q", "kind", "limit"))
        text, kind = request.query_params.get("q", ""), request.query_params.get("kind", "")
        if not text.strip():
            raise serializers.ValidationError({"q": ["Required: the text to search for."]})
        if len(text) > search_questions.LONGEST:
            raise serializers.ValidationError({"q": [f"A search has at most {search_questions.LONGEST} characters."]})
        if kind and kind not in search_questions.KINDS:
            raise serializers.ValidationError({"kind": [f"Unknown kind. Choose from {', '.join(search_questions.KINDS)}."]})
        limit = windows.number(request, "limit", 10, 1, MOST)
        user = cast("User", request.user)
        groups = select.search(search_questions.read(text), user, timezone.now(), kind=kind, limit=limit)
        answer = {"results": select.hits_of(groups), "totals": {group.kind: group.total for group in groups}}
        return Response(SearchResults(answer).data)
