"""The command `plrjax convert FILE OUT`."""

import dataclasses
import json
from typing import Annotated

import tyro

from .._json import plain
from ._common import EXIT, check_target, complain, readable, say

SUFFIXES = (".npz", ".safetensors", ".mat", ".pt", ".pth")


@dataclasses.dataclass(frozen=True)
class Convert:
    """Write a network to a file of another kind, told by its suffix; no number changes.

    .npz and .safetensors hold the network with its kind; .mat opens in MATLAB, and .pt and .pth in
    PyTorch: load_state_dict of an nn.RNN, GRU or LSTM takes them. Exit codes: 0 written, 1 failure,
    2 bad input.
    """

    file: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="FILE")]
    """Network file or folder, of any kind that plrjax reads."""
    target: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="OUT")]
    """The file to write: .npz, .safetensors, .mat, .pt or .pth."""
    kind: Annotated[str | None, tyro.conf.arg(metavar="KIND")] = None
    """Model family, where the file does not say: plrnn, shallow, clipped-shallow, ..."""
    num_relu: Annotated[int | None, tyro.conf.arg(metavar="INT")] = None
    """Number of ReLU units of an almost-linear network."""
    index: Annotated[int | None, tyro.conf.arg(metavar="INT")] = None
    """Which snapshot, where the file holds several."""
    json: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Print what was written as JSON."""

    def run(self) -> EXIT:
        check_target("OUT", self.target, SUFFIXES)
        from .. import describe, load, save
        from .._dynamics import AbstractDynamics

        with readable(self.file):
            model = load(self.file, kind=self.kind, num_relu=self.num_relu, index=self.index)
        if not isinstance(model, AbstractDynamics):
            raise ValueError(f"FILE: {self.file} holds a {type(model).__name__}, not a network")
        try:
            save(self.target, model)
        except OSError as error:
            complain(error)
            return EXIT.failure
        facts = plain(describe(self.target))
        text = f"{self.target}: {type(model).__name__} with {model.state_size} states"
        say(json.dumps(facts, allow_nan=False) if self.json else text)
        return EXIT.finished
