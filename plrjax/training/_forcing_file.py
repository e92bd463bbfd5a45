"""Forcings as JSON knows them: what a checkpoint holds where a callback changed the forcing."""

import inspect
from typing import Any

from ._estimators import ESTIMATORS
from ._forcing import (
    AbstractForcing,
    AdaptiveForcing,
    AnnealedForcing,
    GeneralizedForcing,
    NoForcing,
    RandomForcing,
    SparseForcing,
)

_KINDS = {
    one.__name__: one
    for one in (
        NoForcing, SparseForcing, RandomForcing, AnnealedForcing, GeneralizedForcing,
        AdaptiveForcing,
    )
}  # fmt: skip
_NAMES = {one.__name__: one for one in ESTIMATORS}


def forcing_facts(forcing: AbstractForcing) -> dict[str, Any]:
    """Return the forcing that a callback asked for as JSON knows it, for checkpoints.

    **Raises:** `ValueError` for a kind that has no such form.
    """
    kind = type(forcing).__name__
    if _KINDS.get(kind) is not type(forcing):
        raise ValueError(
            f"checkpoint: a callback changed the forcing to {kind}, which a file cannot hold; "
            f"expected one of {', '.join(_KINDS)}"
        )
    names = {"every": "update_every"}
    given = inspect.signature(type(forcing)).parameters
    facts = {name: getattr(forcing, names.get(name, name)) for name in given}
    if "estimator" in facts:
        facts["estimator"] = next((n for n, one in _NAMES.items() if one is facts["estimator"]), "")
        if not facts["estimator"]:
            raise ValueError(
                "checkpoint: a callback changed the estimator to a function, which a file cannot "
                f"hold; expected one of {', '.join(_NAMES)}"
            )
    return {"kind": kind, **facts}


def forcing_from_facts(facts: dict[str, Any]) -> AbstractForcing:
    """Return the forcing that `forcing_facts` wrote down."""
    given = {name: value for name, value in facts.items() if name != "kind"}
    if "estimator" in given:
        given["estimator"] = _NAMES[given["estimator"]]
    return _KINDS[facts["kind"]](**given)
