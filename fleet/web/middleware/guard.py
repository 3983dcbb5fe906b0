"""Refuses requests that no page answers, and sets the headers of every answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from urllib.parse import unquote_to_bytes

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed

from fleet.web import health
from fleet.web.shell.errors import bad_request

READ_ONLY = frozenset(
    {
        *(
            "fleet",
            "nodes",
            "node",
            "findings",
            "incidents",
            "incident",
            "incident-changes",
            "search",
            "search-preview",
            "audit",
            "history",
            "pools",
            "pool",
            "classes",
            "class",
            "clusters",
            "cluster",
        ),
        *("xids", "xid", "notifications", "deliveries", "delivery", "requests", "request", "request-numbers", "approvals"),
        *("account", "tokens", "sso", "sso-callback", "mfa_index", "mfa_view_recovery_codes"),
        *("stranded", "pending", "topology", "watchers", "demo", "notification-inbox"),
        *("security-txt", "patterns", "healthz", "readyz", "metrics"),
    }
)
"""Names of read-only pages: only GET and HEAD are allowed."""
_POLICY = "; ".join(
    f"{name} {' '.join(values)}" for name, values in settings.CONTENT_SECURITY_POLICY["DIRECTIVES"].items() if values
)
_PROBES: dict[str, Callable[[HttpRequest], HttpResponse]] = {"/healthz": health.healthz, "/readyz": health.readyz}
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")


class Guard:
    """Adds the security headers also to answers that other middleware or Django itself makes: files, redirects, errors."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        # Probes are answered before the session is read: they must not wait for the database, nor fail with it.
        probe = _PROBES.get(request.path)
        response = probe(request) if probe is not None else self._get_response(request)
        for name, value in _HEADERS.items():
            response.headers.setdefault(name, value)
        if not request.path.startswith(f"/{settings.STATIC_URL.lstrip('/')}"):
            # Names of nodes, pods and people must not stay in a proxy's or a shared browser's cache.
            response.headers["Cache-Control"] = "no-store"
        return response

    def process_view(
        self, request: HttpRequest, view: Callable[..., HttpResponse], args: Sequence[object], kwargs: Mapping[str, object]
    ) -> HttpResponse | None:
        match = request.resolver_match
        if match is not None and match.url_name in READ_ONLY and request.method not in ("GET", "HEAD") and not match.namespace:
            if request.path.startswith("/api/"):
                return None
            return HttpResponseNotAllowed(["GET", "HEAD"])
        return None


def refuse_nul(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Refuses NUL characters in path, query or form: no name contains one, and Postgres cannot store one in a text.

    Runs after authentication, since its refusal is a page. The API checks its bodies itself.
    """

    def answer(request: HttpRequest) -> HttpResponse:
        return bad_request(request) if _has_nul(request) else get_response(request)

    return answer


def _has_nul(request: HttpRequest) -> bool:
    if "\0" in request.path or b"\0" in unquote_to_bytes(request.META.get("QUERY_STRING", "")):
        return True
    if request.content_type not in _FORMS or request.path.startswith("/api/"):
        return False
    return any("\0" in text for name, values in request.POST.lists() for text in (name, *values))
