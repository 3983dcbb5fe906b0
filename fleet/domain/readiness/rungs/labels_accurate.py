"""Rung 6: the labels describe the GPUs correctly. Pods are scheduled by labels."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from fleet.domain import labels
from fleet.domain.catalog.gpus import MEMORY_TOLERANCE_PERCENT
from fleet.domain.devices.sources.gfd import label_form, split_product
from fleet.domain.evaluation.subject import NodeSubject
from fleet.domain.findings import Evidence, Finding, RuleResult, Status
from fleet.domain.quantities import parse_count
from fleet.domain.readiness.node_evidence import START_GRACE, State, label_evidence, logs, part, pod_evidence, steps
from fleet.domain.readiness.types import Rung, RungResult
from fleet.domain.snapshot.telemetry import DeviceSample

_WRONG = frozenset(
    {"capacity_disagrees_with_labels", "labels_disagree_with_resources", "slices_disagree_with_labels", "mig_invalid"}
)
"""Findings that show that a label is wrong."""
_DOUBTFUL = frozenset(
    {"gfd_labels_left_behind", "replicas_disagree", "replicas_unclear", "unexplained_slots", "unreadable_value",
     "mig_mode_not_used", "more_than_ordered"}
)  # fmt: skip
"""Findings after which labels alone are not reliable."""
_SHOWN = (
    labels.GPU_PRODUCT, labels.GPU_COUNT, labels.GPU_MEMORY, labels.GPU_REPLICAS, labels.GPU_SHARING_STRATEGY,
    labels.MIG_STRATEGY,
)  # fmt: skip
_OTHERS = (
    labels.GKE_ACCELERATOR, labels.GKE_ACCELERATOR_COUNT, labels.GKE_PARTITION_SIZE, labels.AMD_PRODUCT, labels.AMD_VRAM,
    labels.INTEL_PRODUCT, labels.INTEL_DEVICE_COUNT, labels.GAUDI_PRODUCT,
    *(prefix + word for prefix in (*labels.KARPENTER_GPU_PREFIXES, labels.AZURE_GPU_PREFIX) for word in ("name", "count")),
    labels.COREWEAVE_GPU_PREFIX + "model", labels.COREWEAVE_GPU_PREFIX + "class", labels.AWS_ACCELERATOR,
)  # fmt: skip
_CLOCK_SLACK = timedelta(minutes=2)


def check(subject: NodeSubject, health: Sequence[RuleResult]) -> RungResult:
    """Returns pass where the labels agree with each other, with allocatable and the exporter, and are newer than the last boot.

    The labels are product, memory, count, replicas, sharing and MIG.
    """
    if labels.GPU_PRODUCT not in subject.node.labels:
        return _without_gfd(subject)
    shown = label_evidence(subject.node.labels, _SHOWN)
    wrong = _first(subject, _WRONG)
    if wrong is not None:
        return RUNG.says(Status.FAIL, wrong.text, wrong.evidence or shown, _remedy(subject))
    measured = _against_samples(subject)
    if measured is not None:
        return measured
    doubtful = _first(subject, _DOUBTFUL)
    if doubtful is not None:
        return RUNG.says(Status.WARN, doubtful.text, doubtful.evidence or shown, _remedy(subject))
    if not any((slots.capacity or 0) > 0 for slots in subject.devices.resources):
        reason = "The node advertises nothing to compare its labels with."
        return RUNG.says(Status.UNKNOWN, reason, shown)
    return _written_since_boot(subject, shown)


def _first(subject: NodeSubject, ids: frozenset[str]) -> Finding | None:
    return next((finding for finding in subject.devices.findings if finding.rule in ids), None)


def _written_since_boot(subject: NodeSubject, shown: tuple[Evidence, ...]) -> RungResult:
    """Returns whether the labels were written since the last boot.

    GFD writes a timestamp when it starts, and a boot starts it. The boot lies between the last run before it and the first
    after it, so only labels older than both are known to be stale.
    """
    text = subject.node.labels.get(labels.GFD_TIMESTAMP)
    booted = subject.booted_at
    stamp = parse_count(text) if text else None
    before = subject.history.booted_after if booted == subject.history.booted_at else None
    if stamp and booted is not None and datetime.fromtimestamp(min(stamp, 2**32), UTC) < (before or booted) - _CLOCK_SLACK:
        evidence = (
            Evidence("label", labels.GFD_TIMESTAMP, text or ""),
            Evidence("memory", "booted at", f"{booted:%Y-%m-%d %H:%M}"),
        )
        if not subject.clock.has_reached(booted, START_GRACE):
            return RUNG.says(
                Status.WAITING, "The node has booted, and GPU feature discovery has not updated its labels yet.", evidence
            )
        reason = "The labels are older than the node's last boot: GPU feature discovery has not updated them."
        return RUNG.says(Status.WARN, reason, (*evidence, *shown), _remedy(subject))
    return RUNG.says(Status.PASS, "The labels agree with each other and with what the node advertises.", shown)


def _against_samples(subject: NodeSubject) -> RungResult | None:
    """Returns where the exporter's current or last known values differ from the labels; None where nothing differs."""
    samples = list(subject.samples or subject.history.samples)
    if not samples:
        return None
    devices = subject.devices
    cards, models, drivers = set(), set(), set()
    for sample in samples:
        cards.add(sample.uuid)
        models.add(sample.model)
        drivers.add(sample.driver_version)
    model, driver = max(models), max(drivers)
    if model and devices.product and not any(_same(item, product) for item in models for product in devices.products):
        reason = f"The labels name {devices.product}, the exporter reports {label_form(model)}."
        evidence = (
            *label_evidence(subject.node.labels, (labels.GPU_PRODUCT,)),
            Evidence("telemetry", "model", label_form(model)),
        )
        return RUNG.says(Status.FAIL, reason, evidence, _remedy(subject))
    if devices.physical_source == "label" and devices.physical is not None and len(cards) > devices.physical:
        reason = "The exporter reports more GPUs than the labels count."
        evidence = (*label_evidence(subject.node.labels, (labels.GPU_COUNT,)), Evidence("telemetry", "cards", str(len(cards))))
        return RUNG.says(Status.WARN, reason, evidence, _remedy(subject))
    if driver and devices.driver_version and _number(driver) != _number(devices.driver_version):
        reason = f"The labels show driver {devices.driver_version}, the exporter reports {driver}."
        evidence = (
            *label_evidence(subject.node.labels, (labels.DRIVER_VERSION_FULL,)),
            Evidence("telemetry", "driver version", driver),
        )
        return RUNG.says(Status.WARN, reason, evidence, _remedy(subject))
    return _history(subject, samples)


