"""The pattern page: every component in every state, light and dark side by side. Its samples are invented, not read."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from types import SimpleNamespace

from django.contrib.messages import ERROR, SUCCESS
from django.contrib.messages.storage.base import Message
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone

from fleet.domain.evaluation.node_capacity import Capacity
from fleet.domain.readiness.remedies import parse_steps
from fleet.selectors.nodes.headline import Headline
from fleet.templatetags import bar_ui, words
from fleet.templatetags.ui import UNDO
from fleet.web.forms.notifications import RuleForm
from fleet.web.patterns import drawing_samples, history_samples, ladder_samples
from fleet.web.patterns.drawing_samples import LONG
from fleet.web.shell.time_range import Choice, TimeRange


def patterns(request: HttpRequest) -> HttpResponse:
    """Context: themes (the two, each with its own ids), samples, now."""
    now = timezone.now()
    context = {"themes": ("light", "dark"), "samples": samples(now), "now": now}
    return render(request, "patterns/detail.html", context)


def samples(now: datetime) -> dict[str, object]:
    """Samples of the components, by component."""
    return {
        **{kind: list(known) for kind, known in words.SETS.items()},
        "freshness": _freshness(now),
        "five": _five(),
        "drawings": drawing_samples.drawings(),
        "evidence": _evidence(),
        "facets": _facets(),
        "time_ranges": _time_ranges(now),
        "bars": _bars(),
        "headlines": _headlines(now),
        "maps": drawing_samples.maps(),
        "sections": _sections(),
        "kv": _key_values(),
        "names": ("ip-10-40-17-203.ec2.internal", "qwen3-32b-vllm-7d9f6c-xk2lp", LONG, "b200", None),
        "ages": [now - timedelta(seconds=age) for age in (24, 660, 11_100, 75_600, 187_200, 34_560_000)],
        "messages": [
            Message(SUCCESS, "Finding silenced. It stays open under the status “silenced”.", f"{UNDO}#"),
            Message(ERROR, "A reason is required."),
        ],
        "segments": [{"label": word, "url": "#", "current": word == "Pool"} for word in ("Pool", "Cluster", "Product")],
        "page": Paginator(range(5000), 50).page(2),
        "chart": _chart(),
        "issues": _issues(now),
        "hours": ((1, "1 hour"), (24, "1 day")),
        **ladder_samples.samples(now),
        **history_samples.samples(now),
        "form": _form(),
        "checks": [{"used_slots": used, "requested_slots": of} for used, of in ((4, 8), (0, 8), (8, 8), (61_440, 262_144))]
        + [{}],
    }


def _freshness(now: datetime) -> list[SimpleNamespace]:
    def chip(level: str, seconds: int | None) -> SimpleNamespace:
        at = None if seconds is None else now - timedelta(seconds=seconds)
        return SimpleNamespace(level=level, read_at=at, unknown_at=at and at + timedelta(minutes=15))

    return [chip("live", 24), chip("late", 150), chip("stale", 680), chip("never", None)]


def _five() -> list[tuple[str, Capacity]]:
    return [
        ("Full GPU", Capacity(physical=8, slots=8, allocatable=8, requested=5, free=3)),
        ("Full GPU, one GPU lost", Capacity(physical=8, slots=8, allocatable=7, requested=6, free=1)),
        ("MIG 7×1g.10gb", Capacity(physical=1, slots=7, allocatable=7, requested=4, free=3, slot_noun="MIG slots")),
        ("Time-sliced ×4", Capacity(physical=1, slots=4, allocatable=4, requested=3, free=1, slot_noun="shared slots")),
        ("Nothing was collected", Capacity()),
        ("Whole fleet", Capacity(physical=40_960, slots=286_720, allocatable=286_712, requested=190_114, free=96_598)),
    ]


def _evidence() -> list[dict[str, object]]:
    return [
        {"source": "label", "key": "nvidia.com/gpu.count", "value": "8"},
        {"source": "allocatable", "key": "nvidia.com/gpu", "value": "7", "deciding": True},
        {"source": "DCGM", "key": 'DCGM_FI_DEV_XID_ERRORS{gpu="5"}', "value": "79", "deciding": True},
        {"source": "pod", "key": f"nvidia-device-plugin-daemonset-{LONG}", "value": "Ready"},
    ]


def _time_ranges(now: datetime) -> list[TimeRange]:
    choices = tuple(Choice(label, "#", label == "24 h") for label in ("1 h", "6 h", "24 h", "7 d", "30 d", "90 d"))
    none = tuple(replace(choice, current=False) for choice in choices)
    return [
        TimeRange("24h", now - timedelta(hours=24), now, choices),
        TimeRange("custom", now - timedelta(days=9), now - timedelta(days=8), none),
    ]


def _facets() -> list[SimpleNamespace]:
    def facet(name: str, *values: tuple[str, int, bool]) -> SimpleNamespace:
        rows = [SimpleNamespace(value=value, count=count, chosen=chosen) for value, count, chosen in values]
        return SimpleNamespace(name=name, values=rows)

    zones = [(f"europe-west4-{letter}", 40 - 4 * place, False) for place, letter in enumerate("abcdefghi")]
    return [
        facet("mode", ("Full GPU", 113, True), ("Time-sliced ×4", 16, False), ("MIG 7×1g.10gb", 12, True), ("MPS ×8", 0, False)),
        facet("state", ("full", 131, False), ("none", 2, True), ("unknown", 1, False)),
        facet("zone", *zones, (LONG, 1, False)),
        facet("driver"),
    ]


def _bars() -> list[list[bar_ui.Segment]]:
    def segments(**counts: int) -> list[bar_ui.Segment]:
        return [bar_ui.Segment(count, words.VERDICTS[key].word, f"v-{key}") for key, count in counts.items()]

    return [
        segments(ready=972, degraded=40, not_ready=32, starting=8, unknown=4, excluded=8),
        segments(ready=4999, not_ready=1),
        [],
    ]


def _headlines(now: datetime) -> list[Headline]:
    return [
        Headline(
            "not_ready",
            "GPU 5 has fallen off the bus (Xid 79)",
            "7 of 8 slots are allocatable. Failed at rung 5, GPUs advertised.",
            since=now - timedelta(hours=16, minutes=45),
            evidence="AcceleratedHardwareReady",
            seen_at=now - timedelta(hours=15),
            notes=("Rungs 6 to 9 are blocked.",),
            steps=(
                *parse_steps(f"Move the pods: `kubectl drain {LONG}`"),
                *parse_steps("Stop and start the instance, so that it comes up on another host."),
            ),
        ),
        Headline("unknown", "Readiness unknown", "Pods: forbidden."),
        Headline("ready", "All 8 GPUs are advertised", since=now - timedelta(days=3)),
    ]


def _sections() -> list[dict[str, object]]:
    def row(name: str, outcome: str, count: int | None, took: int, reason: str = "", hides: str = "") -> dict[str, object]:
        return {"name": name, "outcome": outcome, "count": count, "took_ms": took, "reason": reason, "hides": hides}

    return [
        row("nodes", "collected", 61, 184),
        row("pods", "forbidden", None, 12, "The service account may not list pods.", "requested and free slots"),
        row("resource_slices", "absent", 0, 8, "The API resource.k8s.io is not installed."),
        row("operator", "timeout", None, 10_000, "No answer after 10 s.", "who owns the driver"),
        row("permissions", "skipped", None, 0, "The deadline was exceeded."),
    ]


def _key_values() -> list[dict[str, object]]:
    return [
        {"label": "Memory per GPU", "value": "79.6 GiB", "sub": "81,559 MiB"},
        {"label": "Driver", "value": "580.95.05", "mono": True},
        {"label": "CUDA", "value": None, "none": "no label has it"},
        {"label": "Slot", "value": "one whole GPU", "tip": "One advertised unit of an extended resource."},
        {"label": "Provider id", "value": f"aws:///us-east-1b/{LONG}", "mono": True},
    ]


def _form() -> RuleForm:
    """A submitted form with two errors."""
    given = {"name": "On call", "target": "1", "min_severity": "awful", "group_s": "", "repeat_s": "0", "clusters": ["east"]}
    return RuleForm(given, targets=[(1, "Pager")], clusters=["east", "west", LONG], products=[])


def _chart() -> dict[str, object]:
    moments = [f"{hour:02}:00" for hour in range(24)]
    seconds = [1.1, 1.2, 1.1, 1.3, 1.2, 1.1, 1.4, 1.2, 6.8, 1.3, 1.2, 1.1] * 2
    return {
        "sentence": "A run takes 1.2 s; the slowest, at 08:00, took 6.8 s.",
        "figure": {
            "data": [{"type": "bar", "x": moments, "y": seconds, "marker": {"color": "var(--bar)"}}],
            "layout": {"yaxis": {"ticksuffix": " s"}},
        },
        "columns": ["Hour", "Took, s"],
        "rows": [list(pair) for pair in zip(moments, seconds, strict=True)],
    }


def _issues(now: datetime) -> list[SimpleNamespace]:
    def issue(severity: str, text: str, hours: float, **more: object) -> SimpleNamespace:
        opened = now - timedelta(hours=hours)
        node = SimpleNamespace(name="ip-10-40-17-203.ec2.internal", product="NVIDIA-H100-80GB-HBM3", expected=8, removed_at=None)
        fields = {
            "pk": number(), "severity": severity, "text": text, "rule": "slots_mismatch", "key": "nvidia.com/gpu", "node": node,
            "title": "Slots do not match the devices", "subject": "node", "cluster": SimpleNamespace(name="prod-us-east"),
            "rung": "resources_advertised", "evidence": _evidence(),
            "remedy": "Read its log: `kubectl logs -n gpu-operator nvidia-device-plugin-m4x7c`\nThen check the GPU.",
            "period": SimpleNamespace(lower=opened, upper=None), "silence": None,
        }  # fmt: skip
        return SimpleNamespace(**(fields | more))

    number = iter(range(1, 99)).__next__
    silence = SimpleNamespace(
        pk=1, until=now + timedelta(days=1), reason="The GPU is being replaced.", by=SimpleNamespace(username="otto")
    )
    over = SimpleNamespace(lower=now - timedelta(days=2), upper=now - timedelta(hours=3))
    return [
        issue("fatal", "Row-remap failure on GPU 2: the GPU must be replaced.", 5.3),
        issue("critical", "1 of 8 slots not allocatable: 1 GPU unhealthy or missing (nvidia.com/gpu).", 16.75),
        issue(
            "warning",
            "Drivers differ within the cluster: 30 nodes on 580.95.05, 2 nodes on 570.172.08.",
            52,
            node=None,
            subject="cluster",
        ),
        issue(
            "warning",
            f"The labels name {LONG}, the exporter reports {LONG}.",
            0.4,
            silence=silence,
            cluster=SimpleNamespace(name=LONG),
        ),
        issue("info", "No taint keeps this GPU node free for GPU workloads.", 48, period=over, evidence=[], remedy="", rung=""),
    ]
