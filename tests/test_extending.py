"""docs/EXTENDING.md runs as printed; what users register is known everywhere, or refused."""

import functools
import os
import pathlib
import re
import subprocess
import sys
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from command import main
from jaxtyping import Array, Float
from systems import QUIET

import plrjax as plr
from plrjax.models import KINDS

ROOT = pathlib.Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "EXTENDING.md").read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)
AXES = [plr.Axis("A", (0, 0), 0.1, 0.9, 5), plr.Axis("h", (1,), 0.0, 1.0, 4)]


class Linear(plr.AbstractDynamics):
    """z' = G z + b, where b may be absent, with two fields that are no arrays."""

    G: Float[Array, "state state"]
    b: Float[Array, " state"] | None
    gain: float = 1.0
    order: int = 1

    @property
    def state_size(self):
        return self.G.shape[0]

    def step(self, state, input=None):
        return self.gain * self.G @ state + (0.0 if self.b is None else self.b)


@pytest.fixture(autouse=True)
def forgotten():
    """Kinds that a test registers are forgotten after it."""
    kinds = dict(KINDS)
    yield
    KINDS.clear()
    KINDS.update(kinds)


def test_the_page_runs_as_printed(tmp_path):
    """One program; then the command line reads the model it saved, as the page says."""
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", "\n".join(BLOCKS)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr
    loss = re.search(r"loss (\S+) to (\S+)", ran.stdout)
    assert loss is not None and float(loss[2]) < 0.8 * float(loss[1])
    assert "16 cycles" in ran.stdout and "PLRNN(" in ran.stdout
    (tmp_path / "leaky.py").write_text(
        BLOCKS[0] + BLOCKS[1].partition("\n\nW = ")[0] + '\nplr.register_model("leaky", LeakyPLRNN)'
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "PLRJAX_PLUGINS": "leaky"}
    command = [sys.executable, "-m", "plrjax", "cycles", "leaky.npz", "--periods", "1:2"]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=environment)
    assert ran.returncode == 0 and ran.stdout.startswith("2 cycles of a map"), ran.stderr


def test_the_page_is_short_and_public():
    classes = [part for block in BLOCKS for part in re.split(r"^(?=class )", block, flags=re.M)]
    assert all(len(part.strip().splitlines()) <= 30 for part in classes)
    assert not re.search(r"plrjax\S*\._|plr\.(\w+\.)*_", "".join(BLOCKS))


@pytest.mark.parametrize("b", [None, [0.1, 0.2]])
@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_a_registered_model_is_saved_bit_for_bit(tmp_path, suffix, b):
    plr.register_model("linear", Linear)
    model = Linear(jnp.array([[0.3, 0.1], [0.0, 0.7]]), None if b is None else jnp.array(b), 0.5, 3)
    plr.save(tmp_path / f"x{suffix}", model)
    found = plr.load(tmp_path / f"x{suffix}")
    assert type(found) is Linear and found.gain == 0.5 and found.order == 3
    assert eqx.tree_equal(found.G, np.asarray(model.G)) and (found.b is None) == (b is None)
    assert plr.models.kind_of(found) == "linear" and "linear" in str(
        plr.describe(tmp_path / f"x{suffix}")
    )
    plr.save(tmp_path / f"two{suffix}", plr.Stacked([model, model]))
    assert type(plr.load(tmp_path / f"two{suffix}").layers[1]) is Linear


def test_it_is_never_guessed(tmp_path):
    """A class with the fields of a PLRNN leaves files of other programs as they were."""

    class Twin(plr.PLRNN):
        pass

    plr.register_model("twin", Twin)
    np.savez(tmp_path / "x.npz", A=np.eye(2) / 2, W=np.zeros((2, 2)), h=np.ones(2))
    with pytest.raises(ValueError, match="fit plrnn or mean-centered"):
        plr.load(tmp_path / "x.npz")


class Unclear(plr.AbstractDynamics):
    rows: list


@pytest.mark.parametrize(
    "kind, model, match",
    [
        ("plrnn", Linear, "kind: 'plrnn' is taken by PLRNN"),
        ("plrnn", type("PLRNN", (plr.PLRNN,), {}), "kind: 'plrnn' is taken by PLRNN"),
        ("a b", Linear, "kind: expected letters"),
        ("stacked", Linear, "kind: expected"),
        ("x", int, "model: expected a subclass"),
        ("x", Unclear, "rows: expected a field annotated"),
    ],
)
def test_what_cannot_be_registered(kind, model, match):
    with pytest.raises(ValueError, match=match):
        plr.register_model(kind, model)


