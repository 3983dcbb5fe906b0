"""Explains placement over the stored fleet: page, API and command line ask here."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec
from django.db.models import Min
from django.db.models.fields.json import KeyTransform

from fleet.domain.manifests.parameters import Parameters
from fleet.domain.placement import explain as domain
from fleet.domain.placement.explain import ClusterView, Explanation
from fleet.domain.placement.explain_warnings import Warning, warnings_for
from fleet.domain.placement.manifest_claims import new_claims
from fleet.domain.placement.manifest_files import PodTemplate, claims_of, pod_templates, read_documents
from fleet.domain.placement.nodes import PlacementNode
from fleet.domain.placement.scheduler.pod_evaluation import evaluate
from fleet.domain.placement.scheduler.specs import containers_of, pod_scheduling
from fleet.domain.placement.scheduler.state import ClusterState
from fleet.domain.placement.scheduler.terms import text
from fleet.domain.refusals import FieldError
from fleet.domain.snapshot import NodeSnapshot, PodSnapshot, SchedulingObjects
from fleet.models import Cluster, Node, Pod, SchedulingRow, scope
from fleet.selectors import classes
from fleet.selectors.clusters import clusters
from fleet.selectors.dra import cluster_claims
from fleet.selectors.placement import queues
from fleet.selectors.placement.headroom import stock
from fleet.selectors.placement.process_cache import ProcessCache

MOST_NAMES = 1_000
"""Feasible nodes named in one answer; how many there are is always given."""
MOST_REPLICAS = 10_000


@dataclass(frozen=True, slots=True)
class SchedulerAnswer:
    message: str
    agrees: bool | None


@dataclass(frozen=True, slots=True)
class PodAnswer:
    """The answer about the pods of one template."""

    title: str
    role: str
    path: str
    replicas: int
    """Asked for."""
    explanation: Explanation
    warnings: tuple[Warning, ...] = ()
    scheduler: SchedulerAnswer | None = None
    queue: queues.QueueAnswer | None = None
    """The queue in front of the scheduler; None where there is none."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The answers about all pods of one question; the pod with the fewest replicas that fit decides."""

    pods: tuple[PodAnswer, ...]
    as_of: datetime | None = None

    @property
    def main(self) -> PodAnswer:
        """The pods that decide: the first that do not fit, else the first that request most."""
        return min(self.pods, key=lambda pod: {False: 0, None: 1, True: 2}[pod.explanation.fits])


_states: ProcessCache[ClusterState] = ProcessCache()


def explain_manifest(manifest: str, now: datetime, cluster: str = "") -> Answer:
    """Every pod template of a manifest. Raises FieldError."""
    try:
        templates = pod_templates(read_documents(manifest))
    except FieldError as error:
        raise FieldError("manifest", str(error)) from error
    return explain_templates(templates, now, cluster)


def explain_class(slug: str, replicas: int, now: datetime, cluster: str = "", gpus: str | None = None) -> Answer:
    """The pods of a workload class, as its manifest writes them. Raises FieldError."""
    row = classes.get_row(slug, now)
    if row is None:
        raise FieldError("workload_class", f"Workload class “{slug[:80]}” not found.")
    if not 1 <= replicas <= MOST_REPLICAS:
        raise FieldError("replicas", f"Enter a whole number from 1 to {MOST_REPLICAS:,}.")
    try:
        class_spec = classes.sized_spec(row.class_spec, gpus)
        kinds = {kind.id for kind in classes.kinds(class_spec, now)}
        kind = next((kind for kind in ("deployment", "leaderworkerset") if kind in kinds), "pod")
        parameters = Parameters(replicas=replicas)
        documents = classes.manifest_of(class_spec, kind, parameters, now)
        return explain_templates(pod_templates(documents), now, cluster)
    except ValueError as error:
        raise FieldError("workload_class", str(error)) from error


