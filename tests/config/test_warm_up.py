"""The first use of structs and catalogues by several threads at once, in a process of its own: it used to end by SIGSEGV."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

TWELVE_THREADS = """
import os, sys, threading
import django
if os.environ["WARM"] == "1":
    django.setup()
sys.setswitchinterval(1e-5)
from fleet.domain.catalog import gpus, metrics, thresholds
barrier = threading.Barrier(12)
failed = []

def first_use():
    barrier.wait()
    try:
        assert gpus.load() and metrics.load() and thresholds.load()
    except BaseException as error:
        failed.append(error)

threads = [threading.Thread(target=first_use) for _ in range(12)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
sys.exit(1 if failed else 0)
"""


TRIES = 4


@pytest.mark.parametrize("warm", ["0", "1"])
def test_no_process_dies_of_a_first_use_by_twelve_threads(warm: str) -> None:
    environment = {**os.environ, "WARM": warm, "DJANGO_SETTINGS_MODULE": "fleet.config.settings"}
    codes = [
        subprocess.run([sys.executable, "-c", TWELVE_THREADS], env=environment, capture_output=True, check=False).returncode
        for _ in range(TRIES)
    ]
    assert codes == [0] * TRIES


def test_every_process_has_its_decoders_and_catalogues_before_a_second_thread() -> None:
    from fleet.domain.catalog import gpus, metrics, model_servers, monitors, thresholds, xids

    for catalogue in (gpus, metrics, model_servers, monitors, thresholds, xids):
        assert catalogue.load.cache_info().currsize == 1, catalogue.__name__


def test_only_the_main_thread_may_warm_up() -> None:
    from concurrent.futures import ThreadPoolExecutor

    from fleet.collectors.warm_up import warm_up

    with ThreadPoolExecutor(1) as pool, pytest.raises(RuntimeError, match="main thread"):
        pool.submit(warm_up).result()
