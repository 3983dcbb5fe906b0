"""Every generated object against the published Kubernetes OpenAPI schemas; custom resources against what their CRDs say.

The pod template inside a custom resource is checked as a PodTemplate of Kubernetes. LeaderWorkerSet's and Kueue's own fields
are checked manually, after LeaderWorkerSet's api/leaderworkerset/v1 and Kueue's apis/kueue/v1beta2.
"""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from fleet.domain.classes.requirements import class_in_pools
from fleet.domain.manifests.parameters import Parameters
from fleet.domain.manifests.render import KINDS, kinds_of, manifest, to_yaml
from tests.domain.classes.worlds import CLASSES, POOLS, fleet

GIVEN = Parameters(name="serve", namespace="team-a", image="registry.example:5000/team/serve:1.2", replicas=3)
KUBERNETES = "1.37"
CUSTOM = ("leaderworkerset.x-k8s.io/v1", "kueue.x-k8s.io/v1beta2")
EVERY = [
    (slug, kind.id) for slug, class_spec in CLASSES.items() for kind in kinds_of(class_in_pools(class_spec, POOLS, fleet())[0])
]


def documents(slug: str, kind: str, given: Parameters = GIVEN) -> list[dict[str, Any]]:
    return manifest(kind, class_in_pools(CLASSES[slug], POOLS, fleet()), given)


def valid(document: dict[str, Any]) -> None:
    import kubernetes_validate  # two seconds: only the tests that use it wait

    kubernetes_validate.validate(document, KUBERNETES, strict=True)


@pytest.mark.slow
@pytest.mark.parametrize(("slug", "kind"), EVERY)
def test_kubernetes_would_read_every_field(slug: str, kind: str) -> None:
    made = documents(slug, kind)
    assert made
    for document in made:
        if document["apiVersion"] in CUSTOM:
            globals()[document["kind"].lower()](document)
        else:
            valid(document)


@pytest.mark.slow
def test_the_check_itself_can_fail() -> None:
    (made,) = documents("full", "pod")
    made["spec"]["tolerationz"] = []
    with pytest.raises(Exception, match="tolerationz"):
        valid(made)


def test_every_kind_is_tried() -> None:
    assert {kind for _, kind in EVERY} == {kind.id for kind in KINDS}


def leaderworkerset(document: dict[str, Any]) -> None:
    assert set(document) == {"apiVersion", "kind", "metadata", "spec"}
    assert set(document["spec"]) <= {"replicas", "leaderWorkerTemplate", "rolloutStrategy", "startupPolicy", "networkConfig"}
    template = document["spec"]["leaderWorkerTemplate"]
    assert set(template) <= {"leaderTemplate", "workerTemplate", "size", "restartPolicy", "subGroupPolicy"}
    assert isinstance(template["size"], int)
    assert template["size"] > 1
    assert template["restartPolicy"] in {"Default", "RecreateGroupOnPodRestart", "None"}
    valid({"apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": "x"}, "template": template["workerTemplate"]})


def topology(document: dict[str, Any]) -> None:
    assert set(document["spec"]) == {"levels"}
    assert all(set(level) == {"nodeLabel"} for level in document["spec"]["levels"])
    assert 1 <= len(document["spec"]["levels"]) <= 16
    assert document["spec"]["levels"][-1]["nodeLabel"] == "kubernetes.io/hostname"


def resourceflavor(document: dict[str, Any]) -> None:
    spec = document["spec"]
    assert set(spec) <= {"nodeLabels", "nodeTaints", "tolerations", "topologyName"}
    assert len(spec.get("nodeLabels", {})) <= 8
    assert "topologyName" not in spec or spec["nodeLabels"], "Kueue asks for a node label on a flavor with a topology"
    for taint in spec.get("nodeTaints", ()):
        assert set(taint) <= {"key", "value", "effect"}
        assert taint["effect"] in {"NoSchedule", "PreferNoSchedule", "NoExecute"}


def clusterqueue(document: dict[str, Any]) -> None:
    (group,) = document["spec"]["resourceGroups"]
    assert set(document["spec"]) == {"namespaceSelector", "resourceGroups"}
    assert set(group) == {"coveredResources", "flavors"}
    for flavor in group["flavors"]:
        assert set(flavor) == {"name", "resources"}
        assert [item["name"] for item in flavor["resources"]] == group["coveredResources"], "in the same order"
        assert all(set(entry) == {"name", "nominalQuota"} for entry in flavor["resources"])


def localqueue(document: dict[str, Any]) -> None:
    assert set(document["spec"]) == {"clusterQueue"}
    assert document["metadata"]["namespace"] == "team-a"


@pytest.mark.parametrize(("slug", "kind"), EVERY)
def test_yaml_says_the_same_in_the_same_order(slug: str, kind: str) -> None:
    made = documents(slug, kind)
    text = to_yaml(made)
    assert list(yaml.load_all(text, yaml.CSafeLoader)) == made
    assert "&id" not in text
    assert text == to_yaml(documents(slug, kind)), "two looks write the same"
