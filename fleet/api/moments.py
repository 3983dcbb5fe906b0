"""Time travel: a node and the fleet as they were, a node's history, and what differs between two moments."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import Http404
from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from fleet.api import windows
from fleet.api.fields import Told
from fleet.api.fleet import FleetSummary, SummarySerializer
from fleet.api.nodes import EvidenceSerializer, Nodes, NodeSerializer, node_or_404
from fleet.domain.history import spans
from fleet.domain.history.incidents import stretches
from fleet.domain.readiness.words import rung_number, rung_title
from fleet.filters import MomentFilters
from fleet.selectors import bootstrap, history, moments, pools
from fleet.selectors import nodes as select
from fleet.selectors.history import NodeMoment

AT = OpenApiParameter("at", {"type": "string", "format": "date-time"}, description="As of this moment instead of now.")


class _Told(serializers.Serializer):
    since = serializers.DateTimeField()
    until = serializers.DateTimeField(allow_null=True)


class VerdictStretch(_Told):
    """A verdict over the time it stood."""

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
    uuid = Told()
    code = serializers.IntegerField()
    started_at = serializers.DateTimeField()
    last_at = serializers.DateTimeField()
    count = serializers.IntegerField()
    job = Told()


class NodeHistorySerializer(serializers.Serializer):
    """Everything that touches the window, each with its own moments, not cut to it; seconds are cut."""

    cluster = serializers.CharField()
    name = serializers.CharField()
    since = serializers.DateTimeField()
    until = serializers.DateTimeField()
    verdicts = VerdictStretch(many=True)
    rungs = RungStretch(many=True)
    findings = FindingStretch(many=True)
    changes = FactChangeSerializer(many=True)
    xid_bursts = XidBurstOfNode(many=True)
    incidents = IncidentSerializer(many=True)
    seconds = serializers.DictField(child=serializers.IntegerField())
    availability = serializers.FloatField(allow_null=True)
    bootstrap_min = serializers.FloatField(
        allow_null=True, help_text="Minutes from kubelet Ready to the first good verdict; null where nobody saw the node join."
    )


class RungDifferenceSerializer(serializers.Serializer):
    rung = serializers.CharField()
    before = RungStretch(allow_null=True)
    after = RungStretch(allow_null=True)


class MomentSerializer(serializers.Serializer):
    """What stood at one of the two moments; null where there was no such node."""

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
    """One node at other moments than now."""

    @extend_schema(operation_id="node", responses=NodeSerializer, parameters=[AT])
    def one(self, request: Request, cluster: str, name: str) -> Response:
        """One node: the one that bears this name now, else the last that did; with `at`, the one that bore it then, as it was.

        Of the past, what pods held and which devices a DRA driver published is not kept: requested and free slots, and
        cards that only ResourceSlices tell of, are null.
        """
        windows.only(request, ("at",))
        at = windows.moment(request, "at")
        if at is None:
            return super().one(request, cluster, name)
        found = history.node_at(cluster, name, at)
        if found is None:
            raise Http404(f"Muster knew of no GPU node {name} in cluster {cluster} at {at:%Y-%m-%d %H:%M:%S} UTC.")
        node = moments.as_node(found)
        vars(node)["open_memberships"] = pools.memberships_at(node, at)
        return Response({**self.get_serializer(node).data, **as_of(found)})

    @extend_schema(operation_id="node_history", responses=NodeHistorySerializer, filters=False,
                   parameters=[windows.SINCE, windows.UNTIL, windows.WINDOW])  # fmt: skip
    def history(self, request: Request, cluster: str, name: str) -> Response:
        """Verdicts, rungs, findings, changes of facts and Xid bursts that touch the window (7 days by default)."""
        windows.only(request, ("since", "until", "window"))
        since, until, _ = windows.window(request, days=7)
        node = node_or_404(cluster, name)
        found = history.node_timeline(node, since, until)
        told = [spans.Span(one.since, one.until, one.verdict) for one in found.verdicts]
        seconds, now = spans.seconds(told, since, until), timezone.now()
        return Response(
            NodeHistorySerializer(
                {
                    "cluster": node.cluster.name,
                    "name": node.name,
                    "since": since,
                    "until": until,
                    "verdicts": [_verdict(one) for one in found.verdicts],
                    "rungs": found.rungs,
                    "findings": found.findings,
                    "changes": found.changes,
                    "xid_bursts": found.bursts,
                    "incidents": [
                        {"start": one.start, "end": one.end, "repaired_at": one.repaired_at,
                         "flap": one.is_flap(settings.FLAP_WITHIN)}
                        for one in stretches(told)
                        if one.is_incident(now, settings.INCIDENT_GRACE)
                    ],
                    "seconds": seconds,
                    "availability": spans.availability(seconds),
                    "bootstrap_min": bootstrap.node_minutes(node),
                }
            ).data
        )  # fmt: skip

    @extend_schema(
        operation_id="node_diff",
        responses=NodeDiffSerializer,
        filters=False,
        parameters=[
            OpenApiParameter("from", {"type": "string", "format": "date-time"}, required=True),
            OpenApiParameter("to", {"type": "string", "format": "date-time"}, description="Now where it is not given."),
        ],
    )
    def diff(self, request: Request, cluster: str, name: str) -> Response:
        """What differs at `to` from `from`: facts, verdict, rungs, findings."""
        windows.only(request, ("from", "to"))
        node_or_404(cluster, name)
        a, b = windows.required_moment(request, "from"), windows.moment(request, "to") or timezone.now()
        found = history.node_diff(cluster, name, a, b)
        told = {
            "cluster": cluster,
            "name": name,
            "before": _moment(found.before),
            "after": _moment(found.after),
            "verdict_changed": found.verdict_changed,
            "other_node": found.other_node,
            "facts": found.facts,
            "rungs": found.rungs,
            "opened": found.opened,
            "resolved": found.resolved,
        }
        return Response(NodeDiffSerializer(told).data)


def as_of(found: NodeMoment) -> dict[str, Any]:
    """What a node of the past says otherwise than one of the present, whatever the serializer reads from its row."""
    verdict, told = found.verdict, serializers.DateTimeField().to_representation
    return {
        "as_of": told(found.at),
        "verdict": verdict.verdict if verdict else "unknown",
        "broken_rung": (verdict.broken_rung or None) if verdict else None,
        "verdict_since": told(verdict.since) if verdict else None,
        "verdict_reason": verdict.reason if verdict else "Nothing was judged at that moment.",
        "rungs": [
            {"id": one.rung, "number": rung_number(one.rung), "title": rung_title(one.rung), "status": one.status,
             "own_status": None, "reason": one.reason, "evidence": list(one.evidence), "remedy": None,
             "observed_at": told(one.since), "waiver": None}
            for one in found.rungs
        ],
        "findings": FindingStretch(found.findings, many=True).data,
        "last_seen_at": told(found.at),
        "removed_at": None,
        "stale": False,
    }  # fmt: skip


def _verdict(one: history.Verdict) -> dict[str, Any]:
    return {name: getattr(one, name) for name in ("since", "until", "verdict", "reason", "remedy", "usable", "expected")} | {
        "broken_rung": one.broken_rung or None
    }


def _moment(found: NodeMoment | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {"at": found.at, "uid": found.node.uid, "verdict": _verdict(found.verdict) if found.verdict else None}


class SummaryInTime(FleetSummary):
    """The fleet in figures, now or at a moment."""

    @extend_schema(operation_id="fleet_summary", responses=SummarySerializer, parameters=[AT])
    def get(self, request: Request) -> Response:
        """Physical GPUs usable of expected, the missing ones by reason, nodes by verdict, and slots.

        With `at`, as it was then: only filters that tell which nodes (cluster, product, vendor, family, zone,
        machine_type) are taken; what nobody kept is null: what pods held (requested, free), whether a node flapped, which cards
        the scheduler could hand out; and device classes of DRA are not among the resources.
        """
        at = windows.moment(request, "at")
        if at is None:
            return super().get(request)
        windows.only(request, ("at", *MomentFilters.base_filters))
        rows = MomentFilters(request.query_params, queryset=select.nodes()).qs
        found = moments.fleet_at(rows, at)
        counted = not found.nodes or found.uncounted_nodes < found.nodes
        return Response(
            {
                "clusters": found.clusters,
                "nodes": {
                    "total": found.nodes,
                    "by_verdict": found.by_verdict,
                    "by_state": found.by_state,
                    "flapping": None,
                },
                "gpus": {
                    "expected": found.expected if counted else None,
                    "physical": found.physical,
                    "offered": None,
                    "usable": found.usable if counted else None,
                    "missing": [
                        {"verdict": one.verdict, "broken_rung": one.broken_rung or None, "reason": one.reason,
                         "count": one.count, "nodes": one.nodes}
                        for one in found.missing
                    ],
                    "uncounted_nodes": found.uncounted_nodes,
                },
                "slots": {
                    "capacity": found.slots_capacity,
                    "allocatable": found.slots_allocatable,
                    "requested": None,
                    "free": None,
                },
                "resources": list(found.resources),
                "as_of": serializers.DateTimeField().to_representation(at),
            }
        )  # fmt: skip
