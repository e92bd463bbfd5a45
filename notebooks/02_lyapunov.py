# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#       jupytext_version: 1.19.6
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Lyapunov spectra one can publish
#
# The mathematics in ten lines:
#
# 1. A recurrent network is a map $z_{t+1} = F(z_t, s_t)$ with Jacobians
#    $J_t = \partial F/\partial z$.
# 2. A small perturbation evolves as $\delta_{t+1} = J_t\, \delta_t$; along an orbit on an attractor
#    $|\delta_t|$ grows like $e^{\lambda_1 t}$, areas like $e^{(\lambda_1+\lambda_2)t}$, and so on.
# 3. The exponents come from $J_t Q_t = Q_{t+1} R_{t+1}$ with orthonormal $Q$:
#    $\lambda_i = \lim \frac1T \sum_t \ln R_{t,ii}$ (Benettin et al. 1980), in nats per step.
# 4. They are averages along orbits, so they carry a *standard error*; many orbits are pooled, and
#    orbits that settle on different attractors are told apart.
# 5. $\sum_i \lambda_i$ is the mean of $\ln|\det J_t|$: an exact check.
# 6. $\lambda_1 > 0$ is chaos; errors double in $\ln 2/\lambda_1$ steps; the Kaplan-Yorke dimension
#    is $j + \sum_{i\le j}\lambda_i / |\lambda_{j+1}|$.
# 7. *Covariant* vectors $v_i$ are mapped to each other, $J_t v_i(t) \propto v_i(t+1)$ (Ginelli et
#    al. 2007); their angles show how far from hyperbolic the dynamics is.
# 8. Training differentiates through $\partial z_T/\partial z_1 = J_{T-1} \cdots J_1$, whose norm
#    goes like $e^{\lambda_1 T}$: gradients vanish on stable cycles and explode in chaos, whatever
#    the architecture (Mikhaeil, Monfared, Durstewitz 2022).
# 9. A network driven by input has a spectrum for every input sequence; its mean and standard
#    deviation over sequences, followed through training, are the readout of Vogt, Puelma Touzel,
#    Shlizerman and Lajoie (2020).
# 10. The exponents are differentiable, so they can be part of a loss (Engelken 2023).
#
# **The figures**: gradient norms against $T$ for a chaotic, a periodic and a quasi-periodic network
# (figure 1 of Mikhaeil et al.), and $|\lambda_1|$ against validation loss over training runs (Vogt
# et al., their figure on readout), here at a size that runs in minutes.

# %%
import os
from types import SimpleNamespace

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import matplotlib.pyplot as plt
import numpy as np
import optax
from scipy.stats import spearmanr

import plrjax as plr

REDUCED = os.environ.get("PLRJAX_REDUCED") == "1"

# %% [markdown]
# ## A trained network against the system it has learned
#
# The embedded example is a shallow PLRNN ($M = 2$, $H = 20$) trained on 5,500 points of the Hénon
# map. Below are its exponents and those of the map, which is any Python function of the state.

# %%
num_steps = 2_000 if REDUCED else 20_000
henon = plr.Dynamics(lambda z: jnp.stack([1.0 - 1.4 * z[0] ** 2 + z[1], 0.3 * z[0]]), 2)
network = plr.example_network()
learned = plr.lyapunov_spectrum(network, [0.1, 0.1], num_steps=num_steps, key=jr.key(0))
true = plr.lyapunov_spectrum(henon, [0.1, 0.1], num_steps=num_steps, key=jr.key(0))
print(learned)
print("\n   Hénon map (Sprott 2003: .41922, -1.62320)   |   network")
for i in range(2):
    print(
        f"{i + 1}  {true.exponents[i]:>10.4f} ± {true.standard_error[i]:.4f}    "
        f"{learned.exponents[i]:>10.4f} ± {learned.standard_error[i]:.4f}"
    )

# %% [markdown]
# Both exponents come near those of the map, by which the network was not chosen, but are off by .02
# and .01, many standard errors. The second is the rate of contraction onto the attractor; data on
# the attractor tell little about it. A spectrum is an audit that metrics of the attractor do not
# give.

# %%
_ = plr.plot.lyapunov(learned)

# %% [markdown]
# ## Covariant Lyapunov vectors
#
# In the Lozi map, a two-dimensional PLRNN, stable and unstable directions keep apart; in the Hénon
# map they come close to tangency again and again, so the Hénon map is not hyperbolic.

