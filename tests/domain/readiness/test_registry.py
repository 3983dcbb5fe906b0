"""The tuple of rungs and the folder agree, and the ids are those that the contract knows."""

from __future__ import annotations

import re
from pathlib import Path

from fleet.domain.readiness import rungs
from fleet.domain.readiness.rungs import RUNGS
from fleet.domain.readiness.wording import missing_words, rung_title

IDS = (
    "kubelet_ready", "gpu_present", "driver_loaded", "container_runtime", "cuda_works", "resources_advertised",
    "labels_accurate", "telemetry_healthy", "model_server_starts", "model_serves",
)  # fmt: skip


def test_the_folder_and_the_tuple_agree() -> None:
    folder = {path.stem for path in Path(rungs.__file__).parent.glob("*.py")} - {"__init__"}
    assert folder == {rung.id for rung in RUNGS}


def test_the_rungs_stand_in_their_order() -> None:
    assert tuple(rung.id for rung in RUNGS) == IDS
    assert [rung.number for rung in RUNGS] == list(range(10))


def test_every_rung_has_its_words_and_its_needs() -> None:
    for rung in RUNGS:
        assert all((rung.title, rung.broken, rung.needs)), rung.id
        assert not any(words.endswith(".") for words in (rung.title, rung.broken)), rung.id


def test_rungs_do_not_import_each_other() -> None:
    for path in Path(rungs.__file__).parent.glob("*.py"):
        if path.stem != "__init__":
            assert not re.search(r"readiness\.rungs", path.read_text()), path.name


def test_a_removed_rung_still_has_a_title() -> None:
    assert rung_title("phase_of_moon") == "Phase of moon"
    assert missing_words("not_ready", "phase_of_moon") == "Phase of moon"
    assert missing_words("not_ready", "driver_loaded") == "The driver is not loaded"
    assert missing_words("unknown", "cuda_works") == "Unproven: CUDA works"
    assert missing_words("unknown", "container_runtime") == "Unproven: container runtime"
    assert missing_words("excluded", "") == "Excluded on purpose"
