# ruff: noqa: E501 - manifests on one line
"""Pod templates of every kind of workload, and texts that are refused with a sentence."""

from __future__ import annotations

import pytest

from fleet.domain.placement.manifest_files import (
    LARGEST,
    MOST_DOCUMENTS,
    pod_templates,
    read_documents,
)
from fleet.domain.refusals import FieldError

POD = "{containers: [{name: c, resources: {limits: {nvidia.com/gpu: 1}}}]}"
TEMPLATE = f"{{metadata: {{labels: {{app: x}}}}, spec: {POD}}}"


@pytest.mark.parametrize(
    ("manifest", "pods"),
    [
        (f"{{kind: Pod, spec: {POD}}}", [("", 1, "spec")]),
        (f"{{kind: Deployment, spec: {{replicas: 3, template: {TEMPLATE}}}}}", [("", 3, "spec.template.spec")]),
        (f"{{kind: StatefulSet, spec: {{template: {TEMPLATE}}}}}", [("", 1, "spec.template.spec")]),
        (f"{{kind: DaemonSet, spec: {{template: {TEMPLATE}}}}}", [("", 1, "spec.template.spec")]),
        (f"{{kind: Job, spec: {{parallelism: 4, template: {TEMPLATE}}}}}", [("", 4, "spec.template.spec")]),
        (
            f"{{kind: CronJob, spec: {{jobTemplate: {{spec: {{template: {TEMPLATE}}}}}}}}}",
            [("", 1, "spec.jobTemplate.spec.template.spec")],
        ),
        (
            f"{{kind: LeaderWorkerSet, spec: {{replicas: 2, leaderWorkerTemplate: {{size: 3, workerTemplate: {TEMPLATE}}}}}}}",
            [("worker", 6, "spec.leaderWorkerTemplate.workerTemplate.spec")],
        ),
        (
            f"{{kind: LeaderWorkerSet, spec: {{leaderWorkerTemplate: {{size: 4, leaderTemplate: {TEMPLATE}, workerTemplate: {TEMPLATE}}}}}}}",
            [
                ("leader", 1, "spec.leaderWorkerTemplate.leaderTemplate.spec"),
                ("worker", 3, "spec.leaderWorkerTemplate.workerTemplate.spec"),
            ],
        ),
        (
            f"{{kind: RayService, spec: {{rayClusterConfig: {{headGroupSpec: {{template: {TEMPLATE}}}, workerGroupSpecs: [{{groupName: gpu, replicas: 2, template: {TEMPLATE}}}]}}}}}}",
            [
                ("head", 1, "spec.rayClusterConfig.headGroupSpec.template.spec"),
                ("gpu", 2, "spec.rayClusterConfig.workerGroupSpecs[0].template.spec"),
            ],
        ),
        (
            "{kind: InferenceService, spec: {predictor: {minReplicas: 2, nodeSelector: {a: b}, model: {resources: {limits: {nvidia.com/gpu: 1}}}}}}",
            [("predictor", 2, "spec.predictor")],
        ),
        (
            f"{{apiVersion: batch.volcano.sh/v1alpha1, kind: Job, spec: {{tasks: [{{name: ps, replicas: 2, template: {TEMPLATE}}}]}}}}",
            [("ps", 2, "spec.tasks[0].template.spec")],
        ),
        (
            f"{{kind: PyTorchJob, spec: {{pytorchReplicaSpecs: {{Master: {{template: {TEMPLATE}}}, Worker: {{replicas: 7, template: {TEMPLATE}}}}}}}}}",
            [
                ("Master", 1, "spec.pytorchReplicaSpecs.Master.template.spec"),
                ("Worker", 7, "spec.pytorchReplicaSpecs.Worker.template.spec"),
            ],
        ),
        (
            f"{{kind: MPIJob, spec: {{mpiReplicaSpecs: {{Launcher: {{template: {TEMPLATE}}}}}}}}}",
            [("Launcher", 1, "spec.mpiReplicaSpecs.Launcher.template.spec")],
        ),
        (
            f"kind: Service\n---\n{{kind: List, items: [{{kind: Pod, spec: {POD}}}, {{kind: Pod, spec: {POD}}}]}}",
            [("", 1, "spec")] * 2,
        ),
    ],
)
def test_pods_of_every_kind(manifest: str, pods: list[tuple[str, int, str]]) -> None:
    result = pod_templates(read_documents(manifest))
    assert [(template.role, template.replicas, template.path) for template in result] == pods
    for template in result:
        (container,) = template.spec["containers"]
        assert container["resources"] == {"limits": {"nvidia.com/gpu": 1}}


def test_pods_of_a_volcano_job_are_not_for_the_default_scheduler() -> None:
    manifest = f"{{apiVersion: batch.volcano.sh/v1alpha1, kind: Job, spec: {{tasks: [{{template: {TEMPLATE}}}]}}}}"
    (template,) = pod_templates(read_documents(manifest))
    assert template.spec["schedulerName"] == "volcano"


@pytest.mark.parametrize(
    ("manifest", "says"),
    [
        ("", "no Kubernetes object"),
        ("kind: ConfigMap", "No pod template in: ConfigMap"),
        ("a: [", "Line 2"),
        ("a: &x [1]\nb: *x", "aliases"),
        ("[" * 100, "nested too deeply"),
        ("a: \0", "NUL"),
        ("- 1\n- 2", "no Kubernetes object"),
        ("a: 2026-13-45", "Not valid YAML"),
        ("---\n".join(["kind: Pod\n"] * (MOST_DOCUMENTS + 1)), "more than 200 documents"),
        ("a" * (LARGEST + 1), "larger than 1 MiB"),
    ],
)
def test_what_cannot_be_read_is_refused_with_a_sentence(manifest: str, says: str) -> None:
    with pytest.raises(FieldError, match=says):
        pod_templates(read_documents(manifest))


@pytest.mark.parametrize(
    "kind", ["Pod", "Deployment", "Job", "CronJob", "LeaderWorkerSet", "RayJob", "InferenceService", "PyTorchJob"]
)
@pytest.mark.parametrize("spec", ["[]", "x", "{template: [], replicas: x, predictor: 1}", "null"])
def test_hostile_shapes_never_raise_anything_else(kind: str, spec: str) -> None:
    try:
        result = pod_templates(read_documents(f"kind: {kind}\nspec: {spec}\nmetadata: []"))
    except FieldError:
        return
    assert all(template.replicas >= 0 for template in result)
