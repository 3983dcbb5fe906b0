"""Drawings of a node's slots: whole, MIG-partitioned and shared GPUs.

In: figures of each resource and, with DRA, the named pods. Out: Drawings, every slot one cell. A drawing shows how many slots,
not which: without named pods, requested slots are filled from the left.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal, NamedTuple, TypeAlias

import msgspec

from fleet.domain.catalog.gpus import Geometry, GpuModel, find, geometry_of
from fleet.domain.devices.gpus import MigDevice
from fleet.domain.devices.mig import Profile, fit, parse_profile
from fleet.domain.devices.slots import ResourceSlots

MOST_DRAWN = 192
"""Most slots of one resource in a drawing."""

State: TypeAlias = Literal["requested", "free", "broken", "unknown", "squatter", "unused"]
"""broken: expected and not allocatable; unused: a part of a GPU in no MIG instance."""


class Cell(msgspec.Struct, frozen=True, gc=False):
    """One slot: a whole GPU or one share of it."""

    state: State
    number: str = ""


class Slice(msgspec.Struct, frozen=True, gc=False):
    """One MIG instance on its GPU; `span` counts compute slices."""

    profile: str
    short: str
    span: int
    state: State


class Card(msgspec.Struct, frozen=True):
    """One GPU that is partitioned or shared."""

    slices: tuple[Slice, ...] = ()
    shares: tuple[Cell, ...] = ()
    number: str = ""

    @property
    def is_broken(self) -> bool:
        """Returns whether every slot of it is broken."""
        states = {part.state for part in self.slices} | {share.state for share in self.shares}
        return states - {"unused"} == {"broken"}


class Drawing(msgspec.Struct, frozen=True, kw_only=True):
    """The slots of one resource; all MIG profiles together are one drawing."""

    kind: Literal["full", "mig", "shared"]
    resource: str
    noun: str
    """Name of a slot, in the plural: GPUs, devices, shares, MIG slices."""
    cells: tuple[Cell, ...] = ()
    cards: tuple[Card, ...] = ()
    width: int = 0
    """Compute slices of one MIG-partitioned GPU."""
    shares: int = 1
    """Pods that share one slot's GPU or MIG instance."""
    numbered: bool = False

    @property
    def counts(self) -> Counter[State]:
        """Returns slots by state, without the unused parts of GPUs."""
        states = [cell.state for cell in self.cells]
        for card in self.cards:
            states += [resource_slice.state for resource_slice in card.slices if resource_slice.state != "unused"]
            states += [share.state for share in card.shares]
        return Counter(states)


class Drawn(msgspec.Struct, frozen=True, kw_only=True):
    """What is drawn of a node."""

    product: str = ""
    physical: int | None = None
    resources: tuple[ResourceSlots, ...] = ()
    gpus_held: tuple[bool | None, ...] = ()
    """Of each GPU whether a claim or pod uses it; None where that is not known per GPU."""
    instances: tuple[MigDevice, ...] = ()


def drawings(node: Drawn) -> list[Drawing]:
    """Returns one drawing per advertised or expected resource (all MIG profiles together)."""
    resources = [item for item in node.resources if _total(item)]
    cut = [resource for resource in resources if resource.kind in ("mig", "mig-shared", "dra-mig")]
    drawn: list[Drawing | None] = [
        _shared(entry) if _is_shared(entry) else _whole(entry, node) for entry in resources if entry not in cut
    ]
    if cut:
        drawn.append(_mig(cut, node))
    return [row for row in drawn if row is not None]


def _total(resource: ResourceSlots) -> int:
    return max(resource.predicted or 0, resource.capacity or 0, resource.allocatable or 0)


def _is_shared(resource: ResourceSlots) -> bool:
    return resource.kind == "shared" or (resource.replicas or 1) > 1


