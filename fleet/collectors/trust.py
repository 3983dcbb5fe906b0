"""Decides which pods and DaemonSets are the GPU stack: by their owner and their namespace, never by their labels alone.

Every creator of a pod can give it any label. A part of the stack is believed where its owner fits (a DaemonSet; an operator's
object for the validator's own workload pods; a Deployment for controllers) and its namespace is one of the stack's: those of
ClusterPolicies, the known defaults, and configured ones. A DaemonSet elsewhere (Helm installs device plugins and exporters in any
namespace) is believed where no part of the same kind from a namespace of the stack is on the node; the GPU Operator's validators
are not. docs/adr/0017-trusted-pods.md says why.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import msgspec

from fleet.collectors import components
from fleet.domain.snapshot import ClusterPolicySnapshot, DaemonSetSnapshot, OperatorSnapshot, PodSnapshot

DEFAULT_NAMESPACES = frozenset(
    {
        "kube-system", "gke-managed-system", "gpu-resources",
        "gpu-operator", "nvidia-gpu-operator", "gpu-operator-resources", "nvidia-device-plugin", "nvidia-dra-driver-gpu",
        "nvidia-network-operator", "node-feature-discovery", "openshift-nfd",
        "kube-amd-gpu", "openshift-amd-gpu", "amd-gpu-operator", "inteldeviceplugins-system", "habana-system",
        "hami-system", "volcano-system",
    }
)  # fmt: skip
"""Where charts, clouds and operators install by default. To create or write to these takes rights over the cluster."""

_OPERATORS_OWN = frozenset(
    {components.VALIDATOR, components.CUDA_VALIDATOR, components.PLUGIN_VALIDATOR, components.DRA_VALIDATOR, "sandbox-validator"}
)
"""Only the GPU Operator installs these, so they are where it is."""
_WORKLOADS = frozenset({components.CUDA_VALIDATOR, components.PLUGIN_VALIDATOR})
_OPERATOR_KINDS = frozenset({"ClusterPolicy", "GPUCluster", "NVIDIADriver", "DaemonSet", "Pod", ""})
_CONTROLLERS = frozenset({components.GPU_OPERATOR, components.NFD_MASTER, "nfd-gc", components.DRA_CONTROLLER})
_DAEMONS = frozenset({"DaemonSet", "Node"})
_ENOUGH_PARTS = 3
"""So many different parts in one namespace are an operator's, where no ClusterPolicy names its namespace."""


class Trust(msgspec.Struct, frozen=True, kw_only=True):
    """Where the GPU stack of one cluster lives."""

    namespaces: frozenset[str]
    of_operators: frozenset[str] = frozenset()
    """Those of them where the GPU Operator's validators are believed: not where many parts alone make a namespace the stack's."""
    strict: bool = False
    """Whether nothing outside `namespaces` is believed: they are configured."""
    daemonsets: frozenset[tuple[str, str]] | None = None
    """(namespace, name) of the stack's DaemonSets; None where they were not all read."""


def trust_of(
    operator: OperatorSnapshot, pods: Iterable[PodSnapshot] = (), configured: Iterable[str] = (), *, complete: bool = True
) -> Trust:
    """Returns the namespaces of the stack.

    `configured` are namespaces from the settings; `complete` whether policies and DaemonSets were read: else the `pods` of
    DaemonSets show where many parts are.
    """
    named = {policy.namespace for policy in operator.policies} | {item.namespace for item in operator.gpu_clusters}
    named.discard("")
    chosen = frozenset(configured)
    crowded: set[str] = set()
    if not chosen and not named:
        parts = {(entry.namespace, entry.component) for entry in operator.daemonsets}
        if not complete:
            parts |= {(pod.namespace, pod.component) for pod in pods if pod.component and pod.owner_kind == "DaemonSet"}
        crowded = _crowded(parts)
    known = named | (chosen or DEFAULT_NAMESPACES)
    # Three DaemonSets are quickly made by a tenant: with them alone no operator is installed. One is, where there is a policy.
    has_operator = not complete or bool(operator.policies or operator.gpu_clusters)
    return Trust(
        namespaces=frozenset(known | crowded),
        of_operators=frozenset(known | crowded if has_operator else known),
        strict=bool(chosen),
        daemonsets=frozenset((entry.namespace, entry.name) for entry in operator.daemonsets) if complete else None,
    )


def _crowded(parts: Iterable[tuple[str, str]]) -> set[str]:
    counted = Counter(namespace for namespace, _ in parts)
    return {namespace for namespace, number in counted.items() if number >= _ENOUGH_PARTS}


def believe_daemonsets(
    daemonsets: Sequence[DaemonSetSnapshot], policies: Iterable[ClusterPolicySnapshot]
) -> set[tuple[str, str]]:
    """Returns (namespace, name) of those whose configuration counts: of one kind, those in the stack's namespaces first."""
    trust = trust_of(OperatorSnapshot(policies=tuple(policies), daemonsets=tuple(daemonsets)))
    at_home = {entry.component for entry in daemonsets if entry.namespace in trust.namespaces and entry.desired}
    return {
        (entry.namespace, entry.name)
        for entry in daemonsets
        if entry.namespace in trust.namespaces or entry.component not in at_home
    }


def believe(pods: Iterable[PodSnapshot], trust: Trust) -> list[PodSnapshot]:
    """Returns the pods. Those that only look like a part of the stack get no component; `poses_as` has the part they claim."""
    rows = list(pods)
    at_home = {(pod.node_name, pod.component) for pod in rows if pod.component and _fits_at_home(pod, trust)}
    return [pod if not pod.component or _is_believed(pod, trust, at_home) else _unmasked(pod) for pod in rows]


def _unmasked(pod: PodSnapshot) -> PodSnapshot:
    return msgspec.structs.replace(pod, component="", poses_as=pod.component)


def _fits_at_home(pod: PodSnapshot, trust: Trust) -> bool:
    """Whether a pod of a namespace of the stack has an owner that fits its part."""
    if pod.namespace not in (trust.of_operators if pod.component in _OPERATORS_OWN else trust.namespaces):
        return False
    if pod.component in _WORKLOADS:
        return pod.owner_kind in _OPERATOR_KINDS
    if pod.component in _CONTROLLERS:
        return True
    return pod.owner_kind in _DAEMONS


def _is_believed(pod: PodSnapshot, trust: Trust, at_home: set[tuple[str, str]]) -> bool:
    if _fits_at_home(pod, trust):
        return True
    if trust.strict or pod.namespace in trust.namespaces or pod.component in _OPERATORS_OWN:
        return False
    if pod.component in _CONTROLLERS:
        return True  # proves only that such a controller runs
    if pod.owner_kind != "DaemonSet" or (pod.node_name, pod.component) in at_home:
        return False
    return trust.daemonsets is None or (pod.namespace, pod.owner_name) in trust.daemonsets
