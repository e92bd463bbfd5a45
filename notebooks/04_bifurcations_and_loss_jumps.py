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
# # Bifurcations and loss jumps
#
# The mathematics in ten lines:
#
# 1. In a linear subregion a ReLU network is affine, so along a word $w$ (the subregions that a
#    $k$-cycle visits) $F_w(z) = P z + c$, and the cycle is $z^* = (I - P)^{-1} c$.
# 2. Along a path $\theta(s)$ through parameters the word stays the same, and $z^*(s)$ is an
#    explicit smooth function, until one of four things happens.
# 3. *Border collision*: a pre-activation of the cycle reaches zero. Behind it the word with that
#    bit flipped goes on (*persistence*), or both cycles exist on one side and vanish together
#    (*nonsmooth fold*); cycles of other periods may join in.
# 4. *Degenerate transcritical*: a multiplier reaches $+1$; $I - P$ is singular, and the cycle runs
#    to infinity.
# 5. *Degenerate flip*: a multiplier reaches $-1$; the cycle goes on without its stability, and one
#    of twice the period begins or ends.
# 6. *Center*: a complex pair of multipliers crosses the unit circle.
# 7. Each is the first root of an analytic function of $s$. It is bracketed on a converged Chebyshev
#    series and refined to rounding; nothing is read off a grid.
# 8. The sensitivity of a cycle is $dz^*/d\theta = (I-P)^{-1} [(dP/d\theta) z^* + dc/d\theta]$. Near
#    a transcritical at distance $\varepsilon$, $|z^*| \sim 1/\varepsilon$ and $|dz^*/d\theta| \sim
#    1/\varepsilon^2$: gradients of the loss explode.
# 9. At a flip the gradient on the cycle stays finite while the attractor is lost: the loss may jump
#    without a warning. At a border collision its one-sided limits differ.
# 10. Training is such a path: between two updates parameters move along a straight line, and each
#     step can be asked which bifurcations it crossed.
#
# **The figures** are those of Eisenmann, Monfared, Göring, Durstewitz (NeurIPS 2023): the landscape
# of a task's gradient over a plane of parameters with bifurcation curves on it, and a training run
# whose loss jumps where the trained cycle bifurcates, without and with teacher forcing. Theirs
# shows counts of cycles on a grid and compares checkpoints; here every curve and event is exact,
# and what "all" means is said. Their exact settings of the training run are not known to us.

# %%
import os

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import matplotlib.pyplot as plt
import numpy as np
import optax

import plrjax as plr

REDUCED = os.environ.get("PLRJAX_REDUCED") == "1"
QUIET = plr.NoProgress()

# %% [markdown]
# ## One parameter: the skew tent
#
# $z' = a_l z$ for $z \le 0$ and $a_r z$ for $z > 0$, plus $\mu$, with $a_l = .2$ and $\mu = 1$. The
# fixed point on the right runs to infinity at $a_r = 1$ and loses its stability at $a_r = -1$,
# where a 2-cycle with multiplier $a_l a_r$ takes over.


# %%
def skew_tent(right, left=0.2, offset=1.0):
    return plr.PiecewiseAffineMap([[left]], [[right - left]], [[1.0]], [offset], [0.0])


path = plr.FunctionPath(skew_tent, -7.0, 2.0)
tent = plr.detect_bifurcations(path, range(1, 5), progress=QUIET)
print(tent)
figure, ax = plt.subplots(figsize=(9, 4), layout="constrained")
plr.plot.branches(tent, path, ax=ax, orbit=60 if REDUCED else 400)
ax.set_xlabel("$a_r$")
# %% [markdown]
# The 2-cycle loses its stability at $a_l a_r = -1$, that is $a_r = -5$. All are located to
# rounding:

# %%
for event in tent:
    print(f"{plr.BIFURCATION(int(event.kind[0])).name:26s} a_r = {event.s[0]:+.12f}")
flips = tent.s[tent.kind == plr.BIFURCATION.degenerate_flip]
assert np.abs(flips - [-5.0, -1.0]).max() < 1e-10

# %% [markdown]
# ## Two parameters: the plane of the paper
#
# A 2-D PLRNN over the two entries of $A$, and the gradient of a task: to follow, from the same
# initial state, $T = 500$ steps of the network at the cross. Its 16-cycle attracts there.

# %%
W, h = np.array([[0.0, -0.64375], [0.52505, 0.0]]), np.array([0.37298, -0.97931])
A_TRUE = np.array([0.83777, 0.96461])


