"""Runs a server that refuses root from a root process, without adding a user or changing modes elsewhere."""

from __future__ import annotations

import functools
import os
import pwd
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fleet.embedded.processes import LINUX, StartError

NOBODY = 65534


@dataclass(frozen=True)
class Guise:
    """The prefix of a server's command line, and the owner of its files (None: the current user)."""

    prefix: tuple[str, ...] = ()
    owner: int | None = None


def _succeeds(command: Sequence[str]) -> bool:
    try:
        return subprocess.run(command, capture_output=True, timeout=10, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def guise(works: Callable[[Sequence[str]], bool] = _succeeds) -> Guise:
    """Returns the first of these that works: `works` tries a command line.

    - an ordinary user with a name: nothing;
    - a user namespace in which the user is called `nobody`: the files keep their owner, nothing outside changes. Also for a uid
      without a name, as containers have them: initdb wants one;
    - root where namespaces are closed (the usual seccomp profile of containers): the server becomes `nobody` and keeps
      the one capability that lets it reach its folder below directories closed to others.
    """
    if os.geteuid() != 0 and _has_name(os.geteuid()):
        return Guise()
    if LINUX:
        namespace = (shutil.which("unshare") or "unshare", "--user", *_mapped_to_a_name())
        if works((*namespace, "true")):
            return Guise(namespace)
        demoted = (
            shutil.which("setpriv") or "setpriv",
            f"--reuid={NOBODY}",
            f"--regid={NOBODY}",
            "--clear-groups",
            "--inh-caps=+dac_override",
            "--ambient-caps=+dac_override",
            # Becoming another user drops the death signal, so it is asked for once more.
            "--pdeathsig=INT",
        )
        if os.geteuid() == 0 and works((*demoted, "true")):
            return Guise(demoted, owner=NOBODY)
    if os.geteuid() == 0:
        raise StartError(
            "Postgres refuses to run as root, and here neither user namespaces nor `setpriv` are allowed: "
            "run Muster as an ordinary user, or set DATABASE_URL to your own Postgres."
        )
    raise StartError(
        f"The user id {os.geteuid()} has no name in /etc/passwd, which Postgres needs: give it one, or set DATABASE_URL."
    )


def _has_name(uid: int) -> bool:
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True


@functools.cache
def _mapped_to_a_name() -> tuple[str, str]:
    uid = NOBODY if _has_name(NOBODY) else next((entry.pw_uid for entry in pwd.getpwall() if entry.pw_uid), NOBODY)
    return f"--map-user={uid}", f"--map-group={uid}"
