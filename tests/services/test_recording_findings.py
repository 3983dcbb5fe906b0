"""Findings as periods: what a rule sees is open, what it could see and does not is over, what it could not see stays."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import pairwise
from types import SimpleNamespace
from typing import Any, cast

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fleet.domain.evaluation import registry
from fleet.domain.evaluation.evaluate import ClusterEvaluation
from fleet.domain.evaluation.rules import SILENT
from fleet.domain.findings import Evidence, Finding, RuleResult, Severity, Status
from fleet.domain.snapshot import Condition, ContainerSnapshot
from fleet.domain.snapshot.sections import Outcome
from fleet.models import Cluster, FindingRow, Node
from fleet.services.recording import findings as recording
from tests import factories
from tests.absorbing import absorb
from tests.services.snapshots import T0, a_node, a_pod, a_snapshot

pytestmark = pytest.mark.django_db
RULES = ("one", "two")


@pytest.fixture
def east() -> Cluster:
    return Cluster.objects.create(name="east")


@pytest.fixture(autouse=True)
def two_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    """`one` and `two` stand for themselves beside the real ones; `all` looks at clusters."""
    monkeypatch.setattr(registry, "NODE_RULES", {**registry.NODE_RULES, "one": None, "two": None})
    monkeypatch.setattr(registry, "CLUSTER_RULES", {**registry.CLUSTER_RULES, "all": None})


def finding(rule: str = "one", key: str = "", **fields: Any) -> Finding:
    values = {"severity": Severity.WARNING, "text": "It is so.", "evidence": (Evidence("label", "a", "b"),), "remedy": "Do it."}
    return Finding(rule=rule, key=key, **(values | fields))


def warns(*values: Finding, rule: str = "one", blind: tuple[str, ...] = ()) -> RuleResult:
    return RuleResult(rule=rule, status=Status.WARN if values else Status.PASS, findings=values, blind=blind)


def says(rule: str, status: Status) -> RuleResult:
    return RuleResult(rule=rule, status=status)


def judged(of_nodes: dict[str, list[RuleResult]], *of_cluster: RuleResult) -> ClusterEvaluation:
    nodes = [SimpleNamespace(node=SimpleNamespace(name=name), results=results) for name, results in of_nodes.items()]
    return cast("ClusterEvaluation", SimpleNamespace(nodes=nodes, results=of_cluster))


def write(cluster: Cluster, evaluation: ClusterEvaluation, after_s: float = 0) -> None:
    ids = dict(Node.objects.filter(cluster=cluster).values_list("name", "pk"))
    recording.record(cluster, evaluation, ids, T0 + timedelta(seconds=after_s))


def spans(**fields: Any) -> list[tuple[float, float | None]]:
    """(opened, resolved) in seconds after noon."""
    rows = FindingRow.objects.filter(**fields).order_by("period")
    return [(_s(row.period.lower), None if row.period.upper is None else _s(row.period.upper)) for row in rows]


def _s(at: datetime) -> float:
    return (at - T0).total_seconds()


def test_a_finding_opens_stands_and_is_resolved(east: Cluster) -> None:
    factories.a_node("n1", east)
    write(east, judged({"n1": [warns(finding(subject="gpu", rung="labels_accurate"))]}))
    row = FindingRow.objects.get()
    assert (row.cluster, row.node.name if row.node else None, row.rule, row.key) == (east, "n1", "one", "")
    assert (row.severity, row.subject, row.text, row.remedy, row.rung) == (
        "warning",
        "gpu",
        "It is so.",
        "Do it.",
        "labels_accurate",
    )
    assert row.evidence == [{"source": "label", "key": "a", "value": "b"}]
    write(east, judged({"n1": [warns(finding(subject="gpu", rung="labels_accurate"))]}), 60)
    assert spans() == [(0, None)]
    write(east, judged({"n1": [warns()]}), 120)
    assert spans() == [(0, 120)]
    write(east, judged({"n1": [warns(finding())]}), 180)
    assert spans() == [(0, 120), (180, None)]


@pytest.mark.parametrize("status", sorted(SILENT))
def test_a_rule_that_could_not_look_leaves_its_findings_as_they_are(east: Cluster, status: Status) -> None:
    factories.a_node("n1", east)
    write(east, judged({"n1": [warns(finding())]}))
    write(east, judged({"n1": [says("one", status)]}), 60)
    write(east, judged({"n1": [RuleResult(rule="one", status=status, findings=(finding(key="new"),))]}), 90)
    assert spans() == [(0, None)]


@pytest.mark.parametrize("status", [Status.PASS, Status.NOT_APPLICABLE])
def test_a_rule_that_could_look_resolves(east: Cluster, status: Status) -> None:
    factories.a_node("n1", east)
    write(east, judged({"n1": [warns(finding())]}))
    write(east, judged({"n1": [says("one", status)]}), 60)
    assert spans() == [(0, 60)]


def test_a_key_the_rule_was_blind_to_stays_and_the_others_go(east: Cluster) -> None:
    factories.a_node("n1", east)
    write(east, judged({"n1": [warns(finding(key="a"), finding(key="b"))]}))
    write(east, judged({"n1": [warns(finding(key="c"), blind=("a",))]}), 60)
    assert (spans(key="a"), spans(key="b"), spans(key="c")) == ([(0, None)], [(0, 60)], [(60, None)])


def test_a_rule_that_was_blind_to_one_key_only_resolves_the_others(east: Cluster) -> None:
    factories.a_node("n1", east)
    write(east, judged({"n1": [warns(finding(key="a"), finding(key="b"))]}))
    write(east, judged({"n1": [RuleResult(rule="one", status=Status.UNKNOWN, blind=("a",))]}), 60)
    assert (spans(key="a"), spans(key="b")) == ([(0, None)], [(0, 60)])


def test_changed_words_change_the_open_row_in_place(east: Cluster) -> None:
    factories.a_node("n1", east)
    write(east, judged({"n1": [warns(finding())]}))
    before = FindingRow.objects.get().pk
    worse = finding(severity=Severity.CRITICAL, text="It is “worse”.", evidence=(Evidence("a", 'b"\\', "c"),), rung="cuda_works")
    write(east, judged({"n1": [RuleResult(rule="one", status=Status.FAIL, findings=(worse,))]}), 60)
    row = FindingRow.objects.get()
    assert (row.pk, row.severity, row.text, row.rung) == (before, "critical", "It is “worse”.", "cuda_works")
    assert row.evidence == [{"source": "a", "key": 'b"\\', "value": "c"}]
    assert spans() == [(0, None)]


def test_a_rule_that_is_no_more_resolves_what_it_left(east: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    factories.a_node("n1", east)
    write(east, judged({"n1": [warns(finding()), warns(finding("two"), rule="two")]}, warns(finding("all"), rule="all")))
    monkeypatch.delitem(registry.NODE_RULES, "one")
    write(east, judged({"n1": [warns(finding("two"), rule="two")]}), 60)
    assert (spans(rule="one"), spans(rule="two"), spans(rule="all")) == ([(0, 60)], [(0, None)], [(0, None)])


def test_a_node_that_left_takes_its_findings_along_at_that_moment(east: Cluster) -> None:
    gone = factories.a_node("n1", east)
    factories.a_node("n2", east)
    write(east, judged({"n1": [warns(finding())], "n2": [warns(finding())]}))
    Node.objects.filter(pk=gone.pk).update(removed_at=T0 + timedelta(seconds=60))
    write(east, judged({"n2": [warns(finding())]}), 60)
    assert (spans(node__name="n1"), spans(node__name="n2")) == ([(0, 60)], [(0, None)])


def test_a_node_that_is_there_but_was_not_judged_keeps_its_findings(east: Cluster) -> None:
    factories.a_node("n1", east)
    factories.a_node("n2", east)
    write(east, judged({"n1": [warns(finding())], "n2": [warns(finding())]}))
    write(east, judged({"n2": [warns(finding())]}), 60)
    assert spans(node__name="n1") == [(0, None)]


def test_a_clusters_findings_stand_beside_its_nodes(east: Cluster) -> None:
    west = Cluster.objects.create(name="west")
    factories.a_node("n1", east)
    for cluster in (east, west):
        write(
            cluster,
            judged({"n1": [warns(finding("all"), rule="one")]} if cluster is east else {}, warns(finding("all"), rule="all")),
        )
    assert FindingRow.objects.filter(node=None).count() == 2
    write(east, judged({}), 60)  # the last GPU node is gone, and with it every finding about all of them
    assert spans(cluster=east, node=None) == [(0, 60)]
    assert spans(cluster=west) == [(0, None)]


def test_two_findings_of_one_identity_are_one_and_the_worse(east: Cluster) -> None:
    factories.a_node("n1", east)
    result = warns(finding(), finding(severity=Severity.FATAL, text="Worse."), finding(severity=Severity.INFO))
    write(east, judged({"n1": [result]}))
    assert [row.severity for row in FindingRow.objects.all()] == ["fatal"]
    write(east, judged({"n1": [warns(finding(key="k" * 400))]}), 60)
    assert FindingRow.objects.get(period__endswith__isnull=True).key == "k" * 300


def test_two_passes_at_one_moment_break_nothing(east: Cluster) -> None:
    factories.a_node("n1", east)
    write(east, judged({"n1": [warns(finding())]}))
    write(east, judged({"n1": [warns()]}))
    assert spans() == []  # it lasted no time, so it never was
    write(east, judged({"n1": [warns(finding())]}), 60)
    write(east, judged({"n1": [warns()]}), 120)
    write(east, judged({"n1": [warns(finding())]}), 90)  # a clock that stepped back: the database refuses the overlap
    assert spans() == [(60, 120)]
    write(east, judged({"n1": [warns(finding())]}), 150)
    assert spans() == [(60, 120), (150, None)]


def test_an_unchanged_fleet_costs_one_query_whatever_its_size(east: Cluster) -> None:
    for number in range(30):
        factories.a_node(f"n{number}", east)
    same = judged({f"n{number}": [warns(finding(), finding(key="b"))] for number in range(30)}, warns(finding("all"), rule="all"))
    ids = dict(Node.objects.filter(cluster=east).values_list("name", "pk"))
    with CaptureQueriesContext(connection) as first:
        recording.record(east, same, ids, T0)
    assert len([q for q in first if not q["sql"].startswith(("SAVEPOINT", "RELEASE"))]) == 2
    with CaptureQueriesContext(connection) as again:
        recording.record(east, same, ids, T0 + timedelta(seconds=60))
    assert [q["sql"].split()[0] for q in again] == ["SELECT"]
    other = judged({f"n{number}": [warns(finding(text="Otherwise."), finding(key="c"))] for number in range(30)})
    with CaptureQueriesContext(connection) as changes:
        recording.record(east, other, ids, T0 + timedelta(seconds=120))
    assert len([q for q in changes if not q["sql"].startswith(("SAVEPOINT", "RELEASE"))]) == 4


statuses = st.sampled_from([Status.PASS, Status.NOT_APPLICABLE, *sorted(SILENT)])
some_keys = st.sets(st.sampled_from(["a", "b"]), min_size=1)
answers = st.one_of(
    some_keys.map(lambda keys: ("sees", keys)),
    some_keys.map(lambda keys: ("is blind to", keys)),
    statuses.map(lambda status: ("says", status)),
)
passes = st.lists(
    st.tuples(
        st.dictionaries(st.tuples(st.sampled_from(["n1", "n2"]), st.sampled_from(RULES)), answers), st.sampled_from([0, 1, 60])
    ),
    min_size=1,
    max_size=8,
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(story=passes)
def test_whatever_rules_say_periods_never_overlap_and_are_open_iff_last_seen(east: Cluster, story: list[Any]) -> None:
    """Rules see, see nothing, or cannot look, in any order, with passes at equal times: no two periods of one finding overlap,
    and a finding is open exactly if the last rule that could look saw it."""
    FindingRow.objects.all().delete()
    for name in ("n1", "n2"):
        if not Node.objects.filter(name=name, cluster=east).exists():
            factories.a_node(name, east)
    at, expected = 0.0, {}
    for values, pause in story:
        results: dict[str, list[RuleResult]] = {"n1": [], "n2": []}
        for (name, rule), (kind, what) in values.items():
            if kind == "sees":
                results[name].append(warns(*(finding(rule, key) for key in sorted(what)), rule=rule))
            elif kind == "is blind to":
                results[name].append(RuleResult(rule=rule, status=Status.UNKNOWN, blind=tuple(sorted(what))))
            else:
                results[name].append(says(rule, what))
            for key in ("a", "b"):
                if kind == "sees" or (kind == "is blind to" and key not in what) or (kind == "says" and what not in SILENT):
                    expected[name, rule, key] = kind == "sees" and key in what
        write(east, judged(results), at)
        at += pause
    for (name, rule, key), is_open in expected.items():
        lived = spans(node__name=name, rule=rule, key=key)
        assert all(end is not None and end <= start for (_, end), (start, _) in pairwise(lived))
        assert all(end is None or end > start for start, end in lived)
        assert (bool(lived) and lived[-1][1] is None) == is_open, (name, rule, key, lived)


# --- through a full run ---------------------------------------------------------------------------------------------


def remember(cluster: Cluster, *nodes: Any, after_s: float = 0, **given: Any) -> None:
    cluster.refresh_from_db()
    seen = a_snapshot(*nodes, after_s=after_s, **given)
    absorb(cluster, seen, factories.a_run(cluster, started_at=seen.taken_at))


def test_a_pass_opens_and_resolves_in_its_own_transaction(east: Cluster) -> None:
    down = (Condition(type="Ready", status="Unknown"),)
    remember(east, a_node("n1"), a_node("n2"))
    assert spans(rule="kubelet_not_ready") == []
    remember(east, a_node("n1", conditions=down), a_node("n2"), after_s=60)
    remember(east, a_node("n1", conditions=down), a_node("n2"), after_s=120)
    assert spans(rule="kubelet_not_ready") == [(60, None)]
    remember(east, a_node("n1"), a_node("n2"), after_s=180)
    assert spans(rule="kubelet_not_ready") == [(60, 180)]


def test_a_node_that_is_replaced_leaves_its_findings_behind(east: Cluster) -> None:
    down = (Condition(type="Ready", status="Unknown"),)
    remember(east, a_node("n1", "uid-old", conditions=down))
    remember(east, a_node("n1", "uid-new"), after_s=60)
    assert spans(rule="kubelet_not_ready") == [(0, 60)]


def test_pods_that_cannot_be_read_resolve_nothing(east: Cluster) -> None:
    container = ContainerSnapshot(name="main", visible_devices="all", state="running")
    pods = (a_pod("sneaky", "n1", gpus=0, containers=(container,)),)
    remember(east, a_node("n1"), pods=pods)
    remember(east, a_node("n1"), after_s=60, broken={"pods": Outcome.FORBIDDEN})
    assert spans(rule="device_bypass") == [(0, None)]
    remember(east, a_node("n1"), after_s=120)
    assert spans(rule="device_bypass") == [(0, 120)]


def test_an_unchanged_fleet_writes_no_finding(east: Cluster) -> None:
    nodes = [a_node(f"n{number}", allocatable={"nvidia.com/gpu": "6"}) for number in range(5)]
    remember(east, *nodes)
    before = list(FindingRow.objects.order_by("pk").values())
    assert len(before) >= 5
    with CaptureQueriesContext(connection) as few:
        remember(east, *nodes, after_s=60)
    assert not [q for q in few if "fleet_finding" in q["sql"] and not q["sql"].startswith("SELECT")]
    assert list(FindingRow.objects.order_by("pk").values()) == before
