"""Every recorded refusal becomes the right member of the closed set, with a sentence."""

from __future__ import annotations

import errno
import ssl

import pytest
import urllib3.exceptions as http

from fleet.collectors.errors import Asked, Failure, from_answer, from_transport, shorten
from fleet.domain.snapshot.sections import Outcome
from tests.collectors.recorded import body, names, recording

NODES = Asked(verb="list", resource="nodes")
OPTIONAL = Asked(verb="list", resource="nodes", group="metrics.k8s.io", optional=True)

EXPECTED = {
    "err_400_bad_continue": Outcome.EXPIRED,
    "err_400_bad_field_selector": Outcome.REFUSED,
    "err_400_bad_label_selector": Outcome.REFUSED,
    "err_400_bad_limit": Outcome.REFUSED,
    "err_401_invalid_token": Outcome.UNAUTHORISED,
    "err_403_anonymous": Outcome.UNAUTHORISED,
    "err_403_get_configmap": Outcome.FORBIDDEN,
    "err_403_list_nodes": Outcome.FORBIDDEN,
    "err_403_watch": Outcome.FORBIDDEN,
    "err_404_group": Outcome.MALFORMED,
    "err_404_group_muster_403": Outcome.FORBIDDEN,
    "err_404_node": Outcome.MALFORMED,
    "err_404_old_dra_version": Outcome.MALFORMED,
    "err_405_method": Outcome.REFUSED,
    "err_406_accept": Outcome.REFUSED,
    "err_409_already_exists": Outcome.REFUSED,
    "err_409_conflict_version": Outcome.REFUSED,
    "err_410_continue_expired_nodes": Outcome.EXPIRED,
    "err_410_continue_expired_pods": Outcome.EXPIRED,
    "err_410_list_exact_old_rv": Outcome.EXPIRED,
    "err_422_invalid": Outcome.REFUSED,
    "err_429_apf": Outcome.THROTTLED,
    "err_429_storage_initializing": Outcome.THROTTLED,
    "err_504_future_resource_version": Outcome.UNREACHABLE,
}
WATCHES = {"err_410_watch_old_rv", "err_watch_future_resource_version"}  # streams, not answers: Muster watches nothing


def failure_of(name: str, asked: Asked = NODES) -> Failure:
    answer = recording(name)
    return from_answer(answer["status"], answer["headers"], body(name), asked)


def test_every_recorded_error_is_expected() -> None:
    assert set(names("err_")) == set(EXPECTED) | WATCHES


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_outcome_of_recorded_errors(name: str) -> None:
    failure = failure_of(name)
    assert failure.outcome is EXPECTED[name]
    assert failure.reason.endswith(".")
    assert "\n" not in failure.reason


def test_only_optional_resources_can_be_absent() -> None:
    assert failure_of("err_404_group", OPTIONAL).outcome is Outcome.ABSENT
    assert failure_of("err_404_old_dra_version", OPTIONAL).outcome is Outcome.ABSENT


def test_a_refusal_says_who_may_not_do_what() -> None:
    asked = Asked(verb="get", resource="configmaps", namespace="gpu-operator", name="x")
    assert failure_of("err_403_get_configmap", asked).reason == (
        "The account muster may not get configmaps x in namespace gpu-operator."
    )
    assert failure_of("err_404_group_muster_403", OPTIONAL).reason == "The account muster may not list nodes.metrics.k8s.io."


@pytest.mark.parametrize("name", ["err_429_apf", "err_429_storage_initializing", "err_504_future_resource_version"])
def test_retry_after_is_read_from_header_or_status(name: str) -> None:
    failure = failure_of(name)
    assert failure.retry_after == 1.0
    assert failure.transient


@pytest.mark.parametrize(
    ("headers", "status_body", "seconds"),
    [
        ({"Retry-After": "7"}, b"slow down", 7.0),
        ({}, b'{"details":{"retryAfterSeconds":3}}', 3.0),
        (
            {"Retry-After": "Mon, 23 Nov 2026 21:16:48 GMT", "Date": "Mon, 23 Nov 2026 21:16:38 GMT"},
            b"",
            10.0,
        ),
        ({"Retry-After": "soon"}, b"", None),
        ({}, b"", None),
    ],
)
def test_spellings_of_retry_after(headers: dict[str, str], status_body: bytes, seconds: float | None) -> None:
    assert from_answer(429, headers, status_body, NODES).retry_after == seconds


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_server_errors_are_unreachable_and_worth_another_try(status: int) -> None:
    failure = from_answer(status, {}, b"<html>bad gateway</html>", NODES)
    assert failure.outcome is Outcome.UNREACHABLE
    assert failure.transient
    assert str(status) in failure.reason
    assert "<html>" not in failure.reason


@pytest.mark.parametrize(
    ("status", "outcome"),
    [(302, Outcome.MALFORMED), (204, Outcome.MALFORMED), (413, Outcome.TOO_LARGE), (501, Outcome.UNREACHABLE)],
)
def test_other_answers(status: int, outcome: Outcome) -> None:
    assert from_answer(status, {"Location": "https://login"}, b"", NODES).outcome is outcome


@pytest.mark.parametrize("odd", [b"", b"null", b"[]", b'{"message": 5}', b"\xff\xfe", b"{" * 5000])
def test_odd_bodies_still_make_a_sentence(odd: bytes) -> None:
    for status in (400, 401, 403, 404, 410, 429, 500):
        assert from_answer(status, {}, odd, NODES).reason


def chained(outer: Exception, cause: BaseException) -> Exception:
    try:
        raise outer from cause
    except type(outer) as error:
        return error


@pytest.mark.parametrize(
    ("error", "outcome", "transient"),
    [
        (http.ReadTimeoutError(None, "", "slow"), Outcome.TIMEOUT, False),  # type: ignore[arg-type]
        (http.ConnectTimeoutError(None, "slow"), Outcome.UNREACHABLE, False),
        (http.NewConnectionError(None, "no route"), Outcome.UNREACHABLE, False),  # type: ignore[arg-type]
        (http.ProtocolError("reset", ConnectionResetError()), Outcome.UNREACHABLE, True),
        (http.DecodeError("gzip"), Outcome.MALFORMED, False),
        (http.ProxyError("proxy", OSError("nope")), Outcome.UNREACHABLE, False),
        (TimeoutError(), Outcome.TIMEOUT, False),
        (OSError(errno.EHOSTUNREACH, "No route to host"), Outcome.UNREACHABLE, False),
        (chained(ValueError("x"), ssl.SSLError(1, "WRONG_VERSION_NUMBER")), Outcome.TLS, False),
        (chained(http.HTTPError("x"), ConnectionRefusedError()), Outcome.UNREACHABLE, True),
    ],
)
def test_failures_of_the_transport(error: Exception, outcome: Outcome, transient: bool) -> None:
    failure = from_transport(error, "https://host", 1.5, NODES)
    assert (failure.outcome, failure.transient) == (outcome, transient)
    assert failure.reason.endswith(".")


def test_shorten_keeps_one_line() -> None:
    assert shorten("a\n  b\tc") == "a b c"
    assert shorten("x" * 500, 10) == "x" * 9 + "…"
