from __future__ import annotations

from typing import Any

import pytest

from fleet.domain.label_selectors import Requirement
from fleet.domain.placement.matching import pods_that_fit
from fleet.domain.placement.requirement import NODE_NAME, Toleration
from fleet.domain.refusals import FieldError
from tests.domain.placement.fleets import GPU, bare
from tests.pod_specs import requirement_of


def container(count: int, **more: Any) -> dict[str, Any]:
    return {"name": "c", "resources": {"limits": {GPU: count, "cpu": "2"}}, **more}


def affinity(*terms: dict[str, Any]) -> dict[str, Any]:
    return {"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": list(terms)}}}}


def test_everything_the_scheduler_looks_at() -> None:
    requirement = requirement_of(
        {
            "nodeSelector": {"pool": "a"},
            "nodeName": "n1",
            "tolerations": [{"operator": "Exists"}, {"key": "spot", "effect": "NoSchedule", "value": "x"}],
            "initContainers": [container(1, restartPolicy="Always"), container(4)],
            "containers": [container(2), {"name": "plain"}],
            **affinity({"matchExpressions": [{"key": "zone", "operator": "NotIn", "values": ["b"]}]}),
        }
    )
    assert requirement.resources == ((GPU, 5),), "the ordinary init container beside the sidecar is the hungriest moment"
    assert requirement.selector == (Requirement("pool", "in", ("a",)), Requirement(NODE_NAME, "in", ("n1",)))
    assert requirement.terms == ((Requirement("zone", "notin", ("b",)),),)
    assert requirement.tolerations == (Toleration("", "Exists"), Toleration("spot", "Equal", "x", "NoSchedule"))
    assert requirement.verdicts == ()


def test_terms_are_alternatives_and_a_term_without_anything_matches_nothing() -> None:
    either = requirement_of(affinity({}, {"matchFields": [{"key": NODE_NAME, "operator": "In", "values": ["n2"]}]}))
    assert pods_that_fit(either, bare("n2")) == 1
    assert pods_that_fit(either, bare("n1")) == 0


def test_an_empty_spec_lands_anywhere() -> None:
    assert pods_that_fit(requirement_of({}), bare("n1")) == 1


@pytest.mark.parametrize(
    ("spec", "error"),
    [
        ({"containers": [container("many")]}, FieldError),
        ({"resourceClaims": [{"name": "gpu", "resourceClaimTemplateName": "gone"}]}, FieldError),
    ],
)
def test_what_cannot_be_read_says_so(spec: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        requirement_of(spec)


def test_claims_that_are_no_exact_count_are_refused() -> None:
    spec = {"resourceClaims": [{"name": "gpu", "resourceClaimTemplateName": "t"}]}

    def template(**exactly: Any) -> dict[str, Any]:
        return {
            "t": {
                "spec": {"devices": {"requests": [{"name": "gpu", "exactly": {"deviceClassName": "gpu.nvidia.com"} | exactly}]}}
            }
        }

    assert requirement_of(spec, template()).resources == (("gpu.nvidia.com", 1),)
    assert requirement_of(spec, template(count=3)).resources == (("gpu.nvidia.com", 3),)
    with pytest.raises(FieldError, match="exact count"):
        requirement_of(spec, template(allocationMode="All"))


@pytest.mark.parametrize(("operator", "value"), [("Like", "b"), ("Gt", "many")])
def test_a_term_the_scheduler_cannot_read_matches_no_node(operator: str, value: str) -> None:
    spec = affinity({"matchExpressions": [{"key": "a", "operator": operator, "values": [value]}]})
    assert pods_that_fit(requirement_of(spec), bare(labels={"a": value})) == 0
