"""Telemetry: the newest measurement of each device and why one is missing; curves of a node; its exporters and model servers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

import msgspec
from django.conf import settings
from django.db import connection
from django.db.models import F, JSONField, OuterRef, QuerySet, Subquery

from fleet.collectors import prometheus
from fleet.collectors.deadline import Deadline
from fleet.collectors.errors import Failure
from fleet.domain.catalog.metrics import Metric, by_id, by_wire
from fleet.domain.health.measurements import Measurement, measure
from fleet.domain.history.staleness import recent_for
from fleet.domain.snapshot.telemetry import DeviceSample, ExporterReport
from fleet.models import DeviceTelemetry, Exporter, Gpu, MigInstance, Node, TelemetryFrame
from fleet.models.statements import statement

MOST_POINTS = 400
"""Of one curve: more than a screen has columns for a small picture."""


def stale_after() -> timedelta:
    """From this age on a sample is not current: three scrapes were missed."""
    return recent_for(settings.TELEMETRY_INTERVAL)


def exporters_of(node: Node) -> list[ExporterReport]:
    """Outcome of the last scrape of the exporters on a node; one that answers comes first."""
    rows = Exporter.objects.filter(cluster_id=node.cluster_id, node_name=node.name).order_by(F("at").desc(nulls_last=True), "pod")
    return [msgspec.convert(row, ExporterReport, strict=False) for row in rows.values_list("report", flat=True)]


def report_of(node: Node) -> ExporterReport | None:
    return next(iter(exporters_of(node)), None)


def _sample(row: object) -> DeviceSample:
    return msgspec.convert(row, DeviceSample, strict=False)


# --- beside rows of a list, in the list's own query ---


def with_telemetry(queryset: QuerySet[Gpu]) -> QuerySet[Gpu]:
    """Physical GPUs with `sample` and `exporter` beside them.

    Exporters report a GPU in MIG mode only by its instances: then one instance has the values of the whole GPU.
    """
    result = DeviceTelemetry.objects.filter(node=OuterRef("node"), uuid=OuterRef("uuid")).order_by("gi_id").values("sample")[:1]
    return queryset.annotate(sample=Subquery(result, output_field=JSONField()), exporter=_exporter())


def with_instance_telemetry(queryset: QuerySet[MigInstance]) -> QuerySet[MigInstance]:
    """MIG instances, likewise."""
    result = DeviceTelemetry.objects.filter(node=OuterRef("node"), uuid=OuterRef("gpu_uuid"), gi_id=OuterRef("gi_id"))
    return queryset.annotate(
        sample=Subquery(result.exclude(gi_id="").values("sample")[:1], output_field=JSONField()), exporter=_exporter()
    )


def _exporter() -> Subquery:
    result = Exporter.objects.filter(cluster=OuterRef("node__cluster"), node_name=OuterRef("node__name"))
    return Subquery(result.order_by(F("at").desc(nulls_last=True)).values("report")[:1], output_field=JSONField())


class Measured(Protocol):
    """A row of `with_telemetry` or `with_instance_telemetry`."""

    node: Node
    sample: Mapping[str, object] | None
    exporter: Mapping[str, object] | None


def measurements_beside(row: Measured, now: datetime) -> tuple[DeviceSample | None, tuple[Measurement, ...]]:
    """Returns the measurements beside a row of `with_telemetry` or `with_instance_telemetry`."""
    sample = None if row.sample is None else _sample(row.sample)
    report = None if row.exporter is None else msgspec.convert(row.exporter, ExporterReport, strict=False)
    metrics: Sequence[Metric] = tuple(by_id().values())
    if isinstance(row, Gpu) and sample is not None and sample.gi_id:
        metrics = [metric for metric in metrics if metric.scope == "card"]
    nvidia = row.node.vendor in ("", "nvidia")
    return sample, measure(sample, report, now=now, stale_after=stale_after(), nvidia=nvidia, metrics=metrics)


# --- curves ---


@dataclass(frozen=True, slots=True)
class Curve:
    """One metric of one device over time. A missing sample is not drawn as zero."""

    key: str
    """domain.telemetry.DeviceSample.key"""
    metric: Metric
    points: list[tuple[datetime, float]]


@dataclass(frozen=True, slots=True)
class Curves:
    """Curves of one node, and where they come from: muster's own frames, or prometheus."""

    source: str
    curves: list[Curve]
    reason: str = ""
    """Why Prometheus was not used although one is configured."""


