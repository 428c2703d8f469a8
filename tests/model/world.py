"""Workers, stores, broker and mail server under one clock, one step at a time."""

import functools
import json
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from tests.model.broker import Broker, Message
from tests.model.process import Clock
from tests.model.smtp import DOUBTFUL, Reply, Server
from tests.model.witness import Witness
from tests.model.worker import LEASE, Stores, Worker
from tests.samples import sample

_MAX_STEPS = 2000
"""A run that takes more goes round for ever."""

_SECOND_HALF = " done"


@functools.cache
def _body(number: int) -> bytes:
    own = {"event_id": f"evt-{number}", "booking_id": f"B-{number}", "user_email": f"jane@d{number}.example"}
    return json.dumps(sample("booking.confirmed", **own)).encode()


@dataclass(frozen=True, slots=True)
class Setting:
    """What is the same in all runs of a test. `fine`: a step ends before the effect of a call, and again after it.

    `express`: each event comes on the express lane too, whose copy is delivered first. `recall`: what bounced before it
    was known that we are refused is called back. `refusing`: the broker takes no copy of anything.
    """

    name: str = "plain"
    replies: tuple[Reply, ...] = ()
    copies: int = 1
    workers: int = 1
    hold: bool = False
    fine: bool = False
    express: bool = False
    recall: bool = False
    refusing: bool = False


