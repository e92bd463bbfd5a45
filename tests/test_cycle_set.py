"""The result type: selection, printing, saving."""

import copy
import dataclasses

import jax.random as jr
import numpy as np
import pytest
from systems import LOZI, QUIET, words_of

import plrjax as plr
from plrjax import COVERAGE, RESULTS, STABILITY


@pytest.fixture(scope="module")
def cycles():
    return plr.find_cycles(LOZI, [1, 2, 6, 40], key=jr.key(0), num_searches=8, progress=QUIET)


def test_fields_have_their_documented_shapes_and_dtypes(cycles):
    count, longest = len(cycles), int(cycles.period.max())
    assert cycles.points.shape == (count, longest, 2) and cycles.points.dtype == np.float64
    assert cycles.itinerary.shape == (count, longest, 1) and cycles.itinerary.dtype == np.uint8
    assert cycles.multipliers.shape == (count, 2) and cycles.multipliers.dtype == np.complex128
    for name, dtype in [("period", np.int32), ("hits", np.int32), ("stability", np.int8)]:
        assert getattr(cycles, name).dtype == dtype
    for name in ("index", "verified", "valid", "residual", "error_bound", "condition", "margin"):
        assert getattr(cycles, name).shape == (count,)
    for row in range(count):
        k = int(cycles.period[row])
        assert np.isfinite(cycles.points[row, :k]).all()
        assert np.isnan(cycles.points[row, k:]).all()
        assert np.array_equal(LOZI.region_of(cycles.orbit(row)), cycles.regions(row))
        assert cycles.margin[row] == pytest.approx(LOZI.margin(cycles.orbit(row)).min())


def test_rows_are_sorted_by_period_and_word(cycles):
    keys = [(int(k), cycles.itinerary[i, :k].tobytes()) for i, k in enumerate(cycles.period)]
    assert keys == sorted(keys) and len(set(keys)) == len(keys)


def test_selection(cycles):
    saddles = cycles[cycles.stability == STABILITY.saddle]
    assert len(saddles) == np.count_nonzero(cycles.stability == STABILITY.saddle)
    assert len(cycles[0]) == 1 and words_of(cycles[-1]) <= words_of(cycles)
    assert words_of(cycles[[0, 2]]) == words_of(cycles[0]) | words_of(cycles[2])
    assert len(cycles[:2]) == 2 and sum(1 for _ in cycles) == len(cycles)
    assert saddles.coverage == cycles.coverage
    with pytest.raises(IndexError):
        cycles[len(cycles)]


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_saving_loses_nothing(cycles, tmp_path, suffix):
    path = tmp_path / f"cycles{suffix}"
    cycles.save(path)
    for again in (plr.CycleSet.load(path), plr.load(path)):
        for field in dataclasses.fields(cycles):
            first, second = getattr(cycles, field.name), getattr(again, field.name)
            if isinstance(first, np.ndarray):
                assert np.array_equal(first, second, equal_nan=first.dtype.kind == "f")
                assert first.dtype == second.dtype
            elif field.name not in ("stats",):
                assert first == second, field.name
        assert str(again) == str(cycles)


def test_empty_set_can_be_saved_and_printed(tmp_path):
    empty = plr.find_cycles(LOZI, 3, solver=plr.Exhaustive())
    assert len(empty) == 0 and empty.counts() == {3: 0}
    empty.save(tmp_path / "none.npz")
    assert len(plr.CycleSet.load(tmp_path / "none.npz")) == 0
    assert "0 cycles" in str(empty)


def test_loading_something_else_is_refused(tmp_path, cycles):
    plr.save(tmp_path / "model.npz", plr.example_network())
    with pytest.raises(ValueError, match="expected a file of type cycles"):
        plr.CycleSet.load(tmp_path / "model.npz")
    cycles.save(tmp_path / "cycles.npz")
    with pytest.raises(ValueError, match="kind: .*cycles"):
        plr.load(tmp_path / "cycles.npz", kind="plrnn")


def test_print_reads_like_a_table(cycles):
    text = str(cycles)
    lines = text.splitlines()
    assert lines[0] == f"{len(cycles)} cycles of a map with 2 states and 1 units"
    assert lines[1].split()[:3] == ["period", "cycles", "stable"]
    assert [int(line.split()[0]) for line in lines[2:6]] == [1, 2, 6, 40]
    assert "coverage: partial" in text
    assert "<table>" in cycles._repr_html_() and "complete in floating point" in text


def test_a_selection_prints_its_rows(cycles):
    chosen = cycles[cycles.period == 6]
    title, head, *lines = str(chosen).splitlines()
    assert title == f"4 of {len(cycles)} rows: cycles of a map with 2 states and 1 units"
    assert head.split() == ["period", "stability", "largest", "multiplier", "first", "point"]
    for line, row in zip(lines, range(4), strict=True):
        period, stability, multiplier, x, y = line.split()
        assert (period, stability) == ("6", STABILITY(int(chosen.stability[row])).name)
        assert float(multiplier) == pytest.approx(chosen.multipliers[row, 0].real, rel=1e-5)
        assert (float(x[1:-1]), float(y[:-1])) == pytest.approx(chosen.points[row, 0], rel=1e-5)
    assert str(chosen[1]).splitlines()[1:][1] == lines[1] and len(str(chosen[1]).splitlines()) == 3
    assert str(cycles[:0]).splitlines() == [title.replace("4 of", "0 of")]
    assert chosen._repr_html_().count("<tr>") == 5
    assert dataclasses.replace(chosen[0], notes=("x",)).selected_from == len(cycles)


