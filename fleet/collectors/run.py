"""One look at one cluster. The failure of one section never costs another, and never goes untold.

`collect` never raises for what a cluster does. Order: version (is anybody there?), GPU stack (which namespaces?), own
permissions, DRA devices (they decide which nodes are GPU nodes), nodes, pods, device-plugin configuration, DRA claims,
then exporters and model servers, which are found among the pods; last Events, of which a storm must cost nothing else.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import TypeVar

import msgspec

from fleet.collectors import (
    apis,
    device_classes,
    device_plugin_config,
    device_taint_rules,
    events,
    nodes,
    operator,
    permissions,
    pod_lists,
    readiness_rules,
    resource_claims,
    resource_slices,
    scheduling_objects,
    telemetry,
    trust,
    version,
)
from fleet.collectors.bounds import bound_snapshot, first_problems
from fleet.collectors.deadline import Deadline
from fleet.collectors.errors import Asked, ConfigurationError, Failure, shorten
from fleet.collectors.kube import Connection, open_client
from fleet.collectors.paging import Listing
from fleet.collectors.sections import HIDES, SECTIONS, TELEMETRY_SECTIONS
from fleet.collectors.session import Limits, Session
from fleet.domain.devices.detection import gpu_evidence, node_of
from fleet.domain.snapshot import (
    ClusterSnapshot,
    DevicePluginConfigs,
    DraAllocation,
    DraDevice,
    NodeEvent,
    NodeSnapshot,
    ObjectProblem,
    OperatorSnapshot,
    Permissions,
    PodSnapshot,
    ResourceSlices,
    SchedulingObjects,
)
from fleet.domain.snapshot.dra import DeviceClass, DeviceTaintRule, DraClaim
from fleet.domain.snapshot.readiness_rules import NodeReadinessRule
from fleet.domain.snapshot.sections import Outcome, SectionReport
from fleet.domain.snapshot.telemetry import Telemetry

_log = logging.getLogger(__name__)
T = TypeVar("T")

DEADLINE_S = 50.0
# After one of these from the first question, every other would only wait for the same end.
_UNREADABLE = frozenset(
    {Outcome.UNREACHABLE, Outcome.TLS, Outcome.UNAUTHORISED, Outcome.TIMEOUT, Outcome.MALFORMED, Outcome.REFUSED}
)
# And after one of these later on, where nothing answered. One such section may be a hiccup; two in a row are not.
_GONE = frozenset({Outcome.UNREACHABLE, Outcome.TLS, Outcome.INCOMPLETE})


class _Read(msgspec.Struct):
    """What a section gave: how many objects, and whether that was all."""

    count: int | None = None
    outcome: Outcome = Outcome.COLLECTED
    reason: str = ""


def collect(  # noqa: PLR0913 what a run depends on, given by name
    connection: Connection,
    *,
    now: Callable[[], datetime],
    known_gpu_nodes: frozenset[str] = frozenset(),
    known_pods: Sequence[PodSnapshot] = (),
    plan: telemetry.Plan | None = None,
    sections: Sequence[str] = SECTIONS,
    deadline_s: float = DEADLINE_S,
    limits: Limits | None = None,
    stack_namespaces: Sequence[str] = (),
) -> ClusterSnapshot:
    """Collects one cluster within `deadline_s` seconds.

    `known_gpu_nodes` are names that were GPU nodes before: they are kept even without evidence, so that a node
    whose labels are missing for a minute does not look deleted. `known_pods` are exporters and model servers as they
    were last seen: they are read where this run reads no pods. `sections` are those to be read: SECTIONS, or
    TELEMETRY_SECTIONS between two full runs; the snapshot reports on these only. `stack_namespaces` are those of the GPU
    stack, where they are configured.
    """
    taken_at = now()
    session = Session(open_client(connection), Deadline(deadline_s), limits)
    reader = telemetry.Reader(session.client, plan or telemetry.Plan(), session.deadline, now)
    look = _Look(session, reader, known_gpu_nodes, known_pods)
    look.stack_namespaces = tuple(stack_namespaces)
    with _gc_paused():
        look.read(sections)
    look.name_what_was_forbidden()
    snapshot = ClusterSnapshot(
        name=connection.name,
        uid=look.cluster_uid,
        taken_at=taken_at,
        clock_ahead_s=session.clock_ahead_s,
        server_version=look.server_version,
        platform=look.platform,
        node_count=look.node_count,
        nodes=tuple(look.nodes),
        pods=tuple(look.pods),
        operator=look.operator,
        device_plugin=look.device_plugin,
        slices=look.slices,
        allocations=tuple(look.allocations),
        claims=tuple(look.claims),
        device_classes=tuple(look.device_classes),
        taint_rules=tuple(look.taint_rules),
        readiness_rules=tuple(look.readiness_rules),
        scheduling=look.scheduling,
        permissions=look.permissions,
        events=tuple(look.events),
        telemetry=look.telemetry,
        problems=first_problems(look.problems),
        sections=look.reports,
    )
    return bound_snapshot(snapshot)


@contextlib.contextmanager
def _gc_paused() -> Iterator[None]:
    """Wires and snapshots are trees: the cyclic collector finds nothing in them, and looking costs a tenth of a pass."""
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


class _Look:
    """The state of one pass: what each section left for the next, and the reports."""

    def __init__(
        self,
        session: Session,
        reader: telemetry.Reader,
        known_gpu_nodes: frozenset[str],
        known_pods: Sequence[PodSnapshot],
    ) -> None:
        self._session = session
        self._reader = reader
        self._known = known_gpu_nodes
        self._known_pods = known_pods
        self._apis = apis.Apis()
        self._stack = operator.Stack()
        self.stack_namespaces: tuple[str, ...] = ()
        self._over = ""
        self._lost_in_a_row = 0
        self.reports: dict[str, SectionReport] = {}
        self.server_version = ""
        self.platform = ""
        self.node_count: int | None = None
        self.nodes: list[NodeSnapshot] = []
        self.pods: list[PodSnapshot] = []
        self.operator = OperatorSnapshot()
        self.device_plugin = DevicePluginConfigs()
        self.slices = ResourceSlices()
        self.allocations: list[DraAllocation] = []
        self.claims: list[DraClaim] = []
        self.device_classes: list[DeviceClass] = []
        self.taint_rules: list[DeviceTaintRule] = []
        self.readiness_rules: list[NodeReadinessRule] = []
        self.scheduling = SchedulingObjects()
        self.cluster_uid = ""
        self.permissions = Permissions()
        self.telemetry = Telemetry()
        self.events: list[NodeEvent] = []
        self.problems: list[ObjectProblem] = []

    def read(self, sections: Sequence[str]) -> None:
        for name in sections:
            self._section(name, getattr(self, f"_read_{name}"))

    def _section(self, name: str, read: Callable[[], _Read]) -> None:
        """Run one section and report on it, whatever happens in it."""
        if not self._over and self._session.deadline.spent:
            self._over = f"The {self._session.deadline.seconds:g} s of this pass were spent before its turn came."
        if self._over:
            self._report(name, _Read(outcome=Outcome.SKIPPED, reason=self._over), 0)
            return
        started = time.monotonic()
        try:
            result = read()
        except Failure as failure:
            result = _Read(outcome=failure.outcome, reason=failure.reason)
        except ConfigurationError as error:
            result = _Read(outcome=Outcome.UNREACHABLE, reason=str(error))
        except Exception as error:  # noqa: BLE001 - here, and here only: one odd answer must not cost the other sections
            _log.exception("section %s of a cluster failed unexpectedly", name)
            reason = f"Muster did not understand what it read ({type(error).__name__}: {shorten(str(error), 160)})."
            result = _Read(outcome=Outcome.MALFORMED, reason=reason)
        self._report(name, result, round((time.monotonic() - started) * 1000))
        self._consider_stopping(name, result)

    def _report(self, name: str, result: _Read, took_ms: int) -> None:
        answer = result.outcome is not Outcome.COLLECTED
        complete = result.outcome in (Outcome.COLLECTED, Outcome.ABSENT)
        self.reports[name] = SectionReport(
            name=name,
            outcome=result.outcome,
            count=result.count,
            took_ms=took_ms,
            reason=result.reason if answer else "",
            hides="" if complete else HIDES[name],
        )

    def _consider_stopping(self, name: str, result: _Read) -> None:
        outcome = result.outcome
        if name in TELEMETRY_SECTIONS:
            return  # what pods do says nothing about the API server
        lost = outcome in _GONE and not self._session.was_answered
        self._lost_in_a_row = self._lost_in_a_row + 1 if lost else 0
        first = name == SECTIONS[0] and outcome in _UNREADABLE
        if first or outcome is Outcome.UNAUTHORISED or self._lost_in_a_row >= 2:
            self._over = f"Not requested after an earlier failure: {result.reason}"

    def _read_version(self) -> _Read:
        try:
            self.server_version = version.fetch(self._session)
        except Failure as failure:
            if failure.outcome is Outcome.FORBIDDEN:  # /version is restricted; the rest may be readable
                self._apis = apis.fetch(self._session)
            raise
        self._apis = apis.fetch(self._session)
        return _Read(count=1)

    def _read_operator(self) -> _Read:
        self._stack = stack = operator.fetch(self._session, self._apis)
        self.operator = stack.snapshot
        return _Read(stack.count, stack.outcome, stack.reason)

    def name_what_was_forbidden(self) -> None:
        """Adds to the missing permissions what a request of this pass was refused for, whatever the account's rules say."""
        if "permissions" not in self.reports:
            return
        asked = list(self._session.forbidden)
        forbidden = any(report.outcome is Outcome.FORBIDDEN for report in self.telemetry.exporters)
        if forbidden and self._reader.source == telemetry.POD_PROXY:
            asked.append(Asked(verb="get", resource="pods/proxy"))
        self.permissions = permissions.with_forbidden(self.permissions, asked)

    def _read_permissions(self) -> _Read:
        namespaces = {policy.namespace for policy in self.operator.policies if policy.namespace}
        config_maps: dict[str, frozenset[str]] = dict.fromkeys(namespaces, frozenset())
        for source in self._stack.sources or ():
            config_maps[source.namespace] = config_maps.get(source.namespace, frozenset()) | {source.config_map}
        self.permissions = permissions.fetch(self._session, self._apis, config_maps)
        return _Read(count=len(self.permissions.missing))

    def _read_resource_slices(self) -> _Read:
        listing, api_version = resource_slices.fetch(self._session, self._apis)
        self.slices = resource_slices.parse(listing.items, api_version)
        return _of(listing)

    def _read_nodes(self) -> _Read:
        devices: dict[str, list[DraDevice]] = defaultdict(list)
        for device in self.slices.devices:
            devices[node_of(device)].append(device)

        def is_wanted(node: NodeSnapshot) -> bool:
            return node.name in self._known or bool(gpu_evidence(node, devices.get(node.name, ())))

        read = nodes.fetch(self._session, is_wanted, self.server_version)
        self.nodes, self.platform = read.listing.items, read.platform
        self.problems += read.listing.problems
        if read.listing.complete:
            self.node_count = read.listing.count
        return _of(read.listing)

    def _read_pods(self) -> _Read:
        names = frozenset(node.name for node in self.nodes) | self._known
        plan = pod_lists.plan(names, self.node_count, self._stack.namespaces)
        listing = pod_lists.fetch(self._session, names, plan)
        complete = self._stack.namespaces is not None
        where = trust.trust_of(self.operator, listing.items, self.stack_namespaces, complete=complete)
        self.pods = trust.believe(listing.items, where)
        self.problems += listing.problems
        return _of(listing)

    def _read_device_plugin_config(self) -> _Read:
        if self._stack.sources is None:
            return _Read(outcome=Outcome.SKIPPED, reason="What configures the device plugin is not known.")
        read = device_plugin_config.fetch(self._session, self._stack.sources)
        self.device_plugin = read.configs
        return _Read(len(read.configs.configs), read.outcome, read.reason)

    def _read_resource_claims(self) -> _Read:
        listing = resource_claims.fetch(self._session, self._apis)
        self.allocations = [allocation for parts in listing.items for allocation in parts.allocations]
        self.claims = [parts.claim for parts in listing.items]
        return _of(listing)

    def _read_device_classes(self) -> _Read:
        listing = device_classes.fetch(self._session, self._apis)
        self.device_classes = listing.items
        return _of(listing)

    def _read_device_taint_rules(self) -> _Read:
        listing = device_taint_rules.fetch(self._session, self._apis)
        self.taint_rules = listing.items
        return _of(listing)

    def _read_readiness_rules(self) -> _Read:
        listing = readiness_rules.fetch(self._session, self._apis)
        self.readiness_rules = listing.items
        return _of(listing)

    def _read_scheduling(self) -> _Read:
        read = scheduling_objects.fetch(self._session, frozenset(node.name for node in self.nodes))
        self.scheduling, self.cluster_uid = read.objects, read.cluster_uid
        return _Read(count=read.count)

    def _read_telemetry(self) -> _Read:
        nodes = {node.name for node in self.nodes} | self._known
        result = self._reader.devices(self._pods_to_ask(), nodes)
        self.telemetry = msgspec.structs.replace(
            self.telemetry, source=self._reader.source, samples=result.samples, exporters=result.exporters
        )
        return self._as_far_as_known(result)

    def _read_model_servers(self) -> _Read:
        result = self._reader.model_servers(self._pods_to_ask())
        self.telemetry = msgspec.structs.replace(self.telemetry, servers=result.servers)
        return self._as_far_as_known(result)

    def _read_events(self) -> _Read:
        names = {node.name for node in self.nodes} | self._known
        listing = events.fetch(self._session, names.__contains__)
        self.events = listing.items
        return _of(listing)

    def _pods_to_ask(self) -> list[PodSnapshot]:
        """The pods of this pass, and where it could not read them all, those known before."""
        if self._pods_are_whole():
            return self.pods
        seen = {pod.uid for pod in self.pods}
        return [*self.pods, *(pod for pod in self._known_pods if pod.uid not in seen)]

    def _pods_are_whole(self) -> bool:
        return "pods" in self.reports and self.reports["pods"].complete

    def _as_far_as_known(self, result: telemetry.Result) -> _Read:
        """Returns the result; exporters count as absent only where all pods were read."""
        if "pods" in self.reports and not self._pods_are_whole() and not self._known_pods:
            if result.outcome is Outcome.ABSENT:
                return _Read(outcome=Outcome.SKIPPED, reason="The list of pods is incomplete, so exporters are unknown.")
            if result.outcome is Outcome.COLLECTED:
                return _Read(result.count, Outcome.INCOMPLETE, "The list of pods is incomplete: there may be more exporters.")
        return _Read(result.count, result.outcome, result.reason)


def _of(listing: Listing[T]) -> _Read:
    return _Read(listing.count, listing.outcome, listing.reason)
