"""What the delivery needs from a channel: messages, verdicts, and the outbox for what was not sent."""

import hashlib
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar, Protocol

from notification_service.contract.outcomes import Simulated
from notification_service.contract.remarks import Remark
from notification_service.delivery.ports.claims import Fence

IN_DOUBT = "in_doubt"
"""The `Attempt.result` of an attempt after which the message may have gone out."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One conversation with a provider about one message. `relay`: which one, where there are several.

    `provider_message_id`: what the provider calls an accepted message, where its reply says so. `device`: a digest of
    the token, where one message goes to several devices of a person.
    """

    at: datetime
    result: str
    duration_ms: float
    code: int | None = None
    reply: str | None = None
    connection: str | None = None
    relay: str | None = None
    provider_message_id: str | None = None
    device: str | None = None


ACCEPTED, REFUSED = "accepted", "refused"
"""The `Attempt.result` where the provider has taken the message, and where it never takes it for this address."""

SETTLED_DEVICE = (ACCEPTED, REFUSED)
"""The `Attempt.result` of an attempt after which nothing is left to do for its device."""

NoteAttempt = Callable[[Attempt], Awaitable[None]]
"""Writes one of several attempts for a message to its record at once. Raises nothing: it waits for the store."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutgoingMessage:
    """One message, ready to be handed to a provider. Each kind of channel adds what its transport needs.

    `recipient`: the address in the form that the transport takes. `subject`, `remarks`: for the record.
    `suffix`: of its file in the outbox. `held_by`: the relay that may have it already: by that alone it goes again.
    `settled`: what earlier attempts came to, by device; `note`: for an attempt that is not the last.
    """

    suffix: ClassVar[str] = ".txt"
    has_parts: ClassVar[bool] = False
    """Whether it goes out in several parts, each of which has an attempt of its own."""

    notification_id: str
    template: str
    recipient: str
    content: bytes = field(repr=False)
    subject: str | None = field(default=None, repr=False)
    remarks: tuple[Remark, ...] = ()
    held_by: str | None = None
    settled: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)
    note: NoteAttempt | None = field(default=None, repr=False, compare=False)

    @property
    def digest(self) -> str:
        """32 hexadecimal digits of the content's SHA-256, by which a message that is composed again is compared."""
        return hashlib.sha256(self.content).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class Accepted:
    """The provider accepted the message (SMTP: 250 after DATA)."""

    attempt: Attempt


@dataclass(frozen=True, slots=True)
class SimulatedSend:
    """A simulating channel wrote the message to the outbox instead of sending it."""

    outcome: Simulated
    attempt: Attempt


@dataclass(frozen=True, slots=True)
class Deferred:
    """Refused for now (4xx), or by one domain's server: nothing was sent. `wait`: seconds that the server asked for.

    `about`: what the reply is about, where that is not the message.
    """

    attempt: Attempt
    wait: float | None = None
    about: str = ""


@dataclass(frozen=True, slots=True)
class PutOff:
    """The channel is unavailable, and has no room for the message to wait: it is tried again in `seconds`.

    Nothing was sent, and the message is not at fault. `attempt`: the last one, where the message was tried.
    """

    seconds: float
    reason: str
    attempt: Attempt | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """The message is refused for good (5xx). `code`: the enhanced status code (RFC 3463) where there is one.

    `fingerprint`: of the reply without the parts that differ between messages, so that equal refusals are recognised.
    `names_address`: the reply says that the mailbox does not exist, so equal replies are not about our service.
    """

    attempt: Attempt
    code: str
    fingerprint: str = ""
    names_address: bool = False


@dataclass(frozen=True, slots=True)
class Blocked:
    """The provider refuses the service where it could refuse a recipient: our sender, client, quota or reputation.

    Nothing was sent, and the message is not at fault. `hint`: what an operator can do. `wait`: seconds that the server
    asked for.
    """

    attempt: Attempt
    hint: str
    wait: float | None = None


@dataclass(frozen=True, slots=True)
class Unavailable:
    """The transport failed: nothing was sent, and the message is not at fault. `hint`: what an operator can do."""

    attempt: Attempt
    hint: str


@dataclass(frozen=True, slots=True)
class InDoubt:
    """The conversation broke after DATA began, so the message may have been sent (RFC 1047)."""

    attempt: Attempt


