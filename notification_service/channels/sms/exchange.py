"""One request to a provider about one SMS, and the verdict: what all providers of SMS have in common."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from notification_service.channels.http_client import FenceLost, HttpClient, MaybeSent, NotSent, Response
from notification_service.channels.sms.attempts import AttemptTimer
from notification_service.channels.sms.message import OutgoingSms
from notification_service.channels.sms.prices import Prices
from notification_service.delivery.ports.channel import (
    BeforeHandover,
    HandoverRefused,
    InDoubt,
    OutgoingMessage,
    Tried,
    Unavailable,
    Unsendable,
)


@dataclass(frozen=True, slots=True)
class Request:
    """A POST. `headers`: names in lower case, with the login."""

    url: str
    headers: Mapping[str, str] = field(repr=False)
    content: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Exchange:
    """`request`: for a message. `verdict`: what an answer means. `unreachable`: the hint where there is none."""

    client: HttpClient
    prices: Prices
    request: Callable[[OutgoingSms], Request]
    verdict: Callable[[Response, AttemptTimer], Tried]
    unreachable: str

    async def about(self, message: OutgoingMessage, before_handover: BeforeHandover) -> Tried:
        sms, timer = as_sms(message), AttemptTimer(message.recipient)
        if objection := self.prices.objection(sms):
            return Unsendable(timer.ended("too_expensive"), objection)
        asked = self.request(sms)
        answer = await self.client.request(
            "POST", asked.url, headers=asked.headers, content=asked.content, before_handover=before_handover
        )
        match answer:
            case FenceLost():
                return HandoverRefused()
            case NotSent(text):
                return Unavailable(timer.ended("unavailable", text), self.unreachable)
            case MaybeSent(text):
                return InDoubt(timer.ended("in_doubt", text))
            case Response():
                return self.verdict(answer, timer)


def as_sms(message: OutgoingMessage) -> OutgoingSms:
    if not isinstance(message, OutgoingSms):
        raise TypeError(f"{type(message).__name__} is no SMS")
    return message
