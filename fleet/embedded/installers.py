"""Calls of uv and pip, and the meaning of their failures.

Standard library only, and readable by Python 3.6 (see bootstrap.py).
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

GET_UV = "https://docs.astral.sh/uv/"
NO_NETWORK = re.compile(
    r"Failed to establish a new connection|Temporary failure in name resolution|Name or service not known"
    r"|Connection refused|Connection reset|Network is unreachable|Failed to fetch|error sending request|dns error"
    r"|ProxyError|Could not connect|Read timed out|operation timed out|ConnectTimeoutError|Max retries exceeded",
    re.IGNORECASE,
)
NO_SUCH_PACKAGE = re.compile(r"No matching distribution|no usable wheels|No solution found|no version of")
OTHER_HASH = re.compile(r"do not match the hashes|Hash mismatch", re.IGNORECASE)


class BootstrapError(Exception):
    """Why the environment could not be created: one sentence with the fix."""


def working_uv() -> str:
    """The path of uv, or "". It is tried, because a version manager's stand-in for it may lead nowhere."""
    uv = shutil.which("uv")
    return uv if uv and answers([uv, "--version"]) else ""


def answers(command: list) -> bool:
    """Whether a command can be run and succeeds. Its output is dropped."""
    try:
        return subprocess.call(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) == 0
    except OSError:
        return False


def base_python() -> str:
    """The interpreter outside any virtual environment."""
    return getattr(sys, "_base_executable", "") or sys.executable


def make_environment(venv: Path, uv: str, wanted: str, lock: int) -> None:
    """An empty virtual environment in `venv`, which exists. `wanted` is what uv is asked for as interpreter."""
    if uv:
        command = [uv, "venv", "--quiet", "--allow-existing", "--python", wanted, str(venv)]
    else:
        command = [base_python(), "-I", "-m", "venv", *_without_pip(), str(venv)]
    code, output = _run(command, lock)
    if code:
        raise BootstrapError(why_it_failed(output, "uv" if uv else "venv", venv))


def install(venv: Path, uv: str, requirements: Path, lock: int) -> None:
    """Exactly the pinned wheels of `requirements`. Byte code is left to the first import: that halves pip's time."""
    python = str(venv / "bin" / "python")
    options = ["--no-deps", "--require-hashes", "--only-binary", ":all:", "-r", str(requirements)]
    if uv:
        command = [uv, "pip", "install", "--quiet", "--python", python, *options]
    else:
        command = [*_pip_for(python), "install", "--no-compile", "--no-warn-script-location", *options]
    code, output = _run(command, lock)
    if code:
        raise BootstrapError(why_it_failed(output, "uv" if uv else "pip", venv))


def _without_pip() -> list:
    """Options for venv on a Python that lacks what puts pip into it, as Debian's does; its own pip may do instead."""
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError:
        if answers([base_python(), "-I", "-m", "venv", "--help"]) and _has_pip_for_others(base_python()):
            return ["--without-pip"]
        raise BootstrapError(
            f"This Python ({base_python()}) has no complete venv module: on Debian and Ubuntu run "
            f"`apt install python3-venv`, or install uv ({GET_UV}). Then start again."
        ) from None
    return []


def _pip_for(python: str) -> list:
    own = [python, "-I", "-m", "pip"]
    if answers([*own, "--version"]):
        return own
    if _has_pip_for_others(base_python()):
        return [base_python(), "-I", "-m", "pip", "--python", python]
    raise BootstrapError(f"{python} has no pip: remove its .venv folder, or install uv ({GET_UV}), and start again.")


def _has_pip_for_others(python: str) -> bool:
    """Whether an interpreter's own pip can install into another environment (since 22.3)."""
    asked = subprocess.run([python, "-I", "-m", "pip", "--version"], capture_output=True, text=True, check=False)
    version = re.match(r"pip (\d+)\.(\d+)", asked.stdout)
    return version is not None and (int(version.group(1)), int(version.group(2))) >= (22, 3)


def _run(command: list, lock: int) -> tuple:
    """(exit code, output). The child holds the lock as well: one that outlives us still keeps others out."""
    misleading = ("VIRTUAL_ENV", "CONDA_PREFIX", "PIP_TARGET", "PIP_PREFIX", "PYTHONHOME", "PYTHONPATH")
    environment = {name: value for name, value in os.environ.items() if name not in misleading}
    environment.update(PIP_USER="0", PIP_NO_INPUT="1", PIP_DISABLE_PIP_VERSION_CHECK="1")
    environment.setdefault("PIP_RETRIES", "2")  # its five take minutes without a network
    with tempfile.TemporaryFile() as output:
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment, pass_fds=(lock,)
        )
        try:
            code = child.wait()
        finally:
            if child.poll() is None:
                child.kill()
                child.wait()
        output.seek(0)
        return code, output.read().decode("utf-8", "replace")


def why_it_failed(output: str, tool: str, venv: Path) -> str:
    """Meaning of an installer's last output, and the fix."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    if NO_NETWORK.search(output):
        mirror = "UV_DEFAULT_INDEX" if tool == "uv" else "PIP_INDEX_URL"
        return (
            "The package index cannot be reached, and Muster needs its packages once: check the network (behind a proxy"
            f" set HTTPS_PROXY; for an index of your own set {mirror}), then start again."
        )
    if "No space left" in output:
        return f"No space left for Muster's packages in {venv} (300 MB): free some, then start again."
    if "Permission denied" in output:
        return f"Muster's packages cannot be written to {venv}: run it as the owner of that folder."
    if OTHER_HASH.search(output):
        return (
            "A package is not the one Muster was tested with, so nothing was installed: an index or proxy altered it."
            " Use the original index, then start again."
        )
    if NO_SUCH_PACKAGE.search(output):
        return (
            f"A package that Muster needs does not exist for this system (last words of {tool}: {lines[-1]}). Muster"
            " runs on Linux with glibc 2.28 or newer and on macOS, with Python 3.11 to 3.14."
        )
    return f"{tool} failed: {' / '.join(lines[-3:]) or 'no output'}. Fix that and start again."
