from __future__ import annotations

import pytest

from fleet.domain.classes.asks import ask, asks, label_keys
from fleet.domain.classes.workload import WorkloadClass
from fleet.domain.label_selectors import Requirement, to_text
from fleet.domain.placement.fleet import Fleet
from fleet.domain.placement.headroom import headroom
from fleet.domain.placement.requirement import Toleration
from fleet.domain.pools.membership import with_pools
from fleet.domain.pools.policy import Pool
from fleet.domain.pools.selectors import PoolSelector
from tests.domain.classes.worlds import CLASSES, L40S, POOLS, ROOM, TAINT, asked, fleet
from tests.domain.placement.fleets import GPU, real

TOLERATION = Toleration("nvidia.com/gpu", "Equal", "present", "NoSchedule")


@pytest.mark.parametrize("slug", CLASSES)
def test_room_as_counted_by_hand(slug: str) -> None:
    everything = fleet()
    room = headroom([one.requirement for one in asks(CLASSES[slug], POOLS, everything)], everything)
    assert room.replicas == ROOM[slug]


@pytest.mark.parametrize(
    ("slug", "resource"),
    [
        ("full", GPU),
        ("renamed", "nvidia.com/gpu.shared"),
        ("single", GPU),
        ("mixed", "nvidia.com/mig-1g.10gb"),
        ("dra", "gpu.nvidia.com"),
    ],
)
def test_the_resource_is_what_the_pool_advertises(slug: str, resource: str) -> None:
    found = asked(slug)
    assert (found.resource, found.problem, found.warnings) == (resource, "", ())
    assert found.dra is (slug == "dra")


def test_the_pools_labels_are_enough_where_they_tell_everything_apart() -> None:
    found = asked("full")
    assert to_text(found.expressions) == "pool=h100"
    assert found.requirement.tolerations == (TOLERATION,)


def test_tolerations_a_pool_names_besides_its_taints() -> None:
    assert asked("spot").requirement.tolerations == (TOLERATION, Toleration("spot", "Exists", "", "NoExecute"))


def test_labels_are_added_only_to_keep_out_what_is_not_promised() -> None:
    found = asked("west")
    # the time-sliced L40S carries the suffix in its product label, the H100 another product: one label is enough
    assert found.expressions == (Requirement("nvidia.com/gpu.product", "in", (L40S,)),)
    assert found.warnings == ()


def test_renamed_shares_of_the_same_cards_need_no_label_and_mps_beside_time_slicing_does() -> None:
    nodes = [
        real("mps", product=L40S, gpus=2, sharing="mps", replicas=4),
        real("sliced", product=L40S, gpus=2, sharing="time-slicing", replicas=4),
        real("renamed", product=L40S, gpus=2, sharing="time-slicing", replicas=4, renamed=True),
    ]
    pool = Pool(slug="mps", selector=PoolSelector(sharing=("mps",)))
    found = ask(
        WorkloadClass(slug="a", isolation="mps", pools=("mps",)), pool, Fleet(with_pools([pool], nodes), label_keys([pool]))
    )
    assert to_text(found.expressions) == "nvidia.com/gpu.sharing-strategy=mps"


def test_what_no_label_tells_apart_is_said() -> None:
    pool = Pool(slug="p")
    outside = [real("in", pools=("p",)), real("out")]
    found = ask(WorkloadClass(slug="a", pools=("p",)), pool, Fleet(outside, label_keys([pool])))
    assert found.warnings == ("out passes the same labels and taints: pods of this class may land there too.",)


def test_a_minimum_driver_keeps_older_majors_out() -> None:
    old = {"nvidia.com/cuda.driver-version.full": "550.90.07", "nvidia.com/cuda.driver-version.major": "550"}
    new = {"nvidia.com/cuda.driver-version.major": "570"}
    pool = Pool(slug="p")
    nodes = with_pools([pool], [real("old", labels=old), real("new", labels=new)])
    found = ask(WorkloadClass(slug="a", min_driver="570", pools=("p",)), pool, Fleet(nodes, label_keys([pool])))
    assert to_text(found.expressions) == "nvidia.com/cuda.driver-version.major>569"


def test_taints_that_all_members_carry_are_tolerated_where_the_policy_names_none() -> None:
    pool = Pool(slug="p")
    nodes = with_pools([pool], [real("a", taints=(TAINT,)), real("b", taints=(TAINT,))])
    found = ask(WorkloadClass(slug="a", pools=("p",)), pool, Fleet(nodes, label_keys([pool])))
    assert found.requirement.tolerations == (TOLERATION,)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"isolation": "mps"}, "No node of pool h100 offers such slots."),
        ({"products": ("NVIDIA-L4",)}, "No node of pool h100 offers such slots."),
        ({"min_memory_mib": 100_000}, "81,559 MiB there, 100,000 MiB are needed."),
        ({"min_driver": "580"}, "Its driver is 570.172.08; at least 580 is needed."),
    ],
)
def test_a_pool_that_cannot_keep_the_promise_says_why(changes: dict[str, object], says: str) -> None:
    found = asked("full", gpus=1, sizes=(), **changes)
    assert says in found.problem
    assert headroom([found.requirement], fleet()).replicas == 0


def test_an_empty_pool_says_so_and_a_pool_that_is_none_is_left_out() -> None:
    nothing = Fleet([], label_keys(POOLS))
    assert ask(CLASSES["full"], POOLS[0], nothing).problem == "Pool h100 has no nodes."
    assert [one.pool.slug for one in asks(CLASSES["full"], POOLS[:1], fleet())] == ["h100"]


def test_broken_nodes_still_tell_what_the_pool_offers() -> None:
    pool = Pool(slug="p")
    broken = real("b", capacity={GPU: 0}, verdict="starting")
    found = ask(WorkloadClass(slug="a", pools=("p",)), pool, Fleet(with_pools([pool], [broken]), label_keys([pool])))
    assert found.problem == ""
    assert headroom([found.requirement], Fleet(with_pools([pool], [broken]), label_keys([pool]))).back == 8
