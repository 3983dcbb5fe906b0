"""Objects besides nodes and pods that the scheduler reads: namespaces, volumes, runtime and priority classes.

Each kind is optional: one that Muster may not list, or that is too long to be read, is unknown, and costs no other.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import msgspec

from fleet.collectors.errors import Asked, Failure
from fleet.collectors.paging import PageDecoder, read_list
from fleet.collectors.session import Session
from fleet.domain.placement.scheduler import objects as reading
from fleet.domain.snapshot.scheduling import SchedulingObjects, Storage
from fleet.domain.snapshot.sections import Outcome

T = TypeVar("T")
Manifest = dict[str, Any]

MOST_PAGES = 20
"""Of one kind: ten thousand objects at the usual size of a page. Longer lists count as unknown."""
_REFUSALS = (Outcome.FORBIDDEN, Outcome.REFUSED)
_UNKNOWN = frozenset(
    {
        Outcome.FORBIDDEN,
        Outcome.ABSENT,
        Outcome.MALFORMED,
        Outcome.REFUSED,
        Outcome.EXPIRED,
        Outcome.INCOMPLETE,
        Outcome.TOO_LARGE,
    }
)
_pages: PageDecoder[Manifest] = PageDecoder(Manifest)


class Kind(msgspec.Struct, frozen=True):
    """A kind of object: its API group and version, and its plural name."""

    group: str
    plural: str

    @property
    def path(self) -> str:
        return f"/apis/{self.group}/v1/{self.plural}" if self.group else f"/api/v1/{self.plural}"


NAMESPACES = Kind("", "namespaces")
CLAIMS, VOLUMES = Kind("", "persistentvolumeclaims"), Kind("", "persistentvolumes")
STORAGE_CLASSES = Kind("storage.k8s.io", "storageclasses")
CSI_NODES, CSI_DRIVERS = Kind("storage.k8s.io", "csinodes"), Kind("storage.k8s.io", "csidrivers")
RUNTIME_CLASSES = Kind("node.k8s.io", "runtimeclasses")
PRIORITY_CLASSES = Kind("scheduling.k8s.io", "priorityclasses")


_UID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
"""Every API server writes UUIDs. Another text may be in every cluster of its kind, and would make them one."""


class Read(msgspec.Struct):
    objects: SchedulingObjects
    count: int = 0
    cluster_uid: str = ""
    """UID of the namespace kube-system, which stands for the cluster's; empty where it was not read or is not a UUID."""


def fetch(session: Session, gpu_nodes: frozenset[str]) -> Read:
    """Every kind that may be listed. Raises Failure where the API server cannot be reached."""
    lists = _Lists(session)
    cluster_uid = ""

    def namespace(manifest: Manifest) -> tuple[str, dict[str, str]]:
        nonlocal cluster_uid
        meta: Mapping[str, Any] = manifest.get("metadata") or {}
        name = str(meta.get("name", ""))
        if name == "kube-system":
            uid = str(meta.get("uid") or "")
            cluster_uid = uid if _UID.fullmatch(uid) else ""
        return name, {str(key): str(value) for key, value in (meta.get("labels") or {}).items()}

    namespaces = lists.read(NAMESPACES, namespace)
    storage = _storage(lists, gpu_nodes)
    runtime = lists.read(RUNTIME_CLASSES, reading.runtime_class)
    priority = lists.read(PRIORITY_CLASSES, reading.priority_class)
    objects = SchedulingObjects(
        namespaces=None if namespaces is None else dict(namespaces),
        storage=storage,
        runtime_classes=runtime,
        priority_classes=priority,
    )
    return Read(objects, lists.count, cluster_uid)


class _Lists:
    """Reads one kind after the other and counts the objects."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.count = 0

    def read(
        self, kind: Kind, parse: Callable[[Manifest], T], keep: Callable[[T], bool] = lambda _: True
    ) -> tuple[T, ...] | None:
        """Every object of a kind; None where it may not be listed or was not read completely."""
        asked = Asked(verb="list", resource=kind.plural, group=kind.group, optional=True)

        def parse_page(manifests: list[Manifest]) -> list[T]:
            return [entry for entry in map(parse, manifests) if keep(entry)]

        try:
            listing = read_list(self._session, kind.path, asked, _pages, parse_page, most_pages=MOST_PAGES)
        except Failure as failure:
            if failure.outcome in _UNKNOWN:
                return None
            raise
        self.count += listing.count
        return tuple(listing.items) if listing.complete else None


def _storage(lists: _Lists, gpu_nodes: frozenset[str]) -> Storage | None:
    claims = lists.read(CLAIMS, reading.volume_claim)
    volumes = None if claims is None else lists.read(VOLUMES, reading.volume)
    classes = None if volumes is None else lists.read(STORAGE_CLASSES, reading.storage_class)
    limits = None if classes is None else lists.read(CSI_NODES, _limits, lambda entry: entry[0] in gpu_nodes and bool(entry[1]))
    tracking = None if limits is None else lists.read(CSI_DRIVERS, _tracks_capacity, bool)
    if claims is None or volumes is None or classes is None or limits is None or tracking is None:
        return None
    return Storage(claims=claims, volumes=volumes, classes=classes, limits=dict(limits), tracks_capacity=tracking)


def _limits(manifest: Manifest) -> tuple[str, dict[str, int]]:
    return str((manifest.get("metadata") or {}).get("name", "")), reading.volume_limits(manifest)


def _tracks_capacity(manifest: Manifest) -> str:
    """Name of a driver whose free capacity the scheduler checks; empty for others."""
    tracks = (manifest.get("spec") or {}).get("storageCapacity") is True
    return str((manifest.get("metadata") or {}).get("name", "")) if tracks else ""
