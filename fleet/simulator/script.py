"""A script of faults for weeks of a fleet: fault, node and time, and the moments of Muster's runs.

Seeded: the same arguments give the same script. It is independent of Muster; `play` moves the fleet, whatever collects it.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from fleet.simulator.builder import fill
from fleet.simulator.fleet import Fleet
from fleet.simulator.stories import Cluster
from fleet.simulator.templates import Container, Template

REST = timedelta(minutes=30)
"""Between two faults of one node."""


@dataclass(frozen=True)
class Fault:
    """One event of a node from `at` on, over after `lasts`. `is_real`: it must be notified."""

    kind: str
    cluster: str
    node: str
    at: datetime
    lasts: timedelta
    is_real: bool

    @property
    def over_at(self) -> datetime:
        return self.at + self.lasts


REAL = ("gpu-lost", "kubelet-silent", "plugin-crashed", "xid-48")
HARMLESS = ("gfd-restart", "cordon", "driver-upgrade", "xid-31")
"""Daily events that are not incidents."""


def write(fleet: Fleet, days: int, real_a_day: int = 6, harmless_a_day: int = 6) -> list[Fault]:
    """Returns the faults of so many days from the fleet's present moment on, in their order."""
    chance = random.Random(repr(fleet.seed.bytes_for("script")))
    begins = fleet.clock()
    free = {
        (cluster.name, node.name): begins + timedelta(hours=1)
        for cluster in fleet.clusters
        for node in cluster.nodes.values()
        if node.gpus and not node.fault and node.stack == "operator" and node.ready == "True" and not node.cordoned
    }
    faults: list[Fault] = []
    for day in range(days):
        wanted = [*(chance.choice(REAL) for _ in range(real_a_day)), *(chance.choice(HARMLESS) for _ in range(harmless_a_day))]
        moments = sorted(begins + timedelta(days=day, seconds=chance.uniform(3_600, 80_000)) for _ in wanted)
        chance.shuffle(wanted)
        for kind, at in zip(wanted, moments, strict=True):
            places = sorted(place for place, from_ in free.items() if from_ <= at)
            if not places:
                continue
            cluster, node = chance.choice(places)
            minutes = 1 if kind == "gfd-restart" else chance.uniform(8, 45)
            fault = Fault(kind, cluster, node, at, timedelta(minutes=minutes), kind in REAL)
            free[cluster, node] = fault.over_at + REST
            faults.append(fault)
    return sorted(faults, key=lambda fault: fault.at)


def moments(faults: Iterable[Fault], begins: datetime, ends: datetime, quiet: timedelta) -> Iterator[tuple[datetime, bool]]:
    """Yields moments on Muster's grid (whole runs each minute, telemetry in between) and whether a run is whole.

    Every one around the beginning and the end of a fault, of the others only one each `quiet`: what does not change is recorded
    once, however often it is read.
    """
    half = timedelta(seconds=30)
    wanted: set[int] = set()
    for fault in faults:
        for edge, before, after in ((fault.at, 1, 4), (fault.over_at, 1, 4)):
            first = int((edge - begins) / half)
            wanted.update(range(first - before, first + after + 1))
    step = int(quiet / half)
    wanted.update(range(0, int((ends - begins) / half) + 1, step))
    for number in sorted(wanted):
        at = begins + number * half
        if begins <= at <= ends:
            yield at, number % 2 == 0


class Player:
    """Plays a script on a fleet."""

    def __init__(self, fleet: Fleet, faults: Iterable[Fault]) -> None:
        self.fleet = fleet
        self._acts = sorted(
            [(fault.at, 0, fault) for fault in faults] + [(fault.over_at, 1, fault) for fault in faults],
            key=lambda act: (act[0], act[1]),
        )

    def move_to(self, at: datetime) -> None:
        """Lets everything happen that the script has up to this moment, each at its own; kubelets report as ever."""
        while self._acts and self._acts[0][0] <= at:
            moment, is_end, fault = self._acts.pop(0)
            self._advance(moment)
            cluster = self.fleet[fault.cluster]
            (end if is_end else begin)(cluster, fault)
        self._advance(at)
        for cluster in self.fleet.clusters:
            _beat(cluster)

    def _advance(self, at: datetime) -> None:
        seconds = (at - self.fleet.clock()).total_seconds()
        if seconds > 0:
            self.fleet.advance(seconds)


