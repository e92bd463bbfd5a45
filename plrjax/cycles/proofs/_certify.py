"""Proofs of single cycles: that they exist, their minimal period, and their stability."""

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np

from ..._arguments import check_kind
from ..._host import on_host
from ..._job import deadline_of, job
from ..._numerics import quiet_floats
from ..._piecewise_affine import AbstractPLRNN, PiecewiseAffineMap, lower
from ..._progress import AbstractProgress
from ..._results import RESULTS
from ..._stability import floquet_multipliers
from .._cycle_set import CycleSet

if TYPE_CHECKING:
    from ._enclosure import Proof

_PREFIX = "certify: "
_MAX_NAMED = 20


@on_host()
def certify(
    model: AbstractPLRNN,
    cycles: CycleSet,
    *,
    max_seconds: float | int | None = None,
    progress: AbstractProgress | None = None,
) -> CycleSet:
    """Prove for every cycle that it exists, has its minimal period, and is as stable as said.

    A cycle is its word: inside the word's linear subregions F^k is affine, F^k(z) = P z + q, and
    the cycle exists if (I - P) z = q has a solution whose pre-activations all have the word's
    signs. Ball arithmetic of rising precision (Johansson 2017) encloses that solution, the signs
    and the eigenvalues of P, with the network's parameters as they are, which are exact binary
    fractions, and what its canonical form has of them, which are fractions too;
    what balls leave open (I - P singular, points on a switching boundary, multipliers of modulus 1)
    is decided in rationals where the words are not too long. Only words are read: points need not
    be good, nor need the cycles come from `find_cycles`.

    **Arguments:**

    - `model`: the network, or `PiecewiseAffineMap`, that has the cycles.
    - `cycles`: a `CycleSet` of that network.
    - `max_seconds`: time limit; what is proven by then is kept.
    - `progress`: `NoProgress()`, or a `ProgressBar` (default: a bar after two seconds).

    **Returns:** the same rows. Where the existence is proven (`proven_existence`), `verified` and
    `valid` are True, `points` are the true ones up to rounding, `error_bound` is a proven bound of
    their error, `residual` and `margin` belong to them, and `index` is proven where its sign is.
    Where the stability is proven too (`proven_stability`), `stability` is the proven one and
    `multipliers` are the midpoints of balls around the true ones (of many states, where only
    the numbers inside and outside the unit circle are proven, those of floating-point arithmetic).
    Rows that are proven to be no cycles are kept, with `verified` False. `notes` name these and
    what is not decided. Nothing is said about cycles that are missing: `coverage` stays. Ctrl-C
    keeps what is proven, with `result == RESULTS.interrupted`.

    **Raises:** `ValueError` where an argument is of a wrong type or the cycles belong to a map of
    another size.
    """
    map = lower(model)
    _check(map, cycles)
    check_kind("progress", progress, AbstractProgress, "a progress such as NoProgress()")
    proofs, result = _proofs(map, cycles, progress, deadline_of(max_seconds))
    arrays = {name: getattr(cycles, name).copy() for name in cycles.file_arrays}
    for name in ("proven_existence", "proven_stability"):
        arrays[name] = np.zeros(len(cycles), bool)
    for row, proof in enumerate(proofs):
        if proof.exists:
            _enter(arrays, row, proof, map, cycles)
        elif proof.exists is False or proof.on_border:
            arrays["verified"][row] = False
    older = [note for note in cycles.notes if not note.startswith(_PREFIX)]
    stopped = len(proofs) < len(cycles)
    return dataclasses.replace(
        cycles,
        **arrays,
        result=result if stopped else cycles.result,
        notes=(*older, *_notes(proofs, len(cycles))),
    )


def _check(map: PiecewiseAffineMap, cycles: Any) -> None:
    if not isinstance(cycles, CycleSet):
        raise ValueError(f"cycles: expected a CycleSet, got {type(cycles).__name__}")
    sizes = (map.state_size, map.num_units)
    if (cycles.state_size, cycles.num_units) != sizes:
        raise ValueError(
            f"cycles: expected those of the model, with {sizes[0]} states and {sizes[1]} units, "
            f"got those of a map with {cycles.state_size} states and {cycles.num_units} units"
        )


def _proofs(
    map: PiecewiseAffineMap,
    cycles: CycleSet,
    progress: AbstractProgress | None,
    deadline: float | None,
) -> tuple[list["Proof"], RESULTS]:
    """Return what is proven of every row, or of the first ones, and how it ended."""
    from ._enclosure import Enclosure

    enclosure = Enclosure(map)
    proofs = []
    with job(progress, "proofs", deadline) as work:
        for row in range(len(cycles)):
            work.check()
            proofs.append(enclosure.prove(cycles.regions(row)))
            proven = sum(bool(proof.exists) for proof in proofs)
            work.update(len(proofs) / len(cycles), f"{proven} of {len(cycles)} proven")
    return proofs, work.result


def _enter(
    arrays: dict[str, np.ndarray],
    row: int,
    proof: "Proof",
    map: PiecewiseAffineMap,
    cycles: CycleSet,
) -> None:
    """Write what is proven of a cycle into its row."""
    orbit = proof.points
    arrays["points"][row, : len(orbit)] = orbit
    with quiet_floats():
        arrays["residual"][row] = np.abs(map.apply(orbit) - np.roll(orbit, -1, axis=0)).max()
        arrays["margin"][row] = map.margin(orbit).min()
    arrays["error_bound"][row] = proof.error
    for name in ("verified", "valid", "proven_existence"):
        arrays[name][row] = True
    if proof.index:
        arrays["index"][row] = proof.index
    if proof.stability is None:
        return
    arrays["stability"][row] = proof.stability
    arrays["proven_stability"][row] = True
    multipliers = proof.multipliers
    if multipliers is None:
        J, _ = map.affine_piece(cycles.regions(row)[None])
        multipliers = floquet_multipliers(J)[0][0]
    arrays["multipliers"][row] = multipliers


def _notes(proofs: list["Proof"], number: int) -> list[str]:
    """Name the rows that are no cycles, or not proven, by reason."""
    groups: dict[str, list[int]] = {}
    for row, proof in enumerate(proofs):
        if proof.exists is False:
            text = f"no cycle: {proof.reason}"
        elif proof.exists is None:
            text = f"existence not proven: {proof.reason}"
        elif proof.stability is None:
            text = "stability not proven: a multiplier lies too close to the unit circle"
        else:
            continue
        groups.setdefault(text, []).append(row)
    if len(proofs) < number:
        rows = list(range(len(proofs), number))
        groups["not examined: interrupted by Ctrl-C"] = rows
    return [f"{_PREFIX}{_named(rows)}: {text}" for text, rows in groups.items()]


def _named(rows: list[int]) -> str:
    shown = ", ".join(map(str, rows[:_MAX_NAMED]))
    more = f" and {len(rows) - _MAX_NAMED} more" if len(rows) > _MAX_NAMED else ""
    return f"row{'s' if len(rows) > 1 else ''} {shown}{more}"
