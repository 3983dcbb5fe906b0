"""Discovery: the first requests of a client, in its old form and in the aggregated one that newer kubectls prefer."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from typing import Any

from fleet.simulator.resources import Kind

AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"

_EMPTY_GROUPS = (
    "apiregistration.k8s.io", "events.k8s.io", "batch", "networking.k8s.io", "policy", "rbac.authorization.k8s.io",
    "storage.k8s.io", "admissionregistration.k8s.io", "apiextensions.k8s.io", "scheduling.k8s.io", "coordination.k8s.io",
    "node.k8s.io", "discovery.k8s.io",
)  # fmt: skip
"""Groups every cluster has; the simulation lists them without objects."""


class Discovery:
    """The kinds one cluster serves."""

    def __init__(self, kinds: Iterable[Kind]) -> None:
        self.kinds = tuple(kinds)

    def versions(self, absent: Iterable[str] = ()) -> dict[str, list[str]]:
        """Versions by group, the core group aside; without the groups in `absent`."""
        versions: dict[str, list[str]] = {group: ["v1"] for group in _EMPTY_GROUPS}
        for kind in self.kinds:
            if kind.group and kind.version not in versions.setdefault(kind.group, []):
                versions[kind.group].append(kind.version)
        return {group: versions for group, versions in versions.items() if group not in absent}

    def of(self, group: str, version: str) -> list[Kind]:
        return [kind for kind in self.kinds if kind.group == group and kind.version == version]

    def find(self, group: str, version: str, plural: str) -> Kind | None:
        return next((kind for kind in self.of(group, version) if kind.plural == plural), None)

    @staticmethod
    def api(address: str) -> dict[str, Any]:
        """GET /api."""
        return {
            "kind": "APIVersions",
            "versions": ["v1"],
            "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": address}],
        }

    def groups(self, absent: Iterable[str]) -> dict[str, Any]:
        """GET /apis."""
        groups = [_group(name, versions) for name, versions in self.versions(absent).items()]
        return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}

    def group(self, name: str, absent: Iterable[str]) -> dict[str, Any] | None:
        """GET /apis/NAME, or None where it is not installed."""
        versions = self.versions(absent).get(name)
        return {"kind": "APIGroup", "apiVersion": "v1"} | _group(name, versions) if versions else None

    def resources(self, group: str, version: str) -> dict[str, Any]:
        """GET /api/v1 or /apis/GROUP/VERSION."""
        made: dict[str, Any] = {"kind": "APIResourceList"}
        if group:
            made["apiVersion"] = "v1"
        made["groupVersion"] = f"{group}/{version}" if group else version
        made["resources"] = [entry for kind in self.of(group, version) for entry in _listed(kind)]
        return made

    def aggregated(self, core: bool, absent: Iterable[str]) -> dict[str, Any]:
        """GET /api or /apis of a client that accepts the aggregated form."""
        wanted = {"": ["v1"]} if core else self.versions(absent)
        items = []
        for group, versions in wanted.items():
            listed = [
                {
                    "version": version,
                    "resources": [_aggregated(kind) for kind in self.of(group, version)],
                    "freshness": "Current",
                }
                for version in versions
            ]
            items.append({"metadata": {"name": group} if group else {}, "versions": listed})
        return {
            "kind": "APIGroupDiscoveryList",
            "apiVersion": "apidiscovery.k8s.io/v2",
            "metadata": {},
            "items": items,
        }


def _group(name: str, versions: list[str]) -> dict[str, Any]:
    listed = [{"groupVersion": f"{name}/{version}", "version": version} for version in versions]
    return {"name": name, "versions": listed, "preferredVersion": listed[0]}


def _listed(kind: Kind) -> list[dict[str, Any]]:
    entry: dict[str, Any] = {
        "name": kind.plural,
        "singularName": kind.singular,
        "namespaced": kind.namespaced,
        "kind": kind.kind,
        "verbs": list(kind.verbs),
    }
    if kind.short:
        entry["shortNames"] = list(kind.short)
    if kind.categories:
        entry["categories"] = list(kind.categories)
    if kind.stored:
        digest = hashlib.sha256(f"{kind.group}/{kind.version}/{kind.kind}".encode()).digest()
        entry["storageVersionHash"] = base64.b64encode(digest[:8]).decode()
    entries = [entry]
    for name, owner, verbs in kind.subresources:
        entries.append(
            {
                "name": f"{kind.plural}/{name}",
                "singularName": "",
                "namespaced": kind.namespaced,
                "kind": owner,
                "verbs": list(verbs),
            }
        )
    return entries


def _aggregated(kind: Kind) -> dict[str, Any]:
    def response(name: str) -> dict[str, str]:
        return {"group": "", "version": "", "kind": name}

    entry: dict[str, Any] = {
        "resource": kind.plural,
        "responseKind": response(kind.kind),
        "scope": "Namespaced" if kind.namespaced else "Cluster",
        "singularResource": kind.singular,
        "verbs": list(kind.verbs),
    }
    if kind.short:
        entry["shortNames"] = list(kind.short)
    if kind.categories:
        entry["categories"] = list(kind.categories)
    if kind.subresources:
        entry["subresources"] = [
            {"subresource": name, "responseKind": response(owner), "verbs": list(verbs)}
            for name, owner, verbs in kind.subresources
        ]
    return entry
