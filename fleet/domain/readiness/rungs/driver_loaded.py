"""Rung 2: the GPU driver is loaded, and its upgrade is not stuck."""

from __future__ import annotations

from collections.abc import Sequence

from fleet.domain import labels
from fleet.domain.evaluation.node_upgrade import driver_managed, upgrade_of
from fleet.domain.evaluation.subject import NodeSubject
from fleet.domain.findings import Evidence, RuleResult, Status
from fleet.domain.readiness.intent import upgrade_stuck
from fleet.domain.readiness.node_evidence import (
    DEVICE_PLUGINS,
    EXPORTERS,
    State,
    fresh,
    label_evidence,
    logs,
    operator_labels_away,
    part,
    pod_evidence,
    steps,
    validation,
)
from fleet.domain.readiness.types import Rung, RungResult
from fleet.domain.snapshot import PodSnapshot

_GKE_DRIVER = "cloud.google.com/gke-gpu-driver-version"


def check(subject: NodeSubject, health: Sequence[RuleResult]) -> RungResult:
    """Returns pass by the driver pod where the operator manages the driver.

    Elsewhere by anything that needs a driver: the validator's step, an exporter, ResourceSlices, a device plugin that
    advertises GPUs.
    """
    upgrade = upgrade_of(subject)
    label = upgrade.evidence
    state, pods = part(subject, "driver", name="driver")
    if upgrade.phase == "failed":
        return RUNG.says(Status.FAIL, "The driver upgrade has failed.", label, _upgrade_remedy(subject, pods))
    if upgrade.phase == "in_progress":
        remember = upgrade_stuck(subject)
        if remember.stuck:
            reason = "The driver upgrade is stuck: no progress for more than an hour."
            return RUNG.says(Status.FAIL, reason, label, _upgrade_remedy(subject, pods), remember.stamps)
        return RUNG.says(Status.WAITING, "The driver is being upgraded.", label, "", remember.stamps)
    if operator_labels_away(subject):
        reason = "The GPU Operator's labels are missing while its pods run, so it is unknown whether an upgrade failed."
        return RUNG.says(Status.UNKNOWN, reason, tuple(pod_evidence(pod) for pod in subject.component("validator")))
    if state == State.READY:
        return RUNG.says(Status.PASS, _sentence(subject, "its driver pod is ready"), (*_version(subject), pod_evidence(pods[0])))
    live = _measured(subject)
    proof = live or _validated(subject) or _published(subject) or _offered(subject)
    hosts_own = state == State.MISSING and proof and driver_managed(subject) is False
    if state != State.ABSENT and not hosts_own:
        return _managed(subject, state, pods, live)
    if proof:
        return RUNG.says(Status.PASS, _sentence(subject, _OWNED), (*_owner(subject), *_version(subject), *proof))
    return _unproved(subject)


def _managed(subject: NodeSubject, state: State, pods: Sequence[PodSnapshot], live: tuple[Evidence, ...]) -> RungResult:
    """Returns the result where a driver pod is expected and not ready."""
    evidence = tuple(pod_evidence(pod) for pod in pods) or label_evidence(subject.node.labels, (labels.GPU_DEPLOY_DRIVER,))
    if state == State.STARTING:
        return RUNG.says(Status.WAITING, "The driver pod is starting.", (*evidence, *live))
    what = "The operator should run a driver pod on this node, and there is none"
    if state == State.VIOLATED:
        what = f"The driver pod is not ready ({evidence[0].value})"
    remedy = steps(f"Read the driver pod's log: {logs(pods[0])}") if pods else _NO_POD
    if live:
        return RUNG.says(Status.WARN, f"{what}, but the driver still responds.", (*evidence, *live), remedy)
    return RUNG.says(Status.FAIL, f"{what}.", evidence, remedy)


def _measured(subject: NodeSubject) -> tuple[Evidence, ...]:
    """Returns evidence that an exporter currently reads the GPUs through the driver."""
    sample = min((item for item in fresh(subject)), key=lambda row: row.key, default=None)
    if sample is None:
        return ()
    return (Evidence("telemetry", "driver version", sample.driver_version or "answers"),)


def _validated(subject: NodeSubject) -> tuple[Evidence, ...]:
    state, evidence, _ = validation(subject, "driver")
    return evidence if state == State.READY else ()


