"""The training step in PyTorch that plrjax is timed against is the same step; the script runs."""

import dataclasses
import functools
import json
import pathlib
import sys

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1]))

from benchmarks import training
from plrjax.training._engine import batch_loss, one_update
from plrjax.training._loss import penalty
from plrjax.training._windows import draw_windows


@pytest.fixture
def double():
    with jax.enable_x64(True), jax.numpy_dtype_promotion("standard"):
        yield


@pytest.fixture
def reference():
    pytest.importorskip("torch", reason="PyTorch is not installed")
    from benchmarks import training_reference

    return training_reference


def prepared(task):
    """Return a run before its first update in float64, biases included that begin at zero."""
    carry, series, recipe = training.prepare(task)
    random = np.random.default_rng(7)
    draw = lambda x: jnp.asarray(np.asarray(x) + 0.01 * random.standard_normal(x.shape))
    nets = jax.tree.map(lambda x: draw(x) if eqx.is_inexact_array(x) else x, carry.nets)
    series = series._replace(observations=jnp.asarray(training.series_of(task.state_size), float))
    state = recipe.optimizer.init(eqx.filter(nets, eqx.is_inexact_array))
    carry = carry._replace(nets=nets, opt_state=state, scale=jnp.ones((), float))
    return carry, series, recipe


def by_name(nets):
    """Return the trained arrays, by names such as "model.A"."""
    leaves = jax.tree_util.tree_leaves_with_path(eqx.filter(nets, eqx.is_inexact_array))
    return {jax.tree_util.keystr(path).lstrip("."): leaf for path, leaf in leaves}


def as_torch(reference, windows):
    """Return the observations of windows."""
    return reference.torch.tensor(np.asarray(windows.observations))


def loss_and_gradient(carry, windows, recipe):
    """Return what one update of plrjax takes, and gradients by name."""

    def total(nets):
        schedule = recipe.forcing.schedule((), jr.key(0), carry.update, recipe.sequence_length)
        found = batch_loss(nets, windows, recipe, schedule)
        return found + penalty(nets, recipe.regularizers)

    value, gradient = eqx.filter_jit(eqx.filter_value_and_grad(total))(carry.nets)
    return value, by_name(gradient)


@pytest.mark.parametrize("name", training.TASKS)
def test_loss_and_gradients_are_those_of_torch(name, double, reference):
    task = training.TASKS[name]
    carry, series, recipe = prepared(task)
    windows = draw_windows(series, jr.key(3), task.batch_size, task.sequence_length)
    value, gradient = loss_and_gradient(carry, windows, recipe)
    for segments in (False, True) if task.forcing.segment else (False,):
        port = reference.EagerTorch(carry.nets, series, recipe, training.RATE, segments=segments)
        loss = port.loss(as_torch(reference, windows))
        loss.backward()
        np.testing.assert_allclose(loss.item(), value, rtol=1e-10)
        found = {key: parameter.grad.numpy() for key, parameter in port.named_parameters()}
        assert found.keys() == gradient.keys()
        for key, expected in gradient.items():
            scale = np.abs(expected).max()
            np.testing.assert_allclose(
                found[key], expected, rtol=1e-9, atol=1e-10 * scale, err_msg=key
            )


def test_torch_takes_the_same_updates(double, reference):
    """Optimizer and learning rate, through the sixth update, where RAdam begins to rectify."""
    task = dataclasses.replace(training.TASKS["ecg-gtf"], hidden_size=8, sequence_length=20)
    carry, series, recipe = prepared(task)
    port = reference.EagerTorch(carry.nets, series, recipe, training.RATE)
    take = eqx.filter_jit(lambda carry: one_update(carry, series, jr.key(2), recipe)[0])
    for _ in range(10):
        key = jr.split(jr.fold_in(jr.key(2), carry.update))[0]
        windows = draw_windows(series, key, task.batch_size, task.sequence_length)
        port.update(as_torch(reference, windows))
        carry = take(carry)
    found = dict(port.named_parameters())
    for key, expected in by_name(carry.nets).items():
        np.testing.assert_allclose(found[key].detach().numpy(), expected, atol=1e-7, err_msg=key)


@pytest.mark.parametrize("name", ["shallow-gtf", "ecg-gtf"])
def test_both_gradients_are_of_the_same_loss(name, double):
    programs = training.gradients(*prepared(training.TASKS[name])).values()
    (value, gradient), (plain, expected) = (run() for run in programs)
    np.testing.assert_allclose(value, plain, rtol=1e-12)
    for one, other in zip(jax.tree.leaves(gradient), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-8, atol=1e-10 * np.abs(other).max())


def test_the_script_runs(monkeypatch, tmp_path, capsys):
    """All lines and columns on tiny networks, with or without PyTorch."""
    small = lambda task: dataclasses.replace(
        task, state_size=4, hidden_size=min(task.hidden_size, 6), batch_size=2, sequence_length=20
    )
    monkeypatch.setattr(training, "TASKS", {k: small(t) for k, t in training.TASKS.items()})
    quick = functools.partial(training.measure, updates=3, seconds=0.0)
    monkeypatch.setattr(training, "measure", quick)
    file = tmp_path / "numbers.json"
    training.main(["--repeats", "2", "--json", str(file), "--task", ",".join(training.TASKS)])
    table = json.loads(file.read_text())["tasks"]
    shown = [line.split(" | ")[0] for line in capsys.readouterr().out.splitlines()]
    assert shown[-4:] == list(table) == list(training.TASKS)
    for name, row in table.items():
        assert np.isfinite(row["loss"])
        assert ("adjoint / autodiff" in row) == (training.TASKS[name].forcing.segment is None)
