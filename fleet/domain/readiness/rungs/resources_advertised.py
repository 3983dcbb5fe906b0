"""Rung 5: every card is offered to the scheduler."""

from __future__ import annotations

from collections.abc import Sequence

from fleet.domain import labels
from fleet.domain.findings import Evidence, Remark, RuleResult, Status
from fleet.domain.readiness.intent import changing_mig, mig_change_stuck, mig_evidence, upgrading
from fleet.domain.readiness.limits import REFUSED_RECENTLY
from fleet.domain.readiness.seen import (
    DEVICE_PLUGINS,
    State,
    labels_only_away,
    logs,
    operator_labels_away,
    part,
    pod_evidence,
    pod_word,
    steps,
)
from fleet.domain.readiness.types import Rung, RungResult
from fleet.domain.remarks.words import plural
from fleet.domain.requests import gpu_requests
from fleet.domain.slots import ResourceSlots
from fleet.domain.snapshot import PodSnapshot
from fleet.domain.subject import NodeSubject

_SAYS_NOTHING = frozenset({"nothing_offered", "unhealthy_devices", "fewer_slots_than_devices", "mig_invalid"})
_SAYS_UNCLEAR = (
    "slices_incomplete", "slices_unread", "mixed_products", "replicas_unclear", "capacity_disagrees_with_labels",
    "physical_unknown", "unreadable_value",
)  # fmt: skip


def check(subject: NodeSubject, health: Sequence[RuleResult]) -> RungResult:
    """Allocatable = capacity = what devices × replicas or the MIG geometry make; or a whole generation of ResourceSlices.

    The kubelet's own figures decide: a device plugin that is down leaves nothing allocatable within seconds.
    """
    if changing_mig(subject):
        lasting = mig_change_stuck(subject)
        if lasting.stuck:
            reason = "The MIG layout has been changing for more than an hour: it is stuck."
            return RUNG.says(Status.FAIL, reason, mig_evidence(subject), _mig_remedy(subject), lasting.stamps)
        return RUNG.says(Status.WAITING, "The MIG layout is being changed.", mig_evidence(subject), "", lasting.stamps)
    if subject.node.labels.get(labels.MIG_CONFIG_STATE) == labels.MIG_STATE_FAILED:
        reason = "The MIG layout that was asked for could not be applied."
        return RUNG.says(Status.FAIL, reason, mig_evidence(subject), _mig_remedy(subject))
    if operator_labels_away(subject):
        reason = "The GPU Operator's labels are gone while its pods still run: whether its MIG layout was applied cannot be told."
        return RUNG.says(Status.UNKNOWN, reason, tuple(pod_evidence(pod) for pod in subject.component("validator")))
    refused = _refused(subject)
    if refused is not None:
        evidence = (Evidence("pod", f"{refused.namespace}/{refused.name}", refused.reason), *_figures(subject))
        reason = "The kubelet refuses a pod that was promised a slot here: what the node offers, it cannot give."
        return RUNG.says(Status.FAIL, reason, evidence, _plugin_remedy(subject, (), restart=True))
    advertised = subject.devices.advertised
    if advertised == "full":
        return _full(subject)
    if advertised == "unknown":
        return _unclear(subject)
    return _lost(subject, nothing=advertised == "none")


def _full(subject: NodeSubject) -> RungResult:
    devices, expected = subject.devices, subject.memory.expected
    if labels_only_away(subject, RUNG.id):
        reason = "GPU feature discovery's labels, which say how many slots there should be, are gone for the moment."
        return RUNG.says(Status.UNKNOWN, reason, _figures(subject))
    if devices.physical_source in ("capacity", "config") and expected and (devices.physical or 0) < expected:
        # the cards were counted by the slots themselves: then slots that are missing would not show
        reason = f"Slots of {plural(devices.physical or 0, 'GPU')} are offered, and the node should have {expected}."
        status = Status.WARN if subject.policy.partial_nodes and devices.physical else Status.FAIL
        return RUNG.says(status, reason, _figures(subject), _plugin_remedy(subject, ()))
    slots = devices.slots.allocatable
    predicted = any(resource.predicted is not None for resource in devices.resources)
    if devices.physical_source == "dcgm" and not predicted and devices.physical and (slots or 0) % devices.physical:
        on = plural(devices.physical, "GPU")
        reason = f"{plural(slots or 0, 'slot')} allocatable on {on}, and nothing says how many those make."
        return RUNG.says(Status.UNKNOWN, reason, _figures(subject))
    reason = f"{plural(slots or 0, 'slot')} allocatable: as many as the devices make."
    return RUNG.says(Status.PASS, reason, _figures(subject))


