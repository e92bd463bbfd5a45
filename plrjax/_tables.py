"""Tables for people: rows of texts, aligned or in HTML, between lines of text."""

import abc
import html
import itertools
from collections.abc import Collection, Sequence
from typing import NamedTuple


class Table(NamedTuple):
    """What a result says of itself.

    **Fields:** `above`, `below`: lines of text; `head`, `rows`: texts, one per column; `left`: the
    columns that begin at their left edge, not end at the right one; `least`: widths of the first
    columns, at least.
    """

    above: Sequence[str]
    head: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    below: Sequence[str] = ()
    left: Collection[int] = ()
    least: Sequence[int] = ()

    def text(self) -> str:
        """Return everything as plain text."""
        rows = [self.head, *self.rows] if self.head else self.rows
        return "\n".join([*self.above, *aligned(rows, self.left, self.least), *self.below])

    def html(self) -> str:
        """Return everything as HTML, for notebooks."""
        lines = lambda texts: f"<p>{'<br>'.join(map(html.escape, texts))}</p>" if texts else ""
        row = lambda tag, cells: "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells)
        body = "".join(f"<tr>{row('td', cells)}</tr>" for cells in self.rows)
        head = f"<thead><tr>{row('th', self.head)}</tr></thead>"
        table = f"<table>{head}<tbody>{body}</tbody></table>" if self.rows else ""
        return lines(self.above) + table + lines(self.below)


class AbstractTabular(abc.ABC):
    """A result that prints as a table, in notebooks too."""

    @abc.abstractmethod
    def _table(self) -> Table:
        """Return what it says of itself."""

    def __repr__(self) -> str:
        return self._table().text()

    def _repr_html_(self) -> str:
        return self._table().html()


def aligned(
    rows: Sequence[Sequence[str]], left: Collection[int] = (), least: Sequence[int] = ()
) -> list[str]:
    """Return a line per row, columns two spaces apart."""
    longest = [max(map(len, column)) for column in zip(*rows)]
    widths = [max(pair) for pair in itertools.zip_longest(longest, least, fillvalue=0)]
    return [
        "  ".join(
            cell.ljust(width) if column in left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths))
        ).rstrip()
        for row in rows
    ]


def plural(number: int, noun: str) -> str:
    """Return "1 orbit", "2 orbits"."""
    return f"{number} {noun}{'' if number == 1 else 's'}"
