"""Drive the compiled loops in calls of a fraction of a second, and watch the QR interval."""

import time
from collections.abc import Iterator

import jax.numpy as jnp
import numpy as np

from .._job import Job
from .._numerics import EPS, quiet_floats
from ._engine import SLOTS, Lanes, count_finite, drift, log_determinants, measure
from ._interval import (
    PILOT,
    ROUNDING,
    collapsing,
    longest_interval,
    mean_over,
    shorter_interval,
)
from ._plan import Plan, random_frames

_SECONDS = 0.25
"""Aim for the duration of one call: between two calls Ctrl-C and the clock are heard."""
_SLOT_WORK = 1.2e8
"""M^2 k times orbits times steps of one slot, about: a fraction of a second."""
_AUDITS, _AUDIT_STEPS = 8, 16
"""How often, and for how many steps at least, sums of exponents are held against ln|det J|; fewer
steps where all of the audits would take longer than one slot."""
_PILOT_SLOTS = 4
"""Length of the pilot in slots where steps are expensive, but `SLOTS` steps at least: it must not
take longer than a short run (at 256 exponents 192 steps take a second)."""


class NothingFinite(Exception):
    """No orbit is finite any more."""


class Pace:
    """How many steps fit into one call."""

    def __init__(self, work_per_step: float):
        self.steps = max(1, int(2.5e8 / work_per_step))

    def note(self, steps: int, seconds: float) -> None:
        """Learn from a call of that many steps."""
        fitting = steps * _SECONDS / max(seconds, 1e-6)
        self.steps = max(1, int(min(fitting, 8.0 * self.steps)))


