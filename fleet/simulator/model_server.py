"""Model servers: the pages of vLLM, SGLang, TGI, Triton and NIM, each in its own spelling, with counters that never decrease.

The load is a function of the pod and the time, in the steps of the exporter, so that GPUs and servers agree.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fleet.simulator import exporter
from fleet.simulator.world import Pod

if TYPE_CHECKING:
    from fleet.simulator.cluster import ClusterCore

_IMAGES = (
    ("nvcr.io/nim/", "nim"), ("vllm-openai", "vllm"), ("sglang", "sglang"),
    ("text-generation-inference", "tgi"), ("tritonserver", "triton"),
)  # fmt: skip
_PORTS = {"nim": 8000, "vllm": 8000, "sglang": 30000, "tgi": 80, "triton": 8002}


@dataclass(frozen=True, slots=True)
class _Load:
    """One server's numbers at one moment. Counters run since its start."""

    model: str
    running: int
    waiting: int
    cache: float
    prompt: int
    generated: int
    requests: int
    first_token_s: float
    """Seconds to the first token, summed over all requests."""


def kind_of(pod: Pod) -> str:
    """Which server the pod runs; empty for none."""
    if pod.template.workload != "infer":
        return ""
    image = pod.template.containers[0].image
    return next((kind for part, kind in _IMAGES if part in image), "")


def port_of(pod: Pod) -> int | None:
    """Where the pod's server exports its metrics; None where it runs none."""
    return _PORTS.get(kind_of(pod))


def render(cluster: ClusterCore, pod: Pod, path: str) -> str | None:
    """The text of GET `path`; None where the server has no such page."""
    kind = kind_of(pod)
    if path != ("v1/metrics" if kind == "nim" else "metrics"):
        return None
    return "\n".join(_PAGES[kind](_load(cluster, pod))) + "\n"


def _load(cluster: ClusterCore, pod: Pod) -> _Load:
    seed, now = cluster.seed, int(cluster.now().timestamp())
    busy, filled = exporter.load_of(seed, pod.uid, "server", pod, now)
    since = max(0, now - int((pod.started or pod.created).timestamp()))
    per_second = 0.2 + 6 * seed.share("requests", pod.uid)
    requests = int(since * per_second)
    return _Load(
        model=pod.template.owner_name.rsplit("-", 2)[0],
        running=int(busy * 24),
        waiting=int(max(0.0, busy - 0.85) * 40),
        cache=round(min(0.99, filled * busy), 4),
        prompt=requests * (300 + seed.number(3000, "prompt", pod.uid)),
        generated=requests * (60 + seed.number(400, "generated", pod.uid)),
        requests=requests,
        first_token_s=round(requests * (0.05 + 0.8 * seed.share("first token", pod.uid)), 3),
    )


def _family(name: str, kind: str, *lines: str) -> list[str]:
    return [f"# HELP {name} {name.replace('_', ' ')}.", f"# TYPE {name} {kind}", *lines]


def _histogram(name: str, labels: str, total: float, count: int) -> list[str]:
    """Everything below a second lies in the last bucket but one: only sum and count tell more."""
    buckets = [f'{name}_bucket{{{labels}le="{bound}"}} {count if bound != "0.001" else 0}' for bound in ("0.001", "1.0", "+Inf")]
    inside = labels.rstrip(",")
    return _family(name, "histogram", *buckets, f"{name}_sum{{{inside}}} {total}", f"{name}_count{{{inside}}} {count}")


def _vllm(load: _Load) -> list[str]:
    at = f'engine="0",model_name="{load.model}"'
    stopped = load.requests - load.requests // 8
    return [
        *_family("vllm:num_requests_running", "gauge", f"vllm:num_requests_running{{{at}}} {load.running}.0"),
        *_family("vllm:num_requests_waiting", "gauge", f"vllm:num_requests_waiting{{{at}}} {load.waiting}.0"),
        *_family("vllm:kv_cache_usage_perc", "gauge", f"vllm:kv_cache_usage_perc{{{at}}} {load.cache}"),
        *_family("vllm:prompt_tokens", "counter", f"vllm:prompt_tokens_total{{{at}}} {load.prompt}.0"),
        *_family("vllm:generation_tokens", "counter", f"vllm:generation_tokens_total{{{at}}} {load.generated}.0"),
        *_family(
            "vllm:request_success",
            "counter",
            f'vllm:request_success_total{{{at},finished_reason="stop"}} {stopped}.0',
            f'vllm:request_success_total{{{at},finished_reason="length"}} {load.requests - stopped}.0',
        ),
        *_histogram("vllm:time_to_first_token_seconds", f"{at},", load.first_token_s, load.requests),
    ]


