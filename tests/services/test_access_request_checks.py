"""Granted requests against what the pods and nodes say: used or not, room or not, and the platform's own numbers."""

from __future__ import annotations

from typing import Any

import pytest

from fleet.domain.classes.workload import ClassSpec
from fleet.domain.snapshot import ResourceSlices
from fleet.models import AccessRequest, Cluster, CollectionRun, Node, Notice, Role
from fleet.selectors.access_requests.numbers import numbers
from fleet.services import access_request_checks, access_requests, classes, pools
from tests.absorbing import absorb
from tests.builders import make_allocation, make_dra_device
from tests.factories import a_team, a_user
from tests.services.snapshots import T0, a_node, a_pod, a_snapshot
from tests.services.test_pools import a_spec, at

pytestmark = pytest.mark.django_db


def granted(replicas: int = 2, gpus: int = 4) -> AccessRequest:
    """A request granted at T0 + 10 s, in a cluster of two nodes that were read as ready."""
    member, operator = a_user("mia"), a_user("otto", Role.OPERATOR)
    look()
    pools.save(operator, a_spec(), at(1))
    version = classes.save(operator, ClassSpec(slug="full", title="Full", gpus=gpus, pools=("h100",), max_replicas=9), at(1))
    fields = {"namespace": "research", "name": "llama", "replicas": replicas, "now": at(5)}
    ask = access_requests.draft(member, a_team("research", member), version, **fields)
    return access_requests.submit(member, ask.pk, at(10))


def look(*pods: Any, after_s: float = 0, **fields: Any) -> None:
    cluster, _ = Cluster.objects.get_or_create(name="east")
    seen = a_snapshot(a_node("n1"), a_node("n2"), pods=pods, after_s=after_s, **fields)
    absorb(cluster, seen, CollectionRun(cluster=cluster, started_at=seen.taken_at))
    Node.objects.update(verdict="ready")


def a_class_pod(name: str, node: str, **fields: Any) -> Any:
    labels = {"muster.dev/class": "full", "app.kubernetes.io/name": "llama"}
    return a_pod(name, node, gpus=4, namespace="research", labels=labels, created_at=at(30), **fields)


def test_an_unused_request_says_how_much_it_keeps_unused() -> None:
    ask = granted()
    access_request_checks.check_all(at(20))
    ask.refresh_from_db()
    assert ask.state == "approved"
    latest_check = ask.latest_check
    assert (latest_check["fits"], latest_check["missing_replicas"], latest_check["used_slots"], latest_check["unused_slots"]) == (
        True,
        2,
        0,
        8,
    )


def test_the_first_pod_makes_it_active_at_that_pods_moment() -> None:
    ask = granted()
    look(a_class_pod("p1", "n1"), after_s=60)
    access_request_checks.check_all(at(61))
    ask.refresh_from_db()
    assert (ask.state, ask.first_pod_at) == ("active", at(30))
    assert (ask.latest_check["running_replicas"], ask.latest_check["used_slots"], ask.latest_check["unused_slots"]) == (1, 4, 4)


def test_a_request_that_no_longer_fits_has_a_reason() -> None:
    ask = granted(replicas=2, gpus=8)
    look(a_pod("other", "n1", gpus=1), after_s=60)
    access_request_checks.check_all(at(61))
    ask.refresh_from_db()
    assert not ask.latest_check["fits"]
    assert ask.latest_check["reasons"] == ["2 replicas of 8 slots would have to land, and 1 could."]


def test_the_same_look_twice_writes_nothing() -> None:
    granted()
    assert access_request_checks.check_all(at(20)) == 1
    assert access_request_checks.check_all(at(80)) == 0


def test_a_class_that_changed_is_judged_as_it_was_approved() -> None:
    ask = granted()
    operator = a_user("olga", Role.OPERATOR)
    classes.save(operator, ClassSpec(slug="full", title="Full", gpus=8, pools=("h100",), max_replicas=9), at(15))
    access_request_checks.check_all(at(20))
    ask.refresh_from_db()
    assert ask.latest_check["requested_slots"] == 8


def test_the_platforms_numbers() -> None:
    granted()
    look(a_class_pod("p1", "n1"), a_pod("other", "n2"), after_s=60)
    access_request_checks.check_all(at(61))
    result = numbers(T0)
    assert (result.requests, result.by_class, result.by_team, result.automatic) == (1, (("full", 1),), (("research", 1),), 1)
    assert result.to_first_pod == at(30) - at(10)
    assert (result.gpu_pods, result.gpu_pods_of_a_class) == (2, 1)


