"""Draws the rooms of fleet/ and the imports between them as docs/img/architecture.svg: `make architecture`."""

from __future__ import annotations

import ast
import tomllib
from collections import Counter
from collections.abc import Iterator
from html import escape
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PICTURE = ROOT / "docs" / "img" / "architecture.svg"
WIDTH, ROW, BOX_WIDTH, BOX_HEIGHT = 980, 104, 172, 56
_HEAD = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="system-ui, sans-serif" role="img" '
    'aria-label="The rooms of fleet/ in layers, and how many imports lead from one to another">\n'
    '<rect width="100%" height="100%" fill="white"/>\n'
)


def layers() -> list[list[str]]:
    """Returns the rooms of each layer, highest first, as the import contract in pyproject.toml names them."""
    config = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    contract = next(contract for contract in config["contracts"] if contract["type"] == "layers")
    rows = [[room.strip(" ()") for room in layer.split("|")] for layer in contract["layers"]]
    return [
        [room for room in row if (ROOT / "fleet" / room).is_dir() or (ROOT / "fleet" / f"{room}.py").is_file()] for row in rows
    ]


def imports() -> Counter[tuple[str, str]]:
    """Returns how many import statements lead from one room to another."""
    counts: Counter[tuple[str, str]] = Counter()
    for path in sorted((ROOT / "fleet").rglob("*.py")):
        room = _room(path.relative_to(ROOT / "fleet").parts[0])
        for target in _targets(ast.parse(path.read_text())):
            if room != target and "migrations" not in (room, target):
                counts[room, target] += 1
    return counts


def _room(name: str) -> str:
    return name.removesuffix(".py")


def _targets(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "fleet":
            parts = node.module.split(".")
            yield from [parts[1]] if len(parts) > 1 else [alias.name for alias in node.names]


def arrows() -> set[str]:
    """Returns the pairs of rooms that the picture connects, as `source → target`."""
    known = {room for row in layers() for room in row}
    return {f"{source} → {target}" for source, target in imports() if {source, target} <= known}


def draw() -> str:
    """Returns the picture as SVG text: a row per layer, a box per room, a line per pair of rooms, as wide as its imports."""
    rows, counts = layers(), imports()
    place = {room: _place(number, column, len(row)) for number, row in enumerate(rows) for column, room in enumerate(row)}
    lines = [
        _line(place[source], place[target], count, f"{source} → {target}: {count} imports")
        for (source, target), count in sorted(counts.items())
        if source in place and target in place
    ]
    boxes = [_box(room, *place[room]) for row in rows for room in row]
    return _HEAD.format(width=WIDTH, height=ROW * len(rows) + 20) + "\n".join([*lines, *boxes, "</svg>"]) + "\n"


def _place(row: int, column: int, columns: int) -> tuple[float, float]:
    step = WIDTH / columns
    return step * column + (step - BOX_WIDTH) / 2, ROW * row + 20


def _line(source: tuple[float, float], target: tuple[float, float], count: int, title: str) -> str:
    x1, y1 = source[0] + BOX_WIDTH / 2, source[1] + BOX_HEIGHT
    x2, y2 = target[0] + BOX_WIDTH / 2, target[1]
    middle = (y1 + y2) / 2
    width = min(6.0, 0.6 + count / 25)
    return (
        f'<path d="M{x1:.0f} {y1:.0f} C{x1:.0f} {middle:.0f} {x2:.0f} {middle:.0f} {x2:.0f} {y2:.0f}" fill="none" '
        f'stroke="steelblue" stroke-opacity="0.4" stroke-width="{width:.1f}"><title>{escape(title)}</title></path>'
    )


def _box(room: str, x: float, y: float) -> str:
    init = ROOT / "fleet" / room / "__init__.py"
    first = (ast.get_docstring(ast.parse(init.read_text())) or "").split(".")[0] if init.exists() else ""
    rule = first.lower() if first.isupper() else ""
    middle, baseline = x + BOX_WIDTH / 2, y + (26 if rule else 34)
    return (
        f'<rect x="{x:.0f}" y="{y:.0f}" width="{BOX_WIDTH}" height="{BOX_HEIGHT}" rx="8" fill="aliceblue" stroke="steelblue"/>'
        f'<text x="{middle:.0f}" y="{baseline:.0f}" text-anchor="middle" font-size="16" font-weight="600">{room}</text>'
        f'<text x="{middle:.0f}" y="{y + 44:.0f}" text-anchor="middle" font-size="12" fill="dimgray">{rule}</text>'
    )


if __name__ == "__main__":
    PICTURE.write_text(draw())
    print(f"{PICTURE.relative_to(ROOT)} written")  # noqa: T201
