"""Nodes: every one is read, those with a GPU (present, promised or once known) are kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from sys import intern

import msgspec

from fleet.collectors import managed_fields
from fleet.collectors.errors import Asked
from fleet.collectors.paging import Listing, PageDecoder, read_list
from fleet.collectors.platforms import platform_of
from fleet.collectors.session import Session
from fleet.collectors.wire import (
    ConditionWire,
    ManagedMeta,
    Quantities,
    interned,
    is_object_name,
    parse_conditions,
    quantities,
)
from fleet.domain.catalog import monitors
from fleet.domain.labels import HANDSHAKE_DELETED, HANDSHAKE_OF, NVIDIA
from fleet.domain.snapshot import NodeInfo, NodeSnapshot, ObjectProblem, Taint

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
    metadata: ManagedMeta | None = None
    spec: _Spec | None = None
    status: _Status | None = None


_pages = PageDecoder(NodeWire)
_HANDSHAKES = frozenset(HANDSHAKE_OF.values())
_LONGEST_ANNOTATION = 16_384
"""64 GPUs take less; a longer text is not worth its memory."""
_NO_META, _NO_SPEC, _NO_STATUS, _NO_INFO = ManagedMeta(), _Spec(), _Status(), _Info()


class Nodes(msgspec.Struct):
    """The GPU nodes, the list's metadata, and the platform of the cluster."""

    listing: Listing[NodeSnapshot]
    platform: str = ""


def fetch(session: Session, is_wanted: Callable[[NodeSnapshot], bool], server_version: str) -> Nodes:
    """Read all nodes and keep those that `is_wanted`. Raises Failure where not even one page came."""
    platforms: Counter[str] = Counter()

    def keep(wires: list[NodeWire]) -> list[NodeSnapshot]:
        nodes = [(node, wire) for wire in wires if (node := parse(wire)) is not None]
        platforms.update(_platform(wire, server_version) for wire in wires)
        return [with_managers(node, wire) for node, wire in nodes if is_wanted(node)]

    listing = read_list(session, "/api/v1/nodes", ASKED, _pages, keep)
    _leave_out(listing)
    known = [(count, name) for name, count in platforms.items() if name]
    return Nodes(listing, max(known)[1] if known else platform_of({}, {}, "", server_version))


def _leave_out(listing: Listing[NodeSnapshot]) -> None:
    """Moves the nodes that cannot be recorded from the list's items to its problems."""
    kept, uids = [], set()
    for node in listing.items:
        if not is_object_name(node.name):
            problem = "Its name is not one that Kubernetes accepts (lower-case letters, digits, '-' and '.'), so it was left out."
        elif node.uid in uids:
            problem = "It has the UID of another node of the list, so it was left out."
        else:
            uids.add(node.uid)
            kept.append(node)
            continue
        listing.problems.append(ObjectProblem("node", node.name, problem))
    listing.items = kept


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
        annotations=interned({key: text for key, text in (meta.annotations or {}).items() if _is_kept(key, text)}),
        taints=parse_taints(spec.taints),
        unschedulable=bool(spec.unschedulable),
        provider_id=spec.provider_id or "",
        capacity=quantities(status.capacity),
        allocatable=quantities(status.allocatable),
        conditions=parse_conditions(status.conditions),
        node_info=_parse_info(status.node_info or _NO_INFO),
    )


def with_managers(node: NodeSnapshot, wire: NodeWire) -> NodeSnapshot:
    """Returns the node with who set what takes it out of service; unchanged where nothing does."""
    wanted = [managed_fields.CORDON] if node.unschedulable else []
    if any(_takes_out("taint", taint.key, taint.value) for taint in node.taints):
        wanted.append(managed_fields.TAINTS)
    wanted += [f"label {key}" for key, value in node.labels.items() if _takes_out("label", key, value)]
    wanted += [f"annotation {key}" for key, value in node.annotations.items() if _takes_out("annotation", key, value)]
    if not wanted or wire.metadata is None:
        return node
    return msgspec.structs.replace(node, managers=managed_fields.parse(wire.metadata.managed_fields, wanted))


def _takes_out(place: monitors.Place, key: str, value: str) -> bool:
    signal = monitors.signal_of(place, key)
    return signal is not None and signal.meaning(value) in monitors.OUT_OF_SERVICE


def _is_kept(key: str, text: str) -> bool:
    """Whether Muster reads this annotation. Handshakes of share schedulers change every 30 s: only that one has ended is kept."""
    if len(text) > _LONGEST_ANNOTATION:
        return False
    if monitors.signal_of("annotation", key) is not None:
        return True
    return key.startswith(NVIDIA) or key in HANDSHAKE_OF or (key in _HANDSHAKES and text.startswith(HANDSHAKE_DELETED))


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
