"""Workloads on the GPUs: inference Deployments, training Jobs, notebooks; pending and finished ones too."""

from __future__ import annotations

from dataclasses import dataclass, replace

from fleet.simulator.seeds import Seed
from fleet.simulator.templates import Container, Template
from fleet.simulator.world import Node

_VLLM = "docker.io/vllm/vllm-openai:v0.11.0"
_SGLANG = "docker.io/lmsysorg/sglang:v0.5.4-cu129"
_PYTORCH = "nvcr.io/nvidia/pytorch:25.09-py3"
_NOTEBOOK = "quay.io/jupyter/pytorch-notebook:cuda12-python-3.12"
_TRITON = "nvcr.io/nvidia/tritonserver:25.09-py3"
_TGI = "ghcr.io/huggingface/text-generation-inference:3.3.6"
_NIM = "nvcr.io/nim/meta/llama-3.1-8b-instruct:1.13.1"
_SERVERS = (
    ("sglang", "sglang", _SGLANG, 30000, "http"), ("tgi", "tgi", _TGI, 80, "http"), ("nim", "nim", _NIM, 8000, "http-openai"),
)  # fmt: skip

_SERVED = {
    1: (
        "llama-3-1-8b-vllm",
        "qwen3-8b-vllm",
        "mistral-7b-sglang",
        "bge-m3-embed",
        "whisper-large-v3",
        "gpt-oss-20b-vllm",
        "llama-3-1-8b-nim",
        "falcon-7b-tgi",
    ),
    2: ("qwen3-32b-vllm", "gemma-4-31b-sglang", "mixtral-8x7b-vllm"),
    4: ("llama-3-3-70b-vllm", "qwen2-5-72b-sglang", "gpt-oss-120b-vllm"),
    8: ("deepseek-v3-sglang", "qwen3-235b-vllm", "llama-3-1-405b-vllm"),
}
_SMALL = ("asr-streaming", "tts-piper", "rerank-minilm", "clip-embed", "ocr-layout", "intent-bert", "ner-deberta", "vad-silero")
_TRAINED = ("ft-llama-3-3-70b", "pretrain-moe-42b", "sft-qwen3-32b", "dpo-mistral", "vision-dino-v3", "rlhf-gemma-4")
_PEOPLE = ("akira", "bea", "chidi", "dana", "emre", "farah", "goran", "hana", "ines", "jonas", "kofi", "lena")
_INFERENCE = ("inference", "search", "speech", "assistants")
_TRAINING = ("train", "research-nlp", "vision")
_PROMISED_POOL = "h100-prod-inference"
"""Its workloads carry the labels and the annotation of a class's manifest, as those of teams that asked for their GPUs."""
_OF_CLASS = {"muster.dev/class": "h100-online", "muster.dev/class-version": "1"}
_PLACEMENT = {"muster.dev/placement": "e6056c9474836d96"}
"""As the demonstration's manifest of that class has it; tests/services/test_demo.py compares them."""
_ENV = (
    ("HF_HOME", "/data/hf"), ("NCCL_DEBUG", "WARN"), ("NCCL_SOCKET_IFNAME", "eth0"), ("OMP_NUM_THREADS", "8"),
    ("TOKENIZERS_PARALLELISM", "false"), ("PYTORCH_CUDA_ALLOC_CONF", "expandable_segments:True"),
    ("OTEL_SERVICE_NAME", "model"), ("LOG_LEVEL", "info"),
)  # fmt: skip
_CPU = {"cpu": "8", "memory": "32Gi"}


@dataclass(frozen=True)
class Ask:
    """What a pod asks for: so many slots of one resource ("" = by claim), doing some kind of work."""

    work: str
    resource: str
    slots: int
    variant: str = ""
    """plain when empty; `init`: its init container asks for more than it does; `sidecar`: a sidecar asks for one as well."""


