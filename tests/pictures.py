"""Retakes the pictures of docs/img: `make pictures`, or `python -m tests.pictures LINK` with the sign-in link of a running demo.

Without a link it starts a demo in a data folder of its own and waits for its month: some minutes.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urljoin

from playwright.sync_api import sync_playwright

from tests.programs import need

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "docs" / "img"
PICTURES = {"fleet.png": "/", "incidents.png": "/incidents/?window=7d"}
"""File to the address of the page that it shows, 1440 px wide, light."""
_HEIGHT = 1150
_STARTS_WITHIN_S = 180
_MONTH_WITHIN_S = 1_800
_LINK = re.compile(r"http://\S+/sign-in/\S+")


def take(link: str) -> None:
    """Signs in by `link` and writes every picture."""
    with sync_playwright() as playwright:
        sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=need("chromium"), args=sandbox)
        page = browser.new_page(viewport={"width": 1440, "height": _HEIGHT}, color_scheme="light")
        page.goto(link)
        page.locator("form button").click()
        page.wait_for_load_state("networkidle")
        if not page.locator("#main").count():
            raise SystemExit(f"The link did not sign in: {page.url}")
        for name, path in PICTURES.items():
            page.goto(urljoin(link, path), wait_until="networkidle")
            page.screenshot(path=FOLDER / name)
            print(f"Wrote docs/img/{name}")  # noqa: T201
        browser.close()


@contextmanager
def a_demo() -> Iterator[str]:
    """Starts a demo, waits until its month has been lived, and hands out its sign-in link."""
    with tempfile.TemporaryDirectory() as home, socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        log = Path(home) / "said"
        ours = ("MUSTER_KUBECONFIG", "DATABASE_URL")
        environment = {name: value for name, value in os.environ.items() if name not in ours} | {"MUSTER_HOME": home}
        command = [sys.executable, "manage.py", "run", "--port", str(port)]
        with log.open("w") as out:
            started = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=out, stderr=out)
        try:
            until = time.monotonic() + _STARTS_WITHIN_S
            while not (printed := _LINK.search(log.read_text())):
                if started.poll() is not None or time.monotonic() > until:
                    raise SystemExit(f"The demo did not start:\n{log.read_text()[-2_000:]}")
                time.sleep(1)
            _wait_for_the_month(Path(home) / "demo" / "state.json")
            yield printed[0]
        finally:
            started.send_signal(signal.SIGINT)
            started.wait(60)


def _wait_for_the_month(state: Path) -> None:
    if os.environ.get("MUSTER_DEMO") == "no":
        return
    until = time.monotonic() + _MONTH_WITHIN_S
    while not state.is_file() or json.loads(state.read_text()).get("state") not in ("done", "failed"):
        if time.monotonic() > until:
            raise SystemExit("The demo's month was not lived in half an hour.")
        time.sleep(5)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        take(sys.argv[1])
    else:
        with a_demo() as link:
            take(link)
