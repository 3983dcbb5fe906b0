"""A pod that requests more than one time-sliced slot: it may get several slots of one GPU, without more memory.

With failRequestsGreaterThanOne the plugin refuses such a pod; by default it does not (k8s-device-plugin, api/config/v1).
"""

from __future__ import annotations

from fleet.domain.evaluation.rules import Rule
from fleet.domain.evaluation.subject import NodeSubject
from fleet.domain.findings import Evidence, Finding, RuleResult, Severity
from fleet.domain.lint.results import answer, counted_one_by_one, owner_of, unknown
from fleet.domain.pod_resources import gpu_requests, holds

ID = "many_shares"


def check(subject: NodeSubject) -> RuleResult:
    devices = subject.devices
    shared = {slots.name for slots in devices.resources if slots.kind in ("shared", "mig-shared")}
    unclear = [
        slots.name
        for slots in devices.resources
        if slots.capacity and slots.replicas is None and not slots.kind.startswith("dra")
    ]
    if devices.sharing is None and (shared or unclear):
        return unknown(ID, "How the slots of this node share its GPUs is unknown.")
    findings: dict[str, Finding] = {}
    for pod in subject.pods if devices.sharing == "time-slicing" else ():
        if not holds(pod):
            continue
        for resource, slots in gpu_requests(pod).items():
            if resource in shared and slots > 1:
                key = f"{owner_of(pod)}:{resource}"
                findings[key] = _finding(pod.namespace, pod.owner_name or pod.name, key, resource, slots)
    if not findings and not counted_one_by_one(subject):
        return unknown(ID, "No source shows how the GPUs are shared.")
    return answer(ID, [findings[key] for key in sorted(findings)])


def _finding(namespace: str, name: str, key: str, resource: str, slots: int) -> Finding:
    return Finding(
        rule=ID,
        severity=Severity.WARNING,
        text=f"{namespace}/{name} requests {slots} time-sliced slots: they may share one GPU, without more memory.",
        key=key,
        subject="pod",
        evidence=(Evidence("pod", f"{namespace}/{name} {resource}", str(slots)), Evidence("label", "sharing", "time-slicing")),
        remedy="Request one slot; for more than one GPU choose nodes with whole GPUs.\n"
        "failRequestsGreaterThanOne in the device plugin's configuration refuses such pods from the start.",
    )


RULE = Rule(
    id=ID,
    title="Pod requests several time-sliced slots",
    severity=Severity.WARNING,
    needs=("nodes", "pods", "device_plugin_config"),
    check=check,
)
