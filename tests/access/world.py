"""A visible and a hidden half of a fleet: the same kinds of things in both, every text of the hidden one with a mark."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import msgspec
from allauth.usersessions.models import UserSession
from django.db import connection

from fleet.domain.snapshot.sections import SectionReport
from fleet.models import (
    AccessRequest,
    ApiToken,
    AuditEntry,
    AuditStream,
    ClassVersion,
    Cluster,
    CompliancePeriod,
    DataCheck,
    DeviceTelemetry,
    ExpectedGpus,
    FindingRow,
    IdempotencyKey,
    KeptForecast,
    Maintenance,
    MembershipRequest,
    Node,
    NodeRevision,
    Pod,
    Pool,
    PoolMembership,
    Price,
    Role,
    RungPeriod,
    SavedView,
    SchedulingRow,
    Silence,
    StrandedDay,
    TelemetryFrame,
    User,
    VerdictPeriod,
    WaiverRow,
    WorkloadClass,
    XidBurstRow,
)
from fleet.services import rollups
from tests.factories import (
    NOON,
    a_burst,
    a_class_version,
    a_cluster,
    a_delivery,
    a_finding,
    a_gpu,
    a_ladder,
    a_mig_instance,
    a_model_server,
    a_node,
    a_notice,
    a_pod,
    a_pool,
    a_resource,
    a_run,
    a_rung_period,
    a_sample,
    a_team,
    a_user,
    a_verdict_period,
    an_exporter,
)

MARK = "zzhidden"
NOW = NOON + timedelta(hours=3)
BURST_PODS = ["seen-space/seen-pod"]
CHANGES = [{"section": "labels", "key": "team", "before": "a", "after": "b"}]


@dataclass
class Half:
    """One half, with an object of each kind that addresses name."""

    cluster: Cluster
    nodes: list[Node]
    finding: FindingRow
    request: AccessRequest
    silence: Silence
    pool: str
    workload_class: str
    team: str
    run: int
    user: User

    def values(self, name: str) -> dict[str, str]:
        """Values for the address of this name."""
        pk = {
            **dict.fromkeys(("request", "request-edit", "request-step"), self.request.pk),
            **dict.fromkeys(("silence-end",), self.silence.pk),
            "search-preview": self.nodes[0].pk,
        }.get(name, self.finding.pk)
        if name.startswith("api-requests"):
            pk = self.request.pk
        elif name.startswith("api-runs"):
            pk = self.run
        slug = self.workload_class if "class" in name else self.team if "team" in name else self.pool
        is_cluster = name in ("cluster", "cluster-collect", "waiver-grant", "waiver-withdraw") or name.startswith("api-cluster")
        return {
            "pk": str(pk), "slug": slug, "cluster": self.cluster.name, "code": "79", "rung": "driver_loaded", "step": "submit",
            "name": self.cluster.name if is_cluster else self.nodes[0].name, "public_id": "0" * 16, "secret": "none-such",
            "username": self.user.username, "kind": "node",
        }  # fmt: skip


def half(prefix: str, nodes: int, reader: User | None = None) -> Half:
    """`nodes` nodes of one cluster, all texts beginning with `prefix`; `reader` belongs to its team."""
    cluster = a_cluster(
        f"{prefix}-cluster", read_at=NOW - timedelta(minutes=2), taken_at=NOW - timedelta(minutes=2), first_read_at=NOON,
        platform="EKS", server_version="v1.36.2", node_count=nodes + 3, outcome="partial", error=f"{prefix}-error",
        failing_since=NOW - timedelta(minutes=1), clock_ahead_s=90.0, next_due_at=NOW - timedelta(hours=1),
        sections=[msgspec.to_builtins(SectionReport(name="pods", outcome="forbidden", reason=f"{prefix}-reason", count=nodes))],
    )  # fmt: skip
    user = a_user(f"{prefix}-user", Role.OPERATOR)
    rows = []
    for number in range(nodes):
        broken = number % 3 == 2
        product = f"{prefix}-product" if number == 1 else "NVIDIA-H100-80GB-HBM3"
        node = a_node(
            f"{prefix}-node-{number}", cluster, uid=f"{prefix}-uid-{number}", product=product, zone=f"{prefix}-zone",
            machine_type="p5.48xlarge" if number else f"{prefix}-machine", labels={f"{prefix}.io/rack": f"{prefix}-rack"},
            verdict="not_ready" if broken else "ready", broken_rung="driver_loaded" if broken else "",
            verdict_reason=f"{prefix}-verdict", verdict_since=NOON, rungs=a_ladder("driver_loaded" if broken else ""),
            usable=0 if broken else 8, boot_id=f"{prefix}-boot", driver_version=f"580.95.{len(prefix)}",
        )  # fmt: skip
        rows.append(node)
        a_resource(node)
        a_resource(node, f"{prefix}.com/gpu")
        a_gpu(node, uuid=f"GPU-{prefix}-{number}")
        a_mig_instance(node, uuid=f"MIG-{prefix}-{number}")
        a_pod(node, f"{prefix}-pod-{number}", namespace=f"{prefix}-space", uid=f"{prefix}-pod-{number}")
        a_verdict_period(node, NOON - timedelta(days=1), NOON, "not_ready", reason=f"{prefix}-was")
        a_verdict_period(node, NOON, verdict="not_ready" if broken else "ready")
        a_rung_period(node, "driver_loaded", NOON, status="fail" if broken else "pass", reason=f"{prefix}-rung")
        NodeRevision.objects.create(node=node, period=(NOON, None), facts={}, changes=CHANGES)
        a_burst(node, uuid=f"GPU-{prefix}-{number}", pods=[f"{prefix}-space/{prefix}-pod"], job=f"{prefix}-job")
        a_sample(node, at=NOW - timedelta(minutes=1))
        an_exporter(node)
        server = a_model_server(node, f"{prefix}-server", at=NOW, node_name=node.name, namespace="inference", kind="vllm")
        server.server["pod"] = server.pod
        server.save()
    waits = {"uid": f"{prefix}-waits", "namespace": f"{prefix}-space", "name": f"{prefix}-waits", "phase": "Pending"}
    pending = a_pod(
        rows[0], waits["name"], namespace=waits["namespace"], uid=waits["uid"], phase="Pending", holds=False, snapshot=waits
    )
    pending.node = None
    pending.save()
    finding = a_finding(rows[0], "untainted", text=f"{prefix}-finding", severity="critical")
    for node in rows:
        a_finding(node, "driver_loaded", text=f"{prefix}-driver", severity="warning")
        a_finding(node, f"{prefix}_rule"[:60], text=f"{prefix}-text", resolved=NOON + timedelta(hours=1))
    a_finding(None, f"{prefix}_cluster_rule", cluster=cluster, text=f"{prefix}-of-cluster")
    pool = a_pool(f"{prefix}-pool", *rows, purpose=f"{prefix}-purpose", owner=f"{prefix}-owner")
    CompliancePeriod.objects.create(kind="pool", slug=pool.slug, period=(NOON, None), state="violated", violations=[])
    FindingRow.objects.create(
        rule="pool_violated",
        key=pool.slug,
        subject="pool",
        severity="warning",
        text=f"{prefix}-pool violated",
        period=(NOON, None),
    )
    version = a_class_version(f"{prefix}-class", title=f"{prefix}-class", pools=[pool.slug], gpus=2)
    WorkloadClass.objects.filter(pk=version.workload_class_id).update(headroom={"replicas": 7}, headroom_at=NOON)
    team = a_team(f"{prefix}-team", user, *([reader] if reader else []), namespaces=[f"{prefix}-space"])
    request = AccessRequest.objects.create(
        team=team, class_version=version, namespace=f"{prefix}-space", name=f"{prefix}-ask", replicas=1, state="submitted",
        requested_by=user, created_at=NOON, submitted_at=NOON, purpose=f"{prefix}-why",
    )  # fmt: skip
    request.steps.create(at=NOON, kind="comment", text=f"{prefix}-comment", actor=user)
    silence = Silence.objects.create(
        cluster=cluster, node=rows[0], rule="untainted", reason=f"{prefix}-silence", by=user, created_at=NOON,
        until=NOW + timedelta(days=1),
    )  # fmt: skip
    WaiverRow.objects.create(cluster=cluster, rung="cuda_works", reason=f"{prefix}-waiver", by=user, at=NOON)
    WaiverRow.objects.create(pool=pool.slug, rung="cuda_works", reason=f"{prefix}-waiver", by=user, at=NOON)
    Maintenance.objects.create(cluster=cluster, node_name=rows[0].name, reason=f"{prefix}-out", by=user, at=NOON)
    ExpectedGpus.objects.create(cluster=cluster, node_name=rows[0].name, count=8, reason=f"{prefix}-count", by=user, at=NOON)
    AuditEntry.objects.create(at=NOON, actor=user, actor_name=user.username, action="waiver.grant", subject=f"{prefix}-subject")
    SchedulingRow.objects.create(cluster=cluster, objects_read={})
    notice = a_notice(node=rows[0], title=f"{prefix}-notice", pool=pool.slug)
    delivery = a_delivery()
    delivery.items.create(notice=notice, rule=delivery.rule)
    run = a_run(cluster, error=f"{prefix}-run-error", outcome="partial")
    ApiToken.objects.create(user=user, name=f"{prefix}-token")
    return Half(cluster, rows, finding, request, silence, pool.slug, f"{prefix}-class", team.slug, run.pk, user)


def roll_up() -> None:
    """The days of all nodes, and their sums."""
    list(rollups.rebuild((NOON - timedelta(days=2)).date(), NOW))


def share(pool: str, *nodes: Node) -> None:
    """Makes hidden nodes members of a visible pool."""
    from fleet.models import Pool

    row = Pool.objects.get(slug=pool)
    for node in nodes:
        PoolMembership.objects.create(pool=row, node=node, period=(NOON, None))


def name_in_rungs(seen: Half, prefix: str) -> None:
    """Lets a rung of every node rest on a pod of this prefix."""
    evidence = [{"source": "pod", "key": f"{prefix}-space/{prefix}-pod", "value": "runs"}]
    for node in seen.nodes:
        for row in node.rungs:
            if row["id"] == "cuda_works":
                row.update(reason="Proved by a pod.", evidence=evidence)
        node.save(update_fields=["rungs"])


def share_nodes(seen: Half, prefix: str) -> None:
    """Puts workloads of another namespace, and what names them, on the nodes of `seen`; its team has one there as well."""
    space, evidence = f"{prefix}-space", [{"source": "pod", "key": f"{prefix}-space/{prefix}-pod", "value": "runs"}]
    for number, node in enumerate(seen.nodes):
        a_pod(node, f"{prefix}-there-{number}", namespace=space, uid=f"{prefix}-there-{number}")
        a_model_server(node, f"{prefix}-server", at=NOW, node_name=node.name, namespace=space, kind="vllm")
        a_finding(node, f"{prefix}_pods", text=f"{prefix}-pod holds it", evidence=evidence)
        a_finding(node, "many_shares", key=f"{space}/Pod/x", subject="pod", text=f"{prefix}-pod asks for 4")
        XidBurstRow.objects.filter(node=node).update(pods=[*BURST_PODS, f"{space}/{prefix}-pod"])
    name_in_rungs(seen, prefix)
    waiting = f"{prefix}-waits-too"
    snapshot = {"uid": waiting, "namespace": space, "name": waiting, "phase": "Pending"}
    pod = a_pod(seen.nodes[0], waiting, namespace=space, uid=waiting, phase="Pending", holds=False, snapshot=snapshot)
    Pod.objects.filter(pk=pod.pk).update(node=None)
    named_by = FindingRow.objects.get(node=seen.nodes[0], rule=f"{prefix}_pods")
    FindingRow.objects.filter(pk=seen.finding.pk).update(incident=named_by)
    Silence.objects.create(
        cluster=seen.cluster, rule="many_shares", key=f"{space}/Pod/x", reason=f"{prefix}-known", by=seen.user, created_at=NOON,
        until=NOW + timedelta(days=1),
    )  # fmt: skip
    AccessRequest.objects.create(
        team=seen.request.team, class_version=seen.request.class_version, namespace=space, name=f"{prefix}-ask", replicas=1,
        state="submitted", requested_by=seen.user, created_at=NOON, submitted_at=NOON, purpose=f"{prefix}-why",
    )  # fmt: skip
    Cluster.objects.filter(pk=seen.cluster.pk).update(error=f"{prefix}-space is not readable")


def rest_of_the_tables(seen: Half, hidden: Half) -> None:
    """A row of every table that no half has, and of what is neutral in a view of a cluster that is seen in part."""
    user, name = hidden.user, hidden.cluster.name
    SavedView.objects.create(user=user, page="nodes", name=f"{MARK}-view")
    IdempotencyKey.objects.create(user=user, key=MARK, path="/", digest="0" * 64, at=NOON)
    UserSession.objects.create(user=user, session_key=MARK, ip="192.0.2.1", user_agent=MARK)
    DataCheck.objects.create(at=NOON, took_ms=1, count=0)
    KeptForecast.objects.create(cluster=hidden.cluster, title=MARK, by=user, created_at=NOON, changes=[MARK])
    StrandedDay.objects.create(
        day=NOON.date(), kind="pool", name=MARK, samples=1, free_sum=1, stranded_sum=1, most_stranded=1, free_gpus=1,
        stranded_gpus=1, at=NOON,
    )  # fmt: skip
    Price.objects.create(product=MARK, per_gpu_hour=1, currency="USD", updated_at=NOON)
    MembershipRequest.objects.create(team=hidden.request.team, user=seen.user, reason=MARK, asked_at=NOON)
    AuditStream.objects.create(sink=MARK)
    ExpectedGpus.objects.create(machine_type=f"{MARK}-machine", count=8, reason=f"{MARK}-count", by=user, at=NOON)
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE frames_of_an_hour PARTITION OF fleet_telemetryframe DEFAULT")
    TelemetryFrame.objects.create(node_id=hidden.nodes[0].pk, at=NOON, values={})
    Cluster.objects.filter(name__startswith="seen").update(
        same_as=hidden.cluster, read_through=name, context_tries={name: [1, 1]}, dra={"claims": []}, incomplete_pools=[MARK],
        readiness_rules=[{"name": MARK}], events=[{"note": MARK}], pending_fingerprint=MARK,
    )  # fmt: skip
    Pool.objects.filter(slug="seen-pool").update(spec={"selector": {"clusters": ["seen-cluster", name]}})
    FindingRow.objects.filter(node=seen.nodes[1], rule="driver_loaded").update(incident=hidden.finding)
    evidence = [{"source": "pod", "key": f"{MARK}-space/{MARK}", "value": "runs"}]
    Node.objects.filter(pk=seen.nodes[1].pk).update(
        reason=MARK, evidence=evidence, device_findings=[{"evidence": evidence}], pods_fingerprint=MARK,
        pending={MARK: "1"}, dra={"allocations": [MARK]}, broken_rung="cuda_works", verdict_reason=MARK, verdict_remedy=MARK,
    )  # fmt: skip
    RungPeriod.objects.filter(node=seen.nodes[1]).update(reason=MARK, evidence=evidence)
    VerdictPeriod.objects.filter(node=seen.nodes[1]).update(reason=MARK, remedy=MARK)
    DeviceTelemetry.objects.filter(node=seen.nodes[1]).update(sample={"pods": [{"namespace": f"{MARK}-space", "pod": MARK}]})
    XidBurstRow.objects.filter(node=seen.nodes[1]).update(job=f"Job/{MARK}-space/{MARK}")
    version = ClassVersion.objects.get(workload_class__slug="seen-class")
    version.spec["pools"].append(hidden.pool)
    version.save()
