"""All cycles by branch and bound: its cost, against enumeration, and against heuristics.

Run `python -m benchmarks.complete [figure.png] [--shared FOLDER] [--prototype FOLDER] [--quick]`;
`--help` says more.
"""

import argparse
import importlib
import json
import pathlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from benchmarks import timing

if __name__ == "__main__":
    timing.single_thread()

import numpy as np

import plrjax as plr
from benchmarks.complete_systems import System, own_systems, random_plrnn, table_systems
from plrjax._parallel import one_thread_per_solve
from plrjax.cycles.complete._domain import Domain, find_domain

QUIET = plr.NoProgress()
SOLVERS = {
    "Auto(complete=False)": plr.Auto(complete=False),
    "SCYFI()": plr.SCYFI(),
    "PathFollowing()": plr.PathFollowing(),
}
HEAD = (
    "system | K | cycles | nodes | programs | s | domain, s | prototype, s | (s - domain) / "
    "prototype | method | unproved | where | coverage"
)
LONGEST_RUN = 120.0
"""Seconds on the wall after which a search of the table is stopped."""


class Row(NamedTuple):
    """What a complete search said and took.

    `seconds` is CPU time, the least of several calls; `domain_seconds` the part of it that goes
    into the box; `prototype` what the prototype takes in this box, without finding it (NaN where
    it was not asked or did not end), and `prototype_cycles` how many cycles it reports.
    """

    name: str
    units: int
    longest: int
    nodes: int
    programs: int
    seconds: float
    cycles: int
    domain: str
    coverage: str
    method: str
    unproved: int
    domain_seconds: float = np.nan
    prototype: float = np.nan
    prototype_cycles: int = 0


class Growth(NamedTuple):
    """One network searched to a longer and longer period; `enumerated`: seconds of Exhaustive()."""

    name: str
    units: int
    periods: list[int]
    nodes: list[int]
    cycles: list[int]
    seconds: list[float]
    enumerated: list[float]


class Race(NamedTuple):
    """CPU seconds until all k-cycles were known: complete, and per solver and key (NaN: never)."""

    name: str
    cycles: int
    complete: float
    limit: float
    heuristics: dict[str, list[float]]


def complete(system: System, **options) -> plr.CycleSet:
    """Search for all cycles of periods 1 to `longest`, in the system's box if it has one."""
    solver = plr.BranchAndBound(**{"box": system.box, **options})
    return plr.find_cycles(
        system.map,
        range(1, system.longest + 1),
        solver=solver,
        max_seconds=LONGEST_RUN,
        progress=QUIET,
    )


def least(function: Callable[[], Any], repeats: int = 5, budget: float = 5.0) -> tuple[Any, float]:
    """Return the result, and the least CPU seconds of up to `repeats` calls within a budget."""
    taken: list[float] = []
    found = None
    while len(taken) < repeats and sum(taken) + min(taken, default=0.0) <= budget:
        begun = time.process_time()
        found = function()
        taken.append(time.process_time() - begun)
    return found, min(taken)


def measure(system: System, **options) -> Row:
    """Measure one complete search."""
    found, seconds = least(lambda: complete(system, **options))
    at = system.longest
    return Row(
        system.name, system.map.num_units, at,
        found.stats["nodes"][at], found.stats["programs"][at], seconds, len(found),
        found.coverage_domain, found.coverage.name, found.stats["solver"][at].split("(")[1][:-1],
        found.stats["unproved"][at],
    )  # fmt: skip


def domain_of(system: System) -> Domain:
    """Return the box that the search takes, proven to hold all cycles or not."""
    box = None if system.box is None else plr.BranchAndBound(box=system.box).box_of(system.map)
    *_, found = find_domain(system.map, tuple(range(1, system.longest + 1)), box, False)
    return found


def with_prototype(row: Row, folder: pathlib.Path, system: System) -> Row:
    """Add the prototype's seconds in the same box: its faster way for words, else closed orbits.

    Words go without its recurrent language or with it; its closed search runs period by period.
    """
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
    domain, seconds = least(lambda: domain_of(system))
    names = ("A", "W1", "h1", "W2", "h2")
    map = tuple(np.ascontiguousarray(getattr(system.map, name)) for name in names)
    search = _prototype_closed if len(domain.box[0]) >= 6 else _prototype_words
    taken, cycles = search(map, system.longest, domain.box)
    return row._replace(domain_seconds=seconds, prototype=taken, prototype_cycles=cycles)


