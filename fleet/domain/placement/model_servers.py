"""Reads what a container's arguments say of the model that it serves: vLLM, SGLang, TGI, TensorRT-LLM and NIM.

Flags as their documentation names them; the same flag may come from several servers. What is not written is None, never a
default, except that vLLM and SGLang use one GPU where no parallelism is given.
"""

from __future__ import annotations

import re
from functools import cache

import msgspec

from fleet.domain.catalog import models as catalog
from fleet.domain.placement.scheduler.terms import Spec, items, text, texts

_LONGEST_TEXT = 2_000
_MOST_WORDS = 2_000
_MOST_GPUS = 9_999
VLLM, SGLANG, TGI, TRTLLM, NIM = "vLLM", "SGLang", "TGI", "TensorRT-LLM", "NIM"
_IMAGES = (
    *(("nim/", NIM), ("vllm", VLLM), ("sglang", SGLANG), ("text-generation-inference", TGI)),
    *(("tensorrt-llm", TRTLLM), ("tensorrt_llm", TRTLLM), ("trtllm", TRTLLM)),
)
"""Part of an image's or command's name to the server, the first that matches."""
_FLAGS = {
    "model": ("--model", "--model-path", "--model-id", "--model_path"),
    "tensor": ("--tensor-parallel-size", "-tp", "--tp-size", "--tp", "--num-shard", "--tp_size"),
    "pipeline": ("--pipeline-parallel-size", "-pp", "--pp-size", "--pp_size"),
    "data": ("--data-parallel-size", "-dp", "--dp-size", "--dp"),
    "tokens": ("--max-model-len", "--context-length", "--max-total-tokens", "--max_seq_len"),
    "sequences": ("--max-num-seqs", "--max-running-requests", "--max_batch_size"),
    "share": ("--gpu-memory-utilization", "--mem-fraction-static", "--cuda-memory-fraction"),
    "weights": ("--quantization", "-q", "--quantize"),
    "dtype": ("--dtype",),
    "cache": ("--kv-cache-dtype", "--kv_cache_dtype"),
}
_VARIABLES = {
    "model": ("MODEL_ID", "NIM_MODEL_NAME", "VLLM_MODEL"),
    "tensor": ("NIM_TENSOR_PARALLEL_SIZE", "NUM_SHARD"),
    "pipeline": ("NIM_PIPELINE_PARALLEL_SIZE",),
    "tokens": ("NIM_MAX_MODEL_LEN", "MAX_TOTAL_TOKENS"),
    "weights": ("QUANTIZE",),
}
_SERVES = {"vllm": "serve", "trtllm-serve": ""}
"""Command to the word after which the model stands by itself."""
_MULTIPLES = {"k": 1_000, "K": 1_024, "m": 10**6, "M": 1_024**2}
"""vLLM's human-readable integers: 32k is 32,000 and 32K is 32,768 tokens."""
_WEIGHTS = {
    **dict.fromkeys(("fp8", "fp8_e4m3", "compressed-tensors-fp8", "modelopt"), "fp8"),
    **dict.fromkeys(("awq", "awq_marlin", "gptq", "gptq_marlin", "marlin", "eetq-int4"), "int4"),
    **dict.fromkeys(("modelopt_fp4", "nvfp4", "modelopt_nvfp4"), "nvfp4"),
    "mxfp4": "mxfp4",
    **dict.fromkeys(("int8", "eetq", "w8a8_int8"), "int8"),
}
_SUFFIXES = (
    *((r"[-_.]?fp8(?:-dynamic|-kv|-block)?", "fp8"), (r"[-_.]?nvfp4", "nvfp4"), (r"[-_.]?mxfp4", "mxfp4")),
    *((r"[-_.]?(?:awq|gptq)(?:[-_.]int4|[-_.]4bit)?", "int4"), (r"[-_.]?(?:quantized\.)?w4a16", "int4"), (r"[-_.]?int4", "int4")),
    *((r"[-_.]?(?:quantized\.)?w8a8", "int8"), (r"[-_.]?int8", "int8"), (r"[-_.]?bf16", "bf16"), (r"[-_.]?fp16", "fp16")),
)
"""Ends of a repository's name that state a precision."""
_VARIANTS = re.compile(r"[-_](?:instruct|it|chat|hf|base|v0\.1|\d{4})$")
_NUMBER = re.compile(r"([0-9]{1,9})([kKmM]?)", re.ASCII)


class ServedModel(msgspec.Struct, frozen=True, kw_only=True):
    """What one container serves, as far as its arguments state it."""

    container: str
    server: str = ""
    """Empty for an unknown one."""
    name: str = ""
    """As written."""
    model: catalog.Model | None = None
    """Of the catalogue; None where the name is not one of its models."""
    weights_dtype: str = ""
    """Empty: as published. A precision that Muster does not know is "?"."""
    cache_dtype: str = "bf16"
    tensor: int | None = None
    pipeline: int | None = None
    data: int | None = None
    tokens: int | None = None
    """The longest sequence that it accepts."""
    sequences: int | None = None
    """Sequences at once that it accepts."""
    share: float | None = None
    """Of the GPU's memory that it may use."""

    @property
    def gpus(self) -> int | None:
        """Returns the GPUs that its parallelism uses; None where it chooses by itself or that is unknown."""
        sizes = [size for size in (self.tensor, self.pipeline, self.data) if size is not None]
        if not sizes:
            return 1 if self.server in (VLLM, SGLANG) else None
        number = 1
        for size in sizes:
            number *= size
        return number


