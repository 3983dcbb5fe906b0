"""Explain: paste a manifest, name a waiting pod, or pick a class; the first line is the answer."""

from __future__ import annotations

from dataclasses import dataclass

from django import forms
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from fleet.domain.placement.explain import ReasonGroup
from fleet.domain.placement.manifest_files import LARGEST
from fleet.domain.refusals import FieldError
from fleet.selectors import classes, clusters
from fleet.selectors.placement import explain as select
from fleet.web.explain_queue import QueueView, queue_view
from fleet.web.shell.render import render_page

MODES = (("manifest", "Manifest"), ("pod", "Waiting pod"), ("class", "Class"))
SHOWN_NODES = 12
"""Nodes named under a reason; their number is always shown."""
BAR = 1000
"""Width of a bar in the units of its drawing."""
_EXAMPLE = """apiVersion: apps/v1
kind: Deployment
metadata:
  name: my-workload
  namespace: default
spec:
  replicas: 1
  selector:
    matchLabels: {app: my-workload}
  template:
    metadata:
      labels: {app: my-workload}
    spec:
      containers:
      - name: main
        image: registry.example/my-image:1.0
        resources:
          requests: {cpu: "4", memory: 32Gi}
          limits: {nvidia.com/gpu: 1}
"""


class ExplainForm(forms.Form):
    """The question. A manifest is posted, so that it never becomes part of an address or a log."""

    mode = forms.ChoiceField(choices=MODES)
    manifest = forms.CharField(required=False, max_length=LARGEST, strip=False)
    pod = forms.CharField(required=False, max_length=700)
    workload_class = forms.CharField(required=False, max_length=100)
    replicas = forms.IntegerField(required=False, min_value=1, max_value=select.MOST_REPLICAS)
    cluster = forms.CharField(required=False, max_length=253)


@dataclass(frozen=True, slots=True)
class ReasonRow:
    """One reason with its nodes as a bar: the part that the one change opens first."""

    group: ReasonGroup
    names: tuple[str, ...]
    more: int
    opened: int
    """Width of the opened part, of BAR."""
    width: int
    """Width of all its nodes, of BAR."""


@dataclass(frozen=True, slots=True)
class PodView:
    pod: select.PodAnswer
    shape: str
    verdict: str
    rows: tuple[ReasonRow, ...]
    suggestion: ReasonGroup | None
    landing: tuple[tuple[str, str, int], ...]
    """Cluster, node and number of replicas there."""
    queue: QueueView | None = None


def explain_page(request: HttpRequest) -> HttpResponse:
    """Context: form, mode, modes, clusters, classes, answer (select.Answer or None), pods ([PodView]), problem, problem_field."""
    given = request.POST if request.method == "POST" else request.GET
    asked = any(given.get(name) for name in ("manifest", "pod", "workload_class"))
    mode = given.get("mode") or ("pod" if given.get("pod") else "class" if given.get("workload_class") else "manifest")
    form = ExplainForm(
        {"mode": mode, "replicas": "1", **{name: given[name] for name in ExplainForm.base_fields if name in given}}
    )
    return render_page(request, "explain/detail.html", "explain/_answer.html", lambda: _context(form, mode, asked=asked))


def _context(form: ExplainForm, mode: str, *, asked: bool) -> dict[str, object]:
    now = timezone.now()
    context: dict[str, object] = {
        "form": form, "mode": mode, "modes": MODES, "example": _EXAMPLE, "answer": None, "pods": (), "problem": "",
        "clusters": [row.name for row in clusters.clusters().order_by("name")],
        "classes": [row.class_spec for row in classes.class_rows(now)],
    }  # fmt: skip
    if not asked:
        return context
    if not form.is_valid():
        field, errors = next(iter(form.errors.items()))
        return {**context, "problem": f"{field}: {errors[0]}"}
    try:
        answer = _answer(form)
    except FieldError as error:
        return {**context, "problem": str(error)}
    return {**context, "answer": answer, "pods": [_view(pod) for pod in answer.pods]}


def _answer(form: ExplainForm) -> select.Answer:
    fields, now = form.cleaned_data, timezone.now()
    if fields["mode"] == "pod":
        return select.explain_pod(fields["pod"].strip(), now)
    if fields["mode"] == "class":
        return select.explain_class(fields["workload_class"], fields["replicas"] or 1, now, fields["cluster"])
    return select.explain_manifest(fields["manifest"], now, fields["cluster"])


def _view(pod: select.PodAnswer) -> PodView:
    explanation = pod.explanation
    shape, verdict = {True: ("check", "ready"), False: ("cross", "not_ready"), None: ("query", "unknown")}[explanation.fits]
    suggestions = explanation.suggestions()
    landing: dict[tuple[str, str], int] = {}
    for key in explanation.landing:
        landing[key] = landing.get(key, 0) + 1
    return PodView(
        pod=pod,
        shape=shape,
        verdict=verdict,
        rows=tuple(_row(group, explanation.total) for group in explanation.reasons),
        suggestion=suggestions[0] if suggestions and not explanation.fits else None,
        landing=tuple((cluster, node, number) for (cluster, node), number in list(landing.items())[:SHOWN_NODES]),
        queue=queue_view(pod.queue),
    )


def _row(group: ReasonGroup, total: int) -> ReasonRow:
    names = tuple(name for _, name in group.nodes[:SHOWN_NODES])
    width = max(BAR * len(group.nodes) // max(total, 1), 8)
    return ReasonRow(
        group=group,
        names=names,
        more=len(group.nodes) - len(names),
        opened=width * (group.opens or 0) // max(len(group.nodes), 1),
        width=width,
    )
