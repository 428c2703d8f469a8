"""The one way to the terminal. What is printed is data: no markup is read in it, and no control character passes.

Nothing else in the commands knows rich, `typer.echo` or `typer.confirm`; the linters hold it.
"""

import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TextIO

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from notification_service.foundation.printable import in_json, in_lines, shown


def prepare() -> None:
    """For this process: tracebacks are printed by `say_failure`, and what an encoding lacks becomes an escape."""
    sys.excepthook = lambda _, problem, __: say_failure(problem)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def say(text: object = "", *, err: bool = False) -> None:
    """One line."""
    typer.echo(shown(text), err=err)


def say_in_lines(text: str, *, err: bool = False) -> None:
    """A text whose line breaks nobody chose, such as JSON that was read."""
    typer.echo(in_lines(text), err=err)


def say_json(value: object, **options: Any) -> None:  # noqa: ANN401 - those of json.dumps
    typer.echo(in_json(value, **options))


def say_document(text: str) -> None:
    """A file of this package, as it is."""
    typer.echo(text, nl=False)


def say_marked(mark: str, style: str, text: object) -> None:
    """One line behind a word of ours in a colour."""
    _console().print(Text.assemble((mark, style), " ", shown(text)), soft_wrap=True)


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, title: str | None = None) -> None:
    """A row each, with every cell in full: a person has to copy them."""
    made = Table(title=Text(title, "italic") if title else None)
    for column in columns:
        made.add_column(Text(column), overflow="fold")
    for row in rows:
        made.add_row(*(Text(shown(cell)) for cell in row))
    _console().print(made)


def confirmed(question: str) -> bool:
    return typer.confirm(shown(question), err=True)


@contextmanager
def progress(what: str, total: int) -> Iterator[Callable[[object], None]]:
    """A bar on a terminal, and nothing elsewhere."""
    console = _console(sys.stderr)
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bar:
        task = bar.add_task(shown(what), total=total)
        yield lambda _: bar.advance(task)


def say_failure(problem: BaseException) -> None:
    """A traceback, of what should not have happened."""
    typer.echo(in_lines("".join(traceback.format_exception(problem)).rstrip("\n"), indent="  "), err=True)


def _console(file: TextIO | None = None) -> Console:
    return Console(file=file, markup=False, emoji=False, highlight=False)
