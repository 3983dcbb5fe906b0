"""POST what-if/ and its page: the stored cluster is evaluated as it is and as it would be; what happens is what was forecast."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils import timezone
from msgspec.structs import replace

from fleet.domain.classes.workload import ClassSpec
from fleet.domain.pools.policy import PoolPolicy, PoolSpec
from fleet.domain.pools.selection import PoolSelector
from fleet.domain.snapshot import NodeSnapshot, Taint
from fleet.models import Cluster, Node
from fleet.selectors.placement import headroom as rooms
from fleet.services import classes, pools
from fleet.services.what_if import what_if
from tests.api.test_explain import SIZES, record
from tests.services.snapshots import a_node, a_pod

pytestmark = pytest.mark.django_db
URL = "/api/v1/what-if/"
GPUS = {"capacity": SIZES, "allocatable": SIZES}
TRAIN = ClassSpec(slug="train", title="Training", gpus=8, pools=("h100",))


def nodes() -> list[NodeSnapshot]:
    return [a_node(name, **GPUS) for name in ("n1", "n2")]


@pytest.fixture
def east(operator: Any) -> Cluster:
    cluster = Cluster.objects.create(name="east")
    record(cluster, *nodes(), pods=(a_pod("job", "n2", gpus=8, owner_kind="Job"),))
    now = timezone.now()
    Cluster.objects.update(read_at=now)
    pool = PoolSpec(slug="h100", selector=PoolSelector(products=("NVIDIA-H100-80GB-HBM3",)), policy=PoolPolicy(required_rung=1))
    pools.save(operator, pool, now)
    classes.save(operator, TRAIN, now)
    record(cluster, *nodes(), pods=(a_pod("job", "n2", gpus=8, owner_kind="Job"),), after_s=60)
    Cluster.objects.update(read_at=timezone.now())
    return cluster


def ask(client: Any, *changes: Any, status: int = 200, cluster: str = "east") -> dict[str, Any]:
    answer = client.post(URL, {"cluster": cluster, "changes": list(changes)}, content_type="application/json")
    assert answer.status_code == status, answer.content
    result: dict[str, Any] = answer.json()
    return result


def test_a_cordon_costs_a_replica_before_anyone_applies_it(reader: Any, east: Cluster) -> None:
    assert set(Node.objects.values_list("verdict", flat=True)) == {"ready"}
    result = ask(reader, {"kind": "cordon", "nodes": ["n1"]})
    (node,) = result["nodes"]
    assert (node["name"], node["before"]["verdict"], node["after"]["verdict"]) == ("n1", "ready", "excluded")
    assert node["before"]["schedulable"] is True
    assert node["after"]["schedulable"] is False
    assert result["classes"] == [{"slug": "train", "title": "Training", "replicas": {"before": 1, "after": 0}}]
    assert result["pools"] == [
        {
            "slug": "h100",
            "nodes": {"before": 2, "after": 2},
            "ready": {"before": 2, "after": 1},
            "target_percent": None,
            "min_ready": None,
            "breaks_min_ready": False,
        }
    ]
    assert result["slots"]["before"] == result["slots"]["after"]
    assert result["as_of"] is not None
    assert set(Node.objects.values_list("schedulable", flat=True)) == {True}, "nothing is stored"


def test_what_happens_then_is_what_was_forecast(reader: Any, east: Cluster) -> None:
    taint = {"key": "team", "value": "a", "effect": "NoSchedule"}
    result = ask(reader, {"kind": "taints", "nodes": ["n1"], "add": [taint]}, {"kind": "add_nodes", "like": "n1", "count": 2})
    happened = [replace(node, taints=(Taint(**taint),)) if node.name == "n1" else node for node in nodes()]
    happened += [a_node(f"new-{number}", **GPUS, taints=(Taint(**taint),)) for number in (1, 2)]
    record(east, *happened, pods=(a_pod("job", "n2", gpus=8, owner_kind="Job"),), after_s=120)
    Node.objects.update(verdict="ready")
    now = timezone.now()
    Cluster.objects.update(read_at=now)
    (row,) = result["classes"]
    assert row["replicas"]["after"] == rooms.room(TRAIN, rooms.stock(now)).replicas == 3
    assert result["slots"]["after"]["capacity"] == sum(Node.objects.values_list("slots_capacity", flat=True))


def test_a_mig_layout_names_the_pods_that_it_stops(reader: Any, east: Cluster) -> None:
    result = ask(reader, {"kind": "mig", "nodes": ["n2"], "config": "all-1g.10gb"})
    (node,) = result["nodes"]
    assert node["after"]["slots"]["capacity"] == 56
    assert [(pod["namespace"], pod["name"], pod["id"]) for pod in result["pods_at_risk"]] == [("inference", "job", "stopped")]


@pytest.mark.parametrize(
    ("change", "field"),
    [({"kind": "reboot"}, "changes[0].kind"), ({"kind": "cordon", "nodes": ["n9"]}, "changes[0].nodes")],
)
def test_what_is_not_understood_is_refused(reader: Any, east: Cluster, change: dict[str, Any], field: str) -> None:
    assert field in ask(reader, change, status=400)["errors"]


def test_a_cluster_that_was_never_read_is_refused(reader: Any, east: Cluster) -> None:
    assert "cluster" in ask(reader, {"kind": "cordon", "nodes": ["n1"]}, status=400, cluster="west")["errors"]
    assert "changes" in ask(reader, status=400)["errors"]


def test_nothing_changed_is_nothing_forecast(east: Cluster) -> None:
    changes = [{"kind": "cordon", "nodes": ["n1"]}, {"kind": "cordon", "nodes": ["n1"], "cordoned": False}]
    answer = what_if("east", changes, timezone.now())
    assert (answer.forecast.nodes, answer.forecast.pools, answer.classes) == ((), (), ())


def test_the_page_takes_a_list_or_a_manifest(reader: Any, east: Cluster) -> None:
    page = reader.get("/what-if/").content.decode()
    assert "No change yet" in page
    answer = reader.post("/what-if/", {"cluster": "east", "changes": "- kind: cordon\n  nodes: [n1]\n"})
    text = " ".join(answer.content.decode().split())
    assert "1 node would change" in text
    assert "class: replicas that could land" in text
    rule = (
        "apiVersion: readiness.node.x-k8s.io/v1alpha1\nkind: NodeReadinessRule\nspec:\n  enforcementMode: continuous\n"
        "  nodeSelector: {matchLabels: {}}\n  conditions: [{type: GpuReady, requiredStatus: 'True'}]\n"
        "  taint: {key: readiness.k8s.io/gpu, effect: NoSchedule}\n"
    )
    assert "2 nodes would change" in " ".join(
        reader.post("/what-if/", {"cluster": "east", "changes": rule}).content.decode().split()
    )
    for wrong in ("[", "a: &x 1\nb: *x", "- kind: <b>x</b>"):
        refused = reader.post("/what-if/", {"cluster": "east", "changes": wrong})
        assert refused.status_code == 200
        assert 'role="alert"' in refused.content.decode()
        assert "<b>x</b>" not in refused.content.decode().split("inset--bad")[1][:400]
