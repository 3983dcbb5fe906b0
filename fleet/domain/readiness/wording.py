"""Short words for verdicts and broken rungs, for sums over many nodes."""

from __future__ import annotations

from fleet.domain.readiness.rungs import RUNGS
from fleet.domain.readiness.types import Verdict

_BY_ID = {rung.id: rung for rung in RUNGS}


def rung_title(rung: str) -> str:
    """Returns the rung's title; an unknown id unchanged."""
    known = _BY_ID.get(rung)
    return known.title if known else rung.replace("_", " ").capitalize()


def rung_number(rung: str) -> int:
    """Returns the rung's number on the ladder; after all others for an unknown id."""
    known = _BY_ID.get(rung)
    return known.number if known else len(RUNGS)


def missing_words(verdict: str, broken_rung: str) -> str:
    """Returns why GPUs of such nodes are not usable."""
    if verdict == Verdict.EXCLUDED:
        return "Excluded on purpose"
    if verdict == Verdict.STARTING:
        return "Starting"
    known = _BY_ID.get(broken_rung)
    if verdict == Verdict.UNKNOWN:
        return f"Unproven: {_inside(rung_title(broken_rung))}" if broken_rung else "Not evaluated yet"
    if verdict == Verdict.READY:
        return "Ready, fewer GPUs than expected"
    return known.broken if known else rung_title(broken_rung) if broken_rung else "No reason recorded"


def _inside(words: str) -> str:
    """Returns the words as they are written inside a sentence: GPUs and CUDA keep their capitals."""
    return words if words[1:2].isupper() else words[:1].lower() + words[1:]
