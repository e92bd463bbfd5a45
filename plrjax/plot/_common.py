"""What all plots share: matplotlib on first use, colors, axes, legends."""

import importlib.util

from .._results import STABILITY

# Okabe and Ito's palette: distinct under the common color vision deficiencies. Shape, hatching or
# line style repeat the information for print without color.
BLUE, ORANGE, RED, GREEN, PINK = "#0072B2", "#E69F00", "#D55E00", "#009E73", "#CC79A7"
STABILITY_COLORS = {
    STABILITY.stable: BLUE,
    STABILITY.saddle: ORANGE,
    STABILITY.unstable: RED,
    STABILITY.nonhyperbolic: PINK,
    STABILITY.undecided: "0.45",
}


def require_matplotlib() -> None:
    """Raise the `ImportError` that names the extra, without importing matplotlib."""
    if importlib.util.find_spec("matplotlib") is None:
        raise ImportError("plots need matplotlib: pip install 'plrjax[plot]'")


def bare_figure():
    """Return a figure that no window and no global state knows about (for files)."""
    require_matplotlib()
    from matplotlib.figure import Figure

    return Figure(figsize=(11, 6), layout="constrained")


def new_figure(width: float = 6.4, height: float = 4.8):
    """Return a new figure of pyplot's, of a size in inches."""
    require_matplotlib()
    import matplotlib.pyplot as plt

    return plt.figure(figsize=(width, height), layout="constrained")


def new_axes(dimensions: int = 2, size: tuple[float, float] | None = None):
    """Return the Axes of a new figure, of a size in inches."""
    require_matplotlib()
    import matplotlib.pyplot as plt

    projection = "3d" if dimensions == 3 else None
    _, ax = plt.subplots(layout="constrained", figsize=size, subplot_kw={"projection": projection})
    return ax


def legend(ax, above: bool = False):
    """Draw a legend beside the Axes (or above), never on data, and return it; None of nothing."""
    if not ax.get_legend_handles_labels()[1]:
        return None
    place = dict(loc="upper left", bbox_to_anchor=(1.02, 1.0))
    if above:
        place = dict(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=2)
    return ax.legend(fontsize="small", frameon=False, **place)