def begin(cluster: Cluster, fault: Fault) -> None:
    """Applies a fault to its node."""
    match fault.kind:
        case "gpu-lost":
            cluster.fail_gpu(fault.node, 0)
        case "kubelet-silent":
            cluster.lose_node(fault.node)
        case "plugin-crashed":
            cluster.stop_plugin(fault.node)
        case "xid-48":
            cluster.tell_xid(fault.node, 48)
        case "xid-31":
            cluster.warn_of_xid(fault.node, 31, 0)
        case "gfd-restart":
            cluster.restart_gfd(fault.node)
        case "cordon":
            cluster.cordon(fault.node)
        case "driver-upgrade":
            cluster.begin_driver_upgrade(fault.node)
        case "driver-failed":
            cluster.begin_driver_upgrade(fault.node, "upgrade-failed")
        case "mig-cut":
            cluster.cordon(fault.node)
            cluster.reconfigure_mig(fault.node, ["3g.40gb"] * 2, "all-3g.40gb", "mixed")
        case "squatter":
            _squat(cluster, fault.node)
        case "exporter-lost":
            cluster.faults.set(exporter_refused=[*cluster.faults.exporter_refused, fault.node])
        case "unreachable":
            cluster.faults.set(unreachable="refused")


def end(cluster: Cluster, fault: Fault) -> None:
    """Lets its node recover."""
    match fault.kind:
        case "gpu-lost":
            cluster.heal_gpu(fault.node, 0)
            cluster.reboot_node(fault.node)
        case "kubelet-silent":
            cluster.find_node(fault.node)
        case "plugin-crashed":
            cluster.start_plugin(fault.node)
        case "xid-48":
            cluster.tell_xid(fault.node, 0)
            cluster.reboot_node(fault.node)
        case "cordon":
            cluster.uncordon(fault.node)
        case "driver-upgrade":
            cluster.end_driver_upgrade(fault.node)
        case "driver-failed":
            cluster.end_driver_upgrade(fault.node)
            cluster.reboot_node(fault.node)
        case "mig-cut":
            cluster.uncordon(fault.node)
            fill(cluster, cluster.nodes[fault.node], None)
        case "squatter":
            for pod in [pod for pod in cluster.on_node[fault.node].values() if pod.name.startswith(_SQUATTER)]:
                cluster.delete_pod(pod.key)
        case "exporter-lost":
            cluster.faults.set(exporter_refused=[node for node in cluster.faults.exporter_refused if node != fault.node])
        case "unreachable":
            cluster.faults.set(unreachable="")


_SQUATTER = "debug-shell"


def _squat(cluster: Cluster, name: str) -> None:
    """Runs a pod that requests no GPU and computes on one all the same (NVIDIA_VISIBLE_DEVICES=all): only DCGM sees it."""
    node = cluster.nodes[name]
    shell = Container("shell", "docker.io/library/ubuntu:24.04", command=("sleep", "infinity"), requests={"cpu": "500m"})
    template = Template(
        name=_SQUATTER,
        namespace="research-nlp",
        owner_kind="ReplicaSet",
        owner_name=_SQUATTER,
        owner_uid=cluster.seed.uuid("owner", _SQUATTER),
        labels={"app": _SQUATTER},
        containers=(shell,),
    )
    free = next(iter(cluster.free_slots(node).values()), [])
    pod = cluster.new_pod(template, node, cluster.now())
    pod.slots = {"shell": free[:1]}
    cluster.show_namespace(template.namespace)
    cluster.show_pod(pod)


def _beat(cluster: Cluster) -> None:
    now = cluster.now()
    with cluster.lock:
        for node in list(cluster.nodes.values()):
            if node.ready == "True" and node.heartbeat and now - node.heartbeat > timedelta(minutes=4):
                node.heartbeat = now - timedelta(seconds=20)
                cluster.show_node(node)
