"""A workload that can access the node's GPUs without requesting one: privileged, or with NVIDIA_VISIBLE_DEVICES set.

The toolkit grants what NVIDIA_VISIBLE_DEVICES names; `void`, `none` and the empty text name nothing. The GPU stack's own
components and DaemonSets are left out: they need every GPU.
"""

from __future__ import annotations

from fleet.domain.evaluation.rules import Rule
from fleet.domain.evaluation.subject import NodeSubject
from fleet.domain.findings import Evidence, Finding, RuleResult, Severity
from fleet.domain.lint.results import answer, asks_for_gpu, owner_of
from fleet.domain.pod_resources import holds
from fleet.domain.snapshot import ContainerSnapshot, PodSnapshot

ID = "device_bypass"
_DAEMONS = frozenset({"DaemonSet", "Node"})
_NOTHING = frozenset({"", "void", "none"})


def check(subject: NodeSubject) -> RuleResult:
    findings: dict[str, Finding] = {}
    for pod in subject.pods:
        if pod.component or pod.owner_kind in _DAEMONS or not holds(pod):
            continue
        evidence = tuple(reach for container in pod.containers for reach in _reaches(pod, container))
        if evidence and not asks_for_gpu(pod):
            key = owner_of(pod)
            findings[key] = _finding(pod, key, evidence)
    return answer(ID, [findings[key] for key in sorted(findings)])


def _reaches(pod: PodSnapshot, container: ContainerSnapshot) -> list[Evidence]:
    if container.state == "terminated":
        return []
    reaches = []
    if container.visible_devices not in _NOTHING:
        reaches.append(Evidence("pod", f"{container.name} NVIDIA_VISIBLE_DEVICES", container.visible_devices))
    if container.privileged:
        reaches.append(Evidence("pod", f"{container.name} securityContext.privileged", "true"))
    return reaches


def _finding(pod: PodSnapshot, key: str, evidence: tuple[Evidence, ...]) -> Finding:
    asked = any("NVIDIA_VISIBLE_DEVICES" in item.key for item in evidence)
    name = f"{pod.namespace}/{pod.owner_name or pod.name}"
    return Finding(
        rule=ID,
        severity=Severity.WARNING if asked else Severity.INFO,
        text=f"{name} gets GPUs through NVIDIA_VISIBLE_DEVICES without requesting any: the scheduler does not count them."
        if asked
        else f"{name} is privileged and has no GPU: it can use every GPU of the node without requesting one.",
        key=key,
        subject="pod",
        evidence=evidence,
        remedy="Request the GPUs it uses, and remove NVIDIA_VISIBLE_DEVICES from its environment.\n"
        "The toolkit can refuse the variable to pods that are not privileged: "
        "accept-nvidia-visible-devices-envvar-when-unprivileged = false, with device lists as volume mounts."
        if asked
        else "Run it without privileges, or keep it off GPU nodes by a taint.",
    )


RULE = Rule(id=ID, title="Pod accesses GPUs it did not request", severity=Severity.WARNING, needs=("nodes", "pods"), check=check)
