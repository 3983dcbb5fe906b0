"""The key that signs sessions, kept beside the data, so that a restart does not end sessions. Standard library only."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from fleet.embedded import paths


def provide(create: bool) -> None:
    """Lets settings find the kept key where none is given; `create` makes one if there is none yet.

    Works before settings are read, and two processes at once end up with the same key. A folder that is not writable
    fails in the next step that needs it, with a better error.
    """
    if os.environ.get("SECRET_KEY", "").strip() or os.environ.get("SECRET_KEY_FILE", "").strip():
        return
    kept = paths.home() / "secret_key"
    if create and not kept.exists():
        try:
            _write(kept, draft=kept.with_name(f"secret_key.{os.getpid()}"))
        except OSError:
            return
    if os.access(kept, os.R_OK):
        os.environ["SECRET_KEY_FILE"] = str(kept)


def _write(kept: Path, draft: Path) -> None:
    kept.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(secrets.token_urlsafe(50) + "\n")
    try:
        os.link(draft, kept)  # unlike a rename it never replaces the key that another process has just made
    except FileExistsError:
        pass
    finally:
        draft.unlink()
