"""Rung 9: a model server on this node answers requests."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from fleet.domain.evaluation.subject import NodeSubject
from fleet.domain.findings import Evidence, RuleResult, Status
from fleet.domain.readiness.node_evidence import PROOF_RENEWED_AFTER, SERVED_RECENTLY, fresh_servers, steps
from fleet.domain.readiness.types import Rung, RungResult
from fleet.domain.snapshot.sections import Outcome
from fleet.domain.snapshot.telemetry import ModelServer


def check(subject: NodeSubject, health: Sequence[RuleResult]) -> RungResult:
    """Returns the result from the server's counters: requests finished or tokens generated, now or within the last day.

    A server without requests is unknown; one with requests and no response is broken.
    """
    servers = sorted(subject.servers, key=lambda server: (server.namespace, server.pod))
    before = {(item.namespace, item.pod): item for item in subject.history.servers}
    rows = sorted(fresh_servers(subject), key=lambda fresh_server: (fresh_server.namespace, fresh_server.pod))
    serving = next((entry for entry in rows if _answered(entry, before.get((entry.namespace, entry.pod)))), None)
    noted = _noted(subject, now_too=serving is not None)
    if serving is not None:
        reason = f"A model server answers requests ({serving.kind})."
        return RUNG.says(Status.PASS, reason, (_evidence(serving, "answers requests"),), remember=noted)
    stuck = next((row for row in rows if _stuck(row)), None)
    if stuck is not None:
        reason = "Requests wait at the model server, and it answers none."
        remedy = steps(
            "Compare the use of its GPUs with its tokens: busy GPUs without tokens suggest a hang between them.",
            f"Read its log: kubectl logs -n {stuck.namespace} {stuck.pod} --tail=100",
        )
        return RUNG.says(Status.FAIL, reason, (_evidence(stuck, "requests waiting, none running"),), remedy)
    if noted:
        evidence = Evidence("memory", "request answered", "within the last day")
        reason = "A model server on this node answered requests within the last day."
        return RUNG.says(Status.PASS, reason, (evidence,), remember=noted)
    if not servers:
        return RUNG.says(Status.NOT_APPLICABLE, "No model server that Muster knows runs on this node.")
    unread = next((result for result in servers if result.outcome != Outcome.COLLECTED and result.reason), None)
    if unread is not None:
        return RUNG.says(
            Status.UNKNOWN, f"The model server's metrics could not be read: {unread.reason}", (_evidence(unread, unread.outcome),)
        )
    return RUNG.says(Status.UNKNOWN, "No request has been seen answered yet.", (_evidence(servers[0], "no request yet"),))


def _answered(model_server: ModelServer, before: ModelServer | None) -> bool:
    """Returns whether it answered recently: by its rates, or because a counter grew since the previous run."""
    if (model_server.tokens_per_s or 0) > 0 or (model_server.requests_per_s or 0) > 0:
        return True
    pairs = (
        []
        if before is None
        else [(model_server.requests, before.requests), (model_server.generation_tokens, before.generation_tokens)]
    )
    return any(now is not None and then is not None and now > then for now, then in pairs)


def _stuck(model_server: ModelServer) -> bool:
    """Returns whether requests wait, none runs, and none finished between two runs."""
    return (model_server.waiting or 0) > 0 and model_server.running == 0 and model_server.tokens_per_s == 0


def _noted(subject: NodeSubject, *, now_too: bool) -> dict[str, datetime]:
    """Returns when an answer was last recorded."""
    noted = subject.history.pending.get("model_serves|answered")
    if noted is not None and subject.clock.is_past(noted, SERVED_RECENTLY):
        noted = None
    if now_too and (noted is None or subject.clock.is_past(noted, PROOF_RENEWED_AFTER)):
        noted = subject.now
    return {"answered": noted} if noted else {}


def _evidence(server: ModelServer, word: str) -> Evidence:
    return Evidence("model_server", f"{server.namespace}/{server.pod}", word)


RUNG = Rung(
    id="model_serves",
    number=9,
    title="Model serves",
    broken="A model server does not answer",
    needs=("pods", "model_servers"),
    check=check,
)