# %%
lozi = plr.PiecewiseAffineMap(
    [[1.7, 1.0], [0.5, 0.0]], [[-3.4], [0.0]], [[1.0, 0.0]], [1.0, 0.0], [0.0]
)
ax = None
for name, system in {"Lozi": lozi, "Hénon": henon}.items():
    vectors = plr.covariant_vectors(system, [0.1, 0.1], num_steps=num_steps, key=jr.key(0))
    print(f"{name}: exponents {vectors.exponents.round(3)}")
    ax = plr.plot.angles(vectors, name=name, ax=ax)
_ = ax.set_title("angle between the two covariant vectors")

# %% [markdown]
# ## Gradients vanish, stay or explode as the exponent says
#
# $|\partial z_T/\partial z_1|$ and $|\partial L_T/\partial\theta|$ against $T$ (Theorems 1 to 3 of
# Mikhaeil et al. 2022): a stable 2-cycle, a chaotic network, and a rotation whose length a
# nonlinearity fixes. Nothing overflows: products are accumulated in logarithms.


# %%
class Circle(plr.AbstractDynamics):
    """z' = 3 R z / (1 + 2 |R z|^2), R a rotation by the golden angle: an invariant circle."""

    R: jax.Array

    @property
    def state_size(self):
        return 2

    def step(self, state, input=None):
        moved = jnp.asarray(self.R) @ state
        return 3.0 * moved / (1.0 + 2.0 * moved @ moved)


angle = np.pi * (np.sqrt(5.0) - 1.0)
rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
two_cycle = plr.PiecewiseAffineMap(
    [[0.0, 0.8], [-0.4, 0.2]], [[-1.5], [0.9]], [[1.0, 0.0]], [0.214, 0.0], [0.0]
)
systems = {
    "periodic": (two_cycle, [0.4, 0.15]),
    "chaotic": (network, [0.1, 0.1]),
    "quasi-periodic": (Circle(rotation), [1.0, 0.1]),
}
figure, panels = plt.subplots(1, 3, figsize=(13, 4), layout="constrained")
for ax, (name, (system, state)) in zip(panels, systems.items()):
    exponent = plr.lyapunov_spectrum(system, state, num_steps=num_steps, key=jr.key(1))
    norms = plr.gradient_norms(
        system, state, num_steps=400, num_orbits=10 if REDUCED else 200, key=jr.key(2)
    )
    first, slope = exponent.exponents[0], norms.state_slope(50)
    print(
        f"{name:>15}: lambda_1 = {first:.5f} ± {exponent.standard_error[0]:.5f}, slope of the "
        f"state gradient {slope.value:.5f} ± {slope.standard_error:.5f}"
    )
    plr.plot.gradient_norms(norms, first, ax=ax).set_title(name)

# %% [markdown]
# ## A PLRNN before, during and after training
#
# The smallest loop that does: generalized teacher forcing with $\alpha = .1$ (Hess et al. 2023) on
# standardized Lorenz data, and a `LyapunovProbe` called with the model every so often.


# %%
DT = 0.01


def lorenz(z):
    """One RK4 step of the Lorenz system, 0.01 time units long."""

    def flow(z):
        x, y, w = z
        return jnp.stack([10.0 * (y - x), x * (28.0 - w) - y, x * y - 8.0 / 3.0 * w])

    a = flow(z)
    b = flow(z + DT / 2 * a)
    c = flow(z + DT / 2 * b)
    d = flow(z + DT * c)
    return z + DT / 6 * (a + 2 * b + 2 * c + d)


orbit = np.asarray(plr.trajectory(plr.Dynamics(lorenz, 3), jnp.ones(3), 40_000))[1_000:]
data = jnp.asarray((orbit - orbit.mean(axis=0)) / orbit.std(axis=0), jnp.float32)
LENGTH, BATCH, ALPHA = 100, 16, 0.1


def forced_loss(model, windows):
    """Mean squared error of one-step predictions from states pulled towards the data by alpha."""

    def advance(z, pair):
        now, later = pair
        z = model.step((1.0 - ALPHA) * z + ALPHA * now)
        return z, jnp.mean((z - later) ** 2)

    errors = jax.vmap(lambda x: jax.lax.scan(advance, x[0], (x[:-1], x[1:]))[1])(windows)
    return jnp.mean(errors)


def fit(model, loss, draw, optimizer, state, keys):
    """Take one optimizer step per key, all in one compiled scan; return the losses, too."""

    def advance(carry, key):
        model, state = carry
        value, gradient = eqx.filter_value_and_grad(loss)(model, *draw(key))
        update, state = optimizer.update(gradient, state, model)
        return (eqx.apply_updates(model, update), state), value

    (model, state), losses = jax.lax.scan(advance, (model, state), keys)
    return model, state, losses


