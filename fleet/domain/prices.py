"""Which price holds for a GPU.

In: prices that people wrote, and where a GPU is. Out: the most specific price, or None: an unknown price is never 0.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

import msgspec


class GpuPrice(msgspec.Struct, frozen=True, kw_only=True):
    """What one physical GPU costs for an hour. An empty cluster or machine type stands for every one."""

    product: str
    cluster: str = ""
    machine_type: str = ""
    per_gpu_hour: Decimal
    currency: str


def price_of(prices: Iterable[GpuPrice], product: str, cluster: str, machine_type: str) -> GpuPrice | None:
    """Returns the price of a GPU there: of its machine type before that of its cluster, both before that of the product."""
    fitting = [
        price
        for price in prices
        if price.product == product and price.cluster in ("", cluster) and price.machine_type in ("", machine_type)
    ]
    return max(fitting, key=lambda price: (bool(price.machine_type), bool(price.cluster)), default=None)
