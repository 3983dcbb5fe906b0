"""Rows for tests: only the fact under test is written, the rest is a plain healthy cluster."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from django.conf import settings
from django.db.backends.postgresql.psycopg_any import DateTimeTZRange
from django.utils import timezone

from fleet.models import (
    ApiToken,
    ClassVersion,
    Cluster,
    CollectionRun,
    Delivery,
    DeviceTelemetry,
    Exporter,
    FindingRow,
    Gpu,
    MigInstance,
    ModelServerRow,
    Node,
    NodeResource,
    Notice,
    NotificationRule,
    NotificationTarget,
    Pod,
    Pool,
    PoolMembership,
    Role,
    RungPeriod,
    Team,
    TeamMember,
    User,
    VerdictPeriod,
    WorkloadClass,
    XidBurstRow,
)
from fleet.services import tokens
from fleet.services.notifications.secrets import seal

_serial = count(1)
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def a_cluster(name: str = "east", **fields: Any) -> Cluster:
    cluster = Cluster.objects.filter(name=name).first()
    if cluster and not fields:
        return cluster
    now = datetime.now(UTC)
    defaults = {"read_at": now, "taken_at": now, "outcome": "ok", "server_version": "v1.36.2", "platform": "EKS"}
    return Cluster.objects.create(name=name, **{**defaults, **fields})


def a_node(name: str = "", cluster: Cluster | None = None, **fields: Any) -> Node:
    """A node with eight full H100s; `gpus`, `migs` and `resources` add rows that hang on it."""
    number = next(_serial)
    defaults: dict[str, Any] = {
        "name": name or f"node-{number:04}",
        "uid": f"uid-{number}",
        "vendor": "nvidia",
        "product": "NVIDIA-H100-80GB-HBM3",
        "family": "hopper",
        "physical": 8,
        "expected": 8,
        "expected_source": "learned",
        "advertised_gpus": 8,
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
    }
    return Node.objects.create(cluster=cluster or a_cluster(), **{**defaults, **fields})


def a_resource(node: Node, name: str = "nvidia.com/gpu", **fields: Any) -> NodeResource:
    defaults = {"kind": "gpu", "capacity": 8, "allocatable": 8, "requested": 2, "free": 6, "predicted": 8}
    return NodeResource.objects.create(node=node, name=name, **{**defaults, **fields})


def a_gpu(node: Node, position: int = 0, **fields: Any) -> Gpu:
    return Gpu.objects.create(node=node, position=position, **{"product": node.product, "memory_mib": 81559, **fields})


def a_mig_instance(node: Node, position: int = 0, profile: str = "1g.10gb", **fields: Any) -> MigInstance:
    return MigInstance.objects.create(node=node, position=position, profile=profile, **fields)


def a_pod(node: Node | None, name: str = "", **fields: Any) -> Pod:
    number = next(_serial)
    defaults: dict[str, Any] = {
        "uid": f"pod-{number}",
        "namespace": "inference",
        "name": name or f"vllm-{number}",
        "phase": "Running",
        "ready": True,
        "requests": {"nvidia.com/gpu": 1},
        "slots": 1,
        "holds": True,
    }
    return Pod.objects.create(cluster=node.cluster if node else a_cluster(), node=node, **{**defaults, **fields})


def a_run(cluster: Cluster | None = None, **fields: Any) -> CollectionRun:
    defaults = {"trigger": "schedule", "started_at": NOON, "finished_at": NOON, "outcome": "ok", "nodes": 1, "pods": 2}
    return CollectionRun.objects.create(cluster=cluster or a_cluster(), **{**defaults, **fields})


def a_user(name: str = "", role: Role = Role.DEVELOPER) -> User:
    return User.objects.create(username=name or f"user-{next(_serial)}", role=role)


def create_token(username: str, role: Role | None, lifetime: timedelta | None) -> tuple[ApiToken, str]:
    """A token and its secret; its user is made or raised as needed."""
    return tokens.create_from_command_line(username, timezone.now(), role=role, lifetime=lifetime, raise_role=True)


def scraper() -> dict[str, str]:
    """The header with which Prometheus reads /metrics."""
    return {"authorization": f"Bearer {settings.METRICS_TOKEN}"}


def a_team(slug: str = "research", *members: User, **fields: Any) -> Team:
    defaults = {"name": slug.title(), "namespaces": [slug], "created_at": NOON}
    team = Team.objects.create(slug=slug, **{**defaults, **fields})
    for user in members:
        TeamMember.objects.create(team=team, user=user)
    return team


def a_class_version(slug: str = "full-h100", number: int = 1, **spec: Any) -> ClassVersion:
    """A version of a class; `spec` holds what it promises."""
    row, _ = WorkloadClass.objects.get_or_create(slug=slug, defaults={"title": slug, "created_at": NOON, "updated_at": NOON})
    return ClassVersion.objects.create(workload_class=row, number=number, spec={"slug": slug, **spec}, at=NOON)


def a_finding(node: Node | None = None, rule: str = "untainted", **fields: Any) -> FindingRow:
    """An open finding since noon; `resolved` ends it, `cluster` places one that is about no node."""
    cluster = fields.pop("cluster", None) or (node.cluster if node else a_cluster())
    period = DateTimeTZRange(fields.pop("opened", NOON), fields.pop("resolved", None))
    defaults = {
        "severity": "warning",
        "text": "Something is not as it should be.",
        "evidence": [{"source": "label", "key": "nvidia.com/gpu.count", "value": "8"}],
        "remedy": "Look at it.\nkubectl describe node n1",
    }
    return _own_incident(FindingRow(cluster=cluster, node=node, rule=rule, period=period, **{**defaults, **fields}))


def _own_incident(finding: FindingRow) -> FindingRow:
    """Saves a finding as an incident by itself, which it is until services.incidents.regroup groups it with others."""
    finding.save()
    if finding.incident_id is None:
        finding.incident = finding
        finding.save(update_fields=["incident"])
    return finding


def a_burst(node: Node, code: int = 79, **fields: Any) -> XidBurstRow:
    at = NOON - timedelta(minutes=1, seconds=next(_serial) % 3000)  # of the last hour, however many rows were made before
    defaults = {"uuid": "GPU-0", "started_at": at, "last_at": at}
    return XidBurstRow.objects.create(node=node, code=code, **{"source": "gauge", **defaults, **fields})


def a_pool(slug: str = "h100", *nodes: Node, since: datetime = NOON, **policy: Any) -> Pool:
    """A pool with these members since `since`; `policy` as its declaration has it."""
    defaults = {"slug": slug, "policy": policy}
    pool = Pool.objects.create(slug=slug, spec=defaults, created_at=since, updated_at=since)
    for node in nodes:
        PoolMembership.objects.create(pool=pool, node=node, period=DateTimeTZRange(since, None))
    return pool


def a_rung(rung: str, number: int, status: str = "pass", **fields: Any) -> dict[str, Any]:
    """A RungResult as a node's row keeps it."""
    defaults = {"reason": "", "evidence": [], "remedy": "", "rests_on": [], "own_status": None, "waiver": None}
    return {"id": rung, "number": number, "status": status, **defaults, **fields}


