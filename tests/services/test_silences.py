"""Silences: which findings each scope covers, until when, and what stands in the audit log."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from fleet.domain.refusals import FieldError
from fleet.models import AuditEntry, FindingRow, Silence
from fleet.selectors.findings.findings import Silences, findings, open_findings
from fleet.services.silences import LONGEST, silence, unsilence
from tests.factories import NOON, a_cluster, a_finding, a_node

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)


@pytest.fixture
def some() -> dict[str, FindingRow]:
    n1, n2, far = a_node("n1"), a_node("n2"), a_node("far", a_cluster("west"))
    return {
        "n1 a": a_finding(n1, "one", key="a"),
        "n1 b": a_finding(n1, "one", key="b"),
        "n1 other": a_finding(n1, "two", key="a"),
        "n2 a": a_finding(n2, "one", key="a"),
        "far a": a_finding(far, "one", key="a"),
    }


@pytest.mark.parametrize(
    ("scope", "covered"),
    [
        ("finding", {"n1 a"}),
        ("node", {"n1 a", "n1 b"}),
        ("cluster", {"n1 a", "n1 b", "n2 a"}),
        ("everywhere", {"n1 a", "n1 b", "n2 a", "far a"}),
    ],
)
def test_what_each_scope_covers(operator: Any, some: dict[str, FindingRow], scope: str, covered: set[str]) -> None:
    silence(operator, some["n1 a"], reason="x", until=NOON + HOUR, now=NOON, scope=scope)
    book = Silences(NOON)
    assert {name for name, row in some.items() if book.of(row)} == covered
    left = set(open_findings(NOON).values_list("pk", flat=True))
    assert {name for name, row in some.items() if row.pk not in left} == covered  # SQL and Python agree
    assert open_findings(NOON + HOUR).count() == len(some)  # it runs out by itself
    assert Silences(NOON + HOUR).of(some["n1 a"]) is None


def test_silencing_again_moves_the_end_and_keeps_one_row(operator: Any, some: dict[str, FindingRow]) -> None:
    silence(operator, some["n1 a"], reason="x", until=NOON + HOUR, now=NOON)
    silence(operator, some["n1 a"], reason="y", until=NOON + 2 * HOUR, now=NOON)
    row = Silence.objects.get()
    assert (row.reason, row.until) == ("y", NOON + 2 * HOUR)
    newest = AuditEntry.objects.order_by("-pk")[0]
    assert newest.detail["before"] == {"until": (NOON + HOUR).isoformat(), "reason": "x"}
    assert newest.subject == "one a on east/n1"


def test_unsilencing_ends_it_and_keeps_the_row(operator: Any, some: dict[str, FindingRow]) -> None:
    row = silence(operator, some["n1 a"], reason="x", until=NOON + HOUR, now=NOON, scope="cluster")
    unsilence(operator, row, now=NOON + HOUR / 2)
    unsilence(operator, row, now=NOON + HOUR / 2)
    assert Silence.objects.get().until == NOON + HOUR / 2
    assert [entry.action for entry in AuditEntry.objects.order_by("pk")] == ["finding.silence", "finding.unsilence"]
    assert AuditEntry.objects.order_by("pk")[1].subject == "one on east"


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"reason": "  "}, "reason"),
        ({"reason": "x" * 501}, "reason"),
        ({"until": NOON}, "until"),
        ({"until": NOON + LONGEST + HOUR}, "until"),
        ({"scope": "planet"}, "scope"),
    ],
)
def test_what_is_refused_leaves_no_trace(operator: Any, some: dict[str, FindingRow], given: dict[str, Any], field: str) -> None:
    asked = {"reason": "x", "until": NOON + HOUR, "now": NOON} | given
    with pytest.raises(FieldError) as refused:
        silence(operator, some["n1 a"], **asked)
    assert refused.value.field == field
    assert not Silence.objects.exists()
    assert not AuditEntry.objects.exists()


def test_a_resolved_finding_is_not_silenced(operator: Any) -> None:
    over = a_finding(a_node(), resolved=NOON + HOUR)
    with pytest.raises(FieldError):
        silence(operator, over, reason="x", until=NOON + 3 * HOUR, now=NOON + 2 * HOUR)
    assert Silences(NOON).of(findings().get()) is None
