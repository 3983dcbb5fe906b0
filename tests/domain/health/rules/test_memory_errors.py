"""ecc_uncorrectable, row_remap_failure and row_remap_pending."""

from __future__ import annotations

import pytest

from fleet.domain.findings import Severity, Status
from tests.builders import make_node
from tests.domain.health.subjects import ask, before, sample, subject, uuid_of, without


def gpus(**values: float) -> list:
    return [sample(0, **values), *(sample(index) for index in range(1, 8))]


def test_uncorrectable_errors_since_the_driver_was_loaded_break_the_card() -> None:
    result = ask("ecc_uncorrectable", subject(*gpus(ecc_dbe_volatile=2.0)))
    assert result.status is Status.FAIL
    assert (result.findings[0].key, result.findings[0].severity) == (uuid_of(), Severity.CRITICAL)


def test_a_row_remapped_just_now_is_seen_without_the_ecc_counters() -> None:
    now = gpus(remapped_uncorrectable=3.0)
    answer = subject(*now, earlier=[before(item, remapped_uncorrectable=2.0) for item in now])
    result = ask("ecc_uncorrectable", without(answer, "ecc_dbe_volatile"))
    assert (result.status, result.findings[0].severity) == (Status.WARN, Severity.WARNING)


def test_rows_remapped_long_ago_are_no_news() -> None:
    assert ask("ecc_uncorrectable", subject(*gpus(remapped_uncorrectable=3.0))).status is Status.PASS


@pytest.mark.parametrize(
    ("rule", "status", "severity"),
    [("row_remap_failure", Status.FAIL, Severity.CRITICAL), ("row_remap_pending", Status.WARN, Severity.WARNING)],
)
def test_row_remapping(rule: str, status: Status, severity: Severity) -> None:
    result = ask(rule, subject(*gpus(**{rule: 1.0})))
    assert (result.status, result.findings[0].severity, result.findings[0].key) == (status, severity, uuid_of())
    assert ask(rule, subject(*gpus())).status is Status.PASS


@pytest.mark.parametrize("rule", ["row_remap_failure", "row_remap_pending"])
@pytest.mark.parametrize("product", ["Tesla-T4", "NVIDIA-A10G", "NVIDIA-L40S"])
def test_cards_that_remap_no_rows_are_not_judged(rule: str, product: str) -> None:
    t4 = subject(node=make_node(product=product))
    assert ask(rule, t4).status is Status.NOT_APPLICABLE
    # and they need no such series to have their memory judged
    assert ask("ecc_uncorrectable", without(t4, "remapped_uncorrectable")).status is Status.PASS


def test_findings_of_cards_that_are_not_seen_stay_as_they_are() -> None:
    earlier = [before(sample(index)) for index in range(8)]
    result = ask("row_remap_failure", subject(sample(0, row_remap_failure=1.0), sample(1), earlier=earlier))
    assert result.status is Status.FAIL
    assert set(result.blind) == {uuid_of(index) for index in range(2, 8)}