def _history(subject: NodeSubject, samples: Sequence[DeviceSample]) -> RungResult | None:
    """Returns the result of comparing the label's memory with the framebuffer of one whole GPU.

    None where the exporter does not report all parts of the framebuffer.
    """
    label = parse_count(subject.node.labels.get(labels.GPU_MEMORY, ""))
    if not label or subject.devices.partitioning != "none":
        return None
    for sample in samples:
        parts = [sample.values.get(name) for name in ("fb_used", "fb_free", "fb_reserved")]
        if sample.gi_id or None in parts:
            continue
        read = sum(part for part in parts if part is not None)
        if abs(read - label) * 100 > label * MEMORY_TOLERANCE_PERCENT:
            evidence = (
                *label_evidence(subject.node.labels, (labels.GPU_MEMORY,)),
                Evidence("telemetry", "memory (MiB)", f"{read:.0f}"),
            )
            return RUNG.says(Status.WARN, "The memory label does not match the GPU.", evidence, _remedy(subject))
    return None


@lru_cache(maxsize=1024)
def _same(model: str, product: str) -> bool:
    """Returns whether two spellings can be one product: old drivers leave `NVIDIA-` out."""
    result, other = (split_product(name)[0].removeprefix("NVIDIA-").lower() for name in (label_form(model), product))
    return result == other


