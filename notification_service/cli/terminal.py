"""All output to the terminal. Text is printed as data: without markup, and with control characters escaped.

No other module of the commands imports rich or calls `typer.echo` or `typer.confirm`; the linters enforce it.
A terminal gets colours, cut columns and wrapped lines. Anything else, such as a pipe or a file, gets plain lines.
"""

import os
import shutil
import sys
import traceback
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TextIO

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress as RichProgress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.text import Text

from notification_service.cli import tables
from notification_service.cli.tables import Column
from notification_service.foundation.printable import in_json, in_lines, shown

_MIN_WIDTH = 40


def prepare() -> None:
    """Print tracebacks with `say_failure`, and escape characters that a stream's encoding lacks."""
    sys.excepthook = lambda _, problem, __: say_failure(problem)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def say(text: object = "", *, err: bool = False) -> None:
    """Print one line."""
    typer.echo(shown(text), err=err)


def say_in_lines(text: str, *, err: bool = False) -> None:
    """Print a text whose line breaks are our own, such as formatted JSON."""
    typer.echo(in_lines(text), err=err)


def say_json(value: object, **options: Any) -> None:  # noqa: ANN401 - those of json.dumps
    """Print JSON, on one line unless `options` say otherwise."""
    typer.echo(in_json(value, **options))


def say_document(text: str) -> None:
    """Print a file of this package unchanged."""
    typer.echo(text, nl=False)


def say_item(mark: str, text: object, style: str = "") -> None:
    """Print a text after a mark: one line, which a terminal wraps at words and indents."""
    mark, line = shown(mark), shown(text)
    if not _is_terminal(sys.stdout):
        typer.echo(f"{mark} {line}".rstrip())
        return
    console, indent = _console(sys.stdout), " " * (len(mark) + 1)
    before = Text.assemble((mark, style), " ")
    for piece in Text(line).wrap(console, max(_width() - len(indent), _MIN_WIDTH // 2)):
        piece.rstrip()
        console.print(before + piece, soft_wrap=True)
        before = Text(indent)


def table(columns: Sequence[Column], rows: Iterable[Sequence[object]]) -> None:
    """Print one line for each row.

    On a terminal, cells are cut and ids shortened until a row fits. Elsewhere, cells are whole and separated by tabs,
    which no cell contains: control characters in data are escaped.
    """
    console = _console(sys.stdout)
    if not _is_terminal(sys.stdout):
        for line in tables.tab_separated(columns, rows):
            typer.echo(line)
        return
    for text in tables.aligned(columns, rows, _width()):
        console.print(text, soft_wrap=True)


def confirmed(question: str) -> bool:
    """Ask on the terminal, and return whether the answer is yes."""
    return typer.confirm(shown(question), err=True)


class _Count(ProgressColumn):
    def render(self, task: Task) -> Text:
        done = f"{task.completed:,.0f}" if task.completed else ""
        return Text(done if task.total is None else f"{done or 0}/{task.total:,.0f}")


class Progress:
    """Shows how many items are done; nothing if standard error is not a terminal."""

    def __init__(self, bar: RichProgress, task: TaskID) -> None:
        self._bar = bar
        self._task = task

    def advance(self, count: int = 1, *, total: int | None = None) -> None:
        """Count further items as done. `total`: how many there are, as soon as it is known."""
        self._bar.update(self._task, advance=count, total=total)


@contextmanager
def progress(what: str, total: int | None = None) -> Iterator[Progress]:
    """Show on standard error how much is done, until the block ends. Without a `total` it is a count."""
    console = _console(sys.stderr)
    disabled = not _is_terminal(sys.stderr) or console.is_dumb_terminal
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        _Count(),
        TimeElapsedColumn(),
    )
    with RichProgress(*columns, console=console, disable=disabled, transient=True) as bar:
        yield Progress(bar, bar.add_task(shown(what), total=total))


def say_failure(problem: BaseException) -> None:
    """Print the traceback of an error that no command expects."""
    typer.echo(in_lines("".join(traceback.format_exception(problem)).rstrip("\n"), indent="  "), err=True)


def _console(file: TextIO) -> Console:
    """No colours or other escapes if NO_COLOR is set; rich itself leaves them out if TERM is dumb."""
    return Console(
        file=file,
        force_terminal=_is_terminal(file),
        color_system=None if os.environ.get("NO_COLOR") else "auto",
        markup=False,
        emoji=False,
        highlight=False,
    )


def _is_terminal(file: TextIO) -> bool:
    return file.isatty()


def _width() -> int:
    return max(shutil.get_terminal_size().columns, _MIN_WIDTH)
