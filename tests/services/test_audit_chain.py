"""The audit log cannot be changed through the database, and what is changed past its guards shows."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, transaction

from fleet.models import AuditDay, AuditEntry, AuditLink, AuditStream, User
from fleet.selectors.audit import chain as audit_chain
from fleet.services.audit import audit, drop_days
from fleet.services.origin import Origin, coming_from

pytestmark = pytest.mark.django_db(transaction=True)
DAY = timedelta(days=1)
NOW = datetime.now(UTC)


INSERTED = (
    "INSERT INTO fleet_auditentry (at, actor_name, action, subject, reason, detail, via, address, request_id)"
    " VALUES (now(), '', 'x.y', '', '', '{}', '', '', '')"
)


@pytest.fixture(autouse=True)
def _truncation_refused(db: None, settings: Any) -> Iterator[None]:
    """As in every installation; between tests tables are truncated, so there the guard is off (tests/conftest.py)."""
    settings.DATABASE_URL = "postgres://elsewhere/muster"  # a command uses the tests' own database and starts none
    toggle("ENABLE")
    yield
    toggle("DISABLE")


def toggle(word: str, trigger: str = "audit_no_truncate", tables: str = "entry link day") -> None:
    with connection.cursor() as cursor:
        for table in tables.split():
            cursor.execute(f"ALTER TABLE fleet_audit{table} {word} TRIGGER {trigger}")


def run(sql: str, *values: object) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(sql, values)


def past_the_guards(sql: str, *values: object) -> None:
    """As the database's superuser can: triggers off."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(sql, values)


def three() -> list[AuditEntry]:
    return [audit(None, "pool.save", f"pool-{n}", detail={"before": None, "after": {"n": n, "é": 1.50}}) for n in range(3)]


def test_each_commit_appends_to_the_chain_and_a_roll_back_leaves_no_gap() -> None:
    first, *_ = three()
    with transaction.atomic():
        audit(None, "pool.save", "never")
        transaction.set_rollback(True)
    audit(None, "pool.save", "pool-3")
    links = list(AuditLink.objects.order_by("number"))
    assert [link.number for link in links] == [1, 2, 3, 4]
    assert [link.previous for link in links] == ["", *(link.digest for link in links[:-1])]
    assert links[0].entry == first
    report = audit_chain.verify()
    assert (report.breaches, report.number, report.digest) == ([], 4, links[-1].digest)
    assert audit_chain.head() == (4, links[-1].digest)


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE fleet_auditentry SET reason = 'other'",
        "UPDATE fleet_auditentry SET reason = 'other' WHERE id < 0",
        "DELETE FROM fleet_auditentry",
        "TRUNCATE fleet_auditentry CASCADE",
        "UPDATE fleet_auditlink SET digest = ''",
        "DELETE FROM fleet_auditlink",
        "TRUNCATE fleet_auditlink",
        "INSERT INTO fleet_auditlink VALUES (99, now(), '', '', 1)",
        "INSERT INTO fleet_auditday VALUES (now(), 1, 3, '', '', now())",
        "DELETE FROM fleet_auditday",
        "UPDATE fleet_auditday SET last_number = 1",
        "TRUNCATE fleet_auditday",
    ],
)
def test_the_database_refuses_every_other_statement(sql: str) -> None:
    three()
    with pytest.raises(DatabaseError, match=r"append-only|Only the database"):
        run(sql)
    assert audit_chain.verify().breaches == []
    assert AuditEntry.objects.count() == 3


def test_an_account_of_its_own_has_no_right_to_change_entries() -> None:
    """A superuser passes grants; the account that docs/operations.md creates does not."""
    three()
    run("CREATE ROLE muster_app NOLOGIN")
    try:
        run("GRANT SELECT, INSERT ON fleet_auditentry TO muster_app")
        run("GRANT SELECT ON fleet_auditlink, fleet_auditday TO muster_app")
        run("GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO muster_app")
        for sql in ("UPDATE fleet_auditentry SET reason = ''", "DELETE FROM fleet_auditentry", "TRUNCATE fleet_auditentry"):
            with pytest.raises(DatabaseError, match="permission denied"):
                run(f"SET LOCAL ROLE muster_app; {sql}")
        run(f"SET LOCAL ROLE muster_app; {INSERTED}")
        assert audit_chain.verify().number == 4
    finally:
        run("DROP OWNED BY muster_app; DROP ROLE muster_app")


