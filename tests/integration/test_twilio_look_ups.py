"""Look-ups of messages in doubt go through the breaker of SMS: one outage is found out once, and closes the channel."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime

import pytest

from notification_service.channels.admission import State
from notification_service.channels.breaker import Breaker
from notification_service.channels.http_client import HttpClient
from notification_service.channels.look_ups import GuardedLookUps
from notification_service.channels.sms.message import OutgoingSms
from notification_service.channels.sms.prices import Prices
from notification_service.channels.sms.twilio.transport import Account, TwilioTransport
from notification_service.delivery.ports.channel import Accepted, LookUpAnswer, LookUpFailed, NotFound, Verdict
from notification_service.delivery.ports.claims import Fence
from tests.stack import twilio as doubles
from tests.stack.twilio import LIST_DOWN, Reply, Twilio, refusal

TIMEOUT_S, PAUSE_S, AT_ONCE = 0.3, 0.2, 4
HANGS, NO_LOGIN, TOO_FAST, UNREADABLE = Reply(seconds=1), refusal(401, 20003), refusal(429, 20429), Reply(200)


@pytest.fixture
def double() -> Iterator[Twilio]:
    with Twilio() as running:
        yield running


class Channel:
    """SMS as the service connects it: the breaker around the transport, and its look-ups."""

    def __init__(self, double: Twilio) -> None:
        client = HttpClient(tls=ssl.create_default_context(), timeout=TIMEOUT_S, max_connections=AT_ONCE)
        account = Account(
            doubles.SID, doubles.KEY, password=doubles.SECRET, sender=doubles.SENDER, callbacks=None, api=double.url
        )
        transport = TwilioTransport(client, account, Prices())
        self.breaker = Breaker(transport, AT_ONCE, first_pause_s=PAUSE_S, max_pause_s=PAUSE_S, max_wait_s=5)
        self._look_ups = GuardedLookUps(transport.look_up, self.breaker)

    async def ask(self, place: int = 0) -> LookUpAnswer:
        return await self._look_ups(sms(place), datetime.now(UTC))

    async def send(self) -> Verdict:
        return await self.breaker.deliver(sms(), _held, _nothing)

    async def until_it_may_be_probed(self) -> None:
        await asyncio.sleep(2 * PAUSE_S)
        assert self.breaker.state is State.PROBING


@pytest.fixture
async def channel(double: Twilio) -> AsyncIterator[Channel]:
    made = Channel(double)
    yield made
    await made.breaker.close()


def sms(place: int = 0) -> OutgoingSms:
    return OutgoingSms(
        recipient=f"+491511234{place:04}",
        content=b"Booking cancelled",
        notification_id=f"n{place}",
        template="booking_cancellation",
        segments=1,
    )


async def _held() -> Fence:
    return Fence.HELD


async def _nothing() -> None:
    """Nothing was sent."""


@pytest.mark.parametrize(("fault", "asked"), [(HANGS, AT_ONCE), (LIST_DOWN, AT_ONCE), (NO_LOGIN, AT_ONCE)])
async def test_forty_messages_in_doubt_find_out_once_that_the_provider_is_down(
    double: Twilio, channel: Channel, fault: Reply, asked: int
) -> None:
    double.list_fault = fault
    answers = await asyncio.gather(*map(channel.ask, range(AT_ONCE)))
    assert (channel.breaker.state, channel.breaker.slots.generation) == (State.OPEN, 1), "one outage opens it once"
    later = await asyncio.gather(*map(channel.ask, range(36)))
    assert double.listed == asked
    assert all(isinstance(each, LookUpFailed) for each in (*answers, *later))
    assert all("the channel is closed" in each.reason for each in later if isinstance(each, LookUpFailed))


@pytest.mark.parametrize(("fault", "enough"), [(HANGS, 3), (LIST_DOWN, 3), (NO_LOGIN, 1)])
async def test_a_refused_login_closes_the_channel_at_once_and_silence_the_third_time(
    double: Twilio, channel: Channel, fault: Reply, enough: int
) -> None:
    double.list_fault = fault
    states = [(await channel.ask(), channel.breaker.state)[1] for _ in range(enough)]
    assert states == [*[State.CLOSED] * (enough - 1), State.OPEN]


async def test_a_list_that_alone_is_down_does_not_stop_messages_that_pass(double: Twilio, channel: Channel) -> None:
    double.list_fault = LIST_DOWN
    for _ in range(4):
        await channel.ask()
        await channel.ask()
        assert channel.breaker.state is State.CLOSED
        assert isinstance(await channel.send(), Accepted)


@pytest.mark.parametrize("fault", [TOO_FAST, UNREADABLE])
async def test_a_list_asked_too_fast_or_unreadable_says_nothing_of_the_provider(
    double: Twilio, channel: Channel, fault: Reply
) -> None:
    double.list_fault = fault
    for _ in range(4):
        assert isinstance(await channel.ask(), LookUpFailed)
    assert channel.breaker.state is State.CLOSED


async def test_a_look_up_is_the_probe_and_its_answer_opens_the_channel_again(double: Twilio, channel: Channel) -> None:
    double.list_fault = NO_LOGIN
    await channel.ask()
    await channel.until_it_may_be_probed()
    assert isinstance(await channel.ask(), LookUpFailed)
    assert (channel.breaker.state, double.listed) == (State.OPEN, 2)
    double.list_fault = None
    await channel.until_it_may_be_probed()
    assert await channel.ask() == NotFound()
    assert channel.breaker.state is State.CLOSED


async def test_silence_fails_a_probe_at_once(double: Twilio, channel: Channel) -> None:
    double.list_fault = NO_LOGIN
    await channel.ask()
    double.list_fault = LIST_DOWN
    await channel.until_it_may_be_probed()
    await channel.ask()
    assert channel.breaker.state is State.OPEN


async def test_while_a_probe_is_under_way_a_look_up_waits_for_what_it_finds(double: Twilio, channel: Channel) -> None:
    double.list_fault = NO_LOGIN
    await channel.ask()
    double.list_fault = HANGS
    await channel.until_it_may_be_probed()
    probe, second = asyncio.create_task(channel.ask()), asyncio.create_task(channel.ask(1))
    await asyncio.sleep(TIMEOUT_S / 2)
    assert double.listed == 2
    double.list_fault = None
    assert isinstance(await probe, LookUpFailed)
    assert await second == NotFound()
    assert channel.breaker.state is State.CLOSED


async def test_that_the_list_answers_does_not_say_that_messages_are_taken(double: Twilio, channel: Channel) -> None:
    """Messages that break off open the channel; look-ups between them neither hide that nor close it."""
    double.script(always=Reply(500, 20500))
    for _ in range(2):
        await channel.send()
        assert not isinstance(await channel.ask(), LookUpFailed)
    await channel.send()
    states = [channel.breaker.state]
    await channel.until_it_may_be_probed()
    assert not isinstance(await channel.ask(), LookUpFailed)
    states.append(channel.breaker.state)
    double.script()
    assert isinstance(await channel.send(), Accepted)
    assert [*states, channel.breaker.state] == [State.OPEN, State.PROBING, State.CLOSED]


async def test_look_ups_share_the_channel_s_conversations(double: Twilio, channel: Channel) -> None:
    double.list_fault = Reply(200, seconds=TIMEOUT_S / 2)
    asked = [asyncio.create_task(channel.ask(place)) for place in range(2 * AT_ONCE)]
    await asyncio.sleep(TIMEOUT_S / 4)
    assert channel.breaker.conversations == AT_ONCE
    assert double.listed <= AT_ONCE
    await asyncio.gather(*asked)
