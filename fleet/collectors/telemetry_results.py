"""How a section of telemetry ended as a whole, from what each of its pods returned."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import msgspec

from fleet.collectors.errors import Failure
from fleet.collectors.exporters import GoneError, Page, commonest
from fleet.domain.snapshot.sections import Outcome
from fleet.domain.snapshot.telemetry import DeviceSample, ExporterReport, ModelServer


class Result(msgspec.Struct, kw_only=True):
    """What one section gave, and how it ended as a whole."""

    outcome: Outcome = Outcome.COLLECTED
    reason: str = ""
    count: int | None = None
    samples: tuple[DeviceSample, ...] = ()
    exporters: tuple[ExporterReport, ...] = ()
    servers: tuple[ModelServer, ...] = ()


def merge_samples(samples: Sequence[DeviceSample]) -> tuple[DeviceSample, ...]:
    """Returns each device once, complete: two exporters on one node (a cloud's and the operator's) report the same devices."""
    result: dict[tuple[str, str], DeviceSample] = {}
    for sample in samples:
        key = sample.node_name, sample.key
        before = result.get(key)
        result[key] = sample if before is None else _both(before, sample)
    return tuple(result.values())


def _both(device_sample: DeviceSample, other: DeviceSample) -> DeviceSample:
    return msgspec.structs.replace(
        device_sample,
        at=max(device_sample.at, other.at),
        driver_version=device_sample.driver_version or other.driver_version,
        values=other.values | device_sample.values,
        xid_counts=other.xid_counts | device_sample.xid_counts,
        watches=other.watches | device_sample.watches,
        clock_events=other.clock_events | device_sample.clock_events,
        pods=tuple(dict.fromkeys((*device_sample.pods, *other.pods))),
    )


def failures_that_count(pages: Sequence[Page]) -> list[Failure | None]:
    """Returns the failures that count for the whole section.

    A pod that is not ready, or deleted since, need not answer: its own report has that, and it does not fail the section.
    """
    read = any(page.failure is None for page in pages)
    return [page.failure for page in pages if page.failure is None or not read or _should_answer(page)]


def _should_answer(page: Page) -> bool:
    return page.target.pod.ready and not isinstance(page.failure, GoneError)


def end_section(whole: Result, failures: Sequence[Failure | None], noun: str) -> Result:
    """Returns the section with its outcome: collected; incomplete where some failed; where all did, what stopped most of them."""
    failed = [failure for failure in failures if failure is not None]
    if not failed:
        return whole
    worst = commonest(failed)
    if len(failed) == len(failures):
        whole.outcome = worst.outcome if worst.outcome not in (Outcome.INCOMPLETE, Outcome.ABSENT) else Outcome.UNREACHABLE
        whole.reason = f"None of {_count_of(len(failures), noun)} could be read. {worst.reason}"
    else:
        whole.outcome = Outcome.INCOMPLETE
        whole.reason = f"{len(failed)} of {_count_of(len(failures), noun)} could not be read{_by_outcome(failed)}. {worst.reason}"
    return whole


def _count_of(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


_WORDS: Mapping[Outcome, str] = {
    Outcome.TIMEOUT: "too slow",
    Outcome.UNREACHABLE: "not answering",
    Outcome.FORBIDDEN: "forbidden",
    Outcome.UNAUTHORISED: "login refused",
    Outcome.REFUSED: "refused",
    Outcome.MALFORMED: "no metrics",
    Outcome.SKIPPED: "no time left",
}


def _by_outcome(failed: Sequence[Failure]) -> str:
    """` (3 too slow, 1 not answering)`; empty where one reason holds for all."""
    counted = Counter(_WORDS.get(failure.outcome, failure.outcome.value.replace("_", " ")) for failure in failed)
    if len(counted) < 2:
        return ""
    return f" ({', '.join(f'{number} {words}' for words, number in counted.most_common())})"
