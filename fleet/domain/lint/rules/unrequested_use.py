"""A GPU in use without a request: privileged pods and NVIDIA_VISIBLE_DEVICES reach GPUs that the scheduler counts as free.

A GPU without a pod is evidence only where every pod with slots is attributed to a GPU (by the exporter, the kubelet or DRA): an
exporter without Kubernetes attribution, or one that names one pod of several on a shared GPU, is not.
"""

from __future__ import annotations

from datetime import timedelta

from fleet.domain.evaluation.rules import Rule
from fleet.domain.evaluation.subject import NodeSubject
from fleet.domain.findings import Evidence, Finding, RuleResult, Severity
from fleet.domain.lint.results import answer, asks_for_gpu, not_enabled, unknown
from fleet.domain.pod_resources import holds
from fleet.domain.snapshot import PodSnapshot
from fleet.domain.snapshot.telemetry import DeviceSample

ID = "unrequested_use"
FRESH = timedelta(minutes=3)
"""Maximum age of samples: older ones do not belong to the same moment as the list of pods."""
LASTS_S = 300
"""Minimum duration: exporters name a pod only with the next scrape, and some continue after it ended (dcgm-exporter#140)."""
# An idle GPU computes nothing; its driver, a persistence daemon and DCGM itself keep some hundred MiB.
LEAST_UTIL, LEAST_ACTIVE, LEAST_MIB = 5.0, 0.05, 2048.0
# Memory first: it is stable, while the load fluctuates.
_USE = (("fb_used", LEAST_MIB, "MiB"), ("gr_engine_active", LEAST_ACTIVE, "ratio"), ("gpu_util", LEAST_UTIL, "%"))


def check(subject: NodeSubject) -> RuleResult:
    fresh = [sample for sample in subject.samples if subject.measured_within(sample.at, FRESH)]
    if not subject.exporters and not subject.samples:
        return not_enabled(ID, "No exporter reports the use of this node's GPUs.")
    if not fresh:
        return unknown(ID, "There is no recent sample of this node's GPUs.")
    kubelet = _named_by_kubelet(subject.pods)
    attributed = _everyone_is_seen(subject, fresh)
    held: dict[str, bool | None] = {card.uuid: card.held for card in subject.devices.cards if card.uuid}
    instances = {sample.uuid for sample in fresh if sample.gi_id}
    findings, blind = [], []
    for sample in fresh:
        if not sample.gi_id and sample.uuid in instances:
            continue  # a partitioned GPU is in use through its instances
        used = _used(sample)
        if used is None:
            blind.append(sample.key)
        elif used and not sample.pods and sample.uuid not in kubelet and held.get(sample.uuid) is not True:
            if attributed or held.get(sample.uuid) is False:
                findings.append(_finding(subject, sample, used))
            else:
                blind.append(sample.key)
    seen = {sample.key for sample in fresh}
    blind += [sample.key for sample in (*subject.samples, *subject.history.samples) if sample.key not in seen]
    return answer(ID, findings, blind=dict.fromkeys(blind))


def _used(sample: DeviceSample) -> tuple[str, ...] | None:
    """Returns the ids of metrics that show use; empty where they show none, None where none was measured."""
    known = [(name, least) for name, least, _ in _USE if name in sample.values]
    return tuple(name for name, least in known if sample.values[name] >= least) if known else None


def _holders(pods: tuple[PodSnapshot, ...]) -> list[PodSnapshot]:
    return [pod for pod in pods if holds(pod) and asks_for_gpu(pod)]


def _named_by_kubelet(pods: tuple[PodSnapshot, ...]) -> set[str]:
    """Returns the UUIDs of devices that the kubelet assigns to containers, without the replica number of shares."""
    return {device.device_id.partition("::")[0] for pod in _holders(pods) for device in pod.devices}


def _everyone_is_seen(subject: NodeSubject, fresh: list[DeviceSample]) -> bool:
    """Returns whether each pod with slots is attributed to a GPU, so that a GPU without a pod has none."""
    named = {(ref.namespace, ref.pod) for sample in fresh for ref in sample.pods}
    return all((pod.namespace, pod.name) in named or bool(pod.devices) for pod in _holders(subject.pods))


def _finding(subject: NodeSubject, sample: DeviceSample, used: tuple[str, ...]) -> Finding:
    what = f"MIG instance {sample.profile or sample.gi_id} of GPU {_name(sample)}" if sample.gi_id else f"GPU {_name(sample)}"
    least = {name: f"at least {limit:g} {unit}" for name, limit, unit in _USE}
    return Finding(
        rule=ID,
        severity=Severity.WARNING,
        text=f"{what} is in use, but no pod has requested it: the scheduler counts it as free.",
        key=sample.key,
        subject="mig_instance" if sample.gi_id else "gpu",
        evidence=(
            # The threshold, not the measured value: fluctuating figures would change the finding in every run.
            Evidence("DCGM", used[0], least[used[0]]),
            Evidence("DCGM", "pod", "none"),
            Evidence("gpu", "UUID", sample.uuid),
        ),
        remedy="List the processes on the GPU: run `nvidia-smi` on the node.\n"
        "Pods that are privileged or set NVIDIA_VISIBLE_DEVICES reach GPUs without a request: let them request what they use.\n"
        "Stop a process outside Kubernetes, or exclude its GPU from the device plugin.",
        sustain_s=LASTS_S,
    )


def _name(sample: DeviceSample) -> str:
    return str(sample.index) if sample.index is not None else sample.uuid


RULE = Rule(
    id=ID,
    title="GPU in use without a request",
    severity=Severity.WARNING,
    needs=("nodes", "pods", "resource_claims"),
    check=check,
)
