"""Where the embedded servers of one data folder listen: pure functions of that folder.

Standard library only, because settings read them before anything is installed beside Django.
"""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DATABASE = ROLE = "muster"
# A Unix socket's path has at most 107 bytes on Linux, 103 on macOS. Postgres' own name for its socket is the longest we add.
LONGEST_SOCKET_PATH = 103
POSTGRES_SOCKET = ".s.PGSQL.5432"
BROKER_SOCKET = "valkey.sock"


def home() -> Path:
    """The data folder as every process of one start sees it: MUSTER_HOME, by default var/ beside manage.py."""
    return Path(os.environ.get("MUSTER_HOME", "").strip() or ROOT / "var").expanduser().resolve()


def socket_dir(home: Path) -> Path:
    """The folder of the sockets: in the data folder, unless its path is too long for a socket or unfit for a URL."""
    inside = Path(os.path.realpath(home)) / "sockets"
    fits = len(os.fsencode(inside / POSTGRES_SOCKET)) <= LONGEST_SOCKET_PATH
    if fits and re.fullmatch(r"[A-Za-z0-9/._+-]+", str(inside)):
        return inside
    digest = hashlib.sha256(os.fsencode(inside)).hexdigest()[:12]
    # Every process of this user must use the same short path, so TMPDIR is ignored. Mode 0700 protects it.
    return Path(f"/tmp/muster-{os.getuid()}-{digest}")  # noqa: S108


def database_url(home: Path) -> str:
    """DATABASE_URL of the embedded Postgres. The role is named: without one libpq takes the user's name."""
    return f"postgres://{ROLE}@//{str(socket_dir(home)).lstrip('/')}/{DATABASE}"


def broker_socket(home: Path) -> Path:
    return socket_dir(home) / BROKER_SOCKET


def broker_url(home: Path) -> str:
    """MUSTER_BROKER_URL of the embedded Valkey."""
    return f"redis+socket://{broker_socket(home)}?virtual_host=0"
