"""Certificates of small maps, and what is said of forged ones, every hash recomputed."""

import functools
import hashlib
import json
import pathlib
import tempfile

import pytest
from systems import LOZI, QUIET, SIXTEEN, clipped, plrnn_map, random_shallow, tent

import plrjax as plr
from plrjax import PiecewiseAffineMap

DEAD, OFF_EMPTY, ON_EMPTY, BOTH = range(4)
"""Records of a tree, as a certificate numbers them."""

BORDER = PiecewiseAffineMap([[0.5]], [[-1.0, -1.0]], [[1.0], [1.0]], [1.0], [0.0, -0.5])
"""Slopes 1/2, -1/2, -3/2: a fixed point 2/3, and the 2-cycle 0 -> 1 -> 0 on the boundary z = 0."""

KINK = PiecewiseAffineMap([[0.5]], [[-1.0]], [[1.0]], [0.0], [0.0])
"""z' = -|z| / 2: the fixed point 0 on the boundary."""

FAMILY = PiecewiseAffineMap([[-1.0]], [[0.5]], [[1.0]], [-1.0], [0.0])
"""z' = -z - 1 below 0: all z in [-1, 0] but -1/2 are 2-cycles."""

IDENTITY = PiecewiseAffineMap([[1.0]], [[0.0]], [[1.0]], [0.0], [0.0])
"""Every point is fixed."""

CASES = {
    "lozi": (LOZI, 4, None),
    "lozi, small box": (LOZI, 4, 0.9),
    "border": (BORDER, 4, None),
    "border, cycle on the box": (BORDER, 4, 1.0),
    "kink": (KINK, 3, None),
    "tent": (tent(2.0), 4, None),
    "tent, to five": (tent(2.0), 5, None),
    "tent, cycle on the box": (tent(2.0), 4, 1.0),
    "clipped": (clipped(1, 2, 3), 2, None),
    "shallow": (random_shallow(3, 2, 3, 1.5), 3, None),
    "sixteen": (plrnn_map(**SIXTEEN), 6, None),
    "family": (FAMILY, 3, None),
}

COUNTS = {
    "lozi": {1: 2, 2: 1, 3: 0, 4: 1},
    "lozi, small box": {1: 2, 2: 1, 3: 0, 4: 0},
    "border": {1: 1, 2: 1, 3: 0, 4: 0},
    "border, cycle on the box": {1: 1, 2: 1, 3: 0, 4: 0},
    "tent": {1: 2, 2: 1, 3: 2, 4: 3},
    "tent, cycle on the box": {1: 2, 2: 1, 3: 2, 4: 3},
}
"""Known from the slopes, and from the literature for the Lozi map."""


@functools.cache
def _text(name):
    map, longest, box = CASES[name]
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "all.json"
        solver = plr.BranchAndBound(rigorous=True, box=box, certificate=path)
        plr.find_cycles(map, range(1, longest + 1), solver=solver, progress=QUIET)
        return path.read_text()


def certificate(name):
    """Return the map of a case, and the content of its certificate but for the hash."""
    data = json.loads(_text(name))
    del data["SHA256"]
    return CASES[name][0], data


def sealed(data) -> str:
    """Return the text of a certificate: JSON with sorted keys, and first its hash."""
    body = json.dumps(data, sort_keys=True, separators=(",", ":"))
    return f'{{"SHA256":"{hashlib.sha256(body.encode()).hexdigest()}",{body[1:]}'


def verified(map, data) -> dict:
    """Return what is proven by this content, its hash recomputed."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "forged.json"
        path.write_text(sealed(data))
        found = plr.verify(map, path)
    lists = {name: list(getattr(found, name)) for name in ("periods", "degenerate", "cycles")}
    box = [found.lower.tolist(), found.upper.tolist()]
    return {**lists, "box": box, "everywhere": found.everywhere}


def refused(map, data, match="") -> None:
    """Assert that no proof is seen in it."""
    with pytest.raises(ValueError, match=f": refused: .*({match})"):
        verified(map, data)


def accepted(map, data) -> dict | None:
    """Return what is proven, None where it is refused; any other error is a failure."""
    try:
        return verified(map, data)
    except ValueError as error:
        assert ": refused: " in str(error)
        return None


def integers(tree):
    """Return (list, position) of every integer of all chunks."""
    return [(chunk, i) for chunk in tree.values() for i in range(len(chunk))]


def all_integers(data):
    """Return the same of the proofs for all of R^M too, and of the times of their facets."""
    found = integers(data["tree"])
    if isinstance(data["everywhere"], list):
        for number, proof in enumerate(data["everywhere"]):
            found += [(data["everywhere"][number], 0), *integers(proof[1])]
    return found
