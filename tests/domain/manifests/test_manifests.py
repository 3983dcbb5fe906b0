from __future__ import annotations

import json
import re
from typing import Any

import pytest
from msgspec.structs import replace

from fleet.domain.classes.requirements import class_in_pools
from fleet.domain.manifests.parameters import Parameters, problems
from fleet.domain.manifests.quota import Grant
from fleet.domain.manifests.render import kinds_of, manifest, namespace_manifest, to_yaml
from fleet.domain.refusals import FieldError
from tests.domain.classes.worlds import CLASSES, POOLS, fleet
from tests.domain.manifests.test_schemas import EVERY, documents

POD = """\
apiVersion: v1
kind: Pod
metadata:
  name: serve
  namespace: team-a
  labels:
    app.kubernetes.io/name: serve
    muster.dev/class: full
    muster.dev/class-version: '1'
  annotations:
    muster.dev/placement: DIGEST
spec:
  affinity:
    nodeAffinity:
      requiredDuringSchedulingIgnoredDuringExecution:
        nodeSelectorTerms:
        - matchExpressions:
          - key: pool
            operator: In
            values:
            - h100
          - key: nvidia.com/gpu.product
            operator: In
            values:
            - NVIDIA-H100-80GB-HBM3
          - key: nvidia.com/gpu.sharing-strategy
            operator: NotIn
            values:
            - mps
            - time-slicing
          - key: nvidia.com/gpu.slices.gi
            operator: DoesNotExist
          - key: cloud.google.com/gke-gpu-sharing-strategy
            operator: NotIn
            values:
            - mps
            - time-sharing
          - key: cloud.google.com/gke-gpu-partition-size
            operator: DoesNotExist
  tolerations:
  - key: nvidia.com/gpu
    operator: Equal
    value: present
    effect: NoSchedule
  containers:
  - name: main
    image: registry.example:5000/team/serve:1.2
    resources:
      limits:
        nvidia.com/gpu: '4'
"""


def test_a_pod_as_people_read_it() -> None:
    assert re.sub(r"placement: .*", "placement: DIGEST", to_yaml(documents("full", "pod"))) == POD


@pytest.mark.parametrize(("slug", "kind"), EVERY)
def test_no_manifest_names_a_node(slug: str, kind: str) -> None:
    made = [document for document in documents(slug, kind) if document["kind"] not in ("Topology", "ValidatingAdmissionPolicy")]
    text = json.dumps(made)
    assert "nodeName" not in text
    assert "kubernetes.io/hostname" not in text
    assert not any(f'"{node.name}"' in text for node in fleet().nodes)


def test_what_a_class_has_besides() -> None:
    (made,) = documents("renamed", "pod")
    assert (made["spec"]["priorityClassName"], made["spec"]["runtimeClassName"]) == ("low", "nvidia")
    assert made["spec"]["containers"][0]["resources"]["limits"] == {"nvidia.com/gpu.shared": "1"}
    assert documents("shared", "pod")[0]["spec"]["activeDeadlineSeconds"] == 8 * 3600
    assert "activeDeadlineSeconds" not in json.dumps(documents("shared", "deployment")), "a Deployment may not have one"


def test_a_gang_divides_its_slots_over_its_pods() -> None:
    (made,) = documents("gang", "leaderworkerset")
    template = made["spec"]["leaderWorkerTemplate"]
    assert (made["spec"]["replicas"], template["size"]) == (3, 2)
    assert template["workerTemplate"]["spec"]["containers"][0]["resources"]["limits"] == {"nvidia.com/gpu": "4"}
    assert "podAffinity" not in template["workerTemplate"]["spec"]["affinity"]


