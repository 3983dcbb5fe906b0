from __future__ import annotations

from typing import Any

from fleet.domain.evaluation.subject import NodeSubject, XidBurst
from fleet.domain.findings import Status
from tests.builders import make_node
from tests.domain.health.subjects import ask_cluster, burst, nothing_read, subject

JOB = "Job/team-a/train"


def node(name: str, *bursts: XidBurst, **fields: Any) -> NodeSubject:
    return subject(node=make_node(name), history={"bursts": bursts}, **fields)


def crashed(code: int = 45, nodes: int = 8, **fields: Any) -> list[NodeSubject]:
    return [node(f"n{n}", *(burst(code, gpu, node=f"n{n}", job=JOB, **fields) for gpu in range(8))) for n in range(nodes)]


def test_one_crash_over_eight_nodes_is_reported_once() -> None:
    result = ask_cluster("xid_incident", *crashed())
    assert len(result.findings) == 1
    finding = result.findings[0]
    assert (finding.subject, finding.severity, result.status) == ("cluster", "info", Status.PASS)
    assert JOB in finding.text
    assert [item.value for item in finding.evidence if item.source == "node"] == [f"n{n}" for n in range(8)]


def test_it_weighs_what_its_worst_code_weighs() -> None:
    assert ask_cluster("xid_incident", *crashed(94, 2)).status is Status.WARN
    assert ask_cluster("xid_incident", *crashed(48, 2)).status is Status.FAIL


def test_one_node_alone_is_no_incident_of_the_cluster() -> None:
    assert ask_cluster("xid_incident", *crashed(nodes=1), node("quiet")).findings == ()


def test_it_is_over_three_hours_later() -> None:
    assert ask_cluster("xid_incident", *crashed(ago_s=3 * 3600 + 1)).findings == ()


def test_nodes_that_are_not_read_prove_nothing() -> None:
    assert ask_cluster("xid_incident", node("n1"), node("n2")).status is Status.PASS
    assert ask_cluster("xid_incident", node("n1"), nothing_read(node("n2"))).status is Status.UNKNOWN
