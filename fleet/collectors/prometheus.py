"""A Prometheus server as the source of telemetry: one query for each metric and the whole cluster, however many nodes it has.

The names of metrics are read first, so that only existing ones are queried. The server leaves out stale series;
the time of samples is queried once, for one metric that every device has: an instant query only returns when it was
evaluated. Labels that an exporter gave may have been renamed by the server (honor_labels: false): exported_pod and the like.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

import msgspec
import urllib3
import urllib3.exceptions as http

from fleet import __version__
from fleet.collectors.bodies import read_body
from fleet.collectors.dcgm import Devices
from fleet.collectors.deadline import Deadline
from fleet.collectors.errors import NOT_JSON, Asked, Failure, from_transport, shorten, timed_out
from fleet.collectors.exposition import moment
from fleet.collectors.timed_responses import until, use_timed_responses
from fleet.domain.catalog.metrics import load
from fleet.domain.snapshot import PodSnapshot
from fleet.domain.snapshot.sections import Outcome
from fleet.domain.snapshot.telemetry import DeviceSample, ExporterReport

WORKERS = 4
_TIMEOUT_S = 20.0
_MAX_BYTES = 256 * 2**20
_NODE_LABELS = ("node", "kubernetes_node", "nodename", "node_name", "Hostname", "hostname", "exported_hostname", "exported_node")
POD_LABELS = (("namespace", "pod"), ("kubernetes_namespace", "kubernetes_pod_name"))
# Every GPU has these, and no series of a link or a switch does: the first that exists shows when samples were taken.
_EVERYWHERE = ("gpu_temp", "fb_used", "power", "xid", "gr_engine_active")


class Series(msgspec.Struct):
    metric: dict[str, str]
    value: tuple[float, str] | None = None
    values: list[tuple[float, str]] = []


class _Data(msgspec.Struct):
    result: list[Series] = []


class _Answer(msgspec.Struct):
    status: str = ""
    data: msgspec.Raw = msgspec.Raw(b"{}")
    error: str = ""


class Server:
    """One Prometheus server, or anything that speaks its API (Thanos, Mimir, VictoriaMetrics)."""

    def __init__(self, url: str, token: str, deadline: Deadline, match: str = "") -> None:
        """`match` are label matchers (`cluster="east"`) that every series must meet.

        Where one server holds the samples of many clusters, names of nodes may be the same in two of them, and the others'
        series need not be sent at all.
        """
        self._url = url.rstrip("/")
        self._token = token
        self._match = match
        self._deadline = deadline
        self._pool = urllib3.PoolManager(retries=False, maxsize=WORKERS)
        use_timed_responses(self._pool)

    def select(self, wires: Sequence[str]) -> str:
        """The selector of all series of these names; empty for none."""
        if not wires:
            return ""
        if len(wires) == 1:
            return f"{wires[0]}{{{self._match}}}" if self._match else wires[0]
        return f'{{__name__=~"{"|".join(wires)}"{"," if self._match else ""}{self._match}}}'

    def names(self, wires: Sequence[str]) -> list[str]:
        """Those of these names that it has series of. Raises Failure."""
        data = self._ask("label/__name__/values", {"match[]": self.select(wires)})
        result: list[str] = _decode(data, list[str])
        return result

    def query(self, query: str) -> list[Series]:
        """An instant query's series. Raises Failure."""
        answer: _Data = _decode(self._ask("query", {"query": query}), _Data)
        return answer.result

    def query_range(self, query: str, start: datetime, end: datetime, step_s: int) -> list[Series]:
        """A range query's series. Raises Failure."""
        fields = {"query": query, "start": start.timestamp(), "end": end.timestamp(), "step": step_s}
        answer: _Data = _decode(self._ask("query_range", fields), _Data)
        return answer.result

    def _ask(self, path: str, fields: Mapping[str, Any]) -> msgspec.Raw:
        asked = Asked(verb="query", resource="Prometheus")
        if not self._url:
            raise Failure(Outcome.UNREACHABLE, "Prometheus has no address: set MUSTER_PROMETHEUS_URL or the cluster's own.")
        if self._deadline.spent:
            raise Failure(
                Outcome.SKIPPED, f"The {self._deadline.seconds:g} s of this run were used up before Prometheus was queried."
            )
        its_own = Deadline(self._deadline.at_most(_TIMEOUT_S))
        headers = {"Accept": "application/json", "User-Agent": f"muster/{__version__}"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        address, options = f"{self._url}/api/v1/{path}", dict[str, Any]()
        if path.startswith("label/"):  # label values take no POST; queries may be longer than an address may be
            method, address = "GET", f"{address}?{urlencode(fields)}"
        else:
            method, options = "POST", {"fields": fields, "encode_multipart": False}
        response = None
        try:
            limits = urllib3.Timeout(connect=its_own.at_most(5.0), read=its_own.at_most(_TIMEOUT_S))
            with until(its_own):
                response = self._pool.request(
                    method, address, headers=headers, timeout=limits, redirect=False, preload_content=False, **options
                )
            body = read_body(response, asked, its_own, _MAX_BYTES)
        except (http.HTTPError, OSError) as error:
            if response is not None:
                response.close()
            waited = its_own.seconds - its_own.remaining()
            raise (timed_out(asked, waited) if its_own.spent else from_transport(error, self._url, waited, asked)) from error
        response.release_conn()
        return _data(response.status, bytes(body))


def _data(status: int, body: bytes) -> msgspec.Raw:
    if status in (401, 403):
        outcome = Outcome.UNAUTHORISED if status == 401 else Outcome.FORBIDDEN
        raise Failure(outcome, f"Prometheus refuses Muster's credentials ({status}): set MUSTER_PROMETHEUS_TOKEN.")
    try:
        answer = msgspec.json.decode(body, type=_Answer)
    except NOT_JSON:
        result = shorten(body[:200].decode("utf-8", "replace"), 120)
        raise Failure(Outcome.MALFORMED, f"The Prometheus server answers {status} without JSON: {result}.") from None
    if answer.status != "success":
        raise Failure(Outcome.MALFORMED, f"Prometheus refused a query ({status}): {shorten(answer.error or 'no reason given')}.")
    return answer.data


def _decode(data: msgspec.Raw, type_: Any) -> Any:
    try:
        return msgspec.json.decode(data, type=type_)
    except NOT_JSON as error:
        raise Failure(Outcome.MALFORMED, f"Prometheus answers in an unknown form ({shorten(str(error), 120)}).") from None


class Places(msgspec.Struct, frozen=True, kw_only=True):
    """Where an exporter's series belong: node by pod, by pod address, or by name."""

    nodes: frozenset[str] = frozenset()
    by_pod: dict[tuple[str, str], str] = {}
    by_ip: dict[str, str] = {}

    @classmethod
    def of(cls, exporters: Iterable[PodSnapshot], nodes: frozenset[str]) -> Places:
        pods = list(exporters)
        return cls(
            nodes=nodes,
            by_pod={(pod.namespace, pod.name): pod.node_name for pod in pods},
            by_ip={pod.ip: pod.node_name for pod in pods if pod.ip},
        )

    def find(self, labels: Mapping[str, str]) -> str:
        """The node of a series: where the exporter's pod runs; where no pod is known, what its labels say. Empty for none."""
        for namespace, pod in POD_LABELS:
            node = self.by_pod.get((labels.get(namespace, ""), labels.get(pod, "")))
            if node:
                return node
        address = labels.get("instance", "").rpartition(":")[0].strip("[]")
        if address in self.by_ip:
            return self.by_ip[address]
        rows = [labels[name] for name in _NODE_LABELS if labels.get(name)]
        named = next((name for name in (*rows, address) if name in self.nodes), "")
        # The exporter's Hostname is its pod's name where NODE_NAME is not set.
        by_name = {pod: node for (_, pod), node in self.by_pod.items()}
        return named or next((by_name[name] for name in rows if name in by_name), "")


class Read(msgspec.Struct, frozen=True, kw_only=True):
    """What a Prometheus server knows of one cluster's devices."""

    samples: tuple[DeviceSample, ...] = ()
    exporters: tuple[ExporterReport, ...] = ()
    """One per node that has samples."""


def fetch(server: Server, places: Places, at: datetime) -> Read:
    """The newest samples of every device on the cluster's nodes.

    Raises Failure where a query fails: after a partial answer, metrics would look as if they were not exported.
    """
    names = frozenset(server.names(_wires()))
    queries = [query for wires in _groups(names) if (query := server.select(wires))]
    if not queries:
        return Read()
    base = next((wires for wires in _base(names)), None)
    asked = [f"timestamp({server.select(base)})" if base else "", *queries]
    with ThreadPoolExecutor(max_workers=WORKERS, thread_name_prefix="prometheus") as pool:
        answers = list(pool.map(lambda query: server.query(query) if query else [], asked))
    return parse(answers[1:], answers[0], places, at)


def parse(answers: Sequence[Sequence[Series]], times: Sequence[Series], places: Places, at: datetime) -> Read:
    """Series to devices. `times` holds, as values, when a series of each device was scraped."""
    everything = [entry for answer in answers for entry in answer]
    devices = Devices(at, renamed=any("exported_pod" in row.metric for row in everything))
    taken = _taken(times, places)
    newest: dict[str, datetime] = {}
    for item in everything:
        node = places.find(item.metric)
        if not node or item.value is None:
            continue
        when = taken.get((node, _device(item.metric))) or taken.get((node, "")) or at
        newest[node] = max(when, newest.get(node, when))
        devices.add(item.metric.get("__name__", ""), item.metric, float(item.value[1]), node, when)
    samples = devices.samples()
    rows = {sample.node_name for sample in samples}
    pods = {node: key for key, node in places.by_pod.items()}
    reports = tuple(
        ExporterReport(
            node_name=node,
            namespace=pods.get(node, ("", ""))[0],
            pod=pods.get(node, ("", ""))[1],
            source="prometheus",
            outcome=Outcome.COLLECTED,
            at=newest[node],
            metrics=devices.reported(node),
        )
        for node in sorted(rows)
    )
    return Read(samples=samples, exporters=reports)


def _taken(times: Sequence[Series], places: Places) -> dict[tuple[str, str], datetime]:
    """(node, device) to when it was scraped; under an empty device, when anything of the node was, at the earliest."""
    result: dict[tuple[str, str], datetime] = {}
    for time in times:
        node = places.find(time.metric)
        if node and time.value is not None:
            when = moment(1000 * float(time.value[1]))
            key = node, _device(time.metric)
            result[key] = max(when, result.get(key, when))
            result[node, ""] = min(when, result.get((node, ""), when))
    return result


def _device(labels: Mapping[str, str]) -> str:
    uuid = labels.get("UUID") or labels.get("uuid") or labels.get("gpu_uuid") or ""
    return f"{uuid}/{labels.get('GPU_I_ID', '')}"


def _wires() -> list[str]:
    """Every name on the wire that Muster understands."""
    catalog = load()
    amd = {name for metric in catalog.metric for name in metric.amd} | {"gpu_clock"}
    return [
        *(name for metric in catalog.metric for name in (*metric.wires, *metric.scaled)),
        *(special.wire for special in catalog.special),
        *amd,
        *(f"amd_{name}" for name in sorted(amd)),
    ]


def _groups(names: frozenset[str]) -> list[list[str]]:
    """For each metric the names that the server has."""
    catalog = load()
    groups = [
        [name for name in (*metric.wires, *metric.scaled, *metric.amd, *(f"amd_{item}" for item in metric.amd)) if name in names]
        for metric in catalog.metric
    ]
    groups += [[special.wire] for special in catalog.special if special.wire in names]
    groups.append([name for name in ("gpu_clock", "amd_gpu_clock") if name in names])
    return groups


def _base(names: frozenset[str]) -> list[list[str]]:
    metrics = {metric.id: metric for metric in load().metric}
    rows = [
        [
            name
            for name in (*metrics[item].wires, *metrics[item].amd, *(f"amd_{amd}" for amd in metrics[item].amd))
            if name in names
        ]
        for item in _EVERYWHERE
    ]
    return [wires for wires in rows if wires]
