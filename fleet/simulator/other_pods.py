"""Pods without a GPU: pending, finished, failed, refused, terminating.

Also the controllers of the GPU stack, and recent warnings of monitors.
"""

from __future__ import annotations

from datetime import timedelta

from fleet.simulator.builder import place
from fleet.simulator.cluster import ClusterCore
from fleet.simulator.events import EventText, thermal_warning, xid_warning
from fleet.simulator.images import stack_images
from fleet.simulator.stack import OPERATOR_NAMESPACE
from fleet.simulator.templates import Container, Template
from fleet.simulator.workloads import Ask
from fleet.simulator.world import GPU, Node, Pod


def add_other_pods(cluster: ClusterCore, nodes: list[Node], total: int | None) -> None:
    """Everything that real lists are full of besides running pods. `total`: how many pods the cluster shall have in all."""
    healthy = [node for node in nodes if not node.fault and node.gpus]
    _controllers(cluster)
    if not healthy:
        return
    _pending(cluster, len(nodes), max(2, len(nodes) // 25))
    _odd_ones(cluster, healthy)
    _warnings(cluster, healthy)
    finished = max(3, len(nodes) // 4)
    if total is not None:
        finished = total - len(cluster.pods)
    _finished(cluster, healthy, finished)


def _pending(cluster: ClusterCore, nodes: int, count: int) -> None:
    """Pods for which the scheduler has no room."""
    asks = (Ask("train", GPU, 8), Ask("infer", GPU, 4), Ask("notebook", GPU, 1))
    for number in range(count):
        ask = asks[number % len(asks)]
        template = cluster.workloads.template(ask, "pending", number)
        pod = cluster.new_pod(template, None, cluster.now() - timedelta(minutes=2 + 7 * number % 400), "Pending")
        insufficient = max(1, nodes - nodes // 6)
        pod.message = (
            f"0/{len(cluster.nodes)} nodes are available: {len(cluster.nodes) - insufficient} node(s) had untolerated taint(s), "
            f"{insufficient} Insufficient {ask.resource}. preemption: 0/{len(cluster.nodes)} nodes are available: "
            f"{len(cluster.nodes)} No preemption victims found for incoming pod."
        )
        pod.ready = False
        cluster.show_pod(pod)


def _warnings(cluster: ClusterCore, healthy: list[Node]) -> None:
    """Events of monitors: a program's own Xid half an hour ago, a warm card, and a word that all is well."""
    now = cluster.now()
    cluster.events.tell(healthy[0], xid_warning(cluster.flavour, healthy[0], 13, None), now - timedelta(minutes=31))
    cluster.events.tell(healthy[-1], thermal_warning(healthy[-1], 0), now - timedelta(minutes=17))
    cluster.events.tell(healthy[-1], EventText("kubelet", "Normal", "NodeReady", "Node status is now: NodeReady"))


def _odd_ones(cluster: ClusterCore, healthy: list[Node]) -> None:
    """One of each: crashing, unable to pull its image, being created, terminating, refused by the plugin."""
    odd = [
        ("Running", "CrashLoopBackOff", "back-off 5m0s restarting failed container=vllm", 9),
        ("Pending", "ImagePullBackOff", "Back-off pulling image", 0),
        ("Pending", "ContainerCreating", "", 0),
    ]
    made = 0
    for node in healthy:
        resource, slots = next(iter(cluster.free_slots(node).items()), ("", []))
        if not slots:
            continue
        pod = place(cluster, node, Ask("infer", resource, 1), made)
        if made < len(odd):
            pod.phase, pod.reason, pod.message, pod.restarts = odd[made]
            pod.ready = False
        else:
            pod.deleting = cluster.now() + timedelta(seconds=20)
        cluster.show_pod(pod)
        made += 1
        if made == 4:
            break
    node = healthy[-1]
    template = cluster.workloads.template(Ask("infer", GPU, 2), node.pool, 1)
    refused = cluster.new_pod(template, node, cluster.now() - timedelta(hours=5), "Failed")
    refused.reason, refused.ip = "UnexpectedAdmissionError", ""
    refused.message = "Allocate failed due to rpc error: code = Unknown desc = request for 2 shared devices: at most 1 is allowed"
    refused.ready = False
    cluster.show_pod(refused)


def _finished(cluster: ClusterCore, healthy: list[Node], count: int) -> None:
    """Pods that are over and still listed; they hold nothing. Among them the validator's own short-lived ones."""
    cuda = _cuda_validator(cluster) if cluster.flavour.operator else None
    for number in range(count):
        node = healthy[number % len(healthy)]
        template = cluster.workloads.template(Ask("batch", "", 0), node.pool, number)
        if number % 3 == 1:
            slots = cluster.capacity_resource(node)
            template = cluster.workloads.template(Ask("train", slots, 1), node.pool, number) if slots else template
        elif number % 7 == 2 and cuda is not None and node.stack == "operator":
            template = cuda
        born = cluster.now() - timedelta(hours=1 + cluster.seed.number(70, "finished", number))
        pod = cluster.new_pod(template, node, born, "Failed" if number % 9 == 4 else "Succeeded")
        pod.ended, pod.ready = born + timedelta(minutes=1 + number % 50), False
        cluster.show_pod(pod)


def _cuda_validator(cluster: ClusterCore) -> Template:
    image = stack_images(cluster.flavour)["validator"]
    main = Container("nvidia-cuda-validator", image, command=("sh", "-c"), args=("echo cuda workload validation is successful",))
    init = Container("cuda-validation", image, command=("sh", "-c"), args=("vectorAdd",))
    return _controller(cluster, "nvidia-cuda-validator", "nvidia-cuda-validator", main, (init,))


def _controllers(cluster: ClusterCore) -> None:
    """The operator's own Deployments, on the first CPU node."""
    host = next((node for node in cluster.nodes.values() if node.stack == "cpu"), None)
    if host is None or not cluster.flavour.operator or cluster.lean:
        return
    pictures = stack_images(cluster.flavour)
    for name, image in (
        ("gpu-operator", f"nvcr.io/nvidia/gpu-operator:{cluster.flavour.operator}"),
        ("gpu-operator-node-feature-discovery-master", pictures["nfd"]),
        ("gpu-operator-node-feature-discovery-gc", pictures["nfd"]),
    ):
        main = Container(name.removeprefix("gpu-operator-") or name, image, requests={"cpu": "200m", "memory": "256Mi"})
        cluster.show_pod(cluster.new_pod(_controller(cluster, name, name, main), host, cluster.anchor))


def _controller(cluster: ClusterCore, name: str, app: str, main: Container, init: tuple[Container, ...] = ()) -> Template:
    seed = cluster.seed
    revision = seed.suffix(10, "replicaset", name)
    return Template(
        name=name,
        namespace=OPERATOR_NAMESPACE,
        owner_kind="ReplicaSet",
        owner_name=f"{name}-{revision}" if not init else name,
        owner_uid=seed.uuid("owner", name),
        labels={"app": app, "app.kubernetes.io/component": name, "pod-template-hash": revision},
        containers=(main,),
        init=init,
        restart_policy="OnFailure" if init else "Always",
    )


def reclaim(cluster: ClusterCore, pod: Pod) -> None:
    """A finished pod frees its slots."""
    pod.slots = {}
    for _, name in pod.claims:
        claim = cluster.claims.get(f"{pod.namespace}/{name}")
        if claim is not None:
            claim.devices, claim.pod = (), None
