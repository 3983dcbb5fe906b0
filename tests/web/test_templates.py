"""Checks that templates can be reviewed: short lines, and no cell with many branches."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fleet.web.node_columns import COLUMNS

TEMPLATES = Path(__file__).parents[2] / "templates"
LONGEST = 160
MOST_BRANCHES = 8


def test_no_template_line_is_longer_than_160_characters() -> None:
    too_long = [
        f"{path.relative_to(TEMPLATES)}:{number}"
        for path in sorted(TEMPLATES.rglob("*.html"))
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if len(line) > LONGEST
    ]
    assert not too_long, "\n".join(too_long)


@pytest.mark.parametrize("path", sorted(TEMPLATES.rglob("*.html")), ids=lambda path: str(path.relative_to(TEMPLATES)))
def test_no_template_branches_over_many_kinds(path: Path) -> None:
    assert len(re.findall(r"{% elif ", path.read_text(encoding="utf-8"))) <= MOST_BRANCHES


def test_every_column_of_the_node_list_has_its_partial() -> None:
    for column in COLUMNS:
        assert (TEMPLATES / column.template).is_file(), column.name
    drawn = {path.name for path in (TEMPLATES / "nodes" / "columns").iterdir()}
    assert drawn == {Path(column.template).name for column in COLUMNS}
