"""Draw scores against the interval and the strength of forcing, or against training.

First `python -m benchmarks.reconstruction intervals alphas baselines --out sweep.json`, then
`python -m benchmarks.sweep sweep.json sweep.png`. The numbers of a single protocol, such as
`reconstruction ecg --early 10`, are drawn against training.
"""

import argparse
import json
import re
from pathlib import Path

import numpy as np

import plrjax as plr
from benchmarks.protocols import AHEAD

BASELINES = {"BPTT clipped": ("#D55E00", "-."), "BPTT, windows of 30": ("#009E73", "--")}


def curve(rows: list[dict], pattern: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the parameters of the runs whose names fit, and D_stsp "parameter seed"."""
    found = [(re.fullmatch(pattern, row["protocol"]), row) for row in rows]
    kept = [(float(m[1]), row["runs"]["state_space_divergence"]) for m, row in found if m]
    parameters, scores = zip(*sorted(kept))
    return np.array(parameters), np.array(scores, float)


def draw_training(figure, row: dict) -> None:
    """Draw the three scores of one protocol against updates."""
    figure.set_size_inches(10, 3)
    labels = (r"$D_\mathrm{stsp}$ (nats)", "$D_H$", "$PE(20)$")
    floors = [row["floor"][name] for name in ("state_space_divergence", "power_spectrum_error")]
    for column, (ax, label) in enumerate(zip(figure.subplots(1, 3), labels), start=1):
        for seed, curve in zip(row["seeds"], np.array(row["curves"], float)):
            ax.plot(curve[:, 0] / 1000, curve[:, column], "o-", ms=4, label=f"key {seed}")
        if column <= len(floors):
            ax.axhline(floors[column - 1], color="k", ls=":", label="split-half")
        ax.set(yscale="log", xlabel="thousand updates", ylabel=label)
        ax.legend(fontsize="small")


def draw_sweep(figure, rows: list[dict]) -> None:
    """Draw D_stsp against tau and against alpha, side by side."""
    figure.set_size_inches(10, 4)
    left, right = figure.subplots(1, 2, sharey=True)
    for ax, pattern in ((left, r"STF\((\d+)\)"), (right, r"GTF\(([\d.]+)\)")):
        parameters, scores = curve(rows, pattern)
        places = parameters if ax is left else np.arange(len(parameters))
        ax.plot(places, np.median(scores, axis=1), "o-", color="#0072B2", label="median")
        ax.plot(places, scores, ls="", marker="_", ms=9, color="0.45")
        ax.plot([], [], ls="", marker="_", ms=9, color="0.45", label="single networks")
        for name, (color, line) in BASELINES.items():
            level = next(r for r in rows if r["protocol"] == name)["median"]
            ax.axhline(level["state_space_divergence"], color=color, ls=line, lw=1.3, label=name)
        ax.axhline(
            rows[0]["floor"]["state_space_divergence"], color="k", ls=":", label="split-half"
        )
        ax.set(yscale="log", xscale="log" if ax is left else "linear")
        ax.set_xticks(places, [f"{x:g}" for x in parameters])
        ax.minorticks_off()
    left.set(xlabel=r"interval $\tau$ (steps)", ylabel=r"$D_\mathrm{stsp}$ (nats)")
    left.axvline(AHEAD, color="0.5", lw=1.2)
    above = left.get_xaxis_transform()
    left.text(AHEAD, 1.01, r"$\tau_\mathrm{pred}$", ha="center", transform=above)
    right.set(xlabel=r"strength $\alpha$ of generalized forcing")
    handles = left.get_legend_handles_labels()
    figure.legend(*handles, fontsize="small", loc="outside lower center", ncols=5)
    left.set_title("sparse forcing", loc="left")
    right.set_title("generalized forcing", loc="left")


def main() -> None:
    """Draw both sweeps side by side, or one protocol against training."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("numbers")
    parser.add_argument("figure")
    given = parser.parse_args()
    rows = json.loads(Path(given.numbers).read_text())
    figure = plr.plot.bare_figure()
    if len(rows) == 1:
        draw_training(figure, rows[0])
    else:
        draw_sweep(figure, rows)
    figure.savefig(given.figure, dpi=110)


if __name__ == "__main__":
    main()
