"""Plots of invariant manifolds."""

import numpy as np

from ..manifolds import Connections, Manifold
from ._common import BLUE, RED, legend, new_axes

_COLORS = {"stable": BLUE, "unstable": RED}


def manifold(*found: Manifold | Connections, axes: tuple[int, ...] | None = None, ax=None):
    """Draw manifolds, stable ones blue, unstable ones red; return the Axes.

    Corners are exact, pieces between them straight or flat. The cycle is a black dot, the
    shortest homoclinic orbit of each white ones. Over two states, or three where one is a surface.

    ```python
    plr.plot.manifold(stable, unstable)
    ```

    **Arguments:** `found`: what `stable_manifold`, `unstable_manifold` and `connections` returned;
    `axes`: two or three states; `ax`: Axes to draw into, by default new ones (in 3-D for three).

    **Raises:** `ValueError` for states that there are not; `ImportError` without matplotlib.
    """
    parts = [one for one in found if isinstance(one, Manifold)]
    if not parts:
        raise ValueError("found: expected at least one Manifold")
    solid = any(one.dimension == 2 for one in parts)
    axes = tuple(range(3 if solid else 2)) if axes is None else tuple(axes)
    size = parts[0].orbit.shape[1]
    if len({*axes}) not in (2, 3) or not all(0 <= axis < size for axis in axes):
        raise ValueError(f"axes: expected two or three states from 0 to {size - 1}, got {axes}")
    if ax is None:
        ax = new_axes(len(axes), (7.4, 4.8 if len(axes) == 2 else 5.6))
    for number, one in enumerate(parts):
        again = one.kind in {earlier.kind for earlier in parts[:number]}
        label = None if again else f"{one.kind} manifold"
        ax.add_collection(_pieces(one, list(axes), _COLORS[one.kind], label))
        ax.plot(*one.orbit[:, list(axes)].T, "o", color="black", ms=5, zorder=4)
    label = "homoclinic orbit"
    for one in found:
        if isinstance(one, Connections) and len(one):
            style = {"mfc": "white", "mec": "black", "mew": 0.8, "ms": 4.5, "zorder": 5}
            ax.plot(*one.paths[0][:, list(axes)].T, "o", label=label, **style)
            label = None
    for way, axis in zip("xyz", axes):
        getattr(ax, f"set_{way}label")(f"state $z_{{{axis + 1}}}$")
    _fit(ax, parts, list(axes))
    legend(ax)
    return ax


def _pieces(one: Manifold, axes: list[int], color: str, label: str | None):
    from matplotlib.collections import LineCollection, PolyCollection
    from mpl_toolkits.mplot3d.art3d import Line3DCollection, Poly3DCollection

    corners = [polygon[:, axes] for polygon in one.polygons]
    if one.dimension == 1:
        kind = LineCollection if len(axes) == 2 else Line3DCollection
        width = float(np.clip(30 / np.sqrt(len(one)), 0.3, 0.9))  # or many lines are one area
        over = 3 if one.kind == "unstable" else 2
        return kind(corners, colors=color, lw=width, zorder=over, label=label)
    kind = PolyCollection if len(axes) == 2 else Poly3DCollection
    return kind(corners, facecolors=color, edgecolors=color, lw=0.2, alpha=0.35, label=label)


def _fit(ax, found: list[Manifold], axes: list[int]) -> None:
    """Set the limits to what is drawn."""
    if len(axes) == 2:
        ax.autoscale_view()
        return
    corners = np.concatenate([one.corners[:, axes] for one in found])
    for way, low, high in zip("xyz", corners.min(axis=0), corners.max(axis=0)):
        getattr(ax, f"set_{way}lim")(low, high)
