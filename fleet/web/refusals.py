"""What no view is asked: a NUL character in path, query or form. No name has one, and Postgres keeps none in a text."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import unquote_to_bytes

from django.http import HttpRequest, HttpResponse

from fleet.web.errors import bad_request

_FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")


def refuse_nul(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Middleware. It stands behind the one that knows who asks: its refusal is a page. Bodies of the API check themselves."""

    def answer(request: HttpRequest) -> HttpResponse:
        return bad_request(request) if _has_nul(request) else get_response(request)

    return answer


def _has_nul(request: HttpRequest) -> bool:
    if "\0" in request.path or b"\0" in unquote_to_bytes(request.META.get("QUERY_STRING", "")):
        return True
    if request.content_type not in _FORMS or request.path.startswith("/api/"):
        return False
    return any("\0" in text for name, values in request.POST.lists() for text in (name, *values))
