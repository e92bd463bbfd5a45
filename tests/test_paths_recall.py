"""What share of all cycles path following finds, where the truth is known (minutes: marked slow).

Unions of several searches stand in for the truth where enumeration does not reach.
"""

import time

import jax.random as jr
import numpy as np
import pytest
from systems import QUIET, chaotic, check_cycles, clipped, planted, random_plrnn, words_of

import plrjax as plr

pytestmark = pytest.mark.slow


def found(map, periods, solver, seed=0, **options):
    return plr.find_cycles(map, periods, key=jr.key(seed), solver=solver, progress=QUIET, **options)


def report(*facts):
    print(*facts, flush=True)


def test_hundred_random_networks():
    """M = 14 to 20, gains 1.5 to 5: at most two fixed points missed over all, 300 paths each."""
    missed = total = walked = 0
    for seed in range(100):
        map = random_plrnn(seed, 14 + seed % 7, (1.5, 2.0, 3.0, 4.0, 5.0)[seed % 5])
        true = words_of(found(map, 1, plr.Exhaustive()))
        paths = words_of(found(map, 1, plr.PathFollowing(), num_searches=300))
        walks = words_of(found(map, 1, plr.SCYFI(), num_searches=1024))
        assert paths <= true
        total, missed = total + len(true), missed + len(true - paths)
        walked += len(true & walks)
    report("fixed points", total, "missed by paths", missed, "found by walks", walked)
    assert total > 100 and missed <= 2


@pytest.mark.parametrize("seed", range(10))
def test_planted_thirty(seed):
    """M = 30, gain 3: all that enumeration finds."""
    map = planted(seed, 30, 3.0)
    true = found(map, 1, plr.Exhaustive())
    paths = found(map, 1, plr.PathFollowing())
    report("M=30", seed, "true", len(true), "paths", len(paths))
    assert words_of(paths) == words_of(true)
    check_cycles(map, paths)


@pytest.mark.parametrize("seed", range(4))
def test_planted_fifty(seed):
    """M = 50, gain 2: all that any method finds, other keys and four times the paths included."""
    map = planted(seed, 50, 2.0)
    paths = found(map, 1, plr.PathFollowing())
    union = words_of(paths) | words_of(found(map, 1, plr.SCYFI(), num_searches=4096))
    for key in (1, 2):
        union |= words_of(found(map, 1, plr.PathFollowing(), key, num_searches=8192))
    report("M=50", seed, "union", len(union), "paths", len(paths))
    assert words_of(paths) == union


def test_planted_hundred():
    """M = 100, gain 2, ten seconds each: at least three quarters of the union of all runs."""
    shares = []
    for seed in range(5):
        map = planted(seed, 100, 2.0)
        long = plr.PathFollowing(min_searches=10**6)
        paths = words_of(found(map, 1, long, max_seconds=10))
        union = paths | words_of(found(map, 1, plr.SCYFI(), max_seconds=10))
        union |= words_of(found(map, 1, plr.Auto(), max_seconds=10))
        for key in (1, 2):
            union |= words_of(found(map, 1, long, key, max_seconds=10))
        shares.append(len(paths) / max(len(union), 1))
        report("M=100", seed, "union", len(union), "paths", len(paths), f"{shares[-1]:.2f}")
    assert np.mean(shares) >= 0.75


def test_clipped_networks_are_complete():
    """N = 20 to 30: complete in 20 of 20, index sum 1."""
    for seed in range(20):
        map = clipped(seed, 5, 10 + seed % 6)
        paths = found(map, 1, plr.PathFollowing())
        assert words_of(paths) == words_of(found(map, 1, plr.Exhaustive()))
        assert paths.index_sum(1) == paths.degree[1] == 1


def test_large_clipped_networks():
    """N = 100, five networks with at least 15 fixed points: all that ten times the paths find."""
    counts = []
    for seed in range(40):
        map = clipped(seed, 10, 50, 6.0)
        paths = found(map, 1, plr.PathFollowing(), num_searches=1024)
        more = found(map, 1, plr.PathFollowing(), 1, num_searches=10 * 1024)
        if len(more) < 15:
            continue
        report("N=100", seed, len(paths), "of", len(more), "index sum", paths.index_sum(1))
        assert len(paths) >= 15 and paths.index_sum(1) == paths.degree[1] == 1
        counts.append(len(paths))
        if len(counts) == 5:
            return
    pytest.fail(f"only {len(counts)} networks with 15 fixed points")


@pytest.mark.parametrize("seed, period", [(592, 25), (868, 22), (915, 22)])
def test_chaotic_networks(seed, period):
    """At least 100 cycles, all found within five seconds; the walk finds at most half of them."""
    map = chaotic(seed)
    found(chaotic(1), period, plr.PathFollowing(), num_searches=16)
    begun = time.process_time()
    paths = found(map, period, plr.PathFollowing(), max_seconds=5)
    spent = time.process_time() - begun
    walks = found(map, period, plr.SCYFI(max_searches=2**22), max_seconds=spent)
    union = words_of(paths) | words_of(walks)
    for key in (1, 2):
        union |= words_of(found(map, period, plr.PathFollowing(), key, num_searches=2048))
        union |= words_of(found(map, period, plr.SCYFI(), key, num_searches=2**16))
    report(seed, period, "union", len(union), "paths", len(paths), "walks", len(walks))
    assert len(union) >= 100 and words_of(paths) == union
    assert 2 * len(walks) <= len(union)
    check_cycles(map, paths)
