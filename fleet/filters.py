"""One FilterSet per list: the page and the API filter by the same rules."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import django_filters as filters
from django import forms
from django.core.exceptions import ValidationError
from django.db.models import Exists, F, IntegerField, OuterRef, Q, QuerySet, TextField
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Cast, Coalesce, Greatest
from django.utils import timezone

from fleet.domain import label_selectors
from fleet.models import (
    AuditEntry,
    ClassRequest,
    Cluster,
    CollectionRun,
    FindingRow,
    Gpu,
    MigInstance,
    Mute,
    Node,
    Pool,
    Team,
    WorkloadClass,
    XidBurstRow,
)


class _Values(forms.SelectMultiple):
    """Reads a parameter that may be repeated."""

    def value_from_datadict(self, data: Any, files: Any, name: str) -> list[str]:
        values = data.getlist(name) if hasattr(data, "getlist") else data.get(name, [])
        return [values] if isinstance(values, str) else list(values)


class _ValuesField(forms.Field):
    widget = _Values

    def clean(self, value: Any) -> list[str]:
        return [one for one in value or [] if one]


class AnyOf(filters.Filter):
    """Any of these values: `?product=a&product=b`, or with a comma between them unless `split` is off (for sentences).

    `unknown` also finds rows where nothing was told, which stand as empty text.
    """

    field_class = _ValuesField

    def __init__(self, field_name: str, *, split: bool = True, **kwargs: Any) -> None:
        super().__init__(field_name=field_name, **kwargs)
        self.split = split

    def filter(self, qs: QuerySet, value: list[str] | None) -> QuerySet:
        wanted = {part for one in value or [] for part in (one.split(",") if self.split else [one])}
        if not wanted:
            return qs
        if "unknown" in wanted:
            wanted.add("")
        return qs.filter(**{f"{self.field_name}__in": sorted(wanted)})


class _CodesField(_ValuesField):
    def clean(self, value: Any) -> list[str]:
        codes = [part.strip() for one in super().clean(value) for part in one.split(",") if part.strip()]
        if wrong := [code for code in codes if not (code.isascii() and code.isdecimal() and len(code) <= 9)]:
            raise ValidationError(f"{wrong[0]!r} is no code: codes are whole numbers.")
        return codes


class AnyCode(AnyOf):
    """Any of these whole numbers."""

    field_class = _CodesField


class YesNo(filters.TypedChoiceFilter):
    """`true` or `false`, and nothing else: a misspelt answer is an error, not "unset"."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        choices = [("true", "true"), ("false", "false")]
        super().__init__(*args, choices=choices, coerce=lambda text: text == "true", empty_value=None, **kwargs)

    def filter(self, qs: QuerySet, value: bool | None) -> QuerySet:
        return qs if value is None else qs.filter(**{self.field_name: value})


def label_query(text: str, field: str = "labels") -> Q:
    """A label selector as a query over a JSON column. Raises ValidationError with the sentence of the grammar."""
    try:
        requirements = label_selectors.parse(text)
    except label_selectors.SelectorError as error:
        raise ValidationError(str(error)) from error
    query = Q()
    for one in requirements:
        match one.operator:
            case "in":
                query &= _any(Q(**{f"{field}__contains": {one.key: value}}) for value in one.values)
            case "notin":
                query &= ~_any(Q(**{f"{field}__contains": {one.key: value}}) for value in one.values)
            case "exists":
                query &= Q(**{f"{field}__has_key": one.key})
            case "absent":
                query &= ~Q(**{f"{field}__has_key": one.key})
            case comparison:
                query &= Q(pk__in=_compared(field, one.key, comparison, int(one.values[0])))
    return query


def _any(queries: Any) -> Q:
    found = Q()
    for query in queries:
        found |= query
    return found


def _compared(field: str, key: str, comparison: str, value: int) -> QuerySet:
    """Nodes whose label is a whole number above or below `value`; any other text matches neither."""
    return (
        Node.objects.annotate(_text=Cast(KeyTextTransform(key, field), TextField()))
        .filter(_text__regex=r"^-?[0-9]{1,9}$")
        .annotate(_number=Cast("_text", IntegerField()))
        .filter(**{f"_number__{comparison}": value})
        .values("pk")
    )


def _says(rung: str, status: str) -> Q:
    return Q(rungs__contains=[{"id": rung, "status": status}])


