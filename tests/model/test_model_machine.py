"""Whatever comes in whatever order: Hypothesis looks for a history after which the mails or the records are wrong.

The same histories in each run, a hundred and fifty of them; `make soak` looks for longer ones, and new ones each time.
"""

import os

import pytest
from hypothesis import HealthCheck, settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from tests.model.smtp import Reply
from tests.model.worker import LEASE, Worker
from tests.model.world import Setting, World

EVENTS = st.integers(1, 2)
OUTCOMES = {"sent", "unknown", "bounced", "parked"}
"""Bounced where the server said 550; parked after the last retry, or where worker after worker was lost."""


class Machine(RuleBasedStateMachine):
    hold = False
    express = False

    def __init__(self) -> None:
        super().__init__()
        self.world = World(Setting("machine", workers=2, hold=self.hold, fine=True, express=self.express))

    def has_workers(self) -> bool:
        return bool(self.world.workers)

    def has_steps(self) -> bool:
        return bool(self.world.ready())

    def worker(self, number: int) -> Worker:
        return self.world.workers[number % len(self.world.workers)]

    @rule(number=EVENTS, copies=st.integers(1, 2))
    def publish(self, number: int, copies: int) -> None:
        self.world.publish(number, copies)

    @precondition(has_steps)
    @rule(which=st.integers(0, 1), count=st.integers(1, 12))
    def steps(self, which: int, count: int) -> None:
        for _ in range(count):
            if ready := self.world.ready():
                self.world.step(ready[which % len(ready)])

    @precondition(has_workers)
    @rule(which=st.integers(0, 1), restart=st.booleans())
    def crash(self, which: int, restart: bool) -> None:  # noqa: FBT001 - Hypothesis passes it by name
        self.world.crash(self.worker(which), restart=restart)
        self.world.settle()

    @precondition(lambda self: len(self.world.workers) < 2)
    @rule()
    def start(self) -> None:
        self.world.start()

    @rule()
    def redis_forgets(self) -> None:
        self.world.forget()

    @rule(count=st.integers(1, 4))
    def redis_loses_writes(self, count: int) -> None:
        self.world.lose_writes(count)

    @precondition(has_workers)
    @rule(which=st.integers(0, 1))
    def redis_is_split(self, which: int) -> None:
        self.world.split(self.worker(which))

    @precondition(has_workers)
    @rule(which=st.integers(0, 1))
    def one_is_led_to_a_replica(self, which: int) -> None:
        self.world.promote(self.worker(which))

    @rule()
    def redis_goes_away(self) -> None:
        self.world.claims_go_away()

    @precondition(lambda self: self.world.stores.claims.away)
    @rule()
    def redis_comes_back(self) -> None:
        self.world.claims_come_back()

    @rule()
    def mongodb_goes_away(self) -> None:
        self.world.ledger_goes_away()

    @precondition(lambda self: self.world.stores.ledger.away)
    @rule()
    def mongodb_comes_back(self) -> None:
        self.world.ledger_comes_back()

    @rule(store=st.sampled_from(["claims", "ledger"]))
    def lose_an_answer(self, store: str) -> None:
        self.world.lose_answers(store, 1)

    @rule(reply=st.sampled_from(Reply))
    def server_replies(self, reply: Reply) -> None:
        self.world.script(reply)

    @precondition(has_workers)
    @rule(which=st.integers(0, 1))
    def cut(self, which: int) -> None:
        self.world.cut(self.worker(which))
        self.world.settle()

    @precondition(has_workers)
    @rule(which=st.integers(0, 1))
    def stall(self, which: int) -> None:
        if not self.world.stores.ledger.away:
            self.world.stall(self.worker(which))
            self.world.settle()

    @precondition(lambda self: not self.world.ready())
    @rule(seconds=st.sampled_from([1.0, 5.0, LEASE]))
    def time_passes(self, seconds: float) -> None:
        self.world.pass_time(self.world.clock.now + seconds)

    def teardown(self) -> None:
        try:
            self.world.heal()
            self.world.run()
            self.world.check(OUTCOMES)
        finally:
            self.world.close()


class HoldingMachine(Machine):
    """The policy is to hold what is unknown: never a second mail."""

    hold = True


class ExpressMachine(Machine):
    """Each event comes twice, one copy ahead."""

    express = True


SOAK = int(os.environ.get("MODEL_HISTORIES", "3000"))
QUICK = settings(
    max_examples=150,
    stateful_step_count=30,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("machine", [Machine, HoldingMachine, ExpressMachine])
def test_no_history_goes_wrong(machine: type[Machine]) -> None:
    run_state_machine_as_test(machine, settings=QUICK)


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("machine", [Machine, HoldingMachine, ExpressMachine])
def test_no_long_history_goes_wrong(machine: type[Machine]) -> None:
    longer = settings(QUICK, max_examples=SOAK, stateful_step_count=60, derandomize=False)
    run_state_machine_as_test(machine, settings=longer)
