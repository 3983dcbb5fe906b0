"""Measurements beside GPUs and MIG instances: a value with its unit, or null with the reason."""

from __future__ import annotations

from typing import Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from fleet.selectors import telemetry as select


class MeasurementSerializer(serializers.Serializer):
    """One metric. Without a value, `why` says what is in the way; `turn_on` is the line for the exporter's counters CSV."""

    id = serializers.CharField()
    unit = serializers.CharField(help_text="% is 0 to 100, ratio is 0 to 1; empty for a bare number.")
    kind = serializers.ChoiceField(["gauge", "counter"])
    value = serializers.FloatField(allow_null=True)
    why = serializers.ChoiceField(["not_collected", "exporter_failed", "stale", "not_enabled", "not_told"], allow_null=True)
    reason = serializers.CharField(allow_null=True)
    turn_on = serializers.CharField(allow_null=True)


class HolderSerializer(serializers.Serializer):
    namespace = serializers.CharField()
    pod = serializers.CharField()
    container = serializers.CharField(allow_null=True)


class TelemetrySerializer(serializers.Serializer):
    """The newest measurement of one device. `at` is null where it was never measured."""

    at = serializers.DateTimeField(allow_null=True)
    pods = HolderSerializer(many=True, help_text="Pods that the exporter names as holders of the device.")
    metrics = MeasurementSerializer(many=True)


@extend_schema_field(TelemetrySerializer)
class TelemetryField(serializers.Field):
    """Reads what selectors.telemetry put beside the row."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(source="*", read_only=True, **kwargs)

    def to_representation(self, row: Any) -> dict[str, Any]:
        sample, measurements = select.measurements_beside(row, timezone.now())
        at = serializers.DateTimeField()
        return {
            "at": at.to_representation(sample.at) if sample else None,
            "pods": [
                {"namespace": pod.namespace, "pod": pod.pod, "container": pod.container or None}
                for pod in (sample.pods if sample else ())
            ],
            "metrics": [
                {
                    "id": one.metric.id,
                    "unit": one.metric.unit,
                    "kind": one.metric.kind,
                    "value": one.value,
                    "why": one.why or None,
                    "reason": one.reason or None,
                    "turn_on": one.turn_on or None,
                }
                for one in measurements
            ],
        }
