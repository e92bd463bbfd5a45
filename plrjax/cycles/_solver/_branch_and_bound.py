"""The solver that finds all cycles: in a box, or everywhere; in floats, or with a certificate."""

import dataclasses
import functools
import os
import time
from typing import Any

import numpy as np
from jaxtyping import Float

from ... import _files
from ..._arguments import checked_positive, checked_whole
from ..._memory import check_memory
from ..._piecewise_affine import PiecewiseAffineMap
from .._base import AbstractCycleSolver, Outcome

METHODS = ("auto", "words", "closed")
SAVE_SECONDS = 30.0


@dataclasses.dataclass(frozen=True)
class BranchAndBound(AbstractCycleSolver):
    """All cycles: no word is left out but those proven empty (needs no key).

    First a box is proven to hold all cycles: in closed form, or because far out no word closes up.
    Then words are built bit by bit. The z_1 whose orbits stay in the box and have the signs so far
    form a polytope; a bit whose side is empty (a linear program says so) ends a branch; at the
    end of a word (I - P) z = q is solved. Of the rotations of a word one is met. All periods are
    searched together.

    **Arguments:**

    - `rigorous`: every pruning is proven again in balls of 128 bits, every word that is left is
      decided in rationals, and multipliers are enclosed: coverage `certified`. Otherwise linear
      programs run in floats, relaxed outward: `complete_in_floating_point`.
    - `box`: search |z| <= box, or lower and upper bounds (2 x M), in the units of the states; by
      default a box that is proven to hold all cycles, or else a large one, which the result names.
    - `method`: `"words"`, for all periods at once; `"closed"`: box after box of closed orbits,
      period by period, for many units and short periods (not rigorous); `"auto"`: words for less
      than six states with less than 20,000 words of two letters, and for clipped networks of up
      to three states.
    - `max_nodes`: stop after so many letters or boxes; `max_memory`: stop where proof and cycles
      need more (GiB). The result is then partial and says what is complete.
    - `workers`: processes for subtrees (a script must then be importable: `if __name__ ==
      "__main__":`).
    - `certificate`: file to write at the end of a rigorous search, for `plrjax.verify`.
    - `checkpoint`: file the search is saved to every half minute and at its end, and goes on from
      if it is there.
    - `model_file`: the model's file, which the certificate names then.

    **Raises:** `ValueError` for arguments that do not fit, and for a checkpoint of another
    search.
    """

    rigorous: bool = False
    box: Any = None
    method: str = "auto"
    max_nodes: int | None = None
    max_memory: float | int = 8.0
    workers: int = 1
    certificate: str | os.PathLike | None = None
    checkpoint: str | os.PathLike | None = None
    model_file: str | os.PathLike | None = None

    needs_key = False
    joint = True

    def __post_init__(self):
        if self.method not in METHODS:
            raise ValueError(f"method: expected one of {', '.join(METHODS)}, got {self.method!r}")
        if self.rigorous and self.method == "closed":
            raise ValueError("method: 'closed' gives no proof; expected 'words' with rigorous=True")
        if self.certificate is not None and not self.rigorous:
            raise ValueError("certificate: expected rigorous=True with it")
        if self.max_nodes is not None:
            checked_whole("max_nodes", self.max_nodes, 1)
        checked_positive("max_memory", self.max_memory)
        checked_whole("workers", self.workers, 1, 1024)

    @property
    def keeps_proof(self) -> bool:
        """Whether the proof is kept: for the certificate."""
        return self.certificate is not None

    def box_of(self, map: PiecewiseAffineMap) -> Float[np.ndarray, "2 state"]:
        """Return lower and upper bounds of the states.

        **Raises:** `ValueError` where `box` does not fit the map.
        """
        try:
            box = np.array(self.box, np.float64)
        except (TypeError, ValueError):
            box = np.full(3, np.nan)
        if box.ndim == 0:
            box = np.outer([-box, box], np.ones(map.state_size))
        fits = box.shape == (2, map.state_size) and (np.abs(box) <= 1e250).all()
        if not (fits and (box[1] - box[0] >= 1e-250).all()):
            raise ValueError(
                "box: expected a positive number, or lower and upper bounds "
                f"(2 x {map.state_size}, lower < upper, up to 1e250), got {self.box!r}"
            )
        return box

    def check(self, map, period):
        if self.box is not None:
            self.box_of(map)
        if self.method != "closed":
            check_memory("periods", period, word_bytes(map, period))

    def needs_sample(self, map, period):
        return False

    def init(self, problem):
        from ..complete._checkpoint import restored
        from ..complete._stages import CompleteSearch

        search = CompleteSearch(problem, self)
        if self.checkpoint is not None and os.path.exists(self.checkpoint):
            restored(search, self.checkpoint)
        return _State(search, time.monotonic())

    def step(self, problem, state):
        state.search.advance()
        if self.checkpoint is not None:
            last = time.monotonic() - state.saved
            if state.search.done or last > max(SAVE_SECONDS, 20 * state.cost):
                self._save(state)
        if state.search.done and state.search.is_over and self.certificate is not None:
            named = None if self.model_file is None else _hash(self.model_file)
            text = state.search.certificate(named)
            write = functools.partial(_files.write_bytes, self.certificate, text.encode())
            state.trouble += _files.note_unless_written("the certificate", write)
        return state

    def _save(self, state: "_State") -> None:
        from ..complete._checkpoint import save

        begun = time.monotonic()
        assert self.checkpoint is not None
        write = functools.partial(save, state.search, self.checkpoint)
        state.trouble = state.trouble or _files.note_unless_written("the checkpoint", write)
        state.saved = time.monotonic()
        state.cost = state.saved - begun

    def terminate(self, problem, state):
        return state.search.done

    def progress(self, problem, state):
        return state.search.share

    def note(self, problem, state):
        return state.search.note()

    def outcome(self, problem, state) -> Outcome:
        if self.checkpoint is not None and not state.search.done and not state.told:
            state.told = True
            self._save(state)
        found = state.search.outcome(problem.period)
        return dataclasses.replace(found, notes=(*found.notes, *state.trouble))

    def finish(self, found, map):
        if not self.rigorous or not len(found):
            return found
        from ..proofs._certify import certify

        return certify(map, found)


_MOST_WORDS = 4096
"""Candidates of one run of the word search."""


def word_bytes(map: PiecewiseAffineMap, length: int) -> int:
    """Return the memory that the word search takes for its words up to a length."""
    bits = length * map.num_units
    return bits * (_MOST_WORDS + 4 * bits)


@dataclasses.dataclass
class _State:
    """A search, when it was last saved and how long that took, and what could not be written."""

    search: Any
    saved: float
    cost: float = 0.0
    told: bool = False
    trouble: list[str] = dataclasses.field(default_factory=list)


def _hash(path: str | os.PathLike) -> str:
    from ..proofs._certificate import file_hash

    return file_hash(path)