class World:
    def __init__(self, setting: Setting) -> None:
        random.seed(1)  # the package jitters its pauses; here every run of a schedule is the same
        self.setting = setting
        self.clock = Clock()
        self.broker = Broker(self.clock, refusing=setting.refusing)
        self.server = Server(setting.replies)
        self.stores = Stores(self.clock)
        self.witness = Witness(self.stores, self.server)
        self.trace: list[str] = []
        self.faults = [reply.value for reply in setting.replies if reply in DOUBTFUL]
        self.events: list[int] = []
        self.killed_at: list[int] = []
        """The numbers of the steps that were cut off."""
        self.steps = 0
        self._appointments: list[tuple[float, Callable[[], None]]] = []
        self._names = iter(f"worker {number}" for number in range(1, 1000))
        self.workers = [self._start() for _ in range(setting.workers)]
        self.current = self.workers[0]
        self._gone: list[Worker] = []

    # ── what happens to it ───────────────────────────────────────────────────────────────────────────
    def publish(self, number: int = 1, copies: int = 1) -> None:
        if number not in self.events:
            self.events.append(number)
        message = Message(_body(number), "booking.confirmed", f"evt-{number}")
        is_express_copy = [replace(message, is_express_copy=True)] if self.setting.express else []
        self.broker.ready += [*is_express_copy, message] * copies
        self._say(f"event {number} is published {copies} times")
        self.settle()

    def crash(self, worker: Worker, *, restart: bool = True) -> None:
        self._hit(f"{worker.name} is killed")
        self.killed_at.append(self.steps)
        worker.kill()
        self._gone.append(worker)
        self.workers.remove(worker)
        if restart:
            self.workers.insert(0, self._start())
        if worker is self.current and self.workers:
            self.current = self.workers[0]

    def start(self) -> None:
        self.workers.append(self._start())
        self.current = self.workers[0]
        self.settle()

    def forget(self) -> None:
        self._hit("Redis forgets")
        self.stores.forget_claims()

    def lose_writes(self, count: int) -> None:
        self._hit(f"Redis loses its last {count} writes")
        self.stores.lose_writes(count)

    def split(self, worker: Worker) -> None:
        self._hit(f"{worker.name} is left alone with the primary of before")
        self.stores.split(worker.process)

    def promote(self, worker: Worker) -> None:
        self._hit(f"{worker.name} alone is led to a replica that is promoted")
        self.stores.promote(worker.process)

    def claims_go_away(self, seconds: float | None = None) -> None:
        self._hit("Redis goes away")
        self.stores.claims.away = True
        if seconds is not None:
            self._appointments.append((self.clock.now + seconds, self.claims_come_back))

    def claims_come_back(self) -> None:
        self._say("Redis comes back")
        self.stores.claims.away = False

    def ledger_goes_away(self) -> None:
        self._hit("MongoDB goes away")
        self.stores.ledger.away = True

    def ledger_comes_back(self) -> None:
        self._say("MongoDB comes back")
        self.stores.ledger.away = False

    def lose_answers(self, store: str, count: int) -> None:
        """`store`: "claims" or "ledger"; what was asked of it is done all the same."""
        self._hit(f"{store} loses its next {count} answers")
        getattr(self.stores, store).answers_to_lose += count

    def cut(self, worker: Worker) -> None:
        self._hit(f"{worker.name} loses its connection to the broker")
        worker.reconnect()

    def stall(self, worker: Worker) -> None:
        """SIGSTOP for more than a lease, during which the others go on. Then the broker gives up on it.

        It takes its next step, late, when the turn is its own again.
        """
        self._hit(f"{worker.name} is stopped for more than a lease")
        while others := [other for other in self.ready() if other is not worker]:
            self.step(others[0])
        self.clock.now += LEASE + 1
        self.switch(worker)
        self.cut(worker)

    def switch(self, worker: Worker) -> None:
        """Another worker than this takes the next steps."""
        self.current = next((other for other in self.workers if other is not worker), worker)
        self._say(f"it is the turn of {self.current.name}")

    def script(self, reply: Reply) -> None:
        self._hit(f"the server's next reply is {reply.value}")
        self.server.script.append(reply)

    def heal(self) -> None:
        self.claims_come_back()
        self.ledger_comes_back()
        self.stores.claims.answers_to_lose = self.stores.ledger.answers_to_lose = 0
        if not self.workers:
            self.start()

    # ── how it goes on ───────────────────────────────────────────────────────────────────────────────
    def settle(self) -> None:
        """Whatever happens without a step: the broker delivers, and each worker runs up to its next steps."""
        self.broker.cancel_waiting()
        for worker in self._in_turn():
            worker.process.run_ready()
        while self.broker.ready and self.workers:
            min(self._in_turn(), key=lambda worker: len(worker.connection.unacked)).take()

    def ready(self) -> list[Worker]:
        """Those that can take a step, the current one first."""
        return [worker for worker in self._in_turn() if worker.process.gates]

    def step(self, worker: Worker) -> None:
        """The oldest step of this worker; unless they are fine, with the second half of it."""
        gate = worker.process.gates[0]
        self._say(f"{worker.name}: {gate.name}")
        self.stores.note_writes()
        worker.process.let_through(gate)
        while not self.setting.fine and (
            halves := [each for each in worker.process.gates if each.name.endswith(_SECOND_HALF)]
        ):
            worker.process.let_through(halves[0])
        self.steps += 1
        self.settle()

    def wait(self) -> None:
        """Until the next thing that time brings."""
        times = [self.broker.next_due, *(when for when, _ in self._appointments)]
        times += [worker.process.next_timer for worker in self.workers]
        self.pass_time(min(when for when in times if when is not None))

    def pass_time(self, until: float) -> None:
        self.clock.now = max(until, self.clock.now)
        kept = [each for each in self._appointments if each[0] <= self.clock.now]
        self._appointments = [each for each in self._appointments if each not in kept]
        for _, happens in kept:
            happens()
        self.settle()

    @property
    def at_rest(self) -> bool:
        busy = self.broker.ready or self.broker.waiting or any(worker.connection.unacked for worker in self.workers)
        if self.setting.recall and self.stores.to_be_called_back:
            return False
        return not busy and all(worker.idle for worker in self.workers)

    def run(self, before_step: Callable[["World"], None] = lambda _: None) -> None:
        """To rest. `before_step` may do things to the world: it is called whenever somebody can take a step."""
        self.settle()
        while not self.at_rest:
            assert self.steps < _MAX_STEPS, self.failure("it never comes to rest")
            if self.ready():
                before_step(self)
            self.settle()
            ready = self.ready()
            if ready:
                self.current = ready[0]
                self.step(self.current)
            else:
                self.wait()

    def check(self, outcomes: Iterable[str] = ("sent",)) -> None:
        """At rest; `outcomes`: those that this run may end in."""
        problems = self.witness.problems_of(
            self.events, frozenset(outcomes), hold=self.setting.hold, calm=not self.faults
        )
        problems += [problem for worker in (*self.workers, *self._gone) for problem in worker.process.problems]
        problems += self._parked_wrongly()
        assert not problems, self.failure("; ".join(problems))

    def close(self) -> None:
        for worker in self.workers:
            worker.process.kill()

    def failure(self, problem: str) -> str:
        return "\n  ".join([f"{problem}\n{self.setting}", *self.trace])

    def _parked_wrongly(self) -> list[str]:
        parked = {message.message_id for message in self.broker.parked}
        wanted = set() if self.setting.refusing else self.witness.for_a_person()
        return [] if parked == wanted else [f"parked are {parked}, and a person is to see to {wanted}"]

    def _in_turn(self) -> list[Worker]:
        return sorted(self.workers, key=lambda worker: worker is not self.current)

    def _start(self) -> Worker:
        return Worker(
            next(self._names),
            self.clock,
            self.stores,
            self.broker,
            self.server,
            hold=self.setting.hold,
            express=self.setting.express,
            recall=self.setting.recall,
        )

    def _hit(self, fault: str) -> None:
        self.faults.append(fault)
        self._say(fault)

    def _say(self, what: str) -> None:
        self.trace.append(f"{self.clock.now - 1000:g} s: {what}")
