"""What every test may use. Rows come from tests/factories.py, structs from tests/builders.py."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import hypothesis
import pytest

# How long an example takes depends on what else the machine does. The same cases every time: what passes here passes elsewhere.
# `manage.py test --explore` looks for new ones.
hypothesis.settings.register_profile("muster", deadline=None, derandomize=True)
hypothesis.settings.register_profile("explore", deadline=None)
hypothesis.settings.load_profile("muster")

pytest_plugins = ["tests.programs"]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--write-queries", action="store_true", help="rewrite tests/queries/counts.json")
    parser.addoption("--write-roles", action="store_true", help="rewrite tests/access/roles.json")
    parser.addoption("--shuffle-rows", action="store_true", help="answer queries without an order in a random one")
    parser.addoption("--explore", action="store_true", help="generate other cases than the last time")
    parser.addoption("--slow-clock", action="store_true", help="let up to a second pass whenever the time is read")


def pytest_configure(config: pytest.Config) -> None:
    """Gives each worker of pytest-xdist a cache of its own: a test empties it at its start."""
    if config.getoption("--explore"):
        hypothesis.settings.load_profile("explore")
    if config.getoption("--shuffle-rows"):
        _shuffle_rows()
    if config.getoption("--slow-clock"):
        _slow_clock()
    worker = os.environ.get("PYTEST_XDIST_WORKER", "")
    if not worker:
        return
    from django.conf import settings

    shared = settings.CACHES["default"]
    if "db=1" in str(shared.get("LOCATION", "")):
        shared["LOCATION"] = shared["LOCATION"].replace("db=1", f"db={2 + int(worker.removeprefix('gw'))}")


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Groups what starts whole installations for pytest-xdist: the browser's tests share one Muster."""
    for item in items:
        folder = item.nodeid.split("/")[1]
        if folder in ("browser", "day", "embedded"):
            item.add_marker(pytest.mark.xdist_group("browser" if folder == "browser" else "installations"))


def pytest_collection_finish() -> None:
    """Keeps what was imported and collected out of garbage collection: it stays to the end."""
    gc.freeze()


def _shuffle_rows() -> None:
    """Shuffles the rows of every query that names no order, as Postgres may: who relies on one fails."""
    import random

    from django.db.models import QuerySet

    fetch = QuerySet._fetch_all

    def fetch_shuffled(rows: Any) -> None:
        new = rows._result_cache is None
        fetch(rows)
        if new and not rows.ordered and not rows.query.is_sliced:
            random.shuffle(rows._result_cache)

    QuerySet._fetch_all = fetch_shuffled  # type: ignore[method-assign]


_seconds_passed = 0.0


def _slow_clock() -> None:
    """Lets up to a second pass at every look at the time, as on a busy machine: who relies on speed fails."""
    import random
    from datetime import timedelta

    from django.utils import timezone

    now = timezone.now

    def later() -> Any:
        global _seconds_passed
        _seconds_passed += random.random()
        return now() + timedelta(seconds=_seconds_passed)

    timezone.now = later


@pytest.fixture(autouse=True)
def _no_time_has_passed() -> None:
    global _seconds_passed
    _seconds_passed = 0.0


@pytest.fixture
def held_time(monkeypatch: pytest.MonkeyPatch) -> datetime:
    """This moment, which lasts for the whole test: no window of minutes, in which something is counted or kept, ends in it."""
    from django.utils import timezone

    moment = timezone.now()
    monkeypatch.setattr(timezone, "now", lambda: moment)
    return moment


@pytest.fixture(autouse=True)
def _throttles_start_empty() -> None:
    from django.core.cache import cache

    cache.clear()


@pytest.fixture(autouse=True)
def _connections_are_closed() -> Iterator[None]:
    """A process keeps a client for each connection, and every test has a kubeconfig of its own: 1,024 files are soon open."""
    yield
    if "fleet.collectors.clients" in sys.modules:
        from tests.kept_clients import close_clients

        close_clients()


@pytest.fixture
def viewer(db: None) -> Any:
    from fleet.models import Role, User

    return User.objects.create(username="vera", role=Role.VIEWER)


@pytest.fixture
def operator(db: None) -> Any:
    from fleet.models import Role, User

    return User.objects.create(username="otto", role=Role.OPERATOR)


@pytest.fixture
def reader(client: Any, operator: Any) -> Any:
    """A client that is signed in as an operator."""
    client.force_login(operator)
    return client


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: Any) -> None:
    """Tables are truncated after a test that commits: only for this the audit log's guard is off."""
    from django.db import connection

    with django_db_blocker.unblock(), connection.cursor() as cursor:
        for table in ("entry", "link", "day"):
            cursor.execute(f"ALTER TABLE fleet_audit{table} DISABLE TRIGGER audit_no_truncate")
