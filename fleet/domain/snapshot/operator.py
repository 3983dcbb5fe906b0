"""The GPU stack of a cluster: operator policies, drivers, DaemonSets, device-plugin configuration."""

from __future__ import annotations

import msgspec

from fleet.domain.snapshot.nodes import Condition


class ClusterPolicySnapshot(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    state: str = ""
    namespace: str = ""
    driver_enabled: bool | None = None
    use_driver_crd: bool | None = None
    toolkit_enabled: bool | None = None
    dcgm_exporter_enabled: bool | None = None
    mig_strategy: str = ""
    device_plugin_config_name: str = ""
    device_plugin_config_default: str = ""
    driver_version: str = ""
    conditions: tuple[Condition, ...] = ()


class GpuClusterSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """A GPUCluster: the GPU Operator in DRA mode, without device plugin, GFD, validator and MIG manager."""

    name: str
    state: str = ""
    namespace: str = ""
    conditions: tuple[Condition, ...] = ()


class NvidiaDriverSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    state: str = ""
    driver_type: str = ""
    version: str = ""


class DaemonSetSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """A DaemonSet of the GPU stack; `component` is Muster's name for its role, as on PodSnapshot."""

    namespace: str
    name: str
    component: str
    image: str = ""
    desired: int = 0
    ready: int = 0
    unavailable: int = 0


class OperatorSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    policies: tuple[ClusterPolicySnapshot, ...] = ()
    drivers: tuple[NvidiaDriverSnapshot, ...] = ()
    daemonsets: tuple[DaemonSetSnapshot, ...] = ()
    gpu_clusters: tuple[GpuClusterSnapshot, ...] = ()
    gpu_clusters_unknown: str = ""
    """Why GPUClusters could not be read; empty where they were, or are not installed."""

    @property
    def dra_mode(self) -> bool:
        """Returns whether the GPU Operator runs in DRA mode only: GPUClusters and no ClusterPolicy."""
        return bool(self.gpu_clusters) and not self.policies


class DevicePluginConfig(msgspec.Struct, frozen=True, kw_only=True):
    """One key of a device-plugin ConfigMap, parsed. `error` is set, and the rest empty, where it would not parse."""

    namespace: str
    config_map: str
    key: str
    mig_strategy: str = ""
    sharing: str = ""
    """time-slicing, mps, or empty for none configured."""
    rename_by_default: bool = False
    fail_requests_greater_than_one: bool | None = None
    replicas: dict[str, int] = {}
    """Resource name to replicas per device."""
    error: str = ""


class DevicePluginConfigs(msgspec.Struct, frozen=True, kw_only=True):
    configs: tuple[DevicePluginConfig, ...] = ()
    default_key: str = ""
    """The key for nodes without the nvidia.com/device-plugin.config label, after the plugin's fallbacks; empty if none."""
