"""Tells what each SMS that the provider took costs by the configured prices."""

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal

from notification_service.channels.sms.message import OutgoingSms
from notification_service.channels.sms.numbers import country_of
from notification_service.channels.sms.prices import Prices
from notification_service.delivery.ports.channel import (
    Accepted,
    BeforeHandover,
    Found,
    LookUp,
    LookUpAnswer,
    OutgoingMessage,
    Transport,
    Tried,
)

OnTaken = Callable[[str, int, Decimal | None], None]
"""Called with the country, the segments, and what they cost; None where the country has no price."""


class CostMeter:
    """A transport that reports each message that was taken, also where only the provider's list said so later.

    `on_taken`: set by who counts. `day_limit`: what a day costs at most; None where nothing limits it.
    """

    def __init__(self, transport: Transport, prices: Prices, day_limit: Decimal | None, on_taken: OnTaken) -> None:
        self.name = transport.name
        self.day_limit = day_limit
        self.on_taken = on_taken
        self._transport = transport
        self._prices = prices

    async def send_once(self, message: OutgoingMessage, before_handover: BeforeHandover) -> Tried:
        verdict = await self._transport.send_once(message, before_handover)
        if isinstance(verdict, Accepted):
            self._taken(message)
        return verdict

    def metered(self, look_up: LookUp) -> LookUp:
        async def asked(message: OutgoingMessage, since: datetime) -> LookUpAnswer:
            answer = await look_up(message, since)
            if isinstance(answer, Found):
                self._taken(message)
            return answer

        return asked

    async def close(self) -> None:
        await self._transport.close()

    def _taken(self, message: OutgoingMessage) -> None:
        if isinstance(message, OutgoingSms):
            country = country_of(message.recipient)
            self.on_taken(country, message.segments, self._prices.of(country, message.segments))


def not_counted(_country: str, _segments: int, _cost: Decimal | None) -> None:
    """Nobody counts."""