class NodeFilters(filters.FilterSet):
    cluster = AnyOf(field_name="cluster__name")
    product = AnyOf(field_name="product")
    vendor = AnyOf(field_name="vendor")
    family = AnyOf(field_name="family")
    mode = AnyOf(field_name="mode", split=False)
    partitioning = AnyOf(field_name="partitioning")
    sharing = AnyOf(field_name="sharing")
    state = AnyOf(field_name="state")
    advertised = AnyOf(field_name="advertised")
    verdict = AnyOf(field_name="verdict")
    broken_rung = AnyOf(field_name="broken_rung")
    rung = AnyOf(field_name="rungs", method="with_rung", label="What a rung says, as `driver_loaded:fail`; several: any of them")
    excluded = YesNo(method="with_excluded", label="Taken out on purpose: cordoned or in maintenance")
    flapping = YesNo()
    counted = YesNo(method="with_counted", label="Whether anybody could count its physical GPUs")
    zone = AnyOf(field_name="zone")
    machine_type = AnyOf(field_name="machine_type")
    driver = AnyOf(field_name="driver_version")
    resource = filters.CharFilter(method="with_resource", label="Advertises this resource name")
    label = filters.CharFilter(method="with_label", label="Kubernetes label selector")
    taint = filters.CharFilter(method="with_taint", label="Taint key")
    schedulable = YesNo()
    missing = YesNo(method="with_fewer", label="Fewer physical GPUs usable than expected")
    not_offered = YesNo(method="with_fewer", label="Offers fewer physical GPUs than expected")
    reason = AnyOf(field_name="reason", split=False)
    removed = YesNo(method="with_removed", label="Nodes that are gone instead of those that are there")
    q = filters.CharFilter(method="search", label="Words in name, product, zone or machine type; key=value for labels")

    class Meta:
        model = Node
        fields: list[str] = []

    def filter_queryset(self, queryset: QuerySet) -> QuerySet:
        queryset = super().filter_queryset(queryset)
        return queryset if self.form.cleaned_data.get("removed") is not None else queryset.filter(removed_at=None)

    def with_resource(self, queryset: QuerySet, name: str, value: str) -> QuerySet:
        return queryset.filter(resources__name=value, resources__capacity__gt=0)

    def with_label(self, queryset: QuerySet, name: str, value: str) -> QuerySet:
        return queryset.filter(label_query(value))

    def with_taint(self, queryset: QuerySet, name: str, value: str) -> QuerySet:
        return queryset.filter(taints__contains=[{"key": value}])

    def with_fewer(self, queryset: QuerySet, name: str, value: bool) -> QuerySet:
        """By the same arithmetic as the sums of the fleet, so that a list has as many rows as its figure says."""
        field = "usable" if name == "missing" else "offered"
        counted = queryset.alias(_expected=Coalesce(Greatest("expected", "physical"), 0), _have=Coalesce(F(field), 0))
        return counted.filter(_have__lt=F("_expected")) if value else counted.filter(_have__gte=F("_expected"))

    def with_rung(self, queryset: QuerySet, name: str, value: list[str]) -> QuerySet:
        """A waived rung is `waived`, whatever it would have said: the ladder's funnel counts it so."""
        wanted = Q()
        for one in (part for text in value for part in text.split(",")):
            rung, _, said = one.partition(":")
            signed = Q(rungs__contains=[{"id": rung, "waiver": {}}])
            if said == "waived":
                wanted |= signed & ~_says(rung, "pass") & ~_says(rung, "warn")
            elif said in ("pass", "warn"):
                wanted |= _says(rung, said)
            else:
                wanted |= _says(rung, said) & ~signed
        return queryset.filter(wanted) if value else queryset

    def with_counted(self, queryset: QuerySet, name: str, value: bool) -> QuerySet:
        nobody = Q(physical__isnull=True) & (Q(expected__isnull=True) | Q(expected=0))
        return queryset.exclude(nobody) if value else queryset.filter(nobody)

    def with_excluded(self, queryset: QuerySet, name: str, value: bool) -> QuerySet:
        return queryset.filter(verdict="excluded") if value else queryset.exclude(verdict="excluded")

    def with_removed(self, queryset: QuerySet, name: str, value: bool) -> QuerySet:
        return queryset.filter(removed_at__isnull=not value)

    def search(self, queryset: QuerySet, name: str, value: str) -> QuerySet:
        for word in value.split():
            if "=" in word or word.startswith("!"):
                queryset = queryset.filter(label_query(word))
            else:
                queryset = queryset.filter(
                    Q(name__icontains=word)
                    | Q(product__icontains=word)
                    | Q(zone__icontains=word)
                    | Q(machine_type__icontains=word)
                    | Q(mode__icontains=word)
                    | Q(labels__has_key=word)
                )
        return queryset


