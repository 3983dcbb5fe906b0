"""The admission policies, evaluated by a CEL library: what a class writes passes, and everything beside it does not."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import cache
from typing import Any

import cel
import pytest
from msgspec.structs import replace

from fleet.domain.classes.requirements import ClassInPool, class_in_pool, class_in_pools, label_keys
from fleet.domain.classes.stale import kept_placement, with_earlier
from fleet.domain.classes.workload import ClassSpec
from fleet.domain.dra.class_names import ClassNames
from fleet.domain.label_selectors import parse
from fleet.domain.manifests.admission import namespace_policy
from fleet.domain.manifests.cel_text import selects_any
from fleet.domain.manifests.parameters import Parameters
from fleet.domain.manifests.pods import placement_digest
from fleet.domain.manifests.render import manifest
from fleet.domain.placement.fleet import Fleet
from fleet.domain.placement.requirement import Toleration
from fleet.domain.pools.policy import PoolPolicy, PoolSpec
from fleet.domain.pools.selection import PoolSelector
from fleet.domain.snapshot import Taint
from tests.builders import H100, with_pools
from tests.domain.classes.worlds import CLASSES, POOLS, SPOT, fleet
from tests.domain.manifests.test_landing import EVERY
from tests.domain.placement.fleets import bare, real, slots

GIVEN = Parameters(name="serve", namespace="team-a", image="busybox")
Pod = dict[str, Any]


compiled = cache(cel.compile)
"""A program for each expression: most are the same for several classes."""


@cache
def asked(slug: str) -> tuple[ClassInPool, ...]:
    return class_in_pools(CLASSES[slug], POOLS, fleet())


def policy(slug: str, name: str = "") -> dict[str, Any]:
    made = manifest("policy", asked(slug), GIVEN)
    return next(item for item in made if item["metadata"]["name"] == (name or "muster-gpu-team-a"))


def refusals(rule: dict[str, Any], thing: dict[str, Any], old: dict[str, Any] | None = None) -> list[str]:
    """Messages of the validations that say no, in order; an expression that fails refuses, as failurePolicy says."""
    context: dict[str, Any] = {"object": {"metadata": {}, **thing}, "oldObject": old, "variables": {}}
    for variable in rule["spec"]["variables"]:
        context["variables"][variable["name"]] = compiled(variable["expression"]).execute(context)
    rows = []
    for validation in rule["spec"]["validations"]:
        try:
            allowed = compiled(validation["expression"]).execute(context)
        except (ValueError, TypeError, RuntimeError) as error:
            allowed, validation = False, {"message": f"{validation['message']} ({error})"}
        assert isinstance(allowed, bool)
        if not allowed:
            rows.append(validation["message"])
    return rows


def admitted_pod(spec: dict[str, Any]) -> Pod:
    """The pod as the API server hands it to a policy: requests filled in, default tolerations added."""
    spec = copy.deepcopy(spec)
    for container in spec["containers"]:
        resources = container.setdefault("resources", {})
        if "limits" in resources:
            resources["requests"] = dict(resources["limits"])
    own = [{"key": name, "operator": "Exists"} for item in spec["containers"] for name in item["resources"].get("limits", {})]
    spec["tolerations"] = [
        *spec.get("tolerations", []),
        {"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300},
        *own,  # ExtendedResourceToleration, where it is turned on
    ]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "serve-1", "namespace": "team-a"}, "spec": spec}


def written(slug: str, kind: str = "", pool: int = 0) -> Pod:
    """The pod of the class's own manifest for one of its pools."""
    in_pool = asked(slug)[pool]
    kind = kind or ("leaderworkerset" if in_pool.requirement.pods > 1 else "pod")
    spec = manifest(kind, [in_pool], GIVEN)[-1]["spec"]
    if kind == "deployment":
        spec = spec["template"]["spec"]
    if kind == "leaderworkerset":
        spec = spec["leaderWorkerTemplate"]["workerTemplate"]["spec"]
    return admitted_pod(spec)


@pytest.mark.parametrize(("slug", "kind"), EVERY)
def test_what_the_class_writes_is_admitted(slug: str, kind: str) -> None:
    assert refusals(policy(slug), written(slug, kind)) == []


