"""Workload classes: the catalogue, one class open beside it, with the room there is now and what to put into a pod spec."""

from __future__ import annotations

import shlex
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.views.decorators.http import require_POST

from fleet import tasks
from fleet.domain.asking import NotNow
from fleet.domain.classes.workload import sized
from fleet.domain.manifests.parameters import Parameters
from fleet.domain.manifests.render import ManifestError, to_yaml
from fleet.selectors import classes as select
from fleet.selectors import clusters, declarations, pools, promises, worst_findings
from fleet.selectors.headroom import stock
from fleet.services import classes as service
from fleet.web.people import demand, person
from fleet.web.render import render_page

SHOW = (("", "All"), ("room", "Room now"))
PARAMETERS = ("name", "namespace", "image", "replicas", "queue")
KIND_LABELS = {"dra": "Claim template", "quota": "Quota", "policy": "Admission policy"}
MOST_PERIODS, MOST_VERSIONS = 12, 12


def class_list(request: HttpRequest, slug: str = "") -> HttpResponse:
    """The catalogue with one class open: the one of `slug`, else the first.

    Context: rows (list of ClassRow), total, show, segments, row (ClassRow or None), starters (list of Starter), pools_known,
    may_operate, now; of the open class see `_opened`.
    """
    now = timezone.now()
    if slug and declarations.get_class(slug) is None:
        raise Http404
    show = request.GET.get("show", "")

    def context() -> dict[str, Any]:
        found = select.live_rows(now)
        rows = [one for one in found if show != "room" or one.room.get("replicas")]
        row = next((one for one in found if one.promise.slug == slug), None) or next(iter(rows), None)
        may_operate = person(request).may("operator")
        return {
            "rows": rows,
            "total": len(found),
            "show": show,
            "segments": [
                {"label": label, "url": f"?show={value}" if value else "?", "current": value == show} for value, label in SHOW
            ],
            "row": row,
            "chosen": bool(slug),
            "starters": select.offered_starters(now) if may_operate else (),
            "pools_known": pools.any_pool(),
            "may_operate": may_operate,
            "now": now,
            **(_opened(request, row, now) if row else {}),
        }

    etag = f"{clusters.data_version()}:{pools.version()}"
    return render_page(request, "classes/list.html", "classes/_list.html", context, etag=etag)


def _opened(request: HttpRequest, row: select.ClassRow, now: datetime) -> dict[str, Any]:
    """Of the open class: promise (with the chosen size), sizes ([{gpus, replicas, url, current}]), room (classes.LiveRoom),
    columns ([(free slots, nodes, whether a pod fits)]), offers (what its pools offer), percents, kinds, kind, yaml, problem,
    told (the parameters as written), errors (field to sentence), api_path, commands, versions, periods, findings, request_url."""
    try:
        promise = select.sized_promise(row.promise, request.GET.get("gpus"))
    except ValueError:
        promise = row.promise
    here = stock(now)
    rooms = {gpus: select.live_room(sized(row.promise, gpus), now, here) for gpus in row.promise.choices}
    room = rooms[promise.gpus]
    return {
        "promise": promise,
        "sizes": [
            {"gpus": gpus, "replicas": one.found.replicas, "url": _query(request, gpus=gpus), "current": gpus == promise.gpus}
            for gpus, one in rooms.items()
        ],
        "room": room,
        "columns": _columns(room, promise.slots_per_pod),
        "offers": select.offers_of(row.promise, here),
        "percents": promises.ready_percents(now - promises.PROMISE_WINDOW, now),
        "versions": select.versions(row.promise.slug)[:MOST_VERSIONS],
        "periods": list(pools.promise_history("class", row.promise.slug)[:MOST_PERIODS]),
        "findings": worst_findings.of_promise("workload_class", row.promise.slug, now),
        "request_url": _request_url(row.promise.slug),
        **_manifest(request, promise, here, now),
    }


