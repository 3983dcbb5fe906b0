"""Which placements reach no node that another does not."""

from __future__ import annotations

from fleet.domain.classes.placements import AllowedPlacement, narrower
from fleet.domain.label_selectors import Requirement
from fleet.domain.placement.requirement import Toleration

TERMS = ((Requirement("pool", "in", ("a",)),),)
SPOT = Toleration("spot", "Exists", "", "NoSchedule")


def test_a_further_toleration_reaches_more_nodes_with_terms_and_without() -> None:
    for terms in (TERMS, ()):
        without, tolerant = AllowedPlacement(terms=terms), AllowedPlacement(terms=terms, tolerations=(SPOT,))
        assert narrower(without, tolerant)
        assert not narrower(tolerant, without)


def test_no_terms_reach_every_node() -> None:
    assert not narrower(AllowedPlacement(terms=()), AllowedPlacement(terms=TERMS))
