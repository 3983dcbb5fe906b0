"""Changes: what is understood, what is refused and why, which pods are at risk, and which nodes are not forecast."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from fleet.collectors.device_plugin_config import parse_one
from fleet.domain.evaluation.subject import ClusterHistory
from fleet.domain.pools.policy import PoolPolicy, PoolSpec
from fleet.domain.refusals import FieldError
from fleet.domain.snapshot import (
    ClusterSnapshot,
    Condition,
    DevicePluginConfigs,
    NodeSnapshot,
    PodSnapshot,
    Taint,
)
from fleet.domain.snapshot.scheduling import PodScheduling
from fleet.domain.snapshot.sections import Outcome, SectionReport
from fleet.domain.whatif.forecast import Forecast, PoolDifference, forecast
from fleet.domain.whatif.planned_changes import Reader
from tests.builders import make_node, make_pod
from tests.services.snapshots import T0

PLUGIN = DevicePluginConfigs(configs=(parse_one("gpu", "plugin", "default", "version: v1"),), default_key="default")
SLICED = "version: v1\nsharing:\n  timeSlicing:\n    resources:\n    - {name: nvidia.com/gpu, replicas: 4}\n"
KNOWN = ("nodes", "pods", "operator", "device_plugin_config", "resource_slices", "resource_claims")


def cluster(*nodes: NodeSnapshot, pods: tuple[PodSnapshot, ...] = (), plugin: DevicePluginConfigs = PLUGIN) -> ClusterSnapshot:
    sections = {name: SectionReport(name=name, outcome=Outcome.COLLECTED) for name in KNOWN}
    return ClusterSnapshot(name="east", taken_at=T0, nodes=nodes, pods=pods, device_plugin=plugin, sections=sections)


def ask(snapshot: ClusterSnapshot, *changes: dict[str, Any], pools: tuple[PoolSpec, ...] = ()) -> Forecast:
    return forecast(snapshot, ClusterHistory(), Reader(snapshot.nodes, parse_one).read(list(changes)), pools)


def holding(name: str = "job", node: str = "n1", **fields: Any) -> PodSnapshot:
    return replace(make_pod(name, gpus=2, node=node), owner_kind="Job", **fields)


@pytest.mark.parametrize(
    ("change", "field", "says"),
    [
        ({"kind": "reboot"}, "changes[0].kind", "not supported"),
        ({"kind": None}, "changes[0].kind", "not supported"),
        ("cordon", "changes[0].kind", "a mapping"),
        ({"kind": "cordon"}, "changes[0].nodes", "Name the nodes"),
        ({"kind": "cordon", "nodes": ["n9"]}, "changes[0].nodes", "not a GPU node"),
        ({"kind": "cordon", "selector": "a=b"}, "changes[0].nodes", "is selected"),
        ({"kind": "cordon", "selector": "a=(("}, "changes[0].selector", ""),
        ({"kind": "cordon", "nodes": ["n1"], "cordoned": "yes"}, "changes[0].cordoned", "true or false"),
        ({"kind": "labels", "nodes": ["n1"]}, "changes[0].set", "labels to set"),
        ({"kind": "labels", "nodes": ["n1"], "set": {"nvidia.com/gpu.count": "9"}}, "changes[0].set", "writes"),
        ({"kind": "labels", "nodes": ["n1"], "set": {"no key": "9"}}, "changes[0].set", ""),
        ({"kind": "taints", "nodes": ["n1"], "add": [{"key": "a", "effect": "Never"}]}, "changes[0].add", "effect"),
        ({"kind": "taints", "nodes": ["n1"]}, "changes[0].add", "taints to add"),
        ({"kind": "add_nodes", "like": "n9"}, "changes[0].like", "not a GPU node"),
        ({"kind": "add_nodes", "like": "n1", "count": 0}, "changes[0].count", "1 to 500"),
        ({"kind": "add_nodes", "like": "n1", "count": 501}, "changes[0].count", "1 to 500"),
        ({"kind": "mig", "nodes": ["n1"]}, "changes[0].config", "Give either"),
        ({"kind": "mig", "nodes": ["n1"], "config": "all-balanced"}, "changes[0].config", "Give profiles instead"),
        ({"kind": "mig", "nodes": ["n1"], "profiles": {"big": 1}}, "changes[0].profiles", "not a MIG profile"),
        ({"kind": "driver", "nodes": ["n1"], "version": "new"}, "changes[0].version", "not a version"),
        ({"kind": "quota", "namespace": "a"}, "changes[0].hard", "Give the limits"),
        ({"kind": "ConfigMap", "namespace": "gpu", "name": "plugin"}, "changes[0].data", "Give the keys"),
        ({"kind": "ConfigMap", "namespace": "gpu", "name": "plugin", "data": {"a": "["}}, "changes[0].data.a", "YAML"),
        ({"kind": "NodeReadinessRule"}, "changes[0].spec", "Give the spec"),
        ({"kind": "NodeReadinessRule", "spec": {"requiredDaemonSets": []}}, "changes[0].spec", "not supported"),
        ({"kind": "NodeReadinessRule", "spec": {"dryRun": True}}, "changes[0].spec.dryRun", "changes nothing"),
    ],
)
def test_what_is_not_understood_is_refused_with_its_field(change: Any, field: str, says: str) -> None:
    with pytest.raises(FieldError) as caught:
        Reader([make_node("n1")], parse_one).read([change])
    assert caught.value.field == field
    assert says in str(caught.value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner, max_size=3),
    max_leaves=8,
)
FIELDS = (
    "kind", "nodes", "selector", "set", "remove", "add", "like", "count", "config", "profiles", "version", "hard", "namespace",
    "name", "data", "spec", "metadata", "cordoned", "cuda",
)  # fmt: skip
KINDS = ("ConfigMap", "labels", "taints", "cordon", "add_nodes", "mig", "driver", "quota", "NodeReadinessRule")


@pytest.mark.slow
@settings(max_examples=400, deadline=None)
@given(st.sampled_from(KINDS), st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=5))
def test_whatever_is_written_is_read_or_refused(kind: str, fields: dict[str, Any]) -> None:
    refused = "changes[0].x"
    try:
        Reader([make_node("n1")], parse_one).read([{"nodes": ["n1"], **fields, "kind": kind}])
    except FieldError as error:
        refused = error.field
    assert refused.startswith("changes[0].")


def test_profiles_that_do_not_fit_on_one_gpu_are_refused() -> None:
    node = make_node("n1")
    assert ask(cluster(node), {"kind": "mig", "nodes": ["n1"], "profiles": {"1g.10gb": 7}}).nodes
    for profiles in ({"1g.10gb": 8}, {"4g.40gb": 1, "3g.40gb": 2}, {"1g.5gb": 1}):
        with pytest.raises(FieldError):
            ask(cluster(node), {"kind": "mig", "nodes": ["n1"], "profiles": profiles})


def test_a_config_map_that_the_plugin_does_not_read_is_refused() -> None:
    change = {"kind": "ConfigMap", "metadata": {"namespace": "gpu", "name": "other"}, "data": {"default": SLICED}}
    with pytest.raises(FieldError, match="It reads: gpu/plugin"):
        ask(cluster(make_node("n1")), change)


def test_a_config_map_changes_the_nodes_that_its_key_is_for() -> None:
    own = make_node("n2", labels={"nvidia.com/device-plugin.config": "mine"})
    plugin = DevicePluginConfigs(
        configs=(*PLUGIN.configs, parse_one("gpu", "plugin", "mine", "version: v1")), default_key="default"
    )
    change = {
        "kind": "ConfigMap",
        "namespace": "gpu",
        "name": "plugin",
        "data": {"default": SLICED, "mine": "version: v1"},
    }
    answer = ask(cluster(make_node("n1"), own, plugin=plugin), change)
    assert [node.name for node in answer.nodes] == ["n1"]
    assert answer.nodes[0].after.slots.capacity == 32
    gone = ask(cluster(make_node("n1"), own, plugin=plugin), {**change, "data": {"default": SLICED}})
    assert gone.not_forecast == {"n2": "Its device-plugin configuration names a key that the ConfigMap does not have."}


def test_pods_that_hold_gpus_are_stopped_by_mig_and_restarted_by_a_driver() -> None:
    daemon = replace(holding("exporter"), owner_kind="DaemonSet")
    elsewhere = holding("other", "n2")
    snapshot = cluster(make_node("n1"), make_node("n2"), pods=(holding(), daemon, elsewhere))
    mig = ask(snapshot, {"kind": "mig", "nodes": ["n1"], "config": "all-1g.10gb"})
    assert [(pod.name, pod.id) for pod in mig.pods_at_risk] == [("job", "stopped")]
    assert mig.nodes[0].after.slots.requested == 2, "what the DaemonSet's pod holds"
    driver = ask(snapshot, {"kind": "driver", "nodes": ["n1"], "version": "595.1.2", "cuda": "13.2"})
    assert [(pod.name, pod.id) for pod in driver.pods_at_risk] == [("job", "restarted")]
    assert driver.nodes[0].after.driver_version == "595.1.2"


def test_a_no_execute_taint_may_evict_and_a_no_schedule_taint_does_not() -> None:
    snapshot = cluster(make_node("n1"), pods=(holding(),))
    taint = {"key": "a", "value": "b", "effect": "NoExecute"}
    assert [pod.id for pod in ask(snapshot, {"kind": "taints", "nodes": ["n1"], "add": [taint]}).pods_at_risk] == [
        "may_be_evicted"
    ]
    quiet = ask(snapshot, {"kind": "taints", "nodes": ["n1"], "add": [{**taint, "effect": "NoSchedule"}]})
    assert quiet.pods_at_risk == ()
    assert Taint("a", "b", "NoSchedule") in quiet.nodes[0].after.taints


def test_a_renamed_resource_leaves_running_pods_without_a_way_back() -> None:
    renamed = SLICED.replace("timeSlicing:\n", "timeSlicing:\n    renameByDefault: true\n")
    change = {"kind": "ConfigMap", "namespace": "gpu", "name": "plugin", "data": {"default": renamed}}
    answer = ask(cluster(make_node("n1"), pods=(holding(),)), change)
    assert [(pod.name, pod.id) for pod in answer.pods_at_risk] == [("job", "not_back")]


def test_nodes_whose_state_is_not_known_are_not_forecast_and_stay_as_they_are() -> None:
    bare = make_node("bare", gfd=False)
    gke = make_node("gke", labels={"cloud.google.com/gke-gpu-sharing-strategy": "time-sharing"})
    ill = make_node("ill", unhealthy=1)
    snapshot = cluster(bare, gke, ill, pods=(holding(node="gke"),))
    answer = ask(snapshot, {"kind": "mig", "nodes": ["gke", "ill"], "config": "all-1g.10gb"})
    assert set(answer.not_forecast) == {"gke", "ill"}
    assert answer.nodes == ()
    assert answer.pods_at_risk == ()
    driver = ask(snapshot, {"kind": "driver", "nodes": ["bare"], "version": "595.1.2"})
    assert set(driver.not_forecast) == {"bare"}


def rule(status: str = "True", mode: str = "continuous", **spec: Any) -> dict[str, Any]:
    conditions = [{"type": "GpuReady", "requiredStatus": status}]
    taint = {"key": "readiness.k8s.io/gpu", "value": "pending", "effect": "NoSchedule"}
    base = {"conditions": conditions, "taint": taint, "enforcementMode": mode, "nodeSelector": {"matchLabels": {}}}
    return {"kind": "NodeReadinessRule", "spec": {**base, **spec}}


def test_a_readiness_rule_taints_nodes_whose_conditions_are_not_met() -> None:
    good = make_node("good")
    good = replace(good, conditions=(*good.conditions, Condition(type="GpuReady", status="True")))
    answer = ask(cluster(good, make_node("bad")), rule())
    assert [node.name for node in answer.nodes] == ["bad"]
    tainted = replace(good, taints=(Taint("readiness.k8s.io/gpu", "pending", "NoSchedule"),))
    assert [node.after.taints for node in ask(cluster(tainted), rule()).nodes] == [()]
    first_boot = ask(cluster(make_node("bad")), rule(mode="bootstrap-only"))
    assert (first_boot.nodes, set(first_boot.not_forecast)) == ((), {"bad"})


def test_a_quota_is_held_against_what_runs_and_unknown_requests_stay_unknown() -> None:
    counted = holding(scheduling=PodScheduling(requests={"nvidia.com/gpu": 2, "cpu": 4000}))
    hard = {"requests.nvidia.com/gpu": "1", "requests.cpu": "8", "pods": "5", "count/jobs.batch": "3"}
    change = {"kind": "quota", "namespace": counted.namespace, "hard": hard}
    answer = ask(cluster(make_node("n1"), pods=(counted,)), change)
    assert {row.resource: (row.used, row.hard) for row in answer.quotas} == {
        "count/jobs.batch": (None, 3),
        "pods": (1, 5),
        "requests.cpu": (4000, 8000),
        "requests.nvidia.com/gpu": (2, 1),
    }
    assert answer.nodes == ()
    unknown = ask(cluster(make_node("n1"), pods=(holding(),)), change)
    assert {row.used for row in unknown.quotas if row.resource != "pods"} == {None}


def test_a_pool_that_would_fall_below_its_minimum_is_named() -> None:
    pool = PoolSpec(slug="all", policy=PoolPolicy(min_ready=1, availability_target=99.0))
    row = PoolDifference(slug="all", nodes=(2, 2), ready=(1, 0), target=99.0, min_ready=1)
    assert row.breaks
    assert not replace(row, ready=(0, 0)).breaks, "it is below its minimum already"
    assert not replace(row, ready=(2, 1)).breaks, "exactly the minimum is enough"
    assert not replace(row, min_ready=None).breaks
    joined = ask(cluster(make_node("n1")), {"kind": "add_nodes", "like": "n1", "count": 3}, pools=(pool,))
    assert [(row.slug, row.nodes) for row in joined.pools] == [("all", (1, 4))]


def test_changes_apply_in_order() -> None:
    back = [{"kind": "cordon", "nodes": ["n1"]}, {"kind": "cordon", "nodes": ["n1"], "cordoned": False}]
    assert ask(cluster(make_node("n1")), *back).nodes == ()
