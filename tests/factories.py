"""Rows for tests: only the fact under test is written, the rest is a plain healthy cluster."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from fleet.models import (
    Cluster,
    CollectionRun,
    Delivery,
    FindingRow,
    Gpu,
    MigInstance,
    Node,
    NodeResource,
    Notice,
    NotificationRule,
    NotificationTarget,
    Pod,
    VerdictPeriod,
)
from fleet.services.notifications.secrets import seal

_serial = count(1)
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def a_cluster(name: str = "east", **fields: Any) -> Cluster:
    found = Cluster.objects.filter(name=name).first()
    if found and not fields:
        return found
    now = datetime.now(UTC)
    told = {"read_at": now, "taken_at": now, "outcome": "ok", "server_version": "v1.36.2", "platform": "EKS"}
    return Cluster.objects.create(name=name, **{**told, **fields})


def a_node(name: str = "", cluster: Cluster | None = None, **fields: Any) -> Node:
    """A node with eight full H100s; `gpus`, `migs` and `resources` add rows that hang on it."""
    number = next(_serial)
    told: dict[str, Any] = {
        "name": name or f"node-{number:04}",
        "uid": f"uid-{number}",
        "vendor": "nvidia",
        "product": "NVIDIA-H100-80GB-HBM3",
        "family": "hopper",
        "physical": 8,
        "expected": 8,
        "offered": 8,
        "partitioning": "none",
        "sharing": "exclusive",
        "replicas": 1,
        "mode": "Full GPU",
        "slots_capacity": 8,
        "slots_allocatable": 8,
        "slots_requested": 2,
        "slots_free": 6,
        "state": "full",
        "advertised": "full",
        "kubelet_ready": True,
        "zone": "us-east-1a",
        "machine_type": "p5.48xlarge",
        "driver_version": "580.95.05",
        "first_seen_at": NOON - timedelta(days=1),
        "changed_at": NOON,
        "state_since": NOON,
        "fingerprint": f"{number}",
        "info": {"remarks": [], "evidence": []},
    }
    return Node.objects.create(cluster=cluster or a_cluster(), **{**told, **fields})


def a_resource(node: Node, name: str = "nvidia.com/gpu", **fields: Any) -> NodeResource:
    told = {"kind": "gpu", "capacity": 8, "allocatable": 8, "requested": 2, "free": 6, "predicted": 8}
    return NodeResource.objects.create(node=node, name=name, **{**told, **fields})


def a_gpu(node: Node, position: int = 0, **fields: Any) -> Gpu:
    return Gpu.objects.create(node=node, position=position, **{"product": node.product, "memory_mib": 81559, **fields})


def a_mig_instance(node: Node, position: int = 0, profile: str = "1g.10gb", **fields: Any) -> MigInstance:
    return MigInstance.objects.create(node=node, position=position, profile=profile, **fields)


def a_pod(node: Node | None, name: str = "", **fields: Any) -> Pod:
    number = next(_serial)
    told: dict[str, Any] = {
        "uid": f"pod-{number}",
        "namespace": "inference",
        "name": name or f"vllm-{number}",
        "phase": "Running",
        "ready": True,
        "requests": {"nvidia.com/gpu": 1},
        "slots": 1,
        "holds": True,
    }
    return Pod.objects.create(cluster=node.cluster if node else a_cluster(), node=node, **{**told, **fields})


def a_run(cluster: Cluster | None = None, **fields: Any) -> CollectionRun:
    told = {"trigger": "schedule", "started_at": NOON, "finished_at": NOON, "outcome": "ok", "nodes": 1, "pods": 2}
    return CollectionRun.objects.create(cluster=cluster or a_cluster(), **{**told, **fields})


def a_verdict_period(node: Node, verdict: str, began: datetime, ended: datetime | None = None, **fields: Any) -> VerdictPeriod:
    """[began, ended) of one verdict; open at the end without `ended`."""
    return VerdictPeriod.objects.create(node=node, verdict=verdict, period=(began, ended), **fields)


def a_finding(node: Node | None = None, opened: datetime = NOON, resolved: datetime | None = None, **fields: Any) -> FindingRow:
    """A critical finding of a node; `cluster` alone makes it the cluster's."""
    told: dict[str, Any] = {"rule": "a_rule", "severity": "critical", "text": "Something is wrong.", "remedy": "Mend it."}
    cluster = fields.pop("cluster", None) or (node.cluster if node else a_cluster())
    return FindingRow.objects.create(cluster=cluster, node=node, period=(opened, resolved), **{**told, **fields})


def a_notice(kind: str = "finding", at: datetime = NOON, **fields: Any) -> Notice:
    number = next(_serial)
    told: dict[str, Any] = {"key": f"{kind}:{number}", "title": f"Notice {number}", "severity": "critical"}
    if "node" in fields and "cluster" not in fields:
        told |= {"cluster": fields["node"].cluster, "product": fields["node"].product}
    return Notice.objects.create(kind=kind, at=at, **{**told, **fields})


def a_target(
    name: str = "", address: str = "https://hooks.example.com/x", kind: str = "webhook", **fields: Any
) -> NotificationTarget:
    """A webhook whose signing secret is `s3cret-s3cret-s3cret`, not looked at by the guard."""
    told = {"address": seal(address), "secret": seal("s3cret-s3cret-s3cret"), "shown": "https://hooks.example.com/…"}
    return NotificationTarget.objects.create(
        name=name or f"target-{next(_serial)}", kind=kind, created_at=NOON, **{**told, **fields}
    )


def a_rule(name: str = "", target: NotificationTarget | None = None, **fields: Any) -> NotificationRule:
    """A rule that tells everything to its target at once."""
    told = {"group_s": 0, "min_severity": "info", "created_at": NOON}
    return NotificationRule.objects.create(
        name=name or f"rule-{next(_serial)}", target=target or a_target(), **{**told, **fields}
    )


def a_delivery(rule: NotificationRule | None = None, at: datetime = NOON, **fields: Any) -> Delivery:
    rule = rule or a_rule()
    told = {"rule_name": rule.name, "target": rule.target, "target_name": rule.target.name, "created_at": at, "due_at": at}
    return Delivery.objects.create(rule=rule, **{**told, **fields})
