"""Certificates of completeness as files, and their verification."""

import dataclasses
import hashlib
import os
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Float

from ... import _files
from ..._host import on_host
from ..._json import check_weight
from ..._piecewise_affine import AbstractPLRNN, lower

_MEMORY = 8
"""Bytes of memory for each byte of a certificate; its numbers are small and weigh less."""


@dataclasses.dataclass(frozen=True)
class Verified:
    """What a certificate proves: these are all k-cycles of the map, for these periods.

    **Fields:** `periods`; `lower`, `upper`: the box; `everywhere`: whether there are none outside
    it, either; `degenerate`: periods that are excepted, because a word has a continuum of
    solutions; `cycles`: for each cycle its word, points, multipliers, stability and index.
    """

    periods: tuple[int, ...]
    lower: Float[np.ndarray, " state"]
    upper: Float[np.ndarray, " state"]
    everywhere: bool
    degenerate: tuple[int, ...]
    cycles: tuple[dict[str, Any], ...]

    def counts(self) -> dict[int, int]:
        """Return the number of cycles per minimal period."""
        found = Counter(len(cycle["word"]) for cycle in self.cycles)
        return {k: found.get(k, 0) for k in self.periods}

    def __str__(self) -> str:
        lines = [f"proven: these are all cycles in {domain_text(self.lower, self.upper)}"]
        if self.everywhere:
            lines = ["proven: these are all cycles, in all of R^M"]
        for k, count in self.counts().items():
            kinds = Counter(c["stability"] for c in self.cycles if len(c["word"]) == k)
            told = ", ".join(f"{number} {kind}" for kind, number in sorted(kinds.items()))
            excepted = " (not proven: a degenerate family)" if k in self.degenerate else ""
            lines.append(f"period {k}: {count}{' (' + told + ')' if told else ''}{excepted}")
        return "\n".join(lines)


def domain_text(lower: np.ndarray, upper: np.ndarray) -> str:
    """Return a box in words."""
    if np.array_equal(lower, -upper):
        if (upper == upper[0]).all():
            return f"the box |z| <= {upper[0]:g}"
        return "the box |z_j| <= " + ", ".join(f"{x:.6g}" for x in upper)
    return "the box " + " x ".join(f"[{a:.6g}, {b:.6g}]" for a, b in zip(lower, upper))


@on_host()
def verify(
    model: AbstractPLRNN,
    certificate: str | os.PathLike,
    *,
    model_file: str | os.PathLike | None = None,
    max_bytes: int = _files.MAX_BYTES,
) -> Verified:
    """Prove again, without the search, that a certificate's cycles are all cycles of a model.

    Every step is repeated in exact or ball arithmetic: each subtree is covered or empty, each word
    that is left is decided in rationals, and the cycles listed are exactly those, number by number.

    **Arguments:** `model`: the network; `certificate`: a file that
    `BranchAndBound(certificate=...)` wrote; `model_file`: the network's file, which must then be,
    byte by byte, the one the certificate names (where it names one); `max_bytes`: most bytes of the
    certificate.

    **Raises:** `ValueError` that says what is not proven.
    """
    from ... import _checker

    text, proven = checked(_checker.verify, model, certificate, max_bytes)
    named = named_file(text)
    if model_file is not None and named is not None and named != file_hash(model_file):
        raise ValueError(
            f"{os.fspath(certificate)}: refused: {os.fspath(model_file)} is not, byte by byte, the "
            "file the certificate was made for (its parameters are the same)"
        )
    box = np.array(proven["box"])
    return Verified(
        tuple(proven["periods"]), box[0], box[1], proven["everywhere"] is not None,
        tuple(proven["degenerate"]), tuple(proven["cycles"]),
    )  # fmt: skip


def checked(
    check: Callable[..., Any], model: AbstractPLRNN, path: str | os.PathLike, max_bytes: int
) -> tuple[str, Any]:
    """Return the text of a certificate, and what a checker says of it.

    **Raises:** `ValueError` naming the file, with the checker's reason.
    """
    from ..._checker import Refused

    map, data = lower(model), _files.read_bytes(path, max_bytes)
    try:
        check_weight(data, _MEMORY * max_bytes)
        text = data.decode("ascii")
        return text, check(text, *map.exactly())
    except UnicodeDecodeError as error:
        raise ValueError(f"{os.fspath(path)}: refused: not a certificate (no text)") from error
    except (ValueError, RecursionError) as error:  # the checker's own is a ValueError
        reason = error if isinstance(error, Refused) else _files.one_line(error)
        raise ValueError(f"{os.fspath(path)}: refused: {reason}") from error


def named_file(text: str) -> Any:
    """Return the hash of the model's file that a certificate names, None where it names none."""
    import json

    return json.loads(text).get("file")


def file_hash(path: str | os.PathLike) -> str:
    """Return the SHA-256 of a file."""
    return hashlib.sha256(_files.read_bytes(path)).hexdigest()
