"""The complete search, stage by stage: where cycles can be, which windows recur, which words close.

It runs as a generator of bounded pieces of work. What is known changes only at the end of a piece:
it may be stopped between two of them, or interrupted inside one, and nothing is lost.
"""

import functools
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
from flint import ctx

from ..._checker import FORMAT, listed, sealed
from ..._exact import Cycle, System
from ..._piecewise_affine import balanced
from ..._results import COVERAGE
from .._base import EVERYWHERE, CycleProblem, Outcome, nodes_for
from .._catalog import Catalog
from ..proofs._certificate import domain_text
from ._domain import Domain, find_domain, fingerprint_of
from .words._language import Language, languages
from .words._search import is_central
from .words._subtrees import Subtree, Task, explore, explorer

PIECE = {False: 20_000, True: 1_000}
"""Letters met in one piece of the word search, in floats and with proofs."""

FEW_STATES, MANY_STATES, MANY_LETTERS = 3, 6, 20_000
"""Closed orbits of each period for many states, or many words of two letters; but words for few
states and many boundaries through one point, as in clipped networks."""

SMALL = 5_000
"""A search of less letters is done at once, a larger one for short periods first."""

LANGUAGE_NODES, LANGUAGE_LETTERS = 30_000, 12
SECONDS = 0.2


