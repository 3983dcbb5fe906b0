"""Refusals, in the shapes of a real API server: most are Status objects, two are plain text."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import msgspec

from fleet.simulator.resources import Kind

JSON = "application/json"
TEXT = "text/plain; charset=utf-8"


@dataclass
class Refusal(Exception):  # noqa: N818 — an answer like any other
    """An answer that is an error."""

    code: int
    body: bytes
    content_type: str = JSON
    headers: dict[str, str] = field(default_factory=dict)


def status_object(
    code: int, reason: str, message: str, details: dict[str, Any] | None = None, metadata: dict[str, str] | None = None
) -> dict[str, Any]:
    """A Status of failure; `details` is left out when None, as the server does."""
    made: dict[str, Any] = {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": metadata or {},
        "status": "Failure",
        "message": message,
        "reason": reason,
    }
    if details is not None:
        made["details"] = details
    made["code"] = code
    return made


def _refuse(
    code: int,
    reason: str,
    message: str,
    details: dict[str, Any] | None = None,
    headers: dict[str, str] | None = None,
    metadata: dict[str, str] | None = None,
) -> Refusal:
    body = msgspec.json.encode(status_object(code, reason, message, details, metadata))
    return Refusal(code, body, headers=headers or {})


def bad_request(message: str) -> Refusal:
    return _refuse(400, "BadRequest", message)


def unauthorised() -> Refusal:
    return _refuse(401, "Unauthorized", "Unauthorized")


def forbidden(user: str, verb: str, kind: str, group: str, namespace: str, name: str = "", subresource: str = "") -> Refusal:  # noqa: PLR0913 the parts of the API server's sentence
    """`kind` is the plural; a namespace of "" means the whole cluster."""
    qualified = f"{kind}.{group}" if group else kind
    resource = f"{kind}/{subresource}" if subresource else kind
    where = f'in the namespace "{namespace}"' if namespace else "at the cluster scope"
    subject = f'{qualified} "{name}"' if name else qualified
    message = f'{subject} is forbidden: User "{user}" cannot {verb} resource "{resource}" in API group "{group}" {where}'
    details = {key: value for key, value in (("name", name), ("group", group), ("kind", kind)) if value}
    return _refuse(403, "Forbidden", message, details, {"X-Content-Type-Options": "nosniff"})


def forbidden_path(user: str, verb: str, path: str) -> Refusal:
    message = f'forbidden: User "{user}" cannot {verb} path "{path}"'
    return _refuse(403, "Forbidden", message, {}, {"X-Content-Type-Options": "nosniff"})


def not_found(kind: Kind, name: str) -> Refusal:
    details = {key: value for key, value in (("name", name), ("group", kind.group), ("kind", kind.plural)) if value}
    return _refuse(404, "NotFound", f'{kind.qualified} "{name}" not found', details)


def no_such_resource() -> Refusal:
    """The group is there, the version or the resource is not."""
    return _refuse(404, "NotFound", "the server could not find the requested resource", {})


def unreachable_pod(why: str) -> Refusal:
    """The API server's own word when the pod behind its proxy cannot be reached."""
    return _refuse(503, "ServiceUnavailable", f"error trying to reach service: {why}")


def no_such_path() -> Refusal:
    """Nothing is installed under this path: plain text, unlike all other 404s."""
    return Refusal(404, b"404 page not found\n", TEXT, {"X-Content-Type-Options": "nosniff"})


def method_not_allowed() -> Refusal:
    message = "the server does not allow this method on the requested resource"
    return _refuse(405, "MethodNotAllowed", message, {})


def not_acceptable() -> Refusal:
    offers = f"{JSON}, {JSON};stream=watch"
    return _refuse(406, "NotAcceptable", f"406: Not Acceptable\n\nAvailable representations: {offers}", {})


def unsupported_media_type() -> Refusal:
    message = f"the body of the request was in an unknown format - accepted media types include: {JSON}"
    return _refuse(415, "UnsupportedMediaType", message, {})


def continue_expired(token: str) -> Refusal:
    """The page's moment is forgotten. `token` goes on from the same place at another moment."""
    message = (
        "The provided continue parameter is too old to display a consistent list result. You can start a new list "
        "without the continue parameter, or use the continue token in this response to retrieve the remainder of the "
        "results. Continuing with the provided token results in an inconsistent list - objects that were created, "
        "modified, or deleted between the time the first chunk was returned and now may show up in the list."
    )
    return _refuse(410, "Expired", message, metadata={"continue": token})


def version_too_old() -> Refusal:
    return _refuse(410, "Expired", "The resourceVersion for the provided list is too old.")


def watch_too_old(asked: int, oldest: int) -> dict[str, Any]:
    """The object of a watch's ERROR event; the HTTP answer itself is 200."""
    return status_object(410, "Expired", f"too old resource version: {asked} ({oldest})")


def version_too_new(asked: int, current: int) -> Refusal:
    details = {
        "causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}],
        "retryAfterSeconds": 1,
    }
    message = f"Timeout: Too large resource version: {asked}, current: {current}"
    return _refuse(504, "Timeout", message, details, {"Retry-After": "1"})


def too_many_requests(retry_after: int) -> Refusal:
    """Flow control: plain text."""
    headers = {"Retry-After": str(retry_after), "X-Content-Type-Options": "nosniff"}
    return Refusal(429, b"Too many requests, please try again later.\n", TEXT, headers)


def storage_initialising(retry_after: int) -> Refusal:
    """The first questions to a new CRD: the other kind of 429, a Status."""
    details = {"retryAfterSeconds": retry_after}
    message = "storage is (re)initializing"
    return _refuse(429, "TooManyRequests", message, details, {"Retry-After": str(retry_after)})


def internal_error(code: int) -> Refusal:
    """500 as the server says it itself; 502 to 504 as a balancer before it does."""
    if code == 500:
        cause = "etcdserver: request timed out"
        details = {"causes": [{"message": cause}]}
        return _refuse(500, "InternalError", f"Internal error occurred: {cause}", details)
    if code == 503:
        return _refuse(503, "ServiceUnavailable", "the server is currently unable to handle the request", {})
    return Refusal(code, b"upstream connect error or disconnect before headers\n", "text/plain")
