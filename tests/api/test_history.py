"""Time travel and history over REST."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from fleet.domain.devices.slots import ResourceSlots, Slots
from fleet.domain.evaluation.figures import NodeFigures
from fleet.domain.readiness.wording import missing_words
from fleet.models import FindingRow, Node, NodeRevision, PoolMembership, RungPeriod, VerdictPeriod
from fleet.services import rollups
from tests.factories import a_cluster, a_ladder, a_node, a_pool, an_xid_burst

pytestmark = pytest.mark.django_db
NOW = datetime.now(UTC).replace(microsecond=0)
LABELS = {
    "nvidia.com/gpu.present": "true", "nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3", "nvidia.com/gpu.count": "8",
    "nvidia.com/gpu.replicas": "4", "nvidia.com/gpu.sharing-strategy": "time-slicing",
    "node.kubernetes.io/instance-type": "p5.48xlarge",
}  # fmt: skip


def ago(hours: float) -> datetime:
    return NOW - timedelta(hours=hours)


def text(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")


@pytest.fixture
def story() -> None:
    node = a_node("n1", first_seen_at=ago(10), changed_at=ago(2), verdict="ready", usable=8, rungs=a_ladder())
    facts = {
        "labels": LABELS, "taints": {"dedicated:NoSchedule": "x"}, "capacity": {"nvidia.com/gpu": "32"},
        "allocatable": {"nvidia.com/gpu": "32"}, "node": {"unschedulable": "false"}, "conditions": {"Ready": "True"},
        "stack": {}, "devices": {},
    }  # fmt: skip
    changes = [{"section": "labels", "key": "nvidia.com/gpu.replicas", "before": "4", "after": "1"}]
    NodeRevision.objects.create(node=node, period=(ago(10), ago(3)), facts=facts)
    after = {**facts, "labels": {**LABELS, "nvidia.com/gpu.replicas": "1", "nvidia.com/gpu.sharing-strategy": "none"}}
    NodeRevision.objects.create(node=node, period=(ago(3), None), facts=after, changes=changes)
    VerdictPeriod.objects.create(node=node, period=(ago(10), ago(4)), verdict="ready", usable=8, expected=8)
    slots = Slots(capacity=32, allocatable=32)
    resource = ResourceSlots(name="nvidia.com/gpu", kind="shared", replicas=4, capacity=32, allocatable=32)
    figures = NodeFigures(
        verdict="not_ready", broken_rung="cuda_works", physical=8, expected=8, usable=0, advertised=8, state="full",
        mode="Time-sliced ×4", slots=slots, resources=(resource,), requests_kept=False,
    )  # fmt: skip
    VerdictPeriod.objects.create(
        node=node,
        period=(ago(4), ago(2)),
        verdict="not_ready",
        broken_rung="cuda_works",
        reason="CUDA fails.",
        usable=0,
        expected=8,
        figures=msgspec.to_builtins(figures),
    )
    VerdictPeriod.objects.create(node=node, period=(ago(2), None), verdict="ready", usable=8, expected=8)
    RungPeriod.objects.create(node=node, rung="cuda_works", period=(ago(4), ago(2)), status="fail", reason="CUDA fails.")
    FindingRow.objects.create(
        cluster=node.cluster, node=node, rule="xid", severity="fatal", text="Xid 79.", period=(ago(4), ago(2))
    )
    list(rollups.rebuild(ago(10).date(), NOW))


def test_a_node_as_it_was(story: None, reader: Any) -> None:
    then = reader.get("/api/v1/nodes/east/n1/", {"at": text(ago(3.5))}).json()
    assert (then["verdict"], then["broken_rung"], then["verdict_reason"]) == ("not_ready", "cuda_works", "CUDA fails.")
    assert then["verdict_since"] == reader.get("/api/v1/nodes/east/n1/history/").json()["verdicts"][1]["since"]
    assert (then["mode"], then["gpus"]["physical"]) == ("Time-sliced ×4", 8)
    assert then["slots"] == {"capacity": 32, "allocatable": 32, "requested": None, "free": None}
    assert then["resources"][0]["name"] == "nvidia.com/gpu"
    assert then["taints"] == [{"key": "dedicated", "value": "x", "effect": "NoSchedule"}]
    assert [finding["rule"] for finding in then["findings"]] == ["xid"]
    assert [(rung["id"], rung["status"]) for rung in then["rungs"]] == [("cuda_works", "fail")]
    now = reader.get("/api/v1/nodes/east/n1/").json()
    assert set(now) <= set(then)
    assert set(now["rungs"][0]) == set(then["rungs"][0]), "a rung of the past has the shape of one of now"
    assert (then["rungs"][0]["number"], then["rungs"][0]["title"]) == (4, "CUDA works")


def test_before_it_was_known_there_is_nothing(story: None, reader: Any) -> None:
    answer = reader.get("/api/v1/nodes/east/n1/", {"at": text(ago(11))})
    assert answer.status_code == 404
    assert "n1" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("path", "params", "field"),
    [
        ("nodes/east/n1/", {"at": "yesterday"}, "at"),
        ("nodes/east/n1/", {"at": "2026-11-23T12:00:00"}, "at"),
        ("nodes/east/n1/", {"at": "2026-13-45T12:00:00Z"}, "at"),
        ("nodes/east/n1/", {"at": "2126-11-23T12:00:00Z"}, "at"),
        ("nodes/east/n1/", {"when": "2026-11-23T12:00:00Z"}, "when"),
        ("fleet/summary/", {"at": ""}, "at"),
        ("fleet/summary/", {"at": "2025-11-23T12:00:00Z", "state": "full"}, "state"),
        ("nodes/east/n1/diff/", {}, "from"),
        ("nodes/east/n1/diff/", {"from": "x"}, "from"),
        ("nodes/east/n1/history/", {"since": "2026-01-02T00:00:00Z", "until": "2026-01-01T00:00:00Z"}, "until"),
        ("nodes/east/n1/history/", {"since": "2016-01-02T00:00:00Z"}, "since"),
        ("history/availability/", {"by": "colour"}, "by"),
        ("history/availability/", {"days": "yes"}, "days"),
        ("history/availability/", {"days": "true", "by": "node"}, "days"),
        ("history/availability/", {"days": "true", "since": "2026-01-01T00:00:00Z", "until": "2026-01-02T00:00:00Z"}, "days"),
        ("history/availability/", {"window": "30"}, "window"),
        ("history/availability/", {"window": "999d"}, "window"),
        ("history/availability/", {"window": "7d", "since": "2026-01-02T00:00:00Z"}, "window"),
        ("history/changes/", {"kind": "weather"}, "kind"),
        ("history/changes/", {"limit": "0"}, "limit"),
        ("history/changes/", {"cursor": "²"}, "cursor"),
        ("history/bootstrap/", {"by": "node"}, "by"),
    ],
)
def test_what_cannot_be_is_refused_with_its_field(
    story: None, reader: Any, path: str, params: dict[str, str], field: str
) -> None:
    answer = reader.get(f"/api/v1/{path}", params)
    assert answer.status_code == 400
    assert list(answer.json()["errors"]) == [field]


def test_an_offset_whose_plus_was_lost_is_understood(story: None, reader: Any) -> None:
    assert reader.get(f"/api/v1/nodes/east/n1/?at={ago(3.5).isoformat()}").json()["verdict"] == "not_ready"


def test_the_history_of_a_node(story: None, reader: Any) -> None:
    result = reader.get("/api/v1/nodes/east/n1/history/", {"since": text(ago(5)), "until": text(ago(1))}).json()
    assert [item["verdict"] for item in result["verdicts"]] == ["ready", "not_ready", "ready"]
    assert result["seconds"]["not_ready"] == 7200
    assert result["availability"] == 50
    assert [(entry["flap"], entry["repaired_at"] is not None) for entry in result["incidents"]] == [(False, True)]
    assert [row["rule"] for row in result["findings"]] == ["xid"]
    assert result["changes"][0]["changes"][0]["key"] == "nvidia.com/gpu.replicas"
    assert reader.get("/api/v1/nodes/east/nobody/history/").status_code == 404


def test_the_difference_between_two_moments(story: None, reader: Any) -> None:
    result = reader.get("/api/v1/nodes/east/n1/diff/", {"from": text(ago(5)), "to": text(ago(2.5))}).json()
    assert result["verdict_changed"] is True
    assert (result["before"]["verdict"]["verdict"], result["after"]["verdict"]["verdict"]) == ("ready", "not_ready")
    assert {fact["key"] for fact in result["facts"]} == {"nvidia.com/gpu.replicas", "nvidia.com/gpu.sharing-strategy"}
    assert [(rung["rung"], rung["before"], rung["after"]["status"]) for rung in result["rungs"]] == [("cuda_works", None, "fail")]
    assert [item["rule"] for item in result["opened"]] == ["xid"]
    early = reader.get("/api/v1/nodes/east/n1/diff/", {"from": text(ago(20))}).json()
    assert early["before"] is None
    assert early["after"]["verdict"]["verdict"] == "ready"


def test_the_fleet_as_it_was(story: None, reader: Any) -> None:
    gone = a_node("gone", first_seen_at=ago(10), removed_at=ago(1), product="X")
    NodeRevision.objects.create(node=gone, period=(ago(10), ago(1)), facts={"labels": LABELS})
    then = reader.get("/api/v1/fleet/summary/", {"at": text(ago(3.5))}).json()
    assert (then["nodes"]["total"], then["nodes"]["flapping"], then["gpus"]["advertised"]) == (2, None, None)
    assert {verdict: n for verdict, n in then["nodes"]["by_verdict"].items() if n} == {"not_ready": 1, "unknown": 1}
    assert (then["gpus"]["expected"], then["gpus"]["usable"]) == (8, 0), "of the other node nothing was kept"
    assert (sum(item["count"] for item in then["gpus"]["missing"]), then["gpus"]["uncounted_nodes"]) == (8, 1)
    assert then["slots"]["requested"] is None
    result = reader.get("/api/v1/fleet/summary/", {"at": text(ago(3.5)), "product": "X"}).json()
    assert result["nodes"]["total"] == 1
    assert reader.get("/api/v1/fleet/summary/", {"at": text(ago(0.5))}).json()["nodes"]["by_verdict"]["ready"] == 1
    assert reader.get("/api/v1/fleet/summary/").json()["nodes"]["total"] == 1


def schema_fields(document: Any, path: str = "") -> set[str]:
    """Every key of nested objects; what stands under a key that is data, not schema, is left out."""
    open_ended = ("nodes.by_verdict", "nodes.by_state", "resources", "gpus.missing")
    rows = set()
    for key, value in document.items():
        result = f"{path}.{key}".strip(".")
        rows |= {result} | (schema_fields(value, result) if isinstance(value, dict) and result not in open_ended else set())
    return rows


def test_the_past_has_every_field_of_the_present_and_its_words(story: None, reader: Any) -> None:
    then = reader.get("/api/v1/fleet/summary/", {"at": text(ago(3.5))}).json()
    now = reader.get("/api/v1/fleet/summary/").json()
    assert schema_fields(then) == schema_fields(now)
    assert set(then["nodes"]["by_verdict"]) == set(now["nodes"]["by_verdict"])
    assert then["nodes"]["by_state"] == {**dict.fromkeys(now["nodes"]["by_state"], 0), "full": 1}
    assert then["resources"] == [
        {
            "name": "nvidia.com/gpu",
            "kind": "shared",
            "nodes": 1,
            "capacity": 32,
            "allocatable": 32,
            "requested": None,
            "free": None,
        }
    ]
    assert [item["reason"] for item in then["gpus"]["missing"]] == [missing_words("not_ready", "cuda_works")]


def test_missing_gpus_of_the_past_are_grouped_as_those_of_today(story: None, reader: Any) -> None:
    figures = NodeFigures(verdict="excluded", broken_rung="cuda_works", expected=8, usable=0)
    VerdictPeriod.objects.filter(verdict="not_ready").update(verdict="excluded", figures=msgspec.to_builtins(figures))
    (result,) = reader.get("/api/v1/fleet/summary/", {"at": text(ago(3.5))}).json()["gpus"]["missing"]
    assert (result["broken_rung"], result["reason"]) == (None, "Excluded on purpose")


def test_where_nothing_was_counted_the_past_is_null(reader: Any) -> None:
    node = a_node("n1", first_seen_at=ago(10), physical=None, expected=None)
    NodeRevision.objects.create(node=node, period=(ago(10), None), facts={"labels": {"nvidia.com/gpu.present": "true"}})
    gpus = reader.get("/api/v1/fleet/summary/", {"at": text(ago(3))}).json()["gpus"]
    assert gpus == {"expected": None, "physical": None, "advertised": None, "usable": None, "missing": [], "uncounted_nodes": 1}


def test_a_node_of_the_past_is_in_the_pools_of_then(story: None, reader: Any) -> None:
    node = Node.objects.get()
    PoolMembership.objects.create(pool=a_pool("then"), node=node, period=(ago(9), ago(3)))
    PoolMembership.objects.create(pool=a_pool("today"), node=node, period=(ago(3), None))
    url = "/api/v1/nodes/east/n1/"
    assert reader.get(url).json()["pools"] == ["today"]
    assert reader.get(url, {"at": text(ago(5))}).json()["pools"] == ["then"]
    assert reader.get(url, {"at": text(ago(9.5))}).json()["pools"] == []


def test_availability_over_a_window_and_as_csv(story: None, reader: Any) -> None:
    result = reader.get("/api/v1/history/availability/", {"since": text(ago(5)), "until": text(ago(1)), "by": "product"}).json()
    assert [(row["name"], row["availability"], row["incidents"]) for row in result["results"]] == [
        ("NVIDIA-H100-80GB-HBM3", 50, 1)
    ]
    days = reader.get("/api/v1/history/availability/", {"window": "7d"}).json()
    assert days["results"][0]["availability"] == pytest.approx(80, abs=0.1)
    assert days["results"][0]["mttr_s"] == 7200
    csv = reader.get("/api/v1/history/availability/", {"format": "csv", "by": "node"})
    lines = b"".join(csv.streaming_content).decode().splitlines()
    assert lines[0].startswith("name,cluster,nodes,availability")
    assert lines[1].startswith("n1,east,1,")


def test_pools_tell_their_days(story: None, reader: Any) -> None:
    a_pool("h100", Node.objects.get(), since=ago(11), availability_target=90)
    list(rollups.rebuild(ago(10).date(), NOW))
    history = reader.get("/api/v1/pools/h100/history/").json()
    assert (history["results"], history["availability"]["target_percent"]) == ([], 90)
    assert history["availability"]["state"] == "violated"
    result = reader.get(history["availability_days"]).json()
    (row,) = result["results"]
    assert (row["name"], row["target_percent"], row["availability"]) == ("h100", 90, pytest.approx(80, abs=0.1))
    assert {day["day"] for day in row["days"]} == {ago(10).date().isoformat(), NOW.date().isoformat()}
    assert set(row["days"][0]) == {"day", "availability", "unknown"}
    assert reader.get("/api/v1/history/availability/?by=pool").json()["results"][0]["days"] is None
    assert reader.get("/api/v1/history/availability/?by=pool&pool=other").json()["results"] == []


def test_changes_are_paged_filtered_and_counted(story: None, reader: Any) -> None:
    west = a_cluster("west", read_at=NOW)
    for number in range(5):
        node = a_node(f"w{number}", west, first_seen_at=ago(20))
        changes = [{"section": "labels", "key": f"k{number}", "before": "a", "after": "b"}]
        NodeRevision.objects.create(node=node, period=(ago(5 - number), ago(4.5 - number)), facts={}, changes=changes)
    seen, url = [], "/api/v1/history/changes/?limit=2&window=7d"
    while url:
        page = reader.get(url).json()
        seen += [item["title"] for item in page["results"]]
        url = page["next"]
    assert len(seen) == len(set(seen)) == 6
    assert page["previous"]
    only = reader.get("/api/v1/history/changes/", {"kind": "sharing"}).json()["results"]
    assert [(entry["title"], entry["nodes"]) for entry in only] == [("Sharing nvidia.com/gpu.replicas 4 → 1", ["n1"])]
    facets = reader.get("/api/v1/history/changes/facets/").json()["facets"]
    assert facets["kind"] == [{"value": "labels", "count": 5}, {"value": "sharing", "count": 1}]
    lines = b"".join(reader.get("/api/v1/history/changes/?format=csv&cluster=east").streaming_content).decode().splitlines()
    assert len(lines) == 2


def test_bootstrap_times(reader: Any) -> None:
    a_node("n1", kubelet_ready_at=ago(1), gpu_ready_at=ago(0.5), machine_type="p5")
    assert reader.get("/api/v1/nodes/east/n1/history/").json()["bootstrap_min"] == 30
    result = reader.get("/api/v1/history/bootstrap/").json()["results"]
    assert result == [{"name": "p5", "nodes": 1, "median_min": 30.0, "p90_min": 30.0, "waiting": 0}]


def test_history_requires_a_sign_in(client: Any) -> None:
    for path in (
        "history/availability/",
        "history/changes/",
        "history/bootstrap/",
        "nodes/east/n1/history/",
        "nodes/east/n1/diff/",
    ):
        assert client.get(f"/api/v1/{path}").status_code == 401


def test_a_burst_that_names_no_card_and_no_job_says_null(story: None, reader: Any) -> None:
    an_xid_burst(Node.objects.get(), "", at=ago(2))
    (burst,) = reader.get("/api/v1/nodes/east/n1/history/").json()["xid_bursts"]
    assert burst["uuid"] is burst["job"] is None
