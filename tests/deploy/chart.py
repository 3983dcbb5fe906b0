"""`make chart`: renders the examples of the Helm chart into tests/deploy/helm, which the tests read.

No registry that tests may use has Helm, so render.go does it with what Helm is made of: Go's text/template and Sprig
(Debian: golang-go, golang-github-masterminds-sprig-dev). Each file begins with a digest of what it was rendered from.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "deploy" / "helm" / "muster"
EXAMPLES = ROOT / "deploy" / "helm" / "examples"
RENDERED = Path(__file__).parent / "helm"
GO_SOURCES = Path("/usr/share/gocode")


def digest(example: Path) -> str:
    """Returns a digest of all that this example's objects follow from."""
    parts = [example, RENDERED / "render.go", *sorted(path for path in CHART.rglob("*") if path.is_file())]
    return hashlib.sha256(b"\0".join(path.read_bytes() for path in parts)).hexdigest()


def can_render() -> bool:
    """Whether Go and the sources of Sprig are here."""
    return (GO_SOURCES / "src" / "github.com" / "Masterminds" / "sprig").exists() and bool(_go())


def _go() -> str:
    return next((str(path) for path in map(Path, ("/usr/bin/go", "/usr/local/go/bin/go")) if path.exists()), "")


def render(values: Path, folder: Path) -> str:
    """Returns the chart's objects as YAML, for a release "muster" in the namespace "muster". Raises CalledProcessError."""
    program = folder / "render"
    if not program.exists():
        environment = {**os.environ, "GO111MODULE": "off", "GOPATH": str(GO_SOURCES), "GOCACHE": str(folder / "cache")}
        subprocess.run([_go(), "build", "-o", program, RENDERED / "render.go"], env=environment, check=True)
    done = subprocess.run([program, CHART, "muster", "muster", values], capture_output=True, text=True, check=True)
    return done.stdout


def main() -> int:
    if not can_render():
        sys.stderr.write("Go and Sprig are not here: apt install golang-go golang-github-masterminds-sprig-dev\n")
        return 1
    with tempfile.TemporaryDirectory() as folder:
        for example in sorted(EXAMPLES.glob("*.yaml")):
            text = render(example, Path(folder))
            (RENDERED / example.name).write_text(f"# {digest(example)}: by `make chart`\n{text}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
