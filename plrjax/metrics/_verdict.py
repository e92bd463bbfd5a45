"""Whether scores are good, in words: held against what the data themselves can tell."""

import numpy as np
from jaxtyping import Bool

_AS_GOOD, _CLOSE = 1.25, 2.0
"""A score of so many split-half scores cannot be told from that of a perfect model, which varies by
a fifth or so; one of twice as many is near it."""


def verdict_of(
    median: tuple[float, float, float],
    floor: tuple[float, float, float],
    captured: Bool[np.ndarray, " start"],
    lost: int,
    steps: int,
    variance: float,
) -> tuple[str, ...]:
    """Return a sentence for each score, and one for orbits that went elsewhere.

    **Arguments:** `median` and `floor` of D_stsp, D_H and PE; which orbits were `captured`, and how
    many were `lost`; the n of PE(n); the `variance` of the data.
    """
    said = [_against("D_stsp", median[0], floor[0]), _against("D_H", median[1], floor[1])]
    said.append(_prediction(steps, median[2], variance))
    if lost:
        said.append(f"{lost} of {len(captured)} orbits did not stay finite.")
    if captured.any():
        said.append(
            f"{captured.sum()} of {len(captured)} orbits ended on another attractor than the "
            "data's, which medians do not show."
        )
    return tuple(said)


def _against(name: str, score: float, floor: float) -> str:
    """Return how a distance compares with that of two halves of the data."""
    if not np.isfinite(score):
        return f"{name}: most orbits have none, because they did not stay finite or near the data."
    half = f"half of the data against the other half: {floor:.2g}; this network: {score:.2g}"
    if not (np.isfinite(floor) and floor > 0):
        return f"{name}: {half}."
    ratio = score / floor
    if ratio <= _AS_GOOD:
        return f"{name}: {half}: as good as the data can tell."
    if ratio <= _CLOSE:
        return f"{name}: {half}: near what the data can tell."
    return f"{name}: {half}, {ratio:.2g} times as much: different from the data."


def _prediction(steps: int, error: float, variance: float) -> str:
    share = 100 * error / variance if variance else float("nan")
    text = f"PE({steps}): "
    if not np.isfinite(share):
        return text + "predictions do not stay finite."
    return text + (
        f"{steps} steps ahead, the squared error is {share:.3g} % of that of always predicting the "
        "mean" + (": no better than that." if share >= 100 else ".")
    )
