"""The views that limited people read: every table has one, and what is written through them stays inside."""

from __future__ import annotations

import pytest
from django.apps import apps
from django.db import ProgrammingError, connection, transaction
from django.db.utils import DatabaseError
from psycopg.errors import WithCheckOptionViolation

from fleet.domain.people.scopes import Scope, check_limits, scope_of
from fleet.models import Cluster, CompliancePeriod, FindingRow, Node, Pod, Silence, scope, scope_views
from fleet.selectors.placement.placement import placement_nodes
from tests.factories import NOON, a_cluster, a_finding, a_node, a_pod, a_pool

pytestmark = pytest.mark.django_db


def test_every_table_of_muster_says_who_sees_its_rows() -> None:
    tables = {model._meta.db_table for model in apps.get_app_config("fleet").get_models(include_auto_created=True)}
    assert tables - set(scope_views.ROWS) == set(), "add the new table to ROWS in fleet/models/scope_views.py"


def test_a_table_without_a_view_does_not_exist_for_limited_people() -> None:
    with (
        scope.entered(Scope(frozenset({"east"}))),
        connection.cursor() as cursor,
        pytest.raises(ProgrammingError, match="does not exist"),
        transaction.atomic(),
    ):
        cursor.execute("SELECT * FROM django_migrations")


def test_joins_counts_and_raw_sql_are_limited() -> None:
    for name in ("east", "west"):
        node = a_node(f"{name}-1", a_cluster(name))
        a_pod(node)
    with scope.entered(Scope(frozenset({"east"}))), connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM fleet_pod pod JOIN fleet_node node ON node.id = pod.node_id")
        assert cursor.fetchone() == (1,)
        assert [row.name for row in Cluster.objects.all()] == ["east"]
        assert Node.objects.filter(pods__isnull=False).count() == 1
        with scope.unscoped():
            assert Node.objects.count() == 2
        assert Node.objects.count() == 1
    assert Node.objects.count() == 2


def test_a_limit_to_a_pool_shows_its_nodes_only_and_nothing_that_is_counted_over_the_cluster() -> None:
    east = a_cluster("east", node_count=9, error="node-2 is odd")
    member, stranger = a_node("node-1", east), a_node("node-2", east)
    a_pool("training", member)
    a_pool("serving", stranger)
    a_pod(member)
    a_pod(stranger)
    with scope.entered(Scope(pools=frozenset({"training"}))):
        assert [row.name for row in Node.objects.all()] == ["node-1"]
        assert Pod.objects.count() == 1
        assert [(row.node_count, row.error) for row in Cluster.objects.all()] == [(None, "")]
    with scope.entered(Scope(pools=frozenset({"training"}), within=frozenset({"west"}))):
        assert not Node.objects.exists()


def test_a_limit_to_a_namespace_shows_its_pods_and_the_nodes_under_them() -> None:
    east, west = a_cluster("east", error="A pod of vision is odd."), a_cluster("west")
    a_pod(a_node("node-1", east), "own", namespace="ml")
    shared = a_node("node-2", east)
    a_pod(shared, "other", namespace="vision")
    a_pod(a_node("node-3", west), "namesake", namespace="ml")
    a_pool("training", shared)
    a_finding(shared, "many_shares", subject="pod", key="vision/Pod/other", text="other asks for 4")

    def seen(*limits: str) -> tuple[list[str], list[str]]:
        with scope.entered(scope_of(limits)):
            nodes = [row.name for row in Node.objects.order_by("name")]
            return nodes, [row.name for row in Pod.objects.order_by("name")]

    assert seen("namespace:ml") == (["node-1", "node-3"], ["namesake", "own"])
    assert seen("namespace:east/ml") == (["node-1"], ["own"])
    assert seen("namespace:ml", "pool:training") == (["node-2"], [])
    assert seen("namespace:ml", "cluster:east") == (["node-1", "node-2"], ["own"])
    assert seen("namespace:") == ([], [])
    with scope.entered(scope_of(["namespace:ml", "cluster:east"])):
        assert [row.error for row in Cluster.objects.all()] == [""]
        assert not FindingRow.objects.exists()
        assert scope.key_of("east") != ""
    with scope.entered(scope_of(["namespace:ml"], ["west"])):
        assert [row.name for row in Node.objects.all()] == ["node-3"]


