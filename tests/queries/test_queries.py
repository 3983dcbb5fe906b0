"""How many database queries each page and each answer of the API costs: the same for 3 nodes and for 30, and as reviewed.

`python3 manage.py test tests/queries --write-queries` rewrites counts.json, to be reviewed as a diff.
"""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from fleet.domain.classes.workload import ClassSpec
from fleet.domain.pools.policy import PoolSpec as PoolSpec
from fleet.models import AccessRequest, ClassVersion, NodeRevision, Role, Team, User
from fleet.services import classes, pools, rollups
from tests.factories import (
    NOON,
    a_class_version,
    a_cluster,
    a_gpu,
    a_node,
    a_pod,
    a_resource,
    a_run,
    a_team,
    a_user,
    a_verdict_period,
)

pytestmark = pytest.mark.django_db
KEPT = Path(__file__).parent / "counts.json"
PAGES = (
    "/",
    "/?by=product",
    "/nodes/",
    "/nodes/?product=NVIDIA-H100-80GB-HBM3&q=n",
    "/nodes/east/n000/",
    "/pools/",
    "/pools/h100/",
    "/classes/",
    "/classes/full-h100/",
    "/clusters/",
    "/clusters/east/",
    "/history/",
    "/history/?by=cluster&window=90d",
    "/watchers/",
    "/history/?by=product&name=NVIDIA-H100-80GB-HBM3&day=2026-11-23",
    "/api/v1/clusters/",
    "/api/v1/collection-runs/",
    "/api/v1/fleet/summary/",
    "/api/v1/gpus/",
    "/api/v1/history/availability/?by=pool&days=true",
    "/api/v1/history/availability/?by=node&since=2026-11-22T06:00:00Z&until=2026-11-24T06:00:00Z",
    "/api/v1/history/bootstrap/?by=pool",
    "/api/v1/history/changes/",
    "/api/v1/watchers/",
    "/api/v1/mig-instances/",
    "/api/v1/nodes/",
    "/api/v1/nodes/?format=csv",
    "/api/v1/nodes/facets/",
    "/api/v1/nodes/east/n000/",
    "/api/v1/nodes/east/n000/pods/",
    "/api/v1/nodes/east/n000/revisions/",
    "/api/v1/pools/h100/history/",
    "/api/v1/pools/",
    "/api/v1/workload-classes/",
    "/api/v1/requests/",
    "/api/v1/requests/numbers/",
    "/api/v1/teams/",
    "/approvals/",
    "/requests/",
    "/requests/?way=all&team=research",
    "/requests/new/?class=full-h100&team=research",
    "/requests/numbers/",
    "/sizing/",
    "/requests/{request}/",
    "/teams/",
    "/teams/research/",
    "/metrics",
    "/readyz",
)


CHANGES = [{"section": "labels", "key": "team", "before": "a", "after": "b"}]


def fill(nodes: int) -> None:
    """One cluster with so many nodes more."""
    cluster = a_cluster("east")
    first = cluster.nodes.count()
    for number in range(first, first + nodes):
        node = a_node(f"n{number:03}", cluster)
        a_resource(node)
        a_gpu(node)
        a_pod(node)
        a_verdict_period(node, NOON - timedelta(days=1), NOON, "not_ready")
        a_verdict_period(node, NOON)
        NodeRevision.objects.create(node=node, period=(NOON, None), facts={}, changes=CHANGES)
    a_run(cluster)
    list(rollups.rebuild((NOON - timedelta(days=2)).date(), NOON + timedelta(hours=2)))
    owner = User.objects.get(username="otto")
    # saved again, so that the new nodes are members
    class_spec = ClassSpec(slug="full-h100", title="Full H100", gpus=4, sizes=(8,), pools=("h100",))
    pools.save(owner, PoolSpec(slug="h100", title=f"{nodes} more"), NOON + timedelta(minutes=nodes))
    classes.save(owner, class_spec, NOON)
    ask(nodes)


def ask(requests: int) -> None:
    """So many requests more, each with a comment: half of them granted, half of them waiting; and as many teams."""
    version = ClassVersion.objects.first() or a_class_version(pools=["h100"], gpus=4, sizes=[8])
    team = Team.objects.filter(slug="research").first() or a_team("research", a_user("mia"))
    for number in range(requests):
        state = ("approved", "submitted")[number % 2]
        row = AccessRequest.objects.create(
            team=team, class_version=version, namespace="research", name=f"ask-{number}", replicas=1, state=state,
            created_at=NOON, submitted_at=NOON, decided_at=NOON if state == "approved" else None,
        )  # fmt: skip
        row.steps.create(at=NOON, kind="comment", text="When?", actor=team.members.get().user)
        a_team(f"team-{Team.objects.count()}", a_user())


def cost(client: Any, path: str) -> int:
    path = path.format(request=AccessRequest.objects.order_by("pk")[0].pk)
    with CaptureQueriesContext(connection) as captured:
        answer = client.get(path)
        if answer.streaming:
            b"".join(answer.streaming_content)
    assert answer.status_code == 200, (path, answer.status_code)
    heavy = [sql for sql in (query["sql"] for query in captured) if reads_documents_of_joined_rows(sql)]
    assert not heavy, (path, "models/joined.py leaves them out", heavy)
    return len(captured)


def reads_documents_of_joined_rows(sql: str) -> bool:
    """Whether a query returns a document of a cluster or node beside rows of another table, once for each of them."""
    columns, _, tables = sql.partition(" FROM ")
    documents = {"fleet_cluster": "permissions", "fleet_node": "snapshot"}
    return any(f'"{table}"."{name}"' in columns and not tables.startswith(f'"{table}"') for table, name in documents.items())


def costs(client: Any, nodes: int) -> dict[str, int]:
    """Of every page, in a fleet that has grown by so many nodes."""
    fill(nodes)
    client.get("/")  # what is read once for a process
    client.get("/approvals/")  # and once for every reading: the stock that room is counted over
    return {path: cost(client, path) for path in PAGES}


@pytest.mark.usefixtures("held_time")
def test_every_page_costs_what_was_reviewed_whatever_the_size_of_the_fleet(
    client: Any, request: pytest.FixtureRequest, settings: Any
) -> None:
    settings.METRICS_ARE_PUBLIC = True
    client.force_login(a_user("otto", Role.ADMIN))
    few, many = (costs(client, nodes) for nodes in (3, 27))
    assert many == few, "a page whose queries grow with the fleet"
    if request.config.getoption("--write-queries"):
        KEPT.write_text(json.dumps(few, indent=2) + "\n")
    assert few == json.loads(KEPT.read_text()), "if that is meant: python3 manage.py test tests/queries --write-queries"
