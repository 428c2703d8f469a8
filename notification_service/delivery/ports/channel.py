"""What the delivery needs from a channel: messages, verdicts, and the outbox for what was not sent."""

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar, Protocol

from notification_service.contract.outcomes import Simulated
from notification_service.contract.remarks import Remark
from notification_service.delivery.ports.claims import Fence


@dataclass(frozen=True, slots=True)
class Attempt:
    """One conversation with a provider about one mail."""

    at: datetime
    result: str
    duration_ms: float
    code: int | None = None
    reply: str | None = None
    connection: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OutgoingMessage:
    """One message, ready to be handed to a provider. Each kind of channel adds what its transport needs.

    `recipient`: the address in the form that the transport takes. `subject`, `remarks`: for the record.
    `suffix`: of its file in the outbox.
    """

    suffix: ClassVar[str] = ".txt"

    notification_id: str
    template: str
    recipient: str
    content: bytes = field(repr=False)
    subject: str | None = field(default=None, repr=False)
    remarks: tuple[Remark, ...] = ()

    @property
    def digest(self) -> str:
        """Of the content, 32 hexadecimal digits: a message that is composed again from its record is known by it."""
        return hashlib.sha256(self.content).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class Accepted:
    """A server said 250."""

    attempt: Attempt


@dataclass(frozen=True, slots=True)
class SimulatedSend:
    """A simulating channel kept the mail instead of sending it."""

    outcome: Simulated
    attempt: Attempt


@dataclass(frozen=True, slots=True)
class Deferred:
    """The moment is to blame (4xx), or the server of this domain: nothing went out. `wait`: seconds that were named.

    `about`: what the reply is about, where that is not the mail.
    """

    attempt: Attempt
    wait: float | None = None
    about: str = ""


@dataclass(frozen=True, slots=True)
class PutOff:
    """The channel is closed, and needs the place of this mail for others: it may come again in `seconds`.

    Nothing went out, and no message is at fault. `attempt`: where it has been tried.
    """

    seconds: float
    reason: str
    attempt: Attempt | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """The message is to blame (5xx): it will never be accepted. `code`: RFC 3463 where there is one.

    `fingerprint`: of the reply without what differs from mail to mail, so that equal refusals are known.
    `names_address`: it says that there is nobody of this address, so that its equals tell nothing of us.
    """

    attempt: Attempt
    code: str
    fingerprint: str = ""
    names_address: bool = False


@dataclass(frozen=True, slots=True)
class Blocked:
    """The server refuses us at a step where it could refuse a recipient: our sender, client, quota or reputation.

    Nothing went out, and no message is at fault. `hint`: what an operator can do. `wait`: seconds named.
    """

    attempt: Attempt
    hint: str
    wait: float | None = None


@dataclass(frozen=True, slots=True)
class Unavailable:
    """The channel is to blame: nothing went out, and no message is at fault. `hint`: what an operator can do."""

    attempt: Attempt
    hint: str


@dataclass(frozen=True, slots=True)
class InDoubt:
    """The conversation broke after DATA began: it may have gone out (RFC 1047)."""

    attempt: Attempt


@dataclass(frozen=True, slots=True)
class ClaimLost:
    """Our claim was lost before DATA: nothing went out, and somebody else sees to it."""


Verdict = Accepted | SimulatedSend | Deferred | PutOff | Refused | InDoubt | ClaimLost


Tried = Accepted | SimulatedSend | Deferred | Refused | InDoubt | ClaimLost | Unavailable | Blocked
"""What one try of a way out comes to; a channel turns the last two into a verdict, or waits."""


BeforeHandover = Callable[[], Awaitable[Fence]]
"""Called when the server has accepted the recipient and nothing of the mail was handed over yet."""


NothingSent = Callable[[], Awaitable[None]]
"""Called when a try has ended and surely nothing went out, before a further one is waited for."""


class Channel(Protocol):
    """A way out that waits until it is available, so it is never `Unavailable`."""

    name: str

    async def deliver(
        self, message: OutgoingMessage, before_handover: BeforeHandover, nothing_sent: NothingSent
    ) -> Verdict: ...


class Outbox(Protocol):
    """Where mail is kept that was simulated or given up."""

    async def keep(self, message: OutgoingMessage) -> str:
        """Where it lies now. Raises `OSError` when it cannot be kept."""
