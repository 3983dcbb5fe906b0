"""Builds a world from a plan: nodes, faults, daemons, and workloads on the GPUs."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from fleet.simulator import divisible, dra_mode, dynamic
from fleet.simulator.cluster import ClusterCore
from fleet.simulator.plan import KINDS, NodeKind, shares
from fleet.simulator.workloads import Ask, plan
from fleet.simulator.world import Gpu, Node, Pod, lay_out

EVICTED_AFTER = 5
"""Minutes a pod tolerates an unreachable node (tolerationSeconds: 300)."""
_BUSES = ("18", "2a", "3a", "5d", "9a", "ab", "ba", "db")


def bear(cluster: ClusterCore, kind: NodeKind, index: int, name: str = "", incarnation: int = 0) -> Node:
    """A node of a kind, not yet shown. `index`: its number in its pool; a given `name` is kept, with a uid per incarnation."""
    seed = cluster.seed
    number = cluster.next_number()
    if not name:
        name = cluster.flavour.node_name(kind.pool, index if cluster.flavour.name in ("kubeadm", "dra") else number, seed)
        while name in cluster.nodes:
            name = cluster.flavour.node_name(kind.pool, number + 1_000_003, seed)
    days = 2 + seed.number(110, "age", name)
    created = cluster.anchor - timedelta(days=days, seconds=seed.number(86_400, "birth", name))
    if incarnation:
        created = cluster.now() - timedelta(minutes=4)
    node = Node(
        name=name,
        uid=seed.uuid("node", name, incarnation),
        pool=kind.pool,
        machine=kind.machine,
        zone=seed.pick(cluster.flavour.zones, "zone", name),
        number=number,
        created=created,
        booted=created + timedelta(seconds=20),
        stack=kind.stack,
        strategy=kind.strategy,
        sharing=kind.sharing,
        replicas=kind.replicas,
        renamed=kind.renamed,
        plugin_config=kind.plugin_config,
        mig_config=kind.mig_config,
        driver_image=kind.driver_image and not cluster.lean,
        stale=dict(kind.stale),
        taints=[dict(taint) for taint in kind.taints],
        labels={"team": seed.pick(("platform", "vision", "nlp", "speech"), "team", kind.pool)},
    )
    node.heartbeat = cluster.now() - timedelta(seconds=seed.number(240, "heartbeat", name))
    plain = kind.plain
    for at, model in enumerate(kind.machine.gpus):
        pci = f"000{at}:01:00.0" if kind.machine.arch == "arm64" else f"0000:{_BUSES[at]}:00.0"
        gpu = Gpu(at, "GPU-" + seed.uuid("gpu", name, at), model, pci)
        if kind.layout and at >= plain:
            lay_out(gpu, model.balanced if kind.layout == ("balanced",) else kind.layout, seed)
        node.gpus.append(gpu)
    if cluster.flavour.name == "eks" and node.gpus and node.stack != "bare":
        _hardware_condition(node, True, "NvidiaAcceleratedHardwareIsReady", "no fault of the accelerated hardware was seen")
    return node


def _hardware_condition(node: Node, good: bool, reason: str, message: str, since: str = "") -> None:
    """The EKS node monitoring agent's condition: True is healthy."""
    node.conditions = [entry for entry in node.conditions if entry["type"] != "AcceleratedHardwareReady"]
    made = {"type": "AcceleratedHardwareReady", "status": str(good), "reason": reason, "message": message}
    node.conditions.append(made | ({"since": since} if since else {}))


# -- faults a node may start with; each leaves the node as real nodes look with it ------------------------------------------


def lose_card(cluster: ClusterCore, node: Node, index: int, xid: int, ago: timedelta = timedelta(hours=2)) -> None:
    """A GPU falls off the bus: the plugin marks it unhealthy, DCGM loses it, the kubelet advertises fewer than it has."""
    node.gpus[index].healthy, node.gpus[index].xid = False, xid
    if any(entry["type"] == "AcceleratedHardwareReady" for entry in node.conditions):
        since = (cluster.now() - ago).strftime("%Y-%m-%dT%H:%M:%SZ")
        message = f"GPU {node.gpus[index].uuid} reported XID {xid}"
        _hardware_condition(node, False, f"NvidiaXID{xid}Error", message, since)


def _upgrade_driver(cluster: ClusterCore, node: Node) -> None:
    node.upgrade_state = "drain-required"
    node.cordoned, node.cordoned_at = True, cluster.now() - timedelta(hours=3)
    node.plugin = False


def _spoil_mig(cluster: ClusterCore, node: Node) -> None:
    """The strategy is `single`, and the GPUs have several profiles."""
    node.mig_invalid, node.mig_state = True, "failed"


def _publish_half(cluster: ClusterCore, node: Node) -> None:
    node.slices_missing, node.slice_generation = True, 2


def _contradict(cluster: ClusterCore, node: Node) -> None:
    """Its label selects a configuration with eight shares, the running plugin still makes four."""
    shared = Node(**{name: getattr(node, name) for name in Node.__slots__})
    shared.replicas = node.replicas * 2
    node.plugin_config = f"{node.plugin_config.rpartition('-')[0]}-{shared.replicas}"
    cluster.say_in_config(node.plugin_config, shared)


