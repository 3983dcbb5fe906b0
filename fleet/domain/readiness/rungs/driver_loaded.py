"""Rung 2: the GPU driver is loaded, and no upgrade of it hangs."""

from __future__ import annotations

from collections.abc import Sequence

from fleet.domain import labels
from fleet.domain.findings import Evidence, RuleResult, Status
from fleet.domain.readiness.intent import upgrade_stuck, upgrading
from fleet.domain.readiness.seen import (
    DEVICE_PLUGINS,
    EXPORTERS,
    State,
    fresh,
    logs,
    operator_labels_away,
    part,
    pod_evidence,
    steps,
    told,
    validation,
)
from fleet.domain.readiness.types import Rung, RungResult
from fleet.domain.snapshot import PodSnapshot
from fleet.domain.subject import NodeSubject

_GKE_DRIVER = "cloud.google.com/gke-gpu-driver-version"


def check(subject: NodeSubject, health: Sequence[RuleResult]) -> RungResult:
    """Where the operator brings the driver, its pod must be ready; elsewhere anything that could not be there without a
    driver proves it: the validator's step, an exporter that reads it, ResourceSlices, a device plugin that offers cards."""
    upgrade = subject.node.labels.get(labels.DRIVER_UPGRADE_STATE, "")
    label = (Evidence("label", labels.DRIVER_UPGRADE_STATE, upgrade),) if upgrade else ()
    state, pods = part(subject, "driver", name="driver")
    if upgrade == labels.UPGRADE_FAILED:
        return RUNG.says(Status.FAIL, "The driver upgrade has failed.", label, _upgrade_remedy(subject, pods))
    if upgrading(subject):
        remember = upgrade_stuck(subject)
        if remember.stuck:
            reason = "The driver upgrade has not moved on for more than an hour: it is stuck."
            return RUNG.says(Status.FAIL, reason, label, _upgrade_remedy(subject, pods), remember.stamps)
        return RUNG.says(Status.WAITING, "The driver is being upgraded.", label, "", remember.stamps)
    if operator_labels_away(subject):
        reason = "The GPU Operator's labels are gone while its pods still run: whether an upgrade failed cannot be told."
        return RUNG.says(Status.UNKNOWN, reason, tuple(pod_evidence(pod) for pod in subject.component("validator")))
    if state == State.READY:
        return RUNG.says(Status.PASS, _sentence(subject, "its driver pod is ready"), (*_version(subject), pod_evidence(pods[0])))
    live = _measured(subject)
    if state != State.ABSENT:
        return _managed(subject, state, pods, live)
    proof = live or _validated(subject) or _published(subject) or _offered(subject)
    if proof:
        return RUNG.says(Status.PASS, _sentence(subject, _OWNED), (*_owner(subject), *_version(subject), *proof))
    return _unproved(subject)


def _managed(subject: NodeSubject, state: State, pods: Sequence[PodSnapshot], live: tuple[Evidence, ...]) -> RungResult:
    """A driver pod should be ready here and is not."""
    evidence = tuple(pod_evidence(pod) for pod in pods) or told(subject.node.labels, (labels.GPU_DEPLOY_DRIVER,))
    if state == State.STARTING:
        return RUNG.says(Status.WAITING, "The driver pod is starting.", (*evidence, *live))
    what = "The operator should run a driver pod on this node, and there is none"
    if state == State.BROKEN:
        what = f"The driver pod is not ready ({evidence[0].value})"
    remedy = steps(f"Read what the driver pod says: {logs(pods[0])}") if pods else _NO_POD
    if live:
        return RUNG.says(Status.WARN, f"{what}, though the driver still answers.", (*evidence, *live), remedy)
    return RUNG.says(Status.FAIL, f"{what}.", evidence, remedy)


def _measured(subject: NodeSubject) -> tuple[Evidence, ...]:
    """An exporter reads the cards through the driver, right now."""
    sample = min((one for one in fresh(subject)), key=lambda one: one.key, default=None)
    if sample is None:
        return ()
    return (Evidence("telemetry", "driver version", sample.driver_version or "answers"),)


def _validated(subject: NodeSubject) -> tuple[Evidence, ...]:
    state, evidence, _ = validation(subject, "driver")
    return evidence if state == State.READY else ()