def test_an_owner_that_is_no_superuser_has_no_right_either_and_retention_works() -> None:
    audit(None, "pool.save", "old", at=NOW - 100 * DAY)
    three()
    run("CREATE ROLE muster_owner NOLOGIN; GRANT CREATE, USAGE ON SCHEMA public TO muster_owner")
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_user")
        (owner,) = cursor.fetchone()
    try:
        for table in ("fleet_auditentry", "fleet_auditlink", "fleet_auditday"):
            run(f"ALTER TABLE {table} OWNER TO muster_owner")
        for function in ("muster_audit_drop_days", "muster_audit_append"):
            run(f"ALTER FUNCTION {function} OWNER TO muster_owner")
        with pytest.raises(DatabaseError, match="permission denied"):
            run("SET LOCAL ROLE muster_owner; DELETE FROM fleet_auditentry")
        assert drop_days(NOW - 50 * DAY) == 1
        with pytest.raises(DatabaseError, match="permission denied"):
            run("SET LOCAL ROLE muster_owner; DELETE FROM fleet_auditentry")
        audit(None, "pool.save", "new")
        assert (audit_chain.verify().breaches, audit_chain.verify().number) == ([], 5)
    finally:
        run(f"REASSIGN OWNED BY muster_owner TO {owner}; DROP OWNED BY muster_owner; DROP ROLE muster_owner")


@pytest.mark.parametrize(
    ("sql", "breach"),
    [
        ("UPDATE fleet_auditentry SET reason = 'other' WHERE subject = 'pool-1'", "Entry 2 of {day} was changed."),
        ("UPDATE fleet_auditentry SET actor_name = 'eve' WHERE subject = 'pool-0'", "Entry 1 of {day} was changed."),
        ("""UPDATE fleet_auditentry SET detail = '{"before": null}' WHERE subject = 'pool-0'""", "Entry 1 of {day} was changed."),
        ("DELETE FROM fleet_auditentry WHERE subject = 'pool-2'", "Entry 3 of {day} was deleted."),
        ("DELETE FROM fleet_auditlink WHERE number = 2", "Entries 2 to 2 are missing before {day}."),
        ("DELETE FROM fleet_auditlink WHERE number = 1", "Entries 1 to 1 are missing before {day}."),
        ("UPDATE fleet_auditlink SET number = number + 1 WHERE number = 3", "Entries 3 to 3 are missing before {day}."),
        ("UPDATE fleet_auditlink SET previous = 'x' WHERE number = 3", "Entry 3 of {day} does not follow on the one before."),
        (
            "INSERT INTO fleet_auditday VALUES ('2020-01-01', 1, 1, '', 'x', now())",
            "Entry 1 of {day} does not follow on the one before.",
        ),
    ],
)
def test_what_is_changed_past_the_guards_shows(sql: str, breach: str) -> None:
    three()
    day = AuditLink.objects.order_by("number").first().day  # type: ignore[union-attr]
    past_the_guards(sql)
    if "auditday" in sql:
        assert audit_chain.verify().breaches
    else:
        assert breach.format(day=day) in audit_chain.verify().breaches
    with pytest.raises(CommandError):
        call_command("verify_audit")


def test_an_entry_inserted_past_the_trigger_shows() -> None:
    three()
    past_the_guards(INSERTED)
    assert "is not in the chain" in audit_chain.verify().breaches[0]


def test_a_cut_off_end_shows_by_what_was_noted_or_sent_outside(capsys: Any) -> None:
    three()
    number, digest = audit_chain.head()
    call_command("verify_audit")
    assert f"3 entries, no gap. Newest: 3:{digest}" in capsys.readouterr().out
    call_command("verify_audit", expect=[f"{number}:{digest}"])
    past_the_guards("DELETE FROM fleet_auditentry WHERE subject = 'pool-2'; DELETE FROM fleet_auditlink WHERE number = 3")
    assert audit_chain.verify().breaches == []
    assert audit_chain.verify({3: digest}).breaches == ["Entry 3 is expected, but the chain ends at 2."]
    audit(None, "pool.save", "instead")
    assert "not " + digest[:12] in audit_chain.verify({3: digest}).breaches[0]
    AuditStream.objects.create(sink="syslog", number=9)
    assert audit_chain.verify().breaches == ["syslog received entry 9, but the chain ends at 3."]
    with pytest.raises(CommandError, match="give NUMBER:DIGEST"):
        call_command("verify_audit", expect=["3"])


