"""A bad value stops the start with a sentence that says what to do: no traceback, and no 500 to the first who asks."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from fleet.config import env

ROOT = Path(__file__).parents[2]


def start(home: Path, **fields: str) -> subprocess.CompletedProcess[str]:
    """Any command that reads the settings; `manage.py test` itself runs with some of them set."""
    settings = ("DATABASE_URL", "DJANGO_SETTINGS_MODULE", "SECRET_KEY", "LOG_LEVEL")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("MUSTER_", *settings))}
    environment = {**inherited, "MUSTER_NO_BOOTSTRAP": "1", "MUSTER_HOME": str(home), "SECRET_KEY": "given", **fields}
    command = [sys.executable, "manage.py", "version"]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=60)


BAD = {
    "LOG_LEVEL": ("verbose", "give one of DEBUG, INFO, WARNING, ERROR, CRITICAL"),
    "DATABASE_URL": ("postgres://", "names no database: write it as postgres://"),
    "MUSTER_API_RATE": ("lots", "give a number and a time, as 6000/min"),
    "MUSTER_BROKER_URL": ("redis://h:bad/0", "its host or port is wrong: write it as redis://host:6379/0"),
    "MUSTER_PROMETHEUS_URL": ("http://", "names no host: write it as http://"),
    "MUSTER_TELEMETRY": ("prometheus", "in MUSTER_PROMETHEUS_URL"),
    "MUSTER_URL": ("https://:443", "names no host: write it as https://muster.example.com"),
}


@pytest.mark.parametrize("name", BAD)
def test_the_start_is_stopped_with_a_sentence(name: str, tmp_path: Path) -> None:
    value, says = BAD[name]
    done = start(tmp_path, **{name: value})
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.startswith(name)
    assert says in done.stderr


def test_good_values_start(tmp_path: Path) -> None:
    good = {
        "LOG_LEVEL": "warning", "DATABASE_URL": "postgres:///muster", "MUSTER_API_RATE": "10/s", "MUSTER_TELEMETRY": "prometheus",
        "MUSTER_BROKER_URL": "rediss://:secret@valkey:6380/1", "MUSTER_PROMETHEUS_URL": "http://prometheus:9090",
    }  # fmt: skip
    done = start(tmp_path, **good)
    assert (done.returncode, done.stderr) == (0, "")


def test_what_is_empty_is_left_out(tmp_path: Path) -> None:
    """docker-compose.yml passes on every variable, set or not."""
    documented = re.findall(r"^([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE)
    done = start(tmp_path, **{name: "" for name in documented if name != "MUSTER_HOME"})
    assert (done.returncode, done.stderr) == (0, "")


@pytest.fixture
def secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "secret"
    monkeypatch.delenv("A_SECRET", raising=False)
    monkeypatch.setenv("A_SECRET_FILE", str(path))
    return path


@pytest.mark.parametrize(("content", "says"), [(b"\xff\xfe\x00", "is not text"), (b" \n", "is empty"), (None, "cannot be read")])
def test_a_file_without_a_secret_is_refused(secret: Path, content: bytes | None, says: str) -> None:
    if content is not None:
        secret.write_bytes(content)
    with pytest.raises(ImproperlyConfigured, match=f"A_SECRET_FILE points at .*{says}"):
        env.text("A_SECRET")


def test_a_file_with_a_secret_is_read(secret: Path) -> None:
    secret.write_text("word\n")
    assert env.text("A_SECRET") == "word"


@pytest.mark.parametrize("rate", ["lots", "6000", "/min", "0/min", "-5/min", "5/fortnight", "5/", "1.5/s", "²/s", "9999999999/s"])
def test_a_rate_that_is_none(rate: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_RATE", rate)
    with pytest.raises(ImproperlyConfigured, match="A_RATE is"):
        env.rate("A_RATE", "6000/min")


@pytest.mark.parametrize("rate", ["1/s", "60/min", "6000/minute", "5/h", "9/day"])
def test_every_rate_taken_is_one_to_the_throttle(rate: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from fleet.api.protocol.permissions import PerUser

    monkeypatch.setenv("A_RATE", rate)
    assert PerUser().parse_rate(env.rate("A_RATE", "6000/min"))[0] == int(rate.split("/")[0])


@pytest.mark.parametrize(
    "url",
    ["redis://", "redis:///0", "redis+socket://", "redis://h:bad/0", "redis://h:99999/0", "redis://[::1/0", "redis://h/first",
     "amqp://", "http://h", "h:6379", "//h"],
)  # fmt: skip
def test_a_broker_that_is_none(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_BROKER", url)
    with pytest.raises(ImproperlyConfigured, match=r"^A_BROKER [a-z]"):
        env.broker("A_BROKER", "")


def test_no_password_is_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_BROKER", "redis://:hunter2@h:bad/0")
    with pytest.raises(ImproperlyConfigured) as refused:
        env.broker("A_BROKER", "")
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    "url",
    ["redis://h", "redis://h:6379", "redis://:p@h:6379/0", "rediss://[::1]:6379/1", "amqp://u:p@h:5672//", "amqps://h/vhost",
     "redis+socket:///run/valkey.sock?virtual_host=0", "redis://h1:6379/0;redis://h2:6379/0"],
)  # fmt: skip
def test_a_broker(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_BROKER", url)
    assert env.broker("A_BROKER", "") == url
