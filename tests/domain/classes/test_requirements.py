from __future__ import annotations

import pytest

from fleet.domain.classes.requirements import class_in_pool, class_in_pools, label_keys
from fleet.domain.classes.stale import kept_placement, selected_outside
from fleet.domain.classes.tolerations import tolerate
from fleet.domain.classes.workload import ClassSpec
from fleet.domain.label_selectors import Requirement, to_text
from fleet.domain.manifests.pods import placement_digest
from fleet.domain.placement.fleet import Fleet
from fleet.domain.placement.headroom import headroom
from fleet.domain.placement.nodes import PlacementNode
from fleet.domain.placement.requirement import Toleration
from fleet.domain.pools.policy import PoolSpec
from fleet.domain.pools.selection import PoolSelector
from fleet.domain.snapshot import Taint
from tests.builders import H100, with_pools
from tests.domain.classes.worlds import A100, CLASSES, L40S, POOLS, ROOM, SPOT, TAINT, asked, fleet
from tests.domain.placement.fleets import GPU, bare, real, slots

GUARDED_PRODUCT = (
    "nvidia.com/gpu.product={},nvidia.com/gpu.sharing-strategy notin (mps,time-slicing),!nvidia.com/gpu.slices.gi,"
    "cloud.google.com/gke-gpu-sharing-strategy notin (mps,time-sharing),!cloud.google.com/gke-gpu-partition-size"
)
TOLERATION = Toleration("nvidia.com/gpu", "Equal", "present", "NoSchedule")


@pytest.mark.parametrize("slug", CLASSES)
def test_room_as_counted_manually(slug: str) -> None:
    everything = fleet()
    room = headroom([class_in_pool.requirement for class_in_pool in class_in_pools(CLASSES[slug], POOLS, everything)], everything)
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
    result = asked(slug)
    assert (result.resource, result.problem, result.strays) == (resource, "", ())
    assert result.dra is (slug == "dra")


def test_the_manifest_selects_pool_product_and_sharing_whatever_other_nodes_there_are() -> None:
    result = asked("full")
    assert [to_text(term) for term in result.terms] == [f"pool=h100,{GUARDED_PRODUCT.format(H100)}"]
    assert [to_text(term) for term in result.place] == ["pool=h100"]
    assert result.requirement.tolerations == (TOLERATION,)


def test_tolerations_a_pool_names_besides_its_taints() -> None:
    assert asked("spot").requirement.tolerations == (TOLERATION, Toleration("spot", "Exists", "", "NoExecute"))


def test_a_pool_by_product_is_selected_by_product_and_sharing() -> None:
    result = asked("west")
    assert [to_text(term) for term in result.terms] == [GUARDED_PRODUCT.format(L40S)]
    assert result.warnings == ()


def test_mps_is_selected_beside_time_slicing() -> None:
    nodes = [
        real("mps", product=L40S, gpus=2, sharing="mps", replicas=4),
        real("sliced", product=L40S, gpus=2, sharing="time-slicing", replicas=4),
        real("renamed", product=L40S, gpus=2, sharing="time-slicing", replicas=4, renamed=True),
    ]
    pool = PoolSpec(slug="mps", selector=PoolSelector(sharing=("mps",)))
    result = class_in_pool(
        ClassSpec(slug="a", isolation="mps", pools=("mps",)), pool, Fleet(with_pools([pool], nodes), label_keys([pool]))
    )
    assert [to_text(term) for term in result.terms] == [
        f"nvidia.com/gpu.product={L40S}-SHARED,nvidia.com/gpu.sharing-strategy=mps"
    ]


def test_nodes_that_no_label_distinguishes_are_reported() -> None:
    pool = PoolSpec(slug="p")
    outside = [real("in", pools=("p",)), real("out")]
    result = class_in_pool(ClassSpec(slug="a", pools=("p",)), pool, Fleet(outside, label_keys([pool])))
    (warning,) = result.warnings
    assert warning.startswith("Labels cannot tell out from pool p: pods of this class may land there.")
    assert "Add the label muster.dev/pool=p" in warning
    assert [node.name for node in result.strays] == ["out"]


LABELLED = {"muster.dev/pool": "p"}


