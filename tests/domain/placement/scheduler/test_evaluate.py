"""What the recordings do not hold: rarer fields of a specification, and everything that makes an answer unknown."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from msgspec.structs import replace

from fleet.domain.placement.scheduler import objects as reading
from fleet.domain.placement.scheduler.devices import ClusterClaims
from fleet.domain.placement.scheduler.pod_evaluation import PodEvaluation, evaluate
from fleet.domain.placement.scheduler.specs import pod_scheduling
from fleet.domain.placement.scheduler.state import ClusterState
from fleet.domain.snapshot import NodeSnapshot, PodSnapshot, SchedulingObjects
from fleet.domain.snapshot.dra import DeviceClass
from fleet.domain.snapshot.scheduling import Storage

HOST, ZONE = "kubernetes.io/hostname", "topology.kubernetes.io/zone"
OBJECTS = SchedulingObjects(
    namespaces={"team-a": {"tier": "gold"}, "team-b": {"tier": "silver"}},
    storage=Storage(),
    runtime_classes=(),
    priority_classes=(),
)


def node(name: str, zone: str = "", **allocatable: str) -> NodeSnapshot:
    labels = {HOST: name, **({ZONE: zone} if zone else {})}
    sizes = {"cpu": "16", "memory": "64Gi", "pods": "110", "nvidia.com/gpu": "8", **allocatable}
    return NodeSnapshot(name=name, uid=name, labels=labels, allocatable=sizes)


def pod(
    spec: str | dict[str, Any] = "", *, on: str = "", name: str = "p", namespace: str = "team-a", **labels: str
) -> PodSnapshot:
    fields: dict[str, Any] = yaml.safe_load(spec) or {} if isinstance(spec, str) else spec
    full = {"containers": [{"name": "main", "resources": {"limits": {"nvidia.com/gpu": "1"}}}], **fields}
    meta = {"name": name, "namespace": namespace, "labels": labels}
    return PodSnapshot(
        uid=f"{namespace}/{name}",
        namespace=namespace,
        name=name,
        labels=labels,
        node_name=on,
        phase="Running" if on else "Pending",
        scheduling=pod_scheduling(meta, full, OBJECTS),
    )


def ask(
    waiting: PodSnapshot, nodes: list[NodeSnapshot], *pods: PodSnapshot, whole: bool = True, objects: SchedulingObjects = OBJECTS
) -> PodEvaluation:
    return evaluate(waiting, ClusterState(nodes, pods, objects, whole=whole))


SPREAD = """
topologySpreadConstraints:
- {topologyKey: topology.kubernetes.io/zone, maxSkew: 1, whenUnsatisfiable: DoNotSchedule,
   labelSelector: {matchLabels: {app: x}}, EXTRA}
"""


@pytest.mark.parametrize(
    ("extra", "feasible"),
    [
        ("minDomains: 2", ("b1",)),
        ("minDomains: 3", ("b1",)),
        ("matchLabelKeys: [hash]", ("a1", "b1")),
        ("maxSkew: 2", ("a1", "b1")),
    ],
)
def test_topology_spread_counts_domains_and_own_labels(extra: str, feasible: tuple[str, ...]) -> None:
    nodes = [node("a1", "a"), node("b1", "b")]
    running = pod(on="a1", name="r", app="x", hash="old")
    spec = (
        SPREAD.replace("EXTRA", extra) if "maxSkew" not in extra else SPREAD.replace("maxSkew: 1", extra).replace(", EXTRA", "")
    )
    assert ask(pod(spec, app="x", hash="new"), nodes, running).feasible == feasible


def test_fewer_domains_than_asked_for_count_the_lowest_as_zero() -> None:
    nodes = [node("a1", "a"), node("b1", "b")]
    running = [pod(on=name, name=f"r-{name}", app="x") for name in ("a1", "b1")]
    assert ask(pod(SPREAD.replace("EXTRA", "minDomains: 2"), app="x"), nodes, *running).feasible == ("a1", "b1")
    assert ask(pod(SPREAD.replace("EXTRA", "minDomains: 3"), app="x"), nodes, *running).feasible == ()


@pytest.mark.parametrize(
    ("selector", "feasible"),
    [
        ("namespaceSelector: {}", ("n1",)),
        ("namespaceSelector: {matchLabels: {tier: silver}}", ("n1",)),
        ("namespaceSelector: {matchLabels: {tier: gold}}", ()),
        ("namespaces: [team-b]", ("n1",)),
        ("matchLabelKeys: [app]", ()),
    ],
)
def test_pod_affinity_looks_into_the_namespaces_it_selects(selector: str, feasible: tuple[str, ...]) -> None:
    spec = f"""
affinity: {{podAffinity: {{requiredDuringSchedulingIgnoredDuringExecution: [
  {{topologyKey: {HOST}, labelSelector: {{matchLabels: {{app: store}}}}, {selector}}}]}}}}
