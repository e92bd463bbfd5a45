"""From sums along orbits to a spectrum: means, error bars, attractors, notes."""

import numpy as np

from .._numerics import EPS, quiet_floats
from .._results import RESULTS
from ._attractors import FEWEST_BLOCKS, attractors, grows, unaligned
from ._plan import Plan
from ._result import LyapunovSpectrum
from ._runner import Runner
from ._statistics import remembers, standard_error

_MOST_BLOCKS = 256
"""Blocks kept at most."""
_FEWEST_FOR_MEMORY = 32
"""Blocks per orbit from which a memory can be seen."""
_UNALIGNED = "frames may not be aligned yet (exponents lie close together): raise num_transient"
_DRIFTS = "exponents drift along the orbits, which may not have settled: raise num_transient"
_REMEMBERS = "growth stays correlated over much of the run: errors may be larger; raise num_steps"
_AUDIT_LIMIT = 1e-8
"""A sum of exponents farther than this from mean ln|det J|, relative to it, is worth a note."""


class Totals:
    """Sums of ln R_ii and of states measured until now, in all and in blocks of equal length."""

    def __init__(self, plan: Plan):
        self.num_steps = plan.num_steps
        self.rest_logs = np.zeros((plan.num_exponents, plan.num_orbits))
        self.rest_states = np.zeros((plan.state_size, plan.num_orbits))
        self.steps, self.block = 0, plan.num_steps
        self.block_logs: list[np.ndarray] = []
        self.block_states: list[np.ndarray] = []

    @property
    def left(self) -> int:
        """Steps not measured yet."""
        return self.num_steps - self.steps

    @property
    def room(self) -> int:
        """Blocks to measure before the next merging."""
        return min(_MOST_BLOCKS - len(self.block_logs), self.left // self.block)

    def merge(self) -> None:
        """Make one block of two where there are so many."""
        if len(self.block_logs) == _MOST_BLOCKS:
            with quiet_floats():
                pairs = range(0, _MOST_BLOCKS, 2)
                self.block_logs = [np.add(*self.block_logs[i : i + 2]) for i in pairs]
                self.block_states = [np.add(*self.block_states[i : i + 2]) for i in pairs]
            self.block *= 2

    def add(self, logs: np.ndarray, states: np.ndarray, steps: int) -> None:
        """Add sums over that many steps, fewer than a block."""
        with quiet_floats():
            self.rest_logs, self.rest_states = self.rest_logs + logs, self.rest_states + states
        self.steps += steps

    def add_blocks(self, logs: np.ndarray, states: np.ndarray) -> None:
        """Add sums of whole blocks, "block vector lane" and "block state lane"."""
        self.block_logs.extend(logs)
        self.block_states.extend(states)
        self.steps += len(logs) * self.block

    def sums(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the sums over all steps, "vector lane" and "state lane"."""
        with quiet_floats():
            logs = np.sum([*self.block_logs, self.rest_logs], axis=0)
            return logs, np.sum([*self.block_states, self.rest_states], axis=0)


def collect(runner: Runner, plan: Plan, totals: Totals, result: RESULTS) -> LyapunovSpectrum:
    """Put the sums together."""
    per_orbit, growth, states, mean_state = _averages(runner.alive, plan, totals)
    measured = runner.alive if totals.steps else np.zeros_like(runner.alive)
    if _one_input_each(plan):
        labels = np.where(measured, 0, -1)
    else:
        labels = attractors(growth, states, measured, max(totals.steps, 1), plan.num_transient)
    rows, order, said = [], np.arange(plan.num_exponents), []
    for label in reversed(range(labels.max() + 1)):
        here = labels == label
        value = _mean(per_orbit[here])
        error, said = _error(value, growth[:, here], per_orbit[here], runner, totals)
        order = np.argsort(-value, kind="stable")
        rows.insert(0, (value[order], error[order], mean_state[here].mean(axis=0)))
    widths = (plan.num_exponents, plan.num_exponents, plan.state_size)
    table = [np.reshape([r[i] for r in rows], (len(rows), n)) for i, n in enumerate(widths)]
    nothing = np.full(plan.num_exponents, np.nan)
    exponents, error = rows[0][:2] if rows else (nothing, nothing)
    residual = _residual(runner)
    return LyapunovSpectrum(
        exponents=exponents,
        standard_error=error,
        per_orbit=per_orbit[:, order],
        running=_running(growth[:, labels == 0])[:, order],
        attractor=labels,
        attractor_exponents=table[0],
        attractor_standard_error=table[1],
        attractor_state=table[2],
        first_nonfinite=runner.first_nonfinite,
        det_residual=residual,
        qr_every=runner.interval,
        num_steps=totals.steps,
        block_steps=totals.block,
        state_size=plan.state_size,
        notes=(
            *_notes(runner, labels, exponents, result),
            *said,
            *_settling_notes(plan, labels, states, growth),
            *_audit_note(residual, exponents),
        ),
        result=result,
    )


def _one_input_each(plan: Plan) -> bool:
    """Return whether every orbit has its own input sequence: they are different systems then."""
    return plan.inputs is not None and plan.inputs.ndim == 3


def _samples(blocks: np.ndarray, per_orbit: np.ndarray, plan: Plan) -> np.ndarray:
    """Return the averages that count as samples, "block orbit vector"."""
    if len(per_orbit) > 1 and (_one_input_each(plan) or not len(blocks)):
        return per_orbit[None]
    if plan.inputs is not None and not _one_input_each(plan):
        return _mean(blocks, axis=1)[:, None]  # orbits under one input are not independent
    return blocks


def _error(
    value: np.ndarray, blocks: np.ndarray, per_orbit: np.ndarray, runner: Runner, totals: Totals
) -> tuple[np.ndarray, list[str]]:
    """Return standard errors, and what is to be said about them.

    To the statistical error come rounding, the ends of a run (a bounded fluctuation is cut there),
    and the bias of frames that were not aligned and of orbits that had not settled.
    """
    plan, steps, notes = runner.plan, totals.steps, []
    samples = _samples(blocks, per_orbit, plan)
    if not samples.size:
        return value * np.nan, notes
    with quiet_floats():
        error = standard_error(samples)
        count, orbits, _ = samples.shape
        if count > 1:
            ends = samples.std(axis=(0, 1)) * totals.block / steps / np.sqrt(orbits)
            error = np.hypot(error, ends)
        finite = np.isfinite(value)
        bias = unaligned(value[None, finite], plan.num_transient, steps)[0]
        if (bias > error[finite]).any():
            notes.append(_UNALIGNED)
        drift = _drift(samples)
        if (drift > 8.0 * error)[finite].any():
            notes.append(_DRIFTS)
        if count > _FEWEST_FOR_MEMORY and finite.any() and remembers(samples[:, :, finite]):
            notes.append(_REMEMBERS)
        error = np.hypot(error, np.where(drift > 8.0 * error, 0.5 * drift, 0.0))
        error[finite] = np.hypot(error[finite], bias)
        error = np.sqrt(
            error**2 + runner.mean_rounding() ** 2 + (64 * EPS * (1 + np.abs(value))) ** 2
        )
    return np.where(finite, error, np.nan), notes


def _drift(samples: np.ndarray) -> np.ndarray:
    """Return how far the means over the two halves of a run are apart."""
    half = len(samples) // 2
    if not half:
        return np.zeros(samples.shape[2])
    first, last = samples[:half].mean(axis=(0, 1)), samples[-half:].mean(axis=(0, 1))
    return np.abs(first - last)


def _averages(alive: np.ndarray, plan: Plan, totals: Totals) -> tuple[np.ndarray, ...]:
    """Return per step: "orbit vector", "block orbit vector", "block orbit state", "orbit state"."""
    shape = (len(totals.block_logs), -1, plan.num_orbits)
    with quiet_floats():
        growth = np.reshape(totals.block_logs, (shape[0], plan.num_exponents, shape[2]))
        states = np.reshape(totals.block_states, (shape[0], plan.state_size, shape[2]))
        growth = np.swapaxes(growth, 1, 2) / totals.block
        states = np.swapaxes(states, 1, 2) / totals.block
        logs, sums = totals.sums()
        per_orbit = np.where(alive[:, None], logs.T / np.float64(totals.steps), np.nan)
        mean_state = sums.T / np.float64(totals.steps)
    return per_orbit, growth, states, mean_state


def _mean(values: np.ndarray, axis: int = 0) -> np.ndarray:
    with quiet_floats():
        return values.mean(axis=axis)


def _running(growth: np.ndarray) -> np.ndarray:
    """Return the means over the first blocks, "block vector", pooled over orbits."""
    if not growth.shape[1]:
        return np.zeros((0, growth.shape[2]))
    with quiet_floats():
        pooled = growth.mean(axis=1)
        return np.cumsum(pooled, axis=0) / np.arange(1, len(pooled) + 1)[:, None]


def _residual(runner: Runner) -> float:
    """Return |sum of exponents - mean ln|det J|| per step, over the stretches audited."""
    if not runner.audit_steps or not runner.alive.any():
        return float("nan")
    return float(abs(runner.audited[runner.alive].mean()) / runner.audit_steps)


def _audit_note(residual: float, exponents: np.ndarray) -> list[str]:
    if not residual > _AUDIT_LIMIT * (1.0 + abs(float(exponents.sum()))):
        return []
    return [f"the sum of all exponents is off mean ln|det J| by {residual:.1g}: ill-conditioned"]


def _settling_notes(plan: Plan, labels, states: np.ndarray, growth: np.ndarray) -> list[str]:
    """Say where orbits grow, where attractors are not told apart, and where input is missing."""
    notes = []
    alive = labels >= 0
    if grows(states[:, alive]).any():
        notes.append("states keep growing: there is no attractor that these exponents belong to")
    several = np.count_nonzero(alive) > 1 and not _one_input_each(plan)
    if several and len(growth) < FEWEST_BLOCKS:
        notes.append("too few steps to tell attractors apart: all orbits were pooled")
    if plan.inputs is None and getattr(plan.model, "C", None) is not None:
        notes.append("the network has an input matrix C and ran without input")
    return notes


def _notes(runner: Runner, labels: np.ndarray, exponents: np.ndarray, result: RESULTS) -> list[str]:
    """Say what one must know to read the numbers."""
    notes, total = [], len(labels)
    lost = runner.first_nonfinite[~runner.alive]
    if len(lost):
        notes.append(
            f"{len(lost)} of {total} orbits did not stay finite, the first after {lost.min()} "
            "steps (see first_nonfinite): start them elsewhere, or lower num_steps"
        )
    counts = np.bincount(labels[labels >= 0])
    if len(counts) > 1:
        sizes = ", ".join(map(str, counts[:8])) + (", ..." if len(counts) > 8 else "")
        notes.append(
            f"orbits settled on {len(counts)} attractors ({sizes} orbits): the exponents are those "
            "of the most frequent one; see per_attractor()"
        )
    collapsed = int(np.isneginf(exponents).sum())
    if collapsed:
        notes.append(
            f"{collapsed} exponents are -inf: within one step their directions shrink below the "
            "rounding error of the largest (units are dead or saturated, or the Jacobian is rank "
            "deficient)"
        )
    if runner.too_long:
        tried = f"qr_every={runner.asked}" if runner.asked else f"QR every {runner.too_long} steps"
        notes.append(f"{tried} lost the last exponents to rounding: took {runner.interval}")
    if result is RESULTS.interrupted:
        notes.append("interrupted: exponents over the steps measured until then")
    if result is RESULTS.budget_exhausted:
        notes.append("cut short by max_seconds: the same key may give another result next time")
    return notes
