"""A small fleet with classes, teams and requests in every state, as reading and people would have left them: read just now."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import msgspec
from django.utils import timezone

from fleet.domain.classes.workload import ClassSpec
from fleet.models import AccessRequest, ClassVersion, Cluster, CollectionRun, Node, Role, Team, User
from fleet.services import access_request_checks, access_requests, classes, pools
from tests.absorbing import absorb
from tests.factories import a_team, a_user
from tests.services.snapshots import a_node, a_pod, a_snapshot
from tests.services.test_pools import a_spec


@dataclass
class World:
    """Four nodes of eight H100s in a pool, one class of 4 slots per replica (or 1, 2, 8), up to 3 replicas without approval."""

    now: datetime
    member: User
    lead: User
    operator: User
    team: Team
    version: ClassVersion

    def ask(self, name: str = "llama", replicas: int = 2, *, submit: bool = True, **changes: Any) -> AccessRequest:
        """A request of the member's; `submit=False` leaves it a draft."""
        fields = {"namespace": "research", "purpose": "Chat for the support desk.", "hours": 720, "now": self.now, **changes}
        row = access_requests.draft(self.member, self.team, self.version, name=name, replicas=replicas, **fields)
        return access_requests.submit(self.member, row.pk, self.now) if submit else row


def a_world(nodes: int = 4) -> World:
    now = timezone.now() - timedelta(minutes=1)
    member, lead, operator = a_user("mia"), a_user("lea"), a_user("otto", Role.OPERATOR)
    team = a_team("research", member, namespaces=["research"])
    team.members.create(user=lead, lead=True)
    look(now, nodes)
    pools.save(operator, a_spec(), now)
    class_spec = ClassSpec(
        slug="full-h100", title="Full H100, production inference", gpus=4, sizes=(1, 2, 8), pools=("h100",), max_replicas=3,
        max_hours=2160, products=("NVIDIA-H100-80GB-HBM3",),
    )  # fmt: skip
    return World(now, member, lead, operator, team, classes.save(operator, class_spec, now))


def look(at: datetime, nodes: int = 4, *pods: Any) -> None:
    """One reading of the cluster; every node is found ready."""
    cluster, _ = Cluster.objects.get_or_create(name="east")
    seen = a_snapshot(*(a_node(f"n{number}") for number in range(nodes)), pods=pods)
    seen = msgspec.structs.replace(seen, taken_at=at)
    absorb(cluster, seen, CollectionRun(cluster=cluster, started_at=at))
    Node.objects.update(verdict="ready")


def a_class_pod(name: str, node: str, workload: str, gpus: int = 4, **fields: Any) -> Any:
    """A pod that came from the manifest of a request named `workload`."""
    labels = {"muster.dev/class": "full-h100", "app.kubernetes.io/name": workload}
    return a_pod(name, node, gpus=gpus, namespace="research", labels=labels, **fields)


def busy(world: World) -> dict[str, AccessRequest]:
    """Requests in every state: one in use and half used, one without room, some that wait, some that are over."""
    rows = {"active": world.ask("rerank-v3", 2), "draft": world.ask("eval-nightly", 1, submit=False)}
    look(world.now + timedelta(seconds=10), 4, a_class_pod("p1", "n0", "rerank-v3", created_at=world.now + timedelta(seconds=5)))
    rows["short"] = world.ask("whole-node", 4, gpus=8)
    access_requests.approve(world.operator, rows["short"].pk, world.now, "For the launch.")
    rows["waiting"] = world.ask("support-70b", 5)
    rows["rejected"] = world.ask("notebook", 9)
    access_requests.reject(world.operator, rows["rejected"].pk, world.now, "Notebooks belong into the shared class.")
    rows["withdrawn"] = world.ask("old-idea", 4)
    access_requests.withdraw(world.member, rows["withdrawn"].pk, world.now)
    access_requests.resize(world.member, rows["active"].pk, world.now, 6, "Traffic has doubled.")
    access_request_checks.check_all(world.now + timedelta(seconds=20))
    access_request_checks.check_all(world.now + timedelta(seconds=20) + access_request_checks.GRACE)
    for row in rows.values():
        row.refresh_from_db()
    return rows
