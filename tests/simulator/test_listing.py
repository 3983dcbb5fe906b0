"""Lists: pages, selectors, resourceVersion, compression."""

from __future__ import annotations

import gzip
from typing import Any

import pytest
import urllib3

from tests.simulator.conftest import Client


def _pages(client: Client, path: str, **params: Any) -> list[dict[str, Any]]:
    pages = [client.get(path, **params)]
    while more := pages[-1]["metadata"].get("continue"):
        assert len(pages) < 500, "the pages do not come to an end"
        pages.append(client.get(path, **params, **{"continue": more}))
    return pages


def _names(client: Client, path: str, **params: Any) -> list[str]:
    return [item["metadata"]["name"] for page in _pages(client, path, **params) for item in page["items"]]


@pytest.mark.parametrize("path", ["/api/v1/pods", "/api/v1/nodes", "/api/v1/namespaces/gpu-operator/pods"])
@pytest.mark.parametrize("limit", [1, 7, 50])
def test_pages_hold_every_object_once_and_in_order(own: Client, path: str, limit: int) -> None:
    whole = [(item["metadata"].get("namespace", ""), item["metadata"]["name"]) for item in own.get(path)["items"]]
    paged = [
        (item["metadata"].get("namespace", ""), item["metadata"]["name"])
        for page in _pages(own, path, limit=limit)
        for item in page["items"]
    ]
    assert paged == whole == sorted(whole)
    assert whole


def test_remaining_item_count(us_east: Client) -> None:
    total = len(us_east.get("/api/v1/nodes")["items"])
    pages = _pages(us_east, "/api/v1/nodes", limit=10)
    assert [page["metadata"].get("remainingItemCount") for page in pages] == [*range(total - 10, 0, -10), None]
    chosen = us_east.get("/api/v1/nodes", limit=2, labelSelector="kubernetes.io/os=linux")
    assert "continue" in chosen["metadata"]
    assert "remainingItemCount" not in chosen["metadata"], "not known when a selector is used"