@lru_cache(maxsize=1024)
def _number(version: str) -> tuple[str, ...]:
    """Returns the parts of a version for comparison: DRA writes 570.172.8 where others write 570.172.08."""
    return tuple(part.lstrip("0") or "0" for part in version.split("."))


def _without_gfd(subject: NodeSubject) -> RungResult:
    devices, before = subject.devices, subject.history.rungs.get("labels_accurate")
    if subject.history.previous is not None:
        if before == Status.PASS:
            reason = "GPU feature discovery is rewriting its labels; the advertised resources have not changed."
            return RUNG.says(Status.PASS, reason, (Evidence("previous", "product", subject.history.previous.product),))
        return RUNG.says(Status.WAITING, "GPU feature discovery's labels are temporarily missing.", ())
    gfd, pods = part(subject, "gpu-feature-discovery", name="gpu-feature-discovery")
    pod_told = tuple(pod_evidence(pod) for pod in pods)
    if gfd == State.STARTING or (gfd == State.READY and _young(subject)):
        return RUNG.says(Status.WAITING, "GPU feature discovery is starting: it has written no labels yet.", pod_told)
    runs_nowhere = gfd == State.MISSING and "gpu-feature-discovery" not in subject.cluster.stack.components
    if gfd != State.ABSENT and not runs_nowhere:
        remedy = steps(
            f"Read the log of GPU feature discovery: {logs(pods[0])}"
            if pods
            else "See why GPU feature discovery does not run here.",
            "See whether NFD's master runs: it copies what GPU feature discovery finds to the node.",
        )
        return RUNG.says(
            Status.FAIL, "GPU feature discovery should label this node, but its labels are missing.", pod_told, remedy
        )
    if subject.dra_devices and devices.product:
        shown = Evidence("resource_slice", "productName", devices.product)
        return RUNG.says(Status.PASS, "The DRA driver publishes the GPU models.", (shown,))
    wrong = _first(subject, _WRONG | _DOUBTFUL)
    if wrong is not None and devices.product:
        status = Status.FAIL if wrong.rule in _WRONG else Status.WARN
        return RUNG.says(status, wrong.text, wrong.evidence)
    shown_labels = label_evidence(subject.node.labels, _OTHERS)
    if devices.product and shown_labels:
        return RUNG.says(Status.PASS, "The labels agree with what the node advertises.", shown_labels)
    known = subject.cluster.stack.gfd_labels or subject.cluster.stack.components & {"gpu-feature-discovery", "amd-node-labeller"}
    if known or "labels_accurate" in subject.cluster.history.rungs_proved:
        return RUNG.says(Status.UNKNOWN, "No label has the GPU model of this node.", shown_labels, _RUN_HERE)
    return RUNG.says(Status.NOT_ENABLED, "Nothing on this cluster labels nodes with their GPU models.", shown_labels, _TURN_ON)


def _young(subject: NodeSubject) -> bool:
    return subject.booted_within(START_GRACE)


def _remedy(subject: NodeSubject) -> str:
    pods = subject.component("gpu-feature-discovery")
    return steps(
        f"Restart GPU feature discovery: kubectl delete pod -n {pods[0].namespace} {pods[0].name}"
        if pods
        else "See whether GPU feature discovery runs on the node: otherwise its old labels remain.",
        "Compare the device plugin's configuration for this node with what it advertises; it is read at startup only.",
    )


_RUN_HERE = steps("Let GPU feature discovery (AMD: the node labeller) run on this node too.")
_TURN_ON = steps(
    "Install GPU feature discovery with NFD (both are part of the NVIDIA GPU Operator and of the device plugin's chart).",
    "For AMD, run the node labeller.",
    "Or waive this rung for the cluster, with a reason.",
)

RUNG = Rung(
    id="labels_accurate",
    number=6,
    title="Labels accurate",
    broken="Labels are not accurate",
    needs=("nodes", "pods", "resource_slices"),
    check=check,
)