def test_retention_drops_whole_days_and_the_chain_goes_on() -> None:
    """Four simulated months, one entry a day; retention runs daily with 40 days."""
    for age in range(120, -1, -1):
        audit(None, "pool.save", f"{age}", at=NOW - age * DAY)
        if age % 30 == 0:
            drop_days(NOW - 40 * DAY)
    assert AuditEntry.objects.count() == AuditLink.objects.count() == 41
    assert AuditDay.objects.count() == 80
    report = audit_chain.verify()
    assert (report.breaches, report.number, len(report.days)) == ([], 121, 121)
    assert drop_days(NOW + 10 * DAY) == 10  # whatever is asked, thirty days stay
    assert AuditEntry.objects.count() == 31
    past_the_guards("DELETE FROM fleet_auditday WHERE first_number = 5")
    assert "does not follow on entry 4" in audit_chain.verify().breaches[0]


def test_a_day_that_was_dropped_too_early_shows_although_its_digests_fit() -> None:
    """As superuser: yesterday's entries are deleted, and a row says that retention did it."""
    for age in (31, 30, 1, 0):
        audit(None, "pool.save", f"{age}", at=NOW - age * DAY)
    assert drop_days(NOW) == 1, "31 days old"
    assert audit_chain.verify().breaches == []
    for number, day in ((2, NOW - 30 * DAY), (3, NOW - DAY)):
        link = AuditLink.objects.get(number=number)
        for dropped_at in (NOW, day + 90 * DAY):
            forged = (link.day, number, number, link.previous, link.digest, dropped_at)
            past_the_guards("INSERT INTO fleet_auditday VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING", *forged)
        past_the_guards("DELETE FROM fleet_auditentry WHERE id = %s", link.entry_id)
        past_the_guards("DELETE FROM fleet_auditlink WHERE number = %s", number)
        assert audit_chain.verify().breaches[-1] == f"{link.day}, dropped: the database never drops a day of the last 30."


def test_an_empty_log_and_one_dropped_whole_are_verified() -> None:
    assert (audit_chain.verify().breaches, audit_chain.head()) == ([], (0, ""))
    audit(None, "pool.save", "old", at=NOW - 100 * DAY)
    number, digest = audit_chain.head()
    assert drop_days(NOW) == 1
    assert audit_chain.head() == (number, digest)
    audit(None, "pool.save", "new")
    assert (audit_chain.verify({1: digest}).breaches, audit_chain.head()[0]) == ([], 2)


def test_many_writers_at_once_make_one_chain() -> None:
    def write(name: str) -> None:
        try:
            for n in range(10):
                with transaction.atomic():
                    audit(None, "pool.save", f"{name}-{n}")
        finally:
            connection.close()

    threads = [threading.Thread(target=write, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    report = audit_chain.verify()
    assert (report.breaches, report.number) == ([], 40)


def test_a_deleted_user_stays_on_record(operator: User) -> None:
    audit(operator, "pool.save", "x")
    operator.delete()
    assert AuditEntry.objects.get().actor_name == "otto"
    assert audit_chain.verify().breaches == []


def test_an_entry_carries_where_it_came_from_and_nothing_unbounded() -> None:
    with coming_from(Origin("api", "192.0.2.7", "abcdef0123456789")):
        entry = audit(None, "pool.save", "s\0" * 900, detail={"a": "x" * 9_000, "b\0": ["\ud800"], "deep": [[[[[[[[[1]]]]]]]]]})
    assert (entry.via, entry.address, entry.request_id) == ("api", "192.0.2.7", "abcdef0123456789")
    entry.refresh_from_db()
    assert len(entry.subject) == 400
    assert len(entry.detail["a"]) == 2_000
    own = audit(None, "pool.save", "y")
    assert (own.via, "@" in own.address, own.request_id) == ("command", True, "")