def explain_pod(name: str, now: datetime) -> Answer:
    """A pending pod by cluster/namespace/name, with the scheduler's last message. Raises FieldError."""
    parts = name.rsplit("/", 2)
    if len(parts) != 3 or not all(parts):
        raise FieldError("pod", "Write cluster/namespace/name.")
    row = (
        Pod.objects.filter(cluster__name=parts[0], namespace=parts[1], name=parts[2], removed_at__isnull=True)
        .filter(cluster__removed_at__isnull=True)
        .order_by("-pk")
        .first()
    )
    if row is None:
        raise FieldError("pod", f"Pod {name[:400]} not found among the collected pods.")
    pod = msgspec.convert(row.snapshot, PodSnapshot, strict=False)
    if pod.node_name:
        raise FieldError("pod", f"The pod is bound to node {pod.node_name}. Only pods that wait for a node are explained.")
    views = cluster_views(now, parts[0])
    if not views:
        raise FieldError("pod", f"Cluster {parts[0][:200]} has no GPU nodes that were collected.")
    explanation = domain.explain(pod, 1, views)
    place = queues.of_pod(pod, row.cluster, views[0])
    if place is not None and place.place.waits and explanation.fits is False:
        explanation = msgspec.structs.replace(explanation, headline=f"Waits in its queue: {_inside(place.text)}")
    agrees = domain.compare_with_scheduler(pod.message, evaluate(pod, views[0].state), whole=views[0].state.whole)
    spec = {"containers": [{"name": container.name, "image": container.image} for container in pod.containers]}
    answer = PodAnswer(
        title=f"Pod {pod.namespace}/{pod.name}",
        role="",
        path="spec",
        replicas=1,
        explanation=explanation,
        warnings=warnings_for(pod, spec, _feasible(explanation, views)),
        scheduler=SchedulerAnswer(pod.message, agrees) if pod.message else None,
        queue=place,
    )
    return Answer((answer,), _as_of(views))


def _inside(text: str) -> str:
    """Returns a sentence as the rest of another: names of kinds keep their capital."""
    return text if text.startswith(("ClusterQueue", "KAI", "Volcano", "LocalQueue")) else f"{text[:1].lower()}{text[1:]}"


def explain_templates(templates: Sequence[PodTemplate], now: datetime, cluster: str = "") -> Answer:
    views = cluster_views(now, cluster)
    if cluster and not views and not clusters().filter(name=cluster).exists():
        raise FieldError("cluster", f"Cluster “{cluster[:200]}” not found.")
    return Answer(tuple(_explain_template(template, views, now) for template in templates), _as_of(views))


def _explain_template(template: PodTemplate, views: Sequence[ClusterView], now: datetime) -> PodAnswer:
    """One template may result in different pods: runtime and priority classes differ by cluster."""
    parts = [(_pod(template, view.state), view) for view in views]
    if all(pod.scheduling == parts[0][0].scheduling for pod, _ in parts):
        pod = parts[0][0] if parts else _pod(template, ClusterState((), (), SchedulingObjects(), whole=False))
        explanation = domain.explain(pod, template.replicas, views)
    else:
        each = [domain.explain(pod, template.replicas, [view]) for pod, view in parts]
        explanation = max(each, key=lambda row: (row.fits is True, row.replicas, row.fits is None))
        pod = parts[each.index(explanation)][0]
    role = f" ({template.role})" if template.role else ""
    return PodAnswer(
        title=f"{template.kind} {template.name}{role}".strip(),
        role=template.role,
        path=template.path,
        replicas=template.replicas,
        explanation=explanation,
        warnings=warnings_for(pod, template.spec, _feasible(explanation, views)),
        queue=queues.of_template(pod, template.queue, _queued_together(template), views, now),
    )


def _queued_together(template: PodTemplate) -> int:
    """Returns how many pods are one workload to Kueue: those of a Deployment queue each for itself."""
    return 1 if template.kind in ("Deployment", "ReplicaSet") else max(template.replicas, 1)


def _pod(template: PodTemplate, state: ClusterState) -> PodSnapshot:
    scheduling = pod_scheduling(template.metadata, template.spec, state.objects)
    try:
        claims, missing = claims_of(template, state.claims.claims)
        gaps = (*scheduling.not_modelled, *missing)
        classes_ = state.objects.storage.classes if state.objects.storage else ()
        name = text(template.metadata.get("name"))
        new = new_claims(template.namespace, name, template.spec, template.volume_claims, classes_)
        scheduling = msgspec.structs.replace(scheduling, claim_requests=claims, not_modelled=gaps, new_claims=new)
    except ValueError as error:
        scheduling = msgspec.structs.replace(scheduling, problem=scheduling.problem or str(error))
    return PodSnapshot(
        uid="",
        namespace=template.namespace,
        name=template.name,
        labels=template.metadata["labels"],
        phase="Pending",
        containers=containers_of(template.spec),
        scheduling=scheduling,
    )


def _feasible(explanation: Explanation, views: Sequence[ClusterView]) -> list[PlacementNode]:
    by_key = {(view.name, name): node for view in views for name, node in view.nodes.items()}
    return [by_key[key] for key in explanation.feasible if key in by_key]


