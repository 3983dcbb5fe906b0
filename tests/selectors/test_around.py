"""What else broke around a moment: within ten minutes exactly, causes of other nodes only, the node's own changes apart."""

from __future__ import annotations

from datetime import timedelta

import pytest

from fleet.models import NodeRevision
from fleet.selectors.nodes.affected import affected_by, classes_of, incident_of_node
from fleet.selectors.nodes.around import WITHIN, around
from fleet.services import incidents
from tests.factories import (
    NOON,
    a_class_version,
    a_cluster,
    a_finding,
    a_node,
    a_pod,
    a_pool,
    a_spell,
    a_team,
)  # fmt: skip

pytestmark = pytest.mark.django_db
SECOND = timedelta(seconds=1)


def test_what_broke_within_ten_minutes_by_time_with_its_node() -> None:
    node, other = a_node("n1", zone="a"), a_node("n2", zone="a")
    a_finding(node, "xid", severity="fatal", key="GPU-1/79", text="It fell.")
    a_finding(node, "pcie_replay", text="Replays.", opened=NOON - WITHIN)
    a_finding(node, "thermal", text="Too early.", opened=NOON - WITHIN - SECOND)
    a_finding(node, "untainted", text="A set-up.", severity="critical")
    a_finding(other, "kubelet_not_ready", severity="critical", text="It stopped.", opened=NOON + WITHIN)
    a_finding(other, "slots_mismatch", severity="warning", text="A symptom.", opened=NOON + WITHIN)
    a_finding(a_node("far", a_cluster("west")), "thermal", text="Elsewhere.")
    a_spell(other, "not_ready", NOON + WITHIN)
    a_spell(a_node("n3", zone="b"), "not_ready", NOON + SECOND, reason="No answer.")
    a_spell(a_node("n4"), "not_ready", NOON + WITHIN + SECOND)
    incidents.regroup(node.cluster, NOON + WITHIN)
    seen = [(event.text, event.is_own, event.node, event.zone) for event in around(node, NOON).events]
    assert seen == [
        ("Replays", True, "n1", "a"),
        ("It fell", True, "n1", "a"),
        ("Not ready: No answer", False, "n3", ""),
        ("It stopped", False, "n2", "a"),
    ]


def test_changes_of_the_day_before_are_named_and_later_ones_are_not() -> None:
    node = a_node("n1")
    change = {"section": "labels", "key": "nvidia.com/cuda.driver-version.full", "before": "570.1", "after": "580.2"}
    for hours, ended in ((25, 24), (24, 1), (1, None)):
        period = (NOON - timedelta(hours=hours), None if ended is None else NOON - timedelta(hours=ended))
        NodeRevision.objects.create(node=node, period=period, facts={}, changes=[change] if hours == 1 else [])
    result = around(node, NOON)
    assert [group.kind for group in result.changes] == ["driver"]
    assert around(node, NOON - timedelta(hours=2)).changes == ()


def test_who_is_affected_and_the_incident_of_the_node() -> None:
    node = a_node("n1", expected=8, usable=0)
    a_pool("h100", node)
    a_class_version("full-h100", pools=["h100"])
    a_team("search-ml", namespaces=["search"])
    a_pod(node, "small", namespace="search", slots=1)
    a_pod(node, "large", namespace="search", slots=4)
    a_pod(node, "down", namespace="search", ready=False, slots=1)
    a_pod(node, "exporter", component="dcgm-exporter")
    affected = affected_by(node)
    assert [pod.name for pod in affected.pods] == ["down", "large", "small"]
    assert (affected.teams, affected.classes) == (("search-ml",), ("full-h100",))
    assert [(row.slug, row.state) for row in classes_of(affected)] == [("full-h100", "")]
    assert incident_of_node(node, NOON) is None
    a_finding(node, "untainted", severity="critical")
    fault = a_finding(node, "thermal")
    incidents.regroup(node.cluster, NOON)
    row = incident_of_node(node, NOON)
    assert row is not None
    assert row.id == fault.pk
