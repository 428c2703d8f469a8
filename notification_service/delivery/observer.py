"""The events that the delivery reports to metrics and tracing, without depending on either."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from notification_service.contract.inbound import InboundMessage
from notification_service.contract.outcomes import Outcome
from notification_service.contract.remarks import Remark
from notification_service.delivery.ports.shadow import ShadowResult
from notification_service.delivery.settlements import Settlement


class Stage(StrEnum):
    """The stages of handling a message, in their order."""

    PARSE = "parse"
    CLAIM = "claim"
    FIND = "find"
    INTENT = "intent"
    COMPOSE = "compose"
    SEND = "send"
    OUTCOME = "outcome"
    SETTLE = "settle"


@dataclass(frozen=True, slots=True)
class ClosedNotification:
    """A notification whose outcome is written. `ready_at`: when its message was first handed to the channel.

    `show_at`: as the event names it; None where it names none, or no zone is known. `mailbox`: the class of the
    recipient's mailbox provider; empty for other channels.
    """

    template: str
    channel: str
    outcome: Outcome
    event_at: datetime | None
    ready_at: datetime | None
    closed_at: datetime
    show_at: datetime | None
    mailbox: str = ""


class Observer(Protocol):
    """Called for every message. Implementations are quick, do no I/O and never raise."""

    def watched(self, inbound: InboundMessage) -> AbstractContextManager[InboundMessage]:
        """Wraps the handling of a message; the message that it yields is handled."""

    def timed(self, stage: Stage) -> AbstractContextManager[None]:
        """Measures one stage, also where it raises."""

    def remarked(self, remark: Remark) -> None: ...

    def held_back(self, channel: str, setting: str) -> None:
        """A message waits because of this setting: quiet hours, or a rate limit."""

    def fell_back(self, template: str) -> None:
        """The variant of a test could not be composed, so its control is sent."""

    def shadowed(self, result: ShadowResult) -> None: ...

    def closed(self, closing: ClosedNotification) -> None: ...

    def settled(self, inbound: InboundMessage, settlement: Settlement, seconds: float) -> None:
        """The message was settled, `seconds` after it was received."""


class NoObserver:
    """Observes nothing."""

    def watched(self, inbound: InboundMessage) -> AbstractContextManager[InboundMessage]:
        return nullcontext(inbound)

    def timed(self, stage: Stage) -> AbstractContextManager[None]:  # noqa: ARG002 - the protocol's
        return nullcontext()

    def remarked(self, remark: Remark) -> None: ...

    def held_back(self, channel: str, setting: str) -> None: ...

    def fell_back(self, template: str) -> None: ...

    def shadowed(self, result: ShadowResult) -> None: ...

    def closed(self, closing: ClosedNotification) -> None: ...

    def settled(self, inbound: InboundMessage, settlement: Settlement, seconds: float) -> None: ...