def test_pages_show_one_moment_in_spite_of_changes(own: Client) -> None:
    cluster = own.simulation.fleet["prod-us-east"]
    first = own.get("/api/v1/nodes", limit=2)
    before = _names(own, "/api/v1/nodes")
    cluster.remove_node(before[-1])
    cluster.add_node("h100", name="aaa-new")
    rest = own.get("/api/v1/nodes", **{"continue": first["metadata"]["continue"], "limit": 500})
    assert [item["metadata"]["name"] for item in first["items"] + rest["items"]] == before
    assert rest["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]
    assert _names(own, "/api/v1/nodes") == ["aaa-new", *before[:-1]]


def test_version_zero_ignores_the_limit(us_east: Client) -> None:
    answer = us_east.get("/api/v1/nodes", limit=2, resourceVersion=0)
    assert len(answer["items"]) > 2
    assert "continue" not in answer["metadata"]


@pytest.mark.parametrize(
    ("selector", "test"),
    [
        ("nvidia.com/gpu.present=true", lambda labels: labels.get("nvidia.com/gpu.present") == "true"),
        ("nvidia.com/gpu.present==true", lambda labels: labels.get("nvidia.com/gpu.present") == "true"),
        ("nvidia.com/gpu.present!=true", lambda labels: labels.get("nvidia.com/gpu.present") != "true"),
        ("nvidia.com/gpu.product", lambda labels: "nvidia.com/gpu.product" in labels),
        ("!nvidia.com/gpu.product", lambda labels: "nvidia.com/gpu.product" not in labels),
        ("nvidia.com/gpu.count in (4, 56)", lambda labels: labels.get("nvidia.com/gpu.count") in ("4", "56")),
        ("nvidia.com/gpu.count notin (4,8)", lambda labels: labels.get("nvidia.com/gpu.count") not in ("4", "8")),
        ("nvidia.com/gpu.count>4", lambda labels: int(labels.get("nvidia.com/gpu.count", "0")) > 4),
        (
            "nvidia.com/gpu.count=8,topology.kubernetes.io/zone in (us-east-1a,us-east-1b)",
            lambda labels: labels.get("nvidia.com/gpu.count") == "8" and labels["topology.kubernetes.io/zone"][-1] in "ab",
        ),
        ("nvidia.com/gpu.count=", lambda labels: labels.get("nvidia.com/gpu.count") == ""),
    ],
)
def test_label_selectors(us_east: Client, selector: str, test: Any) -> None:
    everything = us_east.get("/api/v1/nodes")["items"]
    wanted = [item["metadata"]["name"] for item in everything if test(item["metadata"]["labels"])]
    assert len(wanted) < len(everything)
    assert _names(us_east, "/api/v1/nodes", labelSelector=selector, limit=4) == wanted


def test_field_selectors(us_east: Client) -> None:
    pods = us_east.get("/api/v1/pods")["items"]
    node = pods[0]["spec"]["nodeName"]
    there = [pod["metadata"]["name"] for pod in pods if pod["spec"].get("nodeName") == node]
    assert _names(us_east, "/api/v1/pods", fieldSelector=f"spec.nodeName={node}", limit=3) == there
    running = [pod["metadata"]["name"] for pod in pods if pod["status"]["phase"] not in ("Succeeded", "Failed")]
    assert 0 < len(running) < len(pods)
    assert _names(us_east, "/api/v1/pods", fieldSelector="status.phase!=Succeeded,status.phase!=Failed") == running
    both = _names(us_east, "/api/v1/namespaces/gpu-operator/pods", fieldSelector=f"spec.nodeName={node},status.phase=Running")
    assert both
    assert set(both) < set(there)
    pending = [pod["metadata"]["name"] for pod in pods if "nodeName" not in pod["spec"]]
    assert pending
    assert _names(us_east, "/api/v1/pods", fieldSelector="spec.nodeName=") == pending
    assert _names(us_east, "/api/v1/nodes", fieldSelector=f"metadata.name={node}") == [node]
    assert node not in _names(us_east, "/api/v1/nodes", fieldSelector=f"metadata.name!={node}")


def test_namespaced_field_selector_is_for_namespaced_kinds(us_east: Client) -> None:
    assert us_east.ask("/api/v1/nodes", fieldSelector="metadata.namespace=x").status == 400
    assert _names(us_east, "/api/v1/pods", fieldSelector="metadata.namespace=gpu-operator") == _names(
        us_east, "/api/v1/namespaces/gpu-operator/pods"
    )


def test_compression_when_asked_for(us_east: Client) -> None:
    plain = us_east.ask("/api/v1/nodes", headers={"Accept-Encoding": "identity"})
    assert "Content-Encoding" not in plain.headers
    url = us_east.simulation.server_url("prod-us-east", tls=False) + "/api/v1/nodes"
    headers = {"Authorization": f"Bearer {us_east.simulation.token('prod-us-east')}", "Accept-Encoding": "gzip"}
    for _ in range(2):
        packed = urllib3.request("GET", url, headers=headers, decode_content=False)
        assert packed.headers["Content-Encoding"] == "gzip"
        assert gzip.decompress(packed.data) == plain.data, "one valid gzip member, checked by its own sum and size"
    small = urllib3.request("GET", url + "?limit=1", headers=headers, decode_content=False)
    assert "Content-Encoding" not in small.headers, "small answers are not worth it"


def test_the_same_cluster_under_the_common_address(us_east: Client) -> None:
    simulation = us_east.simulation
    headers = {"Authorization": f"Bearer {simulation.token('prod-us-east')}"}
    for url in (simulation.prefix_url("prod-us-east", tls=False), f"{simulation.url}/clusters/prod-us-east"):
        answer = urllib3.request("GET", f"{url}/api/v1/nodes?limit=1", headers=headers)
        assert answer.json()["metadata"]["remainingItemCount"] > 1
    assert urllib3.request("GET", f"{simulation.url}/clusters/nowhere/api/v1/nodes", headers=headers).status == 404
