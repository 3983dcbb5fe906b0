from __future__ import annotations

from datetime import UTC, datetime

import pytest
from msgspec import structs

from fleet.collectors.errors import Failure
from fleet.collectors.exporters import Page, target_of
from fleet.collectors.exposition import parse
from fleet.collectors.model_servers import find_targets, parse_numbers, pod_of, read, server_of
from fleet.domain.catalog.model_servers import by_kind, load
from fleet.domain.snapshot import ContainerPort, ContainerSnapshot, PodSnapshot
from fleet.domain.snapshot.sections import Outcome
from fleet.domain.snapshot.telemetry import ModelServer
from fleet.simulator import model_server
from fleet.simulator.fleet import build_fleet
from tests.collectors.pages import line, page

AT = datetime(2026, 11, 23, 12, tzinfo=UTC)


def pod(image: str, *ports: ContainerPort, gpus: int = 1, **more: object) -> PodSnapshot:
    asked = {"nvidia.com/gpu": str(gpus)} if gpus else {}
    container = ContainerSnapshot(name="main", image=image, requests=asked, ports=ports)
    whole = PodSnapshot(
        uid="u", namespace="ml", name="server-0", node_name="n", phase="Running", ready=True, containers=(container,)
    )
    return structs.replace(whole, **more)


@pytest.mark.parametrize(
    ("image", "kind"),
    [
        ("docker.io/vllm/vllm-openai:v0.11.0", "vllm"),
        ("vllm/vllm-openai@sha256:0123", "vllm"),
        ("registry.local:5000/mirror/vllm-openai", "vllm"),
        ("rocm/vllm:rocm6.4", "vllm"),
        ("lmsysorg/sglang:v0.5.4-cu129", "sglang"),
        ("ghcr.io/huggingface/text-generation-inference:3.3.6", "tgi"),
        ("nvcr.io/nvidia/tritonserver:25.09-py3", "triton"),
        ("nvcr.io/nim/meta/llama-3.1-8b-instruct:1.13.1", "nim"),
        ("nvcr.io/nvidia/pytorch:25.09-py3", ""),
        ("ghcr.io/vllm-project/vllm-router:1", ""),
        ("", ""),
    ],
)
def test_servers_by_image(image: str, kind: str) -> None:
    server = server_of(pod(image, gpus=0))
    assert (server.kind if server else "") == kind


def test_servers_by_label_only_where_there_is_a_gpu() -> None:
    labels = {"app.kubernetes.io/name": "vllm"}
    assert server_of(pod("registry.local/own-build:7", labels=labels)).kind == "vllm"  # type: ignore[union-attr]
    assert server_of(pod("registry.local/own-router:7", gpus=0, labels=labels)) is None


@pytest.mark.parametrize("gone", [{"node_name": ""}, {"phase": "Succeeded"}, {"phase": "Failed"}, {"component": "validator"}])
def test_what_runs_nowhere_is_no_server(gone: dict[str, str]) -> None:
    assert server_of(pod("vllm/vllm-openai", **gone)) is None


@pytest.mark.parametrize(
    ("ports", "port", "scheme"),
    [
        ((), 8000, "http"),
        ((ContainerPort(8080, "http"),), 8080, "http"),
        ((ContainerPort(8080, "http"), ContainerPort(8000, "api")), 8000, "http"),
        ((ContainerPort(8000, "http"), ContainerPort(9090, "metrics")), 9090, "http"),
        ((ContainerPort(8443, "https"),), 8443, "https"),
    ],
)
def test_where_it_is_asked(ports: tuple[ContainerPort, ...], port: int, scheme: str) -> None:
    target = target_of(pod("vllm/vllm-openai", *ports), 8000)
    assert (target.port, target.scheme) == (port, scheme)


def numbers(kind: str, text: str) -> ModelServer:
    ((target, server),) = find_targets([pod({"vllm": "a/vllm-openai", "sglang": "a/sglang", "nim": "nvcr.io/nim/a"}[kind])])
    return parse_numbers(target.pod, kind, read(target, text.encode(), server), AT)


