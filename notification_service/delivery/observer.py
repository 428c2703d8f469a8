"""What somebody who watches is told while an event is worked off. Nothing here knows who that is."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from notification_service.contract.inbound import InboundMessage
from notification_service.contract.outcomes import Outcome
from notification_service.contract.remarks import Remark
from notification_service.delivery.settlements import Settlement


class Stage(StrEnum):
    """The parts of an event's way, in their order."""

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
    """A notification whose outcome is written. `ready_at`: when its mail was first handed to the channel.

    `show_at`: as the event names it; None where it names none, or no zone is known.
    """

    template: str
    channel: str
    outcome: Outcome
    event_at: datetime | None
    ready_at: datetime | None
    closed_at: datetime
    show_at: datetime | None


class Observer(Protocol):
    """Called on the way of every event: it is quick, waits for nothing and never raises."""

    def watched(self, inbound: InboundMessage) -> AbstractContextManager[InboundMessage]:
        """Around all that is done with a delivery; what it yields is worked on."""

    def timed(self, stage: Stage) -> AbstractContextManager[None]:
        """Around one stage; one that raises has taken its time too."""

    def remarked(self, remark: Remark) -> None: ...

    def closed(self, closing: ClosedNotification) -> None: ...

    def settled(self, inbound: InboundMessage, settlement: Settlement, seconds: float) -> None:
        """The broker took it; `seconds` since it handed the delivery over."""


class NoObserver:
    """Nobody watches."""

    def watched(self, inbound: InboundMessage) -> AbstractContextManager[InboundMessage]:
        return nullcontext(inbound)

    def timed(self, stage: Stage) -> AbstractContextManager[None]:  # noqa: ARG002 - the protocol's
        return nullcontext()

    def remarked(self, remark: Remark) -> None: ...

    def closed(self, closing: ClosedNotification) -> None: ...

    def settled(self, inbound: InboundMessage, settlement: Settlement, seconds: float) -> None: ...
