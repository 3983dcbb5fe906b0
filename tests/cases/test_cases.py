"""Situations that people reported in public, read over HTTP by the real collectors and evaluated by the real domain."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cases.expectations import differences
from tests.cases.runs import load, names, run


@pytest.mark.parametrize("name", names())
def test_what_is_right_of_a_reported_situation(name: str, tmp_path: Path) -> None:
    case = load(name)
    wrong = differences(case, run(case, tmp_path))
    assert not wrong, "\n".join([case["situation"], *wrong])