def _published(subject: NodeSubject) -> tuple[Evidence, ...]:
    own = (subject.devices.vendor, "other")  # another vendor's driver shows nothing of this one's
    published = [one for one in subject.dra_devices if labels.vendor_of_driver(one.driver) in own]
    version = next((device.driver_version for device in published if device.driver_version), "")
    return (Evidence("resource_slice", "driverVersion", version),) if version else ()


def _offered(subject: NodeSubject) -> tuple[Evidence, ...]:
    """Cards that are allocatable: a device plugin found them through the driver, and the kubelet still hears it."""
    return tuple(
        Evidence("allocatable", slots.name, str(slots.allocatable))
        for slots in subject.devices.resources
        if (slots.allocatable or 0) > 0 and not slots.kind.startswith("dra")
    )[:1]


def _unproved(subject: NodeSubject) -> RungResult:
    state, evidence, validator = validation(subject, "driver")
    if state == State.BROKEN:
        remedy = steps(f"Read what the validator says: {logs(validator, 'driver-validation')}")
        return RUNG.says(Status.FAIL, "The validator finds no working driver.", evidence, remedy)
    plugin, plugins = part(subject, *DEVICE_PLUGINS)
    if plugin == State.BROKEN:
        reason = "Nothing shows a loaded driver, and the device plugin does not come up."
        remedy = steps(f"Read why: {logs(plugins[0])}", "On the node, nvidia-smi says whether the driver answers.")
        return RUNG.says(Status.FAIL, reason, tuple(pod_evidence(pod) for pod in plugins), remedy)
    if State.STARTING in (state, plugin):
        return RUNG.says(Status.WAITING, "The GPU stack is starting.", evidence or tuple(pod_evidence(pod) for pod in plugins))
    could = subject.stack.components & {"driver", *DEVICE_PLUGINS, *EXPORTERS, "validator", "dra-validator"}
    if could or subject.stack.telemetry or "driver_loaded" in subject.cluster.rungs_proved:
        reason = "Nothing on this node shows a loaded driver: no driver pod, no validator, no exporter, no card on offer."
        return RUNG.says(Status.UNKNOWN, reason, _version(subject), _NO_POD)
    reason = "Nothing on this cluster could show whether a driver is loaded."
    return RUNG.says(Status.NOT_ENABLED, reason, _version(subject), _TURN_ON)


def _version(subject: NodeSubject) -> tuple[Evidence, ...]:
    """The driver's version as the node's labels tell it."""
    full = told(subject.node.labels, (labels.DRIVER_VERSION_FULL, labels.AMD_DRIVER_VERSION, _GKE_DRIVER))
    if full:
        return full[:1]
    parts = [key for key in (*labels.DRIVER_VERSION_PARTS, *labels.DRIVER_VERSION_PARTS_OLD) if key in subject.node.labels]
    return told(subject.node.labels, parts[:3])


def _owner(subject: NodeSubject) -> tuple[Evidence, ...]:
    """That the driver is the host's own, where the operator found one."""
    return told(subject.node.labels, (labels.GPU_DEPLOY_DRIVER,))


def _sentence(subject: NodeSubject, how: str) -> str:
    version = subject.devices.driver_version
    return f"Driver {version} is loaded: {how}." if version else f"A driver is loaded: {how}."


def _upgrade_remedy(subject: NodeSubject, pods: Sequence[PodSnapshot]) -> str:
    return steps(
        f"Read what the driver pod says: {logs(pods[0])}" if pods else "See why no driver pod runs on the node.",
        f"See which pods could not be evicted: kubectl get pods -A -o wide --field-selector spec.nodeName={subject.node.name}",
        f"After the cause is gone, let the operator try anew: kubectl label node {subject.node.name} "
        f"{labels.DRIVER_UPGRADE_STATE}=upgrade-required --overwrite",
    )


_OWNED = "what uses it works"
_NO_POD = steps(
    "See whether the driver's DaemonSet tolerates the node's taints and selects its labels.",
    "On the node, nvidia-smi says whether the driver answers.",
)
_TURN_ON = steps(
    "Install the NVIDIA GPU Operator: its driver pod and validator show the driver on every node.",
    "Or run the DCGM exporter, or the vendor's device plugin, on GPU nodes.",
    "Or waive this rung for the cluster, with a reason.",
)

RUNG = Rung(
    id="driver_loaded",
    number=2,
    title="Driver loaded",
    broken="The driver is not loaded",
    needs=("nodes", "pods"),
    check=check,
)
