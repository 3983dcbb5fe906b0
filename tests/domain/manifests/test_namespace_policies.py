"""Policies and quotas of a namespace with several granted classes: every pod of every class against every set of grants."""

from __future__ import annotations

import itertools
from typing import Any

import cel
import pytest

from fleet.domain import labels
from fleet.domain.manifests.admission import namespace_policy
from fleet.domain.manifests.cel_text import is_gpu
from fleet.domain.manifests.parameters import Parameters
from fleet.domain.manifests.quota import Grant, namespace_quota
from fleet.domain.manifests.render import manifest
from tests.domain.classes.worlds import CLASSES
from tests.domain.manifests.test_admission import GIVEN, admitted_pod, asked, refusals, set_limits, written

SLUGS = tuple(CLASSES)
PAIRS = list(itertools.combinations(SLUGS, 2))
NESTED = {("gang", "rack"), ("rack", "gang"), ("nvlink", "gang"), ("nvlink", "rack"), ("gang", "nvlink"), ("rack", "nvlink"),
          ("spot", "full")}  # fmt: skip
"""(pod of, class): both draw on the same pool, where the pod of one has an amount that the other has as well."""


def rules(*slugs: str) -> dict[str, Any]:
    first: dict[str, Any] = namespace_policy([asked(slug) for slug in slugs], "team-a")[0]
    return first


def claim_refusals(pod: dict[str, Any], *slugs: str) -> list[str]:
    """Returns what the policy over claims says of the claim of the DRA class, for a pod that claims anything."""
    if not pod["spec"].get("resourceClaims"):
        return []
    (template,) = manifest("dra", asked("dra"), GIVEN)
    return refusals(namespace_policy([asked(slug) for slug in slugs], "team-a")[2], template)


@pytest.mark.slow
@pytest.mark.parametrize("granted", PAIRS, ids="+".join)
def test_pods_of_two_granted_classes_pass_and_of_every_other_class_do_not(granted: tuple[str, str]) -> None:
    rule = rules(*granted)
    for slug in SLUGS:
        pod = written(slug)
        refused = bool(refusals(rule, pod) + claim_refusals(pod, *granted))
        expected = slug not in granted and not any((slug, item) in NESTED for item in granted)
        assert refused is expected, (slug, granted)


@pytest.mark.parametrize("slug", SLUGS)
@pytest.mark.parametrize("label", ["own", "other", "unknown"])
def test_a_pod_with_the_label_of_a_class_is_compared_with_that_class_alone(slug: str, label: str) -> None:
    other = "shared" if slug != "shared" else "mps"
    pod = written(slug)
    pod["metadata"]["labels"] = {"muster.dev/class": {"own": slug, "other": other, "unknown": "nowhere"}[label]}
    assert bool(refusals(rules(slug, other), pod)) is (label != "own")


def test_the_same_grants_give_the_same_policy_in_whatever_order() -> None:
    assert rules("full", "shared", "dra") == rules("dra", "full", "shared")


