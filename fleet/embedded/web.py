"""Gunicorn behind a gate: it imports the application at once and opens the port only when it is let.

Importing takes seconds, and the page must not open before the first collection is done: so both happen at the same time.
The gate is a pipe; closing its other end opens it, for this process and for each that is started in its place.
"""

from __future__ import annotations

import importlib
import os
import sys

from gunicorn.app import wsgiapp

APPLICATION = "fleet.config.wsgi"


def main() -> None:
    """`python -m fleet.embedded.web GATE OPTION…`: GATE is an inherited descriptor, the options are gunicorn's."""
    gate = int(sys.argv[1])
    application = importlib.import_module(APPLICATION)
    importlib.import_module(application.__name__.rpartition(".")[0] + ".urls")
    os.read(gate, 1)
    os.close(gate)
    sys.argv[:] = ["gunicorn", *sys.argv[2:], f"{APPLICATION}:application"]
    wsgiapp.run()


if __name__ == "__main__":
    main()
