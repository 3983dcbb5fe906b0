"""Objects of the GPU Operator besides pods: ClusterPolicy, DaemonSets, the device plugin's ConfigMap."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from fleet.simulator import managed
from fleet.simulator.flavours import Flavour
from fleet.simulator.pods import stamp
from fleet.simulator.seeds import Seed
from fleet.simulator.stack import OPERATOR_NAMESPACE, DaemonSet
from fleet.simulator.world import Node, Pod

CONFIG_MAP = "device-plugin-config"


def _metadata(name: str, seed: Seed, kind: str, created: datetime, namespace: str = "") -> dict[str, Any]:
    made = {"name": name}
    if namespace:
        made["namespace"] = namespace
    return {
        **made,
        "uid": seed.uuid(kind, namespace, name),
        "resourceVersion": "",
        "creationTimestamp": stamp(created),
    }


def namespace(name: str, seed: Seed, created: datetime) -> dict[str, Any]:
    return {
        "metadata": _metadata(name, seed, "namespace", created) | {"labels": {"kubernetes.io/metadata.name": name}},
        "spec": {"finalizers": ["kubernetes"]},
        "status": {"phase": "Active"},
    }


def cluster_policy(flavour: Flavour, seed: Seed, created: datetime, broken: Iterable[Node], strategy: str) -> dict[str, Any]:
    """The ClusterPolicy. One broken node is enough to make all of it notReady."""
    broken = list(broken)
    ready = not broken
    message = (
        "ClusterPolicy is ready as all resources have been successfully reconciled"
        if ready
        else "ClusterPolicy is not ready, states not ready: [state-device-plugin state-operator-validation]"
    )
    conditions = [
        {
            "lastTransitionTime": stamp(created),
            "message": message if ready else "",
            "reason": "Reconciled" if ready else "Error",
            "status": "True" if ready else "False",
            "type": "Ready",
        },
        {
            "lastTransitionTime": stamp(created),
            "message": "" if ready else message,
            "reason": "Ready" if ready else "OperandNotReady",
            "status": "False" if ready else "True",
            "type": "Error",
        },
    ]

    def part(repository: str, image: str, version: str) -> dict[str, Any]:
        return {
            "enabled": True,
            "image": image,
            "imagePullPolicy": "IfNotPresent",
            "repository": repository,
            "version": version,
        }

    nvcr = "nvcr.io/nvidia"
    spec: dict[str, Any] = {
        "cdi": {"default": False, "enabled": True},
        "daemonsets": {
            "priorityClassName": "system-node-critical",
            "rollingUpdate": {"maxUnavailable": "1"},
            "tolerations": [{"effect": "NoSchedule", "key": "nvidia.com/gpu", "operator": "Exists"}],
            "updateStrategy": "RollingUpdate",
        },
        "dcgm": {"enabled": False},
        "dcgmExporter": part(f"{nvcr}/k8s", "dcgm-exporter", f"{flavour.exporter}-ubuntu22.04")
        | {"serviceMonitor": {"enabled": True, "interval": "15s"}},
        "devicePlugin": part(nvcr, "k8s-device-plugin", flavour.plugin)
        | {"config": {"default": "", "name": CONFIG_MAP}, "mps": {"root": "/run/nvidia/mps"}},
        "driver": part(nvcr, "driver", flavour.driver)
        | {
            "kernelModuleType": "auto",
            "upgradePolicy": {"autoUpgrade": True, "maxParallelUpgrades": 1, "maxUnavailable": "25%"},
            "useNvidiaDriverCRD": False,
        },
        "gfd": part(nvcr, "k8s-device-plugin", flavour.plugin),
        "mig": {"strategy": strategy},
        "migManager": part(f"{nvcr}/cloud-native", "k8s-mig-manager", flavour.mig_manager)
        | {"config": {"default": "all-disabled", "name": "default-mig-parted-config"}},
        "nodeStatusExporter": {"enabled": False},
        "operator": {"defaultRuntime": "containerd", "runtimeClass": "nvidia", "use_ocp_driver_toolkit": False},
        "sandboxWorkloads": {"defaultWorkload": "container", "enabled": False},
        "toolkit": part(f"{nvcr}/k8s", "container-toolkit", flavour.toolkit) | {"installDir": "/usr/local/nvidia"},
        "validator": {"plugin": {"env": [{"name": "WITH_WORKLOAD", "value": "false"}]}},
    }
    annotations = {
        "meta.helm.sh/release-name": "gpu-operator",
        "meta.helm.sh/release-namespace": OPERATOR_NAMESPACE,
    }
    labels = {"app.kubernetes.io/component": "gpu-operator", "app.kubernetes.io/managed-by": "Helm"}
    status = {"conditions": conditions, "namespace": OPERATOR_NAMESPACE, "state": "ready" if ready else "notReady"}
    when = stamp(created) or ""
    whole = {"metadata": {"annotations": annotations, "labels": labels}, "spec": spec}
    metadata = _metadata("cluster-policy", seed, "clusterpolicy", created) | {
        "annotations": annotations,
        "generation": 1,
        "labels": labels,
        "managedFields": [
            managed.entry("gpu-operator", {"status": status}, when, "nvidia.com/v1", "status"),
            managed.entry("helm", whole, when, "nvidia.com/v1"),
        ],
    }
    return {"apiVersion": "nvidia.com/v1", "kind": "ClusterPolicy", "metadata": metadata, "spec": spec, "status": status}


def plugin_config(texts: dict[str, str], seed: Seed, created: datetime) -> dict[str, Any]:
    """The ConfigMap of which a node's label nvidia.com/device-plugin.config chooses one key."""
    metadata = _metadata(CONFIG_MAP, seed, "configmap", created, OPERATOR_NAMESPACE)
    entry = managed.entry("helm", {"data": texts}, stamp(created) or "")
    return {"metadata": metadata | {"managedFields": [entry]}, "data": texts}


