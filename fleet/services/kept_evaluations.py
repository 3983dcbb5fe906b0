"""Evaluations that this process keeps of the clusters it collects, within a bound."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock

from fleet.domain.evaluation.kept import KeptEvaluations
from fleet.models import Cluster

MOST_NODES = 10_000
"""Nodes that one process keeps, at about 10 kB each; one cluster is kept whatever its size."""

_by_cluster: OrderedDict[int, KeptEvaluations] = OrderedDict()
_lock = Lock()


def of(cluster: Cluster) -> KeptEvaluations:
    """Returns what is kept of a cluster, for its next run: empty where this process has not collected it lately.

    Clusters collected longest ago are forgotten first. The collection lock allows one run of a cluster at a time.
    """
    with _lock:
        kept = _by_cluster.setdefault(cluster.pk, KeptEvaluations())
        _by_cluster.move_to_end(cluster.pk)
        while len(_by_cluster) > 1 and sum(map(len, _by_cluster.values())) > MOST_NODES:
            _by_cluster.popitem(last=False)
        return kept
