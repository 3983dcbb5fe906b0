"""A list that shrank by more than a tenth, or to nothing, is doubted; exactly a tenth is not."""

from __future__ import annotations

import msgspec
import pytest

from fleet.domain.snapshot import ClusterSnapshot
from fleet.domain.snapshot.cluster import shrinkage
from fleet.domain.snapshot.sections import Outcome, SectionReport
from tests.builders import make_node, make_pod

SECTIONS = {name: SectionReport(name=name, outcome=Outcome.COLLECTED) for name in ("nodes", "pods")}


def listed(nodes: int, pods: int = 1) -> ClusterSnapshot:
    return ClusterSnapshot(
        name="east",
        taken_at=None,  # type: ignore[arg-type]  # no moment matters
        nodes=tuple(make_node(f"n{number}") for number in range(nodes)),
        pods=tuple(make_pod(f"p{number}") for number in range(pods)),
        sections=SECTIONS,
    )


@pytest.mark.parametrize(
    ("known", "nodes", "doubted"), [(10, 10, False), (10, 9, False), (10, 8, True), (1, 0, True), (0, 0, False)]
)
def test_more_than_a_tenth_of_the_nodes(known: int, nodes: int, doubted: bool) -> None:
    assert bool(shrinkage(listed(nodes), {f"n{number}" for number in range(known)}, 0)) is doubted


def test_pods_that_are_all_gone_at_once() -> None:
    assert "12" in shrinkage(listed(1, pods=0), {"n0"}, 12)
    assert not shrinkage(listed(1, pods=1), {"n0"}, 12)
    assert not shrinkage(listed(1, pods=0), {"n0"}, 0)


def test_a_list_that_broke_off_is_no_shorter_list() -> None:
    broken = {name: msgspec.structs.replace(report, outcome=Outcome.TIMEOUT) for name, report in SECTIONS.items()}
    assert not shrinkage(msgspec.structs.replace(listed(0, 0), sections=broken), {"n0"}, 12)
