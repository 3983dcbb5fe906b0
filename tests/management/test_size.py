"""`manage.py size`: the answer first, then a line per product; what cannot be sized is refused with a sentence."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from tests.factories import a_cluster, a_node, a_resource

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _a_database_that_is_there(settings: Any) -> None:
    """Without it the command would start and stop the test's own database."""
    settings.DATABASE_URL = "postgres://elsewhere/muster"


def size(*arguments: str) -> str:
    out = StringIO()
    call_command("size", *arguments, stdout=out)
    return out.getvalue()


def test_a_model_is_sized_over_the_fleet() -> None:
    slots = {"capacity": 8, "allocatable": 8, "requested": 0, "free": 8, "replicas": 1}
    node = a_node("n0", cluster=a_cluster(), gpu_memory_mib=81_559, sharing="exclusive", partitioning="none")
    a_resource(node, **slots)
    text = size("llama-3.3-70b", "--context", "16384", "--concurrency", "16")
    assert text.startswith("Needs at least 4 × NVIDIA-H100-80GB-HBM3, TP4.\n")
    assert "room for 29 sequences" in text


def test_an_unknown_model_names_similar_ones() -> None:
    with pytest.raises(CommandError, match=r"Similar: .*qwen3-8b"):
        size("qwen3")


def test_a_file_that_is_no_configuration_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    file.write_text(json.dumps({"hidden_size": 1}))
    with pytest.raises(CommandError, match="num_hidden_layers is missing"):
        size(str(file))
    file.write_text("nothing")
    with pytest.raises(CommandError, match="not a JSON object"):
        size(str(file))
