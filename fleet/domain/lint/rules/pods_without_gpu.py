"""Pods without GPU requests on a GPU node, DaemonSets aside: they use CPUs and memory that GPU pods need.

One finding for a node, with a rough number, so that pods that come and go do not change it.
"""

from __future__ import annotations

from collections.abc import Iterable

from fleet.domain.evaluation.rules import Rule
from fleet.domain.evaluation.subject import NodeSubject
from fleet.domain.findings import Evidence, Finding, RuleResult, Severity
from fleet.domain.lint.results import answer, asks_for_gpu
from fleet.domain.pod_resources import holds
from fleet.domain.snapshot import PodSnapshot

ID = "pods_without_gpu"
LASTS_S = 300
"""Minimum age of such a pod: short jobs are ignored."""
_DAEMONS = frozenset({"DaemonSet", "Node"})
_STEPS = (1, 2, 5, 10, 20, 50)
_MOST_NAMED = 5


def without_gpu(pods: Iterable[PodSnapshot]) -> list[PodSnapshot]:
    """Returns the workloads among these that use their node and request no GPU, neither by resource nor by claim."""
    return [pod for pod in pods if holds(pod) and not pod.component and pod.owner_kind not in _DAEMONS and not asks_for_gpu(pod)]


def about(number: int) -> str:
    """Returns a rough number that stays stable: `1`, `2 to 4`, `5 to 9` … `50 or more`."""
    low = max(step for step in _STEPS if step <= number)
    higher = [step for step in _STEPS if step > low]
    if not higher:
        return f"{low} or more"
    return str(low) if higher[0] == low + 1 else f"{low} to {higher[0] - 1}"


def check(subject: NodeSubject) -> RuleResult:
    result = without_gpu(subject.pods)
    if not result:
        return answer(ID, ())
    namespaces = sorted({pod.namespace for pod in result})
    finding = Finding(
        rule=ID,
        severity=Severity.INFO,
        text=f"Pods that request no GPU run on this GPU node ({about(len(result))}, daemons aside).",
        evidence=(
            Evidence("pod", "pods without a GPU", about(len(result))),
            *(Evidence("pod", "namespace", namespace) for namespace in namespaces[:_MOST_NAMED]),
            *(
                (Evidence("pod", "further namespaces", about(len(namespaces) - _MOST_NAMED)),)
                if len(namespaces) > _MOST_NAMED
                else ()
            ),
        ),
        remedy="Taint the node, so that only pods that tolerate it land there; those that run leave with their next restart.\n"
        "If one of them uses a GPU, it must request one.",
        sustain_s=LASTS_S,
    )
    return answer(ID, [finding])


RULE = Rule(id=ID, title="Pods without a GPU on a GPU node", severity=Severity.INFO, needs=("nodes", "pods"), check=check)
