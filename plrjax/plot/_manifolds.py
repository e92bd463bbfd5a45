"""Plots of invariant manifolds."""

from .._arguments import check_kind
from ..manifolds import Manifold
from ._common import BLUE, RED, legend, new_axes

_STYLES = {"stable": (BLUE, "-"), "unstable": (RED, "-")}


def manifold(*found: Manifold, axes: tuple[int, int] = (0, 1), ax=None):
    """Draw manifolds over two states, stable ones blue, unstable ones red; return the Axes.

    Corners are exact and pieces between them straight. The cycle is a black dot.

    ```python
    plr.plot.manifold(stable, unstable)
    ```

    **Arguments:** `found`: what `stable_manifold` and `unstable_manifold` returned; `axes`: the two
    states; `ax`: Axes to draw into, by default new ones.

    **Raises:** `ValueError` for states that there are not; `ImportError` without matplotlib.
    """
    from matplotlib.collections import LineCollection

    ax = new_axes(size=(7.4, 4.8)) if ax is None else ax
    named = set()
    for one in found:
        check_kind("found", one, Manifold, "a Manifold")
        size = one.orbit.shape[1]
        if len({*axes}) != 2 or not all(0 <= axis < size for axis in axes):
            raise ValueError(f"axes: expected two states from 0 to {size - 1}, got {axes}")
        color, style = _STYLES[one.kind]
        label = None if one.kind in named else f"{one.kind} manifold"
        named.add(one.kind)
        ends = one.segments[:, :, list(axes)]
        lines = LineCollection(list(ends), colors=color, linestyles=style, lw=0.9, label=label)
        ax.add_collection(lines)
        ax.plot(*one.orbit[:, list(axes)].T, "o", color="black", ms=5, zorder=4)
    ax.autoscale_view()
    ax.set_xlabel(f"state $z_{{{axes[0] + 1}}}$")
    ax.set_ylabel(f"state $z_{{{axes[1] + 1}}}$")
    legend(ax)
    return ax
