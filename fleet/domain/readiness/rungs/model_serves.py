"""Rung 9: a model server on this node answers requests."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from fleet.domain.findings import Evidence, RuleResult, Status
from fleet.domain.outcomes import Outcome
from fleet.domain.readiness.limits import PROOF_RENEWED_AFTER, SERVED_RECENTLY
from fleet.domain.readiness.seen import fresh_servers, steps
from fleet.domain.readiness.types import Rung, RungResult
from fleet.domain.subject import NodeSubject
from fleet.domain.telemetry import ModelServer


def check(subject: NodeSubject, health: Sequence[RuleResult]) -> RungResult:
    """By the server's own counters: requests finished or tokens generated, now or within the last day. A server that nobody
    asks has shown nothing; one that is asked and answers nothing is broken."""
    servers = sorted(subject.servers, key=lambda one: (one.namespace, one.pod))
    before = {(one.namespace, one.pod): one for one in subject.memory.servers}
    heard = sorted(fresh_servers(subject), key=lambda one: (one.namespace, one.pod))
    serving = next((one for one in heard if _answered(one, before.get((one.namespace, one.pod)))), None)
    noted = _noted(subject, now_too=serving is not None)
    if serving is not None:
        reason = f"A model server answers requests ({serving.kind})."
        return RUNG.says(Status.PASS, reason, (_evidence(serving, "answers requests"),), remember=noted)
    stuck = next((one for one in heard if _stuck(one)), None)
    if stuck is not None:
        reason = "Requests wait at the model server, and it answers none."
        remedy = steps(
            "Compare the use of its GPUs with its tokens: cards at work without a token hint at a hang between them.",
            f"Read what it says: kubectl logs -n {stuck.namespace} {stuck.pod} --tail=100",
        )
        return RUNG.says(Status.FAIL, reason, (_evidence(stuck, "requests waiting, none running"),), remedy)
    if noted:
        evidence = Evidence("memory", "request answered", "within the last day")
        reason = "A model server on this node answered requests within the last day."
        return RUNG.says(Status.PASS, reason, (evidence,), remember=noted)
    if not servers:
        return RUNG.says(Status.NOT_APPLICABLE, "No model server that Muster knows runs on this node.")
    unread = next((one for one in servers if one.outcome != Outcome.COLLECTED and one.reason), None)
    if unread is not None:
        return RUNG.says(
            Status.UNKNOWN, f"The model server's metrics could not be read: {unread.reason}", (_evidence(unread, unread.outcome),)
        )
    return RUNG.says(Status.UNKNOWN, "No request has been seen answered yet.", (_evidence(servers[0], "no request yet"),))


def _answered(one: ModelServer, before: ModelServer | None) -> bool:
    """Whether it answered something lately: by its rates, or because a counter grew since the last look."""
    if (one.tokens_per_s or 0) > 0 or (one.requests_per_s or 0) > 0:
        return True
    pairs = [] if before is None else [(one.requests, before.requests), (one.generation_tokens, before.generation_tokens)]
    return any(now is not None and then is not None and now > then for now, then in pairs)


def _stuck(one: ModelServer) -> bool:
    """Requests wait, none runs, and nothing came out between two looks."""
    return (one.waiting or 0) > 0 and one.running == 0 and one.tokens_per_s == 0


def _noted(subject: NodeSubject, *, now_too: bool) -> dict[str, datetime]:
    """When an answer was last noted."""
    noted = subject.memory.pending.get("model_serves|answered")
    if noted is not None and subject.now - noted > SERVED_RECENTLY:
        noted = None
    if now_too and (noted is None or subject.now - noted > PROOF_RENEWED_AFTER):
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
