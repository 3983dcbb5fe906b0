"""Prices of GPUs, and the GPUs that have none."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from django.db.models import QuerySet

from fleet.domain.prices import GpuPrice, price_of
from fleet.models import Node, Price


def prices() -> QuerySet[Price]:
    """Every price, by product."""
    return Price.objects.order_by("product", "cluster", "machine_type")


def get_price(pk: int) -> Price | None:
    return prices().filter(pk=pk).first()


def gpu_prices() -> list[GpuPrice]:
    """Returns the prices as the domain takes them; one query."""
    columns = ("product", "cluster", "machine_type", "per_gpu_hour", "currency")
    return [GpuPrice(**row) for row in prices().values(*columns)]


@dataclass(frozen=True, slots=True)
class Unpriced:
    """A product of which GPUs have no price."""

    product: str
    gpus: int
    clusters: tuple[str, ...]


def unpriced() -> list[Unpriced]:
    """Returns the products with GPUs on present nodes that no price covers, most GPUs first; two queries."""
    known = gpu_prices()
    gpus: dict[str, int] = defaultdict(int)
    where: dict[str, set[str]] = defaultdict(set)
    nodes = Node.objects.filter(removed_at=None, cluster__removed_at=None).exclude(product="")
    for product, cluster, machine_type, count in nodes.values_list("product", "cluster__name", "machine_type", "expected"):
        if price_of(known, product, cluster, machine_type) is None:
            gpus[product] += count or 0
            where[product].add(cluster)
    rows = [Unpriced(product, count, tuple(sorted(where[product]))) for product, count in gpus.items()]
    return sorted(rows, key=lambda row: (-row.gpus, row.product))


def products() -> list[str]:
    """Returns the products of present nodes, by name."""
    rows = Node.objects.filter(removed_at=None, cluster__removed_at=None).exclude(product="")
    return sorted(set(rows.order_by().values_list("product", flat=True)))
