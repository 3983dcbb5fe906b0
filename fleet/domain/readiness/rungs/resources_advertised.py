"""Rung 5: every GPU is advertised to the scheduler."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from fleet.domain import labels
from fleet.domain.devices.slots import ResourceSlots, is_unbounded
from fleet.domain.evaluation.node_upgrade import upgrading
from fleet.domain.evaluation.subject import NodeSubject
from fleet.domain.findings import Evidence, Finding, RuleResult, Status
from fleet.domain.pod_resources import gpu_requests
from fleet.domain.quantities import plural
from fleet.domain.readiness.intent import changing_mig, mig_change_stuck, mig_evidence
from fleet.domain.readiness.node_evidence import (
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
from fleet.domain.snapshot import PodSnapshot

REFUSED_RECENTLY = timedelta(minutes=15)
"""Age after which a pod refused by the kubelet no longer counts as evidence."""

_SAYS_NOTHING = frozenset({"nothing_advertised", "unhealthy_devices", "fewer_slots_than_devices", "mig_invalid"})
_SAYS_UNCLEAR = (
    "slices_incomplete", "slices_unread", "unexplained_slots", "replicas_unclear", "capacity_disagrees_with_labels",
    "physical_unknown", "unreadable_value",
)  # fmt: skip


def check(subject: NodeSubject, health: Sequence[RuleResult]) -> RungResult:
    """Returns pass where allocatable = capacity = devices × replicas, the MIG geometry, or complete ResourceSlices.

    The kubelet's figures decide: without a device plugin nothing is allocatable within seconds.
    """
    if changing_mig(subject):
        lasting = mig_change_stuck(subject)
        if lasting.stuck:
            reason = "The MIG layout change is stuck: in progress for more than an hour."
            return RUNG.says(Status.FAIL, reason, mig_evidence(subject), _mig_remedy(subject), lasting.stamps)
        return RUNG.says(Status.WAITING, "The MIG layout is being changed.", mig_evidence(subject), "", lasting.stamps)
    if subject.node.labels.get(labels.MIG_CONFIG_STATE) == labels.MIG_STATE_FAILED:
        reason = "The requested MIG layout could not be applied."
        return RUNG.says(Status.FAIL, reason, mig_evidence(subject), _mig_remedy(subject))
    if operator_labels_away(subject):
        reason = "The GPU Operator's labels are missing while its pods run, so it is unknown whether its MIG layout was applied."
        return RUNG.says(Status.UNKNOWN, reason, tuple(pod_evidence(pod) for pod in subject.component("validator")))
    refused = _refused(subject)
    if refused is not None:
        evidence = (Evidence("pod", f"{refused.namespace}/{refused.name}", refused.reason), *_figures(subject))
        reason = "The kubelet refuses a pod that was scheduled to a slot here: an advertised device cannot be allocated."
        return RUNG.says(Status.FAIL, reason, evidence, _plugin_remedy(subject, (), restart=True))
    advertised = subject.devices.advertised
    if advertised == "full":
        return _with_phantoms(subject, _full(subject))
    if advertised == "unknown":
        return _unclear(subject)
    return _lost(subject, nothing=advertised == "none")


def _full(subject: NodeSubject) -> RungResult:
    devices, expected = subject.devices, subject.history.expected
    if labels_only_away(subject, RUNG.id):
        reason = "GPU feature discovery's labels, which give the expected number of slots, are temporarily missing."
        return RUNG.says(Status.UNKNOWN, reason, _figures(subject))
    if devices.physical_source in ("capacity", "config") and expected and (devices.physical or 0) < expected:
        # the GPUs were counted by the slots themselves, so missing slots would not be noticed
        reason = f"Slots of {plural(devices.physical or 0, 'GPU')} are advertised, but the node should have {expected}."
        status = Status.WARN if subject.policy.partial_nodes and devices.physical else Status.FAIL
        return RUNG.says(status, reason, _figures(subject), _plugin_remedy(subject, ()))
    if any(map(is_unbounded, devices.resources)):
        return RUNG.says(Status.PASS, "GPUs are offered in any number of shares.", _figures(subject))
    slots = devices.slots.allocatable
    predicted = any(resource.predicted is not None for resource in devices.resources)
    if devices.physical_source == "dcgm" and not predicted and devices.physical and (slots or 0) % devices.physical:
        on = plural(devices.physical, "GPU")
        reason = f"{plural(slots or 0, 'slot')} allocatable on {on}, but the expected number of slots is unknown."
        return RUNG.says(Status.UNKNOWN, reason, _figures(subject))
    reason = f"{plural(slots or 0, 'slot')} allocatable: as many as the devices provide."
    return RUNG.says(Status.PASS, reason, _figures(subject))


def _with_phantoms(subject: NodeSubject, result: RungResult) -> RungResult:
    """Returns the result with slots that no device backs: pods that get one of them fail."""
    phantom = next((finding for finding in subject.devices.findings if finding.rule == "phantom_slots"), None)
    if phantom is None or result.status != Status.PASS:
        return result
    return RUNG.says(Status.WARN, phantom.text, (*_figures(subject), *phantom.evidence), _REMEDY_PHANTOM)


def _unclear(subject: NodeSubject) -> RungResult:
    by_rule = {finding.rule: finding for finding in subject.devices.findings}
    unclear = next((by_rule[rule] for rule in _SAYS_UNCLEAR if rule in by_rule), None)
    reason = unclear.text if unclear else "The number of slots that the node should advertise is unknown."
    evidence = _figures(subject) or (unclear.evidence if unclear else ())
    return RUNG.says(Status.UNKNOWN, reason, evidence, _plugin_remedy(subject, ()) if not unclear else "")


def _lost(subject: NodeSubject, *, nothing: bool) -> RungResult:
    """Returns the result where some or all slots are missing. A pool may allow nodes that lost some of their GPUs."""
    if upgrading(subject):
        return RUNG.says(Status.WAITING, "The GPU stack is paused for a driver upgrade.", _figures(subject))
    state, pods = part(subject, *DEVICE_PLUGINS, name="device-plugin")
    worst = _worst(subject.devices.findings)
    aside = next((finding for finding in subject.devices.findings if finding.rule == "slots_set_aside"), None)
    if aside is not None and worst is None:
        # an administrator's decision about some devices does not affect the others
        text = f"{aside.text.removesuffix('.')}. The node serves with the others."
        return RUNG.says(Status.WARN, text, (*_figures(subject), *aside.evidence), _REMEDY_SET_ASIDE)
    figures = (*_figures(subject), *(pod_evidence(pod) for pod in pods[:1]))
    if nothing and state == State.STARTING:
        return RUNG.says(Status.WAITING, "The device plugin is starting: nothing is advertised yet.", figures)
    text = worst.text if worst else "Fewer slots are advertised than the devices provide."
    if nothing and state == State.VIOLATED:
        text = f"No slot is advertised: the device plugin is not ready ({pod_word(pods[0])})."
    remedy = _plugin_remedy(subject, pods, restart=not nothing)
    if nothing or not subject.policy.partial_nodes:
        return RUNG.says(Status.FAIL, text, figures, remedy)
    allowed = f"{text.rstrip('.')}. The policy lets the node serve with the others."
    return RUNG.says(Status.WARN, allowed, figures, remedy)


def _worst(findings: Sequence[Finding]) -> Finding | None:
    return next((finding for finding in findings if finding.rule in _SAYS_NOTHING), None)


def _figures(subject: NodeSubject) -> tuple[Evidence, ...]:
    """Returns capacity, allocatable and expected slots of every resource that is, or should be, advertised."""
    figures: list[Evidence] = []
    for slots in subject.devices.resources:
        if _counts(slots):
            source = "resource_slice" if slots.kind.startswith("dra") else "allocatable"
            made = "" if slots.predicted is None else f", {slots.predicted} predicted"
            value = f"{_told(slots.allocatable)} of {_told(slots.capacity)}{made}"
            figures.append(Evidence(source, slots.name, value))
    return tuple(figures)


def _counts(slots: ResourceSlots) -> bool:
    return any(number != 0 for number in (slots.capacity, slots.allocatable, slots.predicted or 0))


def _told(number: int | None) -> str:
    return "unknown" if number is None else str(number)


def _refused(subject: NodeSubject) -> PodSnapshot | None:
    """Returns a pod that the kubelet recently refused a device.

    A pod that requested several shares of a GPU was refused by rule.
    """
    refused = [pod for pod in subject.pods if pod.reason == "UnexpectedAdmissionError" and not pod.component]
    shared = {slots.name for slots in subject.devices.resources if (slots.replicas or 1) > 1 or slots.name.endswith(".shared")}
    for pod in sorted(refused, key=lambda row: (row.namespace, row.name)):
        begun = pod.started_at or pod.created_at
        asked = gpu_requests(pod)
        by_rule = any(amount > 1 and name in shared for name, amount in asked.items())
        if asked and not by_rule and begun is not None and not subject.clock.is_past(begun, REFUSED_RECENTLY):
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
    if plugin.component == "dra-driver":
        return steps(
            f"Read the DRA driver's log: {logs(plugin)}",
            f"Compare with what it publishes: kubectl get resourceslices --field-selector spec.nodeName={subject.node.name}",
        )
    return steps(
        f"Read the device plugin's log: {logs(plugin)}",
        "A GPU it reports as unhealthy has usually logged an Xid: search the node's kernel log for NVRM.",
        f"It never marks a GPU healthy again by itself. Once it is: kubectl delete pod -n {plugin.namespace} {plugin.name}"
        if restart
        else "",
    )


def _mig_remedy(subject: NodeSubject) -> str:
    managers = subject.component("mig-manager")
    return steps(
        f"Read why the layout could not be applied: {logs(managers[0])}"
        if managers
        else "See whether the MIG manager runs here.",
        "Usually pods still use the GPUs: drain them, then set the label nvidia.com/mig.config again.",
    )


_REMEDY_SET_ASIDE = steps("Delete the DeviceTaintRule once the devices may be used again: kubectl get devicetaintrules")
_REMEDY_PHANTOM = steps(
    "Restart the device plugin of the node, so that it registers the current layout.",
    "The kubelet drops the old resource when it restarts: systemctl restart kubelet, once no GPU pod runs there.",
)

RUNG = Rung(
    id="resources_advertised",
    number=5,
    title="GPUs advertised",
    broken="GPUs are not advertised",
    needs=("nodes", "pods", "resource_slices"),
    check=check,
)
