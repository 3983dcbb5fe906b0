"""Impossible input gets 400 and a sentence, never 500: NUL, made-up cursors, JSON and YAML without a bottom."""

from __future__ import annotations

import base64
from typing import Any
from urllib.parse import parse_qsl

import pytest
from django.test import Client
from django.urls import resolve

from fleet.models import Role, User
from tests.access.addresses import addresses, filled
from tests.factories import a_class_version, a_finding, a_node, a_pool, a_user

pytestmark = pytest.mark.django_db
PROBLEM = "application/problem+json"


@pytest.mark.parametrize(
    "path",
    [
        "nodes/?cluster=%00",
        "nodes/?verdict=a%00b",
        "nodes/?q=%00",
        "nodes/a%00b/c/",
        "clusters/a%00/",
        "history/changes/?node=%00",
        "history/availability/?by=pool&pool=%00",
        "findings/?x%00=1",
        "no%00where/",
    ],
)
def test_a_nul_is_refused_in_path_and_query(reader: Any, path: str) -> None:
    answer = reader.get(f"/api/v1/{path}")
    assert (answer.status_code, answer["Content-Type"], answer.json()["status"]) == (400, PROBLEM, 400)
    page = reader.get(f"/{path}")
    assert page.status_code == 400
    assert "Bad request" in page.content.decode()


def test_a_nul_is_refused_in_a_form_and_from_strangers(reader: Any, client: Any) -> None:
    assert reader.post("/saved-views/", {"name": "a\0b", "page": "nodes"}).status_code == 400
    assert Client().get("/nodes/?q=%00").status_code == 400
    assert Client().post("/sign-in/", {"username": "a\0b", "password": "x"}).status_code == 400


@pytest.mark.parametrize("position", ["abc", "\0", "1e400", "2026-13-45T00:00:00Z", "\N{GRINNING FACE}"])
@pytest.mark.parametrize("path", ["findings/", "audit/", "collection-runs/", "requests/", "nodes/?ordering=-free"])
def test_a_cursor_whose_position_is_no_value_is_refused(reader: Any, path: str, position: str) -> None:
    assert refusal_of(reader, path, position) == (400, PROBLEM)


@pytest.mark.parametrize("position", ["\0", "\N{GRINNING FACE}"])
def test_among_names_every_text_that_can_be_kept_is_a_position(reader: Any, position: str) -> None:
    assert refusal_of(reader, "nodes/", "abc")[0] == 200
    assert refusal_of(reader, "nodes/", position) == (400, PROBLEM)


def test_a_number_beyond_all_rows_is_no_error(reader: Any) -> None:
    assert refusal_of(reader, "nodes/?ordering=-free", "9" * 40)[0] in (200, 400)


def refusal_of(reader: Any, path: str, position: str) -> tuple[int, str]:
    a_finding(a_node())
    address, _, query = path.partition("?")
    cursor = base64.b64encode(f"p={position}".encode()).decode()
    answer = reader.get(f"/api/v1/{address}?{query}", {"cursor": cursor} | dict(parse_qsl(query)))
    return answer.status_code, answer["Content-Type"]


@pytest.mark.parametrize("body", ["[" * 200_000, '{"a":' * 200_000])
@pytest.mark.parametrize("path", ["requests", "pools/apply"])
def test_json_without_a_bottom_is_refused(reader: Any, path: str, body: str) -> None:
    answer = reader.post(f"/api/v1/{path}/", body, content_type="application/json")
    assert (answer.status_code, answer["Content-Type"]) == (400, PROBLEM)
    assert "nested too deeply" in answer.json()["detail"]


@pytest.mark.parametrize("text", [r"\UFFFFFFFF", r"\0", r"\ud800"])
def test_yaml_that_spells_what_cannot_be_kept_is_refused_with_its_line(reader: Any, text: str) -> None:
    stream = f'apiVersion: muster/v1\nkind: Pool\nmetadata:\n  name: a\nspec:\n  title: "{text}"\n'
    answer = reader.post("/api/v1/pools/apply/", stream, content_type="application/yaml")
    assert answer.status_code == 400
    assert [problem["line"] for problem in answer.json()["problems"]] == [6]


def test_an_overlong_source_is_refused(reader: Any) -> None:
    answer = reader.post(f"/api/v1/pools/apply/?source={'a' * 201}", "--- {}", content_type="application/yaml")
    assert (answer.status_code, list(answer.json()["errors"])) == (400, ["source"])


@pytest.mark.parametrize("path", ["/api/v1/nodez/", "/api/v1/nodes", "/api/", "/api/v2/nodes/"])
def test_a_mistyped_address_is_not_found(reader: Any, operator: User, path: str) -> None:
    stranger = Client(enforce_csrf_checks=True)
    for method in (stranger.get, stranger.post, stranger.delete, reader.get):
        answer = method(path, HTTP_AUTHORIZATION="Bearer muster_whatever")
        assert (answer.status_code, answer["Content-Type"]) == (404, PROBLEM), path


