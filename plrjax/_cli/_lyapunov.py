"""The command `plrjax lyapunov [FILE]`."""

import dataclasses
import pathlib
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from ._common import numbers_of, readable
from ._many import AbstractNetworkAnalysis

if TYPE_CHECKING:
    import numpy

_MAX_INPUT_BYTES = 2**32


@dataclasses.dataclass(frozen=True)
class Lyapunov(AbstractNetworkAnalysis):
    """Compute the Lyapunov exponents of a network, with error bars.

    Orbits start at random (standard normal) states unless --state says where; those that settle on
    different attractors are told apart. Exit codes: 0 finished, 1 failure (no orbit stays finite),
    2 bad input, 3 the budget ran out, 130 Ctrl-C, 143 SIGTERM; after the last three,
    what was measured is printed and saved.
    """

    num_steps: Annotated[int | None, tyro.conf.arg(metavar="INT")] = None
    """Steps measured along each orbit; 20000, or what the inputs leave."""
    num_transient: Annotated[int, tyro.conf.arg(metavar="INT")] = 1_000
    """Steps of each of the two transients (states, then frames)."""
    num_exponents: Annotated[int | None, tyro.conf.arg(metavar="INT")] = None
    """How many exponents, from the largest; by default all."""
    num_orbits: Annotated[int | None, tyro.conf.arg(metavar="INT")] = None
    """Number of orbits; by default 8 to 256, or one for each input sequence."""
    qr_every: Annotated[int | None, tyro.conf.arg(metavar="INT")] = None
    """Steps from one QR to the next; chosen from a pilot by default."""
    state: Annotated[str | None, tyro.conf.arg(metavar="LIST")] = None
    """Initial state of all orbits, such as '0.1,0,-2' (write --state=-1,0 for a leading minus)."""
    inputs: Annotated[str | None, tyro.conf.arg(metavar="PATH")] = None
    """External input, a .npy file (time x input), or (sequences x time x input)."""
    unit: Literal["nats", "bits"] = "nats"
    """Unit of the exponents that are drawn and of "in_units" in the JSON."""
    dt: Annotated[float | None, tyro.conf.arg(metavar="FLOAT")] = None
    """Duration of a step, for exponents per time unit there."""

    def prepare(self) -> None:
        from .._arguments import checked_positive

        if self.dt is not None:
            checked_positive("--dt", self.dt)
        self._initial_state()

    def analysis(self):
        names = ("num_steps", "num_transient", "num_exponents", "num_orbits", "seed")
        arguments = {name: getattr(self, name) for name in names}
        arguments |= {"state": self._initial_state()}
        arguments |= {"qr_every": "auto" if self.qr_every is None else self.qr_every}
        arguments |= {"inputs": None if self.inputs is None else _read_inputs(self.inputs)}
        return spectrum_from_random_states, arguments

    def as_text(self, found) -> str:
        return str(found)

    def as_json(self, found) -> dict:
        import numpy as np

        values, errors = found.in_units(self.unit, self.dt)
        names = ("state_size", "num_orbits", "num_steps", "block_steps", "qr_every", "det_residual")
        derived = ("kaplan_yorke", "entropy_sum", "prediction_time", "orbit_mean")
        facts = {name: getattr(found, name) for name in (*names, *derived, "orbit_deviation")}
        attractors = [row._asdict() for row in found.per_attractor()]
        return facts | {
            "result": found.result.name,
            "exponents": found.exponents,
            "standard_error": found.standard_error,
            "in_units": {
                "unit": self.unit,
                "dt": self.dt,
                "exponents": values,
                "standard_error": errors,
            },
            "attractors": attractors,
            "num_lost": int(np.count_nonzero(found.first_nonfinite >= 0)),
            "num_minus_infinity": int(np.count_nonzero(np.isneginf(found.exponents))),
            "notes": list(found.notes),
        }

    def draw(self, found, model, figure) -> None:
        from .. import plot

        figure.set_size_inches(11, 4.5)
        plot.lyapunov(found, unit=self.unit, dt=self.dt, figure=figure)

    def _initial_state(self) -> "numpy.ndarray | None":
        import numpy as np

        found = numbers_of(self.state, "--state")
        return None if found is None else np.array(found)


def spectrum_from_random_states(
    model, *, key, seed: int, state, inputs, num_orbits, max_seconds=None, throw=True,
    progress=None, **settings,
):  # fmt: skip
    """Compute a spectrum of orbits that start at standard normal states, unless one is given."""
    import numpy as np

    from .. import lyapunov_spectrum

    if state is None:
        count = num_orbits
        if inputs is not None and inputs.ndim == 3:
            count = len(inputs)
        shape = (max(count or 32, 1), model.state_size)
        state = np.random.default_rng(seed).standard_normal(shape)
    return lyapunov_spectrum(
        model, state, key=key, inputs=inputs, num_orbits=num_orbits, max_seconds=max_seconds,
        throw=throw, progress=progress, **settings,
    )  # fmt: skip


def _read_inputs(path: str) -> "numpy.ndarray":
    """Return the array of a .npy file, never a pickle."""
    import numpy as np

    if pathlib.Path(path).suffix != ".npy":
        raise ValueError(f"--inputs: expected a .npy file, got {path}")
    with readable(path, "--inputs"):
        if pathlib.Path(path).stat().st_size > _MAX_INPUT_BYTES:
            raise ValueError(f"--inputs: {path} is larger than {_MAX_INPUT_BYTES} bytes")
        try:
            return np.array(np.load(path, mmap_mode="r", allow_pickle=False))
        except (ValueError, EOFError, OverflowError) as error:
            raise ValueError(f"--inputs: {path} is not an array: {error}") from error