def test_the_pool_label_in_place_of_the_labels_of_a_pool_is_admitted() -> None:
    """Members without a label of their kind, and others of the pool that are not of the class: only Muster's label is left."""
    pool = PoolSpec(slug="p", selector=PoolSelector(labels=parse("team=a")))
    nodes = [bare("h", labels={"team": "a"}), bare("shared", slots(replicas=4), sharing="time-slicing", labels={"team": "a"})]
    spec = ClassSpec(slug="c", pools=("p",))
    in_pools = class_in_pools(spec, [pool], Fleet(with_pools([pool], nodes), label_keys([pool])))
    assert in_pools[0].terms == (parse("muster.dev/pool=p"),)
    pod = admitted_pod(manifest("pod", in_pools, GIVEN)[-1]["spec"])
    assert refusals(manifest("policy", in_pools, GIVEN)[0], pod) == []


def test_every_pool_of_the_class_is_admitted_but_no_mixture_of_two() -> None:
    first, second = written("full", pool=0), written("full", pool=1)
    assert refusals(policy("full"), first) == refusals(policy("full"), second) == []
    first["spec"]["tolerations"] = second["spec"]["tolerations"]
    (message,) = refusals(policy("full"), first)
    assert message == "The pod must tolerate the taints of pool h100 or spot only: copy the tolerations of the class."


def test_pods_without_gpus_are_admitted() -> None:
    plain = {"spec": {"containers": [{"name": "web", "image": "nginx"}], "nodeName": "n1"}}
    assert refusals(policy("full"), plain) == []
    cpu = {"spec": {"containers": [{"name": "web", "resources": {"limits": {"cpu": "2", "nvidia.com/hostdev": "1"}}}]}}
    assert refusals(policy("full"), cpu) == []


def set_limits(amounts: dict[str, str]) -> Callable[[Pod], None]:
    def change(pod: Pod) -> None:
        pod["spec"]["containers"][0]["resources"] = {"limits": amounts, "requests": amounts}

    return change


def set_spec(**fields: Any) -> Callable[[Pod], None]:
    return lambda pod: pod["spec"].update(fields)


def in_affinity(**expression: Any) -> dict[str, Any]:
    terms = [{"matchExpressions": [expression]}]
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}}


def another_term(pod: Pod) -> None:
    required = pod["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    required["nodeSelectorTerms"].append({"matchExpressions": [{"key": "anything", "operator": "Exists"}]})


def second_container(pod: Pod) -> None:
    pod["spec"]["containers"].append({"name": "two", "resources": {"limits": {"nvidia.com/gpu": "4"}}})


def init_container(pod: Pod) -> None:
    pod["spec"]["initContainers"] = [{"name": "first", "resources": {"limits": {"nvidia.com/gpu": "4"}}}]


OTHER = "must be requested as nvidia.com/gpu"
COUNT = "must request 1 or 2 or 4 or 8 of it"
WHERE = "must select the nodes of pool h100 or spot"
TAINTS = "must tolerate the taints"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (set_limits({"nvidia.com/gpu.shared": "1"}), OTHER),
        (set_limits({"nvidia.com/mig-1g.10gb": "1"}), OTHER),
        (set_limits({"amd.com/gpu": "1"}), OTHER),
        (set_limits({"nvidia.com/gpu": "4", "nvidia.com/gpu.shared": "1"}), OTHER),
        (set_limits({"nvidia.com/gpu": "3"}), COUNT),
        (set_limits({"nvidia.com/gpu": "16"}), COUNT),
        (set_limits({"nvidia.com/gpu": "4k"}), COUNT),
        (second_container, COUNT),
        (init_container, COUNT),
        (set_spec(affinity={}), WHERE),
        (set_spec(affinity=in_affinity(key="pool", operator="In", values=["h100", "t4"])), WHERE),
        (set_spec(affinity=in_affinity(key="pool", operator="NotIn", values=["h100"])), WHERE),
        (set_spec(affinity=in_affinity(key="pool", operator="Exists")), WHERE),
        (set_spec(affinity={}, nodeSelector={"pool": "t4"}), WHERE),
        (another_term, WHERE),
        (set_spec(tolerations=[{"operator": "Exists"}]), TAINTS),
        (lambda pod: pod["spec"]["tolerations"].append({"key": "team-b", "operator": "Exists"}), TAINTS),
        (
            lambda pod: pod["spec"]["tolerations"].append({"key": "node.kubernetes.io/unschedulable", "operator": "Exists"}),
            TAINTS,
        ),
        (set_spec(nodeName="h2"), "must not set nodeName"),
    ],
)
def test_anything_else_is_refused_with_the_message_to_act_on(change: Callable[[Pod], Any], says: str) -> None:
    pod = written("full")
    change(pod)
    first, *_ = refusals(policy("full"), pod)
    assert says in first


