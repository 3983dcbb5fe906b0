"""What every test may use. Rows come from tests/factories.py, structs from tests/builders.py."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import pytest

pytest_plugins = ["tests.programs"]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--write-queries", action="store_true", help="write tests/queries/counts.json anew")


@pytest.fixture(autouse=True)
def _throttles_start_empty() -> None:
    from django.core.cache import cache

    cache.clear()


@pytest.fixture(autouse=True)
def _connections_are_closed() -> Iterator[None]:
    """A process keeps a client for each connection, and every test has a kubeconfig of its own: 1,024 files are soon open."""
    yield
    if kube := sys.modules.get("fleet.collectors.kube"):
        kube.close_clients()


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
