"""Pools and classes as they were declared: rows back into the domain's structs."""

from __future__ import annotations

import msgspec

from fleet.domain.classes.workload import ClassSpec
from fleet.domain.pools.policy import PoolSpec
from fleet.models import ClassVersion, Pool, WorkloadClass


def pool_of(row: Pool) -> PoolSpec:
    """The pool's declaration."""
    return msgspec.convert(row.spec, PoolSpec, strict=False)


def spec_of(version: ClassVersion) -> ClassSpec:
    """Returns the class spec of this version."""
    return msgspec.convert(version.spec, ClassSpec, strict=False)


def pools() -> dict[str, Pool]:
    """Current pools, by slug in their order."""
    return {row.slug: row for row in Pool.objects.filter(removed_at__isnull=True)}


def pool_specs() -> list[PoolSpec]:
    return [pool_of(row) for row in pools().values()]


def newest_versions() -> dict[str, ClassVersion]:
    """The newest version of every current class, by slug in their order. One query."""
    rows = (
        ClassVersion.objects.filter(workload_class__removed_at__isnull=True)
        .select_related("workload_class")
        .order_by("workload_class__slug", "-number")
        .distinct("workload_class__slug")
    )
    return {row.workload_class.slug: row for row in rows}


def get_class(slug: str) -> WorkloadClass | None:
    return WorkloadClass.objects.filter(slug=slug, removed_at__isnull=True).first()


def get_pool(slug: str) -> Pool | None:
    return Pool.objects.filter(slug=slug, removed_at__isnull=True).first()