def landing_events() -> list[tuple[str, bool]]:
    rows = Notice.objects.filter(kind="request", detail__step__in=["no_room", "room"]).order_by("at")
    return list(rows.values_list("title", "recovery"))


def test_a_lack_of_room_is_notified_once_after_the_grace_and_so_is_its_end() -> None:
    ask = granted(replicas=2, gpus=8)
    look(a_pod("other", "n1", gpus=1), after_s=60)
    access_request_checks.check_all(at(61))
    assert landing_events() == [], "it may be gone in a minute"
    access_request_checks.check_all(at(61) + access_request_checks.GRACE)
    access_request_checks.check_all(at(61) + 2 * access_request_checks.GRACE)
    assert landing_events() == [("2 × Full for Research would no longer schedule", False)]
    look(after_s=900)
    access_request_checks.check_all(at(901))
    access_request_checks.check_all(at(961))
    assert landing_events()[1:] == [("2 × Full for Research would schedule again", True)]
    assert [step.kind for step in ask.steps.all()] == ["draft", "submit", "approve", "no_room", "room"]


def test_a_lack_shorter_than_the_grace_is_not_notified() -> None:
    granted(replicas=2, gpus=8)
    look(a_pod("other", "n1", gpus=1), after_s=60)
    access_request_checks.check_all(at(61))
    look(after_s=120)
    access_request_checks.check_all(at(121))
    look(a_pod("other", "n1", gpus=1), after_s=180)
    access_request_checks.check_all(at(181))
    access_request_checks.check_all(at(240))
    assert landing_events() == []


def test_a_request_is_judged_in_the_size_it_was_granted() -> None:
    member, operator = a_user("mia"), a_user("otto", Role.OPERATOR)
    look()
    pools.save(operator, a_spec(), at(1))
    class_spec = ClassSpec(slug="full", title="Full", gpus=8, sizes=(2,), pools=("h100",), max_replicas=9)
    version = classes.save(operator, class_spec, at(1))
    fields = {"namespace": "research", "name": "llama", "replicas": 3, "gpus": 2, "now": at(5)}
    ask = access_requests.draft(member, a_team("research", member), version, **fields)
    access_requests.submit(member, ask.pk, at(10))
    access_request_checks.check_all(at(20))
    ask.refresh_from_db()
    assert (ask.latest_check["requested_slots"], ask.latest_check["could_land"]) == (6, 8)


def through_claims(name: str, *claims: str, node: str = "n1") -> Any:
    labels = {"muster.dev/class": "full", "app.kubernetes.io/name": "llama"}
    return a_pod(name, node, gpus=0, namespace="research", labels=labels, claims=claims, created_at=at(30))


def test_what_the_claims_of_its_pods_hold_is_used() -> None:
    """GPU devices and shares of them, each once; a network card, a watching claim and one of another namespace are not."""
    ask = granted(replicas=2, gpus=4)
    devices = [make_dra_device(index, node=node) for node in ("n1", "n2") for index in range(4)]
    card = make_dra_device(0, node="n1", driver="dra.net", type="nic", name="nic-0")

    def held(number: int, claim: str, **fields: Any) -> Any:
        return make_allocation(devices[number], claim=claim, **{"namespace": "research", **fields})

    allocations = (
        held(0, "a"),
        held(1, "a"),
        held(4, "b"),
        held(2, "both"),
        held(3, "shares", share_id="1", consumed={"memory": "10Gi"}),
        held(3, "shares", share_id="2", consumed={"memory": "10Gi"}),
        held(5, "b", admin_access=True),
        held(6, "a", namespace="another"),
        make_allocation(card, claim="nic", namespace="research"),
    )
    pods = (
        through_claims("p1", "a", "nic", "both"),
        through_claims("p2", "b", "both", node="n2"),  # the claim "both" is one of the node n1
        through_claims("p3", "shares"),
    )
    slices = ResourceSlices(devices=(*devices, card))
    look(*pods, after_s=60, slices=slices, allocations=allocations)
    access_request_checks.check_all(at(61))
    ask.refresh_from_db()
    assert (ask.latest_check["used_slots"], ask.latest_check["unused_slots"]) == (2 + 1 + 1 + 2, 8 - 6)
    look(*pods, through_claims("p4", "nic"), after_s=120, slices=slices, allocations=allocations)
    access_request_checks.check_all(at(121))
    ask.refresh_from_db()
    assert ask.latest_check["used_slots"] is None, "none of its claims is known to hold a GPU: unknown, never 0"