def _published(subject: NodeSubject) -> tuple[Evidence, ...]:
    own = (subject.devices.vendor, "other")  # another vendor's driver shows nothing of this one's
    published = [dra_device for dra_device in subject.dra_devices if labels.vendor_of_driver(dra_device.driver) in own]
    version = next((device.driver_version for device in published if device.driver_version), "")
    return (Evidence("resource_slice", "driverVersion", version),) if version else ()


def _offered(subject: NodeSubject) -> tuple[Evidence, ...]:
    """Returns evidence of allocatable GPUs.

    A device plugin detected them through the driver, and the kubelet still receives its reports.
    """
    return tuple(
        Evidence("allocatable", slots.name, str(slots.allocatable))
        for slots in subject.devices.resources
        if (slots.allocatable or 0) > 0 and not slots.kind.startswith("dra")
    )[:1]


def _unproved(subject: NodeSubject) -> RungResult:
    state, evidence, validator = validation(subject, "driver")
    if state == State.VIOLATED:
        remedy = steps(f"Read the validator's log: {logs(validator, 'driver-validation')}")
        return RUNG.says(Status.FAIL, "The validator finds no working driver.", evidence, remedy)
    plugin, plugins = part(subject, *DEVICE_PLUGINS)
    if plugin == State.VIOLATED:
        reason = "No evidence of a loaded driver, and the device plugin does not start."
        remedy = steps(f"Read why: {logs(plugins[0])}", "Run nvidia-smi on the node to see whether the driver responds.")
        return RUNG.says(Status.FAIL, reason, tuple(pod_evidence(pod) for pod in plugins), remedy)
    if State.STARTING in (state, plugin):
        return RUNG.says(Status.WAITING, "The GPU stack is starting.", evidence or tuple(pod_evidence(pod) for pod in plugins))
    could = subject.cluster.stack.components & {"driver", *DEVICE_PLUGINS, *EXPORTERS, "validator", "dra-validator"}
    if could or subject.cluster.stack.telemetry or "driver_loaded" in subject.cluster.history.rungs_proved:
        reason = "No evidence of a loaded driver on this node: no driver pod, validator, exporter or allocatable GPU."
        return RUNG.says(Status.UNKNOWN, reason, _version(subject), _NO_POD)
    reason = "No component on this cluster can show whether a driver is loaded."
    return RUNG.says(Status.NOT_ENABLED, reason, _version(subject), _TURN_ON)


def _version(subject: NodeSubject) -> tuple[Evidence, ...]:
    """Returns the driver's version from the node's labels."""
    full = label_evidence(subject.node.labels, (labels.DRIVER_VERSION_FULL, labels.AMD_DRIVER_VERSION, _GKE_DRIVER))
    if full:
        return full[:1]
    parts = [key for key in (*labels.DRIVER_VERSION_PARTS, *labels.DRIVER_VERSION_PARTS_OLD) if key in subject.node.labels]
    return label_evidence(subject.node.labels, parts[:3])


def _owner(subject: NodeSubject) -> tuple[Evidence, ...]:
    """Returns evidence that the driver is preinstalled on the host, where the operator detected one."""
    return label_evidence(subject.node.labels, (labels.GPU_DEPLOY_DRIVER,))


def _sentence(subject: NodeSubject, how: str) -> str:
    version = subject.devices.driver_version
    return f"Driver {version} is loaded: {how}." if version else f"A driver is loaded: {how}."


def _upgrade_remedy(subject: NodeSubject, pods: Sequence[PodSnapshot]) -> str:
    return steps(
        f"Read the driver pod's log: {logs(pods[0])}" if pods else "See why no driver pod runs on the node.",
        f"See which pods could not be evicted: kubectl get pods -A -o wide --field-selector spec.nodeName={subject.node.name}",
        f"Once the cause is fixed, let the operator retry: kubectl label node {subject.node.name} "
        f"{labels.DRIVER_UPGRADE_STATE}=upgrade-required --overwrite",
    )


_OWNED = "what uses it works"
_NO_POD = steps(
    "See whether the driver's DaemonSet tolerates the node's taints and selects its labels.",
    "Run nvidia-smi on the node to see whether the driver responds.",
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
