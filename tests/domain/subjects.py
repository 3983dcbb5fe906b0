"""Node subjects: one node with what its cluster's snapshot says of it."""

from __future__ import annotations

from typing import Any

from msgspec import structs

from fleet.domain.evaluation.cluster_facts import facts_of
from fleet.domain.evaluation.run_clock import RunClock
from fleet.domain.evaluation.subject import ClusterContext, ClusterHistory, ClusterStack, NodeReports, NodeSubject
from fleet.domain.snapshot import ClusterSnapshot


def make_subject(
    snapshot: ClusterSnapshot,
    reports: NodeReports,
    *,
    cluster: ClusterHistory | None = None,
    stack: ClusterStack | None = None,
    **fields: Any,
) -> NodeSubject:
    """Returns the subject of the node `fields["node"]`, the other fields as NodeSubject has them."""
    context = ClusterContext(
        snapshot=snapshot,
        facts=facts_of(snapshot),
        history=cluster or ClusterHistory(),
        stack=stack or ClusterStack(),
        reports={fields["node"].name: reports},
    )
    return NodeSubject(cluster=context, clock=RunClock(snapshot.taken_at), **fields)


def reporting(subject: NodeSubject, snapshot: ClusterSnapshot | None = None, **reports: Any) -> NodeSubject:
    """Returns the same node with other pods, samples, exporters, … or in another snapshot."""
    cluster = subject.cluster
    changed = structs.replace(cluster.of(subject.node.name), **reports)
    seen = snapshot or cluster.snapshot
    context = structs.replace(cluster, snapshot=seen, facts=facts_of(seen), reports={subject.node.name: changed})
    return structs.replace(subject, cluster=context, clock=RunClock(seen.taken_at))
