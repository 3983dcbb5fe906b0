"""Pools on a real Postgres: who belongs to them, from when to when; who may change them."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from fleet.domain.pools.policy import PoolPolicy
from fleet.domain.pools.policy import PoolSpec as PoolSpec
from fleet.domain.pools.selection import PoolSelector
from fleet.domain.refusals import NotNow, NotYours
from fleet.models import AuditEntry, Cluster, CollectionRun, PoolMembership, Role, User
from fleet.services import pools
from tests.absorbing import absorb
from tests.factories import a_user
from tests.services.snapshots import T0, a_node, a_snapshot

pytestmark = pytest.mark.django_db
H100 = "NVIDIA-H100-80GB-HBM3"


@pytest.fixture
def otto() -> User:
    return a_user("otto", Role.OPERATOR)


@pytest.fixture
def east() -> Cluster:
    return Cluster.objects.create(name="east")


def a_spec(slug: str = "h100", *, products: tuple[str, ...] = (H100,), labels: tuple = (), **policy: object) -> PoolSpec:
    return PoolSpec(slug=slug, selector=PoolSelector(products=products, labels=labels), policy=PoolPolicy(**policy))


def look(cluster: Cluster, *nodes: object, after_s: float = 0) -> None:
    cluster.refresh_from_db()
    seen = a_snapshot(*nodes, after_s=after_s)
    absorb(cluster, seen, CollectionRun(cluster=cluster, started_at=seen.taken_at))


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def spells(slug: str = "h100") -> list[tuple[str, datetime, datetime | None]]:
    rows = PoolMembership.objects.filter(pool__slug=slug).order_by("period", "node__name")
    return [(row.node.name, row.period.lower, row.period.upper) for row in rows]


def test_a_pool_has_its_members_from_the_moment_it_is_saved(east: Cluster, otto: User) -> None:
    look(east, a_node("n1"), a_node("n2", labels={"nvidia.com/gpu.product": "Tesla-T4"}))
    pools.save(otto, a_spec(), at(10))
    assert spells() == [("n1", at(10), None)]
    pools.save(otto, a_spec(), at(20))
    assert spells() == [("n1", at(10), None)], "saving the same again changes nothing"


def test_members_come_and_go_with_what_the_nodes_say(east: Cluster, otto: User) -> None:
    look(east, a_node("n1"))
    pools.save(otto, a_spec(), at(10))
    look(east, a_node("n1"), a_node("n2"), after_s=60)
    look(east, a_node("n1", labels={"nvidia.com/gpu.product": "Tesla-T4"}), a_node("n2"), after_s=120)
    look(east, a_node("n2"), after_s=180)
    assert spells() == [("n1", at(10), at(120)), ("n2", at(60), None)]


def test_a_node_that_leaves_leaves_its_pools_and_one_that_returns_is_back(east: Cluster, otto: User) -> None:
    look(east, a_node("n1"))
    pools.save(otto, a_spec(), at(10))
    look(east, after_s=60)
    look(east, a_node("n1"), after_s=120)
    assert spells() == [("n1", at(10), at(60)), ("n1", at(120), None)]


def test_a_pool_that_is_removed_keeps_its_past(east: Cluster, otto: User) -> None:
    look(east, a_node("n1"))
    pools.save(otto, a_spec(), at(10))
    pools.remove(otto, "h100", at(20))
    assert spells() == [("n1", at(10), at(20))]
    pools.save(otto, a_spec(), at(30))
    assert spells() == [("n1", at(10), at(20)), ("n1", at(30), None)]


def test_only_operators_change_pools_and_every_change_is_audited(east: Cluster, otto: User) -> None:
    with pytest.raises(NotYours):
        pools.save(a_user("dora"), a_spec(), at(0))
    pools.save(otto, a_spec(), at(0))
    pools.save(otto, a_spec(owner="platform"), at(1))
    entries = AuditEntry.objects.filter(action="pool.save", subject="h100").order_by("id")
    assert [entry.detail["before"] is None for entry in entries] == [True, False]


def test_a_pool_that_a_file_declares_is_changed_by_the_file_only(otto: User) -> None:
    pools.save(otto, a_spec(), at(0), managed_by="pools.yaml")
    with pytest.raises(NotNow, match=r"pools\.yaml"):
        pools.save(otto, a_spec(owner="me"), at(1))
    with pytest.raises(NotNow):
        pools.remove(otto, "h100", at(1))
    pools.save(otto, a_spec(owner="me"), at(2), managed_by="pools.yaml")
