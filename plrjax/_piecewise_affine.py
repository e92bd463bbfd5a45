"""The one canonical form of every ReLU network here: F(z) = A z + W1 relu(W2 z + h2) + h1."""

import abc
import dataclasses
import functools
from collections.abc import Callable
from fractions import Fraction
from typing import Any, ClassVar, TypeAlias

import equinox as eqx
import jax
import numpy as np
import scipy
from jaxtyping import Array, Bool, Float

from ._dynamics import AbstractDynamics
from ._numerics import as_float64, quiet_floats

Region: TypeAlias = Bool[np.ndarray, " unit"]
"""Activation pattern of one linear subregion: True where a unit's pre-activation is > 0."""

Itinerary: TypeAlias = Bool[np.ndarray, "time unit"]
"""Regions visited by k consecutive states."""


class AbstractPLRNN(AbstractDynamics):
    """A ReLU network that is affine on each linear subregion.

    `affine_in_parameters`: whether A, W1, W2, h1, h2 are affine functions of the parameters, so
    that straight lines between networks are straight lines in canonical form, too.
    """

    affine_in_parameters: ClassVar[bool] = False

    @abc.abstractmethod
    def as_piecewise_affine(
        self, input: Float[Array | np.ndarray, " input"] | None = None
    ) -> "PiecewiseAffineMap":
        """Lower to the canonical form in NumPy float64, a constant input folded into offsets."""


class AbstractFormula(AbstractPLRNN):
    """A network whose canonical form is written once, for floats and for fractions."""

    @abc.abstractmethod
    def canonical(self, input, exact: bool) -> tuple:
        """Return (A, W1, W2, h1, h2) in float64, or, for `exact`, in Python's fractions."""

    def as_piecewise_affine(self, input=None) -> "PiecewiseAffineMap":
        return PiecewiseAffineMap(
            *self.canonical(input, False),
            unrounded=Unrounded(functools.partial(self.canonical, input)),
        )


@dataclasses.dataclass(frozen=True, eq=False)
class Unrounded:
    """Where the parameters of a lowered map come from, to compute them without rounding.

    `arrays(exact)` are (A, W1, W2, h1, h2) in float64 or, for `exact`, in Python's fractions. All
    are equal to each other: programs are compiled for floats, whatever these come from.
    """

    arrays: Callable[[bool], tuple[np.ndarray, ...]]

    def __eq__(self, other):
        return isinstance(other, Unrounded)

    def __hash__(self):
        return 0

    def scaled(self, unit: Float[np.ndarray, " state"]) -> "Unrounded":
        """Return the same for states in units that are powers of two, so nothing is rounded."""
        return Unrounded(functools.partial(_scaled, self, unit))


def _scaled(of: Unrounded, unit: np.ndarray, exact: bool) -> tuple[np.ndarray, ...]:
    A, W1, W2, h1, h2 = of.arrays(exact)
    unit = fractions(unit) if exact else unit
    return A * unit / unit[:, None], W1 / unit[:, None], W2 * unit, h1 / unit, h2


def fractions(array: np.ndarray) -> np.ndarray:
    """Return an array of Python's fractions with the exact values of floats."""
    exact = np.empty(np.shape(array), object)
    exact[...] = np.vectorize(Fraction, [object])(array) if exact.size else exact
    return exact


