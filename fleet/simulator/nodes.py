"""A node as the API shows it: about 25 kB, a third of it managedFields, a quarter images, as on a real cluster."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

import msgspec

from fleet.simulator import managed
from fleet.simulator.flavours import Flavour
from fleet.simulator.labels import NFD, node_labels
from fleet.simulator.pods import stamp
from fleet.simulator.seeds import Seed
from fleet.simulator.templates import raw
from fleet.simulator.world import Node

_OPERATOR = ("nvidia.com/gpu.deploy.", "nvidia.com/gpu.present", "nvidia.com/gpu-driver-upgrade-state")
_QUIET_CONDITIONS = (
    ("MemoryPressure", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
    ("DiskPressure", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
    ("PIDPressure", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
    ("KernelDeadlock", "KernelHasNoDeadlock", "kernel has no deadlock"),
    ("ReadonlyFilesystem", "FilesystemIsNotReadOnly", "Filesystem is not read-only"),
)


class NodeRenderer:
    """Renders the nodes of one cluster and keeps the parts they share encoded."""

    def __init__(self, flavour: Flavour, seed: Seed, images: dict[bool, msgspec.Raw], written: datetime) -> None:
        self.flavour = flavour
        self.written = stamp(written) or ""
        self.seed = seed
        self.images = images
        self._parts: dict[tuple[object, ...], msgspec.Raw] = {}

    def render(self, node: Node) -> dict[str, Any]:
        """The node's JSON."""
        labels = node_labels(node, self.flavour, self.seed)
        annotations = self._annotations(node, labels)
        spec = self._spec(node)
        status = self._status(node)
        metadata: dict[str, Any] = {
            "name": node.name,
            "uid": node.uid,
            "resourceVersion": "",
            "creationTimestamp": stamp(node.created),
            "labels": labels,
            "annotations": annotations,
            "managedFields": self._managed(node, labels, annotations, spec, status),
        }
        return {"metadata": metadata, "spec": spec, "status": status}

    def _annotations(self, node: Node, labels: dict[str, str]) -> dict[str, str]:
        instance = self.seed.hex(17, "instance", node.name)
        drivers = {
            "eks": f'{{"ebs.csi.aws.com":"i-{instance}","efs.csi.aws.com":"i-{instance}"}}',
            "gke": f'{{"pd.csi.storage.gke.io":"projects/example-ml-prod/zones/{node.zone}/instances/{node.name}"}}',
            "kubeadm": f'{{"rook-ceph.rbd.csi.ceph.com":"{node.name}"}}',
            "dra": f'{{"rook-ceph.rbd.csi.ceph.com":"{node.name}"}}',
        }
        made = {
            "alpha.kubernetes.io/provided-node-ip": node.ip,
            "csi.volume.kubernetes.io/nodeid": drivers[self.flavour.name],
            "node.alpha.kubernetes.io/ttl": "15",
            "volumes.kubernetes.io/controller-managed-attach-detach": "true",
        }
        if self.flavour.cni == "cilium":
            made["network.cilium.io/ipv4-cilium-host"] = f"10.128.{node.number % 250}.87"
            made["network.cilium.io/ipv4-pod-cidr"] = self._pod_cidr(node)
        if self.flavour.operator and node.stack != "bare":
            features = [key.removeprefix(NFD) for key in labels if _is_discovered(key)]
            made["nfd.node.kubernetes.io/feature-labels"] = ",".join(features)
        if node.stack == "operator" and not node.leftover:
            made["nvidia.com/gpu-driver-upgrade-enabled"] = "true"
        return dict(sorted(made.items()))

    def _pod_cidr(self, node: Node) -> str:
        return f"10.{128 + node.number // 250}.{node.number % 250}.0/24"

    def _spec(self, node: Node) -> dict[str, Any]:
        cidr = self._pod_cidr(node)
        spec: dict[str, Any] = {"podCIDR": cidr, "podCIDRs": [cidr]}
        provider = self.flavour.provider_id(node.name, node.zone, self.seed)
        if provider:
            spec["providerID"] = provider
        taints: list[dict[str, Any]] = [dict(taint) for taint in node.taints]
        if node.cordoned:
            spec["unschedulable"] = True
            taints.append(_timed("node.kubernetes.io/unschedulable", "NoSchedule", node.cordoned_at))
        if node.ready != "True":
            state = "unreachable" if node.ready == "Unknown" else "not-ready"
            taints.append(_timed(f"node.kubernetes.io/{state}", "NoSchedule", node.ready_since))
            taints.append(_timed(f"node.kubernetes.io/{state}", "NoExecute", node.ready_since))
        if taints:
            spec["taints"] = taints
        return spec

    def _status(self, node: Node) -> dict[str, Any]:
        machine = node.machine
        reserved_kib = 11_000_000 if machine.gpus else 3_000_000
        shared = {"hugepages-1Gi": "0", "hugepages-2Mi": machine.hugepages, "pods": "250", **machine.extra}
        capacity = {
            "cpu": str(machine.cpus),
            "ephemeral-storage": "524025836Ki",
            "memory": f"{machine.memory_kib}Ki",
            **shared,
            **{name: str(count) for name, count in node.capacity().items()},
        }
        allocatable = {
            "cpu": f"{machine.cpus * 1000 - 230}m",
            "ephemeral-storage": "481868468146",
            "memory": f"{machine.memory_kib - reserved_kib}Ki",
            **shared,
            **{name: str(count) for name, count in node.allocatable().items()},
        }
        return {
            "capacity": dict(sorted(capacity.items())),
            "allocatable": dict(sorted(allocatable.items())),
            "conditions": self._conditions(node),
            "addresses": [
                {"type": "InternalIP", "address": node.ip},
                {"type": "InternalDNS", "address": node.name},
                {"type": "Hostname", "address": node.name},
            ],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
            "nodeInfo": self._info(node),
            "images": self.images[bool(node.gpus)],
            "runtimeHandlers": self._shared("handlers", _runtime_handlers),
            "features": {"supplementalGroupsPolicy": True},
        }

    def _info(self, node: Node) -> dict[str, str]:
        return {
            "machineID": self.seed.hex(32, "machine", node.uid),
            "systemUUID": self.seed.uuid("system", node.uid),
            "bootID": self.seed.uuid("boot", node.uid, node.booted),
            "kernelVersion": self.flavour.kernel,
            "osImage": self.flavour.os_image,
            "containerRuntimeVersion": self.flavour.runtime,
            "kubeletVersion": self.flavour.version,
            "kubeProxyVersion": "",
            "operatingSystem": "linux",
            "architecture": node.machine.arch,
        }

    def _conditions(self, node: Node) -> list[dict[str, Any]]:
        beat, boot = node.heartbeat, stamp(node.booted)
        heartbeat = stamp(beat)
        network = "Cilium is running on this node" if self.flavour.cni == "cilium" else "the network of this node is set up"
        made = [_condition("NetworkUnavailable", "False", boot, boot, "NetworkIsUp", network)]
        lost = node.ready == "Unknown"
        for kind, reason, message in _QUIET_CONDITIONS:
            if lost and kind in ("MemoryPressure", "DiskPressure", "PIDPressure"):
                silent = "Kubelet stopped posting node status."
                made.append(_condition(kind, "Unknown", heartbeat, stamp(node.ready_since), "NodeStatusUnknown", silent))
            else:
                made.append(_condition(kind, "False", heartbeat, boot, reason, message))
        for extra in node.conditions:
            made.append(
                _condition(extra["type"], extra["status"], heartbeat, extra.get("since", boot), extra["reason"], extra["message"])
            )
        since = stamp(node.ready_since or node.booted + timedelta(minutes=1))
        if node.ready == "True":
            made.append(_condition("Ready", "True", heartbeat, since, "KubeletReady", "kubelet is posting ready status"))
        elif lost:
            silent = "Kubelet stopped posting node status."
            made.append(_condition("Ready", "Unknown", heartbeat, since, "NodeStatusUnknown", silent))
        else:
            message = "container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady"
            made.append(_condition("Ready", "False", heartbeat, since, "KubeletNotReady", message))
        return made

    def _shared(self, name: str, make: Any, *key: object) -> msgspec.Raw:
        part = self._parts.get((name, *key))
        if part is None:
            part = self._parts[(name, *key)] = raw(make())
        return part

    def _managed(
        self,
        node: Node,
        labels: dict[str, str],
        annotations: dict[str, str],
        spec: dict[str, Any],
        status: dict[str, Any],
    ) -> list[Any]:
        time = self.written
        operator = tuple(key for key in labels if key.startswith(_OPERATOR))
        discovered = tuple(key for key in labels if _is_discovered(key))
        taken = {*operator, *discovered}
        other = tuple(key for key in labels if key not in taken)
        made: list[Any] = []
        if operator:
            upgrade = {key: "" for key in annotations if key.startswith("nvidia.com/")}
            part = {"metadata": {"annotations": upgrade, "labels": dict.fromkeys(operator, "")}}
            made.append(self._shared("operator", lambda: managed.entry("gpu-operator", part, time), operator))
        own = {key: "" for key in annotations if not key.startswith(("nfd.", "nvidia.com/"))}
        kubelet = {"metadata": {"annotations": own, "labels": dict.fromkeys(other, "")}}
        metadata_entry = managed.entry("kubelet", kubelet, time)
        metadata_entry["fieldsV1"]["f:spec"] = managed.fields(spec, 1)
        made.append(metadata_entry)
        if discovered:
            feature = {"metadata": {"annotations": {"nfd.node.kubernetes.io/feature-labels": ""}, "labels": {}}}
            feature["metadata"]["labels"] = dict.fromkeys(discovered, "")
            made.append(self._shared("nfd", lambda: managed.entry("nfd-master", feature, time), discovered))
        light = {key: value for key, value in status.items() if key not in ("images", "runtimeHandlers")}
        light |= {"images": [], "runtimeHandlers": []}
        key = (tuple(status["capacity"]), tuple(entry["type"] for entry in status["conditions"]))
        made.append(self._shared("status", lambda: managed.entry("kubelet", {"status": light}, time, subresource="status"), *key))
        return made


@lru_cache(maxsize=4096)
def _is_discovered(key: str) -> bool:
    if key.startswith(NFD):
        return True
    return key.startswith("nvidia.com/") and not key.startswith(_OPERATOR) and key != "nvidia.com/device-plugin.config"


def _runtime_handlers() -> list[dict[str, Any]]:
    features = {"recursiveReadOnlyMounts": True, "userNamespaces": True}
    return [{"name": name, "features": features} for name in ("", "nvidia", "runc")]


def _timed(key: str, effect: str, since: datetime | None) -> dict[str, Any]:
    made: dict[str, Any] = {"key": key, "effect": effect}
    if since:
        made["timeAdded"] = stamp(since)
    return made


def _condition(kind: str, status: str, heartbeat: str | None, since: str | None, reason: str, message: str) -> dict[str, Any]:
    return {
        "type": kind,
        "status": status,
        "lastHeartbeatTime": heartbeat,
        "lastTransitionTime": since,
        "reason": reason,
        "message": message,
    }
