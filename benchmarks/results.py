"""What a run found: printed as a table, and kept under var/bench for the plot and the tables of the README."""

import json
import os
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from math import comb
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "var" / "bench"

Row = Mapping[str, str | int | float]
_OUTSIDE = 0.05


def machine() -> str:
    load = os.getloadavg()[0]
    return f"{os.cpu_count()} cores of {platform.machine()}, Python {platform.python_version()}, load {load:.1f}"


def show(title: str, rows: Sequence[Row]) -> None:
    """Print the rows as a table in Markdown."""
    print(f"\n{title}; {machine()}\n")
    heads = list(rows[0])
    print("| " + " | ".join(heads) + " |")
    print("|" + "---|" * len(heads))
    for row in rows:
        print("| " + " | ".join(_cell(row[head]) for head in heads) + " |")


def keep(name: str, rows: Sequence[Row], **more: object) -> Path:
    """Write the rows to var/bench/<name>.json in place of the last ones, and return the file."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    file = FOLDER / f"{name}.json"
    at = datetime.now(UTC).isoformat(timespec="seconds")
    file.write_text(json.dumps({"at": at, "machine": machine(), **more, "rows": rows}, indent=2) + "\n", "utf-8")
    return file


def _cell(value: str | float) -> str:
    return f"{value:,.2f}" if isinstance(value, float) else str(value)


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Where the true median lies with at least 95 % (by the order of the values); of fewer than six, their range."""
    ordered, left = sorted(values), 0
    while _outside(len(ordered), left + 1) <= _OUTSIDE:
        left += 1
    return ordered[left], ordered[-1 - left]


def _outside(count: int, left: int) -> float:
    """The chance that the median is not within all but the `left` least and greatest values (the sign test)."""
    return 2 * sum(comb(count, each) for each in range(left + 1)) / 2**count if 2 * left < count else 1.0
