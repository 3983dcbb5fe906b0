"""Pods of every class, each changed in one way: admitted only where the change asks for the same or for less."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from typing import Any

import pytest

from tests.domain.manifests.test_admission import another_term, in_affinity, policy, refusals, set_limits, set_spec, written

Pod = dict[str, Any]
Change = Callable[[Pod], Any]
SLUGS = ("full", "shared", "renamed", "mps", "single", "mixed", "gang", "rack", "nvlink", "spot", "west")
"""Classes that are asked for by a resource name; those through claims have their own table below."""
REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"


def limits_of(pod: Pod) -> dict[str, str]:
    limits: dict[str, str] = pod["spec"]["containers"][0]["resources"]["limits"]
    return limits


def amount(text: str) -> Change:
    """Asks for another amount of the class's own resource."""

    def change(pod: Pod) -> None:
        (name,) = [name for name in limits_of(pod) if name.startswith("nvidia.com/")]
        set_limits({**limits_of(pod), name: text})(pod)

    return change


def beside(name: str, text: str = "1") -> Change:
    return lambda pod: set_limits({**limits_of(pod), name: text})(pod)


def tolerates_also(**toleration: Any) -> Change:
    return lambda pod: pod["spec"].setdefault("tolerations", []).append(toleration)


def container_also(where: str, **fields: Any) -> Change:
    def change(pod: Pod) -> None:
        resources = copy.deepcopy(pod["spec"]["containers"][0]["resources"])
        pod["spec"].setdefault(where, []).append({"name": "also", "resources": resources, **fields})

    return change


def terms_of(pod: Pod) -> list[dict[str, Any]]:
    terms: list[dict[str, Any]] = pod["spec"]["affinity"]["nodeAffinity"][REQUIRED]["nodeSelectorTerms"]
    return terms


def narrower(pod: Pod) -> None:
    """One more condition in every term: fewer nodes."""
    for term in terms_of(pod):
        term["matchExpressions"].append({"key": "kubernetes.io/hostname", "operator": "In", "values": ["h2"]})


def by_name(pod: Pod) -> None:
    """One more condition on the node's name in every term: fewer nodes."""
    for term in terms_of(pod):
        term["matchFields"] = [{"key": "metadata.name", "operator": "In", "values": ["h2"]}]


def only_by_name(pod: Pod) -> None:
    terms_of(pod)[:] = [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["t0"]}]}]


def preferred(pod: Pod) -> None:
    """What was required is only preferred."""
    affinity = pod["spec"]["affinity"]["nodeAffinity"]
    terms = affinity.pop(REQUIRED)["nodeSelectorTerms"]
    affinity["preferredDuringSchedulingIgnoredDuringExecution"] = [{"weight": 1, "preference": term} for term in terms]


def without_an_expression(pod: Pod) -> None:
    for term in terms_of(pod):
        term["matchExpressions"].pop(0)


def another_value(pod: Pod) -> None:
    for term in terms_of(pod):
        for expression in term["matchExpressions"]:
            if expression["operator"] == "In":
                expression["values"] = [*expression["values"], "somewhere-else"]


def negated(pod: Pod) -> None:
    for term in terms_of(pod):
        for expression in term["matchExpressions"]:
            if expression["operator"] == "In":
                expression["operator"] = "NotIn"


MOVES: dict[str, Change] = {
    "no affinity": set_spec(affinity={}),
    "another term": another_term,
    "an empty term": lambda pod: terms_of(pod).append({}),
    "only a node name": only_by_name,
    "only preferred": preferred,
    "one condition less": without_an_expression,
    "one value more": another_value,
    "negated": negated,
    "anything with the label": set_spec(affinity=in_affinity(key="pool", operator="Exists")),
    "another pool by selector": set_spec(affinity={}, nodeSelector={"pool": "elsewhere"}),
}
STEPS = {
    "must be requested as": {
        "also AMD": beside("amd.com/gpu"),
        "also Intel": beside("gpu.intel.com/i915"),
        "also a vGPU": beside("nvidia.com/GRID_A100-10C"),
        "also passthrough": beside("nvidia.com/pgpu"),
        "also a Volcano share": beside("volcano.sh/vgpu-number"),
        "also a device class": beside("deviceclass.resource.kubernetes.io/gpu.nvidia.com"),
        "also another MIG profile": beside("nvidia.com/mig-7g.80gb"),
        "only another vendor": set_limits({"habana.ai/gaudi": "1"}),
        "also memory of a GPU": beside("aliyun.com/gpu-mem"),
        "also compute of a GPU": beside("tencent.com/vcuda-core"),
        "also Koordinator's GPU": beside("koordinator.sh/gpu"),
        "also Volcano's memory": beside("volcano.sh/vgpu-memory"),
        "only HAMi's memory": set_limits({"nvidia.com/gpumem": "3000"}),
    },
    "must request": {
        "too many": amount("64"),
        "a thousand": amount("1k"),
        "three": amount("3"),
        "in a second container too": container_also("containers"),
        "in an init container too": container_also("initContainers"),
        "in a sidecar too": container_also("initContainers", restartPolicy="Always"),
    },
    "must select the nodes of pool": MOVES,
    "must tolerate the taints of pool": {
        "tolerates everything": tolerates_also(operator="Exists"),
        "tolerates every NoSchedule": tolerates_also(operator="Exists", effect="NoSchedule"),
        "tolerates an empty key": tolerates_also(key="", operator="Exists"),
        "tolerates another team": tolerates_also(key="team-b", operator="Exists"),
        "tolerates cordons": tolerates_also(key="node.kubernetes.io/unschedulable", operator="Exists", effect="NoSchedule"),
        "tolerates another value": tolerates_also(key="spot", operator="Equal", value="x", effect="NoSchedule"),
        "tolerates a look-alike": tolerates_also(key="node.kubernetes.io.example.com/x", operator="Exists"),
    },
    "must not set nodeName": {"names its node": set_spec(nodeName="h2")},
}
"""Part of the first message that refuses → name of the change → the change."""
REFUSED = [(slug, name, change, says) for says, changes in STEPS.items() for name, change in changes.items() for slug in SLUGS]
ADMITTED: dict[str, Change] = {
    "more CPU": beside("cpu", "64"),
    "a network card": beside("nvidia.com/hostdev"),
    "zero of another GPU": beside("amd.com/gpu", "0"),
    "one condition more": narrower,
    "one node of the pool": by_name,
    "a container without GPUs": lambda pod: pod["spec"]["containers"].append({"name": "log", "image": "busybox"}),
    "an init container without GPUs": set_spec(initContainers=[{"name": "first", "resources": {"limits": {"cpu": "1"}}}]),
    "waits for a node that is not ready": tolerates_also(key="node.kubernetes.io/not-ready", operator="Exists"),
    "an empty node name": set_spec(nodeName=""),
    "a claim of other devices": set_spec(resourceClaims=[{"name": "nic", "resourceClaimTemplateName": "x"}]),
    "no tolerations": set_spec(tolerations=[]),
    "a service account": set_spec(serviceAccountName="other"),
}


