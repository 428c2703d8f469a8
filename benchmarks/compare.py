"""`make bench`: ours beside the floor and the usual ways, on one stack, in one run.

Each round takes every program in turn: a fresh vhost and database, the same mix published while nobody consumes,
then the program alone on it. Prints medians with their spread. Not a timed test: only a program that fails does so.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from benchmarks import material
from benchmarks.measuring import Figures, fresh_place, measure
from benchmarks.programs import FLOOR, OURS, PROGRAMS, Missing, Program
from benchmarks.results import machine
from tests.stack.local import LocalStack
from tests.stack.processes import PartFailedError
from tests.stack.smtp import SmtpServer

Runs = Mapping[str, Sequence[Figures]]
_COLUMNS = (
    ("events/s", "events_per_second", 0),
    ("CPU ms/event", "cpu_ms_per_event", 2),
    ("connections", "connections", 0),
    ("peak MB", "peak_memory_mb", 0),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", help="names of programs, with commas between them")
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep every figure there")
    options = parser.parse_args()
    if options.events < 100 or options.rounds < 1:
        parser.error("it takes 100 events and one round at least")
    names = options.only.split(",") if options.only else [program.name for program in PROGRAMS]
    if unknown := set(names) - {program.name for program in PROGRAMS}:
        parser.error(f"no such program: {', '.join(sorted(unknown))}")
    commands, notes = _prepare([program for program in PROGRAMS if program.name in names])
    runs = _run(commands, notes, options.events, options.rounds)
    _print(runs, notes, options.events, options.rounds)
    if options.json:
        _keep(options.json, runs, notes, options.events)
    if any(note.startswith("failed") for note in notes.values()):
        sys.exit(1)


def _prepare(programs: Sequence[Program]) -> tuple[dict[Program, Sequence[str]], dict[str, str]]:
    commands: dict[Program, Sequence[str]] = {}
    notes: dict[str, str] = {}
    for program in programs:
        try:
            commands[program] = program.prepare()
        except Missing as problem:
            notes[program.name] = f"left out: {problem}"
    return commands, notes


def _run(commands: Mapping[Program, Sequence[str]], notes: dict[str, str], events: int, rounds: int) -> Runs:
    runs: dict[str, list[Figures]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ready = material.write(folder / "material")
        smtp = SmtpServer(folder / "smtp", keep=False, fsync=False)
        with LocalStack(folder, smtp=smtp) as stack:
            for number in range(rounds):
                for program, command in commands.items():
                    if program.name in notes:
                        continue
                    _say(f"round {number + 1} of {rounds}: {program.name}")
                    try:
                        with fresh_place(stack, folder / f"{program.name}-{number}") as place:
                            part = program.part(place, ready, command)
                            figures = measure(place, part, events, program.audit)
                    except (PartFailedError, AssertionError) as problem:
                        notes[program.name] = f"failed: {problem}"
                    else:
                        runs.setdefault(program.name, []).append(figures)
    return runs


def _print(runs: Runs, notes: Mapping[str, str], events: int, rounds: int) -> None:
    print(f"{events} events of {len(material.MIX)} kinds, one process each, STARTTLS and AUTH; {machine()}")
    print(f"median of {rounds} rounds (least-most)\n")
    print("program".ljust(11) + "".join(head.rjust(21) for head, _, _ in _COLUMNS))
    for program in PROGRAMS:
        if found := runs.get(program.name):
            cells = [_cell([getattr(each, field) for each in found], digits) for _, field, digits in _COLUMNS]
            print(program.name.ljust(11) + "".join(cell.rjust(21) for cell in cells))
        if note := notes.get(program.name):
            print(f"{program.name.ljust(11)}  {note}")
    print("\nmedians as multiples of")
    print(
        "".ljust(11)
        + "".join(head.rjust(24) for head in ("the floor's events/s", "its CPU", "our events/s", "our CPU"))
    )
    for name in runs:
        pairs = [(of, field) for of in (FLOOR, OURS) for _, field, _ in _COLUMNS[:2]]
        print(name.ljust(11) + "".join(_multiple(runs, name, of, field).rjust(24) for of, field in pairs))
    print()
    for program in PROGRAMS:
        print(program.name.ljust(11) + program.what)


def _cell(values: Sequence[float], digits: int) -> str:
    return f"{median(values):.{digits}f} ({min(values):.{digits}f}-{max(values):.{digits}f})"


def _multiple(runs: Runs, name: str, of: str, field: str) -> str:
    return f"{_median(runs, name, field) / _median(runs, of, field):.2f}" if runs.get(of) else "-"


def _median(runs: Runs, name: str, field: str) -> float:
    return median(float(getattr(each, field)) for each in runs[name])


def _keep(file: Path, runs: Runs, notes: Mapping[str, str], events: int) -> None:
    kept = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "events": events,
        "programs": {name: [asdict(each) for each in found] for name, found in runs.items()},
        "notes": dict(notes),
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(kept, indent=2) + "\n", "utf-8")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
