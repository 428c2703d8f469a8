"""`make torture SECONDS=n` or `KILLS=n`: four workers, a stream of events, and a fault every second or two.

At the end an independent checker (`checker.py`) reads what came out, and the judge of the other tests looks too. It
prints what was done and what was found, and ends with 1 if an event was lost, or doubled without the mark; then
everything that is known of it is kept in a folder, which it names.
"""

import argparse
import json
import random
import secrets
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from tests.faults.checker import Account, Violation, examine
from tests.faults.torments import LEASE, Stop, Torture, shorten_patience
from tests.stack import earlier
from tests.stack.local import LocalStack
from tests.stack.place import Place
from tests.stack.replication import Pair
from tests.stack.warm import Warm, WarmService

ROOT = Path(__file__).parents[2]
KEPT = ROOT / "var" / "torture"
EVIDENCE = "evidence.txt"
WORKERS = 4


def run(folder: Path, stop: Stop, seed: int, *, old: int = 0) -> tuple[Account, Torture]:
    """`old`: how many of the workers are of the version before."""
    with LocalStack(folder / "stack") as stack, ExitStack() as exits:
        shorten_patience(stack.broker)
        redis = exits.enter_context(Pair(folder / "redis"))
        today = exits.enter_context(Warm({}))
        before = exits.enter_context(Warm({"PYTHONPATH": str(earlier.unpacked(folder / "before"))})) if old else today
        place = Place(stack, folder / "place")
        exits.callback(place.close)
        dice = random.Random(seed)  # noqa: S311 - it has to be repeatable
        settings = {
            "LEASE_SECONDS": f"{LEASE:g}",
            "MAX_RETRY_ATTEMPTS": "50",
            "LOG_LEVEL": "INFO",
            "RABBITMQ_EXPRESS_LANE": dice.choice(("true", "false")),
        }
        services = [
            place.service(partial(WarmService, before if n < old else today), **settings, REDIS_URL=redis.url(n))
            for n in range(WORKERS)
        ]
        workers = [exits.enter_context(each) for each in services]
        time.sleep(5)  # a quorum queue that is killed right after its declaration may never come back (pitfalls.md, 8)
        torture = Torture(place, redis, workers, dice)
        torture.run(stop)
        with _remembered(folder, torture):
            torture.rest()
            found = account(torture)
            if not found.broken:
                torture.judge.verdict()
        return found, torture


def account(torture: Torture) -> Account:
    """What the checker finds. It may be asked at any time, and has its answer when everything is at rest."""
    place = torture.place
    own = place.folder / "mails.jsonl"
    own.write_text("".join(place.mail_lines()), "utf-8")
    return examine(torture.judge.log, own, place.stack.mongodb_uri, place.database_name)


def evidence(torture: Torture, finding: Violation) -> Iterator[str]:
    """Everything that was written of a notification: its record, the workers' logs, its claim's history."""
    yield f"{finding}\n"
    if finding.record is None:
        return
    yield f"{json.dumps(finding.record, default=str, indent=1)}\n"
    known = (str(finding.record["_id"]), *finding.record["event_ids"])
    for path in (*(worker.log for worker in torture.workers), *torture.redis.heard):
        yield f"── {path}\n"
        yield from (line for line in _lines(path) if any(each in line for each in known))
    yield f"── {torture.diary}\n"
    yield from _lines(torture.diary)


def _lines(path: Path) -> Iterator[str]:
    with path.open(encoding="utf-8", errors="replace") as file:
        yield from file


@contextmanager
def _remembered(folder: Path, torture: Torture) -> Iterator[None]:
    """However it ends, what the place had in its records, and of each finding all that is known, is in the folder."""
    try:
        yield
    finally:
        records = (json.dumps(record, default=str) for record in torture.place.records())
        (folder / "records.jsonl").write_text("".join(f"{record}\n" for record in records), "utf-8")
        told = (line for finding in account(torture).findings for line in evidence(torture, finding))
        (folder / EVIDENCE).write_text("".join(told), "utf-8")


@contextmanager
def repeatable(stop: Stop, seed: int, *, old: int = 0) -> Iterator[None]:
    """Whatever goes wrong in here says how to have the same faults again."""
    try:
        yield
    except BaseException as problem:
        others = f" --old {old}" if old else ""
        problem.add_note(f"again: .venv/bin/python -m tests.faults.torture {stop} --seed {seed}{others}")
        raise


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    over = parser.add_mutually_exclusive_group()
    over.add_argument("--seconds", type=float, default=None)
    over.add_argument("--kills", type=int, default=None)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6))
    parser.add_argument("--old", type=int, default=0, choices=range(WORKERS + 1), help=f"workers of {earlier.COMMIT}")
    asked = parser.parse_args()
    stop = Stop(kills=asked.kills) if asked.kills else Stop(seconds=asked.seconds or 120)
    KEPT.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f"{asked.seed}-", dir=KEPT))
    _say(f"torture: {stop} --seed {asked.seed} --old {asked.old}, in {folder}")
    with repeatable(stop, asked.seed, old=asked.old):
        found, torture = run(folder, stop, asked.seed, old=asked.old)
    for name, count in torture.done.most_common():
        _say(f"  {count:4} {name}")
    _say(f"torture: {torture.kills} kills, {torture.done.total()} faults", *found.lines())
    if found.broken:
        _say(f"what is known of it: {folder / EVIDENCE}")
    else:
        shutil.rmtree(folder)
    return int(found.broken)


def _say(*lines: str) -> None:
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
