"""The columns of the list of nodes: which there are, which are shown, and how each sorts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db.models import F


@dataclass(frozen=True, slots=True)
class Column:
    name: str
    label: str
    sort_field: str
    default: bool = True
    number: bool = False


COLUMNS = (
    Column("name", "Node", "name"),
    Column("cluster", "Cluster", "cluster__name"),
    Column("verdict", "Verdict", "verdict"),
    Column("ladder", "Ladder", "reached"),
    Column("state", "State", "state", default=False),
    Column("product", "Product", "product"),
    Column("mode", "Mode", "mode"),
    Column("physical", "Physical GPUs", "physical", number=True),
    Column("capacity", "Slots", "slots_capacity", number=True, default=False),
    Column("allocatable", "Allocatable", "slots_allocatable", number=True),
    Column("requested", "Requested", "slots_requested", number=True),
    Column("free", "Free", "slots_free", number=True),
    Column("zone", "Zone", "zone", default=False),
    Column("machine_type", "Machine type", "machine_type", default=False),
    Column("driver", "Driver", "driver_version"),
    Column("kubelet", "Kubelet", "kubelet_version", default=False),
    Column("since", "Verdict since", "verdict_since"),
)
_BY_NAME = {column.name: column for column in COLUMNS}


@dataclass(frozen=True, slots=True)
class Sort:
    name: str
    descending: bool


def sort_of(text: str) -> Sort:
    """`free` or `-free`; anything unknown sorts by name."""
    name = text.removeprefix("-")
    return Sort(name, text.startswith("-")) if name in _BY_NAME else Sort("name", descending=False)


def ordered(queryset: Any, sort: Sort) -> Any:
    """Unknown values stand last whichever way."""
    field = F(_BY_NAME[sort.name].sort_field)
    direction = field.desc(nulls_last=True) if sort.descending else field.asc(nulls_last=True)
    return queryset.order_by(direction, "cluster__name", "name", "id")


def chosen(names: list[str]) -> list[Column]:
    """The named columns in their fixed order; the node's name always; the default set where none is named."""
    wanted = {part for name in names for part in name.split(",")} & set(_BY_NAME)
    return [column for column in COLUMNS if column.name == "name" or (column.name in wanted if wanted else column.default)]
