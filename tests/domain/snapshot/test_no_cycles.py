"""The collector of cycles pauses while trees are built, and runs again afterwards, also after an error."""

from __future__ import annotations

import gc

import pytest

from fleet.domain.snapshot.cluster import no_cycles


def test_the_collector_of_cycles_pauses_and_runs_again() -> None:
    with no_cycles():
        with no_cycles():
            pass
        assert not gc.isenabled(), "the inner block leaves it to the outer one"
    assert gc.isenabled()


def test_it_runs_again_after_an_error() -> None:
    with pytest.raises(KeyError), no_cycles():
        raise KeyError
    assert gc.isenabled()
