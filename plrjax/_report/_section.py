"""A part of the page: sentences, tables, pictures, the lines that repeat it, and how it went."""

import dataclasses
import io
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from ..plot._common import bare_figure


class Cell(NamedTuple):
    """An entry of a table: what is printed, and the value that it is sorted by and saved as."""

    text: str
    value: Any = None

    @property
    def saved(self) -> Any:
        """What report.json has: the value, or else the text; None of a dash."""
        return self.value if self.value is not None else None if self.text == "-" else self.text

    @property
    def rank(self) -> Any:
        """What a column is sorted by: the value, of an interval its lower end."""
        return self.value[0] if isinstance(self.value, list) else self.value


class PageTable(NamedTuple):
    """A table of the page. **Fields:** `name`, in report.json; `caption`; `head`; `rows`."""

    name: str
    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[Cell]]

    @property
    def numeric(self) -> list[bool]:
        """Whether most entries of a column are numbers, which are aligned at the right."""
        count = lambda column: sum(isinstance(cell.rank, int | float) for cell in column)
        return [2 * count(column) > len(column) for column in zip(*self.rows)]

    def records(self) -> list[dict[str, Any]]:
        """Return a dictionary per row, of the values that the page shows."""
        return [{name: cell.saved for name, cell in zip(self.head, row)} for row in self.rows]


class Picture(NamedTuple):
    """A figure as SVG, its alternative text, its caption, what draws it, and its width (inches)."""

    svg: bytes
    alt: str
    caption: str
    code: str
    width: float
    wide: bool = False


class Skipped(Exception):
    """A part has nothing to say, or no time; the message says why."""


@dataclasses.dataclass
class Section:
    """One part of the page.

    **Fields:** `name`, in report.json; `title`; `sentences`, first the one that sums it up;
    `tables`, `pictures`; `facts`, further numbers for report.json; `code`, lines that repeat it;
    `status`: "done", "cut" (by time), "skipped" or "failed", and `why`; `seconds`.
    """

    name: str
    title: str
    sentences: list[str] = dataclasses.field(default_factory=list)
    tables: list[PageTable] = dataclasses.field(default_factory=list)
    pictures: list[Picture] = dataclasses.field(default_factory=list)
    facts: dict[str, Any] = dataclasses.field(default_factory=dict)
    code: list[str] = dataclasses.field(default_factory=list)
    status: str = "done"
    why: str = ""
    seconds: float = 0.0

    def cut(self, why: str) -> None:
        """Say that the time limit ended this part early."""
        self.status, self.why = "cut", why

    def record(self) -> dict[str, Any]:
        """Return everything but pictures, for report.json."""
        tables = {table.name: table.records() for table in self.tables}
        return {
            "status": self.status, "why": self.why, "seconds": round(self.seconds, 2),
            "sentences": self.sentences, "code": self.code, **tables, **self.facts,
        }  # fmt: skip


def number(value: Any, digits: int = 4) -> Cell:
    """Return a number as a cell; a dash for what is not there."""
    if value is None or value != value:
        return Cell("-", None)
    text = f"{value:,}" if isinstance(value, int) else f"{value:.{digits}g}"
    return Cell(text, value)


def draw(
    make: Callable[[Any], object], alt: str, caption: str, code: str, size: tuple[float, float],
    wide: bool = False,
) -> Picture:  # fmt: skip
    """Draw into a figure that no window knows, and return it as SVG with text as outlines."""
    import matplotlib

    style: dict[Any, Any] = {"svg.fonttype": "path", "svg.hashsalt": "plrjax", "font.size": 9.0}
    image = io.BytesIO()
    with matplotlib.rc_context(style):
        figure = bare_figure()
        figure.set_size_inches(*size)
        make(figure)
        figure.savefig(image, format="svg", dpi=150, metadata={"Date": None})
    return Picture(image.getvalue(), alt, caption, code, size[0], wide)
