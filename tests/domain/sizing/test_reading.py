"""Configurations that people paste: other spellings, nested ones, quantised ones, and those that are refused."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.domain.refusals import FieldError
from fleet.domain.sizing.model_parameters import count
from fleet.domain.sizing.reading import read_config

LLAMA: dict[str, Any] = {
    "model_type": "llama",
    "hidden_size": 4096,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "intermediate_size": 14336,
    "vocab_size": 128256,
    "tie_word_embeddings": False,
}


def test_a_text_config_inside_a_multimodal_one_is_the_language_model() -> None:
    outer = {"model_type": "llava", "text_config": LLAMA, "vision_config": {"hidden_size": 1024, "num_hidden_layers": 24}}
    config = read_config(outer)
    assert config.model_type == "llama"
    assert count(config).total > count(read_config(LLAMA)).total


@pytest.mark.parametrize(
    ("quantisation", "dtype"),
    [
        ({"quant_method": "awq", "bits": 4}, "int4"),
        ({"quant_method": "gptq", "bits": 8}, "int8"),
        ({"quant_method": "fp8"}, "fp8"),
        ({"quant_method": "mxfp4"}, "mxfp4"),
        ({"quant_method": "compressed-tensors", "format": "nvfp4-pack-quantized"}, "nvfp4"),
        ({"quant_method": "compressed-tensors", "format": "float-quantized"}, "fp8"),
        ({"quant_method": "modelopt", "quant_algo": "NVFP4"}, "nvfp4"),
        ({}, "fp16"),
    ],
)
def test_the_stored_precision_is_read(quantisation: dict[str, Any], dtype: str) -> None:
    assert read_config({**LLAMA, "torch_dtype": "float16", "quantization_config": quantisation}).weights_dtype == dtype


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"hidden_size": None}, "hidden_size"),
        ({"num_hidden_layers": 0}, "num_hidden_layers"),
        ({"num_hidden_layers": 1_001}, "num_hidden_layers"),
        ({"vocab_size": "many"}, "vocab_size"),
        ({"vocab_size": True}, "vocab_size"),
        ({"intermediate_size": -1}, "intermediate_size"),
        ({"num_attention_heads": 2**70}, "num_attention_heads"),
        ({"model_type": "t5"}, "model_type"),
    ],
)
def test_a_configuration_that_cannot_be_sized_names_its_field(change: dict[str, Any], field: str) -> None:
    with pytest.raises(FieldError) as refused:
        read_config({**LLAMA, **change})
    assert refused.value.field == field


VALUES = st.sampled_from([None, True, -1, 0, 1, 7, 2**70, 0.5, "", "x", [], [1, 1], [1, 2], ["full_attention"], {}, {"a": 1}])
KEYS = st.sampled_from([*LLAMA, "head_dim", "sliding_window", "num_experts", "layer_types", "kv_lora_rank", "vision_config"])


@given(changes=st.dictionaries(KEYS, VALUES))
def test_any_document_is_sized_or_refused_with_its_field(changes: dict[str, Any]) -> None:
    try:
        total = count(read_config({**LLAMA, **changes})).total
    except FieldError as error:
        total = 0 if error.field else -1
    assert total >= 0
