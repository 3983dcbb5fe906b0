"""Reads pasted manifests: bounded YAML, and the pods that each kind of workload makes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec
import yaml

from fleet.domain.dra.wire import read_claim_spec
from fleet.domain.placement.manifest_claims import claim_specs, with_templates
from fleet.domain.placement.scheduler.terms import Spec, items, labels_of, mapping, text
from fleet.domain.refusals import FieldError
from fleet.domain.snapshot.dra import DraClaim

LARGEST = 2**20
"""Bytes of one manifest, UTF-8."""
MOST_DOCUMENTS = 200
MOST_PODS = 100
"""Different pods of one manifest."""
QUEUE_NAME = "kueue.x-k8s.io/queue-name"
_MOST_EVENTS = 200_000
_DEEPEST = 60
_MOST_REPLICAS = 10_000


class PodTemplate(msgspec.Struct, frozen=True, kw_only=True):
    """Pods of one kind that a workload makes."""

    kind: str
    name: str
    namespace: str = "default"
    role: str = ""
    """Which pods of the workload: leader, worker, head; empty where all are alike."""
    metadata: dict[str, Any]
    spec: dict[str, Any]
    replicas: int = 1
    queue: str = ""
    """LocalQueue of Kueue that the workload or its pods name by label; empty for none."""
    path: str = "spec"
    """Where the pod's specification is within the document."""
    volume_claims: dict[str, dict[str, Any]] = {}
    """Specs of the PersistentVolumeClaims that the manifest brings along, by name: documents, and a StatefulSet's templates."""
    claims: dict[str, dict[str, Any]] = {}
    """Specs of the ResourceClaims in its namespace that the manifest brings along, by name."""
    claim_templates: dict[str, dict[str, Any]] = {}
    """Of ResourceClaimTemplates, the spec of the claims they make."""


def read_documents(manifest: str) -> list[dict[str, Any]]:
    """Returns the mappings of a YAML or JSON stream, members of Lists included. Raises FieldError."""
    if len(manifest.encode("utf-8", "surrogatepass")) > LARGEST:
        raise FieldError("manifest", "The manifest is larger than 1 MiB.")
    if "\0" in manifest:
        raise FieldError("manifest", "The manifest contains a NUL character.")
    loader = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader
    try:
        _check_events(manifest, loader)
        documents = list(yaml.load_all(manifest, Loader=loader))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"Line {mark.line + 1}: " if mark else ""
        raise FieldError("manifest", f"{where}not valid YAML: {str(error.problem)[:200]}.") from error
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError) as error:
        raise FieldError(
            "manifest", f"Not valid YAML: {str(error).splitlines()[0][:200] if str(error) else 'it cannot be read'}."
        ) from error
    rows: list[dict[str, Any]] = []
    for document in documents:
        if isinstance(document, dict):
            members = document.get("items")
            is_list = text(document.get("kind")).endswith("List") and isinstance(members, list)
            rows += [dict(entry) for entry in items(members)] if is_list else [document]
    if len(documents) > MOST_DOCUMENTS or len(rows) > MOST_DOCUMENTS:
        raise FieldError("manifest", f"The manifest has more than {MOST_DOCUMENTS} documents.")
    if not rows:
        raise FieldError("manifest", "The manifest has no Kubernetes object.")
    return rows


def _check_events(manifest: str, loader: Any) -> None:
    """Refuses aliases (a page of them unfolds into gigabytes), too deep nesting and too many values."""
    depth = 0
    for count, event in enumerate(yaml.parse(manifest, Loader=loader)):
        line = event.start_mark.line + 1 if event.start_mark else 1
        if isinstance(event, yaml.AliasEvent):
            raise FieldError("manifest", f"Line {line}: aliases (*name) are not supported. Repeat the value.")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > _DEEPEST or count > _MOST_EVENTS:
            raise FieldError("manifest", f"Line {line}: the manifest is nested too deeply or has too many values.")


def pod_templates(documents: list[dict[str, Any]]) -> tuple[PodTemplate, ...]:
    """Returns every pod template of the documents, in order. Raises FieldError where there is none."""
    rows: list[PodTemplate] = []
    claims = claim_specs(documents, "ResourceClaim")
    volume_claims = claim_specs(documents, "PersistentVolumeClaim")
    claim_templates = claim_specs(documents, "ResourceClaimTemplate")
    for document in documents:
        read = _KINDS.get(text(document.get("kind")))
        if read is not None:
            for template in read(document):
                of_claims, of_templates = claims.get(template.namespace, {}), claim_templates.get(template.namespace, {})
                of_volumes = {**volume_claims.get(template.namespace, {}), **template.volume_claims}
                changes = {"claims": of_claims, "claim_templates": of_templates, "volume_claims": of_volumes}
                rows.append(msgspec.structs.replace(template, **changes))
                if len(rows) > MOST_PODS:
                    raise FieldError("manifest", f"The manifest has more than {MOST_PODS} different pods.")
    if not rows:
        kinds = ", ".join(sorted({text(document.get("kind"))[:60] or "?" for document in documents})[:5])
        raise FieldError("manifest", f"No pod template in: {kinds}. Paste one of {', '.join(sorted(_KINDS))}.")
    return tuple(rows)


