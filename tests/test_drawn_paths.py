"""Events on random paths between small networks against brute force."""

import pytest
from drawn_paths import disagreements
from hypothesis import given, settings
from hypothesis import strategies as st


@settings(max_examples=20, derandomize=True, deadline=None)
@given(st.integers(0, 10**6))
def test_events_are_those_of_brute_force(seed):
    assert disagreements(seed, num_points=200) == []


@pytest.mark.slow
@pytest.mark.parametrize("block", range(10))
def test_events_are_those_of_brute_force_on_many_paths(block):
    """1,000 paths in all, 2,000 places on each."""
    seeds = range(2000 + 100 * block, 2100 + 100 * block)
    faults = {seed: disagreements(seed, num_points=2000) for seed in seeds}
    assert {seed: texts[:3] for seed, texts in faults.items() if texts} == {}
