"""The daemons of a cluster: its own, the GPU Operator's operands, other plugins; and the state each is in on a node."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fleet.simulator.dra_mode import is_amd
from fleet.simulator.flavours import Flavour
from fleet.simulator.images import stack_images
from fleet.simulator.labels import UPGRADING, operator_labels
from fleet.simulator.seeds import Seed
from fleet.simulator.templates import Container, Template
from fleet.simulator.world import Node, Pod

OPERATOR_NAMESPACE = "gpu-operator"
_WAIT = "until [ -f /run/nvidia/validations/{0}-ready ]; do echo waiting for {0}; sleep 5; done"
_HOST = ("/run/nvidia", "/var/lib/kubelet/device-plugins")


@dataclass(frozen=True)
class DaemonSet:
    """A DaemonSet and the nodes it wants. `essential`: kept even in a fleet with very few pods."""

    template: Template
    wants: Callable[[Node], bool]
    component: str = ""
    """The operator's name for it, as in the label nvidia.com/gpu.deploy.<component>."""
    essential: bool = False
    on_delete: bool = False


def daemon_sets(flavour: Flavour, seed: Seed) -> list[DaemonSet]:
    """All DaemonSets of a cluster of this flavour."""
    made = [_plain(flavour, seed, daemon.name, daemon.namespace, daemon.container, daemon.image, lambda _: True)
            for daemon in flavour.daemons]  # fmt: skip
    pictures = stack_images(flavour)
    if flavour.operator:
        made += [] if flavour.gpu_cluster else _operands(flavour, seed, pictures)
        nfd = pictures["nfd"]
        worker = "node-feature-discovery-worker"
        made.append(_plain(flavour, seed, worker, OPERATOR_NAMESPACE, "worker", nfd, lambda _: True))
    if flavour.name == "gke":
        plugin = f"gke.gcr.io/nvidia-gpu-device-plugin:{flavour.plugin}"
        gke = _plain(flavour, seed, "nvidia-gpu-device-plugin-large-cos", "kube-system", "nvidia-gpu-device-plugin", plugin,
                     lambda node: node.stack == "gke")  # fmt: skip
        exporter = _plain(flavour, seed, "dcgm-exporter", "gke-managed-system", "dcgm-exporter", pictures["exporter"],
                          lambda node: node.stack == "gke", port=9400)  # fmt: skip
        made += [DaemonSet(gke.template, gke.wants, "device-plugin", True),
                 DaemonSet(exporter.template, exporter.wants, "dcgm-exporter", True)]  # fmt: skip
    if flavour.has_dra:
        made.append(_plain(flavour, seed, "nvidia-dra-driver-gpu-kubelet-plugin", "nvidia-dra-driver-gpu", "gpus",
                           pictures["dra"], lambda node: node.stack == "dra", essential=True))  # fmt: skip
    if flavour.gpu_cluster:
        exporter = _plain(flavour, seed, "nvidia-dcgm-exporter", OPERATOR_NAMESPACE, "nvidia-dcgm-exporter",
                          pictures["exporter"], lambda node: node.stack == "dra" and not is_amd(node), port=9400)  # fmt: skip
        made.append(DaemonSet(exporter.template, exporter.wants, "dcgm-exporter", True))
    if flavour.name == "kubeadm":
        made += [
            _plain(flavour, seed, "amdgpu-device-plugin-daemonset", "kube-amd-gpu", "amdgpu-dp-cntr",
                   "docker.io/rocm/k8s-device-plugin:1.31.0.8", lambda node: node.stack == "amd", essential=True),
            _plain(flavour, seed, "intel-gpu-plugin", "inteldeviceplugins-system", "intel-gpu-plugin",
                   "docker.io/intel/intel-gpu-plugin:0.34.0", lambda node: node.stack == "intel", essential=True),
            _plain(flavour, seed, "habanalabs-device-plugin-daemonset", "habana-system", "habanalabs-device-plugin",
                   "vault.habana.ai/docker-k8s-device-plugin/docker-k8s-device-plugin:1.22.0",
                   lambda node: node.stack == "gaudi", essential=True),
        ]  # fmt: skip
    return made


