"""Events of a cluster, one call each: `cluster.fail_gpu("node-1", 3)`. Every story updates world and API."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from fleet.simulator.builder import EVICTED_AFTER, fill, lose_card, place, raise_node, silence
from fleet.simulator.cluster import ClusterCore
from fleet.simulator.events import thermal_warning, xid_warning
from fleet.simulator.other_pods import reclaim
from fleet.simulator.plan import KINDS
from fleet.simulator.workloads import Ask
from fleet.simulator.world import GPU, Node, Pod, lay_out


class Cluster(ClusterCore):
    """One cluster. Nodes and pods are named as the API names them, pods as `namespace/name`."""

    # -- time ---------------------------------------------------------------------------------------------------------

    def later(self, seconds: float, what: Callable[[], None]) -> None:
        """Schedules a change after a span of the fleet's time."""
        with self.lock:
            self._due.append((self.now() + timedelta(seconds=seconds), what))

    def happen(self) -> None:
        """Applies due changes."""
        with self.lock:
            now = self.now()
            due = [what for when, what in self._due if when <= now]
            self._due = [(when, what) for when, what in self._due if when > now]
            for what in due:
                what()
            self.events.forget()

    def _changed(self, node: Node) -> None:
        self.show_node(node)
        self.sync_daemons(node)
        self.show_cluster_objects()

    # -- nodes --------------------------------------------------------------------------------------------------------

    def find(self, kind: str) -> Node:
        """The first node of a pool, stack or fault of this name; KeyError where there is none."""
        for node in sorted(self.nodes.values(), key=lambda node: node.name):
            if kind in (node.pool, node.fault, node.stack):
                return node
        raise KeyError(kind)

    def add_node(self, kind: str, name: str = "", busy: bool = False) -> Node:
        """A new node of one of plan.KINDS; `busy`: with workloads on it."""
        with self.lock:
            node = raise_node(self, KINDS[kind], len(self.nodes), name)
            if busy:
                fill(self, node, None)
            self.show_cluster_objects()
            return node

    def remove_node(self, node: str) -> None:
        """The node leaves, and its pods with it."""
        with self.lock:
            self.drop_node(node)
            self.show_cluster_objects()

    def recreate_node(self, node: str) -> Node:
        """The machine is replaced: the same name, another uid, other GPUs, no pods."""
        with self.lock:
            old = self.nodes[node]
            kind = next(entry for entry in KINDS.values() if entry.pool == old.pool and entry.machine is old.machine)
            self.drop_node(node)
            self._incarnations += 1
            new = raise_node(self, kind, 0, node, self._incarnations)
            for gpu in new.gpus:
                gpu.uuid = "GPU-" + self.seed.uuid("gpu", new.uid, gpu.index)
            self._changed(new)
            return new

    def lose_node(self, node: str) -> None:
        """Stops the kubelet; five minutes later the workloads' pods are evicted, which no kubelet carries out."""
        with self.lock:
            self._silent(node, 0)
        since = self.nodes[node].ready_since

        def evict() -> None:
            if node in self.nodes and self.nodes[node].ready_since == since:
                self._silent(node, EVICTED_AFTER)

        self.later(EVICTED_AFTER * 60, evict)

    def _silent(self, node: str, minutes: float) -> None:
        lost = self.nodes[node]
        silence(self, lost, minutes)
        self.show_node(lost)
        for pod in list(self.on_node[node].values()):
            self.show_pod(pod)

    def find_node(self, node: str) -> None:
        """The kubelet reports again."""
        with self.lock:
            recovered = self.nodes[node]
            recovered.ready, recovered.ready_since, recovered.heartbeat = "True", self.now(), self.now()
            for pod in list(self.on_node[node].values()):
                pod.ready, pod.deleting = pod.phase == "Running", None
                self.show_pod(pod)
            self._changed(recovered)

    def cordon(self, node: str) -> None:
        with self.lock:
            self.nodes[node].cordoned, self.nodes[node].cordoned_at = True, self.now()
            self.show_node(self.nodes[node])

    def uncordon(self, node: str) -> None:
        with self.lock:
            self.nodes[node].cordoned, self.nodes[node].cordoned_at = False, None
            self.show_node(self.nodes[node])

    def set_label(self, node: str, key: str, value: str | None) -> None:
        """Sets a label, or removes it (None), whatever its field manager."""
        with self.lock:
            self.nodes[node].label_overrides[key] = value
            self.show_node(self.nodes[node])

    def set_taint(self, node: str, key: str, value: str = "", effect: str = "NoSchedule") -> None:
        with self.lock:
            self.nodes[node].taints.append({"key": key, "value": value, "effect": effect})
            self.show_node(self.nodes[node])

    # -- GPUs ---------------------------------------------------------------------------------------------------------

    def fail_gpu(self, node: str, index: int = 0, xid: int = 79) -> None:
        """A GPU falls off the bus; pods that hold it stay bound."""
        with self.lock:
            lose_card(self, self.nodes[node], index, xid, timedelta())
            self.show_node(self.nodes[node])

    def tell_xid(self, node: str, xid: int, index: int = 0) -> None:
        """The driver reports an Xid that loses no GPU: the exporter's gauge keeps it."""
        with self.lock:
            self.nodes[node].gpus[index].xid = xid

    def warn_of_xid(self, node: str, xid: int, index: int | None = None) -> None:
        """A monitor reports an Xid in an Event alone. `index` is the GPU, where the monitor names one."""
        with self.lock:
            self.events.tell(self.nodes[node], xid_warning(self.flavour, self.nodes[node], xid, index))

    def warn_of_heat(self, node: str, index: int = 0) -> None:
        """NVSentinel warns of a card's temperature in an Event."""
        with self.lock:
            self.events.tell(self.nodes[node], thermal_warning(self.nodes[node], index))

    def heal_gpu(self, node: str, index: int = 0) -> None:
        """The GPU is replaced or reset and the plugin restarted; DCGM has no XID any more."""
        with self.lock:
            healed = self.nodes[node]
            healed.gpus[index].healthy, healed.gpus[index].xid = True, 0
            for condition in healed.conditions:
                if condition["type"] == "AcceleratedHardwareReady" and all(gpu.healthy for gpu in healed.gpus):
                    condition |= {"status": "True", "reason": "NvidiaAcceleratedHardwareIsReady", "message": "healthy again"}
            self.show_node(healed)

    def reboot_node(self, node: str) -> None:
        with self.lock:
            self.nodes[node].booted = self.now()
            self.show_node(self.nodes[node])

    def reconfigure_mig(self, node: str, profiles: list[str], config: str = "", strategy: str = "") -> None:
        """Cut every card into these profiles (none: whole again) of an emptied node. What was advertised before stays at 0."""
        with self.lock:
            cut = self.nodes[node]
            self._empty(cut)
            before = set(cut.capacity())
            for gpu in cut.gpus:
                lay_out(gpu, tuple(profiles), self.seed)
            cut.strategy = strategy or cut.strategy
            cut.mig_config = config or (f"all-{profiles[0]}" if profiles else "all-disabled")
            cut.mig_state, cut.mig_invalid, cut.stale = "success", False, {}
            cut.stale = dict.fromkeys(before - set(cut.capacity()), 0)
            self._changed(cut)

    def set_time_slicing(self, node: str, replicas: int, renamed: bool = False) -> None:
        """Share every card (or instance) so many times; 1: no longer. The node is emptied first."""
        self._share(node, "time-slicing", replicas, renamed)

    def set_mps(self, node: str, replicas: int, renamed: bool = False) -> None:
        self._share(node, "mps", replicas, renamed)

    def _share(self, node: str, how: str, replicas: int, renamed: bool) -> None:
        with self.lock:
            shared = self.nodes[node]
            self._empty(shared)
            before = set(shared.capacity())
            shared.sharing = how if replicas > 1 else "none"
            shared.replicas, shared.renamed, shared.stale = replicas, renamed, {}
            shared.plugin_config = f"{how}-{replicas}{'-renamed' if renamed else ''}" if replicas > 1 else "default"
            shared.stale = dict.fromkeys(before - set(shared.capacity()), 0)
            self._changed(shared)

    def remove_gpus(self, node: str) -> None:
        """The GPUs are removed: the operator sets present=false, an old label stays."""
        with self.lock:
            self._empty(self.nodes[node])
            self.nodes[node].leftover = True
            self._changed(self.nodes[node])

    def _empty(self, node: Node) -> None:
        for pod in list(self.on_node[node.name].values()):
            if not pod.template.daemon:
                self.drop_pod(pod.key)

    # -- the stack ----------------------------------------------------------------------------------------------------

    def restart_gfd(self, node: str, seconds: float = 60) -> None:
        """GPU Feature Discovery restarts: its labels are gone, and back after a minute of the fleet's time."""
        with self.lock:
            away = self.nodes[node]
            away.gfd = False
            self._changed(away)

        def back() -> None:
            if node in self.nodes:
                self.nodes[node].gfd = True
                self._changed(self.nodes[node])

        self.later(seconds, back)

    def stop_plugin(self, node: str) -> None:
        """The device plugin crashes: capacity stays, nothing is allocatable."""
        with self.lock:
            self.nodes[node].plugin = False
            self._changed(self.nodes[node])

    def start_plugin(self, node: str) -> None:
        with self.lock:
            self.nodes[node].plugin = True
            self._changed(self.nodes[node])

    def begin_driver_upgrade(self, node: str, state: str = "drain-required") -> None:
        """The operator cordons the node, pauses its operands and replaces the driver."""
        with self.lock:
            upgraded = self.nodes[node]
            upgraded.upgrade_state, upgraded.plugin = state, False
            upgraded.cordoned, upgraded.cordoned_at = True, self.now()
            self._changed(upgraded)

    def end_driver_upgrade(self, node: str) -> None:
        with self.lock:
            upgraded = self.nodes[node]
            upgraded.upgrade_state, upgraded.plugin = "upgrade-done", True
            upgraded.cordoned, upgraded.cordoned_at = False, None
            self._changed(upgraded)

    def publish_half(self, node: str) -> None:
        """DRA: a new generation of slices begins, and only its first slice is there."""
        with self.lock:
            self.nodes[node].slices_missing = True
            self.nodes[node].slice_generation += 1
            self.show_node(self.nodes[node])

    def publish_all(self, node: str) -> None:
        """DRA: the generation is complete."""
        with self.lock:
            self.nodes[node].slices_missing = False
            self.nodes[node].slice_generation += 1
            self.show_node(self.nodes[node])

    # -- pods ---------------------------------------------------------------------------------------------------------

    def add_pod(self, node: str = "", slots: int = 1, resource: str = "", work: str = "infer", variant: str = "") -> Pod:
        """A pod on a node, or a pending one without; `resource`: else the node's own. ValueError where it does not fit."""
        with self.lock:
            if not node:
                ask = Ask(work, resource or GPU, slots, variant)
                pod = self.new_pod(self.workloads.template(ask, "pending", 0), None, self.now(), "Pending")
                pod.message = f"0/{len(self.nodes)} nodes are available: {len(self.nodes)} Insufficient {ask.resource}."
                pod.ready = False
                self.show_pod(pod)
                return pod
            host = self.nodes[node]
            if host.stack == "dra":
                return place(self, host, Ask(work, "", slots), len(self.pods))
            return place(self, host, Ask(work, resource or self.capacity_resource(host), slots, variant), len(self.pods))

    def finish_pod(self, pod: str, failed: bool = False) -> None:
        """The pod ends and stays listed; it holds nothing any more."""
        with self.lock:
            ended = self.pods[pod]
            ended.phase, ended.ended, ended.ready = "Failed" if failed else "Succeeded", self.now(), False
            reclaim(self, ended)
            self.show_pod(ended)
            self.show_claims(ended)

    def terminate_pod(self, pod: str) -> None:
        """The pod is being deleted, and still holds what it has."""
        with self.lock:
            self.pods[pod].deleting = self.now() + timedelta(seconds=30)
            self.show_pod(self.pods[pod])

    def delete_pod(self, pod: str) -> None:
        """Removes the pod, if it still exists."""
        with self.lock:
            if pod in self.pods:
                self.drop_pod(pod)

    def compact(self) -> None:
        """Drops old versions: older watches and continue tokens answer 410 from here on."""
        self.store.compact()
