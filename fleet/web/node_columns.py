"""The columns of the list of nodes: names, default set, partial of each cell, and order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.db.models import F

from fleet.selectors.nodes import nodes

if TYPE_CHECKING:
    from django.db.models import QuerySet

    from fleet.models import Node

WORST_FIRST = "verdict"
"""The default order of the list."""


@dataclass(frozen=True, slots=True)
class Column:
    name: str
    label: str
    sort_field: str
    default: bool = True
    number: bool = False

    @property
    def template(self) -> str:
        """Returns the partial that draws a cell; it gets the page's context with `node`."""
        return f"nodes/columns/_{self.name}.html"

    @property
    def css(self) -> str:
        return f"col-{self.name}{' num' if self.number else ''}"

    @property
    def marks_changes(self) -> bool:
        """Whether the browser marks a cell that changed in a refresh."""
        return self.number or self.name in ("state", "verdict")


COLUMNS = (
    Column("name", "Node", "name"),
    Column("cluster", "Cluster", "cluster__name"),
    Column("verdict", "Verdict", "verdict_since"),
    Column("reason", "Reason", "verdict_reason"),
    Column("since", "Since", "verdict_since"),
    Column("ladder", "Ladder", "reached"),
    Column("state", "State", "state", default=False),
    Column("product", "Product", "product"),
    Column("mode", "Mode", "mode"),
    Column("physical", "GPUs", "physical", number=True),
    Column("capacity", "Slots", "slots_capacity", number=True, default=False),
    Column("allocatable", "Allocatable", "slots_allocatable", number=True),
    Column("requested", "Requested", "slots_requested", number=True),
    Column("free", "Free", "slots_free", number=True),
    Column("zone", "Zone", "zone", default=False),
    Column("machine_type", "Machine type", "machine_type", default=False),
    Column("driver", "Driver", "driver_version", default=False),
    Column("kubelet", "Kubelet", "kubelet_version", default=False),
)
_BY_NAME = {column.name: column for column in COLUMNS}


@dataclass(frozen=True, slots=True)
class Sort:
    name: str
    descending: bool


def sort_of(text: str) -> Sort:
    """Parses `free` or `-free`; anything unknown is worst first."""
    name = text.removeprefix("-")
    return Sort(name, text.startswith("-")) if name in _BY_NAME else Sort(WORST_FIRST, descending=False)


def ordered(queryset: QuerySet[Node], sort: Sort) -> QuerySet[Node]:
    """Sorts nodes by a column: verdicts by severity and then newest first; unknown values last either way."""
    last = ("cluster__name", "name", "id")
    if sort.name == WORST_FIRST:
        severity = nodes.VERDICT_SEVERITY.desc() if sort.descending else nodes.VERDICT_SEVERITY.asc()
        return queryset.order_by(severity, F("verdict_since").desc(nulls_last=True), *last)
    field = F(_BY_NAME[sort.name].sort_field)
    return queryset.order_by(field.desc(nulls_last=True) if sort.descending else field.asc(nulls_last=True), *last)


def chosen(names: list[str]) -> list[Column]:
    """Returns the named columns in their fixed order, always with the node's name; the default set where none is named."""
    wanted = {part for name in names for part in name.split(",")} & set(_BY_NAME)
    return [column for column in COLUMNS if column.name == "name" or (column.name in wanted if wanted else column.default)]