def _prototype_words(map: tuple, longest: int, box: np.ndarray) -> tuple[float, int]:
    words: Any = importlib.import_module("wordsearch")

    def search(language: bool):
        known, width = (
            words.refine_language(map, *box, min(longest, 8))[:2] if language else (None, 0)
        )
        return words.run(
            map, longest, *box, maxnodes=2_000_000, maxout=20_000, lang=known, lw=width
        )

    results = []
    for language in (False, True) if 2 * len(map[4]) <= 62 else (False,):
        found, seconds = least(lambda language=language: search(language), 3)
        if not found["flag"]:
            results.append((seconds, sum(len(each) for each in words.classes(found).values())))
    return min(results, default=(np.nan, 0))


def _prototype_closed(map: tuple, longest: int, box: np.ndarray) -> tuple[float, int]:
    closed: Any = importlib.import_module("closedbb")
    cycles, begun = 0, time.process_time()
    for period in range(1, longest + 1):
        search = closed.Closed(map, period, *box, nobbt=2, tlim=LONGEST_RUN / 2).run().summary()
        if not search["complete"]:
            return np.nan, 0
        cycles += search["found"].get(period, 0)
    return time.process_time() - begun, cycles


def grow(name: str, system: System, bits: int, seconds: float = 20.0) -> Growth:
    """Search to longer and longer periods, and enumerate while words have at most `bits` bits."""
    found = Growth(name, system.map.num_units, [], [], [], [], [])
    for longest in range(2, system.longest + 1, 1 if system.longest < 16 else 2):
        row = measure(system._replace(longest=longest))
        found.periods.append(longest)
        found.nodes.append(row.nodes)
        found.cycles.append(row.cycles)
        found.seconds.append(row.seconds)
        if longest * found.units <= bits and np.nan_to_num(found.enumerated or [0.0])[-1] < seconds:
            every = lambda longest=longest: plr.find_cycles(
                system.map, range(1, longest + 1), solver=plr.Exhaustive(), progress=QUIET
            )
            every()  # compiles
            enumerated, taken = least(every, 3)
            assert len(enumerated) == row.cycles, f"{name}, to {longest}: enumeration disagrees"
            found.enumerated.append(taken)
        else:
            found.enumerated.append(np.nan)
    return found


def growths(bits: int, quick: bool = False) -> Iterator[Growth]:
    """Yield one network each of two, three and four units."""
    for size, gain, seed, longest in ((2, 3.0, 0, 30), (3, 3.0, 783, 20), (4, 3.0, 95, 14)):
        system = System("", random_plrnn(size, gain, seed), 4 if quick else longest)
        yield grow(f"M={size}", system, bits)


def race(system: System, keys: range = range(5), least_limit: float = 3.0) -> Race:
    """Let heuristics run until they have all cycles of the longest period that there are.

    They are asked for this period only, the complete search for all up to it. A run that stops by
    itself goes on with another key; it is given up after three times the complete search's time.
    """
    from benchmarks import recall

    found, seconds = least(lambda: complete(system))
    period = system.longest
    rows = np.flatnonzero(found.period == period)
    wanted = {found.itinerary[row, :period].tobytes() for row in rows}
    limit = max(least_limit, 3.0 * seconds)
    times = {}
    with one_thread_per_solve():
        for name, solver in SOLVERS.items():
            runs = [
                recall.compiled_search(
                    solver, recall.Case(system.map, period),
                    seed=key, seconds=limit, wanted=wanted,
                )
                for key in keys
            ]  # fmt: skip
            times[name] = [run.ends[-1] if wanted <= run.first.keys() else np.nan for run in runs]
    return Race(f"{system.name}, k={period}", len(wanted), seconds, limit, times)


def racing(systems: list[System]) -> list[System]:
    """Return the systems of the table that have cycles of the longest period sought, in R^M."""
    names = ("2-D, 16", "2-D, 65", "2-D, 80", "random M=3", "random M=4")
    return [system for system in systems if system.name.startswith(names)]


