"""One page about a network: what it does, how often, what organizes it, how sure one can be."""

import dataclasses
import datetime
import json
import os
import pathlib
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .._arguments import checked_periods, checked_positive, require
from .._files import one_line, plrjax_version, write_bytes
from .._host import on_host
from .._json import plain
from .._piecewise_affine import lower
from .._progress import AbstractProgress
from .._results import RESULTS
from .._tables import AbstractTabular, Table
from ..plot import require_matplotlib
from ._audit import audit
from ._find_attractors import attractors
from ._find_cycles import cycles
from ._findings import Findings
from ._measure import exponents, words
from ._page import render
from ._section import Cell, PageTable, Section, Skipped, number
from ._space import space
from ._subject import Subject, subject_of
from ._training import course, scores

_MINUTES = 2.0
"""Default limit: with imports, compilation and drawing a page takes three minutes at most."""
_SHARES = {
    "attractors": 0.15, "cycles": 0.3, "space": 0.05, "exponents": 0.12, "words": 0.08,
    "scores": 0.1, "training": 0.2,
}  # fmt: skip
"""Shares of the time; what a part does not need goes to those after it."""
_TITLES = {
    "attractors": "What it settles on", "space": "State space",
    "cycles": "Fixed points and cycles", "exponents": "Lyapunov exponents",
    "words": "Words: the regions an orbit visits", "scores": "Against the data",
    "training": "How it came about", "audit": "What scores do not show",
}  # fmt: skip
"""Parts, as they stand on the page."""
_ORDER = ("network", *_TITLES)
"""The same, with the one that is always there."""
_IMPORTS = ("jax", "jax.random as jr", "numpy as np", "plrjax as plr")
_HEADLINES = ("attractors", "cycles", "exponents", "scores", "audit")
"""Parts whose first sentence stands at the top."""


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Report(AbstractTabular):
    """A page about a network, and its numbers.

    **Fields:**

    - `name`: what the network is called.
    - `facts`: everything that the page says in numbers and sentences, by part, as JSON knows it.
    - `html`: the page, one file that needs nothing else.
    - `result`: `successful`; `budget_exhausted` where a part got no time at all; `interrupted`.
    - `notes`: parts that were cut short or left out, and why.
    """

    name: str
    facts: dict[str, Any]
    html: str
    result: RESULTS = RESULTS.successful
    notes: tuple[str, ...] = ()

    @property
    def failed(self) -> tuple[str, ...]:
        """Names of parts that could not be computed."""
        parts = self.facts["parts"].items()
        return tuple(name for name, part in parts if part["status"] == "failed")

    def save(self, path: str | os.PathLike) -> None:
        """Write the page, and its numbers beside: `report.html` and `report.json`.

        **Raises:** `ValueError` for a name that does not end in .html; `OSError`.
        """
        target = pathlib.Path(path)
        if target.suffix != ".html":
            raise ValueError(f"path: expected a name ending in .html, got {os.fspath(path)!r}")
        page = self.html.replace("report.json", target.with_suffix(".json").name)
        write_bytes(target, page.encode())
        text = json.dumps(self.facts, indent=1, allow_nan=False, ensure_ascii=False)
        write_bytes(target.with_suffix(".json"), (text + "\n").encode())

    def _table(self) -> Table:
        above = [f"report of {self.name}", *self.facts["headlines"]]
        return Table(above, below=[*self.result.lines(), *self.notes])


@on_host()
def report(
    model: Any,
    *,
    key: Any,
    data: Any = None,
    inputs: Any = None,
    periods: Any = range(1, 9),
    minutes: float | int = _MINUTES,
    name: str | None = None,
    code: Sequence[str] = (),
    progress: AbstractProgress | None = None,
) -> Report:
    """Say in one page what a network does: attractors, cycles, exponents, words, scores, an audit.

    ```python
    page = plr.report(model, key=jr.key(0))
    page.save("report.html")  # and report.json
    ```

    **Main arguments:**

    - `model`: a network; several in order (the last one is described, and bifurcations between
        them are found); a `RunFolder`; or the path of a file or a run.
    - `key`: `jax.random.key(seed)`; the same key gives the same numbers where no limit cuts.
    - `data`: a series in the units of the network (of a run: of its data), or its file; of a run,
        by default its test data.

    **Other arguments:**

    - `inputs`: a constant input of the network.
    - `periods`: cycles that are searched.
    - `minutes`: limit for the computations; each part has a share, and says where it was cut.
    - `name`: what to call the network; `code`: lines of Python that load it, for the page.
    - `progress`: `NoProgress()`, or a `ProgressBar` (default: a bar after two seconds).

    **Returns:** a `Report`; Ctrl-C returns the parts that are done.

    **Raises:** `ValueError` naming the argument; `ImportError` without the extra `report`.
    """
    require_matplotlib()
    require("jinja2", "report", "report")
    chosen = checked_periods(periods)
    limit = 60.0 * checked_positive("minutes", minutes)
    subject = subject_of(model, key, data, inputs, name, code)
    subject = dataclasses.replace(subject, progress=progress)
    begin = time.perf_counter()
    work = _Work(subject, begin + limit)
    steps: dict[str, Callable] = {"attractors": attractors}
    steps["cycles"] = lambda subject, found, seconds: cycles(subject, found, seconds, chosen)
    steps |= {"space": work.space, "exponents": exponents, "words": words, "scores": scores}
    steps |= {"training": course, "audit": audit}
    parts = [_network(subject), *(work.part(name, step) for name, step in steps.items())]
    return _page(subject, parts, work, time.perf_counter() - begin, limit)


