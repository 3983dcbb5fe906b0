"""Queues in front of the scheduler: Kueue, Volcano and KAI, where they are installed. Read only, each system for itself.

A system that may not be read, or whose lists are too long, is unknown and costs no other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import msgspec

from fleet.collectors import kueue, pod_groups
from fleet.collectors.apis import Apis
from fleet.collectors.errors import NOT_JSON, Asked, Failure
from fleet.collectors.paging import PageDecoder, read_list
from fleet.collectors.session import SMALL_TIMEOUT_S, Session
from fleet.domain.snapshot.queues import KAI, KUEUE, VOLCANO, QueueObjects, Workload
from fleet.domain.snapshot.sections import Outcome

T = TypeVar("T")
Manifest = dict[str, Any]

KUEUE_GROUP, VISIBILITY_GROUP = "kueue.x-k8s.io", "visibility.kueue.x-k8s.io"
VOLCANO_GROUP, KAI_GROUP = "scheduling.volcano.sh", "scheduling.run.ai"
KUEUE_VERSIONS = ("v1beta2", "v1", "v1beta1")
"""As Muster prefers them: fields of all three are understood."""
MOST_PAGES = 20
"""Of one kind: ten thousand objects at the usual size of a page. Longer lists count as unknown."""
MOST_WORKLOADS = 5_000
"""Kept of Kueue's unfinished workloads, those that wait first; of PodGroups as many."""
MOST_POSITIONS = 20
"""ClusterQueues whose order is asked of the visibility API in one run, those with most pending workloads first."""
_SUMMARY_LIMIT = 1_000
_UNKNOWN = frozenset(
    {
        *(Outcome.FORBIDDEN, Outcome.ABSENT, Outcome.MALFORMED, Outcome.REFUSED, Outcome.EXPIRED),
        *(Outcome.INCOMPLETE, Outcome.TOO_LARGE, Outcome.THROTTLED),
    }
)
_pages: PageDecoder[Manifest] = PageDecoder(Manifest)


class _UnreadError(Exception):
    """A kind without which a system is unknown was not read; the message says why, for people."""


class Read(msgspec.Struct):
    objects: QueueObjects
    count: int = 0


def fetch(session: Session, apis: Apis) -> Read:
    """Reads every system that is installed: none is read where none is. Raises Failure where the API server is not reached."""
    if not apis.known:
        return Read(QueueObjects(systems=dict.fromkeys(_GROUPS, "Whether it is installed is unknown: discovery is refused.")))
    installed = [system for system, group in _GROUPS.items() if apis.serves(group)]
    lists = _Lists(session)
    systems: dict[str, str] = {}
    objects = QueueObjects()
    for system in installed:
        try:
            objects = _READERS[system](lists, apis, objects)
            systems[system] = ""
        except _UnreadError as reason:
            systems[system] = str(reason)
    return Read(msgspec.structs.replace(objects, systems=systems), lists.count)


def _kueue(lists: _Lists, apis: Apis, objects: QueueObjects) -> QueueObjects:
    version = next(iter(apis.first_of(KUEUE_GROUP, KUEUE_VERSIONS)), "")
    if not version:
        raise _UnreadError(f"Kueue serves none of the versions {', '.join(KUEUE_VERSIONS)}.")

    def path(plural: str) -> str:
        return f"/apis/{KUEUE_GROUP}/{version}/{plural}"

    queues = lists.read(path("clusterqueues"), KUEUE_GROUP, kueue.cluster_queue)
    local_queues = lists.read(path("localqueues"), KUEUE_GROUP, kueue.local_queue)
    flavors = lists.read(path("resourceflavors"), KUEUE_GROUP, kueue.flavor)
    parsed = lists.read(path("workloads"), KUEUE_GROUP, kueue.workload)
    workloads = sorted((w for w in parsed if w is not None), key=lambda w: bool(w.cluster_queue))[:MOST_WORKLOADS]
    cohorts = lists.read_optional(path("cohorts"), KUEUE_GROUP, kueue.cohort)
    topologies = lists.read_optional(path("topologies"), KUEUE_GROUP, kueue.topology) or ()
    busiest = sorted(queues, key=lambda queue: -(queue.pending or 0))
    names = [queue.name for queue in busiest if queue.pending][:MOST_POSITIONS]
    return msgspec.structs.replace(
        objects,
        cluster_queues=queues,
        local_queues=local_queues,
        flavors=flavors,
        cohorts=cohorts,
        topologies=topologies,
        workloads=tuple(_with_positions(lists, apis, workloads, names)),
    )


