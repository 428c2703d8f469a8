"""`make soak SECONDS=n`: four workers, a stream of events, and a fault every second or two, judged at the end.

It prints what was done and what was found, and ends with 1 if an event was lost, or doubled outside the open window.
"""

import argparse
import contextlib
import random
import secrets
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from aio_pika.exceptions import AMQPError
from redis import Redis

from tests.faults.judge import Judge
from tests.samples import fresh
from tests.stack.local import LocalStack
from tests.stack.place import Document, Place, Service, until
from tests.stack.processes import Part
from tests.stack.smtp_rules import Rule

WORKERS = 4
LEASE = 2.0
KINDS = ("booking.confirmed", "booking.confirmed", "booking.cancelled", "payment.success", "payment.failed")
PATIENCE = 300


@dataclass(frozen=True)
class Tally:
    """What the two ledgers say when everything is at rest. A mail is doubled in the window if its record says so."""

    events: int
    notifications: int
    mails: int
    lost: int
    marked: int
    doubled_inside: int
    doubled_outside: int

    @property
    def broken(self) -> bool:
        return bool(self.lost or self.doubled_outside)

    def __str__(self) -> str:
        return (
            f"{self.events} events, {self.notifications} notifications, {self.mails} mails: {self.lost} lost, "
            f"{self.doubled_inside} doubled in W, {self.doubled_outside} doubled outside W, {self.marked} marked"
        )


def tally(confirmed: set[str], records: list[Document], accepted: Iterable[str | None]) -> Tally:
    """`accepted`: the Message-ID of each mail that the server took."""
    mails = Counter(accepted)
    told = {event_id for record in records for event_id in record["event_ids"]}
    without_mail = [record for record in records if record["outcome"] == "sent" and not mails[record["message_id"]]]
    doubled = [record for record in records if mails[record["message_id"]] > 1]
    inside = [each for each in doubled if each.get("possible_duplicate") and mails[each["message_id"]] == 2]
    return Tally(
        events=len(confirmed),
        notifications=len(records),
        mails=sum(mails.values()),
        lost=len(confirmed - told) + len(without_mail),
        marked=sum(bool(record.get("possible_duplicate")) for record in records),
        doubled_inside=len(inside),
        doubled_outside=len(doubled) - len(inside),
    )


