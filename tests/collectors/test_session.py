"""What is asked again, how often, after which pause, and when a run gives up."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from fleet.collectors.deadline import Deadline
from fleet.collectors.errors import Asked, Failure
from fleet.collectors.kube import Answer
from fleet.collectors.session import Limits, Session
from fleet.domain.snapshot.sections import Outcome

ASKED = Asked(verb="list", resource="nodes")


class Clock:
    def __init__(self) -> None:
        self.now = 100.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


class Scripted:
    """Answers in turn; the last forever."""

    def __init__(self, *answers: Answer | Failure) -> None:
        self.answers = list(answers)
        self.asked = 0

    def request(self, method: str, path: str, **_: Any) -> Answer:
        answer = self.answers[min(self.asked, len(self.answers) - 1)]
        self.asked += 1
        if isinstance(answer, Failure):
            raise answer
        return answer


def session(client: Any, seconds: float = 50.0, **limits: Any) -> tuple[Session, Clock]:
    clock = Clock()
    made = Session(client, Deadline(seconds, clock), Limits(**limits), clock.sleep, lambda: 0.5)
    return made, clock


def answer(status: int, **headers: str) -> Answer:
    return Answer(status, {name.replace("_", "-"): value for name, value in headers.items()}, b"")


OK = answer(200)
VIOLATED = Failure(Outcome.UNREACHABLE, "broken off.", transient=True)


def outcome_of(call: Callable[[], Any]) -> Outcome:
    with pytest.raises(Failure) as caught:
        call()
    return caught.value.outcome


def test_retry_after_is_honoured() -> None:
    client = Scripted(answer(429, Retry_After="3"), OK)
    made, clock = session(client)
    assert made.get("/", ASKED).status == 200
    assert clock.slept == [pytest.approx(3.3)]


@pytest.mark.parametrize("first", [answer(503), answer(500), VIOLATED])
def test_a_hiccup_is_asked_again_after_a_growing_pause(first: Answer | Failure) -> None:
    client = Scripted(first, first, OK)
    made, clock = session(client)
    assert made.get("/", ASKED).status == 200
    assert clock.slept == [0.5, 1.0]


def test_three_attempts_and_no_more() -> None:
    client = Scripted(answer(429, Retry_After="1"))
    made, _ = session(client)
    assert outcome_of(lambda: made.get("/", ASKED)) is Outcome.THROTTLED
    assert client.asked == 3


def test_a_pass_has_one_budget_of_retries() -> None:
    client = Scripted(answer(503))
    made, _ = session(client, retries=5)
    for _ in range(20):
        assert outcome_of(lambda: made.get("/", ASKED)) is Outcome.UNREACHABLE
    assert client.asked == 20 + 5


def test_a_wait_longer_than_allowed_ends_the_section() -> None:
    client = Scripted(answer(429, Retry_After="20"))
    made, clock = session(client, seconds=50.0)
    assert outcome_of(lambda: made.get("/", ASKED)) is Outcome.THROTTLED
    assert (client.asked, clock.slept) == (1, [])


def test_a_wait_beyond_the_deadline_is_not_begun() -> None:
    client = Scripted(answer(429, Retry_After="9"))
    made, clock = session(client, seconds=5.0)
    assert outcome_of(lambda: made.get("/", ASKED)) is Outcome.THROTTLED
    assert clock.slept == []


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 413, 422, 302])
def test_a_plain_refusal_is_not_asked_again(status: int) -> None:
    client = Scripted(answer(status))
    made, _ = session(client)
    outcome_of(lambda: made.get("/", ASKED))
    assert client.asked == 1


@pytest.mark.parametrize("outcome", [Outcome.TIMEOUT, Outcome.TLS, Outcome.TOO_LARGE])
def test_time_outs_and_distrust_are_not_asked_again(outcome: Outcome) -> None:
    client = Scripted(Failure(outcome, "no."))
    made, _ = session(client)
    assert outcome_of(lambda: made.get("/", ASKED)) is outcome
    assert client.asked == 1


def test_nothing_is_asked_after_the_deadline() -> None:
    client = Scripted(OK)
    made, clock = session(client, seconds=5.0)
    clock.now += 6
    assert outcome_of(lambda: made.get("/", ASKED)) is Outcome.TIMEOUT
    assert client.asked == 0


def test_a_review_is_answered_with_201() -> None:
    made, _ = session(Scripted(answer(201)))
    assert made.post("/", ASKED, {}).status == 201


def test_deadline() -> None:
    clock = Clock()
    deadline = Deadline(10, clock)
    assert (deadline.remaining(), deadline.spent, deadline.at_most(3)) == (10, False, 3)
    clock.now += 9
    assert deadline.at_most(3) == 1
    clock.now += 5
    assert (deadline.remaining(), deadline.spent) == (0, True)
    assert deadline.at_most(3) > 0, "0 would mean: do not block"
