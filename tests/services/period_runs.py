"""Runs of collection whose verdicts a test chooses, and the periods that they leave."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.conf import settings as django_settings
from msgspec import structs

from fleet.domain.evaluation.evaluate import ClusterEvaluation, evaluate
from fleet.domain.evaluation.kept import KeptEvaluations
from fleet.domain.evaluation.node_evaluation import fingerprint
from fleet.domain.evaluation.subject import ClusterHistory
from fleet.domain.findings import Evidence, Status
from fleet.domain.readiness.types import Readiness, RungResult, Verdict
from fleet.domain.snapshot import ClusterSnapshot
from fleet.domain.snapshot.sections import Outcome
from fleet.models import Cluster, CollectionRun, RungPeriod, VerdictPeriod
from fleet.services import collection
from tests.absorbing import absorb
from tests.services.snapshots import T0, a_node, a_snapshot

STALE = django_settings.STALE_AFTER
Judge = Callable[..., None]


def minute(number: float) -> datetime:
    return T0 + timedelta(minutes=number)


@pytest.fixture
def east() -> Cluster:
    return Cluster.objects.create(name="east")


def readiness(verdict: str, rung: str = "", reason: str = "", status: str = "") -> Readiness:
    """A ladder of one rung that has the verdict's own status."""
    own = Status(status) if status else {"ready": Status.PASS, "unknown": Status.UNKNOWN}.get(verdict, Status.FAIL)
    result = RungResult(id="cuda_works", number=4, status=own, reason=reason, evidence=(Evidence("pod", "validator", verdict),))
    return Readiness(
        rungs=(result,), verdict=Verdict(verdict), broken_rung=rung, reason=reason, usable=8 if verdict == "ready" else 0
    )


@pytest.fixture
def see(east: Cluster, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int | None]:
    """One pass: which node has which verdict; `broken` names sections that could not be read."""

    def run(after_min: float, broken: dict[str, Outcome] | None = None, die: bool = False, **verdicts: Any) -> int | None:
        def evaluating(snapshot: ClusterSnapshot, history: ClusterHistory, _kept: KeptEvaluations) -> ClusterEvaluation:
            judged = evaluate(snapshot, history)
            nodes = []
            for node in judged.nodes:
                result = verdicts.get(node.node.name, "ready")
                result = readiness(*result) if isinstance(result, tuple) else readiness(result)
                if history.silent_since:
                    result = readiness("unknown", reason="The ladder says so too.")
                # Nothing of the real ladder stays, nor what it keeps for the next run: no rung passed here.
                figures = structs.replace(
                    node.figures, verdict=result.verdict, broken_rung=result.broken_rung, usable=result.usable
                )
                mark = fingerprint(node.facts, result, figures)
                nodes.append(structs.replace(node, readiness=result, figures=figures, pending={}, fingerprint=mark))
            return structs.replace(judged, nodes=tuple(nodes))

        monkeypatch.setattr(collection, "evaluate", evaluating)
        seen = [a_node(name) for name in verdicts] if not broken or broken.get("nodes") is Outcome.INCOMPLETE else []
        snapshot = a_snapshot(*seen, after_s=60 * after_min, broken=broken)
        east.refresh_from_db()
        pass_ = CollectionRun(cluster=east, started_at=snapshot.taken_at)
        with monkeypatch.context() as patch:
            if die:
                patch.setattr(collection.recording, "record_reading", _die)
            absorb(east, snapshot, pass_)
        return pass_.changes

    return run


def _die(*_: Any) -> None:
    raise RuntimeError("The worker died.")


def spans(name: str = "n1") -> list[tuple[float, float | None, str]]:
    """(from minute, to minute, verdict) of every period, oldest first."""
    rows = VerdictPeriod.objects.filter(node__name=name).order_by("period")
    return [(minutes(row.period.lower), minutes(row.period.upper), row.verdict) for row in rows]


def rungs(name: str = "n1") -> list[tuple[float, float | None, str]]:
    rows = RungPeriod.objects.filter(node__name=name).order_by("period")
    return [(minutes(row.period.lower), minutes(row.period.upper), row.status) for row in rows]


def minutes(at: datetime | None) -> Any:
    return None if at is None else (at - T0).total_seconds() / 60


BROKEN = {"nodes": Outcome.TIMEOUT}
