"""The sections telemetry and model_servers: which pods are requested, by which way, and what they returned."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import islice

import msgspec

from fleet.collectors import dcgm, model_servers, prometheus, prometheus_servers
from fleet.collectors.components import AMD_METRICS_EXPORTER, DCGM_EXPORTER
from fleet.collectors.deadline import Deadline
from fleet.collectors.errors import Failure
from fleet.collectors.exporters import DirectWay, Page, ProxyWay, Target, Way, read_all, target_of
from fleet.collectors.exposition import decode, parse
from fleet.collectors.kube import Client
from fleet.collectors.telemetry_results import Result, end_section, failures_that_count, merge_samples
from fleet.domain.snapshot import PodSnapshot
from fleet.domain.snapshot.sections import Outcome
from fleet.domain.snapshot.telemetry import DeviceSample, ExporterReport, ModelServer

POD_PROXY, DIRECT, PROMETHEUS = "pod-proxy", "direct", "prometheus"
PORTS = {DCGM_EXPORTER: 9400, AMD_METRICS_EXPORTER: 5000}
"""Exporters of device metrics, and the default port of each."""

MOST_SAMPLES = 50_000
"""Of one page. Any pod may pose as an exporter, and a page of short lines needs more memory than its length."""
MOST_DEVICES = 1_024
"""Of one page: 16 GPUs cut into 7 instances each make 112."""
_NO_SAMPLE = "Prometheus has no fresh sample of it: it is not scraped, or its scrapes fail."


_LONGEST_BACKOFF = timedelta(minutes=30)


class Refused(msgspec.Struct, frozen=True, kw_only=True):
    """A pod that refused when it was last asked."""

    times: int
    until: datetime
    reason: str


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """How telemetry of one cluster is read."""

    source: str = POD_PROXY
    prometheus_url: str = ""
    prometheus_token: str = ""
    prometheus_match: str = ""
    """Label matchers that select this cluster's series."""
    workers: int = 32
    """Pods asked at once."""
    timeout_s: float = 5.0
    """For one pod."""
    failed_before: frozenset[tuple[str, str]] = frozenset()
    """(namespace, pod) of those that did not answer last time: they are asked last."""
    refused: Mapping[tuple[str, str], Refused] = {}
    """(namespace, pod) of those that refused last time: they are asked less and less often."""


