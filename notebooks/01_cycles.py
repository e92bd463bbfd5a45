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
# # Every cycle of a ReLU network
#
# The mathematics in ten lines:
#
# 1. A network with $M$ states and $H$ ReLU units is the map
#    $F(z) = A z + W_1\,\mathrm{relu}(W_2 z + h_2) + h_1$.
# 2. The hyperplanes $W_{2,i}\, z + h_{2,i} = 0$ cut the state space into linear subregions, named
#    by the pattern $D \in \{0,1\}^H$ of the units that are on.
# 3. Inside a subregion $F(z) = J_D z + c_D$, with $J_D = A + W_1 \mathrm{diag}(D) W_2$.
# 4. A *word* $w = (D_1, \dots, D_k)$ has one affine $k$-step map $F_w(z) = P z + c$,
#    $P = J_{D_k} \cdots J_{D_1}$.
# 5. Its *candidate* is the solution of $(I - P)\, z_1 = c$.
# 6. The candidate is a $k$-cycle exactly if its orbit visits the subregions $D_1, \dots, D_k$ in
#    turn (the word is *admissible*) and $w$ does not repeat a shorter word; else it is *virtual*.
# 7. So a cycle *is* its word, up to rotation: there are at most $2^{Hk}$ to try, far too many.
# 8. SCYFI (Eisenmann et al. 2023) instead replaces $w$ by the itinerary of the orbit of its
#    candidate until $w$ repeats itself: a Newton method on $F^k(z) = z$. Where it gets stuck,
#    `plrjax` follows piecewise-linear curves of $F^k(z) = z$ with an added perturbation.
# 9. The eigenvalues of $P$ are the Floquet multipliers: all inside the unit circle means stable,
#    some outside means saddle, all outside means unstable.
# 10. A multiplier on the circle, or a point on a switching boundary, is where bifurcations happen.
#
# **The figure at the end** is the scaling figure of Eisenmann, Monfared, Göring and Durstewitz,
# *Bifurcations and loss jumps in RNN training*, NeurIPS 2023: how many candidates are tried until
# the cycles are found, against exhaustive search.

# %%
import os

import jax.random as jr
import matplotlib.pyplot as plt
import numpy as np

import plrjax as plr

REDUCED = os.environ.get("PLRJAX_REDUCED") == "1"

# %% [markdown]
# ## Your network in three lines
#
# The embedded example is a shallow PLRNN ($M = 2$, $H = 20$) trained on 5,500 points of the Hénon
# map; `plr.load("network.mat")` reads your own.

# %%
model = plr.example_network()
cycles = plr.find_cycles(model, periods=range(1, 11), key=jr.key(0))
cycles

# %% [markdown]
# The table says per period how many cycles there are, how stable they are, and what "all" may
# claim. The Hénon map itself has 2, 1, 0, 1, 0, 2, 4, 7, 6 and 10 cycles of these periods. A
# `CycleSet` is a flat struct of arrays, so a mask selects:

# %%
fixed_points = cycles[cycles.period == 1]
for row in range(len(fixed_points)):
    stability = plr.STABILITY(int(fixed_points.stability[row]))
    moduli = np.abs(fixed_points.multipliers[row])
    print(f"{stability!s:>8}  z = {fixed_points.orbit(row)[0].round(4)}  |multipliers| = {moduli}")

# %%
_ = plr.plot.portrait(cycles, model)

# %% [markdown]
# ## A stable and an unstable 16-cycle
#
# A two-dimensional PLRNN, $F(z) = A z + W\,\mathrm{relu}(z) + h$, one of the public test systems of
# the SCYFI authors. A stable 16-cycle and a saddle 16-cycle lie side by side around an unstable
# fixed point.


# %%
def planar(A, w12, w21, h):
    """Return the two-dimensional PLRNN with W = [[0, w12], [w21, 0]]."""
    return plr.from_arrays("plrnn", A=A, W=[[0.0, w12], [w21, 0.0]], h=h)


sixteen = planar([0.8377689, 0.96461297], -0.64375, 0.52505308, [0.37298253, -0.97931491])
found = plr.find_cycles(sixteen, periods=[1, 15, 16], key=jr.key(0))
found

# %%
ax = plr.plot.cycles(found, sixteen)
_ = ax.set_title("A = diag(0.838, 0.965): stable and saddle 16-cycle")

# %% [markdown]
# Their Floquet multipliers, seen against the unit circle, are what makes one of them stable:

# %%
_ = plr.plot.multipliers(found)

# %% [markdown]
# ## How many candidates until all cycles are found?
#
# Test systems in two dimensions whose cycles of period $k$ are known. We count candidate
# evaluations (solutions of $(I - P)\, z_1 = c$) until the last cycle of that period is found, as if
# the walks ran one after another, over several keys. The paper compares with exhaustive search that
# draws words at random without replacement and needs on average
# $E[n] = (2^{Mk} + 1) / (\#\mathrm{cycles} + 1)$ draws. That is the mean draw of the *first* cycle,
# if each cycle is one word; until all are found it takes $\#\mathrm{cycles}$ times as many.