def test_rows_that_are_no_plain_cycles_say_so(cycles):
    wide = np.tile(cycles.points, (1, 1, 3))
    six = {"points": wide, "multipliers": np.tile(cycles.multipliers, (1, 3))}
    odd = dataclasses.replace(cycles, **six)[:3]
    odd.multipliers[:2, 0] = [np.nan, 0.5 - 0.25j]
    odd.verified[0], odd.condition[1] = False, np.inf
    first, second, _ = str(odd).splitlines()[2:]
    assert "saddle, unverified" in first and first.split()[-6] == "-"
    assert "saddle, of a continuum" in second and "0.5-0.25i" in second
    assert first.endswith(", ...)") and first.count(",") == 5
    many = cycles[np.zeros(61, int)]
    assert str(many).endswith("1 more row not shown: to_dataframe() has all")


def test_a_set_is_a_value(cycles, tmp_path):
    again = copy.deepcopy(cycles)
    assert again == cycles and again is not cycles
    again.points[0, 0, 0] += 1.0
    assert again != cycles and cycles != cycles[:-1] and cycles != dataclasses.asdict(cycles)
    assert [one.period.tolist() for one in cycles] == [[k] for k in cycles.period]
    for row, one in enumerate(cycles):
        assert type(one) is type(cycles) and one == cycles[row] and str(one) == str(cycles[row])
    assert dataclasses.replace(cycles, stats={"seconds": 7.0}) == cycles
    chosen = cycles[1:3]
    chosen.save(tmp_path / "chosen.npz")
    loaded = plr.load(tmp_path / "chosen.npz")
    assert loaded == chosen and str(loaded) == str(chosen)


def test_dataframe(cycles):
    pytest.importorskip("pandas", reason="the extra `sweep` is not installed")
    frame = cycles.to_dataframe()
    assert len(frame) == len(cycles)
    assert set(frame["stability"]) <= {item.name for item in STABILITY}


def test_enumerations_print_their_names_and_carry_messages():
    for kind in (RESULTS, COVERAGE, STABILITY, plr.BIFURCATION):
        for item in kind:
            assert str(item) == item.name and len(item.message) > 20
            assert np.int8(item) == int(item)
    assert COVERAGE.partial < COVERAGE.saturated < COVERAGE.complete_in_floating_point
    assert COVERAGE.complete_in_floating_point < COVERAGE.certified


def test_index_sum_counts_repetitions_with_their_own_sign():
    """Tent map: a fixed point with multiplier -2 has index +1, but -1... for F^2, (-2)^2 > 1."""
    from systems import tent

    cycles = plr.find_cycles(tent(2.0), [1, 2], solver=plr.Exhaustive())
    signs = {round(m, 9): i for m, i in zip(np.real(cycles.multipliers[:, 0]), cycles.index)}
    assert signs == {2.0: -1, -2.0: 1, -4.0: 1}
    assert cycles.index_sum(1) == 0
    assert cycles.index_sum(2) == -1 - 1 + 2


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_damaged_files_of_cycles_are_refused_or_read(cycles, tmp_path, suffix):
    """200 truncated and 200 bit-flipped files: an error of one line, or a set that prints."""
    path = tmp_path / f"cycles{suffix}"
    cycles.save(path)
    whole, draw = path.read_bytes(), np.random.default_rng(0)
    for number in range(400):
        damaged = bytearray(whole)
        if number % 2:
            del damaged[int(draw.integers(len(whole))) :]
        else:
            damaged[int(draw.integers(len(whole)))] ^= 1 << int(draw.integers(8))
        path.write_bytes(bytes(damaged))
        try:
            again = plr.CycleSet.load(path)
        except ValueError as error:
            assert "\n" not in str(error)
        else:
            assert str(again) and len(again) == len(cycles)


def test_unequal_rows_are_refused(cycles):
    names = [f.name for f in dataclasses.fields(cycles)][:13]
    arrays = {name: getattr(cycles, name) for name in names}
    for name in names:
        spoiled = {**arrays, name: arrays[name][:-1]}
        with pytest.raises(ValueError, match="expected"):
            plr.CycleSet.from_parts({"type": "cycles"}, spoiled, "x.npz")


@pytest.mark.parametrize(
    "change",
    [
        {"period": [2]},
        {"period": np.array([2, 3], np.int32)},
        {"period": np.array([0], np.int32)},
        {"points": np.zeros((1, 2, 1))},
        {"stability": np.zeros(1)},
        {"verified": np.array([1])},
        {"itinerary": np.zeros((2, 1, 1), np.uint8)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_set_checks_its_own_shapes(change):
    """A field that does not fit the others is refused when the set is made, by its name."""
    map = plr.PiecewiseAffineMap([[0.5]], [[0.2]], [[1.0]], [1.0], [0.0])
    fixed = plr.find_cycles(map, [1], solver=plr.Exhaustive(), progress=QUIET)
    changed = copy.copy(fixed)  # annotations, which tests check, would refuse `replace`
    for name, value in change.items():
        object.__setattr__(changed, name, value)
    with pytest.raises(ValueError, match=r"^CycleSet: \w+: expected"):
        changed.__post_init__()