class _OfNode(filters.FilterSet):
    cluster = AnyOf(field_name="node__cluster__name")
    node = AnyOf(field_name="node__name")
    product = AnyOf(field_name="node__product")
    zone = AnyOf(field_name="node__zone")
    state = AnyOf(field_name="node__state")
    mode = AnyOf(field_name="node__mode", split=False)
    label = filters.CharFilter(method="with_label", label="Kubernetes label selector over the node's labels")

    def with_label(self, queryset: QuerySet, name: str, value: str) -> QuerySet:
        return queryset.filter(node__in=Node.objects.filter(label_query(value)))


class GpuFilters(_OfNode):
    product = AnyOf(field_name="product")
    uuid = AnyOf(field_name="uuid")

    class Meta:
        model = Gpu
        fields: list[str] = []


class MigInstanceFilters(_OfNode):
    profile = AnyOf(field_name="profile")
    gpu_uuid = AnyOf(field_name="gpu_uuid")

    class Meta:
        model = MigInstance
        fields: list[str] = []


class RunFilters(filters.FilterSet):
    cluster = AnyOf(field_name="cluster__name")
    outcome = AnyOf(field_name="outcome")
    trigger = AnyOf(field_name="trigger")
    since = filters.IsoDateTimeFilter(field_name="started_at", lookup_expr="gte")
    until = filters.IsoDateTimeFilter(field_name="started_at", lookup_expr="lt")

    class Meta:
        model = CollectionRun
        fields: list[str] = []


class ClusterFilters(filters.FilterSet):
    name = AnyOf(field_name="name")
    platform = AnyOf(field_name="platform")
    outcome = AnyOf(field_name="outcome")

    class Meta:
        model = Cluster
        fields: list[str] = []


class RequestFilters(filters.FilterSet):
    state = AnyOf(field_name="state")
    team = AnyOf(field_name="team__slug")
    workload_class = AnyOf(field_name="class_version__workload_class__slug")
    namespace = AnyOf(field_name="namespace")
    since = filters.IsoDateTimeFilter(field_name="created_at", lookup_expr="gte")
    until = filters.IsoDateTimeFilter(field_name="created_at", lookup_expr="lt")

    class Meta:
        model = ClassRequest
        fields: list[str] = []


class TeamFilters(filters.FilterSet):
    slug = AnyOf(field_name="slug")

    class Meta:
        model = Team
        fields: list[str] = []


class PoolFilters(filters.FilterSet):
    slug = AnyOf(field_name="slug")
    purpose = AnyOf(field_name="purpose", split=False)
    owner = AnyOf(field_name="owner", split=False)
    managed_by = AnyOf(field_name="managed_by", split=False)

    class Meta:
        model = Pool
        fields: list[str] = []


class ClassFilters(filters.FilterSet):
    slug = AnyOf(field_name="slug")
    managed_by = AnyOf(field_name="managed_by", split=False)

    class Meta:
        model = WorkloadClass
        fields: list[str] = []


FINDING_STATUSES = ("open", "muted", "resolved")
RESOLVED_WITHIN = timedelta(days=30)


def is_muted(now: datetime) -> Exists:
    """Whether somebody muted a finding (of the outer query), for itself or for a scope it lies in, and the mute still holds."""
    return Exists(
        Mute.objects.filter(
            Q(cluster__isnull=True) | Q(cluster=OuterRef("cluster")),
            Q(node__isnull=True) | Q(node=OuterRef("node")),
            Q(key="") | Q(key=OuterRef("key")),
            rule=OuterRef("rule"),
            until__gt=now,
        )
    )


class _StatusesField(_ValuesField):
    def clean(self, value: Any) -> list[str]:
        wanted = [part for one in super().clean(value) for part in one.split(",") if part]
        wrong = sorted(set(wanted) - set(FINDING_STATUSES))
        if wrong:
            raise ValidationError(f"There is no status {wrong[0]!r}. Choose from {', '.join(FINDING_STATUSES)}.")
        return wanted


class _Statuses(AnyOf):
    field_class = _StatusesField


