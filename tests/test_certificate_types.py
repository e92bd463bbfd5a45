"""Certificates whose content is of the wrong type, out of range, or no JSON: refused, cheaply."""

import copy
import itertools
import tracemalloc

import numpy as np
import pytest
from forgery import (
    BOTH,
    COUNTS,
    DEAD,
    OFF_EMPTY,
    ON_EMPTY,
    accepted,
    all_integers,
    certificate,
    refused,
    sealed,
    verified,
)

import plrjax as plr

JUNK = [
    None, True, False, 0, -1, 1.5, 1e300, 10**30, "", "7", "x", [], {}, [[]], [None], [0], [-1],
    ["0"], {"": []}, {"": [0, 0]}, [[1.0], [2.0]], [[0, 0], [1, 1]], [1, "2"], [1.0, 2.0],
    [True], [1, 2.5], [10**9], [[[[[[]]]]]], [10**400], {"a": {"b": [1, {"c": None}]}},
]  # fmt: skip


@pytest.mark.parametrize(
    "name", ["lozi", "border", "family", pytest.param("clipped", marks=pytest.mark.slow)]
)
def test_fields_of_other_types(name):
    map, honest = certificate(name)
    for field, junk in itertools.product(honest, JUNK):
        proven = accepted(map, {**honest, field: junk})
        weaker = field == "file" or (field == "everywhere" and junk is None)
        assert proven is None or weaker or junk == honest[field], (field, junk)
    for field in honest:
        less = {key: value for key, value in honest.items() if key != field}
        assert (accepted(map, less) is None) == (field != "file")


@pytest.mark.parametrize("name", ["lozi", "border", "clipped"])
def test_records_of_other_types(name):
    map, honest = certificate(name)
    draw = np.random.default_rng(8)
    for junk in JUNK:
        data = copy.deepcopy(honest)
        places = all_integers(data)
        chunk, i = places[draw.integers(len(places))]
        chunk[i] = junk
        proven = accepted(map, data)
        assert proven is None or proven["cycles"] == honest["cycles"]
        for field in ("tree", "everywhere"):
            data = copy.deepcopy(honest)
            trees = [data["tree"]] if field == "tree" else [p[1] for p in data["everywhere"][:1]
                     if name != "clipped"]  # fmt: skip
            for tree in trees:
                tree[""] = junk
                assert accepted(map, data) is None


@pytest.mark.parametrize("periods", [[], [0], [-1], [1.0], [True], ["1"], [1, 2.5], [10**9],
                                     [1, 10**9], [10**400], {"1": 1}, "1", 1, None])  # fmt: skip
def test_periods_that_are_none(periods):
    for name in ("lozi", "border", "clipped"):
        map, data = certificate(name)
        refused(map, {**data, "periods": periods}, "periods: expected|damaged")


def test_a_box_of_almost_all_floats_is_no_error():
    """Its width is more than the largest float."""
    map, data = certificate("lozi")
    data["box"] = [[-1.7e308] * 2, [1.7e308] * 2]
    for everywhere in (data["everywhere"], None):
        assert verified(map, {**data, "everywhere": everywhere})["cycles"] == data["cycles"]


@pytest.mark.parametrize(
    "box",
    [
        [[-1.0], [1.0]], [[-8.0, -8.0], [8.0]], [[8.0, 8.0], [-8.0, -8.0]], [[0.0, 0.0]] * 2,
        [[-8, -8], [8, 8]], [["-8.0", "-8.0"], ["8.0", "8.0"]], [[-8.0, -8.0], [8.0, None]],
        [[-(10**400), -8.0], [10**400, 8.0]], [[-5e-324] * 2, [5e-324] * 2], 
        [[False] * 2, [True] * 2],
        [[-1e-308, -1e308], [1e-308, 1e308]], [-8.0, 8.0], 8.0,
    ],
)  # fmt: skip
def test_boxes_that_are_none(box):
    map, data = certificate("lozi")
    refused(map, {**data, "box": box})


def test_texts_that_are_not_json(tmp_path):
    map, data = certificate("lozi")
    text, path = sealed(data), tmp_path / "forged.json"
    numbers = ["NaN", "Infinity", "-Infinity", "1e400", "9" * 5_000, "0x1", "01", "1_0"]
    others = [text.replace('"format":1', f'"format":{number}') for number in numbers]
    for field in ('"tree":', '"box":', '"everywhere":', '"cycles":'):
        for depth in (900, 200_000):
            others.append(text.replace(field, f'{field}{"[" * depth}{"]" * depth},"x":', 1))
            others.append(text.replace(field, f"{field}{'[' * depth}", 1))
    for other in others:
        assert other != text
        path.write_text(other)
        with pytest.raises(ValueError, match="refused"):
            plr.verify(map, path)


def test_deep_nesting_with_a_true_hash(tmp_path):
    map, data = certificate("lozi")
    deep: list = []
    for _ in range(400):
        deep = [deep]
    for field in ("tree", "box", "everywhere", "cycles", "periods", "degenerate", "format"):
        path = tmp_path / "forged.json"
        path.write_text(sealed({**data, field: deep}))
        with pytest.raises(ValueError, match="refused"):
            plr.verify(map, path)


def test_a_file_that_is_not_named_is_no_error(tmp_path):
    map, data = certificate("lozi")
    path = tmp_path / "all.json"
    for named in (7, [], {}, "", "x"):
        path.write_text(sealed({**data, "file": named}))
        with pytest.raises(ValueError, match="is not, byte by byte, the file"):
            plr.verify(map, path, model_file=path)
    path.write_text(sealed({key: value for key, value in data.items() if key != "file"}))
    assert plr.verify(map, path, model_file=path).counts() == COUNTS["lozi"]


def test_large_claims_allocate_nothing():
    map, honest = certificate("lozi")
    claims = [
        {"periods": [10**9]}, {"periods": [1, 10**8]}, {"tree": {"": [DEAD, 10**12, 1]}},
        {"tree": {"": [OFF_EMPTY, 2, 0, 10**15]}}, {"tree": {"": [ON_EMPTY, 1, 10**300]}},
        {"everywhere": [[10**9, {"": [DEAD, 0]}]] * 4}, {"tree": {"": [BOTH] * 3}},
    ]  # fmt: skip
    tracemalloc.start()
    for claim in claims:
        refused(map, {**honest, **claim})
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 30e6
