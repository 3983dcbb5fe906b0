"""Whether the GPUs of feasible nodes hold the model that a pod's arguments name, and sequences of the length they accept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from fleet.domain.catalog.models import Model
from fleet.domain.placement.model_servers import SGLANG, TGI, TRTLLM, VLLM, ServedModel
from fleet.domain.placement.nodes import PlacementNode, slot_memory
from fleet.domain.quantities import GIB, MIB
from fleet.domain.refusals import FieldError
from fleet.domain.sizing.layouts import Layout, Load, Product, layout_of
from fleet.domain.sizing.memory import cache, weight_bytes
from fleet.domain.sizing.model_parameters import count
from fleet.domain.sizing.reading import read_config
from fleet.domain.sizing.size import UTILIZATION

_SHARES = {VLLM: UTILIZATION, SGLANG: UTILIZATION, TGI: 1.0, TRTLLM: UTILIZATION}
"""Share of a GPU's memory that each server may use without a setting; of others, all of it."""


def memory_warnings(served: ServedModel, resource: str, gpus: int, nodes: Sequence[PlacementNode]) -> Iterator[tuple[str, str]]:
    """Yields (id, sentence) where memory is too small for the model or for what its arguments allow. A minimum, as in sizing."""
    parallel = served.gpus if served.gpus is not None else gpus
    if served.model is None or served.weights_dtype == "?" or parallel < 1:
        return
    offered = [slot_memory(node, slots) for node in nodes if (slots := node.slots(resource)) is not None]
    sizes = Counter(mib for mib in offered if mib)
    load = _load(served, served.model)
    if load is None or not sizes:
        return
    layouts = {mib: _layout(served, load, mib, parallel) for mib in sizes}
    small = [mib for mib, layout in layouts.items() if not layout.fits]
    title = f"{served.model.title} ({_words(served)})"
    if small:
        number, usable = sum(sizes[mib] for mib in small), min(small) * MIB * load.utilization / GIB
        where = (
            f"{number:,} of {len(nodes):,} feasible nodes have {min(small) / 1024:,.1f} GiB, of which {usable:,.1f} are usable"
        )
        on = f"per GPU on {parallel:,} GPU{'s' * (parallel > 1)}"
        yield "model_memory", f"{title} needs at least {_needs(layouts[min(small)], load)} {on}; {where}."
    rooms = [layout.max_sequences for layout in layouts.values() if layout.fits and layout.max_sequences is not None]
    if rooms and served.sequences is not None and min(rooms) < served.sequences:
        held = f"{min(rooms):,} sequence{'s' * (min(rooms) != 1)} of {load.context_tokens:,} tokens"
        allowed = f"the arguments allow {served.sequences:,}. More at once only while they are shorter."
        yield "sequences", f"Memory holds {held} of {title}; {allowed}"


def _needs(layout: Layout, load: Load) -> str:
    needs = f"{layout.weights_bytes_per_gpu / GIB:,.1f} GiB of weights"
    if not layout.cache_bytes_per_gpu:
        return needs
    return f"{needs} and {layout.cache_bytes_per_gpu / GIB:,.1f} GiB for one sequence of {load.context_tokens:,} tokens"


def _load(served: ServedModel, model: Model) -> Load | None:
    """Returns the model with one sequence of the longest length; None where that is unknown. Weights and cache alone count."""
    try:
        config = read_config(model.config)
    except FieldError:
        return None
    tokens = served.tokens or config.max_context
    if not tokens:
        return None
    return Load(
        config=config,
        weights=weight_bytes(count(config), served.weights_dtype or config.weights_dtype),
        cache=cache(config, served.cache_dtype),
        context_tokens=tokens,
        concurrency=1,
        overhead_bytes=0,
        utilization=served.share or _SHARES.get(served.server, 1.0),
    )


def _layout(served: ServedModel, load: Load, mib: int, parallel: int) -> Layout:
    replicas = served.data or 1
    pipeline = served.pipeline or 1
    tensor = served.tensor or max(parallel // (pipeline * replicas), 1)
    product = Product(name="the GPU", memory_bytes=mib * MIB, gpus_per_node=max(tensor * pipeline, 1))
    return layout_of(load, product, tensor, pipeline)


def _words(served: ServedModel) -> str:
    sizes = (("tensor", served.tensor), ("pipeline", served.pipeline), ("data", served.data))
    parallel = [f"{kind} parallel {size}" for kind, size in sizes if size and size > 1]
    dtype = [served.weights_dtype.upper()] if served.weights_dtype else []
    return ", ".join([*dtype, *parallel]) or "as published"