def network(a11, a22):
    return plr.from_arrays("plrnn", A=[a11, a22], W=W, h=h)


SIZE, STEPS = (10, 60) if REDUCED else (200, 500)
axes = [plr.Axis("A", (i, i), -1.0, 1.0, SIZE) for i in range(2)]
true_map = network(*A_TRUE).as_piecewise_affine()
orbit = [np.array([1.0, 0.5])]
for _ in range(STEPS):
    orbit.append(true_map.apply(orbit[-1]))
targets = np.array(orbit[1:])
scan = plr.scan_parameters(
    network(*A_TRUE),
    axes,
    [plr.CycleCounts(range(1, 3 if REDUCED else 9)), plr.GradientNorm(targets, orbit[0])],
    progress=QUIET,
)
print(scan)

# %% [markdown]
# Counting says little here: over the whole plane the cycles of periods 1 to 8 are one fixed point
# at most. The curves say where it collides with a switching boundary, and where and how it loses
# its stability: at the edges $a_{22} = 1$ (it runs to infinity) and $a = -1$ (flips), and on the
# short curve on the right, where a complex pair crosses the unit circle. The gradient grows towards
# the transcritical, and is largest, up to $10^{17}$, behind the center, where the fixed point is
# unstable. There are invariant circles there, and longer cycles in tongues between the border
# collisions (nonsmooth folds) in which a stable cycle and a saddle are born. Tongues are traced
# from cycles found at a few places; other tongues are not drawn:

# %%
plane = plr.ParameterPlane.from_axes(network(*A_TRUE), axes)
curves = plr.bifurcation_curves(
    plane, 1 if REDUCED else range(1, 9), resolution=12 if REDUCED else 64, progress=QUIET
)
places = [A_TRUE] if REDUCED else [A_TRUE, *np.random.default_rng(0).uniform(0.8, 1.0, (24, 2))]
found = [
    (
        plr.find_cycles(
            network(*a), 16 if REDUCED else range(8, 31), key=jr.key(0), progress=QUIET
        ),
        a,
    )
    for a in places
]
tongues = plr.bifurcation_curves(
    plane, cycles=found, step=0.01 if REDUCED else 0.002, progress=QUIET
)
print(len(tongues), "curves of periods", sorted({curve.period for curve in tongues}))
figure, (left, right) = plt.subplots(1, 2, figsize=(12.5, 5), layout="constrained")
plr.plot.plane(scan, "num_stable", curves=curves, ax=left)
plr.plot.plane(scan, "gradient_norm", curves=curves, ax=right)
for ax in (left, right):
    ax.plot(*A_TRUE, marker="+", color="black", ms=12, mew=2)

# %%
figure, ax = plt.subplots(figsize=(7.5, 5), layout="constrained")
for curve in tongues:
    ax.plot(*curve.points.T, color=plt.cm.viridis((curve.period - 8) / 22), lw=1.0)
for curve in curves:
    ax.plot(*curve.points.T, color="black", lw=1.2, ls=":")
ax.plot(*A_TRUE, marker="+", color="black", ms=12, mew=2)
ax.set(xlim=(0.75, 1.01), ylim=(0.75, 1.01), xlabel="A[0, 0]", ylabel="A[1, 1]")
shades = plt.cm.ScalarMappable(plt.Normalize(8, 30), plt.cm.viridis)
figure.colorbar(shades, ax=ax, label="period of the cycle that collides")
# %% [markdown]
# ## Exploding gradients at a transcritical
#
# On the way to $a_r = 1$ the fixed point of the skew tent leaves as $1/\varepsilon$, and its
# sensitivity as $1/\varepsilon^2$. Autodiff through a long orbit agrees with the closed form.

# %%
epsilons = np.geomspace(1e-1, 1e-4, 13)
norms, sizes = [], []
for epsilon in epsilons:
    cycle = plr.find_cycles(skew_tent(1 - epsilon), 1, solver=plr.Exhaustive(), progress=QUIET)
    sizes.append(np.abs(cycle.orbit(0)).max())
    norms.append(plr.sensitivity_norm(skew_tent(1 - epsilon), cycle)[0])
slopes = [np.polyfit(np.log(epsilons[-6:]), np.log(x[-6:]), 1)[0] for x in (sizes, norms)]
print(f"slopes: |z*| {slopes[0]:.4f}, |dz*/dtheta| {slopes[1]:.4f}")

with jax.enable_x64(True):

    def last_state(right):
        step = lambda z, _: (jnp.where(z > 0, right * z, 0.2 * z) + 1.0, None)
        return jax.lax.scan(step, jnp.asarray(0.5), length=2_000)[0]

    by_autodiff = float(jax.grad(last_state)(jnp.asarray(0.9)))
