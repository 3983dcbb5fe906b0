"""Samples of what shows readiness over time, for the pattern page: invented, not read."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

from fleet.domain.evaluation.subject import Waiver
from fleet.domain.findings import Evidence
from fleet.domain.history.timeline import Axis, Lane, LanePeriod, Mark
from fleet.selectors.nodes.ladder import LadderRow
from fleet.selectors.nodes.views import RungView
from fleet.templatetags import timeline
from fleet.web.node_timeline import DrawnNodeTimeline, TimelineRow

LONG = "gke-a3-ultra-inference-pool-with-a-name-up-to-the-limit-3f2c9b1e"
_IDS = (
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


def samples(now: datetime) -> dict[str, object]:
    """Samples of the components of readiness, by component."""
    return {
        "strips": _strips(),
        "ladders": [_ladder(now), [], _waived(now)],
        "funnels": _funnels(),
        "timelines": _timelines(now),
        "sparks": _sparks(now),
        "day_ago": now - timedelta(hours=24),
        "cards": _cards(now),
        "servers": _servers(now),
        "findings": _findings(now),
        "asof": _asof(now),
    }


def _strip(**odd: str) -> list[RungView]:
    stopped, rungs = False, []
    for number, rung in enumerate(_IDS):
        status = odd.get(rung) or ("blocked" if stopped else "pass" if number < 8 else "not_applicable")
        waiver = Waiver(rung=rung, reason="", by="otto", at=datetime(2026, 1, 1, tzinfo=UTC)) if status == "waived" else None
        rungs.append(RungView(number=number, id=rung, status="not_enabled" if waiver else status, waiver=waiver))
        stopped = stopped or status in ("fail", "waiting", "unknown", "not_enabled")
    return rungs


def _strips() -> list[list[RungView]]:
    return [
        _strip(),
        _strip(resources_advertised="fail"),
        _strip(cuda_works="waiting"),
        _strip(labels_accurate="warn", telemetry_healthy="unknown"),
        _strip(cuda_works="waived", telemetry_healthy="not_enabled"),
        [],
    ]


def _row(number: int, status: str, reason: str) -> LadderRow:
    return LadderRow(number=number, id=_IDS[number], status=status, reason=reason, required=number <= 7)


def _ladder(now: datetime) -> list[LadderRow]:
    evidence = (
        Evidence("allocatable", "nvidia.com/gpu", "7"),
        Evidence("prediction", "8 devices × 1 replica", "8"),
        Evidence("pod", LONG, "Ready"),
    )
    remedy = "Enable the validator in the ClusterPolicy."
    return [
        _row(0, "pass", "Ready=True, heartbeat 8 s old"),
        replace(_row(1, "warn", "7 GPUs seen, 8 expected on this machine type"), evidence=evidence[:1]),
        _row(2, "waiting", "The driver pod starts."),
        _row(3, "unknown", "Pods could not be read: forbidden."),
        replace(_row(4, "not_enabled", "No validator runs on this cluster."), remedy=remedy),
        replace(_row(5, "fail", "7 allocatable, 8 predicted"), evidence=evidence, broken=True),
        replace(_row(6, "blocked", ""), blocked_by=5, last_pass=now - timedelta(hours=17)),
        replace(_row(7, "blocked", "GPU 5 has a fatal finding."), blocked_by=5, own_status="fail"),
        _row(8, "not_applicable", ""),
        _row(9, "not_applicable", ""),
    ]


def _waived(now: datetime) -> list[LadderRow]:
    waiver = Waiver(rung=_IDS[4], by="otto", reason="no validator on this cloud", at=now, where="cluster")
    return [
        replace(_row(4, "not_enabled", "No validator runs on this cluster."), waiver=waiver),
        _row(5, "pass", "8 of 8 slots are allocatable"),
    ]


def _funnels() -> list[SimpleNamespace]:
    def rung(number: int, passed: int, **fields: int) -> SimpleNamespace:
        counts = {"pass": passed - fields.get("warn", 0), **fields}
        return SimpleNamespace(number=number, id=_IDS[number], passed=passed, by_status=counts, required=number <= 7)

    busy = [
        rung(0, 139, fail=1),
        rung(2, 138, fail=1),
        rung(4, 137, waiting=1, waived=12),
        rung(6, 136, warn=3),
        rung(7, 134, warn=4, fail=1, unknown=1, not_enabled=24),
        rung(8, 96, not_applicable=38),
    ]
    huge = [rung(0, 4999, fail=1), rung(7, 2210, warn=1200, fail=340, unknown=1, not_enabled=1248)]
    return [
        SimpleNamespace(rungs=busy, counted=140, excluded=1, unjudged=0),
        SimpleNamespace(rungs=huge, counted=5000, excluded=0, unjudged=7),
        SimpleNamespace(rungs=[], counted=0, excluded=0, unjudged=3),
    ]


def _timelines(now: datetime) -> list[tuple[str, DrawnNodeTimeline]]:
    axis = Axis(now - timedelta(days=7), now)
    broke, warned = now - timedelta(hours=16, minutes=45), now - timedelta(days=3)
    span, mark = LanePeriod, Mark
    verdicts = [
        span(axis.start - timedelta(days=9), warned, "ready", "Ready", quiet=True),
        span(warned, warned + timedelta(hours=2), "degraded", "Degraded"),
        span(warned + timedelta(hours=2), warned + timedelta(hours=9), "unknown", "Unknown"),
        span(warned + timedelta(hours=9), broke, "ready", "Ready", quiet=True),
        span(broke, None, "not_ready", "Not ready"),
    ]
    rung = [span(axis.start, broke, "ready", "Pass", quiet=True), span(broke, None, "not_ready", "Fail")]
    timelines = [
        span(warned, warned + timedelta(hours=2), "degraded", "PCIe replay errors"),
        span(broke, None, "not_ready", "Xid 79, GPU 5"),
    ]
    marks = [
        mark(axis.start + timedelta(days=1), "labels", "label team=inference"),
        mark(axis.start + timedelta(days=2), "driver", "driver 570.172.08 → 580.95.05"),
        mark(broke - timedelta(minutes=4), "geometry", "MIG layout all-1g.10gb", amber=True),
        mark(broke - timedelta(days=2), "taints", "taint added"),
    ]
    lanes = [
        Lane("Verdict", verdicts, tall=True),
        Lane("5 advertised", rung, words="none"),
        Lane("Findings", timelines, words="beside"),
        Lane("Changes", marks=marks),
    ]
    many = [
        span(axis.start + timedelta(hours=3 * n), axis.start + timedelta(hours=3 * n + 1), "not_ready", "Not ready")
        for n in range(56)
    ]
    nothing = [Lane("Verdict", [span(axis.start, None, "unknown", "Not evaluated")], tall=True)]
    flapping = [Lane("Verdict", many, tall=True)]
    rows = [TimelineRow(broke, None, False, "Verdict", "Not ready")]
    drawn = timeline.draw(axis, flapping, now, None, now - timedelta(days=2))
    return [
        ("busy", DrawnNodeTimeline(timeline.draw(axis, lanes, now, broke), rows, "Ready 88.5 % of known time.", 0)),
        ("flapping", DrawnNodeTimeline(drawn, rows, "56 changes of verdict.", 0)),
        ("nothing", DrawnNodeTimeline(timeline.draw(axis, nothing, now), [], "Not evaluated in this time.", 0)),
    ]


def _sparks(now: datetime) -> list[list[tuple[datetime, float | None]]]:
    def curve(*values: float | None) -> list[tuple[datetime, float | None]]:
        return [(now - timedelta(minutes=10 * (len(values) - place)), value) for place, value in enumerate(values)]

    busy = [90 - (place * 7) % 30 for place in range(143)]
    return [curve(*busy), curve(*busy[:60], *[None] * 24, *busy[84:]), curve(*[0] * 143), []]


def _reading(value: float | None, why: str = "", enable: str = "") -> SimpleNamespace:
    return SimpleNamespace(value=value, why=why, enable=enable, reason="")


def _card(index: int, util: float | None, *pods: str, **more: object) -> SimpleNamespace:
    on = tuple(SimpleNamespace(namespace="inference", name=pod, squatter=pod.startswith("jupyter")) for pod in pods)
    line = "DCGM_FI_DEV_ECC_DBE_VOL_TOTAL, counter, Total number of double-bit volatile ECC errors."
    fields: dict[str, object] = {
        "index": str(index), "uuid": f"GPU-{index}d4170c9f-0000-4000-8000-0000", "memory_mib": 81_559, "at": None,
        "silent": False,
        "gone": False, "broken": bool(more.get("gone")), "findings": (), "xids": (), "pods": on, "unclaimed": False, "migs": (),
        "readings": {
            "gpu_util": _reading(util, "blank"), "fb_used": _reading(73_000.0 if util else 500.0), "gpu_temp": _reading(64.0),
            "power": _reading(612.0), "ecc_dbe_volatile": _reading(None, "not enabled", line),
        },
    }  # fmt: skip
    return SimpleNamespace(**{**fields, **more})


def _cards(now: datetime) -> list[SimpleNamespace]:
    mig = SimpleNamespace(
        profile="1g.10gb", instance="7", fb_used=_reading(4_000.0), fb_total=9_856, engine=_reading(38.0), pods=()
    )
    dark = SimpleNamespace(
        profile="2g.20gb",
        instance="3",
        fb_used=_reading(None, "no sample"),
        fb_total=None,
        engine=_reading(None, "not enabled"),
        pods=(),
    )
    xid = SimpleNamespace(code=79, last_at=now - timedelta(hours=16), count=3)
    return [
        _card(0, 97.0, "llama-3-3-70b-vllm-0"),
        _card(4, 0.0),
        _card(5, None, "qwen3-32b-vllm-7d9f6c-xk2lp", silent=True, gone=True, at=now - timedelta(hours=16), xids=(xid,)),
        _card(6, None, LONG),
        _card(7, 34.0, "jupyter-akira-0"),
        _card(8, 12.0, unclaimed=True),
        _card(9, 12.0, migs=(mig, dark)),
    ]


def _servers(now: datetime) -> list[SimpleNamespace]:
    def server(pod: str, **more: object) -> SimpleNamespace:
        fields = {"namespace": "inference", "pod": pod, "kind": "vllm", "models": ("llama-3.3-70b",), "silent": "",
                "running": 38.0,
                "waiting": 2.0, "kv_cache": 71.0, "tokens_per_s": 2310.0, "ttft_s": 0.42, "gpus": ("0", "1"), "gpu_util": 96.0,
                "notes": (), "served_at": now}  # fmt: skip
        return SimpleNamespace(**{**fields, **more})

    hangs = "GPU use is 96 %, but no tokens are generated: the server may hang, or another process uses the GPU."
    return [
        server("llama-3-3-70b-vllm-0"),
        server(LONG, tokens_per_s=0.0, ttft_s=None, notes=(hangs,)),
        server("triton-0", kind="triton", kv_cache=None, tokens_per_s=None, ttft_s=None, gpus=(), gpu_util=None, models=()),
        server("tgi-0", kind="tgi", silent="Its metrics could not be read: forbidden."),
    ]


def _findings(now: datetime) -> list[SimpleNamespace]:
    def finding(pk: int, severity: str, text: str, *, until: datetime | None = None, **more: object) -> SimpleNamespace:
        fields = {
            "rule": "xid",
            "rung": "telemetry_healthy",
            "node_id": None,
            "cluster_id": None,
            "cluster": SimpleNamespace(name="prod-us-east"),
            "evidence": (),
            "remedy": "",
            "silenced": False,
        }
        period = SimpleNamespace(lower=now - timedelta(hours=5), upper=until)
        return SimpleNamespace(pk=pk, severity=severity, text=text, period=period, **{**fields, **more})

    evidence = ({"source": "DCGM", "key": 'DCGM_FI_DEV_XID_ERRORS{gpu="5"}', "value": "79"},)
    return [
        finding(1, "fatal", "Row-remap failure on GPU 2: the GPU must be replaced"),
        finding(2, "critical", "GPU 5 fell off the bus (Xid 79)", evidence=evidence, remedy="Stop and start the instance."),
        finding(3, "warning", f"Driver skew between {LONG} and its neighbours", silenced=True),
        finding(4, "info", "Health counters are not enabled", until=now - timedelta(hours=1)),
    ]


def _asof(now: datetime) -> list[dict[str, object]]:
    ago = now - timedelta(hours=17)
    return [
        {"at": None, "before": ago, "after": None, "comparing": False},
        {"at": ago, "before": ago - timedelta(hours=3), "after": now - timedelta(hours=1), "comparing": False},
        {"at": None, "before": None, "after": None, "comparing": True, "from": ago, "to": now},
    ]