def silence(cluster: ClusterCore, node: Node, minutes: float = 23) -> None:
    """The kubelet has not reported for so long: the node is Unknown, its pods unready, after five minutes evicted."""
    if node.ready != "Unknown" or node.ready_since is None:
        node.ready, node.ready_since = "Unknown", cluster.now() - timedelta(minutes=minutes)
        node.heartbeat = node.ready_since - timedelta(seconds=45)
    for pod in cluster.on_node.get(node.name, {}).values():
        if pod.phase == "Running":
            pod.ready = False
            if not pod.template.daemon and minutes >= EVICTED_AFTER:
                pod.deleting = node.ready_since + timedelta(minutes=EVICTED_AFTER)


def _cordon(cluster: ClusterCore, node: Node) -> None:
    node.cordoned, node.cordoned_at = True, cluster.now() - timedelta(hours=26)
    node.taints.append({"key": "maintenance", "value": "psu-swap", "effect": "NoSchedule"})


Befall = Callable[[ClusterCore, Node], None]

BEFORE: dict[str, Befall] = {
    "plugin-down": lambda _, node: setattr(node, "plugin", False),
    "driver-upgrade": _upgrade_driver,
    "share-lost": lambda cluster, node: lose_card(cluster, node, 2, 48),
    "half-published": _publish_half,
    "device-tainted": lambda cluster, node: lose_card(cluster, node, 3, 79),
    "mig-invalid": _spoil_mig,
    "config-contradicts": _contradict,
    "stale-gfd": lambda _, node: node.label_overrides.update(dra_mode.STALE_GFD),
    "labels-away": lambda _, node: setattr(node, "gfd", False),
    "leftover": lambda _, node: setattr(node, "leftover", True),
    "starting": lambda cluster, node: setattr(node, "created", cluster.now() - timedelta(minutes=3)),
}
"""Faults that exist before pods are scheduled to the node."""

AFTER: dict[str, Befall] = {
    "gpu-lost": lambda cluster, node: lose_card(cluster, node, 5, 79),
    "not-ready": silence,
    "cordoned": _cordon,
}
"""Faults of a running node."""


# -- filling -------------------------------------------------------------------------------------------------------------


def place(cluster: ClusterCore, node: Node, ask: Ask, number: int) -> Pod:
    """A running pod for a request on a node; ValueError where it does not fit."""
    template = cluster.workloads.template(ask, node.pool, number)
    minutes = 30 + cluster.seed.number(9 * 24 * 60, "since", node.name, number, ask)
    born = max(cluster.anchor, node.created) - timedelta(days=8) + timedelta(minutes=minutes)
    pod = cluster.new_pod(template, node, max(born, node.booted + timedelta(minutes=6)))
    if not ask.resource and ask.slots:
        cluster.claim_devices(pod, node, ask.slots)
    cluster.show_pod(pod)
    return pod


def fill(cluster: ClusterCore, node: Node, wanted: int | None) -> None:
    """Put workloads on a node's free slots (or DRA devices)."""
    if node.stack == "dra":
        devices = len(dynamic.names(node))
        most = 9 if node.sharing == divisible.SHARES else devices - 2
        sizes = (2, 1) if devices <= 4 else (1,) * min(9, most)
        for number, size in enumerate(sizes if wanted is None else sizes[:wanted]):
            place(cluster, node, Ask("infer" if number else "train", "", size), number)
        return
    if node.fault == "gpu-lost":
        place(cluster, node, Ask("train", "nvidia.com/gpu", 8), 0)
        return
    for resource, slots in cluster.free_slots(node).items():
        for number, ask in enumerate(plan(node, resource, len(slots), wanted, cluster.seed)):
            place(cluster, node, ask, cluster.seed.number(3, "which", node.name, number))


def populate(cluster: ClusterCore, gpu_nodes: int, pods_per_node: int | None) -> list[Node]:
    """Build a cluster: nodes by plan, a few CPU nodes, daemons, workloads. Returns the nodes with GPUs."""
    cluster.lean = pods_per_node is not None and pods_per_node < 15
    nodes: list[Node] = []
    in_pool: dict[str, int] = {}
    for kind, count in shares(cluster.flavour.name, gpu_nodes):
        for _ in range(count):
            index = in_pool.setdefault(kind.pool, 0)
            in_pool[kind.pool] += 1
            nodes.append(raise_node(cluster, kind, index))
    for index in range(max(1, round(gpu_nodes * 0.03))):
        raise_node(cluster, KINDS[f"{cluster.flavour.name}-cpu"], index)
    for node in nodes:
        daemons = len(cluster.on_node[node.name])
        fill(cluster, node, None if pods_per_node is None else max(0, pods_per_node - daemons))
        strike(cluster, node)
    return nodes


def raise_node(cluster: ClusterCore, kind: NodeKind, index: int, name: str = "", incarnation: int = 0) -> Node:
    """A node of a kind, shown, with its daemons and its initial faults."""
    node = bear(cluster, kind, index, name, incarnation)
    node.fault = kind.fault
    if kind.fault in BEFORE:
        BEFORE[kind.fault](cluster, node)
    cluster.show_node(node)
    cluster.sync_daemons(node)
    return node


def strike(cluster: ClusterCore, node: Node) -> None:
    """Faults of a running node."""
    if node.fault in AFTER:
        AFTER[node.fault](cluster, node)
        cluster.show_node(node)
        for pod in list(cluster.on_node[node.name].values()):
            cluster.show_pod(pod)
