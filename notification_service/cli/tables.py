"""Lays out rows of text as columns that fit a terminal, or as tab-separated lines."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from notification_service.foundation.printable import shown

_GAP = "  "
_ELLIPSIS = "…"
_UNITS = ((86400, "d"), (3600, "h"), (60, "m"), (1, "s"))
MIN_ID = 8
"""Characters of a shortened id; more if two ids of a column have the same beginning."""


@dataclass(frozen=True, slots=True)
class Column:
    """`min_width`: how far its cells may be cut; None: not at all. `optional`: left out where the row does not fit.

    `is_id`: its cells are shortened before others are cut. `on_terminal`: for people; no program reads it.
    """

    name: str
    min_width: int | None = None
    optional: bool = False
    is_id: bool = False
    right: bool = False
    on_terminal: bool = False
    style: Callable[[str], str] | None = None


AGE = Column("age", right=True, on_terminal=True)


def tab_separated(columns: Sequence[Column], rows: Iterable[Sequence[object]]) -> Iterable[str]:
    """Yield the names of the columns, then each row, with every cell whole."""
    kept = [index for index, column in enumerate(columns) if not column.on_terminal]
    yield "\t".join(columns[index].name for index in kept)
    for row in rows:
        yield "\t".join(shown(row[index]) for index in kept)


def aligned(columns: Sequence[Column], rows: Iterable[Sequence[object]], width: int) -> list[Text]:
    """The names of the columns, then each row, in lines of at most `width` cells."""
    texts = [[_text(cell) for cell in row] for row in rows]
    made = [_Laid(column, [row[index] for row in texts]) for index, column in enumerate(columns)]
    while _total(made, lambda each: each.least) > width and any(each.column.optional for each in made):
        made.remove([each for each in made if each.column.optional][-1])
    if _total(made, lambda each: each.width) > width:
        for each in made:
            each.shorten()
    while _total(made, lambda each: each.width) > width and any(each.room for each in made):
        max(made, key=lambda each: each.width if each.room else 0).width -= 1
    count = len(texts)
    lines = [_joined([each.heading for each in made])]
    lines[0].stylize("bold")
    lines += [_joined([each.cell(index) for each in made]) for index in range(count)]
    for line in lines:
        line.rstrip()
        line.truncate(width, overflow="ellipsis")
    return lines


class _Laid:
    """One column with its cells and the width that it takes."""

    def __init__(self, column: Column, cells: Sequence[str]) -> None:
        self.column = column
        self._cells = list(cells)
        self._shortened = shortened(cells) if column.is_id else self._cells
        self.width = self._widest(self._cells)
        fixed = self.width if column.min_width is None else min(column.min_width, self.width)
        self.least = self._widest(self._shortened) if column.is_id else fixed

    @property
    def room(self) -> int:
        """By how many characters it can be cut."""
        return 0 if self.column.is_id else self.width - self.least

    def shorten(self) -> None:
        if self.column.is_id:
            self._cells = self._shortened
            self.width = self.least

    @property
    def heading(self) -> Text:
        return self._aligned(self.column.name)

    def cell(self, index: int) -> Text:
        text = self._aligned(self._cells[index])
        if self.column.style:
            text.stylize(self.column.style(self._cells[index]))
        return text

    def _aligned(self, cell: str) -> Text:
        if cell_len(cell) > self.width:
            return Text(set_cell_size(cell, self.width - 1) + _ELLIPSIS)
        padding = " " * (self.width - cell_len(cell))
        return Text(padding + cell if self.column.right else cell + padding)

    def _widest(self, cells: Iterable[str]) -> int:
        return max(map(cell_len, (self.column.name, *cells)))


def shortened(ids: Sequence[str]) -> list[str]:
    """The ids, cut to the length at which all of them differ, with an ellipsis."""
    different = sorted(set(ids))
    alike = max(
        (_alike(one, next_one) for one, next_one in zip(different, islice(different, 1, None), strict=False)), default=0
    )
    size = max(MIN_ID, alike + 1)
    return [each if len(each) <= size + 1 else each[:size] + _ELLIPSIS for each in ids]


def age(moment: datetime) -> str:
    """The age in its largest unit, such as 40s, 5m, 3h or 12d."""
    seconds = max(datetime.now(UTC) - moment, timedelta()).total_seconds()
    size, unit = next((each for each in _UNITS if seconds >= each[0]), _UNITS[-1])
    return f"{int(seconds // size)}{unit}"


def _alike(one: str, other: str) -> int:
    """The length of their common beginning."""
    return next(
        (index for index, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other))
    )


def _text(cell: object) -> str:
    return f"{cell:,}" if isinstance(cell, int) else shown(cell)


def _joined(cells: Sequence[Text]) -> Text:
    return Text(_GAP).join(cells)


def _total(made: Sequence[_Laid], size: Callable[[_Laid], int]) -> int:
    return sum(map(size, made)) + len(_GAP) * (len(made) - 1)
