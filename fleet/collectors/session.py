"""Requests of one run to one cluster: sends them, retries where that can help, and stops at the deadline."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple

import msgspec

from fleet.collectors.deadline import Deadline
from fleet.collectors.errors import Asked, Failure, from_answer
from fleet.collectors.kube import Answer, Client, Params
from fleet.domain.snapshot.sections import Outcome

READ_TIMEOUT_S = 30.0
SMALL_TIMEOUT_S = 10.0  # for answers that need no list: a healthy server gives them in milliseconds
_ATTEMPTS = 3
_BACKOFF_S = 0.25


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Limits of one run besides its deadline."""

    page_size: int = 500
    max_page_bytes: int = 64 * 2**20
    """Decompressed; a page of 500 nodes is about 14 MB."""
    retries: int = 8
    """For the whole run: a failing server gets a few retries, never a storm."""
    longest_wait_s: float = 15.0
    """A Retry-After above this ends the section instead."""


class Progress(NamedTuple):
    """How far a list has been read."""

    resource: str
    read: int
    about: int | None
    """Objects that the list has in all, by what the server states about the pages to come; None where it states nothing."""


class Session:
    """Sends requests to one cluster within one deadline. Not thread-safe: one run, one session."""

    def __init__(
        self,
        client: Client,
        deadline: Deadline,
        limits: Limits | None = None,
        sleep: Callable[[float], None] = time.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.client = client
        self.deadline = deadline
        self.limits = limits or Limits()
        self.was_answered = True
        """Whether the last request got any answer: a server that returns 500 is reachable."""
        self.clock_ahead_s: float | None = None
        """Seconds by which the server's clock is ahead of Muster's, by its first Date header; None where it sent none."""
        self.forbidden: dict[Asked, None] = {}
        """What the API server did not allow (403), in order."""
        self.report: Callable[[Progress], None] = lambda _: None
        """Called after each page of a list."""
        self._retries_left = self.limits.retries
        self._sleep = sleep
        self._jitter = jitter

    def get(self, path: str, asked: Asked, params: Params = (), timeout_s: float = READ_TIMEOUT_S) -> Answer:
        """A GET that was answered with 200. Raises Failure."""
        return self._ask("GET", path, asked, params, None, timeout_s)

    def post(self, path: str, asked: Asked, body: Mapping[str, Any]) -> Answer:
        """A review that changes nothing (SelfSubjectRulesReview and its kin): safe to repeat. Raises Failure."""
        return self._ask("POST", path, asked, (), body, SMALL_TIMEOUT_S)

    def _ask(
        self, method: str, path: str, asked: Asked, params: Params, body: Mapping[str, Any] | None, timeout_s: float
    ) -> Answer:
        attempt = 1
        while True:
            try:
                return self._once(method, path, asked, params, body, timeout_s)
            except Failure as failure:
                pause = self._pause(failure, attempt)
                if pause is None:
                    raise
                self._retries_left -= 1
            self._sleep(pause)
            attempt += 1

    def _once(
        self, method: str, path: str, asked: Asked, params: Params, body: Mapping[str, Any] | None, timeout_s: float
    ) -> Answer:
        if self.deadline.spent:
            seconds = f"{self.deadline.seconds:g} s"
            raise Failure(Outcome.TIMEOUT, f"The {seconds} of this run were used up before it could {asked.words}.")
        self.was_answered = False
        answer = self.client.request(
            method,
            path,
            asked=asked,
            deadline=self.deadline,
            params=params,
            body=body,
            timeout_s=timeout_s,
            max_bytes=self.limits.max_page_bytes,
        )
        self.was_answered = True
        if self.clock_ahead_s is None:
            self.clock_ahead_s = _clock_ahead_s(answer.headers.get("Date") or "")
        if answer.status in (200, 201):
            return answer
        failure = from_answer(answer.status, answer.headers, bytes(answer.body), asked)
        if failure.outcome is Outcome.FORBIDDEN:
            self.forbidden[asked] = None
        raise failure

    def _pause(self, failure: Failure, attempt: int) -> float | None:
        """Seconds to wait before asking again; None where that makes no sense. Jitter keeps many Musters apart."""
        if not failure.transient or attempt >= _ATTEMPTS or self._retries_left <= 0:
            return None
        if failure.retry_after is not None:
            pause = failure.retry_after * (1.0 + 0.2 * self._jitter())
        else:
            pause = _BACKOFF_S * 2**attempt * (0.5 + self._jitter())
        affordable = pause <= self.limits.longest_wait_s and pause < self.deadline.remaining()
        return pause if affordable else None


def _clock_ahead_s(date: str) -> float | None:
    try:
        return parsedate_to_datetime(date).timestamp() - time.time()
    except (TypeError, ValueError, OverflowError):
        return None
