"""Sizing: GPU memory of a model under load, the GPUs and classes in which it fits, and the replicas that could run now."""

from __future__ import annotations

import json
from dataclasses import dataclass

import msgspec
from django import forms
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from fleet.domain.catalog import models as catalog
from fleet.domain.refusals import FieldError
from fleet.domain.sizing.config import ModelConfig
from fleet.domain.sizing.layouts import Layout
from fleet.domain.sizing.reading import read_config
from fleet.domain.sizing.size import Question, size
from fleet.selectors.placement.sizing import FittingClass, FleetSizing, size_model
from fleet.web.shell.render import render_page

GIB = 2**30
CONTEXTS = tuple((str(1024 * 2**power), f"{2**power} k") for power in range(8))
SEQUENCES = tuple((str(number), f"{number:,}") for number in (1, 4, 16, 64, 256, 1024))
WEIGHTS = (("", "As stored"), ("bf16", "BF16"), ("fp8", "FP8"), ("int8", "INT8"), ("int4", "INT4"), ("nvfp4", "NVFP4"))
KV = (("bf16", "BF16"), ("fp8", "FP8"))
MOST_CONFIG = 100_000
"""Characters of a pasted config.json."""
DEFAULTS = {
    "model": "llama-3.3-70b",
    "weights": "",
    "kv": "bf16",
    "context": "16384",
    "sequences": "16",
    "share": "90",
    "overhead": "2",
}
BAR = 1000
"""Width of a memory bar in the units of its drawing."""


class SizingForm(forms.Form):
    """The question, as the page's address has it."""

    model = forms.ChoiceField(choices=[(model.id, model.title) for model in catalog.load().model])
    weights = forms.ChoiceField(choices=WEIGHTS, required=False)
    kv = forms.ChoiceField(choices=KV)
    context = forms.IntegerField(min_value=1, max_value=10_000_000)
    sequences = forms.IntegerField(min_value=1, max_value=100_000)
    share = forms.IntegerField(min_value=5, max_value=100)
    overhead = forms.FloatField(min_value=0, max_value=100)
    config = forms.CharField(required=False, max_length=MOST_CONFIG)

    def clean_config(self) -> ModelConfig | None:
        """The pasted configuration; None where a model of the list is selected."""
        text = str(self.cleaned_data["config"]).strip()
        if not text:
            return None
        try:
            document = json.loads(text)
            if not isinstance(document, dict):
                raise forms.ValidationError("config.json must be a JSON object.")
            return read_config(document)
        except (ValueError, RecursionError) as error:
            sentence = str(error) if isinstance(error, FieldError) else f"Not valid JSON: {error}"
            raise forms.ValidationError(sentence) from error


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of one GPU's memory in a bar."""

    kind: str
    """weights, cache, overhead, free or kept: the part that the server does not use."""
    title: str
    gib: float
    start: int
    width: int


@dataclass(frozen=True, slots=True)
class LayoutRow:
    """One layout, with the class in which it fits."""

    layout: Layout
    words: str
    class_: FittingClass | None
    segments: tuple[Segment, ...]


@dataclass(frozen=True, slots=True)
class Cell:
    """How many GPUs one context and number of sequences needs."""

    gpus: int | None
    """None where no layout fits."""
    current: bool


def sizing_page(request: HttpRequest) -> HttpResponse:
    """Context: form, chosen (Model or None), answer (FleetSizing or None), rows, best, headline, grid, contexts, sequences."""
    form = SizingForm({**DEFAULTS, **{name: request.GET.get(name, value) for name, value in DEFAULTS.items()}})
    if request.method == "POST":
        form = SizingForm({**DEFAULTS, **request.POST.dict()})
    return render_page(request, "sizing/detail.html", "sizing/_answer.html", lambda: _context(form))


def _context(form: SizingForm) -> dict[str, object]:
    model = catalog.by_id().get(str(form["model"].value()))
    context: dict[str, object] = {
        "form": form, "chosen": model, "contexts": CONTEXTS, "sequence_choices": SEQUENCES, "weights": WEIGHTS, "kv": KV,
        "models": catalog.load().model, "answer": None, "config": None, "most_config": MOST_CONFIG,
    }  # fmt: skip
    if not form.is_valid():
        return context
    pasted = form.cleaned_data["config"]
    question = _question(form, pasted or read_config(catalog.by_id()[form.cleaned_data["model"]].config))
    answer = size_model(question, timezone.now())
    rows = _rows(answer, question)
    best = next((row for row in rows if row.layout.fits), None)
    return {
        **context,
        "pasted": pasted is not None,
        "config": question.config,
        "answer": answer,
        "sizing": answer.sizing,
        "weights_gib": answer.sizing.weights.total / GIB,
        "cache_gib": answer.sizing.kv_total / GIB,
        "rows": [row for row in rows if row.layout.fits],
        "refused": [row for row in rows if not row.layout.fits],
        "best": best,
        "headline": _headline(answer, best),
        "grid": _grid(question, best.layout, answer) if best else (),
    }


