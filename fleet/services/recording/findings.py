"""Findings over time: opened when a rule first sees them, resolved when a rule that could look no longer does."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from django.db import connection
from django.db.backends.postgresql.psycopg_any import DateTimeTZRange
from django.db.models import F, Func
from django.db.models.fields import DateTimeField

from fleet.domain import rulebook
from fleet.domain.findings import Finding, RuleResult
from fleet.domain.judgement import Judgement
from fleet.domain.rules import could_look
from fleet.models import Cluster, FindingRow
from fleet.services.recording.nodes import plain

_BATCH = 500
_TOLD = ("severity", "subject", "text", "evidence", "remedy", "rung")
_LONGEST_KEY = 300
_PROMISED = ("pool", "workload_class")
"""Subjects of findings that are judged over the whole fleet."""

Identity = tuple[int | None, str, str]
"""Node row (None: the cluster, or with no cluster a pool or class), rule, key."""


class _Open(NamedTuple):
    """A finding that stands, as it is written down."""

    pk: int
    node_id: int | None
    rule: str
    key: str
    node_gone: bool
    opened_at: datetime
    told: tuple[Any, ...]

    @property
    def subject(self) -> str:
        return str(self.told[_TOLD.index("subject")])

    @property
    def identity(self) -> Identity:
        return (self.node_id, self.rule, self.key)


def record(cluster: Cluster, judgement: Judgement, ids: Mapping[str, int], at: datetime) -> None:
    """Opens, updates and resolves findings. A rule that answered unknown, not_enabled or waiting leaves its findings as they
    are, and so does a node that is there but was not judged. One query where nothing changed, at most five else."""
    places: dict[int | None, Sequence[RuleResult]] = {ids[judged.node.name]: judged.results for judged in judgement.nodes}
    places[None] = judgement.results
    seen = _seen(places)
    standing = {one.identity: one for one in _standing(cluster)}
    nobody = not judgement.nodes
    over = [one for identity, one in standing.items() if identity not in seen and _is_over(one, places, nobody_to_ask=nobody)]
    _write(cluster, seen, standing, over, at)


def record_promises(findings: Iterable[Finding], at: datetime) -> None:
    """The same for pools and classes, whose findings lie in no cluster. `findings` are all there are: what is not among them
    is resolved."""
    seen: dict[Identity, Finding] = {(None, one.rule, one.key): one for one in findings}
    standing = {one.identity: one for one in _standing(None) if one.subject in _PROMISED}
    _write(None, seen, standing, [one for identity, one in standing.items() if identity not in seen], at)


def _write(
    cluster: Cluster | None,
    seen: Mapping[Identity, Finding],
    standing: Mapping[Identity, _Open],
    over: Iterable[_Open],
    at: datetime,
) -> None:
    """Resolves what is over, writes anew what changed, opens what is new."""
    changed = [
        (one.pk, seen[identity]) for identity, one in standing.items() if identity in seen and one.told != _told(seen[identity])
    ]
    _resolve(over, at)
    FindingRow.objects.bulk_update(
        [FindingRow(pk=pk, **dict(zip(_TOLD, _told(finding), strict=True))) for pk, finding in changed], _TOLD, batch_size=_BATCH
    )
    # The database has the last word on overlaps: where it refuses a period, the next pass tries again.
    FindingRow.objects.bulk_create(
        [_row(cluster, identity, finding, at) for identity, finding in seen.items() if identity not in standing],
        batch_size=_BATCH,
        ignore_conflicts=True,
    )


def _is_over(one: _Open, places: Mapping[int | None, Sequence[RuleResult]], *, nobody_to_ask: bool) -> bool:
    """Whether a finding that is not seen any more is really gone, and not only out of sight."""
    rules: Mapping[str, object] = rulebook.CLUSTER_RULES if one.node_id is None else rulebook.NODE_RULES
    if one.rule not in rules or one.node_gone:
        return True
    if one.node_id is None and nobody_to_ask:
        return True
    result = next((result for result in places.get(one.node_id, ()) if result.rule == one.rule), None)
    return result is not None and could_look(result) and all(key[:_LONGEST_KEY] != one.key for key in result.blind)


def _seen(places: Mapping[int | None, Sequence[RuleResult]]) -> dict[Identity, Finding]:
    """What is seen now; of two findings with one identity the worse."""
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


def _standing(cluster: Cluster | None) -> list[_Open]:
    rows = (
        FindingRow.objects.filter(cluster=cluster, period__endswith__isnull=True)
        .annotate(opened_at=Func(F("period"), function="lower", output_field=DateTimeField()))
        .values_list("pk", "node_id", "rule", "key", "node__removed_at", "opened_at", *_TOLD)
    )
    return [
        _Open(pk, node_id, rule, key, node_gone=removed_at is not None, opened_at=opened_at, told=tuple(told))
        for pk, node_id, rule, key, removed_at, opened_at, *told in rows
    ]


def _told(finding: Finding) -> tuple[Any, ...]:
    """In the order of `_TOLD`."""
    return (finding.severity.value, finding.subject, finding.text, list(plain(finding.evidence)), finding.remedy, finding.rung)


def _row(cluster: Cluster | None, identity: Identity, finding: Finding, at: datetime) -> FindingRow:
    node_id, rule, key = identity
    told = dict(zip(_TOLD, _told(finding), strict=True))
    return FindingRow(cluster=cluster, node_id=node_id, rule=rule, key=key, period=DateTimeTZRange(at, None), **told)


def _resolve(over: Iterable[_Open], at: datetime) -> None:
    """Ends periods at `at`. One that would have lasted no time never was."""
    lasted = [one.pk for one in over if one.opened_at < at]
    never = [one.pk for one in over if one.opened_at >= at]
    if lasted:
        with connection.cursor() as cursor:
            cursor.execute(
                f"UPDATE {FindingRow._meta.db_table} SET period = tstzrange(lower(period), %s) WHERE id = ANY(%s)",  # noqa: S608
                [at, lasted],
            )
    if never:
        FindingRow.objects.filter(pk__in=never).delete()
