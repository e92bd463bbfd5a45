"""One line that names the file or the argument, where there were tracebacks."""

import json
import os
import subprocess
import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from command import main
from native import read_native, write_native

import plrjax as plr

SERIES = np.random.default_rng(0).normal(size=(60, 2))
PLANE = {"where": '"A"', "index": "[0]", "start": "0.1", "stop": "0.2", "num": "3"}
WEIRD = ("1979-05-27", "07:32:00", "nan", "[[1]]", "{a = 1}", "9" * 400, "9" * 5000, "[" * 3000)


@pytest.mark.parametrize("name", [*PLANE, "state", "tile", "network", "targets", "measures"])
def test_planes(tmp_path, name, capsys):
    path = tmp_path / "plane.toml"
    for value in WEIRD:
        axis = "[[axis]]\n" + "\n".join(f"{k} = {v}" for k, v in (PLANE | {name: value}).items())
        lines = [] if name == "measures" else ['measures = ["loss:20"]']
        if name not in PLANE:
            axis = "[[axis]]\n" + "\n".join(f"{k} = {v}" for k, v in PLANE.items())
            lines.append(f"{name} = {value}")
        path.write_text("\n".join([*lines, axis]))
        assert main(["scan", str(path)]) == 2
        told = [line for line in capsys.readouterr().err.splitlines() if "no FILE" not in line]
        assert len(told) == 1 and told[0].startswith("plrjax: "), (value, told)


def results(key):
    """Return a result of each kind that is cheap to make."""
    network, quiet = plr.example_network(), plr.NoProgress()
    starts, axis = np.zeros((2, 2)), plr.Axis("A", (0,), 0.1, 0.2, 2)
    steps: dict[str, Any] = {"num_steps": 64, "num_transient": 16}
    yield plr.find_cycles(network, 1, solver=plr.BranchAndBound(), progress=quiet)
    yield plr.lyapunov_spectrum(network, starts, key=key, **steps, progress=quiet)
    yield plr.find_attractors(network, starts, key=key, **steps, progress=quiet)
    measure = plr.LargestExponent(starts[0], 16)
    yield plr.scan_parameters(network, axis, measure, key=key, progress=quiet)


def test_notes_that_are_no_texts(tmp_path):
    for number, result in enumerate(results(jax.random.key(0))):
        path = tmp_path / f"{number}.npz"
        result.save(path)
        header, arrays = read_native(path)
        facts = json.loads(header["facts"])
        for name, value in (("notes", [1]), ("notes", "ab"), ("notes", 3), ("stats", [1])):
            if name in facts:
                changed = header | {"facts": json.dumps(facts | {name: value})}
                write_native(path, changed, arrays)
                with pytest.raises(ValueError, match="header of this file .* is damaged"):
                    plr.load(path)


def test_what_jax_traces_is_named():
    network, key = plr.example_network(), jax.random.key(0)
    traced = jax.tree.map(jnp.asarray, network)
    spectrum = lambda z: plr.lyapunov_spectrum(network, z, key=key).exponents
    for transform in (jax.jit, jax.vmap, jax.grad):
        shape = (3, 2) if transform is jax.vmap else (2,)
        with pytest.raises(ValueError, match="^state: .* lyapunov_exponents can be traced"):
            transform(spectrum)(jnp.zeros(shape))
    with pytest.raises(ValueError, match="^model: .* find_cycles outside of jit"):
        jax.jit(lambda model: plr.find_cycles(model, 1, key=key).points)(traced)
    with pytest.raises(ValueError, match="^find_cycles: called while JAX traces"):
        jax.jit(lambda z: plr.find_cycles(network, 1, key=key).points + z)(0.0)
    with pytest.raises(ValueError, match="^h: expected an array of numbers"):
        jax.jit(lambda z: plr.from_arrays("plrnn", A=np.ones(2), W=np.eye(2), h=z))(jnp.zeros(2))


def test_under_a_transfer_guard():
    network, key, z = plr.example_network(), jax.random.key(0), np.zeros(2)
    with jax.transfer_guard("disallow"):
        assert plr.trajectory(network, z, 3).shape == (4, 2)
        assert len(list(results(key))) == 4
        quiet = plr.NoProgress()
        plr.find_cycles(network, 2, key=key, solver=plr.SCYFI(), num_searches=5, progress=quiet)
        run = plr.fit(
            network, SERIES, key=key, num_steps=2, sequence_length=5, batch_size=2, progress=quiet
        )
        plr.metrics.evaluate(run.model, SERIES, num_starts=2, smoothing=2)
        plr.detect_bifurcations([network, run.model], 1, key=key, progress=quiet)


TOO_MUCH = {
    "generate": lambda m, k, n: plr.metrics.evaluate(m, SERIES, generate=n, smoothing=2),
    "periods": lambda m, k, n: plr.find_cycles(m, [n], key=k),
    "num_searches": lambda m, k, n: plr.find_cycles(m, 3, key=k, num_searches=n),
    "num_orbits": lambda m, k, n: plr.lyapunov_spectrum(m, np.zeros(2), key=k, num_orbits=n),
    "num_steps": lambda m, k, n: plr.trajectory(m, np.zeros(2), n),
    "num_samples": lambda m, k, n: plr.basin_sizes(m, key=k, low=-1, high=1, num_samples=n),
    "num": lambda m, k, n: plr.basins(m, key=k, low=[0, 0], high=[1, 1], num=n),
    "axes": lambda m, k, n: plr.scan_parameters(
        m, plr.Axis("A", (0,), 0, 1, n), plr.LargestExponent(np.zeros(2)), key=k
    ),
    "num_points": lambda m, k, n: plr.AttractorOrbit(np.zeros(2), num_points=n),
}


@pytest.mark.parametrize("name", TOO_MUCH)
def test_more_than_memory_holds(name):
    with pytest.raises(ValueError, match=f"^{name}: .*(of memory, and this machine|at most)"):
        TOO_MUCH[name](plr.example_network(), jax.random.key(0), 10**12)


def test_long_periods():
    network = plr.example_network()
    with pytest.raises(ValueError, match="^periods: 50000 would take"):
        plr.find_cycles(network, 50_000, solver=plr.BranchAndBound())
    with pytest.raises(ValueError, match="^periods: expected at most 100000, got 1000000"):
        plr.find_cycles(network, [10**6], key=jax.random.key(0))


def command(*arguments, **environment):
    """Run a command as users do."""
    line = [sys.executable, "-m", "plrjax", *map(str, arguments)]
    return subprocess.run(line, capture_output=True, env={**os.environ, **environment})


@pytest.mark.parametrize("platform", ["cuda", "nonsense"])
def test_platforms_that_are_not_there(platform):
    if platform == "cuda" and jax.default_backend() != "cpu":
        pytest.skip("this machine has one")
    done = command("lyapunov", JAX_PLATFORMS=platform)
    told = done.stderr.decode().splitlines()
    assert done.returncode == 2 and told[-1].startswith(f"plrjax: JAX_PLATFORMS={platform}: ")
    assert len([line for line in told if "no FILE" not in line]) == 1


def test_letters_that_the_output_lacks(tmp_path):
    path = tmp_path / "né.npz"
    plr.save(path, plr.example_network())
    ascii_only = {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "LC_ALL": "C"}
    done = command("info", path, **ascii_only)
    assert done.returncode == 0 and b"\\" in done.stdout.splitlines()[0]
    assert command("info", "--help", **ascii_only).returncode == 0
