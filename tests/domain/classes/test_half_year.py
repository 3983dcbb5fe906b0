"""Manifests stay for half a year while nodes join, leave and change: no pod outside the class, or a finding first."""

from __future__ import annotations

import random
from datetime import timedelta

import pytest
from msgspec.structs import replace

from fleet.domain.classes.placements import AllowedPlacement
from fleet.domain.classes.requirements import class_in_pool, label_keys
from fleet.domain.classes.stale import (
    KEPT_DAYS,
    MOST_KEPT,
    KeptPlacement,
    Manifests,
    UsedManifest,
    kept_placement,
    manifests_now,
    others_matching,
    selected_outside,
    stale_manifests,
    with_earlier,
)
from fleet.domain.classes.workload import ClassSpec
from fleet.domain.label_selectors import parse
from fleet.domain.manifests.pods import placement_digest
from fleet.domain.placement.fleet import Fleet
from fleet.domain.placement.nodes import PlacementNode
from fleet.domain.placement.requirement import Toleration
from fleet.domain.pools.policy import PoolSpec
from fleet.domain.pools.selection import PoolSelector
from fleet.domain.snapshot import Taint
from tests.builders import H100, with_pools
from tests.domain.classes.years import A100, L40S, START, Copied, Watch, a_day, copied, landings
from tests.domain.placement.fleets import GPU, bare, real, slots

BY_PRODUCT = PoolSpec(slug="p", selector=PoolSelector(products=(H100,)))
BY_LABEL = PoolSpec(slug="p", selector=PoolSelector(labels=parse("team=a")))
IN_EAST = PoolSpec(slug="p", selector=PoolSelector(clusters=("east",), products=(H100,)))
FULL = ClassSpec(slug="full", gpus=4, products=(H100,), pools=("p",))
SLICES = ClassSpec(slug="slices", isolation="mig", profile="1g.10gb", products=(A100,), pools=("p",))
CLUSTERS = ("east", "west")


def world(pool: PoolSpec, nodes: list[PlacementNode]) -> Fleet:
    return Fleet(with_pools([pool], nodes), label_keys([pool]))


def reported(violations: dict[str, set[str]]) -> set[str]:
    """Returns the nodes outside the class of which it was said that pods may land there."""
    return {name for id_ in ("others_match", "members_match", "stale_manifests") for name in violations.get(id_, ())}


def outside(copied: Copied, pool: PoolSpec, nodes: list[PlacementNode]) -> list[str]:
    """Nodes where the scheduler puts a pod of the manifest and that are outside the pool or not of the class, by their facts."""
    return [
        node.name
        for node in landings(copied, nodes)
        if pool.slug not in node.pools or node.product != H100 or node.sharing != "exclusive" or node.partitioning != "none"
    ]


@pytest.mark.slow
@pytest.mark.parametrize("pool", [BY_PRODUCT, BY_LABEL, IN_EAST], ids=["by product", "by label", "in one cluster"])
@pytest.mark.parametrize("seed", range(5))
def test_a_manifest_copied_on_any_day_lands_in_the_class_or_a_finding_comes_first(pool: PoolSpec, seed: int) -> None:
    """The manifests are not in use in between: they may be applied on any later day, in each cluster that the pool spanned."""
    chance = random.Random(seed)
    nodes = [real(f"first{number}", labels={"team": "a"}, cluster=CLUSTERS[number % 2]) for number in range(4)]
    watch, written = Watch(FULL, pool), {}
    landed = quiet = 0
    for day in range(180):
        nodes = a_day(nodes, day, CLUSTERS, chance)
        members, in_pool, violations = watch.look(nodes, day)
        if day % 6 == 0:
            spanned = {node.cluster for node in members if pool.slug in node.pools} or set(pool.selector.clusters or CLUSTERS)
            new = copied(in_pool, spanned)
            before = written.get(new.digest)
            written[new.digest] = new._replace(clusters=new.clusters | before.clusters) if before else new
        for item in written.values():
            landed += len(landings(item, members))
            assert set(outside(item, pool, members)) <= reported(violations), (day, violations, outside(item, pool, members))
        quiet += not reported(violations)
    assert landed > 100, "the test is of nothing if no pod lands"
    assert quiet > 20, "or if everything is always reported"


def test_a_cluster_rebuilt_with_other_gpus_is_looked_at_although_it_has_no_member_any_more() -> None:
    watch = Watch(ClassSpec(slug="full", gpus=4, pools=("p",), products=(H100,)), BY_PRODUCT)
    label = {"agentpool": "gpu"}
    first = [bare(name, slots(GPU), cluster=cluster, labels=label) for name, cluster in (("e", "east"), ("w", "west"))]
    members, in_pool, violations = watch.look(first, 0)
    manifest_of_day_one = copied(in_pool, CLUSTERS)
    assert (outside(manifest_of_day_one, BY_PRODUCT, members), reported(violations)) == ([], set())
    rebuilt = [first[0], bare("w2", slots(GPU), product=L40S, cluster="west", labels=label)]
    members, _, violations = watch.look(rebuilt, 1)
    assert (outside(manifest_of_day_one, BY_PRODUCT, members), reported(violations)) == (["w2"], {"w2"})
    members, _, violations = watch.look(rebuilt[1:], 2)
    assert (outside(manifest_of_day_one, BY_PRODUCT, members), reported(violations)) == (["w2"], {"w2"}), "no member anywhere"


