"""Applies changes to a snapshot: what nodes would state, which pods would go, and what cannot be forecast."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from fleet.domain import labels
from fleet.domain.catalog.gpus import find
from fleet.domain.devices.inspection import NodeDevices
from fleet.domain.devices.sources.plugin_config import Wanted, choose
from fleet.domain.health.readiness_gates import unmet
from fleet.domain.label_selectors import matches
from fleet.domain.pod_resources import gpu_requests, holds
from fleet.domain.refusals import FieldError, Refused
from fleet.domain.snapshot import ClusterSnapshot, DevicePluginConfigs, NodeSnapshot, PodSnapshot, Taint
from fleet.domain.whatif.change_kinds import (
    AddNodes,
    Change,
    ConfigMapChange,
    CordonChange,
    DriverChange,
    LabelChange,
    MigChange,
    ReadinessRule,
    TaintChange,
    profiles_on,
)
from fleet.domain.whatif.stack import advertise

STOPPED, MAY_BE_EVICTED, RESTARTED, NOT_BACK = "stopped", "may_be_evicted", "restarted", "not_back"
_WHY = {
    STOPPED: "MIG manager stops pods that hold GPUs before it changes the layout.",
    MAY_BE_EVICTED: "A NoExecute taint evicts it unless it tolerates the taint; tolerations of running pods are not collected.",
    RESTARTED: "The driver cannot be replaced while a pod uses a GPU: it is evicted and starts again.",
    NOT_BACK: "It keeps running, but its node no longer advertises what it requests: it cannot restart there.",
}


class PodAtRisk(msgspec.Struct, frozen=True, kw_only=True):
    """One running pod that a change would stop, or that could not start again."""

    node: str
    namespace: str
    name: str
    id: str

    @property
    def text(self) -> str:
        return _WHY[self.id]


class ChangedSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """The cluster as it would be."""

    snapshot: ClusterSnapshot
    added: tuple[AddNodes, ...] = ()
    at_risk: tuple[PodAtRisk, ...] = ()
    not_forecast: dict[str, str] = {}
    """Node to why what it would be is unknown: it is left as it is."""


def apply(snapshot: ClusterSnapshot, changes: Sequence[Change], devices: Mapping[str, NodeDevices]) -> ChangedSnapshot:
    """Returns the snapshot with every change, in order. `devices` are those of its nodes now. Raises FieldError."""
    return _Application(snapshot, devices).run(changes)


class _Application:
    """Nodes as they become, change after change; what the GPU stack makes of them is computed once, at the end."""

    def __init__(self, snapshot: ClusterSnapshot, devices: Mapping[str, NodeDevices]) -> None:
        self.snapshot, self.devices = snapshot, devices
        self.before = {node.name: node for node in snapshot.nodes}
        self.nodes = dict(self.before)
        self.plugin = snapshot.device_plugin
        self.profiles: dict[str, dict[str, int]] = {}
        self.added: list[AddNodes] = []
        self.at_risk: list[PodAtRisk] = []
        self.not_forecast: dict[str, str] = {}

    def run(self, changes: Sequence[Change]) -> ChangedSnapshot:
        for change in changes:
            self._apply(change)
        self._settle_stack()
        stopped = {(row.namespace, row.name) for row in self.at_risk if row.id == STOPPED}
        changed = msgspec.structs.replace(
            self.snapshot,
            nodes=tuple(self.nodes.values()),
            pods=tuple(pod for pod in self.snapshot.pods if (pod.namespace, pod.name) not in stopped),
            device_plugin=self.plugin,
        )
        return ChangedSnapshot(
            snapshot=changed, added=tuple(self.added), at_risk=tuple(self.at_risk), not_forecast=self.not_forecast
        )

    def _apply(self, change: Change) -> None:
        match change:
            case ConfigMapChange():
                self._config_map(change)
            case LabelChange():
                self._replace(change.nodes, lambda node: {"labels": _labelled(node.labels, change)})
            case TaintChange():
                self._replace(change.nodes, lambda node: {"taints": _tainted(node.taints, change)})
                self._evict(change.nodes, change.added)
            case CordonChange():
                self._replace(change.nodes, lambda node: _cordoned(node, change))
            case AddNodes():
                self.added.append(change)
            case MigChange():
                self._mig(change)
            case DriverChange():
                self._driver(change)
            case ReadinessRule():
                self._readiness_rule(change)

    def _replace(self, names: Sequence[str], fields: Callable[[NodeSnapshot], dict[str, Any]]) -> None:
        for name in names:
            self.nodes[name] = msgspec.structs.replace(self.nodes[name], **fields(self.nodes[name]))

    def _config_map(self, change: ConfigMapChange) -> None:
        read = {(config.namespace, config.config_map) for config in self.plugin.configs}
        if (change.namespace, change.name) not in read:
            names = ", ".join(sorted(f"{namespace}/{name}" for namespace, name in read)) or "none"
            raise FieldError("name", f"The device plugin does not read {change.namespace}/{change.name}. It reads: {names}.")
        others = [
            config for config in self.plugin.configs if (config.namespace, config.config_map) != (change.namespace, change.name)
        ]
        self.plugin = DevicePluginConfigs(configs=(*others, *change.configs), default_key=self.plugin.default_key)

    def _mig(self, change: MigChange) -> None:
        for name in change.nodes:
            self.profiles[name] = profiles_on(change, find(self.devices[name].product))
            made = self.nodes[name].labels | {labels.MIG_CONFIG: change.config}
            self.nodes[name] = msgspec.structs.replace(self.nodes[name], labels=made)
        self._risk(change.nodes, STOPPED)

    def _driver(self, change: DriverChange) -> None:
        parts = [*change.version.split("."), "", ""][:3]
        cuda = [*change.cuda.split("."), ""][:2] if change.cuda else []
        made = {labels.DRIVER_VERSION_FULL: change.version} | ({labels.CUDA_VERSION_FULL: change.cuda} if cuda else {})
        for keys, numbers in (
            (labels.DRIVER_VERSION_PARTS, parts),
            (labels.DRIVER_VERSION_PARTS_OLD, parts),
            (labels.CUDA_VERSION_PARTS, cuda),
            (labels.CUDA_VERSION_PARTS_OLD, cuda),
        ):
            made.update(zip(keys, numbers, strict=False))
        for name in change.nodes:
            node = self.nodes[name]
            stated = {key: text for key, text in made.items() if key in node.labels}
            if not stated:
                self.not_forecast[name] = "No label states the version of its driver."
                continue
            self.nodes[name] = msgspec.structs.replace(node, labels=node.labels | stated)
            self._risk([name], RESTARTED)

    def _readiness_rule(self, change: ReadinessRule) -> None:
        for name, node in self.nodes.items():
            if not matches(change.selector, node.labels):
                continue
            met = not unmet(change.conditions, node.conditions)
            key = (change.taint.key, change.taint.effect)
            others = tuple(taint for taint in node.taints if (taint.key, taint.effect) != key)
            if met:
                self.nodes[name] = msgspec.structs.replace(node, taints=others)
            elif change.continuous:
                self.nodes[name] = msgspec.structs.replace(node, taints=(*others, change.taint))
                self._evict([name], [change.taint])
            elif len(others) == len(node.taints):
                self.not_forecast[name] = "Whether a bootstrap-only rule taints a node that runs already is not known."

    def _evict(self, names: Sequence[str], added: Sequence[Taint]) -> None:
        if any(taint.effect == "NoExecute" for taint in added):
            self._risk(names, MAY_BE_EVICTED, only_gpus=False)

    def _risk(self, names: Sequence[str], why: str, *, only_gpus: bool = True) -> None:
        chosen = set(names)
        for pod in self.snapshot.pods:
            if pod.node_name in chosen and holds(pod) and not _stays(pod) and (not only_gpus or gpu_requests(pod)):
                self.at_risk.append(PodAtRisk(node=pod.node_name, namespace=pod.namespace, name=pod.name, id=why))

    def _settle_stack(self) -> None:
        """Makes nodes whose layout or configuration changes advertise what the stack would."""
        for name, node in self.nodes.items():
            wanted, current = choose(node.labels, self.plugin), choose(self.before[name].labels, self.snapshot.device_plugin)
            if name not in self.profiles and _meaning(wanted) == _meaning(current):
                continue
            try:
                self.nodes[name] = self._advertised(node, wanted)
            except Refused as error:
                self.not_forecast[name] = str(error)
                self.nodes[name] = self.before[name]
                self.at_risk = [row for row in self.at_risk if row.node != name]

    def _advertised(self, node: NodeSnapshot, wanted: Wanted) -> NodeSnapshot:
        if not wanted.known or wanted.problem:
            words = {"missing_key": "names a key that the ConfigMap does not have", "ambiguous": "is in several ConfigMaps"}
            raise Refused(f"Its device-plugin configuration {words.get(wanted.problem, 'is unknown')}.")
        strategy = next((policy.mig_strategy for policy in self.snapshot.operator.policies if policy.mig_strategy), "")
        made = advertise(node, self.devices[node.name], self.profiles.get(node.name), wanted.config, strategy)
        offered = {name for name, amount in made.allocatable.items() if amount != "0"}
        for pod in self.snapshot.pods:
            missing = pod.node_name == node.name and holds(pod) and set(gpu_requests(pod)) - offered
            if missing and node.name not in self.profiles:
                self.at_risk.append(PodAtRisk(node=node.name, namespace=pod.namespace, name=pod.name, id=NOT_BACK))
        return made


def _stays(pod: PodSnapshot) -> bool:
    return pod.owner_kind in ("DaemonSet", "Node") or bool(pod.component)


def _meaning(wanted: Wanted) -> tuple[object, ...]:
    config = wanted.config
    if config is None:
        return ("", False, {}, wanted.problem)
    return (
        config.sharing,
        config.rename_by_default,
        config.replicas if config.sharing else {},
        config.mig_strategy or wanted.problem,
    )


def _labelled(before: Mapping[str, str], change: LabelChange) -> dict[str, str]:
    return {key: value for key, value in before.items() if key not in change.removed} | change.added


def _tainted(before: Sequence[Taint], change: TaintChange) -> tuple[Taint, ...]:
    gone = [(taint.key, taint.effect) for taint in change.removed]
    kept = [taint for taint in before if (taint.key, taint.effect) not in gone and (taint.key, "") not in gone]
    replaced = {(taint.key, taint.effect) for taint in change.added}
    return (*(taint for taint in kept if (taint.key, taint.effect) not in replaced), *change.added)


def _cordoned(node: NodeSnapshot, change: CordonChange) -> dict[str, Any]:
    taints = tuple(taint for taint in node.taints if taint.key != labels.TAINT_UNSCHEDULABLE)
    if change.cordoned:
        taints = (*taints, Taint(labels.TAINT_UNSCHEDULABLE, "", "NoSchedule"))
    return {"unschedulable": change.cordoned, "taints": taints}
