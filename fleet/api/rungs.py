"""What a rung of the ladder says of a node, as the API shows it."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from fleet.domain.findings import Status
from fleet.domain.readiness.words import rung_title


class RungEvidence(serializers.Serializer):
    source = serializers.CharField()  # type: ignore[assignment]  # a field's name, not its option
    key = serializers.CharField()
    value = serializers.CharField()


class RungWaiver(serializers.Serializer):
    """Somebody signed that the rung need not be proved here."""

    reason = serializers.CharField()
    by = serializers.CharField()
    at = serializers.DateTimeField()
    where = serializers.CharField()


class RungSerializer(serializers.Serializer):
    """One rung of one node. Only evidence passes; `own_status` is what a blocked rung says by itself."""

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


def rung_rows(rungs: list[dict[str, Any]], section_read_at: dict[str, str] | None) -> list[dict[str, Any]]:
    """Rungs as they stand in a node's row, for RungSerializer's fields. A rung is as old as the oldest section that it
    rests on; one that rests on a section never read has no moment."""
    read_at = section_read_at or {}
    return [
        {
            "id": rung["id"],
            "number": rung["number"],
            "title": rung_title(rung["id"]),
            "status": rung["status"],
            "own_status": rung.get("own_status"),
            "reason": rung["reason"],
            "evidence": rung.get("evidence") or [],
            "remedy": rung.get("remedy") or None,
            "observed_at": _oldest(rung.get("rests_on") or [], read_at),
            "waiver": _waiver(rung.get("waiver")),
        }
        for rung in rungs
    ]


def _oldest(sections: list[str], read_at: dict[str, str]) -> str | None:
    moments = [read_at.get(section) for section in sections]
    return min((at for at in moments if at is not None), default=None) if None not in moments else None


def _waiver(waiver: dict[str, Any] | None) -> dict[str, Any] | None:
    return {key: waiver.get(key, "") for key in ("reason", "by", "at", "where")} if waiver else None
