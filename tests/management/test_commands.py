"""What commands refuse. What they do is tested with the services they call and, in tests/embedded, beside a running Muster."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from fleet.models import ApiToken, User
from tests.factories import a_cluster

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _a_database_that_is_there(settings: Any) -> None:
    """Else a command would take the test's own for one that it has to start, and stop it afterwards."""
    settings.DATABASE_URL = "postgres://elsewhere/muster"


def create_token(*options: str) -> str:
    out = io.StringIO()
    call_command("create_token", "robot", *options, stdout=out, stderr=io.StringIO())
    return out.getvalue()


@pytest.mark.parametrize("days", ["-5", "-1", "36501", "99999999"])
def test_a_token_is_not_made_for_days_that_cannot_be(days: str) -> None:
    """Least of all one that is good forever."""
    with pytest.raises(CommandError, match=f"--days is {days}: give 1 to 36,500, or 0"):
        create_token("--days", days)
    assert not ApiToken.objects.exists()
    assert not User.objects.exists()


@pytest.mark.parametrize("days", [1, 36_500])
def test_a_token_for_days(days: int) -> None:
    assert create_token("--days", str(days)).strip()
    until = ApiToken.objects.get().expiry
    assert abs(until - datetime.now(UTC) - timedelta(days=days)) < timedelta(minutes=5)


def test_a_token_forever() -> None:
    create_token("--days", "0")
    assert ApiToken.objects.get().expiry is None


@pytest.mark.parametrize("url", ["http://", "prometheus:9090", "ftp://h", "http://h:bad", "http://[::1"])
def test_a_prometheus_server_has_an_address(url: str) -> None:
    a_cluster("east")
    with pytest.raises(CommandError, match="must be an address"):
        call_command("telemetry_source", "east", "prometheus", "--prometheus-url", url)


def test_prometheus_without_a_server_is_refused(settings: Any) -> None:
    settings.PROMETHEUS_URL = ""
    cluster = a_cluster("east")
    with pytest.raises(CommandError, match="--prometheus-url"):
        call_command("telemetry_source", "east", "prometheus")
    settings.PROMETHEUS_URL = "http://prometheus:9090"
    call_command("telemetry_source", "east", "prometheus", stdout=io.StringIO())
    cluster.refresh_from_db()
    assert cluster.telemetry_source == "prometheus"


@pytest.mark.parametrize("match", ["east", "cluster=east", '{cluster="east"}', 'cluster="east"} or up{', 'cluster="east",'])
def test_what_is_no_label_matcher_does_not_get_into_a_query(match: str) -> None:
    a_cluster("east")
    with pytest.raises(CommandError, match="must be label matchers"):
        call_command("telemetry_source", "east", "direct", "--prometheus-match", match)


@pytest.mark.parametrize("match", ['cluster="east"', 'cluster=~"eu-.*", env != "test"', r'cluster="a\"b"'])
def test_label_matchers_tell_the_one_cluster_from_others(match: str) -> None:
    cluster = a_cluster("east")
    call_command("telemetry_source", "east", "default", "--prometheus-match", match, stdout=io.StringIO())
    cluster.refresh_from_db()
    assert cluster.prometheus_match == match
