from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from fleet.domain.evaluation.evaluate import evaluate
from fleet.domain.health.xids import watch
from fleet.domain.refusals import FieldError
from fleet.domain.snapshot import ClusterSnapshot, NodeEvent
from fleet.domain.snapshot.sections import Outcome
from fleet.domain.snapshot.telemetry import DeviceSample, ExporterReport, PodRef, Telemetry
from fleet.models import AuditEntry, Cluster, CollectionRun, DeviceTelemetry, Node, XidBurstRow, XidOverride
from fleet.selectors.xids import xids as select
from fleet.selectors.xids.bursts import bursts_by_code
from fleet.services import evaluation_history, last_known, xids
from tests import factories
from tests.absorbing import absorb
from tests.services.snapshots import T0, a_node, a_pod, a_snapshot

pytestmark = pytest.mark.django_db


@pytest.fixture
def east() -> Cluster:
    return Cluster.objects.create(name="east")


def reports(node: str, code: float, after_s: float, card: int = 0, pod: str = "") -> DeviceSample:
    refs = (PodRef(namespace="inference", pod=pod),) if pod else ()
    return DeviceSample(
        node_name=node, uuid=f"GPU-{node}-{card}", at=T0 + timedelta(seconds=after_s), values={"xid": code}, pods=refs
    )


def look(cluster: Cluster, *samples: DeviceSample, after_s: float, pods: Any = (), nodes: Any = ("n1",)) -> None:
    """One pass, and what telemetry keeps of it."""
    exporters = tuple(
        ExporterReport(node_name=name, outcome=Outcome.COLLECTED, metrics=("xid",), at=T0 + timedelta(seconds=after_s))
        for name in nodes
    )
    snapshot = a_snapshot(
        *(a_node(name) for name in nodes),
        pods=tuple(pods),
        after_s=after_s,
        telemetry=Telemetry(samples=samples, exporters=exporters),
    )
    remember(cluster, snapshot)
    for sample in samples:
        DeviceTelemetry.objects.update_or_create(
            node=Node.objects.get(name=sample.node_name),
            uuid=sample.uuid,
            gi_id="",
            defaults={"at": sample.at, "sample": msgspec.to_builtins(sample, builtin_types=())},
        )


def remember(cluster: Cluster, seen: ClusterSnapshot) -> None:
    cluster.refresh_from_db()
    absorb(cluster, seen, CollectionRun(cluster=cluster, started_at=seen.taken_at))


def rows() -> list[tuple[str, int, int]]:
    return [
        (row.node.name, row.code, row.count) for row in XidBurstRow.objects.select_related("node").order_by("started_at", "id")
    ]


def test_a_change_of_the_gauge_becomes_a_row_that_goes_on(east: Cluster) -> None:
    look(east, reports("n1", 0, 0), after_s=1)
    assert rows() == []
    look(east, reports("n1", 13, 60), after_s=61)
    look(east, reports("n1", 13, 120), after_s=121)  # it sticks
    look(east, reports("n1", 43, 180), after_s=181)
    look(east, reports("n1", 13, 235), after_s=236)
    assert rows() == [("n1", 13, 2), ("n1", 43, 1)]
    row = XidBurstRow.objects.get(code=13)
    assert (row.started_at, row.last_at) == (T0 + timedelta(seconds=60), T0 + timedelta(seconds=235))
    assert row.source == "gauge"


def test_an_old_code_at_the_first_scrape_is_not_a_burst(east: Cluster) -> None:
    look(east, reports("n1", 79, 0), after_s=1)
    look(east, reports("n1", 79, 60), after_s=61)
    assert rows() == []


def test_one_crash_of_one_job_is_one_incident(east: Cluster) -> None:
    names = [f"n{n}" for n in range(8)]
    pods = [a_pod(f"train-{name}", name, gpus=8, owner_kind="Job", owner_name="train") for name in names]
    look(east, *(reports(name, 0, 0, pod=f"train-{name}") for name in names), after_s=1, pods=pods, nodes=names)
    # half of them are seen a look later than the others
    look(
        east,
        *(reports(name, 45 if n < 4 else 0, 60, pod=f"train-{name}") for n, name in enumerate(names)),
        after_s=61, pods=pods, nodes=names,
    )  # fmt: skip
    early = set(XidBurstRow.objects.values_list("incident", flat=True))
    look(east, *(reports(name, 45, 120, pod=f"train-{name}") for name in names), after_s=121, pods=pods, nodes=names)
    assert XidBurstRow.objects.count() == 8
    assert set(XidBurstRow.objects.values_list("incident", "job")) == {(early.pop(), "Job/inference/train")}


