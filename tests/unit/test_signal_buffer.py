"""Clicks wait in memory while the broker is away, within a bound, and nobody waits for them."""

import asyncio
from datetime import UTC, datetime

from notification_service.contract.signals import Signal, SignalKind
from notification_service.feedback.signal_buffer import SignalBuffer


def click(name: str) -> Signal:
    return Signal(source="link", source_id=name, kind=SignalKind.CLICKED, at=datetime.now(UTC))


class Broker:
    def __init__(self, *, down: bool = False) -> None:
        self.down = down
        self.taken: list[str] = []

    async def publish(self, signal: Signal) -> None:
        await asyncio.sleep(0)
        if self.down:
            raise ConnectionError("away")
        self.taken.append(signal.source_id)


async def test_what_was_put_is_published_in_order_also_at_the_end() -> None:
    broker = Broker()
    buffer = SignalBuffer(broker.publish)
    async with buffer.running():
        for name in "abc":
            buffer.put(click(name))
    assert broker.taken == ["a", "b", "c"]


async def test_what_came_while_the_broker_was_away_is_published_when_it_is_back() -> None:
    broker = Broker(down=True)
    buffer = SignalBuffer(broker.publish)
    async with buffer.running():
        buffer.put(click("a"))
        await asyncio.sleep(0.05)
        buffer.put(click("b"))
        broker.down = False
    assert broker.taken == ["a", "b"]
    assert buffer.dropped == 0


async def test_the_oldest_makes_room_and_is_counted() -> None:
    broker = Broker(down=True)
    buffer = SignalBuffer(broker.publish, size=2)
    async with buffer.running():
        buffer.put(click("a"))
        await asyncio.sleep(0.01)
        for name in "bcd":
            buffer.put(click(name))
        broker.down = False
    assert broker.taken == ["c", "d"]
    assert buffer.dropped == 2