RUNG_IDS = (
    "kubelet_ready",
    "gpu_present",
    "driver_loaded",
    "container_runtime",
    "cuda_works",
    "resources_advertised",
    "labels_accurate",
    "telemetry_healthy",
    "model_server_starts",
    "model_serves",
)


def a_ladder(broken: str = "", status: str = "fail", **rungs: dict[str, Any]) -> list[dict[str, Any]]:
    """Ten rungs: those before `broken` pass, it has `status`, those behind it are blocked. `rungs` replaces fields by id."""
    rows, stopped = [], False
    for number, rung in enumerate(RUNG_IDS):
        rung_status = "blocked" if stopped else "pass" if number < 8 else "not_applicable"
        if rung == broken:
            rung_status, stopped = status, status in ("fail", "unknown", "waiting", "not_enabled")
        rows.append(a_rung(rung, number, **{"status": rung_status, "reason": f"{rung} was evaluated.", **rungs.get(rung, {})}))
    return rows


def a_verdict_period(
    node: Node, since: datetime, until: datetime | None = None, verdict: str = "ready", **fields: Any
) -> VerdictPeriod:
    defaults = {"usable": 8 if verdict in ("ready", "degraded") else 0, "expected": 8, "reason": f"It was {verdict}."}
    return VerdictPeriod.objects.create(node=node, period=(since, until), verdict=verdict, **{**defaults, **fields})


def a_rung_period(
    node: Node, rung: str, since: datetime, until: datetime | None = None, status: str = "pass", **fields: Any
) -> RungPeriod:
    return RungPeriod.objects.create(node=node, rung=rung, period=(since, until), status=status, **fields)


def a_sample(
    node: Node, index: int = 0, at: datetime | None = None, pods: tuple[str, ...] = (), **values: float
) -> DeviceTelemetry:
    """The newest sample of a card: 50 % use, 40 GiB of 80; `values` by metric id; `pods` in the namespace inference."""
    defaults = {"gpu_util": 50, "fb_used": 40_960, "fb_free": 40_599, "gpu_temp": 55, "power": 400, "ecc_dbe_volatile": 0}
    at = at or datetime.now(UTC)
    uuid = f"GPU-{index:08x}-{node.pk:04x}-4000-8000-000000000000"
    sample = {
        "node_name": node.name, "uuid": uuid, "index": index, "at": at.isoformat(), "values": {**defaults, **values},
        "pods": [{"namespace": "inference", "pod": pod} for pod in pods],
    }  # fmt: skip
    return DeviceTelemetry.objects.create(node=node, uuid=uuid, at=at, source="pod-proxy", sample=sample)