@pytest.mark.parametrize(
    "change",
    [
        set_limits({"nvidia.com/gpu": "8", "cpu": "16"}),
        set_spec(affinity={}, nodeSelector={"pool": "h100"}),
        set_spec(tolerations=[{"key": "nvidia.com/gpu", "operator": "Exists"}]),
        set_spec(tolerations=[{"key": "nvidia.com/gpu", "value": "present"}]),
        set_spec(tolerations=[]),
        set_spec(resourceClaims=[{"name": "nic", "resourceClaimTemplateName": "x"}]),
        lambda pod: pod["spec"]["containers"].append({"name": "sidecar", "image": "busybox"}),
    ],
)
def test_what_means_the_same_or_less_passes(change: Callable[[Pod], Any]) -> None:
    pod = written("full")
    change(pod)
    assert refusals(policy("full"), pod) == []


@pytest.mark.parametrize("slug", ["shared", "renamed", "mps"])
def test_a_share_is_never_more_than_one(slug: str) -> None:
    pod = written(slug)
    (resource,) = pod["spec"]["containers"][0]["resources"]["limits"]
    set_limits({resource: "2"})(pod)
    assert refusals(policy(slug), pod)[0].endswith("must request 1 of it.")


def test_a_gang_asks_per_pod() -> None:
    pod = written("gang")
    set_limits({"nvidia.com/gpu": "8"})(pod)
    assert "must request 4 of it" in refusals(policy("gang"), pod)[0]


@pytest.mark.parametrize(
    ("operator", "values", "passes"),
    [("Gt", ["569"], True), ("Gt", ["600"], True), ("Gt", ["500"], False), ("Lt", ["569"], False), ("Exists", None, False)],
)
def test_a_number_may_be_asked_more_strictly_and_never_less(operator: str, values: list[str] | None, passes: bool) -> None:
    (wanted,) = parse("driver>569")
    expression = {"key": "driver", "operator": operator} | ({"values": values} if values else {})
    context = {"object": {"spec": {}}, "variables": {"terms": [{"matchExpressions": [expression]}]}}
    assert cel.evaluate(selects_any([[wanted]]), context) is passes


@pytest.mark.parametrize(
    ("selector", "expression", "passes"),
    [
        ("a!=b", {"operator": "NotIn", "values": ["b", "c"]}, True),
        ("a notin (b,c)", {"operator": "NotIn", "values": ["b"]}, False),
        ("a!=b", {"operator": "In", "values": ["c"]}, True),
        ("a!=b", {"operator": "In", "values": ["b"]}, False),
        ("a!=b", {"operator": "DoesNotExist"}, True),
        ("a", {"operator": "In", "values": ["x"]}, True),
        ("a", {"operator": "DoesNotExist"}, False),
        ("!a", {"operator": "DoesNotExist"}, True),
        ("!a", {"operator": "Exists"}, False),
        ("a<5", {"operator": "Lt", "values": ["4"]}, True),
        ("a<5", {"operator": "Lt", "values": ["9"]}, False),
    ],
)
def test_every_operator(selector: str, expression: dict[str, Any], passes: bool) -> None:
    (wanted,) = parse(selector)
    context = {"object": {"spec": {}}, "variables": {"terms": [{"matchExpressions": [{"key": "a"} | expression]}]}}
    assert cel.evaluate(selects_any([[wanted]]), context) is passes


def test_a_dra_class_refuses_resource_names_and_claims_by_name() -> None:
    pod = written("dra")
    set_limits({"nvidia.com/gpu": "2"})(pod)
    assert "as a resource claim" in refusals(policy("dra"), pod)[0]
    pod = written("dra")
    pod["spec"]["resourceClaims"] = [{"name": "gpu", "resourceClaimName": "other"}]
    assert "must request 2 of it" in refusals(policy("dra"), pod)[0]


@pytest.mark.parametrize(
    ("exactly", "passes"),
    [
        ({}, True),
        ({"count": 1}, False),
        ({"count": 8}, False),
        ({"deviceClassName": "mig.nvidia.com"}, False),
        ({"allocationMode": "All"}, False),
        ({"adminAccess": True}, False),
        ({"tolerations": [{"operator": "Exists"}]}, False),
        ({"tolerations": []}, True),
        ({"selectors": []}, False),
    ],
)
def test_claims_of_a_dra_class(exactly: dict[str, Any], passes: bool) -> None:
    (template,) = manifest("dra", asked("dra"), GIVEN)
    template["spec"]["spec"]["devices"]["requests"][0]["exactly"].update(exactly)
    rule = policy("dra", "muster-gpu-team-a.claims")
    assert (refusals(rule, template) == []) is passes
    assert (refusals(rule, made_for_a_pod(template["spec"]["spec"])) == []) is passes


