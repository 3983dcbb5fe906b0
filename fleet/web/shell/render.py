"""One URL per page: htmx receives the partial of the same view and context, other clients the whole page."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping

from django.conf import settings
from django.contrib.messages import get_messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.cache import get_conditional_response, patch_vary_headers

from fleet.selectors.one_moment import one_moment

Context = Mapping[str, object]


def render_page(
    request: HttpRequest,
    page_template: str,
    partial_template: str,
    context: Context | Callable[[], Context],
    *,
    etag: str | None = None,
    status: int = 200,
) -> HttpResponse:
    """The page, or its partial for htmx, or 304 where the reader already has it.

    `etag` is a text that changes with the content of the page (the data version, the query …). The answer's ETag adds who
    asks, which of the two forms, and Muster's version; None means never 304. `context` may be a function: then it is not called
    for a 304. It and the templates read one snapshot of the database. The templates also get `page_etag`, the partial's ETag, so
    that the first refresh of a fresh page can be a 304.
    """
    partial = is_partial(request)
    tag = _etag(request, etag, partial) if etag is not None and status == 200 and not _has_messages(request) else None
    if tag is not None:
        unchanged = get_conditional_response(request, etag=tag)
        if unchanged is not None:
            return _with_headers(unchanged, tag)
    with one_moment():
        result = dict(context() if callable(context) else context)
        result["page_etag"] = _etag(request, etag, partial=True) if etag is not None else ""
        response = render(request, partial_template if partial else page_template, result, status=status)
    return _with_headers(response, tag)


def is_partial(request: HttpRequest) -> bool:
    """Whether htmx asks for a part; when it restores history or boosts a link it needs the whole page."""
    htmx = getattr(request, "htmx", None)
    return htmx is not None and bool(htmx) and not htmx.boosted and not htmx.history_restore_request


def _etag(request: HttpRequest, version: str, partial: bool) -> str:
    # The session identifies the user: it changes at sign-in, as does the CSRF token inside the page's forms.
    session = getattr(request, "session", None)
    parts = (
        settings.VERSION,
        str(getattr(getattr(request, "user", None), "pk", "")),
        (session.session_key if session is not None else "") or "",
        "partial" if partial else "page",
        request.get_full_path(),
        version,
    )
    digest = hashlib.blake2b("\0".join(parts).encode(), digest_size=12).hexdigest()
    # weak: the same data and words, not the same bytes (ages depend on the moment of the answer)
    return f'W/"{digest}"'


def _has_messages(request: HttpRequest) -> bool:
    """A waiting message is part of the whole page only: it must not be lost by a 304, nor cached."""
    return not is_partial(request) and hasattr(request, "_messages") and len(get_messages(request)) > 0


def _with_headers(response: HttpResponse, tag: str | None) -> HttpResponse:
    patch_vary_headers(response, ("HX-Request", "Cookie"))
    response["Cache-Control"] = "private, no-cache"
    if tag is not None:
        response["ETag"] = tag
    return response
