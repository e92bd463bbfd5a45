"""The command `plrjax verify CERTIFICATE [FILE]`."""

import dataclasses
import json
import sys
from typing import Annotated

import tyro

from .._json import plain
from ._common import EMBEDDED, EXIT, complain, readable, say


@dataclasses.dataclass(frozen=True)
class Verify:
    """Prove again, without the search, what a certificate says of a network.

    That is: these are all its cycles; or: these orbits connect its cycles (chaos, where one is
    homoclinic).

    Exit codes: 0 everything is proven, 1 refused, 2 bad input.
    """

    certificate: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="CERTIFICATE")]
    """File that 'plrjax cycles --rigorous --certificate' or 'plrjax manifolds --certificate'
    wrote."""
    file: Annotated[str | None, tyro.conf.Positional, tyro.conf.arg(metavar="[FILE]")] = None
    """Network file; without it, the embedded example."""
    kind: Annotated[str | None, tyro.conf.arg(metavar="KIND")] = None
    """Model family, where the file does not say: plrnn, shallow, clipped-shallow, ..."""
    num_relu: Annotated[int | None, tyro.conf.arg(metavar="INT")] = None
    """Number of ReLU units of an almost-linear network."""
    index: Annotated[int | None, tyro.conf.arg(metavar="INT")] = None
    """Which snapshot, where the file holds several."""
    leak: Annotated[float | None, tyro.conf.arg(metavar="FLOAT")] = None
    """Leak of a ReLU network, where the file does not say."""
    json: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Print what is proven as JSON."""

    def run(self) -> EXIT:
        from .. import Verified, example_network, load, verify

        if self.file is None:
            say(f"plrjax: no FILE given, using {EMBEDDED}", sys.stderr)
        with readable(self.file):
            model = (
                example_network()
                if self.file is None
                else load(
                    self.file,
                    kind=self.kind,
                    num_relu=self.num_relu,
                    index=self.index,
                    leak=self.leak,
                )
            )
        try:
            with readable(self.certificate, "CERTIFICATE"):
                if _is_of_connections(self.certificate):
                    from .. import verify_connections

                    proven = verify_connections(model, self.certificate)
                else:
                    proven = verify(model, self.certificate, model_file=self.file)
        except ValueError as error:
            if "refused" not in str(error):
                raise
            complain(error)
            return EXIT.failure
        facts = dataclasses.asdict(proven)
        facts |= {"counts": proven.counts()} if isinstance(proven, Verified) else {}
        say(json.dumps(plain(facts), allow_nan=False) if self.json else str(proven))
        return EXIT.finished


def _is_of_connections(path: str) -> bool:
    """Return whether a file looks like a certificate of connecting orbits; its checker decides."""
    from .._files import read_bytes

    return b'"kind":"connections"' in read_bytes(path)
