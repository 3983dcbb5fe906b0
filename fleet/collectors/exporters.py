"""Pages of pods, many at once: through the API server's pod proxy, or straight from the pod's address.

Never the service proxy: it answers from any node. A pod that is slow or fails uses its own time-out only, and
what failed last time comes last.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Protocol, TypeVar

import msgspec
import urllib3
import urllib3.exceptions as http

from fleet import __version__
from fleet.collectors.addresses import name_in_path
from fleet.collectors.bodies import read_body
from fleet.collectors.deadline import Deadline
from fleet.collectors.errors import NOT_JSON, Asked, Failure, from_answer, from_transport, shorten, timed_out
from fleet.collectors.kube import CONNECT_TIMEOUT_S, Answer, Client
from fleet.collectors.timed_responses import until, use_timed_responses
from fleet.domain.snapshot import PodSnapshot
from fleet.domain.snapshot.sections import Outcome

TEXT = "text/plain;version=0.0.4;q=1,*/*;q=0.1"
MAX_BYTES = 8 * 2**20
"""For a page: eight cards cut into 56 instances, with a hundred series each, make two."""
_METRICS_PORTS = ("metrics", "gpu-metrics", "http-metrics", "exporter", "prometheus")
_TLS_PORTS = ("https", "https-metrics")
T = TypeVar("T")


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """One pod to be asked, and where. Paths are tried in order until one is there."""

    pod: PodSnapshot
    port: int
    paths: tuple[str, ...] = ("/metrics",)
    scheme: str = "http"

    @property
    def key(self) -> tuple[str, str]:
        return self.pod.namespace, self.pod.name

    @property
    def asked(self) -> Asked:
        return Asked(verb="get", resource="pods/proxy", namespace=self.pod.namespace, name=self.pod.name)


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """Outcome of requesting one pod: its parsed page, or why there is none."""

    target: Target
    at: datetime
    took_ms: int
    read: object = None
    failure: Failure | None = None
    refusals: int = 0
    """Number of consecutive refusals, this one included."""
    retry_at: datetime | None = None
    """When a pod that refuses is requested again."""


class Way(Protocol):
    """A way to a pod's page. Raises Failure."""

    name: str

    def ask(self, target: Target, path: str, deadline: Deadline) -> bytes | bytearray | None:
        """The page, or None where the pod answers that it has no such path."""


def target_of(pod: PodSnapshot, port: int, paths: tuple[str, ...] = ("/metrics",)) -> Target:
    """Where a pod is requested: at its port for metrics if it names one, else its first, else the usual `port`."""
    ports = [item for container in pod.containers for item in container.ports]
    named = [entry for entry in ports if entry.name in _METRICS_PORTS]
    usual = [row for row in ports if row.number == port]
    best = next(iter((*named, *usual, *ports)), None)
    scheme = "https" if best is not None and best.name in _TLS_PORTS else "http"
    return Target(pod=pod, port=best.number if best else port, paths=paths, scheme=scheme)


class ProxyWay:
    """Through the API server: needs the right to get pods/proxy, and no route to the pods."""

    name = "pod-proxy"

    def __init__(self, client: Client) -> None:
        self._client = client
        self._may_renew = True
        """Until the first 401: a pod can answer 401 as the API server does, and each renewal may run a plugin."""

    def ask(self, target: Target, path: str, deadline: Deadline) -> bytes | bytearray | None:
        pod = f"{'https:' if target.scheme == 'https' else ''}{name_in_path(target.pod.name)}:{target.port}"
        answer = self._client.request(
            "GET",
            f"/api/v1/namespaces/{name_in_path(target.pod.namespace)}/pods/{pod}/proxy{path}",
            asked=target.asked,
            deadline=deadline,
            accept=TEXT,
            timeout_s=deadline.remaining(),
            max_bytes=MAX_BYTES,
            renews=self._may_renew,
        )
        if answer.status == 200:
            return answer.body
        if answer.status == 401:
            self._may_renew = False
        _refuse(answer, target)
        return None


class GoneError(Failure):
    """The pod was removed since the last run: other pods may still be reachable."""

    def __init__(self, pod: str) -> None:
        super().__init__(Outcome.UNREACHABLE, f"The pod {pod} no longer exists.")


class _Status(msgspec.Struct):
    kind: str = ""
    message: str = ""


def _refuse(answer: Answer, target: Target) -> None:
    """Raises Failure, except where the pod itself says 404. The API server's own answers are Status objects.

    Those are about the connection, not about the pod.
    """
    body = bytes(answer.body)
    try:
        status = msgspec.json.decode(body, type=_Status)
    except NOT_JSON:
        status = _Status()
    if status.kind != "Status":
        _refuse_for_pod(answer.status, target)
        return
    if answer.status == 404:
        raise GoneError(target.pod.name)
    if answer.status >= 500:
        rstrip = shorten(status.message, 160).rstrip(".")
        raise Failure(Outcome.UNREACHABLE, f"The API server cannot reach port {target.port} of {target.pod.name}: {rstrip}.")
    raise from_answer(answer.status, answer.headers, body, target.asked)


def _refuse_for_pod(status: int, target: Target) -> None:
    if status == 404:
        return
    if status in (401, 403):
        raise Failure(Outcome.REFUSED, f"{target.pod.name} requires its own login ({status}), which Muster does not have.")
    outcome = Outcome.REFUSED if 400 <= status < 500 else Outcome.UNREACHABLE
    raise Failure(outcome, f"{target.pod.name} answers {status} instead of its metrics.")