def test_a_pod_that_runs_in_a_cluster_the_pool_never_had_is_looked_at_there() -> None:
    watch = Watch(FULL, BY_PRODUCT)
    label = {"agentpool": "gpu"}
    _, in_pool, _ = watch.look([bare("e", slots(GPU), labels=label)], 0)
    digest = placement_digest(in_pool)
    watch.used = [UsedManifest(digest, "team-a/ReplicaSet/serve", "north")]
    other = [real("g"), bare("n", slots(GPU), product=L40S, cluster="north", labels=label)]
    assert "stale_manifests" in watch.look(other, 1)[2]


def test_a_taint_named_like_the_resource_keeps_no_pod_off() -> None:
    """Admission may tolerate it for every pod that requests the resource (ExtendedResourceToleration)."""
    watch = Watch(FULL, BY_PRODUCT)
    label = {"eks.amazonaws.com/nodegroup": "gpu"}
    tainted = [Taint("nvidia.com/gpu", "present", effect) for effect in ("NoSchedule", "NoExecute")]
    other = [bare(f"l{number}", product=L40S, labels=label, taints=(taint,)) for number, taint in enumerate(tainted)]
    watch.look([bare("h", labels=label)], 0)
    assert reported(watch.look([bare("h", labels=label), *other], 1)[2]) == {"l0", "l1"}
    kept_out = [bare("l", product=L40S, labels=label, taints=(Taint("amd.com/gpu", "", "NoSchedule"),))]
    assert reported(watch.look([bare("h", labels=label), *kept_out], 2)[2]) == set()


@pytest.mark.parametrize("label", ["SPX_NPS1", ""])
def test_gpus_of_amd_in_another_partition_mode_that_join_later_get_no_pod_of_the_class(label: str) -> None:
    """They have the product, and under the naming strategy single the resource as well."""
    product = {"amd.com/gpu.product-name": "AMD_Instinct_MI300X_OAM"}
    mode = {"amd.com/gpu.compute-memory-partition": label} if label else {}
    offered = slots("amd.com/gpu", 8)
    pool = PoolSpec(slug="p", selector=PoolSelector(products=("AMD_Instinct_MI300X_OAM",)))
    spec = ClassSpec(slug="full", pools=("p",))
    first = bare("a", offered, product="AMD_Instinct_MI300X_OAM", labels={**product, **mode})
    written = class_in_pool(spec, pool, world(pool, [first]))
    cut = bare(
        "b",
        slots("amd.com/gpu", 64, kind="partition", profile="CPX"),
        product="AMD_Instinct_MI300X_OAM",
        labels={**product, "amd.com/gpu.compute-memory-partition": "CPX_NPS4"},
    )
    members = with_pools([pool], [first, cut])
    assert [node.name for node in landings(copied(written, ["east"]), members)] == ["a"]
    parts = class_in_pool(replace(spec, isolation="partition", profile="CPX"), pool, world(pool, [first, cut]))
    assert not parts.problem
    assert [node.name for node in landings(copied(parts, ["east"]), members)] == ["b"]


def test_slices_of_another_product_that_join_later_get_no_pod_of_the_class() -> None:
    pool = PoolSpec(slug="p", selector=PoolSelector(products=(A100,)))
    layout = {"gpus": 1, "mig": {"1g.10gb": 7}, "resource": "nvidia.com/mig-1g.10gb"}
    first = real("a", product=A100, **layout)
    written = class_in_pool(SLICES, pool, world(pool, [first]))
    kept = kept_placement(written, placement_digest(written), world(pool, [first]))
    assert selected_outside(kept, [], world(pool, [first, real("h", product=H100, **layout)])) == tuple(
        with_pools([pool], [first])
    ), "every node that the manifest selects"


