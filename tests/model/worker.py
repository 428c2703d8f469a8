"""The real service in a process of the model: everything but the two stores, the broker and the mail server.

All that the model knows of the package's signatures stands here, in `broker.py` and in `smtp.py`.
"""

import functools
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, cast

from notification_service.broker import parking
from notification_service.broker.consumer import Consumer
from notification_service.channels.breaker import Breaker
from notification_service.channels.email.composer import EmailComposer
from notification_service.channels.email.mail import OutgoingEmail
from notification_service.channels.email.mime import SenderIdentity
from notification_service.channels.email.template_loading import load
from notification_service.content.branding import Brand
from notification_service.content.profile import SenderProfile
from notification_service.contract.events import Event
from notification_service.contract.outcomes import Bounced
from notification_service.delivery.jobs import Jobs
from notification_service.delivery.leases import Leases
from notification_service.delivery.observer import NoObserver
from notification_service.delivery.pipeline import Pipeline
from notification_service.delivery.poison_guard import PoisonGuard
from notification_service.delivery.policy import Policy
from notification_service.delivery.ports.channel import Outbox
from notification_service.delivery.ports.claims import Claims
from notification_service.delivery.ports.composer import MessageIds
from notification_service.delivery.ports.directory import Directory, Recipient
from notification_service.delivery.ports.ledger import Ledger
from notification_service.delivery.ports.recalls import Recalls
from notification_service.delivery.retries import RetrySchedule
from notification_service.delivery.state import DeliveryState
from notification_service.foundation.errors import StoreUnavailableError
from notification_service.records.recalls import Recaller
from notification_service.stores.memory.claims import MemoryClaims
from notification_service.stores.memory.directory import MemoryDirectory
from notification_service.stores.memory.ledger import MemoryLedger, MemoryRecalls
from notification_service.stores.memory.rates import MemoryRates
from tests.model import smtp
from tests.model.broker import Broker, Connection, link
from tests.model.process import Clock, Process
from tests.unit.fakes import LARGEST, TEMPLATES

LEASE = 30.0
TEMPLATE = "booking_confirmation"
_SCHEDULE = RetrySchedule(3)

Watch = Callable[[Process, str, tuple[Any, ...], object], None]
"""Who asked what, with which arguments, and was answered what."""


class Store:
    """A twin that can be away, and that can lose an answer after it has done what was asked."""

    def __init__(self, name: str, twin: object) -> None:
        self.name = name
        self.twin = twin
        self.away = False
        self.answers_to_lose = 0
        self.was_missed = False
        self.watch: Watch = lambda *_: None
        self.apart: dict[Process, object] = {}
        """Who asks another primary than all others."""

    def seen_from(self, process: Process) -> Any:  # noqa: ANN401 - it has the twin's own methods
        return _Remote(self, process)

    async def ask(self, process: Process, method: str, *args: Any, **kwargs: Any) -> object:  # noqa: ANN401 - passed on as they are
        await process.gate(f"{self.name}.{method}")
        if self.away:
            self._miss()
        answer = await getattr(self.apart.get(process, self.twin), method)(*args, **kwargs)
        self.watch(process, method, args, answer)
        await process.gate(f"{self.name}.{method} done")
        if self.answers_to_lose:
            self.answers_to_lose -= 1
            self._miss()
        return answer

    def _miss(self) -> None:
        self.was_missed = True
        raise StoreUnavailableError(self.name, "the model says so")


class _Remote:
    """The store as one process reaches it: each method of the twin, with a gate before and after its effect."""

    def __init__(self, store: Store, process: Process) -> None:
        self._store = store
        self._process = process

    def __getattr__(self, method: str) -> Callable[..., Awaitable[object]]:
        return functools.partial(self._store.ask, self._process, method)


class _Recalls(_Remote):
    """What it yields, it reads in one step."""

    def __init__(self, stores: "Stores", process: Process) -> None:
        super().__init__(stores.recalls, process)
        self._twin = stores.recalls_twin

    async def bounced_by(self, fingerprint: str, since: datetime) -> AsyncIterator[Sequence[Mapping[str, Any]]]:
        await self._process.gate("recalls.bounced_by")
        async for batch in self._twin.bounced_by(fingerprint, since):
            yield batch


class _Shelf:
    async def keep(self, envelope: object) -> str:  # noqa: ARG002 - one shelf is like another
        return "shelf"


_MAILS: dict[tuple[str, str, str | None], OutgoingEmail] = {}


class _CachingComposer(EmailComposer):
    """Composes each mail once for all runs: only its date would differ, and composing takes most of the time."""

    def compose(self, event: Event, recipient: Recipient, ids: MessageIds) -> OutgoingEmail:
        key = (ids.notification_id, ids.event_id, recipient.email)
        if key not in _MAILS:
            _MAILS[key] = super().compose(event, recipient, ids)
        return _MAILS[key]


@functools.cache
def _composer() -> EmailComposer:
    renderer = load(TEMPLATES, SenderProfile(Brand("Cinema")))
    sender = SenderIdentity("tickets@cinema.example", "Cinema")
    return _CachingComposer(renderer, sender, max_attachment_bytes=1000)


_Written = dict[str, Any]


def _written(twin: MemoryClaims) -> _Written:
    return {key: replace(claim) for key, claim in twin._claims.items()}


