"""Health tools compared: who saw the fleet's faults first, with others, alone, or not at all."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from fleet.api.protocol import windows
from fleet.selectors import watchers as select


class WatcherSerializer(serializers.Serializer):
    """One tool on the nodes that it watches."""

    watcher = serializers.CharField()
    nodes = serializers.IntegerField()
    seen = serializers.IntegerField()
    first = serializers.IntegerField(help_text="Faults that others saw as well, this one first.")
    later = serializers.IntegerField(help_text="Faults that another saw before it.")
    alone = serializers.IntegerField()
    silent = serializers.IntegerField(help_text="Faults on its nodes that only others saw.")


class PairSerializer(serializers.Serializer):
    watchers = serializers.ListField(child=serializers.CharField(), min_length=2, max_length=2)
    faults = serializers.IntegerField(help_text="Faults that both saw.")


class PredictionsSerializer(serializers.Serializer):
    """Predictions of failures, judged by whether the node left ready within five hours."""

    came_true = serializers.IntegerField()
    did_not = serializers.IntegerField()
    pending = serializers.IntegerField()
    unknown = serializers.IntegerField()
    removed = serializers.IntegerField(help_text="The node was removed within the five hours: it cannot be judged.")


class WatchersSerializer(serializers.Serializer):
    since = serializers.DateTimeField()
    until = serializers.DateTimeField()
    complete = serializers.BooleanField(help_text="False where the window has more findings than are read.")
    faults = serializers.IntegerField()
    watchers = WatcherSerializer(many=True)
    both = PairSerializer(many=True)
    predictions = PredictionsSerializer()


class Watchers(APIView):
    """What each health tool saw of the fleet's faults."""

    @extend_schema(
        operation_id="watchers",
        responses=WatchersSerializer,
        parameters=[windows.WINDOW, windows.SINCE, windows.UNTIL, windows.CLUSTER],
    )
    def get(self, request: Request) -> Response:
        """Faults that began in the window, by tool. Reports on one node within half an hour count as one fault."""
        windows.only(request, ("window", "since", "until", "cluster"))
        since, until, _ = windows.window(request)
        result = select.watchers(since, until, cluster=request.query_params.get("cluster", ""))
        answer = {
            "since": since,
            "until": until,
            "complete": result.complete,
            "faults": result.comparison.faults,
            "watchers": result.comparison.rows,
            "both": [{"watchers": list(pair), "faults": number} for pair, number in sorted(result.comparison.both.items())],
            "predictions": result.predictions,
        }
        return Response(WatchersSerializer(answer).data)
