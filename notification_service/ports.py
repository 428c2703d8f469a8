"""What the pipeline needs from the outside, named for the need. Adapters and in-memory twins implement it."""

import hashlib
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, auto
from typing import Any, Protocol

from notification_service.address_digests import stand_in
from notification_service.outcomes import Outcome, Simulated
from notification_service.quotas import Turn


# ── claims: who works on a notification now (Redis) ──────────────────────────────────────────────────
@dataclass(frozen=True, slots=True)
class Granted:
    """The notification is ours. `fresh`: the store knew nothing of it, which is either true or a lost memory.

    `before`: whose lapsed claim it was. `certain`: the store has lost no write since that claim was made, so its
    owner had not begun to send.
    """

    fresh: bool
    before: str = ""
    certain: bool = True


@dataclass(frozen=True, slots=True)
class Held:
    """Another owner works on it; its lease ends in `seconds` unless it is renewed."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Doubtful:
    """An owner was lost after it had begun to send. The notification is ours now, under the unknown policy.

    `again`: that owner was itself resending, so the policy's one more mail is used up. `certain`: the store has lost
    no write since that claim was made, so without `again` nobody has resent.
    """

    again: bool = False
    certain: bool = True


@dataclass(frozen=True, slots=True)
class Decided:
    outcome: Outcome


ClaimAnswer = Granted | Held | Doubtful | Decided


class Fence(Enum):
    """Whether a claim still stood when its owner acted on it."""

    HELD = auto()
    LOST = auto()
    NO_ENTRY = auto()
    """The ledger has none of this notification: the database refused it, or a person removed it."""
    HELD_HERE = auto()
    """It stands, but another server made it, and may still serve it to others, who would see nothing of this."""


@dataclass(frozen=True, slots=True)
class Tenure:
    """What a job that holds a claim knows of it. `again`: what it sends is the policy's one more mail."""

    owner: str
    sending: bool = False
    again: bool = False


class Claims(Protocol):
    """Every method raises `StoreUnavailableError`. `owner` is a token of one job, never reused."""

    async def claim(self, notification_id: str, owner: str, *, reopen: bool = False) -> ClaimAnswer:
        """`reopen`: it is wanted again, so a verdict that may be reopened is none any more."""

    async def mark_sending(
        self, notification_id: str, owner: str, *, again: bool = False, plant: bool = False
    ) -> Fence:
        """From here on, whoever finds the claim without its owner has to doubt whether the mail went out.

        `again`: this is the policy's one more mail, also where the store forgot the first. `plant`: where nobody
        holds the notification, claim it; without that, a claim that is gone is lost, since another worker may have
        taken it and let it go in the meantime. HELD_HERE where the claim was made at a server that this one is not.
        """

    async def unmark(self, notification_id: str, owner: str) -> None:
        """The server has said that nothing went out, and the same owner will try again: take `mark_sending` back."""

    async def decide(self, notification_id: str, owner: str, outcome: Outcome) -> Fence: ...
    async def release(self, notification_id: str, owner: str) -> Fence:
        """Nothing went out: whoever comes next may start again."""

    async def renew(self, held: Mapping[str, "Tenure"]) -> Collection[str]:
        """Push the leases of these notifications out; the ids of those that still stood.

        A sending marker that the store has lost meanwhile is set again; a claim never becomes more certain by this.
        """

    async def begin(self, delivery: str) -> int:
        """A delivery that may kill its worker starts once more; how many of its starts before have not ended."""

    async def end(self, delivery: str, *, forget: bool = False) -> None:
        """A start of it has ended; `forget`: and so have all others."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What the claims know, for an auditor. `alive`: a worker holds it now. `decided`: the outcome of its verdict."""

    alive: bool = False
    decided: str | None = None


# ── rates: how many mails go where (Redis) ───────────────────────────────────────────────────────────
class Rates(Protocol):
    async def reserve(self, address: str, *, ticket: bool = False, taken: int = 0, only_now: bool = False) -> Turn:
        """When a mail to this address may go, as the first limit says that has no place for it now.

        Each call takes places; with `only_now` none where the mail may not go at once. `taken`: what `Turn.taken` said
        the last time. Raises `StoreUnavailableError`.
        """


