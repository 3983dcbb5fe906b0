"""Rung 6: what the labels say of the cards is so. Pods are sent to nodes by labels."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from fleet.domain import labels
from fleet.domain.catalog.gpus import MEMORY_TOLERANCE_PERCENT
from fleet.domain.findings import Evidence, Remark, RuleResult, Status
from fleet.domain.quantities import parse_count
from fleet.domain.readiness.limits import START_GRACE
from fleet.domain.readiness.seen import State, age_of_boot, booted_at, logs, part, pod_evidence, steps, told
from fleet.domain.readiness.types import Rung, RungResult
from fleet.domain.sources.gfd import label_form, split_product
from fleet.domain.subject import NodeSubject
from fleet.domain.telemetry import DeviceSample

_WRONG = frozenset(
    {"capacity_disagrees_with_labels", "labels_disagree_with_resources", "slices_disagree_with_labels", "mig_invalid"}
)
"""Remarks that say the labels tell something that is not so."""
_DOUBTFUL = frozenset(
    {"config_disagrees_with_labels", "replicas_unclear", "mixed_products", "unreadable_value", "mig_mode_not_used",
     "more_than_ordered"}
)  # fmt: skip
"""Remarks after which nobody can rely on the labels alone."""
_SHOWN = (
    labels.GPU_PRODUCT, labels.GPU_COUNT, labels.GPU_MEMORY, labels.GPU_REPLICAS, labels.GPU_SHARING_STRATEGY,
    labels.MIG_STRATEGY,
)  # fmt: skip
_OTHERS = (
    labels.GKE_ACCELERATOR, labels.GKE_ACCELERATOR_COUNT, labels.GKE_PARTITION_SIZE, labels.AMD_PRODUCT, labels.AMD_VRAM,
    labels.INTEL_PRODUCT, labels.INTEL_DEVICE_COUNT, labels.GAUDI_PRODUCT,
    *(prefix + word for prefix in (*labels.AWS_GPU_PREFIXES, labels.AZURE_GPU_PREFIX) for word in ("name", "count")),
    labels.COREWEAVE_GPU_PREFIX + "model", labels.COREWEAVE_GPU_PREFIX + "class", labels.AWS_ACCELERATOR,
)  # fmt: skip
_CLOCK_SLACK = timedelta(minutes=2)


def check(subject: NodeSubject, health: Sequence[RuleResult]) -> RungResult:
    """Product, memory, count, replicas, sharing and MIG labels agree with each other, with allocatable, and with what an
    exporter reads off the cards; and they were written since the node's last boot."""
    if labels.GPU_PRODUCT not in subject.node.labels:
        return _without_gfd(subject)
    shown = told(subject.node.labels, _SHOWN)
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
        reason = "The node offers nothing that its labels could be held against."
        return RUNG.says(Status.UNKNOWN, reason, shown)
    return _written_since_boot(subject, shown)


def _first(subject: NodeSubject, ids: frozenset[str]) -> Remark | None:
    return next((remark for remark in subject.devices.remarks if remark.id in ids), None)


def _written_since_boot(subject: NodeSubject, shown: tuple[Evidence, ...]) -> RungResult:
    """GFD stamps its labels when it starts, and a boot starts it: labels older than the boot are the former boot's. The boot
    lies between the last look before it and the first behind it, so only what is older than both is known to be so."""
    text = subject.node.labels.get(labels.GFD_TIMESTAMP)
    booted = booted_at(subject)
    stamp = parse_count(text) if text else None
    before = subject.memory.booted_after if booted == subject.memory.booted_at else None
    if stamp and booted is not None and datetime.fromtimestamp(min(stamp, 2**32), UTC) < (before or booted) - _CLOCK_SLACK:
        evidence = (
            Evidence("label", labels.GFD_TIMESTAMP, text or ""),
            Evidence("memory", "booted at", f"{booted:%Y-%m-%d %H:%M}"),
        )
        if subject.now - booted < START_GRACE:
            return RUNG.says(Status.WAITING, "The node has booted, and GPU feature discovery has not written anew.", evidence)
        reason = "The labels are older than the node's last boot: GPU feature discovery has not written them anew."
        return RUNG.says(Status.WARN, reason, (*evidence, *shown), _remedy(subject))
    return RUNG.says(Status.PASS, "The labels agree with each other and with what the node offers.", shown)


def _against_samples(subject: NodeSubject) -> RungResult | None:
    """What the exporter reads off the cards, now or when it last answered, against the labels; None where nothing differs."""
    samples = list(subject.samples or subject.memory.samples)
    if not samples:
        return None
    devices = subject.devices
    cards, models, drivers = set(), set(), set()
    for one in samples:
        cards.add(one.uuid)
        models.add(one.model)
        drivers.add(one.driver_version)
    model, driver = max(models), max(drivers)
    if model and devices.product and not any(_same(one, product) for one in models for product in devices.products):
        reason = f"The labels say {devices.product}, the exporter reads {label_form(model)}."
        evidence = (*told(subject.node.labels, (labels.GPU_PRODUCT,)), Evidence("telemetry", "model", label_form(model)))
        return RUNG.says(Status.FAIL, reason, evidence, _remedy(subject))
    if devices.physical_source == "label" and devices.physical is not None and len(cards) > devices.physical:
        reason = "The exporter reads more cards than the labels count."
        evidence = (*told(subject.node.labels, (labels.GPU_COUNT,)), Evidence("telemetry", "cards", str(len(cards))))
        return RUNG.says(Status.WARN, reason, evidence, _remedy(subject))
    if driver and devices.driver_version and _number(driver) != _number(devices.driver_version):
        reason = f"The labels tell driver {devices.driver_version}, the exporter reads {driver}."
        evidence = (*told(subject.node.labels, (labels.DRIVER_VERSION_FULL,)), Evidence("telemetry", "driver version", driver))
        return RUNG.says(Status.WARN, reason, evidence, _remedy(subject))
    return _memory(subject, samples)


