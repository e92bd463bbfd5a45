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
# # All cycles, with a proof
#
# The mathematics in ten lines:
#
# 1. A network with $H$ ReLU units is affine in each linear subregion, so a $k$-cycle *is* its word
#    of $k$ letters with $H$ bits each, up to rotation. There are $2^{Hk}$ words, far too many.
# 2. Of the rotations of a word exactly one is the least (a *Lyndon word*), and what least rotations
#    begin with is told bit by bit. So words form a tree, in which every cycle is met once.
# 3. The $z_1$ whose orbits stay in the box $|z| \le R$ and have the signs so far form a polytope
#    $\{z : a_i z \le b_i\}$. The next bit adds a row; its boundary belongs to both sides.
# 4. *Farkas*: if $\sum \lambda_i b_i + R\,|\sum \lambda_i a_i|_1 < 0$ for some $\lambda \ge 0$, the
#    polytope is empty and the branch ends. Any $\lambda$ will do: floats propose it, and balls of
#    128 bits decide the inequality. What is not proven empty is searched on.
# 5. At the end of a word $(I - P) z = q$ is solved in rationals: the cycle exists exactly if its
#    orbit has the word's signs. Balls around the eigenvalues of $P$ prove the stability.
# 6. Where $I - P$ is singular and the equations have solutions all the same, there may be a
#    continuum of cycles. Such a period is not called certified.
# 7. *Outside the box*: put $z = u / s$, with $\pm 1$ the orbit's largest coordinate of $u$ and
#    $0 \le s \le 1/R$. If no word has a solution, every $k$-cycle lies in $|z| \le R$. Since every
#    $k \le K$ has a multiple in $(K/2, K]$, these periods are enough.
# 8. *Lefschetz*: where the map at infinity decides it, the indices $\mathrm{sign} \det(I - DF^k)$
#    of all solutions of $F^k(z) = z$ have a known sum. It exposes missing cycles, no more.
# 9. *Entropy*: let $T$ be the graph of words of a fixed length that can recur, $\rho$ its spectral
#    radius. Isolated solutions of $F^k(z) = z$ are at most $\mathrm{tr}(T^k)$, so they grow no
#    faster than $\rho^k$. Neither does the topological entropy exceed $\log \rho$: on the points
#    with one word of length $n$ the map $z \mapsto (z, F z, \dots, F^n z)$ is affine and bounded by
#    $R$, so at most $(1 + 4R/\varepsilon)^M$ of them are told apart at scale $\varepsilon$,
#    whatever $n$.
# 10. The proof is a file, and a checker that does not search goes through it again.
#
# **The figure** is the one of cycles in the state space of a two-dimensional PLRNN by which
# Eisenmann, Monfared, Göring and Durstewitz (*Bifurcations and loss jumps in RNN training*, NeurIPS
# 2023) show what their heuristic SCYFI finds; the network is one of their public test systems. The
# cycles are the same, one fixed point and two 16-cycles. New is that there are no others:
# enumeration could say so of short periods only; here it is proven for all periods to 16, in the
# whole plane.

# %%
import hashlib
import json
import os
import pathlib
import tempfile

import jax.random as jr
import matplotlib.pyplot as plt
import numpy as np

import plrjax as plr

REDUCED = os.environ.get("PLRJAX_REDUCED") == "1"
QUIET = plr.NoProgress()
BLUE, RED, GREEN = "#0072B2", "#D55E00", "#009E73"


def all_cycles(model, longest, **options):
    """Return the cycles of all periods up to `longest` by branch and bound."""
    solver = plr.BranchAndBound(**options)
    return plr.find_cycles(model, range(1, longest + 1), solver=solver, progress=QUIET)


def nonzero(counts):
    return {k: number for k, number in counts.items() if number}


# %% [markdown]
# ## The network with two 16-cycles
#
# The first call compiles; the second one is the one to time.

