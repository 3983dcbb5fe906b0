"""From an empty folder to an environment with the pinned packages. The packages here are tiny and lie in a folder, so
nothing leaves the host; pip, uv and venv are the real ones."""

from __future__ import annotations

import ast
import hashlib
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from fleet.embedded import bootstrap, installers
from fleet.embedded.installers import BootstrapError
from tests.embedded.helpers import ROOT, cleaned_up, environment, first_line, python

# A manage.py with nothing of Muster behind it: it says which environment it runs in and what it finds there.
MANAGE = """
import sys
from fleet.embedded import bootstrap
bootstrap.ensure(sys.argv)
import probe
print(sys.prefix, probe.VERSION, sys.argv[1:])
"""
READ_BY_OLD_PYTHONS = ("manage.py", "fleet/__init__.py", "fleet/embedded/__init__.py", "fleet/embedded/bootstrap.py")
READ_BY_OLD_PYTHONS += ("fleet/embedded/installers.py",)


def _wheel(folder: Path, name: str, version: str) -> str:
    """A wheel of one module that knows its version; returns its line for a requirements file."""
    path = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr(f"{name}.py", f"VERSION = {version!r}\n")
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", f"{name}.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n")
    return f"{name}=={version} --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}\n"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clone that was never started: run needs probe 1.0, test needs probe and extra."""
    root, wheels = tmp_path / "clone", tmp_path / "wheels"
    wheels.mkdir()
    (root / "fleet" / "embedded").mkdir(parents=True)
    for name in READ_BY_OLD_PYTHONS[1:]:
        shutil.copy(ROOT / name, root / name)
    (root / "manage.py").write_text(MANAGE)
    probe = _wheel(wheels, "probe", "1.0")
    (root / "requirements.txt").write_text(probe)
    (root / "requirements-dev.txt").write_text(probe + _wheel(wheels, "extra", "2.0"))
    monkeypatch.setattr(bootstrap, "ROOT", root)
    monkeypatch.setattr(bootstrap, "VENV", root / ".venv")
    for tool in ("PIP", "UV"):
        monkeypatch.setenv(f"{tool}_NO_INDEX", "1")
        monkeypatch.setenv(f"{tool}_FIND_LINKS", str(wheels))
    for name in ("MUSTER_NO_BOOTSTRAP", "VIRTUAL_ENV"):
        monkeypatch.delenv(name, raising=False)
    return root


@pytest.fixture
def without_uv(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installers, "working_uv", lambda: "")


TOOLS = ["pip", *(["uv"] if installers.working_uv() else [])]


def _path_without_uv(tmp_path: Path) -> str:
    """A PATH with nothing on it; the interpreter is called by its own path."""
    (tmp_path / "bin").mkdir(exist_ok=True)
    return str(tmp_path / "bin")


def _begin(project: Path, *arguments: str, path: str | None = None) -> subprocess.Popen[str]:
    more = {"PATH": path} if path is not None else {}
    return subprocess.Popen(
        [installers.base_python(), "manage.py", *arguments],
        cwd=project,
        env=environment(**more),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("tool", TOOLS)
def test_two_first_starts_at_once_after_an_interrupted_one(project: Path, tmp_path: Path, tool: str) -> None:
    """Only one of them installs, both end up inside, and nothing of the half-made folder is left."""
    (project / ".venv").mkdir()
    (project / ".venv" / bootstrap.UNFINISHED).touch()
    (project / ".venv" / "half").touch()
    path = _path_without_uv(tmp_path) if tool == "pip" else None
    starts = [_begin(project, "simulate", "--nodes", "5", path=path) for _ in range(2)]
    answers = [start.communicate(timeout=120) for start in starts]
    assert [start.returncode for start in starts] == [0, 0], answers
    for values, _ in answers:
        assert values.strip() == f"{project}/.venv 1.0 ['simulate', '--nodes', '5']"
    complaints = "".join(error for _, error in answers)
    assert complaints.count(f"Installing 1 packages into .venv with {tool}. This happens once.") == 1
    assert not (project / ".venv" / "half").exists()

    again = _begin(project, "simulate", path=path).communicate(timeout=60)
    assert again == (f"{project}/.venv 1.0 ['simulate']\n", "")


@pytest.mark.parametrize("tool", TOOLS)
def test_changed_pins_and_the_tests_own_packages_are_added(project: Path, tool: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if tool == "pip":
        monkeypatch.setattr(installers, "working_uv", lambda: "")
        monkeypatch.setitem(sys.modules, "ensurepip", None)  # Debian's Python: its own pip helps out, and is faster
    assert bootstrap.prepare("run") is True
    assert bootstrap.prepare("run") is False
    assert _finds("extra") is False
    (project / ".venv" / "mine").touch()

    assert bootstrap.prepare("dev") is True
    assert _finds("extra") is True
    assert bootstrap.prepare("run") is False

    (project / "requirements.txt").write_text(_wheel(project.parent / "wheels", "probe", "1.1"))
    assert bootstrap.prepare("run") is True
    assert _finds("probe", "1.1") is True
    assert (project / ".venv" / "mine").exists(), "a working environment is extended, not created again"


def _finds(module: str, version: str = "2.0") -> bool:
    code = f"import {module}; assert {module}.VERSION == {version!r}"
    done = subprocess.run([bootstrap.VENV / "bin" / "python", "-c", code], capture_output=True, check=False)
    return done.returncode == 0


@pytest.fixture
def pretended(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Installers that do nothing but be counted: for what bootstrap decides, not for what they do."""
    asked: list[str] = []

    def make(venv: Path, *_: object) -> None:
        asked.append("make")
        (venv / "bin").mkdir()
        (venv / "bin" / "python").symlink_to(sys.executable)

    monkeypatch.setattr(installers, "make_environment", make)
    monkeypatch.setattr(installers, "install", lambda *_: asked.append("install"))
    return asked


