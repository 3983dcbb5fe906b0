"""Layouts: one GPU, one node, several nodes, experts; and what decides between them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.domain.catalog import models
from fleet.domain.sizing.layouts import Layout, Product
from fleet.domain.sizing.reading import read_config
from fleet.domain.sizing.size import OVERHEAD_BYTES, Question, Sizing, size

MIB, GIB = 2**20, 2**30
H100 = Product(name="NVIDIA-H100-80GB-HBM3", memory_bytes=81_559 * MIB, gpus_per_node=8)
SLICE = Product(name="H100 1g.10gb", memory_bytes=9_984 * MIB, gpus_per_node=1)


def sized(model: str, product: Product = H100, **fields: object) -> Sizing:
    return size(Question(config=read_config(models.by_id()[model].config), **fields), [product])  # type: ignore[arg-type]


def layout_of(model: str, product: Product = H100, **fields: object) -> Layout:
    return sized(model, product, **fields).layouts[0]


def test_a_small_model_takes_one_gpu() -> None:
    layout = layout_of("llama-3.1-8b")
    assert (layout.gpus, layout.tensor_parallel, layout.fits) == (1, 1, True)


def test_seventy_billion_in_bf16_take_four_gpus_for_sixteen_sequences() -> None:
    layout = layout_of("llama-3.3-70b", context_tokens=16_384, concurrency=16)
    assert (layout.tensor_parallel, layout.nodes, layout.max_sequences) == (4, 1, 29)
    assert round((layout.free_bytes_per_gpu or 0) / GIB, 1) == 16.8


def test_what_no_node_holds_is_spread_over_nodes() -> None:
    layout = layout_of("deepseek-v3")
    assert (layout.tensor_parallel, layout.pipeline_parallel, layout.nodes) == (8, 2, 2)


def test_tensor_parallel_divides_the_attention_heads() -> None:
    """Falcon 7B has 71 heads, a prime number: no two GPUs can share them."""
    small = Product(name="small", memory_bytes=16 * GIB, gpus_per_node=8)
    assert all(layout.tensor_parallel == 1 for layout in sized("falcon-7b", small, concurrency=200).layouts)


def test_a_mixture_of_experts_is_also_laid_out_by_experts() -> None:
    by_tensor, by_experts = sized("deepseek-v3", concurrency=64).layouts
    assert (by_experts.expert_parallel, by_experts.data_parallel, by_experts.tensor_parallel) == (16, 16, 1)
    assert (by_experts.max_sequences or 0) > (by_tensor.max_sequences or 0), "each GPU caches other sequences"


def test_what_does_not_fit_says_what_it_needs() -> None:
    layout = layout_of("llama-3.1-8b", SLICE)
    assert not layout.fits
    assert layout.free_bytes_per_gpu is None
    assert layout.max_sequences is None
    assert layout.why_not == "Needs 18.0 GiB per GPU on 1 GPUs; 8.8 GiB of H100 1g.10gb are usable."


@pytest.mark.parametrize(("spare", "fits"), [(0, True), (-1, False)])
def test_exactly_enough_memory_is_enough(spare: int, fits: bool) -> None:
    question = Question(config=read_config(models.by_id()["qwen3-0.6b"].config), context_tokens=4_096, utilization=1.0)
    answer = size(question, [SLICE])
    needed = answer.weights.total + answer.kv_total + OVERHEAD_BYTES
    layout = size(question, [Product(name="exact", memory_bytes=needed + 64 + spare * 128, gpus_per_node=1)]).layouts[0]
    assert layout.fits is fits


def test_the_floor_counts_memory_alone_and_never_exceeds_a_layout() -> None:
    answer = sized("llama-3.3-70b", context_tokens=16_384, concurrency=16)
    assert answer.minimum_gpus == {H100.name: 4}


@pytest.mark.slow
@given(
    model=st.sampled_from([model.id for model in models.load().model]),
    context=st.integers(1, 200_000),
    concurrency=st.integers(1, 512),
    memory=st.integers(4, 300),
    gpus=st.sampled_from([1, 2, 4, 8]),
)
def test_more_memory_never_needs_more_gpus(model: str, context: int, concurrency: int, memory: int, gpus: int) -> None:
    def smallest(gib: int) -> tuple[bool, int]:
        product = Product(name="p", memory_bytes=gib * GIB, gpus_per_node=gpus)
        layouts = sized(model, product, context_tokens=context, concurrency=concurrency).layouts
        return not layouts[0].fits, min(layout.gpus for layout in layouts)

    less, more = smallest(memory), smallest(memory + 50)
    assert more <= less or not less[0] >= more[0]


@given(
    model=st.sampled_from([model.id for model in models.load().model]),
    context=st.integers(1, 100_000),
    concurrency=st.integers(1, 64),
)
def test_a_layout_that_fits_holds_at_least_what_was_asked(model: str, context: int, concurrency: int) -> None:
    answer = sized(model, context_tokens=context, concurrency=concurrency)
    for layout in answer.layouts:
        if layout.fits:
            assert layout.max_sequences is None or layout.max_sequences >= concurrency
            assert layout.gpus >= 1
            assert (layout.free_bytes_per_gpu or 0) >= 0
        else:
            assert layout.why_not
