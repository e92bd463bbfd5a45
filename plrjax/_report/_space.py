"""The part about state space: attractors, cycles and boundaries, flat and in three dimensions."""

from typing import Any

import numpy as np

from .._piecewise_affine import PiecewiseAffineMap, lower
from .._results import STABILITY
from ..attractors import basins
from ..cycles import CycleSet
from ..plot._basins import basins as draw_basins
from ..plot._cycles import draw_state_space
from ..plot._generated import _variable
from ..plot._orbits import Orbit, is_smooth, simulated_orbits
from ..plot._periods import period_colors
from ..plot._view import View, frame_of, view_of
from ._findings import Findings
from ._section import Section, Skipped, draw
from ._subject import Subject

_POINTS, _DATA_POINTS = 8_000, 4_000
"""Points of each orbit, and of the data, in the view that turns."""
_GRID, _WATCHED = 100, 512
"""Pixels along each side of the picture of basins, and steps measured of orbits without a cycle."""
_MOST_CYCLES, _MOST_PLANES = 300, 64
"""Cycles, and switching planes, in the view that turns."""
_SERIES = (80, 600)
"""Steps of each attractor that are drawn against time: of a map, and where steps are small."""
_SYMBOLS = {
    STABILITY.stable: "circle", STABILITY.saddle: "diamond", STABILITY.unstable: "square",
    STABILITY.nonhyperbolic: "cross", STABILITY.undecided: "x",
}  # fmt: skip


def space(subject: Subject, found: Findings, seconds: float) -> tuple[Section, Any]:
    """Return the part, and the view that turns as Plotly knows it (None below three states)."""
    cycles = found.cycles
    if cycles is None:
        raise Skipped("the search for cycles did not begin")
    map = lower(subject.model) if subject.is_piecewise_affine else subject.model
    if not found.orbits:
        found.orbits = simulated_orbits(cycles, map)
    points = found.cloud
    if points is None:
        points = cycles.points[~np.isnan(cycles.points).any(axis=-1)]
    if not len(points):
        raise Skipped("there are neither orbits that stay nor cycles to draw")
    part = Section("space", "State space")
    size = subject.model.state_size
    part.sentences.append(_said(size))
    views = _flat_views(size, points)
    for view in views:
        part.pictures.append(_picture(view, cycles, map, found.orbits, len(views) == 1))
    if size == 2 and found.starts is not None and isinstance(map, PiecewiseAffineMap):
        _add_basins(part, subject, found, seconds)
    _add_series(part, found.orbits)
    return part, None if size < 3 else scene(
        subject, found, cycles, map, view_of(None, size, points)
    )


def _said(size: int) -> str:
    if size == 1:
        return "One state: the map is drawn as its return map."
    if size <= 3:
        return "All states are drawn."
    return (
        f"Of {size} states the first three principal components of the orbits are drawn; states "
        "that look close may be far apart in the others."
    )


def _flat_views(size: int, points: np.ndarray) -> list[View]:
    if size <= 2:
        return [view_of(None, size, points)]
    whole = view_of(None, size, points)
    pairs = [[0, 1], [0, 2]]
    return [
        View(whole.matrix[:, p], whole.center, tuple(whole.labels[i] for i in p)) for p in pairs
    ]


def _picture(view: View, cycles: CycleSet, map, orbits: list[Orbit], alone: bool):
    names = " and ".join(view.labels[:2]).replace("$", "").replace("_", "").replace("{", "")
    names = names.replace("}", "").replace("state ", "")
    return draw(
        lambda figure: draw_state_space(figure.subplots(), cycles, map, orbits, view),
        f"Attractors and cycles against {names}",
        "Orbits on the attractors and cycles on or near them; color tells the period, the marker "
        "stability. Arrows point to cycles out of view.",
        "plr.plot.cycles(cycles, model, attractors=found)",
        (7.4, 4.4) if alone else (6.4, 4.0),
        wide=alone,
    )


