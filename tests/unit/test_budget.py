"""What one event may cost, counted and not timed: calls to Redis, to MongoDB and to the mail server,
and of functions. What goes over the wires is counted in tests/integration/test_wire_budget.py.

A change that costs a round trip more fails here, and is then either taken back or written into the budget with its
reason in the commit.
"""

import gc
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from notification_service.channels.email.composer import EmailComposer
from notification_service.channels.email.mime import SenderIdentity
from notification_service.contract.channel_kinds import ChannelKind
from notification_service.delivery.jobs import Jobs
from notification_service.delivery.leases import Leases
from notification_service.delivery.pipeline import Pipeline
from notification_service.delivery.poison_guard import PoisonGuard
from notification_service.delivery.policy import Policy
from notification_service.delivery.retries import RetrySchedule
from notification_service.delivery.settlements import Done
from notification_service.delivery.state import DeliveryState
from notification_service.delivery.suppression_check import SuppressionCheck
from notification_service.stores.memory.claims import MemoryClaims
from notification_service.stores.memory.directory import MemoryDirectory
from notification_service.stores.memory.ledger import MemoryLedger
from notification_service.stores.memory.rates import MemoryRates
from notification_service.stores.memory.suppressions import MemorySuppressions
from tests.samples import sample
from tests.unit.fakes import LARGEST, ScriptedChannel, inbound
from tests.unit.test_pipeline import JANE, Shelf, renderer

BUDGET = {
    "booking.confirmed": {"redis": 4, "mongodb": 3, "mails": 1},
    "booking.cancelled": {"redis": 4, "mongodb": 3, "mails": 1},
    "payment.success": {"redis": 4, "mongodb": 5, "mails": 1},
    "payment.failed": {"redis": 4, "mongodb": 5, "mails": 1},
    "payment.refunded": {"redis": 4, "mongodb": 4, "mails": 1},
    "booking.refunded": {"redis": 4, "mongodb": 3, "mails": 1},
    "booking.pending_payment": {},
}
"""Redis: claim, the address's turn, the sending marker, the verdict. MongoDB: the entry, its outcome, and one question:
whether it was superseded, what the confirmation said, whose the payment is; of a refund also which report was first.

A success notes, in one write, that its booking is paid and by which of its names it was reported first. A failure asks,
in one read, whether its booking is paid or confirmed."""


class Counted:
    """A part whose every call is counted."""

    def __init__(self, part: object, count: Callable[[], None]) -> None:
        self._part = part
        self._count = count

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the part has
        found = getattr(self._part, name)
        if not callable(found):
            return found

        def called(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - passed on as they are
            self._count()
            return found(*args, **kwargs)

        return called


class Till:
    def __init__(self, *, suppression: bool = False) -> None:
        self.spent: Counter[str] = Counter()
        claims: Any = Counted(MemoryClaims(30), self._of("redis"))
        rates: Any = Counted(MemoryRates(), self._of("redis"))
        ledger: Any = Counted(MemoryLedger(), self._of("mongodb"))
        directory: Any = Counted(
            MemoryDirectory({"user456": JANE}, {sample("payment.refunded")["booking_id"]: "user456"}),
            self._of("mongodb"),
        )
        suppressions: Any = Counted(MemorySuppressions(), self._of("suppressions"))
        leases = Leases(claims, 30)
        self.channel = ScriptedChannel()
        self.pipeline = Pipeline(
            state=DeliveryState(claims, ledger, leases, rates),
            leases=leases,
            directory=directory,
            composer=EmailComposer(
                renderer(), SenderIdentity("tickets@cinema.example", "Cinema"), max_attachment_bytes=100_000
            ),
            channel=self.channel,
            outbox=Shelf(),
            policy=Policy(RetrySchedule(2, (5, 30)), LARGEST, renderer().zone),
            jobs=Jobs(),
            poison_guard=PoisonGuard(claims),
            suppression=SuppressionCheck(suppressions, ChannelKind.EMAIL) if suppression else None,
        )

    def _of(self, part: str) -> Callable[[], None]:
        def count() -> None:
            self.spent[part] += 1

        return count

    async def handle(self, name: str) -> dict[str, int]:
        self.spent.clear()
        before = len(self.channel.handed_over)
        assert isinstance(await self.pipeline.handle(inbound(sample(name))), Done)
        self.spent["mails"] = len(self.channel.handed_over) - before
        return dict(+self.spent)


@pytest.mark.parametrize("name", BUDGET)
async def test_an_event_costs_no_more_calls_than_its_budget(name: str) -> None:
    assert await Till().handle(name) == BUDGET[name]


@pytest.mark.parametrize("name", BUDGET)
async def test_where_suppression_is_on_a_mail_costs_one_look_up_more(name: str) -> None:
    assert await Till(suppression=True).handle(name) == BUDGET[name] | ({"suppressions": 1} if BUDGET[name] else {})


async def test_a_copy_costs_two_calls_to_redis_and_one_to_mongodb() -> None:
    till = Till()
    await till.handle("booking.confirmed")
    assert await till.handle("booking.confirmed") == {"redis": 2, "mongodb": 1}


@contextmanager
def collecting_no_garbage() -> Iterator[None]:
    """A collection calls functions too: finalizers, and what is told of each one, as Hypothesis asks to be.

    When one is due depends on what other tests have left behind.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


async def test_the_count_is_the_same_whatever_is_told_of_collections() -> None:
    told: list[str] = []
    gc.callbacks.append(lambda phase, _: told.append(phase))
    before = gc.get_threshold()
    gc.set_threshold(1)
    try:
        with collecting_no_garbage():
            told.clear()
            await Till().handle("booking.confirmed")
            assert not told
    finally:
        gc.set_threshold(*before)
        gc.callbacks.pop()


WORK = {"booking.confirmed": 1320, "payment.success": 1160, "booking.cancelled": 1130}
"""Calls of Python functions for one event in memory, everything being warm; a few more or less are no matter."""


@pytest.mark.parametrize("name", WORK)
async def test_an_event_costs_no_more_calls_of_functions_than_its_budget(name: str) -> None:
    """No clock is in it, so a slow machine does not matter; what makes the work cheaper lowers the number here."""
    till = Till()
    for _ in range(3):
        await till.handle(name)
        till = Till()
    calls = 0

    def note(_frame: object, what: str, _: object) -> None:
        nonlocal calls
        calls += what == "call"

    with collecting_no_garbage():
        sys.setprofile(note)
        try:
            await till.handle(name)
        finally:
            sys.setprofile(None)
    assert calls <= WORK[name] * 1.05, f"{calls} calls; the budget is {WORK[name]}"
    assert calls >= WORK[name] * 0.8, f"{calls} calls: write the new budget down"
