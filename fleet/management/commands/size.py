"""`manage.py size MODEL`: what a model needs and where it fits, in the terminal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from fleet.domain.catalog import models as catalog
from fleet.domain.refusals import FieldError
from fleet.domain.sizing.config import ModelConfig
from fleet.domain.sizing.layouts import Layout
from fleet.domain.sizing.memory import BYTES, KV_DTYPES
from fleet.domain.sizing.reading import read_config
from fleet.domain.sizing.size import Question
from fleet.management.commands._database import running_database
from fleet.selectors.placement.sizing import FleetSizing, size_model

GIB = 2**30


class Command(BaseCommand):
    help = "Sizes a model of the catalogue, or a config.json, over the GPU products of the fleet. A minimum for memory."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("model", help="an id of the catalogue, or the path of a config.json")
        parser.add_argument("--weights", choices=sorted(BYTES), default="", help="precision of the weights; default: as stored")
        parser.add_argument("--kv", choices=KV_DTYPES, default="bf16", help="precision of the KV cache (bf16)")
        parser.add_argument("--context", type=int, default=8_192, help="tokens per sequence (8192)")
        parser.add_argument("--concurrency", type=int, default=1, help="sequences at once (1)")
        parser.add_argument("--product", action="append", default=[], help="only this product; may be repeated")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["context"] < 1 or options["concurrency"] < 1:
            raise CommandError("--context and --concurrency must be 1 or more.")
        question = Question(
            config=_config(options["model"]),
            weights_dtype=options["weights"],
            kv_dtype=options["kv"],
            context_tokens=options["context"],
            concurrency=options["concurrency"],
        )
        with running_database():
            answer = size_model(question, timezone.now(), options["product"])
        self.stdout.write("\n".join(lines(answer)))


def lines(answer: FleetSizing) -> list[str]:
    """Returns the answer as text: what it needs, then a line per product and class."""
    sizing = answer.sizing
    fitting = [layout for layout in sizing.layouts if layout.fits]
    first = f"Needs at least {_words(fitting[0])}." if fitting else "Fits on no product of this fleet."
    text = [
        first,
        f"Parameters    {sizing.parameters.total / 1e9:.2f} B ({sizing.parameters.active / 1e9:.2f} B active)",
        f"Weights       {sizing.weights.total / GIB:.1f} GiB in {sizing.weights_dtype.upper()}",
        f"KV cache      {sizing.kv_total / GIB:.1f} GiB ({sizing.kv_per_token:,} bytes per token)",
        "",
        *(
            f"{layout.product:<34} {_words(layout) if layout.fits else layout.why_not}{_room(layout)}"
            for layout in sizing.layouts
        ),
    ]
    if answer.classes:
        text += ["", *(f"class {row.slug:<28} {row.gpus} GPUs, {row.replicas_now} replicas now" for row in answer.classes)]
    return [*text, "", *sizing.assumptions]


def _words(layout: Layout) -> str:
    sizes = {
        "TP": layout.tensor_parallel,
        "PP": layout.pipeline_parallel,
        "EP": layout.expert_parallel,
        "DP": layout.data_parallel,
    }
    split = " ".join(f"{name}{number}" for name, number in sizes.items() if number > 1)
    nodes = f" on {layout.nodes} nodes" if layout.nodes > 1 else ""
    return f"{layout.gpus} × {layout.product}{nodes}" + (f", {split}" if split else "")


def _room(layout: Layout) -> str:
    return f", room for {layout.max_sequences:,} sequences" if layout.max_sequences else ""


def _config(name: str) -> ModelConfig:
    model = catalog.by_id().get(name)
    if model is not None:
        return read_config(model.config)
    path = Path(name)
    if not path.is_file():
        close = [known for known in catalog.by_id() if name.lower() in known][:5]
        hint = f" Similar: {', '.join(close)}." if close else ""
        raise CommandError(f"{name} is neither a model of the catalogue nor a file.{hint}")
    try:
        document = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
        return read_config(document)
    except msgspec.MsgspecError as error:
        raise CommandError(f"{name} is not a JSON object: {error}") from error
    except FieldError as error:
        raise CommandError(f"{name}: {error}") from error
