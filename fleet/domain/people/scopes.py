"""Limits of people and tokens: the clusters and pools they are limited to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

KINDS = ("cluster", "pool")
MOST_LIMITS = 200
LONGEST_LIMIT = 300


@dataclass(frozen=True, slots=True)
class Scope:
    """What a limited person may see: nodes of these clusters and of these pools, and what belongs to them.

    People without a limit have no Scope: None stands for everything.
    """

    clusters: frozenset[str] = frozenset()
    """Names of clusters that are seen as a whole."""
    pools: frozenset[str] = frozenset()
    """Slugs of pools whose nodes are seen."""
    within: frozenset[str] | None = None
    """Names of the only clusters of which anything is seen, as a token may be limited; None: of any."""
    user: int = 0
    """Id of the person, who sees their own teams and acts."""

    @property
    def text(self) -> str:
        """What the pages say: "Limited to prod-eu, pool training"."""
        places = [*sorted(self.clusters), *(f"pool {slug}" for slug in sorted(self.pools))]
        inside = "" if self.within is None or not self.pools else f", within {', '.join(sorted(self.within)) or 'no cluster'}"
        return f"Limited to {', '.join(places) or 'nothing'}{inside}"

    @property
    def key(self) -> str:
        """Tells what is cached for this scope from what is cached for others."""
        return repr((sorted(self.clusters), sorted(self.pools), None if self.within is None else sorted(self.within), self.user))


def scope_of(limits: Sequence[str] | None, clusters: Sequence[str] | None = None, user: int = 0) -> Scope | None:
    """Returns the scope of a person with these limits, through a token limited to `clusters`; None for no limit.

    An entry that cannot be read shows nothing: a limit never widens.
    """
    if limits is None and clusters is None:
        return None
    if limits is None:
        return Scope(frozenset(clusters or ()), within=frozenset(clusters or ()), user=user)
    if clusters is None:
        return Scope(named(limits, "cluster"), named(limits, "pool"), user=user)
    return Scope(named(limits, "cluster") & frozenset(clusters), named(limits, "pool"), frozenset(clusters), user)


def named(limits: Iterable[str], kind: str) -> frozenset[str]:
    """Returns what the entries of one kind name."""
    return frozenset(name for word, name in map(_split, limits) if word == kind)


def check_limits(limits: Iterable[str]) -> str:
    """Returns what is wrong with entries written as cluster:NAME or pool:SLUG; empty where nothing is."""
    rows = list(limits)
    if len(rows) > MOST_LIMITS:
        return f"Give at most {MOST_LIMITS} clusters and pools."
    for row in rows:
        kind, name = _split(row)
        if kind not in KINDS or not name or len(row) > LONGEST_LIMIT or "\0" in row:
            return f"“{row[:60]}” is not a limit: write cluster:NAME or pool:SLUG."
    return ""


def _split(limit: str) -> tuple[str, str]:
    kind, _, name = limit.partition(":")
    return kind.strip(), name.strip()
