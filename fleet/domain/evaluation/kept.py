"""Evaluations kept from one run of a cluster to the next: a node without a change costs a digest of its inputs, no rule.

An evaluation depends on its inputs and, through RunClock, on time. It is used again where a digest of every input is the same,
until the moment from which on the clock may answer otherwise. In doubt a node is evaluated (ADR 36).
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import msgspec

from fleet.domain.devices.inspection import NodeDevices
from fleet.domain.evaluation.node_evaluation import NodeEvaluation
from fleet.domain.evaluation.subject import ClusterContext, NodeSubject
from fleet.domain.snapshot import NodeSnapshot

_encode = msgspec.msgpack.Encoder().encode


class KeptNode(NamedTuple):
    """The evaluation of one node, without its inputs."""

    expected: tuple[int | None, int | None, str]
    at: datetime
    until: datetime | None
    """Moment from which on time alone may change the result; None for never."""
    devices: NodeDevices
    evaluation: NodeEvaluation


class KeptEvaluations:
    """The newest evaluation of each node of one cluster, by the digest of its inputs.

    Kept by one process, in memory: code, catalogue and thresholds are the same for all of it.
    """

    def __init__(self) -> None:
        self._before: dict[bytes, KeptNode] = {}
        self._now: dict[bytes, KeptNode] = {}
        self.evaluated = 0
        """Nodes of the newest run whose rules ran."""

    def __len__(self) -> int:
        return len(self._now)

    def begin(self) -> None:
        """Begins a run: what the run before did not have is forgotten."""
        self._before, self._now, self.evaluated = self._now, {}, 0

    def devices(self, digest: bytes) -> NodeDevices | None:
        """Returns the devices of a node with these inputs; None where they have to be inspected."""
        same = self._before.get(digest)
        return None if same is None else same.devices

    def evaluation(self, digest: bytes, subject: NodeSubject) -> NodeEvaluation | None:
        """Returns the evaluation of a node with these inputs at the moment of the run; None where it has to be evaluated."""
        same, now = self._before.get(digest), subject.cluster.snapshot.taken_at
        if same is None or same.expected != _expected(subject) or now < same.at or (same.until is not None and now >= same.until):
            return None
        self._now[digest] = same
        return msgspec.structs.replace(
            same.evaluation,
            node=subject.node,
            pods=subject.pods,
            dra_devices=subject.dra_devices,
            allocations=subject.allocations,
        )

    def keep(self, digest: bytes, subject: NodeSubject, evaluation: NodeEvaluation) -> NodeEvaluation:
        """Keeps and returns the evaluation that was just made of this subject."""
        self.evaluated += 1
        at, holds_for = subject.cluster.snapshot.taken_at, subject.clock.holds_for
        self._now[digest] = KeptNode(
            expected=_expected(subject),
            at=at,
            until=None if holds_for is None else at + holds_for,
            devices=subject.devices,
            evaluation=msgspec.structs.replace(evaluation, node=_NO_NODE, pods=(), dra_devices=(), allocations=()),
        )
        return evaluation


_NO_NODE = NodeSnapshot(name="", uid="")


def _expected(subject: NodeSubject) -> tuple[int | None, int | None, str]:
    """Returns what the node should have: it follows from all nodes of its shape, so it is no part of the digest."""
    return subject.history.declared, subject.history.expected, subject.history.expected_source


def digests(subjects: Sequence[NodeSubject]) -> list[bytes]:
    """Returns a digest of everything that each node's inspection and evaluation may read, time aside."""
    if not subjects:
        return []
    cluster = _of_cluster(subjects[0].cluster)
    return [
        _digest(cluster, subject.node, subject.cluster.of(subject.node.name), subject.history, subject.policy)
        for subject in subjects
    ]


def _of_cluster(cluster: ClusterContext) -> bytes:
    """Returns a digest of the inputs that are the same for all nodes.

    Devices and allocations of DRA are among them as a whole: a device may be shared by nodes, or taken by a claim elsewhere.
    """
    history = msgspec.structs.replace(cluster.history, nodes={}, policies={}, declarations=(), most_seen_elsewhere={})
    stack = (sorted(cluster.stack.components), cluster.stack.gfd_labels, cluster.stack.telemetry)
    return _digest(cluster.facts, history, stack, cluster.snapshot.slices, cluster.snapshot.allocations)


def _digest(*inputs: object) -> bytes:
    """Keys of dictionaries count in their order: results may list them in it.

    What MessagePack cannot write, an integer beyond 64 bits, is the same as no other input: its node is evaluated in every run.
    """
    try:
        return hashlib.blake2b(_encode(inputs), digest_size=16).digest()
    except OverflowError:
        return secrets.token_bytes(16)
