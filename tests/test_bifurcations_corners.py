"""Bifurcations at the corners: ties, scales, long cycles, dead units, files, interrupts."""

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from systems import QUIET, SIXTEEN, PressesCtrlC, random_plrnn, random_shallow, tent

import plrjax as plr
from plrjax import BIFURCATION, COVERAGE, RESULTS, FunctionPath, PiecewiseAffineMap
from plrjax.bifurcations import Search

KEY = jr.key(0)


def detect(models, periods, **options):
    options.setdefault("progress", QUIET)
    return plr.detect_bifurcations(models, periods, **options)


def shallow(draw, size, units, unit=1.0):
    return PiecewiseAffineMap(
        draw.uniform(-0.7, 0.7, size),
        1.5 * draw.standard_normal((size, units)),
        draw.standard_normal((units, size)),
        unit * draw.standard_normal(size),
        unit * draw.standard_normal(units),
    )


def check_ends(found):
    """Assert that every end of a branch lies at a network, has an event, or has a note."""
    for first, last in zip(found.segment_first, found.segment_last):
        assert min(first, last) >= -1 or found.notes
    for branch in found.branches:
        rows = branch.rows.tolist()
        for early, late in zip(rows[:-1], rows[1:]):
            same = found.segment_interval[early] == found.segment_interval[late]
            if same:
                gap = found.segment_low[late] - found.segment_high[early]
                assert abs(gap) <= 1e-8 and found.segment_last[early] == found.segment_first[late]
            else:
                assert found.segment_interval[late] == found.segment_interval[early] + 1
                assert found.segment_high[early] == 1.0 and found.segment_low[late] == 0.0


def facts(found):
    """What does not depend on units: kinds, periods, stability, and where."""
    return found.s, [found.kind.tolist(), found.period.tolist(), found.attractor.tolist()]


def same_facts(one, other, tolerance=1e-9):
    assert one[1] == other[1] and np.allclose(one[0], other[0], rtol=0, atol=tolerance)


@pytest.mark.parametrize("seed", range(6))
def test_units_of_state_and_dead_units_do_not_matter(seed):
    """A state in units of 1e6 or 1e-6, a unit with a zero row or column: the same events."""
    draws = lambda: np.random.default_rng([seed, 5])
    draw = draws()
    plain = detect([shallow(draw, 2, 2), shallow(draw, 2, 2)], [1, 2])
    check_ends(plain)
    for unit in (1e-6, 1e6):
        draw = draws()
        found = detect([shallow(draw, 2, 2, unit), shallow(draw, 2, 2, unit)], [1, 2])
        same_facts(facts(found), facts(plain))
    draw = draws()
    ends = [shallow(draw, 2, 2), shallow(draw, 2, 2)]
    for column, row, offset in (([0, 0], [1, 2], 0.3), ([1, 2], [0, 0], -1.0), ([0, 0], [0, 0], 0)):
        grown = [
            PiecewiseAffineMap(
                m.A, np.c_[m.W1, column], np.r_[m.W2, [row]], m.h1, np.r_[m.h2, offset]
            )
            for m in ends
        ]
        found = detect(grown, [1, 2])
        check_ends(found)
        turns = ~((found.kind == BIFURCATION.border_collision) & (found.unit[:, 1] == 2))
        same_facts(facts(found[turns]), facts(plain))


@pytest.mark.parametrize("seed", range(4))
def test_a_unit_written_twice(seed):
    """Two equal rows of W2 reach zero together: one event, two units."""
    draw = np.random.default_rng([seed, 6])
    ends = [shallow(draw, 2, 2), shallow(draw, 2, 2)]
    plain = detect(ends, [1, 2])
    twice = [
        PiecewiseAffineMap(
            m.A, np.c_[0.5 * m.W1, 0.5 * m.W1], np.r_[m.W2, m.W2], m.h1, np.r_[m.h2, m.h2]
        )
        for m in ends
    ]
    found = detect(twice, [1, 2])
    check_ends(found)
    same_facts(facts(found), facts(plain))
    borders = found.kind == BIFURCATION.border_collision
    assert (found.num_units_zero[borders] == 2 * plain.num_units_zero[borders]).all()


