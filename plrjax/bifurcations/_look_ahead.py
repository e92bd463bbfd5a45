"""Training that looks ahead: updates that would lose the trained attractor are tried otherwise."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import PRNGKeyArray

from .._action import Action
from .._arguments import check_kind, checked_key, checked_periods, checked_whole
from .._numerics import as_float64, quiet_floats
from .._piecewise_affine import AbstractPLRNN, lower
from .._results import STABILITY
from ._assemble import stability_at
from ._collision import Key, key_of
from ._detect import Search, Tracer
from ._gather import branches_of
from ._path import LinearPath
from ._tracker import piecewise

HALVED = Action(update_scale=0.5)
"""The default alternative: updates of half the size."""


class Decision(NamedTuple):
    """What became of the updates from one record to the next.

    **Fields:** `step` of the record they began at; `lost`: whether they lose the attractor; `loss`
    over them, as a mean; `choice`: "accepted", "skipped" (taken as they are, over the bifurcation),
    "tried again", or "alternative i"; `trial`: number of the alternative, 0 for plain updates.
    """

    step: int
    lost: bool
    loss: float
    choice: str
    trial: int


class LookAhead:
    """A callback of `fit` that tests the next updates before it keeps them.

    After every `every` updates it follows the cycles along the step taken. Where that loses the
    attractor, it chooses: the updates are kept if their loss stays below `tolerance` times that
    of the updates before (a jump over the bifurcation); otherwise training goes back to where they
    began and tries the `alternatives` in turn, such as smaller updates, `Action(update_scale=0.5)`,
    or stronger forcing, `Action(forcing=GeneralizedForcing(0.2))`. The first that loses nothing is
    kept, else the one of least loss. Updates tried count as updates (Eisenmann et al. 2023 let
    training look ten epochs ahead).

    **Arguments:**

    - `periods`: cycles to follow; `every`: updates to look ahead; `key`, `search`: as in
        `detect_bifurcations`.
    - `state`: where the orbit begins whose attractor is the trained one; by default every
        attracting cycle is looked after.
    - `alternatives`: `Action`s with `update_scale` or `forcing`.
    - `tolerance`: by how much the loss may grow; 0 never jumps.
    - `act`: False only watches: the baseline, with the same record of decisions.

    **Fields:** `decisions`.

    **Raises:** `ValueError` naming the argument.
    """

    def __init__(
        self,
        periods: int | Iterable[int],
        every: int = 10,
        *,
        key: PRNGKeyArray | None = None,
        search: Search | None = None,
        state: Any = None,
        alternatives: Sequence[Action] = (HALVED,),
        tolerance: float | int = 1.0,
        act: bool = True,
    ):
        self.every = checked_whole("every", every, 1)
        self.search = Search() if search is None else search
        check_kind("search", self.search, Search, "a Search(...)")
        self.periods = checked_periods(periods)
        self.key = None if key is None else checked_key(key)
        self.state = None if state is None else as_float64("state", state, ("M",))
        self.alternatives = tuple(alternatives)
        for one in self.alternatives:
            if not isinstance(one, Action) or one.revert_to is not None or one.stop:
                raise ValueError(
                    f"alternatives: expected Actions with update_scale or forcing, got {one!r}"
                )
        self.tolerance, self.act = float(tolerance), act
        self.decisions: list[Decision] = []
        self._kept: Any = None
        self._kept_loss = np.inf
        self._tried: list[tuple[float, Any]] = []

    def __call__(self, record: Any) -> Action | None:
        """Look at the updates since the record kept, and keep them or go back."""
        if record.step % self.every:
            return None
        if self._kept is None:
            self._kept = record
            return None
        lost = self.loses(piecewise(self._kept.model), piecewise(record.model))
        loss = float(np.mean(np.array(record.losses[-self.every :], np.float64)))
        if not lost or not self.act:
            return self._keep(record, loss, lost, "accepted")
        if not self._tried and loss <= self.tolerance * self._kept_loss:
            return self._keep(record, loss, lost, "skipped")
        self._tried.append((loss, record))
        if len(self._tried) <= len(self.alternatives):
            self._note(record, loss, lost, "tried again")
            trial = self.alternatives[len(self._tried) - 1]
            return trial._replace(revert_to=self._kept)
        best = min(range(len(self._tried)), key=lambda row: self._tried[row][0])
        loss, chosen = self._tried[best]
        return self._keep(chosen, loss, lost, f"alternative {best}", revert_to=chosen)

    def _keep(self, record: Any, loss: float, lost: bool, choice: str, revert_to: Any = None):
        """Go on from a record, with updates and forcing as they were in the beginning."""
        tried = bool(self._tried)
        self._note(record, loss, lost, choice)
        changed = any(one.forcing is not None for one in self.alternatives)
        forcing = self._kept.forcing if changed else None
        self._kept, self._kept_loss, self._tried = record, loss, []
        if not tried:
            return None
        if forcing is not None:
            self._kept = record._replace(forcing=forcing)
        return Action(revert_to=revert_to, update_scale=1.0, forcing=forcing)

    def _note(self, record: Any, loss: float, lost: bool, choice: str) -> None:
        step = int(self._kept.step)
        self.decisions.append(Decision(step, bool(lost), loss, choice, len(self._tried)))

    def loses(self, before: AbstractPLRNN, after: AbstractPLRNN) -> bool:
        """Return whether an attracting cycle of one network is none any more at the other.

        Its branch is followed along the straight line; a cycle that only changes its word is kept.
        """
        path = LinearPath(before, after)
        tracer = Tracer(self.periods, self.search, self.key)
        atlas = tracer.advance(path, last=True)
        numbers = branches_of([atlas])
        at = [{}, {}]
        for segment in atlas.segments:
            for place, s in enumerate((path.start, path.stop)):
                if segment.covers(s, 0.0) and stable_at(atlas, segment.word, s):
                    at[place][numbers[id(segment)]] = segment.key
        wanted = at[0] if self.state is None else self._own(path, at[0])
        return any(branch not in at[1] for branch in wanted)

    def _own(self, path: LinearPath, stable: dict[int, Key]) -> dict[int, Key]:
        """Return the attracting cycle that the orbit from `state` ends on, if it does."""
        found = settled_word(path.map(path.start), self.state, max(self.periods))
        return {branch: key for branch, key in stable.items() if key == found}


def stable_at(atlas: Any, word: np.ndarray, s: float) -> bool:
    """Return whether a word's cycle is stable at s."""
    return stability_at(atlas.path, word, s) == STABILITY.stable


def settled_word(model: AbstractPLRNN, state: Any, longest: int, num_steps: int = 10_000):
    """Return the word that an orbit repeats after many steps, or None where it repeats none."""
    map = lower(model)
    z = np.asarray(state, np.float64)
    regions = []
    with quiet_floats():
        for step in range(num_steps + 8 * longest):
            if step >= num_steps:
                regions.append(map.region_of(z))
            z = map.apply(z)
    if not np.isfinite(z).all():
        return None
    regions = np.array(regions)
    for period in range(1, longest + 1):
        if np.array_equal(regions[period:], regions[:-period]):
            return key_of(regions[:period])
    return None
