from __future__ import annotations

import pytest
from msgspec import structs

from fleet.domain.findings import RuleResult, Status
from tests.domain.health.subjects import WATCHES, ask, sample, subject, uuid_of


def with_watches(**watches: int) -> RuleResult:
    first = structs.replace(sample(0), watches={**WATCHES, **watches})
    return ask("dcgm_watches", subject(first, *(sample(index) for index in range(1, 8))))


@pytest.mark.parametrize(("value", "status", "severity"), [(10, Status.WARN, "warning"), (20, Status.FAIL, "critical")])
def test_a_watch_that_is_not_well(value: int, status: Status, severity: str) -> None:
    result = with_watches(MEM=value)
    assert (result.status, result.findings[0].severity) == (status, severity)
    assert result.findings[0].key == f"{uuid_of()}/MEM"


def test_the_watch_over_everything_does_not_say_twice_what_a_particular_one_says() -> None:
    assert [finding.key for finding in with_watches(MEM=20, ALL=20).findings] == [f"{uuid_of()}/MEM"]
    assert [item.key for item in with_watches(ALL=20).findings] == [f"{uuid_of()}/ALL"]
    assert [entry.key for entry in with_watches(MEM=10, ALL=20).findings] == [f"{uuid_of()}/ALL", f"{uuid_of()}/MEM"]
