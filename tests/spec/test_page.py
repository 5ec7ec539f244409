"""The page of clauses is current, and what is proven in the simulation only says why."""

from __future__ import annotations

from .clauses import CLAUSES
from .nondeterminism import DIVERGENCES
from .page import PAGE, page


def test_the_page_is_current() -> None:
    assert PAGE.read_text() == page(), "run `python -m tests.spec.page`"


def test_a_clause_of_the_simulation_only_says_why() -> None:
    page()  # Reads all clauses.
    for name, clause in CLAUSES.items():
        is_simulated = all(world.startswith("simulated") for world in clause.worlds)
        assert is_simulated == bool(clause.only), name
        assert not clause.only or clause.only in DIVERGENCES, name


def test_there_are_enough_clauses() -> None:
    page()
    assert len(CLAUSES) >= 200
