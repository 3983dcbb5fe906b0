"""Permissions that Muster needs in a cluster, and what each is for."""

from __future__ import annotations

import msgspec

REVIEWED = "default"
"""The namespace where Events about nodes are kept."""


class Need(msgspec.Struct, frozen=True, kw_only=True):
    """One right that Muster uses. `hides` is what stays unknown without it."""

    verb: str
    group: str
    resource: str
    hides: str
    in_namespace: bool = False
    """Needed in the stack's namespaces only, not everywhere."""
    namespace: str = ""
    """The one namespace it is needed in: REVIEWED, or none for everywhere."""
    optional: bool = False
    """Of no use where the API group is not installed."""


NEEDS: tuple[Need, ...] = (
    Need(verb="list", group="", resource="nodes", hides="everything: no node, no GPU, no capacity is known"),
    Need(verb="list", group="", resource="pods", hides="requested and free slots, who holds them, and the stack's pods"),
    Need(
        verb="get",
        group="",
        resource="pods/proxy",
        hides="load, memory and health of GPUs, and what model servers serve, where MUSTER_TELEMETRY is pod-proxy",
    ),
    Need(verb="list", group="apps", resource="daemonsets", hides="whether the GPU stack's DaemonSets are ready"),
    Need(
        verb="list",
        group="nvidia.com",
        resource="clusterpolicies",
        hides="how the GPU Operator is configured, and its own state",
        optional=True,
    ),
    Need(
        verb="list",
        group="nvidia.com",
        resource="nvidiadrivers",
        hides="drivers managed by NVIDIADriver objects",
        optional=True,
    ),
    Need(
        verb="get",
        group="",
        resource="configmaps",
        hides="which sharing the device plugin is configured for",
        in_namespace=True,
    ),
    Need(
        verb="list",
        group="resource.k8s.io",
        resource="resourceslices",
        hides="devices advertised through DRA, with their identities",
        optional=True,
    ),
    Need(
        verb="list",
        group="resource.k8s.io",
        resource="resourceclaims",
        hides="which DRA devices are allocated, and to which pods",
        optional=True,
    ),
    Need(verb="list", group="", resource="namespaces", hides="which namespaces a pod affinity's namespaceSelector means"),
    *(
        Need(
            verb="list",
            group=group,
            resource=resource,
            hides="whether a pod's volumes allow it on a node",
            optional=bool(group),
        )
        for group, resource in (
            ("", "persistentvolumeclaims"),
            ("", "persistentvolumes"),
            ("storage.k8s.io", "storageclasses"),
            ("storage.k8s.io", "csinodes"),
            ("storage.k8s.io", "csidrivers"),
        )
    ),
    Need(
        verb="list",
        group="node.k8s.io",
        resource="runtimeclasses",
        hides="overhead, node selector and tolerations that a RuntimeClass adds to a pod",
        optional=True,
    ),
    Need(
        verb="list",
        group="scheduling.k8s.io",
        resource="priorityclasses",
        hides="which pods a new pod may preempt",
        optional=True,
    ),
    Need(
        verb="list",
        group="resource.k8s.io",
        resource="deviceclasses",
        hides="which devices a DeviceClass means, and which extended resource stands for it",
        optional=True,
    ),
    Need(
        verb="list",
        group="resource.k8s.io",
        resource="devicetaintrules",
        hides="devices that a DeviceTaintRule keeps from the scheduler",
        optional=True,
    ),
    Need(
        verb="list",
        group="readiness.node.x-k8s.io",
        resource="nodereadinessrules",
        hides="which NodeReadinessRule keeps a node out, and for which condition",
        optional=True,
    ),
    *(
        Need(
            verb=verb,
            group=group,
            resource=resource,
            hides="the place of workloads in their queue, and which quota is short",
            optional=True,
        )
        for verb, group, resource in (
            *(("list", "kueue.x-k8s.io", kind) for kind in ("workloads", "clusterqueues", "localqueues", "resourceflavors")),
            *(("list", "kueue.x-k8s.io", kind) for kind in ("cohorts", "topologies")),
            ("get", "visibility.kueue.x-k8s.io", "clusterqueues/pendingworkloads"),
            *(("list", "scheduling.volcano.sh", kind) for kind in ("queues", "podgroups")),
            *(("list", "scheduling.run.ai", kind) for kind in ("queues", "podgroups")),
        )
    ),
    Need(
        verb="list",
        group="nvidia.com",
        resource="gpuclusters",
        hides="whether the GPU Operator runs in DRA mode, and its own state",
        optional=True,
    ),
    Need(
        verb="list",
        group="",
        resource="events",
        namespace=REVIEWED,
        hides="Xids and warnings that external monitors report only as Events",
    ),
)