class PiecewiseAffineMap(AbstractPLRNN):
    """The map F(z) = A z + W1 relu(W2 z + h2) + h1 with M states and H ReLU units.

    A unit is on where its pre-activation W2 z + h2 is > 0 (relu'(0) = 0). In the linear subregion
    with activation pattern D the map is affine: F(z) = J_D z + c_D with J_D = A + W1 diag(D) W2
    and c_D = W1 diag(D) h2 + h1 (Eisenmann, Monfared, Göring, Durstewitz 2023, eq. 2).

    **Arguments:** `A` (M x M, or its diagonal M), `W1` (M x H), `W2` (H x M), `h1` (M), `h2` (H),
    real and finite; float32 and integers are promoted exactly to float64. `unrounded` is what
    these floats are the roundings of, where they come from a network (see `exactly`).

    **Raises:** `ValueError` naming the argument for a wrong shape, a non-finite entry, or a dtype
    that is not real.
    """

    A: Float[np.ndarray, "state state"]
    W1: Float[np.ndarray, "state unit"]
    W2: Float[np.ndarray, "unit state"]
    h1: Float[np.ndarray, " state"]
    h2: Float[np.ndarray, " unit"]
    unrounded: Unrounded | None = eqx.field(static=True, repr=False)

    affine_in_parameters = True

    def __init__(self, A, W1, W2, h1, h2, *, unrounded: Unrounded | None = None):
        h1 = as_float64("h1", h1, ("M",))
        size = h1.shape[0]
        h2 = as_float64("h2", h2, ("H",))
        units = h2.shape[0]
        A = np.asarray(A)
        A = as_float64("A", A, (size,) if A.ndim == 1 else (size, size))
        self.A = np.diag(A) if A.ndim == 1 else A
        self.W1 = as_float64("W1", W1, (size, units))
        self.W2 = as_float64("W2", W2, (units, size))
        self.h1 = h1
        self.h2 = h2
        self.unrounded = unrounded

    @property
    def state_size(self) -> int:
        return self.h1.shape[0]

    @property
    def num_units(self) -> int:
        """Number H of ReLU units."""
        return self.h2.shape[0]

    def step(self, state, input=None):
        if input is not None:
            raise ValueError("input: a PiecewiseAffineMap is autonomous; fold the input into h1")
        A, W1, W2, h1, h2 = map(jax.numpy.asarray, (self.A, self.W1, self.W2, self.h1, self.h2))
        return A @ state + W1 @ jax.nn.relu(W2 @ state + h2) + h1

    def as_piecewise_affine(self, input=None) -> "PiecewiseAffineMap":
        if input is not None:
            raise ValueError("input: a PiecewiseAffineMap is autonomous; fold the input into h1")
        return self

    def exactly(self) -> tuple[np.ndarray, ...]:
        """Return (A, W1, W2, h1, h2) as proofs want them: floats where these are exact.

        Where lowering a network rounds (1/M, alpha W, 1 - slope), an array holds the fractions that
        the floats come from; but not where the floats were changed since.
        """
        floats = self.A, self.W1, self.W2, self.h1, self.h2
        if self.unrounded is None:
            return floats
        if not all(map(np.array_equal, floats, self.unrounded.arrays(False))):
            return floats
        exact = self.unrounded.arrays(True)
        return tuple(x if (x == y).all() else y for x, y in zip(floats, exact))

    def pre_activations(self, states: Float[np.ndarray, "*batch state"]) -> np.ndarray:
        """Return y = W2 z + h2 for states of any leading shape (NumPy float64)."""
        return np.asarray(states, np.float64) @ self.W2.T + self.h2

    def region_of(self, states: Float[np.ndarray, "*batch state"]) -> np.ndarray:
        """Return the activation pattern D = [W2 z + h2 > 0] for states of any leading shape."""
        return self.pre_activations(states) > 0

    def apply(self, states: Float[np.ndarray, "*batch state"]) -> np.ndarray:
        """Return F(z) in NumPy float64 for states of any leading shape."""
        states = np.asarray(states, np.float64)
        return (
            states @ self.A.T + np.maximum(self.pre_activations(states), 0.0) @ self.W1.T + self.h1
        )

    def affine_piece(
        self, region: Bool[np.ndarray, "*batch unit"]
    ) -> tuple[Float[np.ndarray, "*batch state state"], Float[np.ndarray, "*batch state"]]:
        """Return (J_D, c_D) of each activation pattern D: F(z) = J_D z + c_D there."""
        mask = np.asarray(region, np.float64)
        jacobians = self.A + (self.W1 * mask[..., None, :]) @ self.W2
        return jacobians, (mask * self.h2) @ self.W1.T + self.h1

    def compose(
        self, itinerary: Itinerary
    ) -> tuple[Float[np.ndarray, "state state"], Float[np.ndarray, " state"]]:
        """Return (P, c) of the k-step map of an itinerary, F_w(z) = P z + c, by direct products.

        Entries grow like exp(lambda k): use it for short itineraries; the engine does not.
        """
        size = self.state_size
        P, c = np.eye(size), np.zeros(size)
        for J, offset in zip(*self.affine_piece(np.asarray(itinerary))):
            P, c = J @ P, J @ c + offset
        return P, c

    def margin(self, states: Float[np.ndarray, "*batch state"]) -> Float[np.ndarray, "*batch"]:
        """Return the Euclidean distance of each state to the nearest switching boundary.

        It is min_i |W2_i z + h2_i| / |W2_i|_2, infinite for a map without switching boundaries.
        """
        norms = np.linalg.norm(self.W2, axis=1)
        live = norms > 0
        if not live.any():
            return np.full(np.shape(states)[:-1], np.inf)
        distances = np.abs(self.pre_activations(states)[..., live]) / norms[live]
        return np.asarray(distances.min(axis=-1))

    def rebase(self, region: Region) -> "PiecewiseAffineMap":
        """Return the same map written with the units of `region` reflected.

        Because relu(y) = y + relu(-y), a unit i may be replaced by its reflection -y_i; then the
        subregion `region` becomes the one with every unit off, and A becomes J_region. On the
        switching boundary itself the two forms name different patterns.
        """
        region = np.asarray(region, bool)
        sign = np.where(region, -1.0, 1.0)
        A, h1 = self.affine_piece(region)
        return PiecewiseAffineMap(A, self.W1, sign[:, None] * self.W2, h1, sign * self.h2)


