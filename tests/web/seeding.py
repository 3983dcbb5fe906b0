"""A fleet to look at: three clusters, one of them stale, with nodes in every verdict; and one node with a hard week behind it.

Rows only, as the pipeline would have left them; every test that needs a full page starts here.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import connection

from fleet.models import Node, NodeRevision, TelemetryFrame
from tests.factories import (
    RUNG_IDS,
    a_cluster,
    a_finding_saying,
    a_gpu,
    a_ladder,
    a_model_server,
    a_node,
    a_pod,
    a_resource,
    a_rung_period,
    a_sample,
    a_verdict_period,
    an_exporter,
    an_xid_burst,
)

WHY = {
    "kubelet_ready": "The kubelet stopped posting status.",
    "driver_loaded": "The driver upgrade is stuck in pod-restart-required.",
    "cuda_works": "The CUDA validation has not finished.",
    "resources_advertised": "7 of 8 slots are allocatable.",
    "labels_accurate": "The labels were written before the last boot.",
    "telemetry_healthy": "The exporter may not be read (403).",
}
# pool: cluster, product, machine type, mode, nodes, {place: (verdict, broken rung, status)}
_POOLS: tuple[tuple[str, str, str, str, int, dict[int, tuple[str, str, str]]], ...] = (
    ("prod-us-east", "NVIDIA-H100-80GB-HBM3", "p5.48xlarge", "Full GPU", 36, {
        5: ("degraded", "labels_accurate", "warn"), 16: ("not_ready", "resources_advertised", "fail"),
        23: ("degraded", "telemetry_healthy", "warn")}),
    ("prod-us-east", "NVIDIA-H200", "p5en.48xlarge", "Full GPU", 25, {
        8: ("not_ready", "telemetry_healthy", "fail"), 13: ("degraded", "labels_accurate", "warn"),
        24: ("starting", "cuda_works", "waiting")}),
    ("prod-eu-west", "NVIDIA-A100-SXM4-80GB", "a2-ultragpu-8g", "Full GPU", 32, {
        3: ("degraded", "telemetry_healthy", "warn"), 11: ("not_ready", "kubelet_ready", "fail"),
        19: ("degraded", "labels_accurate", "warn"), 27: ("not_ready", "driver_loaded", "fail")}),
    ("prod-eu-west", "NVIDIA-H100-80GB-HBM3", "a3-highgpu-8g", "MIG 7×1g.10gb", 12, {
        7: ("degraded", "telemetry_healthy", "warn")}),
    ("research-onprem", "NVIDIA-L40S", "r760xa", "Time-sliced ×4", 16, {9: ("unknown", "telemetry_healthy", "unknown")}),
    ("research-onprem", "NVIDIA-B200", "dgx-b200", "Full GPU", 8, {6: ("excluded", "", "")}),
)  # fmt: skip


_FINDINGS = (
    ("telemetry_healthy", 5.3, "fatal", "Row-remap failure on GPU 2: the GPU must be replaced"),
    ("resources_advertised", 16.75, "critical", "GPU 5 fell off the bus (Xid 79)"),
    ("driver_loaded", 3.1, "critical", "Driver upgrade stuck in pod-restart-required"),
    ("kubelet_ready", 0.4, "critical", "Kubelet stopped posting status"),
    ("cuda_works", 72, "info", "Health counters are not enabled"),
)


def a_busy_fleet(now: datetime | None = None) -> dict[str, Node]:
    """129 nodes; the broken ones by their first broken rung. research-onprem has not been read for eleven minutes."""
    now = now or datetime.now(UTC)
    late = now - timedelta(minutes=11)
    for name, platform in (("prod-us-east", "EKS"), ("prod-eu-west", "GKE")):
        a_cluster(name, platform=platform, server_version="v1.34.1", read_at=now - timedelta(seconds=24))
    a_cluster(
        "research-onprem", platform="kubeadm", server_version="v1.32.9", read_at=late, failing_since=late, outcome="failed",
        error="API server: connect timeout after 10 s.",
    )  # fmt: skip
    broken: dict[str, Node] = {}
    for cluster, product, machine, mode, total, odd in _POOLS:
        for place in range(total):
            verdict, rung, status = odd.get(place, ("ready", "", ""))
            since = now - timedelta(minutes=20 + 61 * place)
            node = a_node(
                f"{machine.split('.')[0]}-10-40-{place}-{17 * place % 251}", a_cluster(cluster), product=product,
                machine_type=machine, mode=mode, verdict=verdict, broken_rung=rung, verdict_since=since,
                verdict_reason=WHY.get(rung, "Cordoned for maintenance." if verdict == "excluded" else "Every rung passes."),
                usable=8 if verdict in ("ready", "degraded") else 0,
                rungs=a_ladder(rung, status, **({"model_server_starts": {"status": "pass"}} if place % 3 and not rung else {})),
            )  # fmt: skip
            a_verdict_period(node, since, None, verdict, broken_rung=rung, usable=node.usable)
            if rung:
                broken.setdefault(rung, node)
    for rung, hours, severity, text in _FINDINGS:
        a_finding_saying(broken[rung], text, now - timedelta(hours=hours), severity=severity, rung=rung)
    skew = "Driver skew: 30 nodes on 580.95.05, 2 on 570.172.08"
    a_finding_saying(None, skew, now - timedelta(days=2), severity="warning", cluster=a_cluster("prod-eu-west"), subject="pool")
    _an_hour(broken, now)
    return broken


def _an_hour(broken: dict[str, Node], now: datetime) -> None:
    node = broken["kubelet_ready"]
    node.verdict_periods.all().delete()
    a_verdict_period(node, now - timedelta(days=3), now - timedelta(minutes=23))
    a_verdict_period(node, now - timedelta(minutes=23), None, "not_ready", broken_rung="kubelet_ready")
    other = broken["labels_accurate"]
    geometry = [{"section": "labels", "key": "nvidia.com/mig.config", "before": "all-3g.20gb", "after": "all-1g.10gb"}]
    a_revision(other, now - timedelta(minutes=34), None, geometry)
    for place in range(3):
        twin = a_node(f"p5-10-40-61-{place}", other.cluster, verdict="ready", usable=8, rungs=a_ladder())
        a_revision(twin, now - timedelta(minutes=48), None, [DRIVER])


def a_revision(node: Node, since: datetime, until: datetime | None, changes: list[dict[str, Any]], **facts: Any) -> NodeRevision:
    fields = {
        "labels": {"nvidia.com/gpu.count": "8"},
        "taints": {},
        "capacity": {"nvidia.com/gpu": "8"},
        "allocatable": {"nvidia.com/gpu": "8"},
    }
    return NodeRevision.objects.create(node=node, period=(since, until), facts={**fields, **facts}, changes=changes)


DRIVER = {"section": "labels", "key": "nvidia.com/cuda.driver-version.full", "before": "570.172.08", "after": "580.95.05"}
LABELS = {
    "nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3",
    "nvidia.com/gpu.count": "8",
    "nvidia.com/gpu.replicas": "1",
    "nvidia.com/mig.strategy": "single",
    "nvidia.com/gpu.memory": "81559",
    "node.kubernetes.io/instance-type": "p5.48xlarge",
    "topology.kubernetes.io/zone": "us-east-1b",
}


def a_broken_node(now: datetime | None = None, **fields: Any) -> Node:
    """Not ready at rung 5 since 16 h 45 min: GPU 5 is lost, a squatter sits on GPU 7, two servers run, one of them oddly."""
    now = now or datetime.now(UTC)
    since = now - timedelta(hours=16, minutes=45)
    evidence = [
        {"source": "capacity", "key": "nvidia.com/gpu", "value": "8"},
        {"source": "allocatable", "key": "nvidia.com/gpu", "value": "7", "deciding": True},
        {"source": "prediction", "key": "8 devices × 1 replica", "value": "8"},
        {"source": "pod", "key": "nvidia-device-plugin-daemonset-m4x7c", "value": "Ready"},
        {"source": "DCGM", "key": 'DCGM_FI_DEV_XID_ERRORS{gpu="5"}', "value": "79", "deciding": True},
    ]
    ladder = a_ladder(
        "resources_advertised",
        kubelet_ready={"reason": "Ready=True, heartbeat 8 s old"},
        gpu_present={"reason": "count 8, expected 8 (p5.48xlarge)"},
        driver_loaded={"reason": "label and DCGM agree: 580.95.05", "evidence": evidence[:1]},
        container_runtime={"reason": "toolkit pod ready, v1.18.0"},
        cuda_works={"reason": "validator completed 19 Nov 06:34"},
        resources_advertised={"reason": "7 allocatable, 8 predicted", "evidence": evidence},
        telemetry_healthy={"own_status": "fail", "reason": "GPU 5 has a fatal finding."},
    )
    values: dict[str, Any] = {
        "verdict": "not_ready", "broken_rung": "resources_advertised", "verdict_since": since, "usable": 0, "state": "partial",
        "verdict_reason": "7 of 8 slots are allocatable.", "slots_allocatable": 7, "slots_requested": 6, "slots_free": 1,
        "verdict_remedy": "Move the pods: kubectl drain ip-10-40-17-203.ec2.internal\n"
        "Stop and start the instance, so that it comes up on another host.\n"
        "If Xid 79 comes back within 7 days, open a hardware case with the provider.",
        "rungs": ladder, "labels": LABELS, "taints": [{"key": "nvidia.com/gpu", "value": "", "effect": "NoSchedule"}],
        "cuda_version": "13.0", "kubelet_version": "v1.34.1", "gpu_memory_mib": 81_559, "physical_source": "label",
        "isolation": "Each pod has whole cards: memory and faults stay on the card.",
        "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady"},
                       {"type": "GpuNvlinkWatch", "status": "False", "reason": "healthy"}],
        "evidence": evidence[:3],
    }  # fmt: skip
    node = a_node("ip-10-40-17-203.ec2.internal", a_cluster("prod-us-east"), **{**values, **fields})
    a_resource(node, allocatable=7, requested=6, free=1)
    _its_cards(node, now, since)
    _its_week(node, now, since)
    return node


def _its_cards(node: Node, now: datetime, since: datetime) -> None:
    an_exporter(node)
    llama = a_pod(node, "llama-3-3-70b-vllm-0", slots=4, created_at=now - timedelta(days=4, hours=8))
    qwen = a_pod(
        node, "qwen3-32b-vllm-7d9f6c-xk2lp", slots=2, ready=False, reason="CrashLoopBackOff", created_at=now - timedelta(days=2)
    )
    a_pod(node, "jupyter-akira-0", slots=0, holds=False, requests={}, created_at=now - timedelta(hours=21))
    a_pod(node, "nvidia-device-plugin-daemonset-m4x7c", component="device-plugin", slots=0, holds=False)
    a_pod(node, "nvidia-dcgm-exporter-k2v9p", component="dcgm-exporter", slots=0, holds=False)
    for index in range(4):
        a_sample(node, index, now, (llama.name,), gpu_util=97 - index, fb_used=73_500, gpu_temp=64 + index, power=612 - 3 * index)
    a_sample(node, 4, now, (qwen.name,), gpu_util=0, fb_used=614, gpu_temp=35, power=74)
    lost = a_sample(node, 5, since, (qwen.name,), gpu_util=0, fb_used=600)
    a_sample(node, 6, now, gpu_util=0, fb_used=500, gpu_temp=34, power=71)
    a_sample(node, 7, now, ("jupyter-akira-0",), gpu_util=34, fb_used=12_100, gpu_temp=47, power=243)
    for index in range(8):
        a_gpu(node, index)
    some_curves(node, now)
    an_xid_burst(node, lost.uuid, 79, now - timedelta(hours=16, minutes=45))
    a_finding_saying(
        node,
        "GPU 5 fell off the PCIe bus (Xid 79), so the device plugin marked it unhealthy.",
        since,
        key=lost.uuid,
        rule="xid",
        subject="gpu",
        rung="resources_advertised",
        remedy="Stop and start the instance.",
    )
    since, until = now - timedelta(days=3), now - timedelta(days=2.9)
    a_finding_saying(node, "PCIe replay errors are rising on GPU 5.", since, until, severity="warning",
              key=lost.uuid, rule="pcie_replay", subject="gpu")  # fmt: skip
    a_model_server(node, llama.name, now, running=38, waiting=2, kv_cache=0.71, tokens_per_s=2_310, ttft_s=0.42)
    a_model_server(
        node, qwen.name, now, running=0, waiting=12, kv_cache=0.99, tokens_per_s=0, ttft_s=None, models=["qwen3-32b"], ready=False
    )


def some_curves(node: Node, now: datetime) -> None:
    """A day of frames every ten minutes for the first four cards, with three hours without measurements."""
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE IF NOT EXISTS fleet_telemetryframe_of_tests PARTITION OF fleet_telemetryframe DEFAULT")
    keys = list(node.telemetry.values_list("uuid", flat=True))
    frames = []
    for step in range(144):
        if 60 <= step < 78:
            continue
        values = {key: {"gpu_util": max(0, 96 - 9 * place - (step * 7 + place * 13) % 23)} for place, key in enumerate(keys)}
        frames.append(TelemetryFrame(node_id=node.pk, at=now - timedelta(minutes=10 * step + 1), values=values))
    TelemetryFrame.objects.bulk_create(frames)


def _its_week(node: Node, now: datetime, since: datetime) -> None:
    upgraded, warned, started = now - timedelta(days=4, hours=8), now - timedelta(days=3), now - timedelta(days=20)
    a_verdict_period(node, started, upgraded)
    a_verdict_period(node, upgraded, upgraded + timedelta(minutes=35), "starting", broken_rung="driver_loaded")
    a_verdict_period(node, upgraded + timedelta(minutes=35), warned)
    a_verdict_period(node, warned, warned + timedelta(hours=2), "degraded", broken_rung="telemetry_healthy")
    a_verdict_period(node, warned + timedelta(hours=2), since)
    a_verdict_period(node, since, None, node.verdict, broken_rung=node.broken_rung, reason=node.verdict_reason)
    for number, rung in enumerate(RUNG_IDS[:8]):
        if rung in ("driver_loaded", "cuda_works"):
            a_rung_period(node, rung, started, upgraded)
            a_rung_period(
                node, rung, upgraded, upgraded + timedelta(minutes=35), "waiting", reason="The driver is being replaced."
            )
            a_rung_period(node, rung, upgraded + timedelta(minutes=35), None)
        elif rung == "resources_advertised":
            a_rung_period(node, rung, started, since)
            a_rung_period(node, rung, since, None, "fail", reason="7 allocatable, 8 predicted")
        else:
            a_rung_period(node, rung, started, since if number > 5 else None)
            if number > 5:
                a_rung_period(node, rung, since, None, "blocked", reason="by rung 5")
    label = [{"section": "labels", "key": "team", "before": None, "after": "inference"}]
    plugin = [{"section": "stack", "key": "device-plugin", "before": "0.17.4", "after": "0.18.0"}]
    lost = [{"section": "allocatable", "key": "nvidia.com/gpu", "before": "8", "after": "7"}]
    moments = [
        (started, []),
        (now - timedelta(days=6, hours=3), label),
        (upgraded, [DRIVER]),
        (now - timedelta(days=1, hours=21), plugin),
        (since, lost),
    ]
    for place, (at, changes) in enumerate(moments):
        until = moments[place + 1][0] if place + 1 < len(moments) else None
        more = {"allocatable": {"nvidia.com/gpu": "7" if at == since else "8"}, "labels": dict(LABELS)}
        a_revision(node, at, until, changes, **more)