def _sglang(load: _Load) -> list[str]:
    at = f'engine_type="unified",model_name="{load.model}",tp_rank="0"'
    return [
        *_family("sglang:num_running_reqs", "gauge", f"sglang:num_running_reqs{{{at}}} {load.running}.0"),
        *_family("sglang:num_queue_reqs", "gauge", f"sglang:num_queue_reqs{{{at}}} {load.waiting}.0"),
        *_family("sglang:token_usage", "gauge", f"sglang:token_usage{{{at}}} {load.cache}"),
        *_family("sglang:prompt_tokens", "counter", f"sglang:prompt_tokens_total{{{at}}} {load.prompt}.0"),
        *_family("sglang:generation_tokens", "counter", f"sglang:generation_tokens_total{{{at}}} {load.generated}.0"),
        *_family("sglang:num_requests", "counter", f"sglang:num_requests_total{{{at}}} {load.requests}.0"),
        *_histogram("sglang:time_to_first_token_seconds", f"{at},", load.first_token_s, load.requests),
    ]


def _tgi(load: _Load) -> list[str]:
    return [
        "# TYPE tgi_queue_size gauge",
        f"tgi_queue_size {load.waiting}",
        "# TYPE tgi_batch_current_size gauge",
        f"tgi_batch_current_size {load.running}",
        "# TYPE tgi_request_count counter",
        f"tgi_request_count {load.requests + 3}",
        "# TYPE tgi_request_success counter",
        f"tgi_request_success {load.requests}",
        "# TYPE tgi_request_generated_tokens histogram",
        f'tgi_request_generated_tokens_bucket{{le="+Inf"}} {load.requests}',
        f"tgi_request_generated_tokens_sum {load.generated}",
        f"tgi_request_generated_tokens_count {load.requests}",
        "# TYPE tgi_request_input_length histogram",
        f"tgi_request_input_length_sum {load.prompt}",
        f"tgi_request_input_length_count {load.requests}",
    ]


def _triton(load: _Load) -> list[str]:
    at = f'model="{load.model}",version="1"'
    return [
        *_family("nv_inference_request_success", "counter", f"nv_inference_request_success{{{at}}} {load.requests}"),
        *_family("nv_inference_request_failure", "counter", f"nv_inference_request_failure{{{at}}} 0"),
        *_family("nv_inference_pending_request_count", "gauge", f"nv_inference_pending_request_count{{{at}}} {load.waiting}"),
        *_family("nv_gpu_utilization", "gauge", f'nv_gpu_utilization{{gpu_uuid="GPU-0"}} {load.cache}'),
    ]


def _nim(load: _Load) -> list[str]:
    at = f'model_name="{load.model}"'
    return [
        *_family("num_requests_running", "gauge", f"num_requests_running{{{at}}} {load.running}.0"),
        *_family("num_requests_waiting", "gauge", f"num_requests_waiting{{{at}}} {load.waiting}.0"),
        *_family("gpu_cache_usage_perc", "gauge", f"gpu_cache_usage_perc{{{at}}} {load.cache}"),
        *_family("prompt_tokens", "counter", f"prompt_tokens_total{{{at}}} {load.prompt}.0"),
        *_family("generation_tokens", "counter", f"generation_tokens_total{{{at}}} {load.generated}.0"),
        *_family("request_success", "counter", f"request_success_total{{{at}}} {load.requests}.0"),
        *_histogram("time_to_first_token_seconds", f"{at},", load.first_token_s, load.requests),
    ]


_PAGES: dict[str, Callable[[_Load], list[str]]] = {
    "nim": _nim, "vllm": _vllm, "sglang": _sglang, "tgi": _tgi, "triton": _triton,
}  # fmt: skip