def claims_of(template: PodTemplate, known: Mapping[tuple[str, str], DraClaim]) -> tuple[tuple[DraClaim, ...], list[str]]:
    """Returns the claims of a pod of this template, and which of them are not known.

    A claim by name is the manifest's own, or one of the cluster (`known`). Raises ValueError for a spec that cannot be read.
    """
    claims: list[DraClaim] = []
    missing: list[str] = []
    for use in items(template.spec.get("resourceClaims")):
        name, maker = text(use.get("resourceClaimName"))[:253], text(use.get("resourceClaimTemplateName"))[:253]
        if name and name in template.claims:
            claims.append(read_claim_spec(template.namespace, name, template.claims[name]))
        elif name and (template.namespace, name) in known:
            claims.append(known[template.namespace, name])
        elif not name and maker in template.claim_templates:
            made = read_claim_spec(template.namespace, text(use.get("name"))[:63], template.claim_templates[maker])
            claims.append(msgspec.structs.replace(made, made=True))
        elif name:
            missing.append(f"ResourceClaim {name} (neither in the manifest nor collected)")
        else:
            missing.append(f"ResourceClaimTemplate {maker} (not in the manifest)")
    return tuple(claims), missing


def _make(document: Spec, template: Spec, path: str, *, replicas: object = 1, role: str = "") -> PodTemplate:
    """Returns a pod template (metadata and spec) of a document."""
    outer, inner = mapping(document.get("metadata")), mapping(template.get("metadata"))
    number = replicas if isinstance(replicas, int) and not isinstance(replicas, bool) else 1
    spec, volume_claims = with_templates(document, dict(mapping(template.get("spec"))))
    labels = {**labels_of(inner.get("labels")), **labels_of(outer.get("labels"))}
    return PodTemplate(
        queue=labels.get(QUEUE_NAME, "")[:253],
        kind=text(document.get("kind")),
        name=text(outer.get("name"))[:253],
        namespace=text(outer.get("namespace"))[:63] or "default",
        role=role,
        metadata={"name": text(outer.get("name")), "labels": labels_of(inner.get("labels"))},
        spec=spec,
        volume_claims=volume_claims,
        replicas=min(max(number, 0), _MOST_REPLICAS),
        path=path,
    )


def _pod(document: Spec) -> Iterator[PodTemplate]:
    yield _make(document, document, "spec")


def _workload(document: Spec) -> Iterator[PodTemplate]:
    spec = mapping(document.get("spec"))
    yield _make(document, mapping(spec.get("template")), "spec.template.spec", replicas=spec.get("replicas", 1))


_DAEMON_TAINTS = (
    *(("node.kubernetes.io/not-ready", "NoExecute"), ("node.kubernetes.io/unreachable", "NoExecute")),
    *(("node.kubernetes.io/disk-pressure", "NoSchedule"), ("node.kubernetes.io/memory-pressure", "NoSchedule")),
    *(("node.kubernetes.io/pid-pressure", "NoSchedule"), ("node.kubernetes.io/unschedulable", "NoSchedule")),
)
"""Taints that the DaemonSet controller lets its pods tolerate (pkg/controller/daemon/util AddOrUpdateDaemonPodTolerations)."""


def _daemon_set(document: Spec) -> Iterator[PodTemplate]:
    """A DaemonSet: one pod for each node that takes it, cordoned ones as well."""
    template = mapping(mapping(document.get("spec")).get("template"))
    spec = dict(mapping(template.get("spec")))
    taints = [*_DAEMON_TAINTS]
    if spec.get("hostNetwork") is True:
        taints.append(("node.kubernetes.io/network-unavailable", "NoSchedule"))
    added = [{"key": key, "operator": "Exists", "effect": effect} for key, effect in taints]
    spec["tolerations"] = [*items(spec.get("tolerations")), *added]
    yield _make(document, {**template, "spec": spec}, "spec.template.spec")


def _job_replicas(spec: Spec) -> object:
    """Returns the pods of a Job at once: no more than are left to complete."""
    parallelism, completions = spec.get("parallelism", 1), spec.get("completions")
    if isinstance(parallelism, int) and isinstance(completions, int) and not isinstance(completions, bool):
        return min(parallelism, max(completions, 0))
    return parallelism


def _job(document: Spec) -> Iterator[PodTemplate]:
    spec = mapping(document.get("spec"))
    yield _make(document, mapping(spec.get("template")), "spec.template.spec", replicas=_job_replicas(spec))