def test_a_fixed_point_on_the_border_all_along():
    """h = 0: the origin lies on every border for all s; no event, no loop without end."""
    still = plr.from_arrays("plrnn", A=[0.5, -0.3], W=[[0.0, 0.7], [-0.4, 0.0]], h=[0.0, 0.0])
    moved = plr.from_arrays("plrnn", A=[0.2, 0.4], W=[[0.0, -0.5], [0.3, 0.0]], h=[0.0, 0.0])
    found = detect([still, moved], [1, 2, 3])
    assert len(found) == 0
    check_ends(found)
    assert len(detect([still, moved], [1, 2], search=Search(max_bits=0), key=KEY)) == 0


@pytest.mark.parametrize("max_bits", [0, 12])
def test_a_path_that_does_not_move(max_bits):
    model = random_plrnn(3, 3, 2.0)
    found = detect([model] * 4, [1, 2, 3], search=Search(max_bits=max_bits), key=KEY)
    assert len(found) == 0 and not found.notes
    cycles = plr.find_cycles(model, [1, 2, 3], solver=plr.Exhaustive(), progress=QUIET)
    assert found.num_branches == len(cycles) == len(found.alive_at(2))


@pytest.mark.parametrize("dtype", [np.float32, np.int64, "jax"])
def test_networks_of_other_dtypes(dtype):
    """Float32 and integers are promoted exactly: the events of the promoted networks."""
    ends = [([2, -2], [[0, -2], [1, 0]], [1, -1]), ([1, 0], [[0, 1], [-3, 0]], [2, 1])]
    cast = jnp.asarray if dtype == "jax" else lambda x: np.asarray(x, dtype)
    narrow = lambda x: cast(np.asarray(x, np.float32)) if dtype == "jax" else cast(x)
    names = ("A", "W", "h")
    models = [plr.from_arrays("plrnn", **dict(zip(names, map(narrow, end)))) for end in ends]
    plain = [
        plr.from_arrays("plrnn", **{n: np.asarray(x, float) for n, x in zip(names, end)})
        for end in ends
    ]
    same_facts(facts(detect(models, [1, 2])), facts(detect(plain, [1, 2])), 1e-15)


def test_a_pre_activation_that_rests_at_zero_is_no_cycle_of_its_own():
    """On this path unit 1 of the word 00|11 is zero for all s: on or off, it is the same orbit."""
    ends = [([2, -1], [[0, -2], [1, 0]], [1, -1]), ([1, -1], [[0, 1], [-3, 0]], [2, 1])]
    names = ("A", "W", "h")
    models = [
        plr.from_arrays("plrnn", **{n: np.asarray(x, float) for n, x in zip(names, end)})
        for end in ends
    ]
    found = detect(models, [1, 2])
    assert found.segment_period.tolist() == [1, 1] and not found.notes
    assert np.abs(found.s - [0.5, 1.0]).max() < 1e-10


def test_a_path_with_the_noise_of_float32_comes_to_an_end():
    """Networks computed in float32 along the path: no series converges to 1e-9, and it is said."""

    def noisy(s):
        right = np.float32(4.0) * np.float32(np.sin(s))
        return PiecewiseAffineMap([[0.2]], [[right - np.float32(0.2)]], [[1.0]], [1.0], [0.0])

    for search in (
        Search(),
        Search(max_bits=0, solver=plr.Exhaustive()),
    ):
        found = detect(FunctionPath(noisy, -1.0, 1.0), [1], search=search)
        assert found.coverage is COVERAGE.partial or search.max_bits == 0
        assert np.allclose(found.s, [-np.arcsin(0.25), np.arcsin(0.25)], rtol=0, atol=1e-6)


