"""What a model needs and where it fits on this fleet: the same answer for page, API and command line."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from fleet.domain.classes.workload import NODES, NVLINK_DOMAIN, ClassSpec, sized
from fleet.domain.placement.nodes import FULL, MIG
from fleet.domain.sizing.layouts import Layout, Product
from fleet.domain.sizing.products import product_name, products
from fleet.domain.sizing.size import Question, Sizing, size
from fleet.selectors import declarations
from fleet.selectors.placement import headroom as rooms


@dataclass(frozen=True, slots=True)
class FittingClass:
    """A workload class in which a layout fits."""

    slug: str
    title: str
    layout: Layout
    gpus: int
    """Slots per replica to ask for."""
    replicas_now: int


@dataclass(frozen=True, slots=True)
class FleetSizing:
    """The sizing of a model over the products of this fleet, and the classes in which it fits."""

    sizing: Sizing
    products: tuple[Product, ...]
    classes: tuple[FittingClass, ...]
    as_of: datetime | None
    """Moment of the oldest collection run it rests on."""


def size_model(question: Question, now: datetime, names: Collection[str] = ()) -> FleetSizing:
    """Returns the sizing over the fleet's products, or over those of `names`. Unknown names are ignored."""
    stock = rooms.stock(now)
    known = products(stock.fleet.nodes)
    chosen = [product for product in known if not names or product.name in names]
    sizing = size(question, chosen)
    classes = [_fitting(declarations.spec_of(version), sizing, stock) for version in declarations.newest_versions().values()]
    fitting = sorted((row for row in classes if row is not None), key=lambda row: (-row.replicas_now, row.layout.gpus, row.slug))
    return FleetSizing(sizing, tuple(chosen), tuple(fitting), stock.as_of)


def product_names(now: datetime) -> tuple[str, ...]:
    """Returns the names of the products that the fleet has."""
    return tuple(product.name for product in products(rooms.stock(now).fleet.nodes))


def _fitting(spec: ClassSpec, sizing: Sizing, stock: rooms.Stock) -> FittingClass | None:
    """Returns the smallest layout that fits the class, with its headroom; None if none fits."""
    offered = _products_of(spec, stock)
    for layout in sorted(sizing.layouts, key=lambda layout: layout.gpus):
        if layout.fits and layout.product in offered and (gpus := _slots(spec, layout)):
            room = rooms.room(sized(spec, gpus), stock)
            return FittingClass(spec.slug, spec.title or spec.slug, layout, gpus, room.replicas)
    return None


def _products_of(spec: ClassSpec, stock: rooms.Stock) -> frozenset[str]:
    """Names of the products that the members of its pools have, as layouts name them."""
    nodes = [shape.node for pool in spec.pools for shape in stock.fleet.of_pool(pool)]
    names = {node.product for node in nodes if not spec.products or node.product in spec.products}
    return frozenset(product_name(name, spec.profile) for name in names)


def _slots(spec: ClassSpec, layout: Layout) -> int:
    """The number of slots per replica to ask for; 0 where the class does not give such a layout."""
    if spec.isolation not in (FULL, MIG) or (spec.isolation == MIG and layout.gpus > 1):
        return 0
    spans = spec.topology in (NODES, NVLINK_DOMAIN)
    if layout.nodes != (spec.nodes if spans else 1):
        return 0
    return next((choice for choice in spec.choices if choice >= layout.gpus), 0)
