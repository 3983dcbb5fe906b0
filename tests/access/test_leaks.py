"""Somebody who is limited sees the same answers whether more exists or not: every page, list, count, facet, CSV and error.

The same addresses are asked twice: before the hidden half of the fleet exists, and after, when a person without a limit has
filled every cache with it.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client
from django.utils import timezone

from fleet.domain.refusals import FieldError, NotNow, NotYours
from fleet.models import ApiToken, Cluster, FindingRow, Node, Pod, Role, User
from fleet.models import scope as current_scope
from fleet.selectors.placement import explain, headroom, pending, stranded
from fleet.services import accounts, limits, tokens
from tests.access.addresses import addresses, filled
from tests.access.world import MARK, NOW, Half, half, name_in_rungs, roll_up, share, share_nodes
from tests.factories import a_user

pytestmark = pytest.mark.django_db
MORE = (
    "/?by=product", "/?by=cluster", "/?by=pool", "/?at=2026-11-23T12:30:00Z", "/nodes/?q=node", "/nodes/?sort=cluster",
    "/search/?q=node",
    "/search/?q=zzhidden", "/history/?by=cluster", "/history/?by=pool&window=90d", "/history/?by=product", "/clusters/?sort=name",
    "/api/v1/nodes/?format=csv", "/api/v1/nodes/?at=2026-11-23T12:30:00Z",
    "/api/v1/findings/?format=csv", "/api/v1/gpus/?format=csv",
    "/api/v1/nodes/?limit=1", "/api/v1/nodes/?cluster=zzhidden-cluster", "/api/v1/nodes/facets/?cluster=zzhidden-cluster",
    "/api/v1/clusters/?format=csv", "/api/v1/history/changes/?format=csv", "/api/v1/fleet/summary/?at=2026-11-23T12:30:00Z",
    "/api/v1/search/?q=zzhidden", "/api/v1/search/?q=node", "/api/v1/history/availability/?by=cluster&days=true",
    "/api/v1/history/availability/?by=pool", "/api/v1/history/availability/?by=node", "/api/v1/topology/?by=zone",
    "/incidents/?state=all", "/findings/?state=all", "/requests/?way=all", "/explain/?class=seen-class&replicas=2",
    "/api/v1/xid-bursts/?format=csv", "/api/v1/incidents/?format=csv", "/api/v1/collection-runs/?format=csv",
)  # fmt: skip
ASKED = (
    ("/api/v1/explain/", {"workload_class": "seen-class", "replicas": 2}),
    ("/api/v1/explain/", {"workload_class": "zzhidden-class", "replicas": 2}),
    ("/api/v1/explain/", {"pod": "zzhidden-cluster/zzhidden-space/zzhidden-pod-0"}),
    ("/api/v1/topology/groups/", {"gpus": 16, "shape": "any"}),
    ("/api/v1/sizing/", {"model": "meta-llama/Llama-3.3-70B-Instruct", "context_tokens": 8192, "concurrency": 4}),
    ("/api/v1/what-if/", {"cluster": "zzhidden-cluster", "changes": [{"kind": "cordon", "nodes": ["zzhidden-node-0"]}]}),
    ("/api/v1/what-if/", {"cluster": "seen-cluster", "changes": [{"kind": "cordon", "nodes": ["seen-node-0"]}]}),
    ("/api/v1/clusters/zzhidden-cluster/collect/", {}),
    ("/api/v1/nodes/zzhidden-cluster/zzhidden-node-0/maintenance/", {"reason": "Because."}),
    ("/clusters/zzhidden-cluster/collect/", {}),
)
FILLS = ("/", "/classes/", "/pending/", "/capacity/stranded/", "/api/v1/topology/", "/explain/?class=seen-class&replicas=2")
"""Pages whose answers a process caches."""
_VARYING = (
    (re.compile(r'name="csrfmiddlewaretoken" value="[^"]+"'), ""),
    (re.compile(r'"X-CSRFToken": ?"[^"]+"'), ""),
    (re.compile(r"Request [0-9a-f]{8}"), ""),
    (re.compile(r'data-etag="[^"]*"|hx-headers=\'[^\']*\''), ""),
)


@pytest.fixture(autouse=True)
def at_noon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timezone, "now", lambda: NOW)


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    """Hundreds of refusals are no news."""
    caplog.set_level(logging.ERROR)


@pytest.fixture(autouse=True)
def nothing_is_left_entered() -> Iterator[None]:
    yield
    assert current_scope.current() is None


def forget() -> None:
    """Empties what a process caches."""
    cache.clear()
    for kept in (headroom._stocks, explain._states, pending._answers, stranded._answers):
        kept.clear()


def paths(values: Half, reader: User) -> list[str]:
    """Those that are open to `reader`: of the others tests/access/test_roles.py says that they are refused."""
    reader.refresh_from_db()
    with current_scope.entered(limits.of_user(reader)):
        return [filled(route, values.values(name)) for name, route in addresses() if limits.is_open(name, "GET")]


def body(answer: Any) -> str:
    content = b"".join(answer.streaming_content) if answer.streaming else answer.content
    text = content.decode()
    for pattern, instead in _VARYING:
        text = pattern.sub(instead, text)
    return f"{answer.status_code} {answer.headers.get('Location', '')}\n{text}"


def client_of(user: User) -> Client:
    client = Client(raise_request_exception=False)
    client.force_login(user)
    return client


def answers(user: User, asked: list[str]) -> dict[str, str]:
    """Every path to its answer, with what was asked by POST."""
    client = client_of(user)
    result = {path: body(client.get(path)) for path in dict.fromkeys((*asked, *MORE))}
    for path, data in ASKED:
        result[f"POST {path} {data}"] = body(client.post(path, data, content_type="application/json"))
    return result


@pytest.mark.parametrize(
    ("limit", "role"),
    [
        ("cluster:seen-cluster", Role.ADMIN),
        ("pool:seen-pool", Role.OPERATOR),
        ("namespace:seen-space", Role.DEVELOPER),
    ],
)
def test_a_limited_person_sees_as_if_nothing_else_existed(limit: str, role: Role) -> None:
    reader = a_user("reader", role)
    User.objects.filter(pk=reader.pk).update(limits=[limit])
    chief = a_user("chief", Role.ADMIN)
    seen = half("seen", 4, reader)
    name_in_rungs(seen, "seen")
    roll_up()
    forget()
    before = answers(reader, paths(seen, reader))
    failed = [path for path, text in before.items() if text.startswith("5") and not path.startswith("/readyz")]

    hidden = half(MARK, 5)
    if limit.startswith("cluster"):
        share(seen.pool, *hidden.nodes[:2])
    elif limit.startswith("namespace"):
        share_nodes(seen, MARK)
    else:
        Node.objects.filter(pk__in=[node.pk for node in hidden.nodes[3:]]).update(cluster=seen.cluster)
        Pod.objects.filter(node__in=hidden.nodes[3:]).update(cluster=seen.cluster)
        FindingRow.objects.filter(node__in=hidden.nodes[3:]).update(cluster=seen.cluster)
        # An incident over nodes of both, named by a hidden finding: it is still there, named by the one that is seen.
        FindingRow.objects.filter(pk=seen.finding.pk).update(incident=hidden.finding)
    roll_up()
    forget()
    fills = client_of(chief)
    for path in FILLS:
        assert fills.get(path).status_code == 200, path
    after = answers(reader, paths(seen, reader))
    assert_same(before, after)
    assert not failed, failed
    for path in ("/nodes/", "/api/v1/nodes/?format=csv", "/search/?q=node", "/incidents/", "/api/v1/findings/"):
        assert "seen-" in before[path], path


def assert_same(before: dict[str, str], after: dict[str, str]) -> None:
    marked = [path for path, text in after.items() if MARK in text and MARK not in path]
    assert not marked, "\n".join(f"{path}: …{excerpt(after[path], after[path].index(MARK))}…" for path in marked)
    changed = [path for path in before if before[path] != after[path]]
    assert not changed, "\n".join(f"{path}: {difference(before[path], after[path])}" for path in changed)


def excerpt(text: str, place: int) -> str:
    return text[max(0, place - 90) : place + 60].replace("\n", " ")


def difference(first: str, other: str) -> str:
    place = next((n for n, (a, b) in enumerate(zip(first, other, strict=False)) if a != b), min(len(first), len(other)))
    return f"\n    {excerpt(first, place)}\n    {excerpt(other, place)}"


def test_what_is_hidden_answers_as_what_does_not_exist() -> None:
    reader = a_user("reader", Role.ADMIN)
    User.objects.filter(pk=reader.pk).update(limits=["cluster:seen-cluster"])
    half("seen", 2, reader)
    hidden = half(MARK, 2)
    client = client_of(reader)
    differing = []
    for name, route in addresses():
        if "<" not in route:
            continue
        path = filled(route, hidden.values(name))
        none = filled(route)
        for method in ("get", "post", "delete"):
            if not limits.is_open(name, method.upper()):
                continue
            there, nowhere = (getattr(client, method)(each, content_type="application/json") for each in (path, none))
            if there.status_code != nowhere.status_code:
                differing.append(f"{method} {path} {there.status_code}, {none} {nowhere.status_code}")
    assert not differing, "\n".join(differing)
    assert Cluster.objects.filter(name=f"{MARK}-cluster").exists()


def test_no_scope_outlives_its_request() -> None:
    reader = a_user("reader", Role.VIEWER)
    User.objects.filter(pk=reader.pk).update(limits=["cluster:seen-cluster"])
    half("seen", 2, reader)
    half(MARK, 2)
    streamed = client_of(reader).get("/api/v1/nodes/?format=csv")
    assert MARK not in body(streamed)
    assert limits.current() is None
    assert Cluster.objects.count() == 2


def test_a_token_limited_to_a_cluster_sees_no_other_and_makes_none_that_does() -> None:
    user = a_user("machine", Role.ADMIN)
    half("seen", 2)
    half(MARK, 2)
    wide, _ = tokens.create(None, user, NOW, name="wide")
    _, secret = tokens.create(None, user, NOW, clusters=["seen-cluster"])
    client = Client(headers={"authorization": f"Bearer {secret}"})
    assert [row["name"] for row in client.get("/api/v1/clusters/").json()["results"]] == ["seen-cluster"]
    assert client.get("/api/v1/nodes/zzhidden-cluster/zzhidden-node-0/").status_code == 404
    assert client.get("/api/v1/users/").status_code == 403

    made = client.post("/api/v1/tokens/", {"scopes": ["read"]}, content_type="application/json")
    assert made.status_code == 201
    assert made.json()["clusters"] == ["seen-cluster"]
    wider = {"scopes": ["read"], "clusters": [f"{MARK}-cluster"]}
    assert client.post("/api/v1/tokens/", wider, content_type="application/json").status_code == 400
    assert client.post(f"/api/v1/tokens/{wide.public_id}/rotate/", {}).status_code in (403, 409)
    assert ApiToken.objects.filter(user=user, clusters__isnull=True).count() == 1


def test_a_token_that_only_reads_does_not_obtain_one_that_does_more() -> None:
    user = a_user("machine", Role.ADMIN)
    strong, _ = tokens.create(None, user, NOW)
    _, secret = tokens.create(None, user, NOW, scopes=["read"])
    answer = Client(headers={"authorization": f"Bearer {secret}"}).post(f"/api/v1/tokens/{strong.public_id}/rotate/", {})
    assert answer.status_code == 403
    assert ApiToken.objects.filter(user=user).count() == 2


def test_an_account_is_limited_by_an_administrator_without_a_limit_only() -> None:
    chief, other = a_user("chief", Role.ADMIN), a_user("other", Role.ADMIN)
    half("seen", 1)
    with pytest.raises(FieldError, match="Cluster nowhere not found"):
        accounts.limit(chief, "other", ["cluster:nowhere"], NOW)
    assert accounts.limit(chief, "other", ["cluster:seen-cluster"], NOW).limits == ["cluster:seen-cluster"]
    other.refresh_from_db()
    with pytest.raises(NotYours):
        accounts.limit(other, "other", None, NOW)
    with pytest.raises(NotNow, match="last administrator without a limit"):
        accounts.limit(chief, "chief", ["cluster:seen-cluster"], NOW)
    page = client_of(chief).post(f"/users/{other.pk}/", {"role": "admin", "active": "on", "limits": ""})
    assert page.status_code == 302
    other.refresh_from_db()
    assert other.limits is None


def test_an_operator_with_a_limit_decides_no_request() -> None:
    reader = a_user("reader", Role.OPERATOR)
    User.objects.filter(pk=reader.pk).update(limits=["cluster:seen-cluster"])
    seen = half("seen", 2, reader)
    client = client_of(reader)
    assert client.get(f"/api/v1/requests/{seen.request.pk}/").status_code == 200
    assert client.post(f"/api/v1/requests/{seen.request.pk}/approve/", {}, content_type="application/json").status_code == 403
    client.post(f"/requests/{seen.request.pk}/approve/", {})
    seen.request.refresh_from_db()
    assert seen.request.state == "submitted"


def test_the_pages_say_to_what_they_are_limited() -> None:
    reader = a_user("reader", Role.ADMIN)
    User.objects.filter(pk=reader.pk).update(limits=["cluster:seen-cluster"])
    half("seen", 1)
    text = client_of(reader).get("/nodes/").content.decode()
    assert "Limited to seen-cluster" in text
    assert 'href="/users/"' not in text
    assert "Limited to" not in client_of(a_user("chief", Role.ADMIN)).get("/nodes/").content.decode()


def test_an_operator_with_a_limit_acts_on_what_they_see() -> None:
    reader = a_user("reader", Role.OPERATOR)
    User.objects.filter(pk=reader.pk).update(limits=["cluster:seen-cluster"])
    seen = half("seen", 2, reader)
    client, node = client_of(reader), "/api/v1/nodes/seen-cluster/seen-node-1"
    asked = (
        ("/api/v1/clusters/seen-cluster/collect/", {}),
        (f"{node}/maintenance/", {"reason": "New fans."}),
        (f"{node}/expected-gpus/", {"count": 8, "reason": "As ordered."}),
        (f"/api/v1/findings/{seen.finding.pk}/silence/", {"reason": "Known.", "until": "2026-12-01T00:00:00Z"}),
        ("/api/v1/clusters/seen-cluster/waivers/", {"rung": "telemetry_healthy", "reason": "No exporter here."}),
    )
    refused = {}
    for path, data in asked:
        answer = client.post(path, data, content_type="application/json")
        if answer.status_code >= 300:
            refused[path] = (answer.status_code, answer.content[:300])
    assert refused == {}
