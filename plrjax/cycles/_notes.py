"""What a reader of a result must know, in words."""

import numpy as np

from .._results import COVERAGE
from ._base import FEW_SEARCHES, Outcome


def period_notes(period: int, outcome: Outcome, arrays: dict[str, np.ndarray]) -> list[str]:
    """Say what a reader must know about one period."""
    notes = []
    here = arrays["period"] == period
    families = int(np.count_nonzero(here & ~np.isfinite(arrays["condition"])))
    if families:
        notes.append(
            f"period {period}: {families} marginal famil{'y' if families == 1 else 'ies'} "
            "(I - P singular): a continuum of cycles, of which one is shown and none counted"
        )
    undecided = int(np.count_nonzero(here & ~arrays["verified"])) - families
    if undecided:
        notes.append(
            f"period {period}: {undecided} not verified, closer to a switching boundary than "
            "rounding tells: there may be none, or several"
        )
    if outcome.catalog.num_unexamined:
        notes.append(
            f"period {period}: {outcome.catalog.num_unexamined} further singular or nearly "
            "singular words were not examined for families"
        )
    return notes


_COMPLETE = ", or with BranchAndBound(), which leaves none out"


def degree_note(
    period: int, index_sum: int | None, degree: int | None, also: str = _COMPLETE
) -> list[str]:
    """Say so where the indices of all solutions known do not add up to the degree."""
    if degree is None or index_sum is None or index_sum == degree:
        return []
    return [
        f"period {period}: something is missing: the indices of the solutions of F^{period}(z) = z "
        f"add up to {index_sum}, and to {degree} if all were known. Search again with another key "
        f"and more num_searches{also}"
    ]


def itinerary_notes(virtual: list[int], undecided: list[int]) -> tuple[str, ...]:
    """Name given itineraries, by number, that have no row."""
    texts = {
        "no cycle of that minimal period has itinerary": virtual,
        "singular or nearly so, and too long to be decided: itinerary": undecided,
    }
    return tuple(f"{text} {_listed(numbers)}" for text, numbers in texts.items() if numbers)


def _listed(numbers: list[int]) -> str:
    more = f" and {len(numbers) - 20} more" if len(numbers) > 20 else ""
    return "number " + ", ".join(map(str, numbers[:20])) + more


def growth_notes(counts: dict[int, int], claims: dict[int, COVERAGE]) -> list[str]:
    """Name periods with far fewer cycles than both before them, where nothing proves that."""
    notes = []
    for k, number in counts.items():
        before = [counts.get(k - 2, 0), counts.get(k - 1, 0)]
        if claims[k] <= COVERAGE.saturated and min(before) > max(3 * number, 8):
            notes.append(
                f"period {k}: {number} cycles, while there are {before[0]} and {before[1]} of the "
                "periods before: most may be missing. Search again with more num_searches"
            )
    return notes


def few_converged_note(outcomes: dict[int, Outcome]) -> list[str]:
    """Name the periods whose walks and paths hardly ever came upon a solution."""
    few = [k for k, o in outcomes.items() if o.searches and o.arrived < FEW_SEARCHES]
    if not few:
        return []
    return [
        f"{_periods(few)}: fewer than {FEW_SEARCHES} walks and paths "
        "came upon an admissible itinerary, too few to tell what may be missing"
    ]


def next_note(outcomes: dict[int, Outcome], late: list[int]) -> list[str]:
    """Say what to do about periods that still brought new cycles when their time was half over."""
    open_ones = [k for k in late if k in outcomes and outcomes[k].coverage is COVERAGE.partial]
    if not open_ones:
        return []
    return [
        f"{_periods(open_ones)}: new cycles came until late, so there are more; "
        "Auto(effort=10), or a larger num_searches, searches longer"
    ]


def _periods(periods: list[int]) -> str:
    """Return "period 3" or "periods 3, 5", and how many more where there are many."""
    shown = ", ".join(map(str, periods[:20]))
    more = f" and {len(periods) - 20} more" if len(periods) > 20 else ""
    return f"period{'s' if len(periods) > 1 else ''} {shown}{more}"
