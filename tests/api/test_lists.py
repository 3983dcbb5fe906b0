"""What the contract says of every list: pages, filters, facets, CSV; and that nothing asked for is swallowed."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.urls import URLPattern, get_resolver, resolve

from fleet.models import CompliancePeriod, NodeRevision, Role
from fleet.services import rollups
from tests.factories import a_class_version, a_node, a_pod, a_pool, a_user, a_verdict_period

pytestmark = pytest.mark.django_db
NOW = datetime.now(UTC)
LISTS = (
    "audit/", "clusters/", "collection-runs/", "deliveries/", "findings/", "gpus/", "incidents/", "mig-instances/", "nodes/",
    "pools/", "prices/", "notification-rules/", "notification-targets/", "requests/", "sessions/", "teams/", "tokens/", "users/",
    "workload-classes/", "xid-bursts/",
    "nodes/east/n1/pods/", "nodes/east/n1/revisions/", "pools/h100/history/", "workload-classes/full-h100/history/",
)  # fmt: skip
WHOLE = ("history/availability/", "history/bootstrap/", "history/changes/", "pending-pods/", "xids/")
"""Lists that are no rows of one table: what they take besides, their own tests say."""
SINGLE = (
    "clusters/east/", "clusters/east/waivers/", "fleet/summary/", "nodes/east/n1/", "nodes/east/n1/history/", "pools/h100/",
    "nodes/east/n1/diff/?from=2026-11-23T12:00:00Z", "workload-classes/full-h100/", "workload-classes/full-h100/headroom/",
    "requests/numbers/", "nodes/facets/", "pools/h100/history/facets/", "xids/79/", "history/availability/facets/",
)  # fmt: skip

VIOLATION = {"id": "too_few_ready", "text": "Too few nodes.", "since": "2026-01-01T00:00:00Z", "pool": ""}


@pytest.fixture
def house(operator: Any) -> None:
    """A node with a past in every list that hangs on something."""
    node = a_node("n1")
    a_pool("h100", node, since=NOW - timedelta(days=3))
    a_class_version(pools=["h100"], gpus=4, sizes=[8])
    change = {"section": "labels", "key": "team", "before": "a", "after": "b"}
    for days, changes in ((3, []), (2, [change]), (1, [change, {**change, "section": "taints"}])):
        until = NOW - timedelta(days=days - 1) if days > 1 else None
        NodeRevision.objects.create(node=node, period=(NOW - timedelta(days=days), until), facts={}, changes=changes)
    a_pod(node, "exporter", component="dcgm-exporter", holds=False, slots=0)
    a_pod(node, "small", slots=1)
    a_pod(node, "large", slots=2**33)
    a_pod(node, "waits", holds=False, phase="Pending", slots=4)
    for kind, slug in (("pool", "h100"), ("class", "full-h100")):
        for days, state in ((2, "met"), (1, "violated")):
            period = (NOW - timedelta(days=days), NOW - timedelta(days=1) if days == 2 else None)
            CompliancePeriod.objects.create(kind=kind, slug=slug, period=period, state=state, violations=[VIOLATION])
    a_verdict_period(node, NOW - timedelta(days=2))
    list(rollups.rebuild((NOW - timedelta(days=2)).date(), NOW))


def rows(reader: Any, path: str, **params: Any) -> list[dict[str, Any]]:
    answer = reader.get(f"/api/v1/{path}", params)
    assert answer.status_code == 200, answer.content
    result: list[dict[str, Any]] = answer.json()["results"]
    return result


def facets(reader: Any, path: str, **params: Any) -> dict[str, dict[str, int]]:
    answer = reader.get(f"/api/v1/{path}facets/", params)
    assert answer.status_code == 200, answer.content
    return {name: {item["value"]: item["count"] for item in rows} for name, rows in answer.json()["facets"].items()}


def as_csv(reader: Any, path: str) -> list[dict[str, str]]:
    answer = reader.get(f"/api/v1/{path}?format=csv")
    assert answer.status_code == 200, answer.content
    assert answer["Content-Type"].startswith("text/csv")
    return list(csv.DictReader(io.StringIO(b"".join(answer.streaming_content).decode())))


def refused(reader: Any, path: str, **params: Any) -> set[str]:
    answer = reader.get(f"/api/v1/{path}", params)
    assert answer.status_code == 400, f"{path}: {answer.status_code}"
    return set(answer.json()["errors"])


def test_no_list_is_forgotten_here() -> None:
    """Every address that has facets is a list, and every list has facets."""
    rows = set()

    def walk(patterns: Any, before: str) -> None:
        for pattern in patterns:
            result = before + str(pattern.pattern).strip("^$").replace("\\Z", "")
            if isinstance(pattern, URLPattern):
                rows.add(result)
            else:
                walk(pattern.url_patterns, result)

    walk(get_resolver().url_patterns, "")
    listed = {path.removeprefix("api/v1/").removesuffix("facets/") for path in rows if path.endswith("/facets/")}
    names = {"<cluster:cluster>": "east", "<str:name>": "n1"}
    filled = set()
    for path in listed:
        slug = "h100" if path.startswith("pools") else "full-h100"
        for name, value in {**names, "<slug:slug>": slug}.items():
            path = path.replace(name, value)
        filled.add(path)
    assert filled == {*LISTS, *WHOLE}


@pytest.mark.parametrize("path", [*LISTS, *WHOLE])
def test_every_list_has_its_shape_its_facets_and_its_csv(reader: Any, house: None, path: str) -> None:
    result = reader.get(f"/api/v1/{path}").json()
    assert {"results", "next", "previous"} <= set(result)
    assert isinstance(facets(reader, path), dict)
    own = path == "audit/"  # that this very file was taken is on record before it is written
    assert len(as_csv(reader, path)) == len(result["results"]) + own


@pytest.mark.parametrize("path", LISTS)
def test_a_limit_that_cannot_be_is_refused(reader: Any, house: None, path: str) -> None:
    for limit in ("abc", "0", "-5", "1001", "5000", "", "²", "9" * 5000):
        assert refused(reader, path, limit=limit) == {"limit"}


def test_it_is_refused_of_a_csv_too(reader: Any, house: None) -> None:
    assert refused(reader, "nodes/", limit="abc", format="csv") == {"limit"}


@pytest.mark.parametrize("limit", [1, 1000])
def test_the_bounds_of_limit_are_allowed(reader: Any, house: None, limit: int) -> None:
    assert len(rows(reader, "nodes/east/n1/pods/", limit=limit)) == min(limit, 4)


def test_a_csv_refuses_what_the_list_refuses(reader: Any, house: None) -> None:
    """Before the first line, not in the middle of a stream that began with 200."""
    assert refused(reader, "nodes/", prodct="x", format="csv") == {"prodct"}
    assert refused(reader, "nodes/", at="2026-11-23T12:00:00Z", format="csv") == {"at"}


def test_a_made_up_cursor_is_refused(reader: Any, house: None) -> None:
    assert refused(reader, "nodes/", cursor="²") == {"cursor"}


@pytest.mark.parametrize("path", [*LISTS, *WHOLE])
def test_no_list_takes_a_moment(reader: Any, house: None, path: str) -> None:
    """Swallowed, it would give the present as if it were the past."""
    for where in (path, f"{path}facets/"):
        assert refused(reader, where, at="2026-11-23T12:00:00Z") == {"at"}


@pytest.mark.parametrize(
    "path",
    ["clusters/east/", "clusters/east/waivers/", "pools/h100/", "workload-classes/full-h100/", "requests/numbers/", "xids/79/",
     "workload-classes/full-h100/headroom/", "workload-classes/full-h100/manifest/", "nodes/east/n1/maintenance/"],
)  # fmt: skip
def test_nor_does_what_has_no_past(reader: Any, house: None, path: str) -> None:
    assert refused(reader, path, at="2026-11-23T12:00:00Z") == {"at"}


@pytest.mark.parametrize("path", SINGLE)
def test_what_is_no_list_does_not_come_as_csv(reader: Any, house: None, path: str) -> None:
    answer = reader.get(f"/api/v1/{path}{'&' if '?' in path else '?'}format=csv")
    assert answer.status_code == 406
    assert answer["Content-Type"] == "application/problem+json"
    assert answer.json()["detail"] == "Format csv is not available. Use json."


def test_an_unknown_format_is_406_and_not_404(reader: Any, house: None) -> None:
    answer = reader.get("/api/v1/nodes/?format=xml")
    assert (answer.status_code, answer.json()["detail"]) == (406, "Format xml is not available. Use json or csv.")


def test_pods_stand_in_order_on_every_page(reader: Any, house: None) -> None:
    seen, url = [], "/api/v1/nodes/east/n1/pods/?limit=1"
    while url:
        page = reader.get(url).json()
        seen += [row["name"] for row in page["results"]]
        url = page["next"]
    assert seen == ["large", "small", "waits", "exporter"]
    assert [row["name"] for row in as_csv(reader, "nodes/east/n1/pods/")] == seen


def test_pods_are_filtered_and_counted(reader: Any, house: None) -> None:
    path = "nodes/east/n1/pods/"
    assert [row["name"] for row in rows(reader, path, component="dcgm-exporter")] == ["exporter"]
    assert [row["name"] for row in rows(reader, path, phase="Pending", holds="false")] == ["waits"]
    result = facets(reader, path, holds="false")
    assert result["component"] == {"dcgm-exporter": 1, "unknown": 1}
    assert result["holds"] == {"true": 2, "false": 2}


def test_revisions_by_what_changed(reader: Any, house: None) -> None:
    path = "nodes/east/n1/revisions/"
    assert facets(reader, path, section="taints") == {"section": {"labels": 2, "taints": 1}}
    assert len(rows(reader, path, section="taints")) == 1
    assert len(rows(reader, path, section="taints,labels")) == 2
    lines = as_csv(reader, path)
    assert len(lines) == 3
    assert lines[0]["until"] == ""


@pytest.mark.parametrize("path", ["pools/h100/history/", "workload-classes/full-h100/history/"])
def test_compliance_periods_by_state(reader: Any, house: None, path: str) -> None:
    assert facets(reader, path, state="met") == {"state": {"violated": 1, "met": 1}}
    assert [row["state"] for row in rows(reader, path, state="met")] == ["met"]
    assert [(row["state"], row["violations"]) for row in as_csv(reader, path)] == [
        ("violated", json.dumps([VIOLATION], separators=(",", ":"))), ("met", json.dumps([VIOLATION], separators=(",", ":"))),
    ]  # fmt: skip


@pytest.mark.parametrize("path", ["pools/none/history/", "workload-classes/none/history/", "nodes/east/none/pods/"])
def test_lists_of_what_is_not_there(reader: Any, house: None, path: str) -> None:
    for where in (path, f"{path}facets/", f"{path}?format=csv"):
        assert reader.get(f"/api/v1/{where}").status_code == 404


def test_facets_of_availability_and_bootstrap(reader: Any, house: None) -> None:
    assert facets(reader, "history/availability/") == {"cluster": {"east": 1}, "pool": {"h100": 1}}
    assert facets(reader, "history/availability/", cluster="west") == {"cluster": {"east": 1}, "pool": {}}
    assert facets(reader, "history/bootstrap/") == {"cluster": {}}


def every_ordering() -> list[str]:
    """Every list with each of its orders, from the views behind the addresses."""
    rows = []
    for name in LISTS:
        view = resolve(f"/api/v1/{name}").func
        orderings = getattr(getattr(view, "cls", None), "orderings", {})
        rows += [f"{name}?ordering={sign}{order}" for order in (*orderings, "id") for sign in ("", "-")]
    return rows


@pytest.mark.usefixtures("house")
def test_every_list_is_answered_in_every_order_also_as_csv(client: Any) -> None:
    client.force_login(a_user("ada", Role.ADMIN))
    asked = every_ordering()
    assert len(asked) > 60
    for address in asked:
        assert client.get(f"/api/v1/{address}").status_code == 200, address
        answer = client.get(f"/api/v1/{address}&format=csv")
        assert (answer.status_code, len(b"".join(answer))) > (200, 1), address