def _memory(subject: NodeSubject, samples: Sequence[DeviceSample]) -> RungResult | None:
    """The label's memory against the framebuffer of one whole card, as far as the exporter tells all its parts."""
    label = parse_count(subject.node.labels.get(labels.GPU_MEMORY, ""))
    if not label or subject.devices.partitioning != "none":
        return None
    for one in samples:
        parts = [one.values.get(name) for name in ("fb_used", "fb_free", "fb_reserved")]
        if one.gi_id or None in parts:
            continue
        read = sum(part for part in parts if part is not None)
        if abs(read - label) * 100 > label * MEMORY_TOLERANCE_PERCENT:
            evidence = (*told(subject.node.labels, (labels.GPU_MEMORY,)), Evidence("telemetry", "memory (MiB)", f"{read:.0f}"))
            return RUNG.says(Status.WARN, "The memory on the label is not the card's.", evidence, _remedy(subject))
    return None


@lru_cache(maxsize=1024)
def _same(model: str, product: str) -> bool:
    """Whether two spellings can be one product: old drivers leave `NVIDIA-` out."""
    one, other = (split_product(name)[0].removeprefix("NVIDIA-").lower() for name in (label_form(model), product))
    return one == other


@lru_cache(maxsize=1024)
def _number(version: str) -> tuple[str, ...]:
    """Versions are compared part by part: DRA writes 570.172.8 for the 570.172.08 of everybody else."""
    return tuple(part.lstrip("0") or "0" for part in version.split("."))


def _without_gfd(subject: NodeSubject) -> RungResult:
    devices, before = subject.devices, subject.memory.rungs.get("labels_accurate")
    if subject.memory.previous is not None:
        if before == Status.PASS:
            reason = "GPU feature discovery is writing its labels anew; the node offers what it offered when they were there."
            return RUNG.says(Status.PASS, reason, (Evidence("previous", "product", subject.memory.previous.product),))
        return RUNG.says(Status.WAITING, "GPU feature discovery's labels are gone for the moment.", ())
    gfd, pods = part(subject, "gpu-feature-discovery", name="gpu-feature-discovery")
    pod_told = tuple(pod_evidence(pod) for pod in pods)
    if gfd == State.STARTING or (gfd == State.READY and _young(subject)):
        return RUNG.says(Status.WAITING, "GPU feature discovery is starting: it has written no labels yet.", pod_told)
    if gfd != State.ABSENT:
        remedy = steps(
            f"Read what GPU feature discovery says: {logs(pods[0])}"
            if pods
            else "See why GPU feature discovery does not run here.",
            "See whether NFD's master runs: it copies what GPU feature discovery finds to the node.",
        )
        return RUNG.says(
            Status.FAIL, "GPU feature discovery should label this node, and its labels are not there.", pod_told, remedy
        )
    if subject.dra_devices and devices.product:
        shown = Evidence("resource_slice", "productName", devices.product)
        return RUNG.says(Status.PASS, "The DRA driver publishes what the cards are.", (shown,))
    wrong = _first(subject, _WRONG | _DOUBTFUL)
    if wrong is not None and devices.product:
        status = Status.FAIL if wrong.id in _WRONG else Status.WARN
        return RUNG.says(status, wrong.text, wrong.evidence)
    shown_labels = told(subject.node.labels, _OTHERS)
    if devices.product and shown_labels:
        return RUNG.says(Status.PASS, "The labels agree with what the node offers.", shown_labels)
    known = subject.stack.gfd_labels or subject.stack.components & {"gpu-feature-discovery", "amd-node-labeller"}
    if known or "labels_accurate" in subject.cluster.rungs_proved:
        return RUNG.says(Status.UNKNOWN, "No label says what the cards of this node are.", shown_labels, _RUN_HERE)
    return RUNG.says(
        Status.NOT_ENABLED, "Nothing on this cluster labels nodes with what their cards are.", shown_labels, _TURN_ON
    )


def _young(subject: NodeSubject) -> bool:
    age = age_of_boot(subject)
    return age is not None and age < START_GRACE


def _remedy(subject: NodeSubject) -> str:
    pods = subject.component("gpu-feature-discovery")
    return steps(
        f"Let GPU feature discovery look anew: kubectl delete pod -n {pods[0].namespace} {pods[0].name}"
        if pods
        else "See whether GPU feature discovery runs on the node: its labels stay behind when it does not.",
        "Compare the device plugin's configuration for this node with what it offers; a plugin reads it when it starts.",
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
    broken="The labels do not tell the truth",
    needs=("nodes", "pods", "resource_slices"),
    check=check,
)
