from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from fleet.domain.placement.nodes import PlacementNode
from fleet.domain.placement.requirement import Toleration
from fleet.domain.pools.keeping import Seen, broken_conditions, shown, state_of
from fleet.domain.pools.policy import Pool, PoolPolicy
from fleet.domain.snapshot import Taint
from tests.domain.placement.fleets import bare, slots

GPU_TAINT = Taint("nvidia.com/gpu", "present", "NoSchedule")
GOOD = bare("n1", taints=(GPU_TAINT,))
POLICY = {"taints": (GPU_TAINT,), "modes": ("full",), "min_driver": "570", "max_driver": "570", "min_ready": 1}


def seen(*members: PlacementNode, policy: dict[str, Any] | None = None, **told: Any) -> Seen:
    return Seen(pool=Pool(slug="a", policy=PoolPolicy(**(POLICY | (policy or {})))), members=members, **told)


def test_a_pool_that_keeps_its_policy() -> None:
    told = seen(GOOD, bare("n2", taints=(GPU_TAINT,)), policy={"promise_percent": 99.0}, ready_percent=99.4, squatters={})
    assert broken_conditions(told) == ()
    assert state_of(()) == "kept"


@pytest.mark.parametrize(
    ("changed", "policy", "code", "says"),
    [
        ({"product": "NVIDIA-L4"}, {}, "mixed_products", "2 products"),
        (
            {"driver_version": "570.133.20"},
            {},
            "driver_skew",
            "2 driver versions run side by side: 570.133.20 (1), 570.172.08 (1)",
        ),
        (
            {"driver_version": "550.90.07"},
            {"one_driver": False},
            "driver_out_of_range",
            "n2 has another driver than the policy's at least 570",
        ),
        ({"driver_version": "580.65.06"}, {"one_driver": False}, "driver_out_of_range", "at most 570"),
        ({"taints": ()}, {}, "missing_taint", "n2 has no taint nvidia.com/gpu=present:NoSchedule"),
        ({"taints": (GPU_TAINT, Taint("spot", "", "NoSchedule"))}, {}, "unexpected_taint", "the taint spot:NoSchedule"),
        ({"resources": (slots(replicas=4),), "sharing": "time-slicing"}, {}, "wrong_mode", "a time-sliced share on n2"),
        ({"partitioning": None}, {}, "unknown_mode", "Nobody can tell what one slot is on n2."),
        ({"resources": ()}, {}, "unknown_mode", "n2"),
        ({"verdict": "not_ready"}, {"min_ready": 2}, "too_few_ready", "1 of 2 nodes are ready"),
        (
            {"verdict": "unknown"},
            {"promise_percent": 95.0},
            "below_promise",
            "1 of 2 nodes are ready now (50.0 %); 95 % are promised.",
        ),
        ({}, {"review_on": date(2026, 1, 1)}, "review_overdue", "2026-01-01"),
    ],
)
def test_each_condition_is_told_alone_with_its_sentence(
    changed: dict[str, Any], policy: dict[str, Any], code: str, says: str
) -> None:
    other = bare("n2", **({"taints": (GPU_TAINT,)} | changed))
    (broken,) = broken_conditions(seen(GOOD, other, policy=policy, today=date(2026, 6, 1)))
    assert broken.code == code
    assert says in broken.text
    assert broken.nodes in ((), (("east", "n2"),))
    assert state_of([broken]) == broken.state


def test_what_the_policy_allows_is_no_condition() -> None:
    other = bare(
        "n2",
        slots(replicas=4),
        product="NVIDIA-L4",
        driver_version="550.1",
        sharing="time-slicing",
        taints=(GPU_TAINT, Taint("spot", "", "NoSchedule"), Taint("node.kubernetes.io/not-ready", "", "NoExecute")),
    )
    policy = {"one_product": False, "one_driver": False, "min_driver": "", "max_driver": "", "modes": ("full", "time-sliced")}
    policy |= {"tolerations": (Toleration("spot", "Exists"),), "other_pods": True}
    assert broken_conditions(seen(GOOD, other, policy=policy, squatters={("east", "n2"): ["kube-system/web"]})) == ()


def test_squatters_and_a_broken_promise() -> None:
    told = seen(GOOD, policy={"promise_percent": 98.0}, ready_percent=97.05, squatters={("east", "n1"): ["a/web", "a/db"]})
    squatters, promise = broken_conditions(told)
    assert squatters.text == "2 pods run (a/web and others) on its nodes without asking for a GPU."
    assert promise.text == "Its nodes were ready 97.0 % of the last 30 days; 98 % are promised."
    assert state_of([squatters, promise]) == "broken"
    assert state_of([squatters]) == "at_risk"


def test_an_unmeasured_promise_is_not_broken() -> None:
    assert broken_conditions(seen(GOOD, policy={"promise_percent": 98.0}, ready_percent=None)) == ()


def test_an_empty_pool_is_broken() -> None:
    assert [one.code for one in broken_conditions(seen())] == ["empty"]


@pytest.mark.parametrize(
    ("state", "policy", "nodes", "usable", "says"),
    [
        ("kept", {}, 2, 16, "no_promise"),
        ("kept", {}, 2, 0, "no_promise"),
        ("kept", {"promise_percent": 99.0}, 2, 16, "kept"),
        ("kept", {"min_ready": 1}, 2, None, "kept"),
        ("kept", {"min_ready": 0}, 2, 0, "none_usable"),
        ("at_risk", {}, 2, 0, "at_risk"),
        ("broken", {}, 0, None, "broken"),
        ("unknown", {"min_ready": 1}, 2, 0, "unknown"),
    ],
)
def test_a_promise_is_shown_as_kept_only_where_there_is_one(
    state: str, policy: dict[str, Any], nodes: int, usable: int | None, says: str
) -> None:
    assert shown(state, PoolPolicy(**policy), nodes, usable) == says
