"""Short words for verdicts and broken rungs, for sums over many nodes: the sentence with its figures stands on each node."""

from __future__ import annotations

from fleet.domain.readiness.rungs import RUNGS
from fleet.domain.readiness.types import Verdict

_BY_ID = {rung.id: rung for rung in RUNGS}


def rung_title(rung: str) -> str:
    """What is so when the rung passes; an id that nobody knows any more stands as it is written."""
    known = _BY_ID.get(rung)
    return known.title if known else rung.replace("_", " ").capitalize()


def rung_number(rung: str) -> int:
    """Its place on the ladder; behind all others for an id that nobody knows any more."""
    known = _BY_ID.get(rung)
    return known.number if known else len(RUNGS)


def missing_words(verdict: str, broken_rung: str) -> str:
    """Why cards of such nodes cannot be counted on."""
    if verdict == Verdict.EXCLUDED:
        return "Taken out on purpose"
    if verdict == Verdict.STARTING:
        return "Starting"
    known = _BY_ID.get(broken_rung)
    if verdict == Verdict.UNKNOWN:
        return f"Not proved: {_inside(rung_title(broken_rung))}" if broken_rung else "Not judged yet"
    if verdict == Verdict.READY:
        return "Ready, but fewer cards than expected"
    return known.broken if known else rung_title(broken_rung) if broken_rung else "No reason recorded"


def _inside(words: str) -> str:
    """As it stands inside a sentence: GPUs and CUDA keep their capitals."""
    return words if words[1:2].isupper() else words[:1].lower() + words[1:]