def test_a_rack_keeps_its_pods_in_one_domain() -> None:
    (made,) = documents("rack", "leaderworkerset", Parameters(name="train", queue="gpu"))
    template = made["spec"]["leaderWorkerTemplate"]["workerTemplate"]
    (term,) = template["spec"]["affinity"]["podAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert term["topologyKey"] == "nvidia.com/gpu.clique"
    assert term["labelSelector"]["matchLabels"] == {"leaderworkerset.sigs.k8s.io/name": "train"}
    assert template["metadata"]["annotations"]["kueue.x-k8s.io/podset-required-topology"] == "nvidia.com/gpu.clique"
    assert made["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "gpu"
    assert [document["kind"] for document in documents("rack", "kueue")] == [
        "Topology",
        "ResourceFlavor",
        "ClusterQueue",
        "LocalQueue",
    ]


def test_a_dra_pool_is_asked_through_a_claim() -> None:
    template, made = documents("dra", "deployment")
    (request,) = template["spec"]["spec"]["devices"]["requests"]
    assert request["exactly"]["deviceClassName"] == "gpu.nvidia.com"
    assert request["exactly"]["count"] == 2
    assert request["exactly"]["selectors"] == [
        {"cel": {"expression": 'device.capacity["gpu.nvidia.com"].memory.compareTo(quantity("80000Mi")) >= 0'}}
    ]
    spec = made["spec"]["template"]["spec"]
    assert spec["resourceClaims"] == [{"name": "gpu", "resourceClaimTemplateName": template["metadata"]["name"]}]
    assert spec["containers"][0]["resources"] == {"claims": [{"name": "gpu"}]}


@pytest.mark.parametrize(
    ("slug", "hard"),
    [
        ("full", {"requests.nvidia.com/gpu": "12"}),
        ("renamed", {"requests.nvidia.com/gpu.shared": "3"}),
        ("mixed", {"requests.nvidia.com/mig-1g.10gb": "6"}),
        ("gang", {"requests.nvidia.com/gpu": "24"}),
        ("dra", {"gpu.nvidia.com.deviceclass.resource.k8s.io/devices": "6"}),
    ],
)
def test_a_quota_counts_slots_of_all_replicas(slug: str, hard: dict[str, str]) -> None:
    assert documents(slug, "quota")[0]["spec"]["hard"] == hard


def test_kueue_gets_the_pools_labels_taints_and_the_requests_quota() -> None:
    flavor, queue, local = documents("full", "kueue")
    assert flavor["spec"] == {
        "nodeLabels": {"pool": "h100", "nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3"},
        "nodeTaints": [{"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}],
    }
    (group,) = queue["spec"]["resourceGroups"]
    assert group["flavors"][0]["resources"] == [{"name": "nvidia.com/gpu", "nominalQuota": "12"}]
    assert local["spec"]["clusterQueue"] == queue["metadata"]["name"]


def queue_of(*grants: Grant, namespace: str = "a") -> list[dict[str, Any]]:
    return namespace_manifest("kueue", grants, Parameters(namespace=namespace, queue="gpu"))


def a_grant(slug: str, replicas: int = 1, version: int = 1, **changed: Any) -> Grant:
    in_pools = class_in_pools(replace(CLASSES[slug], **changed), POOLS, fleet())
    return Grant(id="1", name="serve", replicas=replicas, in_pools=in_pools, version=version)


def test_queues_of_two_classes_and_of_two_namespaces_do_not_clash() -> None:
    made: dict[tuple[str, str, str], dict[str, Any]] = {}
    for slug, namespace in (("full", "a"), ("spot", "a"), ("full", "b"), ("west", "a" * 63)):
        for document in queue_of(a_grant(slug), a_grant(slug, 2), namespace=namespace):
            meta = document["metadata"]
            assert len(meta["name"]) <= 63
            key = (document["kind"], meta.get("namespace", ""), meta["name"])
            assert made.setdefault(key, document) == document, "the same name has the same contents"
    note = made["LocalQueue", "a", "full"]["metadata"]["annotations"]["muster.dev/queue"]
    assert note == "Workloads of class full name the queue full, not gpu."
    (group,) = made["ClusterQueue", "", "a.full"]["spec"]["resourceGroups"]
    assert group["flavors"][0]["resources"][0]["nominalQuota"] == str(4 + 8), "every grant of the class"


def test_two_versions_of_a_class_are_two_flavors_of_one_queue() -> None:
    """A flavor's contents do not change with the version that is granted next to it."""
    first, second = a_grant("full", 2, 1), a_grant("full", 1, 2, products=())
    alone = [document for grant in (first, second) for document in queue_of(grant) if document["kind"] == "ResourceFlavor"]
    *flavors, queue, local = queue_of(first, second, first)
    assert flavors == alone
    assert [flavor["metadata"]["name"] for flavor in flavors] == ["h100.full.v1", "h100.full.v2"]
    assert flavors[0]["spec"] != flavors[1]["spec"]
    (group,) = queue["spec"]["resourceGroups"]
    assert {item["name"]: item["resources"][0]["nominalQuota"] for item in group["flavors"]} == {
        "h100.full.v1": "16",
        "h100.full.v2": "4",
    }
    assert local["spec"]["clusterQueue"] == queue["metadata"]["name"] == "a.full"


def test_versions_that_ask_for_different_resources_share_no_group() -> None:
    """Kueue wants each resource in one group, and each flavor in one."""
    *_, queue, _ = queue_of(
        a_grant("full"), a_grant("full", 1, 2, isolation="time-sliced", gpus=1, sizes=(), products=(), pools=("a10g",))
    )
    groups = queue["spec"]["resourceGroups"]
    names = [flavor["name"] for group in groups for flavor in group["flavors"]]
    resources = [name for group in groups for name in group["coveredResources"]]
    assert len(names) == len(set(names)) == 2
    assert len(resources) == len(set(resources))


@pytest.mark.parametrize(
    ("slug", "kinds"),
    [
        ("full", ["pod", "deployment", "kueue", "quota", "policy"]),
        ("gang", ["leaderworkerset", "kueue", "quota", "policy"]),
        ("dra", ["pod", "deployment", "dra", "quota", "policy"]),
    ],
)
def test_which_kinds_a_class_has(slug: str, kinds: list[str]) -> None:
    assert [kind.id for kind in kinds_of(class_in_pools(CLASSES[slug], POOLS, fleet())[0])] == kinds


@pytest.mark.parametrize(
    ("slug", "kind", "given", "field", "says"),
    [
        ("full", "cronjob", {}, "kind", "Manifest “cronjob” does not exist"),
        ("gang", "pod", {}, "kind", "use a LeaderWorkerSet"),
        ("full", "leaderworkerset", {}, "kind", "use a Deployment"),
        ("full", "dra", {}, "kind", "not through DRA"),
        ("dra", "kueue", {}, "kind", "only by a mapping"),
        ("full", "pod", {"name": "My App"}, "name", "is not a valid DNS label"),
        ("full", "pod", {"namespace": ""}, "namespace", "is not a valid DNS label"),
        ("full", "pod", {"queue": "-q"}, "queue", "is not a valid DNS label"),
        ("full", "pod", {"image": "two words"}, "image", "is not a valid image"),
        ("full", "pod", {"replicas": -1}, "replicas", "from 0 to 10,000"),
    ],
)
def test_what_cannot_be_written_says_why(slug: str, kind: str, given: dict[str, Any], field: str, says: str) -> None:
    with pytest.raises(FieldError, match=says) as value:
        documents(slug, kind, Parameters(**given))
    assert value.value.field == field


def test_a_class_without_pools_has_no_manifest() -> None:
    with pytest.raises(FieldError, match="no pool"):
        manifest("pod", (), Parameters())


@pytest.mark.parametrize(
    "image", ["busybox", "a/b:1", "registry.example:5000/a/b_c-d.e:V1.0", "x@sha256:" + "a" * 64, "localhost/a", "ghcr.io/a/b:c"]
)
def test_images_that_are_some(image: str) -> None:
    assert problems(Parameters(image=image)) == ()


@pytest.mark.parametrize("image", ["", "UPPER/Case", "a b", "a:", "a@sha256:12", "a" * 513, "-a", "a\nb"])
def test_images_that_are_none(image: str) -> None:
    assert [field for field, _ in problems(Parameters(image=image))] == ["image"]


def test_huge_pages_are_requested_and_limited_alike() -> None:
    spec = replace(CLASSES["full"], cpu_per_slot="8", hugepages_2mi_per_slot="4Gi")
    asked = class_in_pools(spec, POOLS, fleet())
    (pod,) = manifest("pod", asked, Parameters(name="serve", namespace="team-a"))
    resources = pod["spec"]["containers"][0]["resources"]
    slots = spec.slots_per_pod
    assert resources["requests"] == {"cpu": str(8 * slots), "hugepages-2Mi": f"{4 * slots}Gi"}
    assert resources["limits"] == {asked[0].resource: str(slots), "hugepages-2Mi": f"{4 * slots}Gi"}
