"""Evaluates one node: the health and lint rules, the ladder, the figures, and the fingerprint that shows a change."""

from __future__ import annotations

import hashlib
from datetime import datetime

import msgspec

from fleet.domain.devices.detection import machine_type, zone
from fleet.domain.devices.inspection import NodeDevices
from fleet.domain.evaluation import expected, rules
from fleet.domain.evaluation.figures import NodeFigures, node_figures
from fleet.domain.evaluation.subject import NodeSubject
from fleet.domain.findings import RuleResult
from fleet.domain.health.rules import RULES as HEALTH_RULES
from fleet.domain.history.facts import Facts, node_facts, stack_states
from fleet.domain.lint.rules import RULES as LINT_RULES
from fleet.domain.readiness.ladder import evaluate_ladder
from fleet.domain.readiness.types import Readiness
from fleet.domain.snapshot import DraAllocation, DraDevice, NodeSnapshot, PodSnapshot

_encode = msgspec.json.Encoder(order="deterministic").encode


class NodeEvaluation(msgspec.Struct, frozen=True, kw_only=True):
    """Evaluation of one GPU node, as it is stored."""

    node: NodeSnapshot
    devices: NodeDevices
    pods: tuple[PodSnapshot, ...]
    dra_devices: tuple[DraDevice, ...]
    allocations: tuple[DraAllocation, ...]
    stack: dict[str, str]
    facts: Facts
    kubelet_ready: bool | None
    figures: NodeFigures
    """Every figure of the node that is shown."""
    most_seen: int | None
    """Most physical GPUs ever counted on it: the expected number of other nodes of its type follows from it."""
    reason: str
    readiness: Readiness
    results: tuple[RuleResult, ...]
    """Result of every health and lint rule for this node."""
    pending: dict[str, datetime]
    """Findings that have not lasted long enough: `rule|key` to the moment since which they are present."""
    fingerprint: str
    pods_fingerprint: str


def evaluate_node(subject: NodeSubject, most_seen: int | None) -> NodeEvaluation:
    """Returns the evaluation of a node whose devices are inspected and whose expected number of GPUs is known."""
    node, inspected = subject.node, subject.devices
    ready = next((c.status for c in node.conditions if c.type == "Ready"), None)
    kubelet_ready = None if ready is None else ready == "True"
    stack = stack_states(subject.pods)
    facts = node_facts(node, subject.dra_devices, stack)
    health, pending = rules.settle(rules.run(HEALTH_RULES, subject), subject)
    lint, more_pending = rules.settle(rules.run(LINT_RULES, subject), subject)
    readiness = evaluate_ladder(subject, health)
    results, reasons = (*health, *lint), [c.reason for c in node.conditions]
    figures = node_figures(
        inspected,
        readiness,
        expected.ExpectedGpus(count=subject.history.expected, source=subject.history.expected_source),
        state=_state(node, inspected, kubelet_ready),
        place=(machine_type(node.labels), zone(node.labels)),
        kubelet_ready=kubelet_ready,
        schedulable=not node.unschedulable,
    )
    return NodeEvaluation(
        node=node,
        devices=inspected,
        pods=subject.pods,
        dra_devices=subject.dra_devices,
        allocations=subject.allocations,
        stack=stack,
        facts=facts,
        kubelet_ready=kubelet_ready,
        figures=figures,
        most_seen=most_seen,
        reason=inspected.reason,
        readiness=readiness,
        results=results,
        pending=pending | more_pending | readiness.remember,
        # Pending findings come and go with every run: they are stored, but are no change of the node.
        fingerprint=fingerprint(
            facts, inspected, figures, most_seen, reasons, subject.allocations, readiness, rules.findings(results)
        ),
        pods_fingerprint=fingerprint(
            sorted(subject.pods, key=lambda pod: pod.uid),
            [(held.namespace, held.claim, held.device, held.consumed) for held in subject.allocations],
            subject.snapshot.knows("resource_claims"),
        ),
    )


def _state(node: NodeSnapshot, inspected: NodeDevices, kubelet_ready: bool | None) -> str:
    if node.unschedulable:
        return "cordoned"
    if kubelet_ready is None:
        return "unknown"
    return inspected.advertised if kubelet_ready else "not_ready"


def fingerprint(*facts: object) -> str:
    """Returns 16 bytes in hexadecimal over any structs, equal exactly where the facts are equal."""
    return hashlib.blake2b(b"\0".join(_encode(fact) for fact in facts), digest_size=16).hexdigest()