# %%
planar = plr.from_arrays(
    "plrnn",
    A=[0.8377689000000008, 0.96461297],
    W=[[0.0, -0.6437499999999996], [0.52505308, 0.0]],
    h=[0.37298253000000087, -0.97931491],
)
folder = tempfile.TemporaryDirectory()
file = pathlib.Path(folder.name) / "planar.json"
all_cycles(planar, 2, rigorous=True)
sixteen = all_cycles(planar, 16, rigorous=True, certificate=file)
print(nonzero(sixteen.counts()), "coverage:", sixteen.coverage, "over", sixteen.coverage_domain)
print(f"{sixteen.stats['nodes'][16]} letters met, of {2**32:,} words of period 16 alone,")
print(f"{sixteen.stats['programs'][16]} linear programs, {sixteen.stats['unproved'][16]} unproved")
for row in range(len(sixteen)):
    moduli = np.abs(sixteen.multipliers[row])
    kind = plr.STABILITY(int(sixteen.stability[row]))
    bound = sixteen.error_bound[row]
    print(
        f"period {sixteen.period[row]:2d}  {kind!s:8s}  |multipliers| {moduli}  error < {bound:.0e}"
    )

# %%
_ = plr.plot.portrait(sixteen, planar)

# %% [markdown]
# The longest cycles of the public test systems have period 80. Here the search runs in floating
# point; a proof takes longer.

# %%
slow = plr.from_arrays(
    "plrnn",
    A=[0.9777689, 0.96461297],
    W=[[0.0, -0.14375], [0.52505308, 0.0]],
    h=[0.37298253, -0.779314909999999],
)
eighty = all_cycles(slow, 40 if REDUCED else 80)
print(nonzero(eighty.counts()), "coverage:", eighty.coverage, "over", eighty.coverage_domain)
print(f"{max(eighty.stats['nodes'].values()):,} letters; words of period 80: {2.0**160:.1e}")

# %% [markdown]
# ## A chaotic network with three units
#
# A random one. Its largest Lyapunov exponent says that orbits are chaotic; the cycles are what the
# attractor is woven around. All to period 10 with a proof, all to 20 in floating point.


# %%
def random_network(seed, size, gain=3.0, low=-0.5, high=0.5):
    """Return a PLRNN with A uniform in [low, high] and Gaussian W of spectral radius about gain."""
    draw = np.random.default_rng(seed)
    W = gain * draw.standard_normal((size, size)) / np.sqrt(size)
    np.fill_diagonal(W, 0.0)
    A = draw.uniform(low, high, size)
    return plr.from_arrays("plrnn", A=A, W=W, h=draw.standard_normal(size))


chaos = random_network([868, 3, 1], 3, low=-0.3, high=0.9)
proven = all_cycles(chaos, 6 if REDUCED else 10, rigorous=True)
LONGEST = 12 if REDUCED else 20
complete = all_cycles(chaos, LONGEST)
spectrum = plr.lyapunov_spectrum(
    chaos, [0.1] * 3, num_steps=200 if REDUCED else 2000, key=jr.key(0), progress=QUIET
)
print(proven)
print(f"to period {LONGEST}: {len(complete)} cycles, {complete.coverage}, over", end=" ")
print(complete.coverage_domain)
print(f"largest Lyapunov exponent {spectrum.exponents[0]:.4f} per step")
assert all(complete.counts()[k] == number for k, number in proven.counts().items())

# %%
_ = plr.plot.portrait(proven, chaos, axes=(0, 1))

# %% [markdown]
# How fast do cycles become more? For $N_k$ solutions of $F^k(z) = z$, $\limsup \frac1k \ln N_k$ is
# not above the bound of line 9; a single $k$ may be. The Lyapunov exponent is what Pesin's formula
# would give as a lower bound of the entropy; whether its conditions hold is not shown here.

# %%
counts = complete.counts()
periods = np.array(list(counts))
fixed = np.array([sum(d * counts[d] for d in periods if k % d == 0) for k in periods])
bound = complete.stats["entropy_bound"][LONGEST]
figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained")
left.bar(periods, list(counts.values()), color=BLUE)
left.set(xlabel="period $k$", ylabel="number of $k$-cycles", xticks=periods[1::2])
right.plot(periods, np.log(fixed) / periods, "o-", color=BLUE, label=r"$\ln\,N_k\;/\;k$")
right.axhline(bound, color=RED, ls="--", label=rf"bound from words: {bound:.3f}")
exponent = spectrum.exponents[0]
right.axhline(exponent, color=GREEN, ls=":", label=f"Lyapunov exponent {exponent:.3f}")
right.set(xlabel="period $k$", ylabel="nats per step", ylim=(0, None), xticks=periods[1::2])
_ = right.legend(fontsize="small")

# %% [markdown]
# ## What a heuristic misses
#
# SCYFI's walks on the same network, with several keys, and walks followed by paths (`Auto` without
# the complete search).

