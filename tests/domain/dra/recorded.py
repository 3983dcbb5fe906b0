"""Recorded scenarios of the real scheduler: their objects through Muster's own parsers, and the filters that run before DRA."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from fleet.collectors import device_classes, device_taint_rules, resource_claims, resource_slices
from fleet.collectors.resource_slice_wires import SliceWire
from fleet.domain.dra.choices import AllocationError
from fleet.domain.dra.extended import ContainerNeed
from fleet.domain.dra.pods import ClusterDevices, PodDevices
from fleet.domain.dra.resource_pools import DraNode, Inventory
from fleet.domain.quantities import parse_quantity, parse_units
from fleet.domain.snapshot.dra import DraAllocation, DraClaim

FOLDER = Path(__file__).parents[2] / "recorded" / "scheduler" / "dra"
Raw = dict[str, Any]


def scenarios() -> Iterator[Raw]:
    for path in sorted(FOLDER.glob("*.jsonl")):
        for line in path.read_text().splitlines():
            yield json.loads(line)


class Cluster:
    """One scenario: answers pending pods in turn, each after the recorded outcome of those before."""

    def __init__(self, scenario: Raw) -> None:
        objects = scenario["objects"]
        self.nodes: list[Raw] = objects["nodes"]
        slices = [msgspec.convert(raw, SliceWire) for raw in objects["slices"]]
        rules = [device_taint_rules.parse(msgspec.convert(raw, device_taint_rules.RuleWire)) for raw in objects["rules"]]
        classes = [device_classes.parse(msgspec.convert(raw, device_classes.ClassWire)) for raw in objects["classes"]]
        self.inventory = Inventory(resource_slices.parse(slices, "v1"), [rule for rule in rules if rule])
        self.classes = classes
        self.claims: dict[tuple[str, str], Raw] = {}
        for raw in objects["claims"]:
            self.claims[raw["metadata"]["namespace"], raw["metadata"]["name"]] = raw
        self.templates = {(raw["metadata"]["namespace"], raw["metadata"]["name"]): raw for raw in objects["templates"]}
        self.made: list[Raw] = []
        self.bound: list[tuple[Raw, str]] = []

    def devices(self) -> ClusterDevices:
        allocations: list[DraAllocation] = []
        for raw in [*self.claims.values(), *self.made]:
            allocations += resource_claims.parse(msgspec.convert(raw, resource_claims.ClaimWire))
        return ClusterDevices(self.inventory, self.classes, allocations)

    def pod_devices(self, pod: Raw) -> PodDevices | None:
        """What the pod asks of DRA; None where a claim or template is not there."""
        namespace = pod["metadata"].get("namespace", "default")
        claims: list[DraClaim] = []
        for use in pod["spec"].get("resourceClaims") or ():
            if name := use.get("resourceClaimName"):
                raw = self.claims.get((namespace, name))
            else:
                template = self.templates.get((namespace, use["resourceClaimTemplateName"]))
                raw = template and {"metadata": {"name": use["name"], "namespace": namespace}, "spec": template["spec"]["spec"]}
            if raw is None:
                return None
            claims.append(resource_claims.parse_claim(msgspec.convert(raw, resource_claims.ClaimWire)))
        needs = [
            ContainerNeed(amounts=_extended(container), init=init, sidecar=init and container.get("restartPolicy") == "Always")
            for init, key in ((True, "initContainers"), (False, "containers"))
            for container in pod["spec"].get(key) or ()
        ]
        return PodDevices(claims=tuple(claims), containers=tuple(needs), namespace=namespace)

    def feasible(self, pod: Raw, devices: ClusterDevices, asked: PodDevices) -> list[str]:
        """Names of the nodes the pod may land on. Raises AllocationError."""
        return sorted(
            node["metadata"]["name"]
            for node in self.open_nodes(pod)
            if devices.check(asked, dra_node(node), plugin_of(node)).chosen is not None
        )

    def open_nodes(self, pod: Raw) -> list[Raw]:
        return [node for node in self.nodes if self._is_open(pod, node)]

    def _is_open(self, pod: Raw, node: Raw) -> bool:
        spec, labels, tolerations = pod["spec"], node["metadata"].get("labels") or {}, pod["spec"].get("tolerations") or []
        if any(labels.get(key) != value for key, value in (spec.get("nodeSelector") or {}).items()):
            return False
        taints = list(node["spec"].get("taints") or ())
        if node["spec"].get("unschedulable"):
            taints.append({"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"})
        for taint in taints:
            if taint["effect"] != "PreferNoSchedule" and not any(_tolerates(toleration, taint) for toleration in tolerations):
                return False
        return self._has_room(pod, node)

    def _has_room(self, pod: Raw, node: Raw) -> bool:
        name, listed = node["metadata"]["name"], plugin_of(node)
        free = {key: parse_quantity(text) or 0 for key, text in node["status"]["allocatable"].items()}
        for other, place in [*self.bound, (pod, name)]:
            if place == name:
                for key, amount in _requests(other).items():
                    # what the device plugin does not list may be had through DRA
                    if "/" not in key or listed.get(key):
                        free[key] = free.get(key, 0) - amount
        return all(amount >= 0 for amount in free.values())

    def apply(self, pod: Raw, answer: Raw) -> None:
        """Lets the recorded outcome happen."""
        if answer["node"] is None:
            return
        self.bound.append((pod, answer["node"]))
        namespace = pod["metadata"].get("namespace", "default")
        for claim in (answer.get("claims") or {}).values():
            made = {"metadata": {"name": "made", "namespace": namespace}, "status": {"allocation": claim["allocation"]}}
            known = self.claims.get((namespace, claim["claim"]))
            if known is None:
                self.made.append(made)
            else:
                known["status"] = {**(known.get("status") or {}), "allocation": claim["allocation"]}


def dra_node(node: Raw) -> DraNode:
    return DraNode(name=node["metadata"]["name"], labels=node["metadata"].get("labels") or {})


def plugin_of(node: Raw) -> dict[str, int]:
    return {key: parse_units(text) or 0 for key, text in node["status"]["allocatable"].items() if "/" in key}


def results(chosen: Any, claims: int) -> list[list[Raw]]:
    """Chosen devices by claim, as an allocation in a claim's status has them, without what is drawn by lot."""
    by_claim: list[list[Raw]] = [[] for _ in range(claims)]
    for item in chosen:
        result: Raw = {"request": item.request, "device": f"{item.device.driver}/{item.device.pool}/{item.device.name}"}
        if item.admin_access:
            result["adminAccess"] = True
        if item.consumed is not None:
            result["consumed"] = item.consumed
        by_claim[item.claim].append(result)
    return by_claim


