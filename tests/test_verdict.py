"""Scores in words."""

import numpy as np
import pytest

from plrjax.metrics import _verdict


@pytest.mark.parametrize(
    "median, floor, said",
    [
        ((0.27, 0.02, 0.1), (0.23, 0.02, np.nan), "0.23; this network: 0.27: as good as the data"),
        ((0.40, 0.02, 0.1), (0.23, 0.02, np.nan), "0.23; this network: 0.4: near what the data"),
        ((2.3, 0.02, 0.1), (0.23, 0.02, np.nan), "2.3, 10 times as much: different from the data"),
        ((np.nan, 0.02, 0.1), (0.23, 0.02, np.nan), "D_stsp: most orbits have none"),
        ((0.3, 0.02, 2.5), (0.23, 0.02, np.nan), "125 % of that of always predicting the mean: no"),
    ],
)
def test_a_verdict_holds_scores_against_the_data(median, floor, said):
    told = _verdict.verdict_of(median, floor, np.array([False, True]), 1, 20, 2.0)
    assert any(said in text for text in told)
    assert "1 of 2 orbits did not stay finite." in told
    assert told[-1].startswith("1 of 2 orbits ended on another attractor")