# %%
OTHER_H = [0.37298253, -0.77931491]
H = [0.37298253, -0.97931491]
SLOW = [0.9777689, 0.96461297]
SYSTEMS = [  # period, number of cycles of this period, network
    (1, 1, planar([0.7, -0.7], -0.14375, 0.52505308, H)),
    (16, 2, sixteen),
    (31, 2, planar(SLOW, -0.14375, 1.17505308, H)),
    (32, 2, planar(SLOW, -0.14375, 1.32505308, H)),
    (33, 2, planar(SLOW, -0.14375, 1.32505308, H)),
    (65, 2, planar(SLOW, -0.14375, 1.32505308, H)),
    (80, 2, planar(SLOW, -0.14375, 0.52505308, OTHER_H)),
]
NUM_KEYS = 3 if REDUCED else 20


def evaluations(model, period, number, seed):
    """Return the candidate evaluations until `number` cycles are found, inf if they are not."""
    result = plr.find_cycles(
        model, period, key=jr.key(seed), solver=plr.SCYFI(), progress=plr.NoProgress()
    )
    first_found = np.asarray(result.stats["first_found"][period])
    return float(first_found.max()) if len(first_found) >= number else np.inf


periods = np.array([period for period, _, _ in SYSTEMS])
counts = np.array(
    [[evaluations(net, k, number, seed) for seed in range(NUM_KEYS)] for k, number, net in SYSTEMS]
)
exhaustive = np.array([(2.0 ** (2 * k) + 1) / (number + 1) for k, number, _ in SYSTEMS])
published = 1.905 + 0.0294 * periods

print("period  median    min    max   published law   exhaustive E[n]")
for k, row, law, brute in zip(periods, counts, published, exhaustive):
    print(
        f"{k:6d} {np.median(row):7.0f} {row.min():6.0f} {row.max():6.0f} {law:15.2f} {brute:17.3g}"
    )
slope, offset = np.polyfit(periods, np.median(counts, axis=1), 1)
print(f"straight line through our medians: {offset:.2f} + {slope:.3f} k")

# %% [markdown]
# In dimension $M$ we take fixed points of random networks that have some, where enumeration gives
# the truth.


# %%
def random_network(size, seed, gain=1.5):
    """Return a PLRNN with A = 0.5, normal off-diagonal W of spectral radius about `gain`."""
    rng = np.random.default_rng([size, seed])
    W = gain / np.sqrt(size) * rng.normal(size=(size, size))
    np.fill_diagonal(W, 0.0)
    return plr.from_arrays("plrnn", A=np.full(size, 0.5), W=W, h=rng.normal(size=size))


def fixed_point_searches(size, number):
    """Yield (number of fixed points, evaluations until all are found) of `number` networks."""
    seed = 0
    while number:
        net = random_network(size, seed)
        truth = plr.find_cycles(net, 1, solver=plr.Exhaustive(), progress=plr.NoProgress())
        if len(truth):
            number -= 1
            yield len(truth), evaluations(net, 1, len(truth), seed)
        seed += 1


sizes = np.array([2, 4, 6] if REDUCED else [2, 4, 6, 8, 10, 12])
per_size, brute_force = [], []
for size in sizes:
    fixed, tried = np.array(list(fixed_point_searches(size, 2 if REDUCED else 20))).T
    per_size.append(np.median(tried))
    brute_force.append(np.median((2.0**size + 1) / (fixed + 1)))
    print(
        f"M = {size:2d}: {int(fixed.sum()):3d} fixed points in {len(tried)} networks, "
        f"median {per_size[-1]:.0f} evaluations, all found in {np.isfinite(tried).sum()} networks"
    )

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
low, high = np.quantile(counts, [0.25, 0.75], axis=1, method="nearest")
left.fill_between(periods, low, high, color="#0072B2", alpha=0.2, lw=0)
left.plot(
    periods,
    np.median(counts, axis=1),
    "o-",
    color="#0072B2",
    label="plrjax, until all (median, quartiles)",
)
left.plot(periods, published, "^--", color="#009E73", label="law of Eisenmann et al. 2023")
left.plot(periods, exhaustive, "s:", color="#D55E00", label="exhaustive, until the first: E[n]")
left.set(xlabel="period $k$ (M = 2)", ylabel="candidates tried", yscale="log", ylim=(0.8, 1e12))
left.legend(fontsize="small")
right.plot(sizes, per_size, "o-", color="#0072B2", label="plrjax, until all (median)")
right.plot(sizes, brute_force, "s:", color="#D55E00", label="exhaustive, until the first: E[n]")
right.set(xlabel="number of states $M$ (k = 1)", ylabel="candidates tried", yscale="log")
right.legend(fontsize="small")
_ = figure.suptitle("Candidates tried until the cycles are found")

# %% [markdown]
# **How ours compares.** Exhaustive search grows exponentially in $M k$: $10^{47}$ words at
# $k = 80$. The walk needs tens to hundreds of candidates, all cycles included. It lies above the
# published straight line $1.905 + 0.0294\, k$, which holds for the paper's own test set (periods
# to 50) and its way of counting; we count every candidate of every walk, also of the walks that
# fail, until the last cycle.
