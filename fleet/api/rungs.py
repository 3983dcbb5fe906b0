"""Rungs of the readiness ladder as the API shows them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TypedDict

from rest_framework import serializers

from fleet.domain.evaluation.subject import Waiver
from fleet.domain.findings import Evidence, Status
from fleet.domain.readiness.wording import rung_title
from fleet.selectors.nodes.views import NodeView


class RungEvidence(serializers.Serializer):
    source = serializers.CharField()  # type: ignore[assignment]  # a field's name, not its option
    key = serializers.CharField()
    value = serializers.CharField()


class RungWaiver(serializers.Serializer):
    """An operator accepted that the rung is not proven here."""

    reason = serializers.CharField()
    by = serializers.CharField()
    at = serializers.DateTimeField()
    where = serializers.CharField()


class RungSerializer(serializers.Serializer):
    """One rung of a node. A rung passes on evidence only; `own_status` is the status of a blocked rung without the block."""

    id = serializers.CharField()
    number = serializers.IntegerField()
    title = serializers.CharField()
    status = serializers.ChoiceField([status.value for status in Status])
    own_status = serializers.ChoiceField([status.value for status in Status], allow_null=True)
    reason = serializers.CharField()
    evidence = RungEvidence(many=True)
    remedy = serializers.CharField(allow_null=True)
    observed_at = serializers.DateTimeField(allow_null=True)
    waiver = RungWaiver(allow_null=True)


class RungRow(TypedDict):
    """The fields of RungSerializer."""

    id: str
    number: int
    title: str
    status: str
    own_status: str | None
    reason: str
    evidence: tuple[Evidence, ...]
    remedy: str | None
    observed_at: datetime | str | None
    waiver: Waiver | None


def rung_rows(node: NodeView) -> list[RungRow]:
    """Returns the rungs of a node for RungSerializer.

    A rung is as old as the oldest section of its evidence; with a section that was never read it has no moment. In the past it
    has the moment at which its status began.
    """
    read_at = node.cluster.section_read_at or {}
    return [
        RungRow(
            id=rung.id,
            number=rung.number,
            title=rung_title(rung.id),
            status=rung.status,
            own_status=rung.own_status,
            reason=rung.reason,
            evidence=rung.evidence,
            remedy=rung.remedy or None,
            observed_at=_oldest(rung.rests_on, read_at) if node.is_kept_whole else rung.observed_at,
            waiver=rung.waiver,
        )
        for rung in node.rungs
    ]


def _oldest(sections: Sequence[str], read_at: Mapping[str, str]) -> str | None:
    moments = [read_at.get(section) for section in sections]
    return min((at for at in moments if at is not None), default=None) if None not in moments else None
