"""What a computation may say about itself: outcome, coverage, stability, kind of bifurcation."""

import enum


class _MessageEnum(enum.IntEnum):
    """An integer code (int8 in arrays) whose `.message` says what it means and what to do."""

    _message: str

    def __new__(cls, code: int, message: str):
        item = int.__new__(cls, code)
        item._value_ = code
        item._message = message
        return item

    @property
    def message(self) -> str:
        """What this item means, and what to do about it."""
        return self._message

    def __str__(self) -> str:
        return self.name


class RESULTS(_MessageEnum):
    """Whether a computation went well (it says nothing about completeness: see `COVERAGE`)."""

    successful = 0, "The computation finished."
    budget_exhausted = (
        1,
        "A limit (`max_seconds`, or one of the solver's) ran out before the computation was over; "
        "what was done until then is kept. Raise it, or accept a partial result.",
    )
    interrupted = 2, "Interrupted; what was done until then is kept."
    not_finite = (
        3,
        "Nothing finite was produced: every linear subregion tried has a singular or overflowing "
        "system, or every orbit ran away. Check the parameters' scale.",
    )

    def lines(self) -> list[str]:
        """Return what a table says of a computation that did not go well."""
        return [] if self is RESULTS.successful else [f"result: {self}. {self.message}"]

    def cells(self) -> dict[str, str]:
        """Return what a row of a table says of a computation that did not go well."""
        return {} if self is RESULTS.successful else {"result": str(self)}


class COVERAGE(_MessageEnum):
    """What the word "all" may honestly claim for a search, from weakest to strongest."""

    partial = 0, "The search ended before it settled; cycles may be missing. Raise the budget."
    saturated = (
        1,
        "No new cycle appeared in the last half of the searches. This is evidence, not proof; "
        "see `unseen` for an estimate of what may be missing.",
    )
    complete_in_floating_point = (
        2,
        "Every itinerary was examined in floating-point arithmetic; nothing is missing up to "
        "rounding. This is not a rigorous proof.",
    )
    certified = 3, "Completeness is proven rigorously."


UNDECIDED_INDEX = -128
"""What stands in `index` where it is not decided."""


class STABILITY(_MessageEnum):
    """Stability of a cycle, from the moduli of its Floquet multipliers.

    A cycle with a point exactly on a switching boundary has none; there `stable` and `unstable` are
    decided from the linear pieces that meet, where that can be done.
    """

    stable = 0, "All Floquet multipliers lie inside the unit circle."
    saddle = 1, "Some multipliers lie inside and some outside the unit circle."
    unstable = (
        2,
        "All Floquet multipliers lie outside the unit circle; of a cycle on a switching boundary: "
        "some orbits leave it from beside it.",
    )
    nonhyperbolic = (
        3,
        "A multiplier lies on the unit circle within its error bound; linearization does not "
        "decide stability. Perturb the parameters or examine the neighbourhood.",
    )
    undecided = (
        4,
        "A point lies on a switching boundary, or so close that rounding does not tell; the linear "
        "pieces that meet there do not decide together.",
    )


class BIFURCATION(_MessageEnum):
    """Events at which a cycle of a piecewise-affine map appears, vanishes or changes stability."""

    border_collision = 0, "A point of the cycle reached a switching boundary."
    degenerate_transcritical = 1, "A multiplier reached +1: the cycle runs to infinity."
    degenerate_flip = (
        2,
        "A multiplier reached -1: the cycle loses stability, a double-period family appears.",
    )
    center = 3, "A complex pair of multipliers crossed the unit circle."


class ATTRACTOR(_MessageEnum):
    """What an orbit settled on."""

    diverged = 0, "The orbit left every bound or was not finite any more."
    cycle = 1, "A stable fixed point or cycle, known by its word."
    quasiperiodic = (
        2,
        "Bounded, no cycle met, and the largest Lyapunov exponent is 0 within its error: an "
        "invariant circle or another neutral set. A long cycle that attracts more weakly than "
        "this error cannot be told from it.",
    )
    chaotic = 3, "Bounded, and the largest Lyapunov exponent is positive by more than its error."
    undecided = (
        4,
        "A long cycle, a slow transient, or an exponent too close to 0 for its error. Raise "
        "`num_transient`, `num_steps` or `max_period`.",
    )


class COLLISION(_MessageEnum):
    """What a border collision does to the cycles that meet in it."""

    none = 0, "The event is no border collision."
    persistence = 1, "The cycle goes on with one bit of its word flipped; its stability may change."
    nonsmooth_fold = 2, "Two cycles meet and vanish, or appear, together."
    multiple = (
        3,
        "Cycles of several periods, or more than two, meet: border-collision period doubling or "
        "multiplication.",
    )
