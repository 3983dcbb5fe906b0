"""Faults of the connection to a cluster. Tests enable these, in process or through the control endpoint."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields
from typing import Any


@dataclass
class Faults:
    """The faults of one cluster's API server. The default is none.

    Set them at any time with `set(name=value, …)`; `clear()` takes them all back.
    """

    unreachable: str = ""
    """"refused": nothing listens; "hang": connected and never answered; "blackhole": no connection comes about."""
    certificate: str = ""
    """Certificate of new TLS connections: "expired", "other_host", "unknown" (authority); empty: a good one."""
    slow_seconds: float = 0.0
    """Delay before every answer."""
    slow_paths: list[str] = field(default_factory=list)
    """The delay is for paths that contain one of these; empty: for all."""
    hang_paths: list[str] = field(default_factory=list)
    """Requests whose path contains one of these are read and never answered."""
    unauthorised: bool = False
    """Every token is wrong: 401."""
    forbidden: list[tuple[str, str]] = field(default_factory=list)
    """(verb, resource) pairs taken from the reader's rights; "*" stands for every verb. The access reviews say so too."""
    absent_groups: list[str] = field(default_factory=list)
    """API groups that are not installed."""
    throttled: int = 0
    """So many more requests are answered 429 by flow control (plain text)."""
    throttled_json: int = 0
    """So many more lists are answered 429 by a storage that is still starting (a Status)."""
    retry_after: int = 1
    """Seconds, in the Retry-After of both."""
    expire_after_page: int = 0
    """Continue tokens of page n of a list answer 410; 0: never."""
    expire_times: int = 1
    """How often that happens; −1: always."""
    malformed: list[str] = field(default_factory=list)
    """Paths whose answer is 200 with a body that is no JSON."""
    truncated: list[str] = field(default_factory=list)
    """Paths whose body breaks off in the middle, with the connection."""
    errors: dict[str, int] = field(default_factory=dict)
    """Path → status code (500, 502, 503, 504) to answer with."""
    error_times: int = -1
    """How many such answers are left; −1: without end."""
    fail_after_page: int = 0
    """Pages of a list after the nth answer 500; 0: never."""
    oversized_mib: int = 0
    """Lists carry one object that is so many MiB large."""
    fail_paths: list[str] = field(default_factory=list)
    """With expire_after_page and fail_after_page: only lists whose path contains one of these; empty: all."""
    exporter_slow: list[str] = field(default_factory=list)
    """Nodes whose exporter takes `exporter_slow_seconds`; "*" stands for every node, here and below."""
    exporter_slow_seconds: float = 3.0
    exporter_failing: list[str] = field(default_factory=list)
    """Nodes whose exporter answers 500."""
    exporter_rejecting: list[str] = field(default_factory=list)
    """Nodes whose exporter answers 400 to every request."""
    exporter_refused: list[str] = field(default_factory=list)
    """Nodes on whose exporter's port nothing listens: the API server says so with 503."""
    exporter_garbled: list[str] = field(default_factory=list)
    """Nodes whose exporter answers with a page of HTML."""
    exporter_stale: list[str] = field(default_factory=list)
    """Nodes whose exporter repeats its first values."""
    exporter_blank: list[str] = field(default_factory=list)
    """Nodes whose exporter writes DCGM's sentinels in place of temperature, power and memory."""
    exporter_health: list[str] = field(default_factory=list)
    """Nodes whose exporter has the health counters switched on as well (ECC, violations, NVLink errors, DCGM_EXP_*)."""
    exporter_forgets: list[str] = field(default_factory=list)
    """Nodes whose exporter has no series at all for a lost card, not even its last Xid."""
    server_failing: list[str] = field(default_factory=list)
    """Nodes whose model servers answer 500 to GET /metrics."""

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._listener: Callable[[], None] | None = None
        self.hits: dict[str, int] = {}
        """How often each counted fault was used, for tests."""

    def watch(self, listener: Callable[[], None] | None) -> None:
        """Call `listener` after every change made by set() or clear(); None removes it."""
        self._listener = listener
        self._told()

    def _told(self) -> None:
        if self._listener is not None:
            self._listener()

    def set(self, **values: Any) -> Faults:
        """Set several faults at once; an unknown name raises ValueError."""
        known = {entry.name for entry in fields(self)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise ValueError(f"no such fault: {', '.join(unknown)}; there are {', '.join(sorted(known))}")
        for name, value in values.items():
            if name == "forbidden":
                value = [(str(verb), str(resource)) for verb, resource in value]
            setattr(self, name, value)
        self._told()
        return self

    def clear(self) -> None:
        """Clears all faults."""
        for name, value in asdict(Faults()).items():
            setattr(self, name, value)
        self._told()

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    def spend(self, name: str) -> bool:
        """Use up one of a counted fault; False when none is left. −1 never runs out."""
        with self._lock:
            left = int(getattr(self, name))
            if left == 0:
                return False
            if left > 0:
                setattr(self, name, left - 1)
            self.hits[name] = self.hits.get(name, 0) + 1
            return True

    def takes_right(self, verb: str, resource: str) -> bool:
        """Whether the right to `verb` the `resource` was taken away."""
        return any(taken == resource and how in ("*", verb) for how, taken in self.forbidden)

    def strikes(self, nodes: list[str], node: str) -> bool:
        """Returns whether a fault of nodes applies to this one."""
        return node in nodes or "*" in nodes

    def matches(self, paths: list[str], path: str) -> bool:
        """Whether the path contains one of `paths`."""
        return any(part in path for part in paths)