def _with_positions(lists: _Lists, apis: Apis, workloads: list[Workload], queues: Iterable[str]) -> Iterable[Workload]:
    """Yields the workloads with their place, where the visibility API may be read: its order is Kueue's own."""
    version = next(iter(apis.first_of(VISIBILITY_GROUP, KUEUE_VERSIONS)), "")
    places: dict[tuple[str, str], int] = {}
    if version and apis.serves(VISIBILITY_GROUP):
        for name in queues:
            summary = lists.get(f"/apis/{VISIBILITY_GROUP}/{version}/clusterqueues/{name}/pendingworkloads")
            if summary is None:
                break
            places |= kueue.positions(summary)
    for workload in workloads:
        place = None if workload.cluster_queue else places.get((workload.namespace, workload.name))
        yield workload if place is None else msgspec.structs.replace(workload, position=place)


def _volcano(lists: _Lists, apis: Apis, objects: QueueObjects) -> QueueObjects:
    queues = lists.read(f"/apis/{VOLCANO_GROUP}/v1beta1/queues", VOLCANO_GROUP, pod_groups.volcano_queue)
    groups = lists.read(f"/apis/{VOLCANO_GROUP}/v1beta1/podgroups", VOLCANO_GROUP, pod_groups.volcano_group)
    kept = [group for group in groups if group is not None]
    return msgspec.structs.replace(objects, queues=(*objects.queues, *queues), groups=(*objects.groups, *kept[:MOST_WORKLOADS]))


def _kai(lists: _Lists, apis: Apis, objects: QueueObjects) -> QueueObjects:
    queues = lists.read(f"/apis/{KAI_GROUP}/v2/queues", KAI_GROUP, pod_groups.kai_queue)
    groups = lists.read(f"/apis/{KAI_GROUP}/v2alpha2/podgroups", KAI_GROUP, pod_groups.kai_group)
    return msgspec.structs.replace(objects, queues=(*objects.queues, *queues), groups=(*objects.groups, *groups[:MOST_WORKLOADS]))


_GROUPS = {KUEUE: KUEUE_GROUP, VOLCANO: VOLCANO_GROUP, KAI: KAI_GROUP}
_READERS: dict[str, Callable[[_Lists, Apis, QueueObjects], QueueObjects]] = {}


class _Lists:
    """Reads one kind after the other and counts the objects."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.count = 0

    def read(self, path: str, group: str, parse: Callable[[Manifest], T]) -> tuple[T, ...]:
        """Every object of a kind. Raises _UnreadError where it may not be listed or was not read completely."""
        asked = Asked(verb="list", resource=path.rpartition("/")[2], group=group, optional=True)

        def parse_page(manifests: list[Manifest]) -> list[T]:
            return [parse(manifest) for manifest in manifests]

        try:
            listing = read_list(self._session, path, asked, _pages, parse_page, most_pages=MOST_PAGES)
        except Failure as failure:
            if failure.outcome in _UNKNOWN:
                raise _UnreadError(failure.reason) from failure
            raise
        self.count += listing.count
        if not listing.complete:
            raise _UnreadError(listing.reason)
        return tuple(listing.items)

    def read_optional(self, path: str, group: str, parse: Callable[[Manifest], T]) -> tuple[T, ...] | None:
        """Every object of a kind without which the rest is still known; None where it was not read."""
        try:
            return self.read(path, group, parse)
        except _UnreadError:
            return None

    def get(self, path: str) -> Manifest | None:
        """One summary of the visibility API; None where that may not be read."""
        asked = Asked(verb="get", resource="clusterqueues/pendingworkloads", group=VISIBILITY_GROUP, optional=True)
        try:
            answer = self._session.get(path, asked, (("limit", _SUMMARY_LIMIT),), timeout_s=SMALL_TIMEOUT_S)
            return msgspec.json.decode(answer.body, type=Manifest)
        except NOT_JSON:
            return None
        except Failure as failure:
            if failure.outcome in _UNKNOWN:
                return None
            raise


_READERS |= {KUEUE: _kueue, VOLCANO: _volcano, KAI: _kai}
