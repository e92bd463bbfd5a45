"""What paths have come upon, path by path, and what that says about cycles not seen."""

import numpy as np
from jaxtyping import Bool

from .._base import FEW_SEARCHES, CycleProblem
from .._catalog import REJECTED, Catalog, Entry
from .._cycle_set import Unseen
from .._verify import VERDICT
from ._path_engines import Crossings
from ._path_starts import AbstractForm


class Findings:
    """Cycles that paths crossed; paths are numbered through all rounds, those from points marked.

    `finished` counts the paths of closed rounds, `crossed` those of them from points that came upon
    a solution, as do the hits of cycles; `num_known` is the number of cycles that were there at the
    beginning, which are no news.
    """

    def __init__(self, problem: CycleProblem, form: AbstractForm, words: list[np.ndarray]):
        self.period = problem.period
        self.form = form
        self.catalog = Catalog(problem.map)
        for period in sorted({len(w) for w in words if self.period % len(w) == 0}):
            self.catalog.identify(np.stack([w for w in words if len(w) == period]))
        self.num_known = len(self.catalog.entries)
        self.is_point = np.zeros(0, bool)
        self.finished = 0
        self._numbers: dict[bytes, int] = {}
        self._pairs: set[tuple[int, int]] = set()
        self.crossed = 0

    def begin_round(self, is_point: Bool[np.ndarray, " path"]) -> None:
        """Number the paths of a new round."""
        self.is_point = np.concatenate([self.is_point, is_point])

    def end_round(self) -> None:
        """Count the round's paths as finished, and what they crossed."""
        pairs = [(path, cycle) for path, cycle in self._pairs if self.is_point[path]]
        for _, cycle in pairs:
            self.catalog.entries[cycle].hits += 1
        self.crossed += len({path for path, _ in pairs})
        self._pairs.clear()
        self.finished = len(self.is_point)

    def enter(self, crossings: Crossings) -> None:
        """Enter the solutions that a chunk of pivots crossed."""
        if not len(crossings.paths):
            return
        rows = np.ascontiguousarray(crossings.cells)
        paths = self.finished + crossings.paths
        texts = rows.view(f"V{rows.shape[1]}")[:, 0]
        texts, first, where = np.unique(texts, return_index=True, return_inverse=True)
        names = [text.tobytes() for text in texts]
        fresh = [i for i, name in enumerate(names) if name not in self._numbers]
        if fresh:
            units = self.period * self.catalog.map.num_units
            bits = np.unpackbits(rows[first[fresh]], axis=1, bitorder="little", count=units)
            words = self.form.words(bits.astype(bool))
            numbers = self.catalog.identify(words, polish=4)
            self._numbers.update(zip((names[i] for i in fresh), numbers.tolist()))
        number = np.array([self._numbers[name] for name in names])[where]
        for path, cycle in set(zip(paths.tolist(), number.tolist())) - self._pairs:
            if cycle != REJECTED:
                self._count(path, cycle)

    def _count(self, path: int, cycle: int) -> None:
        self._pairs.add((path, cycle))
        entry = self.catalog.entries[cycle]
        if entry.first_walk < 0 or path < entry.first_walk:
            entry.first_walk = path

    @property
    def num_points(self) -> int:
        """Number of finished paths from points."""
        return int(np.count_nonzero(self.is_point[: self.finished]))

    @property
    def last_news(self) -> int:
        """Number of the last path that found a cycle not known before (-1: none did)."""
        return max(
            (entry.first_walk for entry in self.catalog.entries[self.num_known :]), default=-1
        )

    @property
    def idle(self) -> bool:
        """Whether the last half of the paths brought nothing new."""
        return self.last_news < self.finished // 2

    @property
    def quiet(self) -> bool:
        """The same, and not too few crossed any."""
        return self.crossed >= FEW_SEARCHES and self.idle

    def first_paths(self) -> list[int]:
        """Return how many paths it took to each cycle of the period."""
        own = [e for e in self.catalog.entries if e.period == self.period]
        return sorted(e.first_walk + 1 for e in own if e.first_walk >= 0)

    def starts(self) -> list[Entry]:
        """Return the solutions that paths can start from."""
        good = (VERDICT.cycle, VERDICT.border, VERDICT.on_border)
        return [
            entry
            for entry in self.catalog.entries
            if entry.verdict in good and self.period % entry.period == 0
        ]

    def unseen(self) -> Unseen:
        """Return what the paths from points, which are independent draws, say about the rest."""
        entries = [e for e in self.catalog.entries if self.period % e.period == 0]
        own = [e for e in entries if e.period == self.period]
        points = np.flatnonzero(self.is_point[: self.finished])
        once = sum(e.hits == 1 for e in entries)
        ones, twos = sum(e.hits == 1 for e in own), sum(e.hits == 2 for e in own)
        seen = sum(e.hits > 0 for e in own)
        chao2 = max(seen + ones * (ones - 1) / (2.0 * (twos + 1)), float(len(own)))
        news = [e.first_walk for e in self.catalog.entries[self.num_known :]]
        last = max((path for path in news if path >= 0 and self.is_point[path]), default=-1)
        quiet = int(np.count_nonzero(points > last))
        mass = min(once / len(points), 1.0) if self.crossed else float("nan")
        return Unseen(mass, chao2, quiet)
