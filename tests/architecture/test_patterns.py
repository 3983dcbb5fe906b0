"""Regular expressions of Muster take time in proportion to the text: ten times the text, about ten times the time.

Texts come from clusters and from the network. An expression that tries every way to split a run of blanks takes 16 s for 20,000
of them. The attacks are runs of everything an expression may repeat, with an end that keeps it from matching.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import fleet

PIECES = (*(" \t\na0A-_./\\\"',={[(:<%é"), *(" a", "a=", "a,", '="a",', "a.", "a-", "0.", '\\"', "{a", " =", ", ", ".."))
ENDS = ("\0", "!")
LENGTHS = (100, 1_000, 10_000)
LINEAR, MEASURABLE_S = 40, 0.004
"""Linear is 10 from one length to the next, quadratic 100. What takes less than 4 ms is no danger at any ratio."""


def patterns() -> Iterator[tuple[str, re.Pattern[str] | re.Pattern[bytes]]]:
    """Every expression that a module of Muster keeps, by its place."""
    for module in pkgutil.walk_packages(fleet.__path__, "fleet."):
        if module.name.startswith(
            ("fleet.config.wsgi", "fleet.migrations", "fleet.management", "fleet.simulator", "fleet.embedded")
        ):
            continue
        for name, value in vars(importlib.import_module(module.name)).items():
            for item in value if isinstance(value, tuple | list) else value.values() if isinstance(value, dict) else [value]:
                if isinstance(item, re.Pattern):
                    yield f"{module.name}.{name}", item


def is_sought_anywhere(name: str, source: str) -> bool:
    """Whether the code looks for an expression at every place of a text, not at its beginning alone."""
    return re.search(rf"\b{name}\.(search|sub|subn|split|findall|finditer)\b", source) is not None


def seconds(act: Callable[[str], object], text: str) -> float:
    """The shortest of three tries, in seconds of this thread's processor time: other processes do not count."""
    best = float("inf")
    for _ in range(3):
        begin = time.thread_time()
        act(text)
        best = min(best, time.thread_time() - begin)
        if best < MEASURABLE_S:
            break
    return best


def growth(act: Callable[[str], object], piece: str, end: str) -> float:
    """How many times as long ten times the text takes; 0 where it is too short to be measured, or linear."""
    before = 0.0
    for length in LENGTHS:
        text = piece * (length // len(piece)) + end
        now = seconds(act, text)
        if now > MEASURABLE_S and before and now > LINEAR * before and (now := seconds(act, text)) > LINEAR * before:
            return now / before
        before = now
    return 0.0


def action(place: str, pattern: re.Pattern[str] | re.Pattern[bytes], source: str) -> Callable[[str], object]:
    act = pattern.search if is_sought_anywhere(place.rpartition(".")[2], source) else pattern.fullmatch
    return (lambda text: act(text.encode())) if isinstance(pattern.pattern, bytes) else act  # type: ignore[arg-type,return-value]


def test_time_grows_with_the_text_and_no_faster() -> None:
    importlib.import_module("fleet.config.urls")  # registers the converters that the rooms' addresses name
    source = "\n".join(path.read_text() for path in Path(fleet.__path__[0]).rglob("*.py"))
    every = {pattern: place for place, pattern in patterns()}
    assert len(every) > 50
    slow = {}
    for pattern, place in every.items():
        act = action(place, pattern, source)
        attack = next(((piece, end, times) for piece in PIECES for end in ENDS if (times := growth(act, piece, end))), None)
        if attack:
            slow[place] = attack
    assert slow == {}


def test_the_attack_finds_what_is_not_linear() -> None:
    assert growth(re.compile(r" +x").search, " ", "!") > LINEAR
    assert growth(re.compile(r" +!").search, " ", "!") == 0
    assert is_sought_anywhere("_X", "_X.search(text)")
    assert not is_sought_anywhere("_X", "_X.fullmatch(text) _Y.sub()")
