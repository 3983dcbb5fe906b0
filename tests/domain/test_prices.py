"""Which price holds for a GPU."""

from __future__ import annotations

from decimal import Decimal

import pytest

from fleet.domain.prices import GpuPrice, price_of


def price(amount: str, cluster: str = "", machine_type: str = "", product: str = "NVIDIA-L4") -> GpuPrice:
    return GpuPrice(product=product, cluster=cluster, machine_type=machine_type, per_gpu_hour=Decimal(amount), currency="USD")


PRICES = [
    price("1"), price("2", cluster="east"), price("3", machine_type="g2"), price("4", cluster="east", machine_type="g2"),
    price("9", product="NVIDIA-H200"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("cluster", "machine_type", "amount"),
    [("west", "other", "1"), ("east", "other", "2"), ("west", "g2", "3"), ("east", "g2", "4"), ("", "", "1")],
)
def test_the_most_specific_price_counts(cluster: str, machine_type: str, amount: str) -> None:
    for rows in (PRICES, PRICES[::-1]):
        counted = price_of(rows, "NVIDIA-L4", cluster, machine_type)
        assert counted is not None
        assert counted.per_gpu_hour == Decimal(amount)


def test_without_a_price_the_cost_is_unknown() -> None:
    assert price_of(PRICES, "NVIDIA-T4", "east", "g2") is None
    assert price_of([price("2", cluster="east")], "NVIDIA-L4", "west", "") is None
