"""No input is answered with 500: every address with parameters, paths and headers that no honest client sends."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from fleet.models import Role
from fleet.web.middleware.guard import READ_ONLY
from tests.factories import a_cluster, a_node, a_user

pytestmark = pytest.mark.django_db(transaction=True)  # a refused value must not abort what follows

MOMENTS = ("0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "9999-12-31T23:59:59Z", "-1", "2026-02-30", "")
TEXTS = (
    "\x00",
    "\ud800".encode("utf-8", "surrogatepass").decode("latin-1"),
    "9" * 40,
    "-1",
    "1e999",
    "NaN",
    "' OR 1=1 --",
    "%",
    "[",
)
PARAMETERS = (
    "since",
    "until",
    "at",
    "day",
    "from",
    "to",
    "window",
    "limit",
    "cursor",
    "ordering",
    "q",
    "cluster",
    "node",
    "page",
    "id",
)
PARAMETERS += (
    "state",
    "severity",
    "labels",
    "pool",
    "product",
    "gpus",
    "replicas",
    "code",
    "format",
    "by",
    "month",
    "user",
    "actor",
)
SEGMENTS = {"int": "99999999999999999999", "slug": "-" * 300, "str": "..%2f..%ff%00x", "cluster": "~1~0~2%ff"}


def addresses(patterns: Any = None, prefix: str = "/") -> Iterator[tuple[str, str]]:
    """(name, address) of every route, its variable parts filled with hostile ones."""
    for pattern in patterns if patterns is not None else get_resolver().url_patterns:
        if isinstance(pattern, URLResolver):
            yield from addresses(pattern.url_patterns, prefix + _filled(pattern.pattern))
        elif isinstance(pattern, URLPattern):
            yield pattern.name or "", prefix + _filled(pattern.pattern)


def _filled(pattern: Any) -> str:
    text = str(pattern).strip("^$").replace("\\Z", "")
    for name, converter in getattr(pattern, "converters", {}).items():
        kind = next((kind for kind in ("int", "slug", "cluster") if kind in type(converter).__name__.lower()), "str")
        for written in (f"<{kind}:{name}>", f"<str:{name}>", f"<path:{name}>", f"<{name}>"):
            text = text.replace(written, SEGMENTS[kind])
    return text


ROUTES = sorted(set(addresses()))


@pytest.fixture
def admin() -> Client:
    cluster = a_cluster("east")
    a_node(cluster=cluster, name="n1")
    client = Client(raise_request_exception=False)
    client.force_login(a_user("ada", Role.ADMIN))
    return client


@pytest.mark.parametrize("values", [MOMENTS, TEXTS], ids=["moments", "texts"])
def test_no_parameter_of_any_address_is_answered_with_500(admin: Client, values: tuple[str, ...]) -> None:
    names = PARAMETERS[:4] if values is MOMENTS else PARAMETERS[4:13]
    broken = []
    for turn, (_, address) in enumerate(ROUTES):
        if "<" in address or "(" in address or address.startswith("/static"):
            continue
        # All parameters at once, and some alone: an unknown one is refused before the others are read.
        queries: list[dict[str, str]] = [dict.fromkeys(PARAMETERS, value) for value in values[:2]]
        alone = [(turn + step) % len(names) for step in range(3)]
        queries += [{names[number]: values[(turn + number) % len(values)]} for number in alone]
        queries += [{"since": values[0], "until": values[1]}, {"until": values[0]}] if values is MOMENTS else []
        for query in queries:
            answer = admin.get(address, query)
            if answer.status_code >= 500 and answer.status_code != 503:
                broken.append((address, query, answer.status_code))
    assert broken == []


def test_no_form_or_body_of_any_address_is_answered_with_500(admin: Client) -> None:
    bodies: list[tuple[Any, str]] = [
        (b"", "application/json"),
        (b"null", "application/json"),
        (b"[1, 2]", "application/json"),
        (b'{"a": ' * 50, "application/json"),
        (b"\xff\xfe", "application/yaml"),
        (b"null", "application/yaml"),
        (b"a=%ff%00&b=" + b"9" * 40, "application/x-www-form-urlencoded"),
        (b"\xff", "multipart/form-data; boundary=x"),
    ]
    broken = []
    for name, address in ROUTES:
        if "<" in address or "(" in address or name in ("sign-out",):
            continue
        for body, content_type in bodies:
            answer = admin.post(address, body, content_type=content_type)
            if answer.status_code >= 500 and answer.status_code != 503:
                broken.append((address, body[:20], content_type, answer.status_code))
    assert broken == []


@pytest.mark.parametrize("token", [b"Bearer \xff\xfe", b"Bearer", b"Bearer a b", b"Bearer \x00", b"Basic \xff", b"\xff"])
def test_no_authorization_header_is_answered_with_500(token: bytes) -> None:
    answer = Client(raise_request_exception=False).get("/api/v1/nodes/", HTTP_AUTHORIZATION=token.decode("latin-1"))
    assert answer.status_code == 401
    assert answer["Content-Type"].startswith("application/problem+json")


def test_pages_that_change_nothing_answer_405_to_a_post(admin: Client) -> None:
    for name, address in ROUTES:
        if name in READ_ONLY and "<" not in address and not address.startswith("/api/"):
            answer = admin.post(address.replace(SEGMENTS["int"], "1").replace(SEGMENTS["slug"], "a"))
            assert answer.status_code in (400, 404, 405), (address, answer.status_code)
    assert admin.post("/nodes/")["Allow"] == "GET, HEAD"


@pytest.mark.parametrize(
    "address", ["/", "/nodes/", "/nowhere/", "/api/v1/nodes/", "/api/v1/nowhere/", "/healthz", "/static/css/tokens.css"]
)
def test_every_kind_of_answer_carries_the_security_headers(admin: Client, address: str) -> None:
    answer = admin.get(address)
    assert "default-src 'none'" in answer["Content-Security-Policy"]
    assert answer["Permissions-Policy"]
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert "Server" not in answer
    if not address.startswith("/static/"):
        assert answer["Cache-Control"] == "no-store"


def test_a_host_that_is_not_allowed_is_one_line_without_a_traceback(caplog: pytest.LogCaptureFixture) -> None:
    from fleet.config.logs import Once

    once = Once()
    for _ in range(5):
        assert Client(raise_request_exception=False).get("/", HTTP_HOST="evil.example").status_code == 400
    records = [record for record in caplog.records if "evil.example" in record.getMessage()]
    kept = [record for record in records if once.filter(record)]
    assert len(kept) == 1
    assert kept[0].exc_info is None
