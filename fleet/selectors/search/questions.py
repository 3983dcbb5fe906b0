"""A search: its question, and hits in groups."""

from __future__ import annotations

from dataclasses import dataclass

LONGEST = 200
MOST_WORDS = 5
SHORTEST = 2
"""Characters below which only Xid codes and request numbers are searched: one letter matches everything."""
KINDS = ("incident", "node", "pool", "class", "request", "team", "cluster", "gpu", "pod", "xid", "rule")
PREFIXES = {"i": "incident", "n": "node", "p": "pool", "c": "cluster", "r": "request", "g": "gpu", "x": "xid"}


@dataclass(frozen=True, slots=True)
class Hit:
    """One hit. `kind`, `title`, `subtitle` and `url` are the API's."""

    kind: str
    title: str
    subtitle: str
    url: str
    id: str = ""
    severity: str = ""
    verdict: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """The hits of one kind."""

    kind: str
    hits: tuple[Hit, ...]
    total: int
    """All hits of the kind, of which `hits` are the first."""


@dataclass(frozen=True, slots=True)
class Question:
    """What was asked for."""

    words: tuple[str, ...]
    kind: str = ""
    """Only this kind, by a prefix such as `n:`; empty for all."""

    @property
    def text(self) -> str:
        return " ".join(self.words)

    @property
    def is_short(self) -> bool:
        return max((len(word) for word in self.words), default=0) < SHORTEST


def read(text: str) -> Question:
    """Returns the words of a search, at most five of 200 characters together, and the kind that a prefix names.

    A NUL, which Postgres cannot store in text, is read as a space.
    """
    text = text.replace("\0", " ")[:LONGEST].strip()
    prefix, colon, rest = text.partition(":")
    kind = PREFIXES.get(prefix.strip().lower(), "") if colon else ""
    return Question(tuple(dict.fromkeys((rest if kind else text).split()))[:MOST_WORDS], kind)
