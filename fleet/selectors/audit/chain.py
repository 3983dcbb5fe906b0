"""Verifies the chain of the audit log: digests are computed here again, without functions of the database."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

from django.db import connection

from fleet.models import AuditDay, AuditLink, AuditStream

MOST_BREACHES = 50
YOUNGEST_DROPPED_DAYS = 30
"""Same as in muster_audit_drop_days of the migration: a row that differs was not written by that function."""
_BATCH = 5_000
# Same as muster_audit_text in migration `audit_chain`.
TEXT = """
    jsonb_build_array('v1', e.id, to_char(e.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US'), e.actor_id, e.actor_name,
                      e.action, e.subject, e.reason, e.detail, e.via, e.address, e.request_id)::text
"""
_ROWS = f"""
    SELECT l.number, l.day, l.previous, l.digest, e.id, {TEXT}
    FROM fleet_auditlink l LEFT JOIN fleet_auditentry e ON e.id = l.entry_id
    WHERE l.number > %s ORDER BY l.number LIMIT {_BATCH}
"""  # noqa: S608 constants
_UNLINKED = """
    SELECT e.id FROM fleet_auditentry e LEFT JOIN fleet_auditlink l ON l.entry_id = e.id WHERE l.number IS NULL
    ORDER BY e.id LIMIT 51
"""


@dataclass(frozen=True, slots=True)
class ChainDay:
    """One UTC day of the chain; `dropped` if its entries were removed at the end of their retention."""

    day: date
    first_number: int
    last_number: int
    digest: str
    dropped: bool


@dataclass(slots=True)
class ChainReport:
    """Result of a verification: the days, oldest first, and a sentence for each breach (at most MOST_BREACHES)."""

    days: list[ChainDay] = field(default_factory=list)
    breaches: list[str] = field(default_factory=list)
    number: int = 0
    digest: str = ""

    def breach(self, text: str) -> None:
        if len(self.breaches) < MOST_BREACHES:
            self.breaches.append(text)


def digest_of(previous: str, number: int, text: str) -> str:
    """Returns the digest of a link: SHA-256 over the digest before, the number and the entry's text, one per line."""
    return hashlib.sha256(f"{previous}\n{number}\n{text}".encode()).hexdigest()


def verify(expected: dict[int, str] | None = None) -> ChainReport:
    """Returns the state of the whole chain. `expected` are digests by number that were noted earlier, outside of the database."""
    report, noted = ChainReport(), dict(expected or {})
    youngest = datetime.now(UTC).date() - timedelta(days=YOUNGEST_DROPPED_DAYS)
    for row in AuditDay.objects.order_by("day"):
        if row.previous != report.digest or row.first_number != report.number + 1:
            report.breach(f"{row.day}, dropped: does not follow on entry {report.number}.")
        if row.day >= youngest or (row.dropped_at.astimezone(UTC).date() - row.day).days <= YOUNGEST_DROPPED_DAYS:
            report.breach(f"{row.day}, dropped: the database never drops a day of the last {YOUNGEST_DROPPED_DAYS}.")
        report.days.append(ChainDay(row.day, row.first_number, row.last_number, row.digest, dropped=True))
        report.number, report.digest = row.last_number, row.digest
        _compare(report, noted)
    for link, text in _links():
        _verify_link(report, link, text)
        _compare(report, noted)
    with connection.cursor() as cursor:
        cursor.execute(_UNLINKED)
        for (entry,) in cursor.fetchall():
            report.breach(f"The entry with id {entry} is not in the chain: it was inserted with the trigger off.")
    for stream in AuditStream.objects.filter(number__gt=report.number):
        report.breach(f"{stream.sink} received entry {stream.number}, but the chain ends at {report.number}.")
    for number in sorted(noted):
        if number > report.number:
            report.breach(f"Entry {number} is expected, but the chain ends at {report.number}.")
    return report


def head() -> tuple[int, str]:
    """Returns number and digest of the newest entry: noted elsewhere, they prove later that no entry was cut off at the end."""
    link = AuditLink.objects.order_by("-number").first()
    day = AuditDay.objects.order_by("-day").first() if link is None else None
    if link is not None:
        return link.number, link.digest
    return (day.last_number, day.digest) if day is not None else (0, "")


def _links() -> Iterator[tuple[AuditLink, str | None]]:
    number = -1
    while True:
        with connection.cursor() as cursor:
            cursor.execute(_ROWS, [number])
            rows = cursor.fetchall()
        for number, day, previous, digest, entry, text in rows:
            link = AuditLink(number=number, entry_id=entry, day=day, previous=previous, digest=digest)
            yield link, text if entry is not None else None
        if len(rows) < _BATCH:
            return


def _verify_link(report: ChainReport, link: AuditLink, text: str | None) -> None:
    where = f"Entry {link.number} of {link.day}"
    if link.number != report.number + 1:
        report.breach(f"Entries {report.number + 1} to {link.number - 1} are missing before {link.day}.")
    elif link.previous != report.digest:
        report.breach(f"{where} does not follow on the one before.")
    if text is None:
        report.breach(f"{where} was deleted.")
    elif digest_of(link.previous, link.number, text) != link.digest:
        report.breach(f"{where} was changed.")
    if report.days and not report.days[-1].dropped and report.days[-1].day == link.day:
        last = report.days.pop()
        report.days.append(ChainDay(link.day, last.first_number, link.number, link.digest, dropped=False))
    else:
        report.days.append(ChainDay(link.day, link.number, link.number, link.digest, dropped=False))
    report.number, report.digest = link.number, link.digest


def _compare(report: ChainReport, noted: dict[int, str]) -> None:
    if report.number in noted and noted[report.number] != report.digest:
        report.breach(f"Entry {report.number} has the digest {report.digest[:12]}…, not {noted[report.number][:12]}… as noted.")
