"""What a process keeps is bounded, and the cluster collected longest ago goes first."""

from __future__ import annotations

import pytest

from fleet.domain.evaluation.evaluate import evaluate
from fleet.models import Cluster
from fleet.services import kept_evaluations
from tests.domain.readiness.world import operator


def test_clusters_collected_longest_ago_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_evaluations, "MOST_NODES", 2)
    kept_evaluations._by_cluster.clear()
    clusters = [Cluster(pk=-number) for number in range(1, 5)]
    for cluster in (*clusters[:3], clusters[0]):
        evaluate(operator().snapshot(), None, kept_evaluations.of(cluster))
    assert len(kept_evaluations.of(clusters[3])) == 0
    assert [len(kept_evaluations.of(cluster)) for cluster in clusters] == [1, 0, 1, 0]
    kept_evaluations._by_cluster.clear()


def test_a_cluster_larger_than_the_bound_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_evaluations, "MOST_NODES", 0)
    kept_evaluations._by_cluster.clear()
    cluster = Cluster(pk=-1)
    for _ in range(2):
        evaluate(operator().snapshot(), None, kept_evaluations.of(cluster))
    assert len(kept_evaluations.of(cluster)) == 1
    kept_evaluations._by_cluster.clear()