def report_row(row: Row) -> None:
    """Print a row of the table (see HEAD)."""
    rest = row.seconds - row.domain_seconds
    print(f"| {row.name} | {row.longest} | {row.cycles} | {row.nodes:,} | {row.programs:,} | "
          f"{row.seconds:.3g} | {row.domain_seconds:.2g} | {row.prototype:.3g} | "
          f"{rest / row.prototype:.2g} | {row.method} | {row.unproved} | {row.domain} | "
          f"{row.coverage} |", flush=True)  # fmt: skip
    if np.isfinite(row.prototype) and row.prototype_cycles != row.cycles:
        print(f"  the prototype reports {row.prototype_cycles} cycles")


def report_growth(found: Growth) -> None:
    """Print nodes and seconds against the number of itineraries."""
    print(f"\n{found.name}: K, itineraries, nodes, cycles, seconds, Exhaustive / BranchAndBound")
    for K, nodes, cycles, seconds, enumerated in zip(*found[2:]):
        print(f"  {K:3d}  2^{K * found.units:<3d}{nodes:9,d}{cycles:6d}{seconds:9.3f}"
              f"{enumerated / seconds:9.2g}", flush=True)  # fmt: skip


def report_race(found: Race) -> None:
    """Print the median time of each heuristic over that of the complete search, and misses."""
    print(f"\n{found.name}: {found.cycles} cycles, complete {found.complete:.3g} s, limit "
          f"{found.limit:.3g} s")  # fmt: skip
    for name, times in found.heuristics.items():
        missed = int(np.isnan(times).sum())
        middle = np.median(np.nan_to_num(times, nan=np.inf)) / found.complete
        print(f"  {name:22s}{middle:9.2g} x{missed:4d} of {len(times)} runs incomplete", flush=True)


def measurements(given, systems: list[System], own: list[System]) -> Iterator[tuple[str, Any]]:
    """Measure and print one row after the other; yields (part, row)."""
    parts = given.parts.split(",")
    for system in [*systems, *own] if "floats" in parts else []:
        row = measure(system)
        row = row if given.prototype is None else with_prototype(row, given.prototype, system)
        report_row(row)
        yield "floats", row
    for system in [*systems, *own] if "rigorous" in parts else []:
        if system.map.state_size < 6 and system.map.num_units < 10:
            row = measure(system, rigorous=True)
            report_row(row)
            yield "rigorous", row
    for found in growths(8 if given.quick else 24, given.quick) if "growth" in parts else ():
        report_growth(found)
        yield "growth", found
    for system in racing(systems) if "races" in parts else []:
        found = race(system, range(1 if given.quick else 5))
        report_race(found)
        yield "races", found


def main(arguments: list[str] | None = None) -> None:
    """Measure, print, and draw."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.complete", description=__doc__)
    parser.add_argument("output", nargs="?", help="PNG file to write")
    parser.add_argument("--shared", type=pathlib.Path, help="folder with the published systems")
    parser.add_argument("--prototype", type=pathlib.Path, help="folder of the first version")
    parser.add_argument("--parts", default="floats,rigorous,growth,races")
    parser.add_argument("--quick", action="store_true", help="few and small systems")
    parser.add_argument("--json", type=pathlib.Path, help="numbers, read first and added to")
    given = parser.parse_args(arguments)
    own = own_systems()[:1] if given.quick else own_systems()
    small = [System("random M=3", random_plrnn(3, 3.0, 783), 4)]
    systems = small if given.quick else table_systems(given.shared)
    known = json.loads(given.json.read_text()) if given.json and given.json.exists() else {}
    print(f"| {HEAD} |")
    for options in ({}, {"rigorous": True}, {"method": "closed"})[: 2 if given.quick else 3]:
        complete(small[0], **options)  # compiles
    for part, result in measurements(given, systems, own):
        known.setdefault(part, []).append(result)
        if given.json:
            given.json.write_text(json.dumps(known))
    if given.output:
        from benchmarks.complete_figure import plot

        read = lambda kind, name: [kind(*row) for row in known.get(name, [])]
        figure = plot(read(Row, "floats"), read(Growth, "growth"), read(Race, "races"))
        figure.savefig(given.output, dpi=96, pil_kwargs={"optimize": True})


if __name__ == "__main__":
    main()
