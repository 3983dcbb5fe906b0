"""Pools of DRA drivers, summed by driver over a cluster."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from fleet.domain.dra.status import Cut, PoolStatus
from fleet.selectors.dra import drivers_of_cluster, pools_of_node
from tests.factories import a_cluster, a_node

pytestmark = pytest.mark.django_db


def pool(name: str, **changes: Any) -> dict[str, Any]:
    status = PoolStatus(driver="gpu.nvidia.com", pool=name, total=11, allocated=1, available=4, unavailable=6)
    plain: dict[str, Any] = msgspec.to_builtins(msgspec.structs.replace(status, **changes))
    return plain


def test_numbers_are_added_up_and_unknown_stays_unknown() -> None:
    cluster = a_cluster("east")
    cuts = (Cut(profile="1g.10gb", more=5), Cut(profile="3g.40gb", more=1))
    first = a_node("a", cluster, dra_pools=[pool("a", cuts=cuts)], dra={"devices": []})
    a_node("b", cluster, dra_pools=[pool("b", cuts=cuts, available=None, unavailable=None)], dra={"devices": []})
    a_node("c", cluster, dra={})
    (row,) = drivers_of_cluster(cluster)
    assert (row.driver, row.pools, row.total, row.allocated) == ("gpu.nvidia.com", 2, 22, 2)
    assert (row.available, row.unavailable) == (None, None)
    assert row.can_be_cut == "10 more 1g.10gb, or 2 more 3g.40gb"
    assert [row.pool for row in pools_of_node(first)] == ["a"]
