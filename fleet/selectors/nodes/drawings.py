"""The slots of a node drawn: filled from the pods on each GPU, with the cross on the GPU that is lost."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from fleet.domain.devices import drawing
from fleet.domain.devices.gpus import MigDevice
from fleet.models import Node
from fleet.selectors.figures import figures_of
from fleet.selectors.nodes.gpu_rows import GpuRow, GpuTable, SlotDrawing


def slot_drawings(node: Node, table: GpuTable) -> list[SlotDrawing]:
    """Returns one drawing per resource; where it is the only one and telemetry names every GPU, each GPU in its place."""
    instances = node.mig_instance_rows.order_by("position")
    recorded = drawing.Drawn(
        product=node.product,
        physical=node.physical,
        resources=figures_of(node).resources,
        gpus_held=tuple(node.gpus.order_by("position").values_list("held", flat=True)),
        instances=tuple(MigDevice(profile=row.profile, parent_uuid=row.gpu_uuid, held=row.held) for row in instances),
    )
    return place_gpus(recorded, table)


def place_gpus(recorded: drawing.Drawn, table: GpuTable) -> list[SlotDrawing]:
    """Returns what was recorded of a node, drawn with the GPUs of its table."""
    drawn = drawing.drawings(recorded)
    if len(drawn) == 1 and table.measured:
        placed = _placed(drawn[0], table.rows)
        if placed is not None:
            return [SlotDrawing(placed, is_measured=True)]
    return [SlotDrawing(item) for item in drawn]


def _placed(drawn: drawing.Drawing, rows: Sequence[GpuRow]) -> drawing.Drawing | None:
    """Returns the drawing with every GPU in its place; None where no more than the number of slots is known."""
    if drawn.kind == "full":
        return _whole(drawn, rows)
    if len(drawn.cards) != len(rows):
        return None
    return _shared(drawn, rows) if drawn.kind == "shared" else _mig(drawn, rows)


def _whole(drawn: drawing.Drawing, rows: Sequence[GpuRow]) -> drawing.Drawing | None:
    if len(drawn.cells) != len(rows):
        return None
    if any(row.pods for row in rows):
        cells = tuple(drawing.Cell(_use(row), row.index) for row in rows)
        return msgspec.structs.replace(drawn, cells=cells, numbered=True)
    broken = _broken(rows, drawn.counts["broken"])
    if not broken:
        return None
    rest = [cell.state for cell in drawn.cells if cell.state != "broken"]
    cells = tuple(
        drawing.Cell("broken" if place in broken else rest.pop(0) if rest else "unknown", row.index)
        for place, row in enumerate(rows)
    )
    # Which of the sound GPUs are requested is unknown unless all of them or none are: then a number names its GPU.
    sound = {cell.state for cell in cells if cell.state != "broken"}
    return msgspec.structs.replace(drawn, cells=cells, numbered=len(sound) <= 1)


def _shared(drawn: drawing.Drawing, rows: Sequence[GpuRow]) -> drawing.Drawing | None:
    """Fills each GPU by the number of its pods, where those are as many as the shares that are requested."""
    each = drawn.shares
    broken = _broken(rows, drawn.counts["broken"] // each)
    requested = drawn.counts["requested"]
    known = 0 < requested == sum(len(row.pods) for row in rows) and all(len(row.pods) <= each for row in rows)
    if not broken and not known:
        return None
    rest = [share for card in drawn.cards for share in card.shares if share.state != "broken"]
    cards = []
    for place, row in enumerate(rows):
        if place in broken:
            shares = [drawing.Cell("broken")] * each
        elif known:
            shares = [*[drawing.Cell("requested")] * len(row.pods), *[drawing.Cell("free")] * (each - len(row.pods))]
        else:
            shares, rest = rest[:each], rest[each:]
            shares += [drawing.Cell("unknown")] * (each - len(shares))
        cards.append(drawing.Card(shares=tuple(shares), number=row.index))
    return msgspec.structs.replace(drawn, cards=tuple(cards), numbered=known)


def _mig(drawn: drawing.Drawing, rows: Sequence[GpuRow]) -> drawing.Drawing | None:
    """Draws the instances of each GPU as telemetry names them, where those are as many as the node advertises."""
    slices = [piece for card in drawn.cards for piece in card.slices if piece.state != "unused"]
    named = [mig for row in rows for mig in row.migs]
    if len(named) != len(slices) or sorted(mig.profile for mig in named) != sorted(piece.profile for piece in slices):
        return None
    broken = _broken(rows, 0)
    if not broken and not any(mig.pods for mig in named):
        return None
    cards = tuple(
        drawing.mig_card(
            [(mig.profile, "broken" if place in broken else "requested" if mig.pods else "free") for mig in row.migs],
            drawn.width,
            row.index,
        )
        for place, row in enumerate(rows)
    )
    return msgspec.structs.replace(drawn, cards=cards, numbered=True)


def _broken(rows: Sequence[GpuRow], not_allocatable: int) -> set[int]:
    """Returns the places of lost GPUs; then, up to the number that is not allocatable, of those with a severe finding."""
    lost = [place for place, row in enumerate(rows) if row.gone]
    severe = [place for place, row in enumerate(rows) if row.broken and not row.gone]
    return {*lost, *severe[: max(0, not_allocatable - len(lost))]}


def _use(row: GpuRow) -> drawing.State:
    return "broken" if row.gone else "squatter" if row.squatted else "requested" if row.pods else "free"