def an_exporter(node: Node, **report: Any) -> Exporter:
    defaults = {
        "node_name": node.name,
        "outcome": "collected",
        "metrics": ["gpu_util", "fb_used", "gpu_temp", "power", "ecc_dbe_volatile"],
    }
    return Exporter.objects.create(
        cluster=node.cluster, node_name=node.name, namespace="gpu-operator", pod="dcgm-exporter", report={**defaults, **report}
    )


def a_model_server(node: Node, pod: str = "vllm-0", at: datetime | None = None, **server: Any) -> ModelServerRow:
    defaults = {
        "outcome": "collected",
        "ready": True,
        "models": ["llama-3.3-70b"],
        "running": 4,
        "waiting": 0,
        "kv_cache": 0.5,
        "tokens_per_s": 900,
        "ttft_s": 0.3,
    }
    return ModelServerRow.objects.create(
        node=node, namespace="inference", pod=pod, kind="vllm", at=at or datetime.now(UTC), server={**defaults, **server}
    )


def an_xid_burst(node: Node, uuid: str, code: int = 79, at: datetime | None = None, **fields: Any) -> XidBurstRow:
    at = at or datetime.now(UTC)
    return XidBurstRow.objects.create(node=node, uuid=uuid, code=code, **{"started_at": at, "last_at": at, **fields})


def a_finding_saying(
    node: Node | None, text: str, since: datetime = NOON, until: datetime | None = None, **fields: Any
) -> FindingRow:
    """A critical finding of a rule of its own, for tests that are about words and moments."""
    rule = fields.pop("rule", f"rule_{next(_serial)}")
    return a_finding(node, rule, **{"severity": "critical", "text": text, "opened": since, "resolved": until, **fields})


def a_spell(node: Node, verdict: str, began: datetime, ended: datetime | None = None, **fields: Any) -> VerdictPeriod:
    """[began, ended) of one verdict; open at the end without `ended`."""
    return VerdictPeriod.objects.create(node=node, verdict=verdict, period=(began, ended), **fields)


def a_critical_finding(
    node: Node | None = None, opened: datetime = NOON, resolved: datetime | None = None, **fields: Any
) -> FindingRow:
    """A critical finding of a node; `cluster` alone makes it the cluster's."""
    defaults: dict[str, Any] = {"rule": "a_rule", "severity": "critical", "text": "Something is wrong.", "remedy": "Mend it."}
    cluster = fields.pop("cluster", None) or (node.cluster if node else a_cluster())
    return _own_incident(
        FindingRow(cluster=cluster, node=node, period=DateTimeTZRange(opened, resolved), **{**defaults, **fields})
    )


def a_notice(kind: str = "finding", at: datetime = NOON, **fields: Any) -> Notice:
    number = next(_serial)
    defaults: dict[str, Any] = {"key": f"{kind}:{number}", "title": f"Notice {number}", "severity": "critical"}
    if "node" in fields and "cluster" not in fields:
        defaults |= {"cluster": fields["node"].cluster, "product": fields["node"].product}
    return Notice.objects.create(kind=kind, at=at, **{**defaults, **fields})


def a_target(
    name: str = "", address: str = "https://hooks.example.com/x", kind: str = "webhook", **fields: Any
) -> NotificationTarget:
    """A webhook whose signing secret is `s3cret-s3cret-s3cret`, not looked at by the guard."""
    defaults = {"address": seal(address), "secret": seal("s3cret-s3cret-s3cret"), "shown": "https://hooks.example.com/…"}
    return NotificationTarget.objects.create(
        name=name or f"target-{next(_serial)}", kind=kind, created_at=NOON, **{**defaults, **fields}
    )


def a_rule(name: str = "", target: NotificationTarget | None = None, **fields: Any) -> NotificationRule:
    """Returns a rule that sends every event to its target at once."""
    defaults = {"group_s": 0, "min_severity": "info", "created_at": NOON}
    return NotificationRule.objects.create(
        name=name or f"rule-{next(_serial)}", target=target or a_target(), **{**defaults, **fields}
    )


def a_delivery(rule: NotificationRule | None = None, at: datetime = NOON, **fields: Any) -> Delivery:
    rule = rule or a_rule()
    defaults = {"rule_name": rule.name, "target": rule.target, "target_name": rule.target.name, "created_at": at, "due_at": at}
    return Delivery.objects.create(rule=rule, **{**defaults, **fields})
