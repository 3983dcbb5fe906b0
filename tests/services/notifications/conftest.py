"""Receivers on loopback, which the guard lets through where a test says so."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from typing import Any

import pytest

from tests.services.notifications.receivers import HttpReceiver, Mailbox, http_receiver, smtp_receiver


@pytest.fixture
def allow_loopback(settings: Any) -> None:
    settings.NOTIFY_ALLOWED_NETWORKS = (ipaddress.ip_network("127.0.0.0/8"),)


@pytest.fixture
def receiver() -> Iterator[HttpReceiver]:
    with http_receiver() as running:
        yield running


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    with smtp_receiver() as running:
        yield running
