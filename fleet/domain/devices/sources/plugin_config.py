"""Device-plugin configuration that applies to a node, and its declarations."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from fleet.domain import labels
from fleet.domain.snapshot import DevicePluginConfig, DevicePluginConfigs


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Configuration that applies to a node. `config` is None where none applies or it is unknown."""

    known: bool
    """Whether the ConfigMaps were read."""
    key: str = ""
    config: DevicePluginConfig | None = None
    problem: str = ""
    """missing_key, ambiguous or unreadable; empty when all is well."""

    def replicas(self, resource: str) -> int | None:
        """Returns the declared slots per device of a resource; 1 for unshared, None where unknown.

        A custom name that the configuration does not list stands for `nvidia.com/gpu`, renamed.
        """
        if self.config is None:
            return None
        base = labels.base_resource(resource)
        if base not in self.config.replicas and labels.resource_kind(base) == "custom":
            base = labels.NVIDIA_GPU
        wanted = self.config.replicas.get(base, 1) if self.config.sharing else 1
        return wanted if wanted > 0 else None


def choose(node_labels: Mapping[str, str], plugin: DevicePluginConfigs | None) -> Wanted:
    """Returns the configuration of one node: by its own label, else the cluster's default.

    With a label that names a missing key the plugin keeps its previous configuration, which is unknown.
    """
    if plugin is None:
        return Wanted(known=False)
    named = node_labels.get(labels.DEVICE_PLUGIN_CONFIG, "")
    key = named or plugin.default_key
    if not key:
        return Wanted(known=True)
    candidates = [config for config in plugin.configs if config.key == key]
    if not candidates:
        return Wanted(known=True, key=key, problem="missing_key" if named else "")
    first = candidates[0]
    if any(_meaning(config) != _meaning(first) for config in candidates[1:]):
        return Wanted(known=True, key=key, problem="ambiguous")
    if first.error:
        return Wanted(known=True, key=key, problem="unreadable")
    return Wanted(known=True, key=key, config=first)


def _meaning(config: DevicePluginConfig) -> tuple[object, ...]:
    return (config.mig_strategy, config.sharing, config.rename_by_default, config.replicas, config.error)
