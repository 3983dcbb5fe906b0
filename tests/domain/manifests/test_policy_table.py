"""The table of a namespace's policy: pods × granted classes, each with the verdict that follows from what the pod asks for."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from tests.domain.classes.worlds import CLASSES
from tests.domain.manifests.test_admission import admitted_pod, refusals, set_limits, written
from tests.domain.manifests.test_namespace_policies import NESTED, claim_refusals, rules

Pod = dict[str, Any]
GRANTS = [("full",), ("full", "shared"), ("mps", "mixed"), ("dra", "full"), ("gang", "rack"), ("single", "renamed", "west"), ()]
"""Classes that are granted in the namespace; without any, Muster writes a policy of no class and nothing is compared."""


def labelled(slug: str) -> Callable[[Pod], None]:
    def change(pod: Pod) -> None:
        pod["metadata"]["labels"] = {"muster.dev/class": slug}

    return change


def anywhere(pod: Pod) -> None:
    pod["spec"].pop("affinity")


def tolerates_all(pod: Pod) -> None:
    pod["spec"]["tolerations"].append({"operator": "Exists"})


def names_its_node(pod: Pod) -> None:
    pod["spec"]["nodeName"] = "h2"


def second(pod: Pod) -> None:
    pod["spec"]["containers"].append(copy.deepcopy(pod["spec"]["containers"][0]))


def as_written(pod: Pod) -> None:
    """The pod as the class writes it."""


def no_gpu(pod: Pod) -> None:
    pod["spec"]["containers"] = [{"name": "web", "resources": {}}]
    pod["spec"].pop("resourceClaims", None)


def zero(pod: Pod) -> None:
    no_gpu(pod)
    set_limits({"nvidia.com/gpu": "0"})(pod)


def vgpu(pod: Pod) -> None:
    no_gpu(pod)
    set_limits({"nvidia.com/GRID_A100-10C": "1"})(pod)


def three(pod: Pod) -> None:
    no_gpu(pod)
    set_limits({"nvidia.com/gpu": "3"})(pod)


CHANGES: dict[str, tuple[Callable[[Pod], None], str]] = {
    "as written": (as_written, "granted"),
    "with its own label": (as_written, "granted"),
    "with the label of a class that is not there": (labelled("nowhere"), "never"),
    "anywhere": (anywhere, "never"),
    "tolerates everything": (tolerates_all, "never"),
    "names its node": (names_its_node, "never"),
    "two containers with GPUs": (second, "never"),
    "without a GPU": (no_gpu, "always"),
    "zero GPUs": (zero, "always"),
    "a vGPU": (vgpu, "never"),
    "three GPUs": (three, "never"),
}
"""A change of the class's own pod, and when the pod is admitted: with the class granted, always or never."""
SINGLE_POOL = [slug for slug, spec in CLASSES.items() if len(spec.pools) == 1 or slug == "full"]
TABLE = [(slug, name, granted) for granted in GRANTS if granted for slug in SINGLE_POOL for name in CHANGES]


def test_the_table_is_long_enough() -> None:
    assert len(TABLE) >= 200
    assert len({(slug, name) for slug, name, _ in TABLE}) > 100


def expected(slug: str, name: str, granted: tuple[str, ...]) -> bool:
    when = CHANGES[name][1]
    if when != "granted":
        return when == "always"
    if name == "with its own label":
        return slug in granted
    return slug in granted or any((slug, other) in NESTED for other in granted)


@pytest.mark.slow
@pytest.mark.parametrize("granted", [entry for entry in GRANTS if entry], ids="+".join)
@pytest.mark.parametrize("slug", SINGLE_POOL)
def test_every_pod_against_what_is_granted(slug: str, granted: tuple[str, ...]) -> None:
    rule = rules(*granted)
    for name, (change, _) in CHANGES.items():
        pod = written(slug)
        # Two containers of a class through DRA share its claim: nothing is asked for twice.
        if name == "two containers with GPUs" and pod["spec"].get("resourceClaims"):
            continue
        change(pod)
        if name == "with its own label":
            labelled(slug)(pod)
        refused = refusals(rule, pod) + claim_refusals(pod, *granted)
        assert bool(refused) is not expected(slug, name, granted), (slug, name, granted, refused)


def test_a_pod_without_gpus_passes_a_policy_of_any_grants() -> None:
    plain = admitted_pod({"containers": [{"name": "web", "resources": {}}]})
    assert all(refusals(rules(*granted), plain) == [] for granted in GRANTS if granted)
