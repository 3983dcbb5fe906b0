"""Runs a case through the real collectors and the real domain, as often as its findings need to last.

What services keep in the database between two runs is carried over manually here: `_history_after`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from fleet.collectors.connections import list_connections
from fleet.collectors.run import collect
from fleet.domain import labels
from fleet.domain.devices.measured_gpus import learn_uuids, present_uuids
from fleet.domain.evaluation.evaluate import ClusterEvaluation, evaluate
from fleet.domain.evaluation.subject import ClusterHistory, NodeHistory
from fleet.domain.findings import Severity
from fleet.domain.health import model_servers, xids
from fleet.domain.snapshot import ClusterSnapshot
from tests.builders import previous_of
from tests.cases.api import api_of
from tests.collectors.fake_api import serving, write_kubeconfig

FOLDER = Path(__file__).parents[1] / "recorded" / "cases"
RUNS, INTERVAL = 8, timedelta(seconds=60)
"""Eight runs span seven minutes: more than the five that findings have to last and that exporters may be silent."""


class Outcome(msgspec.Struct, frozen=True):
    """The last run of a case."""

    snapshot: ClusterSnapshot
    evaluation: ClusterEvaluation


def load(name: str) -> dict[str, Any]:
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))  # type: ignore[no-any-return]


def names() -> list[str]:
    return sorted(path.stem for path in FOLDER.glob("*.json"))


def run(case: Mapping[str, Any], folder: Path, runs: int = RUNS) -> Outcome:
    """Collects and evaluates the case's cluster `runs` times, a minute apart."""
    start = datetime.fromisoformat(case["made_at"])
    history, now = ClusterHistory(), start

    with serving({"*": api_of(case["objects"], lambda: (now - start).total_seconds())}) as api:
        (connection,) = list_connections(str(write_kubeconfig(folder / "kubeconfig", api.url)), [], False)
        for number in range(runs):
            now = start + number * INTERVAL
            snapshot = collect(connection, now=lambda: now, known_gpu_nodes=frozenset())  # noqa: B023 - called at once
            snapshot = model_servers.watch(snapshot, history)
            current = xids.watch(snapshot, history)
            evaluation = evaluate(snapshot, current)
            history = _history_after(snapshot, current, evaluation, start)
    return Outcome(snapshot, evaluation)


def _history_after(
    snapshot: ClusterSnapshot, history: ClusterHistory, evaluation: ClusterEvaluation, start: datetime
) -> ClusterHistory:
    samples = {
        node.name: [sample for sample in snapshot.telemetry.samples if sample.node_name == node.name] for node in snapshot.nodes
    }
    proved = {rung.id for node in evaluation.nodes for rung in node.readiness.rungs if rung.status == "pass"}
    nodes = {}
    for judged in evaluation.nodes:
        before, name = history.of(judged.node.uid), judged.node.name
        nodes[judged.node.uid] = NodeHistory(
            previous=previous_of(judged.devices) if labels.GPU_PRODUCT in judged.node.labels else before.previous,
            first_seen_at=before.first_seen_at or snapshot.taken_at,
            found_at_start=(before.first_seen_at or start) <= start,
            boot_id=judged.node.node_info.boot_id,
            most_seen=judged.most_seen,
            counted_by=judged.devices.physical_source,
            machine_type=judged.figures.machine_type,
            product=judged.figures.product,
            known_uuids=learn_uuids(before.known_uuids, present_uuids(samples[name])),
            samples=tuple(samples[name]) or before.samples,
            bursts=before.bursts,
            standing=tuple(
                finding
                for result in judged.results
                for finding in result.findings
                if finding.severity in (Severity.CRITICAL, Severity.FATAL)
            ),
            pending=judged.pending,
            rungs={rung.id: rung.status for rung in judged.readiness.rungs},
            verdict=judged.readiness.verdict,
            verdict_since=before.verdict_since or snapshot.taken_at,
        )
    return ClusterHistory(nodes=nodes, was_read=True, rungs_proved=history.rungs_proved | proved)
