"""The compiled loop over words: compose, solve, follow the orbit; lanes are maps."""

import enum
import functools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Int

from .._elimination import batched_solve
from .._numerics import EPS, ROUNDED, float64_scope
from ._words import MAX_SYMBOLS, allowed_transitions, unpack_symbols

MAX_TIME = 18
"""Longest word."""
COUNTED, CODED = 1024, 64
"""Words of one call of the two programs."""
_PIECE_ENTRIES = 64
"""Most composed words of one length."""
_LOOSE = 1e-6
"""A sign wrong by this fraction of the terms dismisses a word after its first two steps."""
_FAR = 1e8
"""A solution of a singular system farther out than this (in units of the offsets) is none."""
_SAFETY = 16
"""Signs must exceed the error bound, which is of first order, by this factor."""
_WRITTEN_OUT = 2
"""Up to this many states matrices are written out over entries: faster, but slow to compile."""
_UNROLLED = 3
"""Larger systems go through LAPACK."""


class CODE(enum.IntEnum):
    """What a word is at a map."""

    virtual = 0
    admissible = 1
    stable = 2
    undecided = 3


class Tables(NamedTuple):
    """What the kernel knows of a block of maps, lanes last.

    **Fields:** `pieces`: [J_D | c_D] of every symbol D, "symbol state column lane"; `composed`: the
    same of every word of 1, 2, ... symbols (as many as fit), the identity last; `rows`: [W2 | h2],
    "unit column lane"; `allowed`: transitions "symbol symbol lane" (empty for too many symbols).
    NumPy on the host, JAX in the kernel.
    """

    pieces: Any
    composed: Any
    rows: Any
    allowed: Any


class Words(NamedTuple):
    """Words of one period as the kernel reads them, in a fixed shape.

    **Fields:** `symbols` "word time", repeated to one more than `MAX_TIME`; `places` "word part",
    where the parts are in `Tables.composed`.
    """

    symbols: Any
    places: Any


