"""The simulated answers have the shape of recorded ones: same keys, same types."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.simulator.conftest import Client
from tests.simulator.shapes import differences, recorded, shape

NODES = (
    "a100-mig-mixed", "a100-mig-mixed__cordoned", "a100-mig-single", "a100-mig-single__mig-pending", "cpu", "gaudi2", "gb200-dra",
    "h100", "h100__gpu-lost", "h100__no-plugin", "h100__notready", "h200", "h200__driver-upgrade", "h200__xid-cond", "l40s-mps",
    "l40s-mps__deleting-taint", "mi300x", "t4-timeslice", "t4-timeslice-renamed", "t4-timeslice__mem-pressure",
    "t4-timeslice__stale-label",
)  # fmt: skip


def _of(*values: Any) -> Any:
    return shape(values)


def test_every_recorded_kind_of_node(us_east: Client) -> None:
    items = us_east.get("/api/v1/nodes")["items"]
    simulated = shape(items)
    for name in NODES:
        body = recorded(f"node_{name}")["body"]
        body = {key: value for key, value in body.items() if key not in ("kind", "apiVersion")}
        assert differences(_of(body), simulated) == [], name


def test_one_node_says_its_kind_first(us_east: Client) -> None:
    real = recorded("node_h100")["body"]
    name = us_east.get("/api/v1/nodes", limit=1)["items"][0]["metadata"]["name"]
    node = us_east.get(f"/api/v1/nodes/{name}")
    assert list(node)[:3] == list(real)[:3] == ["kind", "apiVersion", "metadata"]
    assert differences(_of(real["metadata"]), _of(node["metadata"])) == []


def test_pods_of_workloads_and_of_the_stack(us_east: Client) -> None:
    items = us_east.get("/api/v1/pods")["items"]
    real = [pod for name in ("pods_on_node", "pods_page_limit2", "pods_nonterminal") for pod in recorded(name)["body"]["items"]]
    assert differences(shape(real), shape(items)) == []


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("daemonsets_page", "/apis/apps/v1/daemonsets"),
        ("clusterpolicies_list", "/apis/nvidia.com/v1/clusterpolicies"),
        ("nvidiadrivers_empty_list", "/apis/nvidia.com/v1alpha1/nvidiadrivers"),
        ("resourceslices_list", "/apis/resource.k8s.io/v1/resourceslices"),
        ("resourceclaims_list", "/apis/resource.k8s.io/v1/resourceclaims"),
        ("deviceclasses_list", "/apis/resource.k8s.io/v1/deviceclasses"),
        ("nodes_page_limit2", "/api/v1/nodes"),
        ("pods_page_limit2", "/api/v1/pods"),
    ],
)
def test_lists(us_east: Client, name: str, path: str) -> None:
    real = recorded(name)["body"]
    simulated = us_east.get(path, **({"limit": 2} if "continue" in real["metadata"] and real["metadata"]["continue"] else {}))
    assert list(simulated) == list(real), "the keys of a list come in the order of the real one"
    assert differences(_of(real["metadata"]), _of(simulated["metadata"])) == []
    whole = us_east.get(path)["items"]
    assert differences(shape(real["items"]), shape(whole)) == []


def test_items_of_custom_lists_alone_say_their_kind(us_east: Client) -> None:
    for name, path in (("clusterpolicies_list", "/apis/nvidia.com/v1/clusterpolicies"), ("nodes_page_limit2", "/api/v1/nodes")):
        real = recorded(name)["body"]["items"][0]
        simulated = us_east.get(path)["items"][0]
        assert ("kind" in real, "apiVersion" in real) == ("kind" in simulated, "apiVersion" in simulated)


def test_config_map(us_east: Client) -> None:
    real = recorded("configmap_time_slicing")["body"]
    simulated = us_east.get("/api/v1/namespaces/gpu-operator/configmaps/device-plugin-config")
    assert differences(_of(real), _of(simulated)) == []


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("version", "/version"),
        ("api", "/api"),
        ("apis", "/apis"),
        ("api_v1", "/api/v1"),
        ("apis_nvidia_com_v1", "/apis/nvidia.com/v1"),
        ("apis_resource_k8s_io_v1", "/apis/resource.k8s.io/v1"),
    ],
)
def test_discovery(us_east: Client, name: str, path: str) -> None:
    real = recorded(name)["body"]
    if name == "api_v1":  # the simulation has no kinds whose subresources belong to other groups
        for entry in real["resources"]:
            entry.pop("group", None)
            entry.pop("version", None)
    assert differences(_of(real), _of(us_east.get(path))) == []


def test_discovered_resources_are_described_as_recorded(us_east: Client) -> None:
    real = {entry["name"]: entry for entry in recorded("api_v1")["body"]["resources"]}
    for entry in us_east.get("/api/v1")["resources"]:
        same = real[entry["name"]]
        for key in ("singularName", "namespaced", "kind", "verbs", "shortNames", "categories"):
            assert entry.get(key) == same.get(key), (entry["name"], key)


def test_aggregated_discovery(us_east: Client) -> None:
    exchange = recorded("apis_aggregated_discovery")
    answer = us_east.ask("/apis", headers=exchange["request"]["headers"])
    assert answer.headers["Content-Type"] == exchange["headers"]["Content-Type"]
    assert differences(_of(exchange["body"]), _of(answer.json())) == []


@pytest.mark.parametrize("name", ["ssrr_default", "ssrr_gpu-operator", "ssar_allowed", "ssar_denied", "selfsubjectreview"])
def test_reviews(us_east: Client, name: str) -> None:
    exchange = recorded(name)
    request = exchange["request"]
    body = request.get("body") or {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    answer = us_east.ask(request["path"], request["method"], body=body)
    assert answer.status == exchange["status"] == 201
    assert differences(_of(exchange["body"]), _of(answer.json())) == []


@pytest.mark.parametrize("include", [None, "None"])
def test_tables(us_east: Client, include: str | None) -> None:
    exchange = recorded("nodes_table" if include is None else "nodes_table_includeObject_none")
    params = {"limit": 2} | ({"includeObject": include} if include else {})
    simulated = us_east.get("/api/v1/nodes", headers=exchange["request"]["headers"], **params)
    real = exchange["body"]
    assert [column["name"] for column in simulated["columnDefinitions"]] == [
        column["name"] for column in real["columnDefinitions"]
    ]
    assert differences(_of(real), _of(simulated)) == []


def test_partial_metadata(us_east: Client) -> None:
    exchange = recorded("nodes_partial_metadata")
    simulated = us_east.get("/api/v1/nodes", headers=exchange["request"]["headers"], limit=2)
    assert differences(_of(exchange["body"]), _of(simulated)) == []


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("watch_list_initial_events", "/api/v1/nodes"),
        ("watch_partial_metadata", "/api/v1/nodes"),
        ("watch_table", "/api/v1/nodes"),
        ("watch_clusterpolicy", "/apis/nvidia.com/v1/clusterpolicies"),
    ],
)
def test_watch_lines(us_east: Client, name: str, path: str) -> None:
    exchange = recorded(name)
    params: dict[str, Any] = {"timeoutSeconds": 1}
    if "sendInitialEvents" in exchange["request"]["path"]:
        params |= {"sendInitialEvents": "true", "allowWatchBookmarks": "true", "resourceVersionMatch": "NotOlderThan"}
    real = [json.loads(line) for line in exchange["lines"]]
    simulated = us_east.lines(path, headers=exchange["request"].get("headers"), **params)
    assert {line["type"] for line in real} <= {line["type"] for line in simulated}
    for kind in {line["type"] for line in real}:
        simulated_shape = shape(line for line in simulated if line["type"] == kind)
        assert differences(shape(line for line in real if line["type"] == kind), simulated_shape) == [], kind