def _add_basins(part: Section, subject: Subject, found: Findings, seconds: float) -> None:
    assert found.starts is not None
    low, high = found.starts.low.tolist(), found.starts.high.tolist()
    image = basins(
        subject.plrnn, low=low, high=high, num=_GRID, key=subject.key, max_seconds=seconds,
        num_steps=_WATCHED, progress=subject.progress,
    )  # fmt: skip
    table = image.attractors
    found.ended(part, table.result, "the time ran out before all basins were known")
    part.code.append(
        f"image = plr.basins(model, low={low}, high={high}, num={_GRID}, key=key, "
        f"num_steps={_WATCHED})"
    )
    part.pictures.append(
        draw(
            lambda figure: draw_basins(image, ax=figure.subplots()),
            f"Basins of attraction over the plane of both states, {len(table)} colors",
            "Basins of attraction: where orbits from each state end.",
            "plr.plot.basins(image)",
            (6.4, 4.0),
        )
    )


def _add_series(part: Section, orbits: list[Orbit]) -> None:
    moving = [one for one in orbits if len(one.points) > 100]
    if not moving:
        return
    rows = min(3, moving[0].points.shape[1])
    steps = _SERIES[is_smooth(moving[0].points)]

    def make(figure):
        panels = np.atleast_1d(figure.subplots(rows, 1, sharex=True))
        for axis, ax in enumerate(panels):
            for one in moving:
                color = "0.35" if one.color == "0.62" else one.color
                style = dict(lw=1.0) if is_smooth(one.points) else dict(lw=0.5, marker=".", ms=2.5)
                ax.plot(one.points[:steps, axis], color=color, label=one.label, **style)
            ax.set_ylabel(_variable(axis).replace("x", "z"))
        panels[-1].set_xlabel("step")
        if len(moving) > 1:
            panels[0].legend(loc="lower left", bbox_to_anchor=(0, 1), fontsize="small",
                             frameon=False)  # fmt: skip

    part.pictures.append(
        draw(
            make,
            f"The first {rows} states against time on each attractor",
            f"{steps} steps on each attractor.",
            f"plr.trajectory(model, found.orbit(0)[-1], {steps})",
            (6.4, 0.8 + 1.1 * rows),
        )
    )


def scene(subject: Subject, found: Findings, cycles: CycleSet, map, view: View) -> dict[str, Any]:
    """Return traces and layout of the view that turns."""
    clouds = [view.of(one.points) for one in found.orbits]
    loops = [view.of(cycles.orbit(row)) for row in range(len(cycles))]
    frame = frame_of(clouds, loops)
    digits = int(np.clip(4 - np.floor(np.log10(max(frame.half.max(), 1e-12))), 0, 12))
    traces = []
    for one, cloud in zip(found.orbits, clouds):
        color = _hex(one.color)
        shown = cloud if len(cloud) <= _POINTS else cloud[:_POINTS]
        smooth = is_smooth(shown)
        look = (
            {"line": {"color": color, "width": 1.5}}
            if smooth
            else ({"marker": {"color": color, "size": 1.5}})
        )
        traces.append(_trace(shown, digits, mode="lines" if smooth else "markers", name=one.label,
                             hoverinfo="skip", **look))  # fmt: skip
    traces += _data_trace(subject, view, digits)
    traces += _cycle_traces(cycles, loops, frame.near, digits)
    if isinstance(map, PiecewiseAffineMap) and map.state_size == 3 and map.num_units:
        traces += _planes(map, frame, digits)
    axes = {
        f"{letter}axis": {"title": {"text": _plain(label)}, "range": [float(a), float(b)]}
        for letter, label, a, b in zip("xyz", view.labels, frame.low, frame.high)
    }
    far = int(np.count_nonzero(~frame.near))
    return {"data": traces, "layout": {"scene": {"aspectmode": "cube", **axes}}, "far": far}