def _columns(room: select.LiveRoom, asked: int) -> list[tuple[int, int, bool]]:
    """Nodes that only their fill decides about, by free slots; every number from 0 to the most, at most to 16."""
    found: dict[int, int] = {}
    for pool in room.found.pools:
        for free, nodes in pool.by_free.items():
            found[min(free, 16)] = found.get(min(free, 16), 0) + nodes
    most = max([*found, asked]) if found else 0
    return [(free, found.get(free, 0), free >= asked) for free in range(min(most, 16) + 1)] if found else []


def _manifest(request: HttpRequest, promise: Any, here: Any, now: datetime) -> dict[str, Any]:
    default = Parameters(name=promise.slug)
    told = {name: request.GET.get(name, str(getattr(default, name))).strip() for name in PARAMETERS}
    kinds = select.kinds(promise, now, here=here)
    wanted = request.GET.get("kind", "")
    kind = wanted if wanted in {one.id for one in kinds} else kinds[0].id if kinds else ""
    errors: dict[str, str] = {}
    yaml, problem = "", ""
    if not told["replicas"].isdecimal() or len(told["replicas"]) > 6:
        errors["replicas"] = "Write a whole number."
    elif kind:
        texts = {name: text for name, text in told.items() if name != "replicas"}
        parameters = Parameters(replicas=int(told["replicas"]), **texts)
        try:
            yaml = to_yaml(select.manifest_of(promise, kind, parameters, now, here=here))
        except ManifestError as error:
            if error.field in PARAMETERS:
                errors[error.field] = str(error)
            else:
                problem = str(error)
    else:
        problem = "None of its pools is there: there is nothing to write a manifest for."
    asked = {"kind": kind, **told, **({"gpus": promise.gpus} if len(promise.choices) > 1 else {})}
    path = f"{reverse('api-classes-manifest', args=[promise.slug])}?{urlencode({k: v for k, v in asked.items() if v != ''})}"
    file_name = f"{told['name']}-{kind}.yaml"
    curl = f'curl -fsS -H "Authorization: Bearer $MUSTER_TOKEN" {shlex.quote(request.build_absolute_uri(path))}'
    return {
        "kinds": [
            {"label": KIND_LABELS.get(one.id, one.title), "url": _query(request, kind=one.id), "current": one.id == kind}
            for one in kinds
        ],
        "kind": kind,
        "yaml": yaml,
        "problem": problem,
        "told": told,
        "errors": errors,
        "api_path": path,
        "file_name": file_name,
        "commands": [f"kubectl apply -f {shlex.quote(file_name)}", f"{curl} | kubectl apply -f -"],
    }


def _query(request: HttpRequest, **more: Any) -> str:
    turned = request.GET.copy()
    for name, value in more.items():
        turned[name] = str(value)
    return f"?{turned.urlencode()}"


def _request_url(slug: str) -> str:
    """Where a request for the class is written."""
    try:
        return f"{reverse('request-new')}?{urlencode({'class': slug})}"
    except NoReverseMatch:
        return f"/requests/new/?{urlencode({'class': slug})}"


@require_POST
def adopt(request: HttpRequest) -> HttpResponse:
    """POST slug: makes the starter class of that slug, as it is offered now."""
    demand(request, "operator")
    now = timezone.now()
    slug = request.POST.get("slug", "")
    found = next((one for one in select.offered_starters(now) if one.promise.slug == slug), None)
    if found is None:
        messages.error(request, f"The fleet offers no class {slug} any more.")
        return redirect("classes")
    service.save(person(request), found.promise, now)
    tasks.wake_promises()
    messages.success(request, f"Class {found.promise.title or slug} is in the catalogue.")
    return redirect("class", slug=slug)


@require_POST
def remove(request: HttpRequest, slug: str) -> HttpResponse:
    """It leaves the catalogue; its versions and requests stay."""
    demand(request, "operator")
    if select.get_row(slug) is None:
        raise Http404
    try:
        service.remove(person(request), slug, timezone.now())
    except NotNow as refused:
        messages.error(request, str(refused))
        return redirect("class", slug=slug)
    messages.success(request, f"Class {slug} left the catalogue. Its versions and requests stay.")
    return redirect("classes")
