"""`make bench`: ours beside the floor and the usual ways, on one stack, in one run.

Each round takes every program in turn, at each distance of the mail server: a fresh vhost and database, the same mix
published while nobody consumes, then the program alone on it. Prints medians with their spread, and the ratios of each
round by themselves: a machine that slows down for a round slows both programs. Not a timed test: only a program that
fails does so.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from statistics import median

from benchmarks import material
from benchmarks.distance import at_a_distance
from benchmarks.measuring import Figures, fresh_place, measure
from benchmarks.programs import FLOOR, OURS, PROGRAMS, Missing, Program
from benchmarks.results import interval, machine
from tests.stack.local import LocalStack
from tests.stack.processes import PartFailedError
from tests.stack.smtp import SmtpServer

Runs = Mapping[str, Sequence[Figures]]
"""By program, a figure for each round."""
ByDistance = Mapping[float, Runs]
"""By the round trip to the mail server, in ms."""
_COLUMNS = (
    ("events/s", "events_per_second", 0),
    ("CPU ms/event", "cpu_ms_per_event", 2),
    ("stores' CPU ms", "stores_cpu_ms_per_event", 2),
    ("connections", "connections", 0),
    ("peak MB", "peak_memory_mb", 0),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--delays", default="0", help="round trips to the mail server in ms, with commas between them")
    parser.add_argument("--only", help="names of programs, with commas between them")
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep every figure there")
    options = parser.parse_args()
    if options.events < 100 or options.rounds < 1:
        parser.error("it takes 100 events and one round at least")
    names = options.only.split(",") if options.only else [program.name for program in PROGRAMS]
    if unknown := set(names) - {program.name for program in PROGRAMS}:
        parser.error(f"no such program: {', '.join(sorted(unknown))}")
    delays = [float(each) for each in options.delays.split(",")]
    commands, notes = _prepare([program for program in PROGRAMS if program.name in names])
    found = _run(commands, notes, delays, options.events, options.rounds)
    print(f"{options.events} events of {len(material.MIX)} kinds, one process each, STARTTLS and AUTH; {machine()}")
    for delay, runs in found.items():
        _print(runs, delay, options.rounds)
    for line in against_the_floor(found):
        print(line)
    _explain(notes)
    if options.json:
        _keep(options.json, found, notes, options.events)
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


def _run(
    commands: Mapping[Program, Sequence[str]],
    notes: dict[str, str],
    delays: Sequence[float],
    events: int,
    rounds: int,
) -> ByDistance:
    found: dict[float, dict[str, list[Figures]]] = {delay: {} for delay in delays}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ready = material.write(folder / "material")
        smtp = SmtpServer(folder / "smtp", keep=False, fsync=False, chunking=True)
        with LocalStack(folder, smtp=smtp) as stack, ExitStack() as relays:
            ports = {delay: relays.enter_context(at_a_distance(stack.smtp_port, delay)) for delay in delays}
            for number, delay, program in product(range(rounds), delays, commands):
                if program.name in notes:
                    continue
                _say(f"round {number + 1} of {rounds}, {delay:g} ms: {program.name}")
                try:
                    with fresh_place(stack, folder / f"{program.name}-{delay:g}-{number}") as place:
                        part = program.part(place, ready, commands[program], ports[delay])
                        figures = measure(place, part, events, program.audit)
                except (PartFailedError, AssertionError) as problem:
                    notes[program.name] = f"failed: {problem}"
                else:
                    found[delay].setdefault(program.name, []).append(figures)
    return found


def _print(runs: Runs, delay: float, rounds: int) -> None:
    print(f"\nmail server {delay:g} ms away, median of {rounds} rounds (least-most)\n")
    print("program".ljust(11) + "".join(head.rjust(21) for head, _, _ in _COLUMNS))
    for name, figures in runs.items():
        cells = [_cell([getattr(each, field) for each in figures], digits) for _, field, digits in _COLUMNS]
        print(name.ljust(11) + "".join(cell.rjust(21) for cell in cells))
    others = [name for name in runs if name != OURS]
    if not (runs.get(OURS) and others):
        return
    print("\nours as a multiple of".ljust(24) + "events/s".rjust(21) + "CPU ms/event".rjust(24))
    for name in others:
        cells = [_ratio(runs[OURS], runs[name], field) for _, field, _ in _COLUMNS[:2]]
        print(name.ljust(23) + cells[0].rjust(21) + cells[1].rjust(24))


def against_the_floor(found: ByDistance) -> list[str]:
    """What the services send of what aiosmtplib sends by itself, at each distance; none where either was left out."""
    names = [name for name in (OURS, "node") if any(name in runs and FLOOR in runs for runs in found.values())]
    if not names:
        return []
    lines = ["", "of the mails/s of aiosmtplib's own floor, median of the rounds (interval)", ""]
    lines.append("program".ljust(11) + "".join(f"{delay:g} ms".rjust(21) for delay in found))
    for name in names:
        cells = [_ratio(runs.get(name, ()), runs.get(FLOOR, ()), "events_per_second") for runs in found.values()]
        lines.append(name.ljust(11) + "".join(cell.rjust(21) for cell in cells))
    return lines


def _explain(notes: Mapping[str, str]) -> None:
    print()
    for program in PROGRAMS:
        print(program.name.ljust(11) + notes.get(program.name, program.what))


def _ratio(ours: Sequence[Figures], others: Sequence[Figures], field: str) -> str:
    """The median of the ratios of each round, and the interval in which the true one lies (`results.interval`)."""
    ratios = [getattr(a, field) / getattr(b, field) for a, b in zip(ours, others, strict=False)]
    if not ratios:
        return "-"
    least, most = interval(ratios)
    return f"{median(ratios):.2f} ({least:.2f}-{most:.2f})"


def _cell(values: Sequence[float], digits: int) -> str:
    return f"{median(values):.{digits}f} ({min(values):.{digits}f}-{max(values):.{digits}f})"


def _keep(file: Path, found: ByDistance, notes: Mapping[str, str], events: int) -> None:
    nearest = found[min(found)]
    kept = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "events": events,
        "programs": {name: [asdict(each) for each in figures] for name, figures in nearest.items()},
        "by_delay_ms": {
            f"{delay:g}": {name: [each.events_per_second for each in figures] for name, figures in runs.items()}
            for delay, runs in found.items()
        },
        "notes": dict(notes),
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(kept, indent=2) + "\n", "utf-8")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
