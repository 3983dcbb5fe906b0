"""The changes that Muster can forecast, read from what a caller wrote. Anything else is refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fleet.domain import labels
from fleet.domain.devices.mig import canonical, parse_profile
from fleet.domain.label_selectors import Requirement, key_problem, matches, parse
from fleet.domain.refusals import FieldError
from fleet.domain.snapshot import DevicePluginConfig, NodeSnapshot, Taint
from fleet.domain.snapshot.readiness_rules import RequiredCondition
from fleet.domain.whatif.change_kinds import (
    AddNodes,
    Change,
    ConfigMapChange,
    CordonChange,
    DriverChange,
    LabelChange,
    MigChange,
    QuotaChange,
    ReadinessRule,
    TaintChange,
)

MOST_CHANGES, MOST_NODES, MOST_ADDED = 20, 5_000, 500
EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
_WRITTEN_BY_GFD = ("nvidia.com/gpu.", "nvidia.com/cuda.", "nvidia.com/mig-", "nvidia.com/gfd.")


Fields = Mapping[str, Any]


class Reader:
    """Reads the changes of one question about a cluster. `parse_config` reads one key of a device-plugin ConfigMap."""

    def __init__(self, nodes: Sequence[NodeSnapshot], parse_config: Callable[[str, str, str, str], DevicePluginConfig]) -> None:
        self._nodes = {node.name: node for node in nodes}
        self._parse_config = parse_config
        self._readers: dict[str, Callable[[Fields], Change]] = {
            "ConfigMap": self._config_map,
            "labels": self._labels,
            "taints": self._taints,
            "cordon": lambda fields: CordonChange(
                nodes=self._chosen(fields), cordoned=_of(fields, "cordoned", bool, default=True)
            ),
            "add_nodes": self._add_nodes,
            "mig": self._mig,
            "driver": self._driver,
            "quota": self._quota,
            "NodeReadinessRule": self._readiness_rule,
        }

    def read(self, changes: object) -> list[Change]:
        """Returns the changes in order. Raises FieldError."""
        if not isinstance(changes, list) or not changes:
            raise FieldError("changes", "Give a list with at least one change.")
        if len(changes) > MOST_CHANGES:
            raise FieldError("changes", f"Give at most {MOST_CHANGES} changes.")
        rows = []
        for position, fields in enumerate(changes):
            try:
                rows.append(self._one(fields))
            except FieldError as error:
                raise FieldError(f"changes[{position}].{error.field}", str(error)) from error
        return rows

    def _one(self, fields: object) -> Change:
        if not isinstance(fields, Mapping):
            raise FieldError("kind", "A change must be a mapping with a kind.")
        read = self._readers.get(str(fields.get("kind")))
        if read is None:
            raise FieldError("kind", f"Kind “{str(fields.get('kind'))[:60]}” is not supported. Use {', '.join(self._readers)}.")
        return read(fields)

    def _chosen(self, fields: Fields) -> tuple[str, ...]:
        names, selector = fields.get("nodes"), fields.get("selector")
        if names is not None:
            listed = _texts(names, "nodes", MOST_NODES)
            unknown = next((name for name in listed if name not in self._nodes), None)
            if unknown is not None:
                raise FieldError("nodes", f"Node “{unknown[:100]}” is not a GPU node of this cluster.")
            chosen = [self._nodes[name] for name in dict.fromkeys(listed)]
        elif isinstance(selector, str):
            chosen = list(self._nodes.values())
        else:
            raise FieldError("nodes", "Name the nodes, or give a label selector.")
        if isinstance(selector, str):
            try:
                requirements = parse(selector)
            except ValueError as error:
                raise FieldError("selector", str(error)) from error
            chosen = [node for node in chosen if matches(requirements, node.labels)]
        if not chosen:
            raise FieldError("nodes", "No GPU node of this cluster is selected.")
        return tuple(node.name for node in chosen)

    def _config_map(self, fields: Fields) -> ConfigMapChange:
        written = fields.get("metadata")
        meta: Fields = written if isinstance(written, Mapping) else {}
        named: Fields = {**meta, **{key: fields[key] for key in ("namespace", "name") if key in fields}}
        namespace, name = _of(named, "namespace", str), _of(named, "name", str)
        data = _pairs(fields, "data")
        if not data:
            raise FieldError("data", "Give the keys of the ConfigMap with the device plugin's configuration.")
        configs = tuple(self._parse_config(namespace, name, key, text) for key, text in sorted(data.items()))
        wrong = next((config for config in configs if config.error), None)
        if wrong is not None:
            raise FieldError(f"data.{wrong.key[:60]}", wrong.error)
        return ConfigMapChange(namespace=namespace, name=name, configs=configs)

    def _labels(self, fields: Fields) -> LabelChange | MigChange:
        added, removed = _pairs(fields, "set"), _texts(fields.get("remove", []), "remove", 100)
        if not added and not removed:
            raise FieldError("set", "Give labels to set, or names of labels to remove.")
        for key in (*added, *removed):
            if problem := key_problem(key):
                raise FieldError("set", problem)
            if key.startswith(_WRITTEN_BY_GFD):
                raise FieldError("set", f"GPU feature discovery writes {key[:80]} again. Forecast the change that causes it.")
        if labels.MIG_CONFIG in added and len(added) == 1 and not removed:
            return self._mig({**fields, "config": added[labels.MIG_CONFIG]})
        if labels.MIG_CONFIG in (*added, *removed):
            raise FieldError("set", f"Give {labels.MIG_CONFIG} as a change of its own.")
        return LabelChange(nodes=self._chosen(fields), added=added, removed=tuple(removed))

    def _taints(self, fields: Fields) -> TaintChange:
        added = tuple(_taint(entry, "add") for entry in _list(fields, "add"))
        removed = tuple(_taint(entry, "remove", any_effect=True) for entry in _list(fields, "remove"))
        if not added and not removed:
            raise FieldError("add", "Give taints to add or to remove.")
        return TaintChange(nodes=self._chosen(fields), added=added, removed=removed)

    def _add_nodes(self, fields: Fields) -> AddNodes:
        like, count = _of(fields, "like", str), _of(fields, "count", int, default=1)
        if like not in self._nodes:
            raise FieldError("like", f"Node “{like[:100]}” is not a GPU node of this cluster.")
        if not 1 <= count <= MOST_ADDED:
            raise FieldError("count", f"Enter a whole number from 1 to {MOST_ADDED}.")
        return AddNodes(like=like, count=count)

    def _mig(self, fields: Fields) -> MigChange:
        config = _of(fields, "config", str, default="")
        profiles = {canonical(name): number for name, number in _numbers(fields, "profiles").items()}
        if bool(config) == bool(profiles):
            raise FieldError("config", "Give either config (all-disabled, all-1g.10gb) or profiles (instances per GPU).")
        if config and config != "all-disabled":
            profile = parse_profile(config.removeprefix("all-"))
            if profile is None or not config.startswith("all-"):
                raise FieldError("config", f"What “{config[:60]}” does is in mig-parted's ConfigMap. Give profiles instead.")
            profiles = {profile.name: 0}
        for name in profiles:
            if parse_profile(name) is None:
                raise FieldError("profiles", f"“{name[:40]}” is not a MIG profile.")
        return MigChange(nodes=self._chosen(fields), config=config or "custom", profiles=profiles)

    def _driver(self, fields: Fields) -> DriverChange:
        version, cuda = _of(fields, "version", str), _of(fields, "cuda", str, default="")
        for name, text in (("version", version), ("cuda", cuda)):
            if (text or name == "version") and not all(part.isascii() and part.isdigit() for part in text.split(".")):
                raise FieldError(name, f"“{text[:40]}” is not a version: write numbers with dots between them.")
        return DriverChange(nodes=self._chosen(fields), version=version[:40], cuda=cuda[:40])

    def _quota(self, fields: Fields) -> QuotaChange:
        hard = _pairs(fields, "hard")
        if not hard:
            raise FieldError("hard", "Give the limits, as spec.hard of a ResourceQuota writes them.")
        return QuotaChange(namespace=_of(fields, "namespace", str), hard=hard)

    def _readiness_rule(self, fields: Fields) -> ReadinessRule:
        spec = fields.get("spec")
        if not isinstance(spec, Mapping):
            raise FieldError("spec", "Give the spec of the NodeReadinessRule.")
        unknown = set(spec) - {"conditions", "taint", "enforcementMode", "nodeSelector", "dryRun"}
        if unknown:
            raise FieldError("spec", f"Field {min(unknown)[:60]} is not supported.")
        if spec.get("dryRun"):
            raise FieldError("spec.dryRun", "A rule with dryRun changes nothing.")
        mode = spec.get("enforcementMode")
        if mode not in ("bootstrap-only", "continuous"):
            raise FieldError("spec.enforcementMode", "Write bootstrap-only or continuous.")
        conditions = []
        for entry in _list(spec, "conditions"):
            if not isinstance(entry, Mapping) or entry.get("requiredStatus") not in ("True", "False", "Unknown"):
                raise FieldError("spec.conditions", "Each condition has a type and a requiredStatus: True, False or Unknown.")
            absent_is = str(entry.get("defaultStatus", "Unknown"))
            conditions.append(RequiredCondition(_of(entry, "type", str), str(entry["requiredStatus"]), absent_is))
        if not conditions:
            raise FieldError("spec.conditions", "Give at least one condition.")
        return ReadinessRule(
            selector=_node_selector(spec.get("nodeSelector")),
            conditions=tuple(conditions),
            taint=_taint(spec.get("taint"), "spec.taint"),
            continuous=mode == "continuous",
        )


def _of(fields: Fields, name: str, kind: type[Any], default: Any = None) -> Any:
    value = fields.get(name, default)
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)) or (kind is str and len(value) > 300):
        words = {str: "a text", int: "a whole number", bool: "true or false"}
        raise FieldError(name, f"Give {words[kind]}.")
    if kind is str and default is None and not value:
        raise FieldError(name, "Give a text.")
    return value


def _texts(value: object, name: str, most: int) -> list[str]:
    if not isinstance(value, list) or len(value) > most or not all(isinstance(item, str) and len(item) < 400 for item in value):
        raise FieldError(name, f"Give a list of at most {most:,} strings.")
    return value


def _list(fields: Fields, name: str) -> list[Any]:
    value = fields.get(name, [])
    if not isinstance(value, list) or len(value) > 50:
        raise FieldError(name, "Give a list of at most 50 entries.")
    return value


def _pairs(fields: Fields, name: str) -> dict[str, str]:
    value = fields.get(name) or {}
    if not isinstance(value, Mapping) or len(value) > 100:
        raise FieldError(name, "Give a mapping of at most 100 keys.")
    if not all(isinstance(key, str) and isinstance(text, str | int) and len(str(text)) < 20_000 for key, text in value.items()):
        raise FieldError(name, "Keys and values must be strings.")
    return {key: str(text) for key, text in value.items()}


def _numbers(fields: Fields, name: str) -> dict[str, int]:
    value = fields.get(name) or {}
    valid = isinstance(value, Mapping) and len(value) <= 20
    if not valid or not all(
        isinstance(number, int) and not isinstance(number, bool) and 0 < number < 100 for number in value.values()
    ):
        raise FieldError(name, "Give a mapping of profile to instances per GPU.")
    return {str(key): number for key, number in value.items()}


def _taint(entry: object, field: str, *, any_effect: bool = False) -> Taint:
    if not isinstance(entry, Mapping):
        raise FieldError(field, "A taint must be a mapping with key, value and effect.")
    key, value, effect = (str(entry.get(name) or "")[:300] for name in ("key", "value", "effect"))
    if problem := key_problem(key):
        raise FieldError(field, problem)
    if effect not in EFFECTS and not (any_effect and not effect):
        raise FieldError(field, f"The effect of a taint is {', '.join(EFFECTS)}.")
    return Taint(key, value, effect)


def _node_selector(selector: object) -> tuple[Requirement, ...]:
    if not isinstance(selector, Mapping):
        raise FieldError("spec.nodeSelector", "Give a nodeSelector with matchLabels.")
    if set(selector) - {"matchLabels"}:
        raise FieldError("spec.nodeSelector", "Only matchLabels is supported.")
    return tuple(Requirement(key, "in", (value,)) for key, value in _pairs(selector, "matchLabels").items())