def test_a_class_narrower_than_its_labelled_pool_selects_the_pool_and_the_product() -> None:
    pool = PoolSpec(slug="p")
    gke = bare("gke", slots(GPU), labels={**LABELLED, "cloud.google.com/gke-accelerator": "nvidia-h100-80gb"}, pools=("p",))
    a100 = real("a100", product=A100, labels=LABELLED, pools=("p",))
    fleet_ = Fleet([real("h100", labels=LABELLED, pools=("p",)), gke, a100, real("elsewhere")], label_keys([pool]))
    result = class_in_pool(ClassSpec(slug="a", products=(H100,), pools=("p",)), pool, fleet_)
    assert [to_text(term).split(",nvidia.com/gpu.sharing")[0] for term in result.terms] == [
        f"muster.dev/pool=p,nvidia.com/gpu.product={H100}",
        "muster.dev/pool=p,cloud.google.com/gke-accelerator=nvidia-h100-80gb",
    ]
    assert (result.strays, result.warnings) == ((), ())
    assert headroom([result.requirement], fleet_).replicas == 8 * 2
    whole = class_in_pool(ClassSpec(slug="a", pools=("p",)), pool, fleet_)
    assert {to_text(term).split(",nvidia.com/gpu.sharing")[0] for term in whole.terms} == {"muster.dev/pool=p"}


def test_slices_of_a_labelled_pool_are_selected_by_their_profile_too() -> None:
    pool = PoolSpec(slug="p")
    slices = [real(name, product=A100, gpus=1, mig=name, labels=LABELLED, pools=("p",)) for name in ("1g.5gb", "2g.10gb")]
    result = class_in_pool(
        ClassSpec(slug="a", isolation="mig", profile="1g.5gb", pools=("p",)), pool, Fleet(slices, label_keys([pool]))
    )
    assert [item for item in result.terms[0] if item.key.endswith((".product", "/pool"))] == [
        Requirement("muster.dev/pool", "in", ("p",)),
        Requirement("nvidia.com/gpu.product", "in", (f"{A100}-MIG-1g.5gb",)),
    ]
    assert (len(result.terms), result.strays, result.warnings) == (1, (), ())


def test_the_pools_label_is_not_recommended_where_it_is_there_already() -> None:
    pool = PoolSpec(slug="p")

    def warnings(*others: PlacementNode) -> list[str]:
        nodes = Fleet([bare("in", labels=LABELLED, pools=("p",)), *others], label_keys([pool]))
        return list(class_in_pool(ClassSpec(slug="a", products=(H100,), pools=("p",)), pool, nodes).warnings)

    assert warnings(bare("a100", product=A100, labels=LABELLED, pools=("p",))) == [
        (
            "Labels cannot tell a100 of pool p from nodes that match the class: pods of this class may land there. "
            "Put the matching nodes in a separate pool."
        )
    ]
    assert warnings(bare("guest", labels=LABELLED)) == [
        "Remove the label muster.dev/pool=p from guest: it is not in the pool, and pods of this class may land there."
    ]


def test_a_minimum_driver_keeps_older_majors_out() -> None:
    old = {"nvidia.com/cuda.driver-version.full": "550.90.07", "nvidia.com/cuda.driver-version.major": "550"}
    new = {"nvidia.com/cuda.driver-version.major": "570"}
    pool = PoolSpec(slug="p")
    nodes = with_pools([pool], [real("old", labels=old), real("new", labels=new)])
    result = class_in_pool(ClassSpec(slug="a", min_driver="570", pools=("p",)), pool, Fleet(nodes, label_keys([pool])))
    assert "nvidia.com/cuda.driver-version.major>569" in to_text(result.terms[0])


def test_taints_that_all_members_carry_are_tolerated_where_the_policy_names_none() -> None:
    pool = PoolSpec(slug="p")
    nodes = with_pools([pool], [real("a", taints=(TAINT,)), real("b", taints=(TAINT,))])
    result = class_in_pool(ClassSpec(slug="a", pools=("p",)), pool, Fleet(nodes, label_keys([pool])))
    assert result.requirement.tolerations == (TOLERATION,)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"isolation": "mps"}, "No node of pool h100 offers such slots."),
        ({"products": ("NVIDIA-L4",)}, "No node of pool h100 offers such slots."),
        ({"min_memory_mib": 100_000}, "has 81,559 MiB; 100,000 MiB are needed."),
        ({"min_driver": "580"}, "Its driver is 570.172.08; at least 580 is needed."),
    ],
)
def test_a_pool_that_cannot_keep_the_promise_says_why(changes: dict[str, object], says: str) -> None:
    result = asked("full", gpus=1, sizes=(), **changes)
    assert says in result.problem
    assert headroom([result.requirement], fleet()).replicas == 0


def test_an_empty_pool_says_so_and_a_pool_that_is_none_is_left_out() -> None:
    nothing = Fleet([], label_keys(POOLS))
    assert class_in_pool(CLASSES["full"], POOLS[0], nothing).problem == "Pool h100 has no nodes."
    assert [item.pool.slug for item in class_in_pools(CLASSES["full"], POOLS[:1], fleet())] == ["h100"]