def test_more_or_other_requests_are_no_claim_of_the_class() -> None:
    rule = policy("dra", "muster-gpu-team-a.claims")
    (template,) = manifest("dra", asked("dra"), GIVEN)
    requests = template["spec"]["spec"]["devices"]["requests"]
    requests.append(requests[0])
    assert refusals(rule, template)
    alternatives = [{"name": "one", "deviceClassName": "gpu.nvidia.com", "count": 2}]
    template["spec"]["spec"]["devices"]["requests"] = [{"name": "gpu", "firstAvailable": alternatives}]
    assert refusals(rule, template), "a list of alternatives is not what was granted"
    assert refusals(rule, {"kind": "ResourceClaim", "spec": {}}) == [], "asks for nothing"


def request(device_class: str, **more: Any) -> dict[str, Any]:
    return {"name": "any", "exactly": {"deviceClassName": device_class, **more}}


def made_for_a_pod(spec: dict[str, Any], name: str = "gpu") -> dict[str, Any]:
    """The claim that the controller makes for a pod which names it so."""
    metadata = {"name": f"serve-1-{name}-x7k2p", "annotations": {"resource.kubernetes.io/pod-claim-name": name}}
    return {"kind": "ResourceClaim", "metadata": metadata, "spec": spec}


def claim_of(*requests: dict[str, Any]) -> dict[str, Any]:
    return made_for_a_pod({"devices": {"requests": list(requests)}})


KNOWN = ClassNames(gpus=frozenset({"big-ones"}), others=frozenset({"gpu-nic"}), resources=frozenset({"acme.com/accelerator"}))


@pytest.mark.parametrize("granted", ["full", "dra"])
@pytest.mark.parametrize(
    ("claim", "passes"),
    [
        (claim_of(request("dranet")), True),
        (claim_of(request("rdma.sriov.example"), request("compute-domain-default-channel.nvidia.com")), True),
        (claim_of(request("dranet", allocationMode="All")), True),
        (claim_of(request("gpu-nic")), True),
        (claim_of({"name": "v1beta1", "deviceClassName": "dranet"}), True),
        (claim_of(request("gpu.nvidia.com", count=1)), False),
        (claim_of(request("mig.nvidia.com")), False),
        (claim_of(request("vfio.gpu.nvidia.com")), False),
        (claim_of(request("gpu.amd.com")), False),
        (claim_of(request("big-ones")), False),
        (claim_of(request("team-gpus")), False),
        (claim_of(request("dranet"), request("gpu.intel.com")), False),
        (claim_of({"name": "v1beta1", "deviceClassName": "gpu.nvidia.com", "count": 4}), False),
        (claim_of({"name": "list", "firstAvailable": [{"name": "a", "deviceClassName": "gpu.nvidia.com"}]}), False),
    ],
)
def test_claims_of_other_devices_pass_and_of_gpus_that_are_not_granted_do_not(
    granted: str, claim: dict[str, Any], passes: bool
) -> None:
    rule = namespace_policy([asked(granted)], "team-a", KNOWN)[2]
    assert (refusals(rule, claim) == []) is passes
    template = {"kind": "ResourceClaimTemplate", "spec": {"spec": claim["spec"]}}
    assert (refusals(rule, template) == []) is passes


def test_a_granted_gpu_may_be_claimed_together_with_a_network_card() -> None:
    rule = namespace_policy([asked("dra")], "team-a", KNOWN)[2]
    (template,) = manifest("dra", asked("dra"), GIVEN)
    (own,) = template["spec"]["spec"]["devices"]["requests"]
    assert refusals(rule, claim_of(own, request("dranet"))) == []
    assert refusals(rule, claim_of({"name": "v1beta1", **own["exactly"]})) == []
    assert refusals(rule, claim_of({"name": "v1beta1", **own["exactly"], "selectors": []}))


@pytest.mark.parametrize(
    ("name", "passes"),
    [
        ("deviceclass.resource.kubernetes.io/dranet", True),
        ("deviceclass.resource.kubernetes.io/gpu-nic", True),
        ("deviceclass.resource.kubernetes.io/gpu.nvidia.com", False),
        ("deviceclass.resource.kubernetes.io/big-ones", False),
        ("acme.com/accelerator", False),
        ("acme.com/other", True),
    ],
)
def test_device_classes_by_resource_name(name: str, passes: bool) -> None:
    pod = admitted_pod({"containers": [{"name": "web", "resources": {"limits": {name: "1"}}}]})
    assert (refusals(namespace_policy([asked("full")], "team-a", KNOWN)[0], pod) == []) is passes