@dataclass(frozen=True, slots=True)
class Unsendable:
    """The request is refused for a reason that no retry changes and that only an operator can mend, named in `hint`.

    Nothing was sent, and other messages may pass: a sender that a country does not accept, a price above the limit.
    `fingerprint`: as in `Refused`; empty where the refusal cannot be about the service.
    """

    attempt: Attempt
    hint: str
    fingerprint: str = ""


@dataclass(frozen=True, slots=True)
class OptedOut:
    """The provider says that the recipient wants no messages from us. Nothing was sent."""

    attempt: Attempt


@dataclass(frozen=True, slots=True)
class HandoverRefused:
    """`before_handover` did not allow the handover, so nothing was sent.

    The claim was lost, MongoDB could not confirm it, or the notification became obsolete or has to wait for another.
    """


Verdict = Accepted | SimulatedSend | Deferred | PutOff | Refused | Unsendable | OptedOut | InDoubt | HandoverRefused


Tried = (
    Accepted
    | SimulatedSend
    | Deferred
    | PutOff
    | Refused
    | Unsendable
    | OptedOut
    | InDoubt
    | HandoverRefused
    | Unavailable
    | Blocked
)
"""The result of one try of a transport. For the last two, the channel waits or returns a verdict."""


BeforeHandover = Callable[[], Awaitable[Fence]]
"""Called when the server has accepted the recipient, before any content is handed over."""


class BeforeHandoverTo(Protocol):
    """`BeforeHandover` where there may be several relays. `relay`: the one that gets the content."""

    async def __call__(self, relay: str | None = None) -> Fence: ...


NothingSent = Callable[[], Awaitable[None]]
"""Called after a try that certainly sent nothing, before the channel waits for the next."""


@dataclass(frozen=True, slots=True)
class Found:
    """The provider has the message: it was sent. `attempt` says so in the record."""

    attempt: Attempt


@dataclass(frozen=True, slots=True)
class NotFound:
    """The provider has no such message, so it may be sent once more."""


@dataclass(frozen=True, slots=True)
class CannotTell:
    """The provider's answer decides nothing, such as where it has removed the texts: the unknown policy decides."""


@dataclass(frozen=True, slots=True)
class LookUpFailed:
    """The provider cannot be asked now: the message waits, and is not sent blindly.

    `blame`: what this says of the provider, where it says anything; `InDoubt` where the question went out and no answer
    came.
    """

    reason: str
    blame: Unavailable | InDoubt | None = None


LookUpAnswer = Found | NotFound | CannotTell | LookUpFailed

LookUp = Callable[[OutgoingMessage, datetime], Awaitable[LookUpAnswer]]
"""Asks a provider whether it took a message in doubt, whose work began at this time. Not every provider can say."""


class Transport(Protocol):
    """Makes one attempt to send a message. It may be unavailable; a breaker in front of it makes a channel of it."""

    name: str

    async def send_once(self, message: OutgoingMessage, before_handover: BeforeHandover) -> Tried: ...
    async def close(self) -> None: ...


class LiveTransport(Transport, Protocol):
    """A transport that really sends. It opens no connection before it is used.

    `max_concurrency`: conversations at once. `provider`: the label of its replies in the metrics.
    """

    max_concurrency: int
    provider: str

    @property
    def where(self) -> Mapping[str, str]:
        """The server, and how the connection is secured: fields of the log line `service.starting`."""

    @property
    def open(self) -> int:
        """How many sessions are open now, for the metrics."""

    @property
    def extensions_given_up(self) -> Collection[str]:
        """Names of what the server offers and does not master, so that it is not used any longer."""

    @property
    def login_age(self) -> float | None:
        """Seconds since the login was last renewed; None where it needs no renewal."""

    async def check(self) -> str:
        """Connects and logs in, and returns a sentence that says how. Raises `ChannelUnavailableError`."""


class Channel(Protocol):
    """Sends messages, and waits while its transport is unavailable."""

    name: str

    async def deliver(
        self, message: OutgoingMessage, before_handover: BeforeHandoverTo, nothing_sent: NothingSent
    ) -> Verdict: ...


class Outbox(Protocol):
    """Keeps messages that were simulated or given up."""

    async def keep(self, message: OutgoingMessage) -> str:
        """Keep the message, and return its path. Raises `OSError`."""