class Soak:
    def __init__(self, place: Place, workers: list[Service], dice: random.Random) -> None:
        self.place = place
        self.judge = Judge(place)
        self.workers = workers
        self.dice = dice
        self.done: Counter[str] = Counter()
        self._published: list[Document] = []
        stack = place.stack
        self.faults: Mapping[str, tuple[int, Callable[[], None]]] = {
            "worker killed": (40, self._kill_worker),
            "worker stopped for twice the lease": (4, lambda: self._pause(self._worker(), 2 * LEASE)),
            "Redis killed": (4, lambda: self._kill(stack.redis)),
            "Redis stopped": (3, lambda: self._pause(stack.redis, 3)),
            "Redis emptied": (3, self._empty_redis),
            "MongoDB killed": (4, lambda: self._kill(stack.mongo)),
            "MongoDB stopped": (3, lambda: self._pause(stack.mongo, 3)),
            "SMTP server killed": (4, lambda: self._kill(stack.smtp)),
            "SMTP misbehaves": (8, self._misbehave),
            "RabbitMQ killed": (1, self._kill_broker),
            "RabbitMQ's connections closed": (4, self._close_connections),
        }

    @property
    def kills(self) -> int:
        return sum(count for name, count in self.done.items() if "killed" in name)

    def run(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        names = list(self.faults)
        weights = [weight for weight, _ in self.faults.values()]
        while time.monotonic() < end:
            self._publish(self.dice.randint(1, 12))
            time.sleep(self.dice.uniform(0, 0.6))
            self.hurt(self.dice.choices(names, weights)[0])

    def hurt(self, name: str) -> None:
        self.done[name] += 1
        self.faults[name][1]()

    def rest(self) -> None:
        """Everything is well again, and every event comes to its end."""
        self.place.smtp.clear()
        until(self.judge.at_rest, timeout=PATIENCE)
        for worker in self.workers:
            worker.terminate()
        for worker in self.workers:
            until(lambda worker=worker: worker.exit_code, timeout=60)  # type: ignore[misc]  # mypy cannot infer it
            if worker.exit_code != "0":
                raise AssertionError(f"a worker ended with {worker.exit_code}; its log: {worker.log}")

    def _publish(self, count: int) -> None:
        """New facts, and one time in five some that were published before; again and again until they are confirmed."""
        events = [fresh(kind, user_id="user456") for kind in self.dice.choices(KINDS, k=count)]
        again = self.dice.sample(self._published, min(3, len(self._published))) if self.dice.random() < 1 / 5 else []
        self._published += events
        for _ in range(60):
            with contextlib.suppress(AMQPError, OSError, TimeoutError):
                self.judge.publish(*events, *again)
                return
            time.sleep(0.5)
        raise AssertionError("RabbitMQ confirms nothing any more")

    def _worker(self) -> Service:
        return self.dice.choice(self.workers)

    def _kill_worker(self) -> None:
        self._kill(self._worker())

    def _kill(self, part: Part) -> None:
        part.kill()
        part.start()
        part.wait_ready()

    def _kill_broker(self) -> None:
        self.place.stack.broker.sync()
        self._kill(self.place.stack.broker)

    def _pause(self, part: Part, seconds: float) -> None:
        part.pause()
        try:
            time.sleep(seconds)
        finally:
            part.resume()

    def _empty_redis(self) -> None:
        with Redis.from_url(self.place.stack.redis_url) as redis:
            redis.flushall()

    def _close_connections(self) -> None:
        self.place.stack.broker.ctl("close_all_connections", "-p", self.place.database_name, "a fault")

    def _misbehave(self) -> None:
        rules = (
            Rule(at="rcpt", reply="450 4.2.1 mailbox busy", times=3),
            Rule(at="dot", reply="451 4.3.0 try again", times=3),
            Rule(at="mail", reply="421 4.3.2 closing", times=2),
            Rule(at="data", reply="421 4.3.2 closing", times=2),
            Rule(at="dot", action="drop_after_accept", times=2),
            Rule(at="dot", action="drop", times=2),
            Rule(at="dot", action="late", seconds=1, times=5),
            Rule(at="greeting", reply="421 4.3.2 too busy", times=2),
            Rule(at="rcpt", action="garbage", times=2),
        )
        self.place.smtp.script(self.dice.sample(rules, 2))


def run(folder: Path, seconds: float, seed: int) -> tuple[Tally, Soak]:
    with LocalStack(folder / "stack") as stack, ExitStack() as exits:
        place = Place(stack, folder / "place")
        exits.callback(place.close)
        dice = random.Random(seed)  # noqa: S311 - it has to be repeatable
        settings = {
            "LEASE_SECONDS": f"{LEASE:g}",
            "MAX_RETRY_ATTEMPTS": "50",
            "LOG_LEVEL": "INFO",
            "RABBITMQ_EXPRESS_LANE": dice.choice(("true", "false")),
        }
        workers = [exits.enter_context(place.service(**settings)) for _ in range(WORKERS)]
        time.sleep(5)  # a quorum queue that is killed right after its declaration may never come back (trap 8)
        soak = Soak(place, workers, dice)
        soak.run(seconds)
        soak.rest()
        found = tally(soak.judge.confirmed, place.records(), (mail.message_id for mail in place.mails()))
        if not found.broken:
            soak.judge.verdict()
        return found, soak


@contextmanager
def repeatable(seconds: float, seed: int) -> Iterator[None]:
    """Whatever goes wrong in here says how to have the same faults again."""
    try:
        yield
    except BaseException as problem:
        problem.add_note(f"again: .venv/bin/python -m tests.faults.soak --seconds {seconds:g} --seed {seed}")
        raise


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6))
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, repeatable(asked.seconds, asked.seed):
        sys.stdout.write(f"soak: {asked.seconds:g} s, seed {asked.seed}\n")
        sys.stdout.flush()
        found, soak = run(Path(folder), asked.seconds, asked.seed)
    for name, count in soak.done.most_common():
        sys.stdout.write(f"  {count:4} {name}\n")
    sys.stdout.write(f"soak: {soak.kills} kills, {soak.done.total()} faults, {found}\n")
    return int(found.broken)


if __name__ == "__main__":
    sys.exit(main())
