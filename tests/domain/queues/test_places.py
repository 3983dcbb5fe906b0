"""The place of a workload: order, what is short in which flavor, what stands still, and the sentence."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from fleet.domain.label_selectors import Requirement
from fleet.domain.queues.group_places import group_place
from fleet.domain.queues.places import QueuePlace, kueue_place, ordinal, text_of
from fleet.domain.snapshot import PodScheduling, Taint, Toleration
from fleet.domain.snapshot.queues import (
    KAI,
    VOLCANO,
    AdmissionCheck,
    BatchQueue,
    ClusterQueue,
    Flavor,
    FlavorQuota,
    LocalQueue,
    PodGroup,
    PodSet,
    QueueObjects,
    Workload,
)

NOW = datetime(2026, 12, 1, 12, 0, tzinfo=UTC)
GPU = "nvidia.com/gpu"
STOPPED = LocalQueue(namespace="team", name="main", cluster_queue="shared", stopped=True)


def quota(flavor: str, nominal: int, reserved: int = 0, **more: Any) -> FlavorQuota:
    return FlavorQuota(flavor=flavor, resource=more.pop("resource", GPU), nominal=nominal, reserved=reserved, **more)


def workload(name: str, gpus: int = 8, *, minutes: int = 0, **more: Any) -> Workload:
    pod = more.pop("pod", PodScheduling())
    sets = more.pop("pod_sets", (PodSet(name="main", requests={GPU: gpus}, pod=pod),))
    at = NOW - timedelta(minutes=minutes)
    given = {"namespace": "team", "queue": "main", "uid": name, "created_at": at, "queued_at": at, "pod_sets": sets, **more}
    return Workload(name=name, **given)


def world(*workloads: Workload, quotas: tuple[FlavorQuota, ...] = (quota("h100", 16, 8),), **more: Any) -> QueueObjects:
    shared = ClusterQueue(name="shared", quotas=quotas, active=True, **more.pop("queue", {}))
    given = {
        "systems": {"kueue": ""},
        "cluster_queues": (shared,),
        "local_queues": (LocalQueue(namespace="team", name="main", cluster_queue="shared", active=True),),
        "flavors": (Flavor(name="h100", labels={"gpu": "h100"}), Flavor(name="h200", labels={"gpu": "h200"})),
        "cohorts": (),
        **more,
    }
    return QueueObjects(workloads=workloads, **given)


def place(objects: QueueObjects, name: str) -> QueuePlace:
    return kueue_place(next(entry for entry in objects.workloads if entry.name == name), objects)


def test_priority_goes_before_age_and_uid_last() -> None:
    objects = world(
        workload("old", minutes=60),
        workload("urgent", priority=10, minutes=1),
        workload("b", minutes=5),
        workload("a", minutes=5),
    )
    order = sorted((entry.name for entry in objects.workloads), key=lambda name: place(objects, name).position or 0)
    assert order == ["urgent", "old", "a", "b"]
    assert [(other.name, other.priority) for other in place(objects, "a").ahead] == [("urgent", 10), ("old", 0)]


def test_admitted_inactive_and_foreign_workloads_are_not_before_it() -> None:
    objects = world(
        workload("running", minutes=90, cluster_queue="shared", admitted=True),
        workload("off", minutes=90, active=False),
        workload("elsewhere", minutes=90, queue="other"),
        workload("this", minutes=1),
    )
    assert (place(objects, "this").position, place(objects, "this").waiting) == (1, 1)


def test_the_visibility_api_decides_the_order_where_it_was_read() -> None:
    objects = world(workload("first", minutes=1, position=0), workload("second", minutes=60, position=1))
    answer = place(objects, "second")
    assert (answer.position, answer.order) == (2, "Kueue")
    assert [other.name for other in answer.ahead] == ["first"]


def test_the_order_is_unknown_where_usage_decides_it() -> None:
    objects = world(workload("this"), queue={"fair": True})
    assert place(objects, "this").position is None
    assert text_of(place(objects, "this")).startswith(
        "Waits in ClusterQueue shared (LocalQueue main), its place of 1 is not known"
    )


def test_what_is_short_is_stated_for_each_flavor() -> None:
    objects = world(workload("this", 16), quotas=(quota("h100", 16, 8), quota("h200", 8, 8)))
    short = place(objects, "this").short
    assert [(row.flavor, row.needed, row.available) for row in short] == [("h100", 16, 8), ("h200", 16, 0)]
    assert text_of(place(objects, "this")) == (
        "1st of 1 in ClusterQueue shared (LocalQueue main), by priority and age; needs 16 nvidia.com/gpu of flavor h100, "
        "8 of 16 left; needs 16 nvidia.com/gpu of flavor h200, none of 8 left."
    )


def test_the_next_flavor_is_taken_where_the_first_is_short() -> None:
    objects = world(workload("this", 8), quotas=(quota("h100", 8, 8), quota("h200", 8)))
    answer = place(objects, "this")
    assert (answer.short, answer.flavors, answer.labels) == ((), ("h200",), {"gpu": ("h200",)})


def test_all_resources_of_a_group_come_from_the_same_flavor() -> None:
    quotas = (
        *(quota("h100", 8), quota("h100", 1_000, resource="cpu")),
        *(quota("h200", 0), quota("h200", 64_000, resource="cpu")),
    )
    pods = PodSet(name="main", requests={GPU: 8, "cpu": 4_000}, pod=PodScheduling())
    objects = world(workload("this", pod_sets=(pods,)), quotas=quotas)
    short = {(row.flavor, row.resource) for row in place(objects, "this").short}
    assert short == {("h100", "cpu"), ("h200", GPU)}


def test_two_pod_sets_do_not_get_the_same_quota_twice() -> None:
    sets = tuple(PodSet(name=name, requests={GPU: 6}, pod=PodScheduling()) for name in ("leader", "workers"))
    objects = world(workload("this", pod_sets=sets), quotas=(quota("h100", 8),))
    assert [(row.needed, row.available) for row in place(objects, "this").short] == [(12, 8)]


@pytest.mark.parametrize(
    ("pod", "flavors"),
    [
        (PodScheduling(selector=(Requirement("gpu", "in", ("h200",)),)), ("h200",)),
        (PodScheduling(selector=(Requirement("zone", "in", ("a",)),)), ("h100", "h200")),
        (PodScheduling(terms=((Requirement("gpu", "notin", ("h100",)), Requirement("zone", "exists")),)), ("h200",)),
        (PodScheduling(terms=((Requirement("gpu", "in", ("h100",)),), (Requirement("zone", "exists"),))), ("h100", "h200")),
    ],
)
def test_selector_and_affinity_choose_among_flavors_by_their_own_labels(pod: PodScheduling, flavors: tuple[str, ...]) -> None:
    objects = world(workload("this", 16, pod=pod), quotas=(quota("h100", 8), quota("h200", 8)))
    assert place(objects, "this").flavors == flavors


def test_taints_of_a_flavor_need_a_toleration_of_the_pod_or_the_flavor() -> None:
    taint, tolerates = Taint("spot", "true", "NoSchedule"), Toleration("spot", "Exists")
    quotas = (quota("h100", 8),)
    closed = world(workload("this"), quotas=quotas, flavors=(Flavor(name="h100", taints=(taint,)),))
    assert place(closed, "this").problems == (
        "No flavor of ClusterQueue shared matches the selector and tolerations of the pods.",
    )
    by_pod = world(workload("this", pod=PodScheduling(tolerations=(tolerates,))), quotas=quotas, flavors=closed.flavors)
    assert not place(by_pod, "this").problems
    flavors = (Flavor(name="h100", taints=(taint,), tolerations=(tolerates,)),)
    by_flavor = place(world(workload("this"), quotas=quotas, flavors=flavors), "this")
    assert (by_flavor.problems, by_flavor.tolerations) == ((), (tolerates,))


def test_a_resource_without_quota_is_named() -> None:
    pods = PodSet(name="main", requests={GPU: 1, "rdma/ib": 1}, pod=PodScheduling())
    objects = world(workload("this", pod_sets=(pods,)))
    assert place(objects, "this").problems == ("ClusterQueue shared has no quota for rdma/ib.",)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"local_queues": ()}, "LocalQueue main does not exist in namespace team."),
        ({"cluster_queues": ()}, "ClusterQueue shared does not exist."),
        (
            {"local_queues": (LocalQueue(namespace="team", name="main", cluster_queue="shared", stopped=True),)},
            "LocalQueue main is stopped.",
        ),
        (
            {"cluster_queues": (ClusterQueue(name="shared", active=False, why_inactive="Flavor h100 not found"),)},
            "ClusterQueue shared is not active: Flavor h100 not found.",
        ),
    ],
)
def test_a_queue_that_stands_still_is_the_answer(change: dict[str, Any], text: str) -> None:
    objects = msgspec.structs.replace(world(workload("this")), **change)
    answer = place(objects, "this")
    assert (answer.state, answer.problems[0]) == ("stopped", text)
    assert text in text_of(answer)


def test_a_strict_queue_states_that_the_quota_would_do() -> None:
    objects = world(workload("first", 32, minutes=9), workload("this", 8), queue={"strict": True})
    assert "StrictFIFO" in text_of(place(objects, "this"))
    assert "StrictFIFO" not in text_of(place(objects, "first"))


def test_reserved_waits_for_its_checks_and_admitted_for_the_scheduler() -> None:
    sets = (PodSet(name="main", requests={GPU: 8}, flavors={GPU: "h100"}),)
    check = AdmissionCheck("provisioning", "Pending", "creating nodes")
    reserved = place(world(workload("this", pod_sets=sets, cluster_queue="shared", checks=(check,))), "this")
    assert text_of(reserved) == (
        "ClusterQueue shared (LocalQueue main) has reserved quota in flavor h100, but has not admitted it. "
        "Admission check provisioning is pending: creating nodes."
    )
    admitted = place(world(workload("this", pod_sets=sets, cluster_queue="shared", admitted=True)), "this")
    assert not admitted.waits
    assert text_of(admitted).startswith("Admitted by ClusterQueue shared (LocalQueue main) in flavor h100")


def test_an_unknown_amount_is_not_taken_for_room() -> None:
    pods = PodSet(name="main", requests={GPU: None}, pod=PodScheduling())
    answer = place(world(workload("this", pod_sets=(pods,))), "this")
    assert [row.available for row in answer.short] == [None]
    assert "unknown" in text_of(answer)


def group(name: str, **more: Any) -> PodGroup:
    given = {
        "system": VOLCANO,
        "namespace": "team",
        "queue": "q",
        "phase": "Pending",
        "requests": {GPU: 8},
        "created_at": NOW,
        **more,
    }
    return PodGroup(name=name, **given)


def test_a_pod_group_of_volcano() -> None:
    queue = BatchQueue(system=VOLCANO, name="q", state="Open", limits={GPU: 16}, allocated={GPU: 12})
    groups = (group("this"), group("high", priority_class="high"), group("runs", phase="Running"))
    objects = QueueObjects(systems={VOLCANO: ""}, queues=(queue,), groups=groups)
    answer = group_place(groups[0], objects, {"high": 100}, {})
    assert (answer.position, answer.waiting, [other.name for other in answer.ahead]) == (2, 2, ["high"])
    assert text_of(answer) == "2nd of 2 in Volcano queue q, by priority and age; needs 8 nvidia.com/gpu, 4 of 16 left."


def test_a_pod_group_of_kai_is_short_where_a_queue_above_is() -> None:
    queues = (
        BatchQueue(system=KAI, name="q", parent="department", quota={GPU: 4}, allocated={GPU: 2}),
        BatchQueue(system=KAI, name="department", limits={GPU: 8}, allocated={GPU: 8}),
    )
    asked = group("this", system=KAI, phase="", requests={})
    objects = QueueObjects(systems={KAI: ""}, queues=queues, groups=(asked,))
    answer = group_place(asked, objects, {}, {GPU: 4})
    assert [(row.needed, row.available) for row in answer.short] == [(4, 0)]
    assert "over its quota of 4" in text_of(answer)


def test_ordinals() -> None:
    assert [ordinal(number) for number in (1, 2, 3, 4, 11, 12, 13, 21, 112, 1002)] == [
        *("1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "112th", "1,002nd")
    ]
