"""A month of one small cluster: its nodes and their faults, for the demonstration.

Nine GPU nodes and 72 GPUs: as many as can be read some hundreds of times within a few minutes.
"""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta

from fleet.simulator.builder import fill, raise_node
from fleet.simulator.flavours import NEWEST
from fleet.simulator.fleet import ANCHOR, Clock, Fleet
from fleet.simulator.plan import KINDS
from fleet.simulator.script import Fault
from fleet.simulator.seeds import Seed
from fleet.simulator.stories import Cluster

NAME = "staging-iad"
DAYS = 30
_SEED = 7
_NODES = (("lab-h100", 4), ("lab-mig-mixed", 2), ("lab-l40s-sliced", 2), ("lab-b200", 1))
_OPEN_ENDED = timedelta(days=365)


def build(begins: datetime) -> Fleet:
    """Returns the cluster as it was when the month began; its clock is fixed until it is moved."""
    clock = Clock(begins, False)
    cluster = Cluster(NAME, NEWEST, Seed(_SEED, NAME), clock, min(ANCHOR, begins))
    for kind, count in _NODES:
        for index in range(count):
            fill(cluster, raise_node(cluster, KINDS[kind], index), 4)
    raise_node(cluster, KINDS["kubeadm-cpu"], 0)
    cluster.show_cluster_objects()
    cluster.store.settle()
    return Fleet(Seed(_SEED), clock, [cluster])


def faults(fleet: Fleet, ends: datetime) -> list[Fault]:
    """Returns the faults of the cluster in the month before `ends`, oldest first. The last GPU is still lost then."""
    h100, a100, l40s = (_named(fleet, pool) for pool in ("h100-research", "a100-mig", "l40s-dev"))
    rows: list[Fault] = []

    def add(kind: str, node: str, days_ago: int, clock: str, minutes: float, is_real: bool = True) -> None:
        at = datetime.combine(ends.date() - timedelta(days=days_ago), time.fromisoformat(clock), UTC)
        rows.append(Fault(kind, NAME, node, at, timedelta(minutes=minutes), is_real))

    for number, node in enumerate(h100[:3]):  # a driver roll-out that fails on each node it reaches
        add("driver-failed", node, 27, f"09:{10 + 12 * number:02}", 340 - 12 * number)
    add("gpu-lost", h100[0], 23, "03:12", 540)
    for start in ("13:05", "13:32", "14:04", "14:31", "15:02"):  # a node that flaps
        add("kubelet-silent", l40s[0], 20, start, 7)
    add("mig-cut", a100[0], 17, "10:00", 45, False)
    add("squatter", h100[3], 14, "18:20", 26 * 60)
    add("exporter-lost", h100[2], 11, "22:40", 420)
    add("unreachable", a100[0], 8, "04:12", 320)
    add("plugin-crashed", l40s[1], 5, "16:45", 50)
    add("xid-48", h100[1], 3, "08:20", 35)
    for days_ago in (25, 15, 6, 2):
        add("gfd-restart", h100[days_ago % 4], days_ago, "06:30", 1, False)
    for days_ago in (22, 12, 4):
        add("cordon", l40s[days_ago % 2], days_ago, "11:00", 90, False)
    for days_ago in (19, 9, 1):
        add("xid-31", h100[days_ago % 4], days_ago, "14:10", 5, False)
    last = ends - timedelta(hours=5, minutes=12)
    rows.append(Fault("gpu-lost", NAME, h100[1], last.replace(second=0, microsecond=0), _OPEN_ENDED, True))
    return sorted((fault for fault in rows if fault.at < ends), key=lambda fault: fault.at)


def _named(fleet: Fleet, pool: str) -> list[str]:
    return sorted(node.name for node in fleet[NAME].nodes.values() if node.pool == pool)
