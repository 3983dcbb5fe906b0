"""Rung 8: a model server starts on this node."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from fleet.domain.evaluation.subject import NodeSubject
from fleet.domain.findings import Evidence, RuleResult, Status
from fleet.domain.readiness.node_evidence import PROOF_RENEWED_AFTER, SERVED_RECENTLY, State, logs, pod_state, pod_word, steps
from fleet.domain.readiness.types import Rung, RungResult
from fleet.domain.snapshot import PodSnapshot
from fleet.domain.snapshot.telemetry import ModelServer

LOAD_GRACE = timedelta(minutes=30)
"""Time that a model server may take to become ready: large weights load from slow storage."""


def check(subject: NodeSubject, health: Sequence[RuleResult]) -> RungResult:
    """Returns pass where a known model server's pod is ready on this node, or was within the last day.

    Not applicable where none runs.
    """
    servers = sorted(subject.servers, key=lambda row: (row.namespace, row.pod))
    ready = next((item for item in servers if item.ready), None)
    noted = _noted(subject, now_too=ready is not None)
    if ready is not None:
        reason = f"A model server is ready on this node ({ready.kind})."
        return RUNG.says(Status.PASS, reason, (_evidence(ready, "ready"),), remember=noted)
    pods = {(pod.namespace, pod.name): pod for pod in subject.pods}
    rows = [(entry, pods[entry.namespace, entry.pod]) for entry in servers if (entry.namespace, entry.pod) in pods]
    states = [(pod_state(pod, subject.clock, LOAD_GRACE), value, pod) for value, pod in rows]
    broken = next(((result, pod) for state, result, pod in states if state == State.VIOLATED), None)
    if broken is not None and not any(state == State.STARTING for state, _, _ in states):
        server, pod = broken
        evidence = _evidence(server, pod_word(pod))
        return RUNG.says(Status.FAIL, _failing(pod), (evidence,), steps(f"Read its log: {logs(pod)}"), noted)
    if servers:
        results = tuple(_evidence(values, "loading") for values in servers[:3])
        return RUNG.says(Status.WAITING, "A model server is starting on this node.", results, remember=noted)
    if noted:
        evidence = Evidence("memory", "model server ready", "within the last day")
        return RUNG.says(Status.PASS, "A model server was ready on this node within the last day.", (evidence,), remember=noted)
    return RUNG.says(Status.NOT_APPLICABLE, "No model server that Muster knows runs on this node.")


def _failing(pod: PodSnapshot) -> str:
    return f"The model server does not become ready ({pod_word(pod)})."


def _evidence(server: ModelServer, word: str) -> Evidence:
    return Evidence("pod", f"{server.namespace}/{server.pod}", word)


def _noted(subject: NodeSubject, *, now_too: bool) -> dict[str, datetime]:
    """Returns when a server was last recorded as ready."""
    noted = subject.history.pending.get("model_server_starts|ready")
    if noted is not None and subject.clock.is_past(noted, SERVED_RECENTLY):
        noted = None
    if now_too and (noted is None or subject.clock.is_past(noted, PROOF_RENEWED_AFTER)):
        noted = subject.now
    return {"ready": noted} if noted else {}


RUNG = Rung(
    id="model_server_starts",
    number=8,
    title="Model server starts",
    broken="A model server does not start",
    needs=("pods", "model_servers"),
    check=check,
)