class FindingFilters(filters.FilterSet):
    """Without `status`, `since` or `until`: what is open now and not muted."""

    status = _Statuses(
        field_name="status",
        method="with_status",
        label="open, muted or resolved (within the last 30 days, unless since or until say otherwise)",
    )
    severity = AnyOf(field_name="severity")
    cluster = AnyOf(field_name="cluster__name")
    node = AnyOf(field_name="node__name")
    rule = AnyOf(field_name="rule")
    subject = AnyOf(field_name="subject")
    rung = AnyOf(field_name="rung")
    product = AnyOf(field_name="node__product")
    since = filters.IsoDateTimeFilter(method="with_since", label="Stood at this moment or later")
    until = filters.IsoDateTimeFilter(method="with_until", label="Was opened before this moment")
    q = filters.CharFilter(method="search", label="Words in text, rule, key, node or cluster")

    class Meta:
        model = FindingRow
        fields: list[str] = []

    def filter_queryset(self, queryset: QuerySet) -> QuerySet:
        queryset = super().filter_queryset(queryset)
        told = self.form.cleaned_data
        if told.get("status") or told.get("since") or told.get("until"):
            return queryset
        return self.with_status(queryset, "status", ["open"])

    def with_status(self, queryset: QuerySet, name: str, value: list[str]) -> QuerySet:
        wanted = set(value)
        if not wanted:
            return queryset
        now, stands = timezone.now(), Q(period__endswith__isnull=True)
        query = Q(pk__in=[])
        if {"open", "muted"} <= wanted:
            query |= stands
        elif "open" in wanted:
            query |= stands & ~Q(is_muted(now))
        elif "muted" in wanted:
            query |= stands & Q(is_muted(now))
        if "resolved" in wanted:
            told = self.form.cleaned_data
            bounded = told.get("since") or told.get("until")
            query |= Q(period__endswith__isnull=False) if bounded else Q(period__endswith__gte=now - RESOLVED_WITHIN)
        return queryset.filter(query)

    def with_since(self, queryset: QuerySet, name: str, value: datetime) -> QuerySet:
        return queryset.filter(Q(period__endswith__isnull=True) | Q(period__endswith__gt=value))

    def with_until(self, queryset: QuerySet, name: str, value: datetime) -> QuerySet:
        return queryset.filter(period__startswith__lt=value)

    def search(self, queryset: QuerySet, name: str, value: str) -> QuerySet:
        for word in value.split():
            queryset = queryset.filter(
                Q(text__icontains=word)
                | Q(rule__icontains=word)
                | Q(key__icontains=word)
                | Q(node__name__icontains=word)
                | Q(cluster__name__icontains=word)
            )
        return queryset


class AuditFilters(filters.FilterSet):
    actor = AnyOf(field_name="actor_name")
    action = AnyOf(field_name="action")
    since = filters.IsoDateTimeFilter(field_name="at", lookup_expr="gte")
    until = filters.IsoDateTimeFilter(field_name="at", lookup_expr="lt")
    q = filters.CharFilter(method="search", label="Words in subject or reason")

    class Meta:
        model = AuditEntry
        fields: list[str] = []

    def search(self, queryset: QuerySet, name: str, value: str) -> QuerySet:
        for word in value.split():
            queryset = queryset.filter(Q(subject__icontains=word) | Q(reason__icontains=word))
        return queryset


class XidBurstFilters(filters.FilterSet):
    cluster = AnyOf(field_name="node__cluster__name")
    node = AnyOf(field_name="node__name")
    uuid = AnyOf(field_name="uuid")
    code = AnyCode(field_name="code")
    severity = AnyOf(field_name="severity")
    source = AnyOf(field_name="source")
    job = AnyOf(field_name="job")
    incident = AnyOf(field_name="incident")
    since = filters.IsoDateTimeFilter(field_name="last_at", lookup_expr="gte", label="Going on at this time or later")
    until = filters.IsoDateTimeFilter(field_name="started_at", lookup_expr="lt", label="Begun before this time")

    class Meta:
        model = XidBurstRow


class MomentFilters(filters.FilterSet):
    """Which nodes, for questions about the past: only what a node does not change. Nodes that are gone are among them."""

    cluster = AnyOf(field_name="cluster__name")
    product = AnyOf(field_name="product")
    vendor = AnyOf(field_name="vendor")
    family = AnyOf(field_name="family")
    zone = AnyOf(field_name="zone")
    machine_type = AnyOf(field_name="machine_type")

    class Meta:
        model = Node
        fields: list[str] = []
