"""The traceable layer: exponents as a pure, differentiable function of a step and a state."""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, PRNGKeyArray

from .._arguments import checked_key, checked_whole
from .._dynamics import State
from ._arguments import shape_of_step
from ._frames import orthonormalize, push, random_frame


def lyapunov_exponents(
    step: Callable,
    state: State,
    *,
    num_steps: int,
    num_exponents: int,
    key: PRNGKeyArray,
    qr_every: int = 1,
    inputs: Float[Array, "time input"] | None = None,
    orbit: Float[Array, "time state"] | None = None,
    detach_state: bool = False,
    remat: bool = True,
) -> Float[Array, " exponent"]:
    """Return the finite-time Lyapunov exponents of one orbit, in nats per step.

    A random orthonormal frame Q is pushed along z_{t+1} = F(z_t), Q R = J_t Q with J_t = DF(z_t),
    and lambda_i = (1/T) sum_t ln R_ii (Benettin et al. 1980), in the order of the frame. The
    function is pure, traceable and differentiable (in `state`, `inputs` and what `step` closes
    over), and computes in the dtype of the state; `lyapunov_spectrum` adds transients, error bars
    and guards. Where lambda_1 > 0 the gradient itself grows like exp(lambda_1 T): keep T short, or
    cut the path through the states by `orbit` or `detach_state`.

    **Arguments:**

    - `step`: the map, called as `step(state)`, or `step(state, input)` with inputs.
    - `state`: z_0, a flat vector of floating-point numbers.
    - `num_steps`: number of steps T.
    - `num_exponents`: number k <= M of exponents, from the largest.
    - `key`: `jax.random.key(seed)`, for the frame.
    - `qr_every`: steps from one QR to the next; tau (lambda_1 - lambda_k) must stay well below
        ln(1/eps)/2, which is 18 in float64 and 8 in float32.
    - `inputs`: s_0 ... s_{T-1}, one row per step, or None.
    - `orbit`: z_0 ... z_{T-1}, a forced orbit (data, say): J_t is taken there instead of where the
        map goes from `state`, which then is not used.
    - `detach_state`: no gradient flows through the states, only through J_t and the frames.
    - `remat`: keep only O(sqrt(T)) states and frames for the gradient and compute the others
        again (a quarter more time).

    **Returns:** exponents, -inf where a direction collapses within one interval.

    **Raises:** `ValueError` naming the argument.
    """
    state = jnp.asarray(state)
    inputs = None if inputs is None else jnp.asarray(inputs)
    orbit = None if orbit is None else jnp.asarray(orbit, state.dtype)
    _check(step, state, num_steps, num_exponents, qr_every, {"inputs": inputs, "orbit": orbit})
    frame = random_frame(checked_key(key), state.size, num_exponents, state.dtype)
    shape_of_step("step", step, state, None if inputs is None else inputs[0])
    rows = (orbit, inputs)

    def move(carry, row):
        state, frame = carry
        place, drive = row
        place = state if place is None else place
        place = lax.stop_gradient(place) if detach_state else place
        return push(step, place, frame, drive), None

    def interval(carry, rows, length):
        state, frame, total = carry
        (state, frame), _ = lax.scan(move, (state, frame), rows, length=length)
        found = orthonormalize(frame)
        return state, found.frames, total + found.logs

    carry = (state, frame, jnp.zeros((num_exponents,), state.dtype))
    full, rest = divmod(num_steps, qr_every)
    cut = full * qr_every
    first = jax.tree.map(lambda x: x[:cut].reshape(full, qr_every, *x.shape[1:]), rows)
    advance = lambda carry, rows: (interval(carry, rows, qr_every), None)
    segment = math.ceil(math.sqrt(full / qr_every)) if remat else 0
    carry = _scan_segments(advance, carry, first, full, segment)
    if rest:
        carry = interval(carry, jax.tree.map(lambda x: x[cut:], rows), rest)
    return carry[2] / num_steps


def _check(step, state, num_steps, num_exponents, qr_every, rows: dict) -> None:
    if not callable(step):
        raise ValueError(f"step: expected a callable such as model.step, got {type(step).__name__}")
    if state.ndim != 1 or not jnp.issubdtype(state.dtype, jnp.floating):
        raise ValueError(
            f"state: expected a vector of floating-point numbers, got {state.dtype} {state.shape}"
        )
    checked_whole("num_steps", num_steps, 1)
    checked_whole("num_exponents", num_exponents, 1, state.size)
    checked_whole("qr_every", qr_every, 1)
    for name, array in rows.items():
        if array is not None and len(array) != num_steps:
            raise ValueError(f"{name}: expected {num_steps} rows, one per step, got {len(array)}")
    orbit = rows["orbit"]
    if orbit is not None and jnp.shape(orbit)[1:] != state.shape:
        raise ValueError(f"orbit: expected states of shape {state.shape}, got {jnp.shape(orbit)}")


def _scan_segments(advance: Callable, carry, rows, length: int, segment: int):
    """Scan in segments that are computed again for the gradient; segment 0 means none.

    About sqrt(T) carries are stored instead of T times everything (Griewank 1992).
    """
    if not length:
        return carry
    if not segment:
        return lax.scan(advance, carry, rows, length=length)[0]
    count, rest = divmod(length, segment)
    cut = count * segment

    @jax.checkpoint
    def stretch(carry, rows):
        return lax.scan(advance, carry, rows, length=segment)[0]

    @jax.checkpoint
    def remainder(carry, rows):
        return lax.scan(advance, carry, rows, length=rest)[0]

    head = jax.tree.map(lambda x: x[:cut].reshape(count, segment, *x.shape[1:]), rows)
    carry, _ = lax.scan(lambda c, r: (stretch(c, r), None), carry, head, length=count)
    if rest:
        carry = remainder(carry, jax.tree.map(lambda x: x[cut:], rows))
    return carry
