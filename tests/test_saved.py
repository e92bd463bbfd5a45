"""What `AbstractSaved` derives from annotations: arrays, axes, facts, equality."""

import copy
import dataclasses
import json
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pytest
from jaxtyping import Bool, Complex, Float, Int, UInt8

from plrjax import COVERAGE, RESULTS
from plrjax._files import read_arrays
from plrjax._saved import AbstractSaved
from plrjax._tables import Table


class Place(NamedTuple):
    name: str
    values: tuple[float, ...]


@dataclasses.dataclass(frozen=True)
class Doubt:
    mass: float
    draws: int


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Toy(AbstractSaved):
    """One field of each kind there is."""

    file_type = "toy"
    file_later = ("chosen", "label")
    file_bounds = {"count": (1, "time", 0)}

    points: Float[np.ndarray, "row time state"]
    count: Int[np.ndarray, " row"]
    roots: Complex[np.ndarray, "row state"]
    bits: UInt8[np.ndarray, "row time byte"]
    seen: Bool[np.ndarray, " row"]
    pair: Float[np.ndarray, "row 2"]
    size: int
    error: float
    title: str
    exact: bool
    result: RESULTS
    covered: Mapping[int, COVERAGE]
    doubts: Mapping[int, Doubt]
    places: tuple[Place, ...]
    axes: Mapping[str, tuple[Place, ...]]
    stats: Mapping[str, Any]
    notes: tuple[str, ...]
    chosen: int | None = None
    label: Int[np.ndarray, " row"] = dataclasses.field(default_factory=lambda: np.zeros(3, int))

    def _table(self) -> Table:
        return Table([self.title, "<below>"], ("row", "count"), [("0", "17")], self.notes, {0})


def toy(**changed):
    fields = dict(
        points=np.arange(12.0).reshape(3, 4, 1) + np.nan,
        count=np.array([1, 4, 2]),
        roots=np.array([[1j], [complex(np.nan, 1)], [2]]),
        bits=np.zeros((3, 4, 2), np.uint8),
        seen=np.array([True, False, True]),
        pair=np.ones((3, 2)),
        size=7,
        error=math.nan,
        title="ä toy",
        exact=True,
        result=RESULTS.interrupted,
        covered={3: COVERAGE.certified, 1: COVERAGE.partial},
        doubts={2: Doubt(math.nan, 5)},
        places=(Place("p", (1.0, 2.5)), Place("q", ())),
        axes={"b": (Place("x", (0.0,)),), "a": ()},
        stats={"seconds": 1.5, "trace": np.arange(3), "who": ("a", np.float64(2))},
        notes=("one", "two"),
    )
    return Toy(**{**fields, **changed})


def parts(one):
    header = {"type": "toy", "facts": json.dumps(one._facts())}
    return header, {name: getattr(one, name) for name in one.file_arrays}


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
@pytest.mark.parametrize("chosen", [None, 12])
def test_each_kind_of_annotation_is_read_as_it_was_written(tmp_path, suffix, chosen):
    one = toy(chosen=chosen)
    one.save(tmp_path / f"toy{suffix}")
    again = Toy.load(tmp_path / f"toy{suffix}")
    assert again == one and again.file_arrays == (*list(Toy.__annotations__)[:6], "label")
    for name in ("result", "covered", "places", "axes", "notes", "chosen", "size", "exact"):
        assert getattr(again, name) == getattr(one, name), name
    assert list(again.axes) == ["b", "a"] and again.doubts[2].draws == 5
    assert again.stats == {"seconds": 1.5, "trace": [0, 1, 2], "who": ["a", 2.0]}
    header, _ = read_arrays(tmp_path / f"toy{suffix}")
    facts = json.loads(header["facts"])
    assert facts["covered"] == {"3": "certified", "1": "partial"}
    assert facts["places"] == [["p", [1.0, 2.5]], ["q", []]]
    assert facts["axes"] == [["b", [["x", [0.0]]]], ["a", []]]
    assert ("chosen" in facts) == (chosen is not None)


