"""A workload that can reach the node's GPUs without holding one: privileged, or with NVIDIA_VISIBLE_DEVICES set.

The toolkit hands out what NVIDIA_VISIBLE_DEVICES names; `void`, `none` and the empty text name nothing. The GPU stack's own
parts and DaemonSets are left out: seeing every card is their work.
"""

from __future__ import annotations

from fleet.domain.findings import Evidence, Finding, RuleResult, Severity
from fleet.domain.lint.answers import answer, asks_for_gpu, owner_of
from fleet.domain.requests import holds
from fleet.domain.rules import Rule
from fleet.domain.snapshot import ContainerSnapshot, PodSnapshot
from fleet.domain.subject import NodeSubject

ID = "device_bypass"
_DAEMONS = frozenset({"DaemonSet", "Node"})
_NOTHING = frozenset({"", "void", "none"})


def check(subject: NodeSubject) -> RuleResult:
    findings: dict[str, Finding] = {}
    for pod in subject.pods:
        if pod.component or pod.owner_kind in _DAEMONS or not holds(pod):
            continue
        evidence = tuple(one for container in pod.containers for one in _reaches(pod, container))
        if evidence and not asks_for_gpu(pod):
            key = owner_of(pod)
            findings[key] = _finding(pod, key, evidence)
    return answer(ID, [findings[key] for key in sorted(findings)])


def _reaches(pod: PodSnapshot, container: ContainerSnapshot) -> list[Evidence]:
    if container.state == "terminated":
        return []
    found = []
    if container.visible_devices not in _NOTHING:
        found.append(Evidence("pod", f"{container.name} NVIDIA_VISIBLE_DEVICES", container.visible_devices))
    if container.privileged:
        found.append(Evidence("pod", f"{container.name} securityContext.privileged", "true"))
    return found


def _finding(pod: PodSnapshot, key: str, evidence: tuple[Evidence, ...]) -> Finding:
    asked = any("NVIDIA_VISIBLE_DEVICES" in one.key for one in evidence)
    name = f"{pod.namespace}/{pod.owner_name or pod.name}"
    return Finding(
        rule=ID,
        severity=Severity.WARNING if asked else Severity.INFO,
        text=f"{name} is given GPUs by NVIDIA_VISIBLE_DEVICES without requesting any: the scheduler does not know."
        if asked
        else f"{name} is privileged and holds no GPU: it can use every card of the node without requesting one.",
        key=key,
        subject="pod",
        evidence=evidence,
        remedy="Let it request the GPUs it uses, and take NVIDIA_VISIBLE_DEVICES out of its environment.\n"
        "The toolkit can refuse the variable to pods that are not privileged: "
        "accept-nvidia-visible-devices-envvar-when-unprivileged = false, with device lists as volume mounts."
        if asked
        else "Run it without privileges, or keep it off GPU nodes by a taint.",
    )


RULE = Rule(id=ID, title="Pod reaches GPUs it does not hold", needs=("nodes", "pods"), check=check)
