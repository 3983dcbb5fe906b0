"""What arguments of model servers say of their model, and whether the memory of feasible nodes holds it."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from fleet.domain.placement.explain_warnings import warnings_for
from fleet.domain.placement.model_servers import ServedModel, find_model, served_models
from fleet.domain.placement.nodes import PlacementNode
from tests.domain.placement.fleets import bare, slots
from tests.domain.placement.test_explain import asking

GPU = "nvidia.com/gpu"
SGLANG = "python3 -m sglang.launch_server"


def served(image: str = "example/app", *, args: str = "", env: dict[str, str] | None = None) -> ServedModel:
    variables = [{"name": name, "value": value} for name, value in (env or {}).items()]
    (row,) = served_models({"containers": [{"name": "m", "image": image, "args": args.split(), "env": variables}]})
    return row


@pytest.mark.parametrize(
    ("row", "server", "model", "sizes", "limits"),
    [
        (
            served(
                "vllm/vllm-openai:v0.11",
                args="--model=meta-llama/Llama-3.3-70B-Instruct -tp 4 --max-model-len 32k --max-num-seqs 64",
            ),
            *("vLLM", "llama-3.3-70b", (4, None), (32_000, 64)),
        ),
        (served(args="vllm serve Qwen/Qwen3-32B --tensor-parallel-size=2"), "vLLM", "qwen3-32b", (2, None), (None, None)),
        (
            served(args=f"{SGLANG} --model-path deepseek-ai/DeepSeek-V3 --tp 8 --pp-size 2 --context-length 8192"),
            *("SGLang", "deepseek-v3", (8, 2), (8_192, None)),
        ),
        (
            served("ghcr.io/huggingface/text-generation-inference:3", env={"MODEL_ID": "google/gemma-2-9b-it", "NUM_SHARD": "2"}),
            *("TGI", "gemma-2-9b", (2, None), (None, None)),
        ),
        (
            served(args="trtllm-serve meta-llama/Llama-3.1-8B-Instruct --tp_size 2 --max_batch_size 8 --max_seq_len 4096"),
            *("TensorRT-LLM", "llama-3.1-8b", (2, None), (4_096, 8)),
        ),
        (
            served(
                "nvcr.io/nim/meta/llama-3.1-8b-instruct:1.13", env={"NIM_TENSOR_PARALLEL_SIZE": "1", "NIM_MAX_MODEL_LEN": "8192"}
            ),
            *("NIM", "llama-3.1-8b", (1, None), (8_192, None)),
        ),
    ],
)
def test_every_server_says_what_it_serves(
    row: ServedModel, server: str, model: str, sizes: tuple[int, int | None], limits: tuple[int | None, int | None]
) -> None:
    assert row.model is not None
    assert (row.server, row.model.id, (row.tensor, row.pipeline), (row.tokens, row.sequences)) == (server, model, sizes, limits)


@pytest.mark.parametrize(
    ("name", "model", "dtype"),
    [
        ("meta-llama/Meta-Llama-3.1-8B-Instruct", "llama-3.1-8b", ""),
        ("neuralmagic/Llama-3.3-70B-Instruct-FP8-dynamic", "llama-3.3-70b", "fp8"),
        ("Qwen/Qwen2.5-72B-Instruct-AWQ", "qwen2.5-72b", "int4"),
        ("Qwen/Qwen2.5-7B-Instruct-GPTQ-Int4", "qwen2.5-7b", "int4"),
        ("RedHatAI/Llama-3.1-8B-Instruct-quantized.w8a8", "llama-3.1-8b", "int8"),
        ("openai/gpt-oss-120b", "gpt-oss-120b", ""),
        ("/models/Llama-3.3-70B-Instruct", None, ""),
        ("s3://bucket/Llama-3.3-70B-Instruct", None, ""),
        ("someone/my-finetune", None, ""),
    ],
)
def test_a_repository_is_a_model_of_the_catalogue_or_unknown(name: str, model: str | None, dtype: str) -> None:
    known, stated = find_model(name)
    assert (known.id if known else None, stated) == (model, dtype)


def test_an_unknown_quantisation_is_no_guess() -> None:
    assert served("vllm/vllm-openai", args="--model Qwen/Qwen3-8B --quantization gguf").weights_dtype == "?"
    assert served("vllm/vllm-openai", args="--model Qwen/Qwen3-8B --quantization fp8").weights_dtype == "fp8"


@pytest.mark.parametrize("args", ["--max-model-len -1", "--max-model-len 99999999999", "-tp x", "--gpu-memory-utilization 7"])
def test_a_value_that_cannot_be_is_not_read(args: str) -> None:
    row = served("vllm/vllm-openai", args=args)
    assert (row.tokens, row.tensor, row.share) == (None, None, None)


def node(name: str = "n", mib: int = 81_559) -> PlacementNode:
    return replace(
        bare(name), resources=(slots(GPU),), gpu_memory_mib=mib, sharing="exclusive", partitioning="none", verdict="ready"
    )


def warned(gpus: int, args: str, *nodes: PlacementNode, image: str = "vllm/vllm-openai:v0.11") -> dict[str, str]:
    spec: dict[str, Any] = {"containers": [{"name": "m", "image": image, "args": args.split()}]}
    return {row.id: row.text for row in warnings_for(asking(gpus), spec, nodes)}


LLAMA = "--model meta-llama/Llama-3.3-70B-Instruct"


def test_seventy_billion_do_not_fit_one_gpu_and_fit_four() -> None:
    text = warned(1, f"{LLAMA} --max-model-len 8192", node())["model_memory"]
    assert "Llama 3.3 70B (as published) needs at least 131.4 GiB of weights" in text
    assert "1 of 1 feasible nodes have 79.6 GiB, of which 71.7 are usable" in text
    assert "model_memory" not in warned(4, f"{LLAMA} -tp 4 --max-model-len 8192", node())


def test_nodes_with_less_memory_are_counted() -> None:
    text = warned(2, f"{LLAMA} -tp 2 --max-model-len 4096 --quantization fp8", node("a"), node("b", 24_564))["model_memory"]
    assert "1 of 2 feasible nodes have 24.0 GiB" in text


def test_more_sequences_than_memory_holds() -> None:
    text = warned(4, f"{LLAMA} -tp 4 --max-model-len 131072 --max-num-seqs 64", node())["sequences"]
    assert text.startswith("Memory holds 3 sequences of 131,072 tokens of Llama 3.3 70B")
    assert "the arguments allow 64" in text
    assert "sequences" not in warned(4, f"{LLAMA} -tp 4 --max-model-len 8192 --max-num-seqs 8", node())


def test_one_sequence_that_does_not_fit_beside_the_weights() -> None:
    text = warned(1, "--model meta-llama/Llama-3.1-8B-Instruct", node(mib=24_564))["model_memory"]
    assert "for one sequence of 131,072 tokens" in text


def test_parallelism_counts_data_parallel_and_its_absence() -> None:
    assert "parallelism" not in warned(8, f"{LLAMA} -tp 4 --data-parallel-size 2", node())
    assert "uses 1 of 4 requested GPUs" in warned(4, "--model Qwen/Qwen3-8B", node())["parallelism"]
    assert "parallelism" not in warned(4, "--model-id Qwen/Qwen3-8B", node(), image="huggingface/text-generation-inference")


def test_sglang_divides_attention_within_its_tensor_parallelism() -> None:
    args = f"{SGLANG} --model-path deepseek-ai/DeepSeek-V3 --tp 8 --dp-size 8"
    assert (served(args=args).gpus, served(args=f"{args} --enable-dp-attention").gpus) == (64, 8)


def test_no_warning_without_a_known_model_or_memory() -> None:
    assert not {"model_memory", "sequences"} & warned(1, "--model /data/llama --max-num-seqs 9999", node()).keys()
    unknown = replace(node(), gpu_memory_mib=None)
    assert not {"model_memory", "sequences"} & warned(1, LLAMA, unknown).keys()
