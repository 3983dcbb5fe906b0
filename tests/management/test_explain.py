"""`manage.py explain`: the same answer as the API, and an exit code for scripts."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from fleet.models import Cluster
from tests.api.test_explain import MANIFEST, SIZES, record
from tests.services.snapshots import a_node

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _a_database_that_is_there(settings: Any) -> None:
    """Else the command would start a database of its own."""
    settings.DATABASE_URL = "postgres://elsewhere/muster"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "chat.yaml"
    path.write_text(MANIFEST)
    return path


def explain(*options: str) -> tuple[str, int]:
    out = io.StringIO()
    try:
        call_command("explain", *options, stdout=out, stderr=io.StringIO())
    except SystemExit as end:
        return out.getvalue(), int(str(end.code))
    return out.getvalue(), 0


@pytest.mark.parametrize(
    ("gpus", "says", "code"),
    [
        ("8", "All 2 replicas fit now", 0),
        ("7", "Only 1 of 2 replicas fit now, in cluster east.", 1),
        ("3", "Fits nowhere now.", 1),
    ],
)
def test_the_first_line_is_the_answer_and_the_exit_code_says_it_too(file: Path, gpus: str, says: str, code: int) -> None:
    record(Cluster.objects.create(name="east"), a_node("n1", allocatable={**SIZES, "nvidia.com/gpu": gpus}))
    text, ended = explain("-f", str(file))
    assert text.startswith(says)
    assert ended == code


def test_an_unknown_answer_has_an_exit_code_of_its_own(file: Path) -> None:
    assert explain("-f", str(file))[1] == 2


def test_a_file_that_is_not_there_is_refused() -> None:
    with pytest.raises(CommandError, match="cannot be read"):
        explain("-f", "/nowhere/pod.yaml")
