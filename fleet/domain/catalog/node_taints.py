"""Which taints only say that a node is out of service or taken for now, and which state what the node is for."""

from __future__ import annotations

from fleet.domain import labels
from fleet.domain.catalog import monitors
from fleet.domain.snapshot.nodes import Taint

_TRANSIENT = frozenset(
    {
        "DeletionCandidateOfClusterAutoscaler",
        "karpenter.sh/disruption",  # before Karpenter 1.0
        "nvidia.com/gpu-xid-error",
        "nvidia.com/gpu-nvlink-error",
        "nvidia.com/syslog-xid-error",
        "nvidia.com/gpu-error",
    }
)
_PREFIXES = (
    "node.kubernetes.io/",
    "node.cloudprovider.kubernetes.io/",
    "node.cilium.io/",
    "karpenter.sh/unregistered",
    "nvsentinel.",
    # kubernetes/autoscaler cluster-autoscaler FAQ: until a start-up task is done, or while a status lasts
    "startup-taint.cluster-autoscaler.kubernetes.io/",
    "status-taint.cluster-autoscaler.kubernetes.io/",
    "ignore-taint.cluster-autoscaler.kubernetes.io/",
)
_SUFFIX = "not-ready"
"""As agents of networks and storage write it: `ebs.csi.aws.com/agent-not-ready`, `cni.istio.io/not-ready`."""
_OUT: frozenset[monitors.Meaning] = monitors.OUT_OF_SERVICE | {"fault", "predicted"}


def is_transient(taint: Taint) -> bool:
    """Returns whether this taint goes when the node is back in service, or when it is removed: pods must not tolerate it.

    The control plane, autoscalers, agents of networks and storage, and the monitors of monitors.toml write such taints. Cordons
    and taints that reserve nodes for another scheduler are not transient: they are set on purpose.
    """
    return taint.key != labels.TAINT_UNSCHEDULABLE and _is_transient(taint.key, taint.value)


def is_lasting(taint: Taint) -> bool:
    """Returns whether this taint states what the node is for: neither transient, nor a cordon, nor the lock of a scheduler.

    Slurm's prolog locks a node while a job runs there, and every pod that does not tolerate the lock is evicted first, because
    Kubernetes and Slurm hand out GPUs without knowing of each other (CoreWeave documentation, SUNK: node locking). The lock goes
    with the job, and a pod that tolerated it would share GPUs with one.
    """
    return taint.key != labels.TAINT_UNSCHEDULABLE and not _is_transient(taint.key, taint.value) and not _is_lock(taint)


def _is_lock(taint: Taint) -> bool:
    signal = monitors.signal_of("taint", taint.key)
    return signal is not None and signal.meaning(taint.value) == "reserved"


def _is_transient(key: str, value: str) -> bool:
    if key in _TRANSIENT or key.startswith(_PREFIXES) or key.endswith(_SUFFIX):
        return True
    signal = monitors.signal_of("taint", key)
    return signal is not None and signal.meaning(value) in _OUT