def piece_length(num_units: int) -> int:
    """Return how many symbols the longest composed words have."""
    return max(1, int(math.log2(_PIECE_ENTRIES)) // num_units)


def num_parts(period: int, num_units: int) -> int:
    """Return into how many composed words a word falls."""
    return -(-period // piece_length(num_units))


def tables_of(A, W1, W2, h1, h2) -> Tables:
    """Return the tables of maps stacked along the first axis, one for each lane."""
    masks = unpack_symbols(np.arange(1 << h2.shape[1]), h2.shape[1]).astype(np.float64)
    scaled = W1[None] * masks[:, None, None, :]
    jacobians = A[None] + scaled @ W2[None]
    offsets = np.einsum("sbij,bj->sbi", scaled, h2) + h1[None]
    pieces = np.concatenate([jacobians, offsets[..., None]], axis=-1)
    pieces = np.ascontiguousarray(np.moveaxis(pieces, 1, -1))
    tables = [pieces]
    for _ in range(piece_length(h2.shape[1]) - 1):
        # A word is indexed as a number, its last symbol leading.
        tables.append(_compose(pieces[:, None], tables[-1][None]).reshape(-1, *pieces.shape[1:]))
    size, lanes = h1.shape[1], len(h1)
    identity = np.broadcast_to(np.eye(size, size + 1)[:, :, None], (size, size + 1, lanes))
    rows = np.ascontiguousarray(np.moveaxis(np.concatenate([W2, h2[..., None]], axis=-1), 0, -1))
    allowed = np.ones((0, 0, lanes), bool)
    if len(pieces) <= MAX_SYMBOLS:
        allowed = allowed_transitions(A, W1, W2, h1, h2)
    return Tables(pieces, np.concatenate([*tables, identity[None]]), rows, allowed)


def words_of(symbols: Int[np.ndarray, "word time"], num_units: int, parts: int) -> Words:
    """Return words for a kernel of so many parts; those that are not needed are the identity."""
    count, period = symbols.shape
    base, longest = 1 << num_units, piece_length(num_units)
    starts = np.cumsum([0, *(base**n for n in range(1, longest + 1))])
    places = np.full((count, parts), starts[-1], np.int32)
    for part, first in enumerate(range(0, period, longest)):
        piece = symbols[:, first : first + longest]
        number = piece @ (base ** np.arange(piece.shape[1]))
        places[:, part] = starts[piece.shape[1] - 1] + number
    return Words(symbols[:, np.arange(MAX_TIME + 1) % period].astype(np.int32), places)


@functools.cache
def compiled(kind: str, units: int, size: int, lanes: int, parts: int):
    """Return the compiled program of one shape, called as (tables, words, period, count).

    "count" takes `COUNTED` words and returns the numbers of admissible, stable and undecided words
    "3 lane", and a lane that has each word (-1 for none); "codes" takes `CODED` words and returns
    `CODE` "word lane" of the first `count`.
    """
    number = COUNTED if kind == "count" else CODED
    longest = piece_length(units)
    entries = sum((1 << units) ** n for n in range(1, longest + 1)) + 1
    shape = lambda *dims, dtype=jnp.float64: jax.ShapeDtypeStruct(dims, dtype)
    with float64_scope():
        tables = Tables(
            shape(1 << units, size, size + 1, lanes),
            shape(entries, size, size + 1, lanes),
            shape(units, size + 1, lanes),
            shape(*(1 << units,) * 2 if 1 << units <= MAX_SYMBOLS else (0, 0), lanes, dtype=bool),
        )
        whole = functools.partial(shape, dtype=jnp.int32)
        words = Words(whole(number, MAX_TIME + 1), whole(number, parts))
        function = jax.jit({"count": _count, "codes": _codes}[kind])
        return function.lower(tables, words, whole(), whole()).compile()


def _count(tables: Tables, words: Words, period: Array, count: Array) -> tuple[Array, Array]:
    def body(index, carry):
        totals, first = carry
        code = _classify(tables, _word(words, index), period)
        real = (code == CODE.admissible) | (code == CODE.stable)
        hits = jnp.stack([real, code == CODE.stable, code == CODE.undecided])
        example = jnp.where(jnp.any(real), jnp.argmax(real).astype(jnp.int32), -1)
        return totals + hits.astype(jnp.int32), first.at[index].set(example)

    lanes = tables.rows.shape[-1]
    zero = jnp.zeros((3, lanes), jnp.int32), jnp.full((COUNTED,), -1, jnp.int32)
    return lax.fori_loop(0, count, body, zero)


def _codes(tables: Tables, words: Words, period: Array, count: Array) -> Array:
    def body(index, codes):
        code = _classify(tables, _word(words, index), period)
        return codes.at[index].set(code.astype(jnp.int8))

    zero = jnp.zeros((CODED, tables.rows.shape[-1]), jnp.int8)
    return lax.fori_loop(0, count, body, zero)


def _word(words: Words, index: Array) -> Words:
    return Words(*(_pick(array, index) for array in words))


def _compose(later: Any, earlier: Any) -> Any:
    """Return [J | c] of later after earlier, "... state column lane"."""
    size = later.shape[-3]
    terms = [later[..., :, j, None, :] * earlier[..., j, None, :, :] for j in range(size)]
    total = functools.reduce(lambda x, y: x + y, terms)
    own = jnp if isinstance(total, jax.Array) else np
    last = total[..., size:, :] + later[..., size:, :]
    return own.concatenate([total[..., :size, :], last], axis=-2)


def _compose_rows(later: Sequence, earlier: Sequence) -> list[list]:
    """Return [J | c] of later after earlier, over entries (lists of lane vectors)."""
    size = len(later)
    if size > _WRITTEN_OUT:
        stacked = [jnp.stack([jnp.stack(row) for row in matrix]) for matrix in (later, earlier)]
        return _entries(_compose(*stacked))
    found = [[_dot(row, column) for column in zip(*earlier)] for row in later]
    return [[*row[:size], row[size] + later[i][size]] for i, row in enumerate(found)]


def _dot(row, column):
    """Return the sum of products, without the zero that `sum` starts from."""
    terms = [a * b for a, b in zip(row, column)]
    return functools.reduce(lambda x, y: x + y, terms)


def _entries(matrix: Array) -> list[list[Array]]:
    return [[matrix[i, j] for j in range(matrix.shape[1])] for i in range(matrix.shape[0])]


def _classify(tables: Tables, word: Words, period: Array) -> Array:
    """Return `CODE` (int32) of one word in every lane."""
    pieces, composed, rows, _ = tables
    total = _entries(_pick(composed, word.places[0]))
    for part in range(1, word.places.shape[0]):
        total = _compose_rows(_entries(_pick(composed, word.places[part])), total)
    z, regular = _fixed_point(total)
    offsets = jnp.max(jnp.abs(pieces[0, :, -1]), axis=0)
    scale = jnp.maximum(offsets, jnp.max(jnp.abs(rows[:, -1]), axis=0))
    near = jnp.stack([~(jnp.abs(x) > _FAR * scale) for x in z]).all(axis=0)
    second = _affine(_entries(_pick(pieces, word.symbols[0])), z)
    possible = (regular | near) & _signs_fit(rows, z, word.symbols[0])
    possible = possible & _signs_fit(rows, second, word.symbols[1])
    follow = lambda: _follow(tables, total, z, regular, word.symbols, period)
    none = lambda: jnp.zeros(possible.shape, jnp.int32)
    found = lax.cond(jnp.any(possible), follow, none)
    return jnp.where(possible, found, CODE.virtual)


def _pick(table: Array, index: Array) -> Array:
    return lax.dynamic_index_in_dim(table, index, keepdims=False)


def _fixed_point(total: Sequence) -> tuple[list[Array], Array]:
    """Return z = (I - P)^-1 c, and where I - P is regular."""
    size = len(total)
    S = [[float(i == j) - total[i][j] for j in range(size)] for i in range(size)]
    c = [row[size] for row in total]
    if size == 1:
        return [c[0] / S[0][0]], jnp.abs(S[0][0]) > ROUNDED * (1.0 + jnp.abs(total[0][0]))
    if size == 2:
        main, off = S[0][0] * S[1][1], S[0][1] * S[1][0]
        determinant = main - off
        z = [
            (S[1][1] * c[0] - S[0][1] * c[1]) / determinant,
            (S[0][0] * c[1] - S[1][0] * c[0]) / determinant,
        ]
        return z, jnp.abs(determinant) > ROUNDED * (1.0 + jnp.abs(main) + jnp.abs(off))
    system = jnp.stack([jnp.stack([*row, right]) for row, right in zip(S, c)])
    z, regular = batched_solve(system, unrolled=size <= _UNROLLED)
    return [z[i] for i in range(size)], regular


def _affine(piece: Sequence, z: Sequence) -> list[Array]:
    """Return J z + c."""
    return [_dot(row[:-1], z) + row[-1] for row in piece]


def _signs_fit(rows: Array, z: Sequence, symbol: Array) -> Array:
    """Return where no pre-activation clearly has another sign than the symbol says."""
    fits = None
    for unit in range(rows.shape[0]):
        row = [rows[unit, j] for j in range(rows.shape[1])]
        y = _dot(row[:-1], z) + row[-1]
        terms = _dot([jnp.abs(x) for x in row[:-1]], [jnp.abs(x) for x in z]) + jnp.abs(row[-1])
        signed = jnp.where((symbol >> unit) & 1 == 1, -y, y)
        here = ~(signed > _LOOSE * terms)
        fits = here if fits is None else fits & here
    assert fits is not None
    return fits


def _follow(
    tables: Tables, total: Sequence, start: list, regular: Array, symbols: Array, period: Array
) -> Array:
    """Follow the orbit through its word, with a bound of the rounding, and decide.

    With local errors b_{t+1} = |J_t| b_t + rounding and Q_t = J_{t-1} ... J_1, the error of z_t is
    |Q_t| |(I - P)^-1| (defect + b_{k+1}) + b_t, to first order and in the maximum norm.
    """
    pieces, _, rows, allowed = tables
    size, lanes = pieces.shape[1], pieces.shape[-1]
    begin, nothing = jnp.stack(start), jnp.zeros(lanes)
    eye = jnp.broadcast_to(jnp.eye(size)[:, :, None], (size, size, lanes))
    arrive = lambda t, orbit: _advance(pieces, symbols[t], orbit)
    end, local, _ = lax.fori_loop(0, period, arrive, (begin, nothing, eye))
    first = _inverse_norm(total) * (jnp.max(jnp.abs(end - begin), axis=0) + local)

    def check(t, carry):
        (z, local, Q), certain, possible = carry
        value, bound = _margins(rows, z, _norm(Q) * first + local, symbols[t])
        certain = certain & jnp.all(value > bound, axis=0)
        possible = possible & ~jnp.any(value < -bound, axis=0)
        if allowed.size:
            possible = possible & allowed[symbols[t], symbols[t + 1]]
        return _advance(pieces, symbols[t], (z, local, Q)), certain, possible

    begun = ((begin, nothing, eye), regular, jnp.ones_like(regular))
    _, certain, possible = lax.fori_loop(0, period, check, begun)
    code = jnp.where(_is_stable(total), CODE.stable, CODE.admissible)
    code = jnp.where(certain & possible, code, jnp.where(possible, CODE.undecided, CODE.virtual))
    return code.astype(jnp.int32)


def _advance(pieces: Array, symbol: Array, orbit: tuple) -> tuple:
    """Move a state, the bound of its local errors and the product of Jacobians by one step."""
    z, local, Q = orbit
    piece, size = _pick(pieces, symbol), pieces.shape[1]
    J, c = piece[:, :size], piece[:, size]
    terms = jnp.sum(jnp.abs(J) * jnp.abs(z)[None], axis=1) + jnp.abs(c)
    local = _norm(J) * local + 2 * (size + 1) * EPS * jnp.max(terms, axis=0)
    product = jnp.sum(J[:, :, None] * Q[None], axis=1)
    return jnp.sum(J * z[None], axis=1) + c, local, product


def _margins(rows: Array, z: Array, error: Array, symbol: Array) -> tuple[Array, Array]:
    """Return the pre-activations with the sign of the symbol, and their error bounds."""
    W2, h2 = rows[:, :-1], rows[:, -1]
    y = jnp.sum(W2 * z[None], axis=1) + h2
    terms = jnp.sum(jnp.abs(W2) * jnp.abs(z)[None], axis=1) + jnp.abs(h2)
    bound = jnp.sum(jnp.abs(W2), axis=1) * error[None] + 2 * W2.shape[1] * EPS * terms
    on = ((symbol >> np.arange(len(rows), dtype=np.int32)) & 1 == 1)[:, None]
    return jnp.where(on, y, -y), _SAFETY * bound


def _norm(matrix: Array) -> Array:
    """Return the maximum norm, lane by lane."""
    return jnp.max(jnp.sum(jnp.abs(matrix), axis=1), axis=0)


def _inverse_norm(total: Sequence) -> Array:
    """Return |(I - P)^-1| in the maximum norm; infinite or NaN where singular."""
    size = len(total)
    if size > _WRITTEN_OUT:
        P = jnp.stack([jnp.stack(row[:size]) for row in total])
        inverse = jnp.linalg.inv(jnp.eye(size) - jnp.moveaxis(P, -1, 0))
        return _norm(jnp.moveaxis(inverse, 0, -1))
    columns = []
    for j in range(size):
        right = [jnp.full_like(total[0][0], float(i == j)) for i in range(size)]
        columns.append(_fixed_point([[*row[:size], b] for row, b in zip(total, right)])[0])
    return _norm(jnp.stack([jnp.stack(column) for column in columns], axis=1))


def _is_stable(total: Sequence) -> Array:
    """Return whether all eigenvalues of P lie inside the unit circle (Jury 1964), M <= 3."""
    size = len(total)
    P = [row[:size] for row in total]
    trace = sum(P[i][i] for i in range(size))
    if size == 1:
        return jnp.abs(P[0][0]) < 1.0
    if size == 2:
        determinant = P[0][0] * P[1][1] - P[0][1] * P[1][0]
        return (jnp.abs(determinant) < 1.0) & (jnp.abs(trace) < 1.0 + determinant)
    if size > 3:
        return jnp.zeros_like(P[0][0], bool)  # decided on the host, for the few admissible words
    pairs = [(0, 1), (0, 2), (1, 2)]
    minors = sum(P[i][i] * P[j][j] - P[i][j] * P[j][i] for i, j in pairs)
    cofactors = [
        P[0][j] * (P[1][(j + 1) % 3] * P[2][(j + 2) % 3] - P[1][(j + 2) % 3] * P[2][(j + 1) % 3])
        for j in range(3)
    ]
    a2, a1, a0 = -trace, minors, -sum(cofactors)
    ends = (1 + a2 + a1 + a0 > 0) & (1 - a2 + a1 - a0 > 0)
    return ends & (jnp.abs(a0) < 1) & (jnp.abs(a1 - a0 * a2) < 1 - a0 * a0)