def test_readers(tmp_path, capsys):
    model = plr.from_arrays("plrnn", A=[0.5], W=[[0.0]], h=[1.0])
    for suffix in (".npz", "hdf5", ".HDF5", ""):
        with pytest.raises(ValueError, match="suffix"):
            plr.register_reader(suffix, lambda path: model)
    path = tmp_path / "net.odd"
    path.write_text("0.5")

    def read(path: pathlib.Path) -> Any:
        return model if path.read_text() == "0.5" else 3

    plr.register_reader(".odd", read)
    assert plr.load(path) is model
    assert main(["cycles", str(path), "--periods", "1"]) == 0
    assert "1 cycle of a map" in capsys.readouterr().out
    with pytest.raises(ValueError, match="kind: the reader of .odd files takes none"):
        plr.load(path, kind="plrnn")
    path.write_text("x")
    with pytest.raises(ValueError, match="net.odd: the reader of .odd returned a int, no model"):
        plr.load(path)
    with pytest.raises(FileNotFoundError):
        plr.load(tmp_path / "absent.odd")


def test_plugins_that_are_not_there(monkeypatch, capsys):
    monkeypatch.setenv("PLRJAX_PLUGINS", "absent_module")
    assert main(["cycles", "--periods", "1"]) == 2
    assert "PLRJAX_PLUGINS: absent_module: No module" in capsys.readouterr().err


def test_functions_as_measures(tmp_path):
    """Two functions and a class, tile by tile, against a loop; another code is another scan."""
    model = plr.from_arrays("plrnn", A=[0.5, 0.4], W=[[0.0, -0.6], [0.5, 0.0]], h=[0.4, -1.0])

    def trace(model):
        return float(np.sum(model.A))

    def noisy(model, key):
        return {"sum": np.sum(model.h), "draw": jr.normal(key, dtype=np.float64)}

    measures = [trace, noisy, plr.CycleCounts([1])]
    scan = plr.scan_parameters(model, AXES, measures, key=jr.key(3), checkpoint=tmp_path, tile=2)
    values = [(a, h) for a in AXES[0].values for h in AXES[1].values]
    assert scan["trace"].ravel().tolist() == [a + 0.4 for a, _ in values]
    np.testing.assert_allclose(scan["sum"].ravel(), [0.4 + h for _, h in values], rtol=1e-15)
    assert len(set(scan["draw"].ravel().tolist())) == len(values)
    again = plr.scan_parameters(model, AXES, measures, key=jr.key(3), progress=QUIET)
    assert np.array_equal(again.numbers, scan.numbers)


def test_a_function_that_differs_in_anything_is_another_scan(tmp_path):
    """A number that it closes over, a default, an argument bound to it, also under `jax.jit`."""
    model = plr.from_arrays("plrnn", A=[0.5, 0.4], W=np.zeros((2, 2)), h=[0.4, -1.0])

    def closing(factor):
        def traced(model):
            return factor * np.sum(model.A) if model.state_size else traced(model)

        return traced

    def power(model, exponent=2.0):
        return np.sum(model.A) ** exponent

    def other(model, exponent=3.0):
        return np.sum(model.A) ** exponent

    other.__name__, other.__qualname__ = "power", power.__qualname__
    pairs = [
        (closing(1.0), closing(2.0)),
        (power, other),
        (functools.partial(power, exponent=1.0), functools.partial(power, exponent=4.0)),
        (jax.jit(closing(1.0)), jax.jit(closing(2.0))),
    ]
    for number, (one, changed) in enumerate(pairs):
        options: dict[str, Any] = {"checkpoint": tmp_path / str(number), "progress": QUIET}
        scan = plr.scan_parameters(model, AXES, one, **options)
        again = plr.scan_parameters(model, AXES, one, **options)
        assert again.stats["tiles_measured"] == 0 and np.array_equal(again.numbers, scan.numbers)
        with pytest.raises(ValueError, match="measures"):
            plr.scan_parameters(model, AXES, changed, **options)


@pytest.mark.parametrize(
    "measure, match",
    [
        (lambda model: [1.0, 2.0], "expected a number"),
        (lambda model: {"a": "b"}, "a: expected a number"),
        (plr.CycleCounts, "expected measures such as"),
        ([1.0].count, "expected measures such as"),
        (lambda model, key: 1.0, "key: needed by"),
    ],
)
def test_what_is_no_measure(measure, match):
    model = plr.from_arrays("plrnn", A=[0.5, 0.4], W=np.zeros((2, 2)), h=[0.4, -1.0])
    with pytest.raises(ValueError, match=match):
        plr.scan_parameters(model, AXES, [measure])