def test_an_environment_whose_python_was_upgraded_is_recreated(project: Path, pretended: list[str]) -> None:
    bootstrap.prepare("run")
    stamp = project / ".venv" / bootstrap.STAMP
    stamp.write_text(stamp.read_text().replace("python3.", "python2."))
    (project / ".venv" / "old").touch()
    assert bootstrap.prepare("run") is True
    assert pretended == ["make", "install"] * 2
    assert not (project / ".venv" / "old").exists()


def test_an_existing_environment_is_extended(project: Path, pretended: list[str]) -> None:
    (project / ".venv" / "bin").mkdir(parents=True)
    (project / ".venv" / "bin" / "python").symlink_to(sys.executable)
    (project / ".venv" / "mine").touch()
    assert bootstrap.prepare("run") is True
    assert pretended == ["install"]
    assert (project / ".venv" / "mine").exists()


def test_an_interrupted_installation_is_recreated(project: Path, pretended: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed where it hurts most: the environment sound, a package half there, also of one that was complete before."""
    bootstrap.prepare("run")

    def killed(*_: object) -> None:
        (project / ".venv" / "half").touch()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(installers, "install", killed)
        with pytest.raises(KeyboardInterrupt):
            bootstrap.prepare("dev")
    assert bootstrap.prepare("run") is True
    assert pretended == ["make", "install"] * 2
    assert not (project / ".venv" / "half").exists()


def test_an_old_python_can_parse_the_version_check() -> None:
    for name in READ_BY_OLD_PYTHONS:
        ast.parse((ROOT / name).read_text(), feature_version=(3, 6))


def test_an_old_python_gets_the_version_to_install(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys; sys.version_info = (3, 9, 2, 'final', 0)")
    clone = tmp_path / "clone"
    for name in (*READ_BY_OLD_PYTHONS, "requirements.txt", "requirements-dev.txt"):
        (clone / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, clone / name)
    run = subprocess.run(
        [installers.base_python(), "manage.py", "run"],
        cwd=clone,
        env=environment(PATH=_path_without_uv(tmp_path), PYTHONPATH=str(tmp_path)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 1
    assert run.stdout == ""
    assert run.stderr == (
        f"Muster needs Python 3.11 or newer, and this is 3.9 ({installers.base_python()}): install a newer one (Debian 12"
        " or newer: `apt install python3 python3-venv`), or uv (https://docs.astral.sh/uv/), which installs one.\n"
    )
    assert not (clone / ".venv").exists()


def test_an_old_python_hands_over_to_a_newer_one_on_the_path(project: Path, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\nif not sys.executable.endswith('newer'): sys.version_info = (3, 9, 2, 'final', 0)"
    )
    path = Path(_path_without_uv(tmp_path))
    newer = path / "python3.13"
    newer.write_text('#!/bin/sh\n[ "$1" = -c ] && exit 0\necho "handed $*"\n')
    newer.chmod(0o755)
    run = subprocess.run(
        [installers.base_python(), "manage.py", "run", "--port", "1"],
        cwd=project,
        env=environment(PATH=str(path), PYTHONPATH=str(tmp_path)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.stdout == "handed manage.py run --port 1\n"


def test_a_python_without_venv_gets_debians_package_name(
    project: Path, monkeypatch: pytest.MonkeyPatch, without_uv: None
) -> None:
    monkeypatch.setitem(sys.modules, "ensurepip", None)
    monkeypatch.setattr(installers, "_has_pip_for_others", lambda _: False)
    with pytest.raises(BootstrapError, match="on Debian and Ubuntu run `apt install python3-venv`, or install uv"):
        bootstrap.prepare("run")


@pytest.mark.parametrize("tool", TOOLS)
def test_an_index_that_cannot_be_reached_is_a_sentence(project: Path, tool: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PIP", "UV"):
        monkeypatch.delenv(f"{name}_NO_INDEX")
        monkeypatch.delenv(f"{name}_FIND_LINKS")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "1")
    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    monkeypatch.setenv("UV_NO_CACHE", "1")
    if tool == "pip":
        monkeypatch.setattr(installers, "working_uv", lambda: "")
        monkeypatch.setitem(sys.modules, "ensurepip", None)
    with pytest.raises(BootstrapError) as value:
        bootstrap.prepare("run")
    mirror = {"pip": "PIP_INDEX_URL", "uv": "UV_DEFAULT_INDEX"}[tool]
    assert str(value.value) == (
        "The package index cannot be reached, and Muster needs its packages once: check the network (behind a proxy"
        f" set HTTPS_PROXY; for an index of your own set {mirror}), then start again."
    )


@pytest.mark.parametrize("tool", TOOLS)
def test_a_package_that_is_not_the_pinned_one_is_refused(project: Path, tool: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if tool == "pip":
        monkeypatch.setattr(installers, "working_uv", lambda: "")
        monkeypatch.setitem(sys.modules, "ensurepip", None)
    (project / "requirements.txt").write_text(f"probe==1.0 --hash=sha256:{'0' * 64}\n")
    with pytest.raises(BootstrapError, match="A package is not the one Muster was tested with, so nothing was installed"):
        bootstrap.prepare("run")
    assert not _finds("probe", "1.0")


@pytest.mark.parametrize("tool", TOOLS)
def test_a_package_that_this_system_does_not_have_is_named(project: Path, tool: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if tool == "pip":
        monkeypatch.setattr(installers, "working_uv", lambda: "")
        monkeypatch.setitem(sys.modules, "ensurepip", None)
    (project / "requirements.txt").write_text(f"nowhere==1.0 --hash=sha256:{'0' * 64}\n")
    with pytest.raises(BootstrapError, match=r"does not exist for this system.*nowhere.*Python 3.11 to 3.14"):
        bootstrap.prepare("run")


def test_a_folder_we_may_not_write_to_is_a_sentence(project: Path) -> None:
    """Root may write everywhere, so the test runs as another user."""
    project.chmod(0o555)
    for folder in project.parents[:4]:
        folder.chmod(0o755)
    code = f"""
import os
from pathlib import Path
from fleet.embedded import bootstrap
bootstrap.ROOT = Path({str(project)!r})
bootstrap.VENV = bootstrap.ROOT / ".venv"
if os.getuid() == 0:
    os.setuid(65534)
try:
    bootstrap.prepare("run")
except bootstrap.BootstrapError as error:
    print(error, flush=True)
"""
    with cleaned_up(python(code)) as asked:
        assert "where this user may not write: clone it into your own folder" in first_line(asked)


def test_another_environment_is_used_only_if_it_has_the_pinned_packages(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reached: list[str] = []
    monkeypatch.setattr(bootstrap, "prepare", lambda need: reached.append(need) or pytest.fail("not this one", pytrace=False))
    version = __import__("importlib.metadata").metadata.version("pytest")
    (project / "requirements.txt").write_text(f"pytest=={version} \\\n  --hash=sha256:0\ntzdata==0 ; sys_platform == 'win32'\n")
    assert sys.prefix != sys.base_prefix
    bootstrap.ensure(["manage.py", "run"])
    assert reached == []
    (project / "requirements.txt").write_text("pytest==0.1 --hash=sha256:0\n")
    with pytest.raises(pytest.fail.Exception):
        bootstrap.ensure(["manage.py", "run"])
    assert reached == ["run"]


def test_it_can_be_switched_off(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUSTER_NO_BOOTSTRAP", "1")
    (project / "requirements.txt").unlink()
    bootstrap.ensure(["manage.py", "run"])


@pytest.mark.parametrize(
    ("output", "sentence"),
    [
        ("ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device", "No space left"),
        ("error: failed to create directory: Permission denied (os error 13)", "run it as the owner of that folder"),
        ("something\nelse\nwent\nwrong", "pip failed: else / went / wrong. Fix that and start again."),
        ("", "pip failed: no output."),
    ],
)
def test_other_failures_keep_the_installers_last_words(output: str, sentence: str, tmp_path: Path) -> None:
    assert sentence in installers.why_it_failed(output, "pip", tmp_path)