def test_a_pass_without_news_writes_no_burst(east: Cluster) -> None:
    look(east, reports("n1", 0, 0), after_s=1)
    look(east, reports("n1", 13, 60), after_s=61)
    with CaptureQueriesContext(connection) as value:
        look(east, reports("n1", 13, 120), after_s=121)
    assert not [q for q in value if "fleet_xidburst" in q["sql"] and q["sql"].startswith(("INSERT", "UPDATE"))]


def test_a_burst_older_than_a_day_is_forgotten_and_kept(east: Cluster) -> None:
    look(east, reports("n1", 0, 0), after_s=1)
    look(east, reports("n1", 13, 60), after_s=61)
    look(east, reports("n1", 43, 90_000), after_s=90_001)
    assert rows() == [("n1", 13, 1), ("n1", 43, 1)]


def test_a_node_recreated_under_its_name_starts_without_events(east: Cluster) -> None:
    look(east, reports("n1", 0, 0), after_s=1)
    again = a_snapshot(a_node("n1", uid="another"), after_s=61, telemetry=Telemetry(samples=(reports("n1", 79, 60),)))
    remember(east, again)
    assert rows() == []


def test_a_decision_is_audited_with_before_and_after(operator: Any) -> None:
    at = datetime(2026, 11, 23, 12, tzinfo=T0.tzinfo)
    xids.override(63, severity="critical", action="reset_gpu", reason=" We replace them early. ", by=operator, at=at)
    row = XidOverride.objects.get()
    assert (row.code, row.severity, row.action, row.reason, row.by) == (
        63,
        "critical",
        "reset_gpu",
        "We replace them early.",
        operator,
    )
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.subject, entry.reason, entry.actor, entry.actor_name, entry.at) == (
        "xid.override", "Xid 63", "We replace them early.", operator, "otto", at,
    )  # fmt: skip
    assert entry.detail == {
        "before": {"severity": "info", "action": "none", "by": "catalogue"},
        "after": {"severity": "critical", "action": "reset_gpu", "by": "operator"},
    }


def test_a_decision_can_be_changed_and_withdrawn(operator: Any) -> None:
    xids.override(63, severity="critical", reason="a", by=operator)
    xids.override(63, severity="warning", reason="b", by=operator)
    assert XidOverride.objects.get().severity == "warning"
    assert xids.withdraw(63, by=operator) is True
    assert xids.withdraw(63, by=operator) is False
    assert not XidOverride.objects.exists()
    assert [entry.action for entry in AuditEntry.objects.order_by("id")] == ["xid.override", "xid.override", "xid.withdraw"]
    assert AuditEntry.objects.order_by("id").last().detail["after"]["by"] == "catalogue"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("wrong", "field"),
    [({"severity": "awful"}, "severity"), ({"action": "shout"}, "action"), ({"reason": "  "}, "reason"), ({"code": 0}, "code")],
)
def test_what_cannot_be_decided_is_refused_and_leaves_no_trace(operator: Any, wrong: dict[str, Any], field: str) -> None:
    asked = {"code": 63, "severity": "critical", "reason": "because", **wrong}
    with pytest.raises(FieldError) as refused:
        xids.override(asked.pop("code"), **asked, by=operator)
    assert refused.value.field == field
    assert not XidOverride.objects.exists()
    assert not AuditEntry.objects.exists()


def test_a_decision_holds_from_the_next_pass_on(east: Cluster, operator: Any) -> None:
    xids.override(13, severity="fatal", reason="never here", by=operator)
    look(east, reports("n1", 0, 0), after_s=1)
    seen = a_snapshot(a_node("n1"), after_s=61, telemetry=Telemetry(samples=(reports("n1", 13, 60),)))
    judged = evaluate(seen, watch(seen, evaluation_history.load_history(east, seen))).nodes[0]
    findings = next(result for result in judged.results if result.rule == "xid").findings
    assert [(item.key, item.severity) for item in findings] == [("GPU-n1-0/13", "fatal")]