# %%
WALKED = (1, 11) if REDUCED else range(1, 17)
KEYS, PATH_KEYS = (2, 0) if REDUCED else (10, 2)
walks = [
    plr.find_cycles(chaos, WALKED, solver=plr.SCYFI(), key=jr.key(seed), progress=QUIET)
    for seed in range(KEYS)
]
last = max(WALKED)
paths = [
    plr.find_cycles(chaos, last, solver=plr.Auto(complete=False), key=jr.key(seed), progress=QUIET)
    for seed in range(PATH_KEYS)
]
found = np.array([[walk.counts()[k] for k in WALKED] for walk in walks])
truth = np.array([counts[k] for k in WALKED])
one = walks[0]
print("walks, key 0:", len(one), "of", truth.sum(), "cycles, coverage:", one.coverage)

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(11, 3.8), layout="constrained")
bars = [walk.counts()[last] for walk in walks] + [len(path) for path in paths]
left.bar(range(KEYS), bars[:KEYS], color=BLUE, label="walks (SCYFI)")
left.bar(range(KEYS, len(bars)), bars[KEYS:], color=GREEN, label="walks, then paths")
left.axhline(counts[last], color=RED, ls="--", label=f"all: {counts[last]}")
left.set_xticks(range(len(bars)), [*range(KEYS), *range(PATH_KEYS)])
left.set(xlabel="key", ylabel=f"{last}-cycles found", ylim=(0, 1.35 * counts[last]))
left.legend(fontsize="small", ncols=3, loc="upper left")
place = np.arange(len(truth))
right.bar(place, truth, color="0.85", label="all")
low, middle, high = np.quantile(found, [0.0, 0.5, 1.0], axis=0)
right.bar(place, middle, width=0.5, color=BLUE, label="walks, median over keys")
right.errorbar(place, middle, [middle - low, high - middle], fmt="none", color="black", capsize=2)
right.set_xticks(place, list(WALKED))
right.set(xlabel="period $k$", ylabel="number of $k$-cycles")
_ = right.legend(fontsize="small")

# %% [markdown]
# Walks settle and call themselves *saturated*: nothing new appeared. They find what is easy over
# and over, so neither repetition nor the missing mass (of *their* draws) tells. The index sum does,
# where it is off. With paths no 16-cycle is missed here, at many times the cost; but only the
# complete search tells that this is so. For the complete set the sum is 1 in every period:

# %%
everything = [complete.index_sum(k) for k in WALKED]
seen = [one.index_sum(k) for k in WALKED]
print("period     ", *(f"{k:3d}" for k in WALKED))
print("all cycles ", *(f"{value:3d}" for value in everything))
print("walks      ", *(f"{value:3d}" for value in seen))
blind = [k for k, n, m, s in zip(WALKED, truth, found[0], seen) if m < n and s == 1]
print("cycles are missing, and the sum does not show it: periods", *blind or ["none"])

# %% [markdown]
# ## The certificate
#
# A certificate lists the cycles and how every other word is excluded. `plr.verify` goes through it
# in exact and ball arithmetic, and does not search.

# %%
print(f"{file.stat().st_size / 1024:.0f} KiB")
print(plr.verify(planar, file))


# %% [markdown]
# Change one number, and it is refused: by its hash, and if the hash is made anew, by the proof.


# %%
def resealed(data):
    """Return the text of a certificate with a hash that fits."""
    data = {name: value for name, value in data.items() if name != "SHA256"}
    body = json.dumps(data, sort_keys=True, separators=(",", ":"))
    return f'{{"SHA256":"{hashlib.sha256(body.encode()).hexdigest()}",{body[1:]}'


def verdict(text, model=planar):
    """Return what `verify` says of a text."""
    altered = file.with_name("altered.json")
    altered.write_text(text)
    try:
        return f"accepted: {nonzero(plr.verify(model, altered).counts())}"
    except ValueError as error:
        return "refused: " + str(error).split("refused: ")[1]


text = file.read_text()
fresh = lambda: json.loads(text)
assert resealed(fresh()) == text

data = fresh()
data["cycles"][0]["points"][0][0] = np.nextafter(data["cycles"][0]["points"][0][0], 2)
print("a point moved, hash kept:           ", verdict(json.dumps(data, separators=(",", ":"))))
print("a point moved in its last bit:      ", verdict(resealed(data)))
data = fresh()
del data["cycles"][-1]
print("a cycle left out:                   ", verdict(resealed(data)))
data = fresh()
data["tree"][""][50] += 1
print("one step of the proof changed:      ", verdict(resealed(data)))
moved = plr.from_arrays("plrnn", A=planar.A, W=planar.W, h=np.nextafter(planar.h, 1.0))
print("a network that differs in last bits:", verdict(text, moved))

