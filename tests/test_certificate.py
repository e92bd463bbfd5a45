"""Certificates of completeness: true ones are verified, damaged ones are not."""

import ast
import hashlib
import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest
from exact_words import exact_orbit
from systems import LOZI, QUIET, SIXTEEN, chaotic, clipped, plrnn_map, random_shallow, tent

import plrjax as plr
from plrjax import PiecewiseAffineMap

FAMILY = PiecewiseAffineMap([[-1.0]], [[0.5]], [[1.0]], [-1.0], [0.0])
"""z' = -z - 1 below 0: all z in [-1, 0] but -1/2 are 2-cycles."""


def written(path, map, periods, **options):
    solver = plr.BranchAndBound(rigorous=True, certificate=path, **options)
    return plr.find_cycles(map, periods, solver=solver, progress=QUIET)


def words_in(found):
    """Return the words of a `CycleSet` as a certificate writes them: least rotations of bits."""
    words = set()
    for row in range(len(found)):
        word = ["".join(str(int(on)) for on in letter) for letter in found.regions(row)]
        words.add(min(tuple(word[s:] + word[:s]) for s in range(len(word))))
    return words


def check(path, map, found, periods):
    """Assert that a certificate says what the search found, and that it is true in fractions."""
    proven = plr.verify(map, path)
    assert proven.periods == tuple(periods) and proven.counts() == found.counts()
    assert proven.everywhere and proven.degenerate == ()
    assert {tuple(cycle["word"]) for cycle in proven.cycles} == words_in(found)
    for cycle in proven.cycles:
        known = exact_orbit(map, [[int(bit) for bit in letter] for letter in cycle["word"]])
        assert known is not None, cycle["word"]
        orbit, sign = known
        assert cycle["points"] == [[float(x) for x in point] for point in orbit]
        assert cycle["index"] == sign
        moduli = np.abs(np.array(cycle["multipliers"]) @ [1, 1j])
        kinds = {(True, False): "unstable", (False, True): "stable", (False, False): "saddle"}
        assert cycle["stability"] == kinds[bool((moduli > 1).all()), bool((moduli < 1).all())]
    return proven


def small_periods_agree(map, found, longest):
    want = plr.find_cycles(map, range(1, longest + 1), solver=plr.Exhaustive(), progress=QUIET)
    assert words_in(found[found.period <= longest]) == words_in(want)


def test_one_fixed_point_and_two_16_cycles(tmp_path):
    map, path = plrnn_map(**SIXTEEN), tmp_path / "all.json"
    found = written(path, map, range(1, 17))
    proven = check(path, map, found, range(1, 17))
    assert {k: n for k, n in proven.counts().items() if n} == {1: 1, 16: 2}
    small_periods_agree(map, found, 6)
    z = np.zeros(2)
    for _ in range(5_000):
        z = map.apply(z)
    (stable,) = [c for c in proven.cycles if c["stability"] == "stable"]
    assert np.abs(np.array(stable["points"]) - z).max(axis=1).min() < 1e-9


@pytest.mark.parametrize(
    "seed, longest",
    [(592, 7), *(pytest.param(s, 10, marks=pytest.mark.slow) for s in (592, 868, 915))],
)
def test_chaotic_networks(seed, longest, tmp_path):
    map, path = chaotic(seed), tmp_path / "all.json"
    found = written(path, map, range(1, longest + 1))
    assert found.coverage == plr.COVERAGE.certified and len(found) >= longest
    check(path, map, found, range(1, longest + 1))
    small_periods_agree(map, found, 4)


def test_maps_in_the_clip_and_with_shallow_units(tmp_path):
    path = tmp_path / "all.json"
    for map in (clipped(1, 2, 3), random_shallow(3, 2, 3, 1.5), chaotic(868)):
        check(path, map, written(path, map, range(1, 4)), range(1, 4))


def test_a_linear_map_has_its_fixed_point_only(tmp_path):
    none = np.zeros((2, 0))
    map = PiecewiseAffineMap([[0.5, 0.2], [0.1, -2.0]], none, none.T, [1.0, 1.0], [])
    written(tmp_path / "all.json", map, range(1, 4))
    proven = plr.verify(map, tmp_path / "all.json")
    assert proven.everywhere and proven.counts() == {1: 1, 2: 0, 3: 0}
    point = np.linalg.solve(np.eye(2) - map.A, map.h1)
    assert np.allclose(proven.cycles[0]["points"], point, rtol=1e-14)


def test_periods_may_have_gaps(tmp_path):
    written(tmp_path / "some.json", LOZI, [6, 2, 4])
    proven = plr.verify(LOZI, tmp_path / "some.json")
    assert proven.counts() == {2: 1, 4: 1, 6: 4}


def sealed(data) -> str:
    """Return a certificate as text, with the hash of its content."""
    body = json.dumps(data, sort_keys=True, separators=(",", ":"))
    return f'{{"SHA256":"{hashlib.sha256(body.encode()).hexdigest()}",{body[1:]}'