@pytest.mark.parametrize(
    "name, array",
    [
        ("points", np.zeros((3, 4, 1), int)),
        ("points", np.zeros((2, 4, 1))),
        ("points", np.zeros((3, 4))),
        ("count", np.ones(3)),
        ("count", np.array([1, 5, 2])),
        ("count", np.array([0, 1, 2])),
        ("count", np.array(2)),
        ("roots", np.zeros((3, 1))),
        ("bits", np.zeros((3, 4, 2), np.int8)),
        ("bits", np.zeros((4, 4, 2), np.uint8)),
        ("seen", np.ones(3, np.uint8)),
        ("pair", np.ones((3, 3))),
        ("label", np.zeros(2, int)),
    ],
)
def test_another_dtype_rank_or_length_is_refused_by_name(name, array):
    header, arrays = parts(toy())
    with pytest.raises(ValueError, match=f"^here: {name}: expected .*"):
        Toy.from_parts(header, {**arrays, name: array}, "here")


@pytest.mark.parametrize(
    "name, fact",
    [
        ("size", 1.5),
        ("size", True),
        ("error", "1"),
        ("title", 3),
        ("exact", 1),
        ("result", "odd"),
        ("result", ["odd"]),
        ("covered", {"x": "partial"}),
        ("covered", [["1", "partial"]]),
        ("doubts", {"1": [1.0]}),
        ("doubts", {"1": [1.0, 2, 3]}),
        ("places", [["p", [1.0, "2"]]]),
        ("axes", {"b": []}),
        ("axes", [[1, []]]),
        ("stats", []),
        ("notes", "one"),
        ("notes", [1]),
        ("chosen", "1"),
    ],
)
def test_facts_of_another_kind_are_refused(name, fact):
    header, arrays = parts(toy())
    header["facts"] = json.dumps({**json.loads(header["facts"]), name: fact})
    with pytest.raises(ValueError, match="^here: the header of this file of type toy is damaged"):
        Toy.from_parts(header, arrays, "here")


def test_only_what_came_later_may_be_missing():
    header, arrays = parts(toy(chosen=3))
    facts = json.loads(header["facts"])
    assert Toy.from_parts(header, arrays, "here").chosen == 3
    del facts["chosen"], arrays["label"]
    assert Toy.from_parts({**header, "facts": json.dumps(facts)}, arrays, "here") == toy()
    for name in facts:
        fewer = json.dumps({key: fact for key, fact in facts.items() if key != name})
        with pytest.raises(ValueError, match=f"damaged .KeyError: '{name}'"):
            Toy.from_parts({**header, "facts": fewer}, arrays, "here")
    del arrays["seen"]
    with pytest.raises(ValueError, match="here: the arrays seen are missing"):
        Toy.from_parts(header, arrays, "here")


def test_equality_is_of_arrays_and_facts():
    one = toy()
    assert one == toy() and one == copy.deepcopy(one) and hash(one) == hash(toy())
    assert one != 3 and one != toy(size=8) and one != toy(count=np.array([1, 4, 3]))
    assert one != toy(doubts={2: Doubt(0.5, 5)}) and one != toy(chosen=1)


def test_a_table_prints_as_text_and_as_html():
    assert repr(toy()) == str(toy()) == "ä toy\n<below>\nrow  count\n0       17\none\ntwo"
    assert toy()._repr_html_() == (
        "<p>ä toy<br>&lt;below&gt;</p><table><thead><tr><th>row</th><th>count</th></tr></thead>"
        "<tbody><tr><td>0</td><td>17</td></tr></tbody></table><p>one<br>two</p>"
    )
    assert Table(["alone"]).text() == "alone" and Table(["alone"]).html() == "<p>alone</p>"
    assert Table([], rows=[("a", "b")], least=(3,)).text() == "  a  b"