# ── the ledger: what became of it (MongoDB, the truth) ───────────────────────────────────────────────
@dataclass(frozen=True, slots=True)
class Attempt:
    """One conversation with a provider about one mail."""

    at: datetime
    result: str
    duration_ms: float
    code: int | None = None
    reply: str | None = None
    connection: str | None = None


@dataclass(frozen=True, slots=True)
class Intent:
    """What is written down before anything is handed to a provider."""

    notification_id: str
    owner: str
    event_id: str
    event_type: str
    channel: str
    template: str | None
    template_digest: str | None
    recipient: str
    created_at: datetime
    booking_id: str | None
    message_id: str | None
    fact: str
    event_data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Entry:
    """What the ledger holds of a notification. `outcome` is None while it is pending or waiting."""

    notification_id: str
    outcome: Outcome | None
    waiting: bool
    possible_duplicate: bool
    event_ids: tuple[str, ...]
    created_at: datetime
    owner: str = ""
    replays: tuple[str, ...] = ()
    """The wishes to have it again that were granted already."""
    recipient: str = ""
    """As the record shows it, in full or masked; empty where it names nobody."""
    sending: bool = False
    """Its owner has begun to send, and could not rely on its claim to say so."""
    event_id: str = field(default="", compare=False)
    """The event whose mail it is: of several, the one that was taken up last."""
    later: tuple[str, ...] = field(default=(), compare=False)
    """The further mails about its booking, which have entries of their own."""
    erased: bool = field(default=False, compare=False)
    """Its person was erased: nothing that is noted of it may name an address."""

    def knows(self, event_id: str) -> bool:
        return event_id in self.event_ids or (self.erased and stand_in(event_id) in self.event_ids)


@dataclass(frozen=True, slots=True)
class Told:
    """What an entry keeps of its event, and what became of its mail: `outcome` is None while that is open."""

    notification_id: str
    event_type: str
    data: Mapping[str, Any] = field(repr=False)
    outcome: Outcome | None
    waiting: bool
    updated_at: datetime
    created_at: datetime
    later: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Paid:
    """A booking was paid; `at`: when its payment's event says so last, where one does."""

    at: datetime | None


@dataclass(frozen=True, slots=True)
class Opened:
    """The intent is written, and it is ours."""


@dataclass(frozen=True, slots=True)
class AlreadyThere:
    """An entry stood there before."""

    entry: Entry


class Ledger(Protocol):
    """Every method raises `StoreUnavailableError`, and may be repeated after it: each write is idempotent."""

    async def open(self, intent: Intent) -> Opened | AlreadyThere: ...

    async def told(self, notification_ids: Sequence[str]) -> list[Told]:
        """What the entries say that stand there, in the order of their ids."""

    async def take_over(
        self,
        notification_id: str,
        owner: str,
        event_id: str,
        *,
        at: datetime,
        possible_duplicate: bool,
        seen: str,
        sending: bool = False,
        was: Outcome | None = None,
        replay: str | None = None,
        intent: Intent | None = None,
    ) -> Fence:
        """Pending again, for this event, and `owner` is the one whose close is accepted; `was` goes into its history.

        `seen`, `sending`: whose it was and whether it was marked when it was looked at; it is lost if somebody else
        took it over, or its owner began to send, since. `replay`: the wish that this grants. `intent`: of this event,
        where the entry was another's: from now on it is of this one.

        An entry that is closed is left alone, unless it may be reopened.
        """

    async def close(
        self,
        notification_id: str,
        owner: str | None,
        outcome: Outcome,
        *,
        at: datetime,
        recipient: str | None = None,
        subject: str | None = None,
        remarks: Sequence[str] = (),
        mail_digest: str | None = None,
        attempt: Attempt | None = None,
    ) -> Fence:
        """Write the outcome, once. `owner` None: whoever owns it, to repair from a verdict."""

    async def postpone(
        self,
        notification_id: str,
        owner: str,
        *,
        at: datetime,
        due_at: datetime,
        reason: str,
        attempt: Attempt | None,
    ) -> None:
        """The notification waits on the retry ladder; nothing went out."""

    async def mark_sending(self, notification_id: str, owner: str) -> Fence:
        """The fence where the claim alone is none: the pending entry is still the owner's, and says that it sends.

        Whoever takes over an entry that is marked has to doubt whether the mail went out.
        """

    async def unmark(self, notification_id: str, owner: str) -> None:
        """The server has said that nothing went out, and the same owner will try again."""

    async def note_attempt(self, notification_id: str, attempt: Attempt) -> None:
        """A conversation that broke after DATA began: the entry stays pending."""

    async def note_event(self, notification_id: str, event_id: str) -> None:
        """A further event reported the same fact."""

    async def note_later(self, notification_id: str, later: str) -> None:
        """A further mail about the booking of this entry will have an entry of its own, `later`."""

    async def first_report(self, fact: str, report: str) -> str:
        """The report that first stood for this fact: `report` itself, or one that came before it."""

    async def note_paid(self, booking_id: str, at: datetime | None) -> None:
        """The booking was paid; of several moments the last stays."""

    async def paid(self, booking_id: str) -> Paid | None: ...


