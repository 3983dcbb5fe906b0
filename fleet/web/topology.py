"""Topology: racks and NVLink domains as tiles, and where N GPUs are free in the right shape."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from django import forms
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from fleet.domain.topology.levels import by_id
from fleet.domain.topology.node_groups import MOST_GPUS, NodeGroup, request_of
from fleet.domain.topology.tiles import Rack
from fleet.selectors import clusters
from fleet.selectors.placement import topology as select
from fleet.web.shell.render import render_page

SHAPES = (
    ("any", "As close as possible"),
    ("node", "One node"),
    ("nvlink_domain", "One NVLink domain"),
    ("rack", "One rack"),
    ("block", "One block"),
)
SHOWN_GROUPS, SHOWN_NODES, SHOWN_TILES = 12, 16, 3_000


class GroupsForm(forms.Form):
    """The question, as the page's address has it."""

    gpus = forms.IntegerField(min_value=1, max_value=MOST_GPUS)
    shape = forms.ChoiceField(choices=SHAPES)
    product = forms.CharField(required=False, max_length=300)
    cluster = forms.CharField(required=False, max_length=253)


@dataclass(frozen=True, slots=True)
class GroupView:
    """One group of nodes in words."""

    group: NodeGroup
    title: str
    names: tuple[str, ...]
    more: int
    request: str


@dataclass(frozen=True, slots=True)
class Place:
    """Racks of one cluster, zone and block."""

    cluster: str
    zone: str
    block: str
    racks: tuple[Rack, ...]


def topology_page(request: HttpRequest) -> HttpResponse:
    """Shows groups of nodes by topology.

    Context: form, shapes, products, clusters, groups ([GroupView]), answer (NodeGroups or None), picture (select.Picture),
    places ([Place]), hidden (racks that are not drawn), now.
    """
    defaults = {"gpus": "16", "shape": "any", "product": "", "cluster": ""}
    form = GroupsForm({name: request.GET.get(name, value) for name, value in defaults.items()})
    return render_page(request, "topology/detail.html", "topology/_answer.html", lambda: _context(form))


def _context(form: GroupsForm) -> dict[str, object]:
    now = timezone.now()
    names = [row.name for row in clusters.clusters().order_by("name")]
    valid = form.is_valid()
    fields = form.cleaned_data
    cluster = fields["cluster"] if fields.get("cluster") in names else ""
    picture = select.picture(now, cluster)
    answer = select.groups(now, fields["gpus"], fields["shape"], fields["product"], cluster)[0] if valid else None
    places, hidden = _places(picture.racks)
    return {
        "form": form,
        "shapes": SHAPES,
        "products": select.products(now),
        "clusters": names,
        "answer": answer,
        "groups": [_view(group) for group in answer.groups[:SHOWN_GROUPS]] if answer else [],
        "picture": picture,
        "places": places,
        "hidden": hidden,
        "now": now,
    }


def _view(group: NodeGroup) -> GroupView:
    parts = f"{len(group.nodes)} × {group.gpus_per_node} GPUs" if len(group.nodes) > 1 else f"{group.gpus} GPUs"
    where = {"node": "on one node", "any": "in one cluster"}.get(group.shape)
    if where is None:
        where = f"in {by_id()[group.shape].title} {group.domain.value if group.domain else ''}"
    names = tuple(node.node.name for node in group.nodes[:SHOWN_NODES])
    return GroupView(group, f"{parts} {where}", names, len(group.nodes) - len(names), request_of(group))


def _places(racks: Sequence[Rack]) -> tuple[list[Place], int]:
    """Returns the racks by place, as many as are drawn, and how many are not."""
    shown: list[Rack] = []
    tiles = 0
    for rack in racks:
        tiles += len(rack.tiles)
        if shown and tiles > SHOWN_TILES:
            break
        shown.append(rack)
    grouped = groupby(shown, key=lambda rack: (rack.cluster, rack.zone, rack.block))
    return [Place(*place, tuple(rows)) for place, rows in grouped], len(racks) - len(shown)