NETWORK = {"name": "nic", "resourceClaimTemplateName": "rdma"}


@pytest.mark.parametrize("granted", ["full", "dra"])
def test_a_pod_claims_network_cards_under_any_name_but_that_of_gpus(granted: str) -> None:
    plain = {"spec": {"containers": [{"name": "web"}], "resourceClaims": [NETWORK, {"name": "all", "resourceClaimName": "imex"}]}}
    assert refusals(policy(granted), plain) == []
    pod = written(granted)
    pod["spec"].setdefault("resourceClaims", []).append(NETWORK)
    assert refusals(policy(granted), pod) == [], "beside its GPUs"
    for claim in ({"name": "gpu", "resourceClaimTemplateName": "rdma"}, {"name": "nic", "resourceClaimName": "web-gpu-x7k2p"}):
        assert refusals(policy(granted), {"spec": {"containers": [{"name": "web"}], "resourceClaims": [claim]}})


def metadata(name: str, **annotations: str) -> dict[str, Any]:
    return {
        "name": name,
        "annotations": {f"resource.kubernetes.io/{key.replace('_', '-')}": text for key, text in annotations.items()},
    }


LONG = "a-very-long-name-of-a-deployment-with-a-hash-7d9f8-and-its-pod"


@pytest.mark.parametrize(
    ("given", "passes"),
    [
        (metadata("serve-1-gpu-x7k2p", pod_claim_name="gpu"), True),
        (metadata(f"{LONG[:55]}-g-x7k2p", pod_claim_name="gpu"), True),
        (metadata("serve-1-nic-x7k2p", pod_claim_name="nic"), False),
        (metadata("gpu-1-nic-x7k2p", pod_claim_name="nic"), False),
        (metadata("mine", pod_claim_name="gpu"), False),
        (metadata("my-gpu"), False),
        ({"name": "my-gpu"}, False),
    ],
)
def test_gpus_are_only_in_claims_that_the_policy_over_pods_looks_at(given: dict[str, Any], passes: bool) -> None:
    """Else a pod would get them under a name that it may use for network cards, on any node."""
    (template,) = manifest("dra", asked("dra"), GIVEN)
    claim = {"kind": "ResourceClaim", "metadata": given, "spec": template["spec"]["spec"]}
    refused = refusals(policy("dra", "muster-gpu-team-a.claims"), claim)
    assert (refused == []) is passes
    if passes:
        assert refusals(policy("full", "muster-gpu-team-a.claims"), claim), "no class through claims is granted"
        plain = {"containers": [{"name": "web"}], "resourceClaims": [{"name": "nic", "resourceClaimName": given["name"]}]}
        assert refusals(policy("dra"), {"spec": plain}), "a pod that names the claim of another one is compared"


def test_the_claim_that_the_scheduler_makes_for_a_resource_name_passes() -> None:
    """Its pod was compared; the class of the claim is that of the resource (KEP-5004)."""
    spec = {"devices": {"requests": [request("gpu.nvidia.com", allocationMode="ExactCount", count=4)]}}
    made = {
        "kind": "ResourceClaim",
        "spec": spec,
        "metadata": metadata("serve-1-extended-resources-x7k2p", extended_resource_claim="true"),
    }
    rules = policy("full", "muster-gpu-team-a.claims"), policy("full")
    assert refusals(rules[0], made) == []
    assert refusals(rules[0], {**made, "metadata": metadata("mine", extended_resource_claim="true")}), "made by a user"
    taken = {
        "containers": [{"name": "web"}],
        "resourceClaims": [{"name": "nic", "resourceClaimName": "serve-1-extended-resources-x7k2p"}],
    }
    assert refusals(rules[1], {"spec": taken}), "and no pod takes it over"


def test_the_binding_denies_in_one_namespace() -> None:
    rule, binding, of_claims, of_claims_binding = manifest("policy", asked("full"), GIVEN)
    assert (of_claims_binding["spec"]["policyName"], of_claims["kind"]) == (of_claims["metadata"]["name"], rule["kind"])
    assert rule["spec"]["matchConstraints"]["resourceRules"][0]["operations"] == ["CREATE", "UPDATE"]
    assert binding["spec"]["policyName"] == rule["metadata"]["name"]
    assert binding["spec"]["validationActions"] == ["Deny"]
    assert binding["spec"]["matchResources"]["namespaceSelector"]["matchLabels"] == {"kubernetes.io/metadata.name": "team-a"}
    assert rule["spec"]["failurePolicy"] == "Fail"


