"""Time travel: a node and the fleet as they were, a node's history, and what differs between two moments."""

from __future__ import annotations

from django.conf import settings
from django.http import Http404
from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from fleet.api.fleet import FleetSummary, SummarySerializer, as_json
from fleet.api.nodes import EvidenceSerializer, Nodes, NodeSerializer, node_or_404
from fleet.api.protocol import windows
from fleet.api.protocol.fields import TextOrNull
from fleet.domain.history import intervals
from fleet.domain.history.incidents import stretches
from fleet.filters import MomentFilters
from fleet.selectors import figures as select_figures
from fleet.selectors.history import node_history as history
from fleet.selectors.history import rows as history_rows
from fleet.selectors.history import startup_times
from fleet.selectors.history.rows import NodeMoment
from fleet.selectors.nodes import nodes as select
from fleet.selectors.nodes import views as node_views

AT = OpenApiParameter("at", {"type": "string", "format": "date-time"}, description="As of this moment instead of now.")


class _Told(serializers.Serializer):
    since = serializers.DateTimeField()
    until = serializers.DateTimeField(allow_null=True)


class VerdictStretch(_Told):
    """A verdict and the period in which it applied."""

    verdict = serializers.CharField()
    broken_rung = serializers.CharField(allow_null=True)
    reason = serializers.CharField()
    remedy = serializers.CharField()
    usable = serializers.IntegerField(allow_null=True)
    expected = serializers.IntegerField(allow_null=True)


class RungStretch(_Told):
    rung = serializers.CharField()
    status = serializers.CharField()
    reason = serializers.CharField()
    evidence = EvidenceSerializer(many=True)


class FindingStretch(_Told):
    rule = serializers.CharField()
    key = serializers.CharField()
    subject = serializers.CharField()
    severity = serializers.CharField()
    text = serializers.CharField()
    remedy = serializers.CharField()
    rung = serializers.CharField()
    evidence = EvidenceSerializer(many=True)


class ChangeOfFact(serializers.Serializer):
    section = serializers.CharField()
    key = serializers.CharField()
    before = serializers.CharField(allow_null=True)
    after = serializers.CharField(allow_null=True)


class FactChangeSerializer(serializers.Serializer):
    at = serializers.DateTimeField()
    changes = ChangeOfFact(many=True)


class IncidentSerializer(serializers.Serializer):
    """Time in which the node was not ready for longer than the grace."""

    start = serializers.DateTimeField()
    end = serializers.DateTimeField(allow_null=True)
    repaired_at = serializers.DateTimeField(allow_null=True)
    flap = serializers.BooleanField()


class XidBurstOfNode(serializers.Serializer):
    uuid = TextOrNull()
    code = serializers.IntegerField()
    started_at = serializers.DateTimeField()
    last_at = serializers.DateTimeField()
    count = serializers.IntegerField()
    job = TextOrNull()


class NodeObjectSerializer(serializers.Serializer):
    """One node object that had the name in the window."""

    uid = serializers.CharField()
    first_seen_at = serializers.DateTimeField()
    removed_at = serializers.DateTimeField(allow_null=True)


class NodeHistorySerializer(serializers.Serializer):
    """Everything that overlaps the window, with its own moments; seconds are limited to the window."""

    cluster = serializers.CharField()
    name = serializers.CharField()
    since = serializers.DateTimeField()
    until = serializers.DateTimeField()
    objects = NodeObjectSerializer(many=True, help_text="Oldest first; several where the node was created again.")
    verdicts = VerdictStretch(many=True)
    rungs = RungStretch(many=True)
    findings = FindingStretch(many=True)
    changes = FactChangeSerializer(many=True)
    xid_bursts = XidBurstOfNode(many=True)
    incidents = IncidentSerializer(many=True)
    seconds = serializers.DictField(child=serializers.IntegerField())
    availability = serializers.FloatField(allow_null=True)
    bootstrap_min = serializers.FloatField(
        allow_null=True, help_text="Minutes from kubelet Ready to the first good verdict; null if its joining was not observed."
    )


class RungDifferenceSerializer(serializers.Serializer):
    rung = serializers.CharField()
    before = RungStretch(allow_null=True)
    after = RungStretch(allow_null=True)


class MomentSerializer(serializers.Serializer):
    """The node at one of the two times; null if it did not exist."""

    at = serializers.DateTimeField()
    uid = serializers.CharField()
    verdict = VerdictStretch(allow_null=True)


class NodeDiffSerializer(serializers.Serializer):
    cluster = serializers.CharField()
    name = serializers.CharField()
    before = MomentSerializer(allow_null=True)
    after = MomentSerializer(allow_null=True)
    verdict_changed = serializers.BooleanField()
    other_node = serializers.BooleanField()
    facts = ChangeOfFact(many=True)
    rungs = RungDifferenceSerializer(many=True)
    opened = FindingStretch(many=True)
    resolved = FindingStretch(many=True)


