"""Expected physical GPUs as shares of a bar: they add up, and missing GPUs keep their verdict."""

from __future__ import annotations

from fleet.domain.evaluation.figures import NodeFigures
from fleet.domain.evaluation.fleet_figures import sum_nodes
from fleet.domain.evaluation.shares import Share, expected_shares


def test_shares_add_up_to_the_expected_gpus() -> None:
    total = sum_nodes(
        [
            NodeFigures(verdict="ready", expected=8, usable=8),
            NodeFigures(verdict="ready", expected=8, usable=7),
            NodeFigures(verdict="degraded", expected=8, usable=6),
            NodeFigures(verdict="not_ready", expected=4, usable=0, broken_rung="driver_loaded"),
            NodeFigures(verdict="unknown", expected=2, usable=None),
        ]
    )
    shares = expected_shares(total)
    assert shares == (
        Share("ready", is_usable=True, count=15),
        Share("degraded", is_usable=True, count=6),
        Share("ready", is_usable=False, count=3),
        Share("not_ready", is_usable=False, count=4),
        Share("unknown", is_usable=False, count=2),
    )
    assert sum(share.count for share in shares) == total.expected
    assert total.missing_gpus == 9
    assert total.missing_nodes == 4


def test_missing_gpus_are_listed_worst_first_among_equals() -> None:
    verdicts = ("excluded", "unknown", "starting", "ready", "degraded", "not_ready")
    total = sum_nodes(
        [NodeFigures(verdict=verdict, expected=1, usable=0, broken_rung="cuda_works") for verdict in verdicts]
        + [NodeFigures(verdict="not_ready", expected=1, usable=0, broken_rung="gpu_present")]
    )
    assert [(row.verdict, row.broken_rung, row.blames_a_rung) for row in total.missing] == [
        ("not_ready", "gpu_present", True),
        ("not_ready", "cuda_works", True),
        ("degraded", "cuda_works", True),
        ("ready", "cuda_works", True),
        ("unknown", "cuda_works", True),
        ("starting", "", False),
        ("excluded", "", False),
    ]


def test_nothing_expected_has_no_shares() -> None:
    assert expected_shares(sum_nodes([])) == ()