class DirectWay:
    """Straight to the pod's address: needs a route into the pod network, and no permission."""

    name = "direct"

    def __init__(self, workers: int) -> None:
        # A pod's certificate, where it has one, names no pod address that could be checked.
        urllib3.disable_warnings(http.InsecureRequestWarning)
        self._pools = urllib3.PoolManager(num_pools=max(10, workers * 4), maxsize=1, retries=False, cert_reqs="CERT_NONE")
        use_timed_responses(self._pools)

    def ask(self, target: Target, path: str, deadline: Deadline) -> bytes | bytearray | None:
        if not target.pod.ip:
            raise Failure(Outcome.UNREACHABLE, f"The pod {target.pod.name} has no address.")
        host = f"[{target.pod.ip}]" if ":" in target.pod.ip else target.pod.ip
        server = f"{target.scheme}://{host}:{target.port}"
        started = deadline.remaining()
        response = None
        try:
            limits = urllib3.Timeout(connect=deadline.at_most(CONNECT_TIMEOUT_S), read=deadline.at_most(started))
            headers = {"Accept": TEXT, "Accept-Encoding": "gzip", "User-Agent": f"muster/{__version__}"}
            with until(deadline):
                response = self._pools.request(
                    "GET", server + path, headers=headers, timeout=limits, redirect=False, preload_content=False
                )
            body = read_body(response, target.asked, deadline, MAX_BYTES)
        except (http.HTTPError, OSError) as error:
            if response is not None:
                response.close()
            if deadline.spent:
                raise timed_out(target.asked, started) from error
            raise from_transport(error, server, started - deadline.remaining(), target.asked) from error
        response.release_conn()
        if response.status == 200:
            return body
        _refuse_for_pod(response.status, target)
        return None


def read_all(  # noqa: PLR0913 the parts of a scrape, passed on by name
    targets: Sequence[Target],
    way: Way,
    make: Callable[[Target, bytes | bytearray, datetime], object],
    *,
    deadline: Deadline,
    now: Callable[[], datetime],
    workers: int = 32,
    timeout_s: float = 5.0,
    last: frozenset[tuple[str, str]] = frozenset(),
) -> list[Page]:
    """One page of each target, in the order given. `make` turns a body into what is kept; it may raise Failure.

    `last` are (namespace, pod) keys that failed before: they are asked when all others were.
    """
    if not targets:
        return []
    shut = _Shut()

    def value(target: Target) -> Page:
        started = time.monotonic()
        failure: Failure | None = None
        read: object = None
        try:
            at, read = _read(target, way, make, deadline, now, timeout_s, shut)
        except Failure as failed:
            shut.consider(target, failed)
            failure, at = failed, now()
        return Page(target=target, at=at, took_ms=round((time.monotonic() - started) * 1000), read=read, failure=failure)

    order = sorted(range(len(targets)), key=lambda position: (targets[position].key in last, position))
    with ThreadPoolExecutor(max_workers=min(workers, len(targets)), thread_name_prefix="exporters") as pool:
        futures = {position: pool.submit(value, targets[position]) for position in order}
    return [futures[position].result() for position in range(len(targets))]


def _read(  # noqa: PLR0913 the parts of a scrape, passed on by name
    target: Target,
    way: Way,
    make: Callable[[Target, bytes | bytearray, datetime], object],
    deadline: Deadline,
    now: Callable[[], datetime],
    timeout_s: float,
    shut: _Shut,
) -> tuple[datetime, object]:
    shut.check(target)
    if deadline.spent:
        raise Failure(Outcome.SKIPPED, f"The {deadline.seconds:g} s of this run ended before {target.pod.name} was requested.")
    its_own = Deadline(min(timeout_s, deadline.remaining()))
    for path in target.paths:
        body = _twice(way, target, path, its_own)
        if body is not None:
            at = now()
            return at, make(target, body, at)
    raise Failure(Outcome.MALFORMED, f"{target.pod.name} has no {' or '.join(target.paths)} on port {target.port}.")


def _twice(way: Way, target: Target, path: str, deadline: Deadline) -> bytes | bytearray | None:
    """Retries once, in what is left of its time, where the server has closed a kept connection."""
    try:
        return way.ask(target, path, deadline)
    except Failure as failure:
        if not failure.transient or deadline.spent:
            raise
    return way.ask(target, path, deadline)


class _Shut:
    """Namespaces with pods that the account may not reach, or where one answered 401: the others are still requested.

    Anyone who runs a pod can have it answer as the API server would, and must not end the requests to pods of others.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_namespace: dict[str, Failure] = {}

    def check(self, target: Target) -> None:
        failure = self._by_namespace.get(target.pod.namespace)
        if failure is not None:
            raise Failure(failure.outcome, failure.reason)

    def consider(self, target: Target, failure: Failure) -> None:
        with self._lock:
            if failure.outcome is Outcome.UNAUTHORISED:
                self._by_namespace[target.pod.namespace] = failure
            elif failure.outcome is Outcome.FORBIDDEN:
                reason = f"{failure.reason.partition(' get pods/proxy')[0]} get pods/proxy in namespace {target.pod.namespace}."
                self._by_namespace[target.pod.namespace] = Failure(Outcome.FORBIDDEN, reason)


def commonest(failures: Iterable[Failure]) -> Failure:
    """Of many failures the one that stands for them: the reason given most often."""
    counted: dict[tuple[Outcome, str], int] = {}
    for failure in failures:
        counted[failure.outcome, failure.reason] = counted.get((failure.outcome, failure.reason), 0) + 1
    outcome, reason = max(counted, key=lambda key: counted[key])
    return Failure(outcome, reason)
