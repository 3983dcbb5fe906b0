"""The GPU stack's own objects: ClusterPolicy, GPUCluster, NVIDIADriver, and the DaemonSets that run GPUs on this cluster.

There need be no GPU Operator: static and Helm device plugins, cloud-managed stacks and DRA drivers are DaemonSets too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

import msgspec

from fleet.collectors import trust
from fleet.collectors.apis import Apis, absent, explain_refusal
from fleet.collectors.daemonsets import DaemonSetWire, PluginSource, parse, plugin_sources
from fleet.collectors.errors import Asked, Failure
from fleet.collectors.paging import Listing, PageDecoder, read_list
from fleet.collectors.session import Session
from fleet.collectors.wire import ConditionWire, ObjectMeta, parse_conditions
from fleet.domain.snapshot import ClusterPolicySnapshot, GpuClusterSnapshot, NvidiaDriverSnapshot, OperatorSnapshot
from fleet.domain.snapshot.sections import Outcome

Wire = TypeVar("Wire")
Out = TypeVar("Out")

GROUP = "nvidia.com"
POLICIES = Asked(verb="list", resource="clusterpolicies", group=GROUP, optional=True)
DRIVERS = Asked(verb="list", resource="nvidiadrivers", group=GROUP, optional=True)
GPU_CLUSTERS = Asked(verb="list", resource="gpuclusters", group=GROUP, optional=True)
DAEMONSETS = Asked(verb="list", resource="daemonsets", group="apps")

_WHOLE = (Outcome.COLLECTED, Outcome.ABSENT)


class _Enabled(msgspec.Struct, rename="camel", gc=False):
    enabled: bool | None = None


class _DriverSpec(msgspec.Struct, rename={"use_crd": "useNvidiaDriverCRD"}, gc=False):
    enabled: bool | None = None
    use_crd: bool | None = None
    version: str | None = None


class _Mig(msgspec.Struct, gc=False):
    strategy: str | None = None


class _PluginConfig(msgspec.Struct, gc=False):
    name: str | None = None
    default: str | None = None


class _Plugin(msgspec.Struct, gc=False):
    config: _PluginConfig | None = None


class _PolicySpec(msgspec.Struct, rename="camel", gc=False):
    driver: _DriverSpec | None = None
    toolkit: _Enabled | None = None
    dcgm_exporter: _Enabled | None = None
    mig: _Mig | None = None
    device_plugin: _Plugin | None = None


class _PolicyStatus(msgspec.Struct, gc=False):
    state: str | None = None
    namespace: str | None = None
    conditions: list[ConditionWire] | None = None


class PolicyWire(msgspec.Struct, gc=False):
    metadata: ObjectMeta | None = None
    spec: _PolicySpec | None = None
    status: _PolicyStatus | None = None


class _DriverCrSpec(msgspec.Struct, rename="camel", gc=False):
    driver_type: str | None = None
    version: str | None = None


class _DriverCrStatus(msgspec.Struct, gc=False):
    state: str | None = None


class DriverWire(msgspec.Struct, gc=False):
    metadata: ObjectMeta | None = None
    spec: _DriverCrSpec | None = None
    status: _DriverCrStatus | None = None


class _GpuClusterStatus(msgspec.Struct, gc=False):
    state: str | None = None
    namespace: str | None = None
    conditions: list[ConditionWire] | None = None


class GpuClusterWire(msgspec.Struct, gc=False):
    metadata: ObjectMeta | None = None
    status: _GpuClusterStatus | None = None


_gpu_cluster_pages = PageDecoder(GpuClusterWire)
_policy_pages = PageDecoder(PolicyWire)
_driver_pages = PageDecoder(DriverWire)
_daemonset_pages = PageDecoder(DaemonSetWire)


class Stack(msgspec.Struct):
    """What was read of the GPU stack. Parts are kept even where one of them failed."""

    snapshot: OperatorSnapshot = OperatorSnapshot()
    namespaces: frozenset[str] | None = None
    """Namespaces of the stack's objects; None where they are not completely known."""
    sources: tuple[PluginSource, ...] | None = None
    """Sources of device-plugin configuration; None where they are not completely known."""
    outcome: Outcome = Outcome.COLLECTED
    reason: str = ""

    @property
    def count(self) -> int:
        snapshot = self.snapshot
        return len(snapshot.policies) + len(snapshot.drivers) + len(snapshot.daemonsets) + len(snapshot.gpu_clusters)


