"""A small fleet with one object of each kind that addresses name, and what makes another before it is changed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from allauth.usersessions.models import UserSession
from django.utils import timezone

from fleet.models import AccessRequest, FindingRow, MembershipRequest, Node, Pool, Role, SavedView, Silence, User
from fleet.services import (
    access_requests,
    classes,
    expected,
    kept_forecasts,
    maintenance,
    pools,
    prices,
    sign_in,
    silences,
    teams,
    tokens,
    waivers,
    xids,
)
from tests.asking import World, a_world
from tests.factories import a_finding, a_rule, a_target, a_user

PASSWORD = "a long enough password 7"
PRICE = {"product": "NVIDIA-L4", "per_gpu_hour": "0.7", "currency": "USD"}
REASON = {"reason": "Tested manually."}
POOL = {"slug": "h100", "products": ["NVIDIA-H100-80GB-HBM3"], "one_product": "on", "exclusive": "on", "required_rung": "7"}
CLASS = {"slug": "other", "gpus": "4", "nodes": "1", "isolation": "full", "topology": "one-node", "pools": "h100"}
RULE = {"name": "Night", "min_severity": "critical", "group_s": "60", "repeat_s": "3600", "enabled": "on", "recoveries": "on"}
ASK = {"workload_class": "full-h100", "team": "research", "namespace": "research", "name": "llama", "replicas": 5, "hours": 24}


@dataclass
class Scene:
    """A small fleet with one object of each kind, seen by an administrator."""

    world: World
    admin: User
    other: User
    finding: FindingRow

    def silence(self) -> Silence:
        now, until = timezone.now(), timezone.now() + timedelta(hours=2)
        return silences.silence(self.admin, self.finding, reason="Known.", until=until, now=now)

    def granted(self) -> AccessRequest:
        return self.world.ask("granted", 2)

    def waiting(self) -> AccessRequest:
        return self.world.ask("waiting", 5)

    def changing(self) -> AccessRequest:
        row = self.granted()
        return access_requests.resize(self.world.member, row.pk, self.world.now, 9, "More.")


def a_scene() -> Scene:
    world = a_world()
    return Scene(world, a_user("ada", Role.ADMIN), a_user("olga", Role.OPERATOR), a_finding(_node(), "untainted"))


def _node() -> Node:
    return Node.objects.get(name="n0")


FORECAST = {"cluster": "east", "title": "Rack 7 out", "changes": [{"kind": "cordon", "nodes": ["n0"]}]}


def a_forecast(scene: Scene) -> dict[str, Any]:
    row = kept_forecasts.keep(scene.admin, "east", FORECAST["changes"], "Rack 7 out", timezone.now())
    return pk(row)


def a_price(scene: Scene) -> dict[str, Any]:
    row = prices.save(scene.admin, PRICE, timezone.now())
    return pk(row)


def asking(scene: Scene) -> dict[str, Any]:
    MembershipRequest.objects.create(team=scene.world.team, user=scene.other, asked_at=timezone.now())
    return {"slug": scene.world.team.slug}


def pk(row: Any) -> dict[str, Any]:
    return {"pk": str(row.pk)}


def a_service(scene: Scene) -> dict[str, Any]:
    user = a_user("robot")
    User.objects.filter(pk=user.pk).update(service=True)
    return pk(user)


def a_token(scene: Scene) -> dict[str, Any]:
    row, _ = tokens.create(scene.admin, scene.admin, timezone.now(), scopes=["read"], lifetime=None, name="mine")
    return {"public_id": row.public_id, "pk": row.public_id}


def a_session(scene: Scene) -> dict[str, Any]:
    return pk(UserSession.objects.create(user=scene.admin, session_key="other", ip="192.0.2.1", user_agent="x"))


def a_person(scene: Scene) -> dict[str, Any]:
    return pk(scene.other)


def out(scene: Scene) -> dict[str, Any]:
    maintenance.begin(scene.admin, _node(), reason="Disk.", until=None, now=timezone.now())
    return {}


def declared(scene: Scene) -> dict[str, Any]:
    expected.declare(scene.admin, _node(), count=4, reason="Four.", now=timezone.now())
    return {}


def waived(scene: Scene) -> dict[str, Any]:
    waivers.grant(scene.admin, _node().cluster, "cuda_works", reason="By hand.", now=timezone.now())
    return {"rung": "cuda_works"}


def waived_pool(scene: Scene) -> dict[str, Any]:
    waivers.grant(scene.admin, Pool.objects.get(slug="h100"), "cuda_works", reason="By hand.", now=timezone.now())
    return {"slug": "h100", "rung": "cuda_works"}


def overridden(scene: Scene) -> dict[str, Any]:
    xids.override(79, severity="info", action="", reason="Known.", by=scene.admin)
    return {"code": "79"}


def a_target_rule(scene: Scene) -> dict[str, Any]:
    rule = a_rule("R", a_target("Ops"))
    return pk(rule) | {"body": {**RULE, "target": rule.target_id}}


def with_target(scene: Scene) -> dict[str, Any]:
    return {"body": {**RULE, "target": a_target("Ops").pk}}


def member(scene: Scene) -> dict[str, Any]:
    teams.set_member(scene.admin, scene.world.team, scene.other, lead=False, now=timezone.now())
    return {"slug": "research", "username": "olga"}


def team(scene: Scene) -> dict[str, Any]:
    return {"slug": "research", "username": "olga"}


def on(how: str) -> Callable[[Scene], dict[str, Any]]:
    """Returns what makes an access request: granted, waiting, or one that waits for a change."""
    return lambda scene: pk(getattr(scene, how)())


def a_draft(scene: Scene) -> dict[str, Any]:
    return pk(scene.world.ask("draft", 5, submit=False))


def step(name: str, how: str) -> Callable[[Scene], dict[str, Any]]:
    return lambda scene: pk(getattr(scene, how)()) | {"step": name}


def of_finding(scene: Scene) -> dict[str, Any]:
    return pk(scene.finding)


def silenced(scene: Scene) -> dict[str, Any]:
    scene.silence()
    return pk(scene.finding)


def a_view(scene: Scene) -> dict[str, Any]:
    return pk(SavedView.objects.create(user=scene.admin, page="nodes", name="mine", query="q=1"))


def a_link(scene: Scene) -> dict[str, Any]:
    return {"secret": sign_in.create_owner_link("http://testserver/").rstrip("/").rsplit("/", 1)[-1]}


def with_password(scene: Scene) -> dict[str, Any]:
    scene.other.set_password(PASSWORD)
    scene.other.save()
    return {"body": {"username": "olga", "password": PASSWORD}}


def no_password(scene: Scene) -> dict[str, Any]:
    """Who signs in by links only states no current one."""
    scene.admin.set_unusable_password()
    scene.admin.save()
    return {}


def edit_form(path: str, **changes: str) -> Callable[[Scene], dict[str, Any]]:
    """Returns what sends a form as it is shown, with changes."""
    return lambda scene: {"slug": path.split("/")[2], "form": path, "changes": changes}


def _free_pool(scene: Scene) -> dict[str, Any]:
    """A pool that no class uses."""
    classes.remove(scene.admin, "full-h100", timezone.now())
    return {"slug": "h100"}


def _no_pool(scene: Scene) -> dict[str, Any]:
    _free_pool(scene)
    pools.remove(scene.admin, "h100", timezone.now())
    return {}