def states(total: int, allocatable: int | None, requested: int | None) -> list[State]:
    """Returns the cells of `total` slots: requested, then free, then expected ones that are not allocatable."""
    unknown: State = "unknown"
    if allocatable is None:
        return [unknown] * total
    broken = max(0, total - allocatable)
    sound = total - broken
    taken = 0 if requested is None else max(0, min(requested, sound))
    free: State = unknown if requested is None else "free"
    counts: list[tuple[State, int]] = [("requested", taken), (free, sound - taken), ("broken", broken)]
    return [state for state, count in counts for _ in range(count)]


def _states_of(resource: ResourceSlots) -> list[State]:
    """Returns the cells of a resource. Of DRA devices as many are free as the allocator gives out.

    Who holds a device that is kept back holds none of the allocatable ones, and counters may keep free ones from every claim.
    """
    total, free = _total(resource), resource.free
    if not resource.kind.startswith("dra-") or free is None or resource.requested is None or resource.allocatable is None:
        return states(total, resource.allocatable, resource.requested)
    open_ = max(0, min(free, total))
    taken = max(0, min(resource.requested, total - open_))
    counts: list[tuple[State, int]] = [("requested", taken), ("free", open_), ("broken", total - open_ - taken)]
    return [state for state, count in counts for _ in range(count)]


def _cells(states: Iterable[State]) -> tuple[Cell, ...]:
    return tuple(Cell(state, str(place)) for place, state in enumerate(states))


def _whole(resource: ResourceSlots, node: Drawn) -> Drawing | None:
    total = _total(resource)
    if total > MOST_DRAWN:
        return None
    cells = _states_of(resource)
    known = [held for held in node.gpus_held if held is not None]
    if resource.kind == "dra-gpu" and len(known) == total and known.count(False) == resource.free:
        cells = ["requested" if held else "free" for held in known]
    noun = "devices" if resource.kind in ("partition", "dra-partition", "vgpu", "custom", "passthrough") else "GPUs"
    return Drawing(kind="full", resource=resource.name, noun=noun, cells=_cells(cells))


def _shared(resource: ResourceSlots) -> Drawing | None:
    total, replicas = _total(resource), resource.replicas
    if total > MOST_DRAWN or not replicas:
        return None
    cells = _states_of(resource)
    cards = tuple(Card(shares=_cells(cells[at : at + replicas])) for at in range(0, total, replicas))
    return Drawing(kind="shared", resource=resource.name, noun="shares", cards=cards, shares=replicas)


class _Slice(NamedTuple):
    profile: str
    parsed: Profile | None
    state: State

    @property
    def compute(self) -> int:
        """Returns the compute slices it takes."""
        return self.parsed.gpu_slices if self.parsed else 1


def _mig(resources: Sequence[ResourceSlots], node: Drawn) -> Drawing | None:
    model = find(node.product)
    geometry = geometry_of(model)
    width = geometry.compute_slices if geometry else 7
    slices = [resource_slice for resource in resources for resource_slice in _slices(resource)]
    if not slices or len(slices) > MOST_DRAWN:
        return None
    placed = _named(node) if len(node.instances) == len(slices) else None
    room = _Room(width, geometry, {item.profile: _most(item.profile, model) for item in slices})
    whole = sum(_total(entry) for entry in node.resources if entry.kind == "gpu")
    cards = placed or _lay(slices, room, max(0, (node.physical or 0) - whole))
    shares = max((resource.replicas or 1) for resource in resources)
    return Drawing(
        kind="mig",
        resource=resources[0].name,
        noun="MIG slices",
        cards=tuple(Card(slices=_drawn(card, width)) for card in cards),
        width=width,
        shares=shares,
    )


def _most(profile: str, model: GpuModel | None) -> int:
    result = fit(profile, model)
    return result.most if result else 1


def _slices(resource: ResourceSlots) -> list[_Slice]:
    """Returns the MIG instances behind a resource; with replicas one instance makes several slots."""
    replicas = resource.replicas or 1
    profile = resource.profile or ""
    cells = states(_total(resource), resource.allocatable, resource.requested)
    groups = [cells[at : at + replicas] for at in range(0, len(cells), replicas)]
    worst = ("requested", "broken", "unknown", "free")
    return [_Slice(profile, parse_profile(profile), next(s for s in worst if s in group)) for group in groups]