class Workloads:
    """The workloads of one cluster; the same question gives the same template, so that pods share what they have in common."""

    def __init__(self, seed: Seed) -> None:
        self.seed = seed
        self._made: dict[tuple[object, ...], Template] = {}

    def template(self, ask: Ask, node_pool: str, number: int) -> Template:
        """The template of a workload for this ask; `number` chooses among several."""
        shelf = number % 3
        key = (ask, node_pool, shelf)
        if key not in self._made:
            make = {"train": self._train, "notebook": self._notebook, "infer": self._infer, "batch": self._batch}[ask.work]
            self._made[key] = make(ask, node_pool, shelf)
        return self._made[key]

    def _name(self, base: str, *scope: object) -> str:
        return f"{base}-{self.seed.suffix(3, 'workload', base, *scope)}"

    def _common(self, name: str, namespace: str, team: str, work: str) -> dict[str, str]:
        return {
            "app": name,
            "app.kubernetes.io/name": name,
            "app.kubernetes.io/part-of": namespace,
            "kueue.x-k8s.io/queue-name": "main",
            "team": team,
            "workload": work,
        }

    def _infer(self, ask: Ask, pool: str, shelf: int) -> Template:
        small = ask.slots == 1 and ask.resource not in ("nvidia.com/gpu", "")
        choices = _SMALL if small else _SERVED.get(ask.slots, _SERVED[1])
        base = self.seed.pick(choices, "served", ask.resource, ask.slots, pool, shelf)
        name = self._name(base, ask, pool, shelf)
        namespace = self.seed.pick(_INFERENCE, "namespace", name)
        kind, image, port, port_name = ("triton", _TRITON, 8002, "metrics") if small else ("vllm", _VLLM, 8000, "http")
        for part, served_by, its_image, its_port, its_port_name in _SERVERS:
            if base.endswith(part):
                kind, image, port, port_name = served_by, its_image, its_port, its_port_name
        count = self._own(ask)
        claims = ("gpu",) if not ask.resource else ()
        main = Container(
            kind,
            image,
            requests=_CPU,
            extended={ask.resource: count} if ask.resource and count else {},
            command=("python3", "-m", "vllm.entrypoints.openai.api_server"),
            args=("--model", f"/data/hf/{base}", "--tensor-parallel-size", str(ask.slots), "--gpu-memory-utilization", "0.9"),
            env=_ENV,
            port=port,
            port_name=port_name,
            claims=claims,
        )
        init: tuple[Container, ...] = (
            Container("fetch-weights", "ghcr.io/example-org/fetch:2.4.0", requests=_CPU, env=_ENV[:2]),
        )
        if ask.variant == "init":
            warm = Container(
                "warm-up", image, requests=_CPU, extended={ask.resource: ask.slots}, args=("--compile-only",), env=_ENV[:3]
            )
            init = (*init, warm)
        elif ask.variant == "sidecar":
            side = Container("draft-model", image, requests=_CPU, extended={ask.resource: 1}, env=_ENV[:3], sidecar=True)
            init = (*init, side)
        revision = self.seed.suffix(10, "replicaset", name)
        labels = self._common(name, namespace, namespace, "infer") | {"pod-template-hash": revision}
        is_of_class = pool == _PROMISED_POOL and ask.resource == "nvidia.com/gpu" and shelf == 0
        if is_of_class:
            labels |= _OF_CLASS
        template = self._finish(ask, name, namespace, "ReplicaSet", f"{name}-{revision}", labels, (main,), init, "Always")
        return replace(template, annotations=template.annotations | _PLACEMENT) if is_of_class else template

    def _own(self, ask: Ask) -> int:
        """What the main container itself asks for, so that the pod as a whole asks for `ask.slots`."""
        if ask.variant == "init":
            return max(1, ask.slots // 2)
        return ask.slots - 1 if ask.variant == "sidecar" else ask.slots

    def _train(self, ask: Ask, pool: str, shelf: int) -> Template:
        base = self.seed.pick(_TRAINED, "trained", ask.resource, ask.slots, pool, shelf)
        name = self._name(base, ask, pool, shelf)
        namespace = self.seed.pick(_TRAINING, "namespace", name)
        main = Container(
            "trainer",
            _PYTORCH,
            requests={"cpu": "64", "memory": "512Gi"} if ask.slots >= 8 else _CPU,
            extended={ask.resource: ask.slots} if ask.resource else {},
            command=("torchrun",),
            args=("--nproc-per-node", str(ask.slots), "train.py", "--config", f"/cfg/{base}.yaml"),
            env=_ENV,
            port=29500,
            port_name="rendezvous",
            claims=("gpu",) if not ask.resource else (),
        )
        labels = self._common(name, namespace, namespace, "train") | {"batch.kubernetes.io/job-name": name}
        return self._finish(ask, name, namespace, "Job", name, labels, (main,), (), "OnFailure")

    def _notebook(self, ask: Ask, pool: str, shelf: int) -> Template:
        person = self.seed.pick(_PEOPLE, "person", ask, pool, shelf)
        name = self._name(f"jupyter-{person}", ask, pool, shelf)
        main = Container(
            "notebook",
            _NOTEBOOK,
            requests={"cpu": "4", "memory": "16Gi"},
            extended={ask.resource: ask.slots} if ask.resource else {},
            command=("start-notebook.py",),
            env=_ENV[:4],
            port=8888,
            claims=("gpu",) if not ask.resource else (),
        )
        labels = self._common(name, "ml-research", "ml-research", "notebook") | {"statefulset.kubernetes.io/name": name}
        return self._finish(ask, name, "ml-research", "StatefulSet", name, labels, (main,), (), "Always")

    def _batch(self, ask: Ask, pool: str, shelf: int) -> Template:
        """Workloads without a GPU: data preparation and the like, on GPU nodes too."""
        name = self._name("tokenise-shards", pool, shelf)
        main = Container(
            "worker", "ghcr.io/example-org/trainer:2026.11.3", requests={"cpu": "2", "memory": "8Gi"}, env=_ENV[:4], port=8080
        )
        labels = self._common(name, "data", "data", "batch") | {"batch.kubernetes.io/job-name": name}
        return self._finish(ask, name, "data", "Job", name, labels, (main,), (), "Never")

    def _finish(  # noqa: PLR0913 the fields of a pod
        self,
        ask: Ask,
        name: str,
        namespace: str,
        owner_kind: str,
        owner_name: str,
        labels: dict[str, str],
        containers: tuple[Container, ...],
        init: tuple[Container, ...],
        restart: str,
    ) -> Template:
        return Template(
            name=name,
            namespace=namespace,
            owner_kind=owner_kind,
            owner_name=owner_name,
            owner_uid=self.seed.uuid("owner", owner_kind, namespace, owner_name),
            labels=labels,
            annotations={"example.com/cost-centre": f"cc-{self.seed.number(40, 'cost', namespace):03d}"},
            containers=containers,
            init=init,
            tolerations=(("nvidia.com/gpu", "NoSchedule"), ("dedicated", "NoSchedule"), ("amd.com/gpu", "NoSchedule")),
            restart_policy=restart,
            shared_memory=True,
            workload="" if ask.work == "batch" else ask.work,
        )


def effective(template: Template) -> dict[str, int]:
    """Slots by resource that the scheduler sets aside: containers and sidecars together, or an init container if more."""
    together: dict[str, int] = {}
    most: dict[str, int] = {}
    for container in template.init:
        if container.sidecar:
            for name, count in container.extended.items():
                together[name] = together.get(name, 0) + count
        else:
            for name, count in container.extended.items():
                most[name] = max(most.get(name, 0), count + together.get(name, 0))
    for container in template.containers:
        for name, count in container.extended.items():
            together[name] = together.get(name, 0) + count
    return {name: max(together.get(name, 0), most.get(name, 0)) for name in {*together, *most}}


def plan(node: Node, resource: str, free: int, wanted: int | None, seed: Seed) -> list[Ask]:
    """How a node's free slots of one resource are used: requests that fit, about four fifths of it, as `wanted` pods if given."""
    whole = node.replicas == 1 and not any(gpu.mig for gpu in node.gpus)
    pattern = seed.share("pattern", node.name, resource)
    if wanted is not None:
        return _so_many(resource, free, wanted, whole, seed, node.name)
    if not whole:
        used = int(free * (0.6 + 0.35 * pattern))
        return _small(resource, used, seed, node.name)
    if free >= 8 and pattern < 0.42:
        return [Ask("train", resource, 8)]
    if free >= 8 and pattern < 0.56:
        return [Ask("infer", resource, 8)]
    if free >= 8 and pattern < 0.72:
        return [Ask("infer", resource, 4), Ask("infer", resource, 2), Ask("infer", resource, 1)]
    if free >= 8 and pattern < 0.86:
        return [Ask("infer", resource, 4), Ask("infer", resource, 4)]
    if free >= 8 and pattern < 0.93:
        asks = [Ask("infer", resource, 2, "init"), Ask("infer", resource, 2, "sidecar"), Ask("notebook", resource, 1)]
        return [*asks, Ask("infer", resource, 1)]
    if free >= 8:
        return [Ask("notebook", resource, 1), Ask("notebook", resource, 1)]
    if free >= 4:
        return [Ask("infer", resource, 2), Ask("infer", resource, 1)] if pattern < 0.7 else [Ask("train", resource, 4)]
    return [Ask("infer", resource, 1)] if free and pattern < 0.8 else []


def _small(resource: str, used: int, seed: Seed, node: str) -> list[Ask]:
    return [
        Ask("notebook" if seed.share("small", node, resource, number) < 0.2 else "infer", resource, 1) for number in range(used)
    ]


def _so_many(resource: str, free: int, wanted: int, whole: bool, seed: Seed, node: str) -> list[Ask]:
    asks: list[Ask] = []
    left = free
    for number in range(wanted):
        if left <= 0:
            break
        share = max(1, left // (wanted - number)) if whole else 1
        size = next(size for size in (8, 4, 2, 1) if size <= share)
        work = "train" if size == 8 else "notebook" if seed.share("so many", node, resource, number) < 0.15 else "infer"
        asks.append(Ask(work, resource, size if work != "notebook" else 1))
        left -= asks[-1].slots
    return asks