def test_broken_nodes_still_tell_what_the_pool_offers() -> None:
    pool = PoolSpec(slug="p")
    broken = real("b", capacity={GPU: 0}, verdict="starting")
    result = class_in_pool(ClassSpec(slug="a", pools=("p",)), pool, Fleet(with_pools([pool], [broken]), label_keys([pool])))
    assert result.problem == ""
    assert headroom([result.requirement], Fleet(with_pools([pool], [broken]), label_keys([pool]))).back == 8


def test_members_of_several_label_dialects_are_selected_by_one_term_each() -> None:
    pool = PoolSpec(slug="p", selector=PoolSelector(products=(H100,)))
    gke = bare("gke", slots(GPU), product=H100, labels={"cloud.google.com/gke-accelerator": "nvidia-h100-80gb"})
    azure = bare("azure", slots(GPU), product=H100, labels={"agentpool": "h100"})
    muster = bare("muster", slots(GPU), product=H100, labels={"muster.dev/pool": "p", "agentpool": "mixed"})
    other = bare("other", slots(GPU), product="NVIDIA-L40S", labels={"agentpool": "mixed"})
    bare_metal = bare("nothing", slots(GPU), product=H100)
    nodes = with_pools([pool], [real("gfd"), gke, azure, muster, bare_metal, other])
    fleet_ = Fleet(nodes, label_keys([pool]))
    result = class_in_pool(ClassSpec(slug="a", pools=("p",)), pool, fleet_)
    assert [to_text(term).split(",nvidia.com/gpu.sharing")[0] for term in result.terms] == [
        "muster.dev/pool=p",
        f"nvidia.com/gpu.product={H100}",
        "cloud.google.com/gke-accelerator=nvidia-h100-80gb",
        "agentpool=h100",
    ]
    assert result.strays == ()
    assert "nothing of pool p cannot be selected by label and is not counted" in result.warnings[0]
    assert headroom([result.requirement], fleet_).replicas == 8 * 4, "four nodes that terms select, not the fifth"


def test_tolerations_are_the_union_and_a_taint_of_some_members_is_reported() -> None:
    pool = PoolSpec(slug="p")
    nodes = with_pools([pool], [real("a", taints=(TAINT,)), real("b", taints=(TAINT, SPOT)), real("c", taints=(TAINT,))])
    result = class_in_pool(ClassSpec(slug="a", pools=("p",)), pool, Fleet(nodes, label_keys([pool])))
    assert result.requirement.tolerations == (TOLERATION, Toleration("spot", "Exists", "", "NoExecute"))
    assert result.warnings == ("Only b of pool p has the taint spot:NoExecute: pods tolerate it.",)


OUT_FOR_NOW = [
    Taint("readiness.k8s.io/gpu-ready", "", "NoSchedule"),
    Taint("karpenter.sh/disrupted", "", "NoSchedule"),
    Taint("karpenter.sh/disruption", "disrupting", "NoSchedule"),
    Taint("karpenter.sh/unregistered", "", "NoExecute"),
    Taint("ToBeDeletedByClusterAutoscaler", "1796100000", "NoSchedule"),
    Taint("DeletionCandidateOfClusterAutoscaler", "1796100000", "NoSchedule"),
    Taint("startup-taint.cluster-autoscaler.kubernetes.io/driver", "", "NoSchedule"),
    Taint("node.cilium.io/agent-not-ready", "true", "NoSchedule"),
    Taint("ebs.csi.aws.com/agent-not-ready", "", "NoExecute"),
    Taint("nvsentinel.nvidia.com/validation-pending", "true", "NoSchedule"),
    Taint("cloud.google.com/impending-node-termination", "", "NoSchedule"),
    Taint("node.machine.sapcloud.io/not-managed-by-mcm", "1", "NoSchedule"),
    Taint("node.kubernetes.io/not-ready", "", "NoExecute"),
]
LOCK = Taint("sunk.coreweave.com/lock", "true", "NoExecute")


def test_the_lock_of_a_slurm_job_is_not_tolerated_and_its_node_counts_neither_now_nor_once_repaired() -> None:
    pool = PoolSpec(slug="p")
    fleet_ = Fleet(with_pools([pool], [real("a"), real("b", taints=(LOCK,))]), label_keys([pool]))
    result = class_in_pool(ClassSpec(slug="a", gpus=8, pools=("p",)), pool, fleet_)
    assert (result.requirement.tolerations, result.warnings) == ((), ())
    room = headroom([result.requirement], fleet_)
    assert (room.replicas, room.back) == (1, 1)
    outside = Fleet([real("in", pools=("q",)), real("out", taints=(LOCK,))], label_keys([pool]))
    other = class_in_pool(ClassSpec(slug="a", pools=("q",)), PoolSpec(slug="q"), outside)
    assert [node.name for node in other.strays] == ["out"], "it is open again after the job"