def test_certificate_of_the_tent_map_written_by_hand(tmp_path):
    """Fixed points -1 and 1/3 of z' = 1 - 2 |z|, multipliers 2 and -2, index sign(1 - P)."""
    map, path = tent(2.0), tmp_path / "hand.json"
    written(path, map, [1])
    model = json.loads(path.read_text())["model"]
    cycles = [
        {"word": [bit], "points": [[z]], "multipliers": [[m, 0.0]], "stability": "unstable",
         "index": index}
        for bit, z, m, index in (("0", -1.0, 2.0, -1), ("1", 1 / 3, -2.0, 1))
    ]  # fmt: skip
    data = {"format": 1, "model": model, "periods": [1],
            "box": [[-1.0], [1.0]], "everywhere": None, "degenerate": [], "cycles": cycles,
            "tree": {"": [3]}, "file": None}  # fmt: skip
    path.write_text(sealed(data))
    assert list(plr.verify(map, path).cycles) == cycles
    for wrong in ([cycles[0]], [cycles[1]], [], cycles[::-1]):
        path.write_text(sealed({**data, "cycles": wrong}))
        with pytest.raises(ValueError, match="not those of the proof"):
            plr.verify(map, path)


# every bit counts


@pytest.fixture(scope="module")
def sixteen(tmp_path_factory):
    """A model, its file, a certificate that names the file, and its bytes."""
    folder = tmp_path_factory.mktemp("certificate")
    model = plr.from_arrays("plrnn", **SIXTEEN)
    plr.save(folder / "model.npz", model)
    path, named = folder / "all.json", folder / "model.npz"
    written(path, model, range(1, 5), model_file=named)
    return model, named, path, path.read_bytes()


