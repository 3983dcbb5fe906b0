"""GPU nodes."""

from __future__ import annotations

import django_filters as filters
from django.core.exceptions import ValidationError
from django.db.models import Count, F, Q, QuerySet
from django.db.models.functions import Coalesce

from fleet.filters.fields import MOST_VALUES, AnyOf, Selector, ValuesField, Words, YesNo, is_label, label_query, words_of
from fleet.filters.teams import used_by
from fleet.models import Node, PoolMembership


def _says(rung: str, status: str) -> Q:
    return Q(rungs__contains=[{"id": rung, "status": status}])


class _RungsField(ValuesField):
    def clean(self, value: object) -> list[str]:
        wanted = list(dict.fromkeys(part for item in super().clean(value) for part in item.split(",")))
        if len(wanted) > MOST_VALUES:
            raise ValidationError(f"At most {MOST_VALUES} rungs with a status can be given at once.")
        return wanted


class _Rungs(AnyOf):
    field_class = _RungsField


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
    rung = _Rungs(
        field_name="rungs", method="with_rung", label="Status of a rung, such as `driver_loaded:fail`; several values match any"
    )
    excluded = YesNo(method="with_excluded", label="Excluded on purpose: cordoned or in maintenance")
    flapping = YesNo()
    counted = YesNo(method="with_counted", label="Whether its number of physical GPUs is known")
    zone = AnyOf(field_name="zone")
    machine_type = AnyOf(field_name="machine_type")
    driver = AnyOf(field_name="driver_version")
    pool = AnyOf(
        field_name="pool",
        method="with_pool",
        label="Slug of a pool; none: nodes in no pool; clash: nodes in two pools that exclude each other",
    )
    team = AnyOf(
        field_name="team",
        method="with_team",
        label="Slug of a team whose pods hold GPU slots on the node; none: no team's pods do",
    )
    resource = filters.CharFilter(method="with_resource", label="Name of an advertised resource")
    label = Selector(method="with_label", label="Kubernetes label selector")
    taint = filters.CharFilter(method="with_taint", label="Taint key")
    schedulable = YesNo()
    missing = YesNo(method="with_fewer", label="Fewer physical GPUs usable than expected")
    not_advertised = YesNo(method="with_fewer", label="Advertises fewer physical GPUs than expected")
    reason = AnyOf(field_name="reason", split=False)
    removed = YesNo(method="with_removed", label="Removed nodes instead of current ones")
    q = Words(method="search", labels=True, label="Words in name, product, zone or machine type; key=value for labels")

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
        """As domain.evaluation.figures sums them, so that a list has as many rows as its figure says."""
        field = "usable" if name == "missing" else "advertised_gpus"
        counted = queryset.alias(_expected=Coalesce(F("expected"), 0), _have=Coalesce(F(field), 0))
        return counted.filter(_have__lt=F("_expected")) if value else counted.filter(_have__gte=F("_expected"))

    def with_pool(self, queryset: QuerySet, name: str, value: list[str]) -> QuerySet:
        wanted = {part for item in value for part in item.split(",") if part}
        if not wanted:
            return queryset
        present = PoolMembership.objects.filter(period__endswith__isnull=True, pool__removed_at__isnull=True)
        query = Q(pk__in=present.filter(pool__slug__in=wanted).values("node"))
        if "none" in wanted:
            query |= ~Q(pk__in=present.values("node"))
        if "clash" in wanted:
            # Two exclusive pools at once: counted in the database, by the declarations themselves.
            rivals = present.filter(pool__spec__policy__exclusive=True).values("node").annotate(n=Count("pk")).filter(n__gt=1)
            query |= Q(pk__in=rivals.values("node"))
        return queryset.filter(query)

    def with_team(self, queryset: QuerySet, name: str, value: list[str]) -> QuerySet:
        wanted = {part for item in value for part in item.split(",") if part}
        return queryset.filter(used_by(wanted)) if wanted else queryset

    def with_rung(self, queryset: QuerySet, name: str, value: list[str]) -> QuerySet:
        """A waived rung counts as `waived`, as in the ladder's funnel."""
        wanted = Q()
        for item in value:
            rung, _, partition = item.partition(":")
            signed = Q(rungs__contains=[{"id": rung, "waiver": {}}])
            if partition == "waived":
                wanted |= signed & ~_says(rung, "pass") & ~_says(rung, "warn")
            elif partition in ("pass", "warn"):
                wanted |= _says(rung, partition)
            else:
                wanted |= _says(rung, partition) & ~signed
        return queryset.filter(wanted) if value else queryset

    def with_counted(self, queryset: QuerySet, name: str, value: bool) -> QuerySet:
        no_gpus = Q(physical__isnull=True) & (Q(expected__isnull=True) | Q(expected=0))
        return queryset.exclude(no_gpus) if value else queryset.filter(no_gpus)

    def with_excluded(self, queryset: QuerySet, name: str, value: bool) -> QuerySet:
        return queryset.filter(verdict="excluded") if value else queryset.exclude(verdict="excluded")

    def with_removed(self, queryset: QuerySet, name: str, value: bool) -> QuerySet:
        return queryset.filter(removed_at__isnull=not value)

    def search(self, queryset: QuerySet, name: str, value: str) -> QuerySet:
        for word in words_of(value):
            if is_label(word):
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


class MomentFilters(filters.FilterSet):
    """Filters for the past: only by what a node does not change. Removed nodes are included."""

    cluster = AnyOf(field_name="cluster__name")
    product = AnyOf(field_name="product")
    vendor = AnyOf(field_name="vendor")
    family = AnyOf(field_name="family")
    zone = AnyOf(field_name="zone")
    machine_type = AnyOf(field_name="machine_type")

    class Meta:
        model = Node
        fields: list[str] = []
