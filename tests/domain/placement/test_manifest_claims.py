"""Claims that a manifest brings along, and pods of DaemonSets and Jobs as their controllers make them."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
import yaml

from fleet.domain.placement.manifest_claims import new_claims
from fleet.domain.placement.manifest_files import PodTemplate, pod_templates, read_documents
from fleet.domain.placement.scheduler.pod_evaluation import PodEvaluation, evaluate
from fleet.domain.placement.scheduler.specs import pod_scheduling
from fleet.domain.placement.scheduler.state import ClusterState
from fleet.domain.snapshot import PodSnapshot, SchedulingObjects, Taint
from fleet.domain.snapshot.scheduling import Storage, StorageClass, Volume, VolumeClaim
from tests.domain.placement.scheduler.test_evaluate import node

ZONE = "topology.kubernetes.io/zone"
WAITS = StorageClass(name="late", provisioner="csi", waits=True, default=True)
AT_ONCE = StorageClass(name="now", provisioner="csi")
SET: dict[str, Any] = {
    "kind": "StatefulSet",
    "metadata": {"name": "db", "namespace": "team"},
    "spec": {
        "template": {"spec": {"containers": [{"name": "m"}]}},
        "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"]}}],
    },
}
POD: dict[str, Any] = {
    "kind": "Pod",
    "metadata": {"name": "p", "namespace": "team"},
    "spec": {"containers": [{"name": "m"}], "volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}]},
}


def claim(**spec: Any) -> dict[str, Any]:
    return {"kind": "PersistentVolumeClaim", "metadata": {"name": "c", "namespace": "team"}, "spec": spec}


def template_of(*documents: dict[str, Any]) -> PodTemplate:
    (template,) = pod_templates(read_documents(yaml.safe_dump_all(documents)))
    return template


def answer(template: PodTemplate, storage: Storage) -> PodEvaluation:
    nodes = [msgspec.structs.replace(node(name), labels={ZONE: name}) for name in ("a", "b")]
    objects = SchedulingObjects(namespaces={}, storage=storage, runtime_classes=(), priority_classes=())
    scheduling = pod_scheduling(template.metadata, template.spec, objects)
    name = template.metadata["name"]
    new = new_claims(template.namespace, name, template.spec, template.volume_claims, storage.classes)
    scheduling = msgspec.structs.replace(scheduling, new_claims=new)
    pod = PodSnapshot(uid="", namespace=template.namespace, name=name, scheduling=scheduling)
    return evaluate(pod, ClusterState(nodes, (), objects, whole=True))


def test_a_claim_of_the_manifest_waits_for_its_pod_where_its_class_does() -> None:
    assert answer(template_of(claim(), POD), Storage(classes=(WAITS,))).fitting == ("a", "b")


def test_where_it_is_bound_first_the_answer_is_unknown() -> None:
    for spec in ({"storageClassName": "now"}, {"storageClassName": ""}):
        result = answer(template_of(claim(**spec), POD), Storage(classes=(WAITS, AT_ONCE)))
        assert (result.fits, result.unknown) == (None, ("a", "b"))
        assert "claim c" in result.not_modelled[0]


def test_a_claim_that_nothing_has_keeps_the_pod_out() -> None:
    assert answer(template_of(POD), Storage(classes=(WAITS,))).fits is False


def test_a_claim_that_the_cluster_has_counts_before_that_of_the_manifest() -> None:
    bound = VolumeClaim(namespace="team", name="c", volume="pv", bound=True)
    volume = Volume(name="pv", labels={ZONE: "b"})
    result = answer(template_of(claim(), POD), Storage(classes=(WAITS,), claims=(bound,), volumes=(volume,)))
    assert result.fitting == ("b",)


def test_a_stateful_set_mounts_the_claim_of_its_first_pod() -> None:
    assert answer(template_of(SET), Storage(classes=(WAITS,))).fitting == ("a", "b")
    kept = VolumeClaim(namespace="team", name="data-db-0", volume="pv", bound=True)
    volume = Volume(name="pv", labels={ZONE: "a"})
    assert answer(template_of(SET), Storage(classes=(WAITS,), claims=(kept,), volumes=(volume,))).fitting == ("a",)


def test_an_ephemeral_volume_brings_its_claim() -> None:
    ephemeral = {"name": "v", "ephemeral": {"volumeClaimTemplate": {"spec": {}}}}
    pod = {**POD, "spec": {**POD["spec"], "volumes": [ephemeral]}}
    assert answer(template_of(pod), Storage(classes=(WAITS,))).fitting == ("a", "b")


def test_pods_of_a_daemon_set_tolerate_a_cordon() -> None:
    daemons = {"kind": "DaemonSet", "metadata": {"name": "d"}, "spec": {"template": {"spec": {"containers": [{"name": "m"}]}}}}
    template = template_of(daemons)
    scheduling = pod_scheduling(template.metadata, template.spec, SchedulingObjects())
    cordoned = msgspec.structs.replace(
        node("a"), unschedulable=True, taints=(Taint("node.kubernetes.io/unschedulable", "", "NoSchedule"),)
    )
    kept = msgspec.structs.replace(node("b"), taints=(Taint("dedicated", "x", "NoSchedule"),))
    pod = PodSnapshot(uid="", namespace="default", name="d", scheduling=scheduling)
    assert evaluate(pod, ClusterState([cordoned, kept], (), SchedulingObjects(), whole=True)).fitting == ("a",)


@pytest.mark.parametrize(("spec", "pods"), [({"parallelism": 8, "completions": 3}, 3), ({"parallelism": 8}, 8), ({}, 1)])
def test_a_job_has_no_more_pods_at_once_than_are_left_to_complete(spec: dict[str, Any], pods: int) -> None:
    job = {"kind": "Job", "metadata": {"name": "j"}, "spec": {**spec, "template": {"spec": {"containers": [{"name": "m"}]}}}}
    assert template_of(job).replicas == pods
