"""Who gets an SMTP session next: in the order of arrival, and a mail that is cancelled costs no other one."""

import asyncio

import pytest

from notification_service.channels.email.smtp.envelope import Envelope
from notification_service.channels.email.smtp.session import Ride, Session
from notification_service.channels.email.smtp.turns import NoTurnError, Patience, Turns
from tests.unit.test_smtp_wire import ScriptedTransport, wire_over

ENVELOPE = Envelope(b"from@cinema.example", b"to@guests.example", utf8=False)


class Crowd:
    """Mails that wait for their turns. `unused`: the rides that cancelled ones left."""

    def __init__(self, limit: int = 1) -> None:
        self.turns = Turns(limit)
        self.unused: list[Ride] = []

    def take(self, *, seconds: float = 5, may_ride: bool = True, first: bool = False) -> asyncio.Task[Ride | None]:
        taking = self.turns.take(ENVELOPE, Patience(seconds), may_ride=may_ride, first=first, unused=self.unused.append)
        return asyncio.create_task(taking)


def session() -> Session:
    return Session("1", wire_over(ScriptedTransport()), ("pipelining",), 0.0, 0.0)


def ride() -> Ride:
    return Ride(session(), asyncio.get_running_loop().create_future(), (), by_chunk=True)


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_turns_are_given_in_the_order_of_arrival_though_one_is_free_for_a_moment() -> None:
    crowd = Crowd()
    await crowd.take()
    second = crowd.take()
    await settle()
    crowd.turns._free += 1  # as between the end of a turn and the next
    third = crowd.take()
    await settle()
    assert not third.done()
    crowd.turns._free -= 1
    crowd.turns.give_back()
    await settle()
    assert (second.done(), third.done()) == (True, False)
    third.cancel()


async def test_one_that_is_to_be_first_goes_before_those_that_wait() -> None:
    crowd = Crowd()
    await crowd.take()
    waits, first = crowd.take(), crowd.take(first=True)
    await settle()
    crowd.turns.give_back()
    await settle()
    assert (waits.done(), first.done()) == (False, True)
    waits.cancel()


async def test_a_mail_that_may_not_ride_waits_for_a_session_of_its_own() -> None:
    crowd = Crowd()
    await crowd.take()
    own, rides = crowd.take(may_ride=False), crowd.take()
    await settle()
    passenger = crowd.turns.next_passenger(session())
    assert passenger is not None
    passenger.turn.set_result(ride())
    await settle()
    assert (own.done(), rides.done()) == (False, True)
    assert crowd.turns.next_passenger(session()) is None
    crowd.turns.give_back()
    assert await own is None


async def test_a_mail_that_is_cancelled_as_it_gets_its_turn_leaves_it_to_the_next() -> None:
    crowd = Crowd()
    await crowd.take()
    cancelled, next_one = crowd.take(), crowd.take()
    await settle()
    crowd.turns.give_back()
    cancelled.cancel()
    assert await asyncio.wait_for(next_one, 1) is None


async def test_a_mail_that_is_cancelled_as_it_gets_a_ride_leaves_that() -> None:
    crowd = Crowd()
    await crowd.take()
    cancelled = crowd.take()
    await settle()
    passenger = crowd.turns.next_passenger(session())
    assert passenger is not None
    given = ride()
    passenger.turn.set_result(given)
    cancelled.cancel()
    await settle()
    assert crowd.unused == [given]


async def test_whose_patience_is_over_gets_no_turn_and_leaves_the_queue() -> None:
    crowd = Crowd()
    await crowd.take()
    with pytest.raises(NoTurnError):
        await crowd.take(seconds=0.01)
    assert crowd.turns.next_passenger(session()) is None
    crowd.turns.give_back()
    assert await crowd.take() is None
