"""Evidence that only gets worse never gives a better verdict, however long it lasts.

Muster looks at one node again and again, remembering of each look what the database remembers. The node has a few faults, or
none. From some look on only evidence is lost: an exporter falls silent, series go, values turn to nonsense, clocks stop, sections
cannot be read. From then on no verdict may be better than any before it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.domain.devices.measured_gpus import learn_uuids, present_uuids
from fleet.domain.evaluation.evaluate import evaluate
from fleet.domain.evaluation.node_evaluation import NodeEvaluation
from fleet.domain.evaluation.rules import could_look
from fleet.domain.evaluation.subject import NodeHistory
from fleet.domain.findings import Finding, Severity
from fleet.domain.snapshot.sections import Outcome
from fleet.domain.snapshot.telemetry import DeviceSample, Telemetry
from tests.domain.readiness.world import NOW, World, operator, samples, stack, telemetry, without

HEALTHY = {
    "gpu_temp": 50.0, "memory_temp": 60.0, "power": 400.0, "energy": 9e9, "xid": 0.0, "pcie_replay": 3.0,
    "row_remap_failure": 0.0, "row_remap_pending": 0.0, "remapped_uncorrectable": 0.0, "ecc_dbe_volatile": 0.0,
    "power_violation": 7.0, "thermal_violation": 7.0, "nvlink_crc_flit": 0.0, "nvlink_crc_data": 0.0, "nvlink_replay": 0.0,
    "nvlink_recovery": 0.0, "fb_used": 40_000.0, "fb_free": 40_000.0,
}  # fmt: skip
EXPORTED = (*HEALTHY, "xid_counts", "watches", "clock_events")
RANK = {"ready": 0, "degraded": 1}
"""Any other verdict is as bad as any other other."""
Read = Callable[[int, DeviceSample], DeviceSample]


def values(**changed: float) -> Read:
    return lambda look, sample: msgspec.structs.replace(sample, values={**sample.values, **changed})


def growing(metric: str) -> Read:
    return lambda look, sample: values(**{metric: 10.0 * look})(look, sample)


def frozen(look: int, sample: DeviceSample) -> DeviceSample:
    return values(energy=9e9, power=400.0)(look, sample)


def first_gpu(read: Read) -> Read:
    return lambda look, sample: read(look, sample) if sample.uuid.endswith("0000") else sample


FAULTS: dict[str, Read] = {
    "DCGM frozen": frozen,
    "hot": first_gpu(values(gpu_temp=95.0)),
    "row remap pending": first_gpu(values(row_remap_pending=1.0)),
    "row remap failed": first_gpu(values(row_remap_failure=1.0)),
    "uncorrectable errors": first_gpu(values(ecc_dbe_volatile=2.0)),
    "NVLink errors": first_gpu(growing("nvlink_replay")),
    "thermally throttled": first_gpu(growing("thermal_violation")),
    "watch warns": first_gpu(lambda look, sample: msgspec.structs.replace(sample, watches={"MEM": 10})),
    "watch fails": first_gpu(lambda look, sample: msgspec.structs.replace(sample, watches={"MEM": 20})),
    "hardware slowdown": first_gpu(lambda look, sample: msgspec.structs.replace(sample, clock_events={"hw_slowdown": 3.0})),
}


def reading(world: World, look: int, faults: Sequence[str], at: datetime) -> World:
    """What the exporter answers at a look."""
    rows = []
    for sample in samples():
        sample = msgspec.structs.replace(
            sample, at=at, values={**HEALTHY, "energy": 9e9 + 1e6 * look}, watches={"MEM": 0}, clock_events={"gpu_idle": 1.0}
        )
        for fault in faults:
            sample = FAULTS[fault](look, sample)
        rows.append(sample)
    return world.but(telemetry=telemetry(rows, at=at, metrics=EXPORTED))


Loss = Callable[[World, NodeHistory], World]


def silent(outcome: Outcome) -> Loss:
    """The exporter does not answer: its last samples stay, as old as they are."""

    def lose(world: World, history: NodeHistory) -> World:
        reports = tuple(
            msgspec.structs.replace(exporter, outcome=outcome, reason="No answer.") for exporter in world.telemetry.exporters
        )
        return world.but(telemetry=msgspec.structs.replace(world.telemetry, samples=history.samples, exporters=reports))

    return lose


def no_longer_exported(*names: str) -> Loss:
    def lose(world: World, history: NodeHistory) -> World:
        kept = tuple(
            msgspec.structs.replace(
                sample,
                values={name: value for name, value in sample.values.items() if name not in names},
                watches={} if "watches" in names else sample.watches,
                clock_events={} if "clock_events" in names else sample.clock_events,
            )
            for sample in world.telemetry.samples
        )
        reports = tuple(
            msgspec.structs.replace(exporter, metrics=tuple(name for name in exporter.metrics if name not in names))
            for exporter in world.telemetry.exporters
        )
        return world.but(telemetry=msgspec.structs.replace(world.telemetry, samples=kept, exporters=reports))

    return lose


def nonsense(*names: str) -> Loss:
    """Values that cannot be: the collector keeps why, and no value."""

    def lose(world: World, history: NodeHistory) -> World:
        kept = tuple(
            msgspec.structs.replace(
                sample,
                values={name: value for name, value in sample.values.items() if name not in names},
                refused={name: "NaN" for name in names if name in sample.values},
            )
            for sample in world.telemetry.samples
        )
        return world.but(telemetry=msgspec.structs.replace(world.telemetry, samples=kept))

    return lose


def stopped_clock(world: World, history: NodeHistory) -> World:
    """The exporter answers with the samples, and the times, of the look before."""
    before = {sample.key: sample for sample in history.samples}
    samples = tuple(before.get(sample.key, sample) for sample in world.telemetry.samples)
    return world.but(telemetry=msgspec.structs.replace(world.telemetry, samples=samples))


def gpus_gone(world: World, history: NodeHistory) -> World:
    return world.but(telemetry=msgspec.structs.replace(world.telemetry, samples=world.telemetry.samples[1:]))


LOSSES: dict[str, Loss] = {
    "exporter times out": silent(Outcome.TIMEOUT),
    "exporter unreachable": silent(Outcome.UNREACHABLE),
    "exporter malformed": silent(Outcome.MALFORMED),
    "exporter forbidden": silent(Outcome.FORBIDDEN),
    "exporter skipped": silent(Outcome.SKIPPED),
    "exporter gone": lambda world, history: world.but(
        telemetry=Telemetry(source="pod-proxy"), pods=without(world.pods, "dcgm-exporter")
    ),
    "exporter without GPUs": lambda world, history: world.but(telemetry=msgspec.structs.replace(world.telemetry, samples=())),
    "telemetry unread": lambda world, history: world.but(broken=(*world.broken, "telemetry")),
    "pods unread": lambda world, history: world.but(broken=(*world.broken, "pods")),
    "events unread": lambda world, history: world.but(broken=(*world.broken, "events")),
    "energy not exported": no_longer_exported("energy"),
    "energy and power not exported": no_longer_exported("energy", "power"),
    "faults not exported": no_longer_exported(*(name for name in EXPORTED if name not in ("energy", "power", "xid"))),
    "nothing but temperature": no_longer_exported(*(name for name in EXPORTED if name != "gpu_temp")),
    "every value NaN": nonsense(*HEALTHY),
    "energy and power NaN": nonsense("energy", "power"),
    "faults NaN": nonsense(*(name for name in HEALTHY if name not in ("energy", "power", "xid"))),
    "stopped clock": stopped_clock,
    "first GPU gone": gpus_gone,
    "no conditions": lambda world, history: world.but(
        node=msgspec.structs.replace(
            world.node, conditions=tuple(condition for condition in world.node.conditions if condition.type == "Ready")
        )
    ),
}


def look_at(world: World, history: NodeHistory, at: datetime) -> NodeEvaluation:
    snapshot = msgspec.structs.replace(world.snapshot(), taken_at=at)
    if "telemetry" in world.broken:  # as recorded before: the last known stands in
        last = msgspec.structs.replace(world.telemetry, samples=history.samples)
        snapshot = msgspec.structs.replace(snapshot, telemetry=last, remembered=("telemetry",))
    return evaluate(snapshot, msgspec.structs.replace(world.cluster, nodes={world.node.uid: history})).nodes[0]


def remember(history: NodeHistory, node: NodeEvaluation, world: World) -> NodeHistory:
    """What the database keeps of a look."""
    samples = world.telemetry.samples if "telemetry" not in world.broken else ()
    return msgspec.structs.replace(
        history,
        samples=samples or history.samples,
        known_uuids=learn_uuids(history.known_uuids, present_uuids(samples)),
        standing=tuple(
            open_finding for open_finding in open_findings(history, node) if open_finding.severity is not Severity.INFO
        ),
        pending=node.pending,
        rungs={rung.id: rung.status for rung in node.readiness.rungs},
        verdict=node.readiness.verdict,
    )


def open_findings(history: NodeHistory, node: NodeEvaluation) -> Iterable[Finding]:
    by_rule = {result.rule: result for result in node.results}
    seen = {(finding.rule, finding.key): finding for result in node.results if could_look(result) for finding in result.findings}
    kept = [
        item
        for item in history.standing
        if (item.rule, item.key) not in seen
        and ((result := by_rule.get(item.rule)) is None or not could_look(result) or item.key in result.blind)
    ]
    return (*kept, *seen.values())


def check(
    name: str, faults: Sequence[str], losses: Sequence[tuple[str, int]], *, seconds: int = 60, before: int = 12
) -> list[str]:
    """The verdicts from the last look with all evidence on."""
    world = stack(name) if name != "idle" else operator()
    history, at, verdicts = world.history, NOW, []
    losing: list[str] = []
    starts = dict(losses)
    for look in range(before + 8):
        at = NOW + timedelta(seconds=seconds * look)
        now = reading(world, look, faults, at)
        losing += [loss for loss, start in starts.items() if before + start == look]
        for loss in losing:
            now = LOSSES[loss](now, history)
        node = look_at(now, history, at)
        history = remember(history, node, now)
        if look >= before - 1:
            verdicts.append(str(node.readiness.verdict))
    ranks = [RANK.get(verdict, 2) for verdict in verdicts]
    worst = ranks[0]
    for rank in ranks:
        assert rank >= worst, f"{name} with {faults}, then {losses}: {verdicts}"
        worst = max(worst, rank)
    return verdicts


@pytest.mark.slow
@pytest.mark.parametrize("loss", sorted(LOSSES))
@pytest.mark.parametrize("fault", sorted(FAULTS))
def test_a_fault_that_can_no_longer_be_seen_is_not_over(fault: str, loss: str) -> None:
    assert check("operator", [fault], [(loss, 0)])[0] != "ready", f"{fault} is not seen at all"


def test_an_exporter_that_stood_still_and_falls_silent_never_turns_the_node_ready() -> None:
    verdicts = check("operator", ["DCGM frozen"], [("exporter times out", 0)])
    assert verdicts[0] == "degraded"
    assert verdicts[-1] == "unknown"


def test_an_exporter_that_muster_may_not_ask_is_not_to_blame() -> None:
    verdicts = check("operator", [], [("exporter forbidden", 0), ("telemetry unread", 4)])
    assert set(verdicts) == {"ready", "unknown"}


def test_a_healthy_node_stays_ready_while_everything_is_read() -> None:
    assert set(check("operator", [], [])) == {"ready"}


LOST = st.dictionaries(st.sampled_from(sorted(LOSSES)), st.integers(0, 6), min_size=1, max_size=4)
"""What is lost, to how many looks later."""


@pytest.mark.slow
@settings(max_examples=100)
@given(
    name=st.sampled_from(["operator", "plain", "gke", "dra"]),
    faults=st.lists(st.sampled_from(sorted(FAULTS)), max_size=3, unique=True),
    losses=LOST,
    seconds=st.sampled_from([30, 60]),
)
def test_no_loss_of_evidence_betters_a_verdict(name: str, faults: list[str], losses: dict[str, int], seconds: int) -> None:
    check(name, faults, sorted(losses.items()), seconds=seconds)