_SMOOTH = "; find_fixed_points takes smooth networks, too"


def lower(model: Any, name: str = "model", input=None) -> PiecewiseAffineMap:
    """Return `model` in canonical form, or say that it is not piecewise affine.

    **Raises:** `ValueError` naming `name` for anything that is not an `AbstractPLRNN`.
    """
    if not isinstance(model, AbstractPLRNN):
        raise ValueError(
            f"{name}: expected a piecewise-affine network (PLRNN family or PiecewiseAffineMap), "
            f"got {type(model).__name__}" + _SMOOTH * isinstance(model, AbstractDynamics)
        )
    return model.as_piecewise_affine(input)


def structure_of(map: PiecewiseAffineMap) -> tuple[bool, bool]:
    """Return whether A is diagonal, and whether the units are the states (W2 = I, h2 = 0)."""
    diagonal = np.array_equal(map.A, np.diag(np.diag(map.A)))
    plain = map.num_units == map.state_size and np.array_equal(map.W2, np.eye(map.state_size))
    return diagonal, plain and not map.h2.any()


def balanced(map: PiecewiseAffineMap) -> tuple[PiecewiseAffineMap, Float[np.ndarray, " state"]]:
    """Return the map in units d of state, z = d u, and d: powers of two, so nothing is rounded.

    The units balance rows and columns of |A| + |W1| |W2| (Parlett, Reinsch 1969). Pre-activations,
    and with them regions and words, stay the same. Maps whose entries would leave the range of
    float64 are returned as they are.
    """
    ones = np.ones(map.state_size)
    with quiet_floats():
        coupling = np.abs(map.A) + np.abs(map.W1) @ np.abs(map.W2)
        if not np.isfinite(coupling).all():
            return map, ones
        _, (unit, _) = scipy.linalg.matrix_balance(coupling, permute=False, separate=True)
        parts = (
            map.A * unit[None, :] / unit[:, None],
            map.W1 / unit[:, None],
            map.W2 * unit[None, :],
            map.h1 / unit,
        )
        back = (
            parts[0] * unit[:, None] / unit[None, :],
            parts[1] * unit[:, None],
            parts[2] / unit[None, :],
            parts[3] * unit,
        )
    originals = (map.A, map.W1, map.W2, map.h1)
    if not all(np.array_equal(a, b) for a, b in zip(back, originals)):
        return map, ones
    exact = map.unrounded and map.unrounded.scaled(unit)
    return PiecewiseAffineMap(*parts, map.h2, unrounded=exact), unit


