"""Pod templates: what the pods of one DaemonSet, Deployment or Job have in common, encoded once and shared by all of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import msgspec

from fleet.simulator import managed

_POD_IP = "0.0.0.1"
_SHARED_MEMORY = "/dev/shm"  # noqa: S108 — a path inside a simulated container
_OWNER_API = {"DaemonSet": "apps/v1", "ReplicaSet": "apps/v1", "StatefulSet": "apps/v1", "Job": "batch/v1"}


def raw(value: Any) -> msgspec.Raw:
    """A part encoded now, to be copied into many objects."""
    return msgspec.Raw(msgspec.json.encode(value))


@dataclass(frozen=True, slots=True)
class Container:
    """One container of a template. `sidecar`: an init container that keeps running (restartPolicy: Always)."""

    name: str
    image: str
    requests: dict[str, str] = field(default_factory=dict)
    extended: dict[str, int] = field(default_factory=dict)
    """Extended resources asked for; request and limit are the same, as the API demands."""
    args: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    port: int = 0
    port_name: str = "http"
    sidecar: bool = False
    privileged: bool = False
    claims: tuple[str, ...] = ()


@dataclass
class Template:
    """A pod template and its owner. Pods made of it differ in name, node, address, age and state only."""

    name: str
    namespace: str
    owner_kind: str
    owner_name: str
    owner_uid: str
    labels: dict[str, str]
    containers: tuple[Container, ...]
    init: tuple[Container, ...] = ()
    annotations: dict[str, str] = field(default_factory=dict)
    node_selector: dict[str, str] = field(default_factory=dict)
    tolerations: tuple[tuple[str, str], ...] = (("nvidia.com/gpu", "NoSchedule"),)
    priority_class: str = ""
    runtime_class: str = ""
    restart_policy: str = "Always"
    host_paths: tuple[str, ...] = ()
    shared_memory: bool = False
    workload: str = ""
    """Its use of a GPU: train, infer, notebook; empty for pods of the cluster itself."""
    time: str = "2026-11-20T08:15:55Z"

    @property
    def daemon(self) -> bool:
        return self.owner_kind == "DaemonSet"

    @property
    def main(self) -> Container:
        return self.containers[0]

    def owner(self) -> list[dict[str, Any]]:
        if not self.owner_kind:
            return []
        return [
            {
                "apiVersion": _OWNER_API[self.owner_kind],
                "kind": self.owner_kind,
                "name": self.owner_name,
                "uid": self.owner_uid,
                "controller": True,
                "blockOwnerDeletion": True,
            }
        ]

    @cached_property
    def spec(self) -> dict[str, Any]:
        """The spec without nodeName and affinity, its large parts encoded already."""
        plain = self.plain_spec
        heavy = ("volumes", "initContainers", "containers", "tolerations")
        return {key: raw(value) if key in heavy else value for key, value in plain.items()}

    @cached_property
    def plain_spec(self) -> dict[str, Any]:
        volumes = self._volumes()
        spec: dict[str, Any] = {"volumes": volumes}
        if self.init:
            spec["initContainers"] = [self._container(container) for container in self.init]
        spec["containers"] = [self._container(container) for container in self.containers]
        spec |= {
            "restartPolicy": self.restart_policy,
            "terminationGracePeriodSeconds": 30,
            "dnsPolicy": "ClusterFirst",
        }
        if self.node_selector:
            spec["nodeSelector"] = self.node_selector
        spec |= {
            "serviceAccountName": "default",
            "serviceAccount": "default",
            "securityContext": {},
            "schedulerName": "default-scheduler",
            "tolerations": self.tolerations_json(),
            "priority": 2000001000 if self.priority_class == "system-node-critical" else 0,
            "enableServiceLinks": True,
            "preemptionPolicy": "PreemptLowerPriority",
        }
        if self.priority_class:
            spec["priorityClassName"] = self.priority_class
        if self.runtime_class:
            spec["runtimeClassName"] = self.runtime_class
        return spec

    def tolerations_json(self) -> list[dict[str, Any]]:
        wanted: list[dict[str, Any]] = [{"key": key, "operator": "Exists", "effect": effect} for key, effect in self.tolerations]
        for state in ("not-ready", "unreachable"):
            entry: dict[str, Any] = {"key": f"node.kubernetes.io/{state}", "operator": "Exists", "effect": "NoExecute"}
            if not self.daemon:
                entry["tolerationSeconds"] = 300
            wanted.append(entry)
        if self.daemon:
            for state in ("disk-pressure", "memory-pressure", "pid-pressure", "unschedulable"):
                wanted.append({"key": f"node.kubernetes.io/{state}", "operator": "Exists", "effect": "NoSchedule"})
        return wanted

    def _volumes(self) -> list[dict[str, Any]]:
        volumes: list[dict[str, Any]] = [
            {"name": _volume_name(path), "hostPath": {"path": path, "type": ""}} for path in self.host_paths
        ]
        if self.shared_memory:
            volumes.append({"name": "shm", "emptyDir": {"medium": "Memory"}})
            volumes.append({"name": "data", "persistentVolumeClaim": {"claimName": f"data-{self.name}"}})
        volumes.append(
            {
                "name": f"kube-api-access-{self.owner_uid[:5] or 'none'}",
                "projected": {
                    "sources": [
                        {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
                        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
                        {
                            "downwardAPI": {
                                "items": [
                                    {
                                        "path": "namespace",
                                        "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"},
                                    }
                                ]
                            }
                        },
                    ],
                    "defaultMode": 420,
                },
            }
        )
        return volumes

    def _container(self, container: Container) -> dict[str, Any]:
        made: dict[str, Any] = {"name": container.name, "image": container.image}
        if container.command:
            made["command"] = list(container.command)
        if container.args:
            made["args"] = list(container.args)
        if container.port:
            made["ports"] = [{"name": container.port_name, "containerPort": container.port, "protocol": "TCP"}]
        env: list[dict[str, Any]] = [{"name": name, "value": value} for name, value in container.env]
        if env:
            field_ref = {"apiVersion": "v1", "fieldPath": "spec.nodeName"}
            env.append({"name": "NODE_NAME", "valueFrom": {"fieldRef": field_ref}})
            made["env"] = env
        made["resources"] = _resources(container)
        if container.sidecar:
            made["restartPolicy"] = "Always"
        mounts: list[dict[str, Any]] = [
            {"name": _volume_name(path), "mountPath": path, "mountPropagation": "HostToContainer"} for path in self.host_paths
        ]
        if self.shared_memory:
            mounts += [{"name": "shm", "mountPath": _SHARED_MEMORY}, {"name": "data", "mountPath": "/data"}]
        access = f"kube-api-access-{self.owner_uid[:5] or 'none'}"
        mounts.append({"name": access, "readOnly": True, "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"})
        made["volumeMounts"] = mounts
        made |= {
            "terminationMessagePath": "/dev/termination-log",
            "terminationMessagePolicy": "File",
            "imagePullPolicy": "IfNotPresent",
        }
        if container.privileged:
            made["securityContext"] = {"privileged": True}
        return made

    @cached_property
    def _managed(self) -> bytes:
        """ManagedFields of a running pod, with a stand-in for its address."""
        metadata: dict[str, Any] = {"labels": self.labels, "ownerReferences": self.owner()}
        if self.annotations:
            metadata["annotations"] = self.annotations
        spec = {**self.plain_spec, "nodeName": ""}
        maker = "kube-controller-manager" if self.daemon else "kube-scheduler"
        condition = {"lastProbeTime": None, "lastTransitionTime": "", "status": "", "type": ""}
        status: dict[str, Any] = {
            "conditions": [
                {**condition, "type": kind}
                for kind in ("ContainersReady", "Initialized", "PodReadyToStartContainers", "PodScheduled", "Ready")
            ],
            "containerStatuses": [],
            "hostIP": "",
            "hostIPs": [],
            "phase": "",
            "podIP": "",
            "podIPs": [{"ip": _POD_IP}],
            "startTime": "",
        }
        entries = [
            managed.entry(maker, {"metadata": metadata, "spec": spec}, self.time),
            managed.entry("kubelet", {"status": status}, self.time, subresource="status"),
        ]
        return msgspec.json.encode(entries)

    def managed_fields(self, ip: str) -> msgspec.Raw:
        return msgspec.Raw(self._managed.replace(_POD_IP.encode(), ip.encode()) if ip else self._managed)


def _resources(container: Container) -> dict[str, Any]:
    extended = {name: str(count) for name, count in container.extended.items()}
    made: dict[str, Any] = {}
    if container.requests or extended:
        made["limits"] = {**container.requests, **extended}
        made["requests"] = {**container.requests, **extended}
    if container.claims:
        made["claims"] = [{"name": name} for name in container.claims]
    return made


def _volume_name(path: str) -> str:
    return path.strip("/").replace("/", "-").replace("_", "-") or "host-root"
