"""nvlink and pcie_replay."""

from __future__ import annotations

import pytest

from fleet.domain.findings import Status
from tests.builders import make_node
from tests.domain.health.subjects import ask, before, lasting, sample, subject, uuid_of


@pytest.mark.parametrize("metric", ["nvlink_crc_flit", "nvlink_crc_data", "nvlink_replay", "nvlink_recovery"])
def test_new_errors_of_a_link_are_a_finding(metric: str) -> None:
    now = [sample(0, **{metric: 12.0}), *(sample(index) for index in range(1, 8))]
    result = ask("nvlink", subject(*now, earlier=[before(item, **{metric: 0.0}) for item in now]))
    assert (result.status, result.findings[0].key) == (Status.WARN, uuid_of())


def test_old_errors_of_a_link_are_none() -> None:
    assert ask("nvlink", subject(*(sample(index, nvlink_replay=40.0) for index in range(8)))).status is Status.PASS


def test_cards_without_nvlink_are_not_judged() -> None:
    assert ask("nvlink", subject(node=make_node(product="NVIDIA-L40S"))).status is Status.NOT_APPLICABLE


@pytest.mark.parametrize(("more", "status"), [(10.0, Status.WARN), (9.0, Status.PASS)])
def test_many_replays_a_minute_for_a_while(more: float, status: Status) -> None:
    now = [sample(0, pcie_replay=3.0 + more), *(sample(index) for index in range(1, 8))]
    result = subject(*now, earlier=[before(item, pcie_replay=3.0) for item in now])
    assert ask("pcie_replay", result).status is Status.PASS
    assert ask("pcie_replay", lasting(result, "pcie_replay", uuid_of())).status is status


def test_replays_are_counted_by_the_minute_whatever_the_rhythm() -> None:
    now = [sample(index, pcie_replay=33.0) for index in range(8)]
    slow = subject(*now, earlier=[before(item, seconds=600, pcie_replay=3.0) for item in now])
    assert ask("pcie_replay", slow).findings == ()