@dataclass(frozen=True, slots=True)
class Order:
    """To publish again what bounced by this fingerprint since then. `opening`: which time that its words were ours."""

    fingerprint: str
    since: datetime
    opening: str


# ── the directory: who gets it ───────────────────────────────────────────────────────────────────────
@dataclass(frozen=True, slots=True)
class Person:
    email: str | None
    first_name: str | None = None
    last_name: str | None = None
    locale: str | None = None


class Directory(Protocol):
    """Both methods raise `StoreUnavailableError`; nobody found is None."""

    async def user(self, user_id: str) -> Person | None: ...
    async def user_of_booking(self, booking_id: str) -> Person | None: ...


# ── channels: the way out ────────────────────────────────────────────────────────────────────────────
@dataclass(frozen=True, slots=True)
class Envelope:
    """One mail, ready to go: the bytes with CRLF line ends, and the addresses of RFC 5321."""

    notification_id: str
    template: str
    sender: str
    recipient: str
    content: bytes = field(repr=False)
    needs_smtputf8: bool = False

    @property
    def digest(self) -> str:
        """Of the bytes, 32 hexadecimal digits: a mail that is made again from its record is known by it."""
        return hashlib.sha256(self.content).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class Accepted:
    """A server said 250."""

    attempt: Attempt


@dataclass(frozen=True, slots=True)
class Kept:
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
class Withdrawn:
    """Our claim was lost before DATA: nothing went out, and somebody else sees to it."""


Verdict = Accepted | Kept | Deferred | PutOff | Refused | InDoubt | Withdrawn

Tried = Accepted | Kept | Deferred | Refused | InDoubt | Withdrawn | Unavailable | Blocked
"""What one try of a way out comes to; a channel turns the last two into a verdict, or waits."""

BeforeData = Callable[[], Awaitable[Fence]]
"""Called when the server has accepted the recipient and nothing of the mail was handed over yet."""

NothingSent = Callable[[], Awaitable[None]]
"""Called when a try has ended and surely nothing went out, before a further one is waited for."""


class Channel(Protocol):
    """A way out that waits until it is available, so it is never `Unavailable`."""

    name: str

    async def deliver(self, envelope: Envelope, before_data: BeforeData, nothing_sent: NothingSent) -> Verdict: ...


class Outbox(Protocol):
    """Where mail is kept that was simulated or given up."""

    async def keep(self, envelope: Envelope) -> str:
        """Where it lies now. Raises `OSError` when it cannot be kept."""


@dataclass(frozen=True, slots=True)
class KeptToken:
    """A refresh token under seal, and when it was last renewed."""

    sealed: bytes = field(repr=False)
    renewed_at: datetime


class RefreshTokens(Protocol):
    """The latest refresh token of each login, for all workers. Every method raises `StoreUnavailableError`."""

    async def find(self, login: str) -> KeptToken | None: ...

    async def keep(self, login: str, token: KeptToken) -> None:
        """Unless a newer one is kept already."""

    async def close(self) -> None: ...


class Sessions(Protocol):
    """Who is signed in to the console, for all workers. Every method raises `StoreUnavailableError`."""

    async def begin(self, key: str, seconds: int) -> None: ...

    async def stands(self, key: str) -> bool:
        """Whether it was begun, has not ended, and its seconds are not over."""

    async def end(self, key: str) -> None: ...
