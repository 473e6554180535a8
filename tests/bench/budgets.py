"""A budget, what was measured, and whether it is met: one row each of the table of goals."""

from collections.abc import Sequence
from dataclasses import dataclass

from tests.bench import report


@dataclass(frozen=True)
class Budget:
    """One goal that has a number."""

    goal: str
    limit: str
    measured: str
    met: bool


@dataclass(frozen=True)
class Section:
    """A part of the document, and the budgets that it decides."""

    text: str
    budgets: Sequence[Budget]


def table(sections: Sequence[Section]) -> str:
    """All goals on one screen."""
    rows = [
        [budget.goal, budget.limit, budget.measured, "yes" if budget.met else "**no**"]
        for section in sections
        for budget in section.budgets
    ]
    return f"""## Goals

{report.table(["goal", "budget", "measured", "met"], rows)}"""
