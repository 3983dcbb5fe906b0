"""What if: paste a change, see nodes, slots, classes, pools and running pods before and after."""

from __future__ import annotations

import yaml
from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.views.decorators.http import require_POST

from fleet.domain.refusals import FieldError
from fleet.selectors import clusters, kept_forecasts
from fleet.services import kept_forecasts as keeping
from fleet.services import what_if as service
from fleet.web.shell.people import demand, person
from fleet.web.shell.render import render_page

LARGEST = 100_000
"""Characters of a pasted change."""
SHOWN_NODES, SHOWN_PODS, SHOWN_KEPT = 100, 50, 20
EXAMPLES = (
    ("Cordon", "- kind: cordon\n  nodes: [NODE]\n"),
    ("Time-slicing", "- kind: labels\n  nodes: [NODE]\n  set:\n    nvidia.com/device-plugin.config: KEY\n"),
    ("MIG", "- kind: mig\n  selector: nvidia.com/gpu.product=PRODUCT\n  config: all-1g.10gb\n"),
    ("Taint", "- kind: taints\n  nodes: [NODE]\n  add:\n  - {key: dedicated, value: training, effect: NoSchedule}\n"),
    ("Add nodes", "- kind: add_nodes\n  like: NODE\n  count: 2\n"),
)


class WhatIfForm(forms.Form):
    """The question. It is posted, so that it never becomes part of an address or a log."""

    cluster = forms.CharField(max_length=253)
    changes = forms.CharField(max_length=LARGEST, strip=False)


def what_if_page(request: HttpRequest) -> HttpResponse:
    """Shows what a pasted change would do.

    Context: form, clusters, examples, answer (services.what_if.WhatIf or None), nodes and pods (those that are shown),
    problem, now, kept ([selectors.kept_forecasts.Outcome]), operates (whether the person may keep forecasts).
    """
    operates = person(request).may("operator")
    asked = request.method == "POST"
    form = WhatIfForm(request.POST if asked else {"changes": EXAMPLES[0][1], "cluster": request.GET.get("cluster", "")})
    return render_page(
        request, "what_if/detail.html", "what_if/_answer.html", lambda: _context(form, asked=asked, operates=operates)
    )


@require_POST
def keep(request: HttpRequest) -> HttpResponse:
    """Keeps the forecast of the posted change (operators)."""
    demand(request, "operator")
    title = request.POST.get("title", "")
    try:
        changes = _changes(request.POST.get("changes", "")[:LARGEST])
        row = keeping.keep(person(request), request.POST.get("cluster", ""), changes, title, timezone.now())
    except FieldError as error:
        messages.error(request, f"Not kept: {error}")
    else:
        messages.success(request, f"Forecast “{row.title}” kept.")
    return redirect("what-if")


def _context(form: WhatIfForm, *, asked: bool, operates: bool) -> dict[str, object]:
    now = timezone.now()
    context: dict[str, object] = {
        "form": form,
        "clusters": [row.name for row in clusters.clusters().order_by("name")],
        "examples": EXAMPLES,
        "answer": None,
        "problem": "",
        "now": now,
        "kept": kept_forecasts.outcomes(list(kept_forecasts.kept()[:SHOWN_KEPT])),
        "operates": operates,
    }
    if not asked:
        return context
    if not form.is_valid():
        field, errors = next(iter(form.errors.items()))
        return {**context, "problem": f"{field}: {errors[0]}"}
    try:
        answer = service.what_if(form.cleaned_data["cluster"], _changes(form.cleaned_data["changes"]), now)
    except FieldError as error:
        return {**context, "problem": f"{error.field}: {error}"}
    return {
        **context,
        "answer": answer,
        "nodes": answer.forecast.nodes[:SHOWN_NODES],
        "pods": answer.forecast.pods_at_risk[:SHOWN_PODS],
        "not_forecast": sorted(answer.forecast.not_forecast.items())[:SHOWN_NODES],
    }


def _changes(text: str) -> list[object]:
    """Returns the changes of the text: a list, one change, or the manifest of a ConfigMap or NodeReadinessRule."""
    try:
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, Loader=yaml.SafeLoader)):
            raise FieldError("changes", "YAML aliases are not supported.")
        documents = [document for document in yaml.safe_load_all(text) if document is not None]
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        if isinstance(error, FieldError):
            raise
        raise FieldError("changes", f"Not valid YAML: {str(error)[:200]}") from error
    return [change for document in documents for change in (document if isinstance(document, list) else [document])]
