"""Finds the objects of a snapshot that cannot be evaluated or recorded, so that one of them does not cost all the others."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence

import msgspec
from django.db import DataError, IntegrityError, InternalError, NotSupportedError, ProgrammingError

from fleet.domain.snapshot import ClusterSnapshot, ObjectProblem
from fleet.domain.snapshot.sections import Outcome

REFUSALS = (
    *(DataError, IntegrityError, InternalError, NotSupportedError, ProgrammingError),
    *(ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError, msgspec.MsgspecError),
)
"""What an object's content can make the database or Muster's own code raise; not a lost connection, not a time limit."""
MOST_OBJECTS = 20
LONGEST_S = 30.0

Unit = tuple[str, str]
"""("node", name), or ("pod", uid) of a pod that is on no node of the snapshot."""


def without_refused(
    snapshot: ClusterSnapshot, error: Exception, recorded: Collection[Unit], try_out: Callable[[ClusterSnapshot], None]
) -> tuple[ClusterSnapshot, Sequence[Unit]]:
    """Returns the snapshot without the objects for which `try_out` raises one of REFUSALS, and these objects.

    `recorded` are the objects that were recorded before: a list without one of them is incomplete, since it is not gone.
    Halves the objects again and again, so that one bad node of 5,000 is found in some 25 attempts. Raises `error` again where no
    object is the cause, where more than MOST_OBJECTS are, or after LONGEST_S seconds.
    """
    units = _units(snapshot)
    until = time.monotonic() + LONGEST_S

    def is_refused(kept: Collection[Unit]) -> bool:
        if time.monotonic() > until:
            raise error
        try:
            try_out(_restrict(snapshot, set(units) - set(kept), recorded))
        except REFUSALS:
            return True
        return False

    if not units or is_refused(()):
        raise error
    refused: list[Unit] = []
    waiting = [units]
    while waiting:
        part = waiting.pop()
        if not is_refused(part):
            continue
        if len(part) == 1:
            refused += part
            if len(refused) > MOST_OBJECTS:
                raise error
            continue
        middle = len(part) // 2
        waiting += [part[:middle], part[middle:]]
    if not refused:  # each half alone is fine: it is their sum that is refused
        raise error
    return _with_problems(_restrict(snapshot, set(refused), recorded), refused, error), refused


def _units(snapshot: ClusterSnapshot) -> list[Unit]:
    names = {node.name for node in snapshot.nodes}
    homeless = [("pod", pod.uid) for pod in snapshot.pods if pod.node_name not in names]
    return [*(("node", node.name) for node in snapshot.nodes), *homeless]


def _restrict(snapshot: ClusterSnapshot, left_out: set[Unit], recorded: Collection[Unit]) -> ClusterSnapshot:
    """Returns the snapshot without these objects and what belongs to them."""
    nodes = {name for kind, name in left_out if kind == "node"}
    pods = {uid for kind, uid in left_out if kind == "pod"}
    telemetry = snapshot.telemetry
    reason = f"{len(left_out):,} {'object' if len(left_out) == 1 else 'objects'} could not be recorded."
    sections = {
        name: msgspec.structs.replace(report, outcome=Outcome.INCOMPLETE, reason=reason)
        if name in ("nodes", "pods") and report.complete and not left_out.isdisjoint(recorded)
        else report
        for name, report in snapshot.sections.items()
    }
    return msgspec.structs.replace(
        snapshot,
        nodes=tuple(node for node in snapshot.nodes if node.name not in nodes),
        pods=tuple(pod for pod in snapshot.pods if pod.node_name not in nodes and pod.uid not in pods),
        slices=msgspec.structs.replace(
            snapshot.slices, devices=tuple(device for device in snapshot.slices.devices if device.node_name not in nodes)
        ),
        events=tuple(event for event in snapshot.events if event.node_name not in nodes),
        telemetry=msgspec.structs.replace(
            telemetry,
            samples=tuple(sample for sample in telemetry.samples if sample.node_name not in nodes),
            exporters=tuple(exporter for exporter in telemetry.exporters if exporter.node_name not in nodes),
            servers=tuple(server for server in telemetry.servers if server.node_name not in nodes),
        ),
        sections=sections,
    )


def _with_problems(snapshot: ClusterSnapshot, refused: Sequence[Unit], error: Exception) -> ClusterSnapshot:
    text = f"It could not be recorded ({type(error).__name__}), so it was left out. Muster's log has the details."
    problems = tuple(ObjectProblem(kind, name, text) for kind, name in refused)
    names = ", ".join(f"{kind} {name}" for kind, name in refused[:3]) + (" …" if len(refused) > 3 else "")
    reason = f"{len(refused):,} {'object' if len(refused) == 1 else 'objects'} could not be recorded: {names}."
    sections = {
        name: msgspec.structs.replace(report, reason=reason) if report.reason.endswith("could not be recorded.") else report
        for name, report in snapshot.sections.items()
    }
    return msgspec.structs.replace(snapshot, problems=(*snapshot.problems, *problems), sections=sections)