def fetch(session: Session, apis: Apis) -> Stack:
    """Reads all four kinds. `outcome` and `reason` report a kind that fails; the results of the others are kept."""
    policies = _optional(session, apis, POLICIES, "v1", _policy_pages, _policies)
    drivers = _optional(session, apis, DRIVERS, "v1alpha1", _driver_pages, _drivers)
    gpu_clusters = _optional(session, apis, GPU_CLUSTERS, "v1alpha1", _gpu_cluster_pages, _gpu_clusters)
    daemonsets = _daemonsets(session)
    return assemble(policies, drivers, daemonsets, gpu_clusters)


def assemble(
    policies: Listing[ClusterPolicySnapshot],
    drivers: Listing[NvidiaDriverSnapshot],
    daemonsets: Listing[DaemonSetWire],
    gpu_clusters: Listing[GpuClusterSnapshot] | None = None,
) -> Stack:
    """One section of several lists: complete where each was read completely or is known not to be installed.

    GPUClusters are a technology preview: that they may not be read is noted and costs nothing else.
    """
    gpu_clusters = gpu_clusters or Listing(items=[], outcome=Outcome.ABSENT)
    snapshots = tuple(snapshot for wire in daemonsets.items if (snapshot := parse(wire)) is not None)
    stack = Stack(
        snapshot=OperatorSnapshot(
            policies=tuple(policies.items),
            drivers=tuple(drivers.items),
            daemonsets=snapshots,
            gpu_clusters=tuple(gpu_clusters.items),
            gpu_clusters_unknown="" if gpu_clusters.outcome in _WHOLE else gpu_clusters.reason,
        ),
    )
    failed = [part for part in (policies, drivers, daemonsets) if part.outcome not in (Outcome.COLLECTED, Outcome.ABSENT)]
    if failed:
        stack.outcome = failed[0].outcome
        stack.reason = " ".join(dict.fromkeys(part.reason for part in failed))
    elif policies.outcome is Outcome.ABSENT and drivers.outcome is Outcome.ABSENT and not snapshots and not gpu_clusters.items:
        stack.outcome = Outcome.ABSENT
        stack.reason = "Neither the GPU Operator nor any other GPU stack that Muster knows is installed."
    if policies.outcome in _WHOLE and daemonsets.outcome in _WHOLE:
        named = {policy.namespace for policy in policies.items} | {item.namespace for item in gpu_clusters.items}
        stack.namespaces = frozenset({daemonset.namespace for daemonset in snapshots} | named - {""})
        believed = trust.believe_daemonsets(snapshots, policies.items)
        stack.sources = _sources(policies.items, [wire for wire in daemonsets.items if _key(wire) in believed])
    return stack


def _key(wire: DaemonSetWire) -> tuple[str, str]:
    meta = wire.metadata or ObjectMeta()
    return meta.namespace or "", meta.name or ""


def _sources(policies: Iterable[ClusterPolicySnapshot], daemonsets: Iterable[DaemonSetWire]) -> tuple[PluginSource, ...]:
    """The operator's own ConfigMap first: its DaemonSet mounts the same one, and knows the fallbacks."""
    mounted = [source for wire in daemonsets for source in plugin_sources(wire)]
    sources = []
    for policy in policies:
        name = policy.device_plugin_config_name
        if not name or not policy.namespace:
            continue
        twin = next((s for s in mounted if (s.namespace, s.config_map) == (policy.namespace, name)), None)
        sources.append(
            PluginSource(
                namespace=policy.namespace,
                config_map=name,
                default=policy.device_plugin_config_default,
                fallbacks=twin.fallbacks if twin else None,
            )
        )
    named = {(source.namespace, source.config_map) for source in sources}
    return (*sources, *(s for s in mounted if (s.namespace, s.config_map) not in named))


