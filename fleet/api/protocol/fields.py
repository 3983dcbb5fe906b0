"""Kinds of field that several resources share."""

from __future__ import annotations

from collections.abc import Mapping

from django.utils import timezone
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from fleet.selectors.nodes import telemetry as select


class TextOrNull(serializers.CharField):
    """Text that is empty in the database if unknown; null in the API."""

    def __init__(self, *, source: str | None = None, help_text: str | None = None) -> None:
        super().__init__(allow_null=True, source=source, help_text=help_text)

    def to_representation(self, value: str | None) -> str | None:  # type: ignore[override]  # null is what it is for
        return value or None


# What a caller sends: text is text, as in the schema, not a number that could be converted. Not as a docstring: the schema
# would repeat it for every body.
class Body(serializers.Serializer):
    def to_internal_value(self, data: object) -> object:
        if isinstance(data, Mapping):
            wrong = {name: ["Not a valid string."] for name, field in self.fields.items() if _is_number(field, data.get(name))}
            wrong |= {name: ["Must be true or false."] for name, field in self.fields.items() if _is_digit(field, data.get(name))}
            if wrong:
                raise serializers.ValidationError(wrong)
        return super().to_internal_value(data)


def _is_number(field: serializers.Field, value: object) -> bool:
    """Whether the field is text and the value is a number, or a list with one: DRF would convert it."""
    if isinstance(field, serializers.ListField) and isinstance(value, list):
        return any(_is_number(field.child, item) for item in value)
    return isinstance(field, serializers.CharField) and isinstance(value, int | float)


def _is_digit(field: serializers.Field, value: object) -> bool:
    """Whether the field is true or false and the value a number: DRF would take 0 and 1."""
    return isinstance(field, serializers.BooleanField) and isinstance(value, int | float) and not isinstance(value, bool)


class MeasurementSerializer(serializers.Serializer):
    """One metric. Without a value, `why` is the reason; `turn_on` is the line for the exporter's counters CSV."""

    id = serializers.CharField()
    unit = serializers.CharField(help_text="% is 0 to 100, ratio is 0 to 1; empty for a bare number.")
    kind = serializers.ChoiceField(["gauge", "counter"])
    value = serializers.FloatField(allow_null=True)
    why = serializers.ChoiceField(
        ["not_collected", "exporter_failed", "stale", "not_enabled", "not_reported", "refused"], allow_null=True
    )
    reason = serializers.CharField(allow_null=True)
    turn_on = serializers.CharField(allow_null=True)


class HolderSerializer(serializers.Serializer):
    namespace = serializers.CharField()
    pod = serializers.CharField()
    container = serializers.CharField(allow_null=True)


class TelemetrySerializer(serializers.Serializer):
    """The newest measurement of one device. `at` is null where it was never measured."""

    at = serializers.DateTimeField(allow_null=True)
    pods = HolderSerializer(many=True, help_text="Pods that use the device, by the exporter.")
    metrics = MeasurementSerializer(many=True)


@extend_schema_field(TelemetrySerializer)
class TelemetryField(serializers.Field):
    """Reads the measurements that selectors.nodes.telemetry joined to the row."""

    def __init__(self) -> None:
        super().__init__(source="*", read_only=True)

    def to_representation(self, row: select.Measured) -> dict[str, object]:
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
                    "id": measurement.metric.id,
                    "unit": measurement.metric.unit,
                    "kind": measurement.metric.kind,
                    "value": measurement.value,
                    "why": measurement.why or None,
                    "reason": measurement.reason or None,
                    "turn_on": measurement.turn_on or None,
                }
                for measurement in measurements
            ],
        }
