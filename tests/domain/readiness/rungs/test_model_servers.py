"""Rungs 8 and 9: model servers come up, and answer."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec

from fleet.domain.findings import Status
from fleet.domain.snapshot.sections import Outcome
from fleet.domain.snapshot.telemetry import ModelServer
from tests.builders import NODE
from tests.domain.readiness.world import NOW, World, operator, worker

STARTS, SERVES = "model_server_starts", "model_serves"


def serving(pod: str = "vllm-0", *, state: dict[str, Any] | None = None, **fields: Any) -> World:
    """A node with one model server; `state` is its pod's."""
    values: dict[str, Any] = {"kind": "vllm", "ready": True, "outcome": Outcome.COLLECTED, "at": NOW}
    server = ModelServer(node_name=NODE, namespace="team-a", pod=pod, **{**values, **fields})
    world = operator()
    return world.but(
        pods=(*world.pods, worker(pod, **(state or {}))), telemetry=msgspec.structs.replace(world.telemetry, servers=(server,))
    )


def loading(age: timedelta, **state: Any) -> World:
    fields = {"phase": "Running", "ready": False, "created_at": NOW - age, "started_at": NOW - age}
    return serving(ready=False, state={**fields, **state})


def test_without_a_model_server_neither_applies() -> None:
    assert operator().says(STARTS) == operator().says(SERVES) == Status.NOT_APPLICABLE


def test_a_ready_server_passes_the_first_and_an_answering_one_the_second() -> None:
    assert serving().says(STARTS) == Status.PASS
    assert serving().says(SERVES) == Status.UNKNOWN, "it was not read yet"
    assert serving(tokens_per_s=40.0).says(SERVES) == Status.PASS


def test_a_counter_that_grew_is_an_answer() -> None:
    world = serving(requests=12.0)
    before = msgspec.structs.replace(world.telemetry.servers[0], requests=11.0)
    assert world.remembering(servers=(before,)).says(SERVES) == Status.PASS
    assert world.remembering(servers=world.telemetry.servers).says(SERVES) == Status.UNKNOWN


def test_loading_weights_takes_its_time_and_crashing_does_not() -> None:
    assert loading(timedelta(minutes=20)).says(STARTS) == Status.WAITING
    assert loading(timedelta(minutes=31)).says(STARTS) == Status.FAIL
    assert loading(timedelta(minutes=2), reason="CrashLoopBackOff").says(STARTS) == Status.FAIL


def test_requests_that_wait_while_none_runs_fail() -> None:
    assert serving(waiting=3.0, running=0.0, tokens_per_s=0.0).says(SERVES) == Status.FAIL
    assert serving(waiting=3.0, running=2.0, tokens_per_s=0.0).says(SERVES) == Status.UNKNOWN


def test_both_are_remembered_for_a_day() -> None:
    noted = serving(tokens_per_s=40.0).evaluate_ladder().remember
    later = operator().remembering(pending=noted)
    assert later.says(STARTS) == later.says(SERVES) == Status.PASS
    old = operator().remembering(pending={name: NOW - timedelta(hours=25) for name in noted})
    assert old.says(STARTS) == old.says(SERVES) == Status.NOT_APPLICABLE


def test_metrics_that_cannot_be_read_are_unknown_with_the_reason() -> None:
    world = serving(outcome=Outcome.FORBIDDEN, reason="Muster may not reach pods/proxy.")
    assert world.says(SERVES) == Status.UNKNOWN
    assert "pods/proxy" in world.rung(SERVES).reason


def test_unread_sections_leave_both_unknown() -> None:
    world = serving().but(broken=("model_servers",))
    assert world.says(STARTS) == world.says(SERVES) == Status.UNKNOWN


def test_neither_is_required_by_default() -> None:
    assert loading(timedelta(hours=1)).evaluate_ladder().verdict == "ready"


def test_the_last_answer_of_an_unreachable_server_proves_nothing() -> None:
    """Its numbers stay on the page, with their age; they do not count as current."""
    for odd in ({"outcome": Outcome.TIMEOUT}, {"at": NOW - timedelta(minutes=10)}, {"at": None}):
        world = serving(tokens_per_s=40.0, requests_per_s=2.0, **odd)
        assert world.says(SERVES) == Status.UNKNOWN, odd
        assert "cuda_works|proved" not in world.evaluate_ladder().remember, odd