def _as_of(views: Sequence[ClusterView]) -> datetime | None:
    """Moment of the oldest data among the clusters."""
    oldest: datetime | None = Cluster.objects.filter(name__in=[view.name for view in views]).aggregate(oldest=Min("read_at"))[
        "oldest"
    ]
    return oldest


def cluster_views(now: datetime, cluster: str = "") -> list[ClusterView]:
    """The clusters with their present GPU nodes, by name; only the named one if any."""
    rows = clusters().filter(name=cluster) if cluster else clusters()
    nodes: dict[str, dict[str, PlacementNode]] = defaultdict(dict)
    for node in stock(now).fleet.nodes:
        nodes[node.cluster][node.name] = node
    return [ClusterView(row.name, _state(row), nodes[row.name]) for row in rows.order_by("name") if nodes[row.name]]


def _state(cluster: Cluster) -> ClusterState:
    """Returns the cluster's state, cached in the process until it is collected again."""
    version = (cluster.changes, cluster.taken_at, scope.key_of(cluster.name))
    return _states.get(version, lambda: _read_state(cluster), key=cluster.pk)


def _read_state(cluster: Cluster) -> ClusterState:
    # The scheduler's filters cannot evaluate a node without facts; the cluster then counts as incomplete.
    present = Node.objects.filter(cluster=cluster, removed_at__isnull=True).exclude(snapshot={})
    nodes = [msgspec.convert(snapshot, NodeSnapshot, strict=False) for snapshot in present.values_list("snapshot", flat=True)]
    pods = []
    alive = Pod.objects.filter(cluster=cluster, removed_at__isnull=True)
    facts = {
        part: KeyTransform(part, "snapshot") for part in ("node_name", "deleting_since", "labels", "scheduling", "owner_kind")
    }
    columns = ("uid", "namespace", "name", "phase", "component")
    for uid, namespace, name, phase, component, node, deleting, labels, scheduling, owner in (
        alive.annotate(**{f"s_{part}": transform for part, transform in facts.items()})
        .values_list(*columns, *(f"s_{part}" for part in facts))
        .iterator(chunk_size=5_000)
    ):
        raw = {
            "uid": uid,
            "namespace": namespace,
            "name": name,
            "phase": phase,
            "component": component,
            "owner_kind": owner or "",
        }
        raw |= {"node_name": node or "", "labels": labels or {}, "deleting_since": deleting, "scheduling": scheduling}
        pods.append(msgspec.convert(raw, PodSnapshot, strict=False))
    stored = SchedulingRow.objects.filter(cluster=cluster).values_list("objects_read", flat=True).first()
    objects = msgspec.convert(stored or {}, SchedulingObjects, strict=False)
    return ClusterState(nodes, pods, objects, whole=cluster.node_count == len(nodes), claims=cluster_claims(cluster))


def as_json(answer: Answer) -> dict[str, object]:
    """The answer as the API gives it: about the pods that decide, and `pods` with each template."""
    main = answer.main
    return {**_pod_json(main), "as_of": answer.as_of, "pods": [_short_json(pod) for pod in answer.pods]}


def _short_json(pod: PodAnswer) -> dict[str, object]:
    explanation = pod.explanation
    return {
        "title": pod.title,
        "path": pod.path,
        "fits": explanation.fits,
        "headline": explanation.headline,
        "replicas": explanation.replicas,
    }


def _pod_json(pod: PodAnswer) -> dict[str, object]:
    explanation = pod.explanation
    return {
        "fits": explanation.fits,
        "headline": explanation.headline,
        "replicas": explanation.replicas,
        "nodes": {"total": explanation.total, "feasible": len(explanation.feasible)},
        "feasible": [{"cluster": cluster, "name": name} for cluster, name in explanation.feasible[:MOST_NAMES]],
        "reasons": [
            {"id": group.id, "text": group.text, "nodes": len(group.nodes), "opens": group.opens} for group in explanation.reasons
        ],
        "suggestions": [
            {"text": f"{group.change.title}.", "patch": group.change.patch or None, "nodes": group.opens}
            for group in explanation.suggestions()
            if group.change is not None
        ],
        "warnings": [{"id": warning.id, "text": warning.text} for warning in pod.warnings],
        "scheduler": {"message": pod.scheduler.message, "agrees": pod.scheduler.agrees} if pod.scheduler else None,
        "queue": queues.as_json(pod.queue) if pod.queue else None,
        "not_modelled": list(explanation.not_modelled),
    }