def test_compliance_is_seen_of_pools_that_are_seen_as_a_whole() -> None:
    a_pool("training", a_node("node-1", a_cluster("east")))
    for kind, slug in (("pool", "training"), ("pool", "serving"), ("class", "training")):
        CompliancePeriod.objects.create(kind=kind, slug=slug, period=(NOON, None), state="met")
    for limits, clusters, seen in (
        (["pool:training"], None, [("pool", "training")]),
        (["pool:training"], ["east"], []),
        (["cluster:east"], None, []),
        (["pool:training", "namespace:ml"], None, []),
    ):
        with scope.entered(scope_of(limits, clusters)):
            assert list(CompliancePeriod.objects.values_list("kind", "slug")) == seen, limits


def test_what_pods_of_other_namespaces_hold_is_not_free() -> None:
    node = a_node("node-1", a_cluster("east"), snapshot={"allocatable": {"pods": "10"}})
    a_pod(node, "own", namespace="ml")
    a_pod(node, "other", namespace="vision")
    with scope.entered(scope_of(["namespace:ml"])):
        assert [row.pods_free for row in placement_nodes(NOON)] == [8]
        assert Pod.objects.count() == 1


def test_nothing_can_be_written_outside() -> None:
    east, west = a_cluster("east"), a_cluster("west")
    node = a_node("west-1", west)
    with scope.entered(Scope(frozenset({"east"}))):
        assert Node.objects.filter(pk=node.pk).update(reason="odd") == 0
        assert Node.objects.filter(pk=node.pk).delete()[0] == 0
        with pytest.raises(DatabaseError) as raised, transaction.atomic():
            Silence.objects.create(cluster=west, rule="a", reason="b", created_at=NOON, until=NOON)
        assert isinstance(raised.value.__cause__, WithCheckOptionViolation)
        assert Silence.objects.create(cluster=east, rule="a", reason="b", created_at=NOON, until=NOON).pk


def test_the_views_are_made_once_and_again_when_they_were_dropped() -> None:
    assert scope_views.create_views()
    scope_views._before(plan=[object()])
    assert not scope_views.are_there()
    assert scope_views.create_views()
    assert scope_views.are_there()


@pytest.mark.parametrize(
    ("limits", "clusters", "expected"),
    [
        (None, None, None),
        ([], None, Scope()),
        (["cluster:a", "pool:p", "cluster:b"], None, Scope(frozenset("ab"), frozenset("p"))),
        (None, ["a"], Scope(frozenset("a"), within=frozenset("a"))),
        (["cluster:a", "pool:p"], ["b"], Scope(frozenset(), frozenset("p"), frozenset("b"))),
        (["nonsense", "team:x"], None, Scope()),
        (["namespace:a", "namespace:c/b"], None, Scope(namespaces=frozenset({"a", "c/b"}), by_pods=True)),
        (["pool:p", "namespace:a"], ["c"], Scope(frozenset(), frozenset("p"), frozenset("c"), namespaces=frozenset("a"))),
    ],
)
def test_the_scope_of_a_person_and_a_token(limits: list[str] | None, clusters: list[str] | None, expected: Scope | None) -> None:
    assert scope_of(limits, clusters) == expected


def test_what_is_no_limit_is_named() -> None:
    assert check_limits(["cluster:a", "pool:b", "namespace:c", "namespace:arn:aws:eks:cluster/prod/c"]) == ""
    assert "names no namespace" in check_limits(["namespace:Not_One"])
    assert "“team:x” is not a limit" in check_limits(["team:x"])
    assert "at most" in check_limits([f"pool:{number}" for number in range(201)])
