"""Evaluates pools and classes over the whole fleet: compliance with its violations, findings, and room of each class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db import transaction

from fleet.domain.access_requests.workflow import GRANTED
from fleet.domain.classes.compliance import evaluate_class
from fleet.domain.classes.stale import manifests_now, others_matching, stale_manifests
from fleet.domain.pools.availability import MET
from fleet.domain.pools.compliance import Violation, find_violations, worst_state
from fleet.domain.pools.findings import of_class, of_pool
from fleet.models import AccessRequest, CompliancePeriod, Notice, WorkloadClass
from fleet.selectors import declarations
from fleet.selectors.placement import headroom as rooms
from fleet.selectors.placement import manifest_placements as placements
from fleet.selectors.pools import compliance as select
from fleet.services import incidents, outbox, periods
from fleet.services.access_request_events import notify
from fleet.services.locks import compliance_lock
from fleet.services.notifications import wording
from fleet.services.recording import findings

_FINDINGS = {"pool": of_pool, "class": of_class}
Subject = tuple[str, str]
"""Kind (pool or class) and slug."""


def evaluate(now: datetime) -> bool:
    """Records compliance of every pool and class, and each class's room. False where another worker is doing it."""
    with compliance_lock() as locked:
        if locked:
            _evaluate(now)
        return locked


def _evaluate(now: datetime) -> None:
    stock = rooms.stock(now)
    of_pools = {slug: find_violations(snapshot) for slug, snapshot in select.pool_snapshots(stock, now).items()}
    results: dict[Subject, tuple[str, Sequence[Violation]]] = {
        ("pool", slug): (worst_state(violations), violations) for slug, violations in of_pools.items()
    }
    rooms_by_slug: dict[str, dict[str, Any]] = {}
    kept_by_slug: dict[str, list[dict[str, object]]] = {}
    used, granted = placements.used_manifests(), placements.granted_versions()
    for slug, newest in declarations.newest_versions().items():
        class_spec = declarations.spec_of(newest)
        in_pools = rooms.class_in_pools(class_spec, stock)
        room = rooms.room(class_spec, stock)
        earlier = {row.number: declarations.spec_of(row) for row in granted.get(slug, ()) if row.number != newest.number}
        versions = {number: rooms.class_in_pools(spec, stock) for number, spec in earlier.items()} | {newest.number: in_pools}
        in_use = used.get(slug, [])
        manifests = manifests_now(placements.kept(newest.workload_class), versions, in_use, stock.fleet, now)
        matching = others_matching(manifests, stock.fleet)
        compliance = evaluate_class(class_spec, in_pools, stock.fleet, room, of_pools, matching)
        violations = (*compliance.violations, *stale_manifests(in_use, manifests, stock.fleet))
        results["class", slug] = (worst_state(violations), violations)
        kept_by_slug[slug] = placements.as_json(manifests)
        rooms_by_slug[slug] = rooms.as_json(room, in_pools)
    open_findings = [finding for (kind, slug), (_, rows) in results.items() for finding in _FINDINGS[kind](slug, rows)]
    with transaction.atomic():
        outbox.add_all(_record(results, now))
        findings.record_compliance(open_findings, now)
        incidents.regroup(None, now)
        for slug, room_json in rooms_by_slug.items():
            WorkloadClass.objects.filter(slug=slug).update(headroom=room_json, headroom_at=now, placements=kept_by_slug[slug])


def _record(results: Mapping[Subject, tuple[str, Sequence[Violation]]], now: datetime) -> list[Notice]:
    """Writes the periods: a new one where the state changed; other violations are written into the current one.

    Returns the events: compliance that became worse, and compliance that is met again.
    """
    events: list[Notice] = []
    changes: list[tuple[CompliancePeriod | None, CompliancePeriod]] = []
    current = {(row.kind, row.slug): row for row in periods.current(CompliancePeriod)}
    for subject, (state, violations) in results.items():
        row = current.get(subject)
        recorded = _with_since(violations, row, now)
        if subject[0] == "class":
            _tell_requesters(subject[1], recorded, row, now)
        if row is not None and row.state == state:
            if row.violations != recorded:
                row.violations = recorded
                periods.update([row], ["violations"])
            continue
        if state != MET or row is not None:
            texts = [violation.text for violation in violations]
            events.append(wording.compliance(subject, state, row.state if row else "", texts, now))
        changes.append((row, CompliancePeriod(kind=subject[0], slug=subject[1], state=state, violations=recorded)))
    periods.close(CompliancePeriod, [row.pk for subject, row in current.items() if subject not in results], now)
    periods.replace(changes, now)
    return events


def _tell_requesters(slug: str, recorded: Sequence[Mapping[str, str]], row: CompliancePeriod | None, now: datetime) -> None:
    """Adds an event for every granted request of a class whose manifests in use have just become stale."""
    text = next((item["text"] for item in recorded if item["id"] == "stale_manifests"), "")
    if not text or (row is not None and any(item["id"] == "stale_manifests" for item in row.violations)):
        return
    requests = AccessRequest.objects.filter(class_version__workload_class__slug=slug, state__in=sorted(GRANTED))
    for request in requests.select_related("team", "requested_by", "class_version__workload_class"):
        notify(request, "stale_manifest", now, text, None)


def _with_since(violations: Sequence[Violation], row: CompliancePeriod | None, now: datetime) -> list[dict[str, str]]:
    """Returns the violations as JSON. One that was there at the previous evaluation keeps the moment it began."""
    before = {(item["pool"], item["id"]): item["since"] for item in row.violations} if row else {}
    return [
        {
            "id": violation.id,
            "text": violation.text,
            "since": before.get((violation.pool, violation.id), now.isoformat()),
            "pool": violation.pool,
        }
        for violation in violations
    ]