def _plain(  # noqa: PLR0913 the fields of a DaemonSet
    flavour: Flavour,
    seed: Seed,
    name: str,
    namespace: str,
    container: str,
    image: str,
    wants: Callable[[Node], bool],
    port: int = 0,
    essential: bool = False,
) -> DaemonSet:
    labels = {"app": name, "app.kubernetes.io/name": name, "app.kubernetes.io/managed-by": "Helm"}
    main = Container(
        container,
        image,
        args=("--log-level=info",),
        env=(("LOG_FORMAT", "json"),),
        port=port,
        port_name="metrics",
        privileged=True,
    )
    if namespace == "nvidia-dra-driver-gpu":
        labels["nvidia-dra-driver-gpu-component"] = "kubelet-plugin"
    template = _template(flavour, seed, name, namespace, labels, (main,))
    return DaemonSet(template, wants, essential=essential)


def _template(  # noqa: PLR0913 the fields of a DaemonSet
    flavour: Flavour,
    seed: Seed,
    name: str,
    namespace: str,
    labels: dict[str, str],
    containers: tuple[Container, ...],
    init: tuple[Container, ...] = (),
    selector: dict[str, str] | None = None,
) -> Template:
    labels = {
        **labels,
        "controller-revision-hash": seed.suffix(10, "revision", namespace, name),
        "helm.sh/chart": f"{namespace}-{flavour.operator or flavour.version.split('-')[0]}",
        "pod-template-generation": "1",
    }
    return Template(
        name=name,
        namespace=namespace,
        owner_kind="DaemonSet",
        owner_name=name,
        owner_uid=seed.uuid("daemonset", namespace, name),
        labels=dict(sorted(labels.items())),
        annotations={"prometheus.io/scrape": "true"} if namespace == OPERATOR_NAMESPACE else {},
        containers=containers,
        init=init,
        node_selector=selector or {},
        tolerations=(("nvidia.com/gpu", "NoSchedule"), ("dedicated", "NoSchedule"), ("amd.com/gpu", "NoSchedule")),
        priority_class="system-node-critical",
        runtime_class="nvidia" if init else "",
        host_paths=_HOST if namespace != "monitoring" else ("/proc", "/sys"),
    )


