"""The whole way over real HTTP: a simulated fleet is read, pools and classes are adopted, a request is approved, and its
manifest, read back as the scheduler reads it, lands in the class's pools and nowhere else."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from django.db.models import Q
from django.utils import timezone

from fleet.domain.access_requests.workflow import GRANTED
from fleet.domain.manifests.render import to_yaml
from fleet.domain.placement.fleet import Fleet
from fleet.domain.placement.headroom import place
from fleet.models import Cluster, Node, Role
from fleet.selectors import classes as catalogue
from fleet.selectors.access_requests import access_requests as select
from fleet.selectors.placement import headroom as rooms
from fleet.selectors.pools import pools as pool_select
from fleet.services import access_requests, classes, pools
from fleet.services.clusters import register_clusters
from fleet.services.collection import collect_cluster
from fleet.simulator.server import Simulation
from tests.domain.manifests.test_landing import read_back
from tests.factories import a_team, a_user

pytestmark = pytest.mark.django_db(transaction=True)


def read_fleet() -> None:
    register_clusters()
    for cluster in Cluster.objects.all():
        collect_cluster(cluster, trigger="test")
    # The simulated pods are not old enough to prove every rung within one look; what is tested here is the way from
    # a request to a node, not the ladder.
    Node.objects.filter(~Q(verdict="excluded"), kubelet_ready=True, slots_free__gt=0).update(verdict="ready")


def test_the_manifest_of_an_approved_request_lands_in_its_pools(simulation: Simulation) -> None:
    read_fleet()
    now = timezone.now()
    member, operator = a_user("mia"), a_user("otto", Role.OPERATOR)
    team = a_team("research", member)
    for suggestion in pool_select.suggestions(now):
        pools.save(operator, suggestion.pool, now)
    landed: dict[str, int] = {}
    for starter in catalogue.offered_starters(now):
        version = classes.save(operator, starter.class_spec, now)
        slug = starter.class_spec.slug
        room = catalogue.live_room(starter.class_spec, now).headroom.replicas
        if not room:
            continue
        ask = access_requests.draft(member, team, version, namespace="research", name=slug, replicas=room, now=now)
        row = access_requests.submit(member, ask.pk, now)
        row = row if row.state in GRANTED else access_requests.approve(operator, ask.pk, now)
        kind = next(item.id for item in select.kinds_of(row, now) if item.id in ("deployment", "leaderworkerset"))
        landed[slug] = _land(row, kind, now)
    assert len(landed) >= 3, landed


def _land(row: Any, kind: str, now: Any) -> int:
    """Places what the manifest asks, by the scheduler's rules alone, on the ready nodes of its pool's clusters; how many pods."""
    text = to_yaml(select.manifest_of(row, kind, now))
    documents = list(yaml.safe_load_all(text))
    workload = next(document for document in documents if document["kind"] in ("Deployment", "LeaderWorkerSet"))
    assert workload["metadata"]["namespace"] == "research"
    assert workload["spec"]["replicas"] == row.replicas
    written = read_back(text)
    stock = rooms.stock(now)
    (preferred, *_) = [ask for ask in rooms.class_in_pools(select.requested_spec(row), stock) if not ask.problem]
    clusters = {node.cluster for node in stock.fleet.nodes if preferred.pool.slug in node.pools}
    ready = Fleet([node for node in stock.fleet.nodes if node.cluster in clusters and node.verdict == "ready"], None)
    placed = place([written], ready, row.replicas)
    assert placed, row.name
    for item in placed:
        for node in item.nodes:
            assert preferred.pool.slug in node.pools, (row.name, node.name, preferred.pool.slug, node.pools)
    return len(placed)
