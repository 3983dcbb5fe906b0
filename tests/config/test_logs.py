"""Log lines carry the id of what they are about, through web and workers."""

from __future__ import annotations

import json
import logging
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import OperationalError

from fleet.config import celery, logs
from fleet.config.logs import JsonLines, WithRequest
from fleet.services import origin


def record(text: str, error: BaseException | None = None) -> logging.LogRecord:
    info = (type(error), error, None) if error else None
    row = logging.LogRecord("fleet.x", logging.WARNING, __file__, 1, text, (), info)  # type: ignore[arg-type]
    WithRequest().filter(row)
    return row


def task(**request: Any) -> SimpleNamespace:
    return SimpleNamespace(request=SimpleNamespace(headers=None, **request))


def test_a_line_names_its_request_and_none_outside_of_one() -> None:
    line = logging.Formatter("{levelname} {message}{request}", style="{")
    with origin.coming_from(origin.Origin("page", "192.0.2.7", "abcdef0123456789")):
        assert line.format(record("Slow.")) == "WARNING Slow. [abcdef0123456789]"
    assert line.format(record("Slow.")) == "WARNING Slow."


def test_a_lost_database_is_one_line_a_minute_with_how_many_were_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_000.0
    monkeypatch.setattr(logs.time, "monotonic", lambda: now)
    once, passed = logs.Once(), []
    for second in (*range(60), 60, 61):
        now = 1_000.0 + second
        line = record("Service Unavailable: /readyz", OperationalError("connection refused\nIs it running?"))
        if once.filter(line):
            passed.append(line.getMessage())
        assert once.filter(record("Slow.")), "other lines are left alone"
    reason = "the database does not answer: connection refused"
    assert passed == [f"Service Unavailable: /readyz ({reason}; {left_out} more in the minute before)" for left_out in (0, 59)]


def test_json_is_one_object_a_line_whatever_the_message() -> None:
    with origin.coming_from(origin.Origin("api", "", "abcdef0123456789")):
        text = JsonLines().format(record('two\nlines "quoted"', ValueError("bad")))
    assert "\n" not in text
    row = json.loads(text)
    assert (row["message"], row["level"], row["logger"]) == ('two\nlines "quoted"', "WARNING", "fleet.x")
    assert row["request_id"] == "abcdef0123456789"
    assert "ValueError: bad" in row["exception"]
    assert "request_id" not in json.loads(JsonLines().format(record("x")))


def test_a_task_carries_the_id_of_the_request_that_asked_for_it() -> None:
    headers: dict[str, Any] = {}
    with origin.coming_from(origin.Origin("page", "", "abcdef0123456789")):
        celery._send_request_id(headers=headers)
    assert headers == {"muster_request_id": "abcdef0123456789"}
    celery._begin(task_id="0b5e6a3c-task", task=task(muster_request_id="abcdef0123456789"))
    try:
        assert (origin.current().via, origin.request_id()) == ("worker", "abcdef0123456789")
    finally:
        celery._end()
    assert origin.request_id() == ""


def test_a_task_of_the_schedule_goes_by_its_own_id() -> None:
    headers: dict[str, Any] = {}
    celery._send_request_id(headers=headers)
    assert headers == {}
    celery._begin(task_id="0b5e6a3c-0000-4000-8000-000000000000", task=task())
    try:
        assert origin.request_id() == "0b5e6a3c-0000-4000-8000-000000000000"
    finally:
        celery._end()
