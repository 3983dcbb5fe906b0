from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec import structs

from fleet.domain.health.model_servers import since
from fleet.domain.snapshot.sections import Outcome
from fleet.domain.snapshot.telemetry import ModelServer

AT = datetime(2026, 11, 23, 12, tzinfo=UTC)
LATER = AT + timedelta(seconds=30)


def server(at: datetime | None = AT, **fields: Any) -> ModelServer:
    whole = ModelServer(
        node_name="n", namespace="ml", pod="s", kind="vllm", ready=True, outcome=Outcome.COLLECTED, at=at,
        requests=100.0, generation_tokens=6000.0, ttft_sum=50.0, ttft_count=100.0,
    )  # fmt: skip
    return structs.replace(whole, **fields)


def test_the_first_look_has_no_rates() -> None:
    first = since(server(), None, AT)
    assert (first.tokens_per_s, first.requests_per_s, first.ttft_s, first.served_at, first.ready_at) == (
        None,
        None,
        None,
        None,
        AT,
    )


def test_between_two_looks() -> None:
    now = since(server(LATER, requests=160.0, generation_tokens=9000.0, ttft_sum=80.0, ttft_count=160.0), server(), LATER)
    assert (now.tokens_per_s, now.requests_per_s, now.ttft_s, now.served_at) == (100.0, 2.0, 0.5, LATER)


def test_a_quiet_time_is_zero_and_has_no_first_token() -> None:
    now = since(server(LATER), server(served_at=AT), LATER)
    assert (now.tokens_per_s, now.requests_per_s, now.ttft_s, now.served_at) == (0.0, 0.0, None, AT)


def test_a_restarted_server_has_no_rate() -> None:
    now = since(server(LATER, requests=5.0, generation_tokens=100.0, ttft_sum=1.0, ttft_count=5.0), server(), LATER)
    assert (now.tokens_per_s, now.requests_per_s, now.ttft_s) == (None, None, None)
    assert now.served_at == LATER, "five answers since then"
    empty = since(server(LATER, requests=0.0, generation_tokens=0.0), server(), LATER)
    assert empty.served_at is None


def test_what_it_does_not_tell_has_no_rate() -> None:
    now = since(server(LATER, generation_tokens=None), server(), LATER)
    assert (now.tokens_per_s, now.requests_per_s) == (None, 0.0)


def test_one_that_does_not_answer_keeps_its_numbers_and_their_age() -> None:
    silent = ModelServer(node_name="n", namespace="ml", pod="s", kind="vllm", outcome=Outcome.TIMEOUT, reason="Slow.")
    now = since(silent, server(tokens_per_s=7.0, ready_at=AT), LATER)
    assert (now.at, now.requests, now.tokens_per_s, now.outcome, now.reason, now.ready, now.ready_at) == (
        AT, 100.0, 7.0, Outcome.TIMEOUT, "Slow.", False, AT,
    )  # fmt: skip
    assert since(silent, None, LATER).requests is None


def test_a_repeated_page_changes_nothing() -> None:
    before = server(tokens_per_s=7.0, served_at=AT)
    assert since(server(), before, LATER).tokens_per_s == 7.0