def _named(node: Drawn) -> list[list[_Slice]] | None:
    """Returns the instances on their GPUs, where each names its GPU."""
    by_card: dict[str, list[_Slice]] = {}
    for item in node.instances:
        if not item.parent_uuid:
            return None
        held: dict[bool | None, State] = {True: "requested", False: "free", None: "unknown"}
        state = held[item.held]
        by_card.setdefault(item.parent_uuid, []).append(_Slice(item.profile, parse_profile(item.profile), state))
    return list(by_card.values())


class _Room:
    """Free room on one GPU: compute slices, memory slices, and each profile's own limit."""

    def __init__(self, width: int, geometry: Geometry | None, most: Mapping[str, int]) -> None:
        named = geometry.profiles if geometry else most
        self.compute = width
        self.memory = geometry.memory_slices if geometry else 8
        self.most = most
        self.smallest = min((parsed.memory_gb for name in named if (parsed := parse_profile(name))), default=1)

    def takes(self, card: Sequence[_Slice], __slice: _Slice) -> bool:
        together = [*card, __slice]
        return (
            sum(item.compute for item in together) <= self.compute
            and sum(self.memory_of(item) for item in together) <= self.memory
            and sum(1 for item in together if item.profile == __slice.profile) <= self.most[__slice.profile]
        )

    def memory_of(self, __slice: _Slice) -> int:
        return min(self.memory, max(1, round(__slice.parsed.memory_gb / self.smallest))) if __slice.parsed else 1


def _lay(slices: Sequence[_Slice], room: _Room, cards: int) -> list[list[_Slice]]:
    """Returns instances placed on GPUs, large ones first: all `cards` alike if possible, else on as few as fit, else spread.

    `cards` is 0 where the number of GPUs with instances is unknown.
    """
    profiles = sorted(
        {resource_slice.profile for resource_slice in slices},
        key=lambda name: -next(s.compute for s in slices if s.profile == name),
    )
    of = {name: [item for item in slices if item.profile == name] for name in profiles}
    if cards and all(len(entry) % cards == 0 for entry in of.values()):
        each = {name: len(rows) // cards for name, rows in of.items()}
        return [[row for name in profiles for row in of[name][at * each[name] : (at + 1) * each[name]]] for at in range(cards)]
    ordered = [result for name in profiles for result in of[name]]
    packed = _place(ordered, room, [], lambda card: 0)
    if cards and len(packed) > cards:
        packed = _place(ordered, room, [[] for _ in range(cards)], lambda card: sum(value.compute for value in card))
    return packed


def _place(
    slices: Sequence[_Slice], room: _Room, cards: list[list[_Slice]], rank: Callable[[list[_Slice]], int]
) -> list[list[_Slice]]:
    """Returns each instance on the first GPU with room, in the order of `rank`; a new GPU where none has."""
    for resource_slice in slices:
        card = next((card for card in sorted(cards, key=rank) if room.takes(card, resource_slice)), None)
        if card is None:
            card = []
            cards.append(card)
        card.append(resource_slice)
    return [card for card in cards if card]


def _drawn(card: Sequence[_Slice], width: int) -> tuple[Slice, ...]:
    drawn = [Slice(item.profile, _short(item.profile), min(width, item.compute), item.state) for item in card]
    unused = max(0, width - sum(entry.span for entry in drawn))
    return (*drawn, *[Slice("unused", "", 1, "unused")] * unused)


def mig_card(instances: Iterable[tuple[str, State]], width: int, number: str) -> Card:
    """Returns a GPU of `width` compute slices with these instances, each a profile and its state."""
    card = [_Slice(profile, parse_profile(profile), state) for profile, state in instances]
    return Card(slices=_drawn(card, width), number=number)


def _short(profile: str) -> str:
    """Returns `1g+me` for `1g.10gb+me`: the whole name is its title."""
    head, dot, tail = profile.rpartition(".")
    attribute = tail[tail.index("gb") + 2 :] if dot and "gb" in tail else ""
    return f"{head}{attribute}" if dot else profile