def _daemonsets(session: Session) -> Listing[DaemonSetWire]:
    def keep(wires: list[DaemonSetWire]) -> list[DaemonSetWire]:
        return [wire for wire in wires if parse(wire) is not None]

    try:
        return read_list(session, "/apis/apps/v1/daemonsets", DAEMONSETS, _daemonset_pages, keep)
    except Failure as failure:
        return _failed(failure)


def _optional(
    session: Session,
    apis: Apis,
    asked: Asked,
    version: str,
    pages: PageDecoder[Wire],
    keep: Callable[[list[Wire]], list[Out]],
) -> Listing[Out]:
    """The list of a kind that need not be installed; its failure as an outcome."""
    if apis.serves(asked.group, version) is False:
        return Listing(items=[], outcome=Outcome.ABSENT, reason=absent(asked).reason)
    try:
        return read_list(session, f"/apis/{asked.group}/{version}/{asked.resource}", asked, pages, keep)
    except Failure as failure:
        return _failed(explain_refusal(session, apis, failure, asked, version))


def _failed(failure: Failure) -> Listing[Out]:
    return Listing(items=[], outcome=failure.outcome, reason=failure.reason)


def _policies(wires: Iterable[PolicyWire]) -> list[ClusterPolicySnapshot]:
    return [parse_policy(wire) for wire in wires]


def _gpu_clusters(wires: Iterable[GpuClusterWire]) -> list[GpuClusterSnapshot]:
    return [parse_gpu_cluster(wire) for wire in wires]


def _drivers(wires: Iterable[DriverWire]) -> list[NvidiaDriverSnapshot]:
    return [parse_driver(wire) for wire in wires]


def parse_policy(wire: PolicyWire) -> ClusterPolicySnapshot:
    meta, spec, status = wire.metadata or ObjectMeta(), wire.spec or _PolicySpec(), wire.status or _PolicyStatus()
    driver = spec.driver or _DriverSpec()
    config = (spec.device_plugin.config if spec.device_plugin else None) or _PluginConfig()
    return ClusterPolicySnapshot(
        name=meta.name or "",
        state=status.state or "",
        namespace=status.namespace or "",
        driver_enabled=driver.enabled,
        use_driver_crd=driver.use_crd,
        toolkit_enabled=spec.toolkit.enabled if spec.toolkit else None,
        dcgm_exporter_enabled=spec.dcgm_exporter.enabled if spec.dcgm_exporter else None,
        mig_strategy=(spec.mig.strategy if spec.mig else None) or "",
        device_plugin_config_name=config.name or "",
        device_plugin_config_default=config.default or "",
        driver_version=driver.version or "",
        conditions=parse_conditions(status.conditions),
    )


def parse_gpu_cluster(wire: GpuClusterWire) -> GpuClusterSnapshot:
    meta, status = wire.metadata or ObjectMeta(), wire.status or _GpuClusterStatus()
    return GpuClusterSnapshot(
        name=meta.name or "",
        state=status.state or "",
        namespace=status.namespace or "",
        conditions=parse_conditions(status.conditions),
    )


def parse_driver(wire: DriverWire) -> NvidiaDriverSnapshot:
    meta, spec, status = wire.metadata or ObjectMeta(), wire.spec or _DriverCrSpec(), wire.status or _DriverCrStatus()
    return NvidiaDriverSnapshot(
        name=meta.name or "",
        state=status.state or "",
        driver_type=spec.driver_type or "",
        version=spec.version or "",
    )
