"""Kueue, Volcano and KAI as their APIs write them: parsed, absent, refused, hostile."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from fleet.collectors import kueue, pod_groups, queues
from fleet.collectors.apis import Apis
from fleet.collectors.errors import Failure
from fleet.domain.snapshot.queues import KAI, KUEUE, VOLCANO, AdmissionCheck, FlavorQuota
from fleet.domain.snapshot.sections import Outcome
from tests.collectors.scripted import Server, session

GPU = "nvidia.com/gpu"
BASE = "/apis/kueue.x-k8s.io/v1beta2"
ALL = Apis({"kueue.x-k8s.io": ("v1beta2", "v1beta1"), "visibility.kueue.x-k8s.io": ("v1beta2",)}, known=True)
QUEUE: dict[str, Any] = {
    "metadata": {"name": "shared"},
    "spec": {
        "cohortName": "lab",
        "queueingStrategy": "StrictFIFO",
        "resourceGroups": [
            {
                "coveredResources": ["cpu", GPU],
                "flavors": [
                    {
                        "name": "h100",
                        "resources": [
                            {"name": "cpu", "nominalQuota": "100"},
                            {"name": GPU, "nominalQuota": 64, "borrowingLimit": "8", "lendingLimit": "0"},
                        ],
                    }
                ],
            }
        ],
    },
    "status": {
        "pendingWorkloads": 2,
        "flavorsReservation": [{"name": "h100", "resources": [{"name": GPU, "total": "56"}, {"name": "cpu", "total": "1500m"}]}],
        "conditions": [{"type": "Active", "status": "True"}],
    },
}
WORKLOAD: dict[str, Any] = {
    "metadata": {
        "name": "job-a-1",
        "namespace": "team",
        "uid": "u1",
        "creationTimestamp": "2026-12-01T10:00:00Z",
        "ownerReferences": [{"kind": "Job", "name": "a"}],
    },
    "spec": {
        "queueName": "main",
        "priority": 5,
        "podSets": [
            {
                "name": "main",
                "count": 2,
                "template": {
                    "spec": {"containers": [{"name": "m", "resources": {"limits": {GPU: "8"}, "requests": {"cpu": "4"}}}]}
                },
            }
        ],
    },
    "status": {"conditions": [{"type": "QuotaReserved", "status": "False", "reason": "Pending", "message": "no quota"}]},
}


def listed(*items: dict[str, Any], kind: str = "List") -> dict[str, Any]:
    return {"kind": kind, "metadata": {}, "items": list(items)}


def routes(**changes: Any) -> dict[str, Any]:
    kinds = ("clusterqueues", "localqueues", "resourceflavors", "workloads", "cohorts", "topologies")
    answers: dict[str, Any] = {f"{BASE}/{kind}": listed() for kind in kinds}
    return {**answers, **changes}


def test_a_cluster_queue() -> None:
    queue = kueue.cluster_queue(QUEUE)
    assert (queue.name, queue.cohort, queue.strict, queue.pending, queue.active) == ("shared", "lab", True, 2, True)
    assert queue.quotas == (
        FlavorQuota(flavor="h100", resource="cpu", nominal=100_000, reserved=1_500),
        FlavorQuota(flavor="h100", resource=GPU, nominal=64, borrowing_limit=8, lending_limit=0, reserved=56),
    )
    older = {**QUEUE, "spec": {**QUEUE["spec"], "cohortName": None, "cohort": "old"}}
    assert kueue.cluster_queue(older).cohort == "old", "v1beta1"


def test_a_workload_that_waits_requests_what_its_template_does() -> None:
    workload = kueue.workload(WORKLOAD)
    assert workload is not None
    assert (workload.queue, workload.priority, workload.owners, workload.message) == ("main", 5, (("Job", "a"),), "no quota")
    assert workload.pod_sets[0].requests == {GPU: 16, "cpu": 8_000}
    stated = {**WORKLOAD["status"], "resourceRequests": [{"name": "main", "resources": {GPU: "16"}}]}
    counted = kueue.workload({**WORKLOAD, "status": stated})
    assert counted is not None
    assert counted.pod_sets[0].requests == {GPU: 16}, "what Kueue counted goes before what the template says"


@pytest.mark.parametrize(("reason", "hour"), [("PodsReadyTimeout", 11), ("AdmissionCheck", 11), ("Preempted", 10)])
def test_an_eviction_that_sends_it_back_orders_it(reason: str, hour: int) -> None:
    evicted = {"type": "Evicted", "status": "True", "reason": reason, "lastTransitionTime": "2026-12-01T11:00:00Z"}
    workload = kueue.workload({**WORKLOAD, "status": {"conditions": [evicted]}})
    assert workload is not None
    assert workload.queued_at == datetime(2026, 12, 1, hour, 0, tzinfo=UTC)


def test_reserved_admitted_and_finished() -> None:
    conditions = [{"type": "QuotaReserved", "status": "True"}]
    assigned = {"name": "main", "flavors": {GPU: "h100"}, "resourceUsage": {GPU: "16"}}
    status = {
        "conditions": conditions,
        "admission": {"clusterQueue": "shared", "podSetAssignments": [assigned]},
        "admissionChecks": [{"name": "prov", "state": "Pending", "message": "wait"}],
    }
    reserved = kueue.workload({**WORKLOAD, "status": status})
    assert reserved is not None
    assert (reserved.cluster_queue, reserved.admitted, reserved.pod_sets[0].flavors) == ("shared", False, {GPU: "h100"})
    assert reserved.checks == (AdmissionCheck("prov", "Pending", "wait"),)
    admitted = kueue.workload(
        {**WORKLOAD, "status": {**status, "conditions": [*conditions, {"type": "Admitted", "status": "True"}]}}
    )
    assert admitted is not None
    assert admitted.admitted
    assert kueue.workload({**WORKLOAD, "status": {"conditions": [{"type": "Finished", "status": "True"}]}}) is None


def test_where_none_is_installed_nothing_is_asked() -> None:
    server = Server({})
    assert queues.fetch(session(server), Apis({}, known=True)).objects.systems == {}
    assert server.paths() == []


def test_a_server_that_does_not_answer_is_a_failure_of_the_section() -> None:
    gone = Failure(Outcome.UNREACHABLE, "Connection refused.")
    with pytest.raises(Failure):
        queues.fetch(session(Server(routes(**{f"{BASE}/clusterqueues": gone}))), ALL)


def test_where_discovery_is_refused_it_is_unknown_not_absent() -> None:
    assert set(queues.fetch(session(Server({})), Apis()).objects.systems.values()) == {
        "Whether it is installed is unknown: discovery is refused."
    }


def test_a_refused_kind_makes_its_system_unknown_and_costs_no_other() -> None:
    apis = Apis({"kueue.x-k8s.io": ("v1beta2",), "scheduling.volcano.sh": ("v1beta1",)}, known=True)
    group = {
        "metadata": {"name": "g", "namespace": "team"},
        "spec": {"minMember": 2, "queue": "q"},
        "status": {"phase": "Pending"},
    }
    volcano = {
        "/apis/scheduling.volcano.sh/v1beta1/queues": listed({"metadata": {"name": "q"}}),
        "/apis/scheduling.volcano.sh/v1beta1/podgroups": listed(group),
    }
    read = queues.fetch(session(Server(routes(**{f"{BASE}/workloads": 403}, **volcano))), apis)
    assert "workloads" in read.objects.systems[KUEUE]
    assert read.objects.systems[VOLCANO] == ""
    assert [entry.name for entry in read.objects.groups] == ["g"]
    assert read.objects.workloads == ()


def test_cohorts_that_may_not_be_read_cost_only_what_can_be_borrowed() -> None:
    read = queues.fetch(session(Server(routes(**{f"{BASE}/cohorts": 403, f"{BASE}/clusterqueues": listed(QUEUE)}))), ALL)
    assert read.objects.systems == {KUEUE: ""}
    assert (read.objects.cohorts, len(read.objects.cluster_queues)) == (None, 1)


def test_the_visibility_api_gives_positions_where_it_may_be_read() -> None:
    summary = {"items": [{"metadata": {"name": "job-a-1", "namespace": "team"}, "positionInClusterQueue": 4}]}
    path = "/apis/visibility.kueue.x-k8s.io/v1beta2/clusterqueues/shared/pendingworkloads"
    lists = routes(**{f"{BASE}/clusterqueues": listed(QUEUE), f"{BASE}/workloads": listed(WORKLOAD)})
    for answer, position in ((summary, 4), (403, None), ({"items": [{"positionInClusterQueue": "x"}, 7]}, None), (b"[]", None)):
        read = queues.fetch(session(Server({**lists, path: answer})), ALL)
        assert [entry.position for entry in read.objects.workloads] == [position]


@pytest.mark.parametrize(
    "item",
    [
        {},
        {"metadata": None, "spec": None, "status": None},
        {
            "metadata": {"name": ["x"]},
            "spec": {"podSets": "x", "priority": "high", "queueName": {}},
            "status": {"conditions": [7]},
        },
        {"spec": {"resourceGroups": [{"flavors": [{"name": "f", "resources": [{"name": GPU, "nominalQuota": "many"}]}]}]}},
        {"spec": {"podSets": [{"count": -1, "template": []}], "resources": {"gpu": {"quota": "x", "limit": float("inf")}}}},
    ],
)
def test_odd_objects_are_read_without_an_error(item: dict[str, Any]) -> None:
    for parse in (kueue.cluster_queue, kueue.cohort, kueue.local_queue, kueue.flavor, kueue.topology, kueue.workload):
        parse(item)
    for parse in (pod_groups.volcano_group, pod_groups.kai_group, pod_groups.volcano_queue, pod_groups.kai_queue):
        parse(item)


def test_an_amount_that_cannot_be_read_is_unknown_not_zero() -> None:
    spec = {"resourceGroups": [{"flavors": [{"name": "f", "resources": [{"name": GPU, "nominalQuota": "many"}]}]}]}
    assert kueue.cluster_queue({"spec": spec}).quotas[0].nominal is None


def test_a_pod_group_and_queue_of_kai() -> None:
    explanation = {"reason": "OverLimit", "message": "team-a quota has reached the allowable limit of GPUs."}
    group = pod_groups.kai_group(
        {
            "metadata": {"name": "pg-1", "namespace": "team"},
            "spec": {"minMember": 4, "queue": "team-a", "priorityClassName": "train"},
            "status": {
                "schedulingConditions": [
                    {"type": "UnschedulableOnNodePool", "status": "True", "reasons": [explanation],
                     "lastTransitionTime": "2026-12-01T10:00:00Z"},
                ]
            },
        }
    )  # fmt: skip
    assert (group.system, group.queue, group.min_member, group.blocked, group.message) == (
        *(KAI, "team-a", 4, True),
        explanation["message"],
    )
    gpu = {"quota": 4, "limit": -1, "overQuotaWeight": 1}
    queue = pod_groups.kai_queue(
        {
            "metadata": {"name": "team-a"},
            "spec": {"parentQueue": "department", "resources": {"gpu": gpu, "memory": {"quota": -1, "limit": 1000}}},
            "status": {"allocated": {GPU: "3", "cpu": "100"}},
        }
    )
    assert (queue.parent, queue.quota, queue.limits, queue.allocated) == (
        *("department", {GPU: 4}, {"memory": 10**9}),
        {GPU: 3},
    )


def test_a_completed_group_of_volcano_is_left_out_and_its_least_resources_are_kept() -> None:
    group = {"metadata": {"name": "g", "namespace": "t"}, "spec": {"minResources": {GPU: "16", "requests.cpu": "4"}}}
    parsed = pod_groups.volcano_group(group)
    assert parsed is not None
    assert (parsed.queue, parsed.requests) == ("default", {GPU: 16})
    assert pod_groups.volcano_group({**group, "status": {"phase": "Completed"}}) is None
