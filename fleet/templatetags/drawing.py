"""A node's slots as drawings: whole cards, cards cut by MIG, cards that are shared. Pure functions from figures to cells.

What is drawn is how many, not which: unless somebody named the holders (DRA), requested slots are filled from the left.
States of a cell: requested, free, broken (should be there and is not allocatable), unknown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from fleet.domain.catalog.gpus import Geometry, find, geometry_of
from fleet.domain.mig import Profile, fit, parse_profile
from fleet.templatetags.formats import number

MOST_DRAWN = 192
"""Slots of one resource beyond which a drawing tells less than its figures."""

Resource = Mapping[str, Any]
Drawing = dict[str, Any]


def drawings(info: Mapping[str, Any]) -> list[Drawing]:
    """One drawing per resource that is offered or should be (all MIG profiles together); `info` is a NodeDevices as a dict."""
    resources: Sequence[Resource] = [one for one in info.get("resources") or () if _total(one)]
    cut = [one for one in resources if one["kind"] in ("mig", "mig-shared", "dra-mig")]
    drawn: list[Drawing | None] = [_shared(one) if _is_shared(one) else _whole(one, info) for one in resources if one not in cut]
    if cut:
        drawn.append(_mig(cut, info))
    return [one for one in drawn if one is not None]


def _total(resource: Resource) -> int:
    return max(resource.get("predicted") or 0, resource.get("capacity") or 0, resource.get("allocatable") or 0)


def _is_shared(resource: Resource) -> bool:
    return resource["kind"] == "shared" or (resource.get("replicas") or 1) > 1


def states(total: int, allocatable: int | None, requested: int | None) -> list[str]:
    """The cells of `total` slots: requested ones first, then free ones, then those that should be allocatable and are not."""
    if allocatable is None:
        return ["unknown"] * total
    broken = max(0, total - allocatable)
    sound = total - broken
    if requested is None:
        return ["unknown"] * sound + ["broken"] * broken
    taken = max(0, min(requested, sound))
    return ["requested"] * taken + ["free"] * (sound - taken) + ["broken"] * broken


def words(noun: str, cells: Sequence[str]) -> str:
    """A drawing for those who do not see it: `8 cards: 5 requested, 2 free, 1 not allocatable`."""
    told = {"requested": "requested", "free": "free", "broken": "not allocatable", "unknown": "use unknown"}
    counts = [f"{number(cells.count(state))} {word}" for state, word in told.items() if state in cells]
    return f"{number(len(cells))} {noun}: {', '.join(counts)}"


def _cells(found: Iterable[str]) -> list[dict[str, Any]]:
    return [{"state": state, "number": place} for place, state in enumerate(found)]


def _drawing(kind: str, resource: Resource, label: str, **more: Any) -> Drawing:
    return {"kind": kind, "resource": resource["name"], "label": label, "note": "", **more}


def _whole(resource: Resource, info: Mapping[str, Any]) -> Drawing | None:
    total = _total(resource)
    if total > MOST_DRAWN:
        return None
    cells = states(total, resource.get("allocatable"), resource.get("requested"))
    named = [card for card in info.get("cards") or () if card.get("held") is not None]
    if resource["kind"] == "dra-gpu" and len(named) == total:
        cells = ["requested" if card["held"] else "free" for card in named]
    noun = "devices" if resource["kind"] in ("partition", "dra-partition", "vgpu", "custom", "passthrough") else "cards"
    return _drawing("full", resource, words(noun, cells), cells=_cells(cells))


def _shared(resource: Resource) -> Drawing | None:
    total, replicas = _total(resource), resource.get("replicas")
    if total > MOST_DRAWN or not replicas:
        return None
    cells = states(total, resource.get("allocatable"), resource.get("requested"))
    cards = [{"shares": _cells(cells[at : at + replicas])} for at in range(0, total, replicas)]
    note = f"{number(len(cards))} {'card' if len(cards) == 1 else 'cards'}, {replicas} shares each, no walls"
    return _drawing("shared", resource, words("shares", cells), cards=cards, note=note)


class _Slice(NamedTuple):
    profile: str
    parsed: Profile | None
    state: str

    @property
    def compute(self) -> int:
        """Compute slices it takes."""
        return self.parsed.gpu_slices if self.parsed else 1


def _mig(resources: Sequence[Resource], info: Mapping[str, Any]) -> Drawing | None:
    model = find(info.get("product") or "")
    geometry = geometry_of(model)
    width = geometry.compute_slices if geometry else 7
    slices = [one for resource in resources for one in _slices(resource)]
    if not slices or len(slices) > MOST_DRAWN:
        return None
    placed = _named(info) if len(info.get("mig_devices") or ()) == len(slices) else None
    room = _Room(width, geometry, {one.profile: _most(one.profile, model) for one in slices})
    whole = sum(_total(one) for one in info.get("resources") or () if one["kind"] == "gpu")
    cards = placed or _lay(slices, room, max(0, (info.get("physical") or 0) - whole))
    shares = max((resource.get("replicas") or 1) for resource in resources)
    note = f"each slice is shared by {shares}, without walls inside" if shares > 1 else ""
    return _drawing(
        "mig",
        resources[0],
        words("MIG slices", [one.state for card in cards for one in card]),
        cards=[{"slices": _drawn(card, width)} for card in cards],
        width=width,
        note=note,
    )


def _most(profile: str, model: Any) -> int:
    found = fit(profile, model)
    return found.most if found else 1


def _slices(resource: Resource) -> list[_Slice]:
    """The MIG instances behind a resource; with replicas one instance stands for several slots."""
    replicas = resource.get("replicas") or 1
    profile = resource.get("profile") or ""
    cells = states(_total(resource), resource.get("allocatable"), resource.get("requested"))
    groups = [cells[at : at + replicas] for at in range(0, len(cells), replicas)]
    worst = ("requested", "broken", "unknown", "free")
    return [_Slice(profile, parse_profile(profile), next(s for s in worst if s in group)) for group in groups]


def _named(info: Mapping[str, Any]) -> list[list[_Slice]] | None:
    """The instances on the cards that really carry them, where each names its card."""
    by_card: dict[str, list[_Slice]] = {}
    for one in info["mig_devices"]:
        if not one.get("parent_uuid"):
            return None
        state = {True: "requested", False: "free", None: "unknown"}[one.get("held")]
        by_card.setdefault(one["parent_uuid"], []).append(_Slice(one["profile"], parse_profile(one["profile"]), state))
    return list(by_card.values())


class _Room:
    """What fits on one card: compute slices, memory slices, and each profile's own limit."""

    def __init__(self, width: int, geometry: Geometry | None, most: Mapping[str, int]) -> None:
        named = geometry.profiles if geometry else most
        self.compute = width
        self.memory = geometry.memory_slices if geometry else 8
        self.most = most
        self.smallest = min((parsed.memory_gb for name in named if (parsed := parse_profile(name))), default=1)

    def takes(self, card: Sequence[_Slice], one: _Slice) -> bool:
        together = [*card, one]
        return (
            sum(item.compute for item in together) <= self.compute
            and sum(self.memory_of(item) for item in together) <= self.memory
            and sum(1 for item in together if item.profile == one.profile) <= self.most[one.profile]
        )

    def memory_of(self, one: _Slice) -> int:
        return min(self.memory, max(1, round(one.parsed.memory_gb / self.smallest))) if one.parsed else 1


