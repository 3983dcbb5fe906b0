"""The unit tests of static/js, run by Node's own runner where Node is installed; ages follow the server's words."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from fleet.templatetags import formats

ROOT = Path(__file__).parents[2]
NODE = shutil.which("node")


@pytest.mark.skipif(NODE is None, reason="Node is not installed")
def test_the_unit_tests_of_the_scripts_pass() -> None:
    files = sorted(str(path) for path in (ROOT / "tests" / "js").glob("*.test.mjs"))
    done = subprocess.run([NODE or "node", "--test", *files], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]


def test_ages_are_written_alike_by_server_and_browser() -> None:
    source = (ROOT / "tests" / "js" / "ages.test.mjs").read_text(encoding="utf-8")
    table = source.split("const DURATIONS = [", 1)[1].split("];", 1)[0]
    rows = re.findall(r'\[([-\d_.* ]+), "([^"]+)"\]', table)
    assert len(rows) >= 10
    for seconds, words in rows:
        value = 1.0
        for factor in seconds.split("*"):
            value *= float(factor.replace("_", "").strip())
        assert formats.duration(value).replace(formats.NBSP, " ") == words