def with_a_unit(map: PiecewiseAffineMap) -> PiecewiseAffineMap:
    """Return a map without units with one that is always off: the engine wants at least one bit."""
    if map.num_units:
        return map
    size = map.state_size
    return PiecewiseAffineMap(map.A, np.zeros((size, 1)), np.zeros((1, size)), map.h1, [-1.0])


@dataclasses.dataclass(frozen=True, eq=False)
class MergedUnits:
    """A map whose units with one switching boundary are one (to rounding): of each the first.

    **Fields:** `follows`: see `parallel_units`; `leads`: numbers of the units that were kept.
    """

    map: PiecewiseAffineMap
    follows: list[list[int]]
    leads: list[int]

    def expand(self, letters: Bool[np.ndarray, "*batch lead"]) -> Bool[np.ndarray, "*batch unit"]:
        """Return the regions of all units from those of the leads."""
        columns = {lead: j for j, lead in enumerate(self.leads)}
        regions = np.zeros((*letters.shape[:-1], len(self.follows)), bool)
        for i, (lead, same) in enumerate(self.follows):
            regions[..., i] = same if lead < 0 else letters[..., columns[lead]] == same
        return regions


def parallel_units(W2: np.ndarray, h2: np.ndarray) -> list[list[int]]:
    """Return [j, same] for every unit: it is on where unit j is (or is not); [-1, on]: always.

    The rows (W2, h2) of both are exactly parallel; j is the first of them.
    """
    first: dict[tuple, tuple[int, bool]] = {}
    follows = []
    for i, row in enumerate(np.c_[W2, h2]):
        exact = [Fraction(float(x)) for x in row]
        pivot = next((x for x in exact[:-1] if x), None)
        if pivot is None:
            follows.append([-1, int(row[-1] > 0)])
            continue
        lead, ahead = first.setdefault(tuple(x / pivot for x in exact), (i, pivot > 0))
        follows.append([lead, int(ahead == (pivot > 0))])
    if not first:
        follows[0] = [0, 1]
    return follows


def merge_units(map: PiecewiseAffineMap, follows: list[list[int]] | None = None) -> MergedUnits:
    """Return a map without the units that follow others; by default none does.

    relu(c x) = c relu(x) for c > 0, and relu(-x) = relu(x) - x.
    """
    follows = [[i, 1] for i in range(map.num_units)] if follows is None else follows
    leads = [i for i, (lead, _) in enumerate(follows) if lead == i]
    place = {lead: j for j, lead in enumerate(leads)}
    A, h1, W1 = map.A.copy(), map.h1.copy(), map.W1[:, leads].copy()
    W2, h2 = map.W2[leads], map.h2[leads]
    for i, (lead, same) in enumerate(follows):
        if lead < 0:
            h1 += same * map.W1[:, i] * map.h2[i]
        elif lead != i:
            j = place[lead]
            pivot = np.abs(W2[j]).argmax()
            weight = map.W1[:, i] * np.abs(map.W2[i, pivot] / W2[j, pivot])
            W1[:, j] += weight
            if not same:
                A -= np.outer(weight, W2[j])
                h1 -= weight * h2[j]
    return MergedUnits(PiecewiseAffineMap(A, W1, W2, h1, h2), follows, leads)