def _lay(slices: Sequence[_Slice], room: _Room, cards: int) -> list[list[_Slice]]:
    """Instances onto cards, large ones first: all `cards` alike where that works out, else on as few as hold them, else spread.

    `cards` is 0 where nobody knows how many carry instances.
    """
    profiles = sorted({one.profile for one in slices}, key=lambda name: -next(s.compute for s in slices if s.profile == name))
    of = {name: [one for one in slices if one.profile == name] for name in profiles}
    if cards and all(len(found) % cards == 0 for found in of.values()):
        each = {name: len(found) // cards for name, found in of.items()}
        return [[one for name in profiles for one in of[name][at * each[name] : (at + 1) * each[name]]] for at in range(cards)]
    ordered = [one for name in profiles for one in of[name]]
    packed = _place(ordered, room, [], lambda card: 0)
    if cards and len(packed) > cards:
        packed = _place(ordered, room, [[] for _ in range(cards)], lambda card: sum(one.compute for one in card))
    return packed


def _place(
    slices: Sequence[_Slice], room: _Room, cards: list[list[_Slice]], rank: Callable[[list[_Slice]], int]
) -> list[list[_Slice]]:
    """Each instance onto the first card that takes it, in the order of `rank`; a new card where none does."""
    for one in slices:
        card = next((card for card in sorted(cards, key=rank) if room.takes(card, one)), None)
        if card is None:
            card = []
            cards.append(card)
        card.append(one)
    return [card for card in cards if card]


def _drawn(card: Sequence[_Slice], width: int) -> list[dict[str, Any]]:
    drawn: list[dict[str, Any]] = []
    unused = width
    for one in card:
        span = min(width, one.compute)
        drawn.append({"profile": one.profile, "short": _short(one.profile), "span": span, "state": one.state})
        unused -= span
    drawn += [{"profile": "in no instance", "short": "", "span": 1, "state": "unused"}] * max(0, unused)
    return drawn


def _short(profile: str) -> str:
    """`1g.10gb+me` → `1g+me`: what fits into a slice; the whole name is its title."""
    head, dot, tail = profile.rpartition(".")
    attribute = tail[tail.index("gb") + 2 :] if dot and "gb" in tail else ""
    return f"{head}{attribute}" if dot else profile
