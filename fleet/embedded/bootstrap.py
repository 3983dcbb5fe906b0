"""Makes .venv beside manage.py, with exactly the pinned packages, and continues inside it. Standard library only.

An old Python must be able to read this file, so that it can say that it is too old: Python 3.6 in the syntax, and in
whatever runs before `_new_enough`.
"""

import fcntl
import hashlib
import json
import os
import re
import shutil
import sys
from pathlib import Path

from fleet.embedded import installers
from fleet.embedded.installers import BootstrapError

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / ".venv"
OLDEST = (3, 11)
REQUIREMENTS = {"run": "requirements.txt", "dev": "requirements-dev.txt"}
STAMP = "muster-stamp.json"
UNFINISHED = "muster-unfinished"
INTERRUPTED = "Interrupted. Start manage.py again to continue."


def ensure(arguments: list) -> None:
    """Returns if this process has the packages that `arguments` (a sys.argv) need, else replaces it by one that has."""
    if os.environ.pop("MUSTER_BOOTSTRAPPED", "") or _switched_off():
        return
    need = "dev" if arguments[1:2] == ["test"] else "run"
    try:
        if _in_other_venv() and has_pinned_packages(need):
            return
        fresh = prepare(need)
    except BootstrapError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    if fresh or not _same(sys.prefix, VENV):
        python = str(VENV / "bin" / "python")
        os.environ["MUSTER_BOOTSTRAPPED"] = "1"
        os.execv(python, [python, *arguments])  # noqa: S606


def prepare(need: str) -> bool:
    """Installs the packages of `need` ("run" or "dev") into .venv. True where something had to be installed."""
    if _is_stamped(need):
        return False
    if not _new_enough():
        _go_on_with_newer_python()
    place = VENV if VENV.is_dir() else ROOT
    if not os.access(str(place), os.W_OK):
        raise BootstrapError(
            f"Muster installs its packages into {VENV}, where this user may not write: "
            "clone it into your own folder, or run it as the folder's owner."
        )
    lock = os.open(str(ROOT), os.O_RDONLY)
    try:
        _wait_for(lock)
        if not _is_stamped(need):  # another process may have been faster
            _install(need, lock)
    except OSError as error:
        raise BootstrapError(f"Creating {VENV} failed: {error}. Fix that and start again.") from error
    finally:
        os.close(lock)
    return True


def has_pinned_packages(need: str) -> bool:
    """Whether this interpreter has every package of `need` as pinned. Lines for other systems do not count."""
    from importlib import metadata

    for name, version, marker in _pins(need):
        try:
            if metadata.version(name) != version and not marker:
                return False
        except metadata.PackageNotFoundError:
            if not marker:
                return False
    return True


def _pins(need: str) -> list:
    """(name, version, ";" where the line is for some systems only) of every requirement."""
    text = (ROOT / REQUIREMENTS[need]).read_text(encoding="utf-8")
    return re.findall(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)[ \t]*(;?)", text, re.MULTILINE)


def _install(need: str, lock: int) -> None:
    uv = installers.working_uv()
    stamp = _read_stamp()
    unfinished = VENV / UNFINISHED
    usable = os.access(str(VENV / "bin" / "python"), os.X_OK) and not unfinished.exists()
    _say(f"Installing {len(_pins(need))} packages into .venv with {'uv' if uv else 'pip'}. This happens once.")
    if not usable or stamp.get("python", _interpreter()) != _interpreter():
        # An interrupted installation may contain half a package, and an upgraded Python uses another folder.
        shutil.rmtree(str(VENV), ignore_errors=True)
        VENV.mkdir()
        stamp = {}
        unfinished.write_text("This folder is incomplete: the next start of manage.py creates it again.\n")
        wanted = installers.base_python() if _new_enough() else f">={OLDEST[0]}.{OLDEST[1]}"
        installers.make_environment(VENV, uv, wanted, lock)
    unfinished.write_text("This folder is incomplete: the next start of manage.py creates it again.\n")
    installers.install(VENV, uv, ROOT / REQUIREMENTS[need], lock)
    stamp.update({"python": _interpreter(), need: _digest(need)})
    if need == "dev":
        stamp["run"] = _digest("run")  # requirements-dev.txt includes those of requirements.txt
    draft = VENV / (STAMP + ".new")
    draft.write_text(json.dumps(stamp), encoding="utf-8")
    draft.replace(VENV / STAMP)
    unfinished.unlink()


def _new_enough() -> bool:
    return sys.version_info[:2] >= OLDEST


def _go_on_with_newer_python() -> None:
    """Another interpreter on PATH may work, or uv, which installs one. Else returns what to install."""
    for minor in range(14, OLDEST[1] - 1, -1):
        other = shutil.which(f"python3.{minor}")
        if other and installers.answers([other, "-c", "import ssl, fcntl"]):
            os.execv(other, [other, *sys.argv])  # noqa: S606
    if not installers.working_uv():
        raise BootstrapError(
            f"Muster needs Python {OLDEST[0]}.{OLDEST[1]} or newer, and this is "
            f"{sys.version_info[0]}.{sys.version_info[1]} ({sys.executable}): install a newer one (Debian 12 or newer: "
            f"`apt install python3 python3-venv`), or uv ({installers.GET_UV}), which installs one."
        )


def _wait_for(lock: int) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        _say("Another manage.py is preparing .venv: waiting for it.")
        fcntl.flock(lock, fcntl.LOCK_EX)


def _switched_off() -> bool:
    return os.environ.get("MUSTER_NO_BOOTSTRAP", "").strip().lower() in ("1", "true", "yes", "on")


def _in_other_venv() -> bool:
    return sys.prefix != sys.base_prefix and not _same(sys.prefix, VENV)


def _same(row: str, other: Path) -> bool:
    return os.path.realpath(row) == os.path.realpath(str(other))


def _is_stamped(need: str) -> bool:
    stamp = _read_stamp()
    return (
        stamp.get(need) == _digest(need)
        and stamp.get("python") == _interpreter()
        and not (VENV / UNFINISHED).exists()
        and os.access(str(VENV / "bin" / "python"), os.X_OK)
    )


def _interpreter() -> str:
    """The environment's actual interpreter. Its name contains the version, so an upgrade is noticed."""
    return os.path.realpath(str(VENV / "bin" / "python"))


def _read_stamp() -> dict:
    try:
        return dict(json.loads((VENV / STAMP).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return {}


def _digest(need: str) -> str:
    return hashlib.sha256((ROOT / REQUIREMENTS[need]).read_bytes()).hexdigest()


def _say(sentence: str) -> None:
    sys.stderr.write(sentence + "\n")
    sys.stderr.flush()


def main() -> None:
    """`python3 -m fleet.embedded.bootstrap [dev]`: creates .venv only, for the Makefile."""
    try:
        prepare("dev" if "dev" in sys.argv[1:] else "run")
    except BootstrapError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main()
