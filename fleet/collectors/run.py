"""One collection run of one cluster. The failure of one section never costs another, and each is reported.

`collect` never raises for what a cluster does. Order: version (does the server answer?), GPU stack (which namespaces?), own
permissions, DRA devices (they decide which nodes are GPU nodes), nodes, pods, device-plugin configuration, DRA claims,
then exporters and model servers, which are found among the pods; last Events, so that a storm of them affects nothing else.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from datetime import datetime

from fleet.collectors import telemetry
from fleet.collectors.bounds import bound_snapshot, first_problems
from fleet.collectors.clients import open_client
from fleet.collectors.connections import Connection
from fleet.collectors.deadline import Deadline
from fleet.collectors.errors import ConfigurationError, Failure, shorten
from fleet.collectors.section_readers import SectionReaders, SectionResult
from fleet.collectors.sections import HIDES, SECTIONS, TELEMETRY_SECTIONS
from fleet.collectors.session import Limits, Progress, Session
from fleet.domain.snapshot import ClusterSnapshot, PodSnapshot
from fleet.domain.snapshot.cluster import no_cycles
from fleet.domain.snapshot.sections import Outcome, SectionReport

_log = logging.getLogger(__name__)

DEADLINE_S = 50.0
# After one of these from the first request, every other would fail the same way.
_UNREADABLE = frozenset(
    {Outcome.UNREACHABLE, Outcome.TLS, Outcome.UNAUTHORISED, Outcome.TIMEOUT, Outcome.MALFORMED, Outcome.REFUSED}
)
# And after one of these later on, where nothing answered. One such section may be a hiccup; two in a row are not.
_GONE = frozenset({Outcome.UNREACHABLE, Outcome.TLS, Outcome.INCOMPLETE})


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
    report: Callable[[Progress], None] | None = None,
) -> ClusterSnapshot:
    """Collects one cluster within `deadline_s` seconds.

    `known_gpu_nodes` are names that were GPU nodes before: they are kept even without evidence, so that a node
    whose labels are missing for a minute does not look deleted. `known_pods` are exporters and model servers as they
    were last seen: they are read where this run reads no pods. `sections` are those to be read: SECTIONS, or
    TELEMETRY_SECTIONS between two full runs; the snapshot reports on these only. `stack_namespaces` are those of the GPU
    stack, where they are configured. `report` is called after each page of a list.
    """
    taken_at = now()
    session = Session(open_client(connection), Deadline(deadline_s), limits)
    session.report = report or session.report
    reader = telemetry.Reader(session.client, plan or telemetry.Plan(), session.deadline, now)
    read = SectionReaders(session, reader, known_gpu_nodes, known_pods, stack_namespaces)
    with no_cycles():
        _Run(session, read).read(sections)
    read.name_what_was_forbidden()
    snapshot = ClusterSnapshot(
        name=connection.name,
        uid=read.cluster_uid,
        taken_at=taken_at,
        clock_ahead_s=session.clock_ahead_s,
        server_version=read.server_version,
        platform=read.platform,
        node_count=read.node_count,
        nodes=tuple(read.nodes),
        pods=tuple(read.pods),
        operator=read.operator,
        device_plugin=read.device_plugin,
        slices=read.slices,
        allocations=tuple(read.allocations),
        claims=tuple(read.claims),
        device_classes=tuple(read.device_classes),
        taint_rules=tuple(read.taint_rules),
        readiness_rules=tuple(read.readiness_rules),
        scheduling=read.scheduling,
        queues=read.queues,
        permissions=read.permissions,
        events=tuple(read.events),
        telemetry=read.telemetry,
        problems=first_problems(read.problems),
        sections=read.reports,
    )
    return bound_snapshot(snapshot)


class _Run:
    """One run over a cluster: asks section after section, reports on each, and stops where nothing answers any more."""

    def __init__(self, session: Session, readers: SectionReaders) -> None:
        self._session = session
        self._readers = readers
        self._stopped = ""
        self._lost_in_a_row = 0

    def read(self, sections: Sequence[str]) -> None:
        for name in sections:
            self._section(name, self._readers.reader_of(name))

    def _section(self, name: str, read: Callable[[], SectionResult]) -> None:
        """Run one section and report on it, whatever happens in it."""
        if not self._stopped and self._session.deadline.spent:
            self._stopped = f"The {self._session.deadline.seconds:g} s of this run were used up before it was requested."
        if self._stopped:
            self._report(name, SectionResult(outcome=Outcome.SKIPPED, reason=self._stopped), 0)
            return
        started = time.monotonic()
        try:
            result = read()
        except Failure as failure:
            result = SectionResult(outcome=failure.outcome, reason=failure.reason)
        except ConfigurationError as error:
            result = SectionResult(outcome=Outcome.UNREACHABLE, reason=str(error))
        except Exception as error:  # noqa: BLE001 - here, and here only: one odd answer must not cost the other sections
            _log.exception("section %s of a cluster failed unexpectedly", name)
            reason = f"Muster could not process what it read ({type(error).__name__}: {shorten(str(error), 160)})."
            result = SectionResult(outcome=Outcome.MALFORMED, reason=reason)
        self._report(name, result, round((time.monotonic() - started) * 1000))
        self._consider_stopping(name, result)

    def _report(self, name: str, result: SectionResult, took_ms: int) -> None:
        answer = result.outcome is not Outcome.COLLECTED
        complete = result.outcome in (Outcome.COLLECTED, Outcome.ABSENT)
        self._readers.reports[name] = SectionReport(
            name=name,
            outcome=result.outcome,
            count=result.count,
            took_ms=took_ms,
            reason=result.reason if answer else "",
            hides="" if complete else HIDES[name],
        )

    def _consider_stopping(self, name: str, result: SectionResult) -> None:
        outcome = result.outcome
        if name in TELEMETRY_SECTIONS:
            return  # failures of pods are not failures of the API server
        lost = outcome in _GONE and not self._session.was_answered
        self._lost_in_a_row = self._lost_in_a_row + 1 if lost else 0
        first = name == SECTIONS[0] and outcome in _UNREADABLE
        if first or outcome is Outcome.UNAUTHORISED or self._lost_in_a_row >= 2:
            self._stopped = f"Not requested after an earlier failure: {result.reason}"
