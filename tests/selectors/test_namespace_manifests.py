"""What is granted in a namespace, as manifests: two versions of a class side by side, and readers who see a part of the fleet."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.test import Client
from msgspec.structs import replace

from fleet.domain.classes.workload import ClassSpec
from fleet.domain.manifests.parameters import Parameters
from fleet.domain.manifests.render import to_yaml
from fleet.domain.people.scopes import scope_of
from fleet.domain.refusals import FieldError
from fleet.models import AccessRequest, Cluster, Node, Role, TeamMember, User, scope
from fleet.selectors import classes as select
from fleet.selectors.access_requests import access_requests
from fleet.selectors.namespace_manifests import namespace_note
from fleet.services import classes, pools
from tests.domain.manifests.test_admission import admitted_pod, refusals
from tests.factories import NOON, a_pod, a_team, a_user
from tests.services.snapshots import a_node
from tests.services.test_pools import a_spec, at, look

pytestmark = pytest.mark.django_db
L40S = {"nvidia.com/gpu.product": "NVIDIA-L40S", "node.kubernetes.io/instance-type": "g6e"}
FULL = ClassSpec(slug="full", gpus=4, sizes=(2,), pools=("h100",), products=("NVIDIA-H100-80GB-HBM3",))
HERE = Parameters(name="serve", namespace="research", replicas=3)


@pytest.fixture(autouse=True)
def _no_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fleet.tasks.wake_compliance", lambda: None)


@pytest.fixture
def otto() -> User:
    return a_user("otto", Role.OPERATOR)


@pytest.fixture
def fleet(otto: User) -> None:
    """H100 in two clusters, and other GPUs beside them in the second, of which one node has the pool's label."""
    east, west = Cluster.objects.create(name="east"), Cluster.objects.create(name="west")
    look(east, a_node("e1"), a_node("e2"))
    look(west, a_node("w1", labels={"node.kubernetes.io/instance-type": "p5.other"}), a_node("w2", labels=L40S))
    Node.objects.update(verdict="ready", usable=8)
    pools.save(otto, a_spec(products=("NVIDIA-H100-80GB-HBM3", "NVIDIA-L40S")), at(1))


def grant(spec: ClassSpec, otto: User, name: str, replicas: int, gpus: int | None = None) -> AccessRequest:
    version = classes.save(otto, spec, at(2))
    team = a_team(name, namespaces=["research"])
    return AccessRequest.objects.create(
        team=team, class_version=version, namespace="research", name=name, replicas=replicas, gpus=gpus, state="active",
        requested_by=otto, created_at=NOON,
    )  # fmt: skip


def documents(row: AccessRequest, kind: str) -> list[dict[str, Any]]:
    return access_requests.manifest_of(row, kind, at(3))


@pytest.mark.usefixtures("fleet")
def test_two_versions_of_a_class_are_granted_side_by_side(otto: User) -> None:
    first = grant(FULL, otto, "old", 2)
    second = grant(replace(FULL, products=("NVIDIA-L40S",), sizes=()), otto, "new", 1)
    assert [row.class_version.number for row in (first, second)] == [1, 2]
    policies = [documents(row, "policy") for row in (first, second)]
    assert policies[0] == policies[1], "of the namespace, for each request"
    written = [admitted_pod(documents(row, "pod")[-1]["spec"]) for row in (first, second)]
    assert [refusals(policies[0][0], pod) for pod in written] == [[], []]
    mixed = {**written[0], "spec": {**written[0]["spec"], "containers": written[1]["spec"]["containers"]}}
    mixed["spec"]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] = "3"
    assert refusals(policies[0][0], mixed), "an amount of neither"
    for row, number in ((first, "1"), (second, "2")):
        assert documents(row, "pod")[-1]["metadata"]["labels"]["muster.dev/class-version"] == number
    quotas = [documents(row, "quota") for row in (first, second)]
    assert quotas[0][0]["spec"] == quotas[1][0]["spec"] == {"hard": {"requests.nvidia.com/gpu": "12"}}
    queues = [documents(row, "kueue") for row in (first, second)]
    assert queues[0] == queues[1]
    names = [item["metadata"]["name"] for item in queues[0] if item["kind"] == "ResourceFlavor"]
    assert names == ["h100.full.v1", "h100.full.v2"]