def curves_of(node: Node, start: datetime, end: datetime, metrics: Sequence[str], *, points: int = MOST_POINTS) -> Curves:
    """Curves of a node's devices between two moments, at most `points` moments each.

    From the Prometheus server where one is configured: it has longer and finer data. Else, and where it does not answer within
    a few seconds, from the frames that Muster keeps for TELEMETRY_RETENTION.
    """
    chosen = [by_id()[metric] for metric in metrics]
    url = node.cluster.prometheus_url or settings.PROMETHEUS_URL
    reason = ""
    if url and node.known_uuids:
        try:
            return Curves("prometheus", _from_prometheus(url, node, start, end, chosen, points))
        except Failure as failure:
            reason = failure.reason
    return Curves("muster", _from_frames(node, start, end, chosen, points), reason)


def _step_s(start: datetime, end: datetime, points: int) -> float:
    return max((end - start).total_seconds() / max(1, points - 1), 1.0)


def _from_frames(node: Node, start: datetime, end: datetime, metrics: Sequence[Metric], points: int) -> list[Curve]:
    with connection.cursor() as cursor:
        cursor.execute(
            statement(
                "SELECT DISTINCT ON (floor(extract(epoch FROM at) / %s)) at, values FROM {frames} "
                "WHERE node_id = %s AND at BETWEEN %s AND %s ORDER BY floor(extract(epoch FROM at) / %s), at",
                frames=TelemetryFrame,
            ),
            [step := _step_s(start, end, points), node.pk, start, end, step],
        )
        frames = [(at, msgspec.json.decode(values)) if isinstance(values, str) else (at, values) for at, values in cursor]
    from_frames: dict[tuple[str, str], list[tuple[datetime, float]]] = defaultdict(list)
    for at, values in frames:
        for key, measured in values.items():
            for metric in metrics:
                if metric.id in measured:
                    from_frames[key, metric.id].append((at, measured[metric.id]))
    return _curves(from_frames, metrics)


def _from_prometheus(url: str, node: Node, start: datetime, end: datetime, metrics: Sequence[Metric], points: int) -> list[Curve]:
    server = prometheus.Server(url, settings.PROMETHEUS_TOKEN, Deadline(settings.TELEMETRY_TIMEOUT_S))
    cards = "|".join(node.known_uuids)
    from_prometheus: dict[tuple[str, str], list[tuple[datetime, float]]] = defaultdict(list)
    for metric in metrics:
        wires = "|".join((*metric.wires, *metric.scaled))
        query = f'max by (__name__, UUID, GPU_I_ID) ({{__name__=~"{wires}", UUID=~"{cards}"}})'
        for series in server.query_range(query, start, end, round(_step_s(start, end, points)) or 1):
            _, factor = by_wire()[series.metric["__name__"]]
            uuid, gi_id = series.metric.get("UUID", ""), series.metric.get("GPU_I_ID", "")
            from_prometheus[f"{uuid}/{gi_id}" if gi_id else uuid, metric.id] += [
                (datetime.fromtimestamp(at, start.tzinfo), float(value) * factor) for at, value in series.values
            ]
    return _curves(from_prometheus, metrics)


def _curves(curve: dict[tuple[str, str], list[tuple[datetime, float]]], metrics: Sequence[Metric]) -> list[Curve]:
    order = {metric.id: position for position, metric in enumerate(metrics)}
    by_metric = {metric.id: metric for metric in metrics}
    return [
        Curve(key, by_metric[metric_id], sorted(curve[key, metric_id]))
        for key, metric_id in sorted(curve, key=lambda row: (order[row[1]], row[0]))
    ]


Points = list[tuple[datetime, float]]

DRAWN = 96
"""Points of a curve at most: more cannot be seen."""


def card_curves(node: Node, metrics: Sequence[str], since: datetime, until: datetime) -> dict[str, dict[str, Points]]:
    """Returns device key to metric id to points, oldest first: few enough for a drawing a few dozen pixels wide."""
    result: dict[str, dict[str, Points]] = defaultdict(dict)
    for curve in curves_of(node, since, until, metrics, points=DRAWN).curves:
        result[curve.key][curve.metric.id] = curve.points
    return dict(result)