def test_engines_are_added_up_and_the_fullest_cache_counts() -> None:
    text = page(
        line("vllm:num_requests_running", {"engine": "0", "model_name": "llama"}, 3),
        line("vllm:num_requests_running", {"engine": "1", "model_name": "llama"}, 4),
        line("vllm:kv_cache_usage_perc", {"engine": "0", "model_name": "llama"}, 0.2),
        line("vllm:kv_cache_usage_perc", {"engine": "1", "model_name": "llama"}, 0.9),
        line("vllm:request_success_total", {"finished_reason": "stop"}, 10),
        line("vllm:request_success_total", {"finished_reason": "length"}, 2),
        line("vllm:time_to_first_token_seconds_bucket", {"le": "1"}, 12),
        line("vllm:time_to_first_token_seconds_sum", {}, 1.5),
        line("vllm:time_to_first_token_seconds_count", {}, 12),
    )
    result = numbers("vllm", text)
    assert (result.running, result.kv_cache, result.requests) == (7, 0.9, 12)
    assert (result.ttft_sum, result.ttft_count, result.models) == (1.5, 12, ("llama",))
    assert (result.waiting, result.generation_tokens) == (None, None), "what it does not tell is not 0"


def test_old_names_and_underscores() -> None:
    assert numbers("vllm", page(line("vllm:gpu_cache_usage_perc", {}, 0.4))).kv_cache == 0.4
    assert numbers("sglang", page(line("sglang_num_running_reqs", {}, 2))).running == 2
    assert numbers("nim", page(line("num_requests_running", {}, 2))).running == 2


def test_the_new_name_wins_where_both_are_there() -> None:
    text = page(line("vllm:gpu_cache_usage_perc", {}, 0.4), line("vllm:kv_cache_usage_perc", {}, 0.5))
    assert numbers("vllm", text).kv_cache == 0.5


def test_no_number_is_not_zero() -> None:
    assert (
        numbers("vllm", page(line("vllm:kv_cache_usage_perc", {}, "NaN"), line("vllm:num_requests_running", {}, 1))).kv_cache
        is None
    )


def test_a_page_without_any_of_its_numbers_is_none() -> None:
    with pytest.raises(Failure, match="none of the metrics of vllm"):
        numbers("vllm", page(line("python_gc_objects_collected_total", {}, 1)))


def test_one_that_did_not_answer_keeps_its_pods_state() -> None:
    ((target, server),) = find_targets([pod("vllm/vllm-openai")])
    result = pod_of(Page(target=target, at=AT, took_ms=1, failure=Failure(Outcome.TIMEOUT, "slow")), server)
    assert (result.ready, result.outcome, result.reason, result.at, result.running) == (True, Outcome.TIMEOUT, "slow", None, None)


@pytest.mark.parametrize("kind", [server.kind for server in load().server])
def test_every_kind_as_the_simulator_spells_it(kind: str) -> None:
    """Two authors of one format: the catalogue's names are found on the page that the simulator makes without it."""
    cluster = build_fleet(clusters=1, nodes=0).clusters[0]
    cluster.add_node("h100", name="n")
    made = cluster.add_pod("n", slots=1, work="infer")
    image = {"nim": "nvcr.io/nim/a:1", "vllm": "a/vllm-openai:1", "sglang": "a/sglang:1", "tgi": "a/text-generation-inference:1",
             "triton": "a/tritonserver:1"}[kind]  # fmt: skip
    made.template.containers = (type(made.template.containers[0])("main", image),)
    ((target, server),) = find_targets([pod(image)])
    assert server.kind == kind
    text = next(text for path in server.paths if (text := model_server.render(cluster, made, path.lstrip("/"))) is not None)
    numbers = parse_numbers(target.pod, kind, read(target, text.encode(), server), AT)
    for field in by_kind()[kind].names:
        assert getattr(numbers, field) is not None, field


@pytest.mark.parametrize("value", ["NaN", "+Inf", "-Inf", "-1e300", "1e300", "-1"])
def test_a_number_that_cannot_be_one_is_none_and_proves_no_work(value: str) -> None:
    """A counter that goes from -1e300 to 0 would look like tokens that were generated."""
    server = pod("vllm/vllm-openai:v1")
    names = by_kind()["vllm"].names
    text = "\n".join(f"{names[field][0]} {value}" for field in ("generation_tokens", "requests", "kv_cache"))
    numbers = parse_numbers(server, "vllm", list(parse(text)), AT)
    assert (numbers.generation_tokens, numbers.requests, numbers.kv_cache) == (None, None, None)
