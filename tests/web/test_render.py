"""One URL per page: page, partial or nothing at all."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory
from django_htmx.middleware import HtmxDetails

from fleet.web.shell import render
from fleet.web.shell.render import render_page

pytestmark = pytest.mark.django_db  # a page reads one snapshot of it


@pytest.fixture(autouse=True)
def _templates_say_their_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def say(request: HttpRequest, template: str, context: dict[str, Any], status: int = 200) -> HttpResponse:
        return HttpResponse(f"{template} {context.get('text', '')} {context['page_etag']}", status=status)

    monkeypatch.setattr(render, "render", say)


def ask(path: str = "/nodes/", *, user: int = 1, session: str = "s", **headers: str) -> HttpRequest:
    request = RequestFactory(headers=headers).get(path)
    request.user = SimpleNamespace(pk=user)  # type: ignore[assignment]
    request.session = SimpleNamespace(session_key=session)  # type: ignore[assignment]
    request.htmx = HtmxDetails(request)  # type: ignore[attr-defined]
    return request


def answer(request: HttpRequest, version: str | None = "v1", **context: Any) -> HttpResponse:
    return render_page(request, "page.html", "_part.html", {"text": "it", **context}, etag=version)


HTMX = {"HX-Request": "true"}


def test_people_get_the_page_and_htmx_its_part() -> None:
    assert answer(ask()).content.startswith(b"page.html it")
    assert answer(ask(**HTMX)).content.startswith(b"_part.html it")
    for header in ("HX-Boosted", "HX-History-Restore-Request"):
        assert answer(ask(**HTMX, **{header: "true"})).content.startswith(b"page.html")


def test_caches_keep_the_two_apart_and_ask_again() -> None:
    response = answer(ask())
    assert {"HX-Request", "Cookie"} <= set(response["Vary"].split(", "))
    assert response["Cache-Control"] == "private, no-cache"


def test_unchanged_is_304_and_the_context_is_not_asked_for() -> None:
    tag = answer(ask(**HTMX))["ETag"]

    def context() -> dict[str, Any]:
        raise AssertionError("the database was asked for nothing")

    again = render_page(ask(**HTMX, **{"If-None-Match": tag}), "page.html", "_part.html", context, etag="v1")
    assert (again.status_code, again.content, again["ETag"]) == (304, b"", tag)


def test_a_fresh_page_knows_the_tag_of_its_part() -> None:
    page, part = answer(ask()), answer(ask(**HTMX))
    assert part["ETag"] in page.content.decode()
    assert page["ETag"] != part["ETag"]


@pytest.mark.parametrize(
    "other",
    [
        {"version": "v2"},
        {"user": 2},
        {"session": "t"},
        {"path": "/nodes/?page=2"},
    ],
)
def test_other_data_people_sessions_or_addresses_are_another_page(other: dict[str, Any]) -> None:
    version = other.pop("version", "v1")
    tag = answer(ask(**HTMX))["ETag"]
    assert answer(ask(**HTMX, **{"If-None-Match": tag}, **other), version).status_code == 200


def test_without_a_version_nothing_is_ever_unchanged() -> None:
    response = answer(ask(), None)
    assert not response.has_header("ETag")


def test_a_message_is_neither_lost_nor_kept() -> None:
    request = ask()
    request._messages = ["Queued."]  # type: ignore[attr-defined]
    assert not answer(request).has_header("ETag")
