"""Amounts in people's units and as Kubernetes quantities."""

from __future__ import annotations

import pytest

from fleet.domain.placement.amounts import amount_text, quantity_text


@pytest.mark.parametrize(
    ("name", "amount", "text"),
    [
        ("cpu", 2000, "2"),
        ("cpu", 500, "500m"),
        ("cpu", 0, "0"),
        ("memory", 64 * 2**30, "64Gi"),
        ("memory", 2**40, "1Ti"),
        ("memory", 3 * 2**20, "3Mi"),
        ("memory", 5 * 2**10, "5Ki"),
        ("memory", 2**10 + 1, "1025"),
        ("memory", 0, "0"),
        ("nvidia.com/gpu", 8, "8"),
    ],
)
def test_a_quantity_is_exact(name: str, amount: int, text: str) -> None:
    assert quantity_text(name, amount) == text


@pytest.mark.parametrize(
    ("name", "amount", "text"),
    [("cpu", 1500, "1.5 cores cpu"), ("memory", 2**30, "1 GiB memory"), ("nvidia.com/gpu", 1200, "1,200 nvidia.com/gpu")],
)
def test_an_amount_has_peoples_unit(name: str, amount: int, text: str) -> None:
    assert amount_text(name, amount) == text
