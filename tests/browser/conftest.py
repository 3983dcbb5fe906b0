"""A whole Muster, started as its users start it, in front of a real Chromium; the clusters are simulated and stand still."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request

from fleet.embedded.paths import ROOT
from fleet.simulator.fleet import build_fleet
from fleet.simulator.server import Simulation, serve
from tests.browser.people import as_, sessions  # noqa: F401 fixtures of every module here
from tests.programs import need

_OURS = ("MUSTER_", "DATABASE_URL", "SECRET_KEY", "PORT", "ALLOWED_HOSTS", "DJANGO_")


@dataclass
class Muster:
    url: str
    link: str
    simulation: Simulation
    environment: dict[str, str]
    """What `manage.py` is run with, for tests that need another command beside it."""


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any]) -> dict[str, Any]:
    quiet = ["--disable-quic", "--disable-background-networking", "--disable-component-update", "--disable-sync"]
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    return {**browser_type_launch_args, "executable_path": need("chromium"), "args": [*quiet, *sandbox]}


@pytest.fixture(scope="session")
def muster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Muster]:
    """`manage.py run` on a data folder of its own, reading the simulated fleet every ten seconds."""
    with running(tmp_path_factory.mktemp("home")) as started:
        yield started


@contextmanager
def running(home: Path, **more: str) -> Iterator[Muster]:
    """`manage.py run` on this data folder, with these settings beside those of every test."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with serve(build_fleet()) as simulation:
        environment = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)} | {
            "MUSTER_HOME": str(home),
            "MUSTER_KUBECONFIG": str(simulation.kubeconfig(home / "kubeconfig")),
            "MUSTER_COLLECT_INTERVAL": "10",
            "MUSTER_NO_BOOTSTRAP": "1",
            "MUSTER_NOTIFY_ALLOW_PRIVATE": "127.0.0.1",
            "PORT": str(port),
            **more,
        }
        log = home / "run.txt"
        with log.open("wb") as out:
            run = subprocess.Popen(
                [sys.executable, "manage.py", "run"], cwd=ROOT, env=environment, stdout=out, stderr=out, start_new_session=True
            )
        try:
            yield Muster(f"http://127.0.0.1:{port}", _link(run, log), simulation, environment)
        finally:
            run.send_signal(signal.SIGINT)
            try:
                run.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(run.pid, signal.SIGKILL)


def _link(run: subprocess.Popen[bytes], log: Path) -> str:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if result := re.search(r"http://\S+/sign-in/\S+", log.read_text()):
            return result[0]
        if run.poll() is not None:
            break
        time.sleep(0.2)
    pytest.fail(f"manage.py run printed no link:\n{log.read_text()}")


@pytest.fixture(scope="session")
def signed_in(muster: Muster, browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The browser's state after the one-time link, which works once."""
    context = browser.new_context()
    page = context.new_page()
    page.goto(muster.link)
    page.get_by_role("button", name="Sign in").click()
    assert page.url == muster.url + "/"
    path = tmp_path_factory.mktemp("browser") / "state.json"
    context.storage_state(path=path)
    context.close()
    return path


@pytest.fixture(autouse=True)
def _no_longer_than(request: pytest.FixtureRequest) -> Iterator[None]:
    """A browser that stops answering has no time-out of its own in every call: it must fail one test, not hang them all."""

    def over(*_: object) -> None:
        raise TimeoutError(f"{request.node.name} took longer than two minutes")

    before = signal.signal(signal.SIGALRM, over)
    signal.alarm(120)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


OpenPage = Callable[..., Page]


@pytest.fixture
def open_page(muster: Muster, browser: Browser, signed_in: Path) -> Iterator[OpenPage]:
    """Opens pages as the owner. At the end nothing may have stood in the console, and no request may have left the host."""
    contexts: list[BrowserContext] = []
    complaints: list[str] = []

    def console(message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            complaints.append(f"{message.type}: {message.text}")

    def request(asked: Request) -> None:
        if not asked.url.startswith((muster.url, "data:", "blob:")):
            complaints.append(f"left the host: {asked.url}")

    def open_(path: str, *, width: int = 1440, height: int = 900, scheme: Any = "light") -> Page:
        context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=scheme, storage_state=signed_in, reduced_motion="reduce"
        )
        contexts.append(context)
        context.on("console", console)
        context.on("weberror", lambda error: complaints.append(f"exception: {error.error}"))
        context.on("request", request)
        page = context.new_page()
        answer = page.goto(muster.url + path)
        assert answer is not None
        assert answer.ok, f"{path}: {answer.status}"
        return page

    yield open_
    for context in contexts:
        context.close()
    assert complaints == []