def _question(form: SizingForm, config: ModelConfig) -> Question:
    fields = form.cleaned_data
    return Question(
        config=config,
        weights_dtype=fields["weights"],
        kv_dtype=fields["kv"],
        context_tokens=fields["context"],
        concurrency=fields["sequences"],
        overhead_bytes=int(fields["overhead"] * GIB),
        utilization=fields["share"] / 100,
    )


def _headline(answer: FleetSizing, best: LayoutRow | None) -> str:
    if best is None:
        return (
            "Does not fit on any GPU product of this fleet."
            if answer.sizing.layouts
            else "No GPU product with known memory in this fleet."
        )
    now = sum(row.replicas_now for row in answer.classes)
    room = f" {now:,} replicas could run now." if answer.classes else " No workload class holds it yet."
    return f"Needs at least {best.layout.gpus} × {best.layout.product}.{room}"


def _rows(answer: FleetSizing, question: Question) -> list[LayoutRow]:
    """Layouts that fit first: those in a class, by room, then the smallest."""
    by_layout = {row.layout: row for row in reversed(answer.classes)}
    rows = [
        LayoutRow(layout, _words(layout), by_layout.get(layout), _segments(layout, question)) for layout in answer.sizing.layouts
    ]
    return sorted(rows, key=lambda row: (not row.layout.fits, row.class_ is None, -_room(row), row.layout.gpus))


def _room(row: LayoutRow) -> int:
    return row.class_.replicas_now if row.class_ else 0


def _words(layout: Layout) -> str:
    sizes = (layout.tensor_parallel, layout.pipeline_parallel, layout.expert_parallel, layout.data_parallel)
    split = [f"{name} {number}" for name, number in zip(("TP", "PP", "EP", "DP"), sizes, strict=True) if number > 1]
    nodes = [f"{layout.nodes} nodes"] if layout.nodes > 1 else []
    return ", ".join([f"{layout.gpus} GPU{'s' if layout.gpus > 1 else ''}", *nodes, *split])


def _segments(layout: Layout, question: Question) -> tuple[Segment, ...]:
    """The memory of one GPU of the layout, left to right."""
    if layout.free_bytes_per_gpu is None:
        return ()
    used = layout.weights_bytes_per_gpu + layout.cache_bytes_per_gpu + question.overhead_bytes + layout.free_bytes_per_gpu
    whole = used / question.utilization
    parts = (
        ("weights", "Weights", layout.weights_bytes_per_gpu),
        ("cache", "KV cache", layout.cache_bytes_per_gpu),
        ("overhead", "Overhead", question.overhead_bytes),
        ("free", "Free", layout.free_bytes_per_gpu),
        ("kept", "Not used by the server", whole - used),
    )
    segments, at = [], 0.0
    for kind, title, size_bytes in parts:
        start, end = round(BAR * at / whole), round(BAR * (at + size_bytes) / whole)
        segments.append(Segment(kind, title, size_bytes / GIB, start, end - start))
        at += size_bytes
    return tuple(segments)


def _grid(question: Question, best: Layout, answer: FleetSizing) -> tuple[tuple[str, tuple[Cell, ...]], ...]:
    """GPUs of the best product that each context (rows) and number of sequences (columns) needs."""
    product = next(product for product in answer.products if product.name == best.product)
    rows = []
    for tokens, title in CONTEXTS[::2]:
        cells = []
        for number, _ in SEQUENCES[:4]:
            changed = msgspec.structs.replace(question, context_tokens=int(tokens), concurrency=int(number))
            fitting = [layout.gpus for layout in size(changed, [product]).layouts if layout.fits]
            current = (int(tokens), int(number)) == (question.context_tokens, question.concurrency)
            cells.append(Cell(min(fitting, default=None), current))
        rows.append((title, tuple(cells)))
    return tuple(rows)
