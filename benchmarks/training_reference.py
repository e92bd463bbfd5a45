"""The same training step in eager PyTorch: what a careful author writes, one loop over time.

Loss, regularizer, optimizer and learning rate are those of plrjax. Arrays are "time lane column".
"""

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np

from plrjax import training as tr
from plrjax.training._engine import Recipe
from plrjax.training._loss import Networks
from plrjax.training._windows import Series

torch = importlib.import_module("torch")
functional = torch.nn.functional


def as_parameter(array: Any) -> Any:
    """Return a trained tensor of the same dtype."""
    return torch.nn.Parameter(torch.tensor(np.asarray(array)))


class PLRNN(torch.nn.Module):
    """z' = A z + W relu(z) + h with a diagonal A."""

    def __init__(self, model: Any):
        super().__init__()
        self.A, self.W, self.h = map(as_parameter, (model.A, model.W, model.h))

    def step_of(self, lanes: int) -> Callable:
        """Return the step of so many lanes; what all steps share is done once (15 % faster)."""
        A, h, W = self.A.expand(lanes, -1), self.h.expand(lanes, -1), self.W.t()
        return lambda z: torch.addcmul(torch.addmm(h, torch.relu(z), W), A, z)


class ClippedShallowPLRNN(torch.nn.Module):
    """z' = A z + W1 (relu(W2 z + h2) - relu(W2 z)) + h1 with a diagonal A."""

    def __init__(self, model: Any):
        super().__init__()
        self.A, self.W1, self.W2 = map(as_parameter, (model.A, model.W1, model.W2))
        self.h1, self.h2 = map(as_parameter, (model.h1, model.h2))

    def step_of(self, lanes: int) -> Callable:
        """Return the step of so many lanes; what all steps share is done once (15 % faster)."""
        A, h1, h2 = (x.expand(lanes, -1) for x in (self.A, self.h1, self.h2))
        W1, W2 = self.W1.t(), self.W2.t()

        def step(z):
            y = torch.mm(z, W2)
            hidden = torch.relu(y + h2) - torch.relu(y)
            return torch.addcmul(torch.addmm(h1, hidden, W1), A, z)

        return step


class Identity(torch.nn.Module):
    """x = z."""

    def forward(self, state: Any) -> Any:
        """Return what is observed of states."""
        return state

    def signal(self, observation: Any) -> Any:
        """Return the states that observations speak of."""
        return observation


class Affine(torch.nn.Module):
    """x = B z + b; signals through the pseudo-inverse, which is trained, too."""

    def __init__(self, observation: Any):
        super().__init__()
        self.B, self.b = as_parameter(observation.B), as_parameter(observation.b)

    def forward(self, state: Any) -> Any:
        """Return what is observed of states."""
        return functional.linear(state, self.B, self.b)

    def signal(self, observation: Any) -> Any:
        """Return the states that observations speak of."""
        return functional.linear(observation - self.b, torch.linalg.pinv(self.B))


class EagerTorch(torch.nn.Module):
    """A training run on its way; `segments` cuts windows under sparse forcing as plrjax does."""

    def __init__(
        self, nets: Networks, series: Series, recipe: Recipe, rate, segments: bool = False
    ):
        super().__init__()
        kind = {"PLRNN": PLRNN, "ClippedShallowPLRNN": ClippedShallowPLRNN}
        self.model = kind[type(nets.model).__name__](nets.model)
        affine = isinstance(nets.observation, tr.Affine)
        self.observation = Affine(nets.observation) if affine else Identity()
        self.interval: Any = recipe.forcing.segment
        self.alpha = getattr(recipe.forcing, "alpha", None)
        self.weight: float = sum(getattr(one, "weight") for one in recipe.regularizers)
        self.segments = segments
        self.length, self.batch_size = recipe.sequence_length, recipe.batch_size
        self.series = torch.tensor(np.asarray(series.observations))
        self.times = torch.arange(self.length + 1)[:, None]
        self.optimizer = torch.optim.RAdam(self.parameters(), lr=rate.first)
        self.decay = torch.optim.lr_scheduler.ExponentialLR(self.optimizer, rate.factor)
        self.last = None

    def windows(self) -> Any:
        """Draw a batch of windows."""
        first = torch.randint(len(self.series) - self.length, (self.batch_size,))
        return self.series[first + self.times]

    def loss(self, x: Any) -> Any:
        """Return the loss of windows, regularizer included."""
        signals = self.observation.signal(x)
        found = self.in_segments(signals) if self.segments else self.in_steps(signals)
        return functional.mse_loss(self.observation(found), x[1:]) + self.weight * self.penalty()

    def in_steps(self, signals: Any) -> Any:
        """Return predictions, one step after the other; states are forced on the way."""
        step, state, found = self.model.step_of(signals.shape[1]), None, []
        for t, signal in enumerate(signals[:-1].unbind()):
            if state is None or (self.interval and t % self.interval == 0):
                state = signal
            elif self.alpha:
                state = torch.lerp(state, signal, self.alpha)
            state = step(state)
            found.append(state)
        return torch.stack(found)

    def in_segments(self, signals: Any) -> Any:
        """Return predictions under sparse forcing, all segments of a window side by side."""
        start = signals[: -1 : self.interval]
        state, found = start.flatten(0, 1), []
        step = self.model.step_of(len(state))
        for _ in range(min(self.interval, self.length)):
            state = step(state)
            found.append(state.view_as(start))
        return torch.stack(found, dim=1).flatten(0, 1)[: self.length]

    def penalty(self) -> Any:
        """Return sum |1 - A|^2 + sum |theta|^2 over all other parameters of the network."""
        squares = [
            ((1.0 - value if name == "A" else value) ** 2).sum()
            for name, value in self.model.named_parameters()
        ]
        return torch.stack(squares).sum()

    def update(self, x: Any) -> None:
        """Take one step of the optimizer."""
        self.optimizer.zero_grad()
        loss = self.loss(x)
        loss.backward()
        self.optimizer.step()
        self.decay.step()
        self.last = loss.detach()

    def forward(self) -> None:
        """Draw windows and take one step of the optimizer."""
        self.update(self.windows())

    def check(self) -> None:
        """Refuse to time arithmetic on numbers that are not finite."""
        if self.last is None or not bool(torch.isfinite(self.last)):
            raise RuntimeError("the loss of the PyTorch port is not finite")