def _unclear(subject: NodeSubject) -> RungResult:
    remarks = {remark.id: remark for remark in subject.devices.remarks}
    remark = next((remarks[name] for name in _SAYS_UNCLEAR if name in remarks), None)
    reason = remark.text if remark else "How many slots the node should offer cannot be told."
    evidence = _figures(subject) or (remark.evidence if remark else ())
    return RUNG.says(Status.UNKNOWN, reason, evidence, _plugin_remedy(subject, ()) if not remark else "")


def _lost(subject: NodeSubject, *, nothing: bool) -> RungResult:
    """Some slots are missing, or all. A pool may allow nodes that lost some of their cards."""
    if upgrading(subject):
        return RUNG.says(Status.WAITING, "The GPU stack is paused for a driver upgrade.", _figures(subject))
    state, pods = part(subject, *DEVICE_PLUGINS, name="device-plugin")
    remark = _worst(subject.devices.remarks)
    figures = (*_figures(subject), *(pod_evidence(pod) for pod in pods[:1]))
    if nothing and state == State.STARTING:
        return RUNG.says(Status.WAITING, "The device plugin is starting: nothing is offered yet.", figures)
    text = remark.text if remark else "Fewer slots are offered than the devices make."
    if nothing and state == State.BROKEN:
        text = f"No slot is offered: the device plugin is not ready ({pod_word(pods[0])})."
    remedy = _plugin_remedy(subject, pods, restart=not nothing)
    if nothing or not subject.policy.partial_nodes:
        return RUNG.says(Status.FAIL, text, figures, remedy)
    allowed = f"{text.rstrip('.')}. The policy lets the node serve with the others."
    return RUNG.says(Status.WARN, allowed, figures, remedy)


def _worst(remarks: Sequence[Remark]) -> Remark | None:
    return next((remark for remark in remarks if remark.id in _SAYS_NOTHING), None)


def _figures(subject: NodeSubject) -> tuple[Evidence, ...]:
    """Capacity, allocatable and prediction of every resource that is, or should be, on offer."""
    found: list[Evidence] = []
    for slots in subject.devices.resources:
        if _counts(slots):
            source = "resource_slice" if slots.kind.startswith("dra") else "allocatable"
            made = "" if slots.predicted is None else f", {slots.predicted} predicted"
            value = f"{_told(slots.allocatable)} of {_told(slots.capacity)}{made}"
            found.append(Evidence(source, slots.name, value))
    return tuple(found)


def _counts(slots: ResourceSlots) -> bool:
    return any(number != 0 for number in (slots.capacity, slots.allocatable, slots.predicted or 0))


def _told(number: int | None) -> str:
    return "unknown" if number is None else str(number)


def _refused(subject: NodeSubject) -> PodSnapshot | None:
    """A pod that the kubelet lately refused a device. One that asked for several shares of a card was refused by rule."""
    refused = [pod for pod in subject.pods if pod.reason == "UnexpectedAdmissionError" and not pod.component]
    shared = {slots.name for slots in subject.devices.resources if (slots.replicas or 1) > 1 or slots.name.endswith(".shared")}
    for pod in sorted(refused, key=lambda one: (one.namespace, one.name)):
        begun = pod.started_at or pod.created_at
        asked = gpu_requests(pod)
        by_rule = any(amount > 1 and name in shared for name, amount in asked.items())
        if asked and not by_rule and begun is not None and subject.now - begun <= REFUSED_RECENTLY:
            return pod
    return None


def _plugin_remedy(subject: NodeSubject, pods: Sequence[PodSnapshot], *, restart: bool = False) -> str:
    plugins = pods or subject.component(*DEVICE_PLUGINS)
    if not plugins:
        return steps(
            f"See what runs on the node: kubectl get pods -A -o wide --field-selector spec.nodeName={subject.node.name}",
            "Compare the node's labels and taints with the selector and tolerations of the device plugin's DaemonSet.",
        )
    plugin = plugins[0]
    return steps(
        f"Read what the device plugin says about the cards: {logs(plugin)}",
        "A card it calls unhealthy has usually logged an Xid: look for NVRM in the node's kernel log.",
        f"It never calls a card healthy again by itself. Once the card is: kubectl delete pod -n {plugin.namespace} {plugin.name}"
        if restart
        else "",
    )


def _mig_remedy(subject: NodeSubject) -> str:
    managers = subject.component("mig-manager")
    return steps(
        f"Read why the layout could not be applied: {logs(managers[0])}"
        if managers
        else "See whether the MIG manager runs here.",
        "Most often pods still use the cards: drain them, then set the label nvidia.com/mig.config anew.",
    )


RUNG = Rung(
    id="resources_advertised",
    number=5,
    title="Resources advertised",
    broken="Cards are not offered to the scheduler",
    needs=("nodes", "pods", "resource_slices"),
    check=check,
)