print(f"dz*/da_r at a_r = .9: autodiff over 2000 steps {by_autodiff:.9f}, closed form {1 / 0.1**2}")

# %% [markdown]
# ## A training run, step by step
#
# A shallow PLRNN (3 states, 10 units) learns one window of a membrane potential, a silence and the
# first spikes of a bursting neuron, by plain gradient descent. One window a step means that step
# $i$ runs along the straight line from $\theta_i$ to $\theta_{i+1}$, and the loss before it is
# exactly $L(\theta_i)$. All $2^{10}$ words of period 1 are tried along every step, so no fixed
# point is missed, up to rounding. The start is one of twenty that `benchmarks/loss_jumps`
# compares; it was chosen because its loss jumps and recovers.

# %%
neuron = plr.systems.simulate(plr.systems.bursting_neuron(), 4_000, key=jr.key(0)).observations
onset = np.flatnonzero((neuron[:-1, 0] < -0.5) & (neuron[1:, 0] >= -0.5))[1]
window = neuron[onset - 60 : onset + 121 : 3].astype(np.float32)


def start(seed):
    model = plr.ShallowPLRNN(3, 10, key=jr.key(seed))
    return eqx.tree_at(lambda m: (m.A, m.W1), model, (0.9 * model.A, 0.5 * model.W1))


EPOCHS, FIRST, LAST = (12, 0, 12) if REDUCED else (700, 490, 650)
runs, kept = {}, {}
for name, forcing in (("free", plr.NoForcing()), ("forced", plr.GeneralizedForcing(0.1))):
    kept[name] = plr.training.Snapshots(every=1)
    runs[name] = plr.fit(
        start(18), window, key=jr.key(18), forcing=forcing, optimizer=optax.sgd(0.01),
        num_steps=EPOCHS, sequence_length=60, batch_size=1, callbacks=[kept[name]], progress=QUIET,
    )  # fmt: skip
figure, ax = plt.subplots(figsize=(9, 3), layout="constrained")
for (name, run), style in zip(runs.items(), ("-", "--")):
    ax.plot(run.losses, style, label=f"alpha = {0.1 if name == 'forced' else 0}")
ax.set(xlabel="epoch", ylabel="loss", yscale="log")
ax.legend()
# %% [markdown]
# Forcing makes it smooth. Around the jumps of the free run, every event with its exact place:

# %%
losses = np.append(runs["free"].losses, np.nan)
events = {}
for name in runs:
    chosen = slice(FIRST, LAST + 1)
    values = np.append(runs[name].losses, np.nan)[chosen]
    norm = np.append(np.linalg.norm(runs[name].gradient_norms, axis=1), np.nan)[chosen]
    events[name] = plr.detect_bifurcations(
        kept[name].models[chosen], 1, steps=kept[name].steps[chosen], losses=values,
        gradient_norms=norm, progress=QUIET,
    )  # fmt: skip
print(events["free"])
figure = plr.plot.bifurcations(events["free"], kept["free"].models[FIRST : LAST + 1])

# %%
ratio = losses[1:] / losses[:-1]
for update in np.flatnonzero(ratio[:EPOCHS] > 3.0):
    here = events["free"][events["free"].step.astype(int) == update]
    print(f"update {update}: the loss grows {ratio[update]:.1f}-fold")
    for one in here[here.attractor != 0]:
        kind = plr.COLLISION(int(one.subtype[0])) or plr.BIFURCATION(int(one.kind[0]))
        print(f"    step {one.step[0]:.9f}: {kind}, stable fixed points {one.attractor[0]:+d}")
for name, one in events.items():
    print(f"{name}: {len(one)} events, {np.count_nonzero(one.attractor)} of stable fixed points")

# %% [markdown]
# ## What holds, and what does not
#
# - The jumps coincide with fixed points that appear in a fold, attract for half a step and are
#   gone. `benchmarks/loss_jumps` counts over 20 starts: 40 % of the jumps carry such an event, 1.4
#   % of the other updates do; matched by the length of the update it is 40 % against 4 %. It is an
#   association: 60 % of the jumps lose or gain no stable fixed point.
# - With forcing the loss does not jump, as in the paper. It does not keep clear of bifurcations
#   here: forced networks, which learn, cross more of them.
# - Cycles are followed, not invariant circles or chaos: `plr.find_attractors` tells these apart,
#   and `benchmarks/lorenz_audit` shows what that is good for.
