"""A pod that carries the labels of a part of the GPU stack, but not its owner or its namespace: it is not used as evidence."""

from __future__ import annotations

from fleet.domain.evaluation.rules import Rule
from fleet.domain.evaluation.subject import NodeSubject
from fleet.domain.findings import Evidence, Finding, RuleResult, Severity
from fleet.domain.lint.results import answer, owner_of
from fleet.domain.pod_resources import holds
from fleet.domain.snapshot import PodSnapshot

ID = "gpu_stack_impostor"
_LONGEST_NAME = 120


def check(subject: NodeSubject) -> RuleResult:
    """Returns one finding for each owner of such pods.

    A second DaemonSet beside the stack's own is information: it may be installed on purpose; a pod without a DaemonSet is a
    warning.
    """
    impostors = {owner_of(pod): pod for pod in subject.pods if pod.poses_as and holds(pod)}
    return answer(ID, [_finding(key, impostors[key]) for key in sorted(impostors)])


def _finding(key: str, pod: PodSnapshot) -> Finding:
    owner = f"{pod.owner_kind} {pod.owner_name}" if pod.owner_kind else "no owner"
    return Finding(
        rule=ID,
        severity=Severity.INFO if pod.owner_kind == "DaemonSet" else Severity.WARNING,
        text=f"{key[:_LONGEST_NAME]} is labelled as {pod.poses_as} but is not part of the GPU stack. Muster ignores its data.",
        key=key,
        subject="pod",
        evidence=(
            Evidence("pod", "claims to be", pod.poses_as),
            Evidence("pod", "owner", owner),
            Evidence("pod", "namespace", pod.namespace),
        ),
        remedy=f"kubectl get pod -n {pod.namespace} {pod.name} -o yaml shows who created it; remove its labels or the pod.\n"
        "If it belongs to the GPU stack, run it as a DaemonSet and add its namespace to MUSTER_GPU_STACK_NAMESPACES.",
    )


RULE = Rule(id=ID, title="GPU stack impostor", severity=Severity.WARNING, needs=("nodes", "pods"), check=check)
