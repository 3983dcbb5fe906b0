"""Reads the sections of a cluster: one method each, and what each leaves for the next.

run.py asks them in order, times them and reports on them; a failure of one is caught there.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
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
    queues,
    readiness_rules,
    resource_claims,
    resource_slices,
    scheduling_objects,
    telemetry,
    trust,
    version,
)
from fleet.collectors.errors import Asked, Failure
from fleet.collectors.paging import Listing
from fleet.collectors.session import Session
from fleet.collectors.telemetry_results import Result
from fleet.domain.devices.detection import gpu_evidence, node_of
from fleet.domain.snapshot import (
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
from fleet.domain.snapshot.queues import QueueObjects
from fleet.domain.snapshot.readiness_rules import NodeReadinessRule
from fleet.domain.snapshot.sections import Outcome, SectionReport
from fleet.domain.snapshot.telemetry import Telemetry

T = TypeVar("T")


class SectionResult(msgspec.Struct):
    """What a section gave: how many objects, and whether that was all."""

    count: int | None = None
    outcome: Outcome = Outcome.COLLECTED
    reason: str = ""


class SectionReaders:
    """Reads one cluster, section by section, and keeps what was read.

    The reader of a section raises Failure where that could not be read.
    """

    def __init__(
        self,
        session: Session,
        reader: telemetry.Reader,
        known_gpu_nodes: frozenset[str],
        known_pods: Sequence[PodSnapshot],
        stack_namespaces: Sequence[str],
    ) -> None:
        self._session = session
        self._reader = reader
        self._known = known_gpu_nodes
        self._known_pods = known_pods
        self._apis = apis.Apis()
        self._stack = operator.Stack()
        self._stack_namespaces = tuple(stack_namespaces)
        self.reports: dict[str, SectionReport] = {}
        """By section, of those that run.py has finished."""
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
        self.queues = QueueObjects()
        self.cluster_uid = ""
        self.permissions = Permissions()
        self.telemetry = Telemetry()
        self.events: list[NodeEvent] = []
        self.problems: list[ObjectProblem] = []

    def reader_of(self, section: str) -> Callable[[], SectionResult]:
        read: Callable[[], SectionResult] = getattr(self, f"_read_{section}")
        return read

    def _read_version(self) -> SectionResult:
        try:
            self.server_version = version.fetch(self._session)
        except Failure as failure:
            if failure.outcome is Outcome.FORBIDDEN:  # /version is restricted; the rest may be readable
                self._apis = apis.fetch(self._session)
            raise
        self._apis = apis.fetch(self._session)
        return SectionResult(count=1)

    def _read_operator(self) -> SectionResult:
        self._stack = stack = operator.fetch(self._session, self._apis)
        self.operator = stack.snapshot
        return SectionResult(stack.count, stack.outcome, stack.reason)

    def name_what_was_forbidden(self) -> None:
        """Adds to the missing permissions what a request of this run was refused for, whatever the account's rules say."""
        if "permissions" not in self.reports:
            return
        asked = list(self._session.forbidden)
        forbidden = any(report.outcome is Outcome.FORBIDDEN for report in self.telemetry.exporters)
        if forbidden and self._reader.source == telemetry.POD_PROXY:
            asked.append(Asked(verb="get", resource="pods/proxy"))
        self.permissions = permissions.with_forbidden(self.permissions, asked)

    def _read_permissions(self) -> SectionResult:
        namespaces = {policy.namespace for policy in self.operator.policies if policy.namespace}
        config_maps: dict[str, frozenset[str]] = dict.fromkeys(namespaces, frozenset())
        for source in self._stack.sources or ():
            config_maps[source.namespace] = config_maps.get(source.namespace, frozenset()) | {source.config_map}
        self.permissions = permissions.fetch(self._session, self._apis, config_maps)
        return SectionResult(count=len(self.permissions.missing))

    def _read_resource_slices(self) -> SectionResult:
        listing, api_version = resource_slices.fetch(self._session, self._apis)
        self.slices = resource_slices.parse(listing.items, api_version)
        return _of(listing)

    def _read_nodes(self) -> SectionResult:
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

    def _read_pods(self) -> SectionResult:
        names = frozenset(node.name for node in self.nodes) | self._known
        plan = pod_lists.plan(names, self.node_count, self._stack.namespaces)
        listing = pod_lists.fetch(self._session, names, plan)
        complete = self._stack.namespaces is not None
        where = trust.trust_of(self.operator, listing.items, self._stack_namespaces, complete=complete)
        self.pods = trust.believe(listing.items, where)
        self.problems += listing.problems
        return _of(listing)

    def _read_device_plugin_config(self) -> SectionResult:
        if self._stack.sources is None:
            return SectionResult(outcome=Outcome.SKIPPED, reason="What configures the device plugin is not known.")
        read = device_plugin_config.fetch(self._session, self._stack.sources)
        self.device_plugin = read.configs
        return SectionResult(len(read.configs.configs), read.outcome, read.reason)

    def _read_resource_claims(self) -> SectionResult:
        listing = resource_claims.fetch(self._session, self._apis)
        self.allocations = [allocation for parts in listing.items for allocation in parts.allocations]
        self.claims = [parts.claim for parts in listing.items]
        return _of(listing)

    def _read_device_classes(self) -> SectionResult:
        listing = device_classes.fetch(self._session, self._apis)
        self.device_classes = listing.items
        return _of(listing)

    def _read_device_taint_rules(self) -> SectionResult:
        listing = device_taint_rules.fetch(self._session, self._apis)
        self.taint_rules = listing.items
        return _of(listing)

    def _read_readiness_rules(self) -> SectionResult:
        listing = readiness_rules.fetch(self._session, self._apis)
        self.readiness_rules = listing.items
        return _of(listing)

    def _read_scheduling(self) -> SectionResult:
        read = scheduling_objects.fetch(self._session, frozenset(node.name for node in self.nodes))
        self.scheduling, self.cluster_uid = read.objects, read.cluster_uid
        return SectionResult(count=read.count)

    def _read_queues(self) -> SectionResult:
        read = queues.fetch(self._session, self._apis)
        self.queues = read.objects
        return SectionResult(count=read.count)

    def _read_telemetry(self) -> SectionResult:
        nodes = {node.name for node in self.nodes} | self._known
        result = self._reader.devices(self._pods_to_ask(), nodes)
        self.telemetry = msgspec.structs.replace(
            self.telemetry, source=self._reader.source, samples=result.samples, exporters=result.exporters
        )
        return self._as_far_as_known(result)

    def _read_model_servers(self) -> SectionResult:
        result = self._reader.model_servers(self._pods_to_ask())
        self.telemetry = msgspec.structs.replace(self.telemetry, servers=result.servers)
        return self._as_far_as_known(result)

    def _read_events(self) -> SectionResult:
        names = {node.name for node in self.nodes} | self._known
        listing = events.fetch(self._session, names.__contains__)
        self.events = listing.items
        return _of(listing)

    def _pods_to_ask(self) -> list[PodSnapshot]:
        """The pods of this run, and where it could not read them all, those known before."""
        if self._pods_are_whole():
            return self.pods
        seen = {pod.uid for pod in self.pods}
        return [*self.pods, *(pod for pod in self._known_pods if pod.uid not in seen)]

    def _pods_are_whole(self) -> bool:
        return "pods" in self.reports and self.reports["pods"].complete

    def _as_far_as_known(self, result: Result) -> SectionResult:
        """Returns the result; exporters count as absent only where all pods were read."""
        if "pods" in self.reports and not self._pods_are_whole() and not self._known_pods:
            if result.outcome is Outcome.ABSENT:
                return SectionResult(outcome=Outcome.SKIPPED, reason="The list of pods is incomplete, so exporters are unknown.")
            if result.outcome is Outcome.COLLECTED:
                return SectionResult(
                    result.count, Outcome.INCOMPLETE, "The list of pods is incomplete: there may be more exporters."
                )
        return SectionResult(result.count, result.outcome, result.reason)


def _of(listing: Listing[T]) -> SectionResult:
    return SectionResult(listing.count, listing.outcome, listing.reason)
