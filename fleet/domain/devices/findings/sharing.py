"""Findings on replicas: where labels, configuration and capacity disagree."""

from __future__ import annotations

from collections.abc import Iterator

from fleet.domain import labels
from fleet.domain.devices.claims import NodeClaims
from fleet.domain.devices.findings.words import plural, times
from fleet.domain.devices.resources import NodeResources
from fleet.domain.devices.sharing import EffectiveSharing, SharingVerdict, label_strategy
from fleet.domain.findings import Evidence, Finding, Severity


def about_sharing(
    claims: NodeClaims, effective_by_name: dict[str, EffectiveSharing], resources_of_node: NodeResources
) -> Iterator[Finding]:
    """Yields findings where labels, configuration and capacity disagree on replicas."""
    wanted = claims.wanted
    if wanted.problem:
        yield Finding(
            rule="plugin_config_" + wanted.problem,
            severity=Severity.WARNING,
            text={
                "missing_key": f"The node requests the device-plugin configuration “{wanted.key}”, which does not exist: "
                "the plugin keeps its previous one.",
                "ambiguous": f"Several ConfigMaps have a device-plugin configuration “{wanted.key}” that differ.",
                "unreadable": f"The device-plugin configuration “{wanted.key}” cannot be read.",
            }[wanted.problem],
            evidence=(Evidence("label", labels.DEVICE_PLUGIN_CONFIG, wanted.key),),
        )
    for first, effective in effective_by_name.items():
        capacity = claims.resources[first].capacity
        if first in resources_of_node.duplicates or capacity is None or (capacity == 0 and claims.capacity):
            continue
        if effective.together and first != effective.together[0]:
            continue
        names = effective.together or (first,)
        name = ", ".join(names)
        capacity = sum(claims.capacity[item] for item in names) if effective.together else capacity
        evidence = tuple(_sources(claims, names, effective))
        if effective.label is not None and effective.config is not None and effective.label != effective.config:
            yield Finding(
                rule="replicas_disagree",
                severity=Severity.WARNING,
                text=f"{_who(claims)} {times(effective.config)}, the labels say {times(effective.label)}; "
                f"{_effective_words(effective, capacity)} ({name}).",
                evidence=evidence,
            )
        elif (means := _two_means(claims, first, effective)) is not None:
            yield Finding(
                rule="replicas_disagree",
                severity=Severity.WARNING,
                text=f"{_who(claims)} {means[0]}, the labels say {means[1]}: how slots are kept apart is unknown ({name}).",
                evidence=evidence,
            )
        elif effective.verdict == SharingVerdict.CONTRADICTED:
            yield Finding(
                rule="capacity_disagrees_with_labels",
                severity=Severity.WARNING,
                text=f"{times(effective.label or effective.config).capitalize()} is declared, but {plural(capacity, 'slot')} "
                f"on {plural(effective.devices or 0, 'device')} are {effective.replicas} each ({name}).",
                evidence=evidence,
            )
        elif effective.verdict == SharingVerdict.UNCLEAR or (
            effective.verdict == SharingVerdict.MISSING and len(names) > 1 and labels.NVIDIA_GPU not in names
        ):
            yield Finding(
                rule="replicas_unclear",
                severity=Severity.WARNING,
                text=f"{plural(capacity, 'slot')} do not follow from {plural(effective.devices or 0, 'device')} and "
                f"{times(effective.label or effective.config)}: sharing has changed, or devices are missing ({name}).",
                evidence=evidence,
            )
        elif effective.verdict == SharingVerdict.EXCESS and claims.gfd.mig:
            yield Finding(
                rule="labels_disagree_with_resources",
                severity=Severity.WARNING,
                text=f"{plural(capacity, 'slot')} of whole GPUs are advertised, but the MIG instances leave at most "
                f"{effective.devices} of {claims.gfd.count} labelled GPUs whole ({name}).",
                evidence=evidence,
            )
        elif effective.verdict == SharingVerdict.EXCESS:
            yield Finding(
                rule="unexplained_slots",
                severity=Severity.WARNING,
                text=f"{plural(capacity, 'slot')} are advertised, but the labelled product explains only "
                f"{_explained(effective)}: a second product, or sharing that the labels do not declare ({name}).",
                evidence=evidence,
            )


def _two_means(claims: NodeClaims, resource: str, effective: EffectiveSharing) -> tuple[str, str] | None:
    """Returns the means of sharing by configuration and by labels, where both declare one and they differ."""
    config, label = claims.wanted.config, label_strategy(claims, resource)
    if config is None or not effective.config or {config.sharing, label} != {"time-slicing", "mps"}:
        return None
    return _MEANS[config.sharing], _MEANS[label or ""]


_MEANS = {"time-slicing": "time-slicing", "mps": "MPS"}


def _explained(effective: EffectiveSharing) -> str:
    """`8 (8 × 1)`."""
    devices, replicas = effective.devices or 0, effective.replicas or 1
    return f"{devices * replicas} ({devices} × {replicas})"


def _who(claims: NodeClaims) -> str:
    return "The device-plugin configuration declares" if claims.wanted.config is not None else "The cloud's labels declare"


def _effective_words(effective: EffectiveSharing, capacity: int) -> str:
    if capacity == 0:
        return "no slots are advertised that show which applies"
    if effective.replicas is None:
        return f"the {plural(capacity, 'slot')} advertised fit neither"
    return f"the {plural(capacity, 'slot')} advertised show {times(effective.replicas)}"


def _sources(claims: NodeClaims, names: tuple[str, ...], effective: EffectiveSharing) -> Iterator[Evidence]:
    for name in names:
        yield Evidence("capacity", name, str(claims.resources[name].capacity))
    if effective.label is not None:
        yield Evidence("label", labels.GPU_REPLICAS, str(effective.label))
    if effective.devices is not None:
        yield Evidence("label", labels.GPU_COUNT, str(effective.devices))
    config = claims.wanted.config
    if config is not None and effective.config is not None:
        sharing = config.sharing or "no sharing"
        yield Evidence("config", f"{config.namespace}/{config.config_map}:{config.key}", f"{sharing} ×{effective.config}")