@functools.cache
def rule(slug: str) -> dict[str, Any]:
    return policy(slug)


@functools.cache
def _own_pod(slug: str) -> Pod:
    return written(slug)


def changed(slug: str, change: Change) -> Pod:
    pod = copy.deepcopy(_own_pod(slug))
    change(pod)
    assert pod != _own_pod(slug), "nothing was changed"
    return pod


def every_change_once(rows: list[tuple[Any, ...]]) -> list[Any]:
    """Marks as slow all but one class of each change, the next class for the next change."""
    often = {number * len(SLUGS) + number % len(SLUGS) for number in range(len(rows))}
    return [pytest.param(*row, marks=[] if number in often else [pytest.mark.slow]) for number, row in enumerate(rows)]


@pytest.mark.parametrize(
    ("slug", "name", "change", "says"), every_change_once(REFUSED), ids=lambda item: item if isinstance(item, str) else ""
)
def test_a_pod_that_asks_for_more_is_refused_with_the_step_to_act_on(slug: str, name: str, change: Change, says: str) -> None:
    first, *_ = refusals(rule(slug), changed(slug, change))
    assert says in first, name


@pytest.mark.parametrize(("slug", "name"), every_change_once([(slug, name) for name in ADMITTED for slug in SLUGS]))
def test_a_pod_that_asks_for_the_same_or_less_is_admitted(slug: str, name: str) -> None:
    assert refusals(rule(slug), changed(slug, ADMITTED[name])) == []


def claims(*items: dict[str, str]) -> Change:
    return set_spec(
        resourceClaims=[{"name": f"claim-{number}" if number else "gpu", **item} for number, item in enumerate(items)]
    )


TEMPLATE = {"resourceClaimTemplateName": "gpu"}
THROUGH_CLAIMS: dict[str, tuple[Change, str]] = {
    "a GPU by its resource name": (set_limits({"nvidia.com/gpu": "2"}), "must be requested as a resource claim"),
    "a share beside the claim": (set_limits({"nvidia.com/gpu.shared": "1"}), "must be requested as a resource claim"),
    "a device class by its resource name": (
        set_limits({"deviceclass.resource.kubernetes.io/gpu.nvidia.com": "2"}),
        "must be requested as a resource claim",
    ),
    "a claim by name": (claims({"resourceClaimName": "other"}), "must request 2 of it"),
    "a claim of GPUs by name": (claims(TEMPLATE, {"resourceClaimName": "serve-gpu-x7k2p"}), "must request 2 of it"),
    **{name: (change, "must select the nodes of pool") for name, change in MOVES.items()},
    **{name: (change, says) for says in list(STEPS)[3:] for name, change in STEPS[says].items()},
}


@pytest.mark.parametrize("name", THROUGH_CLAIMS)
def test_a_pod_of_a_class_through_claims_that_asks_for_more_is_refused(name: str) -> None:
    change, says = THROUGH_CLAIMS[name]
    first, *_ = refusals(rule("dra"), changed("dra", change))
    assert says in first


NOT_OF_CLAIMS = ("more CPU", "a network card", "zero of another GPU", "a claim of other devices")
"""They replace the limits or claims of the pod."""


@pytest.mark.parametrize("name", [name for name in ADMITTED if name not in NOT_OF_CLAIMS])
def test_a_pod_of_a_class_through_claims_that_asks_for_the_same_or_less_is_admitted(name: str) -> None:
    assert refusals(rule("dra"), changed("dra", ADMITTED[name])) == []


def test_an_update_is_held_to_the_same_as_a_new_pod() -> None:
    """A PATCH of a running pod; its own node name is no change."""
    running = changed("full", set_spec(nodeName="h2"))
    assert refusals(rule("full"), running, old=running) == []
    for says, changes in STEPS.items():
        for name, change in changes.items():
            after = copy.deepcopy(running)
            change(after)
            if after != running:
                assert says in refusals(rule("full"), after, old=running)[0], name


def test_there_are_enough() -> None:
    assert len(REFUSED) + len(THROUGH_CLAIMS) >= 138
