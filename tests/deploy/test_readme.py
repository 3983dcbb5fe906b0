"""Commands of the README can be pasted into zsh, which takes # for a word and looks for files that match [, ? and *."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

README = (Path(__file__).parents[2] / "README.md").read_text()
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")
COMMANDS = [
    line
    for block in re.findall(r"^```(?:sh|bash|shell|console)?\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    for line in block.splitlines()
    if line.strip()
]


def test_there_are_commands() -> None:
    assert sum(line.startswith(("kubectl", "python3", "curl")) for line in COMMANDS) > 6


@pytest.mark.parametrize("line", COMMANDS)
def test_nothing_unquoted_is_special_to_zsh(line: str) -> None:
    bare = _QUOTED.sub("", line)
    assert not set(bare) & set("#[]?*…"), bare