class NodesInTime(Nodes):
    """A node now or at a past time."""

    @extend_schema(operation_id="node", responses=NodeSerializer, parameters=[AT])
    def node(self, request: Request, cluster: str, name: str) -> Response:
        """Returns the current node of this name, else the last one that had it; with `at`, the node of that time.

        Figures are those recorded at that time. For a node that has changed since, requested and free slots, findings on
        devices and evidence are not kept and are null.
        """
        windows.only(request, ("at",))
        at = windows.moment(request, "at")
        if at is None:
            return super().node(request, cluster, name)
        result = node_views.whole_view_at(cluster, name, at)
        if result is None:
            raise Http404(f"GPU node {name} was not in cluster {cluster} at {at:%Y-%m-%d %H:%M:%S} UTC.")
        view, moment = result
        fields = {**self.get_serializer(view).data, "as_of": serializers.DateTimeField().to_representation(at)}
        if not view.is_kept_whole:
            fields["findings"] = FindingStretch(moment.findings, many=True).data
        return Response(fields)

    @extend_schema(operation_id="node_history", responses=NodeHistorySerializer, filters=False,
                   parameters=[windows.SINCE, windows.UNTIL, windows.WINDOW])  # fmt: skip
    def history(self, request: Request, cluster: str, name: str) -> Response:
        """Verdicts, rungs, findings, changes of facts and Xid bursts that touch the window (7 days by default)."""
        windows.only(request, ("since", "until", "window"))
        since, until, _ = windows.window(request, days=7)
        node = node_or_404(cluster, name)
        node_timeline = history.node_timeline(node, since, until)
        verdicts = [intervals.Span(verdict.since, verdict.until, verdict.verdict) for verdict in node_timeline.verdicts]
        seconds, now = intervals.seconds(verdicts, since, until), timezone.now()
        return Response(
            NodeHistorySerializer(
                {
                    "cluster": node.cluster.name,
                    "name": node.name,
                    "since": since,
                    "until": until,
                    "objects": node_timeline.objects,
                    "verdicts": [_verdict(item) for item in node_timeline.verdicts],
                    "rungs": node_timeline.rungs,
                    "findings": node_timeline.findings,
                    "changes": node_timeline.changes,
                    "xid_bursts": node_timeline.bursts,
                    "incidents": [
                        {"start": stretch.start, "end": stretch.end, "repaired_at": stretch.repaired_at,
                         "flap": stretch.is_flap(settings.FLAP_WITHIN)}
                        for stretch in stretches(verdicts)
                        if stretch.is_incident(now, settings.INCIDENT_GRACE)
                    ],
                    "seconds": seconds,
                    "availability": intervals.availability(seconds),
                    "bootstrap_min": startup_times.node_minutes(node),
                }
            ).data
        )  # fmt: skip

    @extend_schema(
        operation_id="node_diff",
        responses=NodeDiffSerializer,
        filters=False,
        parameters=[
            OpenApiParameter("from", {"type": "string", "format": "date-time"}, required=True),
            OpenApiParameter("to", {"type": "string", "format": "date-time"}, description="Defaults to now."),
        ],
    )
    def diff(self, request: Request, cluster: str, name: str) -> Response:
        """What differs at `to` from `from`: facts, verdict, rungs, findings."""
        windows.only(request, ("from", "to"))
        node_or_404(cluster, name)
        a, b = windows.required_moment(request, "from"), windows.moment(request, "to") or timezone.now()
        node_diff = history.node_diff(cluster, name, a, b)
        fields = {
            "cluster": cluster,
            "name": name,
            "before": _moment(node_diff.before),
            "after": _moment(node_diff.after),
            "verdict_changed": node_diff.verdict_changed,
            "other_node": node_diff.other_node,
            "facts": node_diff.facts,
            "rungs": node_diff.rungs,
            "opened": node_diff.opened,
            "resolved": node_diff.resolved,
        }
        return Response(NodeDiffSerializer(fields).data)


def _verdict(verdict: history_rows.Verdict) -> dict[str, object]:
    return {name: getattr(verdict, name) for name in ("since", "until", "verdict", "reason", "remedy", "usable", "expected")} | {
        "broken_rung": verdict.broken_rung or None
    }


def _moment(row: NodeMoment | None) -> dict[str, object] | None:
    if row is None:
        return None
    return {"at": row.at, "uid": row.node.uid, "verdict": _verdict(row.verdict) if row.verdict else None}


class SummaryInTime(FleetSummary):
    """The fleet in figures, now or at a moment."""

    @extend_schema(operation_id="fleet_summary", responses=SummarySerializer, parameters=[AT])
    def get(self, request: Request) -> Response:
        """Physical GPUs usable of expected, the missing ones by reason, nodes by verdict, and slots.

        With `at`, as recorded then: only filters by what a node does not change (cluster, product, vendor, family, zone,
        machine_type) are taken. Requested and free slots are null where a node has changed since.
        """
        at = windows.moment(request, "at")
        if at is None:
            return super().get(request)
        windows.only(request, ("at", *MomentFilters.base_filters))
        rows = MomentFilters(request.query_params, queryset=select.nodes()).qs
        return Response(as_json(select_figures.summary_at(rows, at)))
