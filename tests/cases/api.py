"""Serves the objects of one case as a Kubernetes API: lists with selectors and pages, discovery, access reviews, pod proxies."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from tests.collectors.fake_api import Reply, Seen

Objects = Mapping[str, Any]
_KINDS = {
    "/api/v1/nodes": "Node",
    "/api/v1/pods": "Pod",
    "/api/v1/configmaps": "ConfigMap",
    "/api/v1/namespaces": "Namespace",
    "/api/v1/events": "Event",
    "/api/v1/services": "Service",
    "/api/v1/resourcequotas": "ResourceQuota",
    "/apis/apps/v1/daemonsets": "DaemonSet",
    "/apis/node.k8s.io/v1/runtimeclasses": "RuntimeClass",
    "/apis/nvidia.com/v1/clusterpolicies": "ClusterPolicy",
    "/apis/resource.k8s.io/v1/resourceslices": "ResourceSlice",
    "/apis/resource.k8s.io/v1/resourceclaims": "ResourceClaim",
    "/apis/resource.k8s.io/v1/deviceclasses": "DeviceClass",
}
_CLUSTER_WIDE = {"nodes", "namespaces", "resourceslices", "deviceclasses", "clusterpolicies", "runtimeclasses"}
_PROXY = re.compile(r"/api/v1/namespaces/([^/]+)/pods/(?:https?:)?([^:/]+)(?::\d+)?/proxy(/.*)")
_NAMESPACED = re.compile(r"(/api/v1|/apis/[^/]+/[^/]+)/namespaces/([^/]+)/([^/]+)(?:/([^/]+))?")
_NAMED = re.compile(r"(/api/v1|/apis/[^/]+/[^/]+)/([^/]+)/([^/]+)")
_GROUP = re.compile(r"/api/v1|/apis/([^/]+)/v1")
_MOVING = re.compile(
    r"(?m)^((?:DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION|DCGM_FI_DEV_POWER_USAGE)\{[^}]*\} )(\d[\d.e+]*)$",
)


def api_of(objects: Objects, elapsed_s: Callable[[], float]) -> Callable[[Seen], Reply]:
    """Returns the one route that answers everything. `elapsed_s` moves energy and power of exporters that are not frozen."""
    served = {path: kind for path, kind in _KINDS.items() if kind != "ClusterPolicy" or "clusterpolicies" in objects}

    def answer(request: Seen) -> Reply:
        if request.method == "POST":
            return _review(request)
        proxied = _PROXY.fullmatch(request.path)
        if proxied:
            return _exporter(objects, proxied, elapsed_s())
        return _discovery(request.path, served, objects) or _read(request, served, objects)

    return answer


def _review(request: Seen) -> Reply:
    body = json.loads(request.body or b"{}")
    if "selfsubjectrulesreviews" in request.path:
        rules = [{"verbs": ["get", "list", "watch"], "apiGroups": ["*"], "resources": ["*"]}]
        status: dict[str, Any] = {"incomplete": False, "nonResourceRules": [], "resourceRules": rules}
    else:
        status = {"allowed": True}
    return Reply({**body, "status": status}, 201)


def _exporter(objects: Objects, proxied: re.Match[str], elapsed_s: float) -> Reply:
    page = objects.get("exporters", {}).get(f"{proxied[1]}/{proxied[2]}")
    if page is None:
        return Reply({"kind": "Status", "status": "Failure", "reason": "ServiceUnavailable", "message": "refused"}, 503)
    page = {"status": 200, "text": page} if isinstance(page, str) else page
    if proxied[3] not in page.get("paths", ["/metrics"]):
        return Reply("404 page not found", 404, {"Content-Type": "text/plain"})
    text = page["text"] if page.get("frozen") else _MOVING.sub(lambda series: _moved(series, elapsed_s), page["text"])
    return Reply(text, page["status"], {"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})


def _moved(series: re.Match[str], elapsed_s: float) -> str:
    value = float(series[2])
    if "ENERGY" in series[1]:
        return f"{series[1]}{int(value + elapsed_s * 98_000)}"
    return series[0] if value > 1e14 else f"{series[1]}{value + elapsed_s * 7 % 5:.3f}"


def _discovery(path: str, served: Mapping[str, str], objects: Objects) -> Reply | None:
    if path == "/version":
        return Reply({"major": "1", "minor": "34", "gitVersion": objects.get("version", "v1.34.2")})
    if path == "/api":
        return Reply({"kind": "APIVersions", "versions": ["v1"]})
    groups = sorted({name.split("/")[2] for name in served if name.startswith("/apis/")} | {"authorization.k8s.io"})
    if path == "/apis":
        versions = [{"name": group, "versions": [{"groupVersion": f"{group}/v1", "version": "v1"}]} for group in groups]
        return Reply({"kind": "APIGroupList", "groups": versions})
    group = _GROUP.fullmatch(path)
    if group is None or (group[1] and group[1] not in groups):
        return None
    resources = [
        {"name": name.rsplit("/", 1)[1], "kind": kind, "namespaced": name.rsplit("/", 1)[1] not in _CLUSTER_WIDE,
         "verbs": ["get", "list", "watch"]}
        for name, kind in served.items()
        if name.rsplit("/", 1)[0] == path
    ]  # fmt: skip
    return Reply({"kind": "APIResourceList", "groupVersion": path.split("/", 2)[2], "resources": resources})


def _read(request: Seen, served: Mapping[str, str], objects: Objects) -> Reply:
    path, namespace, name = request.path, "", ""
    if inside := _NAMESPACED.fullmatch(path):
        path, namespace, name = f"{inside[1]}/{inside[3]}", inside[2], inside[4] or ""
    elif path not in served and (single := _NAMED.fullmatch(path)):
        path, name = f"{single[1]}/{single[2]}", single[3]
    if path not in served:
        return _not_found()
    kind, items = served[path], list(objects.get(path.rsplit("/", 1)[1], []))
    if kind == "Namespace" and not items:
        names = {pod["metadata"]["namespace"] for pod in objects.get("pods", [])} | {"default", "kube-system"}
        items = [{"metadata": {"name": entry, "uid": entry}} for entry in sorted(names)]
    items = [item for item in items if not namespace or item["metadata"].get("namespace") == namespace]
    if name:
        item = next((item for item in items if item["metadata"]["name"] == name), None)
        return Reply({"kind": kind, **item}) if item else _not_found()
    items = [item for item in items if _matches(item, request)]
    start, limit = int(request.first("continue") or 0), int(request.first("limit") or 0) or len(items) or 1
    more = {"continue": str(start + limit)} if start + limit < len(items) else {}
    return Reply({"kind": f"{kind}List", "metadata": {"resourceVersion": "1", **more}, "items": items[start : start + limit]})


def _not_found() -> Reply:
    return Reply({"kind": "Status", "status": "Failure", "reason": "NotFound", "message": "not found", "code": 404}, 404)


def _matches(item: Mapping[str, Any], request: Seen) -> bool:
    spec, status, meta = item.get("spec", {}), item.get("status", {}), item["metadata"]
    fields = {
        "spec.nodeName": spec.get("nodeName", ""),
        "status.phase": status.get("phase", ""),
        "metadata.name": meta["name"],
        "metadata.namespace": meta.get("namespace", ""),
        "involvedObject.kind": item.get("involvedObject", {}).get("kind", ""),
    }
    for term in filter(None, request.first("fieldSelector").split(",")):
        match = re.fullmatch(r"([^!=]+)(!=|==?)(.*)", term)
        if match and match[1] in fields and (fields[match[1]] == match[3]) == (match[2] == "!="):
            return False
    node_labels = meta.get("labels", {})
    for term in filter(None, request.first("labelSelector").split(",")):
        match = re.fullmatch(r"([^!=]+)(!=|==?)(.*)", term)
        if match and (node_labels.get(match[1]) == match[3]) == (match[2] == "!="):
            return False
        if not match and (term[1:] in node_labels if term.startswith("!") else term not in node_labels):
            return False
    return True
