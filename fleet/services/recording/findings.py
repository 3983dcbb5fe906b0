"""Findings over time: opened when a rule first reports them, resolved when a rule that could check no longer does."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from fleet.domain.evaluation import registry
from fleet.domain.evaluation.evaluate import ClusterEvaluation
from fleet.domain.evaluation.rules import could_look
from fleet.domain.findings import Finding, RuleResult
from fleet.models import Cluster, FindingRow
from fleet.services import periods
from fleet.services.recording.nodes import plain

_STORED = ("severity", "subject", "text", "evidence", "remedy", "rung")
_LONGEST_KEY = 300
_PROMISED = ("pool", "workload_class")
"""Subjects of findings that are evaluated over the whole fleet."""

Identity = tuple[int | None, str, str]
"""Node row (None: the cluster, or with no cluster a pool or class), rule, key."""


class _Open(NamedTuple):
    """A current finding, as stored."""

    pk: int
    node_id: int | None
    rule: str
    key: str
    node_gone: bool
    values: tuple[Any, ...]

    @property
    def subject(self) -> str:
        return str(self.values[_STORED.index("subject")])

    @property
    def identity(self) -> Identity:
        return (self.node_id, self.rule, self.key)


def record(cluster: Cluster, evaluation: ClusterEvaluation, ids: Mapping[str, int], at: datetime) -> None:
    """Opens, updates and resolves findings.

    A rule with status unknown, not_enabled or waiting leaves its findings as they are, and so does a node that exists but was
    not evaluated. One query where nothing changed, otherwise at most five.
    """
    places: dict[int | None, Sequence[RuleResult]] = {ids[judged.node.name]: judged.results for judged in evaluation.nodes}
    places[None] = evaluation.results
    seen = _seen(places)
    standing = {item.identity: item for item in _current_findings(cluster)}
    no_nodes = not evaluation.nodes
    over = [value for identity, value in standing.items() if identity not in seen and _is_over(value, places, no_nodes=no_nodes)]
    _write(cluster, seen, standing, over, at)


def record_compliance(findings: Iterable[Finding], at: datetime) -> None:
    """Opens, updates and resolves findings of pools and classes, which belong to no cluster.

    `findings` is complete: every other one is resolved.
    """
    seen: dict[Identity, Finding] = {(None, finding.rule, finding.key): finding for finding in findings}
    standing = {item.identity: item for item in _current_findings(None) if item.subject in _PROMISED}
    _write(None, seen, standing, [value for identity, value in standing.items() if identity not in seen], at)


def _write(
    cluster: Cluster | None,
    seen: Mapping[Identity, Finding],
    standing: Mapping[Identity, _Open],
    over: Iterable[_Open],
    at: datetime,
) -> None:
    """Resolves findings that are over, updates those that changed, opens new ones."""
    changed = [
        (value.pk, seen[identity])
        for identity, value in standing.items()
        if identity in seen and value.values != _stored_values(seen[identity])
    ]
    _resolve(over, at)
    periods.update(
        [FindingRow(pk=pk, **dict(zip(_STORED, _stored_values(finding), strict=True))) for pk, finding in changed], _STORED
    )
    # The database checks overlaps: where it refuses a period, the next run tries again.
    opened = [_row(cluster, identity, finding) for identity, finding in seen.items() if identity not in standing]
    periods.open_new(opened, at, ignore_conflicts=True)


def _is_over(__open: _Open, places: Mapping[int | None, Sequence[RuleResult]], *, no_nodes: bool) -> bool:
    """Whether a finding that is not reported any more is resolved, not only unchecked."""
    rules: Mapping[str, object] = registry.CLUSTER_RULES if __open.node_id is None else registry.NODE_RULES
    if __open.rule not in rules or __open.node_gone:
        return True
    if __open.node_id is None and no_nodes:
        return True
    result = next((result for result in places.get(__open.node_id, ()) if result.rule == __open.rule), None)
    return result is not None and could_look(result) and all(key[:_LONGEST_KEY] != __open.key for key in result.blind)


def _seen(places: Mapping[int | None, Sequence[RuleResult]]) -> dict[Identity, Finding]:
    """What is reported now; of two findings with one identity the worse."""
    seen: dict[Identity, Finding] = {}
    for node_id, results in places.items():
        for result in results:
            if not result.findings or not could_look(result):
                continue
            for finding in result.findings:
                identity = (node_id, result.rule, finding.key[:_LONGEST_KEY])
                before = seen.get(identity)
                if before is None or finding.severity.rank > before.severity.rank:
                    seen[identity] = finding
    return seen


def _current_findings(cluster: Cluster | None) -> list[_Open]:
    rows = periods.current(FindingRow, cluster=cluster).values_list("pk", "node_id", "rule", "key", "node__removed_at", *_STORED)
    return [
        _Open(pk, node_id, rule, key, node_gone=removed_at is not None, values=tuple(values))
        for pk, node_id, rule, key, removed_at, *values in rows
    ]


def _stored_values(finding: Finding) -> tuple[Any, ...]:
    """The stored values, in the order of the fields."""
    return (finding.severity.value, finding.subject, finding.text, list(plain(finding.evidence)), finding.remedy, finding.rung)


def _row(cluster: Cluster | None, identity: Identity, finding: Finding) -> FindingRow:
    node_id, rule, key = identity
    fields = dict(zip(_STORED, _stored_values(finding), strict=True))
    return FindingRow(cluster=cluster, node_id=node_id, rule=rule, key=key, **fields)


def _resolve(over: Iterable[_Open], at: datetime) -> None:
    """Ends these findings at `at`."""
    periods.close(FindingRow, [item.pk for item in over], at)
