"""What a computation on the host is about: a model, starts, inputs, lengths, all checked."""

import dataclasses
from typing import Any, NamedTuple

import jax.random as jr
import numpy as np
from jaxtyping import Float, Int

from .._arguments import checked_key, checked_whole
from .._dynamics import AbstractDynamics
from .._memory import check_memory
from .._numerics import as_real
from ._arguments import check_step, checked_inputs, checked_states

_MAX_ORBITS, _MIN_ORBITS = 256, 8
_WORK = 64_000
"""M^2 k times the number of orbits, about, by default: fills the vector units, no more."""
_COPIES = 4
"""Of states and frames: before and after a step, and at the first and last of a stretch."""
_MOST_STEPS = 2**53
_LATEST, _DISTINCT = 256, 64
"""Latest age of a frame drawn anew, and how many different ones there are."""


@dataclasses.dataclass(frozen=True)
class Plan:
    """Checked arguments; `starts` are the initial states of the orbits, `delays` their extra steps.

    `ages` are the steps after which frames are drawn anew, so that orbits at a fixed point do not
    turn their frames in step. `inputs` are "time input", or "time input lane" with one sequence per
    orbit. `draw` are the random numbers left for frames.
    """

    model: AbstractDynamics
    starts: Float[np.ndarray, "state lane"]
    delays: Int[np.ndarray, " lane"]
    ages: Int[np.ndarray, " lane"]
    inputs: Float[np.ndarray, "time input *lane"] | None
    num_transient: int
    num_steps: int
    num_exponents: int
    draw: np.random.Generator

    @property
    def state_size(self) -> int:
        """Number M of states."""
        return len(self.starts)

    @property
    def num_orbits(self) -> int:
        """Number of orbits."""
        return self.starts.shape[1]


class Lengths(NamedTuple):
    """How long and how much, as a user passed it, not yet checked.

    The inputs must cover `transients` times `num_transient` rows, and the steps measured.
    """

    num_steps: Any
    num_exponents: Any
    num_transient: Any
    num_orbits: Any
    spread: Any
    transients: int = 2


def make_plan(model: Any, state: Any, key: Any, inputs: Any, lengths: Lengths) -> Plan:
    """Check what a user passed (inside the float64 scope) and draw where orbits start."""
    num_steps, num_exponents, num_transient, num_orbits, spread, transients = lengths
    model, states = checked_states(model, state)
    draw, size = _generator(checked_key(key)), model.state_size
    num_transient = _checked_steps("num_transient", num_transient, 0)
    if num_steps is not None:
        num_steps = _checked_steps("num_steps", num_steps, 1)
    num_exponents = size if num_exponents is None else num_exponents
    num_exponents = checked_whole("num_exponents", num_exponents, 1, size)
    if num_orbits is not None:
        num_orbits = checked_whole("num_orbits", num_orbits, 1)
    spread = _checked_spread(spread)
    before = transients * num_transient
    rows = checked_inputs(inputs, num_orbits, before + (num_steps or 1))
    check_step(model, states, rows)
    if num_steps is None:
        num_steps = 20_000 if rows is None else len(rows) - before
    if rows is not None and rows.ndim == 3:
        num_orbits = rows.shape[2]
    elif num_orbits is None:
        num_orbits = _default_orbits(len(states), size, num_exponents) if spread else len(states)
    elif spread == 0 and num_orbits > len(states):
        raise ValueError(
            f"num_orbits: expected at most {len(states)} with spread=0, one per state given (more "
            f"would be the same orbits again), got {num_orbits}"
        )
    if num_orbits < len(states):
        raise ValueError(
            f"num_orbits: expected at least one per state given ({len(states)}), got {num_orbits}"
        )
    _check_numbers(num_orbits, size, num_exponents)
    starts = _spread_states(states, num_orbits, spread, draw)
    delays = np.zeros(num_orbits, np.int64)
    if rows is None and spread != 0:
        delays = draw.integers(0, num_transient + 1, num_orbits)
    ages = _ages(num_orbits, num_transient, draw)
    return Plan(model, starts, delays, ages, rows, num_transient, num_steps, num_exponents, draw)


def _checked_steps(name: str, value: Any, least: int) -> int:
    steps = checked_whole(name, value, least)
    if steps > _MOST_STEPS:
        raise ValueError(f"{name}: expected at most {_MOST_STEPS} steps, got {steps}")
    return steps


def _check_numbers(num_orbits: int, size: int, num_exponents: int) -> None:
    """Refuse more orbits than there is memory for: states, frames, and what steps make of them."""
    check_memory("num_orbits", num_orbits, 8 * _COPIES * num_orbits * size * (num_exponents + 1))


def _checked_spread(spread: Any) -> float:
    value = float(as_real("spread", spread, ()))
    if value < 0:
        raise ValueError(f"spread: expected a number of at least 0, got {spread!r}")
    return value


def _ages(num_orbits: int, num_transient: int, draw) -> Int[np.ndarray, " lane"]:
    """Return random steps within the first part of the frames' transient, few distinct ones."""
    latest = min(num_transient // 8, _LATEST)
    if num_orbits == 1 or not latest:
        return np.zeros(num_orbits, np.int64)
    distinct = draw.integers(0, latest + 1, min(num_orbits, _DISTINCT))
    return np.resize(distinct, num_orbits)


def _generator(key) -> np.random.Generator:
    """Return NumPy's generator for a key: random numbers on the host, nothing to compile."""
    return np.random.default_rng(np.asarray(jr.key_data(key)).ravel().tolist())


def random_frames(plan: Plan) -> Float[np.ndarray, "state vector lane"]:
    """Draw orthonormal frames from the uniform distribution, one for each orbit.

    A generic frame matters: the unit vectors stay in invariant subspaces, such as those of dead
    ReLU units, and then miss the largest exponent.
    """
    shape = (plan.num_orbits, plan.state_size, plan.num_exponents)
    frames, _ = np.linalg.qr(plan.draw.standard_normal(shape))
    return np.ascontiguousarray(np.moveaxis(frames, 0, 2))


def _default_orbits(num_rows: int, num_states: int, num_vectors: int) -> int:
    """Return a number of orbits: many for few states, at least one for each state given."""
    share = _WORK // (num_states**2 * num_vectors)
    power = 1 << max(share.bit_length() - 1, 0)
    return max(num_rows, min(max(power, _MIN_ORBITS), _MAX_ORBITS))


def _spread_states(states: np.ndarray, num_orbits: int, spread: float, draw) -> np.ndarray:
    """Return "state orbit": the rows in turn, each plus Gaussian noise of `spread` max|row|."""
    rows = states[np.arange(num_orbits) % len(states)]
    scale = np.abs(rows).max(axis=1, keepdims=True)
    scale = np.where(scale == 0, 1.0, scale)
    noise = draw.standard_normal(rows.shape)
    return np.ascontiguousarray((rows + spread * scale * noise).T)