def plugin_config_text(node: Node) -> str:
    """The device plugin's configuration that makes a node share as it does."""
    lines = ["version: v1", "flags:", f"  migStrategy: {node.strategy}"]
    if node.replicas > 1:
        how = "mps" if node.sharing == "mps" else "timeSlicing"
        names = sorted({slot.resource.removesuffix(".shared") for slot in node.slots()}) or ["nvidia.com/gpu"]
        lines += ["sharing:", f"  {how}:", f"    renameByDefault: {str(node.renamed).lower()}"]
        if how == "timeSlicing":
            lines.append("    failRequestsGreaterThanOne: false")
        lines.append("    resources:")
        for name in names:
            lines += [f"    - name: {name}", f"      replicas: {node.replicas}"]
    return "\n".join(lines) + "\n"


def daemon_set(daemon: DaemonSet, pods: Iterable[Pod], seed: Seed, created: datetime) -> dict[str, Any]:
    """A DaemonSet with the counts of its pods."""
    template = daemon.template
    pods = list(pods)
    ready = sum(pod.ready and pod.phase == "Running" for pod in pods)
    labels = {"app": template.name}
    annotations = {"deprecated.daemonset.template.generation": "1"}
    plain = template.plain_spec
    pod_spec = {key: value for key, value in plain.items() if key not in ("priority", "preemptionPolicy", "enableServiceLinks")}
    strategy: dict[str, Any] = {"type": "OnDelete"}
    if not daemon.on_delete:
        strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1, "maxSurge": 0}}
    spec = {
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": template.labels}, "spec": pod_spec},
        "updateStrategy": strategy,
        "revisionHistoryLimit": 10,
    }
    status: dict[str, Any] = {
        "currentNumberScheduled": len(pods),
        "numberMisscheduled": 0,
        "desiredNumberScheduled": len(pods),
        "numberReady": ready,
        "observedGeneration": 1,
        "updatedNumberScheduled": len(pods),
    }
    if ready:
        status["numberAvailable"] = ready
    if ready < len(pods):
        status["numberUnavailable"] = len(pods) - ready
    metadata = _metadata(template.name, seed, "daemonset-object", created, template.namespace)
    metadata |= {"uid": template.owner_uid, "generation": 1, "labels": labels, "annotations": annotations}
    part = {"metadata": {"annotations": annotations, "labels": labels}, "spec": spec}
    maker = "gpu-operator" if template.namespace == OPERATOR_NAMESPACE else "helm"
    metadata["managedFields"] = [managed.entry(maker, part, stamp(created) or "", "apps/v1")]
    return {"metadata": metadata, "spec": spec, "status": status}
