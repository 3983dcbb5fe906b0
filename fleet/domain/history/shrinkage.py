"""Whether a complete list is so much shorter than the previous one that it is asked for again before anything is removed."""

from __future__ import annotations

from collections.abc import Collection

from fleet.domain.snapshot import ClusterSnapshot

MOST_MISSING = 0.1
"""Share of the known GPU nodes that one answer may lack: an API server that starts has answered 200 with an empty list."""


def shrinkage(snapshot: ClusterSnapshot, known_nodes: Collection[str], known_pods: int) -> str:
    """Returns what shrank, in a sentence; empty where the lists are as long as before or were not read completely."""
    if snapshot.is_fresh("nodes") and known_nodes:
        missing = set(known_nodes) - {node.name for node in snapshot.nodes}
        if len(missing) > MOST_MISSING * len(known_nodes):
            return f"The list of nodes lacks {len(missing)} of {len(known_nodes)} known GPU nodes."
    if snapshot.is_fresh("pods") and known_pods and not snapshot.pods:
        return f"The list of pods is empty, where {known_pods} were known."
    return ""
