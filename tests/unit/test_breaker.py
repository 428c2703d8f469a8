"""The breaker: an unavailable transport makes every mail wait, fails none, and gets its load back step by step."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from notification_service.channels.admission import State
from notification_service.channels.breaker import Breaker
from notification_service.delivery.ports.channel import (
    BeforeHandover,
    Deferred,
    HandoverRefused,
    OutgoingMessage,
    PutOff,
    Tried,
    Verdict,
)
from tests.unit.fakes import ACCEPTED, IN_DOUBT, UNAVAILABLE, deferred, envelope, held, refused, unmarked

PAUSE = 0.02
Answer = Tried | Exception


class ScriptedTransport:
    """Attempts wait at the gate until the test answers each; with `gated` False, each is answered at once."""

    name = "scripted"

    def __init__(self) -> None:
        self.answer: Answer = ACCEPTED
        self.gated = False
        self.tries: list[str] = []
        self.waiting: list[asyncio.Future[Answer]] = []
        self.peak = 0
        self.closed = False

    async def send_once(self, envelope: OutgoingMessage, before_handover: BeforeHandover) -> Tried:  # noqa: ARG002 - a try that never gets there
        self.tries.append(envelope.notification_id)
        gate: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self.waiting.append(gate)
        self.peak = max(self.peak, len(self.waiting))
        try:
            if not self.gated:
                await asyncio.sleep(0.001)
                gate.set_result(self.answer)
            answer = await gate
        finally:
            self.waiting.remove(gate)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def open_the_gate(self) -> None:
        """From now on every try is accepted, those that wait included."""
        self.gated, self.answer = False, ACCEPTED
        for gate in self.waiting:
            gate.set_result(ACCEPTED)

    async def close(self) -> None:
        self.closed = True


@contextlib.asynccontextmanager
async def mails(breaker: Breaker, count: int) -> AsyncIterator[list[asyncio.Task[Verdict]]]:
    """Mails that are being delivered side by side; what is left of them in the end is cancelled."""
    tasks = [asyncio.create_task(breaker.deliver(envelope(f"n{number}"), held, unmarked)) for number in range(count)]
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await breaker.close()


async def settled() -> None:
    """Let everything that can go on go on."""
    for _ in range(50):
        await asyncio.sleep(0)


async def opened(breaker: Breaker) -> None:
    while breaker.state is not State.OPEN:  # noqa: ASYNC110 - its state is all that it tells
        await asyncio.sleep(0)


def breaker_over(
    transport: ScriptedTransport,
    max_concurrency: int = 8,
    first_pause_s: float = PAUSE,
    max_pause_s: float = 4 * PAUSE,
    max_wait_s: float = 60,
) -> Breaker:
    return Breaker(
        transport, max_concurrency, first_pause_s=first_pause_s, max_pause_s=max_pause_s, max_wait_s=max_wait_s
    )


@pytest.mark.parametrize(
    "verdict", [ACCEPTED, deferred(), refused(), IN_DOUBT, HandoverRefused()], ids=lambda v: type(v).__name__
)
async def test_a_verdict_on_one_mail_does_not_open_the_breaker(verdict: Tried) -> None:
    transport = ScriptedTransport()
    transport.answer = verdict
    breaker = breaker_over(transport)
    assert await breaker.deliver(envelope(), held, unmarked) == verdict
    assert breaker.state is State.CLOSED


async def test_a_transport_that_breaks_off_every_mail_is_stopped_after_three() -> None:
    transport = ScriptedTransport()
    transport.answer = IN_DOUBT
    breaker = breaker_over(transport)
    for state in (State.CLOSED, State.CLOSED, State.OPEN):
        assert await breaker.deliver(envelope(), held, unmarked) == IN_DOUBT
        assert breaker.state is state
    async with mails(breaker, 1) as tasks:
        assert await tasks[0] == IN_DOUBT
        assert breaker.state is State.OPEN  # a probe that breaks off is one too many
        assert len(transport.tries) == 4


async def test_doubts_that_do_not_follow_each_other_open_nothing() -> None:
    transport = ScriptedTransport()
    breaker = breaker_over(transport)
    for answer in (IN_DOUBT, IN_DOUBT, ACCEPTED) * 3:
        transport.answer = answer
        await breaker.deliver(envelope(), held, unmarked)
    assert breaker.state is State.CLOSED


async def test_before_a_mail_waits_the_breaker_reports_that_nothing_was_sent() -> None:
    transport = ScriptedTransport()
    transport.answer = UNAVAILABLE
    breaker = breaker_over(transport)
    reported: list[State] = []

    async def nothing_sent() -> None:
        reported.append(breaker.state)
        transport.answer = ACCEPTED

    assert await breaker.deliver(envelope(), held, nothing_sent) == ACCEPTED
    assert reported == [State.OPEN]


async def test_one_outage_opens_it_once_and_no_mail_is_lost_or_blamed() -> None:
    transport = ScriptedTransport()
    transport.answer = UNAVAILABLE
    breaker = breaker_over(transport)
    async with mails(breaker, 50) as tasks:
        await opened(breaker)
        await asyncio.sleep(PAUSE / 4)
        assert breaker.slots.generation == 1
        assert len(transport.tries) == 8
        reason = breaker.reason
        assert reason == "421 4.3.2 closing"
        transport.answer = ACCEPTED
        assert await asyncio.gather(*tasks) == [ACCEPTED] * 50
    assert (breaker.state, breaker.reason) == (State.CLOSED, None)
    assert set(transport.tries) == {f"n{number}" for number in range(50)}
    assert len(transport.tries) == 58


async def test_while_it_is_open_nothing_is_tried_and_then_one_mail_probes() -> None:
    transport = ScriptedTransport()
    transport.answer = UNAVAILABLE
    breaker = breaker_over(transport)
    async with mails(breaker, 20):
        await opened(breaker)
        await settled()
        assert len(transport.tries) == 8
        transport.gated, transport.peak = True, 0
        await asyncio.sleep(PAUSE * 2)
        assert (breaker.state, len(transport.waiting), len(transport.tries)) == (State.PROBING, 1, 9)
        transport.waiting[0].set_result(UNAVAILABLE)
        await settled()
        assert (breaker.state, len(transport.waiting)) == (State.OPEN, 0)
        await asyncio.sleep(PAUSE * 4)
        assert (breaker.state, len(transport.waiting), transport.peak) == (State.PROBING, 1, 1)


async def test_the_crowd_comes_back_as_one_two_four_and_never_more_than_the_most() -> None:
    transport = ScriptedTransport()
    transport.answer = UNAVAILABLE
    breaker = breaker_over(transport)
    seen = []
    async with mails(breaker, 40) as tasks:
        await opened(breaker)
        transport.gated, transport.peak = True, 0
        await asyncio.sleep(PAUSE * 2)
        for _ in range(6):
            seen.append((len(transport.waiting), breaker.state))
            transport.waiting[0].set_result(ACCEPTED)
            await settled()
        transport.open_the_gate()
        await asyncio.gather(*tasks)
    ramp = [(1, State.PROBING), (2, State.RAMPING), (4, State.RAMPING), (8, State.CLOSED), (8, State.CLOSED)]
    assert seen == [*ramp, (8, State.CLOSED)]
    assert transport.peak == 8


async def test_a_fault_while_it_ramps_opens_it_again() -> None:
    transport = ScriptedTransport()
    transport.answer = UNAVAILABLE
    breaker = breaker_over(transport)
    async with mails(breaker, 20):
        await opened(breaker)
        transport.gated = True
        await asyncio.sleep(PAUSE * 2)
        transport.waiting[0].set_result(ACCEPTED)
        await settled()
        assert (breaker.state, len(transport.waiting)) == (State.RAMPING, 2)
        transport.waiting[0].set_result(UNAVAILABLE)
        await settled()
        assert (breaker.state, len(transport.waiting), breaker.slots.generation) == (State.OPEN, 1, 2)


async def test_a_straggler_of_the_same_outage_does_not_open_it_again() -> None:
    transport = ScriptedTransport()
    transport.gated = True
    breaker = breaker_over(transport, max_concurrency=2)
    async with mails(breaker, 2):
        await settled()
        transport.waiting[0].set_result(UNAVAILABLE)
        await asyncio.sleep(PAUSE * 2)
        assert breaker.state is State.PROBING
        transport.waiting[0].set_result(UNAVAILABLE)
        await settled()
        assert (breaker.slots.generation, breaker.state, len(transport.waiting)) == (1, State.PROBING, 1)


async def test_a_mail_that_opens_it_every_time_does_not_stop_the_others_and_is_deferred_itself() -> None:
    class Picky(ScriptedTransport):
        async def send_once(self, envelope: OutgoingMessage, before_handover: BeforeHandover) -> Tried:
            verdict = await super().send_once(envelope, before_handover)
            return UNAVAILABLE if envelope.notification_id == "n0" else verdict

    breaker = breaker_over(Picky(), max_concurrency=1, max_pause_s=PAUSE)
    async with mails(breaker, 4) as tasks, asyncio.timeout(10):
        assert await asyncio.gather(*tasks[1:]) == [ACCEPTED] * 3
        while not tasks[0].done():
            assert await breaker.deliver(envelope("another"), held, unmarked) == ACCEPTED
            await asyncio.sleep(PAUSE / 4)
    assert isinstance(tasks[0].result(), Deferred)


async def test_a_probe_does_not_wait_for_what_still_hangs_from_before() -> None:
    transport = ScriptedTransport()
    transport.gated = True
    breaker = breaker_over(transport, max_concurrency=2)
    async with mails(breaker, 3):
        await settled()
        hanging, failing = transport.waiting
        failing.set_result(UNAVAILABLE)
        await asyncio.sleep(PAUSE * 2)
        assert [gate for gate in transport.waiting if gate is not hanging], "nothing probes"
        assert not breaker.slots.blocked


async def test_a_long_outage_is_probed_at_the_max_pause_s_at_least() -> None:
    transport = ScriptedTransport()
    transport.answer = UNAVAILABLE
    breaker = breaker_over(transport, first_pause_s=0.01, max_pause_s=0.02)
    async with mails(breaker, 1) as tasks:
        await asyncio.sleep(0.3)
        assert 8 <= len(transport.tries) <= 30
        transport.answer = ACCEPTED
        assert await asyncio.wait_for(tasks[0], 0.2) == ACCEPTED


async def test_never_more_than_the_most_at_once_for_two_hundred_mails() -> None:
    transport = ScriptedTransport()
    breaker = breaker_over(transport, max_concurrency=3)
    async with mails(breaker, 200) as tasks:
        await asyncio.gather(*tasks)
    assert transport.peak == 3
    assert len(transport.tries) == 200


@pytest.mark.parametrize("which", ["waiting", "under way"])
async def test_a_cancelled_mail_leaves_its_turn_to_the_others(which: str) -> None:
    transport = ScriptedTransport()
    transport.gated = True
    breaker = breaker_over(transport, max_concurrency=2)
    async with mails(breaker, 6) as tasks:
        await settled()
        cancelled = tasks[2:4] if which == "waiting" else tasks[:2]
        for task in cancelled:
            task.cancel()
        await settled()
        assert len(transport.waiting) == 2
        transport.open_the_gate()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        assert sum(isinstance(end, asyncio.CancelledError) for end in ended) == 2
        assert ended.count(ACCEPTED) == 4
        assert breaker.slots._taken == 0


async def test_a_probe_that_is_cancelled_leaves_the_probe_to_another() -> None:
    transport = ScriptedTransport()
    transport.answer = UNAVAILABLE
    breaker = breaker_over(transport)
    async with mails(breaker, 3) as tasks:
        await opened(breaker)
        transport.gated = True
        await asyncio.sleep(PAUSE * 2)
        prober = next(
            task for task in tasks if task.get_coro() is not None and f"n{tasks.index(task)}" == transport.tries[-1]
        )
        prober.cancel()
        await settled()
        assert len(transport.waiting) == 1
        assert transport.tries[-1] != f"n{tasks.index(prober)}"


async def test_an_exception_of_the_transport_fails_its_mail_and_leaves_the_counts_right() -> None:
    transport = ScriptedTransport()
    transport.answer = RuntimeError("a bug")
    breaker = breaker_over(transport, max_concurrency=1)
    for _ in range(3):
        with pytest.raises(RuntimeError, match="a bug"):
            await breaker.deliver(envelope(), held, unmarked)
    transport.answer = ACCEPTED
    assert await asyncio.wait_for(breaker.deliver(envelope(), held, unmarked), 1) == ACCEPTED
    assert breaker.state is State.CLOSED


async def test_closing_the_breaker_closes_the_transport_and_cancels_the_probe() -> None:
    transport = ScriptedTransport()
    transport.answer = UNAVAILABLE
    breaker = breaker_over(transport, first_pause_s=60, max_pause_s=60)
    async with mails(breaker, 1):
        await opened(breaker)
    await settled()
    assert transport.closed
    assert breaker.admission._probe is not None
    assert breaker.admission._probe.cancelled()


async def test_where_nobody_waits_there_is_no_crowd_to_let_in_by_and_by() -> None:
    transport = ScriptedTransport()
    transport.answer = UNAVAILABLE
    breaker = breaker_over(transport)
    async with mails(breaker, 1) as tasks:
        await opened(breaker)
        transport.answer = ACCEPTED
        assert await tasks[0] == ACCEPTED
    assert breaker.state is State.CLOSED


async def test_a_mail_that_waits_for_minutes_is_put_off_and_blames_nobody() -> None:
    """Its delivery would stand unacked for as long, and the broker would close the channel over it."""
    transport = ScriptedTransport()
    transport.answer = UNAVAILABLE
    breaker = breaker_over(transport, first_pause_s=10, max_wait_s=PAUSE)
    async with mails(breaker, 3) as tasks:
        put_off = await asyncio.wait_for(asyncio.gather(*tasks), 5)
    assert all(isinstance(verdict, PutOff) and verdict.seconds > 0 for verdict in put_off)
    assert isinstance(put_off[0], PutOff)
    assert "closing" in put_off[0].reason
    assert breaker.waiting == 0


async def test_at_the_end_only_those_go_that_wait_for_a_closed_channel() -> None:
    transport = ScriptedTransport()
    transport.gated = True
    breaker = breaker_over(transport, max_concurrency=2, first_pause_s=10)
    async with mails(breaker, 4) as tasks:
        await settled()
        breaker.cancel_waiting()
        await settled()
        assert not any(task.done() for task in tasks)
        transport.waiting[0].set_result(UNAVAILABLE)
        await opened(breaker)
        breaker.cancel_waiting()
        assert not any(task.cancelled() for task in tasks), "one conversation goes on"
        transport.waiting[0].set_result(ACCEPTED)
        await settled()
        breaker.cancel_waiting()
        await settled()
        assert sorted(task.cancelled() for task in tasks) == [False, True, True, True]


async def test_a_broker_that_loses_max_wait_s_sooner_shortens_the_waiting_and_never_lengthens_it() -> None:
    transport = ScriptedTransport()
    transport.answer = UNAVAILABLE
    breaker = breaker_over(transport, first_pause_s=10)
    async with mails(breaker, 2) as waiting:
        await opened(breaker)
        breaker.allow_to_wait(PAUSE)
        breaker.allow_to_wait(1800)
        async with mails(breaker, 2) as later:
            put_off = await asyncio.wait_for(asyncio.gather(*waiting, *later), 5)
    assert all(isinstance(verdict, PutOff) for verdict in put_off)


async def test_a_transport_without_room_puts_the_message_off_and_changes_nothing() -> None:
    transport = ScriptedTransport()
    transport.answer = PutOff(5.0, "every session is taken")
    breaker = Breaker(transport, 2)
    verdict = await breaker.deliver(envelope(), held, unmarked)
    assert verdict == PutOff(5.0, "every session is taken")
    assert (breaker.state, len(transport.tries)) == (State.CLOSED, 1)


async def test_a_probe_that_finds_no_room_leaves_the_next_message_to_probe() -> None:
    transport = ScriptedTransport()
    transport.gated = True
    breaker = Breaker(transport, 2, first_pause_s=PAUSE)
    waiting = asyncio.create_task(breaker.deliver(envelope(), held, unmarked))
    (await _gate(transport, 1)).set_result(UNAVAILABLE)
    (await _gate(transport, 2)).set_result(PutOff(5.0, "every session is taken"))
    assert isinstance(await waiting, PutOff)
    assert breaker.state is State.PROBING
    transport.gated = False
    assert await breaker.deliver(envelope(), held, unmarked) == ACCEPTED
    assert len(transport.tries) == 3
    await breaker.close()


async def _gate(transport: ScriptedTransport, number: int) -> "asyncio.Future[Answer]":
    """The gate of this try."""
    while len(transport.tries) < number:  # noqa: ASYNC110 - the transport tells nobody
        await asyncio.sleep(0.001)
    return transport.waiting[-1]
