"""The full run with the real ladder: what happens to nodes under the GPU Operator becomes exactly these periods, and what
only flickers becomes none."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from django.conf import settings
from msgspec import structs

from fleet.domain.snapshot import ClusterSnapshot
from fleet.domain.snapshot.sections import Outcome, SectionReport
from fleet.domain.snapshot.telemetry import DeviceSample, ExporterReport, ModelServer, PodRef, Telemetry
from fleet.models import Cluster, CollectionRun, DeviceTelemetry, FindingRow, Node, NodeRevision, RungPeriod, VerdictPeriod
from fleet.selectors.muster.invariants import breaches
from fleet.services import staleness
from fleet.services.collection_runs import TELEMETRY
from tests.absorbing import absorb
from tests.builders import make_node, make_pod
from tests.domain.readiness import world

pytestmark = pytest.mark.django_db
T0 = world.NOW
OPERATOR = world.stack("operator")
PARTS = ("driver", "toolkit", "device-plugin", "gpu-feature-discovery", "dcgm-exporter", "validator")
BETWEEN = ("telemetry", "model_servers")
EXPORTED = (
    "gpu_util", "fb_used", "fb_free", "gpu_temp", "mem_temp", "power", "energy", "xid", "ecc_dbe_volatile", "sm_clock",
    "pcie_replay", "row_remap_failure", "nvlink_bandwidth",
)  # fmt: skip


def minute(number: float) -> datetime:
    return T0 + timedelta(minutes=number)


@pytest.fixture
def east() -> Iterator[Cluster]:
    """A cluster, after whose history the data must not contradict itself."""
    yield Cluster.objects.create(name="east")
    assert list(breaches(minute(60))) == []


def values(number: float, card: int) -> dict[str, float]:
    """A card at work: whatever can move, moves from look to look."""
    beat = (int(number * 2) * 7 + card * 3) % 11
    return {
        "gpu_util": 55.0 + beat, "fb_used": 70_000.0 + 310 * beat, "fb_free": 11_000.0 - 310 * beat, "gpu_temp": 61.0 + beat,
        "mem_temp": 70.0 + beat, "power": 480.0 + 9.7 * beat, "energy": 1e9 + 2.4e7 * number + card, "xid": 0.0,
        "ecc_dbe_volatile": 0.0, "sm_clock": 1_755.0 + beat, "pcie_replay": 2.0, "row_remap_failure": 0.0,
        "nvlink_bandwidth": 1_000.0 * beat,
    }  # fmt: skip


def samples(name: str, number: float, cards: int) -> tuple[DeviceSample, ...]:
    return tuple(
        DeviceSample(
            node_name=name, uuid=f"GPU-{name}-{card:04d}", index=card, at=minute(number) - timedelta(seconds=2),
            model="NVIDIA H100 80GB HBM3", driver_version="570.172.08", values=values(number, card),
            pods=(PodRef("team-a", f"vllm-{name}"),),
        )
        for card in range(cards)
    )  # fmt: skip


def server(name: str, number: float) -> ModelServer:
    beat = int(number * 2) % 5
    return ModelServer(
        node_name=name, namespace="team-a", pod=f"vllm-{name}", kind="vllm", ready=True, outcome=Outcome.COLLECTED,
        at=minute(number), models=("llama",), running=3 + beat, waiting=beat, kv_cache=0.4 + beat / 50,
        requests=100 + int(number * 9), generation_tokens=10_000 + int(number * 900), tokens_per_s=800.0 + beat,
        ttft_s=0.2 + beat / 99,
    )  # fmt: skip


def seen(number: float, between: bool = False, broken: Outcome | None = None, **cards: int | tuple[int, str]) -> ClusterSnapshot:
    """A look at minute `number`: how many of its eight cards each node has, and its uid where it is another than usual."""
    fleet = {name: card if isinstance(card, tuple) else (card, f"uid-{name}") for name, card in cards.items()}
    nodes = tuple(
        make_node(name, unhealthy=8 - count, uid=uid, labels=world.OPERATOR_LABELS) for name, (count, uid) in fleet.items()
    )
    stack = [
        structs.replace(world.operand(part, node=name), name=f"{part}-{name}", uid=f"{part}-{uid}")
        for name, (_, uid) in fleet.items()
        for part in PARTS
    ]
    work = [make_pod(f"vllm-{name}", node=name, namespace="team-a", uid=f"vllm-{uid}") for name, (_, uid) in fleet.items()]
    telemetry = Telemetry(
        source="pod-proxy",
        samples=tuple(sample for name, (count, _) in fleet.items() for sample in samples(name, number, count)),
        exporters=tuple(
            ExporterReport(
                node_name=name, namespace="gpu-operator", pod=f"dcgm-exporter-{name}", source="pod-proxy",
                outcome=Outcome.COLLECTED, at=minute(number), metrics=EXPORTED,
            )
            for name in fleet
        ),
        servers=tuple(server(name, number) for name in fleet),
    )  # fmt: skip
    names = BETWEEN if between else ("version", "permissions", *world.SECTIONS)
    outcome = broken or Outcome.COLLECTED
    snapshot = ClusterSnapshot(
        name="east",
        taken_at=minute(number),
        sections={
            name: SectionReport(name=name, outcome=outcome, reason="It answers nothing." if broken else "") for name in names
        },
    )
    if broken:
        return snapshot
    if between:
        return structs.replace(snapshot, telemetry=telemetry)
    return structs.replace(
        snapshot, telemetry=telemetry, nodes=nodes, node_count=len(nodes), pods=(*stack, *work), operator=OPERATOR.operator
    )


def look(number: float, **fields: Any) -> int | None:
    cluster = Cluster.objects.get()
    snapshot = seen(number, **fields)
    run = CollectionRun(cluster=cluster, started_at=snapshot.taken_at, trigger=TELEMETRY if fields.get("between") else "schedule")
    absorb(cluster, snapshot, run)
    return run.changes


def verdicts(name: str = "n1", uid: str = "") -> list[tuple[float, float | None, str, str]]:
    rows = VerdictPeriod.objects.filter(node__name=name, node__uid=uid or f"uid-{name}").order_by("period")
    return [(*_minutes(row), row.verdict, row.broken_rung) for row in rows]


def rungs(rung: str, name: str = "n1") -> list[tuple[float, float | None, str]]:
    rows = RungPeriod.objects.filter(node__name=name, node__uid=f"uid-{name}", rung=rung).order_by("period")
    return [(*_minutes(row), row.status) for row in rows]


def _minutes(row: Any) -> tuple[float, float | None]:
    start, end = row.period.lower, row.period.upper
    return (start - T0).total_seconds() / 60, None if end is None else (end - T0).total_seconds() / 60


def kept() -> dict[str, int]:
    """How many rows history has, and what they say: a changed sentence of a present period is a write too."""
    return {
        "verdicts": VerdictPeriod.objects.count(),
        "rungs": RungPeriod.objects.count(),
        "revisions": NodeRevision.objects.count(),
        "findings": FindingRow.objects.count(),
        "texts": hash(str(list(RungPeriod.objects.order_by("pk").values_list("status", "reason", "evidence")))),
        "found": hash(str(list(FindingRow.objects.order_by("pk").values_list("text", "evidence", "period")))),
        "rows": hash(str(list(Node.objects.order_by("pk").values_list("fingerprint", "changed_at", "verdict_since")))),
    }


def test_a_healthy_node_under_the_operator_is_ready_by_the_real_ladder(east: Cluster) -> None:
    look(0, n1=8)
    assert verdicts() == [(0, None, "ready", "")]
    assert {rung["id"]: rung["status"] for rung in Node.objects.get().rungs} == dict.fromkeys(
        (rung["id"] for rung in Node.objects.get().rungs), "pass"
    )


def test_a_card_is_lost_and_comes_back(east: Cluster) -> None:
    for number in range(40):
        look(number, n1=7 if 10 <= number < 20 else 8, n2=8)
    assert verdicts() == [(0, 10, "ready", ""), (10, 20, "not_ready", "resources_advertised"), (20, None, "ready", "")]
    assert rungs("resources_advertised") == [(0, 10, "pass"), (10, 20, "fail"), (20, None, "pass")]
    assert rungs("telemetry_healthy") == [(0, 10, "pass"), (10, 20, "blocked"), (20, None, "pass")], "by the rung before it"
    assert rungs("cuda_works") == [(0, None, "pass")]
    assert verdicts("n2") == [(0, None, "ready", "")]
    period = VerdictPeriod.objects.get(verdict="not_ready")
    assert (period.usable, period.expected) == (0, 8)


def test_a_node_is_recreated_under_its_name(east: Cluster) -> None:
    look(0, n1=8, n2=8)
    look(1, n1=8, n2=8)
    for number in range(2, 10):
        look(number, n1=(8, "another"), n2=8)
    assert verdicts() == [(0, 2, "ready", "")]
    assert {end for _, end, _ in rungs("cuda_works")} == {2}
    (first, *_), last = (result := verdicts(uid="another")), result[-1]
    assert (first[0], last[1:3]) == (2, (None, "ready"))
    assert all(before[1] == after[0] for before, after in pairwise(result)), "no gap"
    assert verdicts("n2") == [(0, None, "ready", "")]


@pytest.mark.parametrize("sweeps", [False, True])
def test_a_cluster_is_silent_for_forty_minutes(east: Cluster, sweeps: bool) -> None:
    for number in range(5):
        look(number, n1=8)
    for number in range(5, 45):
        look(number, n1=8, broken=Outcome.UNREACHABLE)
        if sweeps:
            staleness.sweep(minute(number + 0.25))
    for number in range(45, 50):
        look(number, n1=8)
    turned = 4 + settings.STALE_AFTER.total_seconds() / 60
    assert verdicts() == [(0, turned, "ready", ""), (turned, 45, "unknown", ""), (45, None, "ready", "")]
    for rung in ("kubelet_ready", "cuda_works", "resources_advertised", "telemetry_healthy"):
        assert rungs(rung) == [(0, turned, "pass"), (turned, 45, "unknown"), (45, None, "pass")], rung


def test_a_cluster_that_is_silent_for_ten_minutes_keeps_its_last_known_data(east: Cluster) -> None:
    """Last known data does not age during the outage, not even telemetry, which otherwise counts for five minutes."""
    for number in range(5):
        look(number, n1=8)
    before = kept()
    for number in range(5, 15):
        assert look(number, n1=8, broken=Outcome.UNREACHABLE) == 0
        assert look(number + 0.5, n1=8, between=True, broken=Outcome.UNREACHABLE) == 0
    assert kept() == before
    look(15, n1=8)
    assert verdicts() == [(0, None, "ready", "")]
    assert FindingRow.objects.filter(rule="exporter_stale").count() == 0


def test_between_two_full_runes_telemetry_ends_and_begins_nothing(east: Cluster) -> None:
    look(0, n1=8, n2=8)
    look(1, n1=8, n2=8)
    before = kept()
    for number in range(2, 8):
        assert look(number - 0.5, n1=8, n2=8, between=True) == 0
        assert look(number, n1=8, n2=8) == 0
    assert kept() == before


def test_telemetry_alone_dates_a_lost_gpu(east: Cluster) -> None:
    for number in range(3):
        look(number, n1=8, n2=8)
    look(2.5, n1=7, n2=8, between=True)
    assert [period[:3] for period in verdicts()] == [(0, 2.5, "ready"), (2.5, None, "not_ready")]
    assert rungs("telemetry_healthy") == [(0, 2.5, "pass"), (2.5, None, "fail")]
    assert rungs("resources_advertised") == [(0, None, "pass")], "the device plugin has not noticed yet"
    look(3.5, n1=8, n2=8, between=True)
    assert [period[:3] for period in verdicts()][2:] == [(3.5, None, "ready")]
    assert verdicts("n2") == [(0, None, "ready", "")]


def test_unchanged_passes_over_live_telemetry_write_no_history(east: Cluster) -> None:
    look(0, n1=8, n2=8)
    look(1, n1=8, n2=8)
    before, measured = kept(), {row.uuid: row.sample["values"] for row in DeviceTelemetry.objects.all()}
    for number in range(2, 7):
        assert look(number, n1=8, n2=8) == 0, f"pass {number} wrote something"
    assert kept() == before
    now = {row.uuid: row.sample["values"] for row in DeviceTelemetry.objects.all()}
    assert all(now[uuid] != measured[uuid] for uuid in measured), "and yet every GPU was measured again"


def test_two_looks_at_one_scrape_are_no_change(east: Cluster) -> None:
    """Exporters collect every 30 s: two looks often find the same to the digit, and the next one finds it moved."""
    look(0, n1=8)
    look(1, n1=8)
    before = kept()
    for number in (2, 3, 4, 5, 6, 7):
        snapshot = seen(number, n1=8)
        still = tuple(
            structs.replace(sample, values=values(2 * (number // 2), sample.index or 0)) for sample in snapshot.telemetry.samples
        )
        snapshot = structs.replace(snapshot, telemetry=structs.replace(snapshot.telemetry, samples=still))
        run = CollectionRun(cluster=east, started_at=snapshot.taken_at)
        east.refresh_from_db()
        absorb(east, snapshot, run)
        assert run.changes == 0
        assert bool(Node.objects.get().pending.get("exporter_stale|frozen")) == bool(number % 2), "it is remembered all the same"
    assert kept() == before
