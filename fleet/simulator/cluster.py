"""One simulated cluster: its world, and the API objects derived from it."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

from fleet.simulator import divisible, dra_mode, dynamic, images, operator, resources, volumes
from fleet.simulator.access import Access
from fleet.simulator.discovery import Discovery
from fleet.simulator.events import Events
from fleet.simulator.faults import Faults
from fleet.simulator.flavours import Flavour
from fleet.simulator.messages import Request
from fleet.simulator.nodes import NodeRenderer
from fleet.simulator.pods import render as render_pod
from fleet.simulator.seeds import Seed
from fleet.simulator.stack import OPERATOR_NAMESPACE, DaemonSet, daemon_sets, set_state
from fleet.simulator.store import Store
from fleet.simulator.templates import Template
from fleet.simulator.workloads import Workloads, effective
from fleet.simulator.world import Claim, Node, Pod, Slot

_NAMESPACES = ("default", "kube-system", "kube-public", "monitoring")


class ClusterCore:
    """One cluster without its stories: its state and its objects. Use `stories.Cluster`."""

    def __init__(self, name: str, flavour: Flavour, seed: Seed, clock: Callable[[], datetime], anchor: datetime) -> None:
        self.name = name
        self.flavour = flavour
        self.seed = seed
        self.now = clock
        self.anchor = anchor
        """When its long-lived objects were created."""
        self.lock = threading.RLock()
        self.faults = Faults()
        kinds: tuple[resources.Kind, ...] = resources.BUILT_IN
        kinds += resources.OPERATOR if flavour.operator else ()
        kinds += resources.DYNAMIC if flavour.has_dra else ()
        kinds += resources.GATES
        kinds += resources.QUEUEING if flavour.kueue else ()
        self.discovery = Discovery(kinds)
        self.store = Store(kinds)
        self.events = Events(self.store, seed, clock)
        self.operator_namespace = OPERATOR_NAMESPACE if flavour.operator else ""
        self.frozen_pages: dict[str, str] = {}
        """Exporter pages by pod key that the fault `exporter_stale` repeats."""
        self.access = Access(seed, self.operator_namespace, self.faults)
        self.nodes: dict[str, Node] = {}
        self.pods: dict[str, Pod] = {}
        self.on_node: dict[str, dict[str, Pod]] = {}
        """Bound pods by node and key."""
        self.claims: dict[str, Claim] = {}
        self.daemon_sets: list[DaemonSet] = daemon_sets(flavour, seed)
        self.workloads = Workloads(seed)
        self.lean = False
        """Whether only the essential daemons run, for fleets with few pods."""
        self.counted: Counter[tuple[str, int]] = Counter()
        """Requests answered, by (method and path without query, status code), for tests."""
        self._renderer = NodeRenderer(flavour, seed, {gpu: images.images(flavour, seed, gpu) for gpu in (False, True)}, anchor)
        self._serial = 0
        self._incarnations = 0
        self._numbers = 0
        self._config_texts: dict[str, str] = {}
        self._namespaces: set[str] = set()
        self._due: list[tuple[datetime, Callable[[], None]]] = []
        self._slices: dict[str, set[str]] = {}

    # -- for the API server -------------------------------------------------------------------------------------

    def version_json(self) -> dict[str, str]:
        """GET /version."""
        return {
            "major": "1",
            "minor": str(self.flavour.minor),
            "emulationMajor": "1",
            "emulationMinor": str(self.flavour.minor),
            "minCompatibilityMajor": "1",
            "minCompatibilityMinor": str(self.flavour.minor - 1),
            "gitVersion": self.flavour.version,
            "gitCommit": self.seed.hex(40, "commit", self.flavour.version),
            "gitTreeState": "clean",
            "buildDate": "2026-08-21T11:29:11Z",
            "goVersion": "go1.24.6",
            "compiler": "gc",
            "platform": "linux/amd64",
        }

    def count(self, request: Request, code: int) -> None:
        """Note that a request was answered."""
        self.counted[f"{request.method} {request.target.split('?')[0]}", code] += 1

    # -- objects from the world -----------------------------------------------------------------------------

    def show_node(self, node: Node) -> None:
        """Rebuilds the node's object and its slices."""
        self.nodes[node.name] = node
        self.on_node.setdefault(node.name, {})
        fields = {"spec.unschedulable": "true" if node.cordoned else "false"}
        self.store.put(resources.NODES, self._renderer.render(node), fields)
        if node.stack == "dra":
            made = dynamic.slices(node, self.flavour, self.seed, self.now())
            names = {item["metadata"]["name"] for item in made}
            for gone in self._slices.get(node.name, set()) - names:
                self.store.delete(resources.RESOURCE_SLICES, gone)
            for item in made:
                self.store.put(resources.RESOURCE_SLICES, item, {})
            self._slices[node.name] = names

    def drop_node(self, name: str) -> None:
        """Take a node and its pods out of the API."""
        for key in list(self.on_node.pop(name, {})):
            self.drop_pod(key)
        for gone in self._slices.pop(name, set()):
            self.store.delete(resources.RESOURCE_SLICES, gone)
        del self.nodes[name]
        self.store.delete(resources.NODES, name)

    def show_pod(self, pod: Pod) -> None:
        """Rebuilds the pod's object."""
        if pod.namespace not in self._namespaces:
            self.show_namespace(pod.namespace)
        volumes.show(self.store, pod, self.flavour, self.seed, self.anchor)
        self.pods[pod.key] = pod
        if pod.node:
            self.on_node.setdefault(pod.node, {})[pod.key] = pod
        fields = {
            "spec.nodeName": pod.node,
            "status.phase": pod.phase,
            "spec.restartPolicy": pod.template.restart_policy,
            "spec.schedulerName": "default-scheduler",
            "spec.serviceAccountName": "default",
            "status.podIP": pod.ip,
        }
        self.store.put(resources.PODS, render_pod(pod, self.seed, self.flavour.device_status), fields)

    def drop_pod(self, key: str) -> None:
        pod = self.pods.pop(key)
        self.on_node.get(pod.node, {}).pop(key, None)
        self.store.delete(resources.PODS, key)
        for _, claim in pod.claims:
            self.claims.pop(f"{pod.namespace}/{claim}", None)
            self.store.delete(resources.RESOURCE_CLAIMS, f"{pod.namespace}/{claim}")

    def show_namespace(self, name: str) -> None:
        self._namespaces.add(name)
        self.store.put(resources.NAMESPACES, operator.namespace(name, self.seed, self.anchor), {})

    def show_cluster_objects(self) -> None:
        """Rebuilds what belongs to the whole cluster: policy, DaemonSets, the plugin's configuration, device classes."""
        for name in _NAMESPACES:
            if name not in self._namespaces:
                self.show_namespace(name)
        by_owner: dict[str, list[Pod]] = {}
        for pod in self.pods.values():
            if pod.template.daemon:
                by_owner.setdefault(pod.template.owner_uid, []).append(pod)
        for daemon in self.daemon_sets:
            pods = by_owner.get(daemon.template.owner_uid, [])
            if pods or daemon.template.namespace == OPERATOR_NAMESPACE:
                if daemon.template.namespace not in self._namespaces:
                    self.show_namespace(daemon.template.namespace)
                self.store.put(resources.DAEMON_SETS, operator.daemon_set(daemon, pods, self.seed, self.anchor), {})
        if self.flavour.gpu_cluster:
            self._show_gpu_cluster()
        elif self.flavour.operator:
            self._show_policy()
        if self.flavour.has_dra:
            for item in dynamic.device_classes(self.seed, self.anchor):
                self.store.put(resources.DEVICE_CLASSES, item, {})
            for node in self.nodes.values():
                if node.sharing == divisible.SHARES and node.replicas != divisible.UNBOUNDED:
                    self.store.put(resources.DEVICE_TAINT_RULES, dynamic.taint_rule(node, self.seed, self.anchor), {})

    def _show_gpu_cluster(self) -> None:
        self.store.put(resources.GPU_CLUSTERS, dra_mode.gpu_cluster(self.seed, self.anchor, OPERATOR_NAMESPACE), {})
        for item in dra_mode.device_classes(self.seed, self.anchor):
            self.store.put(resources.DEVICE_CLASSES, item, {})
        for node in self.nodes.values():
            if node.stack == "dra" and not dra_mode.is_amd(node) and node.strategy not in divisible.CUT:
                names = [name for name, _, _ in dynamic.names(node)]
                claim = dra_mode.watching_claim(node, names, self.seed, self.anchor)
                self.claims[f"{claim.namespace}/{claim.name}"] = claim
                self.store.put(resources.RESOURCE_CLAIMS, dynamic.claim(claim, self.seed), {})

    def _show_policy(self) -> None:
        broken = [node for node in self.nodes.values() if node.stack == "operator" and (not node.plugin or node.mig_invalid)]
        mixed = any(node.strategy == "mixed" for node in self.nodes.values())
        policy = operator.cluster_policy(self.flavour, self.seed, self.anchor, broken, "mixed" if mixed else "single")
        self.store.put(resources.CLUSTER_POLICIES, policy, {})
        texts = {
            node.plugin_config: operator.plugin_config_text(node)
            for node in sorted(self.nodes.values(), key=lambda node: node.name)
            if node.plugin_config and not node.fault
        }
        texts |= {"default": "version: v1\nflags:\n  migStrategy: single\n", **self._config_texts}
        self.store.put(resources.CONFIG_MAPS, operator.plugin_config(dict(sorted(texts.items())), self.seed, self.anchor), {})

    def say_in_config(self, key: str, as_if: Node) -> None:
        """Makes a key of the plugin's ConfigMap describe a node like the given one, whatever the real nodes have."""
        self._config_texts[key] = operator.plugin_config_text(as_if)

    def next_number(self) -> int:
        """Numbers the nodes of the cluster; addresses are made of it."""
        self._numbers += 1
        return self._numbers - 1

    @staticmethod
    def capacity_resource(node: Node) -> str:
        """The resource a node has most of, or "" where it has none."""
        most = node.capacity().most_common(1)
        return most[0][0] if most and most[0][1] else ""

    # -- pods and slots -----------------------------------------------------------------------------------------------

    def free_slots(self, node: Node) -> dict[str, list[Slot]]:
        """Returns healthy free slots by resource; none while the plugin is down."""
        held = {slot.id for pod in self.on_node.get(node.name, {}).values() if pod.holds
                for slots in pod.slots.values() for slot in slots}  # fmt: skip
        free: dict[str, list[Slot]] = {}
        for slot in node.slots() if node.plugin else ():
            if slot.id not in held and node.gpus[slot.gpu].healthy:
                free.setdefault(slot.resource, []).append(slot)
        return free

    def new_pod(self, template: Template, node: Node | None, created: datetime, phase: str = "Running") -> Pod:
        """A pod of a template, with the slots it requests, not yet shown. Raises ValueError where the node has too few."""
        self._serial += 1
        name = self._pod_name(template)
        pod = Pod(name, template.namespace, self.seed.uuid("pod", template.namespace, name, self._serial), template, created)
        pod.phase = phase
        if node is None:
            return pod
        pod.node, pod.host_ip = node.name, node.ip
        pod.started = created + timedelta(seconds=2 + self.seed.number(50, "start", pod.uid))
        pod.ip = f"10.{128 + node.number // 250}.{node.number % 250}.{2 + self.seed.number(250, 'ip', pod.uid)}"
        if pod.holds:
            self._give_slots(pod, node)
        return pod

    def _pod_name(self, template: Template) -> str:
        if template.owner_kind == "StatefulSet":
            number = 0
            while f"{template.namespace}/{template.name}-{number}" in self.pods:
                number += 1
            return f"{template.name}-{number}"
        return f"{template.owner_name}-{self.seed.suffix(5, 'pod', template.namespace, template.owner_name, self._serial)}"

    def _give_slots(self, pod: Pod, node: Node) -> None:
        asked = effective(pod.template)
        free = self.free_slots(node) if asked else {}
        for resource, wanted in asked.items():
            available = free.get(resource, [])
            if len(available) < wanted:
                raise ValueError(f"{node.name} has {len(available)} free {resource}, {wanted} are asked for")
            given = available[:wanted]
            for container in (*pod.template.containers, *(entry for entry in pod.template.init if entry.sidecar)):
                own = container.extended.get(resource, 0)
                if own:
                    pod.slots[container.name] = pod.slots.get(container.name, []) + given[:own]
                    given = given[own:]
            if given:
                pod.slots["(set aside)"] = pod.slots.get("(set aside)", []) + given

    def claim_devices(self, pod: Pod, node: Node, count: int) -> None:
        """Give a pod `count` DRA devices of a node by a claim of its own."""
        shared = node.sharing == divisible.SHARES
        usable = [row for row in dynamic.names(node) if row[1].healthy]
        if shared or node.strategy in divisible.CUT:
            free = divisible.free(node, usable, self.claims.values())
        else:
            taken = {
                device
                for claim in self.claims.values()
                if claim.node == node.name and not claim.admin
                for device in claim.devices
            }
            free = [name for name, _, _ in usable if name not in taken]
        if len(free) < count:
            raise ValueError(f"{node.name} has {len(free)} free devices, {count} are asked for")
        amd = dra_mode.is_amd(node)
        kind = dra_mode.AMD_DRIVER if amd else "mig.nvidia.com" if "-mig-" in free[0] else dynamic.DRIVER
        name = f"{pod.name}-gpu"
        uid = self.seed.uuid("claim", pod.namespace, name)
        claim = Claim(name, pod.namespace, uid, kind, pod.created, node.name, tuple(free[:count]), (pod.name, pod.uid))
        if amd:
            claim.driver = dra_mode.AMD_DRIVER
        if self.flavour.gpu_cluster and node.strategy == divisible.ON_DEMAND:
            claim.alternatives = (("part", "mig.nvidia.com"), ("whole", dynamic.DRIVER))
        if shared:
            claim.consumed = divisible.share_taken(node.gpus[0], node.replicas)
        self.claims[f"{pod.namespace}/{name}"] = claim
        pod.claims = (("gpu", name),)
        self.store.put(resources.RESOURCE_CLAIMS, dynamic.claim(claim, self.seed), {})

    def show_claims(self, pod: Pod) -> None:
        """Rebuilds the objects of a pod's claims."""
        for _, name in pod.claims:
            claim = self.claims.get(f"{pod.namespace}/{name}")
            if claim is not None:
                self.store.put(resources.RESOURCE_CLAIMS, dynamic.claim(claim, self.seed), {})

    def sync_daemons(self, node: Node) -> None:
        """Let the node run exactly the daemons its labels call for, each in the state the node brings about."""
        running = {pod.template.owner_uid: pod for pod in self.on_node.get(node.name, {}).values() if pod.template.daemon}
        for daemon in self._wanted(node):
            pod = running.pop(daemon.template.owner_uid, None)
            if pod is None:
                born = max(node.booted, self.anchor)
                pod = self.new_pod(daemon.template, node, born + timedelta(seconds=40))
            before = (pod.phase, pod.reason, pod.ready)
            set_state(pod, daemon, node)
            if pod.key not in self.pods or before != (pod.phase, pod.reason, pod.ready):
                self.show_pod(pod)
        for gone in running.values():
            self.drop_pod(gone.key)

    def _wanted(self, node: Node) -> Iterable[DaemonSet]:
        for daemon in self.daemon_sets:
            if daemon.wants(node) and (daemon.essential or not self.lean):
                yield daemon