class Runner:
    """Many orbits of one model on their way, in float64.

    **Fields:** `lanes`; `time`, the next row of the inputs; `interval` between QRs, never longer
    than found safe; `dead`, vectors that collapse ("vector lane"); `alive`, lanes still finite;
    `first_nonfinite`, the step at which a lane was lost, or -1; `too_long`, the longest interval
    that was tried and given up, or 0; `asked`, the interval that the user wants, or 0; `rounding`,
    rounding errors of the sums of ln R_ii over all `counted` steps, in units of eps.
    """

    def __init__(self, plan: Plan):
        self.plan, self.model, self.job = plan, plan.model, Job()
        self.inputs = None if plan.inputs is None else jnp.asarray(plan.inputs)
        self.time, self.interval, self.longest = 0, 1, 1
        self.too_long, self.asked = 0, 0
        self.alive: np.ndarray = np.ones(plan.num_orbits, bool)
        self.first_nonfinite = np.full(plan.num_orbits, -1, np.int64)
        self.dead: np.ndarray = np.zeros((plan.num_exponents, plan.num_orbits), bool)
        self.audited, self.audit_steps = np.zeros(plan.num_orbits), 0
        self.rounding, self.counted = np.zeros(self.dead.shape), 0

    def begin(self) -> None:
        """Lead the orbits through the first transient and their delays; give them frames."""
        plan = self.plan
        ends, states = plan.num_transient + plan.delays, jnp.asarray(plan.starts)
        last, now = int(ends.max()), 0
        pace = Pace(4.0 * plan.state_size * plan.starts.size)
        while now < last:
            begun = self._tick()
            stop = min(last, now + pace.steps)
            begin, end = self._times(now, stop)
            states, count = drift(self.model, states, self.inputs, begin, end, jnp.asarray(ends))
            lost = self.alive & (np.asarray(count) < stop - now)
            self.first_nonfinite[lost] = np.minimum(now + np.asarray(count) + 1, ends)[lost]
            self._drop(lost)
            pace.note(stop - now, time.perf_counter() - begun)
            now = stop
        self.time = plan.num_transient
        self.lanes = Lanes(states, jnp.asarray(random_frames(plan)))
        self.pace = Pace(4.0 * plan.state_size**2 * plan.num_exponents * plan.num_orbits)

    def pilot(self) -> None:
        """Try QR at every step on a copy of the orbits; learn the longest safe interval."""
        available = PILOT if self.inputs is None else len(self.inputs) - self.time
        enough = max(SLOTS, _PILOT_SLOTS * self.unit(1))
        steps, lanes, logs = min(PILOT, available, enough), self.lanes, []
        while steps > 0:
            self._tick()
            count = min(SLOTS, steps)
            times = self._times(self.time + len(logs) * SLOTS, 1, 1, count)
            lanes, sums = measure(self.model, lanes, self.inputs, *times)
            logs.append(np.asarray(sums.logs)[:count])
            steps -= count
        found = np.concatenate(logs)
        with quiet_floats():
            self.dead = collapsing(found)
            self.longest = longest_interval(found, self.dead)

    def align(self) -> None:
        """Lead the frames through their transient, each drawn anew at an age of its own."""
        plan, done = self.plan, 0
        fresh = np.asarray(self.lanes.frames)
        for age in np.unique(plan.ages[plan.ages > 0]):
            self.advance(int(age) - done)
            done = int(age)
            frames = np.where(plan.ages == age, fresh, np.asarray(self.lanes.frames))
            self.lanes = Lanes(self.lanes.states, jnp.asarray(frames))
        self.advance(plan.num_transient - done)

    def advance(self, steps: int) -> None:
        """Go on without keeping anything (the transient of the frames)."""
        for _ in self.stretch(steps):
            continue

    def unit(self, interval: int) -> int:
        """Return the steps of one slot: where sums are cut does not depend on the clock."""
        plan = self.plan
        work = plan.state_size**2 * plan.num_exponents * plan.num_orbits
        return interval * max(1, round(_SLOT_WORK / work / interval))

    def stretch(self, steps: int) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
        """Go on for that many steps; yield (steps, sum of ln R_ii, sum of states) of parts."""
        while steps:
            interval = min(self.interval, steps)
            unit = min(self.unit(interval), steps // interval * interval)
            count = max(1, min(SLOTS, self.pace.steps // unit, steps // unit))
            logs, states = self.call(interval, unit // interval, count)
            steps -= unit * len(logs)
            for slot in zip(logs, states):
                yield unit, *slot

    def blocks(self, block: int, count: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Go on for blocks of equal length; yield sums as `stretch` does, blocks along axis 0."""
        audits = {(i * count) // _AUDITS for i in range(_AUDITS)}
        done = 0
        while done < count:
            while done in audits:
                if self._audit(block):
                    audits.discard(done)
            if block > self.unit(self.interval):
                parts = list(self.stretch(block))
                logs, states = zip(*[part[1:] for part in parts])
                yield np.sum(logs, axis=0)[None], np.sum(states, axis=0)[None]
                done += 1
                continue
            ahead = min((a for a in audits if a > done), default=count)
            fitting = max(1, min(SLOTS, self.pace.steps // block, ahead - done))
            logs, states = self.call(self.interval, block // self.interval, fitting)
            if len(logs):
                yield logs, states
                done += len(logs)

    def call(self, interval: int, length: int, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Run one call of `measure`; return sums of ln R_ii and of states of its slots.

        They are fewer than `count`, or none, where the interval must be shortened: at a slot that
        does not depend on the clock, as the calls do.
        """
        begun = self._tick()
        steps = interval * length * count
        lanes, sums = measure(
            self.model, self.lanes, self.inputs, *self._times(self.time, interval, length, count)
        )
        finite = np.asarray(sums.finite) & ~np.isnan(np.asarray(sums.logs)).any(axis=(0, 1))
        self.pace.note(steps, time.perf_counter() - begun)
        lost = self.alive & ~finite
        rounding = np.asarray(sums.rounding)[:count]
        good = count
        if interval > 1:
            overflow = (lost & np.asarray(sums.finite_states)).any()
            good = count // 2 if overflow else self._num_sound(rounding, finite, interval * length)
        if good < count:
            if good == 0:
                self.shorten(interval)
                return np.zeros((0, *self.dead.shape)), np.zeros((0, *lanes.states.shape))
            return self.call(interval, length, good)
        for slot in rounding:  # one by one, since sums of sums go by the clock, too
            self.rounding, self.counted = self.rounding + slot, self.counted + interval * length
        if lost.any():
            count_now = count_finite(
                self.model, self.lanes, self.inputs, *self._times(self.time, steps)
            )
            self.first_nonfinite[lost] = (
                self.time + self.plan.delays + np.minimum(np.asarray(count_now) + 1, steps)
            )[lost]
            self._drop(lost)
        self.lanes, self.time = lanes, self.time + steps
        self.job.update(self.time / (2 * self.plan.num_transient + self.plan.num_steps))
        return np.asarray(sums.logs)[:count], np.asarray(sums.states)[:count]

    def _num_sound(self, rounding: np.ndarray, finite: np.ndarray, length: int) -> int:
        """Return the number of slots until the mean error of a step until then is too large."""
        counted = ~self.dead & self.alive & finite
        with quiet_floats():
            totals = self.rounding + np.cumsum(rounding, axis=0)
            steps = self.counted + length * np.arange(1, 1 + len(rounding))
            sound = EPS * mean_over(counted, totals).max(axis=1) <= ROUNDING * steps
        return len(rounding) if sound.all() else int(sound.argmin())

    def mean_rounding(self) -> np.ndarray:
        """Return the mean rounding error per step of each exponent."""
        with quiet_floats():
            means = mean_over(~self.dead & self.alive, self.rounding)
            return EPS * np.nan_to_num(means, nan=0.0, posinf=np.inf) / max(self.counted, 1)

    def shorten(self, interval: int) -> None:
        """Take a shorter interval from now on."""
        shorter = shorter_interval(interval, min(interval // 2, self.longest))
        self.interval = min(self.interval, shorter)
        self.too_long = max(self.too_long, interval)

    def _audit(self, block: int) -> bool:
        """Compare the sum of all exponents with ln|det J|; False: the interval was too long."""
        size, num_vectors = self.lanes.frames.shape[:2]
        if num_vectors < size or self.dead.any():
            return True
        enough = max(1, min(_AUDIT_STEPS, self.unit(1) // _AUDITS))
        length = min(-(-enough // self.interval), block // self.interval)
        steps = length * self.interval
        times = self._times(self.time, self.interval, length, 1)
        _, sums = measure(self.model, self.lanes, self.inputs, *times)
        exact = log_determinants(
            self.model, self.lanes.states, self.inputs, *self._times(self.time, steps)
        )
        with quiet_floats():
            residual = np.asarray(sums.logs)[0].sum(axis=0) - np.asarray(exact)
            worst = np.abs(residual[self.alive]).max(initial=0.0) / steps
            scale = np.abs(np.asarray(exact)[self.alive]).max(initial=0.0) / steps
        if worst > 1e-6 * (1.0 + scale) and self.interval > 1:
            self.shorten(self.interval)
            return False
        self.audited = self.audited + residual
        self.audit_steps += steps
        return True

    def _times(self, *numbers: int) -> list[np.ndarray]:
        return [np.asarray(number, np.int64) for number in numbers]

    def _tick(self) -> float:
        self.job.check()
        return time.perf_counter()

    def _drop(self, lost: np.ndarray) -> None:
        self.alive = self.alive & ~lost
        if not self.alive.any():
            raise NothingFinite