def _trace(points: np.ndarray, digits: int, **more: Any) -> dict[str, Any]:
    columns = np.round(points, digits).T.tolist()
    return {"type": "scatter3d", **dict(zip("xyz", columns)), **more}


def _data_trace(subject: Subject, view: View, digits: int) -> list[dict[str, Any]]:
    data = subject.data
    if data is None or view.matrix.shape[0] != data.shape[1]:
        return []
    shown = view.of(data[:_DATA_POINTS])
    return [
        _trace(shown, digits, mode="lines", name="data", visible="legendonly", hoverinfo="skip",
               line={"color": "#888888", "width": 1})
    ]  # fmt: skip


def _cycle_traces(cycles: CycleSet, loops, near: np.ndarray, digits: int) -> list[dict[str, Any]]:
    from matplotlib.colors import to_hex

    colors = {period: to_hex(color) for period, color in period_colors(cycles).items()}
    traces, named = [], set()
    for row in np.flatnonzero(near)[:_MOST_CYCLES]:
        period, code = int(cycles.period[row]), STABILITY(int(cycles.stability[row]))
        group = f"period {period}, {code.name}"
        modulus = float(np.abs(cycles.multipliers[row]).max())
        loop = np.concatenate([loops[row], loops[row][:1]]) if period > 1 else loops[row]
        traces.append(
            _trace(
                loop, digits, mode="lines+markers" if period > 1 else "markers", name=group,
                legendgroup=group, showlegend=group not in named,
                text=f"{group}, largest |multiplier| {modulus:.4g}", hoverinfo="text",
                marker={"color": colors[period], "size": 6 if period == 1 else 3,
                        "symbol": _SYMBOLS[code], "line": {"width": 1, "color": "#ffffff"}},
                line={"color": colors[period], "width": 2},
            )
        )  # fmt: skip
        named.add(group)
    return traces


def _planes(map: PiecewiseAffineMap, frame, digits: int) -> list[dict[str, Any]]:
    """Return the switching planes W2_i z + h2_i = 0 within the box, as one mesh."""
    corners, faces = [], []
    for normal, offset in list(zip(map.W2, map.h2))[:_MOST_PLANES]:
        polygon = _cut(normal, float(offset), frame.low, frame.high)
        first = len(corners)
        corners += list(polygon)
        faces += [(first, first + i, first + i + 1) for i in range(1, len(polygon) - 1)]
    if not faces:
        return []
    columns, triangles = np.round(np.array(corners), digits).T.tolist(), np.array(faces).T.tolist()
    return [
        {"type": "mesh3d", **dict(zip("xyz", columns)), **dict(zip("ijk", triangles)),
         "opacity": 0.12, "color": "#56B4E9", "name": "switching boundaries", "showlegend": True,
         "visible": "legendonly", "hoverinfo": "skip"}
    ]  # fmt: skip


def _cut(normal: np.ndarray, offset: float, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Return the polygon in which a plane cuts a box, its corners in order."""
    corners = np.array([[(low, high)[bit >> i & 1][i] for i in range(3)] for bit in range(8)])
    value = corners @ normal + offset
    edges = [(a, a | 1 << i) for a in range(8) for i in range(3) if not a >> i & 1]
    points = [
        corners[a] + (corners[b] - corners[a]) * value[a] / (value[a] - value[b])
        for a, b in edges
        if value[a] * value[b] < 0
    ]
    if len(points) < 3:
        return np.zeros((0, 3))
    found = np.array(points)
    _, _, axes = np.linalg.svd(found - found.mean(axis=0))
    flat = (found - found.mean(axis=0)) @ axes[:2].T
    return found[np.argsort(np.arctan2(flat[:, 1], flat[:, 0]))]


def _hex(color: str) -> str:
    from matplotlib.colors import to_hex

    return to_hex(color)


def _plain(label: str) -> str:
    """Return the label of an axis without mathematical markup."""
    return label.replace("$", "").replace("z_{", "z").replace("}", "").replace("state ", "")
