"""From parts to one HTML file that needs nothing else."""

import base64
import functools
import gzip
import importlib.resources
import json
from collections.abc import Sequence
from typing import Any

from .._arguments import require
from ._section import Section


@functools.cache
def _library() -> str:
    """Return plotly.js, compressed, in letters."""
    code = require("plotly.offline", "report", "the view that turns").get_plotlyjs()
    return base64.b64encode(gzip.compress(code.encode(), mtime=0)).decode()


def render(
    parts: Sequence[Section], scene: dict[str, Any] | None, facts: dict[str, Any], json_name: str
) -> str:
    """Return the page.

    **Raises:** `ImportError` naming the extra where Jinja2 is missing.
    """
    jinja2 = require("jinja2", "report", "report")
    page = importlib.resources.files("plrjax._report") / "page"
    texts = {name: (page / f"page.{name}").read_text("utf-8") for name in ("css", "js")}
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters["b64"] = lambda data: base64.b64encode(data).decode()
    template = environment.from_string((page / "page.html.jinja").read_text("utf-8"))
    raw = {name: jinja2.utils.markupsafe.Markup(text) for name, text in texts.items()}
    if scene is not None:
        text = json.dumps(scene, separators=(",", ":")).replace("<", "\\u003c")
        raw["scene"] = jinja2.utils.markupsafe.Markup(text)
        raw["library"] = _library()
    shown = [
        {**vars(part), "shown": bool(part.sentences or part.tables or part.pictures)}
        for part in parts
    ]
    far = scene["far"] if scene else 0
    return template.render(**raw, **facts, parts=shown, far=far, json_name=json_name)
