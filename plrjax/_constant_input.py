"""Networks under a constant input: autonomous maps again, with the bias that C makes of it."""

from typing import Any

import numpy as np
from jaxtyping import Float

from ._dynamics import AbstractDynamics
from ._numerics import as_real
from ._piecewise_affine import AbstractPLRNN, PiecewiseAffineMap


class ConstantInput(AbstractDynamics):
    """z' = F(z, s) with s held: an autonomous network, whose input is a parameter like the others.

    **Arguments:** `model`: a network with inputs; `input`: s, of as many numbers as it takes.
    """

    model: AbstractDynamics
    input: Float[np.ndarray, " input"]

    @property
    def state_size(self) -> int:
        return self.model.state_size

    @property
    def is_bounded(self) -> bool:
        return self.model.is_bounded

    def step(self, state, input=None):
        if input is not None:
            raise ValueError("input: expected None: the network's input is held constant")
        return self.model.step(state, self.input)

    def jacobian(self, state, input=None):
        return self.model.jacobian(state, self.input)

    def output(self, state):
        return self.model.output(state)


class ConstantInputPLRNN(ConstantInput, AbstractPLRNN):
    """The same of a ReLU network: A, W1, W2 are the network's, and h1 or h2 holds C s."""

    def as_piecewise_affine(self, input=None) -> PiecewiseAffineMap:
        assert isinstance(self.model, AbstractPLRNN)
        return self.model.as_piecewise_affine(self.input)


def with_input(model: Any, inputs: Any) -> Any:
    """Return the network under one constant input, or as it is where that is None.

    **Raises:** `ValueError` naming `inputs`, also for several.
    """
    if inputs is not None and np.ndim(inputs) != 1:
        raise ValueError(f"inputs: expected one vector, got shape {np.shape(inputs)}")
    return with_inputs(model, inputs)


def with_inputs(model: Any, inputs: Any) -> Any:
    """Return the network under a constant input, z' = F(z, s), or a list of it under several.

    It is autonomous: whatever takes a network takes it, and a path or an axis may run along its
    field `input`. A ReLU network's canonical form holds the bias that C makes of s, exactly.

    **Arguments:** `inputs`: None (the network as it is), a vector s, or several as rows.

    **Raises:** `ValueError` naming `inputs`.

    **Example:** `plr.find_cycles(plr.with_inputs(model, [0.5, 1.0]), 1, key=key)`.
    """
    if inputs is None:
        return model
    if not isinstance(model, AbstractDynamics):
        raise ValueError(f"inputs: expected one network beside it, got {type(model).__name__}")
    rows = as_real("inputs", inputs)
    if rows.ndim not in (1, 2) or not rows.size:
        raise ValueError(f"inputs: expected a vector, or several as rows, got shape {rows.shape}")
    kind = ConstantInputPLRNN if isinstance(model, AbstractPLRNN) else ConstantInput
    each = [kind(model, row) for row in np.atleast_2d(rows)]
    try:
        each[0].step(np.zeros(model.state_size))
    except ValueError as error:
        raise ValueError(f"inputs: {error}") from error
    return each if rows.ndim == 2 else each[0]
