"""The table of device pools: numbers, shares, what can still be cut, and unknown as unknown."""

from __future__ import annotations

from typing import Any

from django.template.loader import render_to_string

POOL: dict[str, Any] = {
    "driver": "gpu.nvidia.com",
    "pool": "node-1",
    "total": 11,
    "allocated": 1,
    "available": 4,
    "unavailable": 6,
    "shares": None,
    "shares_held": None,
    "shares_free": None,
    "unbounded": False,
    "memory_mib": None,
    "memory_free_mib": None,
    "cuts": [],
    "can_be_cut": "5 more 1g.10gb, or 1 more 3g.40gb",
    "invalid": "",
}


def page(**changes: Any) -> str:
    text = render_to_string("nodes/_dra_pools.html", {"pools": [POOL | changes], "title": "Device pools"})
    return " ".join(text.split())


def test_what_can_still_be_cut_is_on_the_page() -> None:
    assert "5 more 1g.10gb, or 1 more 3g.40gb" in page()
    assert "node-1" in page()


def test_shares_by_number_and_unbounded() -> None:
    assert "24" in page(shares=32, shares_free=24)
    assert "unbounded" in page(unbounded=True)


def test_a_driver_of_a_cluster_counts_its_pools() -> None:
    assert "3 pools" in page(pools=3, pool="")


def test_an_invalid_pool_says_why() -> None:
    assert "counter set gpu-0 not found" in page(invalid="counter set gpu-0 not found")