"""
    other = pod(on="n1", name="store", namespace="team-b", app="store")
    assert ask(pod(spec), [node("n1"), node("n2")], other).feasible == feasible


ANTI = f"""
affinity: {{podAntiAffinity: {{requiredDuringSchedulingIgnoredDuringExecution: [
  {{topologyKey: {ZONE}, labelSelector: {{matchLabels: {{app: x}}}}, mismatchLabelKeys: [team]}}]}}}}
"""


def test_mismatch_label_keys_keep_other_teams_apart_but_not_the_own() -> None:
    nodes = [node("a1", "a"), node("b1", "b")]
    running = [pod(on="a1", name="same", app="x", team="1"), pod(on="b1", name="other", app="x", team="2")]
    assert ask(pod(ANTI, app="x", team="1"), nodes, *running).feasible == ("a1",)


def test_in_a_cluster_not_seen_whole_a_zone_may_hide_pods() -> None:
    nodes = [node("a1", "a"), node("b1", "b")]
    running = pod(on="a1", name="other", app="x", team="2")
    result = ask(pod(ANTI, app="x", team="1"), nodes, running, whole=False)
    assert result.fits is None
    assert result.unknown == ("b1",)
    assert [refusal.id for refusal in result.nodes["a1"]] == ["pod_affinity"]
    assert result.not_modelled


def test_namespace_labels_not_read_make_a_namespace_selector_unknown() -> None:
    spec = f"""
affinity: {{podAntiAffinity: {{requiredDuringSchedulingIgnoredDuringExecution: [
  {{topologyKey: {HOST}, labelSelector: {{matchLabels: {{app: x}}}}, namespaceSelector: {{matchLabels: {{tier: gold}}}}}}]}}}}
