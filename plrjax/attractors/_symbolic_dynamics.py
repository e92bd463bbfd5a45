"""Symbolic dynamics: the graph of regions that an attractor visits, its words, its entropy."""

import dataclasses
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from .._arguments import checked_whole, require
from .._constant_input import with_input
from .._host import on_host
from .._job import deadline_of, job
from .._map_arrays import MapArrays
from .._memory import check_memory
from .._numerics import as_float64, float64_scope
from .._piecewise_affine import AbstractPLRNN, lower, with_a_unit
from .._progress import AbstractProgress
from .._results import RESULTS
from .._saved import AbstractSaved
from .._tables import Table, plural
from ..words import unpack
from ._symbols import (
    Words,
    entropy_in_parts,
    entropy_of,
    itinerary,
    letters_of,
    longer,
    missing_words,
    single_letters,
)

_RARE = 0.01
"""Words of a length tell of the entropy while so much of the orbit, at most, is in words met once:
what is not met at all is about as much (Good and Turing)."""
_STEP_BYTES = 64
"""Of a step, while words are counted: eight whole numbers."""


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class SymbolicDynamics(AbstractSaved):
    """The itinerary of a long orbit: regions visited, transitions, words, entropy.

    A letter is a linear subregion, numbered from 0, the most visited first. What was not met along
    the orbit may exist all the same: words are counted, not proven.

    **Fields:**

    - `regions`: patterns of the regions visited, bit-packed (see `pattern`).
    - `visits`: steps in each.
    - `text`: the letter at each step.

    one entry per length n = 1, 2, ...:

    - `num_words`: different words met.
    - `seen_once`: share of the orbit in words met once, about the share of words not met at all.
    - `block_entropy`: H_n = -sum p ln p over words, nats, corrected for their number (Miller 1955).
    - `rate`, `rate_error`: H_n - H_{n-1}, nats per step, which falls to the entropy of the
        itinerary as n grows, and its standard error, from ten parts of the orbit.
    - `num_missing`: words not met though both words one letter shorter were.

    and of the whole: `num_units`; `num_transient`, steps before; `result`; `notes`.
    """

    file_type = "symbolic dynamics"
    file_bounds = {"text": (0, "region", -1)}

    regions: UInt8[np.ndarray, "region byte"]
    visits: Int[np.ndarray, " region"]
    text: Int[np.ndarray, " step"]
    num_words: Int[np.ndarray, " length"]
    seen_once: Float[np.ndarray, " length"]
    block_entropy: Float[np.ndarray, " length"]
    rate: Float[np.ndarray, " length"]
    rate_error: Float[np.ndarray, " length"]
    num_missing: Int[np.ndarray, " length"]
    num_units: int
    num_transient: int
    result: RESULTS = RESULTS.successful
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.regions)

    def pattern(self, region: int | np.integer) -> Bool[np.ndarray, " unit"]:
        """Return which units are active in a region."""
        return unpack(self.regions[region], self.num_units)

    def words(self, length: int) -> tuple[Int[np.ndarray, "word letter"], Int[np.ndarray, " word"]]:
        """Return all words of a length that were met, the most frequent first, and how often.

        **Raises:** `ValueError` for a length beyond the orbit.
        """
        found = self._words(length)[1]
        order = np.argsort(-found.number, kind="stable")
        return self._letters(found, length)[order], found.number[order]

    def missing(
        self, length: int
    ) -> tuple[Int[np.ndarray, "word letter"], Float[np.ndarray, " word"]]:
        """Return words of a length that were not met though both words one letter shorter were.

        With them comes how often each would be met if the last letter depended on no more than the
        letters between it and the first: of a word expected a hundred times one may say that it is
        forbidden; of one expected once, nothing. The most expected come first, 1000 at most.

        **Raises:** `ValueError` for a length below 2 or beyond the orbit.
        """
        shorter, found = self._words(checked_whole("length", length, 2))
        absent, letters = missing_words(shorter, found), self._letters(shorter, length - 1)
        listed = np.concatenate([letters[absent.head], letters[absent.tail][:, -1:]], axis=1)
        return listed, absent.expected

    @property
    def transitions(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Edges of the graph: from which region to which, how often; the most frequent first."""
        if len(self.text) < 2:
            none = np.zeros(0, np.int64)
            return none, none, none
        words, count = self.words(2)
        return words[:, 0], words[:, 1], count

    @property
    def entropy(self) -> tuple[float, float, int]:
        """Entropy of the itinerary, nats per step, estimated from above; its standard error, and
        the length of words behind it.

        It is the rate of the longest words of which hardly any was met once only; longer ones can
        only lower it. NaN, NaN, 0 where not even single letters are told enough.
        """
        known = np.flatnonzero(self.seen_once <= _RARE)
        if not len(known):
            return float("nan"), float("nan"), 0
        return float(self.rate[known[-1]]), float(self.rate_error[known[-1]]), int(known[-1]) + 1

    @property
    def growth(self) -> Float[np.ndarray, " length"]:
        """ln(N_n / N_{n-1}) of the numbers of words, nats per step: the entropy of the language."""
        return np.diff(np.log(self.num_words), prepend=0.0)

    def to_networkx(self) -> Any:
        """Return the graph of regions as a `networkx.DiGraph` (extra `report`).

        Nodes have `visits` and `pattern` ("0101"), edges `count` and `probability`, the share of
        steps from the first region that lead to the second.
        """
        graph = require("networkx", "report", "to_networkx").DiGraph()
        for region, visits in enumerate(self.visits.tolist()):
            bits = "".join("01"[on] for on in self.pattern(region).tolist())
            graph.add_node(region, visits=visits, pattern=bits)
        source, target, count = self.transitions
        leaving = np.bincount(source, weights=count, minlength=len(self))
        for a, b, number in zip(source.tolist(), target.tolist(), count.tolist()):
            graph.add_edge(a, b, count=number, probability=number / leaving[a])
        return graph

    def _words(self, length: int) -> tuple[Words, Words]:
        """Return the words one letter shorter, and those of a length."""
        most = len(self.text)
        length = checked_whole("length", length, 1, most)
        shorter = found = single_letters(self.text, len(self))
        for _ in range(length - 1):
            shorter, found = found, longer(found)
        return shorter, found

    def _letters(self, words: Words, length: int) -> Int[np.ndarray, "word letter"]:
        return self.text[words.first[:, None] + np.arange(length)]

    def _table(self) -> Table:
        title = (
            f"{plural(len(self), 'linear subregion')} visited in {len(self.text)} steps, "
            f"{plural(len(self.transitions[2]), 'transition')}"
        )
        head = ("length", "words", "growth", "met once", "H", "rate", "error", "missing words")
        value, error, length = self.entropy
        below = []
        if length:
            words = f"from words of {length} letters"
            below = [f"entropy: at most {value:.4g} ± {error:.1g} nats per step, {words}"]
        below.append("missing: not met, though both words one letter shorter were; no proof")
        rows = [self._cells(place) for place in range(len(self.num_words))]
        return Table([title], head, rows, [*below, *self.result.lines(), *self.notes])

    def _cells(self, place: int) -> tuple[str, ...]:
        return (
            str(place + 1),
            str(self.num_words[place]),
            f"{self.growth[place]:.4f}",
            f"{100 * self.seen_once[place]:.2g} %",
            f"{self.block_entropy[place]:.4f}",
            f"{self.rate[place]:.4f}",
            f"{self.rate_error[place]:.1g}",
            str(self.num_missing[place]) if place else "-",
        )


@on_host()
def symbolic_dynamics(
    model: AbstractPLRNN,
    start: Any,
    *,
    num_steps: int = 100_000,
    num_transient: int = 1_000,
    longest: int = 10,
    inputs: Any = None,
    max_seconds: float | int | None = None,
    progress: AbstractProgress | None = None,
) -> SymbolicDynamics:
    """Read an orbit as a text whose letters are linear subregions; count its words.

    z_t is in the region of the pattern D_t, which units are active; the words D_t ... D_{t+n-1}
    that occur are the language of the attractor, and -sum p ln p over them, H_n, grows by the
    entropy of the itinerary, which is at most the metric entropy (and that at most the sum of the
    positive Lyapunov exponents). Float64 whatever the global JAX setting.

    ```python
    tent = plr.from_arrays(
        "shallow", A=[0], W1=[[1.9, -3.8]], W2=[[1], [1]], h1=[0], h2=[0, -0.5]
    )
    print(plr.symbolic_dynamics(tent, [0.3]))  # entropy: ln 1.9 = 0.642
    ```

    **Arguments:**

    - `model`: a network of the PLRNN family, or a `PiecewiseAffineMap`.
    - `start`: the initial state, such as a point of `find_attractors(...).orbit(row)`.
    - `num_steps`: steps that are read.
    - `num_transient`: steps before.
    - `longest`: the longest words that are counted.
    - `inputs`: a constant input of the network.
    - `max_seconds`: time limit; the orbit may then be shorter.
    - `progress`: `NoProgress()`, or a `ProgressBar` (default: a bar after two seconds).

    **Returns:** `SymbolicDynamics`. Ctrl-C returns what is known by then, with
    `result == RESULTS.interrupted`.

    **Raises:** `ValueError` naming the argument, also where the orbit does not stay finite.
    """
    map = with_a_unit(lower(with_input(model, inputs)))
    state = as_float64("start", start, (map.state_size,))
    num_steps = checked_whole("num_steps", num_steps, 1)
    check_memory("num_steps", num_steps, (_STEP_BYTES + map.num_units // 8) * num_steps)
    num_transient = checked_whole("num_transient", num_transient, 0)
    longest = checked_whole("longest", longest, 1)
    deadline = deadline_of(max_seconds)
    arrays = MapArrays(map.A, map.W1, map.W2, map.h1, map.h2)
    parts = [np.zeros((0, (map.num_units + 7) // 8), np.uint8)]
    with job(progress, "itinerary", deadline) as task, float64_scope():
        for part in itinerary(arrays, state, num_transient, num_steps, task):
            parts.append(part)
    letters = letters_of(np.concatenate(parts))
    return SymbolicDynamics(
        regions=letters.regions,
        visits=np.bincount(letters.text, minlength=len(letters.regions)),
        text=letters.text,
        num_units=map.num_units,
        num_transient=num_transient,
        result=task.result,
        **_counted(letters.text, len(letters.regions), longest),
    )


def _counted(text: np.ndarray, num_regions: int, longest: int) -> dict[str, Any]:
    """Return what is known of the words of each length."""
    rows, shorter, before = [], None, (0.0, np.zeros(1))
    words = single_letters(text, num_regions)
    for _ in range(min(longest, len(text))):
        entropy, parts = entropy_of(words.number), entropy_in_parts(words)
        steps = parts - before[1]
        rows.append(
            (
                len(words.number),
                float((words.number == 1).sum() / len(words.text)),
                entropy,
                entropy - before[0],
                float(steps.std(ddof=1) / np.sqrt(len(steps))),
                0 if shorter is None else missing_words(shorter, words).number,
            )
        )
        before, shorter, words = (entropy, parts), words, longer(words)
    columns = [np.array(column) for column in zip(*rows)] or [np.zeros(0)] * 6
    whole, real = np.int64, np.float64
    names = ("num_words", "seen_once", "block_entropy", "rate", "rate_error", "num_missing")
    types = (whole, real, real, real, real, whole)
    return {name: x.astype(kind) for name, x, kind in zip(names, columns, types)}
