"""A scripted day of a cluster of 24 H100 nodes: its faults, minute by minute, and the minutes at which Muster looks.

Minutes count from midnight. Muster looks in the minutes around what happens, and every ten minutes while nothing does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from fleet.simulator.fleet import Fleet, build_fleet
from fleet.simulator.stories import Cluster

MIDNIGHT = datetime(2026, 11, 23, tzinfo=UTC)
DAY = 24 * 60
UPGRADED = tuple(f"gpu-{number:02}" for number in range(20))
UPGRADE_STARTS, UPGRADE_EVERY, UPGRADE_TAKES = 60, 3, 8
LOST, LOST_CARD, LOST_AT, HEALED_AT = "gpu-21", 5, 240, 330
JOB = tuple(f"gpu-{number:02}" for number in range(8))
BURST_AT = 480
RESTARTED, GFD_AT = "gpu-10", 600
EXPORTER_OF, EXPORTER_DOWN_AT, EXPORTER_BACK_AT = "gpu-12", 720, 755
SHORT_OUTAGE_AT, SHORT_OUTAGE = 840, 10
LONG_OUTAGE_AT, LONG_OUTAGE = 960, 40
REPLACED, REPLACED_AT = "gpu-15", 1200


def build() -> Fleet:
    """The cluster at midnight, its clock standing still; JOB's nodes all work on one training job."""
    fleet = build_fleet(clusters=1, nodes=1, seed=7, now=MIDNIGHT)
    (cluster,) = fleet.clusters
    for node in list(cluster.nodes.values()):
        if node.gpus:
            cluster.remove_node(node.name)
    for number in range(24):
        cluster.add_node("h100", f"gpu-{number:02}")
    first = cluster.add_pod(JOB[0], 8, work="train")
    for node in JOB[1:]:
        pod = cluster.add_pod(node, 8, work="train")
        pod.template = first.template
        cluster.show_pod(pod)
    for number in range(8, 24):
        cluster.add_pod(f"gpu-{number:02}", 4, work="train")
    return fleet


def heal(cluster: Cluster) -> None:
    """Another GPU is installed, which takes a reboot: after that its Xid is no longer reported."""
    cluster.heal_gpu(LOST, LOST_CARD)
    cluster.reboot_node(LOST)


@dataclass(frozen=True)
class Event:
    minute: int
    what: Callable[[Cluster], object]


def story() -> list[Event]:
    """In the order of the day."""
    events = []
    for place, node in enumerate(UPGRADED):
        begins = UPGRADE_STARTS + place * UPGRADE_EVERY
        events.append(Event(begins, lambda cluster, node=node: cluster.begin_driver_upgrade(node)))
        events.append(Event(begins + UPGRADE_TAKES, lambda cluster, node=node: cluster.end_driver_upgrade(node)))
    events += [
        Event(LOST_AT, lambda cluster: cluster.fail_gpu(LOST, LOST_CARD, 79)),
        Event(HEALED_AT, heal),
        *(Event(BURST_AT, lambda cluster, node=node: cluster.tell_xid(node, 45)) for node in JOB),
        Event(GFD_AT, lambda cluster: cluster.restart_gfd(RESTARTED)),
        Event(EXPORTER_DOWN_AT, lambda cluster: cluster.faults.set(exporter_refused=[EXPORTER_OF])),
        Event(EXPORTER_BACK_AT, lambda cluster: cluster.faults.set(exporter_refused=[])),
        Event(SHORT_OUTAGE_AT, lambda cluster: cluster.faults.set(unreachable="refused")),
        Event(SHORT_OUTAGE_AT + SHORT_OUTAGE, lambda cluster: cluster.faults.clear()),
        Event(LONG_OUTAGE_AT, lambda cluster: cluster.faults.set(unreachable="refused")),
        Event(LONG_OUTAGE_AT + LONG_OUTAGE, lambda cluster: cluster.faults.clear()),
        Event(REPLACED_AT, lambda cluster: cluster.recreate_node(REPLACED)),
    ]
    return sorted(events, key=lambda event: event.minute)


def looks() -> list[int]:
    """The minutes at which Muster looks: the first is midnight, the last the next one."""
    busy = {minute for event in story() for minute in (event.minute - 1, event.minute, event.minute + 1)}
    return [minute for minute in range(DAY + 1) if minute % 10 == 0 or minute in busy]


def play(fleet: Fleet, look: Callable[[datetime], object]) -> None:
    """The whole day: at each of the looks' minutes what has happened by then has happened, and `look` is called."""
    events = story()
    for minute in looks():
        while events and events[0].minute <= minute:
            event = events.pop(0)
            _wait(fleet, event.minute)
            event.what(fleet.clusters[0])
        _wait(fleet, minute)
        look(at(minute))


def _wait(fleet: Fleet, minute: int) -> None:
    left = (at(minute) - fleet.clock()).total_seconds()
    if left > 0:
        fleet.advance(left)


def at(minute: float) -> datetime:
    return MIDNIGHT + timedelta(minutes=minute)
