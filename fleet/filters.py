"""One FilterSet per list: the page and the API filter by the same rules."""

from __future__ import annotations

from typing import Any

import django_filters as filters
from django import forms
from django.core.exceptions import ValidationError
from django.db.models import F, IntegerField, Q, QuerySet, TextField
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Cast

from fleet.domain import label_selectors
from fleet.models import (
    Cluster,
    CollectionRun,
    Delivery,
    Gpu,
    MigInstance,
    Node,
    NotificationRule,
    NotificationTarget,
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
    zone = AnyOf(field_name="zone")
    machine_type = AnyOf(field_name="machine_type")
    driver = AnyOf(field_name="driver_version")
    resource = filters.CharFilter(method="with_resource", label="Advertises this resource name")
    label = filters.CharFilter(method="with_label", label="Kubernetes label selector")
    taint = filters.CharFilter(method="with_taint", label="Taint key")
    schedulable = YesNo()
    missing = YesNo(method="with_missing", label="Offers fewer physical GPUs than expected")
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

    def with_missing(self, queryset: QuerySet, name: str, value: bool) -> QuerySet:
        fewer = Q(expected__gt=0) & (Q(offered__isnull=True) | Q(offered__lt=F("expected")))
        return queryset.filter(fewer) if value else queryset.exclude(fewer)

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


class DeliveryFilters(filters.FilterSet):
    state = AnyOf(field_name="state")
    target = AnyOf(field_name="target_name", split=False)
    rule = AnyOf(field_name="rule_name", split=False)
    test = YesNo(field_name="is_test")
    since = filters.IsoDateTimeFilter(field_name="created_at", lookup_expr="gte")
    until = filters.IsoDateTimeFilter(field_name="created_at", lookup_expr="lt")

    class Meta:
        model = Delivery
        fields: list[str] = []


class NotificationTargetFilters(filters.FilterSet):
    name = AnyOf(field_name="name", split=False)
    kind = AnyOf(field_name="kind")

    class Meta:
        model = NotificationTarget
        fields: list[str] = []


class NotificationRuleFilters(filters.FilterSet):
    name = AnyOf(field_name="name", split=False)
    target = AnyOf(field_name="target__name", split=False)
    enabled = YesNo()

    class Meta:
        model = NotificationRule
        fields: list[str] = []