def recorded_results(allocation: Raw) -> list[Raw]:
    listed = []
    for raw in allocation["devices"]["results"]:
        result: Raw = {"request": raw["request"], "device": f"{raw['driver']}/{raw['pool']}/{raw['device']}"}
        if raw.get("adminAccess"):
            result["adminAccess"] = True
        if "shareID" in raw:
            result["consumed"] = {name: parse_quantity(text) for name, text in (raw.get("consumedCapacity") or {}).items()}
        listed.append(result)
    return listed


def _extended(container: Raw) -> dict[str, int]:
    resources = container.get("resources") or {}
    amounts = {**(resources.get("limits") or {}), **(resources.get("requests") or {})}
    return {name: parse_units(str(amount)) or 0 for name, amount in amounts.items() if "/" in name}


def _requests(pod: Raw) -> dict[str, Any]:
    total: dict[str, Any] = {"pods": 1}
    for container in pod["spec"].get("containers") or ():
        resources = container.get("resources") or {}
        for name, text in {**(resources.get("limits") or {}), **(resources.get("requests") or {})}.items():
            total[name] = total.get(name, 0) + (parse_quantity(str(text)) or 0)
    return total


def _tolerates(toleration: Raw, taint: Raw) -> bool:
    if toleration.get("effect") and toleration["effect"] != taint["effect"]:
        return False
    if toleration.get("operator") == "Exists":
        return not toleration.get("key") or toleration["key"] == taint["key"]
    return toleration.get("key") == taint["key"] and toleration.get("value", "") == taint.get("value", "")


__all__ = ["AllocationError"]
