"""Search: every kind is found by what people know of it, no word is a pattern, and the number of queries stays."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from fleet.models import AccessRequest
from tests.factories import (
    NOON,
    a_class_version,
    a_cluster,
    a_finding,
    a_gpu,
    a_node,
    a_pod,
    a_pool,
    a_team,
    a_user,
)  # fmt: skip

pytestmark = pytest.mark.django_db
URL = "/api/v1/search/"
UUID = "GPU-d4170c9f-33e1-8b52-9f2a-00aa00aac20a"


@pytest.fixture
def house() -> AccessRequest:
    """One of everything that has a page; its request is returned."""
    cluster = a_cluster("prod-us-east")
    node = a_node("ip-10-40-0-25", cluster, verdict="not_ready", labels={"team": "vision"})
    a_node("ip-10-40-0-26", cluster, verdict="ready")
    a_gpu(node, 5, uuid=UUID, pci_bus_id="0000:b9:00.0")
    a_pod(node, "qwen3-vllm-0", namespace="search")
    a_pool("h100-prod", node)
    a_finding(node, "xid", severity="fatal", key=f"{UUID}/79", text="Xid 79 on GPU 5.")
    team = a_team("search-ml", namespaces=["search"])
    version = a_class_version("full-h100")
    return AccessRequest.objects.create(
        team=team, class_version=version, namespace="search", name="support-70b", replicas=2, created_at=NOON, state="submitted"
    )


def hits(reader: Any, query: str, **params: str) -> list[tuple[str, str]]:
    answer = reader.get(URL, {"q": query, **params})
    assert answer.status_code == 200, answer.content
    for row in answer.json()["results"]:
        assert set(row) == {"kind", "title", "subtitle", "url"}
    return [(row["kind"], row["url"]) for row in answer.json()["results"]]


def test_every_kind_is_found_by_what_people_know_of_it(reader: Any, house: AccessRequest) -> None:
    node = "/nodes/prod-us-east/ip-10-40-0-25/"
    for query, wanted in (
        ("10-40-0-25", ("node", node)),
        ("team=vision", ("node", node)),
        ("h100-prod", ("pool", "/pools/h100-prod/")),
        ("full-h100", ("class", "/classes/full-h100/")),
        ("support-70b", ("request", f"/requests/{house.pk}/")),
        (f"#{house.pk}", ("request", f"/requests/{house.pk}/")),
        ("search-ml", ("team", "/teams/search-ml/")),
        ("us-east", ("cluster", "/clusters/prod-us-east/")),
        (UUID.upper(), ("gpu", node)),
        ("b9:00", ("gpu", node)),
        ("qwen3", ("pod", node)),
        ("79", ("xid", "/xids/79/")),
        ("Xid 79", ("xid", "/xids/79/")),
        ("fallen off", ("xid", "/xids/79/")),
        ("without a taint", ("rule", "/findings/?rule=untainted")),
    ):
        assert wanted in hits(reader, query), query
    kinds = [kind for kind, _ in hits(reader, "h100-prod")]
    assert kinds.index("incident") == 0
    assert hits(reader, "n: 10-40") == [("node", node), ("node", "/nodes/prod-us-east/ip-10-40-0-26/")]
    assert hits(reader, "x:79") == [("xid", "/xids/79/")]
    assert hits(reader, "10-40", kind="node", limit="1") == [("node", node)]


def test_a_resolved_incident_and_what_is_gone_are_not_found(reader: Any, house: AccessRequest) -> None:
    a_node("ip-10-99-0-1", removed_at=datetime.now(UTC))
    a_finding(a_node("n9"), "thermal", text="A singular text.", resolved=datetime.now(UTC))
    assert hits(reader, "10-99-0-1") == []
    assert hits(reader, "singular") == []


@pytest.mark.parametrize("query", ["%", "10_40", "%_%", "' OR 1=1 --", "\\", "key=", "!!", "=x", "(" * 60])
def test_no_word_is_a_pattern_or_a_statement(reader: Any, house: AccessRequest, query: str) -> None:
    assert hits(reader, query) == []


def test_a_request_is_found_only_by_those_who_may_see_it(client: Any, house: AccessRequest) -> None:
    client.force_login(a_user("dev"))
    assert hits(client, "support-70b") == []


def test_a_question_is_refused_with_its_parameter(reader: Any) -> None:
    for query, field in (
        ("", "q"),
        ("?q=", "q"),
        (f"?q={'x' * 201}", "q"),
        ("?q=a&kind=cat", "kind"),
        ("?q=a&limit=51", "limit"),
    ):
        answer = reader.get(URL + query)
        assert answer.status_code == 400, query
        assert field in answer.json()["errors"], query


def test_the_number_of_queries_does_not_depend_on_the_fleet(reader: Any, house: AccessRequest) -> None:
    def count() -> int:
        with CaptureQueriesContext(
            connection,
        ) as queries:
            assert reader.get(URL, {"q": "10-40", "limit": "2"}).status_code == 200
        return len(queries)

    count()
    for number in range(3):
        a_node(f"ip-10-40-1-{number}")
    before = count()
    for number in range(20):
        node = a_node(f"ip-10-40-2-{number}")
        a_finding(node, "thermal")
        a_pod(node, f"pod-10-40-{number}")
    assert count() <= before + 2
    assert before <= 20
