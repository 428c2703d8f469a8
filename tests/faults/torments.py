"""What a torture does to the service: a stream of events, and a fault every second or two."""

import contextlib
import random
import socket
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from aio_pika.exceptions import AMQPError

from tests.faults.judge import Judge
from tests.samples import fresh
from tests.stack.place import Document, Place, Service, until
from tests.stack.processes import Part
from tests.stack.rabbitmq import Broker
from tests.stack.replication import Pair
from tests.stack.smtp_rules import Rule

LEASE = 2.0
KINDS = ("booking.confirmed", "booking.confirmed", "booking.cancelled", "payment.success", "payment.failed")
PATIENCE = 300
ENDS_WITHIN = 60
CONSUMER_TIMEOUT = 12.0
"""Seconds after which the broker of a torture takes back what was not acked."""


@dataclass(frozen=True)
class Fault:
    """`seconds`: that it takes at least."""

    name: str
    weight: int
    do: Callable[[], None]
    seconds: float = 0


@dataclass(frozen=True)
class Stop:
    """When a torture is over: after so many seconds, or so many killed processes."""

    seconds: float = float("inf")
    kills: float = float("inf")

    def __str__(self) -> str:
        return f"--seconds {self.seconds:g}" if self.seconds < float("inf") else f"--kills {self.kills:g}"