@pytest.mark.parametrize("taint", OUT_FOR_NOW, ids=lambda taint: taint.key)
def test_a_taint_that_keeps_pods_off_for_now_is_not_tolerated_and_changes_no_digest(taint: Taint) -> None:
    pool = PoolSpec(slug="p")
    keys = label_keys([pool])
    well = Fleet(with_pools([pool], [real("a", taints=(TAINT,)), real("b", taints=(TAINT,))]), keys)
    out = Fleet(with_pools([pool], [real("a", taints=(TAINT,)), real("b", taints=(TAINT, taint), verdict="not_ready")]), keys)
    class_spec = ClassSpec(slug="a", gpus=8, pools=("p",))
    before, after = class_in_pool(class_spec, pool, well), class_in_pool(class_spec, pool, out)
    assert (after.requirement.tolerations, after.warnings) == ((TOLERATION,), ())
    assert placement_digest(after) == placement_digest(before)
    rooms = [headroom([after.requirement], nodes) for nodes in (well, out)]
    assert [(room.replicas, room.back) for room in rooms] == [(2, 2), (1, 2)]


def test_a_ready_member_is_not_counted_while_it_has_such_a_taint_and_a_node_outside_stays_a_stray() -> None:
    pool = PoolSpec(slug="p", selector=PoolSelector(clusters=("east",)))
    taint = OUT_FOR_NOW[0]
    fleet_ = Fleet(with_pools([pool], [real("a"), real("b", taints=(taint,))]), label_keys([pool]))
    room = headroom([class_in_pool(ClassSpec(slug="a", gpus=8, pools=("p",)), pool, fleet_).requirement], fleet_)
    assert (room.replicas, room.back) == (1, 2)
    assert [group.reason.code for group in room.pools[0].excluded] == ["taint"]
    other = PoolSpec(slug="q")
    outside = Fleet([real("in", pools=("q",)), real("out", taints=(taint,))], label_keys([other]))
    result = class_in_pool(ClassSpec(slug="a", pools=("q",)), other, outside)
    assert [node.name for node in result.strays] == ["out"], "it loses the taint when it is well"
    kept = kept_placement(result, placement_digest(result), outside)
    assert [node.name for node in selected_outside(kept, [result], outside)] == ["out"]


@pytest.mark.parametrize(
    "taint",
    [
        Taint("cloud.google.com/gke-spot", "true", "NoSchedule"),
        Taint("karpenter.sh/capacity-type", "spot", "NoSchedule"),
        Taint("dedicated", "not-ready", "NoSchedule"),
    ],
    ids=lambda taint: taint.key,
)
def test_a_taint_that_states_what_the_node_is_for_is_tolerated(taint: Taint) -> None:
    pool = PoolSpec(slug="p")
    nodes = Fleet(with_pools([pool], [real("a", taints=(taint,))]), label_keys([pool]))
    assert class_in_pool(ClassSpec(slug="a", pools=("p",)), pool, nodes).requirement.tolerations == (tolerate(taint),)


def test_a_pool_without_members_selects_what_they_will_carry_and_never_every_node() -> None:
    result = class_in_pool(CLASSES["full"], POOLS[0], Fleet([real("elsewhere")], label_keys(POOLS)))
    assert [to_text(term) for term in result.terms] == [f"pool=h100,{GUARDED_PRODUCT.format(H100)}"]
    back = Fleet(
        with_pools(POOLS, [real("elsewhere"), real("back", labels={"pool": "h100"}, taints=(TAINT,))]), label_keys(POOLS)
    )
    assert class_in_pool(CLASSES["full"], POOLS[0], back).terms == result.terms, "the same manifest once a node is back"
    by_product = PoolSpec(slug="p", selector=PoolSelector(products=(H100,)))
    nothing = Fleet([real("elsewhere", product=A100)], label_keys([by_product]))
    assert [to_text(term) for term in class_in_pool(ClassSpec(slug="a", pools=("p",)), by_product, nothing).terms] == [
        "muster.dev/pool=p"
    ]
    sliced = class_in_pool(ClassSpec(slug="a", isolation="time-sliced", pools=("h100",)), POOLS[0], Fleet([], label_keys(POOLS)))
    assert [to_text(term) for term in sliced.terms] == [
        "pool=h100,nvidia.com/gpu.sharing-strategy=time-slicing",
        "pool=h100,cloud.google.com/gke-gpu-sharing-strategy=time-sharing",
    ]