def _cron_job(document: Spec) -> Iterator[PodTemplate]:
    spec = mapping(mapping(mapping(document.get("spec")).get("jobTemplate")).get("spec"))
    path = "spec.jobTemplate.spec.template.spec"
    yield _make(document, mapping(spec.get("template")), path, replicas=_job_replicas(spec))


def _leader_worker_set(document: Spec) -> Iterator[PodTemplate]:
    spec = mapping(document.get("spec"))
    groups = mapping(spec.get("leaderWorkerTemplate"))
    replicas, size = spec.get("replicas"), groups.get("size")
    replicas = replicas if isinstance(replicas, int) else 1
    size = size if isinstance(size, int) else 1
    leader, worker = groups.get("leaderTemplate"), mapping(groups.get("workerTemplate"))
    base = "spec.leaderWorkerTemplate"
    if isinstance(leader, dict):
        yield _make(document, leader, f"{base}.leaderTemplate.spec", replicas=replicas, role="leader")
        size -= 1
    if size > 0:
        yield _make(document, worker, f"{base}.workerTemplate.spec", replicas=replicas * size, role="worker")


def _ray(document: Spec) -> Iterator[PodTemplate]:
    base, spec = "spec", mapping(document.get("spec"))
    for key in ("rayClusterSpec", "rayClusterConfig"):
        if isinstance(spec.get(key), dict):
            base, spec = f"spec.{key}", mapping(spec.get(key))
            break
    head = mapping(mapping(spec.get("headGroupSpec")).get("template"))
    yield _make(document, head, f"{base}.headGroupSpec.template.spec", role="head")
    for position, group in enumerate(items(spec.get("workerGroupSpecs"))):
        path = f"{base}.workerGroupSpecs[{position}].template.spec"
        role = text(group.get("groupName")) or "worker"
        yield _make(document, mapping(group.get("template")), path, replicas=group.get("replicas", 1), role=role)


def _inference_service(document: Spec) -> Iterator[PodTemplate]:
    """KServe: the predictor is a pod specification itself; a `model` or a named server is its container."""
    for role in ("predictor", "transformer", "explainer"):
        part = mapping(mapping(document.get("spec")).get(role))
        if not part:
            continue
        spec = dict(part)
        containers = list(items(spec.get("containers")))
        containers += [
            {"name": "kserve-container", **entry}
            for key, entry in part.items()
            if isinstance(entry, dict) and "resources" in entry and key != "worker"
        ]
        spec["containers"] = containers or [{"name": "kserve-container"}]
        yield _make(document, {"spec": spec}, f"spec.{role}", replicas=part.get("minReplicas", 1) or 1, role=role)
        if isinstance(part.get("workerSpec"), dict):
            worker = mapping(part.get("workerSpec"))
            yield _make(
                document, {"spec": dict(worker)}, f"spec.{role}.workerSpec", replicas=worker.get("size", 1), role="worker"
            )


def _volcano_job(document: Spec) -> Iterator[PodTemplate]:
    spec = mapping(document.get("spec"))
    scheduler = text(spec.get("schedulerName")) or "volcano"
    for position, task in enumerate(items(spec.get("tasks"))):
        template = dict(mapping(task.get("template")))
        template["spec"] = {"schedulerName": scheduler, **mapping(template.get("spec"))}
        path = f"spec.tasks[{position}].template.spec"
        yield _make(document, template, path, replicas=task.get("replicas", 1), role=text(task.get("name")))


def _kubeflow_job(document: Spec) -> Iterator[PodTemplate]:
    """PyTorchJob, MPIJob and their like: `xxxReplicaSpecs` of role to replicas and template."""
    for key, roles in mapping(document.get("spec")).items():
        if str(key).endswith("ReplicaSpecs"):
            for role, part in mapping(roles).items():
                path = f"spec.{key}.{role}.template.spec"
                template = mapping(mapping(part).get("template"))
                yield _make(document, template, path, replicas=mapping(part).get("replicas", 1), role=str(role))


_KINDS: dict[str, Callable[[Spec], Iterator[PodTemplate]]] = {
    "Pod": _pod,
    **dict.fromkeys(("Deployment", "StatefulSet", "ReplicaSet", "ReplicationController"), _workload),
    "DaemonSet": _daemon_set,
    "Job": _job,
    "CronJob": _cron_job,
    "LeaderWorkerSet": _leader_worker_set,
    **dict.fromkeys(("RayCluster", "RayService", "RayJob"), _ray),
    "InferenceService": _inference_service,
    **dict.fromkeys(("PyTorchJob", "MPIJob", "TFJob", "XGBoostJob", "PaddleJob", "JAXJob"), _kubeflow_job),
}
_VOLCANO = "batch.volcano.sh/"


def _any_job(document: Spec) -> Iterator[PodTemplate]:
    """Kubernetes' Job and Volcano's have the same kind."""
    return _volcano_job(document) if text(document.get("apiVersion")).startswith(_VOLCANO) else _job(document)


_KINDS["Job"] = _any_job