def test_policies_name_what_was_decided_seen_and_disagreed(operator: Any) -> None:
    node = factories.a_node("n1")
    factories.a_burst(node, 999)
    xids.override(13, severity="critical", reason="because", by=operator)
    by_code = {row.code: row for row in select.policies(factories.NOON)}
    assert (by_code[999].name, by_code[999].bursts, by_code[999].severity) == ("Not in the catalogue", 1, "warning")
    assert (by_code[13].severity, by_code[13].default_severity, by_code[13].override.by) == ("critical", "info", operator)  # type: ignore[union-attr]
    assert set(by_code[13].disagree) == {"nvidia", "gpud", "eks", "plugin", "gcm"}
    result = select.matching(by_code.values(), "Xid 79")
    assert [row.code for row in result] == [79]
    assert [row.code for row in select.matching(by_code.values(), "", show="decided")] == [13]
    assert [row.code for row in select.matching(by_code.values(), "", show="seen")] == [999]
    assert {row.code for row in select.matching(by_code.values(), "reset gpu nvlink")} >= {74, 136, 155}


def test_bursts_of_a_window_are_those_that_went_on_in_it() -> None:
    node = factories.a_node("n1")
    at = factories.NOON
    factories.a_burst(node, 1, started_at=at - timedelta(hours=2), last_at=at - timedelta(minutes=50))
    factories.a_burst(node, 2, started_at=at - timedelta(hours=3), last_at=at - timedelta(hours=2))
    factories.a_burst(node, 3, started_at=at, last_at=at)
    window = (at - timedelta(hours=1), at)
    assert [row.code for row in bursts_by_code(*window)] == [1]


# --- what monitors tell in Events ---


def an_event(code: int, after_s: float, *, node: str = "n1", first_s: float | None = None, count: int = 1) -> NodeEvent:
    return NodeEvent(
        uid=f"event-{node}-{code}",
        node_name=node,
        node_uid=f"uid-{node}",
        type="Warning",
        reason="AcceleratedHardwareReady",
        message=f"NvidiaXID{code}Warning: detected unknown XID-{code} on the instance",
        count=count,
        first_at=T0 + timedelta(seconds=after_s if first_s is None else first_s),
        last_at=T0 + timedelta(seconds=after_s),
    )


def record_events(
    cluster: Cluster, *events: NodeEvent, after_s: float, broken: dict[str, Outcome] | None = None, **fields: Any
) -> None:
    remember(cluster, a_snapshot(a_node("n1"), after_s=after_s, events=events, broken=broken, **fields))


def test_an_event_becomes_a_row_that_goes_on(east: Cluster) -> None:
    record_events(east, an_event(31, 10), after_s=30)
    record_events(east, an_event(31, 80, first_s=10, count=4), after_s=90)
    row = XidBurstRow.objects.get()
    assert (row.uuid, row.code, row.count, row.source) == ("", 31, 4, "event")
    assert (row.started_at, row.last_at) == (T0 + timedelta(seconds=10), T0 + timedelta(seconds=80))


def test_events_are_remembered_while_they_are_not_read(east: Cluster) -> None:
    record_events(east, an_event(31, 10), after_s=30)
    record_events(east, after_s=90, broken={"events": Outcome.FORBIDDEN})
    assert [event["uid"] for event in Cluster.objects.get().events] == ["event-n1-31"]
    filled = last_known.fill(Cluster.objects.get(), a_snapshot(a_node("n1"), after_s=95, broken={"events": Outcome.FORBIDDEN}))
    assert ([event.uid for event in filled.events], filled.knows("events")) == (["event-n1-31"], True)
    between = msgspec.structs.replace(a_snapshot(after_s=100), nodes=(), sections={})
    assert last_known.fill(Cluster.objects.get(), between).events == filled.events
    record_events(east, after_s=120)
    assert Cluster.objects.get().events == []
    assert rows() == [("n1", 31, 1)]


def test_never_read_events_are_unknown(east: Cluster) -> None:
    record_events(east, after_s=30, broken={"events": Outcome.FORBIDDEN})
    assert not last_known.fill(Cluster.objects.get(), a_snapshot(after_s=60, broken={"events": Outcome.FORBIDDEN})).knows(
        "events"
    )


def test_a_burst_whose_card_comes_to_be_known_stays_one_row_and_one_incident(east: Cluster) -> None:
    look(east, reports("n1", 0, 0), after_s=1)
    record_events(east, an_event(31, 10), after_s=30)
    nameless = XidBurstRow.objects.get()
    look(east, reports("n1", 31, 60), after_s=61)
    row = XidBurstRow.objects.get()
    assert (row.uuid, row.count, row.source, row.started_at) == ("GPU-n1-0", 1, "gauge", T0 + timedelta(seconds=10))
    assert row.incident == nameless.incident != ""