@pytest.mark.parametrize(
    "name",
    [
        "nvidia.com/gpu", "nvidia.com/gpu.shared", "nvidia.com/mig-1g.10gb", "nvidia.com/mig-1g.10gb.shared", "nvidia.com/pgpu",
        "nvidia.com/GRID_A100-10C", "nvidia.com/GA102GL_A10", "nvidia.com/gpu-10gb", "nvidia.com/vgpu-number", "nvidia.com/a100",
        "amd.com/gpu", "amd.com/cpx_nps4", "amd.com/CPX_NPS1", "gpu.intel.com/i915", "gpu.intel.com/xe", "habana.ai/gaudi",
        "volcano.sh/vgpu-number", "aliyun.com/gpu-count", "k8s.amazonaws.com/vgpu", "nvidia.com/hostdev", "nvidia.com/sriov_rdma",
        "aliyun.com/gpu-mem", "aliyun.com/gpu", "aliyun.com/gpu-core.percentage", "tencent.com/vcuda-core",
        "tencent.com/vcuda-memory",
        "tke.cloud.tencent.com/qgpu-memory", "elasticgpu.io/gpu-core", "koordinator.sh/gpu", "koordinator.sh/gpu.shared",
        "koordinator.sh/gpu-memory-ratio", "volcano.sh/vgpu-memory", "volcano.sh/vgpu-cores", "volcano.sh/gpu-memory",
        "nvidia.com/gpumem-percentage", "nvidia.com/vgpu-memory", "koordinator.sh/rdma", "tencent.com/eni",
        "nvidia.com/gpumem", "nvidia.com/gpucores", "nvidia.com/bf3-p0", "nvidia.com/mlnxnics", "nvidia.com/priority", "cpu",
        "memory", "example.com/fpga", "amd.com/xilinx", "gpu.intel.com/i915_monitoring", "google.com/tpu", "nvidia.com/",
        "xnvidia.com/gpu", "nvidia.com/IB-card", "nvidia.com/tu104gl_tesla_t4",
        "microsoft.com/directx", "directx.microsoft.com/compute", "directx.microsoft.com/display", "directx.microsoft.com/audio",
    ],
)  # fmt: skip
def test_a_policy_knows_the_same_names_of_gpus_as_the_rest_of_muster(name: str) -> None:
    assert cel.evaluate(is_gpu(), {"r": name}) is labels.asks_for_gpus(name)


@pytest.mark.parametrize("name", ["nvidia.com/GRID_A100-10C", "nvidia.com/pgpu", "nvidia.com/GA102GL_A10", "nvidia.com/a100"])
def test_other_gpu_names_beside_those_of_the_class_are_refused(name: str) -> None:
    pod = written("full")
    set_limits({name: "1"})(pod)
    assert "must be requested as nvidia.com/gpu" in refusals(rules("full"), pod)[0]


def test_zero_of_a_resource_requests_nothing() -> None:
    plain = admitted_pod({"containers": [{"name": "web", "resources": {"limits": {"nvidia.com/gpu": "0"}}}]})
    assert refusals(rules("full"), plain) == []
    pod = written("full")
    pod["spec"]["containers"][0]["resources"]["limits"]["nvidia.com/gpu.shared"] = "0"
    assert refusals(rules("full"), pod) == []


def test_an_update_of_the_spec_is_compared_and_one_of_the_metadata_is_not() -> None:
    rule = rules("full")
    running = written("full")
    running["spec"]["nodeName"] = "h2"
    assert refusals(rule, running, old=running) == [], "a bound pod names its node"
    changed = written("full")
    changed["spec"]["nodeName"] = "h2"
    changed["spec"]["tolerations"].append({"operator": "Exists"})
    assert "must tolerate the taints" in refusals(rule, changed, old=running)[0]
    strange = written("shared")
    finalized = {**strange, "metadata": {**strange["metadata"], "finalizers": []}}
    assert refusals(rule, finalized, old=strange) == [], "a pod from before the policy can still be cleaned up"


def test_ephemeral_containers_are_matched() -> None:
    (matched,) = rules("full")["spec"]["matchConstraints"]["resourceRules"]
    assert matched["resources"] == ["pods", "pods/ephemeralcontainers"]


def grant(number: int, slug: str, replicas: int) -> Grant:
    return Grant(id=str(number), name=f"job-{number}", replicas=replicas, in_pools=asked(slug))


def test_requests_of_a_namespace_are_one_quota_with_the_sum_per_resource() -> None:
    (quota,) = namespace_quota([grant(1, "full", 1), grant(2, "full", 2), grant(3, "gang", 1), grant(4, "dra", 3)], "team-a")
    assert quota["metadata"]["name"] == "muster-gpu"
    assert quota["spec"]["hard"] == {
        "gpu.nvidia.com.deviceclass.resource.k8s.io/devices": "6",
        "requests.nvidia.com/gpu": str(4 + 8 + 8),
    }
    annotations = quota["metadata"]["annotations"]
    assert annotations["muster.dev/grant-2"] == "job-2: 2 × 4 of class full = 8 requests.nvidia.com/gpu"
    assert len(annotations) == 5
    assert annotations["muster.dev/shared-by"] == "requests.nvidia.com/gpu: full, gang"
    assert Parameters().class_version == 1
