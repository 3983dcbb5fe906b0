"""Limits of people and tokens: the clusters, pools and namespaces they are limited to."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

KINDS = ("cluster", "pool", "namespace")
MOST_LIMITS = 200
LONGEST_LIMIT = 400
_NAMESPACE = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)
"""RFC 1123 label, as Kubernetes demands of a namespace."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What a limited person may see: nodes of these clusters and of these pools, and what belongs to them.

    Namespaces narrow that to the workloads in them; alone, they show the nodes that a pod of them is on. People without a limit
    have no Scope: None stands for everything.
    """

    clusters: frozenset[str] = frozenset()
    """Names of clusters that are seen as a whole."""
    pools: frozenset[str] = frozenset()
    """Slugs of pools whose nodes are seen."""
    within: frozenset[str] | None = None
    """Names of the only clusters of which anything is seen, as a token may be limited; None: of any."""
    user: int = 0
    """Id of the person, who sees their own teams and acts."""
    namespaces: frozenset[str] = frozenset()
    """NAME, or CLUSTER/NAME, of the only namespaces whose workloads are seen; empty for those of all."""
    by_pods: bool = False
    """Whether nodes are seen by the pods on them, as neither a cluster nor a pool was named."""

    @property
    def namespace_names(self) -> frozenset[str]:
        """Returns the namespaces without their clusters."""
        return frozenset(namespace_of(entry)[1] for entry in self.namespaces)

    @property
    def text(self) -> str:
        """Text on pages: "Limited to prod-eu, pool training"."""
        places = [*sorted(self.clusters), *(f"pool {slug}" for slug in sorted(self.pools))]
        places += [f"namespace {name}" for name in sorted(self.namespaces)]
        inside = ""
        if self.within is not None and (self.pools or self.by_pods):
            inside = f", within {', '.join(sorted(self.within)) or 'no cluster'}"
        return f"Limited to {', '.join(places) or 'nothing'}{inside}"

    @property
    def key(self) -> str:
        """Key that separates what is cached for this scope from what is cached for others."""
        within = None if self.within is None else sorted(self.within)
        return repr((sorted(self.clusters), sorted(self.pools), within, self.user, sorted(self.namespaces), self.by_pods))


def scope_of(limits: Sequence[str] | None, clusters: Sequence[str] | None = None, user: int = 0) -> Scope | None:
    """Returns the scope of a person with these limits, through a token limited to `clusters`; None for no limit.

    An entry that cannot be read shows nothing: a limit never widens.
    """
    if limits is None and clusters is None:
        return None
    if limits is None:
        return Scope(frozenset(clusters or ()), within=frozenset(clusters or ()), user=user)
    namespaces = named(limits, "namespace")
    by_pods = bool(namespaces) and not any(_split(row)[0] in ("cluster", "pool") for row in limits)
    seen = named(limits, "cluster")
    if clusters is not None:
        seen &= frozenset(clusters)
    within = None if clusters is None else frozenset(clusters)
    return Scope(seen, named(limits, "pool"), within, user, namespaces, by_pods)


def named(limits: Iterable[str], kind: str) -> frozenset[str]:
    """Returns what the entries of one kind name."""
    return frozenset(name for word, name in map(_split, limits) if word == kind)


def check_limits(limits: Iterable[str]) -> str:
    """Returns what is wrong with entries; empty where nothing is.

    They are cluster:NAME, pool:SLUG, namespace:NAME or namespace:CLUSTER/NAME.
    """
    rows = list(limits)
    if len(rows) > MOST_LIMITS:
        return f"Give at most {MOST_LIMITS} clusters, pools and namespaces."
    for row in rows:
        kind, name = _split(row)
        if kind not in KINDS or not name or len(row) > LONGEST_LIMIT or "\0" in row:
            return f"“{row[:60]}” is not a limit: write cluster:NAME, pool:SLUG or namespace:NAME."
        if kind == "namespace" and not _NAMESPACE.fullmatch(namespace_of(name)[1]):
            return f"“{row[:60]}” names no namespace: write namespace:NAME or namespace:CLUSTER/NAME."
    return ""


def namespace_of(entry: str) -> tuple[str, str]:
    """Returns cluster and name of a namespace's entry; the cluster is empty where it holds for all. Contexts may have slashes."""
    cluster, _, name = entry.rpartition("/")
    return cluster, name


def _split(limit: str) -> tuple[str, str]:
    kind, _, name = limit.partition(":")
    return kind.strip(), name.strip()
