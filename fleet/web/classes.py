"""Workload classes: the catalogue, and one class with its current headroom and its manifest."""

from __future__ import annotations

import shlex
from datetime import datetime
from urllib.parse import urlencode

import msgspec
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.views.decorators.http import require_POST

from fleet import tasks
from fleet.domain.classes.workload import ClassSpec, sized
from fleet.domain.manifests.parameters import Parameters
from fleet.domain.manifests.render import to_yaml
from fleet.domain.refusals import FieldError, NotNow
from fleet.selectors import classes as select
from fleet.selectors import clusters, declarations
from fleet.selectors.findings import worst as worst_findings
from fleet.selectors.namespace_manifests import OF_NAMESPACE, granted_version, namespace_note
from fleet.selectors.placement.headroom import Stock, room_by_cluster, stock
from fleet.selectors.pools import pools
from fleet.services import classes as service
from fleet.templatetags import formats
from fleet.web.shell.people import demand, person
from fleet.web.shell.render import render_page

SHOW = (("", "All"), ("room", "Room now"))
PARAMETERS = ("name", "namespace", "image", "replicas", "queue")
KIND_LABELS = {"dra": "Claim template", "quota": "Quota", "policy": "Admission policy"}
WITHOUT_REPLICAS = frozenset({"quota", "policy", "kueue"})
"""Kinds of manifests that hold for a namespace, not for a workload."""
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

    def context() -> dict[str, object]:
        live_rows = select.live_rows(now)
        rows = [item for item in live_rows if show != "room" or item.room.get("replicas")]
        row = next((entry for entry in live_rows if entry.class_spec.slug == slug), None) or next(iter(rows), None)
        may_operate = person(request).may("operator")
        return {
            "rows": rows,
            "total": len(live_rows),
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
    if request.GET.get("kind") in OF_NAMESPACE:
        etag += f":{granted_version(request.GET.get('namespace', Parameters().namespace))}"
    return render_page(request, "classes/list.html", "classes/_list.html", context, etag=etag)


def _opened(request: HttpRequest, row: select.ClassRow, now: datetime) -> dict[str, object]:
    """Returns the context of the open class.

    Context: class_spec (with the chosen size), cluster (the chosen one; most room unless it is named), by_cluster
    ([{name, replicas, url, current}]), sizes ([{gpus, replicas, url, current}]), room (classes.LiveRoom),
    columns ([(free slots, nodes, whether a pod fits)]), offers (what its pools offer), availability (by pool),
    kinds, kind, yaml, problem, typed (the parameters as written), errors (field to sentence), api_path, commands,
    versions, periods, findings, request_url.
    """
    try:
        class_spec = select.sized_spec(row.class_spec, request.GET.get("gpus"))
    except ValueError:
        class_spec = row.class_spec
    result = stock(now)
    rooms = {gpus: select.live_room(sized(row.class_spec, gpus), now, result) for gpus in row.class_spec.choices}
    room = rooms[class_spec.gpus]
    by_cluster = room_by_cluster(class_spec, result)
    cluster = wanted if (wanted := request.GET.get("cluster", "")) in by_cluster else next(iter(by_cluster), "")
    return {
        "cluster": cluster,
        "by_cluster": [
            {"name": name, "replicas": replicas, "url": _query(request, cluster=name), "current": name == cluster}
            for name, replicas in by_cluster.items()
        ],
        "class_spec": class_spec,
        "sizes": [
            {
                "gpus": gpus,
                "replicas": value.headroom.replicas,
                "url": _query(request, gpus=gpus),
                "current": gpus == class_spec.gpus,
            }
            for gpus, value in rooms.items()
        ],
        "room": room,
        "columns": _columns(room, class_spec.slots_per_pod),
        "offers": select.offers_of(row.class_spec, result),
        "availability": {row.row.slug: row.availability for row in pools.pool_rows(now)},
        "versions": select.versions(row.class_spec.slug)[:MOST_VERSIONS],
        "periods": list(pools.compliance_history("class", row.class_spec.slug)[:MOST_PERIODS]),
        "findings": worst_findings.of_declaration("workload_class", row.class_spec.slug, now),
        "request_url": _request_url(row.class_spec.slug),
        **_manifest(request, class_spec, row.version.number, (cluster, by_cluster.get(cluster)), result, now),
    }


def _columns(room: select.LiveRoom, asked: int) -> list[tuple[int, int, bool]]:
    """Nodes where only their free slots decide, by free slots; every number from 0 to the most, at most to 16."""
    columns: dict[int, int] = {}
    for pool in room.headroom.pools:
        for free, nodes in pool.by_free.items():
            columns[min(free, 16)] = columns.get(min(free, 16), 0) + nodes
    most = max([*columns, asked]) if columns else 0
    return [(free, columns.get(free, 0), free >= asked) for free in range(min(most, 16) + 1)] if columns else []


def _manifest(
    request: HttpRequest, class_spec: ClassSpec, number: int, place: tuple[str, int | None], stock: Stock, now: datetime
) -> dict[str, object]:
    """The manifest as the fields say. `place`: the chosen cluster ("" where there is none) and its room in replicas."""
    cluster, room = place
    default = Parameters(name=class_spec.slug)
    fields = {name: request.GET.get(name, str(getattr(default, name))).strip() for name in PARAMETERS}
    kinds = select.kinds(class_spec, now, stock=stock)
    wanted = request.GET.get("kind", "")
    kind = wanted if wanted in {item.id for item in kinds} else kinds[0].id if kinds else ""
    errors: dict[str, str] = {}
    yaml, problem = "", ""
    if not fields["replicas"].isdecimal() or len(fields["replicas"]) > 6:
        errors["replicas"] = "Enter a whole number."
    elif "replicas" in request.GET and kind not in WITHOUT_REPLICAS and room is not None and int(fields["replicas"]) > room:
        errors["replicas"] = _no_room(cluster, room)
    elif kind:
        texts = {name: text for name, text in fields.items() if name != "replicas"}
        parameters = msgspec.structs.replace(default, replicas=int(fields["replicas"]), class_version=number, **texts)
        try:
            yaml = to_yaml(select.manifest_of(class_spec, kind, parameters, now, stock=stock))
        except FieldError as error:
            if error.field in PARAMETERS:
                errors[error.field] = str(error)
            else:
                problem = str(error)
    else:
        problem = "None of the pools of this class exists: no manifest can be generated."
    asked = {"kind": kind, **fields, **({"gpus": class_spec.gpus} if len(class_spec.choices) > 1 else {})}
    path = f"{reverse('api-classes-manifest', args=[class_spec.slug])}?{urlencode({k: v for k, v in asked.items() if v != ''})}"
    file_name = f"{fields['name']}-{kind}.yaml"
    kubectl = f"kubectl --context {shlex.quote(cluster)}" if cluster else "kubectl"
    curl = f'curl -fsS -H "Authorization: Bearer $MUSTER_TOKEN" {shlex.quote(request.build_absolute_uri(path))}'
    return {
        "kinds": [
            {"label": KIND_LABELS.get(entry.id, entry.title), "url": _query(request, kind=entry.id), "current": entry.id == kind}
            for entry in kinds
        ],
        "kind": kind,
        "yaml": yaml,
        "note": namespace_note(kind, fields["namespace"]) if yaml else "",
        "problem": problem,
        "typed": fields,
        "errors": errors,
        "api_path": path,
        "file_name": file_name,
        "commands": [f"{kubectl} apply -f {shlex.quote(file_name)}", f"{curl} | {kubectl} apply -f -"],
    }


def _no_room(cluster: str, room: int) -> str:
    """Says how many replicas a cluster has room for."""
    if not room:
        return f"{cluster} has no room for a replica now. Choose another cluster, or request the class."
    return f"{cluster} has room for {formats.plural(room, 'replica')} now. Choose fewer, or another cluster."


def _query(request: HttpRequest, **more: object) -> str:
    turned = request.GET.copy()
    for name, value in more.items():
        turned[name] = str(value)
    return f"?{turned.urlencode()}"


def _request_url(slug: str) -> str:
    """Address of the request form for the class."""
    try:
        return f"{reverse('request-new')}?{urlencode({'class': slug})}"
    except NoReverseMatch:
        return f"/requests/new/?{urlencode({'class': slug})}"


@require_POST
def adopt(request: HttpRequest) -> HttpResponse:
    """POST slug: creates the starter class of that slug, as it is suggested now."""
    demand(request, "operator")
    now = timezone.now()
    slug = request.POST.get("slug", "")
    offered_starters = next(
        (offered_starter for offered_starter in select.offered_starters(now) if offered_starter.class_spec.slug == slug), None
    )
    if offered_starters is None:
        messages.error(request, f"Class {slug} is no longer offered by the fleet.")
        return redirect("classes")
    service.save(person(request), offered_starters.class_spec, now)
    tasks.wake_compliance()
    messages.success(request, f"Class {offered_starters.class_spec.title or slug} was added to the catalogue.")
    return redirect("class", slug=slug)


@require_POST
def remove(request: HttpRequest, slug: str) -> HttpResponse:
    """Removes the class from the catalogue; its versions and requests are kept."""
    demand(request, "operator")
    if declarations.get_class(slug) is None:
        raise Http404
    try:
        service.remove(person(request), slug, timezone.now())
    except NotNow as refused:
        messages.error(request, str(refused))
        return redirect("class", slug=slug)
    messages.success(request, f"Class {slug} was removed from the catalogue. Its versions and requests are kept.")
    return redirect("classes")