def test_stale_manifests_are_counted_with_what_they_select_and_what_the_class_selects_now() -> None:
    before = PoolSpec(slug="p", selector=PoolSelector(labels=parse("team=a")))
    written = class_in_pool(ClassSpec(slug="full", pools=("p",)), before, world(before, [real("n1", labels={"team": "a"})]))
    kept = kept_placement(written, "old", world(before, []))
    after = PoolSpec(slug="p", selector=PoolSelector(labels=parse("team=a,tier=prod")))
    fleet = world(after, [real("n1", labels={"team": "a", "tier": "prod"}), real("n2", labels={"team": "a"})])
    now = class_in_pool(ClassSpec(slug="full", pools=("p",)), after, fleet)
    used = [UsedManifest("old", "x"), UsedManifest("old", "y"), UsedManifest("old", "y"), UsedManifest("new", "z")]
    manifests = Manifests(current={"new": now}, kept={"old": kept}, versions={1: [now]})
    (violation,) = stale_manifests(used, manifests, fleet)
    assert violation.text.startswith(
        "Manifests in use are stale (3 pods of 2 owners): they select 1 node outside the class. Selected: team=a,"
    )
    assert "The class now selects: team=a,tier=prod," in violation.text
    assert "olerate" not in violation.text
    assert violation.nodes == (("east", "n2"),)
    assert stale_manifests(used[3:], manifests, fleet) == ()
    assert stale_manifests(used, manifests, world(after, [real("n1", labels={"team": "a", "tier": "prod"})])) == ()
    (unknown,) = stale_manifests([UsedManifest("", "x")], manifests, fleet)
    assert unknown.text == "Manifests in use are stale (1 pod of 1 owner): what they select is unknown."
    assert others_matching(manifests, fleet) == {}, "the pool was changed: manifests copied before are copied again"


def test_the_difference_names_tolerations_too() -> None:
    spot = Toleration("spot", "Exists", "", "NoSchedule")
    fleet = world(BY_PRODUCT, [bare("n1", labels={"agentpool": "a"}), bare("n2", product=L40S, labels={"agentpool": "b"})])
    now = class_in_pool(FULL, BY_PRODUCT, fleet)
    kept = replace(
        kept_placement(now, "old", fleet), terms=(parse("agentpool=b"),), tolerations=(spot, Toleration("x", "Equal", "y"))
    )
    (violation,) = stale_manifests(
        [UsedManifest("old", "x")], Manifests(current={"new": now}, kept={"old": kept}, versions={1: [now]}), fleet
    )
    assert violation.text.endswith("Tolerated: spot:NoSchedule, x=y. The class now tolerates: no taint.")


def test_a_manifest_is_compared_with_the_version_it_was_granted_under() -> None:
    nodes = [real("h"), real("a", product=A100)]
    both = PoolSpec(slug="p", selector=PoolSelector(products=(H100, A100)))
    fleet = world(both, nodes)
    first, second = (class_in_pool(replace(FULL, products=(name,)), both, fleet) for name in (H100, A100))
    kept = kept_placement(first, "v1", fleet, 1)
    manifests = Manifests(current={"v2": second}, kept={"v1": kept}, versions={1: [first], 2: [second]})
    used = [UsedManifest("v1", "x")]
    assert stale_manifests(used, manifests, fleet) == (), "a request is granted under version 1"
    (violation,) = stale_manifests(used, replace(manifests, versions={2: [second]}), fleet)
    assert violation.nodes == (("east", "h"),)


def test_placements_in_use_are_kept_and_others_for_half_a_year_at_most() -> None:
    fleet = world(BY_PRODUCT, [real("h")])
    now = class_in_pool(FULL, BY_PRODUCT, fleet)
    days = [START - timedelta(days=KEPT_DAYS + 1), START - timedelta(days=1)]
    kept: dict[str, KeptPlacement] = {
        f"{number}": kept_placement(now, f"{number}", fleet, 1, days[number > 4].isoformat()) for number in range(MOST_KEPT + 9)
    }
    result = manifests_now(
        kept, {1: [now]}, [UsedManifest("0", "x"), UsedManifest("7", "x"), UsedManifest("", "x")], fleet, START
    )
    assert list(result.kept)[:2] == ["0", "7"]
    assert len(result.kept) == 2 + MOST_KEPT + 1
    assert "1" not in result.kept, "last said more than half a year ago"
    assert list(result.kept)[-1] == placement_digest(now)


def test_a_policy_admits_earlier_manifests_that_stay_in_the_pool_and_no_others() -> None:
    taint = Taint("spot", "", "NoSchedule")
    fleet = world(BY_PRODUCT, [real("h"), bare("l", product=L40S, labels={"agentpool": "gpu"})])
    now = class_in_pool(FULL, BY_PRODUCT, fleet)
    base = kept_placement(now, "x", fleet)
    tainted = replace(base, tolerations=(Toleration(taint.key, "Exists", "", taint.effect),))
    dialect = replace(base, terms=(parse("cloud.google.com/gke-accelerator=nvidia-h100-80gb"),))
    strays = replace(base, terms=(parse("agentpool=gpu"),))
    elsewhere = replace(tainted, pool="q")
    (result,) = with_earlier([now], [base, tainted, dialect, strays, elsewhere], fleet)
    assert {item.terms for item in result.earlier} == {base.terms, dialect.terms}
    assert AllowedPlacement(terms=tainted.terms, tolerations=tainted.tolerations) in result.earlier
    assert len(result.earlier) == 2, "what the class allows today needs no second mention"