@pytest.mark.parametrize("start, stop", [(0.82, 0.86)])
def test_long_cycles_by_search(start, stop):
    """The two 16-cycles of a public system, followed in a parameter; both ends are events."""

    def model(a):
        return plr.from_arrays("plrnn", A=np.r_[a, SIXTEEN["A"][1]], W=SIXTEEN["W"], h=SIXTEEN["h"])

    path = [model(start), model(SIXTEEN["A"][0]), model(stop)]
    search = Search(plr.SCYFI(), num_searches=300, max_bits=0)
    found = detect(path, [1, 16], search=search, key=KEY)
    check_ends(found)
    here = [row for row in found.alive_at(1).values() if found.segment_period[row] == 16]
    assert len(here) == 2
    assert found.coverage < COVERAGE.complete_in_floating_point
    for number in {int(found.segment_branch[row]) for row in here}:
        rows = found.branch_of(number).rows
        for row in rows.tolist():
            s = float(0.5 * (found.segment_low[row] + found.segment_high[row]))
            pair = path[found.segment_interval[row] :][:2]
            map = plr.LinearPath(*pair).map(s)
            check_word(map, found.regions(row))


def check_word(map, word):
    """Assert that the word's own cycle visits the word's regions."""
    cycle = plr.cycles_of_itineraries(map, word[None])
    assert len(cycle) == 1 and cycle.verified[0] and cycle.period[0] == len(word)


def test_twenty_states():
    ends = [random_shallow(seed, 20, 4, 1.5) for seed in (1, 2)]
    found = detect(ends, [1, 2])
    check_ends(found)
    assert found.coverage is COVERAGE.complete_in_floating_point
    for network, end in enumerate(ends):
        cycles = plr.find_cycles(end, [1, 2], solver=plr.Exhaustive(), progress=QUIET)
        assert len(found.alive_at(network)) == len(cycles)


def chain(count=6):
    """Networks of several intervals, with events in most of them."""
    draw = np.random.default_rng(8)
    return [shallow(draw, 2, 2) for _ in range(count)]


def test_branches_through_several_intervals():
    models = chain()
    found = detect(models, [1, 2, 3], losses=np.arange(6.0), steps=10 * np.arange(6))
    check_ends(found)
    assert len(found) > 5 and (np.diff(found.interval) >= 0).all()
    for network, model in enumerate(models):
        cycles = plr.find_cycles(model, [1, 2, 3], solver=plr.Exhaustive(), progress=QUIET)
        alive = found.alive_at(network)
        assert sorted(found.segment_period[list(alive.values())]) == sorted(cycles.period)
    assert np.allclose(found.step, 10 * (found.interval + found.s))
    assert np.array_equal(found.loss_before, found.interval)
    assert np.array_equal(found.loss_after, found.interval + 1)
    one = detect(models[2:4], [1, 2, 3])
    assert np.allclose(one.s, found.s[found.interval == 2], rtol=0, atol=1e-12)


def test_a_path_backwards_has_the_same_events():
    models = chain()
    forth, back = detect(models, [1, 2]), detect(models[::-1], [1, 2])
    order = np.lexsort((back.period, -back.s, -back.interval))
    assert np.allclose(1 - back.s[order], forth.s, rtol=0, atol=1e-11)
    assert np.array_equal(back.kind[order], forth.kind)
    assert np.array_equal(back.attractor[order], -forth.attractor)
    assert np.array_equal(back.num_after[order], forth.num_before)


def test_selection_table_and_files(tmp_path):
    found = detect(chain(), [1, 2, 3])
    borders = found[found.kind == BIFURCATION.border_collision]
    assert 0 < len(borders) < len(found) and len(borders.branches) == len(found.branches)
    assert len(found[0]) == 1 and found[-1].s == found.s[-1] and len(list(found)) == len(found)
    assert len(found[np.zeros(len(found), bool)]) == 0 and len(found[1:3]) == 2
    kept = borders.segment_last[borders.segment_last >= 0]
    assert (borders.kind[kept] == BIFURCATION.border_collision).all()
    with pytest.raises(IndexError, match="row"):
        found[len(found)]
    frame = found.to_dataframe()
    assert frame["kind"].tolist() == [BIFURCATION(int(code)).name for code in found.kind]
    found.save(tmp_path / "events.npz")
    again = plr.Bifurcations.load(tmp_path / "events.npz")
    for name in found.file_arrays:
        assert np.array_equal(getattr(found, name), getattr(again, name), equal_nan=True), name
    assert again.notes == found.notes and again.coverage_by_period == found.coverage_by_period
    assert again.alive_at(3) == found.alive_at(3) and str(again) == str(found)
    assert "coverage" in str(found) and "<table>" in found._repr_html_()


