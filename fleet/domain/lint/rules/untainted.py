"""A GPU node without a taint that reserves it for GPU workloads: other pods use its CPUs and memory.

No component of the GPU stack sets such a taint; `nvidia.com/gpu` is the convention of clouds and charts; any lasting one counts.
"""

from __future__ import annotations

from fleet.domain.catalog.node_taints import is_lasting
from fleet.domain.evaluation.rules import Rule
from fleet.domain.evaluation.subject import NodeSubject
from fleet.domain.findings import Evidence, Finding, RuleResult, Severity
from fleet.domain.lint.results import answer, not_applicable
from fleet.domain.snapshot import Taint

ID = "untainted"
_KEEPS_OUT = frozenset({"NoSchedule", "NoExecute"})
# Taints for price classes or node managers: they are permanent, but do not reserve nodes for GPU workloads.
_OF_CLOUDS = (
    "karpenter.sh/",
    "eks.amazonaws.com/",
    "cloud.google.com/gke-spot",
    "cloud.google.com/gke-preemptible",
    "kubernetes.azure.com/scalesetpriority",
)


def dedicates(taint: Taint) -> bool:
    """Returns whether a taint keeps pods out permanently, unless they tolerate it."""
    return taint.effect in _KEEPS_OUT and is_lasting(taint) and not taint.key.startswith(_OF_CLOUDS)


def check(subject: NodeSubject) -> RuleResult:
    node = subject.node
    if any(dedicates(taint) for taint in node.taints):
        return answer(ID, ())
    if subject.snapshot.only_gpu_nodes:
        return not_applicable(ID, "Every node of this cluster has GPUs: other pods cannot run elsewhere.")
    taints = tuple(Evidence("taint", taint.key, f"{taint.value}:{taint.effect}".lstrip(":")) for taint in node.taints)
    key = {"amd": "amd.com/gpu", "intel": "gpu.intel.com", "habana": "habana.ai/gaudi"}.get(
        subject.devices.vendor, "nvidia.com/gpu"
    )
    finding = Finding(
        rule=ID,
        severity=Severity.INFO,
        text="No taint keeps this GPU node free for GPU workloads: pods that need none may take its CPUs and memory.",
        evidence=taints or (Evidence("taint", "taints", "none"),),
        remedy=f"Taint the node, or better its node pool: `kubectl taint node {node.name} {key}=present:NoSchedule`\n"
        "First add the toleration to the pods that must run there; the GPU Operator's pods already tolerate nvidia.com/gpu.",
    )
    return answer(ID, [finding])


RULE = Rule(id=ID, title="GPU node without a taint", severity=Severity.INFO, needs=("nodes",), check=check)
