"""The head of a broken node: one cause since its first evidence, who is affected, what else broke, and what to do with it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from fleet.domain.incidents.links import LinkTemplate
from fleet.services import incidents
from tests.factories import a_burst, a_finding, a_node, a_pod
from tests.web.test_findings import text_of

pytestmark = pytest.mark.django_db
NOW = datetime.now(UTC).replace(microsecond=0)
URL = "/nodes/east/n1/"


@pytest.fixture
def broken() -> None:
    """A node whose GPU fell four hours ago, which Muster saw two hours later."""
    node = a_node("n1", verdict="not_ready", broken_rung="resources_advertised", usable=0, verdict_since=NOW - timedelta(hours=2))
    a_pod(node, "vllm-0", ready=False, reason="CrashLoopBackOff")
    a_burst(node, 79, uuid="GPU-1", started_at=NOW - timedelta(hours=4), last_at=NOW - timedelta(hours=4))
    a_finding(
        node, "xid", severity="fatal", key="GPU-1/79", text="It fell.", opened=NOW - timedelta(hours=2),
        remedy="Look: `kubectl get node n1`",
    )  # fmt: skip
    incidents.regroup(node.cluster, NOW)


def test_the_headline_counts_from_the_first_evidence_and_names_both_moments(reader: Any, broken: None) -> None:
    page = text_of(reader, URL)
    assert "4 h" in page
    assert "Seen by Muster" in page
    assert "first evidence" in page
    assert "1 of 1 GPU pod down" in page
    assert "CrashLoopBackOff" in page
    assert "What else broke" in page
    assert "No driver, label, taint or GPU stack change on this node in the 24 h before." in page


def test_every_command_names_its_context_and_the_summary_is_one_copy(reader: Any, broken: None) -> None:
    html = reader.get(URL).content.decode()
    assert 'data-copy="kubectl --context east get node n1"' in html
    assert 'data-copy="kubectl --context east cordon n1"' in html
    assert "kubectl get node n1" not in html
    assert "**It fell** (Fatal)" in html


def test_actions_are_those_of_the_role(client: Any, viewer: Any, operator: Any, broken: None) -> None:
    for person, shown in ((viewer, False), (operator, True)):
        client.force_login(person)
        page = text_of(client, URL)
        assert ("Silence incident" in page) is shown
        assert "Copy summary" in page
        html = client.get(URL).content.decode()
        assert ('id="node-maintenance"' in html) is shown


def test_links_are_those_of_the_setting_whose_values_are_known(reader: Any, broken: None, settings: Any) -> None:
    settings.NODE_LINKS = (
        LinkTemplate("Grafana", "https://g.example.com/d/x?node={node}&from={from_ms}"),
        LinkTemplate("Console", "https://c.example.com/{instance}"),
    )
    html = reader.get(URL).content.decode()
    started = int((NOW - timedelta(hours=5)).timestamp() * 1000)
    assert f"https://g.example.com/d/x?node=n1&amp;from={started}" in html
    assert "c.example.com" not in html


def test_a_ready_node_has_no_cards_of_trouble(reader: Any) -> None:
    a_node("n1", verdict="ready", verdict_since=NOW)
    page = text_of(reader, URL)
    assert "What else broke" not in page
    assert "Copy summary" in page
