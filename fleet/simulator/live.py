"""Changes over time: heartbeats, pods that start and end, and nodes that fail and recover."""

from __future__ import annotations

import contextlib
import random
import threading
from collections.abc import Callable
from datetime import timedelta
from types import TracebackType

from fleet.simulator.fleet import Fleet
from fleet.simulator.stories import Cluster
from fleet.simulator.workloads import Ask
from fleet.simulator.world import Node

_HEARTBEAT = timedelta(minutes=4)


class Life:
    """A thread that makes changes every few seconds within the block. Seeded, but bound to the real clock."""

    def __init__(self, fleet: Fleet, every: float = 3.0, chance: random.Random | None = None) -> None:
        self.fleet = fleet
        self.every = every
        self._random = chance or random.Random(repr(fleet.seed.bytes_for("life")))
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True, name="simulator-life")

    def __enter__(self) -> Life:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join(timeout=10)

    @property
    def running(self) -> bool:
        return self._thread.is_alive()

    def _run(self) -> None:
        while not self._stop.wait(self.every):
            self.tick()

    def tick(self) -> None:
        """One step of every cluster."""
        for cluster in self.fleet.clusters:
            with cluster.lock:
                cluster.happen()
                self._beat(cluster)
                self._end(cluster)
                for _ in range(1 + len(cluster.nodes) // 100):
                    self._come_and_go(cluster)
                if self._random.random() < self.every / 240:
                    self._misfortune(cluster)

    def _beat(self, cluster: Cluster) -> None:
        """Kubelets that have been quiet for some minutes report again."""
        now = cluster.now()
        for node in list(cluster.nodes.values()):
            if node.ready == "True" and node.heartbeat and now - node.heartbeat > _HEARTBEAT:
                node.heartbeat = now - timedelta(seconds=self._random.randrange(60))
                cluster.show_node(node)

    def _end(self, cluster: Cluster) -> None:
        """Removes terminating pods after their grace period, where a kubelet reports it."""
        now = cluster.now()
        for pod in [pod for pod in cluster.pods.values() if pod.deleting and pod.deleting <= now]:
            if not pod.node or cluster.nodes[pod.node].ready == "True":
                cluster.delete_pod(pod.key)

    def _come_and_go(self, cluster: Cluster) -> None:
        node = self._random.choice([node for node in cluster.nodes.values() if node.gpus] or list(cluster.nodes.values()))
        working = [pod for pod in cluster.on_node[node.name].values() if pod.template.workload and pod.holds and pod.ready]
        over = [pod for pod in cluster.on_node[node.name].values() if not pod.holds and not pod.template.daemon]
        chance = self._random.random()
        if over and chance < 0.3:
            cluster.delete_pod(over[0].key)
        elif working and chance < 0.5:
            pod = self._random.choice(working)
            if pod.template.workload == "train":
                cluster.finish_pod(pod.key, failed=chance < 0.34)
            else:
                cluster.terminate_pod(pod.key)
        elif chance < 0.9 and not node.cordoned and node.ready == "True" and not node.fault:
            self._arrive(cluster, node)

    def _arrive(self, cluster: Cluster, node: Node) -> None:
        free = cluster.free_slots(node)
        if not free:
            return
        resource, slots = max(free.items(), key=lambda item: len(item[1]))
        whole = node.replicas == 1 and not any(gpu.mig for gpu in node.gpus)
        size = max((size for size in (1, 2, 4, 8) if size <= len(slots)), default=1) if whole else 1
        if whole and size < 8 and self._random.random() < 0.5:
            size = 1
        ask = Ask("train" if size >= 8 else "infer", resource, size)
        with contextlib.suppress(ValueError):
            cluster.add_pod(node.name, ask.slots, ask.resource, ask.work)

    def _misfortune(self, cluster: Cluster) -> None:
        """One healthy node fails, and recovers some minutes later."""
        healthy = [
            node for node in cluster.nodes.values() if node.stack == "operator" and not node.fault and node.ready == "True"
        ]
        if not healthy:
            return
        node = self._random.choice(healthy)
        node.fault = "passing"
        minutes = self._random.uniform(2, 9)
        story, after = self._random.choice(self._misfortunes(cluster, node.name))
        story()

        def recover() -> None:
            if node.name in cluster.nodes:
                node.fault = ""
                after()

        cluster.later(minutes * 60, recover)

    def _misfortunes(self, cluster: Cluster, node: str) -> list[tuple[Callable[[], None], Callable[[], None]]]:
        card = self._random.randrange(len(cluster.nodes[node].gpus))
        return [
            (lambda: cluster.fail_gpu(node, card), lambda: cluster.heal_gpu(node, card)),
            (lambda: cluster.lose_node(node), lambda: cluster.find_node(node)),
            (lambda: cluster.stop_plugin(node), lambda: cluster.start_plugin(node)),
            (lambda: cluster.restart_gfd(node), lambda: None),
            (lambda: cluster.cordon(node), lambda: cluster.uncordon(node)),
            (lambda: cluster.warn_of_xid(node, 31, card), lambda: None),
        ]