def served_models(spec: Spec) -> tuple[ServedModel, ...]:
    """Returns the containers whose arguments, environment or image name a model server or a parallelism."""
    rows = [_served(container) for container in items(spec.get("containers"))]
    return tuple(row for row in rows if row.server or row.name or row.tensor is not None or row.pipeline is not None)


def _served(container: Spec) -> ServedModel:
    words = [
        word for part in ("command", "args") for entry in texts(container.get(part)) for word in entry[:_LONGEST_TEXT].split()
    ][:_MOST_WORDS]
    image = text(container.get("image"))[:512]
    server = next((name for part, name in _IMAGES if part in image.lower()), "") or _by_command(words)
    variables = {text(entry.get("name")): text(entry.get("value")) for entry in items(container.get("env"))}

    def given(name: str) -> str:
        return _flag(words, name) or next((variables[key] for key in _VARIABLES.get(name, ()) if variables.get(key)), "")

    name = given("model") or _positional(words) or (_of_nim(image) if server == NIM else "")
    model, stored = find_model(name)
    asked = given("weights").lower()
    share = given("share")
    return ServedModel(
        container=text(container.get("name"))[:63],
        server=server,
        name=name[:200],
        model=model,
        weights_dtype=_WEIGHTS.get(asked, "?") if asked not in ("", "none", "auto") else stored or _dtype(given("dtype")),
        cache_dtype="fp8" if given("cache").lower().startswith("fp8") else "bf16",
        tensor=_number(given("tensor"), _MOST_GPUS),
        pipeline=_number(given("pipeline"), _MOST_GPUS),
        # With attention parallel over data, SGLang's data parallelism is within its tensor parallelism.
        data=None if "--enable-dp-attention" in words else _number(given("data"), _MOST_GPUS),
        tokens=_number(given("tokens")),
        sequences=_number(given("sequences")),
        share=float(share) if re.fullmatch(r"0?\.[0-9]{1,4}|1(?:\.0{1,4})?|0", share, re.ASCII) and float(share) > 0 else None,
    )


def _flag(words: list[str], name: str) -> str:
    for position, word in enumerate(words):
        flag, equals, value = word.partition("=")
        if flag in _FLAGS[name]:
            return value if equals else next(iter(words[position + 1 : position + 2]), "")
    return ""


def _by_command(words: list[str]) -> str:
    names = {word.rpartition("/")[2] for word in words[:8]}
    if "vllm" in names or any("vllm.entrypoints" in word for word in words[:8]):
        return VLLM
    if any("sglang" in word for word in words[:8]):
        return SGLANG
    if "text-generation-launcher" in names:
        return TGI
    return TRTLLM if "trtllm-serve" in names else ""


def _positional(words: list[str]) -> str:
    """Returns the model of `vllm serve MODEL` and `trtllm-serve [serve] MODEL`."""
    for position, word in enumerate(words[:-1]):
        name = word.rpartition("/")[2]
        if name in _SERVES:
            rest = words[position + 1 : position + 3]
            if rest[:1] == ["serve"]:
                rest = rest[1:]
            elif name == "vllm":
                continue
            if rest and not rest[0].startswith("-"):
                return rest[0]
    return ""


def _of_nim(image: str) -> str:
    """Returns publisher and model of an image such as nvcr.io/nim/meta/llama-3.1-8b-instruct:1.13."""
    path = image.partition("@")[0].partition("nim/")[2]
    return path.partition(":")[0]


def _dtype(word: str) -> str:
    return {"float32": "fp32", "float": "fp32"}.get(word, "")


def _number(word: str, most: int = 10**9 - 1) -> int | None:
    match = _NUMBER.fullmatch(word)
    if match is None:
        return None
    number = int(match[1]) * _MULTIPLES.get(match[2], 1)
    return number if 0 < number <= most else None


def find_model(name: str) -> tuple[catalog.Model | None, str]:
    """Returns the model of the catalogue that a repository's name means, and the precision that its name states.

    None where no model or several have the name, and for a local path: the name of a folder proves nothing.
    """
    if not name or name.startswith(("/", ".", "~")) or "://" in name:
        return None, ""
    short = name.rpartition("/")[2].lower()
    for ending, dtype in _SUFFIXES:
        match = re.search(rf"{ending}$", short)
        if match is not None and match.start() > 0:
            model = _by_name().get(_plain(short[: match.start()]))
            return model, dtype
    return _by_name().get(_plain(short)), ""


def _plain(name: str) -> str:
    """Returns a name without what variants of one architecture differ by."""
    name = name.lower().removeprefix("meta-")
    while (shorter := _VARIANTS.sub("", name)) != name:
        name = shorter
    return name.replace("_", "-")


@cache
def _by_name() -> dict[str, catalog.Model | None]:
    """Plain name to model; None where several models with different configurations share it."""
    names: dict[str, catalog.Model | None] = {}
    for model in catalog.load().model:
        for name in {_plain(model.repository.rpartition("/")[2]), _plain(model.id)}:
            before = names.get(name, model)
            names[name] = model if before is not None and before.config == model.config else None
    return names