class Reader:
    """Reads the telemetry of one run. Never raises for what a pod does."""

    def __init__(self, client: Client, plan: Plan, deadline: Deadline, now: Callable[[], datetime]) -> None:
        self._client = client
        self._plan = plan
        self._deadline = deadline
        self._now = now
        self.source = plan.source
        self._way: Way = DirectWay(plan.workers) if plan.source == DIRECT else ProxyWay(client)

    def devices(self, pods: Sequence[PodSnapshot], nodes: Iterable[str]) -> Result:
        """Reads the section telemetry. Raises Failure where no exporter could be read."""
        exporters = [pod for pod in pods if pod.component in PORTS]
        if self._plan.source == PROMETHEUS:
            return self._from_prometheus(exporters, frozenset(nodes))
        if not exporters:
            return Result(outcome=Outcome.ABSENT, reason="No exporter runs on this cluster: its GPUs are not measured.", count=0)
        pages = self._read([target_of(pod, PORTS[pod.component]) for pod in exporters], _devices)
        reports: list[ExporterReport] = []
        samples: list[DeviceSample] = []
        for page in pages:
            report, read = self._report(page)
            reports.append(report)
            samples.extend(read)
        whole = Result(samples=merge_samples(samples), exporters=tuple(reports), count=len(reports))
        return end_section(whole, failures_that_count(pages), "exporter")

    def model_servers(self, pods: Sequence[PodSnapshot]) -> Result:
        """Reads the section model_servers. Raises Failure where no server could be read.

        With Prometheus as the source, those that it does not scrape are read through the API server.
        """
        targets = model_servers.find_targets(pods)
        if not targets:
            return Result(outcome=Outcome.ABSENT, reason="No known model server runs on a GPU node of this cluster.", count=0)
        scraped: dict[tuple[str, str], ModelServer] = {}
        if self._plan.source == PROMETHEUS:
            fetch = prometheus_servers.fetch(self._prometheus(), targets, self._now())
            scraped = {(item.namespace, item.pod): item for item in fetch}
        servers = {target.key: server for target, server in targets}
        pages = self._read(
            [target for target, _ in targets if target.key not in scraped],
            lambda target, body, at: model_servers.read(target, body, servers[target.key]),
        )
        if self._plan.source == PROMETHEUS:
            pages = [_not_scraped(page) for page in pages]
        asked = {page.target.key: model_servers.pod_of(page, servers[page.target.key]) for page in pages}
        rows = tuple(scraped.get(key) or asked[key] for key in servers)
        return end_section(
            Result(servers=rows, count=len(rows)), [*([None] * len(scraped)), *failures_that_count(pages)], "model server"
        )

    def _read(self, targets: Sequence[Target], make: Callable[[Target, bytes | bytearray, datetime], object]) -> list[Page]:
        ask, idle = [], {}
        for target in targets:
            failure, before = _not_running(target.pod), self._plan.refused.get(target.key)
            if failure is not None:
                idle[target.key] = Page(target=target, at=self._now(), took_ms=0, failure=failure)
            elif before is not None and self._now() < before.until:
                idle[target.key] = _still_refused(target, before, self._now())
            else:
                ask.append(target)
        read = read_all(
            ask,
            self._way,
            make,
            deadline=self._deadline,
            now=self._now,
            workers=self._plan.workers,
            timeout_s=self._plan.timeout_s,
            last=self._plan.failed_before,
        )
        by_key = idle | {page.target.key: self._counted(page) for page in read}
        return [by_key[target.key] for target in targets]

    def _counted(self, page: Page) -> Page:
        """Returns the page, of a refusal with the time of the next question: a minute later, then two, up to half an hour."""
        if page.failure is None or page.failure.outcome is not Outcome.REFUSED:
            return page
        before = self._plan.refused.get(page.target.key)
        times = before.times + 1 if before else 1
        pause = min(timedelta(minutes=2 ** min(times - 1, 10)), _LONGEST_BACKOFF)
        return msgspec.structs.replace(page, refusals=times, retry_at=page.at + pause)

    def _report(self, page: Page) -> tuple[ExporterReport, tuple[DeviceSample, ...]]:
        pod = page.target.pod
        samples: tuple[DeviceSample, ...] = ()
        metrics: tuple[str, ...] = ()
        reason = page.failure.reason if page.failure else ""
        if isinstance(page.read, dcgm.Devices):
            samples, metrics = page.read.samples(), page.read.reported(pod.node_name)
            reason = "" if samples else "It answered without any GPU."
        report = ExporterReport(
            node_name=pod.node_name,
            namespace=pod.namespace,
            pod=pod.name,
            source=self._plan.source,
            outcome=page.failure.outcome if page.failure else Outcome.COLLECTED,
            reason=reason,
            at=max((sample.at for sample in samples), default=None),
            took_ms=page.took_ms,
            metrics=metrics,
            refusals=page.refusals,
            retry_at=page.retry_at,
        )
        return report, samples

    def _prometheus(self) -> prometheus.Server:
        plan = self._plan
        return prometheus.Server(plan.prometheus_url, plan.prometheus_token, self._deadline, plan.prometheus_match)

    def _from_prometheus(self, exporters: Sequence[PodSnapshot], nodes: frozenset[str]) -> Result:
        places = prometheus.Places.of(exporters, nodes)
        read = prometheus.fetch(self._prometheus(), places, self._now())
        if not read.samples and not exporters:
            reason = "Prometheus knows of no GPU on this cluster's nodes, and no exporter runs there."
            return Result(outcome=Outcome.ABSENT, reason=reason, count=0)
        measured = {report.node_name for report in read.exporters}
        silent = [pod for pod in exporters if pod.node_name not in measured]
        missing = tuple(
            ExporterReport(
                node_name=pod.node_name,
                namespace=pod.namespace,
                pod=pod.name,
                source=PROMETHEUS,
                outcome=Outcome.UNREACHABLE,
                reason=_NO_SAMPLE,
            )
            for pod in silent
        )
        reports = (*read.exporters, *missing)
        failures = [None] * len(read.exporters) + [Failure(report.outcome, report.reason) for report in missing]
        return end_section(Result(samples=read.samples, exporters=reports, count=len(reports)), failures, "exporter")


def _devices(target: Target, body: bytes | bytearray, at: datetime) -> dcgm.Devices:
    text = decode(body)
    page = list(islice(parse(text), MOST_SAMPLES + 1))
    if len(page) > MOST_SAMPLES:
        raise Failure(Outcome.TOO_LARGE, f"{target.pod.name} returned more than {MOST_SAMPLES:,} series.")
    if not page and any(line and not line.startswith("#") for line in text.splitlines()):
        raise Failure(Outcome.MALFORMED, f"The answer of {target.pod.name} is not Prometheus text.")
    devices = dcgm.parse(page, target.pod.node_name, at)
    if len(devices) > MOST_DEVICES:
        raise Failure(Outcome.TOO_LARGE, f"{target.pod.name} reports more than {MOST_DEVICES:,} devices.")
    return devices


def _not_scraped(page: Page) -> Page:
    """With Prometheus, the permission to request pods may be missing: then the reason is that it is not scraped."""
    if page.failure is None or page.failure.outcome is not Outcome.FORBIDDEN:
        return page
    return msgspec.structs.replace(page, failure=Failure(Outcome.UNREACHABLE, _NO_SAMPLE))


def _not_running(pod: PodSnapshot) -> Failure | None:
    """Why a pod need not be asked; None where it may answer: one that is not ready may do so all the same."""
    if pod.phase == "Running":
        return None
    why = f" ({pod.reason})" if pod.reason else ""
    return Failure(Outcome.UNREACHABLE, f"The pod {pod.name} is {pod.phase.lower() or 'not scheduled'}{why}.")


def _still_refused(target: Target, before: Refused, now: datetime) -> Page:
    failure = Failure(Outcome.REFUSED, before.reason)
    return Page(target=target, at=now, took_ms=0, failure=failure, refusals=before.times, retry_at=before.until)