@pytest.mark.usefixtures("fleet")
@pytest.mark.parametrize("kind", ["policy", "quota", "kueue"])
def test_the_page_of_a_class_adds_nothing_that_is_not_granted(otto: User, kind: str) -> None:
    classes.save(otto, FULL, at(2))
    alone = select.manifest_of(FULL, kind, HERE, at(3))
    assert alone, "nothing is granted: the manifest of this workload"
    row = grant(FULL, otto, "old", 1)
    shown = select.manifest_of(FULL, kind, HERE, at(3))
    assert shown == documents(row, kind)
    assert "muster.dev/grant-new" not in to_yaml(shown)
    assert "Nothing is granted in namespace other yet" in namespace_note(kind, "other")
    assert "granted in namespace research (1 request)" in namespace_note(kind, "research")
    assert namespace_note("pod", "research") == ""


@pytest.mark.usefixtures("fleet")
def test_the_page_says_what_a_policy_follows_from_and_what_it_cannot_see(otto: User, client: Client) -> None:
    classes.save(otto, FULL, at(2))
    client.force_login(otto)
    answer = client.get("/classes/full/?kind=policy&namespace=research")
    text = answer.content.decode()
    assert "Nothing is granted in namespace research yet" in text
    assert "Pods claim GPUs through DRA under the name gpu" in text
    grant(FULL, otto, "old", 1)
    again = client.get("/classes/full/?kind=policy&namespace=research", headers={"if-none-match": answer["ETag"]})
    assert "granted in namespace research (1 request)" in again.content.decode(), "a new grant is a new page"


KINDS = ("pod", "deployment", "policy", "quota", "kueue")


@pytest.mark.usefixtures("fleet")
@pytest.mark.parametrize("limit", ["cluster:east", "cluster:west", "namespace:research", "pool:h100"])
def test_a_reader_with_a_limit_copies_the_same_manifests(otto: User, limit: str) -> None:
    """A manifest is applied in every cluster of the pool: what it says does not depend on who reads it."""
    a_pod(Node.objects.get(name="w1"), "own", namespace="research")
    row = grant(FULL, otto, "old", 1)
    grant(replace(FULL, sizes=(1,)), otto, "of-others", 2)
    member = a_user("mia")
    TeamMember.objects.create(team=row.team, user=member)
    everything = {kind: (documents(row, kind), select.manifest_of(FULL, kind, HERE, at(3))) for kind in KINDS}
    with scope.entered(scope_of([limit], user=member.pk)):
        assert not AccessRequest.objects.filter(name="of-others").exists()
        seen = {node.name for node in Node.objects.all()}
        for kind in KINDS:
            shown = documents(row, kind), select.manifest_of(FULL, kind, HERE, at(3))
            written = to_yaml([item for items in shown for item in items])
            if kind == "quota":
                assert "of-others" not in written
                notes = [quota["metadata"].pop("annotations") for pair in (shown, everything[kind]) for (quota,) in pair]
                assert notes[0]["muster.dev/other-grants"] == "8 requests.nvidia.com/gpu"
                assert f"muster.dev/grant-{row.pk}" in notes[0]
            assert shown == everything[kind], kind
            assert not any(re.search(rf"\b{name}\b", written) for name in {"e1", "e2", "w1", "w2"} - seen)
        room = select.live_room(FULL, at(3))
        named = {node.name for pool in room.headroom.pools for group in pool.excluded for node in group.nodes}
        assert named | {node.name for in_pool in room.in_pools for node in in_pool.strays} <= seen


@pytest.mark.usefixtures("fleet")
def test_a_reader_with_a_limit_learns_nothing_of_other_namespaces(otto: User) -> None:
    grant(FULL, otto, "old", 1)
    other = a_user("eve")
    a_team("vision", other)
    with scope.entered(scope_of(["cluster:east", "pool:h100"], user=other.pk)):
        for kind in ("policy", "quota", "kueue"):
            with pytest.raises(FieldError, match="not visible to you"):
                select.manifest_of(FULL, kind, HERE, at(3))
            assert select.manifest_of(FULL, kind, replace(HERE, namespace="vision"), at(3))