"""
    result = ask(pod(spec), [node("n1")], pod(on="n1", name="r", app="x"), objects=replace(OBJECTS, namespaces=None))
    assert result.feasible is None
    assert result.fits is None


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("resourceClaims: [{name: gpu, resourceClaimName: c}]", "DRA"),
        ("volumes: [{name: v, persistentVolumeClaim: {claimName: data}}]", "volumes"),
        ("volumes: [{name: v, iscsi: {iqn: x}}]", "iscsi"),
        ("runtimeClassName: kata", "RuntimeClass kata"),
    ],
)
def test_what_is_not_modelled_or_not_read_is_unknown_and_named(spec: str, says: str) -> None:
    unread = SchedulingObjects()
    waiting = pod(spec)
    fields = {"containers": [{"name": "main", "resources": {"limits": {"nvidia.com/gpu": "1"}}}], **yaml.safe_load(spec)}
    waiting = replace(waiting, scheduling=pod_scheduling({"name": "p"}, fields, unread))
    result = ask(waiting, [node("n1"), node("full", **{"nvidia.com/gpu": "0"})], objects=unread)
    assert result.fits is None
    assert result.unknown == ("n1",)
    assert says in " ".join(result.not_modelled)
    assert [refusal.text for refusal in result.nodes["full"]] == ["Insufficient nvidia.com/gpu"], "what is certain stays certain"


def test_a_pod_collected_without_its_requests_makes_its_node_unknown() -> None:
    old = replace(pod(on="n1", name="old"), scheduling=None)
    result = ask(pod(), [node("n1"), node("n2")], old)
    assert result.unknown == ("n1",)
    assert result.fits is True
    assert result.feasible is None


@pytest.mark.parametrize(
    ("free", "fits"),
    [("1000m", True), ("999m", False)],
)
def test_cpu_fits_at_exactly_what_is_left(free: str, fits: bool) -> None:
    spec = {"containers": [{"name": "main", "resources": {"requests": {"cpu": "1"}}}]}
    assert ask(pod(spec), [node("n1", cpu=free)]).fits is fits


@pytest.mark.parametrize(("limit", "fits"), [(1, False), (2, True)])
def test_a_csi_driver_attaches_at_most_its_limit(limit: int, fits: bool) -> None:
    def claim(name: str) -> Any:
        bound = {"annotations": {"pv.kubernetes.io/bind-completed": "yes"}, "name": name, "namespace": "team-a"}
        return reading.volume_claim({"metadata": bound, "spec": {"volumeName": f"pv-{name}"}})

    def volume(name: str) -> Any:
        return reading.volume({"metadata": {"name": f"pv-{name}"}, "spec": {"csi": {"driver": "ebs", "volumeHandle": name}}})

    storage = Storage(claims=(claim("a"), claim("b")), volumes=(volume("a"), volume("b")), limits={"n1": {"ebs": limit}})
    mount = "volumes: [{name: v, persistentVolumeClaim: {claimName: %s}}]"
    running = pod(mount % "a", on="n1", name="r")
    result = ask(pod(mount % "b"), [node("n1")], running, objects=replace(OBJECTS, storage=storage))
    assert result.fits is fits


def test_an_unbound_claim_that_waits_is_provisioned_where_its_class_allows() -> None:
    waits = reading.storage_class(
        {
            "metadata": {"name": "fast"},
            "provisioner": "ebs",
            "volumeBindingMode": "WaitForFirstConsumer",
            "allowedTopologies": [{"matchLabelExpressions": [{"key": ZONE, "values": ["a"]}]}],
        }
    )
    claim = reading.volume_claim({"metadata": {"name": "d", "namespace": "team-a"}, "spec": {"storageClassName": "fast"}})
    waiting = pod("volumes: [{name: v, persistentVolumeClaim: {claimName: d}}]")
    nodes = [node("a1", "a"), node("b1", "b")]
    storage = Storage(claims=(claim,), classes=(waits,))
    assert ask(waiting, nodes, objects=replace(OBJECTS, storage=storage)).feasible == ("a1",)
    tracked = replace(storage, tracks_capacity=("ebs",))
    assert ask(waiting, nodes, objects=replace(OBJECTS, storage=tracked)).fits is None


def local_volume(name: str, size: str, *, phase: str = "Available", claimed_by: str = "") -> Any:
    spec: dict[str, Any] = {"capacity": {"storage": size}, "storageClassName": "local", "accessModes": ["ReadWriteOnce"]}
    claim = {"claimRef": {"namespace": "team-a", "name": claimed_by}} if claimed_by else {}
    return reading.volume({"metadata": {"name": name}, "spec": spec | claim, "status": {"phase": phase}})


def with_local_volumes(sizes_asked: tuple[str, ...], *volumes: Any) -> PodEvaluation:
    """A pod with claims of these sizes for volumes without a provisioner."""
    waits = reading.storage_class(
        {
            "metadata": {"name": "local"},
            "provisioner": "kubernetes.io/no-provisioner",
            "volumeBindingMode": "WaitForFirstConsumer",
        }
    )
    claims, mounts = [], []
    for number, size in enumerate(sizes_asked):
        spec = {"storageClassName": "local", "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}}
        claims.append(reading.volume_claim({"metadata": {"name": f"d{number}", "namespace": "team-a"}, "spec": spec}))
        mounts.append({"name": f"v{number}", "persistentVolumeClaim": {"claimName": f"d{number}"}})
    storage = Storage(claims=tuple(claims), classes=(waits,), volumes=volumes)
    return ask(pod({"volumes": mounts}), [node("n1")], objects=replace(OBJECTS, storage=storage))


def test_a_claim_takes_a_volume_of_at_least_its_size_that_is_available_or_its_own() -> None:
    assert with_local_volumes(("5Gi",), local_volume("pv", "5Gi")).fits
    assert with_local_volumes(("5Gi",), local_volume("pv", "4Gi")).fits is False
    assert with_local_volumes(("5Gi",), local_volume("pv", "5Gi", phase="Released")).fits is False
    assert with_local_volumes(("5Gi",), local_volume("pv", "5Gi", claimed_by="d0")).fits
    assert with_local_volumes(("5Gi",), local_volume("pv", "5Gi", claimed_by="other")).fits is False


def test_each_claim_takes_the_smallest_volume_so_that_the_larger_one_is_left_for_the_larger_claim() -> None:
    volumes = (local_volume("large", "10Gi"), local_volume("small", "6Gi"))
    assert with_local_volumes(("8Gi", "5Gi"), *volumes).fits
    assert with_local_volumes(("8Gi", "7Gi"), *volumes).fits is False


@pytest.mark.parametrize(
    "spec", [[], "x", {"containers": "no"}, {"containers": [{"resources": []}], "affinity": [1], "tolerations": {}}]
)
def test_hostile_shapes_of_a_specification_never_raise(spec: Any) -> None:
    read = pod_scheduling({"labels": 3}, spec if isinstance(spec, dict) else {}, SchedulingObjects())
    assert isinstance(read.problem, str)


def test_a_resource_that_a_device_class_offers_is_unknown_where_no_device_plugin_lists_it() -> None:
    nodes = [node("plugin"), node("dra", **{"nvidia.com/gpu": "0"}), node("small", **{"nvidia.com/gpu": "0", "pods": "0"})]
    offers = DeviceClass(name="gpu", extended_resource="nvidia.com/gpu")
    state = ClusterState(nodes, (), OBJECTS, whole=True, claims=ClusterClaims(None, classes=[offers]))
    result = evaluate(pod(), state)
    assert result.fitting == ("plugin",)
    assert result.unknown == ("dra",)
    assert result.not_modelled == ("nvidia.com/gpu through DRA (a DeviceClass offers it)",)
