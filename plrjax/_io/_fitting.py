"""Which kinds fit fields of a network, by which are there and by their shapes; what is ignored."""

import numpy as np

from ..models import KINDS
from ._snapshots import arrange, count_snapshots, select_snapshot

_INDECISIVE = {"b", "C"}
"""Fields that may also belong to an observation model."""
_SHAPING = {"leak", "slope"}
"""Numbers that change a map wherever they are used."""


def used_fields(kind: str, fields: dict[str, np.ndarray]) -> set[str]:
    """Return those of the fields that a kind has."""
    return set(fields) & set(KINDS[kind].shapes)


def left_out(kind: str, fields: dict[str, np.ndarray]) -> list[str]:
    """Return the fields that a kind does not have, though they shape the map.

    What no kind that fits has a use for is not among them, if this kind is complete.
    """
    extra = set(fields) - set(KINDS[kind].shapes) - _INDECISIVE
    if is_complete(kind, fields):
        fitting = set().union(*(used_fields(other, fields) for other in candidates(fields)))
        extra &= fitting | _SHAPING
    return sorted(extra)


def is_complete(kind: str, fields: dict[str, np.ndarray]) -> bool:
    """Return whether all fields are there (`num_relu` may be told by the caller)."""
    return set(KINDS[kind].required) - {"num_relu"} <= set(fields)


def _complete(fields: dict[str, np.ndarray]) -> list[str]:
    """Return the kinds all whose fields are there."""
    kinds = [kind for kind, entry in KINDS.items() if entry.foreign and kind != "piecewise-affine"]
    return [kind for kind in kinds if is_complete(kind, fields)]


def candidates(fields: dict[str, np.ndarray]) -> list[str]:
    """Return the kinds that these fields may belong to, by names and shapes.

    A kind that leaves out fields of another one that fits is not among them.
    """
    used = {
        kind: used_fields(kind, fields) - _INDECISIVE
        for kind in _complete(fields)
        if misfit(kind, fields) is None
    }
    shaping = set(fields) & _SHAPING
    return [
        kind
        for kind, own in used.items()
        if shaping <= own and not any(own < other for other in used.values())
    ]


def shape_problem(fields: dict[str, np.ndarray]) -> str | None:
    """Return which shapes keep the arrays from being a network that their names make them.

    It is told for the kind that has the most of the fields; None if no kind is complete.
    """
    kinds = sorted(_complete(fields), key=lambda kind: -len(used_fields(kind, fields)))
    problems = (misfit(kind, fields) for kind in kinds)
    return next((problem for problem in problems if problem is not None), None)


def misfit(kind: str, fields: dict[str, np.ndarray]) -> str | None:
    """Return what is wrong with the shapes of all fields of a kind, None if nothing is."""
    shapes = KINDS[kind].shapes
    own = {name: fields[name] for name in used_fields(kind, fields)}
    try:
        first = None if count_snapshots(own, shapes) is None else 0
        own = arrange(select_snapshot(own, shapes, first), kind)
    except ValueError as error:
        return str(error)
    known: dict[str, tuple[int, str]] = {}
    for name in (name for name in shapes if name in own):
        got, tokens = own[name].shape, shapes[name].replace("integer", "").split()
        tokens = tokens[:1] if name == "A" and len(got) == 1 else tokens
        if len(tokens) == len(got):
            for token, length in zip(tokens, got):
                if token.isalpha():
                    known.setdefault(token, (length, f"{name} {got}"))
        wanted = [_length(token, known) for token in tokens]
        if len(wanted) != len(got) or any(a not in (b, None) for a, b in zip(wanted, got)):
            shown = ", ".join(t if n is None else str(n) for t, n in zip(tokens, wanted))
            shown += "," if len(tokens) == 1 else ""
            letters = [token.lstrip("0123456789") for token in tokens]
            because = dict.fromkeys(known[letter][1] for letter in letters if letter in known)
            told = f" beside {' and '.join(because)}" if because else ""
            return f"{name}: expected shape ({shown}){told}, got {got}"
    return None


def _length(token: str, known: dict[str, tuple[int, str]]) -> int | None:
    """Return the length that a token such as "M" or "3H" stands for, None if it may be any."""
    factor, letter = (int(token[0]), token[1:]) if token[0].isdigit() else (1, token)
    return factor * known[letter][0] if letter in known else None
