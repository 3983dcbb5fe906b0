"""Remarks on replicas: where labels, configuration and capacity do not tell the same story."""

from __future__ import annotations

from collections.abc import Iterator

from fleet.domain import labels
from fleet.domain.findings import Evidence, Remark, Severity
from fleet.domain.offering import Offering
from fleet.domain.reading import Reading
from fleet.domain.remarks.words import plural, times
from fleet.domain.sharing import InForce, Verdict


def about_sharing(reading: Reading, forces: dict[str, InForce], offering: Offering) -> Iterator[Remark]:
    """Where labels, configuration and capacity do not tell the same story of replicas."""
    wanted = reading.wanted
    if wanted.problem:
        yield Remark(
            id="plugin_config_" + wanted.problem,
            severity=Severity.WARNING,
            text={
                "missing_key": f"The node asks for the device-plugin configuration “{wanted.key}”, which does not exist: "
                "the plugin stays on its former one.",
                "ambiguous": f"Several ConfigMaps have a device-plugin configuration “{wanted.key}” that differ.",
                "unreadable": f"The device-plugin configuration “{wanted.key}” cannot be read.",
            }[wanted.problem],
            evidence=(Evidence("label", labels.DEVICE_PLUGIN_CONFIG, wanted.key),),
        )
    for first, force in forces.items():
        capacity = reading.offers[first].capacity
        if first in offering.leave_out or capacity is None or (capacity == 0 and reading.capacity):
            continue
        if force.together and first != force.together[0]:
            continue
        names = force.together or (first,)
        name = ", ".join(names)
        capacity = sum(reading.capacity[one] for one in names) if force.together else capacity
        evidence = tuple(_sources(reading, names, force))
        if force.label is not None and force.config is not None and force.label != force.config:
            yield Remark(
                id="config_disagrees_with_labels",
                severity=Severity.WARNING,
                text=f"{_who(reading)} {times(force.config)}, the labels say {times(force.label)}; "
                f"{_in_force(force, capacity)} ({name}).",
                evidence=evidence,
            )
        elif force.verdict == Verdict.CONTRADICTED:
            yield Remark(
                id="capacity_disagrees_with_labels",
                severity=Severity.WARNING,
                text=f"{times(force.label or force.config).capitalize()} is announced, but {plural(capacity, 'slot')} "
                f"on {plural(force.devices or 0, 'device')} are {force.replicas} each ({name}).",
                evidence=evidence,
            )
        elif force.verdict == Verdict.UNCLEAR or (
            force.verdict == Verdict.MISSING and len(names) > 1 and labels.NVIDIA_GPU not in names
        ):
            yield Remark(
                id="replicas_unclear",
                severity=Severity.WARNING,
                text=f"{plural(capacity, 'slot')} do not follow from {plural(force.devices or 0, 'device')} and "
                f"{times(force.label or force.config)}: sharing has changed, or devices are missing ({name}).",
                evidence=evidence,
            )
        elif force.verdict == Verdict.EXCESS and reading.gfd.mig:
            yield Remark(
                id="labels_disagree_with_resources",
                severity=Severity.WARNING,
                text=f"{plural(capacity, 'slot')} of whole cards are offered, but the MIG instances leave at most "
                f"{force.devices} of {reading.gfd.count} labelled cards whole ({name}).",
                evidence=evidence,
            )
        elif force.verdict == Verdict.EXCESS:
            yield Remark(
                id="mixed_products",
                severity=Severity.WARNING,
                text=f"{plural(capacity, 'slot')} are offered, but the labelled product explains only "
                f"{(force.devices or 0) * (force.replicas or 1)} ({force.devices} × {force.replicas or 1}): another product "
                f"beside it, or sharing the labels do not know ({name}).",
                evidence=evidence,
            )


def _who(reading: Reading) -> str:
    return "The device-plugin configuration wants" if reading.wanted.config is not None else "The cloud's labels tell of"


def _in_force(force: InForce, capacity: int) -> str:
    if capacity == 0:
        return "nothing is offered that would tell which is in force"
    if force.replicas is None:
        return f"the {plural(capacity, 'slot')} offered settle neither"
    return f"the {plural(capacity, 'slot')} offered say that {times(force.replicas)} is in force"


def _sources(reading: Reading, names: tuple[str, ...], force: InForce) -> Iterator[Evidence]:
    for name in names:
        yield Evidence("capacity", name, str(reading.offers[name].capacity))
    if force.label is not None:
        yield Evidence("label", labels.GPU_REPLICAS, str(force.label))
    if force.devices is not None:
        yield Evidence("label", labels.GPU_COUNT, str(force.devices))
    config = reading.wanted.config
    if config is not None and force.config is not None:
        sharing = config.sharing or "no sharing"
        yield Evidence("config", f"{config.namespace}/{config.config_map}:{config.key}", f"{sharing} ×{force.config}")