class CompleteSearch:
    """All cycles of several periods, as far as the search has come; see `BranchAndBound`."""

    def __init__(self, problem: CycleProblem, options: Any):
        self.map = problem.map if problem.original is None else problem.original
        self.scaled, self.options = problem.map, options
        self.periods = problem.periods or (problem.period,)
        self.catalogs = {k: Catalog(problem.map) for k in self.periods}
        self.exact: dict[tuple, Cycle] = {}
        self.degenerate: set[int] = set()
        self.finished: set[int] = set()
        self.domain: Domain | None = None
        self.language = Language()
        self.method = options.method
        self.frontier: list[tuple[str, float]] = []
        self.stage: tuple[int, ...] = ()
        self.chunks: dict[str, np.ndarray] = {}
        self.closed: Any = None
        self.closed_frontier: dict[str, np.ndarray] | None = None
        self.count: Counter[str] = Counter()
        self.share, self.phase = 0.0, "the domain"
        self.exhausted = self.done = self.is_small = False
        self.work = self._run()

    @property
    def box(self) -> np.ndarray:
        """The box searched, in the user's units of state."""
        assert self.domain is not None
        return self.domain.box

    @property
    def stages(self) -> list[tuple[int, ...]]:
        """Sets of periods, to be searched in turn: short words cost little and are known first."""
        if self.is_small:
            return [self.periods]
        longest = max(self.periods)
        ends = sorted({-(-longest // 4), -(-longest // 2), longest})
        sets = [tuple(k for k in self.periods if k <= end) for end in ends]
        return [s for s, before in zip(sets, [(), *sets]) if s != before]

    def advance(self) -> None:
        """Do one piece of work."""
        if next(self.work, None) is None:
            self.done = True

    def _run(self) -> Iterator[bool]:
        if self.domain is None:
            yield from self._find_domain()
        if not self._over_limits():
            yield from self._choose()
            for stage in self.stages if self.method == "words" else [(k,) for k in self.periods]:
                if not self.finished.issuperset(stage) and not self._over_limits():
                    yield from (
                        self._words(stage) if self.method == "words" else self._closed(*stage)
                    )
        self.phase = ""
        self.exhausted = self.exhausted and not self.is_over

    @property
    def is_over(self) -> bool:
        """Whether all periods are searched."""
        return self.finished.issuperset(self.periods)

    def _over_limits(self) -> bool:
        """Return whether nodes or memory ran out."""
        most = self.options.max_nodes
        proof = sum(chunk.nbytes for chunk in self.chunks.values()) if self.chunks else 0
        size = 16 * (self.map.state_size + self.map.num_units) * max(self.periods)
        full = proof + size * self.num_cycles > self.options.max_memory * 2**30
        self.exhausted = full or (most is not None and self.count["nodes"] >= most)
        return self.exhausted

    @property
    def num_cycles(self) -> int:
        """Number of cycles found so far."""
        return sum(len(catalog.entries) for catalog in self.catalogs.values())

    @property
    def num_open(self) -> int:
        """Number of subtrees, or boxes, that are left."""
        return len(self.frontier) if self.closed is None else self.closed.num_open

    def _find_domain(self) -> Iterator[bool]:
        options = self.options
        box = None if options.box is None else options.box_of(self.map)
        most = np.inf if options.max_nodes is None else options.max_nodes // 2
        known = None
        for known in find_domain(self.map, self.periods, box, options.rigorous, most):
            self.count["nodes"] = known.nodes
            yield True
        self.domain = known

    def _choose(self) -> Iterator[bool]:
        """Choose the method, and learn the language where words are searched in floats."""
        if self.options.rigorous:
            self.method = "words"
        elif self.method == "auto" and self.map.state_size >= MANY_STATES:
            self.method = "closed"
        elif self.method == "auto" and self.map.state_size <= FEW_STATES and is_central(self.map):
            self.method = "words"
        elif self.method == "auto":
            self.phase = "words of two letters"
            probe = tuple({min(k, 2) for k in self.periods})
            most = nodes_for(self.map, MANY_LETTERS)
            part = explore(Task(self.map, self.box, probe, False), "", most)
            self.count["nodes"] += part.nodes
            self.method = "closed" if part.open else "words"
            yield True
        longest = max(self.periods)
        if self.method == "words" and longest > 1:
            self.phase = "the language"
            width = min(longest, LANGUAGE_LETTERS)
            box, most = self.box / self.box_unit(), nodes_for(self.map, LANGUAGE_NODES)
            for known in languages(self.scaled, box, width, most):
                self.language = known
                yield True
        if self.method == "words":
            part = explore(self._task(self.periods, False), "", nodes_for(self.map, SMALL))
            self.count["nodes"] += part.nodes
            self.is_small = not part.open
            yield True

    def _task(self, periods: tuple[int, ...], rigorous: bool) -> Task:
        """Return the search for some periods; without proofs it uses the language."""
        known = Language() if rigorous else self.language
        return Task(self.map, self.box, periods, rigorous,
                    language=known.codes, width=known.width)  # fmt: skip

    def box_unit(self) -> np.ndarray:
        """Return the unit of each state in the scaled map."""
        return balanced(self.map)[1]

    def _words(self, stage: tuple[int, ...]) -> Iterator[bool]:
        rigorous = self.options.rigorous
        if self.stage != stage:
            self.stage, self.frontier, self.chunks = stage, [("", 1.0)], {}
        task = self._task(stage, rigorous)
        with explorer(task, self.options.workers) as explore_all:
            while self.frontier and not self._over_limits():
                self.phase = f"words of up to {max(stage)} letters"
                batch = self.frontier[-self.options.workers :][::-1]
                most = max(nodes_for(self.map, PIECE[rigorous]), 10)
                if self.options.max_nodes is not None:
                    most = max(1, min(most, self.options.max_nodes - self.count["nodes"]))
                parts = explore_all([prefix for prefix, _ in batch], most)
                self._enter(task, batch, parts)
                yield True
        if not self.frontier:
            self.finished |= set(stage)

    def _enter(self, task: Task, batch: list[tuple[str, float]], parts: list[Subtree]) -> None:
        """Enter what a batch of subtrees brought, at the end all at once."""
        chunks, left = {}, []
        for (prefix, weight), part in zip(batch[::-1], parts[::-1]):
            self._enter_words(part)
            share = weight / (1 + len(part.open))
            left += [(bits, share) for bits in part.open[::-1]]
            chunks[prefix] = np.array(part.log, np.int32)
        if task.rigorous and self.options.keeps_proof:
            self.chunks.update(chunks)
        for part in parts:
            self.count.update(nodes=part.nodes, programs=part.programs, unproved=part.unproved)
        self.frontier[-len(batch) :] = left
        self.share = 1.0 - min(1.0, sum(weight for _, weight in self.frontier))

    def _enter_words(self, part: Subtree) -> None:
        self.enter_words([*part.words, *part.degenerate])
        self.degenerate |= {len(word) for word in part.degenerate}
        if self.options.rigorous:
            self.enter_exactly(part.words)

    def enter_words(self, words: list[np.ndarray]) -> None:
        """Enter the cycles of words."""
        by_period: dict[int, list[np.ndarray]] = {}
        for word in words:
            by_period.setdefault(len(word), []).append(word)
        for k in by_period.keys() & self.catalogs.keys():
            self.catalogs[k].identify(np.stack(by_period[k]))

    def enter_exactly(self, words: list[np.ndarray]) -> None:
        """Enter the exact cycles of words."""
        if not words:
            return
        with ctx.workprec(128 + 4 * max(self.periods)):
            for word in words:
                cycle = self.system.exact_cycle([tuple(map(int, letter)) for letter in word])
                if cycle is not None:
                    self.exact[cycle.word] = cycle

    @functools.cached_property
    def system(self) -> System:
        """The map in exact numbers."""
        return System(*self.map.exactly())

    def _closed(self, period: int) -> Iterator[bool]:
        self.phase = f"closed orbits of period {period}"
        from .closed._search import ClosedSearch

        if self.closed is None or self.closed.period != period:
            low, high = self.box / self.box_unit()
            self.closed = ClosedSearch(
                self.scaled, period, low, high, frontier=self.closed_frontier
            )
        search, self.closed_frontier, before = self.closed, None, self.closed.nodes
        while not search.done and not self._over_limits():
            search.step(SECONDS)
            words = search.take_words()
            if words:
                self.catalogs[period].identify(np.stack(words))
            self.count["nodes"] += search.nodes - before
            before = search.nodes
            self.share = self.periods.index(period) / len(self.periods)
            yield True
        if search.done:
            if not search.num_unresolved:
                self.finished.add(period)

    # what is known

    def note(self) -> str:
        """Return in words what the search is at."""
        parts = [self.phase] if self.phase else []
        parts += [f"{self.count['nodes']} nodes", f"{self.num_open} open"]
        found = sum(catalog.count(period) for period, catalog in self.catalogs.items())
        return ", ".join([*parts, f"{found} cycles"])

    def outcome(self, period: int) -> Outcome:
        """Return what is known of one period."""
        catalog, notes = self.catalogs[period], []
        complete = period in self.finished and not catalog.num_unexamined
        coverage = COVERAGE.complete_in_floating_point if complete else COVERAGE.partial
        proven = sum(len(word) == period for word in self.exact)
        if self.options.rigorous and complete:
            if period in self.degenerate:
                notes.append(
                    f"period {period}: not certified: a word has a continuum of solutions (a "
                    "multiplier that is a root of unity)"
                )
            elif proven != catalog.count(period):
                notes.append(
                    f"period {period}: not certified: floating point tells {catalog.count(period)} "
                    f"cycles, exact arithmetic {proven}; a point is too close to a boundary"
                )
            else:
                coverage = COVERAGE.certified
        if self.closed is not None and self.closed.done and self.closed.num_unresolved:
            notes.append("numbers beyond the range of floats left boxes that could not be decided")
        if period == max(self.periods):
            notes += self._common_notes()
        stats: dict[str, Any] = {name: self.count[name] for name in ("nodes", "programs")}
        stats |= {"open": self.num_open, "unproved": self.count["unproved"]}
        if self.language.width:
            stats["entropy_bound"] = self.language.entropy
        return Outcome(
            catalog,
            coverage,
            stats=stats,
            domain=self.domain_text(),
            notes=tuple(notes),
            exhausted=self.exhausted and period not in self.finished,
            method=f"BranchAndBound ({self.method})",
        )

    def domain_text(self) -> str:
        """Return in words where the search is complete."""
        if self.domain is None:
            return "no box yet"
        return EVERYWHERE if self.domain.everywhere is not None else domain_text(*self.box)

    def _common_notes(self) -> list[str]:
        notes = []
        if self.domain is not None and self.domain.everywhere is None:
            notes.append(
                f"cycles that leave {domain_text(*self.box)} are not excluded"
                + ("; BranchAndBound(box=...) sets another one" if self.options.box is None else "")
            )
        if self.exhausted:
            notes.append(
                f"the limit on nodes or memory ran out at {self.count['nodes']} nodes with "
                f"{self.num_open} subtrees left; complete are the periods "
                f"{sorted(self.finished) or 'none'}"
            )
        if self.language.width:
            notes.append(self._entropy_note())
        return notes

    def _entropy_note(self) -> str:
        where = "" if self.domain_text() == EVERYWHERE else " of orbits in the box"
        bound = np.ceil(1e4 * self.language.entropy) / 1e4
        text = (
            f"topological entropy{where}: at most {bound:.4g} nats per step (from "
            f"words of {self.language.width} letters, in floating point)"
        )
        k = max(self.finished, default=0)
        fixed = sum(d * c.count(d) for d, c in self.catalogs.items() if k and k % d == 0)
        regular = all(np.isfinite(e.condition) for c in self.catalogs.values() for e in c.entries)
        divisors = {d for d in range(1, k + 1) if k % d == 0}
        if fixed and regular and divisors <= self.finished:
            text += (
                f"; the {fixed} solutions of F^{k}(z) = z suggest {np.log(fixed) / k:.4g} "
                "(an estimate, no bound)"
            )
        return text

    def certificate(self, file: str | None) -> str:
        """Return the text of the certificate of a rigorous search that is over."""
        everywhere = self.domain.everywhere if self.domain is not None else None
        if not isinstance(everywhere, str | None):
            everywhere = [[time, chunks] for time, chunks in everywhere]
        return sealed({
            "format": FORMAT,
            "model": self.fingerprint,
            "file": file,
            "periods": list(self.periods),
            "box": self.box.tolist(),
            "everywhere": everywhere,
            "tree": {prefix: chunk.tolist() for prefix, chunk in self.chunks.items()},
            "cycles": listed(self.exact.values()),
            "degenerate": sorted(self.degenerate),
        })  # fmt: skip

    @property
    def fingerprint(self) -> str:
        """The hash of the map, as the user gave it."""
        return fingerprint_of(self.map)