@pytest.mark.parametrize(
    ("path", "good"),
    [
        ("deliveries/?state=AAA", "sent"),
        ("requests/?state=draft,AAA", "submitted"),
        ("collection-runs/?outcome=AAA", "ok"),
        ("tokens/?role=AAA", "admin"),
        ("users/?role=AAA", "viewer"),
    ],
)
def test_a_value_that_a_column_with_choices_does_not_have_is_refused(reader: Any, path: str, good: str) -> None:
    answer = reader.get(f"/api/v1/{path}")
    assert answer.status_code == 400
    assert "“AAA” is not one of" in str(answer.json()["errors"])
    assert reader.get(f"/api/v1/{path.replace('AAA', good)}").status_code == 200


@pytest.mark.parametrize("path", ["history/changes/", "history/changes/facets/"])
@pytest.mark.parametrize("query", ["kind=", "kind=verdict&kind="])
def test_an_empty_kind_of_changes_is_refused_as_the_schema_states(reader: Any, path: str, query: str) -> None:
    answer = reader.get(f"/api/v1/{path}?{query}")
    assert (answer.status_code, list(answer.json()["errors"])) == (400, ["kind"])


@pytest.mark.parametrize(
    "path", ["capacity/stranded/?by=", "capacity/stranded/history/?by=", "nodes/?counted=", "nodes/?flapping="]
)
def test_an_empty_value_of_a_closed_set_is_refused_as_the_schema_states(reader: Any, path: str) -> None:
    answer = reader.get(f"/api/v1/{path}")
    assert (answer.status_code, len(answer.json()["errors"])) == (400, 1)
    assert reader.get(f"/api/v1/{path.partition('?')[0]}").status_code == 200


@pytest.mark.parametrize(("value", "status"), [(0, 400), (1, 400), (1.0, 400), (True, 201)])
def test_a_number_is_neither_true_nor_false(value: object, status: int) -> None:
    admin = Client()
    admin.force_login(a_user("ada", Role.ADMIN))
    body = {"username": "robot", "role": "viewer", "service": value}
    answer = admin.post("/api/v1/users/", body, content_type="application/json")
    assert answer.status_code == status, answer.content


def test_what_a_delivery_may_lack_is_documented_as_null(reader: Any) -> None:
    """Of a pool's or class's compliance there is neither a cluster nor a node."""
    notice = reader.get("/api/v1/schema/?format=json").json()["components"]["schemas"]["Notice"]["properties"]
    assert {name: "null" in notice[name]["type"] for name in ("cluster", "node", "title")} == {
        "cluster": True, "node": True, "title": False,
    }  # fmt: skip


def test_every_writing_operation_documents_a_conflict_and_the_type_of_its_body(reader: Any) -> None:
    paths = reader.get("/api/v1/schema/?format=json").json()["paths"]
    writing = {f"{method} {path}": row for path, rows in paths.items() for method, row in rows.items() if method != "get"}
    assert len(writing) > 30
    assert {name for name, row in writing.items() if "409" not in row["responses"]} == set()
    assert {name for name, row in writing.items() if "requestBody" in row and "415" not in row["responses"]} == set()


def test_no_answer_is_documented_as_a_page_of_pages(reader: Any) -> None:
    schemas = reader.get("/api/v1/schema/?format=json").json()["components"]["schemas"]
    items = {name: schema["properties"]["results"]["items"] for name, schema in schemas.items() if _is_page(schema)}
    assert len(items) > 20
    of_pages = {name for name, item in items.items() if _is_page(schemas.get(str(item.get("$ref")).rpartition("/")[2], {}))}
    assert of_pages == set()


def _is_page(schema: dict[str, Any]) -> bool:
    return {"results", "next", "previous"} <= schema.get("properties", {}).keys()


def test_manifests_are_documented_as_lists_and_their_refusal_as_a_conflict(reader: Any) -> None:
    paths = reader.get("/api/v1/schema/?format=json").json()["paths"]
    of_request, of_class = (
        paths[f"/api/v1/{name}/manifest/"]["get"]["responses"] for name in ("requests/{id}", "workload-classes/{slug}")
    )
    for answers in (of_request, of_class):
        assert answers["200"]["content"]["application/json"]["schema"]["type"] == "array"
    assert "409" in of_request
    version = a_class_version(pools=[a_pool("h100").slug])
    listed = reader.get(f"/api/v1/workload-classes/{version.workload_class.slug}/manifest/?format=json").json()
    assert isinstance(listed, list)


def test_a_value_with_a_per_cent_sign_is_quoted_in_the_refusal_and_no_placeholder() -> None:
    """Of every filter of every list, one at a time for the first refusal would hide the others."""
    admin = Client(raise_request_exception=False)
    admin.force_login(a_user("ada", Role.ADMIN))
    asked = 0
    for name, route in addresses():
        view = getattr(resolve(filled(route)).func, "cls", None) if name.startswith("api-") and "<" not in route else None
        filters = getattr(getattr(view, "filterset_class", None), "base_filters", {})
        if not (filters and name.endswith("-list")):
            continue
        asked += 1
        for parameter in filters:
            answer = admin.get(filled(route), {parameter: "100%s %(x)s %d"})
            assert answer.status_code in (200, 400), (name, parameter, answer.content)
    assert asked > 10
