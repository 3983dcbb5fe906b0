"""Whether the broker takes messages, asked of a real one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from fleet.embedded.broker import Broker
from fleet.services import broker
from fleet.services.broker import NotWritableError
from tests.selectors.test_metrics import TOKEN


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Broker]:
    server = Broker(tmp_path, forgetful=True)
    server.start()
    server.wait()
    yield server
    server.stop()


def test_a_check_leaves_neither_a_connection_nor_a_growing_queue(server: Broker) -> None:
    client = redis.Redis(unix_socket_path=str(server.socket))
    for _ in range(5):
        broker.check_writable(server.url, timeout_s=5)
    assert len(client.client_list()) == 1
    assert client.dbsize() == 1
    assert client.ttl(client.keys("*")[0]) > 0


@pytest.mark.parametrize("setting", [{"maxmemory": "1"}, {"min-replicas-to-write": "1"}, {"replicaof": "127.0.0.1 9"}])
def test_a_broker_that_answers_and_refuses_to_write(server: Broker, setting: dict[str, str]) -> None:
    client = redis.Redis(unix_socket_path=str(server.socket))
    for name, value in setting.items():
        client.execute_command(*(("REPLICAOF", *value.split()) if name == "replicaof" else ("CONFIG", "SET", name, value)))
    with pytest.raises(NotWritableError, match=r"^The broker refuses messages: "):
        broker.check_writable(server.url, timeout_s=5)


@pytest.mark.django_db(transaction=True)
def test_readyz_is_not_ready_while_the_broker_is_full(server: Broker, client: Any, settings: Any) -> None:
    settings.METRICS_TOKEN, settings.CELERY_BROKER_URL = TOKEN, server.url
    valkey = redis.Redis(unix_socket_path=str(server.socket))
    headers = {"authorization": f"Bearer {TOKEN}"}
    assert client.get("/readyz", headers=headers).status_code == 200
    valkey.config_set("maxmemory", 1)
    answer = client.get("/readyz", headers=headers)
    assert answer.status_code == 503
    assert answer.json()["problems"]["broker"].startswith("The broker refuses messages: ")
    valkey.config_set("maxmemory", 0)
    assert client.get("/readyz", headers=headers).status_code == 200