def flipped(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def test_any_flipped_bit_of_the_certificate_is_refused(sixteen, tmp_path):
    model, _, _, data = sixteen
    path = tmp_path / "flipped.json"
    for bit in np.random.default_rng(0).choice(8 * len(data), 500, replace=False):
        path.write_bytes(flipped(data, int(bit)))
        with pytest.raises(ValueError, match="refused"):
            plr.verify(model, path)


def test_any_other_text_of_the_same_content_is_refused(sixteen, tmp_path):
    model, _, path, data = sixteen
    plr.verify(model, path)
    content, text = json.loads(data), data.decode()
    others = [
        text + "\n", " " + text, "\ufeff" + text, text.replace(",", ", ", 1), text[:-1],
        text.replace('"format":1', '"format":1,"format":1'), text.replace("[1,", "[1.0,", 1),
        text.replace("-8.0", "-8.00", 1), json.dumps(content, sort_keys=True),
    ]  # fmt: skip
    for other in others:
        assert other != text
        (tmp_path / "other.json").write_text(other, encoding="utf-8")
        with pytest.raises(ValueError, match="refused"):
            plr.verify(model, tmp_path / "other.json")


def test_any_flipped_bit_of_the_map_is_refused(sixteen):
    model, _, path, _ = sixteen
    map = model.as_piecewise_affine()
    names, draw, refused = ("A", "W1", "W2", "h1", "h2"), np.random.default_rng(1), 0
    for _ in range(500):
        name = names[draw.integers(5)]
        array = getattr(map, name)
        raw = flipped(array.tobytes(), int(draw.integers(8 * array.nbytes)))
        changed = np.frombuffer(raw, np.float64).reshape(array.shape)
        if not np.isfinite(changed).all():
            continue
        other = PiecewiseAffineMap(*(changed if n == name else getattr(map, n) for n in names))
        with pytest.raises(ValueError, match="made for another model"):
            plr.verify(other, path)
        refused += 1
    assert refused > 450


def test_any_flipped_bit_of_the_parameters_is_refused(sixteen):
    model, _, path, _ = sixteen
    draw, refused = np.random.default_rng(2), 0
    for _ in range(500):
        name = ("A", "W", "h")[draw.integers(3)]
        array = SIXTEEN[name]
        raw = flipped(array.tobytes(), int(draw.integers(8 * array.nbytes)))
        arrays = {**SIXTEEN, name: np.frombuffer(raw, np.float64).reshape(array.shape)}
        try:
            other = plr.from_arrays("plrnn", **arrays)
        except ValueError:  # not finite, or a diagonal of W that is not zero
            continue
        with pytest.raises(ValueError, match="made for another model"):
            plr.verify(other, path)
        refused += 1
    assert refused > 350


def test_any_flipped_bit_of_the_named_file_is_refused(sixteen, tmp_path):
    model, named, path, _ = sixteen
    plr.verify(model, path, model_file=named)
    data, other = named.read_bytes(), tmp_path / "other.npz"
    for bit in np.random.default_rng(3).choice(8 * len(data), 100, replace=False):
        other.write_bytes(flipped(data, int(bit)))
        with pytest.raises(ValueError, match="is not, byte by byte, the file"):
            plr.verify(model, path, model_file=other)


# what it says


def test_verified_reads_well(tmp_path):
    path = tmp_path / "all.json"
    written(path, tent(2.0), range(1, 4))
    assert str(plr.verify(tent(2.0), path)) == (
        "proven: these are all cycles, in all of R^M\n"
        "period 1: 2 (2 unstable)\nperiod 2: 1 (1 unstable)\nperiod 3: 2 (2 unstable)"
    )
    written(path, tent(2.0), [2, 3], box=([0.5], [1.0]))
    assert str(plr.verify(tent(2.0), path)) == (
        "proven: these are all cycles in the box [0.5, 1]\nperiod 2: 0\nperiod 3: 0"
    )
    written(path, tent(2.0), 1, box=1.0)
    assert "in the box |z| <= 1\n" in str(plr.verify(tent(2.0), path))


def test_degenerate_families_are_excepted(tmp_path):
    path = tmp_path / "all.json"
    found = written(path, FAMILY, range(1, 4))
    assert found.coverage_by_period[2] < plr.COVERAGE.certified
    proven = plr.verify(FAMILY, path)
    assert proven.degenerate == (2,)
    assert "not proven: a degenerate family" in str(proven).splitlines()[2]
    assert proven.counts()[1] == 1 and proven.counts()[3] == 0


def test_errors_name_file_and_reason(sixteen, tmp_path):
    model, named, path, _ = sixteen
    with pytest.raises(FileNotFoundError, match="none.json: no such file"):
        plr.verify(model, tmp_path / "none.json")
    with pytest.raises(ValueError, match="expected a file, got a folder"):
        plr.verify(model, tmp_path)
    with pytest.raises(ValueError, match="model.npz: refused"):
        plr.verify(model, named)
    (tmp_path / "empty.json").write_bytes(b"")
    with pytest.raises(ValueError, match="the file is empty"):
        plr.verify(model, tmp_path / "empty.json")
    for text in ("7", "null", "[]", "{}", '"x"', '{"SHA256":"x"}', "{", "\x00", "x" * 1000):
        (tmp_path / "other.json").write_text(text)
        with pytest.raises(ValueError, match="other.json: refused"):
            plr.verify(model, tmp_path / "other.json")
    with pytest.raises(ValueError, match="made for another model"):
        plr.verify(LOZI, path)
    with pytest.raises(FileNotFoundError):
        plr.verify(model, path, model_file=tmp_path / "none.npz")
    for other in (None, "model.npz", SIXTEEN, 3):
        with pytest.raises((ValueError, TypeError), match="model"):  # TypeError: checked here only
            plr.verify(other, path)  # type: ignore


# the checker stands alone

PACKAGE = pathlib.Path(plr.__file__).parent


@pytest.mark.parametrize("name", ["_checker", "_exact"])
def test_checker_imports_nothing_of_the_search(name):
    text = (PACKAGE / f"{name}.py").read_text()
    assert len(text.splitlines()) < 300
    known = {"numpy", "flint", *sys.stdlib_module_names}
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            assert {alias.name.split(".")[0] for alias in node.names} <= known
        elif isinstance(node, ast.ImportFrom):
            own = (1, "_exact") if name == "_checker" else None
            assert (node.level, node.module) == own or (node.module in known and not node.level)
    assert "__import__" not in text and "importlib" not in text


def test_verifying_imports_neither_numba_nor_the_search(sixteen):
    _, named, path, _ = sixteen
    code = (
        "import sys\n"
        "for name in ('numba', 'highspy'): sys.modules[name] = None\n"
        "import plrjax as plr\n"
        f"print(plr.verify(plr.load({str(named)!r}), {str(path)!r}).counts()[1])\n"
        "print([m for m in sys.modules if m.endswith(('_subtrees', '_word_kernel', '_search'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.splitlines() == ["1", "[]"], done.stderr


def test_checker_needs_only_its_two_modules_and_the_text(sixteen, tmp_path):
    """The two files alone, in a package of their own, prove the same."""
    model, _, path, data = sixteen
    folder = tmp_path / "alone"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    for name in ("_checker.py", "_exact.py"):
        (folder / name).write_text((PACKAGE / name).read_text())
    map = model.as_piecewise_affine()
    arrays = [x.tolist() for x in (map.A, map.W1, map.W2, map.h1, map.h2)]
    code = (
        "import json, sys\n"
        "from alone._checker import verify\n"
        f"proven = verify(open({str(path)!r}).read(), *json.loads(sys.argv[1]))\n"
        "print(json.dumps(proven['cycles']), any('plrjax' in name for name in sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, json.dumps(arrays)],
        capture_output=True, text=True, cwd=tmp_path,
    )  # fmt: skip
    cycles = json.loads(data)["cycles"]
    assert done.stdout.strip() == f"{json.dumps(cycles)} False", done.stderr


def test_hashes_are_sha256(sixteen):
    model, named, _, data = sixteen
    content = json.loads(data)
    assert content["file"] == hashlib.sha256(named.read_bytes()).hexdigest()
    given = content.pop("SHA256")
    body = json.dumps(content, sort_keys=True, separators=(",", ":"))
    assert given == hashlib.sha256(body.encode()).hexdigest()
