"""Explain over DRA: manifests of recorded pods through the engine that explain uses, against the real scheduler's nodes."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from fleet.collectors import resource_claims
from fleet.domain.placement.explain import ClusterView, explain
from fleet.domain.placement.manifest_files import PodTemplate, claims_of, pod_templates
from fleet.domain.placement.scheduler.devices import ClusterClaims
from fleet.domain.placement.scheduler.pod_evaluation import evaluate
from fleet.domain.placement.scheduler.specs import containers_of, pod_scheduling
from fleet.domain.placement.scheduler.state import ClusterState
from fleet.domain.snapshot import PodSnapshot
from tests.domain.dra.recorded import Cluster, Raw, scenarios
from tests.domain.placement.scheduler import recordings

SCENARIOS = list(scenarios())
MOST = 64
"""More pods than these were not tried when `more` was recorded."""


def state_of(scenario: Raw, cluster: Cluster) -> ClusterState:
    known = recordings.cluster_objects(scenario["objects"]["other"])
    bound = [recordings.pod(pod, known, bound_to=node) for pod, node in cluster.bound]
    bound += [recordings.pod(pod, known) for pod in scenario["objects"]["pods"]]
    claims = [resource_claims.parse_claim(msgspec.convert(raw, resource_claims.ClaimWire)) for raw in cluster.claims.values()]
    waiting = ClusterClaims(cluster.devices(), claims, classes=cluster.classes)
    return ClusterState(map(recordings.node, cluster.nodes), bound, known, whole=True, claims=waiting)


def asked(pod: Raw, cluster: Cluster, state: ClusterState) -> PodSnapshot:
    """The pod as explain reads it from a manifest that also has its templates."""
    templates = [
        {"kind": "ResourceClaimTemplate", "metadata": {"namespace": key[0], "name": key[1]}, "spec": raw["spec"]}
        for key, raw in cluster.templates.items()
    ]
    (template,) = pod_templates([{"kind": "Pod", **pod}, *templates])
    return snapshot_of(template, state)


def snapshot_of(template: PodTemplate, state: ClusterState) -> PodSnapshot:
    scheduling = pod_scheduling(template.metadata, template.spec, state.objects)
    claims, missing = claims_of(template, state.claims.claims)
    scheduling = msgspec.structs.replace(scheduling, claim_requests=claims, not_modelled=(*scheduling.not_modelled, *missing))
    return PodSnapshot(
        uid="",
        namespace=template.namespace,
        name=template.name,
        phase="Pending",
        containers=containers_of(template.spec),
        scheduling=scheduling,
    )


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario["name"])
def test_the_nodes_of_the_real_scheduler(scenario: Raw) -> None:
    cluster = Cluster(scenario)
    for pod, answer in zip(scenario["pending"], scenario["answers"], strict=True):
        state = state_of(scenario, cluster)
        result = evaluate(asked(pod, cluster, state), state)
        if answer.get("decided"):
            assert result.fits is None, "a claim or template is not there"
        elif (answer["message"] or "").startswith("running "):
            assert result.fits is False, "the scheduler fails and lands it nowhere"
            assert {refusal.id for refusals in result.nodes.values() for refusal in refusals} >= {"dra"}
        else:
            assert list(result.feasible or ()) == answer["feasible"], result
            assert result.unknown == ()
        cluster.apply(pod, answer)


@pytest.mark.parametrize("scenario", [row for row in SCENARIOS if row.get("more")], ids=lambda scenario: scenario["name"])
def test_as_many_replicas_as_the_real_scheduler_still_placed(scenario: Raw) -> None:
    cluster = Cluster(scenario)
    for pod, answer in zip(scenario["pending"], scenario["answers"], strict=True):
        cluster.apply(pod, answer)
    of, count = scenario["more"]["of"], scenario["more"]["count"]
    namespace = of.get("namespace", "team-a")
    cluster.templates[namespace, "more"] = {"spec": {"spec": of["claim"]}}
    spec: dict[str, Any] = {"tolerations": of.get("tolerations") or [], "containers": [{"name": "main"}]}
    spec["resourceClaims"] = [{"name": "c", "resourceClaimTemplateName": "more"}]
    state = state_of(scenario, cluster)
    waiting = asked({"metadata": {"name": "more", "namespace": namespace}, "spec": spec}, cluster, state)
    answered = explain(waiting, MOST, [ClusterView("east", state, {})])
    assert answered.replicas == count
    assert answered.fits is (count >= MOST)