class _Work:
    """What is found so far, and how much time is left."""

    def __init__(self, subject: Subject, deadline: float):
        self.subject, self.deadline = subject, deadline
        self.found, self.scene = Findings(), None
        self.out_of_time = False

    def part(self, name: str, step: Callable) -> Section:
        """Return one part of the page, whatever became of it."""
        begin = time.perf_counter()
        left = self.deadline - begin
        after = list(_SHARES)[list(_SHARES).index(name) :] if name in _SHARES else []
        share = _SHARES[name] / sum(_SHARES[one] for one in after) if after else 1.0
        part = Section(name, _TITLES[name], status="skipped")
        try:
            if self.found.interrupted:
                part.why = "interrupted before"
            elif left <= 0 and name in _SHARES:
                part.why, self.out_of_time = "no time was left; allow more minutes", True
            else:
                part = step(self.subject, self.found, max(share * left, 0.1))
        except Skipped as reason:
            part.why = str(reason)
        except KeyboardInterrupt:
            part.why, self.found.interrupted = "interrupted", True
        except (ValueError, RuntimeError, FloatingPointError, MemoryError) as error:
            part.status, part.why = "failed", one_line(error)
        part.seconds = time.perf_counter() - begin
        return part

    def space(self, subject: Subject, found: Findings, seconds: float) -> Section:
        """Return the part about state space, and keep the view that turns."""
        part, self.scene = space(subject, found, seconds)
        return part


def _network(subject: Subject) -> Section:
    """Return who the network is."""
    import jax

    model, run = subject.model, subject.run
    part = Section("network", "The network")
    arrays = [leaf for leaf in jax.tree.leaves(model) if hasattr(leaf, "size")]
    rows: list[tuple[str, Any]] = [("name", subject.name), ("class", type(model).__name__)]
    rows.append(("states", model.state_size))
    if subject.is_piecewise_affine:
        rows.append(("ReLU units", lower(model).num_units))
    rows.append(("parameters", int(sum(leaf.size for leaf in arrays))))
    rows.append(("precision", ", ".join(sorted({str(leaf.dtype) for leaf in arrays}))))
    if run is not None:
        rows.append(("updates", run.num_steps))
        rows += [(name, run.config["settings"].get(name)) for name in ("kind", "forcing", "seed")]
    if subject.models:
        rows.append(("snapshots", len(subject.models)))
    if subject.data is not None:
        rows.append(("data", f"{len(subject.data):,} rows of {subject.data.shape[1]} variables"))
    cells = [
        [Cell(name), number(value) if isinstance(value, int) else Cell(str(value))]
        for name, value in rows
    ]
    part.tables.append(PageTable("facts", "What is described here.", ["what", "value"], cells))
    return part


def _page(
    subject: Subject, parts: list[Section], work: _Work, seconds: float, limit: float
) -> Report:
    by_name = {part.name: part for part in parts}
    parts = sorted(parts, key=lambda part: _ORDER.index(part.name))
    headlines = [by_name[name].sentences[0] for name in _HEADLINES if by_name[name].sentences] or [
        "Nothing could be said about this network; the table at the end says why."
    ]
    code = [*(f"import {name}" for name in _IMPORTS), ""]
    code += [*subject.code, f"key = {_key_text(subject.key)}"]
    facts = {
        "title": os.path.basename(subject.name.rstrip("/\\")) or subject.name,
        "version": plrjax_version(), "headlines": headlines, "code": code,
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "total": f"{seconds:.0f} s", "limit": f"{limit:.0f} s",
    }  # fmt: skip
    record = {
        "network": subject.name, "plrjax": facts["version"], "date": facts["date"],
        "headlines": headlines, "seconds": round(seconds, 2), "limit_seconds": limit, "code": code,
        "parts": {part.name: part.record() for part in parts},
    }  # fmt: skip
    result = RESULTS.budget_exhausted if work.out_of_time else RESULTS.successful
    result = RESULTS.interrupted if work.found.interrupted else result
    notes = tuple(
        f"{part.title}: {part.status}: {part.why}" for part in parts if part.status != "done"
    )
    html = render(parts, work.scene, facts, "report.json")
    return Report(subject.name, plain(record), html, result, notes)


def _key_text(key: Any) -> str:
    """Return how to make the key again."""
    import jax

    data = np.asarray(jax.random.key_data(key))
    if data.shape == (2,) and not data[0] and "threefry" in str(jax.random.key_impl(key)):
        return f"jr.key({int(data[1])})"
    return f"jr.wrap_key_data(np.array({data.tolist()}, np.uint32))"
