"""Nodes: every one is read, those with a GPU (present, promised or once known) are kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from sys import intern

import msgspec

from fleet.collectors.errors import Asked
from fleet.collectors.paging import Listing, PageDecoder, read_list
from fleet.collectors.platforms import platform_of
from fleet.collectors.session import Session
from fleet.collectors.wire import ConditionWire, ObjectMeta, Quantities, interned, parse_conditions, quantities
from fleet.domain.labels import NVIDIA
from fleet.domain.snapshot import NodeInfo, NodeSnapshot, Taint

ASKED = Asked(verb="list", resource="nodes")


class TaintWire(msgspec.Struct, gc=False):
    key: str | None = None
    value: str | None = None
    effect: str | None = None


class _Info(msgspec.Struct, rename="camel", gc=False):
    kernel_version: str | None = None
    os_image: str | None = None
    container_runtime_version: str | None = None
    kubelet_version: str | None = None
    architecture: str | None = None
    operating_system: str | None = None
    boot_id: str | None = msgspec.field(default=None, name="bootID")


class _Spec(msgspec.Struct, gc=False):
    taints: list[TaintWire] | None = None
    unschedulable: bool | None = None
    provider_id: str | None = msgspec.field(default=None, name="providerID")


class _Status(msgspec.Struct, rename="camel", gc=False):
    capacity: Quantities | None = None
    allocatable: Quantities | None = None
    conditions: list[ConditionWire] | None = None
    node_info: _Info | None = None


class NodeWire(msgspec.Struct, gc=False):
    metadata: ObjectMeta | None = None
    spec: _Spec | None = None
    status: _Status | None = None


_pages = PageDecoder(NodeWire)
_NO_META, _NO_SPEC, _NO_STATUS, _NO_INFO = ObjectMeta(), _Spec(), _Status(), _Info()


class Nodes(msgspec.Struct):
    """The GPU nodes, what the list said of itself, and where the cluster seems to run."""

    listing: Listing[NodeSnapshot]
    platform: str = ""


def fetch(session: Session, is_wanted: Callable[[NodeSnapshot], bool], server_version: str) -> Nodes:
    """Read all nodes and keep those that `is_wanted`. Raises Failure where not even one page came."""
    platforms: Counter[str] = Counter()

    def keep(wires: list[NodeWire]) -> list[NodeSnapshot]:
        nodes = [node for wire in wires if (node := parse(wire)) is not None]
        platforms.update(_platform(wire, server_version) for wire in wires)
        return [node for node in nodes if is_wanted(node)]

    listing = read_list(session, "/api/v1/nodes", ASKED, _pages, keep)
    told = [(count, name) for name, count in platforms.items() if name]
    return Nodes(listing, max(told)[1] if told else platform_of({}, {}, "", server_version))


def parse(wire: NodeWire) -> NodeSnapshot | None:
    """A node as Muster keeps it; None for an object without a name, which no API server sends."""
    meta, spec, status = wire.metadata or _NO_META, wire.spec or _NO_SPEC, wire.status or _NO_STATUS
    if not meta.name:
        return None
    return NodeSnapshot(
        name=meta.name,
        uid=meta.uid or "",
        created_at=meta.created_at,
        labels=interned(meta.labels),
        annotations=interned({k: v for k, v in (meta.annotations or {}).items() if k.startswith(NVIDIA)}),
        taints=parse_taints(spec.taints),
        unschedulable=bool(spec.unschedulable),
        provider_id=spec.provider_id or "",
        capacity=quantities(status.capacity),
        allocatable=quantities(status.allocatable),
        conditions=parse_conditions(status.conditions),
        node_info=_parse_info(status.node_info or _NO_INFO),
    )


def parse_taints(wires: Sequence[TaintWire] | None) -> tuple[Taint, ...]:
    return tuple(Taint(intern(wire.key), intern(wire.value or ""), intern(wire.effect or "")) for wire in wires or () if wire.key)


def _parse_info(info: _Info) -> NodeInfo:
    return NodeInfo(
        kernel=intern(info.kernel_version or ""),
        os_image=intern(info.os_image or ""),
        container_runtime=intern(info.container_runtime_version or ""),
        kubelet=intern(info.kubelet_version or ""),
        architecture=intern(info.architecture or ""),
        operating_system=intern(info.operating_system or ""),
        boot_id=info.boot_id or "",
    )


def _platform(wire: NodeWire, server_version: str) -> str:
    meta, spec = wire.metadata or _NO_META, wire.spec or _NO_SPEC
    no_keys: Mapping[str, str] = {}
    return platform_of(meta.labels or no_keys, meta.annotations or no_keys, spec.provider_id or "", server_version)
