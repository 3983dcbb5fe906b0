"""What every test may use. Rows come from tests/factories.py, structs from tests/builders.py."""

from __future__ import annotations

from typing import Any

import pytest

pytest_plugins = ["tests.programs"]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--write-queries", action="store_true", help="write tests/queries/counts.json anew")


@pytest.fixture(autouse=True)
def _throttles_start_empty() -> None:
    from django.core.cache import cache

    cache.clear()


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