# %% [markdown]
# ## Proving what a heuristic found
#
# `plr.certify` takes cycles from anywhere. That they exist, with this period and stability, is then
# proven. That there are no others is not, and `coverage` stays what it was:

# %%
sure = plr.certify(chaos, one, progress=QUIET)
print(f"existence proven: {sure.proven_existence.sum()} of {len(sure)},", end=" ")
print(f"stability proven: {sure.proven_stability.sum()}")
print(f"coverage: {sure.coverage}, with {truth.sum() - len(sure)} cycles missing")
print(f"largest proven error of a point: {sure.error_bound.max():.1e}")

# %% [markdown]
# Not everything can be proven, because not everything is true. The tent map $z' = 1 - |z|$ has a
# continuum of 2-cycles around its fixed point, all with the same word. Float arithmetic names one:

# %%
tent = plr.PiecewiseAffineMap([[1.0]], [[-2.0]], [[1.0]], [1.0], [0.0])
named = plr.find_cycles(tent, [1, 2], solver=plr.Exhaustive(), progress=QUIET)
tried = plr.certify(tent, named, progress=QUIET)
for row in range(len(tried)):
    exists = "proven" if tried.proven_existence[row] else "not proven"
    print(f"period {tried.period[row]}: z = {tried.orbit(row).ravel()}, existence {exists}")
claims = all_cycles(tent, 2, rigorous=True)
print("complete search:", {k: str(claim) for k, claim in claims.coverage_by_period.items()})
print(*(note for note in tried.notes if note.startswith("certify")), sep="\n")
print(*(note for note in claims.notes if "not certified" in note), sep="\n")

# %% [markdown]
# ## Where it breaks
#
# Random PLRNNs with 2 to 6 states, strongly coupled, three of each, periods to 20, and a limit of
# 50,000 letters: up to which period is everything settled, and where?

# %%
print("states  cycles found, all of them to period K (-: there may be some outside the box)")
NODES = 3_000 if REDUCED else 50_000
for size in range(2, 5 if REDUCED else 7):
    line = []
    for seed in range(3):
        result = all_cycles(random_network([seed, size], size), 20, method="words", max_nodes=NODES)
        settled = [
            k for k, claim in result.coverage_by_period.items() if claim > plr.COVERAGE.saturated
        ]
        domain = "" if result.coverage_domain == "all of R^M" else " -"
        line.append(f"{len(result):3d}  K = {max(settled, default=0)}{domain}")
    print(f"{size:6d}  ", *(f"{entry:16s}" for entry in line))

# %% [markdown]
# What fails there is the proof that there is nothing outside. In a box of one's own choice more
# states are possible, for short periods (boxes of closed orbits, in floating point):

# %%
for size in [6] if REDUCED else [8, 10, 12]:
    result = plr.find_cycles(
        random_network([1, size], size),
        range(1, 4),
        solver=plr.BranchAndBound(box=100.0, method="closed"),
        progress=QUIET,
    )
    print(f"{size} states: {result.counts()}, {result.coverage} in {result.coverage_domain}")

# %% [markdown]
# Networks trained on data are within reach too where their steps are long, as those of the embedded
# one, which has learned the Hénon map. Where steps are short, words hardly separate: of a network
# trained on Lorenz-63 (3 states, 50 clipped units, each two ReLUs) the fixed points were all found,
# but in our runs period 2 was not settled within a minute and a half.

# %%
trained = plr.find_cycles(
    plr.example_network(), range(1, 11), solver=plr.BranchAndBound(), progress=QUIET
)
print(trained)

# %% [markdown]
# - What counts is how many words of two letters there are, and how fast longer ones separate. Long
#   periods are possible to about five states; with more, or many units, only fixed points and short
#   cycles. Beyond that the default `Auto` goes on with walks and paths, which prove nothing.
# - Where the box cannot be proven within the budget, the result is complete *in the box that it
#   names*, not everywhere. The linear parts of the network at infinity decide how hard that is.
# - Families of cycles (a multiplier that is a root of unity) are never called certified.
# - In floating point, linear programs are relaxed outward by $10^{-9}$. That is no proof;
#   `rigorous=True` is, at ten to thirty times the cost.
