"""Pods that ask for no GPU on a GPU node, daemons aside: they take the CPUs and memory that GPU pods will miss.

One finding for a node, with a rough number, so that pods that come and go do not change it.
"""

from __future__ import annotations

from collections.abc import Iterable

from fleet.domain.findings import Evidence, Finding, RuleResult, Severity
from fleet.domain.lint.answers import answer, asks_for_gpu
from fleet.domain.requests import holds
from fleet.domain.rules import Rule
from fleet.domain.snapshot import PodSnapshot
from fleet.domain.subject import NodeSubject

ID = "pods_without_gpu"
LASTS_S = 300
"""A job of a minute is no tenant."""
_DAEMONS = frozenset({"DaemonSet", "Node"})
_STEPS = (1, 2, 5, 10, 20, 50)
_MOST_NAMED = 5


def without_gpu(pods: Iterable[PodSnapshot]) -> list[PodSnapshot]:
    """Workloads among these that occupy their node and ask for no GPU, neither by resource nor by claim."""
    return [pod for pod in pods if holds(pod) and not pod.component and pod.owner_kind not in _DAEMONS and not asks_for_gpu(pod)]


def about(number: int) -> str:
    """A number that does not wobble: `1`, `2 to 4`, `5 to 9` … `50 or more`."""
    low = max(step for step in _STEPS if step <= number)
    higher = [step for step in _STEPS if step > low]
    if not higher:
        return f"{low} or more"
    return str(low) if higher[0] == low + 1 else f"{low} to {higher[0] - 1}"


def check(subject: NodeSubject) -> RuleResult:
    found = without_gpu(subject.pods)
    if not found:
        return answer(ID, ())
    namespaces = sorted({pod.namespace for pod in found})
    finding = Finding(
        rule=ID,
        severity=Severity.INFO,
        text=f"Pods that ask for no GPU run on this GPU node ({about(len(found))}, daemons aside).",
        evidence=(
            Evidence("pod", "pods without a GPU", about(len(found))),
            *(Evidence("pod", "namespace", namespace) for namespace in namespaces[:_MOST_NAMED]),
            *(
                (Evidence("pod", "further namespaces", about(len(namespaces) - _MOST_NAMED)),)
                if len(namespaces) > _MOST_NAMED
                else ()
            ),
        ),
        remedy="Taint the node, so that only pods that tolerate it land there; those that run leave with their next restart.\n"
        "If one of them does compute on a GPU, it must ask for one.",
        sustain_s=LASTS_S,
    )
    return answer(ID, [finding])


RULE = Rule(id=ID, title="Pods without a GPU on a GPU node", needs=("nodes", "pods"), check=check)