def windows(key):
    """Draw windows of the data."""
    starts = jr.randint(key, (BATCH,), 0, len(data) - LENGTH)
    return (data[starts[:, None] + jnp.arange(LENGTH)],)


epochs = 2 if REDUCED else 12
optimizer = optax.chain(optax.clip_by_global_norm(10.0), optax.radam(2e-3))
model = plr.ClippedShallowPLRNN(3, 50, key=jr.key(3))
probe = plr.LyapunovProbe(np.full(3, 0.1), key=jr.key(4), num_steps=num_steps // 4, num_orbits=64)
state = optimizer.init(model)
learn = eqx.filter_jit(lambda m, s, keys: fit(m, forced_loss, windows, optimizer, s, keys))
probe(SimpleNamespace(step=0, model=model))
for epoch in range(epochs):
    keys = jr.split(jr.fold_in(jr.key(5), epoch), 100 if REDUCED else 500)
    model, state, losses = learn(model, state, keys)
    probe(SimpleNamespace(step=(epoch + 1) * len(keys), model=model))
    print(
        f"step {probe.steps[-1]:>5}: loss {losses[-50:].mean():.5f}, {probe.spectra[-1].exponents}"
    )

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
plr.plot.spectrum_history(probe.history, band="standard_error", ax=left)
left.set_title("PLRNN learning Lorenz-63")
plr.plot.spectrum_history(probe.history, exponents=[0, 1], band="standard_error", ax=right)
right.axhline(true.exponents[0], color="black", ls="--", lw=1.0)
right.set(ylim=(-0.05, 0.05), title=r"the first two, and $\lambda_1$ of Lorenz-63 (dashed)")
plt.show()

# %% [markdown]
# ## LSTMs on a sequence task, and the readout
#
# The task: the first Lorenz coordinate comes in, and the LSTM predicts it ten steps ahead. The
# states $(h, c)$ are $2H$, so are the exponents, and every input sequence has its own: mean and
# standard deviation over ten validation sequences, as in Vogt et al. (2020). Runs differ in the
# gain of the initial recurrent weights and in the learning rate; one `vmap` trains all of them.

# %%
HIDDEN, AHEAD = 12, 10
split = 3 * len(data) // 4


class Predictor(eqx.Module):
    """An LSTM and a linear readout of h."""

    cell: plr.LSTM
    readout: eqx.nn.Linear

    def __call__(self, inputs):
        zero = jnp.zeros(2 * HIDDEN, inputs.dtype)
        states = plr.trajectory(self.cell, zero, len(inputs), inputs)[1:]
        return jax.vmap(self.readout)(states[:, :HIDDEN])


def predictor(gain, key):
    """Draw a predictor with recurrent weights times the gain."""
    keys = jr.split(key)
    cell = plr.LSTM(HIDDEN, key=keys[0], input_size=1)
    cell = eqx.tree_at(lambda c: c.W, cell, cell.W * gain)
    return Predictor(cell, eqx.nn.Linear(HIDDEN, 1, key=keys[1]))


def pairs(key, first, last):
    """Draw inputs and targets between two times."""
    rows = jr.randint(key, (BATCH,), first, last - LENGTH - AHEAD)[:, None] + jnp.arange(LENGTH)
    return data[rows, :1], data[rows + AHEAD, :1]


def task_loss(model, inputs, targets):
    return jnp.mean((jax.vmap(model)(inputs) - targets) ** 2)


gains = np.geomspace(0.3, 10.0, 2 if REDUCED else 12)
rates = [1e-3, 1e-2]
settings = np.array([(gain, rate) for gain in gains for rate in rates], np.float32)
keys = jax.vmap(lambda i: jr.fold_in(jr.key(6), i))(jnp.arange(len(settings)))
runs = eqx.filter_vmap(predictor)(jnp.asarray(settings[:, 0]), keys)
scaled = optax.chain(optax.clip_by_global_norm(1.0), optax.scale_by_adam())


def train_one(model, state, rate, keys):
    """Train one run for the steps that the keys stand for."""
    optimizer = optax.chain(scaled, optax.scale(-rate))
    draw = lambda key: pairs(key, 0, split)
    model, state, _ = fit(model, task_loss, draw, optimizer, state, keys)
    return model, state


train_all = eqx.filter_jit(eqx.filter_vmap(train_one, in_axes=(0, 0, 0, None)))
validate = eqx.filter_jit(
    eqx.filter_vmap(lambda m: task_loss(m, *pairs(jr.key(7), split, len(data))))
)
states = eqx.filter_vmap(lambda m: optax.chain(scaled, optax.scale(-1.0)).init(m))(
    eqx.filter(runs, eqx.is_inexact_array)
)
starts = split + 300 * np.arange(10)
sequences = np.stack([np.asarray(data[s : s + 600, :1]) for s in starts])
probes = [
    plr.LyapunovProbe(np.zeros(2 * HIDDEN), key=jr.key(8), inputs=sequences, num_transient=100)
    for _ in settings
]
errors, milestones = [], [0, 30, 60] if REDUCED else [0, 100, 300, 1000, 3000]
for before, after in zip([0, *milestones], milestones):
    if after > before:
        steps = jr.split(jr.fold_in(jr.key(9), after), after - before)
        runs, states = train_all(runs, states, jnp.asarray(settings[:, 1]), steps)
    errors.append(np.asarray(validate(runs)))
    for i, run_probe in enumerate(probes):
        cell = jax.tree.map(lambda x: x[i] if eqx.is_array(x) else x, runs.cell)
        run_probe(SimpleNamespace(step=after, model=cell))
errors = np.array(errors)
first = np.stack([p.history.mean[:, 0] for p in probes], axis=1)

# %%
figure, panels = plt.subplots(1, 3, figsize=(14, 4.2), layout="constrained")
middle = len(settings) // 2
plr.plot.spectrum_history(probes[middle].history, ax=panels[0])
panels[0].set_title(f"LSTM, gain {settings[middle, 0]:.1f}: mean ± std over inputs")
for ax, row in zip(panels[1:], (1, len(milestones) - 1)):
    found = spearmanr(np.abs(first[row]), errors[row])
    points = ax.scatter(np.abs(first[row]), errors[row], c=np.log10(settings[:, 0]), cmap="viridis")
    ax.set(xlabel=r"$|\lambda_1|$ (nats per step)", ylabel="validation loss", yscale="log")
    ax.set_title(f"after {milestones[row]} steps: Spearman {found.statistic:.2f}")
figure.colorbar(points, ax=panels[2], label=r"$\log_{10}$ of the initial gain")
plt.show()

# %% [markdown]
# Vogt et al. (2020) report for 110 character-level LSTMs a Spearman correlation between
# $|\lambda_1|$ and validation loss of .46 early (epoch 4) and .61 late (epoch 15) in training, with
# $\lambda_1$ from −.492 to +.138 bits per step. On this task, which needs a short memory only, the
# sign is the other way round: networks that contract learn it best, those close to $\lambda_1 = 0$
# worst. So it is on a character task with 108 LSTMs and GRUs, with bootstrap intervals:
# `python -m benchmarks.readout`, table and figure in `benchmarks/README.md`. What $\lambda_1$ tells
# about the loss depends on the task and on the range of networks.
#
# ## Exponents in a loss
#
# Gradient flossing: minimize the mean square of the first exponents of a tanh network, window 55,
# AdamW at $10^{-3}$ (Engelken 2023). They come to zero, so gradients neither vanish nor explode.

# %%
size, count = (20, 5) if REDUCED else (80, 12)
model = plr.TanhRNN(size, key=jr.key(10))
weights = jr.normal(jr.key(11), (size, size)) / np.sqrt(size)
model = eqx.tree_at(lambda m: (m.W, m.b), model, (weights, jnp.zeros(size)))


def flossing(model, key):
    start, frame = jr.split(key)
    state = plr.trajectory(model, jr.normal(start, (size,)), 50)[-1]
    state = jax.lax.stop_gradient(state)
    return plr.flossing_penalty(model.step, state, num_steps=55, num_exponents=count, key=frame)


optimizer = optax.adamw(1e-3)
floss = eqx.filter_jit(lambda m, s, keys: fit(m, flossing, lambda key: (key,), optimizer, s, keys))
starts = np.asarray(jr.normal(jr.key(12), (8, size)))
watch = plr.LyapunovProbe(
    starts, key=jr.key(13), num_steps=1_000, num_exponents=count, num_orbits=8
)
state = optimizer.init(model)
watch(SimpleNamespace(step=0, model=model))
for part in range(2 if REDUCED else 10):
    model, state, _ = floss(model, state, jr.split(jr.fold_in(jr.key(14), part), 50))
    watch(SimpleNamespace(step=50 * (part + 1), model=model))
print(
    "largest modulus of the first ten:",
    np.abs(watch.history.exponents[:, :10]).max(axis=1).round(4),
)
ax = plr.plot.spectrum_history(
    watch.history, exponents=range(min(10, count)), band="standard_error"
)
_ = ax.set(title="gradient flossing", ylim=(-0.1, 0.03))
