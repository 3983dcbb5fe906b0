"""A node's slots as drawings: whole cards, cards cut by MIG, cards that are shared. Pure functions from figures to cells.

What is drawn is how many, not which: unless somebody named the holders (DRA), requested slots are filled from the left.
States of a cell: requested, free, broken (should be there and is not allocatable), unknown.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
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
    noun = "devices" if resource["kind"] in ("partition", "vgpu", "custom", "passthrough") else "cards"
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


def _mig(resources: Sequence[Resource], info: Mapping[str, Any]) -> Drawing | None:
    model = find(info.get("product") or "")
    geometry = geometry_of(model)
    width = geometry.compute_slices if geometry else 7
    slices = [one for resource in resources for one in _slices(resource)]
    if not slices or len(slices) > MOST_DRAWN:
        return None
    placed = _named(info) if len(info.get("mig_devices") or ()) == len(slices) else None
    cards = placed or _pack(slices, width, geometry, {one.profile: _most(one.profile, model) for one in slices})
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


def _pack(slices: Sequence[_Slice], width: int, geometry: Geometry | None, most: Mapping[str, int]) -> list[list[_Slice]]:
    """Instances onto as few cards as hold them, large ones first: by compute slices, memory slices and each profile's limit."""
    memory_slices = geometry.memory_slices if geometry else 8
    named = geometry.profiles if geometry else most
    smallest = min((parsed.memory_gb for name in named if (parsed := parse_profile(name))), default=1)
    cards: list[list[_Slice]] = []
    room: list[list[int]] = []
    for one in sorted(slices, key=lambda item: -(item.parsed.gpu_slices if item.parsed else 1)):
        compute = one.parsed.gpu_slices if one.parsed else 1
        memory = min(memory_slices, max(1, round(one.parsed.memory_gb / smallest))) if one.parsed else 1
        for card, left in zip(cards, room, strict=True):
            alike = sum(1 for other in card if other.profile == one.profile)
            if left[0] >= compute and left[1] >= memory and alike < most[one.profile]:
                break
        else:
            card, left = [], [width, memory_slices]
            cards.append(card)
            room.append(left)
        card.append(one)
        left[0] -= compute
        left[1] -= memory
    return cards


def _drawn(card: Sequence[_Slice], width: int) -> list[dict[str, Any]]:
    drawn: list[dict[str, Any]] = []
    unused = width
    for one in card:
        span = min(width, one.parsed.gpu_slices if one.parsed else 1)
        drawn.append({"profile": one.profile, "short": _short(one.profile), "span": span, "state": one.state})
        unused -= span
    drawn += [{"profile": "in no instance", "short": "", "span": 1, "state": "unused"}] * max(0, unused)
    return drawn


def _short(profile: str) -> str:
    """`1g.10gb+me` → `1g+me`: what fits into a slice; the whole name is its title."""
    head, dot, tail = profile.rpartition(".")
    attribute = tail[tail.index("gb") + 2 :] if dot and "gb" in tail else ""
    return f"{head}{attribute}" if dot else profile
