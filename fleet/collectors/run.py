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
    device_plugin_config,
    events,
    nodes,
    operator,
    permissions,
    pod_lists,
    resource_claims,
    resource_slices,
    telemetry,
    version,
)
from fleet.collectors.deadline import Deadline
from fleet.collectors.errors import ConfigurationError, Failure, shorten
from fleet.collectors.kube import Connection, open_client
from fleet.collectors.paging import Listing
from fleet.collectors.sections import HIDES, SECTIONS, TELEMETRY_SECTIONS
from fleet.collectors.session import Limits, Session
from fleet.domain.gpu_nodes import gpu_evidence, node_of
from fleet.domain.outcomes import Outcome, SectionReport
from fleet.domain.snapshot import (
    ClusterSnapshot,
    DevicePluginConfigs,
    DraAllocation,
    DraDevice,
    NodeEvent,
    NodeSnapshot,
    OperatorSnapshot,
    Permissions,
    PodSnapshot,
    ResourceSlices,
)
from fleet.domain.telemetry import Telemetry

_log = logging.getLogger(__name__)
T = TypeVar("T")

DEADLINE_S = 50.0
# After one of these from the first question, every other would only wait for the same end.
_NOBODY_THERE = frozenset({Outcome.UNREACHABLE, Outcome.TLS, Outcome.UNAUTHORISED, Outcome.TIMEOUT, Outcome.MALFORMED})
# And after one of these later on, where nobody answered. One such section may be a hiccup; two in a row are not.
_GONE = frozenset({Outcome.UNREACHABLE, Outcome.TLS, Outcome.INCOMPLETE})


class _Read(msgspec.Struct):
    """What a section gave: how many objects, and whether that was all."""

    count: int | None = None
    outcome: Outcome = Outcome.COLLECTED
    reason: str = ""


def collect(
    connection: Connection,
    *,
    now: Callable[[], datetime],
    known_gpu_nodes: frozenset[str] = frozenset(),
    known_pods: Sequence[PodSnapshot] = (),
    plan: telemetry.Plan | None = None,
    sections: Sequence[str] = SECTIONS,
    deadline_s: float = DEADLINE_S,
    limits: Limits | None = None,
) -> ClusterSnapshot:
    """Read one cluster within `deadline_s` seconds.

    `known_gpu_nodes` are names that were GPU nodes before: they are kept even while nothing says so any more, so that
    a node whose labels are gone for a minute does not seem to have left. `known_pods` are exporters and model servers as they
    were last seen: they are asked where this pass reads no pods of its own. `sections` are those to be read: SECTIONS, or
    TELEMETRY_SECTIONS between two whole passes; the snapshot reports on these only.
    """
    taken_at = now()
    session = Session(open_client(connection), Deadline(deadline_s), limits)
    reader = telemetry.Reader(session.client, plan or telemetry.Plan(), session.deadline, now)
    look = _Look(session, reader, known_gpu_nodes, known_pods)
    with _gc_paused():
        look.read(sections)
    return ClusterSnapshot(
        name=connection.name,
        taken_at=taken_at,
        server_version=look.server_version,
        platform=look.platform,
        node_count=look.node_count,
        nodes=tuple(look.nodes),
        pods=tuple(look.pods),
        operator=look.operator,
        device_plugin=look.device_plugin,
        slices=look.slices,
        allocations=tuple(look.allocations),
        permissions=look.permissions,
        events=tuple(look.events),
        telemetry=look.telemetry,
        sections=look.reports,
    )


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
        self.permissions = Permissions()
        self.telemetry = Telemetry()
        self.events: list[NodeEvent] = []

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
        told = result.outcome is not Outcome.COLLECTED
        complete = result.outcome in (Outcome.COLLECTED, Outcome.ABSENT)
        self.reports[name] = SectionReport(
            name=name,
            outcome=result.outcome,
            count=result.count,
            took_ms=took_ms,
            reason=result.reason if told else "",
            hides="" if complete else HIDES[name],
        )

    def _consider_stopping(self, name: str, result: _Read) -> None:
        outcome = result.outcome
        if name in TELEMETRY_SECTIONS:
            return  # what pods do says nothing about the API server
        lost = outcome in _GONE and not self._session.was_answered
        self._lost_in_a_row = self._lost_in_a_row + 1 if lost else 0
        first = name == SECTIONS[0] and outcome in _NOBODY_THERE
        if first or outcome is Outcome.UNAUTHORISED or self._lost_in_a_row >= 2:
            self._over = f"It was not asked for after this: {result.reason}"

    def _read_version(self) -> _Read:
        try:
            self.server_version = version.fetch(self._session)
        except Failure as failure:
            if failure.outcome is Outcome.FORBIDDEN:  # somebody hardened /version; the rest may well be open
                self._apis = apis.fetch(self._session)
            raise
        self._apis = apis.fetch(self._session)
        return _Read(count=1)

    def _read_operator(self) -> _Read:
        self._stack = stack = operator.fetch(self._session, self._apis)
        self.operator = stack.snapshot
        return _Read(stack.count, stack.outcome, stack.reason)

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
        if read.listing.complete:
            self.node_count = read.listing.count
        return _of(read.listing)

    def _read_pods(self) -> _Read:
        names = frozenset(node.name for node in self.nodes) | self._known
        plan = pod_lists.plan(names, self.node_count, self._stack.namespaces)
        listing = pod_lists.fetch(self._session, names, plan)
        self.pods = listing.items
        return _of(listing)

    def _read_device_plugin_config(self) -> _Read:
        if self._stack.sources is None:
            return _Read(outcome=Outcome.SKIPPED, reason="What configures the device plugin is not known.")
        read = device_plugin_config.fetch(self._session, self._stack.sources)
        self.device_plugin = read.configs
        return _Read(len(read.configs.configs), read.outcome, read.reason)

    def _read_resource_claims(self) -> _Read:
        listing = resource_claims.fetch(self._session, self._apis)
        self.allocations = listing.items
        return _of(listing)

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
        """That nobody is there to be asked is known only where all pods are."""
        if "pods" in self.reports and not self._pods_are_whole() and not self._known_pods:
            if result.outcome is Outcome.ABSENT:
                return _Read(outcome=Outcome.SKIPPED, reason="The pods were not read whole, so it is not known whom to ask.")
            if result.outcome is Outcome.COLLECTED:
                return _Read(result.count, Outcome.INCOMPLETE, "The pods were not read whole: there may be more to ask.")
        return _Read(result.count, result.outcome, result.reason)


def _of(listing: Listing[T]) -> _Read:
    return _Read(listing.count, listing.outcome, listing.reason)