class Stores:
    """What all workers share and what outlives each of them."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.ledger_twin = MemoryLedger()
        self.claims_twin = MemoryClaims(LEASE, clock)
        self.claims = Store("claims", self.claims_twin)
        self.ledger = Store("ledger", self.ledger_twin)
        self.recalls_twin = MemoryRecalls(self.ledger_twin)
        self.recalls = Store("recalls", self.recalls_twin)
        self.recalls.watch = self._see_orders
        self.forgotten = 0
        self.ordered = False
        """Whether an order to call back ever stood in the ledger."""

        self._writes: list[_Written] = []
        self._servers = itertools.count(2)

    def note_writes(self) -> None:
        """After each call of a worker: what the claims are now, should the next write be lost."""
        now = _written(self.claims_twin)
        if not self._writes or now != self._writes[-1]:
            self._writes.append(now)

    def lose_writes(self, count: int) -> None:
        """Redis comes back, or another one is promoted, without its last writes."""
        self.note_writes()
        self.claims.twin = self.claims_twin = self._another(self._writes[max(0, len(self._writes) - 1 - count)])
        self.forgotten += 1

    def split(self, away: Process) -> None:
        """`away` goes on asking the primary that all others no longer ask."""
        self.claims.apart[away] = self.claims_twin
        self.claims.twin = self.claims_twin = self._another(_written(self.claims_twin))
        self.forgotten += 1

    def promote(self, away: Process) -> None:
        """`away` alone asks a replica that is promoted; all others still ask the primary of before."""
        self.claims.apart[away] = self._another(_written(self.claims_twin))
        self.forgotten += 1

    def _another(self, written: "_Written") -> MemoryClaims:
        twin = MemoryClaims(LEASE, self._clock)
        twin.server = f"server {next(self._servers)}"
        twin._claims = {key: replace(claim) for key, claim in written.items()}
        self._writes.clear()
        return twin

    def _see_orders(self, _process: Process, method: str, _args: tuple[Any, ...], _answer: object) -> None:
        self.ordered |= method == "order"

    @property
    def to_be_called_back(self) -> bool:
        """Whether an order stands about something that is bounced still."""
        words = self.recalls_twin._orders
        closed = [record.entry.outcome for record in self.ledger_twin.records.values()]
        return any(isinstance(outcome, Bounced) and outcome.fingerprint in words for outcome in closed)

    def forget_claims(self) -> None:
        """FLUSHALL."""
        self.claims.twin = self.claims_twin = MemoryClaims(LEASE, self._clock)
        self.forgotten += 1

    def claims_in_hand(self) -> list[str]:
        """The notifications that somebody has claimed and that are not decided."""
        return [key for key, claim in self.claims_twin._claims.items() if claim.outcome is None]


class Worker:
    def __init__(
        self,
        name: str,
        clock: Clock,
        stores: Stores,
        broker: Broker,
        server: smtp.Server,
        *,
        hold: bool,
        express: bool,
        recall: bool,
    ) -> None:
        self.name = name
        self.process = Process(clock)  # type: ignore[abstract]  # what it lacks, no worker of the model asks for
        self.connection = Connection()
        self._broker = broker
        claims = cast("Claims", stores.claims.seen_from(self.process))
        leases = Leases(claims, LEASE)
        breaker, to_broker = Breaker(smtp.LiveTransport(server, self.process), 8), link(broker, self.process)
        pipeline = _pipeline(
            claims,
            cast("Ledger", stores.ledger.seen_from(self.process)),
            leases,
            hold=hold,
            express=express,
            transport=breaker,
        )
        self._consumer = Consumer(to_broker, pipeline.handle, _SCHEDULE, NoObserver())
        self.process.create_task(leases.renew_forever())
        if recall:
            recalls = cast("Recalls", _Recalls(stores, self.process))
            recaller = Recaller(recalls, breaker.refusals, parking.republishing_over(to_broker))
            breaker.refusals.on_recall = recaller.alarm
            self.process.create_task(recaller.forever())

    @property
    def idle(self) -> bool:
        return self._consumer.under_way == 0 and not self.process.gates

    def take(self) -> None:
        """The next message that is ready."""
        incoming = self._broker.deliver(self.connection, self.process)
        self.process.create_task(self._consumer.on_message(incoming))
        self.process.run_ready()

    def reconnect(self) -> None:
        """The connection is lost and there is a new one; the jobs go on."""
        self._broker.lose(self.connection)
        self.connection = Connection()

    def kill(self) -> None:
        self.process.kill()
        self._broker.lose(self.connection)


def _pipeline(
    claims: Claims, ledger: Ledger, leases: Leases, *, hold: bool, express: bool, transport: Breaker
) -> Pipeline:
    return Pipeline(
        state=DeliveryState(claims, ledger, leases, MemoryRates()),
        leases=leases,
        directory=cast("Directory", MemoryDirectory({}, {})),
        composer=_composer(),
        channel=transport,
        outbox=cast("Outbox", _Shelf()),
        policy=Policy(_SCHEDULE, LARGEST, _composer().renderer.zone, frozenset({TEMPLATE} if hold else ()), express),
        jobs=Jobs(),
        poison_guard=PoisonGuard(claims),
    )
