"""What the compiled word search works on: its arrays and numbers, by what they are for.

The start v is in the unit box, z_0 = P v + q. A node of the search is the polytope of those v that
the bits decided so far allow.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int, Int32, UInt8

from ...._piecewise_affine import PiecewiseAffineMap


class Margins(NamedTuple):
    """By how much rows are relaxed: outward where positive.

    **Fields:** `share` of the box; `errors`: so many times the rounding errors of the row; `on`:
    the share for the row of a unit that is on.
    """

    share: float
    errors: float
    on: float


class Rules(NamedTuple):
    """Which words are searched for.

    **Fields:** `margins`; `boxed`: so many pairs of sides bound z_t; `wanted` lengths; `necklaces`:
    one word of those that rotate into one another; `far`: the map is that of (u, s), z = u / s;
    `all_words` of the greatest length; `language`, sorted codes of the windows of `width` letters
    that words may have.
    """

    margins: Margins
    boxed: int
    wanted: Bool[np.ndarray, " length"]
    necklaces: bool
    far: bool
    all_words: bool
    language: Int[np.ndarray, " window"]
    width: int


class Orbit(NamedTuple):
    """The map, the bits of a word, letter after letter, and where they lead.

    **Fields:** `W1`; `planes`: for each side of the box and then for each unit a function of z
    (coefficients, constant), and then (A, h1); `sides`, for each time the constants of the box's
    sides; `bits`; `maps`, for each time (T, r) with z_t = T z_0 + r; `places`, for each time
    (P, q, size) with z_t = P v + q and a bound of what is added up in it; `system`, room for a
    linear system, and below it two points of an orbit.
    """

    W1: Float[np.ndarray, "state unit"]
    planes: Float[np.ndarray, "plane augmented"]
    sides: Float[np.ndarray, "time side"]
    bits: UInt8[np.ndarray, " bit"]
    maps: Float[np.ndarray, "time state augmented"]
    places: Float[np.ndarray, "time state place"]
    system: Float[np.ndarray, "line augmented"]


class Polytope(NamedTuple):
    """{v : G v <= g} in m dimensions, and a vertex: G_B v = g_B for the rows B of a basis.

    **Fields:** `rows` (G, g); `ids`, their numbers in a proof; `inside`, a flag for each, working
    space; `vertices`, for each of two places the inverse of G_B and, last, v; `basis`, the same for
    B; `work`, its rows c (a linear function), that of the program that is solved, and the edge, and
    below them the tableau that is inverted. The second place is that of the program, the first one
    keeps the vertex before it.
    """

    rows: Float[np.ndarray, "row augmented"]
    ids: Int[np.ndarray, " row"]
    inside: Bool[np.ndarray, " row"]
    vertices: Float[np.ndarray, "2 augmented state"]
    basis: Int[np.ndarray, "2 state"]
    work: Float[np.ndarray, "line columns"]


class Node:
    """Numbers of a node: `bit` (-1: none) is that of unit `unit` at `time`, to be taken next.

    `rows` of the polytope; `period` with which the letters so far repeat (0: none), `repeats`:
    whether the letter that begins goes on so; `forks` whose other branch is left; `stopped`:
    whatever is left is left open; `lost`: the vertex could not be computed, this node as well.
    """

    bit: int
    time: int
    unit: int
    rows: int
    period: int
    repeats: bool
    forks: int
    stopped: bool
    lost: bool


class Forks(NamedTuple):
    """Nodes whose other branch, the unit being on, is left.

    **Fields:** `numbers`: time, unit, rows, period, whether the letter repeats, whether there is a
    row to add, and the basis from `HEAD` on; `rows`.
    """

    numbers: Int[np.ndarray, "fork number"]
    rows: Float[np.ndarray, "fork augmented"]


HEAD = 6


class Counts:
    """Letters met, linear programs, numbers of the log, words found, prefixes left open."""

    nodes: int
    programs: int
    logged: int
    words: int
    open: int


class Found(NamedTuple):
    """What a piece of work brings.

    **Fields:** `counts`; `depths`, letters met by length; `log`, the proof in the checker's format,
    empty where none is kept; `words`, `open`, bits of candidates and of prefixes left open, and
    their `lengths`, `open_lengths`.
    """

    counts: Counts
    depths: Int[np.ndarray, " length"]
    log: Int32[np.ndarray, " number"]
    words: UInt8[np.ndarray, "word bit"]
    lengths: Int[np.ndarray, " word"]
    open: UInt8[np.ndarray, "prefix bit"]
    open_lengths: Int[np.ndarray, " prefix"]


def orbit_of(map: PiecewiseAffineMap, boxes: Float[np.ndarray, "2 time state"]) -> Orbit:
    """Return the orbit of no letters; z_0 = P v + q with |v| <= 1 is its first place."""
    size, length = map.state_size, boxes.shape[1]
    planes = np.zeros((3 * size + map.num_units, size + 1))
    planes[: 2 * size : 2, :size] = -np.eye(size)
    planes[1 : 2 * size : 2, :size] = np.eye(size)
    planes[2 * size : -size] = np.column_stack([map.W2, map.h2])
    planes[-size:] = np.column_stack([map.A, map.h1])
    sides = np.stack([boxes[1], -boxes[0]], axis=2).reshape(length, 2 * size)
    half, middle = 0.5 * (boxes[1, 0] - boxes[0, 0]), 0.5 * (boxes[0, 0] + boxes[1, 0])
    maps, places = np.zeros((length, size, size + 1)), np.zeros((length, size, size + 2))
    maps[0, :, :size] = np.eye(size)
    places[0] = np.column_stack([np.diag(half), middle, np.abs(middle) + np.abs(half)])
    bits = np.zeros((length - 1) * map.num_units, np.uint8)
    W1, system = np.ascontiguousarray(map.W1, np.float64), np.zeros((size + 2, size + 1))
    return Orbit(W1, planes, np.ascontiguousarray(sides), bits, maps, places, system)


def polytope_of(size: int, rows: int, relaxed: float) -> Polytope:
    """Return the polytope |v| <= 1, with room for more rows."""
    planes, ids = np.zeros((2 * size + rows, size + 1)), np.zeros(2 * size + rows, np.int64)
    planes[: 2 * size : 2, :size] = np.eye(size)
    planes[1 : 2 * size : 2, :size] = -np.eye(size)
    planes[: 2 * size, size] = 1.0 + max(relaxed, 0.0)
    ids[: 2 * size] = np.arange(2 * size)
    vertices, basis = np.zeros((2, size + 1, size)), np.zeros((2, size), np.int64)
    work = np.zeros((3 + size, 2 * size))
    return Polytope(planes, ids, np.zeros(len(ids), bool), vertices, basis, work)