def test_the_resource_of_one_pool_in_the_place_of_another_is_refused() -> None:
    both = class_in_pools(replace(CLASSES["shared"], pools=("t4", "a10g")), POOLS, fleet())
    rule = manifest("policy", both, GIVEN)[0]
    pods = [admitted_pod(manifest("pod", [item], GIVEN)[0]["spec"]) for item in both]
    assert [refusals(rule, pod) for pod in pods] == [[], []]
    pods[0]["spec"]["affinity"] = pods[1]["spec"]["affinity"]
    assert "must select the nodes of pool t4 or a10g" in refusals(rule, pods[0])[0]


NARROW = PoolPolicy(tolerations=(Toleration("team", "Equal", "a", "NoSchedule"),))


@pytest.mark.parametrize(
    ("toleration", "passes"),
    [
        ({"key": "team", "operator": "Equal", "value": "a", "effect": "NoSchedule"}, True),
        ({"key": "team", "value": "a", "effect": "NoSchedule"}, True),
        ({"key": "team", "value": "b", "effect": "NoSchedule"}, False),
        ({"key": "team", "operator": "Exists", "effect": "NoSchedule"}, False),
        ({"key": "team", "value": "a"}, False),
        ({"key": "team", "value": "a", "effect": "NoExecute"}, False),
        ({"key": "team", "operator": "Gt", "value": "a", "effect": "NoSchedule"}, False),
    ],
)
def test_a_toleration_is_compared_with_value_operator_and_effect(toleration: dict[str, str], passes: bool) -> None:
    pool = PoolSpec(slug="p", selector=PoolSelector(products=(H100,)), policy=NARROW)
    nodes = Fleet(with_pools([pool], [real("a")]), label_keys([pool]))
    in_pool = class_in_pool(ClassSpec(slug="a", pools=("p",)), pool, nodes)
    pod = admitted_pod(manifest("pod", [in_pool], GIVEN)[0]["spec"])
    rule = manifest("policy", [in_pool], GIVEN)[0]
    assert refusals(rule, pod) == []
    pod["spec"]["tolerations"] = [toleration]
    assert (refusals(rule, pod) == []) is passes


def test_a_label_that_a_node_outside_the_pool_carries_too_is_not_enough() -> None:
    pool = PoolSpec(slug="p", selector=PoolSelector(products=(H100,), sharing=("exclusive",)))
    label = {"cloud.google.com/gke-accelerator": "nvidia-h100-80gb"}
    shared = {**label, "cloud.google.com/gke-gpu-sharing-strategy": "time-sharing"}
    nodes = [bare("in", slots(), labels=label), bare("out", slots(replicas=4), sharing="time-slicing", labels=shared)]
    in_pool = class_in_pool(ClassSpec(slug="a", pools=("p",)), pool, Fleet(with_pools([pool], nodes), label_keys([pool])))
    pod = admitted_pod(manifest("pod", [in_pool], GIVEN)[0]["spec"])
    rule = manifest("policy", [in_pool], GIVEN)[0]
    assert (in_pool.strays, refusals(rule, pod)) == ((), [])
    pod["spec"]["affinity"] = in_affinity(key=next(iter(label)), operator="In", values=list(label.values()))
    assert "must select the nodes of pool p" in refusals(rule, pod)[0]


def test_a_manifest_of_yesterday_is_admitted_after_a_taint_came_or_went() -> None:
    pool = PoolSpec(slug="p", selector=PoolSelector(products=(H100,)))

    def on(*taints: Taint) -> tuple[ClassInPool, Fleet]:
        nodes = Fleet(with_pools([pool], [real("a", taints=taints)]), label_keys([pool]))
        return class_in_pool(ClassSpec(slug="a", pools=("p",)), pool, nodes), nodes

    for before, after in ((on(), on(SPOT)), (on(SPOT), on())):
        pod = admitted_pod(manifest("pod", [before[0]], GIVEN)[0]["spec"])
        kept = kept_placement(before[0], placement_digest(before[0]), before[1])
        assert refusals(namespace_policy([with_earlier([after[0]], [kept], after[1])], "team-a")[0], pod) == []
