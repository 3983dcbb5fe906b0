from __future__ import annotations

import os
from pathlib import Path

import environ
import pytest

from fleet.embedded import paths


@pytest.mark.parametrize(
    "home",
    ["/srv/muster/var", "/srv/a folder/var", "/srv/" + "deep/" * 30 + "var", "/srv/münster/var", "/srv/100%/var", "/"],
)
def test_the_sockets_path_always_fits_and_every_reader_of_the_urls_finds_it(home: str) -> None:
    folder = paths.socket_dir(Path(home))
    assert len(os.fsencode(folder / paths.POSTGRES_SOCKET)) <= 103

    read = environ.Env.db_url_config(paths.database_url(Path(home)))
    assert (read["HOST"], read["NAME"], read["USER"]) == (str(folder), "muster", "muster")
    assert paths.broker_url(Path(home)) == f"redis+socket://{folder}/valkey.sock?virtual_host=0"


def test_two_folders_never_share_their_sockets() -> None:
    homes = [Path("/srv/" + "deep/" * 30 + name) for name in ("one", "two")] + [Path("/srv/var")]
    assert len({paths.socket_dir(home) for home in homes}) == 3


def test_the_data_folder_defaults_to_var_beside_manage_py(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MUSTER_HOME", raising=False)
    assert paths.home() == paths.ROOT / "var"
    assert (paths.ROOT / "manage.py").exists()
    monkeypatch.setenv("MUSTER_HOME", "/srv/../srv/muster")
    assert paths.home() == Path("/srv/muster")