class Torture:
    def __init__(self, place: Place, redis: Pair, workers: list[Service], dice: random.Random) -> None:
        self.place = place
        self.redis = redis
        self.judge = Judge(place, redis.url(0), forgetful=True)
        self.workers = workers
        self.dice = dice
        self.done: Counter[str] = Counter()
        self.kills = 0
        self._published: list[Document] = []
        self.diary = place.folder / "faults.log"
        stack = place.stack
        faults = (
            Fault("worker killed", 30, lambda: self._kill(*self._some_workers(1))),
            Fault("workers killed at once", 25, lambda: self._kill(*self._some_workers(4))),
            Fault("worker stopped for twice the lease", 3, lambda: self._pause(self._worker(), 2 * LEASE), 2 * LEASE),
            Fault("worker ended while half a request stands", 3, self._end_half_asked),
            Fault("Redis killed", 4, lambda: self._kill(self.redis.primary)),
            Fault("Redis stopped", 2, lambda: self._pause(self.redis.primary, 3), 3),
            Fault("Redis emptied", 3, self.redis.empty),
            Fault("Redis lost its last writes, workers killed", 14, self._lose_last_writes),
            Fault("Redis failed over", 4, self._fail_over),
            Fault("Redis killed, its late replica promoted, workers killed", 10, self._lose_primary),
            Fault("Redis failed over and back, workers killed", 8, self._there_and_back, 2),
            Fault("Redis split", 4, self._split, 6),
            Fault("MongoDB killed", 4, lambda: self._kill(stack.mongo)),
            Fault("MongoDB stopped", 2, lambda: self._pause(stack.mongo, 3), 3),
            Fault("SMTP server killed", 4, lambda: self._kill(stack.smtp)),
            Fault("SMTP server down beyond the broker's patience", 1, self._outlast_the_broker, CONSUMER_TIMEOUT + 3),
            Fault("SMTP misbehaves", 6, self._misbehave),
            Fault("RabbitMQ killed", 1, self._kill_broker, 5),
            Fault("RabbitMQ's connections closed", 3, self._close_connections),
        )
        self.faults = {each.name: each for each in faults}

    def run(self, stop: Stop) -> None:
        end = time.monotonic() + stop.seconds
        while (left := end - time.monotonic()) > 0 and self.kills < stop.kills:
            self._publish(self.dice.randint(1, 8))
            time.sleep(self.dice.uniform(0, 0.6))
            fitting = [each for each in self.faults.values() if each.seconds < left]
            self.hurt(self.dice.choices(fitting, [each.weight for each in fitting])[0].name)

    def hurt(self, name: str) -> None:
        self.done[name] += 1
        self._note(name)
        self.faults[name].do()

    def rest(self) -> None:
        """Everything is well again, and every event comes to its end."""
        self._note("rest")
        self.place.smtp.clear()
        until(self.judge.at_rest, timeout=PATIENCE)
        for worker in self.workers:
            worker.terminate()
        for worker in self.workers:
            self._has_ended(worker)

    def _note(self, what: str) -> None:
        with self.diary.open("a", encoding="utf-8") as file:
            file.write(f"{time.time():.3f} {what}\n")

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

    def _some_workers(self, most: int) -> list[Service]:
        return self.dice.sample(self.workers, self.dice.randint(min(2, most), most))

    def _strike(self, *parts: Part) -> None:
        for part in parts:
            self._note(f"  kill -9 {part.folder.name}")
            part.kill()
        self.kills += len(parts)

    def _kill(self, *parts: Part) -> None:
        self._strike(*parts)
        self._start(*parts)

    def _start(self, *parts: Part) -> None:
        for part in parts:
            part.start()
        for part in parts:
            part.wait_ready()

    def _kill_broker(self) -> None:
        broker = self.place.stack.broker
        broker.sync()
        self._kill(broker)
        shorten_patience(broker)

    def _pause(self, part: Part, seconds: float) -> None:
        part.pause()
        try:
            time.sleep(seconds)
        finally:
            part.resume()

    def _end_half_asked(self) -> None:
        """SIGTERM, while a client has asked half of something and then says nothing more."""
        worker = self._worker()
        with socket.create_connection(("127.0.0.1", worker.port), 5) as client:
            client.sendall(b"GET /health HTTP/1.1\r\nHost: ")
            worker.terminate()
            self._has_ended(worker)
        self._start(worker)

    def _has_ended(self, worker: Service) -> None:
        until(lambda: worker.exit_code, timeout=ENDS_WITHIN)
        if worker.exit_code != "0":
            raise AssertionError(f"a worker ended with {worker.exit_code}; its log: {worker.log}")

    # ── Redis that loses what it was told ────────────────────────────────────────────────────────────

    def _in_hand(self) -> None:
        """Mails are in hand, at whatever step, when this returns."""
        at = self.dice.choice(("rcpt", "data", "dot"))
        seconds = self.dice.uniform(0.1, 0.8)
        self.place.smtp.script([Rule(at=at, action="late", seconds=seconds, times=8)])  # type: ignore[arg-type]  # a stage
        self._publish(self.dice.randint(2, 6))
        self._a_moment()

    def _a_moment(self) -> None:
        time.sleep(self.dice.uniform(0, 0.4))

    def _lose_last_writes(self) -> None:
        self._in_hand()
        self.redis.save()
        self._a_moment()
        parts = [self.redis.primary, *self._some_workers(2)]
        self.dice.shuffle(parts)
        self._kill(*parts)

    def _fail_over(self) -> None:
        self.redis.settle()
        self.redis.fail_over()

    def _lose_primary(self) -> None:
        self.redis.settle()
        self._publish(self.dice.randint(1, 4))
        self._a_moment()
        self.redis.hold_up()
        self._in_hand()
        lost, workers = self.redis.primary, self._some_workers(2)
        self._strike(lost, *workers)
        self.redis.fail_over()
        self._start(*workers)
        self.redis.back(lost)

    def _there_and_back(self) -> None:
        """The primary is the same process afterwards, and knows only what its replica knew."""
        self.redis.settle()
        self._in_hand()
        self.redis.hold_up()
        self._a_moment()
        workers = self._some_workers(2)
        self._strike(*workers)
        self.redis.fail_over()
        self.redis.settle()
        self.redis.fail_over()
        self._start(*workers)

    def _split(self) -> None:
        """For some seconds half of the workers have another primary than the others, and some of them die."""
        self.redis.settle()
        self._in_hand()
        self.redis.split()
        end = time.monotonic() + self.dice.uniform(2, 6)
        while time.monotonic() < end:
            self._in_hand()
            self._kill(*self._some_workers(1))
        if self.dice.random() < 1 / 2:
            self.redis.swap()
        self.redis.heal()

    # ── the others ───────────────────────────────────────────────────────────────────────────────────

    def _outlast_the_broker(self) -> None:
        smtp = self.place.stack.smtp
        self._strike(smtp)
        self._publish(self.dice.randint(4, 12))
        time.sleep(CONSUMER_TIMEOUT + 3)
        self._start(smtp)

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


def shorten_patience(broker: Broker) -> None:
    """As its file would, but for the second setting, which its file does not know."""
    broker.tell(consumer_timeout=round(CONSUMER_TIMEOUT * 1000), channel_tick_interval=1000)
