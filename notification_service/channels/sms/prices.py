"""What an SMS costs, and the most that one may cost. Pure."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from notification_service.channels.sms.message import OutgoingSms
from notification_service.channels.sms.numbers import country_of


@dataclass(frozen=True, slots=True)
class Prices:
    """`by_country`: of one segment, by country (ISO 3166). `limit`: of one message; None: there is none.

    Both are in the currency that the provider bills in.
    """

    by_country: Mapping[str, Decimal] = field(default_factory=dict)
    limit: Decimal | None = None

    def of(self, country: str, segments: int) -> Decimal | None:
        """None where the country has no price."""
        price = self.by_country.get(country)
        return None if price is None else price * segments

    def objection(self, message: OutgoingSms) -> str | None:
        """Why the message must not be sent, with what to do; None where it may be."""
        if self.limit is None:
            return None
        country = country_of(message.recipient)
        price = self.of(country, message.segments)
        if price is None:
            return f"SMS_MAX_PRICE is set, and SMS_PRICES has no price for {country}: add it, then replay the event"
        if price > self.limit:
            return (
                f"its {message.segments} segments to {country} cost {price}, above SMS_MAX_PRICE={self.limit}: shorten "
                "the text or raise the limit, then replay the event"
            )
        return None

    def of_a_day(self, messages: int, segments: int) -> str:
        """What so many messages of so many segments cost at most, in a sentence."""
        if not messages:
            return "SMS_MAX_PER_DAY is not set: nothing limits what a day costs"
        if self.highest is None:
            return f"at most {messages} SMS a day; SMS_PRICES is not set, so what they cost is not known"
        cents = math.ceil(messages * segments * self.highest * 100)
        return f"at most {messages} SMS of {segments} segments a day, which cost up to {Decimal(cents) / 100:,.2f}"

    def day_limit(self, messages: int, segments: int) -> Decimal | None:
        """What so many messages of so many segments cost at most; None where there is no limit or no price."""
        return messages * segments * self.highest if messages and self.highest is not None else None

    @property
    def highest(self) -> Decimal | None:
        """Of one segment in the most expensive country."""
        return max(self.by_country.values(), default=None)
