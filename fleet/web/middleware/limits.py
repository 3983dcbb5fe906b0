"""Limits the request of a signed-in person to what they may see, until its answer was sent."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from fleet.services import limits
from fleet.web.shell.people import person

_FOR_ALL = frozenset(
    {"sign-in", "sign-out", "sign-in-link", "sso", "sso-callback", "security-txt", "healthz", "readyz", "metrics"}
)
"""Addresses that need no sign-in."""


class Limits:
    """Middleware, after the sessions': later code reads in the scope of the signed-in person; a token enters its own."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        try:
            if request.user.is_authenticated:
                limits.enter(limits.of_user(person(request)))
            response = self._get_response(request)
        except BaseException:
            limits.leave()
            raise
        if response.streaming:
            # A long CSV is read while it is streamed.
            response._resource_closers.append(limits.leave)  # type: ignore[attr-defined]  # as FileResponse does
        else:
            limits.leave()
        return response

    def process_view(
        self, request: HttpRequest, view: Callable[..., HttpResponse], args: Sequence[object], kwargs: Mapping[str, object]
    ) -> None:
        """Refuses addresses that are not open to limited people; those of the API are refused by its permission class."""
        match = request.resolver_match
        if limits.current() is None or match is None or (request.path.startswith("/api/") and match.url_name != "api-docs"):
            return
        name = match.url_name or ""
        if name not in _FOR_ALL and not limits.is_open(name, request.method or ""):
            raise PermissionDenied
