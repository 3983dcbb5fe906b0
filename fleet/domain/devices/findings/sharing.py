"""Findings on replicas: where labels, configuration and capacity disagree."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec

from fleet.domain import labels
from fleet.domain.devices.claims import NodeClaims
from fleet.domain.devices.resources import NodeResources
from fleet.domain.devices.sharing import EffectiveSharing, SharingVerdict, label_strategy
from fleet.domain.findings import Evidence, Finding, Severity
from fleet.domain.quantities import plural

_CONFIG_PROBLEMS = {
    "missing_key": "The node requests the device-plugin configuration “{key}”, which does not exist: "
    "the plugin keeps its previous one.",
    "ambiguous": "Several ConfigMaps have a device-plugin configuration “{key}” that differ.",
    "unreadable": "The device-plugin configuration “{key}” cannot be read.",
}


def about_sharing(
    claims: NodeClaims, effective_by_name: dict[str, EffectiveSharing], resources_of_node: NodeResources
) -> Iterator[Finding]:
    """Yields findings where labels, configuration and capacity disagree on replicas: one for each resource at most."""
    wanted = claims.wanted
    if wanted.problem:
        yield Finding(
            rule="plugin_config_" + wanted.problem,
            severity=Severity.WARNING,
            text=_CONFIG_PROBLEMS[wanted.problem].format(key=wanted.key),
            evidence=(Evidence("label", labels.DEVICE_PLUGIN_CONFIG, wanted.key),),
        )
    for shared in _shared_resources(claims, effective_by_name, resources_of_node):
        disagreement = next(filter(None, (check(shared) for check in _DISAGREEMENTS)), None)
        if disagreement is not None:
            rule, text = disagreement
            evidence = tuple(_sources(claims, shared.names, shared.effective))
            yield Finding(rule=rule, severity=Severity.WARNING, text=f"{text} ({', '.join(shared.names)}).", evidence=evidence)


class _Shared(msgspec.Struct, frozen=True):
    """A resource, or several that are handed out together, and how it is shared."""

    claims: NodeClaims
    names: tuple[str, ...]
    """The first of them stands for all."""
    capacity: int
    """Slots advertised."""
    effective: EffectiveSharing

    @property
    def devices(self) -> str:
        return plural(self.effective.devices or 0, "device")

    @property
    def slots(self) -> str:
        return plural(self.capacity, "slot")

    @property
    def declared(self) -> str:
        return _times(self.effective.label or self.effective.config)


def _shared_resources(
    claims: NodeClaims, effective_by_name: dict[str, EffectiveSharing], resources_of_node: NodeResources
) -> Iterator[_Shared]:
    """Yields resources that advertise slots, each group of those handed out together once."""
    for first, effective in effective_by_name.items():
        capacity = claims.resources[first].capacity
        if first in resources_of_node.duplicates or capacity is None or (capacity == 0 and claims.capacity):
            continue
        if not effective.together:
            yield _Shared(claims, (first,), capacity, effective)
        elif first == effective.together[0]:
            yield _Shared(claims, effective.together, sum(claims.capacity[name] for name in effective.together), effective)


_Disagreement = tuple[str, str]
"""A rule and its sentence, without the resource's name and the full stop."""


def _replicas_differ(shared: _Shared) -> _Disagreement | None:
    label, config = shared.effective.label, shared.effective.config
    if label is None or config is None or label == config:
        return None
    declared = f"{_who(shared.claims)} {_times(config)}, the labels say {_times(label)}"
    return "replicas_disagree", f"{declared}; {_effective_words(shared.effective, shared.capacity)}"


def _means_differ(shared: _Shared) -> _Disagreement | None:
    means = _two_means(shared.claims, shared.names[0], shared.effective)
    if means is None:
        return None
    text = f"{_who(shared.claims)} {means[0]}, the labels say {means[1]}: how slots are kept apart is unknown"
    return "replicas_disagree", text


def _capacity_contradicts(shared: _Shared) -> _Disagreement | None:
    if shared.effective.verdict != SharingVerdict.CONTRADICTED:
        return None
    slots = f"{shared.slots} on {shared.devices} are {shared.effective.replicas} each"
    return "capacity_disagrees_with_labels", f"{shared.declared.capitalize()} is declared, but {slots}"


def _capacity_does_not_follow(shared: _Shared) -> _Disagreement | None:
    verdict = shared.effective.verdict
    several_are_short = verdict == SharingVerdict.MISSING and len(shared.names) > 1 and labels.NVIDIA_GPU not in shared.names
    if verdict != SharingVerdict.UNCLEAR and not several_are_short:
        return None
    text = (
        f"{shared.slots} do not follow from {shared.devices} and {shared.declared}: sharing has changed, or devices are missing"
    )
    return "replicas_unclear", text


def _more_slots_than_whole_gpus(shared: _Shared) -> _Disagreement | None:
    gfd = shared.claims.gfd
    if shared.effective.verdict != SharingVerdict.EXCESS or not gfd.mig:
        return None
    left = f"the MIG instances leave at most {shared.effective.devices} of {gfd.count} labelled GPUs whole"
    return "labels_disagree_with_resources", f"{shared.slots} of whole GPUs are advertised, but {left}"


def _more_slots_than_explained(shared: _Shared) -> _Disagreement | None:
    if shared.effective.verdict != SharingVerdict.EXCESS:
        return None
    explained = f"the labelled product explains only {_explained(shared.effective)}"
    reason = "a second product, or sharing that the labels do not declare"
    return "unexplained_slots", f"{shared.slots} are advertised, but {explained}: {reason}"


_DISAGREEMENTS: tuple[Callable[[_Shared], _Disagreement | None], ...] = (
    _replicas_differ,
    _means_differ,
    _capacity_contradicts,
    _capacity_does_not_follow,
    _more_slots_than_whole_gpus,
    _more_slots_than_explained,
)
"""In this order; the first that applies is the finding."""


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
    return f"the {plural(capacity, 'slot')} advertised show {_times(effective.replicas)}"


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


def _times(replicas: int | None) -> str:
    """`×4`, `no sharing`, `unknown sharing`."""
    return "no sharing" if replicas == 1 else "unknown sharing" if replicas is None else f"×{replicas}"