def _operands(flavour: Flavour, seed: Seed, pictures: dict[str, str]) -> list[DaemonSet]:
    def waiting(step: str) -> Container:
        return Container(
            f"{step}-validation", pictures["validator"], command=("sh", "-c"), args=(_WAIT.format(step),), privileged=True
        )

    def validating(step: str) -> Container:
        env = (("COMPONENT", step), ("WITH_WAIT", "false"), ("OPERATOR_NAMESPACE", OPERATOR_NAMESPACE))
        return Container(
            f"{step}-validation",
            pictures["validator"],
            command=("sh", "-c"),
            args=("nvidia-validator",),
            env=env,
            privileged=True,
        )

    def running(name: str, image: str, port: int = 0) -> Container:
        env = (("NVIDIA_VISIBLE_DEVICES", "all"), ("NVIDIA_DRIVER_CAPABILITIES", "compute,utility"))
        return Container(name, image, args=("--log-level=info",), env=env, port=port, port_name="metrics", privileged=True)

    def operand(  # noqa: PLR0913 the fields of a DaemonSet
        name: str,
        component: str,
        containers: tuple[Container, ...],
        init: tuple[Container, ...],
        wants: Callable[[Node], bool] = lambda _: True,
        essential: bool = False,
        on_delete: bool = False,
        extra: dict[str, str] | None = None,
    ) -> DaemonSet:
        labels = {"app": name, "app.kubernetes.io/managed-by": "gpu-operator", **(extra or {})}
        selector = {f"nvidia.com/gpu.deploy.{component}": "true"}
        template = _template(flavour, seed, name, OPERATOR_NAMESPACE, labels, containers, init, selector)

        def selects(node: Node) -> bool:
            return (
                node.stack == "operator"
                and operator_labels(node).get(f"nvidia.com/gpu.deploy.{component}") == "true"
                and wants(node)
            )

        return DaemonSet(template, selects, component, essential, on_delete)

    manager = Container("k8s-driver-manager", pictures["manager"], args=("uninstall_driver",), privileged=True)
    config_init = Container("config-manager-init", pictures["plugin"], command=("config-manager",), privileged=True)
    config = Container(
        "config-manager", pictures["plugin"], command=("config-manager",), env=(("DEFAULT_CONFIG", ""),), privileged=True
    )
    steps = tuple(validating(step) for step in ("driver", "toolkit", "cuda", "plugin"))
    plugin, exporter, validator = pictures["plugin"], pictures["exporter"], pictures["validator"]
    part = {"app.kubernetes.io/part-of": "nvidia-gpu"}
    driver_labels = {"app.kubernetes.io/component": "nvidia-driver", "nvidia.com/precompiled": "false"}
    return [
        operand("nvidia-driver-daemonset", "driver", (running("nvidia-driver-ctr", pictures["driver"]),), (manager,),
                on_delete=True, extra=driver_labels),
        operand("nvidia-container-toolkit-daemonset", "container-toolkit",
                (running("nvidia-container-toolkit-ctr", pictures["toolkit"]),), (waiting("driver"),)),
        operand("nvidia-device-plugin-daemonset", "device-plugin", (running("nvidia-device-plugin", plugin), config),
                (waiting("toolkit"), config_init), essential=True),
        operand("gpu-feature-discovery", "gpu-feature-discovery", (running("gpu-feature-discovery", plugin), config),
                (waiting("toolkit"), config_init), essential=True, extra=part),
        operand("nvidia-dcgm-exporter", "dcgm-exporter", (running("nvidia-dcgm-exporter", exporter, 9400),),
                (waiting("toolkit"),), essential=True),
        operand("nvidia-operator-validator", "operator-validator", (running("nvidia-operator-validator", validator),), steps,
                essential=True, extra={"app.kubernetes.io/part-of": "gpu-operator"}),
        operand("nvidia-mig-manager", "mig-manager", (running("nvidia-mig-manager", pictures["mig"]),), (waiting("toolkit"),)),
        operand("nvidia-device-plugin-mps-control-daemon", "device-plugin",
                (running("mps-control-daemon-ctr", plugin), config), (waiting("toolkit"), config_init),
                wants=lambda node: node.sharing == "mps", essential=True),
    ]  # fmt: skip


def set_state(pod: Pod, daemon: DaemonSet, node: Node) -> None:
    """Sets a daemon's pod to the state that follows from the node's condition."""
    name = daemon.template.name
    pod.phase, pod.reason, pod.message, pod.stuck_init, pod.restarts = "Running", "", "", None, 0
    pod.ready = node.ready == "True"
    if node.stack == "operator" and node.upgrade_state in UPGRADING and name == "nvidia-driver-daemonset":
        pod.phase, pod.stuck_init, pod.reason, pod.ready = "Pending", 0, "Running", False
    elif (daemon.component == "device-plugin" and not node.plugin and "mps" not in name) or (
        name == "gpu-feature-discovery" and not node.gfd
    ):
        _crash(pod, "back-off 5m0s restarting failed container")
    elif name == "nvidia-operator-validator" and node.mig_invalid:
        pod.phase, pod.stuck_init = "Pending", 3
        _crash(pod, "back-off 5m0s restarting failed container=plugin-validation", phase="Pending")


def _crash(pod: Pod, message: str, phase: str = "Running") -> None:
    pod.phase, pod.reason, pod.message, pod.ready = phase, "CrashLoopBackOff", message, False
    pod.restarts = 12