def test_what_was_done_before_ctrl_c_or_the_limit_is_kept():
    models, whole = chain(), detect(chain(), [1, 2])
    part = detect(models, [1, 2], progress=PressesCtrlC(25))
    assert part.result is RESULTS.interrupted and part.coverage is COVERAGE.partial
    last = part.segment_interval.max()
    assert 0 < last < len(models) - 1 and len(part) > 0
    assert np.array_equal(part.s[part.interval < last], whole.s[whole.interval < last])
    assert np.isin(part.s[part.interval == last], whole.s[whole.interval == last]).all()
    none = detect(models, [1, 2], max_seconds=1e-9)
    assert none.result is RESULTS.budget_exhausted and len(none) == 0
    assert str(none) and none.branches == []


def test_no_event_is_an_empty_table(tmp_path):
    found = detect([tent(0.5), tent(0.6)], [1, 2])
    assert len(found) == 0 and "0 events" in str(found) and len(found.to_dataframe()) == 0
    found.save(tmp_path / "none.npz")
    assert len(plr.Bifurcations.load(tmp_path / "none.npz")) == 0


def test_a_search_finds_what_enumeration_finds():
    """Search at the networks: events are among those of all words tried along the path."""
    models = chain(4)
    whole = detect(models, [1, 2])
    part = detect(models, [1, 2], key=KEY, search=Search(max_bits=0))
    assert 0 < len(part) <= len(whole) and part.coverage <= COVERAGE.saturated
    for row in range(len(part)):
        close = np.abs(whole.s - part.s[row]) < 1e-9
        close &= (whole.interval == part.interval[row]) & (whole.kind == part.kind[row])
        assert close.any()


@pytest.mark.parametrize(
    "arguments, options, text",
    [
        ((3.0, [1]), {}, "models"),
        (([tent(2.0)], [1]), {}, "models"),
        (([tent(2.0), "network"], [1]), {}, r"models\[1\]"),
        (([tent(2.0), random_plrnn(0, 2, 1.0)], [1]), {}, "last"),
        (([tent(2.0), tent(1.5)], [0]), {}, "periods"),
        (([tent(2.0), tent(1.5)], [1]), {"losses": [1.0]}, "losses"),
        (([tent(2.0), tent(1.5)], [1]), {"losses": ["a", "b"]}, "losses"),
        (([tent(2.0), tent(1.5)], [1]), {"steps": [1.0]}, "steps"),
        (([tent(2.0), tent(1.5)], [1]), {"max_seconds": -1}, "max_seconds"),
        (([tent(2.0), tent(1.5)], [13]), {}, "key"),
    ],
)
def test_errors_name_the_argument(arguments, options, text):
    with pytest.raises(ValueError, match=text):
        detect(*arguments, **options)


def test_errors_of_paths():
    for bad in ((lambda s: tent(s), 1.0, 0.0), (lambda s: tent(s), 0.0, np.nan)):
        with pytest.raises(ValueError, match="function|stop"):
            FunctionPath(*bad)
    with pytest.raises(ValueError, match="function"):
        FunctionPath(lambda s: s)
    with pytest.raises(ValueError, match="number"):
        detect([tent(0.5), tent(0.6)], [1]).branch_of(99)
    with pytest.raises(ValueError, match="network"):
        detect([tent(0.5), tent(0.6)], [1]).alive_at(2)
